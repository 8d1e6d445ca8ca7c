"""Losses and metrics: by name, or any function of outputs and targets; and how a model is evaluated by them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop import nn
from clearprop.compiler import compile
from clearprop.compiler.row_products import FEW, TRIED, by_blocks, few_rows_by, row_products
from clearprop.data.array_checks import require_rows
from clearprop.data.encodings import ClassTarget, NumberTarget
from clearprop.data.joint_target import JointTarget, Target
from clearprop.data.preprocessing import Preprocessing
from clearprop.data.target_transforms import TargetTransform
from clearprop.errors import ArgumentError, unknown_name, user_line
from clearprop.nn.alike import by_segments
from clearprop.nn.argument_checks import no_array
from clearprop.nn.layers import array_through, few_through
from clearprop.nn.loss_text import SetLoss, require_pair, takes_weights
from clearprop.nn.losses import has_log_link, is_binary, loss_task, quantiles_of, several_quantiles_of
from clearprop.program.ir import shape_of, trace
from clearprop.program.operands import require_real_value
from clearprop.program.processes import AwaitedWork
from clearprop.program.types import Type, is_floating, type_of
from clearprop.program.values import no_grad, quiet, raw
from clearprop.rules.elementwise import astype, equal, exp, greater, sqrt, square, where
from clearprop.rules.reductions import argmax, mean, scale_of_squares
from clearprop.rules.structural import reshape
from clearprop.train.joint_measures import (
    MEDIAN,
    MeanOfTargets,
    OfTarget,
    by_quantiles,
    merge_moments,
    moments,
    names_of_outputs,
    of_several,
    r2_of,
    rmse_of,
)
from clearprop.train.scores import SCORES
from clearprop.train.step import Loss

_DOUBLE = np.dtype(np.float64)
_SINGLE = 2.0**60
"""Units below this, and above its inverse, leave numbers and their squares in the range of float32."""


@dataclass(frozen=True)
class TargetUnit:
    """How a network's answers and its targets, which are (y − centre) / scale, come back to the unit of the data.

    With `log` an answer is the logarithm of what is expected, in units of the mean.  Of several targets centre and
    scale are arrays `(targets,)`.  With a `transform` t what is standardised is t(y).
    """

    centre: float | NDArray[np.float64] = 0.0
    scale: float | NDArray[np.float64] = 1.0
    log: bool = False
    transform: TargetTransform | None = None

    @property
    def straight(self) -> bool:
        """Whether an error in the unit of the data is one of the network times the scale."""
        return not self.log and self.transform is None

    def of_outputs(self, outputs: Any) -> Any:
        """Answers in the unit of the data."""
        if self.log:
            return exp(_with_room(outputs, 1.0, self.centre)) * (self.centre or 1.0)
        if self.transform is not None:
            return self.transform.answer(self._transformed(outputs))
        return self.of_targets(outputs)

    def of_targets(self, y: Any) -> Any:
        """Targets in the unit of the data."""
        if self.transform is not None:
            return self.transform.inverse(self._transformed(y))
        return _with_room(y, self.scale, self.centre) * self.scale + self.centre

    def _transformed(self, y: Any) -> Any:
        assert self.transform is not None
        return _with_room(y, self.scale, self.transform.high) * self.scale + self.centre


def _with_room(values: Any, scale: Any, centre: Any = 0.0) -> Any:
    """Values in a dtype that holds them and their squares in the unit of the data."""
    scale, centre = np.abs(scale), np.abs(centre)
    single = np.all((scale > 1 / _SINGLE) & (scale < _SINGLE) & (centre < _SINGLE))
    return values if single else values.astype(_DOUBLE)


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
        require_real_value(value, self.name)
        return value if self.unit == 1.0 else _with_room(value, self.unit) * self.unit

    def _weighted(self, outputs: Any, y: Any, weight: Any) -> Any:
        """The value by weights whose mean over all rows is 1.

        A loss divides by the number of rows, not by their weights, so that batches add up to the loss of all rows.
        """
        if self.outside or isinstance(self.function, OfTarget | MeanOfTargets) or loss_task(self.name) is None:
            return self.function(outputs, y, sample_weight=weight)
        return mean(self.function(outputs, y, reduction="none", sample_weight=weight))

    @property
    def is_named(self) -> bool:
        """Whether it is one of the library's own."""
        return self.name in METRICS or loss_task(self.name) is not None


