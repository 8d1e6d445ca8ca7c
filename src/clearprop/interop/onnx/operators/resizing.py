"""Images made larger or smaller: each axis by itself, as a matrix of weights that the standard's formulas give."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.arrays import functions as f
from clearprop.errors import ArgumentError, unknown_name
from clearprop.interop.onnx.graph_values import checked_shape, dtype_of, known_numbers, rank, sizes
from clearprop.interop.onnx.operator_table import operator

Weights = NDArray[np.float64]
MODES = ("cubic", "linear", "nearest")


@dataclass(frozen=True)
class _Form:
    """How places of the result are places of x, and how the numbers around one are weighed."""

    mode: str
    coordinates: str = "half_pixel"
    nearest: str = "round_prefer_floor"
    cubic: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False
    extrapolation: float = 0.0

    def places(self, size: int, count: int, scale: float, roi: tuple[float, float]) -> Weights:
        """Where in x, counted in its places, each of `count` places of the result lies."""
        at, width = np.arange(count, dtype=np.float64), scale * size
        if self.coordinates == "align_corners":
            return at * 0 if width == 1 else at * (size - 1) / (width - 1)
        if self.coordinates == "asymmetric":
            return at / scale
        if self.coordinates == "tf_crop_and_resize":
            inside = (roi[1] - roi[0]) * (size - 1)
            return roi[0] * (size - 1) + (at * 0 + inside / 2 if width == 1 else at * inside / (width - 1))
        if self.coordinates == "pytorch_half_pixel":
            return at * 0 - 0.5 if width == 1 else (at + 0.5) / scale - 0.5
        if self.coordinates == "half_pixel_symmetric":
            return size / 2 * (1 - count / width) + (at + 0.5) / scale - 0.5
        if self.coordinates == "tf_half_pixel_for_nn":
            return (at + 0.5) / scale
        if self.coordinates != "half_pixel":
            raise unknown_name("coordinate_transformation_mode", self.coordinates, _COORDINATES)
        return (at + 0.5) / scale - 0.5

    def coefficients(self, ratio: float, scale: float) -> Weights:
        """The weights of the numbers around a place that lies `ratio` behind the one on its left."""
        if self.mode == "nearest":
            return np.array([0.0, 1.0] if _prefers_right(self.nearest, ratio) else [1.0, 0.0])
        shrink = min(scale, 1.0) if self.antialias else 1.0
        reach = 1 if self.mode == "linear" else 2
        start = math.floor(-reach / shrink) + 1
        args = np.abs((np.arange(start, 2 - start) - ratio) * shrink)
        found = np.clip(1 - args, 0, 1) if reach == 1 else _cubic(args, self.cubic)
        return found / found.sum() if self.antialias else found


_COORDINATES = (
    "align_corners", "asymmetric", "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "tf_crop_and_resize",
    "tf_half_pixel_for_nn",
)  # fmt: skip


def _prefers_right(nearest: str, ratio: float) -> bool:
    if nearest == "floor":
        return ratio == 1
    if nearest == "ceil":
        return True
    return ratio >= 0.5 if nearest == "round_prefer_ceil" else ratio > 0.5


def _cubic(s: Weights, a: float) -> Weights:
    """The kernel of Keys (1981) at distances s."""
    near = ((a + 2) * s - (a + 3)) * s * s + 1
    far = ((a * s - 5 * a) * s + 8 * a) * s - 4 * a
    return np.where(s <= 1, near, np.where(s < 2, far, 0.0))


def _axis_weights(form: _Form, size: int, count: int, scale: float, roi: tuple[float, float]) -> Weights:
    """A matrix (count, size): how much of each number of x each number of the result has; NaN: outside x."""
    matrix = np.zeros((count, size))
    for row, place in enumerate(form.places(size, count, scale, roi)):
        if form.coordinates == "tf_crop_and_resize" and not 0 <= place <= size - 1:
            matrix[row] = np.nan
            continue
        left = math.floor(place)
        ratio = 1.0 if place == left else place - left
        left = left - 1 if place == left else left
        weights = form.coefficients(ratio, scale)
        columns = left + 1 - len(weights) // 2 + np.arange(len(weights))
        if form.exclude_outside:
            weights = np.where((columns < 0) | (columns >= size), 0, weights)
            weights = weights / weights.sum()
        np.add.at(matrix[row], np.clip(columns, 0, size - 1), weights)
    return matrix


def _resize(x: Any, form: _Form, scales: list[float], shape: list[int], rois: list[tuple[float, float]]) -> Any:
    """X with every axis weighed by its matrix; what lies outside is the extrapolated number."""
    kind, outside = dtype_of(x), np.zeros((), bool)
    checked_shape(shape, "Resize")
    for axis, (size, count) in enumerate(zip(sizes(x), shape, strict=True)):
        if count == size and scales[axis] == 1 and rois[axis] == (0.0, 1.0):
            continue
        matrix = _axis_weights(form, size, count, scales[axis], rois[axis])
        missing = np.isnan(matrix).any(axis=1)
        outside = outside | missing.reshape([-1 if i == axis else 1 for i in range(rank(x))])
        matrix = np.where(np.isnan(matrix), 0, matrix)
        x = f.take(x, matrix.argmax(axis=1), axis=axis) if form.mode == "nearest" else _weigh(x, matrix, axis)
    x = x if dtype_of(x) == kind else f.astype(x, kind)
    return f.where(outside, np.asarray(form.extrapolation, kind), x) if outside.any() else x


def _weigh(x: Any, matrix: Weights, axis: int) -> Any:
    kind = dtype_of(x)
    weights = matrix.astype(kind if kind.kind == "f" else np.float64)
    return f.moveaxis(f.tensordot(weights, x, axes=((1,), (axis,))), 0, axis)


def _form(mode: str, **options: Any) -> _Form:
    mode = {"bilinear": "linear"}.get(mode, mode)
    if mode not in MODES:
        raise unknown_name("mode", mode, MODES)
    return _Form(mode, **options)


def _by_scales(x: Any, scales: list[float], form: _Form) -> Any:
    shape = [math.floor(n * s) for n, s in zip(sizes(x), scales, strict=True)]
    return _resize(x, form, scales, shape, [(0.0, 1.0)] * rank(x))


@operator("Upsample", since=7)
def upsample_by_attribute(x: Any, *, mode: str = "nearest", scales: tuple[float, ...]) -> Any:
    """X made larger, every place of the result taken from the place of x before it."""
    return _by_scales(x, list(scales), _form(mode, coordinates="asymmetric", nearest="floor"))


@operator("Upsample", since=9, settings=(1,))
def upsample(x: Any, scales: Any, *, mode: str = "nearest") -> Any:
    """X made larger, every place of the result taken from the place of x before it."""
    return upsample_by_attribute(x, mode=mode, scales=tuple(known_numbers(scales, "the scales").tolist()))


@operator("Resize", since=10, settings=(1,))
def resize_by_scales(x: Any, scales: Any, *, mode: str = "nearest") -> Any:
    """X made larger or smaller, by the formula of `Upsample`."""
    return upsample(x, scales, mode=mode)


@operator("Resize", since=11, settings=(1, 2, 3))
def resize(
    x: Any,
    roi: Any = None,
    scales: Any = None,
    wanted: Any = None,
    *,
    antialias: int = 0,
    axes: tuple[int, ...] | None = None,
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
) -> Any:
    """X made larger or smaller: by scales, or to sizes."""
    form = _form(
        mode,
        coordinates=coordinate_transformation_mode,
        nearest=nearest_mode,
        cubic=cubic_coeff_a,
        exclude_outside=bool(exclude_outside),
        antialias=bool(antialias),
        extrapolation=extrapolation_value,
    )
    chosen = [a % rank(x) for a in axes] if axes is not None else list(range(rank(x)))
    given = known_numbers(scales, "the scales").tolist() if scales is not None else []
    target = known_numbers(wanted, "the sizes").tolist() if wanted is not None else []
    if not given and not target:
        raise ArgumentError("Resize has neither scales nor sizes", expected="one of both", got="none")
    own = [sizes(x)[a] for a in chosen]
    factors, lengths = _factors(own, given, target, keep_aspect_ratio_policy)
    scale, shape, rois = [1.0] * rank(x), list(sizes(x)), [(0.0, 1.0)] * rank(x)
    frame = known_numbers(roi, "the region").tolist() if roi is not None else []
    for place, axis in enumerate(chosen):
        scale[axis], shape[axis] = factors[place], lengths[place]
        if coordinate_transformation_mode == "tf_crop_and_resize":
            rois[axis] = (frame[place], frame[place + len(chosen)])
    return _resize(x, form, scale, shape, rois)


def _factors(own: list[int], scales: list[float], target: list[int], policy: str) -> tuple[list[float], list[int]]:
    """Scale and size of every axis; a policy keeps the proportions, within the target or around it."""
    if scales:
        return scales, [math.floor(n * s) for n, s in zip(own, scales, strict=True)]
    factors = [t / n for t, n in zip(target, own, strict=True)]
    if policy == "stretch":
        return factors, target
    one = min(factors) if policy == "not_larger" else max(factors)
    return [one] * len(own), [math.floor(one * n + 0.5) for n in own]
