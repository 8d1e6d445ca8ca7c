"""Numbers by their places: gathered, selected, sorted, counted."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from clearprop.arrays import functions as f
from clearprop.arrays.tensor import asarray
from clearprop.errors import ArgumentError
from clearprop.interop.onnx.graph_values import checked_shape, dtype_of, integers, known_numbers, rank, sizes
from clearprop.interop.onnx.operator_table import operator


def _counted_from_0(indices: Any, size: int) -> Any:
    """Indices without negative ones, which count from the end."""
    whole = f.astype(indices, "int64")
    return f.where(f.less(whole, 0), f.add(whole, size), whole)


@operator("Gather")
def gather(x: Any, indices: Any, *, axis: int = 0) -> Any:
    """The entries of x at these places along an axis."""
    places = _counted_from_0(indices, sizes(x)[axis])
    axis = axis % rank(x)
    if rank(indices) == 1:
        return f.take(x, places, axis=axis)
    checked_shape([math.prod(sizes(indices)), math.prod(sizes(x)) // max(sizes(x)[axis], 1)], "Gather")
    taken = f.take(x, f.reshape(places, (-1,)) if math.prod(sizes(indices)) else np.zeros(0, np.int64), axis=axis)
    old = sizes(x)
    return f.reshape(taken, (*old[:axis], *sizes(indices), *old[axis + 1 :]))


@operator("GatherElements")
def gather_elements(x: Any, indices: Any, *, axis: int = 0) -> Any:
    """For every entry of `indices` the entry of x at the same place but for this axis."""
    axis = axis % rank(x)
    key: Any = tuple(slice(None) if i == axis else slice(0, n) for i, n in enumerate(sizes(indices)))
    return f.take_along_axis(asarray(x)[key], _counted_from_0(indices, sizes(x)[axis]), axis=axis)


def flat_places(indices: Any, leading: tuple[int, ...]) -> Any:
    """Where the entries of the last axis of `indices` point in an array whose first axes are one."""
    steps = np.cumprod([1, *leading[:0:-1]])[::-1].astype(np.int64)
    parts = [
        _counted_from_0(asarray(indices)[..., i], n) * int(step)
        for i, (n, step) in enumerate(zip(leading, steps, strict=True))
    ]
    return f.add(parts[0], 0) if len(parts) == 1 else _total(parts)


def _total(parts: list[Any]) -> Any:
    total = parts[0]
    for part in parts[1:]:
        total = f.add(total, part)
    return total


@operator("GatherND")
def gather_nd(x: Any, indices: Any, *, batch_dims: int = 0) -> Any:
    """The slices of x at the places that the last axis of `indices` names, for each of the first axes by itself."""
    old, places = sizes(x), sizes(indices)
    depth = places[-1]
    batch = old[:batch_dims]
    named = old[batch_dims : batch_dims + depth]
    flat = flat_places(indices, named) if depth else f.zeros(places[:-1], dtype="int64")
    count = math.prod(named)
    if batch:
        start = np.arange(math.prod(batch)).reshape(*batch, *[1] * (len(places) - 1 - batch_dims)) * count
        flat = f.add(flat, start)
    rest = old[batch_dims + depth :]
    rows = f.reshape(x, (math.prod(batch) * count, *rest))
    return f.reshape(f.take(rows, f.reshape(flat, (-1,)), axis=0), (*places[:-1], *rest))


@operator("Compress", settings=(1,))
def compress(x: Any, condition: Any, *, axis: int | None = None) -> Any:
    """The entries (or the slices along an axis) where the condition holds."""
    places = np.flatnonzero(known_numbers(condition, "the condition"))
    return f.take(f.reshape(x, (-1,)), places, axis=0) if axis is None else f.take(x, places, axis=axis)


@operator("NonZero")
def non_zero(x: Any) -> Any:
    """The places where x is not 0, one row per axis."""
    return np.stack(np.nonzero(np.atleast_1d(known_numbers(x, "NonZero")))).astype(np.int64)


@operator("OneHot", settings=(1,))
def one_hot(indices: Any, depth: Any, values: Any, *, axis: int = -1) -> Any:
    """The second of `values` at the place that an index names along a new axis, the first elsewhere."""
    count = integers(depth, "the depth")[0]
    checked_shape([*sizes(indices), count], "OneHot")
    axis = axis % (rank(indices) + 1)
    places = f.expand_dims(_counted_from_0(indices, count), axis=axis)
    line = np.arange(count).reshape([-1 if i == axis else 1 for i in range(rank(indices) + 1)])
    off, on = asarray(values)[0], asarray(values)[1]
    return f.where(f.equal(places, line), on, off)


@operator("Hardmax")
def hardmax_of_rows(x: Any, *, axis: int = 1) -> Any:
    """1 at the first largest number of each row of the matrix that x makes from `axis` on, 0 elsewhere."""
    axis = axis % max(rank(x), 1)
    flat = f.reshape(x, (*sizes(x)[:axis], -1))
    return f.reshape(hardmax(flat, axis=-1), sizes(x))


@operator("Hardmax", since=13)
def hardmax(x: Any, *, axis: int = -1) -> Any:
    """1 at the first largest number along an axis, 0 elsewhere."""
    best = f.argmax(x, axis=axis, keepdims=True)
    line = np.arange(sizes(x)[axis]).reshape([-1 if i == axis % rank(x) else 1 for i in range(rank(x))])
    return f.astype(f.equal(best, line), dtype_of(x))


@operator("TopK")
def top_k_by_attribute(x: Any, *, axis: int = -1, k: int) -> Any:
    """The k largest numbers along an axis and their places."""
    return _best(x, k, axis, 1)


@operator("TopK", since=10, settings=(1,))
def top_k(x: Any, k: Any, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> Any:
    """The k largest (or smallest) numbers along an axis and their places, in order; of equal ones the first."""
    return _best(x, integers(k, "k")[0], axis, largest)


def _best(x: Any, k: int, axis: int, largest: int) -> Any:
    size = sizes(x)[axis]
    if not 0 <= k <= size:
        raise ArgumentError("TopK takes no more than there is", expected=f"k from 0 to {size}", got=f"k = {k}")
    order = f.argsort(x, axis=axis, descending=bool(largest), stable=True)
    places = f.take(order, np.arange(k), axis=axis)
    return f.take_along_axis(x, places, axis=axis), f.astype(places, "int64")


@operator("Unique")
def unique(x: Any, *, axis: int | None = None, sorted: int = 1) -> Any:
    """The different numbers (or slices) of known x, where each stands first, where each entry went, how often."""
    given = known_numbers(x, "Unique")
    values, first, inverse, counts = np.unique(
        given, return_index=True, return_inverse=True, return_counts=True, axis=axis
    )
    inverse = inverse.reshape(-1)
    if not sorted:
        order = np.argsort(first)
        rank_of = np.argsort(order)
        values = np.take(values, order, axis=0 if axis is None else axis)
        first, inverse, counts = first[order], rank_of[inverse], counts[order]
    return values, *(a.astype(np.int64) for a in (first, inverse, counts))


@operator("ReverseSequence", settings=(1,))
def reverse_sequence(x: Any, lengths: Any, *, batch_axis: int = 1, time_axis: int = 0) -> Any:
    """For each example the first `lengths` steps in the opposite order, the others as they are."""
    steps = np.arange(sizes(x)[time_axis]).reshape(-1, 1)
    ends = f.reshape(f.astype(lengths, "int64"), (1, -1))
    places = f.where(f.less(steps, ends), f.subtract(ends - 1, steps), steps)
    places = places if time_axis < batch_axis else f.permute_dims(places, (1, 0))
    wide = f.reshape(places, (*sizes(places), *[1] * (rank(x) - 2)))
    return f.take_along_axis(x, f.broadcast_to(wide, sizes(x)), axis=time_axis)


@operator("ArrayFeatureExtractor", domain="ai.onnx.ml", settings=(1,))
def array_feature_extractor(x: Any, places: Any) -> Any:
    """The columns of x at these places."""
    return f.take(x, np.asarray(integers(places, "the places"), np.int64), axis=-1)
