"""How the user's arrays are made to fit a network and a loss: the network's dtype, targets as a column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop import nn
from clearprop.data.array_checks import plain_array
from clearprop.data.parts import Pair
from clearprop.program.types import type_of
from clearprop.program.values import raw
from clearprop.train.metrics import Measure, outputs_of
from clearprop.train.paired_rows import crossed_shapes


@dataclass(frozen=True)
class Adaptation:
    """Dtypes to convert x and y to (None: as they are), and whether y of shape (rows,) becomes a column."""

    x_dtype: np.dtype[Any] | None
    y_dtype: np.dtype[Any] | None
    column: bool

    def __call__(self, pair: Pair) -> Pair:
        """The pair, adapted."""
        x, y = pair
        x = x if self.x_dtype is None else x.astype(self.x_dtype, copy=False)
        y = y if self.y_dtype is None else y.astype(self.y_dtype, copy=False)
        return x, y[:, None] if self.column and y.ndim == 1 else y


def dtype_of(model: Any) -> np.dtype[Any]:
    """The dtype of a network: that of its first parameter."""
    return type_of(raw(next(iter(model.parameters().values())))).dtype


def adapted_inputs(model: Any, x: Any) -> NDArray[Any]:
    """Floats in the network's dtype; integers too, where the network computes with them as with floats."""
    array, dtype = plain_array(x, "x"), dtype_of(model)
    integers = array.dtype.kind != "f"
    if integers and (not len(array) or outputs_of(model, array[:1]).dtype == dtype):
        return array
    return array.astype(dtype, copy=False)


def adaptation(model: Any, pair: Pair, loss: Measure) -> tuple[Adaptation, NDArray[Any]]:
    """How the pair is made to fit, and the network's outputs for its first two rows.

    Labels stay integers, whatever they are compared with; the targets of losses of numbers become floats, and a
    column where the network has one output; so do those of a loss of the user's own that would compare a column with
    a row, every output with every target.
    """
    x, y = pair
    dtype = dtype_of(model)
    first = adapted_inputs(model, x[:2])
    outputs = outputs_of(model, first)
    floating = y.dtype.kind == "f" or loss.name in nn.NUMBER_LOSSES
    column = y.ndim == 1 and outputs.shape[1:] == (1,)
    if loss.name in nn.LOSSES:
        column = column and loss.name in (*nn.NUMBER_LOSSES, "binary_cross_entropy")
    else:
        column = column and crossed_shapes(loss, outputs, y) is not None
    return Adaptation(None if first.dtype == x.dtype else dtype, dtype if floating else None, column), outputs
