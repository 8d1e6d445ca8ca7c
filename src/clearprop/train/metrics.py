"""Losses and metrics: by name, or any function of outputs and targets; and how a model is evaluated by them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop import nn
from clearprop.data.encodings import NumberTarget
from clearprop.data.parts import Part
from clearprop.data.preprocessing import Preprocessing
from clearprop.errors import ArgumentError, unknown_name, user_line
from clearprop.program.tracing import shape_of
from clearprop.program.types import is_floating, type_of
from clearprop.program.values import no_grad, raw
from clearprop.rules.elementwise import astype, equal, greater, sqrt, square
from clearprop.rules.reductions import argmax, mean
from clearprop.train.step import Loss

ROWS_AT_ONCE = 1024
"""A model is applied to this many rows at a time."""


@dataclass(frozen=True)
class Measure:
    """A named function of outputs and targets.  `by_batch`: its mean over batches is its value over all rows.

    Where it is not, `sums` gives numbers that add up over batches, and `of_sums` the value from their totals.
    """

    name: str
    function: Loss
    by_batch: bool = True
    unit: float = 1.0
    sums: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]] | None = None
    of_sums: Callable[[NDArray[np.float64]], float] | None = None

    def __call__(self, outputs: Any, y: Any) -> Any:
        """The value, a scalar, in the target's unit."""
        value = self.function(outputs, y)
        return value if self.unit == 1.0 else value * self.unit


def accuracy(outputs: Any, y: Any) -> Any:
    """The share of rows whose largest output is the label's; for a single output, whose sign is the label's."""
    if shape_of(outputs)[-1] == 1:
        label = y if len(shape_of(y)) == len(shape_of(outputs)) else y[..., None]
        return mean(astype(equal(greater(outputs, 0), greater(label, 0.5)), dtype=np.dtype(np.float64)))
    label = y if not is_floating(type_of(raw(y)).dtype) else argmax(y, axis=-1)
    return mean(astype(equal(argmax(outputs, axis=-1), label), dtype=np.dtype(np.float64)))


def rmse(outputs: Any, y: Any) -> Any:
    """The square root of the mean squared error."""
    return sqrt(mean(square(outputs - y)))


def r2(outputs: Any, y: Any) -> Any:
    """1 − Σ(y − ŷ)² / Σ(y − ȳ)²: the share of the target's variance that is explained."""
    return 1.0 - mean(square(outputs - y)) / mean(square(y - mean(y, axis=0)))


