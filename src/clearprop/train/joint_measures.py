"""Metrics of several targets that one network learns: of each by itself, and their mean."""

from __future__ import annotations

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
