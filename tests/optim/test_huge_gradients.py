"""Gradients whose squares overflow: every rule that measures them does what it does to gradients of any size."""

import numpy as np
import pytest

import clearprop as cl
from clearprop import optim
from tests.optim.test_links import once

RULES = {
    "clip_by_norm": optim.clip_by_norm(0.3),
    "clip_adaptive": optim.clip_adaptive(0.1),
    "adam": optim.adam(0.1, eps=0.0),
    "amsgrad": optim.adam(0.1, eps=0.0, amsgrad=True),
    "nadam": optim.adam(0.1, eps=0.0, nesterov=True),
    "rmsprop": optim.rmsprop(0.1, eps=0.0),
    "centered": optim.rmsprop(0.1, eps=0.0, centered=True),
    "adagrad": optim.adagrad(0.1, eps=0.0),
    "schedule_free": optim.schedule_free(0.1, eps=0.0),
    "sam": optim.sam(optim.sgd(0.1)),
    "hypergradient": optim.hypergradient(optim.sgd(0.1), kappa=0.5),
}
"""Rules whose update depends on the direction of the gradient alone, or, with sgd, is proportional to it."""
P = {"w": [[0.5, -1.0], [2.0, 0.1]], "b": [0.3, -0.2]}
G = {"w": [[1.0, -3.0], [0.5, 2.0]], "b": [-1.0, 4.0]}
EXECUTORS = ["eager", "numpy"]


def tree(values, dtype, by=1.0):
    return {k: np.asarray(v, dtype) * dtype(by) for k, v in values.items()}


def updates(opt, dtype, by, executor):
    """The updates of two steps with gradients G·by."""

    def step(g, state, p):
        return opt.update(g, state, p, f=lambda q: cl.sum(q["w"] * g["w"]) + cl.sum(q["b"] * g["b"]))

    step = step if executor == "eager" else cl.compile(step, executor=executor)
    p, g = tree(P, dtype), tree(G, dtype, by)
    state, out = opt.init({k: cl.tensor(v) for k, v in p.items()}), []
    for _ in range(2):
        found, state = step(g, state, p)
        out.append({k: np.asarray(u) for k, u in found.items()})
    return out


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize(
    ("dtype", "power"), [(np.float32, 63), (np.float32, 120), (np.float64, 512), (np.float64, 1000)]
)
@pytest.mark.parametrize("name", RULES)
def test_a_gradient_counts_as_one_that_is_2_to_the_k_times_smaller(name, dtype, power, executor):
    opt, factor = RULES[name], dtype(2.0**power) if name in ("sam", "hypergradient") else dtype(1)
    for huge, small in zip(updates(opt, dtype, 2.0**power, executor), updates(opt, dtype, 1.0, executor), strict=True):
        for key, u in small.items():
            assert np.all(u != 0)
            np.testing.assert_allclose(huge[key], u * factor, rtol=1e-5)


@pytest.mark.parametrize("nesterov", [False, True])
def test_rectified_steps_never_stand_still(nesterov):
    """In the first steps of RAdam the update is the average itself, so it is no number that others can be scaled to."""
    opt, p = optim.adam(0.1, 0.5, 0.9, rectify=True, nesterov=nesterov), {"w": np.ones(1, np.float32)}
    g, state = {"w": np.full(1, 1e20, np.float32)}, opt.init({"w": np.ones(1, np.float32)})
    for _ in range(20):
        found, state = opt.update(g, state, p)
    assert float(found["w"][0]) == pytest.approx(-0.1, rel=0.5)


@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 1e20), (np.float64, 1e200)])
def test_polyak_and_armijo_step_by_the_decrease_that_is_promised(dtype, size):
    """f = size·x at x = 1: Polyak's step with c = 1 leads to f = 0; a step of Armijo lowers f."""
    x, g = np.ones(1, dtype), np.full(1, size, dtype)
    opt = optim.polyak(c=1.0)
    found = opt.update(g, opt.init(x), x, value=dtype(size))[0]
    np.testing.assert_allclose(np.asarray(found), [-1.0], rtol=1e-6)
    opt = optim.armijo(initial=4 / size, growth=1.0)
    found = opt.update(g, opt.init(x), x, value=dtype(size), f=lambda p: cl.sum(cl.abs(p) * dtype(size)))[0]
    np.testing.assert_allclose(np.asarray(found), [-1.0], rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["clip_by_norm", "adam", "nadam", "radam", "rmsprop", "adagrad", "schedule_free"])
def test_what_is_no_number_stays_visible(name, bad):
    opt = RULES.get(name, optim.adam(rectify=True))
    with np.errstate(invalid="ignore"):  # NumPy's own word about ∞ − ∞ and ∞·0
        found = once(opt, {"w": np.array([[1.0, bad]])}, {"w": np.ones((1, 2))})
    assert not np.isfinite(np.asarray(found["w"])[0, 1])
