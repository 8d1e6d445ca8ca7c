"""The further distributions of `cl.random`: laws, golden bits, implicit derivatives, means, wrong parameters."""

import warnings

import mpmath
import numpy as np
import pytest
from scipy import special, stats

import clearprop as cl
from clearprop.errors import ClearpropError
from clearprop.primitives import REGISTRY

KEY = cl.random.key(3)
N = 50_000
LEVEL = 0.001
"""Of every test of a law: it would refuse one of a thousand right samples; keys are fixed, so that none is met."""


class Law:
    """A distribution that SciPy lacks, by its distribution function."""

    def __init__(self, cdf):
        self.cdf = cdf


CONTINUOUS = {  # name: (arguments by name, law)
    "half_normal": ({"scale": 2.0}, stats.halfnorm(scale=2.0)),
    "half_cauchy": ({"scale": 2.0}, stats.halfcauchy(scale=2.0)),
    "triangular": ({"low": 1.0, "mode": 2.0, "high": 5.0}, stats.triang(0.25, 1.0, 4.0)),
    "triangular at an end": ({"low": 1.0, "mode": 5.0, "high": 5.0}, stats.triang(1.0, 1.0, 4.0)),
    "wald": ({"mean": 2.0, "concentration": 3.0}, stats.invgauss(2 / 3, scale=3.0)),
    "wald of a long tail": ({"mean": 20.0, "concentration": 0.5}, stats.invgauss(40.0, scale=0.5)),
    "f": ({"dfn": 3.0, "dfd": 5.0}, stats.f(3.0, 5.0)),
    "maxwell": ({"scale": 2.0}, stats.maxwell(scale=2.0)),
    "double_sided_maxwell": (
        {"loc": 1.0, "scale": 2.0},
        Law(lambda x: (1 + np.sign(x - 1) * stats.maxwell(scale=2.0).cdf(np.abs(x - 1))) / 2),
    ),
    "generalized_normal": ({"power": 3.0, "loc": 1.0, "scale": 2.0}, stats.gennorm(3.0, 1.0, 2.0)),
    "loggamma": ({"concentration": 0.7}, stats.loggamma(0.7)),
    "loggamma of a tiny number": ({"concentration": 1e-6}, Law(lambda x: np.exp(np.minimum(1e-6 * x, 0.0)))),
    "power": ({"exponent": 3.0}, stats.powerlaw(3.0)),
    "kumaraswamy": ({"a": 2.0, "b": 3.0}, Law(lambda x: 1 - (1 - x**2) ** 3)),
    "generalized_pareto": ({"concentration": 0.3, "loc": 1.0, "scale": 2.0}, stats.genpareto(0.3, 1.0, 2.0)),
    "generalized_pareto of an end": ({"concentration": -0.6}, stats.genpareto(-0.6)),
    "generalized_pareto of 0": ({"concentration": 0.0}, stats.expon()),
    "noncentral_chisquare": ({"df": 2.5, "nonc": 3.0}, stats.ncx2(2.5, 3.0)),
    "noncentral_f": ({"dfn": 3.0, "dfd": 5.0, "nonc": 2.0}, stats.ncf(3.0, 5.0, 2.0)),
    "von_mises": ({"concentration": 2.5}, stats.vonmises(2.5)),
    "von_mises of no direction": ({"concentration": 0.0}, stats.uniform(-np.pi, 2 * np.pi)),
    "von_mises of a large number": ({"concentration": 1e12}, stats.norm(scale=1e-6)),
    "relaxed_bernoulli": (
        {"logits": 0.4, "temperature": 0.7},
        Law(lambda x: special.expit(0.7 * special.logit(x) - 0.4)),
    ),
}


def zipf(a):
    """The shares of Zipf's distribution below 2⁶³."""
    return lambda k: k**-a / (special.zeta(a, 1.0) - special.zeta(a, 2.0**63))


