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
