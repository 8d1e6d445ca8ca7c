"""A line search for a point that satisfies the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from clearprop.optim.objective import Point, Vector, rounding

DECREASE = 1e-4  # c₁ of Nocedal & Wright 2006, ch. 3
TRIALS = 30
GROWTH = 10.0  # the longest jump ahead, in multiples of the step before


class LinePoint(NamedTuple):
    """A point on the line: step length, value and slope there; a value or slope that is not finite counts as +∞."""

    step: float
    value: float
    slope: float
    point: Point

    @property
    def finite(self) -> bool:
        """Whether there is a number to interpolate with."""
        return math.isfinite(self.value)


class Line:
    """The function along x + step · direction, and what the conditions say about its points.

    Sufficient decrease: f(s) ≤ f(0) + c₁·s·f′(0).  Where f(s) and f(0) differ by rounding only, the slope decides in
    the value's place: f′(s) ≤ (2c₁ − 1)·f′(0) (Hager & Zhang 2005).  Flat enough: |f′(s)| ≤ c₂·|f′(0)|.
    """

    def __init__(self, evaluate: Callable[[Vector], Point], start: Point, direction: Vector, flatter: float) -> None:
        self.evaluate, self.start, self.direction, self.flatter = evaluate, start, direction, flatter
        self.slope = float(start.gradient @ direction)
        self.noise = rounding(start)

    def at(self, step: float) -> LinePoint:
        """One evaluation."""
        point = self.evaluate(self.start.x + self.start.x.dtype.type(step) * self.direction)
        if not point.finite:
            return LinePoint(step, math.inf, math.inf, point)
        return LinePoint(step, point.value, float(point.gradient @ self.direction), point)

    def low_enough(self, t: LinePoint) -> bool:
        """Sufficient decrease."""
        if t.value <= self.start.value + DECREASE * t.step * self.slope:
            return True
        return t.value <= self.start.value + self.noise and t.slope <= (2 * DECREASE - 1) * self.slope

    def flat_enough(self, t: LinePoint) -> bool:
        """The curvature condition."""
        return abs(t.slope) <= -self.flatter * self.slope

    def worthwhile(self, step: float) -> bool:
        """Whether the decrease that the first slope promises up to here could be told from rounding at all."""
        return -self.slope * step > 1e-4 * self.noise

    def search(self, first: float) -> LinePoint | None:
        """A point that satisfies both conditions; failing that the lowest one met, or None if none was lower.

        The interval [a, b] keeps a low enough with the slope still down, and b too high or with the slope up: a point
        that satisfies both conditions lies between.
        """
        a, b, best, step = LinePoint(0.0, self.start.value, self.slope, self.start), None, None, first
        for _ in range(TRIALS):
            t = self.at(step)
            low = self.low_enough(t)
            if low and self.flat_enough(t):
                return t
            if low and t.value < (self.start if best is None else best.point).value:
                best = t
            a, b = (t, b) if low and t.slope < 0 else (a, t)
            step = a.step * GROWTH if b is None else _between(a, b)
            if not self.worthwhile(step) or step == a.step or (b is not None and step >= b.step):
                break  # rounding hides what lies between
        return best


def _between(a: LinePoint, b: LinePoint) -> float:
    """The minimum of the cubic through both values and slopes, kept off the ends; near a if b is infinite."""
    width = b.step - a.step
    guess = _cubic(a, b) if b.finite else math.nan
    if not math.isfinite(guess):
        return a.step + 0.1 * width
    return min(max(guess, a.step + 0.1 * width), b.step - 0.1 * width)


def _cubic(a: LinePoint, b: LinePoint) -> float:
    """Nocedal & Wright 2006, (3.59); the middle where rounding leaves no minimum."""
    d1 = a.slope + b.slope - 3 * (a.value - b.value) / (a.step - b.step)
    inside = d1 * d1 - a.slope * b.slope
    if inside < 0:
        return (a.step + b.step) / 2
    d2 = math.sqrt(inside)
    below = b.slope - a.slope + 2 * d2
    return b.step - (b.step - a.step) * (b.slope + d2 - d1) / below if below else (a.step + b.step) / 2
