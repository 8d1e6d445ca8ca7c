"""What labels in arrays are to a network: outputs counted from 0, or classes by their values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.array_labels import ArrayLabels
from clearprop.data.training_data import Prepared
from clearprop.nn.losses import is_binary, loss_task
from clearprop.train.array_alignment import adapted_inputs
from clearprop.train.metrics import Measure, outputs_on_trial, require_loss_task, require_outputs


def with_labels(data: Prepared, loss: Measure, model: Any) -> Prepared:
    """The data with the labels of their arrays: encoded as a loss of classes takes them, kept for what is predicted.

    Labels that count the outputs from 0 are learned as they are; others are classes by their values, if there are as
    many as outputs.  Probabilities, and the targets of other losses, stay as they are.

    Raises ArgumentError for text that the loss cannot compare, or whose classes are not as many as the outputs.
    """
    classes = loss_task(loss.name) == "classes"
    if not isinstance(data.train, tuple) or not (classes or data.labels):
        return data
    first = outputs_on_trial(model, adapted_inputs(model, data.train[0][:2]))
    outputs = first.shape[-1]
    if data.labels is not None:
        require_loss_task(loss.name, data.labels.target)
        if classes:
            require_outputs(outputs, data.labels.target)
        return data
    labels = _labels_of_numbers(data, outputs, is_binary(loss.name))
    if labels is None or not (labels.counted or first.ndim == 2):
        return data
    return replace(_with_targets(data, lambda y: labels.encode(y, "y")), labels=labels)


def _with_targets(data: Prepared, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Prepared:
    def changed(part: Any) -> Any:
        return part and (part[0], change(part[1]))

    return replace(data, train=changed(data.train), validation=changed(data.validation), test=changed(data.test))


def _labels_of_numbers(data: Prepared, outputs: int, binary: bool) -> ArrayLabels | None:
    """The labels that numbers are; None for probabilities, and for those that the loss is to refuse."""
    y = class_values(data)
    if y.ndim > 1 and y.size != len(y):  # every output answers yes or no
        return ArrayLabels.counting(1, y) if binary and y.shape[1:] == (outputs,) and _count(y, 2) else None
    if _count(y, max(outputs, 2)) and (binary or y.dtype.kind != "f"):
        return ArrayLabels.counting(outputs, y)
    if binary and (outputs > 1 or y.dtype.kind == "f"):
        return None
    found = ArrayLabels.of(y)
    return found if len(found.target.classes) == max(outputs, 2) else None


def class_values(data: Prepared) -> NDArray[Any]:
    """The targets of the training part, and of the rows that were cut from it: no class is lost by chance."""
    parts = [data.train, data.validation] if "validation" in data.rows else [data.train]
    found: NDArray[Any] = np.concatenate([part[1] for part in parts if isinstance(part, tuple)])
    return found


def outputs_needed(data: Prepared, y: NDArray[Any], binary: bool) -> int:
    """One output for each class; of labels that count them from 0, one for each up to the largest."""
    if binary:
        return 1
    if data.labels is not None:
        return len(data.labels.target.classes)
    distinct = np.unique(class_values(data) if isinstance(data.train, tuple) else y)
    counted = _count(distinct, len(distinct)) or len(distinct) == 1
    return max(int(distinct[-1]) + 1 if counted else len(distinct), 2)


def _count(y: NDArray[Any], classes: int) -> bool:
    """Whether all numbers are whole, from 0 to classes − 1."""
    return bool((y >= 0).all() and (y < classes).all() and (y == np.floor(y)).all())