DISCRETE = {  # name: (arguments, the shares of numbers)
    "negative_binomial": ((2.5, 0.3), stats.nbinom(2.5, 0.3).pmf),
    "hypergeometric": ((7, 5, 4), stats.hypergeom(12, 7, 4).pmf),
    "logseries": ((0.9,), stats.logser(0.9).pmf),
    "zipf": ((2.0,), zipf(2.0)),
    "zipf of a long tail": ((1.05,), zipf(1.05)),
    "zipf of a short tail": ((7.5,), zipf(7.5)),
}
VECTORS = {
    "multinomial": (5, np.array([1.0, 2.0, 1.0])),
    "multivariate_hypergeometric": (np.array([3, 4, 2]), 5),
    "gumbel_softmax": (np.array([1.0, 2.0]),),
    "ball": (2,),
    "orthogonal": (2,),
    "wishart": (3.0, np.eye(2)),
    "lkj_cholesky": (3,),
}


def function(name):
    return getattr(cl.random, name.partition(" ")[0])


@pytest.mark.parametrize("name", CONTINUOUS)
def test_numbers_have_their_distribution(name):
    options, law = CONTINUOUS[name]
    assert stats.kstest(np.asarray(function(name)(KEY, shape=(N,), **options)), law.cdf).pvalue > LEVEL
    single = function(name)(KEY, shape=(100,), dtype="float32", **options)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, function(name)(KEY, shape=(100,), **options), rtol=3e-5, atol=1e-5)


@pytest.mark.parametrize("name", DISCRETE)
def test_integers_have_their_distribution(name):
    args, share = DISCRETE[name]
    x = np.asarray(function(name)(KEY, *args, shape=(N,)))
    assert x.dtype == np.int64
    k = np.arange(x.min(), x.min() + 20)
    shares = share(k)
    k, shares = k[shares * N > 5], shares[shares * N > 5]
    counts = (x[:, None] == k).sum(0)
    rest = [N - counts.sum(), N * (1 - shares.sum())]
    counts, shares = (
        (np.append(counts, rest[0]), np.append(shares * N, rest[1])) if rest[1] > 5 else (counts, shares * N)
    )
    assert stats.chisquare(counts, shares * (counts.sum() / shares.sum())).pvalue > LEVEL


GOLDEN = {
    "half_normal": ((), [1.104873976446631, 2.0333819224912397, 0.8798849466222339]),
    "half_cauchy": ((), [3.933556476753629, 0.27553455306473784, 0.13826106087733206]),
    "triangular": ((1.0, 2.0, 5.0), [3.7290613183827714, 1.2898757178690559, 4.34361827243483]),
    "wald": ((2.0, 3.0), [1.6347027691059783, 1.4968788358660887, 1.5475890055375572]),
    "f": ((3.0, 5.0), [1.288806221825634, 1.6836432186406087, 5.09586411602174]),
    "maxwell": ((), [1.1167879339907147, 1.6175430260281312, 1.2840687931734793]),
    "double_sided_maxwell": ((), [1.880195444654354, 2.1283171279062207, 2.6626421623532996]),
    "noncentral_chisquare": ((2.5, 3.0), [4.069860740256166, 6.327263642648107, 3.08671909444941]),
    "noncentral_f": ((3.0, 5.0, 2.0), [0.962628180357952, 4.832270093649853, 1.4677004962086988]),
    "negative_binomial": ((2.5, 0.3), [7, 8, 6]),
    "hypergeometric": ((7, 5, 4), [2, 2, 3]),
    "logseries": ((0.9,), [3, 1, 1]),
    "zipf": ((2.0,), [3, 1, 2]),
    "multinomial": (VECTORS["multinomial"], [[0, 1, 4], [2, 2, 1], [1, 1, 3]]),
    "multivariate_hypergeometric": (VECTORS["multivariate_hypergeometric"], [[1, 2, 2], [1, 3, 1], [2, 1, 2]]),
}
TO_THE_LAST_BIT_BUT_ONE = {  # what a function of the processor's takes part in: exp, log, arctan, or a product
    "generalized_normal": ((3.0,), [1.3571639357807432, 1.1357600445851304, 0.7592297696070291]),
    "loggamma": ((0.7,), [-0.3655497166645181, -2.386825532861383, -0.25375037160739855]),
    "power": ((3.0,), [0.7382075958660264, 0.8613826703106905, 0.9948387259331387]),
    "kumaraswamy": ((2.0, 3.0), [0.5116565294550374, 0.37231348308825657, 0.07184200767560249]),
    "generalized_pareto": ((0.3,), [1.0471102026280317, 0.47909973708784115, 0.015560123338536968]),
    "von_mises": ((2.5,), [0.5401186195879459, 0.09542743132564077, 0.4219645192626607]),
    "relaxed_bernoulli": ((0.4,), [0.9055800683876121, 0.03101826295891642, 0.9756451684765741]),
    "gumbel_softmax": (VECTORS["gumbel_softmax"], [[0.9076604949261917, 0.0923395050738082],
        [0.34535556820396585, 0.6546444317960342], [0.001438009557133824, 0.9985619904428661]]),
    "ball": ((2,), [[-0.8226691664412876, -0.398983081387469], [-0.30530323630227274, -0.04995864053632324],
        [-0.015509293558557381, -0.8526236436488245]]),
}  # fmt: skip