def accuracy(outputs: Any, y: Any, sample_weight: Any = None) -> Any:
    """The share of rows whose largest output is the label's; for a single output, whose sign is the label's."""
    if shape_of(outputs)[-1] == 1:
        label = y if len(shape_of(y)) == len(shape_of(outputs)) else y[..., None]
        right = equal(greater(outputs, 0), greater(label, 0.5))
    else:
        label = y if not is_floating(type_of(raw(y)).dtype) else argmax(y, axis=-1)
        right = equal(argmax(outputs, axis=-1), label)
    return mean(_times_weight(astype(right, dtype=_DOUBLE), sample_weight))


def _times_weight(values: Any, weight: Any) -> Any:
    """Values of rows times the weights of the rows, which have a mean of 1; as they are without weights."""
    if weight is None:
        return values
    shape = shape_of(values)
    return values * reshape(weight, (shape[0], *(1 for _ in shape[1:])))


def rmse(outputs: Any, y: Any, sample_weight: Any = None) -> Any:
    """The square root of the mean squared error."""
    squares, scale = _mean_square(outputs - y, sample_weight)
    return sqrt(squares) / scale


def r2(outputs: Any, y: Any, sample_weight: Any = None) -> Any:
    """1 − Σ(y − ŷ)² / Σ(y − ȳ)²: the share of the target's variance that is explained; NaN where it has none."""
    centre = mean(_times_weight(y, sample_weight), axis=0)
    unexplained, one = _mean_square(outputs - y, sample_weight)
    whole, other = _mean_square(y - centre, sample_weight)
    ratio = other / one  # of powers of two; its square may not be a number, what it is multiplied by is first
    return 1.0 - unexplained / where(greater(whole, 0), whole, math.nan) * ratio * ratio


def _mean_square(errors: Any, weight: Any) -> tuple[Any, Any]:
    """The mean of (s·e)², and s: 1, or the power of two with which the squares are in their range."""
    total = mean(_times_weight(square(errors), weight))
    scale = scale_of_squares(total, type_of(raw(errors)).dtype)
    return mean(_times_weight(square(errors * scale), weight)), scale


