"""What suits the data where no loss was asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.streaming.disk_rows import DiskRows
from clearprop.data.training_data import Prepared
from clearprop.program.values import raw
from clearprop.rules.checking import ROUNDING
from clearprop.train.array_alignment import adapted_inputs
from clearprop.train.metrics import outputs_of, suitable_measures


def suitable_loss(model: Any, data: Prepared) -> str:
    """The loss that suits the targets and the outputs of a network, by name.

    Classes by name (a data frame): cross-entropy.  Whole numbers, one a row: cross-entropy for several outputs, binary
    cross-entropy for one output and targets 0 and 1.  Probabilities, one for each output, that sum to 1:
    cross-entropy.  All other numbers: mse.  An iterable is judged by its first batch; one that can only be gone
    through once gets cross-entropy.
    """
    # The targets decide: names, whole numbers, shares, other numbers; the outputs settle what two of them leave open.
    if data.preprocessing is not None:
        return suitable_measures(bool(data.preprocessing.class_names))[0]
    pair = data.train if isinstance(data.train, tuple) else _first_batch(data.train)
    if pair is None:
        return "cross_entropy"
    x, y = pair
    outputs = outputs_of(model, adapted_inputs(model, x[:2]))
    several = outputs.shape[-1] > 1
    if y.dtype.kind in "biu" and not (several and y.ndim == outputs.ndim):
        two = not several and bool(np.isin(y, (0, 1)).all())
        return "cross_entropy" if several else "binary_cross_entropy" if two else "mse"
    shares = several and y.shape[1:] == outputs.shape[1:] and y.dtype.kind == "f" and bool((y >= 0).all())
    return "cross_entropy" if shares and np.allclose(y.sum(axis=-1), 1.0, atol=ROUNDING) else "mse"


def _first_batch(batches: Any) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """The first batch of what can be gone through again; None of what cannot."""
    if isinstance(batches, DiskRows) or iter(batches) is batches:
        return None
    first = next(iter(batches), None)
    return first if first is None else (np.asarray(raw(first[0])), np.asarray(raw(first[1])))
