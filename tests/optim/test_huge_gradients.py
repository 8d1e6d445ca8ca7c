"""Gradients whose squares overflow: measured like any other, or an error that shows; never a step of 0 for ever."""

import numpy as np
import pytest

import clearprop as cl
from clearprop import optim
from tests.optim.test_links import once

RULES = {
    "clip_by_norm": optim.clip_by_norm(0.3),
    "clip_adaptive": optim.clip_adaptive(0.1),
    "clipped adam": optim.chain(optim.clip_by_norm(0.3), optim.adam(0.1)),
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


SQUARED = {
    "adam": optim.adam(0.1),
    "amsgrad": optim.adam(0.1, amsgrad=True),
    "nadam": optim.adam(0.1, nesterov=True),
    "radam": optim.adam(0.1, 0.5, 0.9, rectify=True),
    "both": optim.adam(0.1, 0.5, 0.9, nesterov=True, rectify=True),
    "rmsprop": optim.rmsprop(0.1),
    "centered": optim.rmsprop(0.1, centered=True),
    "adagrad": optim.adagrad(0.1),
    "adadelta": optim.adadelta(0.1),
    "schedule_free": optim.schedule_free(0.1),
    "diag_newton": optim.diag_newton(0.1),
}
"""Rules that divide by the root of an average of squares, element by element."""


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 1e20), (np.float64, 1e200)])
@pytest.mark.parametrize("name", SQUARED)
def test_a_square_that_overflows_shows_in_the_next_step(name, dtype, size, executor):
    """The step is 0 where it does; it would be 0 for ever, and nothing would tell.  `clip_by_norm` keeps it away."""
    opt, p, key = SQUARED[name], {"w": np.ones(2, dtype)}, cl.random.key(0)
    needs = {"hvp": lambda v: {"w": v["w"] * np.array([size, 1], dtype)}, "rng": key}

    def step(g, state, p):
        return opt.update(g, state, p, **{n: needs[n] for n in opt.needs})

    run = step if executor == "eager" else cl.compile(step, executor=executor)
    state = opt.init({"w": cl.tensor(p["w"])})
    with np.errstate(all="ignore"):
        _, state = run({"w": np.array([size, 1], dtype)}, state, p)
        for _ in range(9 if "rectify=True" in repr(opt) else 1):  # the first steps of RAdam do not divide
            updates, state = run({"w": np.ones(2, dtype)}, state, p)
    found = np.asarray(updates["w"])
    assert np.isnan(found[0]) and np.isfinite(found[1])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["clip_by_norm", "clip_adaptive", *(n for n in SQUARED if n != "diag_newton")])
def test_what_is_no_number_stays_visible(name, bad):
    opt = RULES.get(name) or SQUARED[name]
    with np.errstate(all="ignore"):  # NumPy's own word about ∞ − ∞ and ∞·0
        found = once(opt, {"w": np.array([[1.0, bad]])}, {"w": np.ones((1, 2))})
    assert not np.isfinite(np.asarray(found["w"])[0, 1])


@pytest.mark.parametrize("name", cl.optim.optimizers())
@pytest.mark.parametrize("bad", [np.inf, 0.0], ids=["infinite", "nothing"])
def test_no_warning_of_numpy_comes_of_gradients_that_are_no_numbers_or_of_no_weights(name, bad):
    opt = cl.optim.chain(cl.optim.clip_by_norm(1.0), cl.optim.by_name(name))
    params = {"weight": cl.ones((2, 3)), "none": cl.zeros((0, 3))}
    state = opt.init(params)
    for _ in range(2):
        grads = cl.tree_map(lambda p: p * 0.0 + bad, params)
        more = {"value": cl.tensor(1.0), "f": lambda p: cl.sum(p["weight"]), "rng": cl.random.key(0)}
        updates, state = opt.update(grads, state, params, **more, hvp=lambda v: v)
        params = cl.optim.apply_updates(params, updates)
    assert params["none"].shape == (0, 3)
