"""The exact facts about fractional gradients: bias and its removal, sums of weights, heavy ball in disguise, α → 1."""

import math

import numpy as np
import pytest

import clearprop as cl
from clearprop import optim
from clearprop.optim.fractional import segment_rule
from tests.optim import problem

A = 5.0


def descend(opt, f, start, steps):
    p = cl.tensor(np.asarray(start, dtype=np.float64))
    state = opt.init(p)
    for _ in range(steps):
        value, g = cl.value_and_grad(f)(p)
        updates, state = opt.update(g, state, p, value=value, f=f)
        p = optim.apply_updates(p, updates)
    return np.asarray(p)


def parabola(x):
    return 0.5 * (x - A) ** 2


@pytest.mark.parametrize(("alpha", "end"), [(0.9, 5.5), (0.7, 6.5), (0.5, 7.5)])
@pytest.mark.parametrize("nodes", [1, 3])
def test_a_fixed_terminal_ends_beside_the_minimum(alpha, end, nodes):
    """x∞ = a + (1 − α)(a − c)."""
    opt = optim.chain(optim.cfgd(alpha, beta=0.0, terminal=0.0, nodes=nodes), optim.sgd(0.3))
    assert float(descend(opt, parabola, 1.0, 300)) == pytest.approx(end, rel=1e-12)
    from_start = optim.chain(optim.cfgd(alpha, beta=0.0, terminal="initial", nodes=nodes), optim.sgd(0.3))
    start = 1.0
    assert float(descend(from_start, parabola, start, 300)) == pytest.approx(A + (1 - alpha) * (A - start), rel=1e-12)


@pytest.mark.parametrize("alpha", [0.9, 0.7, 0.5])
def test_beta_removes_the_bias(alpha):
    opt = optim.chain(optim.cfgd(alpha, terminal=0.0), optim.sgd(0.3))
    assert float(descend(opt, parabola, 1.0, 200)) == pytest.approx(A, rel=1e-12)
    given = optim.chain(optim.cfgd(alpha, beta=(1 - alpha) / (2 - alpha), terminal=0.0), optim.sgd(0.3))
    assert float(descend(given, parabola, 1.0, 200)) == pytest.approx(A, rel=1e-12)


CURVES = np.array([0.5, 1.0, 3.0])


def bowl(x):
    return 0.5 * cl.sum(CURVES * (x - A) ** 2)


@pytest.mark.parametrize("beta", [0.0, 0.1, 0.7])
def test_on_a_quadratic_it_is_a_shifted_gradient(beta):
    """d = ∇f(x) + (β − (1−α)/(2−α))·A(x − c)."""
    alpha, c, x = 0.6, 0.25, np.array([1.0, -2.0, 7.0])
    opt = optim.cfgd(alpha, beta=beta, terminal=c, nodes=2)
    p = cl.tensor(x)
    found = opt.update(cl.grad(bowl)(p), opt.init(p), p, f=bowl)[0]
    expected = CURVES * (x - A) + (beta - (1 - alpha) / (2 - alpha)) * CURVES * (x - c)
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-13)


def test_with_the_previous_point_it_is_heavy_ball_with_a_momentum_per_weight():
    """x₊ = x − η∇f(x) + μ_j(x − x₋), μ_j = η·A_jj·((1−α)/(2−α) − β)."""
    alpha, beta, rate = 0.5, 0.05, 0.2
    opt = optim.chain(optim.cfgd(alpha, beta=beta, nodes=2), optim.sgd(rate))
    x = before = np.array([1.0, -2.0, 7.0])
    momentum = rate * CURVES * ((1 - alpha) / (2 - alpha) - beta)
    for _ in range(40):
        x, before = x - rate * CURVES * (x - A) + momentum * (x - before), x
    np.testing.assert_allclose(descend(opt, bowl, [1.0, -2.0, 7.0], 40), x, rtol=1e-12)


@pytest.mark.parametrize("alpha", [0.2, 0.5, 0.9])
def test_nodes_integrate_polynomials_against_the_kernel(alpha):
    """∫₀¹ (1 − α)(1 − s)^(−α)·s^k ds = Γ(2 − α)·Γ(k + 1)/Γ(k + 2 − α), exactly up to degree 2·nodes − 1."""
    for nodes in (1, 2, 3, 5):
        rule = segment_rule(alpha, nodes)
        for k in range(2 * nodes):
            exact = math.gamma(2 - alpha) * math.gamma(k + 1) / math.gamma(k + 2 - alpha)
            assert sum(w * s**k for s, w in rule) == pytest.approx(exact, rel=1e-12)


def test_the_mean_along_the_segment_is_the_integral():
    """Against adaptive quadrature, with a Hessian that is not diagonal and a loss that is no quadratic."""
    from scipy.integrate import quad

    def f(x):
        return cl.sum(cl.sin(x)) + x[0] ** 2 * x[1]

    def slope(z):
        return np.cos(z) + np.array([2 * z[0] * z[1], z[0] ** 2])

    def bent(z, v):
        return -np.sin(z) * v + np.array([2 * z[1] * v[0] + 2 * z[0] * v[1], 2 * z[0] * v[0]])

    alpha, beta, c, x = 0.4, 0.3, 0.2, np.array([0.9, -0.5])
    exact = []
    for j in range(2):
        # (1 − s)^(−α) through u = (1 − s)^(1 − α): du = −(1 − α)(1 − s)^(−α) ds
        def along(u, j=j):
            z = c + (1 - u ** (1 / (1 - alpha))) * (x - c)
            return (slope(z) + beta * bent(z, x - c))[j]

        exact.append(quad(along, 0, 1, epsabs=1e-12)[0])
    p, opt = cl.tensor(x), optim.cfgd(alpha, beta, terminal=c, nodes=12)
    found = opt.update(cl.grad(f)(p), opt.init(p), p, f=f)[0]
    np.testing.assert_allclose(np.asarray(found), exact, rtol=1e-9)


