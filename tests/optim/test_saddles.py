"""Saddles: who leaves them and who does not; the quadratic models and the Krylov space behind."""

import numpy as np
import pytest

import clearprop as cl
from clearprop import optim
from clearprop.optim.krylov import Krylov
from clearprop.optim.newton import saddle_free_step, steihaug
from clearprop.optim.trust_region import eigen_step
from problems.saddles import MAXIMUM, MINIMA, SADDLES, deep_linear, himmelblau, newton, stable_starts
from tests.tiers import later


def evaluations(f, start, method, level, steps):
    """Gradients, a Hessian-vector product counting as two, until f < level; more than all if never."""
    seen = []

    def watch(progress):
        if progress.value < level:
            seen.append(progress.evaluations.cost)
            return "stop"
        return None

    optim.minimize(f, start, method, tolerance=0, steps=steps, watch=watch)
    return seen[0] if seen else 10**6


def is_minimum(x):
    return bool(np.min(np.linalg.norm(MINIMA - np.asarray(x), axis=1)) < 1e-6)


@pytest.mark.parametrize("place", [*SADDLES, MAXIMUM], ids=lambda p: f"{p[1]:.0f}")
@pytest.mark.parametrize("saddle_free", [False, True])
def test_newton_cg_does_not_stop_at_a_saddle(place, saddle_free):
    found = optim.minimize(himmelblau, newton(himmelblau, np.array(place[0]), 3), optim.newton_cg(saddle_free))
    assert found.converged and is_minimum(found.x)
    assert found.reason.endswith("no direction of negative curvature was found")


def test_newtons_pure_iteration_is_attracted():
    for (start, value), (saddle, level) in zip(stable_starts(), [s for s in SADDLES for _ in range(2)], strict=True):
        np.testing.assert_allclose(newton(himmelblau, start), saddle, atol=1e-8)
        assert value == level


@pytest.mark.parametrize("rates", [(0.1,), *later([(0.01, 0.03, 0.3)])])
def test_saddle_free_newton_leaves_stable_sets_in_fewer_evaluations_than_adam(rates):
    """For good, to a minimum; and below the saddle at once, where Adam with its usual steps takes hundreds."""
    for start, value in stable_starts():
        own = evaluations(himmelblau, start, optim.newton_cg(saddle_free=True), 1e-6, 50)
        for rate in rates:
            assert own < evaluations(himmelblau, start, optim.adam(rate), 1e-6, own + 1)
        below = evaluations(himmelblau, start, optim.newton_cg(saddle_free=True), value - 1, 50)
        assert below < evaluations(himmelblau, start, optim.adam(), value - 1, below + 1)


@pytest.mark.parametrize("depth", [2, 3])
def test_the_origin_of_a_deep_linear_network_is_left(depth):
    """The gradient there is 0, so that Adam never moves; with three layers the Hessian is 0 too."""
    loss, value, origin = deep_linear(depth)
    assert evaluations(loss, origin, optim.adam(0.1), 0.5 * value, 50) == 10**6
    assert evaluations(loss, origin, optim.newton_cg(saddle_free=True), 0.5 * value, 50) < 100
    found = optim.minimize(loss, origin, optim.newton_cg(saddle_free=True))
    assert found.converged and found.value < 1e-12


def test_a_minimum_with_flat_directions_counts_as_one():
    found = optim.minimize(lambda x: (x[0] + x[1] + x[2] - 1) ** 2, np.zeros(3), optim.newton_cg())
    assert found.converged and found.value < 1e-20


def brute_force(values, g, radius):
    """The minimum of the model over the disc, by looking everywhere."""
    angle, length = np.meshgrid(np.linspace(0, 2 * np.pi, 721), np.linspace(0, radius, 201))
    p = np.stack([length * np.cos(angle), length * np.sin(angle)])
    return float(np.min(np.tensordot(g, p, 1) + 0.5 * np.tensordot(values, p**2, 1)))


@pytest.mark.parametrize("radius", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("values", [(1.0, 5.0), (-2.0, 3.0), (-3.0, -1.0), (0.0, 2.0)])
@pytest.mark.parametrize("g", [(1.0, 2.0), (1e-9, 1.0), (0.0, 1.0), (0.0, 0.0)])
def test_the_model_is_minimised_within_the_radius(values, g, radius):
    values, g = np.array(values), np.array(g)
    p = eigen_step(values, g, radius)
    assert np.linalg.norm(p) <= radius * (1 + 1e-9)
    assert float(g @ p + 0.5 * values @ p**2) <= brute_force(values, g, radius) + 1e-3 * radius**2


def matrix(*eigenvalues):
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(len(eigenvalues),) * 2))
    return q @ np.diag(eigenvalues) @ q.T


def test_steihaug_is_newtons_step_within_a_wide_radius():
    h, g = matrix(1.0, 2.0, 5.0, 9.0), 1e-6 * np.array([1.0, -2.0, 0.5, 3.0])
    step = steihaug(lambda v: h @ v, g, 1e3, 20)
    np.testing.assert_allclose(step.p, -np.linalg.solve(h, g), rtol=2e-3)
    assert step.promised == pytest.approx(-(g @ step.p + 0.5 * step.p @ h @ step.p))


def test_steihaug_follows_negative_curvature_to_the_border():
    h, g = matrix(-1.0, 2.0, 5.0), np.array([1.0, 1.0, 1.0])
    step = steihaug(lambda v: h @ v, g, 7.0, 20)
    assert np.linalg.norm(step.p) == pytest.approx(7) and step.promised > 0


def test_the_saddle_free_step_is_minus_the_absolute_hessians_inverse_times_the_gradient():
    h = matrix(-4.0, -0.5, 2.0, 5.0)
    values, vectors = np.linalg.eigh(h)
    parts = np.array([8.0, 1.0, -1.0, 1.0])
    step = saddle_free_step(lambda v: h @ v, vectors @ parts, 5.0, 4)
    np.testing.assert_allclose(step.p, -vectors @ (parts / np.abs(values)), rtol=1e-10)


def test_the_saddle_free_step_goes_down_where_the_gradient_points_at_the_saddle():
    h, g = np.diag([-1.0, 4.0]), np.array([0.0, 1.0])
    step = saddle_free_step(lambda v: h @ v, g, 0.5, 2)
    assert abs(step.p[0]) > 0.4 and np.linalg.norm(step.p) == pytest.approx(0.5)


def test_krylov_space_knows_the_eigenvalues_when_it_is_whole():
    h = matrix(-3.0, 1.0, 1.0, 7.0, 7.0)  # equal ones need the random restart
    space = Krylov(lambda v: h @ v, np.ones(5))
    while space.grow():
        pass
    assert space.k == 5 and space.negative
    np.testing.assert_allclose(space.values, [-3, 1, 1, 7, 7], atol=1e-10)
    np.testing.assert_allclose(h @ space.full(space.lowest), -3 * space.full(space.lowest), atol=1e-10)
    assert space.residual(space.lowest) < 1e-10


def test_curvature_is_exact():
    x, v = np.array([0.3, -0.4]), np.array([1.0, 2.0])
    h = np.array(
        [[12 * x[0] ** 2 + 4 * x[1] - 42, 4 * (x[0] + x[1])], [4 * (x[0] + x[1]), 12 * x[1] ** 2 + 4 * x[0] - 26]]
    )
    np.testing.assert_allclose(np.asarray(cl.hvp(himmelblau, x, v)), h @ v, rtol=1e-12)
