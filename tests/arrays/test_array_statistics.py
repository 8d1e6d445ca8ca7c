"""The array API standard, continued: statistics, searching, indexing, arrays' own attributes, and transforms."""

import math

import array_api_strict as strict
import numpy as np
import pytest

import clearprop as cl
from tests.arrays.deviations import DEVIATIONS, page, parts
from tests.arrays.test_array_api import COMPLEX, INTEGERS, REAL, both, numbers
from tests.tiers import together

REDUCTIONS = ("all", "any", "max", "mean", "min", "prod", "std", "sum", "var", "count_nonzero")
AXES = {"all axes": None, "axis 0": 0, "axis -1": -1, "both axes": (0, 1)}


@together("axis", AXES)
@together("dtype", ["bool", *REAL, *COMPLEX])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name, dtype, axis):
    x = numbers(dtype, np.random.default_rng(8))
    for keepdims in (False, True):
        both(lambda xp, x, k=keepdims: getattr(xp, name)(x, axis=AXES[axis], keepdims=k), x)


@together("dtype", [*REAL, *COMPLEX])
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_places_of_extremes(name, dtype):
    x = numbers(dtype, np.random.default_rng(9))
    for axis in (None, 0, -1):
        for keepdims in (False, True):
            both(lambda xp, x, a=axis, k=keepdims: getattr(xp, name)(x, axis=a, keepdims=k), x)


@together("dtype", ["bool", *REAL, *COMPLEX])
@pytest.mark.parametrize(
    "name",
    [
        "where",
        "take",
        "take_along_axis",
        "clip",
        "concat",
        "stack",
        "flip",
        "permute_dims",
        "squeeze",
        "reshape",
        "broadcast_to",
        "matrix_transpose",
        "zeros_like",
        "ones_like",
        "full_like",
    ],
)
def test_choosing_and_joining(name, dtype):
    calls = {
        "where": lambda xp, x: xp.where(x == x[:1, :], x, x[:, :1]),
        "take": lambda xp, x: (xp.take(x, xp.asarray([2, 0, -1]), axis=0), xp.take(x[0, :], xp.asarray([1]))),
        "take_along_axis": lambda xp, x: xp.take_along_axis(x, xp.asarray([[1], [0], [3]]), axis=1),
        "clip": lambda xp, x: (xp.clip(x, 0, 2), xp.clip(x, min=x[:1, :]), xp.clip(x, max=1)),
        "concat": lambda xp, x: (xp.concat([x, x[:1, :]]), xp.concat((x, x), axis=None), xp.concat([x, x], axis=-1)),
        "stack": lambda xp, x: (xp.stack([x, x]), xp.stack((x, x), axis=-1)),
        "flip": lambda xp, x: (xp.flip(x), xp.flip(x, axis=1), xp.flip(x, axis=(0, 1))),
        "permute_dims": lambda xp, x: xp.permute_dims(x, (1, 0)),
        "squeeze": lambda xp, x: xp.squeeze(x[:1, :, None], axis=(0, 2)),
        "reshape": lambda xp, x: (xp.reshape(x, (2, 6)), xp.reshape(x, (-1,)), xp.reshape(x, (4, 3), copy=True)),
        "broadcast_to": lambda xp, x: xp.broadcast_to(x[:1, :], (5, 4)),
        "matrix_transpose": lambda xp, x: (xp.matrix_transpose(x), x.mT, x.T),
        "zeros_like": lambda xp, x: (xp.zeros_like(x), xp.zeros_like(x, dtype=xp.float32)),
        "ones_like": lambda xp, x: (xp.ones_like(x), xp.ones_like(x, dtype=xp.int8)),
        "full_like": lambda xp, x: xp.full_like(x, 1),
    }
    both(calls[name], numbers(dtype, np.random.default_rng(10)))


KEYS = {
    "a number": (1,), "from the end": (-1, -2), "slices": (slice(None, None, 2), slice(3, 0, -1)),
    "one axis": (slice(1, 2), 2),
    "an ellipsis": (Ellipsis, 1), "a new axis": (slice(None), None, 0), "nothing": (slice(2, 2), slice(None)),
}  # fmt: skip


@together("dtype", ["bool", "int16", "uint64", "float32", *COMPLEX])
@pytest.mark.parametrize("key", [*KEYS, "integers", "a mask", "a mask of rows"])
def test_indexing(key, dtype):
    x = numbers(dtype, np.random.default_rng(11))
    at = {
        "integers": lambda xp, x: x[xp.asarray([2, 0]), xp.asarray([1, 1])],
        "a mask": lambda xp, x: x[x == x[:, :1]],
        "a mask of rows": lambda xp, x: x[xp.asarray([True, False, True])],
        "a number": lambda xp, x: x[1, ...],
    }
    both(at.get(key, lambda xp, x: x[KEYS[key]]), x)


@pytest.mark.parametrize("dtype", ["bool", *REAL, *COMPLEX])
def test_what_an_array_says_of_itself(dtype):
    values = numbers(dtype, np.random.default_rng(12))
    x, want = cl.asarray(values), strict.asarray(values)
    assert x.dtype == getattr(cl, dtype) and (x.shape, x.ndim, x.size) == (want.shape, want.ndim, want.size)
    assert x.__array_namespace__() is cl and x.device == "cpu" and x.to_device("cpu") is x
    one = x[0, 0]
    assert bool(one) == bool(want[0, 0]) and complex(one) == complex(want[0, 0])
    if dtype in INTEGERS:
        assert range(20)[one] == range(20)[int(one)]
    if dtype not in COMPLEX:
        assert float(one) == float(want[0, 0]) and int(one) == int(want[0, 0])


@pytest.mark.parametrize("name", ["e", "inf", "nan", "newaxis", "pi"])
def test_constants(name):
    own, want = getattr(cl, name), getattr(strict, name)
    assert own == want or (math.isnan(own) and math.isnan(want))


@together("dtype", ["float32", "float64", *COMPLEX])
@pytest.mark.parametrize(
    "name",
    ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft", "fftn", "ifftn", "rfftn", "irfftn", "fftshift", "ifftshift"],
)
def test_transforms(name, dtype):
    x = numbers(dtype, np.random.default_rng(13))
    several = name.endswith("n")
    given = (
        [{}]
        if name.endswith("shift")
        else [{}, {"axes": (0,)}, {"s": (2, 5), "axes": (0, 1)}]
        if several
        else [{}, {"n": 3}, {"axis": 0}]
    )
    for options in given:
        try:
            want = getattr(strict.fft, name)(strict.asarray(x), **options)
        except TypeError:
            continue  # of another kind than the standard transforms
        got = getattr(cl.fft, name)(cl.asarray(x), **options)
        want = np.asarray(want)
        assert got.dtype == want.dtype and got.shape == want.shape
        np.testing.assert_allclose(got.numpy(), want, rtol=0, atol=16 * np.finfo(want.dtype).eps * np.max(np.abs(want)))


# ----------------------------------------------------------------------------------------------------- deviations
@pytest.mark.parametrize("row", DEVIATIONS, ids=lambda row: row[0][:30])
def test_a_deviation_is_one(row):
    row[-1]()


def test_the_page_of_deviations_is_what_the_table_gives():
    assert len(DEVIATIONS) <= 20
    assert parts()[0] == page()
