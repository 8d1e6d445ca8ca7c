"""Numbers written at places: scattered, stored, folded back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from clearprop.arrays import functions as f
from clearprop.arrays.tensor import asarray
from clearprop.errors import unknown_name
from clearprop.interop.onnx.graph_values import checked_shape, integers, known_numbers, rank, sizes
from clearprop.interop.onnx.operator_table import operator
from clearprop.interop.onnx.operators.indexing import flat_places

_WRITES = {"none": "set", "add": "add", "mul": "multiply", "max": "max", "min": "min"}


def _write(rows: Any, places: Any, values: Any, reduction: str) -> Any:
    """Rows with values written at places along the first axis."""
    if reduction not in _WRITES:
        raise unknown_name("reduction", reduction, _WRITES)
    tensor = asarray(rows)
    return getattr(tensor.at[asarray(places)], _WRITES[reduction])(values)


@operator("ScatterElements", "Scatter")
def scatter_elements(x: Any, indices: Any, updates: Any, *, axis: int = 0, reduction: str = "none") -> Any:
    """X where the entries that `indices` names along an axis hold (or are combined with) the updates."""
    old, axis = sizes(x), axis % rank(x)
    steps = np.cumprod([1, *old[:0:-1]])[::-1].astype(np.int64)
    grid = np.indices(sizes(indices), sparse=True)
    whole = f.astype(indices, "int64")
    along = f.where(f.less(whole, 0), f.add(whole, old[axis]), whole)
    fixed = sum((g * int(s) for i, (g, s) in enumerate(zip(grid, steps, strict=True)) if i != axis), np.int64(0))
    flat = f.add(f.multiply(along, int(steps[axis])), fixed)
    rows = _write(f.reshape(x, (-1,)), f.reshape(flat, (-1,)), f.reshape(updates, (-1,)), reduction)
    return f.reshape(rows, old)


@operator("ScatterND")
def scatter_nd(x: Any, indices: Any, updates: Any, *, reduction: str = "none") -> Any:
    """X where the slices that the last axis of `indices` names hold (or are combined with) the updates."""
    old, places = sizes(x), sizes(indices)
    depth = places[-1]
    rows = f.reshape(x, (math.prod(old[:depth]), *old[depth:]))
    flat = f.reshape(flat_places(indices, old[:depth]), (-1,))
    values = f.reshape(updates, (math.prod(places[:-1]), *old[depth:]))
    return f.reshape(_write(rows, flat, values, reduction), old)


@operator("TensorScatter", settings=(2,))
def tensor_scatter(past: Any, update: Any, write: Any = None, *, axis: int = -2, mode: str = "linear") -> Any:
    """A cache in which each example's new steps stand from its own place on, around the end if circular."""
    old, axis = sizes(past), axis % rank(past)
    steps = sizes(update)[axis]
    starts = np.zeros(old[0], np.int64) if write is None else known_numbers(write, "the places").astype(np.int64)
    places = starts.reshape(-1, 1) + np.arange(steps)
    places = places % old[axis] if mode == "circular" else places
    wide = places.reshape([old[0], *[steps if i == axis else 1 for i in range(1, rank(past))]])
    return scatter_elements(past, np.broadcast_to(wide, sizes(update)), update, axis=axis)


@operator("Col2Im", settings=(1, 2))
def col2im(
    x: Any,
    image_shape: Any,
    block_shape: Any,
    *,
    dilations: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> Any:
    """Images as the sum of their blocks: x (n, channels · block, blocks)."""
    image, block = integers(image_shape, "the image"), integers(block_shape, "the block")
    count = len(image)
    by, step, around = dilations or (1,) * count, strides or (1,) * count, pads or (0,) * 2 * count
    wide = [n + around[i] + around[i + count] for i, n in enumerate(image)]
    n, depth, _ = sizes(x)
    channels = depth // math.prod(block)
    checked_shape([n, channels, *wide], "Col2Im")
    starts = [range(0, w - d * (b - 1), s) for w, d, b, s in zip(wide, by, block, step, strict=True)]
    inside = [np.arange(b) * d for b, d in zip(block, by, strict=True)]
    flat = np.zeros((), np.int64)
    for axis in range(count):  # places of every number: (block…, blocks…), one axis after the other
        shape = [1] * 2 * count
        shape[axis], shape[count + axis] = block[axis], len(starts[axis])
        place = inside[axis][:, None] + np.asarray(starts[axis])[None, :]
        flat = flat * wide[axis] + place.reshape(shape)
    numbers = f.permute_dims(f.reshape(x, (n * channels, -1)), (1, 0))
    empty = f.zeros((math.prod(wide), n * channels), dtype=str(asarray(x).dtype))
    summed = f.index_add(empty, flat.reshape(-1), numbers, axis=0)
    images = f.reshape(f.permute_dims(summed, (1, 0)), (n, channels, *wide))
    inner: Any = (..., *(slice(around[i], around[i] + m) for i, m in enumerate(image)))
    return asarray(images)[inner]
