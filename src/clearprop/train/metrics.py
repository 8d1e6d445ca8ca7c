"""Losses and metrics: by name, or any function of outputs and targets; and how a model is evaluated by them."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop import nn
from clearprop.compiler import row_products
from clearprop.data.encodings import ClassTarget, NumberTarget, Target
from clearprop.data.parts import Part
from clearprop.data.preprocessing import Preprocessing
from clearprop.errors import ArgumentError, unknown_name, user_line
from clearprop.nn.loss_text import SetLoss
from clearprop.nn.losses import has_log_link, loss_task
from clearprop.program.process_lock import AwaitedWork
from clearprop.program.tracing import shape_of, trace
from clearprop.program.types import Type, is_floating, type_of
from clearprop.program.values import no_grad, raw
from clearprop.rules.elementwise import astype, equal, exp, greater, sqrt, square, where
from clearprop.rules.reductions import argmax, mean
from clearprop.rules.structural import reshape
from clearprop.train.scores import SCORES
from clearprop.train.step import Loss

ROWS_AT_ONCE = 1024
"""A model is applied to this many rows at a time."""


@dataclass(frozen=True)
class TargetUnit:
    """How a network's answers and its targets, which are (y − centre) / scale, come back to the unit of the data.

    With `log` an answer is the logarithm of what is expected, in units of the mean.
    """

    centre: float = 0.0
    scale: float = 1.0
    log: bool = False

    def of_outputs(self, outputs: Any) -> Any:
        """Answers in the unit of the data."""
        return exp(outputs) * (self.centre or 1.0) if self.log else self.of_targets(outputs)

    def of_targets(self, y: Any) -> Any:
        """Targets in the unit of the data."""
        return y * self.scale + self.centre


@dataclass(frozen=True)
class Measure:
    """A named function of outputs and targets.  `by_batch`: its mean over batches is its value over all rows.

    Where it is not, `moments` gives numbers that `merge` (else a sum) makes those of two batches, and `of_moments` the
    value from those of all; or it is a function of NumPy arrays, `outside` of what is traced and compiled, and needs
    all rows at once.  `task` is what it can judge, `higher` whether more of it is better.  A value is told times
    `unit`; one outside, which may be nothing that scales, is given what `restore` brings back to the target's unit.

    Weights of rows, `(rows,)` with a mean of 1, make every mean over rows a weighted one: Σ w·v / Σ w.
    """

    name: str
    function: Loss
    by_batch: bool = True
    unit: float = 1.0
    task: str | None = None
    higher: bool = False
    outside: bool = False
    restore: TargetUnit | None = None
    moments: Callable[..., NDArray[np.float64]] | None = None
    merge: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]] | None = None
    of_moments: Callable[[NDArray[np.float64]], float] | None = None

    def __call__(self, outputs: Any, y: Any, weight: Any = None) -> Any:
        """The value, a scalar, in the target's unit."""
        if self.restore is not None:
            outputs, y = self.restore.of_outputs(outputs), self.restore.of_targets(y)
        value = self.function(outputs, y) if weight is None else self._weighted(outputs, y, weight)
        return value if self.unit == 1.0 else value * self.unit

    def _weighted(self, outputs: Any, y: Any, weight: Any) -> Any:
        """The value by weights whose mean over all rows is 1.

        A loss divides by the number of rows, not by their weights, so that batches add up to the loss of all rows.
        """
        if self.outside or loss_task(self.name) is None:
            return self.function(outputs, y, sample_weight=weight)
        return mean(self.function(outputs, y, reduction="none", sample_weight=weight))

    @property
    def knows_weights(self) -> bool:
        """Whether rows can have weights: so with all of the library's own, and functions with `sample_weight`."""
        if self.name in METRICS or loss_task(self.name) is not None:
            return True
        try:
            taken = inspect.signature(self.function).parameters
        except (TypeError, ValueError):  # a function that does not tell what it takes
            return False
        return "sample_weight" in taken


