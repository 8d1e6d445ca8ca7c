"""Pools: the largest number, the mean, a norm of every window."""

from __future__ import annotations

import itertools
import math
from functools import reduce
from typing import Any

import numpy as np

from clearprop.arrays import functions as f
from clearprop.arrays.tensor import asarray
from clearprop.interop.onnx.graph_values import checked_shape, dtype_of, integers, rank, sizes
from clearprop.interop.onnx.operator_table import operator
from clearprop.interop.onnx.operators.convolution import Ints, channels_last, channels_second, extents, widths
from clearprop.interop.onnx.operators.shapes import pad_axes

Widths = list[tuple[int, int]]


class _Windows:
    """Where the windows of a pool stand: sizes, and the places before and after that they may reach."""

    def __init__(self, x: Any, kernel: Ints, strides: Any, dilations: Any, pads: Any, auto_pad: str, ceil: int) -> None:
        self.space, self.kernel = sizes(x)[2:], kernel
        self.strides: Ints = strides or (1,) * len(kernel)
        self.dilations: Ints = dilations or (1,) * len(kernel)
        self.extent = extents(kernel, self.dilations)
        self.given = widths(self.space, self.extent, self.strides, pads, auto_pad)
        self.counts = tuple(map(self._count, range(len(kernel)), itertools.repeat(ceil)))
        checked_shape([*sizes(x)[:2], *self.counts], "a pool")
        ends = [(c - 1) * s + e for c, s, e in zip(self.counts, self.strides, self.extent, strict=True)]
        checked_shape([n + sum(pair) for n, pair in zip(self.space, self.given, strict=True)], "a pool")
        self.around = [(b, end - n - b) for (b, _), end, n in zip(self.given, ends, self.space, strict=True)]

    def _count(self, axis: int, ceil: int) -> int:
        """How many windows along an axis; rounded up, the last one still begins before the places after."""
        n, stride, (before, after) = self.space[axis], self.strides[axis], self.given[axis]
        free = n + before + after - self.extent[axis]
        if not ceil:
            return free // stride + 1
        found = -(-free // stride) + 1
        return found - 1 if (found - 1) * stride >= n + before else found

    def padded(self, x: Any, value: float) -> Any:
        """X, (n, channels, *space), with a number at all places that windows reach; what none reaches is cut off."""
        pads = (*(b for b, _ in self.around), *(a for _, a in self.around))
        return pad_axes(x, pads, "constant", value, tuple(range(2, rank(x))))

    def taps(self, padded: Any) -> list[Any]:
        """For every place of a window the numbers that stand there, in all windows."""
        found = []
        for offsets in itertools.product(*map(range, self.kernel)):
            starts = [o * d for o, d in zip(offsets, self.dilations, strict=True)]
            along = zip(starts, self.counts, self.strides, strict=True)
            cut: Any = (..., *(slice(b, b + (c - 1) * s + 1, s) for b, c, s in along))
            found.append(asarray(padded)[cut])
        return found

    def numbers_in(self, include_pads: int) -> np.ndarray[Any, Any]:
        """How many places of x (or of x and its padding) each window holds."""
        lines = []
        for axis, (n, (before, after)) in enumerate(zip(self.space, self.given, strict=True)):
            starts = np.arange(self.counts[axis]) * self.strides[axis] - before
            places = starts[:, None] + np.arange(self.kernel[axis]) * self.dilations[axis]
            low, high = (-before, n + after) if include_pads else (0, n)
            lines.append(((places >= low) & (places < high)).sum(axis=1))
        return reduce(np.multiply.outer, lines)

    def sums(self, x: Any) -> Any:
        """The sum of every window, places outside counted as 0."""
        padded = self.padded(x, 0)
        if set(self.dilations) != {1}:
            return sum(self.taps(padded)[1:], start=self.taps(padded)[0])
        pooled = f.avg_pool(channels_last(padded), self.kernel, stride=self.strides)
        return channels_second(pooled) * math.prod(self.kernel)


@operator("MaxPool")
def max_pool(
    x: Any,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Ints | None = None,
    kernel_shape: Ints,
    pads: Ints | None = None,
    storage_order: int = 0,
    strides: Ints | None = None,
    outputs: int,
) -> Any:
    """The largest number of every window and, if asked for, its place in the whole array."""
    windows = _Windows(x, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    kind = dtype_of(x)
    if outputs == 1 and kind.kind == "f" and min(a for pair in windows.around for a in pair) >= 0:
        y = f.max_pool(
            channels_last(x),
            windows.kernel,
            stride=windows.strides,
            padding=windows.around,
            dilation=windows.dilations,
        )
        return channels_second(y)
    lowest = -np.inf if kind.kind == "f" else np.iinfo(kind).min
    taps = f.stack(windows.taps(windows.padded(x, lowest)), axis=0)
    largest = f.max(taps, axis=0)
    return largest if outputs == 1 else (largest, _places(windows, f.argmax(taps, axis=0), sizes(x), storage_order))


def _places(windows: _Windows, tap: Any, shape: Ints, storage_order: int) -> Any:
    """Where in the whole array the tap of each window stands."""
    along = [
        (np.arange(c)[None] * s - before + (np.arange(k) * d)[:, None])
        for c, s, (before, _), k, d in zip(
            windows.counts, windows.strides, windows.given, windows.kernel, windows.dilations, strict=True
        )
    ]
    order = windows.space if storage_order == 0 else windows.space[::-1]
    steps = np.cumprod([1, *order[:0:-1]])[::-1]
    steps = steps if storage_order == 0 else steps[::-1]
    flat = np.zeros((), np.int64)
    count = len(along)
    for axis, (places, step) in enumerate(zip(along, steps, strict=True)):
        form = [1] * 2 * count
        form[axis], form[count + axis] = places.shape
        flat = flat + places.reshape(form) * int(step)
    table = np.ascontiguousarray(np.broadcast_to(flat, (*windows.kernel, *windows.counts))).reshape(-1)
    size = math.prod(windows.counts)
    inside = f.take(table, f.reshape(tap * size + np.arange(size).reshape(windows.counts), (-1,)), axis=0)
    start = np.arange(shape[0] * shape[1]).reshape(*shape[:2], *[1] * count) * math.prod(shape[2:])
    return f.reshape(inside, (*shape[:2], *windows.counts)) + start


@operator("AveragePool")
def average_pool(
    x: Any,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: Ints | None = None,
    kernel_shape: Ints,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Any:
    """The mean of every window, of the numbers of x alone or of the places around it, too."""
    windows = _Windows(x, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    return windows.sums(x) / windows.numbers_in(count_include_pad).astype(dtype_of(x))


@operator("LpPool")
def lp_pool(
    x: Any,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Ints | None = None,
    kernel_shape: Ints,
    p: int = 2,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Any:
    """The p-norm of every window."""
    windows = _Windows(x, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    return f.pow(windows.sums(f.pow(f.abs(x), p)), 1 / p)


def _space_axes(x: Any) -> Ints:
    return tuple(range(2, rank(x)))


@operator("GlobalAveragePool")
def global_average_pool(x: Any) -> Any:
    """The mean of each channel."""
    return f.mean(x, axis=_space_axes(x), keepdims=True)


@operator("GlobalMaxPool")
def global_max_pool(x: Any) -> Any:
    """The largest number of each channel."""
    return f.max(x, axis=_space_axes(x), keepdims=True)


@operator("GlobalLpPool")
def global_lp_pool(x: Any, *, p: int = 2) -> Any:
    """The p-norm of each channel."""
    return f.pow(f.sum(f.pow(f.abs(x), p), axis=_space_axes(x), keepdims=True), 1 / p)


@operator("MaxUnpool", settings=(2,))
def max_unpool(
    x: Any,
    places: Any,
    output_shape: Any = None,
    *,
    kernel_shape: Ints,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Any:
    """The numbers of a max pool where they came from, zeros elsewhere."""
    steps, count = strides or (1,) * len(kernel_shape), len(kernel_shape)
    around = pads or (0,) * 2 * count
    n, channels, *space = sizes(x)
    grown = [
        (m - 1) * s - around[i] - around[i + count] + k
        for i, (m, s, k) in enumerate(zip(space, steps, kernel_shape, strict=True))
    ]
    usual = (n, channels, *grown)
    shape = usual if output_shape is None else integers(output_shape, "the shape")
    checked_shape(shape, "MaxUnpool")
    flat: Any = f.reshape(places, (-1,))
    if shape != usual:  # the places are those of an array without the rest
        index = np.unravel_index(np.asarray(integers(flat, "the places")), usual)
        flat = np.ravel_multi_index(index, shape)
    empty = f.zeros((math.prod(shape),), dtype=dtype_of(x))
    return f.reshape(f.index_add(empty, flat, f.reshape(x, (-1,)), axis=0), shape)
