"""Losses that know their target: classes of which some weigh more, amounts whose logarithm the network gives."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop import nn
from clearprop.arrays.tensor import asarray
from clearprop.data.encodings import NumberTarget
from clearprop.data.parts import Part
from clearprop.data.training_data import Prepared
from clearprop.errors import ArgumentError, user_line
from clearprop.nn.losses import has_log_link, is_binary, loss_task
from clearprop.program.ir import shape_of
from clearprop.program.types import is_floating, type_of
from clearprop.program.values import raw
from clearprop.rules.elementwise import maximum
from clearprop.rules.indexing import take
from clearprop.rules.reductions import mean
from clearprop.rules.structural import reshape
from clearprop.train.array_alignment import adapted_inputs
from clearprop.train.expected_costs import class_named, costs_asked
from clearprop.train.metrics import outputs_on_trial

BALANCED = "balanced"
"""The class weights by which every class weighs as much as any other."""
_ROWS_AT_ONCE = 65_536


@dataclass(frozen=True)
class ClassWeighted:
    """The mean of w[y]·loss over the rows: every row counts by the weight of its class.

    `weights` has one number for each class.  The sum is divided by the rows, not by their weights, so that batches
    add up to the loss of all rows, whatever classes they hold.  Where rows have weights of their own, a row counts by
    the product.
    """

    loss: Any
    weights: tuple[float, ...]

    def __call__(self, outputs: Any, y: Any, *, reduction: str = "mean", sample_weight: Any = None) -> Any:
        """The weighted loss, a scalar; with `reduction="none"` that of every row."""
        weight = self._of_rows(y, type_of(raw(outputs)).dtype)
        if sample_weight is not None:
            weight = weight * reshape(sample_weight, shape_of(weight))
        losses = self.loss(outputs, y, reduction="none", sample_weight=weight)
        return mean(losses) if reduction == "mean" else losses

    def _of_rows(self, y: Any, dtype: Any) -> Any:
        weights = np.array(self.weights, dtype if is_floating(dtype) else np.float32)
        if is_floating(type_of(raw(y)).dtype):  # labels 0 and 1 of a single output
            return weights[0] + (weights[1] - weights[0]) * y
        return take(asarray(weights), y, axis=0)


@dataclass(frozen=True)
class Amounts:
    """A loss of amounts for a target that is standardised: it is brought back, in units of its mean.

    `ratio` is deviation / mean, so that the amount is 1 + ratio·y; the network gives the logarithm of that.
    """

    loss: Any
    ratio: float

    def __call__(self, outputs: Any, y: Any, **more: Any) -> Any:
        """The loss, a scalar."""
        return self.loss(outputs, maximum(1.0 + self.ratio * y, 0.0), **more)  # rounding may go below 0


def require_amounts(name: str, data: Prepared) -> None:
    """Raise ArgumentError for a loss of amounts where the training part of a table has a negative target, or only 0."""
    fitted = data.preprocessing
    if fitted is None or not has_log_link(name) or not isinstance(fitted.target, NumberTarget):
        return
    target = fitted.target
    if target.transform is not None:
        raise ArgumentError(
            f"{name} compares amounts as they are",
            expected="a target without a transform: the network gives its logarithm by itself",
            got=f"--target-transform {target.transform.name}",
            where=user_line(),
            try_="--target-transform none, or --loss mse",
        )
    lowest = min(float(target.invert(y).min()) for y in _targets(data.table))
    if lowest < -1e-6 * target.scale or target.centre <= 0:
        raise ArgumentError(
            f"{name} is a loss of counts and amounts",
            expected=f"a target {target.name!r} of 0 or more, somewhere above 0",
            got=f"{target.name} = {lowest:.6g} in the training part",
            where=user_line(),
            try_="mse, mae or huber, which compare any numbers",
        )


def class_weights(asked: str | Mapping[Any, float], loss: str, data: Prepared, model: Any) -> dict[str, float]:
    """The weight of every class by its name, in the order of the labels.

    `asked` is "balanced", n / (classes · n_k) for a class with n_k of the n training rows (King & Zeng 2001), or
    weights by class, where those that are not named weigh 1.

    Raises ArgumentError for a loss of numbers, a class that is not there, and weights that are negative or all 0.
    """
    if loss_task(loss) != "classes":
        raise ArgumentError(
            "class weights need a loss of classes",
            expected="one of: " + ", ".join(nn.CLASS_LOSSES),
            got=loss,
            where=user_line(),
            try_="no class_weight",
        )
    for y in _targets(data.table):
        if is_binary(loss) or y.dtype.kind == "f":  # several answers about a row, of which none is a class of it
            _labels(y[:1])
    if asked == BALANCED:
        names = _names_of_classes(data, model)
        return dict(zip(names, _balanced_weights(data, len(names)).tolist(), strict=True))
    weights = _by_class(asked, data, model) if isinstance(asked, Mapping) else {}
    if not any(weights.values()):
        raise _no_weights(asked)
    return weights


def class_costs(asked: Any, data: Prepared, model: Any) -> dict[str, Any]:
    """What mistakes cost by the names of the classes, in the order of the labels, as settings keep it.

    Raises ArgumentError for what are no costs of these classes (`costs_asked`).
    """
    names, labels = names_and_labels(data, model)
    return costs_asked(asked, names, labels).record(names)


def _by_class(asked: Mapping[Any, float], data: Prepared, model: Any) -> dict[str, float]:
    """What is said of each class, 1 where nothing is; nothing where it is no number of 0 or more."""
    names, labels = names_and_labels(data, model)
    given = {class_named(key, names, labels): value for key, value in asked.items()}
    if not all(map(_is_weight, given.values())):
        return {}
    return {name: float(given.get(name, 1.0)) for name in names}


def names_and_labels(data: Prepared, model: Any) -> tuple[tuple[str, ...], dict[Any, str]]:
    """The names of the classes, in the order of the labels, and the name of every label as it came."""
    known, names = data.class_target, _names_of_classes(data, model)
    return names, {} if known is None else dict(zip(known.labels.tolist(), names, strict=True))


def _names_of_classes(data: Prepared, model: Any) -> tuple[str, ...]:
    known = data.class_target
    return _label_names(data, model) if known is None else known.classes


def _is_weight(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and 0 <= value < math.inf


def _label_names(data: Prepared, model: Any) -> tuple[str, ...]:
    """The classes of labels in an array: one for each output, two for a single one."""
    x, _ = data.table if isinstance(data.table, tuple) else data.table.sample(2)
    outputs = outputs_on_trial(model, adapted_inputs(model, x[:2])).shape[-1]
    return tuple(map(str, range(max(outputs, 2))))


def _balanced_weights(data: Prepared, classes: int) -> NDArray[np.float64]:
    """n / (K·n_k), K the classes that the training rows have, by their weights; 1 for one that they lack."""
    counts: NDArray[np.float64] = np.zeros(classes)
    for y, weight in _targets_with_weights(data):
        counts += np.bincount(_labels(y), weight, minlength=classes)
    weights = np.ones(classes)
    there = counts > 0
    weights[there] = counts.sum() / (there.sum() * counts[there])
    return weights


def _labels(y: NDArray[Any]) -> NDArray[np.int64]:
    if y.size != len(y):
        raise ArgumentError(
            "class weights need one class a row",
            expected="labels: whole numbers, one for each row",
            got=f"targets of shape {y.shape}",
            where=user_line(),
            try_="sample_weight=, one weight for each row",
        )
    return y.reshape(-1).astype(np.int64)


def _targets(part: Part) -> Iterable[NDArray[Any]]:
    """The targets of a part, those of rows on disk some at a time."""
    return [part[1]] if isinstance(part, tuple) else part.y.pieces(_ROWS_AT_ONCE)


def _targets_with_weights(data: Prepared) -> Iterator[tuple[NDArray[Any], NDArray[Any] | None]]:
    """Training targets, those of rows on disk some at a time, with the weights of their rows where they have some."""
    part = data.table
    if isinstance(part, tuple):
        yield part[1], data.weights.get("training")
    elif part.weight is None:
        yield from ((y, None) for y in _targets(part))
    else:
        yield from zip(_targets(part), part.weight.pieces(_ROWS_AT_ONCE), strict=True)


def _no_weights(asked: Any) -> ArgumentError:
    return ArgumentError(
        "these are no class weights",
        expected="'balanced', or {class: weight}, weights from 0 up and not all 0",
        got=repr(asked),
        where=user_line(),
        try_="class_weight='balanced'",
    )
