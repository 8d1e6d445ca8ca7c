"""Minimisers of functions: known minima, and what holds for every method."""

import numpy as np
import pytest

import clearprop as cl
from clearprop import optim
from clearprop.optim.objective import Objective
from problems import convex
from problems.garbow import PROBLEMS
from tests.optim.problem import bits
from tests.tiers import diagonal

METHODS = {
    "lbfgs": optim.quasi_newton("lbfgs"),
    "bfgs": optim.quasi_newton("bfgs"),
    "dfp": optim.quasi_newton("dfp"),
    "sr1": optim.quasi_newton("sr1"),
    "damped": optim.quasi_newton("bfgs", damped=True),
    "newton_cg": optim.newton_cg(),
    "saddle_free": optim.newton_cg(saddle_free=True),
}
every_method = pytest.mark.parametrize("name", METHODS)


def rosenbrock(x):
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def tree(p):
    """A function of a tree: its minimum is at the numbers 1, 2, … in order."""
    return cl.sum(cl.cosh(p["a"] - np.array([1.0, 2.0]))) + (p["b"][0] - 3) ** 2 * p["n"] + (p["b"][1] - 4) ** 4


TREE = {"a": np.zeros(2), "b": (np.array(1.0), 2.0), "n": 5}


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
def test_problems_start_where_published(problem):
    assert float(problem.value(problem.start)) == pytest.approx(problem.at_start, rel=1e-5)


@pytest.mark.parametrize(("problem", "name"), diagonal(PROBLEMS, METHODS, every=2))
def test_minimum_is_reached(problem, name):
    found = optim.minimize(problem.value, problem.start, METHODS[name])
    assert found.converged and problem.reached(found.value)
    assert found.evaluations.gradients <= 250


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
def test_least_squares_reaches_the_minimum(problem):
    found = optim.least_squares(problem.residuals, problem.start)
    assert found.converged and problem.reached(found.value)
    assert found.evaluations.jacobians <= 100


@pytest.mark.parametrize(("data", "name"), diagonal(convex.NAMES, METHODS))
def test_convex_networks_are_solved_to_1e_9(data, name):
    problem = convex.regression(data)
    assert float(problem.loss(problem.start)) == pytest.approx(problem.at_start, abs=1e-12)
    found = optim.minimize(problem.loss, problem.start, METHODS[name], tolerance=1e-7)
    assert found.converged
    assert abs(found.value - problem.optimum) <= 1e-9


@every_method
def test_every_accepted_step_goes_down(name):
    """Never up by more than rounding; and the watcher sees the start and every step."""
    seen = []
    found = optim.minimize(rosenbrock, np.array([-1.2, 1.0]), METHODS[name], watch=seen.append)
    values = np.array([s.value for s in seen])
    assert [s.number for s in seen] == list(range(found.steps + 1))
    assert values[0] == pytest.approx(24.2) and values[-1] == found.value
    assert np.all(np.diff(values) <= 1e-14 * values[:-1])


@every_method
def test_same_call_same_bits(name):
    first, second = (optim.minimize(rosenbrock, np.array([-1.2, 1.0]), METHODS[name]) for _ in range(2))
    assert bits(first.x) == bits(second.x)
    assert (first.value, first.steps, first.evaluations) == (second.value, second.steps, second.evaluations)


@every_method
def test_the_order_of_parameters_does_not_matter(name):
    forth = optim.minimize(lambda p: rosenbrock((p["a"], p["b"])), {"a": -1.2, "b": 1.0}, METHODS[name], tolerance=1e-6)
    back = optim.minimize(lambda p: rosenbrock((p["z"], p["b"])), {"z": -1.2, "b": 1.0}, METHODS[name], tolerance=1e-6)
    assert float(forth.x["a"]) == pytest.approx(float(back.x["z"]), abs=1e-5)
    assert abs(forth.steps - back.steps) <= 2  # dot products are sums in another order


@every_method
def test_trees_keep_their_structure_and_what_is_no_variable(name):
    found = optim.minimize(tree, TREE, METHODS[name], tolerance=1e-10, steps=3000)
    assert found.x["n"] == 5 and isinstance(found.x["b"], tuple)
    np.testing.assert_allclose(np.asarray(found.x["a"]), [1, 2], atol=1e-6)
    assert float(found.x["b"][0]) == pytest.approx(3, abs=1e-6) and float(found.x["b"][1]) == pytest.approx(4, abs=2e-3)
    assert np.all(TREE["a"] == 0)


@every_method
def test_networks_are_trained(name):
    """Float32 parameters stay float32, and the model given stays as it is."""
    x = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    model = cl.nn.mlp([2, 6, 1], "tanh")
    before = bits(model)
    found = optim.minimize(lambda m: cl.nn.mse(m(x), x[:, :1] * x[:, 1:]), model, METHODS[name], steps=40)
    assert found.value < 0.5 * float(cl.nn.mse(model(x), x[:, :1] * x[:, 1:]))
    assert isinstance(found.x, type(model)) and bits(model) == before
    assert {p.dtype for p in found.x.parameters().values()} == {np.dtype(np.float32)}


@every_method
def test_runs_are_bounded(name):
    found = optim.minimize(rosenbrock, np.array([-1.2, 1.0]), METHODS[name], steps=3)
    assert (found.steps, found.converged) == (3, False)
    assert found.reason == "stopped after the 3 steps allowed"


@every_method
def test_without_tolerance_rounding_ends_the_run(name):
    found = optim.minimize(lambda x: cl.sum(cl.cosh(x)) + 5.0, np.array([1.0, -2.0]), METHODS[name], tolerance=0)
    assert found.value == pytest.approx(7, rel=1e-15)
    assert found.evaluations.gradients < 600


