"""Images sampled at places, and boxes chosen."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.errors import unknown_name
from clearprop.interop.grid_sampling import sample_at
from clearprop.interop.onnx.graph_values import integers, known_numbers
from clearprop.interop.onnx.operator_table import operator

PADDINGS = ("border", "reflection", "zeros")
_MODES = {"bicubic": "cubic", "bilinear": "linear", "cubic": "cubic", "linear": "linear", "nearest": "nearest"}


@operator("GridSample", since=16)
def grid_sample(x: Any, grid: Any, *, align_corners: int = 0, mode: str = "linear", padding_mode: str = "zeros") -> Any:
    """X (n, channels, *space) at the places of the grid (n, *out, axes), from -1 to 1 (Jaderberg et al. 2015)."""
    if mode not in _MODES or padding_mode not in PADDINGS:
        raise unknown_name("mode of GridSample", f"{mode}, {padding_mode}", [*_MODES, *PADDINGS])
    return sample_at(x, grid, mode=_MODES[mode], padding=padding_mode, align=bool(align_corners))


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
