"""What suits the data where no loss was asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.parts import sample_rows
from clearprop.data.preprocessing import Preprocessing
from clearprop.data.streaming.disk_rows import DiskRows
from clearprop.data.training_data import Prepared
from clearprop.errors import ArgumentError, user_line
from clearprop.nn.losses import is_binary, loss_task
from clearprop.program.values import raw
from clearprop.rules.checking import ROUNDING
from clearprop.train.array_alignment import adapted_inputs
from clearprop.train.array_classes import outputs_needed
from clearprop.train.joint_measures import ends_for
from clearprop.train.metrics import outputs_on_trial, suitable_measures


def suitable_loss(model: Any, data: Prepared) -> str:
    """The loss that suits the targets and the outputs of a network, by name.

    Classes by name (a data frame): cross-entropy, or for two of them and one output binary cross-entropy.  Whole
    numbers, one a row or one for each element of a sequence: cross-entropy for several outputs, binary cross-entropy
    for one output and targets 0 and 1.  Probabilities, or a 1 among 0s, one for each output, that sum to 1:
    cross-entropy.  All other numbers: mse.  An iterable is judged by its first batch; one that can only be gone through
    once gets cross-entropy.
    """
    # The targets decide: names, whole numbers, shares, other numbers; the outputs settle what two of them leave open.
    if data.preprocessing is not None:
        return _suitable_for_table(model, data, data.preprocessing)
    pair = data.train if isinstance(data.train, tuple) else _first_batch(data.train)
    if pair is None:
        return "cross_entropy"
    x, y = pair
    outputs = outputs_on_trial(model, adapted_inputs(model, x[:2]))
    several = outputs.shape[-1] > 1
    each = y.size == len(y) or (outputs.ndim > 2 and y.shape[1:] == outputs.shape[1:-1])
    if y.dtype.kind in "biu" and (each or not several):
        two = not several and (data.labels is not None or bool(np.isin(y, (0, 1)).all()))
        return "cross_entropy" if several else "binary_cross_entropy" if two else "mse"
    shares = several and y.shape[1:] == outputs.shape[1:] and bool((y >= 0).all())
    return "cross_entropy" if shares and np.allclose(y.sum(axis=-1), 1.0, atol=ROUNDING) else "mse"


def _suitable_for_table(model: Any, data: Prepared, fitted: Preprocessing) -> str:
    if len(fitted.class_names) == 2:
        outputs = outputs_on_trial(model, adapted_inputs(model, sample_rows(data.table, 2)[0]))
        if outputs.shape[-1] == 1:
            return "binary_cross_entropy"
    return suitable_measures(fitted)[0]


def sizes_for(data: Prepared, loss: object) -> tuple[int, int]:
    """The inputs and outputs of a network for the data, under a loss by name, or under the one that suits them.

    A table decides both by how it is encoded.  Of arrays the axis of x is the inputs; whole numbers, one a row, are
    classes unless the loss compares numbers, as many as differ; other targets have an output for each of their columns.

    Raises ArgumentError for data that do not say it: an iterable that can only be gone through once, x of another form.
    """
    outputs = ends_for(loss)[1]
    if data.preprocessing is not None:
        return len(data.preprocessing.feature_names), outputs or data.preprocessing.outputs
    pair = data.train if isinstance(data.train, tuple) else _first_batch(data.train)
    if pair is None or pair[0].ndim != 2:
        raise ArgumentError(
            "these data do not say the sizes of the network",
            expected="a table, or arrays x (rows, features) and y",
            got="batches that can be gone through once" if pair is None else f"x of shape {pair[0].shape}",
            where=user_line(),
            try_="cl.nn.mlp([inputs, 64, 64, outputs])",
        )
    return pair[0].shape[1], outputs or _outputs_for(data, pair[1], loss)


def _outputs_for(data: Prepared, y: NDArray[Any], loss: object) -> int:
    classes = loss is None if y.dtype.kind in "biu" else False
    name = loss if isinstance(loss, str) else ""
    if y.size == len(y) and (classes or loss_task(name) == "classes" or data.labels is not None):
        return outputs_needed(data, y, is_binary(name))
    return y.size // len(y)


def _first_batch(batches: Any) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """The first batch of what can be gone through again; None of what cannot."""
    if isinstance(batches, DiskRows) or iter(batches) is batches:
        return None
    first = next(iter(batches), None)
    return first if first is None else (np.asarray(raw(first[0])), np.asarray(raw(first[1])))
