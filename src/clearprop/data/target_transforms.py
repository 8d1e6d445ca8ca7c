"""Targets in another scale: the logarithm, or normal scores of quantiles, for targets with a long tail.

A network learns t(y); what it answers is brought back by t⁻¹, so that predictions, metrics and intervals are in the
unit of the data.  Where errors grow with the target, as those of prices do, it is t(y) that has errors of one size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clearprop.errors import ArgumentError, DataError, unknown_name
from clearprop.rules.arithmetic import clip
from clearprop.rules.exponentials import expm1
from clearprop.rules.reductions import sum as sum_of

TRANSFORMS = ("none", "log", "quantile", "auto")
"""The words of `--target-transform`."""
MOST_KNOTS = 65
"""A quantile transform has so many knots at most, ends included."""
FEWEST = 10
"""Fewer different training values than this have no quantiles worth the name."""
_END = 0.5 / 1000
"""The shares at which the least and the greatest training value stand: normal scores of ±3.29."""


@dataclass(frozen=True)
class TargetTransform:
    """t(y) and its inverse, for training values from `low` to `high`.

    `log` is log(1 + y) for targets of 0 or more.  `quantile` goes straight between knots: `values`, quantiles of the
    training part, and their `scores`, the quantiles of the normal distribution at the same shares; beyond the ends it
    goes on as in the last piece.  What a network answers is kept within the training range.

    >>> log = TargetTransform("log", 0.0, 100.0)
    >>> np.round(log.inverse(log.forward(np.array([0.0, 3.0]))), 6).tolist()
    [0.0, 3.0]
    >>> round(float(log.answer(np.float64(50.0))), 6)
    100.0
    """

    name: Literal["log", "quantile"]
    low: float
    high: float
    values: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()

    @property
    def formula(self) -> str:
        """t(y) in a few words."""
        return "log(1 + y)" if self.name == "log" else f"normal score of y by {len(self.values)} quantiles"

    def forward(self, y: NDArray[Any]) -> NDArray[np.float64]:
        """t(y), any shape."""
        wide = np.asarray(y, dtype=np.float64)
        if self.name == "log":
            return np.log1p(wide)
        return _along(wide, np.array(self.values), np.array(self.scores))

    def inverse(self, z: Any) -> Any:
        """t⁻¹(z) of arrays and of tensors, any shape: a value of the target."""
        if self.name == "log":
            return expm1(z)
        scores, values = np.array(self.scores), np.array(self.values)
        slopes = np.diff(values) / np.diff(scores)
        low, high = scores[:-1].copy(), scores[1:].copy()
        low[0], high[-1] = -np.inf, np.inf  # straight on beyond the ends
        low, high = low - scores[:-1], high - scores[:-1]
        return values[0] + sum_of(clip(z[..., None] - scores[:-1], low, high) * slopes, axis=-1)

    def answer(self, z: Any) -> Any:
        """t⁻¹(z), z kept where t(y) was in training: an answer far out would be a number without end."""
        first, last = (float(end) for end in self.forward(np.array([self.low, self.high])))
        return self.inverse(clip(z, first, last))

    def around(self, y: NDArray[np.float64], width: float) -> NDArray[np.float64]:
        """t⁻¹(t(y) − width) and t⁻¹(t(y) + width), `(rows, 2)`; of amounts none is below 0."""
        known = self.forward(y)
        ends = np.stack([np.asarray(self.inverse(end)) for end in (known - width, known + width)], axis=1)
        return np.maximum(ends, 0.0) if self.name == "log" else ends


def _along(x: NDArray[np.float64], places: NDArray[np.float64], heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The line through points, straight on beyond the ends."""
    k = np.clip(np.searchsorted(places, x, side="right") - 1, 0, len(places) - 2)
    slope = (heights[k + 1] - heights[k]) / (places[k + 1] - places[k])
    return np.asarray(heights[k] + (x - places[k]) * slope)


def fit_transform(asked: str, target: str, values: NDArray[np.float64]) -> TargetTransform:
    """The transform of that name for training values.

    Raises DataError for the logarithm of negative values and ArgumentError for quantiles of few different ones, for a
    name that there is not, and for `auto`, which is decided where networks are trained.

    >>> fit_transform("log", "price", np.array([1.0, 7.0]))
    TargetTransform(name='log', low=1.0, high=7.0, values=(), scores=())
    """
    require_known(asked)
    if asked not in ("log", "quantile"):
        raise ArgumentError(
            "the transform of the target is not chosen here",
            expected="none, log or quantile",
            got=asked,
            where="--target-transform",
            try_="clearprop train DATA --target-transform auto, which says what it chose",
        )
    low, high = float(values.min()), float(values.max())
    if asked == "log":
        return log_transform(target, low, high)
    distinct = len(np.unique(values))
    if distinct < FEWEST:
        raise ArgumentError(
            f"the target {target!r} has too few different values for quantiles",
            expected=f"{FEWEST} or more in the training part",
            got=f"{distinct}",
            where="--target-transform",
            try_="--target-transform none",
        )
    return TargetTransform("quantile", low, high, *_knots(values))


def log_transform(target: str, low: float, high: float) -> TargetTransform:
    """The logarithm for training values from `low` to `high`.  Raises DataError for values below 0."""
    if low < 0:
        raise negative_target(target, low, "the training part")
    return TargetTransform("log", low, high)


def _knots(values: NDArray[np.float64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Quantiles and their normal scores, both rising; a value of many rows stands at the middle of their shares."""
    from scipy.special import ndtri  # for start-up time

    shares = np.linspace(0.0, 1.0, MOST_KNOTS)
    found = np.quantile(values, shares)
    known, places = np.unique(found, return_inverse=True)
    middle = np.bincount(places, shares) / np.bincount(places)
    scores = ndtri(np.clip(middle, _END, 1.0 - _END))
    return tuple(known.tolist()), tuple(scores.tolist())


def require_known(name: object) -> None:
    """Raise ArgumentError for what is no word of `--target-transform`."""
    if name not in TRANSFORMS:
        raise unknown_name("target transform", str(name), TRANSFORMS, "--target-transform")


def negative_target(target: str, value: float, where: str) -> DataError:
    """The error for a target below 0 whose logarithm is learned."""
    return DataError(
        "the logarithm of 1 + y is learned of amounts",
        expected=f"a target {target!r} of 0 or more",
        got=f"{value:.6g}",
        where=where,
        try_="--target-transform quantile, which takes any numbers",
    )