@pytest.mark.parametrize("name", [*GOLDEN, *TO_THE_LAST_BIT_BUT_ONE])
def test_golden_numbers(name):
    """What a seed gives, for ever and everywhere; and within a compiled function, by either executor."""
    args, want = (GOLDEN | TO_THE_LAST_BIT_BUT_ONE)[name]
    tolerance = 0 if name in GOLDEN else 4e-15
    np.testing.assert_allclose(function(name)(KEY, *args, shape=(3,)), want, rtol=tolerance, atol=0)
    for executor in ("numpy", None):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled = cl.compile(lambda key: function(name)(key, *args, shape=(3,)), executor=executor)
            np.testing.assert_allclose(compiled(KEY), want, rtol=tolerance, atol=0)


@pytest.mark.parametrize("name", [*CONTINUOUS, *DISCRETE, *VECTORS])
def test_each_key_of_a_batch_has_its_own_numbers(name):
    options = CONTINUOUS[name][0] if name in CONTINUOUS else {}
    args = () if name in CONTINUOUS else DISCRETE[name][0] if name in DISCRETE else VECTORS[name]
    keys = cl.random.split(KEY, 3)
    both = cl.vmap(lambda key: function(name)(key, *args, shape=(4,), **options))(np.stack([k.numpy() for k in keys]))
    each = np.stack([np.asarray(function(name)(k, *args, shape=(4,), **options)) for k in keys])
    np.testing.assert_allclose(both, each, rtol=1e-13, atol=1e-14)


# -------------------------------------------------------------------------------------------------------- derivatives
MOVED = {  # everything is a formula of numbers that stay, so that finite differences see the derivative
    "half_normal": lambda s: cl.random.half_normal(KEY, (5,), s),
    "half_cauchy": lambda s: cl.random.half_cauchy(KEY, (5,), s),
    "triangular": lambda s: cl.random.triangular(KEY, -s, 0.5 * s, s * s, (5,)),
    "maxwell": lambda s: cl.random.maxwell(KEY, (5,), s),
    "double_sided_maxwell": lambda s: cl.random.double_sided_maxwell(KEY, (5,), s, s),
    "power": lambda a: cl.random.power(KEY, a, (5,)),
    "kumaraswamy": lambda a: cl.random.kumaraswamy(KEY, a, 2.0 * a, (5,)),
    "generalized_pareto": lambda k: cl.random.generalized_pareto(KEY, k - 1.0, (5,), k, k),
    "generalized_pareto at 0": lambda k: cl.random.generalized_pareto(KEY, k - 1.5, (5,)),
    "relaxed_bernoulli": lambda a: cl.random.relaxed_bernoulli(KEY, a, (5,), a),
    "gumbel_softmax": lambda a: cl.random.gumbel_softmax(KEY, cl.stack([a, 2.0, 1.0]), (5,), a),
    "noncentral_chisquare": lambda v: cl.random.noncentral_chisquare(KEY, 2.5, v, (5,)),
    "wishart": lambda v: cl.random.wishart(KEY, 3.0, v * np.eye(2) + 0.2, (5,)),
    "von_mises": lambda m: cl.random.von_mises(KEY, 2.0, (5,), m),
}