@pytest.mark.parametrize(("alpha", "total"), [(0.9, 1.33), (0.7, 2.27), (0.5, 3.70)])
def test_memory_without_normalisation_is_a_larger_learning_rate(alpha, total):
    opt = optim.fractional_memory(alpha)
    assert sum(opt.weights) == pytest.approx(total, abs=0.005)
    for normalize, expected in ((True, 1.0), (False, sum(opt.weights))):
        link, p = optim.fractional_memory(alpha, normalize=normalize), cl.tensor(0.0)
        state = link.init(p)
        for _ in range(15):
            u, state = link.update(cl.tensor(1.0), state, p)
        assert float(u) == pytest.approx(expected, rel=1e-14)


def test_memory_is_grünwald_and_letnikovs_integral():
    """wⱼ = (−1)^j·binomial(α − 1, j): the power series of (1 − z)^(α − 1)."""
    from scipy.special import binom

    found = optim.fractional_memory(0.3, window=12).weights
    np.testing.assert_allclose(found, [(-1) ** j * binom(0.3 - 1, j) for j in range(13)], rtol=1e-12)


def test_memory_is_the_weighted_mean_of_what_there_is():
    rng, link, seen = np.random.default_rng(0), optim.fractional_memory(0.5, window=3), []
    p = cl.tensor(np.zeros(2))
    state = link.init(p)
    for _ in range(8):
        seen.insert(0, rng.normal(size=2))
        u, state = link.update(cl.tensor(seen[0]), state, p)
        w = np.array(link.weights[: len(seen)])
        np.testing.assert_allclose(np.asarray(u), w @ np.array(seen[:4]) / w.sum(), rtol=1e-13)


@pytest.mark.parametrize(
    ("alpha", "factor"), [(0.9, 0.167), (0.7, 4.4e-3), (0.5, 1.13e-4)]
)  # fmt: skip
def test_steps_of_the_variable_terminal_collapse(alpha, factor):
    """Where θ stands still, the gradient is multiplied by ε^(1−α)/Γ(2−α)."""
    link, p = optim.caputo(alpha), cl.tensor(3.0)
    u, state = link.update(cl.tensor(1.0), link.init(p), p)
    assert float(u) == 1.0
    assert float(link.update(cl.tensor(1.0), state, p)[0]) == pytest.approx(factor, rel=0.02)


@pytest.mark.parametrize(("weight", "factor"), [(1.0, 0.28), (0.01, 8.7), (1e-4, 274.0), (0.0, 8722.0)])
def test_orders_above_one_amplify_small_weights(weight, factor):
    p = cl.tensor(weight)
    free, capped = (optim.caputo(1.75, 0.0, 1e-6, max_factor=limit) for limit in (1e9, 10.0))
    assert float(free.update(cl.tensor(1.0), free.init(p), p)[0]) == pytest.approx(factor, rel=0.02)
    assert float(capped.update(cl.tensor(1.0), capped.init(p), p)[0]) == pytest.approx(min(factor, 10), rel=0.02)


def test_caputo_measures_from_the_smallest_weight():
    p, link = cl.tensor(np.array([1.0, 3.0, 10.0])), optim.caputo(0.5, "minimum", eps=1e-12)
    found = link.update(cl.tensor(np.ones(3)), link.init(p), p)[0]
    np.testing.assert_allclose(np.asarray(found), np.sqrt([1e-12, 2.0, 9.0]) / math.gamma(1.5), rtol=1e-6)


LINKS = {
    "memory": optim.fractional_memory(1.0),
    "bare memory": optim.fractional_memory(1.0, normalize=False),
    "caputo": optim.caputo(1.0),
    "caputo, fixed": optim.caputo(1.0, terminal=0.0),
    "cfgd": optim.cfgd(1.0),
    "cfgd, fixed": optim.cfgd(1.0, beta=0.0, terminal=0.0),
}


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("base", [optim.sgd(0.05, 0.9), optim.adam(0.03)], ids=["sgd", "adam"])
def test_at_order_one_each_is_the_base_bit_for_bit(link, base):
    pairs = zip(
        problem.run_supplied(optim.chain(LINKS[link], base), 30), problem.run_supplied(base, 30), strict=True
    )  # fmt: skip
    for (found, _), (expected, _) in pairs:
        assert problem.bits(found) == problem.bits(expected)


def test_towards_order_one_each_tends_to_the_base():
    base = optim.sgd(0.05)
    *_, (expected, _) = problem.run_supplied(base, 30)
    for near in (optim.fractional_memory(1 - 1e-9), optim.caputo(1 - 1e-9, 0.0), optim.cfgd(1 - 1e-9)):
        *_, (found, _) = problem.run_supplied(optim.chain(near, base), 30)
        for key, p in expected.items():
            np.testing.assert_allclose(np.asarray(found[key]), np.asarray(p), rtol=1e-6)
