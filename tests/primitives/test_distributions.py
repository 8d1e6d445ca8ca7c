"""`cl.random` beyond uniform and normal numbers: golden bits, distributions, derivatives, the same bits everywhere."""

import warnings

import mpmath
import numpy as np
import pytest
from scipy import stats

import clearprop as cl
from clearprop.errors import ClearpropError

KEY = cl.random.key(3)
N = 50_000

# name: (arguments, options, SciPy's distribution)
CONTINUOUS = {
    "exponential": ((), {"scale": 2.0}, stats.expon(scale=2.0)),
    "laplace": ((), {"loc": 1.0}, stats.laplace(1.0)),
    "gumbel": ((), {"scale": 0.5}, stats.gumbel_r(scale=0.5)),
    "logistic": ((), {}, stats.logistic()),
    "cauchy": ((), {}, stats.cauchy()),
    "rayleigh": ((), {"scale": 3.0}, stats.rayleigh(scale=3.0)),
    "weibull": ((), {"concentration": 1.7, "scale": 2.0}, stats.weibull_min(1.7, scale=2.0)),
    "pareto": ((), {"concentration": 3.0, "scale": 2.0}, stats.pareto(3.0, scale=2.0)),
    "lognormal": ((), {"std": 0.5}, stats.lognorm(0.5)),
    "truncated_normal": ((-0.5, 2.0), {}, stats.truncnorm(-0.5, 2.0)),
    "truncated_normal of a tail": ((7.0, 9.0), {}, stats.truncnorm(7.0, 9.0)),
    "gamma": ((2.5,), {"scale": 2.0}, stats.gamma(2.5, scale=2.0)),
    "gamma below 1": ((0.3,), {}, stats.gamma(0.3)),
    "gamma far above 1": ((300.0,), {}, stats.gamma(300.0)),
    "inverse_gamma": ((3.0,), {}, stats.invgamma(3.0)),
    "chisquare": ((3.0,), {}, stats.chi2(3.0)),
    "student_t": ((4.0,), {}, stats.t(4.0)),
    "beta": ((2.0, 0.7), {}, stats.beta(2.0, 0.7)),
}
DISCRETE = {
    "poisson": ((3.5,), stats.poisson(3.5)),
    "poisson of a large rate": ((37.0,), stats.poisson(37.0)),
    "poisson of a huge rate": ((1e6,), stats.poisson(1e6)),
    "binomial": ((7, 0.3), stats.binom(7, 0.3)),
    "geometric": ((0.3,), stats.geom(0.3)),
    "integers": ((-2, 5), stats.randint(-2, 5)),
}


def draw(name, args, **options):
    return getattr(cl.random, name.partition(" ")[0])(KEY, *args, **options)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_numbers_have_their_distribution(name):
    args, options, law = CONTINUOUS[name]
    x = np.asarray(draw(name, args, shape=(N,), **options))
    assert stats.kstest(x, law.cdf).pvalue > 0.001
    single = draw(name, args, shape=(100,), dtype="float32", **options)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, draw(name, args, shape=(100,), **options), rtol=3e-5, atol=1e-5)


@pytest.mark.parametrize("name", DISCRETE)
def test_integers_have_their_distribution(name):
    args, law = DISCRETE[name]
    x = np.asarray(draw(name, args, shape=(N,)))
    assert x.dtype == np.int64
    ends = np.unique(law.ppf(np.linspace(0.02, 0.98, 25)))
    counts = np.histogram(x, np.concatenate([[-np.inf], ends + 0.5, [np.inf]]))[0]
    shares = np.diff(np.concatenate([[0.0], law.cdf(ends), [1.0]]))
    used = shares > 0
    assert counts[~used].sum() == 0
    assert stats.chisquare(counts[used], shares[used] * N).pvalue > 0.001