@pytest.mark.parametrize("name", MOVED)
def test_derivatives_flow_into_what_moves_and_scales(name):
    cl.check_grads(MOVED[name], (1.5,), order=2)


def implicit(cdf, density, x, parameters, i):
    """−(∂F/∂pᵢ)/f at x, with forty digits."""
    with mpmath.workdps(40):
        p, x = [mpmath.mpf(v) for v in parameters], mpmath.mpf(x)
        return float(-mpmath.diff(lambda v: cdf(x, *p[:i], v, *p[i + 1 :]), p[i]) / density(x, *p))


def wald_cdf(x, m, c):
    a, b = mpmath.sqrt(c / x) * (x / m - 1), -mpmath.sqrt(c / x) * (x / m + 1)
    return mpmath.ncdf(a) + mpmath.exp(2 * c / m) * mpmath.ncdf(b)


def wald_density(x, m, c):
    return mpmath.sqrt(c / (2 * mpmath.pi * x**3)) * mpmath.exp(-c * (x - m) ** 2 / (2 * m * m * x))


@pytest.mark.parametrize(("mean", "concentration"), [(2.0, 3.0), (0.1, 40.0), (30.0, 0.5), (1.0, 1e4)])
@pytest.mark.parametrize("place", [0, 1, 4])
def test_the_derivatives_of_an_inverse_gaussian_number_are_implicit(mean, concentration, place):
    def draw(m, c):
        return cl.random.wald(KEY, m, c, (5,))[place]

    x = draw(mean, concentration).item()
    for i, got in enumerate(cl.grad(draw, argnums=(0, 1))(mean, concentration)):
        want = implicit(wald_cdf, wald_density, x, (mean, concentration), i)
        assert got.item() == pytest.approx(want, rel=1e-10)
    with mpmath.workdps(30):  # along the implicit path: ∂/∂μ + x′·∂/∂x of the first derivative

        def slope(m, y):
            return -mpmath.diff(lambda v: wald_cdf(y, v, concentration), m) / wald_density(y, m, concentration)

        m, y = mpmath.mpf(mean), mpmath.mpf(x)
        second = mpmath.diff(slope, (m, y), (1, 0)) + slope(m, y) * mpmath.diff(slope, (m, y), (0, 1))
    assert cl.grad(cl.grad(draw))(mean, concentration).item() == pytest.approx(float(second), rel=1e-6, abs=1e-10)


def angle_slope(k, t):
    """−(∂F/∂κ)/f of von Mises' distribution: F is 1/2 at 0 for every κ."""
    with mpmath.workdps(40):
        k, t = mpmath.mpf(k), mpmath.mpf(t)
        ratio = mpmath.besseli(1, k) / mpmath.besseli(0, k)
        moved = mpmath.quad(
            lambda v: (mpmath.cos(v) - ratio) * mpmath.exp(k * (mpmath.cos(v) - mpmath.cos(t))),
            mpmath.linspace(0, t, 9),
        )
        return float(-moved)


