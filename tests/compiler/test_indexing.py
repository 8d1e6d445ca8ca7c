"""Indexing: what NumPy gives, in value and gradient, in eager mode and by every executor; or refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import ClearpropError
from tests.compiler.plain import plain

BOUNDS = (None, *range(-8, 9))
SIZES = range(7)


def all_slices(steps=BOUNDS):
    return itertools.starmap(slice, itertools.product(BOUNDS, BOUNDS, steps))


@pytest.mark.parametrize("n", SIZES)
def test_every_slice_is_numpys(n):
    x = np.arange(float(n))
    t = cl.asarray(x)
    for k in all_slices():
        if k.step == 0:
            with pytest.raises(ClearpropError, match="a slice is made of integers, and its step is not 0"):
                t[k]
            continue
        assert np.array_equal(np.asarray(t[k]), x[k]), k


def distinct_slices(n):
    """One slice for every selection of n elements that a slice can make, and some spellings of the empty one."""
    found = {}
    for k in all_slices([s for s in BOUNDS if s != 0]):
        chosen = range(*k.indices(n))
        found.setdefault((tuple(chosen), (k.step or 1) > 0), k)
    return [*found.values(), slice(-9, None, -1), slice(8, 2, 1), slice(-8, -9, -3)]


def one_axis(n):
    """All selections at once, and the gradient of a sum in which every element has a weight of its own."""
    keys = distinct_slices(n)

    def f(x):
        parts = tuple(x[k] * 2 for k in keys)
        loss = lambda x: sum(cl.sum(x[k] * (1.0 + np.arange(len(range(*k.indices(n)))))) for k in keys)
        return (*parts, cl.grad(loss)(x))

    x = np.arange(float(n)) + 1
    gradient = np.zeros(n)
    for k in keys:
        gradient[k] += 1.0 + np.arange(len(range(*k.indices(n))))
    return f, x, [*(x[k] * 2 for k in keys), gradient]


FORMS = {
    "eager": lambda f, x: f(cl.asarray(x)),
    "numpy": lambda f, x: cl.compile(f, executor="numpy")(x),
    "interpreted": lambda f, x: run_interpreted(f, x),
    "numba": lambda f, x: cl.compile(f, executor="numba")(x),
}


def run_interpreted(f, x):
    with plain():
        return cl.compile(f)(x)


def assert_equal_all(got, want, names=()):
    for i, (a, b) in enumerate(zip(got, want, strict=True)):
        a = np.asarray(a)
        what = names[i] if names else i
        assert a.shape == b.shape and np.array_equal(a, b), f"{what}: {a} {a.shape} instead of {b} {b.shape}"


@pytest.mark.parametrize(
    ("n", "form"), [(n, form) for n in SIZES for form in FORMS if form != "numba" or n in (0, 1, 3)]
)
def test_every_selection_in_value_and_gradient(n, form):
    f, x, want = one_axis(n)
    assert_equal_all(FORMS[form](f, x), want)


MIXED = {
    "integer": (1,),
    "negative integer": (-1, 0),
    "integer behind": (slice(None), -2),
    "ellipsis": (Ellipsis, 1),
    "empty ellipsis": (0, Ellipsis, 1, 2),
    "new axes": (None, slice(None), None, 1),
    "steps": (slice(None, None, -2), slice(1, None), slice(-9, None, -1)),
    "array": (np.array([1, -1, 0, 1]),),
    "no indices": ([],),
    "list behind": (slice(None), [0, 0, 2]),
    "matrix of indices": (slice(None), slice(None), np.array([[0, 3], [-1, -4]])),
    "narrow indices": (np.array([1, 0], np.uint8),),
    "a number in an array": (np.array(1), slice(1, 3)),
    "integer beside array": (1, np.array([0, 2])),
    "array beside integer": (np.array([0, 1]), -1),
    "behind a slice": (slice(None), 0, np.array([3, 3, 1])),
    "integer and array apart": (1, slice(None), np.array([0, 3, 2])),
    "array and integer apart": (np.array([0, 1, 0]), slice(None), 2),
    "apart by ellipsis": (0, Ellipsis, np.array([1, 2])),
    "apart by nothing": (slice(None), 0, Ellipsis, np.array([2, 0])),
    "apart by a new axis": (slice(None), 0, None, np.array([2, 0])),
    "together before a new axis": (0, np.array([2, 0]), None),
    "matrix apart": (1, slice(0, 2), np.array([[0, 3], [2, 2]])),
    "two integers and array apart": (0, slice(None), np.array([1, 3])),
    "whole": (),
}
X3 = np.random.default_rng(0).normal(size=(2, 3, 4))


def mixed(x):
    parts = tuple(x[k] * 1.0 for k in MIXED.values())
    weighted = lambda x: sum(cl.sum(x[k] * (1.0 + np.arange(X3[k].size).reshape(X3[k].shape))) for k in MIXED.values())
    return (*parts, cl.grad(weighted)(x))


@pytest.mark.parametrize("form", FORMS)
def test_mixed_indices_are_numpys(form):
    gradient = np.zeros_like(X3)
    for k in MIXED.values():
        np.add.at(gradient, k, 1.0 + np.arange(X3[k].size).reshape(X3[k].shape))
    got = FORMS[form](mixed, X3)
    assert_equal_all(got[:-1], [X3[k] for k in MIXED.values()], list(MIXED))
    np.testing.assert_allclose(np.asarray(got[-1]), gradient, rtol=1e-14)


SYMBOLIC = {
    "from the size": lambda x, n: x[n - 2 :],
    "past the start, reversed": lambda x, n: x[-n - 1 :: -1],
    "to the half": lambda x, n: x[: n // 2],
    "the last by its size": lambda x, n: x[n - 1],
    "the first by its size": lambda x, n: x[-n],
    "beyond both ends": lambda x, n: x[-2 * n : 3 * n],
    "nothing": lambda x, n: x[n:],
    "every second": lambda x, n: x[::2],
    "the last two": lambda x, n: x[-2:],
}


@pytest.mark.parametrize("executor", ["numpy", "numba"])
@pytest.mark.parametrize("name", SYMBOLIC)
def test_sizes_as_bounds(name, executor):
    """One compiled function for several sizes: a bound that falls on another side makes another program."""
    f = SYMBOLIC[name]
    compiled = cl.compile(lambda x: f(x, x.shape[0]) * 2, executor=executor)
    for n in (5, 2, 3, 6, 5):
        x = np.arange(float(n))
        assert_equal_all([compiled(x)], [np.asarray(f(x, n) * 2.0)], [f"{name} of {n}"])


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ((np.array([0, 1]), np.array([0, 1, 2])), "index arrays of one key cannot be paired"),
        ((0, 0, 0, 0), "too many indices"),
        ((Ellipsis, 0, Ellipsis), "too many indices"),
        ((2,), "index 2 is out of range on axis 0"),
        ((0, -4), "index -4 is out of range on axis 1"),
        ((slice(0.5, 2),), "a slice is made of integers, and its step is not 0"),
        ((True,), "this index is not supported"),
        ((np.array([True, False, True]),), "a mask"),
        ((0.0,), "this index is not supported"),
        (("a",), "this index is not supported"),
    ],
)
def test_what_is_not_supported_is_refused_alike(key, text):
    for f in (lambda x: x[key], cl.compile(lambda x: x[key], executor="numpy")):
        with pytest.raises(ClearpropError, match=text):
            f(cl.asarray(X3))
