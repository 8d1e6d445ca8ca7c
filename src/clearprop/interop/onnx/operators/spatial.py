"""Images sampled at places, and boxes chosen."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.arrays import functions as f
from clearprop.arrays.tensor import asarray
from clearprop.errors import unknown_name
from clearprop.interop.onnx.table import operator
from clearprop.interop.onnx.values import dtype_of, integers, known_numbers, sizes

PADDINGS = ("border", "reflection", "zeros")
_MODES = {"bicubic": "cubic", "bilinear": "linear", "cubic": "cubic", "linear": "linear", "nearest": "nearest"}


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


@operator("GridSample", since=16)
def grid_sample(x: Any, grid: Any, *, align_corners: int = 0, mode: str = "linear", padding_mode: str = "zeros") -> Any:
    """X (n, channels, *space) at the places of the grid (n, *out, axes), from -1 to 1 (Jaderberg et al. 2015)."""
    if mode not in _MODES or padding_mode not in PADDINGS:
        raise unknown_name("mode of GridSample", f"{mode}, {padding_mode}", [*_MODES, *PADDINGS])
    space, out, align = sizes(x)[2:], sizes(grid)[1:-1], bool(align_corners)
    axes = []
    for axis, size in enumerate(space):
        place = asarray(grid)[..., len(space) - 1 - axis]
        whole = (place + 1) / 2 * (size - 1) if align else ((place + 1) * size - 1) / 2
        whole = f.round(whole) if _MODES[mode] == "nearest" else whole
        axes.append(_neighbours(_bring_inside(whole, size, padding_mode, align), _MODES[mode]))
    n, channels = sizes(x)[:2]
    flat = f.reshape(x, (n, channels, math.prod(space)))
    total: Any = 0.0
    for corner in itertools.product(*axes):
        index, weight = _corner(corner, space, padding_mode, align)
        places = f.broadcast_to(f.reshape(index, (n, 1, -1)), (n, channels, math.prod(out)))
        total = f.take_along_axis(flat, places, axis=2) * f.reshape(f.astype(weight, dtype_of(x)), (n, 1, -1)) + total
    return f.reshape(total, (n, channels, *out))


def _corner(corner: Any, space: tuple[int, ...], padding: str, align: bool) -> tuple[Any, Any]:
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


@operator("NonMaxSuppression", since=10, settings=(2, 3, 4))
def non_max_suppression(
    boxes: Any, scores: Any, most: Any = None, overlap: Any = None, least: Any = None, *, center_point_box: int = 0
) -> Any:
    """(batch, class, box) of the best boxes, without those that overlap a better one too much."""
    corners, points = _corners(known_numbers(boxes, "the boxes"), center_point_box), known_numbers(scores, "the scores")
    count = 0 if most is None else integers(most, "the number of boxes")[0]
    bound = 0.0 if overlap is None else float(known_numbers(overlap, "the overlap").reshape(()))
    low = -math.inf if least is None else float(known_numbers(least, "the score").reshape(()))
    chosen = []
    for batch, label in itertools.product(range(points.shape[0]), range(points.shape[1])):
        kept: list[int] = []
        for box in np.argsort(-points[batch, label], kind="stable").tolist():
            if len(kept) < count and points[batch, label, box] > low:
                others = corners[batch][kept]
                if not (_overlaps(corners[batch][box], others) > bound).any():
                    kept.append(box)
        chosen += [(batch, label, box) for box in kept]
    return np.asarray(chosen, np.int64).reshape(-1, 3)


def _corners(boxes: NDArray[Any], centred: int) -> NDArray[Any]:
    """Boxes as two opposite corners in order."""
    if centred:
        middle, half = boxes[..., :2], boxes[..., 2:] / 2
        return np.concatenate([middle - half, middle + half], axis=-1)
    return np.concatenate([np.minimum(boxes[..., :2], boxes[..., 2:]), np.maximum(boxes[..., :2], boxes[..., 2:])], -1)


def _overlaps(box: NDArray[Any], others: NDArray[Any]) -> NDArray[Any]:
    """Intersection over union with each of the others."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    common = np.prod(np.maximum(sides, 0), axis=1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1) + np.prod(box[2:] - box[:2])
    return np.where(areas > common, common / np.where(areas > common, areas - common, 1), 0.0)