@pytest.mark.parametrize("concentration", [1e-3, 0.5, 2.5, 30.0, 59.0, 61.0, 1e3, 1e8])
def test_the_derivative_of_an_angle_is_the_implicit_one(concentration):
    """At angles from the middle of the distribution to its tails, of both signs."""
    slope = REGISTRY["von_mises_slope"]
    for share in (0.01, -0.6, 2.0, -5.0):
        angle = np.copysign(min(abs(share) / max(1.0, concentration) ** 0.5, 3.1), share)
        got = slope(np.float64(concentration), np.float64(angle))
        assert got == pytest.approx(angle_slope(concentration, angle), rel=1e-11)
    angle, moved = cl.jvp(lambda k: cl.random.von_mises(KEY, k), (concentration,), (1.0,))
    assert moved.item() == slope(np.float64(concentration), angle.numpy())
    assert cl.grad(lambda k: cl.random.von_mises(KEY, k))(concentration).item() == moved.item()


MEANS = {  # through gamma numbers, whose derivative is implicit: name: (sample, its mean)
    "f": (lambda a: cl.random.f(KEY, a, 2.0 * a + 6.0, (N,)), lambda a: (2 * a + 6) / (2 * a + 4)),
    "loggamma": (lambda a: cl.random.loggamma(KEY, a, (N,)), special.digamma),
    "generalized_normal": (
        lambda p: cl.abs(cl.random.generalized_normal(KEY, p, (N,))),
        lambda p: special.gamma(2 / p) / special.gamma(1 / p),
    ),
    "noncentral_chisquare": (lambda a: cl.random.noncentral_chisquare(KEY, 2.0 * a, 1.0, (N,)), lambda a: 2 * a + 1),
    "noncentral_f": (
        lambda a: cl.random.noncentral_f(KEY, 2.0 * a, 9.0, 1.0, (N,)),
        lambda a: 9 / 7 * (2 * a + 1) / (2 * a),
    ),
    "ball": (lambda p: cl.abs(cl.random.ball(KEY, 2, (N,), p))[:, 0] ** 2, lambda p: special.gamma(3 / p)
        / special.gamma(1 / p) * special.gamma(2 / p + 1) / special.gamma(4 / p + 1)),
    "wishart": (lambda v: cl.random.wishart(KEY, 2.0 * v, np.eye(2), (N,))[:, 1, 1], lambda v: 2 * v),
    "lkj_cholesky": (lambda a: cl.random.lkj_cholesky(KEY, 3, a, (N,))[:, 1, 0] ** 2, lambda a: 1 / (2 * a + 2)),
    "von_mises": (lambda k: cl.cos(cl.random.von_mises(KEY, k, (N,))), lambda k: special.i1(k) / special.i0(k)),
    "wald": (lambda m: cl.random.wald(KEY, m, 2.0, (N,)) ** 2, lambda m: m**2 + m**3 / 2),
}  # fmt: skip


@pytest.mark.parametrize("name", MEANS)
def test_the_derivative_of_a_mean_is_the_mean_of_the_derivatives(name):
    """Within five standard errors of a mean of so many."""
    sample, mean = MEANS[name]
    value, slope = cl.jvp(sample, (1.5,), (1.0,))
    for found, want in ((value, mean(1.5)), (slope, (mean(1.5 + 1e-5) - mean(1.5 - 1e-5)) / 2e-5)):
        numbers = np.asarray(found)
        assert abs(numbers.mean() - want) < 5 * numbers.std() / N**0.5 + 1e-9, (numbers.mean(), want)


# ------------------------------------------------------------------------------------------------ vectors and matrices
def test_counts_have_the_moments_of_their_distribution():
    p = np.array([0.2, 0.5, 0.3])
    x = np.asarray(cl.random.multinomial(KEY, 7, 10 * p, (N,)))
    assert x.dtype == np.int64 and (x.sum(-1) == 7).all()
    np.testing.assert_allclose(x.mean(0), 7 * p, atol=0.03)
    np.testing.assert_allclose(np.cov(x.T), 7 * (np.diag(p) - np.outer(p, p)), atol=0.05)
    colours = np.array([3, 5, 2])
    y = np.asarray(cl.random.multivariate_hypergeometric(KEY, colours, 4, (N,)))
    law = stats.multivariate_hypergeom(colours, 4)
    assert (y.sum(-1) == 4).all() and (y <= colours).all()
    np.testing.assert_allclose(y.mean(0), law.mean(), atol=0.03)
    np.testing.assert_allclose(np.cov(y.T), law.cov(), atol=0.03)
    rows = cl.random.multinomial(KEY, 3, np.array([[0.0, 1.0], [1.0, 0.0]]), (2,))
    assert rows.tolist() == [[[0, 3], [3, 0]]] * 2
    assert cl.random.multinomial(KEY, 0, p, (2,)).tolist() == [[0, 0, 0]] * 2


