"""Metrics that are traced, and metrics put together: of blocks of rows, of several targets, of several quantiles."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from clearprop import nn
from clearprop.errors import ArgumentError, user_line
from clearprop.nn.loss_text import is_normal
from clearprop.nn.losses import several_quantiles_of
from clearprop.program.ir import shape_of
from clearprop.rules.elementwise import (
    astype,
    greater_equal,
    less_equal,
    logical_and,
)
from clearprop.rules.reductions import mean
from clearprop.rules.structural import reshape
from clearprop.runs.events import name_of_target

Floats = NDArray[np.float64]
M = TypeVar("M", bound=Any)
"""A measure, as `metrics.Measure` declares it."""
MEDIAN = 0.5
"""The quantile that metrics of one answer a row judge."""
_DOUBLE = np.dtype(np.float64)


@dataclass(frozen=True)
class OfTarget:
    """A metric of one of several targets, which is given the output and the values of that one alone, as columns.

    Where all outputs are answers about one target, as quantiles are, the values are `shared`.
    """

    measure: Callable[..., Any]
    place: int
    shared: bool = False

    def __call__(self, outputs: Any, y: Any, sample_weight: Any = None) -> Any:
        """The metric; rows count by their weights."""
        more = () if sample_weight is None else (sample_weight,)
        chosen = slice(self.place, self.place + 1)
        return self.measure(outputs[..., chosen], y if self.shared else y[..., chosen], *more)


@dataclass(frozen=True)
class MomentsOfTarget:
    """The moments of one of several targets, `(moments, 1)`."""

    moments: Callable[..., Floats]
    place: int
    shared: bool = False

    def __call__(self, outputs: Floats, y: Floats, **more: Any) -> Floats:
        """The moments of these rows; `more` are their weights."""
        chosen = slice(self.place, self.place + 1)
        return self.moments(outputs[..., chosen], y if self.shared else y[..., chosen], **more)


@dataclass(frozen=True)
class ShareBelow:
    """The share of rows whose target is at most the answer of one output, `(rows, outputs)`: near q for a q-quantile.

    With a place `above`, the share of those that are above that output's answer as well: how many an interval holds.

    >>> answers, y = np.array([[1.0, 3.0], [1.0, 3.0]]), np.array([[2.0], [4.0]])
    >>> float(ShareBelow(1)(answers, y)), float(ShareBelow(0)(answers, y)), float(ShareBelow(1, above=0)(answers, y))
    (0.5, 0.0, 0.5)
    """

    place: int
    above: int | None = None

    def __call__(self, outputs: Any, y: Any, sample_weight: Any = None) -> Any:
        """The share; rows count by their weights, which have a mean of 1."""
        value = y[..., 0] if len(shape_of(y)) > 1 else y
        held = less_equal(value, outputs[..., self.place])
        if self.above is not None:
            held = logical_and(held, greater_equal(value, outputs[..., self.above]))
        share = astype(held, dtype=_DOUBLE)
        return mean(share if sample_weight is None else share * reshape(sample_weight, shape_of(share)))


def names_of_outputs(targets: Sequence[str], loss: str) -> tuple[str, ...]:
    """What the answers about targets of numbers are called: as they are, or for each of several quantiles of one.

    >>> names_of_outputs(["price"], "pinball:quantile=0.1,0.9"), names_of_outputs([], "pinball:quantile=0.1,0.9")
    (('price_q0.1', 'price_q0.9'), ('q0.1', 'q0.9'))
    >>> names_of_outputs(["price"], "mse"), names_of_outputs([], "mse")
    (('price',), ())
    """
    told = f"{targets[0]}_" if targets else ""
    return tuple(f"{told}q{q:g}" for q in several_quantiles_of(loss)) or tuple(targets)


def ends_for(loss: object) -> tuple[Any, int]:
    """What stands behind a network whose loss learns several quantiles, and how many outputs are before it.

    >>> ends_for("pinball:0.1,0.9"), ends_for("gaussian_nll:0.8"), ends_for("mse")
    ((Increasing(2), 2), (NormalInterval(0.8), 2), (None, 0))
    """
    quantiles = several_quantiles_of(loss)
    if is_normal(loss):
        return nn.NormalInterval(round(quantiles[-1] - quantiles[0], 12)), 2
    return (nn.Increasing(len(quantiles)) if quantiles else None), len(quantiles)


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


def by_quantiles(
    metrics: tuple[M, ...], pinball: Sequence[M], quantiles: Sequence[float], names: Sequence[str]
) -> tuple[M, ...]:
    """The metrics of a run that learns quantiles, which are called so if they are several.

    `pinball` is the loss, and then that of each quantile.
    """
    if len(quantiles) == 1:
        return tuple(pinball[0] if m.name == "pinball" else m for m in metrics)
    return (*_of_quantiles(pinball[0], dict(zip(names, pinball[1:], strict=True))), *_of_median(metrics, quantiles))


def _of_quantiles(pinball: M, each: Mapping[str, M]) -> tuple[M, ...]:
    """Of quantiles side by side: the mean loss, the share of rows between the outermost; loss and share below each."""
    single, share = list[M](), replace(pinball, unit=1.0)
    for k, (name, own) in enumerate(each.items()):
        judged = OfTarget(replace(own, unit=1.0), k, shared=True)
        single.append(replace(own, name=name_of_target("pinball", name), function=judged))
        single.append(replace(share, name=name_of_target("below", name), function=ShareBelow(k)))
    return pinball, replace(share, name="coverage", function=ShareBelow(len(each) - 1, above=0)), *single


def _of_median(metrics: Sequence[M], quantiles: Sequence[float]) -> tuple[M, ...]:
    """Metrics of one answer a row, which is the median.  Raises ArgumentError where that is not learned."""
    judged = [m for m in metrics if m.name != "pinball"]
    if judged and MEDIAN not in quantiles:
        raise ArgumentError(
            f"{judged[0].name} judges one answer a row, and there are {len(quantiles)} quantiles",
            expected="pinball; or 0.5 among the quantiles, the median, which other metrics judge",
            got=f"{judged[0].name} and the quantiles {', '.join(f'{q:g}' for q in quantiles)}",
            where=user_line(),
            try_="pinball",
        )
    place = quantiles.index(MEDIAN) if judged else 0
    return tuple(
        replace(
            m,
            function=OfTarget(replace(m, unit=1.0), place, shared=True),
            moments=None if m.moments is None else MomentsOfTarget(m.moments, place, shared=True),
            restore=None,
        )
        for m in judged
    )


def of_several(metrics: Sequence[tuple[M, Sequence[M]]], names: Sequence[str], alike: Collection[str]) -> tuple[M, ...]:
    """The mean of each metric over the targets, and the metrics of each one by itself, in its own unit.

    Errors that have a unit are averaged in deviations of the targets, in which they can be added; metrics that are
    `alike` are means of those in the unit of each.
    """
    means, single = list[M](), list[M]()
    for metric, own in metrics:
        among = own if metric.name in alike else [metric] * len(own)
        mean_of = MeanOfTargets(tuple(OfTarget(m, k) for k, m in enumerate(among)))
        of_moments = None if metric.of_moments is None else MeanOfMoments(metric.of_moments)
        means.append(replace(metric, function=mean_of, of_moments=of_moments))
        for k, (name, measure) in enumerate(zip(names, own, strict=True)):
            told = name_of_target(metric.name, name)
            judged = OfTarget(replace(measure, unit=1.0), k)
            moments = None if measure.moments is None else MomentsOfTarget(measure.moments, k)
            single.append(replace(measure, name=told, function=judged, moments=moments, restore=None))
    return (*means, *single)
