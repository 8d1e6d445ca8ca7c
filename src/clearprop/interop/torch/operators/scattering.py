"""Operators of ATen that write at places named by a tensor, that sample images, and that look up in a sorted list."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.arrays import functions
from clearprop.errors import ArgumentError
from clearprop.interop.grid_sampling import sample_at
from clearprop.interop.torch.operators.operator_table import operator

_ADDED = {"sum": "add", "mean": "add", "prod": "multiply", "amax": "max", "amin": "min"}
_REDUCED = {"add": "add", "multiply": "multiply"}


def _flat_places(shape: Any, dim: int, index: Any) -> Any:
    """Where in the flat tensor of a shape each entry of `index` points along an axis."""
    old = [int(n) for n in shape]
    steps = np.cumprod([1, *old[:0:-1]])[::-1].astype(np.int64)
    dim %= max(len(old), 1)
    grid = np.indices(tuple(int(n) for n in index.shape), sparse=True)
    fixed = sum((g * int(s) for i, (g, s) in enumerate(zip(grid, steps, strict=True)) if i != dim), np.int64(0))
    return functions.astype(index, "int64") * int(steps[dim] if old else 1) + fixed


def _cut_to(src: Any, index: Any) -> Any:
    """The part of a source that has the shape of an index: what lies beyond is not written."""
    return src[tuple(slice(0, int(n)) for n in index.shape)]


def _write(x: Any, dim: int, index: Any, values: Any, how: str) -> Any:
    places = functions.reshape(_flat_places(x.shape, dim, index), (-1,))
    rows = functions.reshape(x, (-1,)).at[places]
    return functions.reshape(getattr(rows, how)(values), x.shape)


@operator("scatter.src")
def scatter(self: Any, dim: int, index: Any, src: Any) -> Any:
    """The tensor with other numbers at the places that `index` names along an axis."""
    return _write(self, dim, index, functions.reshape(_cut_to(src, index), (-1,)), "set")


@operator("scatter.value")
def scatter_value(self: Any, dim: int, index: Any, value: Any) -> Any:
    """The tensor with one number at the places that `index` names along an axis."""
    return _write(self, dim, index, value, "set")


@operator("scatter.reduce", reduce=("add", "multiply"))
def scatter_with(self: Any, dim: int, index: Any, src: Any, *, reduce: str) -> Any:
    """The tensor with numbers added to, or multiplied by, those at the places."""
    return _write(self, dim, index, functions.reshape(_cut_to(src, index), (-1,)), _REDUCED[reduce])


@operator("scatter_add")
def scatter_add(self: Any, dim: int, index: Any, src: Any) -> Any:
    """The tensor with numbers added at the places that `index` names along an axis."""
    return scatter_with(self, dim, index, src, reduce="add")


@operator("scatter_reduce.two", reduce=tuple(_ADDED))
def scatter_reduce(self: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Any:
    """The sum, mean, product, largest or smallest of what comes to each place, of its own number too or not."""
    values, how = functions.reshape(_cut_to(src, index), (-1,)), _ADDED[reduce]
    if not include_self:
        low = -np.inf if self.dtype.kind == "f" else functions.iinfo(self.dtype).min
        high = np.inf if self.dtype.kind == "f" else functions.iinfo(self.dtype).max
        neutral = {"add": 0, "multiply": 1, "max": low, "min": high}[how]
        self = _write(self, dim, index, neutral, "set")
    total = _write(self, dim, index, values, how)
    if reduce != "mean":
        return total
    ones = functions.full(self.shape, 1, dtype="int64")
    ones = ones if include_self else _write(ones, dim, index, 0, "set")
    count = functions.maximum(_write(ones, dim, index, 1, "add"), 1)
    whole = self.dtype.kind != "f"
    return functions.floor_divide(total, count) if whole else total / functions.astype(count, self.dtype)


@operator("put")
def put(self: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """The tensor with other numbers at places of the flat tensor, or with numbers added there."""
    rows = functions.reshape(self, (-1,)).at[functions.reshape(index, (-1,))]
    values = functions.reshape(source, (-1,))
    return functions.reshape(rows.add(values) if accumulate else rows.set(values), self.shape)


@operator("masked_scatter")
def masked_scatter(self: Any, mask: Any, source: Any) -> Any:
    """The numbers of a source, in their order, where the mask holds."""
    mask = functions.broadcast_to(mask, self.shape)
    counted = functions.cumulative_sum(functions.astype(functions.reshape(mask, (-1,)), "int64")) - 1
    numbers = functions.take(functions.reshape(source, (-1,)), functions.maximum(counted, 0), axis=0)
    return functions.where(mask, functions.reshape(numbers, self.shape), self)


@operator("copy")
def copy(self: Any, src: Any, non_blocking: bool = False) -> Any:
    """The numbers of another tensor in the shape and dtype of this one."""
    return functions.astype(functions.broadcast_to(src, self.shape), self.dtype)


# ---------------------------------------------------------------------------------------------------------- looked up
@operator("searchsorted.Tensor", sorter=(None,))
def searchsorted(
    sorted_sequence: Any,
    self: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Any:
    """How many of a sorted list stand before each number."""
    if len(sorted_sequence.shape) != 1:
        raise ArgumentError(
            "searchsorted looks up in one list",
            expected="sorted_sequence (n,)",
            got=f"shape {tuple(sorted_sequence.shape)}",
            try_="a loop over the lists",
        )
    found = functions.searchsorted(sorted_sequence, self, side=side or ("right" if right else "left"))
    return functions.astype(found, "int32" if out_int32 else "int64")


@operator("bucketize.Tensor")
def bucketize(self: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """The number of the bucket of each number, between boundaries in their order."""
    return searchsorted(boundaries, self, out_int32=out_int32, right=right)


@operator("repeat_interleave.Tensor")
def repeat_places(repeats: Any, *, output_size: int | None = None) -> Any:
    """Place i as often as repeats[i] says; how many that are is `output_size`."""
    if output_size is None:
        raise ArgumentError(
            "repeat_interleave by a tensor has a size that hangs on the values",
            expected="output_size",
            got="None",
            try_="x.repeat_interleave(repeats, output_size=12)",
        )
    ends = functions.cumulative_sum(repeats)
    return functions.searchsorted(ends, functions.arange(output_size, dtype="int64"), side="right")


# ------------------------------------------------------------------------------------------------------------ sampled
@operator("grid_sampler_2d", "grid_sampler_3d")
def grid_sampler(input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Any:
    """Images (n, channels, *space) at the places of a grid (n, *out, axes) from −1 to 1."""
    mode = ("linear", "nearest", "cubic")[interpolation_mode]
    padding = ("zeros", "border", "reflection")[padding_mode]
    return sample_at(input, grid, mode=mode, padding=padding, align=align_corners, like_torch=True)