def test_a_softened_class_is_the_class_most_of_the_time():
    logits = np.array([0.5, -0.3, 1.0])
    x = np.asarray(cl.random.gumbel_softmax(KEY, logits, (N,), 0.1))
    np.testing.assert_allclose(x.sum(-1), 1.0, rtol=1e-14)
    assert stats.chisquare(np.bincount(x.argmax(-1)), special.softmax(logits) * N).pvalue > LEVEL
    np.testing.assert_array_equal(
        cl.random.gumbel_softmax(KEY, logits[:, None], (), axis=0)[:, 0], cl.random.gumbel_softmax(KEY, logits)
    )


@pytest.mark.parametrize("p", [1.0, 2.0, 3.5])
def test_points_fill_the_ball(p):
    x = np.asarray(cl.random.ball(KEY, 3, (N,), p))
    radius = (np.abs(x) ** p).sum(-1) ** (1 / p)
    assert stats.kstest(radius, lambda r: r**3).pvalue > LEVEL
    assert abs(x.mean()) < 0.01


def test_rotations_are_uniform():
    q = np.asarray(cl.random.orthogonal(KEY, 3, (N,)))
    np.testing.assert_allclose(q @ q.swapaxes(-1, -2), np.broadcast_to(np.eye(3), q.shape), atol=1e-13)
    assert stats.kstest(q[:, 2, 1], stats.uniform(-1, 2).cdf).pvalue > LEVEL  # a coordinate of a point of the sphere
    assert abs(np.mean(np.linalg.det(q) > 0) - 0.5) < 0.01


def test_covariances_and_correlations():
    v = np.array([[2.0, 0.5], [0.5, 1.0]])
    w = np.asarray(cl.random.wishart(KEY, 4.5, v, (N,)))
    np.testing.assert_allclose(w.mean(0), 4.5 * v, atol=0.15)
    assert stats.kstest(w[:, 0, 0] / 2.0, stats.chi2(4.5).cdf).pvalue > LEVEL
    for concentration in (0.5, 1.0, 4.0):
        factor = np.asarray(cl.random.lkj_cholesky(KEY, 3, concentration, (N,)))
        c = factor @ factor.swapaxes(-1, -2)
        np.testing.assert_allclose(c[:, [0, 1, 2], [0, 1, 2]], 1.0, rtol=1e-14)
        entry = stats.beta(concentration + 0.5, concentration + 0.5, -1, 2)  # Lewandowski et al. 2009, (6)
        for i, j in ((1, 0), (2, 0), (2, 1)):
            assert stats.kstest(c[:, i, j], entry.cdf).pvalue > LEVEL


