"""Rows of the primitives that move and gather entries; values by loops over entries."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.primitives.rows import (
    Row,
    case,
    distributions,
    floats,
    integers,
)

ANY = floats(-2.5, 2.5)
INT64 = np.dtype("int64")


def moved(source: Callable[..., Any], shape: Callable[..., Any]) -> Callable[..., np.ndarray]:
    """An oracle of a move: `source(at, x, …)` is the index into x of the entry that stands at `at` in the result."""

    def oracle(x: Any, *rest: Any, **params: Any) -> np.ndarray:
        out = np.empty(shape(x, *rest, **params), x.dtype)
        for at in np.ndindex(*out.shape):
            out[at] = x[source(at, x, *rest, **params)]
        return out

    return oracle


def scattered(target: Callable[..., Any], shape: Callable[..., Any]) -> Callable[..., np.ndarray]:
    """An oracle of a transpose of a move: every entry of x is added where `target` says."""

    def oracle(x: Any, *rest: Any, **params: Any) -> np.ndarray:
        out = np.zeros(shape(x, *rest, **params), x.dtype)
        for at in np.ndindex(*x.shape):
            out[target(at, x, *rest, **params)] += x[at]
        return out

    return oracle


def _reshaped(x: Any, shape: Any) -> Any:
    return np.array([x[at] for at in np.ndindex(*x.shape)], x.dtype).reshape(shape)


def _key_source(at: Any, x: Any, key: Any) -> Any:
    rest = iter(at)
    return tuple(range(n)[k][next(rest)] if isinstance(k, slice) else k for n, k in zip(x.shape, key, strict=True))


def _key_shape(x: Any, key: Any) -> Any:
    return tuple(len(range(n)[k]) for n, k in zip(x.shape, key, strict=True) if isinstance(k, slice))


def _put_target(at: Any, x: Any, shape: Any, key: Any) -> Any:
    return _key_source(at, np.empty(shape), key)


def _take_source(at: Any, x: Any, indices: Any, axis: int) -> Any:
    a, k = axis % x.ndim, indices.ndim
    return (*at[:a], indices[at[a : a + k]], *at[a + k :])


def _take_shape(x: Any, indices: Any, axis: int) -> Any:
    a = axis % x.ndim
    return x.shape[:a] + indices.shape + x.shape[a + 1 :]


def _spread_target(at: Any, x: Any, indices: Any, size: int, axis: int) -> Any:
    a, k = x.ndim - indices.ndim + 1 + axis, indices.ndim
    return (*at[:a], indices[at[a : a + k]], *at[a + k :])


def _spread_shape(x: Any, indices: Any, size: int, axis: int) -> Any:
    a = x.ndim - indices.ndim + 1 + axis
    return (*x.shape[:a], size, *x.shape[a + indices.ndim :])


def _clamped(at: Any, shape: Any) -> Any:
    return tuple(i if n > 1 else 0 for i, n in zip(at, shape, strict=True))


def _along_source(at: Any, x: Any, indices: Any, axis: int) -> Any:
    source = list(_clamped(at, x.shape))
    source[axis] = indices[_clamped(at, indices.shape)]
    return tuple(source)


def _along_shape(x: Any, indices: Any, axis: int) -> Any:
    a = axis % x.ndim
    return tuple(j if i == a else max(n, j) for i, (n, j) in enumerate(zip(x.shape, indices.shape, strict=True)))


def _along_target(at: Any, x: Any, indices: Any, size: int, axis: int) -> Any:
    target = list(at)
    target[axis] = indices[_clamped(at, indices.shape)]
    return tuple(target)


def _resized(x: Any, indices: Any, size: int, axis: int) -> Any:
    return tuple(size if i == axis % x.ndim else n for i, n in enumerate(x.shape))


def _concatenated(*arrays: Any, axis: int) -> Any:
    parts = [part for a in arrays for part in np.moveaxis(a, axis, 0)]
    return np.moveaxis(np.array(parts).reshape(len(parts), *np.moveaxis(arrays[0], axis, 0).shape[1:]), 0, axis)


def _inverse_axes(at: Any, x: Any, axes: Any) -> Any:
    out = [0] * x.ndim
    for i, a in enumerate(axes):
        out[a] = at[i]
    return tuple(out)


def _flipped(at: Any, x: Any, axis: Any = None) -> Any:
    axes = {a % x.ndim for a in range(x.ndim)} if axis is None else {a % x.ndim for a in np.atleast_1d(axis)}
    return tuple(n - 1 - i if j in axes else i for j, (i, n) in enumerate(zip(at, x.shape, strict=True)))


def _insert(at: Any, axes: Any) -> Any:
    n = len(at)
    return tuple(i for j, i in enumerate(at) if j - n not in axes)


STRUCTURAL = [
    Row(
        "full",
        (),
        (case(shape=(2, 3), value=2, dtype=np.dtype("float32")), case(shape=(), value=1.5, dtype=np.dtype("float64"))),
        lambda shape, value, dtype: np.array([value] * math.prod(shape), dtype).reshape(shape),
        ulps=0,
    ),
    Row(
        "arange",
        (),
        (case(size=5, dtype=INT64), case(size=0, dtype=INT64)),
        lambda size, dtype: np.array(list(range(size)), dtype),
        ulps=0,
        kind="i",
    ),
    Row("size", (), (case(dim=7),), lambda dim: dim, ulps=0, kind="i"),
    Row(
        "reshape",
        (ANY,),
        (
            case("nm", given=lambda n, m: {"shape": (m, n)}),
            case("nm", given=lambda n, m: {"shape": (n * m,)}),
            case("n", given=lambda n: {"shape": (n, 1)}),
            case("", shape=(1, 1)),
            case("0n", given=lambda n: {"shape": (n, 0)}),
        ),
        _reshaped,
        ulps=0,
    ),
    Row(
        "permute_dims",
        (ANY,),
        (
            case("nm", axes=(-1, -2)),
            case("nmk", axes=(-1, -3, -2)),
            case("n1m", axes=(-2, -1, -3)),
            case("", axes=()),
            case("0n", axes=(-1, -2)),
        ),
        moved(_inverse_axes, lambda x, axes: tuple(x.shape[a] for a in axes)),
        ulps=0,
    ),
    Row(
        "broadcast_to",
        (ANY,),
        (
            case("n", given=lambda n, m: {"shape": (m, n)}),
            case("n1", given=lambda n, m: {"shape": (n, m)}),
            case("", given=lambda n: {"shape": (n,)}),
            case("1", shape=(0,)),
            case("nm", given=lambda n, m: {"shape": (n, m)}),
        ),
        moved(lambda at, x, shape: _clamped(at[len(at) - x.ndim :], x.shape), lambda x, shape: shape),
        ulps=0,
    ),
    Row(
        "squeeze",
        (ANY,),
        (case("n1", axis=-1), case("1n1", axis=(0, 2)), case("1"), case("1", axis=0), case("10", axis=0)),
        lambda x, axis=None: _reshaped(
            x,
            _insert(
                x.shape,
                {
                    a - x.ndim if a >= 0 else a
                    for a in (range(x.ndim) if axis is None else np.atleast_1d(axis).tolist())
                },
            ),
        ),
        ulps=0,
    ),
    Row(
        "expand_dims",
        (ANY,),
        (case("n", axis=(-1,)), case("nm", axis=(-3, -1)), case("", axis=(-1,)), case("0", axis=(-2,))),
        moved(lambda at, x, axis: _insert(at, axis), lambda x, axis: _opened(x.shape, axis)),
        ulps=0,
    ),
    Row(
        "flip",
        (ANY,),
        (case("n"), case("nm", axis=0), case("nmk", axis=(0, -1)), case("1n", axis=1), case("0n", axis=1)),
        moved(_flipped, lambda x, axis=None: x.shape),
        ulps=0,
    ),
    Row(
        "require_range",
        (ANY,),
        (
            case("n", low=-10, high=11, name="f"),
            case("nm", low=-10, high=10, name="f"),
            case("0n", low=0, high=1, name="f"),
        ),
        moved(lambda at, x, **_: at, lambda x, **_: x.shape),
        ulps=0,
    ),
    Row(
        "require_probabilities",
        (distributions(),),
        (case("m", name="f"), case("nm", name="f"), case("0m", name="f")),
        moved(lambda at, x, **_: at, lambda x, **_: x.shape),
        ulps=0,
        variant="probabilities",
        analytic=False,
    ),
    Row(
        "concat",
        (ANY, ANY),
        (case("n", "m", axis=0), case("nm", "nk", axis=-1), case("nm", "1m", axis=0), case("0m", "nm", axis=0)),
        _concatenated,
        ulps=0,
    ),
    Row(
        "concat",
        (ANY, ANY, ANY),
        (case("n", "n", "m", axis=0), case("n1", "nm", "nk", axis=1)),
        _concatenated,
        ulps=0,
        variant="three",
    ),
    Row("concat", (ANY,), (case("nm", axis=0),), _concatenated, ulps=0, variant="one"),
]


def _opened(shape: Any, axes: Any) -> Any:
    rest = iter(shape)
    n = len(shape) + len(axes)
    return tuple(1 if i - n in axes else next(rest) for i in range(n))


_SLICES = (
    case("n", key=(slice(0, 2, 1),)),
    case("nm", key=(1, slice(None))),
    case("kmn", key=(slice(None), 1, slice(None))),
    case("n", key=(-1,)),
    case("n", given=lambda n: {"key": (slice(1, n, 1),)}),
)
_FIXED_SLICES = (
    case("k", key=(slice(3, 0, -2),)),
    case("kn", key=(slice(0, 4, 2), slice(0, 0, 1))),
)
INDEXING = [
    Row("getitem", (ANY,), (*_SLICES, case("", key=())), moved(_key_source, _key_shape), ulps=0),
    Row("getitem", (ANY,), _FIXED_SLICES, moved(_key_source, _key_shape), ulps=0, variant="steps", fixed="a step"),
    Row(
        "scatter_slice",
        (ANY,),
        (
            case("m", given=lambda m, n: {"shape": (m, n), "key": (slice(None), 1)}),
            case("", given=lambda n: {"shape": (n,), "key": (2,)}),
            case("nm", given=lambda n, m, b: {"shape": (b, n, m), "key": (1, slice(None), slice(None))}),
            case("0", shape=(3,), key=(slice(0, 0, 1),)),
        ),
        scattered(_put_target, lambda x, shape, key: shape),
        ulps=0,
    ),
    Row(
        "take",
        (ANY, integers(0, "n")),
        (
            case("n", "k", axis=-1),
            case("nm", "k", axis=0),
            case("mn", "k", axis=1),
            case("n", "km", axis=0),
            case("mn", "", axis=-1),
            case("n", "0", axis=0),
            case("bnm", "k", axis=-2),
        ),
        moved(_take_source, _take_shape),
        ulps=0,
    ),
    Row(
        "take_transposed",
        (ANY, integers(0, "n")),
        (
            case("k", "k", given=lambda n: {"size": n, "axis": -1}),
            case("km", "k", given=lambda n: {"size": n, "axis": -2}),
            case("mkb", "kb", given=lambda n: {"size": n, "axis": -1}),
            case("m", "", given=lambda n: {"size": n, "axis": -1}),
            case("0", "0", given=lambda n: {"size": n, "axis": -1}),
        ),
        scattered(_spread_target, _spread_shape),
        ulps=2,
    ),
    Row(
        "take_along_axis",
        (ANY, integers(0, "n")),
        (
            case("n", "k", axis=-1),
            case("nm", "km", axis=-2),
            case("mn", "mk", axis=-1),
            case("1n", "1k", axis=-1),
            case("bnm", "bkm", axis=-2),
            case("n", "0", axis=-1),
        ),
        moved(_along_source, _along_shape),
        ulps=0,
    ),
    Row(
        "along_transposed",
        (ANY, integers(0, "n")),
        (
            case("k", "k", given=lambda n: {"size": n, "axis": -1}),
            case("km", "km", given=lambda n: {"size": n, "axis": -2}),
            case("mk", "mk", given=lambda n: {"size": n, "axis": -1}),
            case("0", "0", given=lambda n: {"size": n, "axis": -1}),
        ),
        scattered(_along_target, _resized),
        ulps=2,
    ),
    Row(
        "one_hot",
        (integers(0, "n"),),
        (
            case("k", given=lambda n: {"size": n}),
            case("km", given=lambda n: {"size": n, "dtype": np.dtype("float32")}),
            case("", given=lambda n: {"size": n}),
            case("0", given=lambda n: {"size": n}),
        ),
        lambda labels, size, dtype=np.float64: np.array(
            [[float(i == c) for i in range(size)] for c in labels.ravel()], dtype
        ).reshape(*labels.shape, size),
        ulps=0,
    ),
]

ROWS = [*STRUCTURAL, *INDEXING]