def accuracy(outputs: Any, y: Any, sample_weight: Any = None) -> Any:
    """The share of rows whose largest output is the label's; for a single output, whose sign is the label's."""
    if shape_of(outputs)[-1] == 1:
        label = y if len(shape_of(y)) == len(shape_of(outputs)) else y[..., None]
        right = equal(greater(outputs, 0), greater(label, 0.5))
    else:
        label = y if not is_floating(type_of(raw(y)).dtype) else argmax(y, axis=-1)
        right = equal(argmax(outputs, axis=-1), label)
    return mean(_times_weight(astype(right, dtype=np.dtype(np.float64)), sample_weight))


def rmse(outputs: Any, y: Any, sample_weight: Any = None) -> Any:
    """The square root of the mean squared error."""
    return sqrt(mean(_times_weight(square(outputs - y), sample_weight)))


def r2(outputs: Any, y: Any, sample_weight: Any = None) -> Any:
    """1 − Σ(y − ŷ)² / Σ(y − ȳ)²: the share of the target's variance that is explained; NaN where it has none."""
    centre = mean(_times_weight(y, sample_weight), axis=0)
    unexplained = mean(_times_weight(square(outputs - y), sample_weight))
    whole = mean(_times_weight(square(y - centre), sample_weight))
    return 1.0 - unexplained / where(greater(whole, 0), whole, math.nan)


def _times_weight(values: Any, weight: Any) -> Any:
    """Values of rows times the weights of the rows, which have a mean of 1; as they are without weights."""
    if weight is None:
        return values
    shape = shape_of(values)
    return values * reshape(weight, (shape[0], *(1 for _ in shape[1:])))


