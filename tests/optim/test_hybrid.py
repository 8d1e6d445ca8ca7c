"""Methods in turn, and global searches around a local method."""

import numpy as np
import pytest

import clearprop as cl
from clearprop import optim
from tests.optim.test_messages import message


def rosenbrock(x):
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def rastrigin(x):
    return 10 * x.shape[0] + cl.sum(x * x - 10 * cl.cos(2 * np.pi * x))


def test_a_relay_goes_on_from_the_lowest_point():
    seen = []
    method = optim.relay(
        (optim.adam(0.05), 30), (optim.sgd(1e-4), 5), (optim.quasi_newton(), 60), (optim.newton_cg(), 20)
    )
    found = optim.minimize(
        rosenbrock, cl.tensor([-1.2, 1.0]), method, watch=lambda p: seen.append(p.value), executor="eager"
    )
    assert found.converged and found.value < 1e-14
    np.testing.assert_allclose(np.asarray(found.x), [1, 1], atol=1e-6)
    assert seen[31] <= min(seen[:31])  # the second stage begins at the lowest point of the first
    alone = optim.minimize(rosenbrock, cl.tensor([-1.2, 1.0]), optim.adam(0.05), steps=len(seen), executor="eager")
    assert not alone.converged and alone.value > 1e-3


def test_a_relay_ends_early_where_a_stage_has_arrived():
    method = optim.relay((optim.quasi_newton(), 100), (optim.adam(0.1), 1000))
    found = optim.minimize(lambda x: cl.sum(x * x), cl.tensor([3.0, 1.0]), method, executor="eager")
    assert found.converged and found.steps < 20


def test_a_relay_that_is_none():
    assert message(lambda: optim.relay())[0] == "relay needs stages"
    assert message(lambda: optim.relay((optim.adam(), 0)))[2] == "  got       0 steps"


@pytest.mark.parametrize("search", ["particle_swarm", "differential_evolution", "basin_hopping"])
def test_a_global_search_finds_the_lowest_of_many_minima(search):
    x0 = cl.tensor([3.1, -2.2])
    alone = optim.minimize(rastrigin, x0, executor="numpy")
    found = optim.memetic(rastrigin, x0, search, width=5.0, rounds=40, executor="numpy")
    again = optim.memetic(rastrigin, x0, search, width=5.0, rounds=40, executor="numpy")
    assert alone.value > 5 and found.value < 1e-9 and found.converged
    assert np.asarray(found.x).tobytes() == np.asarray(again.x).tobytes()
    assert found.reason.startswith("the lowest of ")
    assert found.evaluations.values > alone.evaluations.values


def test_a_search_that_meets_what_is_not_finite():
    found = optim.memetic(lambda x: cl.sum(x - cl.log(x)), cl.tensor([3.0]), width=5.0, rounds=12, executor="numpy")
    assert found.value == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("options", "headline", "remedy"),
    [
        ({"search": "swarm"}, "no search named 'swarm'", "'particle_swarm', the nearest name"),
        ({"width": 0.0}, "memetic cannot work with this width", "width=1.0"),
        ({"rounds": 2.5}, "memetic cannot work with this rounds", "rounds=50"),
    ],
)
def test_impossible_searches(options, headline, remedy):
    found = message(lambda: optim.memetic(rastrigin, cl.tensor([1.0]), **options))
    assert found[0] == headline and found[-1] == f"  try       {remedy}"
