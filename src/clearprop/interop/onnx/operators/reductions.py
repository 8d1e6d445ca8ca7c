"""Sums, means, extremes along axes, and running ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from clearprop.arrays import functions as f
from clearprop.interop.onnx.graph_values import dtype_of, integers, rank, sizes
from clearprop.interop.onnx.operator_table import operator

Reduction = Callable[..., Any]


def _sum_square(x: Any, *, axis: Any, keepdims: bool) -> Any:
    return f.sum(x * x, axis=axis, keepdims=keepdims, dtype=dtype_of(x))


def _l1(x: Any, *, axis: Any, keepdims: bool) -> Any:
    return f.sum(f.abs(x), axis=axis, keepdims=keepdims, dtype=dtype_of(x))


def _l2(x: Any, *, axis: Any, keepdims: bool) -> Any:
    total = _sum_square(x, axis=axis, keepdims=keepdims)
    return f.sqrt(total) if dtype_of(x).kind == "f" else f.astype(f.sqrt(f.astype(total, "float64")), dtype_of(x))


def _sum(x: Any, *, axis: Any, keepdims: bool) -> Any:
    return f.sum(x, axis=axis, keepdims=keepdims, dtype=dtype_of(x))


def _prod(x: Any, *, axis: Any, keepdims: bool) -> Any:
    return f.prod(x, axis=axis, keepdims=keepdims, dtype=dtype_of(x))


def _log_sum(x: Any, *, axis: Any, keepdims: bool) -> Any:
    return f.log(f.sum(x, axis=axis, keepdims=keepdims))


def _log_sum_exp(x: Any, *, axis: Any, keepdims: bool) -> Any:
    if 0 in sizes(x):  # the logarithm of an empty sum
        return f.log(f.sum(x, axis=axis, keepdims=keepdims))
    return f.logsumexp(x, axis=axis, keepdims=keepdims)


def _extreme(reduction: Reduction, lowest: bool) -> Reduction:
    """The largest or smallest number; truth values count as 0 and 1, and of nothing it is the neutral number."""

    def reduce(x: Any, *, axis: Any, keepdims: bool) -> Any:
        if dtype_of(x).kind == "b":
            return f.astype(reduce(f.astype(x, "uint8"), axis=axis, keepdims=keepdims), "bool")
        if 0 not in sizes(x):
            return reduction(x, axis=axis, keepdims=keepdims)
        kind = dtype_of(x)
        limits = (-np.inf, np.inf) if kind.kind == "f" else (np.iinfo(kind).min, np.iinfo(kind).max)
        empty = f.sum(x, axis=axis, keepdims=keepdims, dtype=kind)
        return f.full(sizes(empty), limits[0] if lowest else limits[1], dtype=kind)

    return reduce


_REDUCTIONS: dict[str, tuple[Reduction, int]] = {
    "ReduceL1": (_l1, 18),
    "ReduceL2": (_l2, 18),
    "ReduceLogSum": (_log_sum, 18),
    "ReduceLogSumExp": (_log_sum_exp, 18),
    "ReduceMax": (_extreme(f.max, lowest=True), 18),
    "ReduceMean": (f.mean, 18),
    "ReduceMin": (_extreme(f.min, lowest=False), 18),
    "ReduceProd": (_prod, 18),
    "ReduceSum": (_sum, 13),
    "ReduceSumSquare": (_sum_square, 18),
}
"""Every reduction, and from which version on its axes are an input."""


def _axes_of(x: Any, axes: tuple[int, ...]) -> tuple[int, ...]:
    return axes or tuple(range(rank(x)))


def _by_attribute(reduction: Reduction) -> Reduction:
    def reduce(x: Any, *, axes: tuple[int, ...] = (), keepdims: int = 1) -> Any:
        return reduction(x, axis=_axes_of(x, axes), keepdims=bool(keepdims))

    return reduce


def _by_input(reduction: Reduction) -> Reduction:
    def reduce(x: Any, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Any:
        chosen = () if axes is None else integers(axes, "the axes")
        if noop_with_empty_axes and not chosen:
            return reduction(f.expand_dims(x, -1), axis=(-1,), keepdims=False)
        return reduction(x, axis=_axes_of(x, chosen), keepdims=bool(keepdims))

    return reduce


for _name, (_reduction, _since) in _REDUCTIONS.items():
    operator(_name)(_by_attribute(_reduction))
    operator(_name, since=_since, settings=(1,))(_by_input(_reduction))


def _argument(reduction: Reduction) -> Reduction:
    def find(x: Any, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Any:
        if not select_last_index:
            return f.astype(reduction(x, axis=axis, keepdims=bool(keepdims)), "int64")
        last = sizes(x)[axis] - 1
        return f.astype(last - reduction(f.flip(x, axis=axis), axis=axis, keepdims=bool(keepdims)), "int64")

    return find


operator("ArgMax")(_argument(f.argmax))
operator("ArgMin")(_argument(f.argmin))


def _running(total: Reduction) -> Reduction:
    def run(x: Any, axis: Any, *, exclusive: int = 0, reverse: int = 0) -> Any:
        (along,) = integers(axis, "the axis")
        given = f.flip(x, axis=along) if reverse else x
        kept = dtype_of(x)
        sums = total(given, axis=along, dtype=kept, include_initial=bool(exclusive))
        if exclusive:
            sums = f.take(sums, np.arange(sizes(x)[along]), axis=along)
        return f.flip(sums, axis=along) if reverse else sums

    return run


operator("CumSum", settings=(1,))(_running(f.cumulative_sum))
operator("CumProd", settings=(1,))(_running(f.cumulative_prod))