def _moments(
    outputs: NDArray[np.float64], y: NDArray[np.float64], sample_weight: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Of each target, with w = 1 where rows have no weights: Σw, Σw(y − ŷ)², ȳ = Σwy / Σw and Σw(y − ȳ)²."""
    columns = y.reshape(len(y), math.prod(y.shape[1:]))
    weight = np.ones(len(y)) if sample_weight is None else sample_weight
    centre = weight @ columns / ((total := weight.sum()) or 1.0)
    missed, apart = (weight @ np.square(other - columns) for other in (outputs.reshape(columns.shape), centre))
    return np.stack([np.full_like(centre, total), missed, centre, apart])


def _merge_moments(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """The moments of both parts together (Chan, Golub & LeVeque 1979), which a large mean does not spoil."""
    total = one[0] + other[0]
    share = other[0] / np.where(total == 0, 1.0, total)
    apart = other[2] - one[2]
    spread = one[3] + other[3] + apart**2 * one[0] * share
    return np.stack([total, one[1] + other[1], one[2] + apart * share, spread])


def _rmse_of(moments: NDArray[np.float64]) -> float:
    return math.sqrt(moments[1].sum() / moments[0].sum())


def _r2_of(moments: NDArray[np.float64]) -> float:
    errors, whole = moments[1].sum(), moments[3].sum()
    return float(1.0 - errors / whole) if whole > 0 else math.nan


METRICS = {
    "accuracy": Measure("accuracy", accuracy, task="classes", higher=True),
    "mae": Measure("mae", nn.mae, task="numbers"),
    "mse": Measure("mse", nn.mse, task="numbers"),
    "rmse": Measure(
        "rmse", rmse, by_batch=False, task="numbers", moments=_moments, merge=_merge_moments, of_moments=_rmse_of
    ),
    "r2": Measure(
        "r2", r2, by_batch=False, task="numbers", higher=True, moments=_moments, merge=_merge_moments, of_moments=_r2_of
    ),
    **{
        name: Measure(name, score, by_batch=False, task=score.task, higher=score.higher, outside=True)
        for name, score in SCORES.items()
    },
}
"""The metrics that have a name."""


def find_loss(loss: str | Callable[[Any, Any], Any]) -> Measure:
    """The loss of that name, or the function as a loss.  Raises ArgumentError for an unknown name."""
    if isinstance(loss, Measure):
        return loss
    found = loss if callable(loss) else nn.loss_named(loss)
    return Measure(_name(found), found)


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


def chosen_among(metrics: Sequence[Any], metric: str) -> Sequence[Any]:
    """The metrics, with the one that chooses the best epoch if it is not the loss and not among them.

    >>> chosen_among(("accuracy",), "auc"), chosen_among(("accuracy",), "loss")
    (('accuracy', 'auc'), ('accuracy',))

    Raises ArgumentError where it is no name.
    """
    if not isinstance(metric, str):
        raise ArgumentError(
            "fit cannot choose the best epoch by this metric",
            expected="the name of a metric, or 'loss'",
            got=f"metric = {metric!r}",
            where=user_line(),
            try_="metric='loss'; functions belong to metrics=",
        )
    among = metric == "loss" or any(metric in (m, getattr(m, "__name__", None)) for m in metrics)
    return metrics if among else (*metrics, metric)


def higher_is_better(name: str) -> bool:
    """Whether more of the metric of that name is better; less is of a loss.

    >>> higher_is_better("accuracy"), higher_is_better("loss")
    (True, False)
    """
    return name in METRICS and METRICS[name].higher


def require_task(metrics: Sequence[Measure], classes: bool) -> None:
    """Raise ArgumentError for a metric that judges the other task."""
    task = "classes" if classes else "numbers"
    stranger = next((m for m in metrics if m.task not in (None, task)), None)
    if stranger is not None:
        known = sorted(name for name, m in METRICS.items() if m.task == task)
        raise ArgumentError(
            f"{stranger.name} judges {stranger.task}, and the target is of {task}",
            expected="one of: " + ", ".join(known),
            got=stranger.name,
            where=user_line(),
            try_=known[0],
        )


def require_outputs(outputs: int, target: ClassTarget) -> None:
    """Raise ArgumentError unless there is an output for each class, or a single one for two of them."""
    classes = len(target.classes)
    if outputs != classes and (outputs, classes) != (1, 2):
        raise ArgumentError(
            "the outputs of the network are not as many as the classes",
            expected=f"{classes} outputs, one for each class" + (", or one" if classes == 2 else ""),
            got=f"{outputs} for {target.encoding}",
            where=user_line(),
            try_=f"a last layer of {classes}, or cl.nn.mlp(hidden=[64, 64]), which takes its sizes from the data",
        )


def require_loss_task(name: str, target: Target) -> None:
    """Raise ArgumentError for a loss that compares classes where the target is of numbers, or numbers for classes."""
    wanted = "classes" if isinstance(target, ClassTarget) else "numbers"
    task = loss_task(name)
    if task not in (None, wanted):
        known = nn.CLASS_LOSSES if wanted == "classes" else nn.NUMBER_LOSSES
        suits = [word for word in known if word != "binary_cross_entropy"]  # a table has one output for each class
        raise ArgumentError(
            f"{name} compares {task}, and the target {target.name!r} is of {wanted}",
            expected="one of: " + ", ".join(suits),
            got=name,
            where=user_line(),
            try_=suits[0],
        )


def target_unit(fitted: Preprocessing | None, loss: str) -> TargetUnit | None:
    """How outputs and targets under a loss come back to the unit of the data; None where they are in it, or classes."""
    log = has_log_link(loss)
    if fitted is None:
        return TargetUnit(log=log) if log else None
    target = fitted.target
    return TargetUnit(target.centre, target.scale, log) if isinstance(target, NumberTarget) else None


def in_units(metrics: Sequence[Measure], fitted: Preprocessing | None, loss: str) -> tuple[Measure, ...]:
    """The metrics, told in the target's own unit where the network learns standardised values, or logarithms.

    A function of the user's own is given outputs and targets in that unit.
    """
    unit = target_unit(fitted, loss)
    return tuple(metrics) if unit is None else tuple(_in_unit(m, unit) for m in metrics)


def _in_unit(metric: Measure, unit: TargetUnit) -> Measure:
    powers = {"mae": 1, "rmse": 1, "mse": 2, "r2": 0}
    if metric.name in powers and not unit.log:
        return replace(metric, unit=unit.scale ** powers[metric.name])
    if metric.outside:
        return replace(metric, restore=unit)
    moments = None if metric.moments is None else InUnit(metric.moments, unit)
    return replace(metric, function=InUnit(metric.function, unit), moments=moments)


@dataclass(frozen=True)
class InUnit:
    """A function of outputs and targets, given both in the unit of the data."""

    function: Callable[..., Any]
    unit: TargetUnit

    def __call__(self, outputs: Any, y: Any, **more: Any) -> Any:
        """The function of both, brought back; `more` are weights of rows and what a loss takes besides."""
        return self.function(self.unit.of_outputs(outputs), self.unit.of_targets(y), **more)


def require_weighable(measures: Iterable[Measure]) -> None:
    """Raise ArgumentError for a loss or a metric of the user's that does not take weights of rows."""
    stranger = next((m for m in measures if not m.knows_weights), None)
    if stranger is not None:
        name = stranger.name.removesuffix(" (own)")
        raise ArgumentError(
            f"{name} does not take weights of rows",
            expected=f"a function {name}(outputs, y, sample_weight), whose weights have a mean of 1 over all rows",
            got=f"{name}(outputs, y), and rows with weights",
            where=user_line(),
            try_="a loss or metric of the library by its name, or no sample_weight",
        )


def with_outside(metrics: Sequence[Measure], outputs: NDArray[Any], y: NDArray[Any]) -> tuple[Measure, ...]:
    """The metrics, of which those that are written for NumPy arrays stay outside of the compiled step.

    What cannot be traced, and gives a number of arrays, is one of them; such a function sees all rows at once, after
    every epoch.  One that does neither is left as it is: the trial of the step says what is wrong with it.
    """
    return tuple(replace(m, outside=True, by_batch=False) if _needs_arrays(m, outputs, y) else m for m in metrics)


def _needs_arrays(metric: Measure, outputs: NDArray[Any], y: NDArray[Any]) -> bool:
    if metric.outside or METRICS.get(metric.name) is not None:
        return metric.outside
    types = [Type(array.shape, array.dtype) for array in (outputs, y)]
    try:
        trace(lambda said, true: [metric.function(said, true)], types)
        return False
    except Exception:  # whatever it is: a function that wants arrays is tried on arrays next
        try:
            return math.isfinite(float(metric.function(outputs, y)))
        except Exception:  # the trial of the step tells the user what is wrong
            return False


def _metric(metric: Any) -> Measure:
    if isinstance(metric, Measure):
        return metric
    if callable(metric):
        return Measure(_name(metric), metric)
    if not isinstance(metric, str) or metric not in METRICS:
        raise unknown_name("metric", str(metric), METRICS, where=user_line())
    return METRICS[metric]


def _name(function: Any) -> str:
    """The name of a function; ours keep theirs, and another function of such a name is told apart."""
    if isinstance(function, SetLoss):
        return function.name
    name = str(getattr(function, "__name__", type(function).__name__))
    ours = nn.LOSSES.get(name, METRICS[name].function if name in METRICS else function)
    return name if function is ours else f"{name} (own)"


def suitable_measures(classes: bool) -> tuple[str, tuple[str, ...]]:
    """The loss and the metrics that suit a task, by name: a choice among classes, or numbers."""
    return ("cross_entropy", ("accuracy",)) if classes else ("mse", ("r2", "mae"))


def outputs_on_trial(model: Any, x: Any) -> NDArray[Any]:
    """The model's outputs for a few rows of x, of which shape and dtype are asked: no kernel is loaded for them."""
    with no_grad():
        return np.asarray(raw(model(x)))


def outputs_as_predicted(model: Any, x: Any) -> Any:
    """`model(x)`, each row with the bits that it has in every table: alone, in any order, and however it is cut."""
    with row_products():
        return model(x)


def outputs_of(model: Any, x: Any) -> NDArray[Any]:
    """The model's outputs for all rows of x, as an array; computed without history, some rows at a time."""
    with no_grad():
        parts = [_outputs_at_once(model, x[i : i + ROWS_AT_ONCE]) for i in range(0, len(x), ROWS_AT_ONCE)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _outputs_at_once(model: Any, x: Any) -> NDArray[Any]:
    with _PRODUCTS:
        return np.asarray(raw(outputs_as_predicted(model, x)))


_PRODUCTS = AwaitedWork()


def evaluate(
    model: Any, x: Any, y: Any, loss: Measure, metrics: Sequence[Measure], weight: NDArray[Any] | None = None
) -> dict[str, float]:
    """The loss and the metrics of a model over all rows, by name; by `weight` `(rows,)`, where rows have some."""
    outputs = outputs_of(model, x)
    more = () if weight is None else (weight / weight.mean(dtype=np.float64),)
    with no_grad():
        return {name: float(raw(m(outputs, y, *more))) for name, m in _by_name(loss, metrics).items()}


def _by_name(loss: Measure, metrics: Iterable[Measure]) -> dict[str, Measure]:
    return {"loss": loss, **{m.name: m for m in metrics}}


def evaluate_part(
    model: Any, part: Part, loss: Measure, metrics: Sequence[Measure], weight: NDArray[Any] | None = None
) -> dict[str, float]:
    """`evaluate` for arrays and their weights, or for rows on disk, of which one block at a time is read."""
    if isinstance(part, tuple):
        return evaluate(model, *part, loss, metrics, weight)
    if part.blocks == 1:
        x, y, *own = next(part.batches())
        return evaluate(model, x, y, loss, metrics, *own)
    return evaluate_blocks(model, part.batches(), loss, metrics)


def evaluate_blocks(
    model: Any, blocks: Iterable[tuple[Any, ...]], loss: Measure, metrics: Sequence[Measure]
) -> dict[str, float]:
    """`evaluate` over the rows of all blocks together: means weighted by rows, or from moments.

    Metrics outside need all rows at once: outputs and targets, not the inputs, are kept for them.
    """
    measures = _by_name(loss, (m for m in metrics if not m.outside))
    outside = [m for m in metrics if m.outside]
    rows, totals, kept = 0.0, dict[str, NDArray[np.float64]](), list[tuple[NDArray[Any], ...]]()
    for x, y, *weight in blocks:
        outputs = outputs_of(model, x)
        rows += float(weight[0].sum(dtype=np.float64)) if weight else len(x)
        totals = {name: _with_block(m, totals.get(name), outputs, y, *weight) for name, m in measures.items()}
        kept += [(outputs, y, *weight)] if outside else []
    found = {name: _total(m, totals[name], rows) for name, m in measures.items()}
    return _in_order(metrics, found, kept) if outside else found


def evaluate_encoded(
    model: Any, blocks: Iterator[tuple[Any, ...]], loss: Measure, metrics: Sequence[Measure]
) -> dict[str, float]:
    """`evaluate` over blocks that each have their own memory: of a single one as for arrays, else as in blocks."""
    first, second = next(blocks), next(blocks, None)
    if second is None:
        x, y, *weight = first
        return evaluate(model, x, y, loss, metrics, *weight)
    return evaluate_blocks(model, chain((first, second), blocks), loss, metrics)


def _with_block(measure: Measure, total: NDArray[np.float64] | None, *block: NDArray[Any]) -> NDArray[np.float64]:
    share = _share(measure, *block)
    return share if total is None else (measure.merge or np.add)(total, share)


def _total(measure: Measure, total: NDArray[np.float64], rows: float) -> float:
    return measure.unit * measure.of_moments(total) if measure.of_moments else float(total[0] / rows)


def _in_order(
    metrics: Sequence[Measure], found: dict[str, float], kept: list[tuple[NDArray[Any], ...]]
) -> dict[str, float]:
    """The loss and all metrics in their order, those outside computed from the outputs and targets of all rows."""
    arrays = [np.concatenate(parts) for parts in zip(*kept, strict=True)]
    measured = {m.name: float(m(*arrays)) if m.outside else found[m.name] for m in metrics}
    return {"loss": found["loss"], **measured}


def _share(measure: Measure, outputs: NDArray[Any], y: NDArray[Any], *weight: NDArray[Any]) -> NDArray[np.float64]:
    if measure.moments is not None:
        more = {"sample_weight": weight[0].astype(np.float64)} if weight else {}
        return measure.moments(outputs.astype(np.float64), y.astype(np.float64), **more)
    with no_grad():
        return np.array([len(y) * float(raw(measure(outputs, y, *weight)))])
