"""The step that minimises a quadratic model within a radius, and how the radius follows the model's success."""

from __future__ import annotations

import math

import numpy as np

from clearprop.optim.objective import Point, Vector, rounding


def eigen_step(values: Vector, g: Vector, radius: float) -> Vector:
    """The p with ‖p‖ <= radius that minimises gᵀp + ½pᵀ diag(values) p (Moré & Sorensen 1983).

    p = −g/(values + λ) with the least λ >= 0 that makes all values + λ positive and ‖p‖ <= radius.  Where g has no
    part along the lowest value (the hard case), p is filled up to the radius along it.
    """
    lowest = float(values[0])
    if lowest > 0:
        p = -g / values
        if np.linalg.norm(p) <= radius:
            return p
    floor = max(0.0, -lowest)
    shift = _shift(values, g, radius, floor)
    if shift is None:
        return _hard_case_step(values, g, radius, floor)
    step: Vector = -g / (values + shift)
    return step * (radius / float(np.linalg.norm(step)))


def _shift(values: Vector, g: Vector, radius: float, floor: float) -> float | None:
    """λ >= floor with ‖g/(values + λ)‖ = radius, by bisection on a logarithmic scale; None in the hard case."""
    scale = max(float(np.max(np.abs(values))), float(np.linalg.norm(g)) / radius)
    eps = float(np.finfo(values.dtype).eps)

    def norm(excess: float) -> float:
        return float(np.linalg.norm(g / (values + floor + excess)))

    low, high = scale * (eps if values[0] <= 0 else eps**2), 3 * scale + floor  # λ − floor
    if not norm(low) > radius:
        return None
    while (middle := math.sqrt(low * high)) and high > low * (1 + 1e-12):
        low, high = (middle, high) if norm(middle) > radius else (low, middle)
    return floor + high


def _hard_case_step(values: Vector, g: Vector, radius: float, floor: float) -> Vector:
    """As far as it is determined; what is left of the radius along the lowest value, if that is negative."""
    rest = values + floor
    determined = rest > np.finfo(values.dtype).eps * max(float(np.max(np.abs(values))), 1e-300)
    p: Vector = np.where(determined, -g / np.where(determined, rest, 1), 0).astype(values.dtype)
    length = float(np.linalg.norm(p))
    if length >= radius:
        return p * (radius / length)
    if floor > 0:
        p[0] += math.copysign(math.sqrt(radius**2 - length**2), -g[0])
    return p


class Region:
    """A radius that shrinks where the model promised too much, and grows where it held at the border.

    ρ = actual/promised decrease.  ρ < ¼: a quarter of the step's length; ρ > ¾ at the border: twice the radius
    (Nocedal & Wright 2006, algorithm 4.1, whose border on the radius is dropped).
    """

    def __init__(self, radius: float) -> None:
        self.radius = radius

    def judge(self, before: Point, after: Point, promised: float, length: float) -> bool:
        """Whether to go to `after`; the radius is adapted."""
        ratio = self._ratio(before, after, promised)
        if ratio < 0.25:
            self.radius = 0.25 * length
        elif ratio > 0.75 and length >= 0.8 * self.radius:
            self.radius = 2 * length if length > self.radius else 2 * self.radius
        return ratio > 1e-4

    def _ratio(self, before: Point, after: Point, promised: float) -> float:
        """Actual over promised decrease; within rounding of the value, the gradient is what tells."""
        if not after.finite:
            return -math.inf
        noise = rounding(before)
        if promised <= noise and abs(after.value - before.value) <= noise:
            return 1.0 if after.steepness < before.steepness else -1.0
        return (before.value - after.value) / promised if promised > 0 else -math.inf

    def spent(self, x: Vector) -> bool:
        """Whether the radius is below the distance of neighbouring numbers."""
        return self.radius <= float(np.finfo(x.dtype).eps) * max(float(np.max(np.abs(x))), 1e-300)