METRICS = {
    "accuracy": Measure("accuracy", accuracy, task="classes", higher=True),
    "mae": Measure("mae", nn.mae, task="numbers"),
    "mse": Measure("mse", nn.mse, task="numbers"),
    "rmse": Measure(
        "rmse", rmse, by_batch=False, task="numbers", moments=moments, merge=merge_moments, of_moments=rmse_of
    ),
    "r2": Measure(
        "r2", r2, by_batch=False, task="numbers", higher=True, moments=moments, merge=merge_moments, of_moments=r2_of
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
    found = require_pair(loss, _name(loss)) if callable(loss) else nn.loss_named(loss)
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
    labels = isinstance(target, JointTarget) and target.kind == "labels"
    wanted = "classes" if isinstance(target, ClassTarget) or labels else "numbers"
    if isinstance(target, JointTarget):
        _require_joint_loss(name, target)
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


def _require_joint_loss(name: str, target: JointTarget) -> None:
    """Raise ArgumentError for a loss that cannot judge an output for each of several targets."""
    classes = loss_task(name) == "classes"
    strange = target.kind == "labels" and not is_binary(name) if classes else has_log_link(name)
    if strange or several_quantiles_of(name):
        suits = "binary_cross_entropy" if target.kind == "labels" else "mse"
        raise ArgumentError(
            f"{name} does not judge several targets",
            expected="binary_cross_entropy, which asks of every label whether a row has it"
            if target.kind == "labels"
            else "a loss that compares numbers as they are, one answer for each, such as mse, mae or pinball:0.9",
            got=f"{name} for the targets {target.name}",
            where=user_line(),
            try_=suits,
        )


def target_unit(fitted: Preprocessing | None, loss: str) -> TargetUnit | None:
    """How outputs and targets under a loss come back to the unit of the data; None where they are in it, or classes."""
    log = has_log_link(loss)
    if fitted is None:
        return TargetUnit(log=log) if log else None
    target = fitted.target
    if isinstance(target, JointTarget):
        units = [[part.centre, part.scale] for part in target.numbers]
        return TargetUnit(*np.array(units).T) if units else None
    return TargetUnit(target.centre, target.scale, log, target.transform) if isinstance(target, NumberTarget) else None


def in_units(metrics: Sequence[Measure], fitted: Preprocessing | None, loss: str) -> tuple[Measure, ...]:
    """The metrics, told in the target's own unit where the network learns standardised values, or logarithms.

    A function of the user's own is given outputs and targets in that unit.  Of several targets there is the mean of
    each metric, and after all means the metrics of each target: see `joint_measures`.
    """
    if fitted is not None and isinstance(fitted.target, JointTarget):
        units = _units_of(fitted.target)
        own = [[_in_unit(m, unit) for unit in units] or [m] * len(fitted.target.parts) for m in metrics]
        return of_several(list(zip(metrics, own, strict=True)), fitted.target.names, _WITHOUT_UNIT)
    unit = target_unit(fitted, loss)
    told = tuple(_judged_by(m, unit) for m in metrics)
    if not (quantiles := quantiles_of(loss)):
        return told
    each = [f"pinball:{q!r}" for q in quantiles]
    joint = "pinball:" + ",".join(map(repr, quantiles))
    pinball = [replace(find_loss(text), name="pinball") for text in (joint, *each)]
    names = names_of_outputs(() if fitted is None else fitted.target.names, loss)
    return by_quantiles(told, [_judged_by(m, unit) for m in pinball], quantiles, names)


def _judged_by(loss: Measure, unit: TargetUnit | None) -> Measure:
    return loss if unit is None else _in_unit(loss, unit)


def _in_unit(metric: Measure, unit: TargetUnit) -> Measure:
    powers = {"mae": 1, "rmse": 1, "mse": 2, "r2": 0, "pinball": 1}
    if metric.name in powers and unit.straight and not metric.outside:
        return replace(metric, unit=float(unit.scale) ** powers[metric.name])
    if metric.outside:
        return replace(metric, restore=unit)
    moments = None if metric.moments is None else InUnit(metric.moments, unit)
    return replace(metric, function=InUnit(metric.function, unit), moments=moments)


_WITHOUT_UNIT = ("mape", "poisson_deviance")
"""Metrics that say the same in every unit of the target, but only of values in one."""


def _units_of(target: JointTarget) -> list[TargetUnit]:
    return [TargetUnit(part.centre, part.scale) for part in target.numbers]


@dataclass(frozen=True)
class InUnit:
    """A function of outputs and targets, given both in the unit of the data."""

    function: Callable[..., Any]
    unit: TargetUnit

    def __call__(self, outputs: Any, y: Any, **more: Any) -> Any:
        """The function of both, brought back; `more` are weights of rows and what a loss takes besides."""
        return self.function(self.unit.of_outputs(outputs), self.unit.of_targets(y), **more)


def require_weighable(measures: Iterable[Measure], weighted: bool = True) -> None:
    """Raise ArgumentError for a loss or a metric of the user's that does not take weights of rows, or nothing else."""
    for measure in measures:
        name = measure.name.removesuffix(" (own)")
        if measure.is_named:
            continue
        if not weighted:
            require_pair(measure.function, name, weighted=False)
        elif not takes_weights(measure.function):
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
        return Measure(_name(metric), require_pair(metric, _name(metric)))
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


def suitable_measures(fitted: Preprocessing, loss: object = None) -> tuple[str, tuple[str, ...]]:
    """The loss and the metrics that suit the targets of a table, by name: classes, labels, or numbers.

    The loss may be one that was asked for: where it learns several quantiles, errors are those of the median.
    """
    if several_quantiles_of(loss):
        return str(loss), ("mae",) if MEDIAN in several_quantiles_of(loss) else ()
    if fitted.label_names:
        return "binary_cross_entropy", ("accuracy",)
    return ("cross_entropy", ("accuracy",)) if fitted.class_names else ("mse", ("r2", "mae"))


def outputs_on_trial(model: Any, x: Any) -> NDArray[Any]:
    """The model's outputs for a few rows of x, of which shape and dtype are asked: no kernel is loaded for them."""
    with no_grad():
        outputs = raw(model(x))
    if not isinstance(outputs, np.ndarray):
        raise no_array(outputs)
    return outputs


def outputs_as_predicted(model: Any, x: Any) -> Any:
    """`model(x)`, each row with the bits that it has in every table: alone, in any order, and however it is cut."""
    with row_products():
        return model(x)


def outputs_of(model: Any, x: Any) -> NDArray[Any]:
    """The model's outputs for all rows of x, as an array; computed without history, some rows at a time."""
    require_rows(x)
    if len(x) <= FEW and (few := few_through(model, x, few_rows_by)) is not None:
        return few
    with no_grad(), quiet(), _PRODUCTS:
        compiled = by_segments(model, _COMPILED) if type(x) is np.ndarray and len(x) > TRIED else None
        parts = by_blocks(lambda rows: np.asarray(array_through(model, rows)), x, compiled)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


_COMPILED = compile(lambda layers, x: layers(x))
_COMPILED.told.update(("sizes", "kinds"))  # that it is compiled for many networks is no user's doing
_PRODUCTS = AwaitedWork()
