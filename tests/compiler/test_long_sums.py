"""Sums of many numbers: the error does not grow with their number, whatever the form of the loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler.long_sums import BLOCK
from tests.compiler.plain import plain
from tests.tiers import diagonal

LARGE = {
    "vector": (400_000,),
    "long rows": (2, 150_000),
    "long columns": (150_000, 9),
    "rows in lanes": (150_000, 7),
    "unrolled rows": (150_000, 3),
    "three axes": (30, 2_000, 5),
    "square": (700, 700),
}
SMALL = {"vector": (700,), "long rows": (2, 601), "long columns": (601, 9), "rows in lanes": (601, 7),
         "unrolled rows": (601, 3), "three axes": (30, 23, 5), "square": (300, 301)}  # fmt: skip


def sums(x):
    """Over everything and over each axis; of the array, of a function of it, and per row before that."""
    axes = [(a,) for a in range(x.ndim)]
    whole = (cl.sum(x), cl.sum(x * 0.5), cl.sum(cl.sum(x, axis=-1) * 2.0))
    return (*whole, *(cl.sum(x, axis=a) for a in axes), *(cl.sum(x * 3.0, axis=a) for a in axes))


def exact(x):
    """The same in extended precision, by NumPy's pairwise summation; and the sums of absolute values."""
    x = x.astype(np.longdouble)
    found = []
    for v in (x, np.abs(x)):
        axes = [v.sum(a) for a in range(v.ndim)]
        found.append([v.sum(), v.sum() * 0.5, v.sum() * 2, *axes, *(3 * a for a in axes)])
    return zip(*found, strict=True)


def draw(shape, dtype, kind):
    rng = np.random.default_rng(0)
    if kind == "constant":
        return np.full(shape, 0.1, dtype)
    return (rng.normal(size=shape) * 10.0 ** rng.integers(-3, 4, shape)).astype(dtype)


def assert_within_bound(got, x):
    """(BLOCK + 2)·eps·Σ|x| for blocks; twice, and a few roundings, where rows are summed before."""
    eps = np.finfo(x.dtype).eps
    for k, (value, (want, size)) in enumerate(zip(got, exact(x), strict=True)):
        error = np.abs(np.asarray(value).astype(np.longdouble) - want)
        assert np.all(error <= (BLOCK + 2) * eps * size), f"sum {k}: {np.max(error / size) / eps} eps"


@pytest.mark.parametrize(("name", "dtype", "kind"), diagonal(LARGE, ["float32", "float64"], ["constant", "mixed"]))
def test_native_sums(name, dtype, kind):
    x = draw(LARGE[name], dtype, kind)
    assert_within_bound(cl.compile(sums, executor="numba")(x), x)


FORMS = ({}, {"form": "rows"}, {"form": "lanes"}, {"threads": 2})
NARROW = [name for name, shape in SMALL.items() if shape[-1] < 10]


@pytest.mark.parametrize(("name", "options"), [(n, o) for o in FORMS for n in (NARROW if "lanes" in str(o) else SMALL)])
def test_interpreted_sums(name, options):
    x = draw(SMALL[name], "float32", "mixed")
    with plain(**options):
        assert_within_bound(cl.compile(sums)(x), x)


@pytest.mark.parametrize("special", [np.inf, -np.inf, np.nan])
def test_infinities_and_nan_stay_what_they_are(special):
    for shape in (LARGE["unrolled rows"], SMALL["long rows"], SMALL["square"], (1000,)):
        x = draw(shape, "float32", "constant")
        x.reshape(-1)[x.size // 2] = special
        for got, want in zip(cl.compile(sums, executor="numba")(x), sums(cl.asarray(x)), strict=True):
            a, b = np.asarray(got), np.asarray(want)
            np.testing.assert_array_equal(np.isfinite(a), np.isfinite(b))
            np.testing.assert_array_equal(a[~np.isfinite(a)], b[~np.isfinite(b)])


def test_overflow_is_infinite():
    x = np.full(1000, 3e38, np.float32)
    assert math.isinf(float(cl.compile(lambda x: cl.sum(x), executor="numba")(x)))


@pytest.mark.parametrize("rows", [1000, 100_000])
def test_losses_and_gradients_of_many_rows(rows):
    """The mean of a loss per row, and the gradient of a bias: what training sums."""
    z, labels = draw((rows, 3), "float32", "constant"), np.zeros(rows, np.int64)

    def f(b):
        return cl.nn.cross_entropy(cl.asarray(z) + b, labels)

    loss, gradient = cl.compile(cl.value_and_grad(f), executor="numba")(np.zeros(3, np.float32))
    assert abs(float(loss) - math.log(3)) < 1e-6
    np.testing.assert_allclose(np.asarray(gradient), [-2 / 3, 1 / 3, 1 / 3], rtol=1e-6)