def _moments(outputs: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """n, Σ(y − ŷ)², Σy and Σy² of one target."""
    errors = np.square(outputs.reshape(y.shape) - y)
    return np.array([y.size, errors.sum(), y.sum(), np.square(y).sum()])


def _rmse_of(sums: NDArray[np.float64]) -> float:
    return math.sqrt(sums[1] / sums[0])


def _r2_of(sums: NDArray[np.float64]) -> float:
    number, errors, total, squares = sums.tolist()
    return float(1.0 - errors / (squares - total * total / number))


METRICS = {
    "accuracy": Measure("accuracy", accuracy),
    "mae": Measure("mae", nn.mae),
    "mse": Measure("mse", nn.mse),
    "rmse": Measure("rmse", rmse, by_batch=False, sums=_moments, of_sums=_rmse_of),
    "r2": Measure("r2", r2, by_batch=False, sums=_moments, of_sums=_r2_of),
}
"""The metrics that have a name."""


def find_loss(loss: str | Callable[[Any, Any], Any]) -> Measure:
    """The loss of that name, or the function as a loss.  Raises ArgumentError for an unknown name."""
    if callable(loss):
        return Measure(_name(loss), loss)
    return Measure(loss, nn.loss_named(loss))


def find_metrics(metrics: Sequence[Any]) -> tuple[Measure, ...]:
    """The metrics of those names, or the functions as metrics.  Raises ArgumentError for an unknown name."""
    if isinstance(metrics, str) or not isinstance(metrics, Sequence):
        raise ArgumentError(
            "metrics is a list of names and functions",
            expected='such as ("accuracy",)',
            got=repr(metrics),
            where=user_line(),
            try_=f"metrics=({metrics!r},)" if isinstance(metrics, str) else "metrics=()",
        )
    found = tuple(_metric(metric) for metric in metrics)
    names = [m.name for m in found] + ["loss"]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise ArgumentError(
            f"two metrics are called {double!r}",
            expected="a name of its own for every metric, and none called 'loss'",
            got=", ".join(names[:-1]),
            where=user_line(),
            try_="give the function another __name__",
        )
    return found


def measures_for(names: Sequence[str], preprocessing: Preprocessing | None) -> tuple[Measure, ...]:
    """The metrics of those names; errors of standardised targets are told in the target's own unit."""
    found = find_metrics(names)
    if preprocessing is None or not isinstance(preprocessing.target, NumberTarget):
        return found
    unit = preprocessing.target.scale
    return tuple(replace(m, unit=unit) if m.name in ("mae", "rmse") else m for m in found)


def _metric(metric: Any) -> Measure:
    if isinstance(metric, Measure):
        return metric
    if callable(metric):
        return Measure(_name(metric), metric)
    if metric not in METRICS:
        raise unknown_name("metric", str(metric), METRICS, where=user_line())
    return METRICS[metric]


def _name(function: Any) -> str:
    """The name of a function; ours keep theirs, and another function of such a name is told apart."""
    name = str(getattr(function, "__name__", type(function).__name__))
    ours = nn.LOSSES.get(name, METRICS[name].function if name in METRICS else function)
    return name if function is ours else f"{name} (own)"


def outputs_of(model: Any, x: Any) -> NDArray[Any]:
    """The model's outputs for all rows of x, as an array; computed without history, some rows at a time."""
    with no_grad():
        parts = [np.asarray(raw(model(x[i : i + ROWS_AT_ONCE]))) for i in range(0, len(x), ROWS_AT_ONCE)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def evaluate(model: Any, x: Any, y: Any, loss: Measure, metrics: Sequence[Measure]) -> dict[str, float]:
    """The loss and the metrics of a model over all rows, by name."""
    outputs = outputs_of(model, x)
    with no_grad():
        return {m.name: float(raw(m(outputs, y))) for m in (Measure("loss", loss.function), *metrics)}


def evaluate_part(model: Any, part: Part, loss: Measure, metrics: Sequence[Measure]) -> dict[str, float]:
    """`evaluate` for arrays, or for rows on disk, of which one block at a time is read."""
    if isinstance(part, tuple):
        return evaluate(model, *part, loss, metrics)
    if part.blocks == 1:
        return evaluate(model, *next(part.pairs()), loss, metrics)
    return evaluate_blocks(model, part.pairs(), loss, metrics)


def evaluate_blocks(
    model: Any, pairs: Iterable[tuple[Any, Any]], loss: Measure, metrics: Sequence[Measure]
) -> dict[str, float]:
    """`evaluate` over the rows of all pairs together: means weighted by rows, or from sums that add up."""
    measures = (Measure("loss", loss.function), *metrics)
    rows, totals = 0, [np.zeros(1)] * len(measures)
    for x, y in pairs:
        outputs = outputs_of(model, x)
        rows += len(x)
        totals = [total + _share(m, outputs, y) for m, total in zip(measures, totals, strict=True)]
    pairs_of = zip(measures, totals, strict=True)
    return {m.name: m.unit * m.of_sums(t) if m.of_sums else float(t[0] / rows) for m, t in pairs_of}


def _share(measure: Measure, outputs: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
    if measure.sums is not None:
        return measure.sums(outputs.astype(np.float64), y.astype(np.float64))
    with no_grad():
        return np.array([len(y) * float(raw(measure(outputs, y)))])
