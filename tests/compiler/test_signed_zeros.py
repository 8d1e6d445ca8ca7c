"""The sign of zero by every executor, where the order of terms or the shape decides how a kernel is written.

Elementwise functions meet both zeros in the table of dtypes (`dtype_table`).  Here are sums, extremes and products,
in whose arrays most numbers are zeros of either sign, or all are −0; and what shows a sign: 1/x, copysign, atan2.
"""

from __future__ import annotations

import zlib

import numpy as np
import pytest

import clearprop as cl
from clearprop import nn
from tests.compiler.plain import plain

SHAPES = {  # how a kernel is written for it
    "one number": (1, 1), "one row": (1, 5), "one column": (5, 1), "written out": (40, 3), "lanes": (70, 6),
    "rows": (13, 21), "long rows": (2, 280), "long columns": (280, 2), "no rows": (0, 3), "no columns": (3, 0),
}  # fmt: skip
NUMBERS = {"minus zeros": (-0.0,), "zeros": (0.0, -0.0, -0.0, -0.0), "mixed": (0.0, -0.0, 1.0, -1.0)}


def sums(x):
    """Sums by every axis, of what is in memory and of what is computed on the way."""
    axes = (None, 0, -1)
    rows = cl.sum(x, axis=-1, keepdims=True)
    return (
        *(cl.sum(x, axis=a) for a in axes), *(cl.sum(-(x * x), axis=a) for a in axes),
        x + rows, cl.cumulative_sum(x, axis=0), cl.cumulative_sum(x, axis=-1),
    )  # fmt: skip


def extremes(x):
    """Extremes by every axis, alone, negated, beside their row, and where their sign is seen."""
    axes = (None, 0, -1)
    top, low = cl.max(x, axis=-1, keepdims=True), cl.min(x, axis=-1, keepdims=True)
    found = [f(x, axis=a) for f in (cl.max, cl.min, cl.mean, cl.logsumexp) for a in axes]
    return (*found, -top, x * low, cl.copysign(1.0, top), 1.0 / low, cl.atan2(low, top), x - cl.max(x, axis=0))


def products(x):
    """Products with one and with several terms an element, and what BLAS makes of their sum."""
    weights = cl.abs(x)
    return x.mT @ weights, x @ weights.mT, x[:, :1] @ weights[:1], x[:1].mT @ weights[:1], x.mT @ weights + 0.0


FUNCTIONS = {"sums": sums, "extremes": extremes, "products": products}
EMPTY = ("no rows", "no columns")
CASES = [(f, s, n) for f in FUNCTIONS for s in SHAPES for n in NUMBERS if f == "sums" or s not in EMPTY]


def numbers(shape, name, dtype="float32"):
    rng = np.random.default_rng(zlib.crc32(f"{shape} {name}".encode()))
    return rng.choice(np.array(NUMBERS[name], dtype), SHAPES[shape])


def assert_same_zeros(got, want):
    for k, (a, b) in enumerate(zip(got, want, strict=True)):
        a, b = np.asarray(a), np.asarray(b)
        assert np.array_equal(a == 0, b == 0), f"output {k}: {a} instead of {b}"
        assert np.array_equal(np.isnan(a), np.isnan(b)), f"output {k}: {a} instead of {b}"
        other = (a == 0) & (np.signbit(a) != np.signbit(b))
        assert not other.any(), f"output {k}: {a[other][:3]} instead of {b[other][:3]} at {np.argwhere(other)[:3]}"


@pytest.mark.parametrize(("function", "shape", "name"), CASES)
def test_numpy_and_interpreted_kernels(function, shape, name):
    f, x = FUNCTIONS[function], numbers(shape, name)
    want = f(cl.tensor(x))
    assert_same_zeros(cl.compile(f, executor="numpy")(x), want)
    with plain():
        assert_same_zeros(cl.compile(f)(x), want)


@pytest.mark.parametrize(("function", "shape", "name"), [c for c in CASES if c[1] == "written out" and c[2] == "zeros"])
def test_compiled_kernels(function, shape, name):
    f, x = FUNCTIONS[function], numbers(shape, name)
    assert_same_zeros(cl.compile(f, executor="numba")(x), f(cl.tensor(x)))


@pytest.mark.verify
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_compiled_kernel(function, shape, dtype):
    compiled = cl.compile(FUNCTIONS[function], executor="numba")
    for name in (n for f, s, n in CASES if (f, s) == (function, shape)):
        x = numbers(shape, name, dtype)
        assert_same_zeros(compiled(x), FUNCTIONS[function](cl.tensor(x)))


def test_what_the_rules_are():
    """Of equal zeros `maximum` takes the second, `max` has +0, a sum begins at +0, a running sum at the first."""
    plus, minus = cl.tensor([0.0]), cl.tensor([-0.0])
    both = cl.concat([minus, plus, minus])
    want = {
        "+0": [plus + minus, minus + 0.0, 0.0 - plus, cl.sum(minus), cl.sum(both), cl.max(minus), cl.max(both),
               cl.min(both), cl.maximum(minus, plus), cl.minimum(minus, 0.0), cl.relu(minus), cl.sum(both[:0])],
        "−0": [minus + minus, minus - 0.0, cl.maximum(plus, minus), cl.minimum(plus, -0.0), -plus,
               cl.cumulative_sum(minus), cl.where(plus > 0, plus, minus)],
    }  # fmt: skip
    for sign, values in want.items():
        assert [bool(np.signbit(np.asarray(v)).any()) for v in values] == [sign == "−0"] * len(values)


def windows(x):
    """Convolutions of all kinds and pools, with their gradients."""
    w, point, deep = cl.abs(x[0, :3, :3, :, None]), cl.abs(x[0, :1, :1, :, None]), cl.abs(x[0, :3, :3, None, :])
    conv = (cl.conv(x, w, padding="same"), cl.conv(x, point), cl.conv(x, deep, groups=4, padding="same"))
    pools = [nn.MaxPool(2), nn.AvgPool(2), nn.MaxPool(3, stride=2)]
    slopes = [cl.grad(lambda x, p=p: cl.sum(p(x) * x[:, :1, :1]))(x) for p in pools]
    return (*conv, *(p(x) for p in pools), *slopes)


def assert_same_windows(executor):
    compiled = cl.compile(windows, executor=executor)
    for values in NUMBERS.values():
        x = np.random.default_rng(0).choice(np.array(values, np.float32), (2, 6, 6, 4))
        assert_same_zeros(compiled(x), windows(cl.tensor(x)))


def test_windows():
    assert_same_windows("numpy")


@pytest.mark.verify
def test_compiled_windows():
    assert_same_windows("numba")


def test_powers_of_one_half_in_an_array_are_those_of_ieee():
    """NumPy takes the root where the exponent is one number: of −∞ that is NaN, of −0 it is −0."""
    x, half = np.array([-np.inf, -0.0, 0.0, 4.0, -1.0, np.inf, np.nan]), np.array(0.5)
    want = [np.inf, 0.0, 0.0, 2.0, np.nan, np.inf, np.nan]
    eager = cl.pow(cl.asarray(x), cl.asarray(half))
    for found in (eager, *(cl.compile(cl.pow, executor=e)(x, half) for e in ("numpy", "numba"))):
        np.testing.assert_array_equal(np.asarray(found), want)
        assert not np.signbit(np.asarray(found)[np.isfinite(want)]).any()