@every_method
def test_a_trial_that_is_not_finite_counts_as_infinitely_high(name):
    """Beside the minimum at 1 lies a wall, beyond which log and sqrt are not defined."""
    found = optim.minimize(
        lambda x: x[0] - cl.log(x[0]) + cl.sqrt(x[1]) + 1 / x[1], np.array([1e-3, 40.0]), METHODS[name]
    )
    assert found.converged
    np.testing.assert_allclose(np.asarray(found.x), [1, 2 ** (2 / 3)], rtol=1e-6)


def test_the_watcher_can_stop():
    found = optim.minimize(rosenbrock, np.array([-1.2, 1.0]), watch=lambda s: "stop" if s.value < 1 else None)
    assert found.value < 1 and not found.converged and found.reason == "stopped by the watcher"


@pytest.mark.parametrize(
    "rule", [optim.adam(0.05), optim.rprop(), optim.diag_newton(0.1)], ids=lambda r: type(r).__name__
)
def test_transforms_are_methods(rule):
    """The numbers are those of the loop written out, from the same evaluations."""
    x = np.array([-1.2, 1.0])
    found = optim.minimize(rosenbrock, x, rule, steps=30)
    params, values = cl.tensor(x), []
    state = rule.init(params)
    for t in range(31):
        values.append(float(rosenbrock(params)))
        key = cl.random.fold_in(cl.random.key(0), t)
        extra = {"hvp": lambda v, at=params: cl.hvp(rosenbrock, at, v), "rng": key} if rule.needs else {}
        updates, state = rule.update(cl.grad(rosenbrock)(params), state, params, **extra)
        params = optim.apply_updates(params, updates)
    assert found.value == pytest.approx(min(values), rel=1e-9)
    assert found.evaluations.gradients == 31


@pytest.mark.parametrize("executor", ["eager", "numpy", "numba"])
def test_executors_agree(executor):
    found = optim.minimize(rosenbrock, np.array([-1.2, 1.0]), optim.newton_cg(), executor=executor)
    assert found.value < 1e-15 and found.steps == 27


def test_functions_that_look_at_numbers_run_uncompiled_and_that_is_said():
    def f(x):
        return cl.sum(x**2) if float(cl.stop_gradient(x)[0]) > 0 else cl.sum(x**4)

    with pytest.warns(UserWarning, match="minimize runs the function uncompiled"):
        found = optim.minimize(f, np.array([2.0, 1.0]))
    assert found.converged


def test_evaluations_are_counted():
    calls = []

    def f(x):
        calls.append(1)
        return cl.sum(cl.cosh(x))

    found = optim.minimize(f, np.array([1.0]), optim.quasi_newton("bfgs"), executor="eager")
    assert len(calls) == found.evaluations.values == found.evaluations.gradients + 2  # twice at the start, to compare


@pytest.mark.parametrize("shape", [(7, 3), (3, 7)])
def test_jacobians_by_columns_and_by_rows_are_the_same_matrix(shape):
    m, n = shape
    a = np.random.default_rng(0).normal(size=(m, n))
    f = Objective(lambda p: cl.tanh(a @ cl.concat([p["u"], p["v"]])), {"u": np.ones(1), "v": np.ones(n - 1)}, "test")
    r, j = f.linearised(f.space.start)
    np.testing.assert_allclose(r, np.tanh(a.sum(axis=1)), rtol=1e-14)
    np.testing.assert_allclose(j, a * (1 - r**2)[:, None], rtol=1e-12)


def test_least_squares_is_blind_to_units():
    """Variables in other units: the same fit, found with as many evaluations."""
    t, units = np.linspace(0, 3, 20), np.array([1e-6, 1e5])
    y = 2 * np.exp(-0.5 * t) + 0.01 * np.cos(5 * t)

    def residuals(p):
        return p[0] * cl.exp(-p[1] * t) - y

    plain = optim.least_squares(residuals, np.ones(2))
    scaled = optim.least_squares(lambda q: residuals(q * units), 1 / units)
    np.testing.assert_allclose(np.asarray(scaled.x) * units, np.asarray(plain.x), rtol=1e-10)
    assert abs(scaled.evaluations.jacobians - plain.evaluations.jacobians) <= 2


def test_least_squares_with_more_variables_than_residuals():
    found = optim.least_squares(lambda x: cl.sum(x, keepdims=True) - 3, np.zeros(4))
    assert found.converged and found.value < 1e-28


def test_least_squares_trains_a_network():
    x = np.linspace(-1, 1, 30)[:, None]
    model = cl.nn.mlp([1, 4, 1], "tanh", dtype=np.float64)
    found = optim.least_squares(lambda m: cl.reshape(m(x) - np.sin(3 * x), (-1,)), model, steps=100)
    assert found.value < 1e-3


@pytest.mark.verify
@pytest.mark.parametrize("data", convex.NAMES)
def test_the_best_first_order_rules_need_more_evaluations(data):
    """DFP, which is there to compare, apart."""
    from benchmarks.optimizers.convex import METHODS as ALL
    from benchmarks.optimizers.convex import best

    problem, cost = convex.regression(data), {True: [], False: []}
    for settings in ALL:
        own, first = settings[0], isinstance(settings[0], optim.Transform)
        if own != optim.quasi_newton("dfp"):
            cost[first].append(best(problem, settings)[1].get(1e-9, (10**6,))[0])
    assert max(cost[False]) < min(cost[True])
