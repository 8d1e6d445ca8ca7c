"""Images sampled at places between their numbers (Jaderberg et al. 2015, Spatial Transformer Networks)."""

from __future__ import annotations

import itertools
import math
from typing import Any

from clearprop.arrays import functions as f
from clearprop.arrays.tensor import asarray
from clearprop.program.ir import shape_of
from clearprop.program.types import type_of
from clearprop.program.values import raw


def sample_at(x: Any, grid: Any, *, mode: str, padding: str, align: bool, like_torch: bool = False) -> Any:
    """X (n, channels, *space) at the places of the grid (n, *out, axes), which go from -1 to 1 along each axis.

    `mode` is nearest, linear or cubic; `padding` says what stands outside: zeros, the border, or the image's
    reflection.  `align`: -1 and 1 are the middles of the outermost numbers, else their outer edges.  ONNX
    rounds (nearest) and then brings inside what lies outside; `like_torch` brings inside first, and of mode cubic
    the neighbours alone.
    """
    n, channels, *space = (int(size) for size in shape_of(x))
    out = [int(size) for size in shape_of(grid)[1:-1]]
    moved = not (like_torch and mode == "cubic")
    axes = []
    for axis, size in enumerate(space):
        place = asarray(grid)[..., len(space) - 1 - axis]
        whole = (place + 1) / 2 * (size - 1) if align else ((place + 1) * size - 1) / 2
        whole = f.round(whole) if mode == "nearest" and not like_torch else whole
        axes.append(_neighbours(_bring_inside(whole, size, padding, align) if moved else whole, mode))
    flat, dtype = f.reshape(x, (n, channels, math.prod(space))), type_of(raw(x)).dtype
    total: Any = 0.0
    for corner in itertools.product(*axes):
        index, weight = _corner(corner, space, padding, align)
        places = f.broadcast_to(f.reshape(index, (n, 1, -1)), (n, channels, math.prod(out)))
        total = f.take_along_axis(flat, places, axis=2) * f.reshape(f.astype(weight, dtype), (n, 1, -1)) + total
    return f.reshape(total, (n, channels, *out))


def _reflect(x: Any, low: float, high: float) -> Any:
    """Places outside low … high thrown back at the borders, as often as it takes."""
    width = high - low
    if width <= 0:
        return f.zeros_like(x) + low
    moved = f.abs(x - low)
    turns = f.floor(moved / width)
    rest = moved - turns * width
    return f.where(f.equal(f.remainder(turns, 2), 0), rest + low, high - rest)


def _bring_inside(x: Any, size: int, padding: str, align: bool) -> Any:
    """Places of one axis, brought inside unless what lies outside is 0."""
    if padding == "border":
        return f.clip(x, 0.0, float(size - 1))
    if padding == "reflection":
        inside = _reflect(x, 0.0, size - 1.0) if align else _reflect(x, -0.5, size - 0.5)
        return f.where(f.logical_or(f.less(x, _low(align)), f.greater(x, size - 1 - _low(align))), inside, x)
    return x


def _low(align: bool) -> float:
    return 0.0 if align else -0.5


def _cubic(t: Any) -> list[Any]:
    """The weights of four neighbours at -1 … 2 for a place t behind the second (Keys 1981, a = -3/4)."""
    a = -0.75
    far = [((a * s - 5 * a) * s + 8 * a) * s - 4 * a for s in (t + 1, 2 - t)]
    near = [((a + 2) * s - (a + 3)) * s * s + 1 for s in (t, 1 - t)]
    return [far[0], near[0], near[1], far[1]]


def _neighbours(x: Any, mode: str) -> list[tuple[Any, Any]]:
    """Places of neighbours along an axis with their weights."""
    if mode == "nearest":
        return [(f.round(x), f.ones_like(x))]
    left = f.floor(x)
    t = x - left
    weights = [1 - t, t] if mode == "linear" else _cubic(t)
    first = 0 if mode == "linear" else -1
    return [(left + (first + i), w) for i, w in enumerate(weights)]


def _corner(corner: Any, space: list[int], padding: str, align: bool) -> tuple[Any, Any]:
    """The flat place of one neighbour and its weight, 0 where it lies outside and outside is 0."""
    index, weight = None, None
    for (place, share), size in zip(corner, space, strict=True):
        if padding == "zeros":
            inside = f.logical_and(f.greater_equal(place, 0), f.less_equal(place, size - 1))
            share = f.where(inside, share, f.zeros_like(share))
        elif padding == "reflection":
            place = _bring_inside(place, size, padding, align)
        whole = f.astype(f.clip(f.stop_gradient(f.round(place)), 0.0, float(size - 1)), "int64")
        index = whole if index is None else index * size + whole
        weight = share if weight is None else weight * share
    return index, weight