GOLDEN = {
    "exponential": ((), {}, [0.14457164901701028, 3.862900374982936, 0.03656345106781967]),
    "laplace": ((), {}, [0.9105905961789806, 0.44764927384711295, 0.01552391834988766]),
    "gumbel": ((), {}, [1.9339800533699845, -1.351418293805364, 3.308706142217064]),
    "logistic": ((), {}, [1.8608235070911276, -3.8416696057658046, 3.2903687137223026]),
    "cauchy": ((), {}, [3.933556476753629, -0.27553455306473784, 0.13826106087733206]),
    "rayleigh": ((), {}, [0.5377204645854764, 2.7795324696728896, 0.2704198626869693]),
    "gamma": ((2.5,), {}, [1.3864263816858442, 2.357609427613712, 1.6860487641045658]),
    "gamma below 1": ((0.3,), {}, [0.0002807117486235111, 1.0619324361852236, 0.013526423983573904]),
    "poisson": ((3.5,), {}, [2, 4, 3]),
    "poisson of a large rate": ((37.0,), {}, [33, 38, 34]),
    "binomial": ((7, 0.3), {}, [1, 4, 1]),
    "integers": ((-9, 9), {}, [6, -9, 8]),
    "rademacher": ((), {}, [-1.0, 1.0, -1.0]),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_numbers(name):
    """What a seed gives, for ever and everywhere; and within a compiled function, by either executor."""
    args, options, want = GOLDEN[name]
    assert draw(name, args, shape=(3,), **options).tolist() == want
    for executor in ("numpy", None):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled = cl.compile(lambda key: getattr(cl.random, name.partition(" ")[0])(key, *args, (3,), **options),
                                  executor=executor)  # fmt: skip
            assert compiled(KEY).tolist() == want


@pytest.mark.parametrize("name", [*CONTINUOUS, *DISCRETE])
def test_each_key_of_a_batch_has_its_own_numbers(name):
    args = CONTINUOUS[name][0] if name in CONTINUOUS else DISCRETE[name][0]
    keys = cl.random.split(KEY, 3)
    f = getattr(cl.random, name.partition(" ")[0])
    both = cl.vmap(lambda key: f(key, *args, shape=(4,)))(np.stack([k.numpy() for k in keys]))
    np.testing.assert_array_equal(both, np.stack([np.asarray(f(k, *args, shape=(4,))) for k in keys]))


def test_a_number_does_not_depend_on_its_neighbours():
    a = np.array([0.2, 1.5, 40.0, 3.0])
    together = cl.random.gamma(KEY, a)
    assert together[2].item() == cl.random.gamma(KEY, np.array([9.0, 0.7, 40.0]))[2].item()
    rates = np.array([2.0, 50.0, 3.0])
    assert cl.random.poisson(KEY, rates)[1].item() == cl.random.poisson(KEY, np.array([7.0, 50.0]))[1].item()


MOVED = {
    "exponential": lambda s: cl.random.exponential(KEY, (5,), s),
    "laplace": lambda s: cl.random.laplace(KEY, (5,), s, s),
    "weibull": lambda k: cl.random.weibull(KEY, (5,), k, 2.0),
    "pareto": lambda a: cl.random.pareto(KEY, (5,), a, 2.0),
    "lognormal": lambda s: cl.random.lognormal(KEY, (5,), s, s),
    "truncated_normal": lambda a: cl.random.truncated_normal(KEY, -a, 2.0 * a, (5,)),
    "multivariate_normal": lambda s: cl.random.multivariate_normal(KEY, cl.stack([s, s]), s * np.eye(2), (5,)),
}


@pytest.mark.parametrize("name", MOVED)
def test_derivatives_flow_into_what_moves_and_scales(name):
    cl.check_grads(MOVED[name], (1.5,), order=2)


@pytest.mark.parametrize("a", [0.05, 0.3, 1.0, 2.5, 30.0, 1000.0])
def test_the_derivative_of_a_gamma_number_is_the_implicit_one(a):
    z = mpmath.mpf(cl.random.gamma(KEY, a).item())
    with mpmath.workdps(40):
        moved = mpmath.diff(lambda a: mpmath.gammainc(a, 0, z, regularized=True), a)
        want = float(-moved * mpmath.gamma(a) * mpmath.exp(z) / z ** (a - 1))
    assert cl.grad(lambda a: cl.random.gamma(KEY, a))(a).item() == pytest.approx(want, rel=1e-10)
    assert cl.jvp(lambda a: cl.random.gamma(KEY, a), (a,), (1.0,))[1].item() == pytest.approx(want, rel=1e-10)


MEANS = {
    "gamma": (lambda a: cl.random.gamma(KEY, a, (N,)), lambda a: a),
    "beta": (lambda a: cl.random.beta(KEY, a, 2.0, (N,)), lambda a: a / (a + 2.0)),
    "dirichlet": (lambda a: cl.random.dirichlet(KEY, cl.stack([a, 1.0, 2.0]), (N,))[:, 0], lambda a: a / (a + 3.0)),
    "chisquare": (lambda a: cl.random.chisquare(KEY, a, (N,)), lambda a: a),
}


@pytest.mark.parametrize("name", MEANS)
def test_the_derivative_of_a_mean_is_the_mean_of_the_derivatives(name):
    sample, mean = MEANS[name]
    slope = cl.jvp(lambda a: cl.mean(sample(a)), (1.5,), (1.0,))[1].item()
    assert slope == pytest.approx((mean(1.5 + 1e-5) - mean(1.5 - 1e-5)) / 2e-5, rel=0.03)


def test_categories_and_choices():
    p = np.array([0.2, 0.5, 0.3])
    for drawn in (cl.random.categorical(KEY, np.log(p), (N,)), cl.random.choice(KEY, 3, (N,), p=p)):
        assert stats.chisquare(np.bincount(np.asarray(drawn)), p * N).pvalue > 0.001
    rows = cl.random.categorical(KEY, np.array([[0.0, 900.0], [900.0, 0.0]]), (4,))
    assert rows.tolist() == [[1, 0]] * 4
    x = cl.tensor([1.0, 2.0, 3.0, 4.0])
    assert sorted(cl.random.choice(KEY, x, (4,), replace=False).tolist()) == [1.0, 2.0, 3.0, 4.0]
    both = cl.random.choice(KEY, 4, (2, 2), replace=False, p=np.full(4, 0.25))
    assert sorted(cl.reshape(both, (-1,)).tolist()) == [0, 1, 2, 3]
    assert cl.grad(lambda x: cl.random.choice(KEY, x))(x).tolist().count(1.0) == 1
    assert sorted(cl.random.shuffle(KEY, x).tolist()) == [1.0, 2.0, 3.0, 4.0]


def test_vectors():
    covariance = np.array([[2.0, 0.5], [0.5, 1.0]])
    x = np.asarray(cl.random.multivariate_normal(KEY, np.array([1.0, 2.0]), covariance, (N,)))
    np.testing.assert_allclose(np.cov(x.T), covariance, atol=0.05)
    shares = np.asarray(cl.random.dirichlet(KEY, np.array([1.0, 2.0, 3.0]), (N,)))
    np.testing.assert_allclose(shares.sum(axis=-1), 1.0, rtol=1e-14)
    np.testing.assert_allclose(6 * shares.mean(axis=0), [1.0, 2.0, 3.0], atol=0.05)


def test_each_parameter_has_its_own_number():
    p = np.full(N, 0.5)
    for drawn in (cl.random.geometric(KEY, p), cl.random.binomial(KEY, 2, p), cl.random.poisson(KEY, p)):
        assert drawn.shape == (N,) and len(set(drawn.tolist())) > 2
    assert cl.random.binomial(KEY, 3, np.array([0.0, 1.0, 1.0])).tolist() == [0, 3, 3]


def test_waiting_for_the_least_likely_takes_the_largest_integer():
    assert cl.random.geometric(KEY, 1e-300, (3,)).tolist() == [2**63 - 1024] * 3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_truncated_numbers_keep_their_bounds(dtype):
    far = cl.random.truncated_normal(KEY, 20.0, np.inf, (N,), dtype=dtype).numpy()
    assert far.dtype == dtype and far.min() >= 20.0 and far.mean() == pytest.approx(20.0498, rel=1e-4)


def test_students_numbers_have_the_dtype_that_is_asked_for():
    assert cl.random.student_t(KEY, np.array([3.0]), dtype="float32").dtype == np.float32


WRONG = [
    (lambda: cl.random.integers(KEY, 3, 3), "integers are drawn from a range"),
    (lambda: cl.random.choice(KEY, 3, (4,), replace=False), "there are too few entries to choose from"),
    (lambda: cl.random.choice(KEY, 0), "there are too few entries to choose from"),
    (lambda: cl.random.choice(KEY, 3, p=np.full(4, 0.25)), "choice needs a probability for each entry"),
    (lambda: cl.random.choice(KEY, 2, p=np.array([-0.5, 1.5])), "there is no such p"),
    (lambda: cl.random.choice(KEY, 2, (2,), replace=False, p=np.array([0.0, 1.0])), "there is no such p"),
    (lambda: cl.random.binomial(KEY, -1, 0.5), "there is no such n"),
    (lambda: cl.random.gamma(KEY, 2.0, scale=-1.0), "there is no such scale"),
    (lambda: cl.random.inverse_gamma(KEY, 2.0, scale=-1.0), "there is no such scale"),
    (lambda: cl.random.truncated_normal(KEY, 40.0, 41.0), "there is no such low"),
    (lambda: cl.random.truncated_normal(KEY, -41.0, -40.0), "there is no such high"),
    (lambda: cl.random.multivariate_normal(KEY, 0.0, np.eye(2)), "multivariate_normal needs a mean"),
    (lambda: cl.random.poisson(KEY, -1.0), "there is no such rate"),
    (lambda: cl.random.poisson(KEY, np.nan), "there is no such rate"),
    (lambda: cl.random.gamma(KEY, np.array([1.0, 0.0])), "there is no such concentration"),
    (lambda: cl.random.pareto(KEY, concentration=-1.0), "there is no such concentration"),
    (lambda: cl.random.exponential(KEY, scale=-1.0), "there is no such scale"),
    (lambda: cl.random.geometric(KEY, 0.0), "there is no such p"),
    (lambda: cl.random.truncated_normal(KEY, 1.0, 1.0), "there is no such pair of bounds"),
    (lambda: cl.random.exponential(KEY, dtype=int), "random numbers of a distribution are floating"),
    (lambda: cl.random.gamma(7, 1.0), "random numbers are made from a key"),
    (lambda: cl.random.gamma(KEY, "a"), None),
    (lambda: cl.random.beta(KEY, 1.0), "beta does not take these arguments"),
]


@pytest.mark.parametrize(("call", "headline"), WRONG, ids=[str(h) for _, h in WRONG])
def test_wrong_calls_are_refused(call, headline):
    with pytest.raises(ClearpropError) as caught:
        call()
    assert headline is None or caught.value.headline.startswith(headline)


def test_computed_parameters_without_a_distribution_give_nan():
    f = cl.compile(lambda a: cl.random.gamma(KEY, a), executor="numpy")
    assert np.all(np.isnan(f(np.array([-1.0, 0.0, np.nan]))))


def test_the_printed_source_stands_alone():
    f = cl.compile(lambda key: cl.random.gamma(key, 2.0, (3,)) + cl.random.exponential(key, (3,)), executor="numpy")
    want = f(KEY)
    scope = {}
    exec(compile(f.source("numpy"), "<source>", "exec"), scope)
    (found,) = scope["step"](KEY.numpy(), *f.program.captured)
    assert np.array_equal(found, want)


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match=r"cl\.random has no name 'levy'"):
        _ = cl.random.levy
    assert "gamma" in dir(cl.random)


def test_choice_takes_a_number_in_every_form():
    drawn = [cl.random.choice(cl.random.key(0), n, (3,)).tolist() for n in (5, np.int32(5), np.array(5), cl.tensor(5))]
    assert drawn == [drawn[0]] * 4
