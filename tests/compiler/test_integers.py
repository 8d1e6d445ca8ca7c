"""Integers and booleans: compiled programs give the values and dtypes of eager execution, exactly or to rounding."""

from __future__ import annotations

import numpy as np
import pytest

import clearprop as cl
from clearprop.autodiff.trees import flatten
from tests.compiler.plain import plain

RNG = np.random.default_rng(0)
DTYPES = ("int64", "int32", "uint8", "bool")
FUNCTIONS = {
    "extrema": lambda x: (cl.min(x, axis=0), cl.max(x, axis=1), cl.max(x), cl.min(x), cl.maximum(x, 1)),
    "sums": lambda x: (cl.sum(x, axis=0), cl.sum(x), cl.cumulative_sum(x, axis=0), cl.prod(x[:2], axis=1)),
    "means": lambda x: (cl.mean(x, axis=0), cl.var(x, axis=1), cl.norm(x), x / 3, x * x.shape[0]),
    "functions": lambda x: (cl.exp(x), cl.sqrt(cl.abs(x)), cl.tanh(x), cl.sigmoid(x), cl.atan2(x, x + 1), x**0.5),
    "powers": lambda x: (x**2, x * x * x, cl.square(x), x + 0.5, x + True, x - 1),
    "roundings": lambda x: (cl.floor(x), cl.ceil(x), cl.round(x), cl.abs(x)),
    "choices": lambda x: (cl.where(x > 1, x, 0), cl.where(x > 1, x, 0.5), cl.clip(x, 0, 2), cl.equal(x, 1)),
    "truth": lambda x: (cl.any(x, axis=0), cl.all(x, axis=1), cl.logical_not(x), cl.logical_and(x, x > 1)),
    "indices": lambda x: (cl.argmax(x, axis=0), cl.argmin(x, axis=1), cl.take(x, np.array([0, 1]), axis=1)),
    "joined": lambda x: (
        cl.concat([x, x], axis=0),
        cl.flip(x, axis=0),
        x[1:],
        cl.permute_dims(x, (1, 0))[:, :3] + x[:3],
    ),
    "distributions": lambda x: (cl.softmax(x), cl.log_softmax(x), cl.logsumexp(x, axis=0)),
    "casts": lambda x: (x.astype(np.float32) * 2, x.astype(np.int64), x.astype(bool)),
    "one_hot": lambda x: cl.one_hot(x[:, 0], 4),
}
EXCLUDED = {"uint8": ("powers", "sums", "means"), "bool": ("powers", "roundings", "one_hot", "extrema")}
"""What is another question: sums of unsigned integers are uint64, which has no native form; −1 is no uint8."""


def values(dtype):
    x = RNG.integers(0, 4, (5, 3))
    return (x - 1 if dtype.startswith("int") else x).astype(dtype)


def assert_same(got, want, what):
    for a, b in zip(flatten(got)[0], flatten(want)[0], strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.dtype == b.dtype and a.shape == b.shape, f"{what}: {a.dtype}{a.shape}, expected {b.dtype}{b.shape}"
        if b.dtype.kind == "f":
            np.testing.assert_allclose(a, b, rtol=1e-6 if b.dtype == np.float32 else 1e-14, atol=1e-14, err_msg=what)
        else:
            assert np.array_equal(a, b), f"{what}: {a} instead of {b}"


def cases():
    return [(d, n) for d in DTYPES for n in FUNCTIONS if n not in EXCLUDED.get(d, ())]


@pytest.mark.parametrize(("dtype", "name"), cases())
def test_by_numpy_and_interpreted(dtype, name):
    f, x = FUNCTIONS[name], values(dtype)
    with np.errstate(all="ignore"):
        want = f(cl.asarray(x))
    assert_same(cl.compile(f, executor="numpy")(x), want, f"{name} of {dtype}, NumPy")
    with plain(form="rows"):
        assert_same(cl.compile(f)(x), want, f"{name} of {dtype}, interpreted")


@pytest.mark.parametrize("name", ["extrema", "sums", "choices"])
def test_on_numba(name):
    f, x = FUNCTIONS[name], values("int32")
    assert_same(cl.compile(f, executor="numba")(x), f(cl.asarray(x)), name)


@pytest.mark.verify
@pytest.mark.parametrize(("dtype", "name"), cases())
def test_every_kind_on_numba(dtype, name):
    f, x = FUNCTIONS[name], values(dtype)
    with np.errstate(all="ignore"):
        want = f(cl.asarray(x))
    assert_same(cl.compile(f, executor="numba")(x), want, f"{name} of {dtype}")


def test_extrema_of_the_largest_integers():
    """They start from the dtype's bounds: integers have no infinity."""
    for dtype in ("int64", "int32"):
        info = np.iinfo(dtype)
        x = np.array([[info.min, info.max], [info.max, info.max], [info.min, info.min]], dtype)
        f = lambda x: (cl.max(x, axis=1), cl.min(x, axis=1), cl.max(x, axis=0), cl.min(x))
        assert_same(cl.compile(f, executor="numba")(x), f(cl.asarray(x)), dtype)


def test_a_product_of_integers_runs_on_numpy():
    """BLAS has none; what it would make of their bits is nobody's wish."""
    a = np.arange(12).reshape(3, 4)
    with pytest.warns(cl.ExecutorWarning, match="matmul of int64 has no native form"):
        got = cl.compile(_integer_product)(a)
    assert np.array_equal(np.asarray(got), a @ a.T)


def _integer_product(a):
    return a @ a.mT


def test_small_integers_become_doubles_not_halves():
    """NumPy's exp of uint8 is float16."""
    x = np.array([0, 1, 5], np.uint8)
    want = np.exp(x.astype(np.float64))
    for f in (cl.exp, cl.compile(cl.exp, executor="numpy"), cl.compile(cl.exp, executor="numba")):
        got = np.asarray(f(x))
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, want, rtol=1e-15)
    assert float(cl.norm(np.array([200, 200], np.uint8))) == np.hypot(200, 200)
    np.testing.assert_allclose(np.asarray(cl.softmax(np.array([1, 5], np.uint8))), cl.softmax(np.array([1.0, 5.0])))
