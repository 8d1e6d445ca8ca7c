"""Partial results in rounds, against the same combined one after the other."""

import numpy as np
import pytest

import clearprop as cl
from tests.control.programs import numbers
from tests.control.test_scan import close


def product(a, b):
    """Matrices do not commute: the order is seen."""
    return {"m": a["m"] @ b["m"], "s": a["s"] + b["s"]}


def one_by_one(xs, reverse=False):
    n = len(xs["s"])
    order = list(reversed(range(n))) if reverse else list(range(n))
    found, so_far = [None] * n, None
    for i in order:
        own = {k: v[i] for k, v in xs.items()}
        so_far = own if so_far is None else product(so_far, own)
        found[i] = so_far
    return cl.tree_map(lambda *rows: cl.stack(list(rows)), *found)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 13])
def test_partial_results(n, reverse):
    xs = {"m": numbers(n, n, 2, 2), "s": numbers(n + 1, n)}
    close(cl.associative_scan(product, xs, reverse=reverse), one_by_one(xs, reverse), 1e-11)


def test_derivatives():
    xs = {"m": numbers(0, 6, 2, 2), "s": numbers(1, 6)}
    loss = lambda f: lambda xs: sum(cl.sum(v**2) for v in (f(xs)["m"], f(xs)["s"]))
    rounds = loss(lambda xs: cl.associative_scan(product, xs))
    close(cl.grad(rounds)(xs), cl.grad(loss(one_by_one))(xs), 1e-11)
    close(cl.compile(cl.grad(rounds))(xs), cl.grad(loss(one_by_one))(xs), 1e-11)


@pytest.mark.parametrize("n", [0, 1, 4])
@pytest.mark.parametrize("f", [lambda a, b: a + b, lambda a, b: np.maximum(np.asarray(a), np.asarray(b))])
def test_arrays_come_as_tensors_and_go_as_tensors(n, f):
    found = cl.associative_scan(f, np.arange(n * 1.0))
    assert isinstance(found, cl.Tensor) and found.shape == (n,)


def test_nothing_and_refusals():
    assert cl.associative_scan(lambda a, b: a + b, cl.zeros((0, 2))).shape == (0, 2)
    with pytest.raises(cl.errors.ShapeError, match="runs over one leading axis"):
        cl.associative_scan(lambda a, b: a, (np.ones(3), np.ones(4)))
    with pytest.raises(cl.errors.ArgumentError, match="f changes what it combines"):
        cl.associative_scan(lambda a, b: cl.sum(a), np.ones(4))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_along_another_axis(axis, reverse):
    """Trees whose arrays have other axes beside; NumPy's sums, from the end as well."""
    xs = {"a": numbers(0, 4, 5, 4), "b": numbers(1, 4, 5)[:, :4] if axis == -1 else numbers(1, 4, 5)}
    turn = (lambda v: np.flip(v, axis)) if reverse else lambda v: v
    found = cl.associative_scan(lambda p, q: {k: p[k] + q[k] for k in p}, xs, reverse=reverse, axis=axis)
    close(found, {k: turn(np.cumsum(turn(v), axis)) for k, v in xs.items()})


@pytest.mark.parametrize(("shape", "axis"), [((3,), 1), ((3,), "x"), ((3,), True), ((), 0)])
def test_an_axis_that_is_none(shape, axis):
    with pytest.raises(cl.errors.ShapeError, match="associative_scan runs over an axis that all arrays have"):
        cl.associative_scan(cl.add, np.ones(shape), axis=axis)


@pytest.mark.parametrize("n", [0, 1, 4, 7])
@pytest.mark.parametrize("size", [1, 3, 10])
def test_a_map_of_several_at_once(n, size):
    """Results and gradients of `cl.map`, whatever is left at the end."""
    f, xs, w = (
        lambda w: lambda x: {"a": cl.sin(w * x["v"]), "b": cl.sum(x["v"])},
        {"v": numbers(2, n, 2)},
        np.float64(0.7),
    )
    close(cl.map(f(w), xs, batch_size=size), cl.map(f(w), xs))
    slope = lambda **how: cl.grad(lambda w: cl.sum(cl.map(f(w), xs, **how)["a"] ** 2))(w)
    close(slope(batch_size=size), slope())


@pytest.mark.parametrize("size", [0, -1, 1.5])
def test_a_map_of_none_at_once(size):
    with pytest.raises(cl.errors.ArgumentError, match="batch_size"):
        cl.map(cl.sin, np.ones(3), batch_size=size)