# --------------------------------------------------------------------------------------------------- wrong parameters
WRONG = [
    (lambda: cl.random.half_normal(KEY, scale=-1.0), "there is no such scale"),
    (lambda: cl.random.half_cauchy(KEY, scale=-1.0), "there is no such scale"),
    (lambda: cl.random.triangular(KEY, 1.0, 0.5, 2.0), "there is no such mode"),
    (lambda: cl.random.triangular(KEY, 1.0, 2.5, 2.0), "there is no such mode"),
    (lambda: cl.random.triangular(KEY, 1.0, 1.0, 1.0), "there is no such pair of bounds"),
    (lambda: cl.random.wald(KEY, 0.0), "there is no such mean"),
    (lambda: cl.random.wald(KEY, 1.0, -1.0), "there is no such concentration"),
    (lambda: cl.random.f(KEY, 0.0, 1.0), "there is no such concentration"),
    (lambda: cl.random.maxwell(KEY, scale=-1.0), "there is no such scale"),
    (lambda: cl.random.generalized_normal(KEY, 0.0), "there is no such power"),
    (lambda: cl.random.loggamma(KEY, 0.0), "there is no such concentration"),
    (lambda: cl.random.power(KEY, -1.0), "there is no such exponent"),
    (lambda: cl.random.kumaraswamy(KEY, 1.0, 0.0), "there is no such b"),
    (lambda: cl.random.generalized_pareto(KEY, 1.0, scale=-1.0), "there is no such scale"),
    (lambda: cl.random.noncentral_chisquare(KEY, 1.0, 1.0), "there is no such df"),
    (lambda: cl.random.noncentral_f(KEY, 2.0, 1.0, -1.0), "there is no such nonc"),
    (lambda: cl.random.von_mises(KEY, -1.0), "there is no such concentration"),
    (lambda: cl.random.relaxed_bernoulli(KEY, 1.0, temperature=0.0), "there is no such temperature"),
    (lambda: cl.random.gumbel_softmax(KEY, np.zeros(2), temperature=-1.0), "there is no such temperature"),
    (lambda: cl.random.gumbel_softmax(KEY, np.zeros(2), axis=1), "axis 1 does not exist"),
    (lambda: cl.random.ball(KEY, 0), "there is no such number of dimensions"),
    (lambda: cl.random.orthogonal(KEY, 0), "there is no such number of rows"),
    (lambda: cl.random.wishart(KEY, 1.0, np.eye(2)), "there is no such df"),
    (lambda: cl.random.lkj_cholesky(KEY, 1), "there is no such number of rows"),
    (lambda: cl.random.lkj_cholesky(KEY, 2, 0.0), "there is no such concentration"),
    (lambda: cl.random.multinomial(KEY, -1, np.ones(2)), "there is no such n"),
    (lambda: cl.random.multinomial(KEY, 1, np.zeros(2)), "there is no such p"),
    (lambda: cl.random.multinomial(KEY, 1, 1.0), "multinomial needs a weight for each class"),
    (lambda: cl.random.negative_binomial(KEY, 0.0, 0.5), "there is no such n"),
    (lambda: cl.random.negative_binomial(KEY, 1.0, 0.0), "there is no such p"),
    (lambda: cl.random.hypergeometric(KEY, 2, 3, 6), "no more can be drawn than there are"),
    (lambda: cl.random.hypergeometric(KEY, -2, 3, 1), "there is no such good"),
    (lambda: cl.random.multivariate_hypergeometric(KEY, [1.5, 2.0], 1), "there are no such colours"),
    (lambda: cl.random.logseries(KEY, 1.0), "there is no such p"),
    (lambda: cl.random.zipf(KEY, 1.0), "there is no such exponent"),
]


@pytest.mark.parametrize(("call", "headline"), WRONG, ids=[str(h) for _, h in WRONG])
def test_wrong_calls_are_refused(call, headline):
    with pytest.raises(ClearpropError) as caught:
        call()
    assert caught.value.headline.startswith(headline)


@pytest.mark.parametrize("executor", ["numpy", None])
def test_computed_parameters_without_a_distribution_give_nan_or_are_refused(executor):
    wrong = np.array([-1.0, np.nan])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for f in (
            lambda v: cl.random.von_mises(KEY, v),
            lambda v: cl.random.wald(KEY, v, 1.0),
            lambda v: cl.random.loggamma(KEY, v - 1.0),
        ):
            assert np.isnan(np.asarray(cl.compile(f, executor=executor)(wrong))).all()
        with pytest.raises(ClearpropError, match=r"Zipf's distribution is above 1"):
            cl.compile(lambda v: cl.random.zipf(KEY, v), executor=executor)(wrong)
