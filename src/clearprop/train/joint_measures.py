"""Metrics put together: of blocks of rows, by their moments, and of several targets that one network learns."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class OfTarget:
    """A metric of one of several targets, which is given the output and the values of that one alone, as columns."""

    measure: Callable[..., Any]
    place: int

    def __call__(self, outputs: Any, y: Any, sample_weight: Any = None) -> Any:
        """The metric; rows count by their weights."""
        more = () if sample_weight is None else (sample_weight,)
        chosen = slice(self.place, self.place + 1)
        return self.measure(outputs[..., chosen], y[..., chosen], *more)


@dataclass(frozen=True)
class MomentsOfTarget:
    """The moments of one of several targets, `(moments, 1)`."""

    moments: Callable[..., Floats]
    place: int

    def __call__(self, outputs: Floats, y: Floats, **more: Any) -> Floats:
        """The moments of these rows; `more` are their weights."""
        chosen = slice(self.place, self.place + 1)
        return self.moments(outputs[..., chosen], y[..., chosen], **more)


@dataclass(frozen=True)
class MeanOfTargets:
    """The mean over all targets of a metric of each."""

    measures: Sequence[OfTarget]

    def __call__(self, outputs: Any, y: Any, sample_weight: Any = None) -> Any:
        """The metric; rows count by their weights."""
        first, *others = (measure(outputs, y, sample_weight) for measure in self.measures)
        for other in others:
            first = first + other
        return first / len(self.measures)


@dataclass(frozen=True)
class MeanOfMoments:
    """The mean over all targets of what the moments of each, a column of `(moments, targets)`, make."""

    of_moments: Callable[[Floats], float]

    def __call__(self, moments: Floats) -> float:
        """The metric of all rows."""
        return float(np.mean([self.of_moments(moments[:, k : k + 1]) for k in range(moments.shape[1])]))


def moments(outputs: Floats, y: Floats, sample_weight: Floats | None = None) -> Floats:
    """Of each target, with w = 1 where rows have no weights: Σw, √Σw(y − ŷ)², ȳ = Σwy / Σw and √Σw(y − ȳ)².

    Arguments:
        outputs: what a network says, `(rows, targets)` or what has as many elements.
        y: the targets `(rows, …)`.
        sample_weight: `(rows,)`.

    Gives `(4, targets)`.

    >>> moments(np.array([1.0, 4.0]), np.array([1.0, 1.0])).T
    array([[2., 3., 1., 0.]])

    """
    columns = y.reshape(len(y), math.prod(y.shape[1:]))
    weight = np.ones(len(y)) if sample_weight is None else sample_weight
    centre = weight @ columns / ((total := weight.sum()) or 1.0)
    missed, apart = (_root_of_squares(other - columns, weight) for other in (outputs.reshape(columns.shape), centre))
    return np.stack([np.full_like(centre, total), missed, centre, apart])


def _root_of_squares(values: Floats, weight: Floats) -> Floats:
    """√Σw·v² of each column."""
    _, power = np.frexp(np.abs(values).max(axis=0, initial=0.0))
    root: Floats = np.ldexp(np.sqrt(weight @ np.square(np.ldexp(values, -power))), power)
    return root


def merge_moments(one: Floats, other: Floats) -> Floats:
    """The moments of both parts together (Chan, Golub & LeVeque 1979), which a large mean does not spoil."""
    total = one[0] + other[0]
    share = other[0] / np.where(total == 0, 1.0, total)
    apart = other[2] - one[2]
    spread = np.hypot(np.hypot(one[3], other[3]), np.abs(apart) * np.sqrt(one[0] * share))
    return np.stack([total, np.hypot(one[1], other[1]), one[2] + apart * share, spread])


def rmse_of(found: Floats) -> float:
    """The RMSE over all rows and targets, of their moments."""
    return math.hypot(*found[1]) / math.sqrt(found[0].sum())


def r2_of(found: Floats) -> float:
    """R² over all rows and targets, of their moments; NaN where the targets have no variance."""
    errors, whole = math.hypot(*found[1]), math.hypot(*found[3])
    if not whole > 0:
        return math.nan
    ratio = errors / whole
    return 1.0 - ratio * ratio
