"""Recurrent layers: `RNN`, `LSTM`, `GRU`, one loop (`cl.scan`) over the steps of a sequence for each of their cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from clearprop.arrays.tensor import asarray
from clearprop.control import scan
from clearprop.errors import ArgumentError, ShapeError, require_flag, unknown_name, user_line
from clearprop.nn.argument_checks import require_dtype, require_features, require_fraction, require_size
from clearprop.nn.cells import GRUCell, LSTMCell, RecurrentCell, RNNCell
from clearprop.nn.fields import static
from clearprop.nn.initialisers import as_key
from clearprop.nn.layers import Dropout
from clearprop.nn.module import Module
from clearprop.rules import random
from clearprop.rules.elementwise import where
from clearprop.rules.joining import concat
from clearprop.rules.structural import expand_dims, permute_dims
from clearprop.shapes import same

OUTPUTS = ("all", "last")
"""What a recurrent layer returns: its output at every step, or after the last one."""


class Recurrent(Module):
    """What `RNN`, `LSTM` and `GRU` share: layers of cells, one or two directions, sequences of several lengths."""

    cells: tuple[RecurrentCell, ...]
    bidirectional: bool = static(default=False)
    output: str = static(default="all")
    dropout: float = static(default=0.0)
    cell: ClassVar[type[RecurrentCell]]

    def __init__(
        self,
        inputs: int,
        size: int,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        output: str = "all",
        dropout: float = 0.0,
        bias: bool = True,
        rng: Any = 0,
        dtype: Any = np.float32,
        **options: Any,
    ) -> None:
        owner = type(self).__name__
        inputs, size = require_size(owner, "inputs", inputs), require_size(owner, "size", size)
        layers, both = require_size(owner, "layers", layers), require_flag(owner, "bidirectional", bidirectional)
        if not isinstance(output, str) or output not in OUTPUTS:
            raise unknown_name("output", output, OUTPUTS, user_line())
        dtype, bias = require_dtype(owner, dtype), require_flag(owner, "bias", bias)
        ways = 2 if both else 1
        taken = [inputs if i < ways else ways * size for i in range(layers * ways)]
        cells = tuple(
            self.cell(n, size, bias=bias, rng=random.fold_in(as_key(rng), i), dtype=dtype, **options)
            for i, n in enumerate(taken)
        )
        dropout = require_fraction(owner, "dropout", dropout, 0.0)
        super().__init__(cells=cells, bidirectional=both, output=output, dropout=dropout)

    def forward(self, x: Any, *, mask: Any = None) -> Any:
        """The outputs of the last layer, or its output after the last step."""
        y, states = self.run(x, mask=mask)
        if self.output == "all":
            return y
        last = [self.cells[0].output_of(state) for state in states[-self._ways :]]
        return last[0] if len(last) == 1 else concat(last, axis=-1)

    def run(self, x: Any, states: Sequence[Any] | None = None, *, mask: Any = None) -> tuple[Any, tuple[Any, ...]]:
        """`(y, states)`: the outputs at every step, and the state of every cell after its last step.

        x       (…, length, inputs)
        states  the state before the first step of every cell; None: zeros
        mask    as for the layer
        """
        x, given = asarray(x), states
        self._require_sequence(x)
        if mask is not None:
            mask = self._checked_mask(mask, x.shape)
            x = where(expand_dims(mask, -1), x, False)  # what fills a sequence up may be NaN, and so would be 0 · NaN
        if given is not None and len(given) != len(self.cells):
            raise ArgumentError(
                f"{self.label()} takes a state for every cell",
                expected=f"{len(self.cells)} states",
                got=f"{len(given)}",
                where=user_line(),
            )
        after: list[Any] = []
        for first in range(0, len(self.cells), self._ways):
            x = Dropout(self.dropout)(x) if first else x
            outputs = []
            for i in range(first, first + self._ways):
                before = None if given is None else given[i]
                y, state = _unroll(self.cells[i], x, before, mask, reverse=i > first)
                outputs.append(y)
                after.append(state)
            x = outputs[0] if len(outputs) == 1 else concat(outputs, axis=-1)
        return x, tuple(after)

    @property
    def _ways(self) -> int:
        return 2 if self.bidirectional else 1

    def _require_sequence(self, x: Any) -> None:
        require_features(self.label, self.cells[0].inputs, x.shape)
        if len(x.shape) < 2:
            raise ShapeError(
                f"{self.label()} cannot take an input of shape {x.shape}",
                expected="shape (…, length, features)",
                got="no axis of steps",
                where=user_line(),
                try_="x[None], a sequence of one element",
            )

    def _checked_mask(self, mask: Any, shape: Any) -> Any:
        mask = asarray(mask)
        if mask.dtype.kind != "b" or len(mask.shape) != len(shape) - 1 or not all(map(same, mask.shape, shape[:-1])):
            raise ShapeError(
                f"{self.label()} cannot use this mask",
                expected=f"truth values of shape {tuple(shape[:-1])}: whether a step belongs to its sequence",
                got=f"{mask.dtype.name} of shape {mask.shape}",
                where=user_line(),
                try_="cl.nn.length_mask(lengths, length)",
            )
        return mask

    def label(self) -> str:
        """`LSTM(8 → 16, 2 layers, both ways)`."""
        first, layers = self.cells[0], len(self.cells) // self._ways
        words = [f"{first.inputs} → {first.size}", *([f"{layers} layers"] if layers > 1 else [])]
        return f"{type(self).__name__}({', '.join([*words, *(['both ways'] if self.bidirectional else [])])})"


class RNN(Recurrent, init=False):
    """hₜ = tanh(xₜ·W + hₜ₋₁·U + b), over the steps of a sequence (Elman 1990).

    x (…, length, inputs), y (…, length, size), or (…, size) with output="last"; twice as wide for two directions.

    inputs         the size of x's last axis
    size           the size of the state h, which starts at 0
    layers         how many stand on each other, each taking the outputs of the one below
    bidirectional  whether a second cell of each layer goes from the last step to the first; outputs stand side by side
    output         "all": yₜ = hₜ of the last layer; "last": its h after the last step (of the backward cell, the first)
    dropout        the rate of `Dropout` between layers, in training
    bias           whether there is b
    rng            a key of `cl.random` or a seed, from which the weights are drawn: W by Glorot, U orthogonal
    dtype          of all arrays
    options        activation="relu" in place of tanh

    `layer(x, mask=…)`: truth values (…, length), False where a step fills a shorter sequence up: there the state stays
    as it is, y is 0, and x may be anything, NaN too.  `layer.run(x, states)` goes on from given states and returns
    `(y, states)`.

    >>> import clearprop as cl
    >>> layer = cl.nn.RNN(3, 4)
    >>> layer
    RNN(
      cells[0]  RNNCell(3 → 4)  weight (3, 4), recurrent (4, 4), bias (4,)  32
      32 parameters, float32
    )
    >>> layer(cl.ones((2, 5, 3))).shape
    (2, 5, 4)
    """

    cell: ClassVar[type[RecurrentCell]] = RNNCell


class LSTM(Recurrent, init=False):
    """cₜ = f·cₜ₋₁ + i·g, hₜ = o·tanh(cₜ), over a sequence (Hochreiter & Schmidhuber 1997; Gers et al. 2000).

    i, f, o = σ and g = tanh of the four parts of xₜ·W + hₜ₋₁·U + b, in the order i, f, g, o.  Along c the gradient is
    multiplied by f alone, so that it need not vanish; the bias of f starts at 1 (Jozefowicz et al. 2015).

    x (…, length, inputs), y (…, length, size), or (…, size) with output="last"; twice as wide for two directions.

    inputs         the size of x's last axis
    size           the size of h and c, which start at 0
    layers         how many stand on each other, each taking the outputs of the one below
    bidirectional  whether a second cell of each layer goes from the last step to the first; outputs stand side by side
    output         "all": yₜ = hₜ of the last layer; "last": its h after the last step (of the backward cell, the first)
    dropout        the rate of `Dropout` between layers, in training
    bias           whether there is b
    rng            a key of `cl.random` or a seed, from which the weights are drawn: W by Glorot, U orthogonal
    dtype          of all arrays
    options        none

    `layer(x, mask=…)` and `layer.run(x, states)` are those of `RNN`; a state is the pair (h, c).

    >>> import clearprop as cl
    >>> layer = cl.nn.LSTM(3, 4, layers=2, bidirectional=True, output="last")
    >>> layer(cl.ones((2, 5, 3)), mask=cl.nn.length_mask([5, 2], 5)).shape
    (2, 8)
    """

    cell: ClassVar[type[RecurrentCell]] = LSTMCell


class GRU(Recurrent, init=False):
    """hₜ = (1 − z)·n + z·hₜ₋₁, over the steps of a sequence (Cho et al. 2014).

    r, z = σ of the first two parts of xₜ·W + hₜ₋₁·U + b, and n = tanh(xₜ·Wₙ + bₙ + r·(hₜ₋₁·Uₙ + b′)), the third.

    x (…, length, inputs), y (…, length, size), or (…, size) with output="last"; twice as wide for two directions.

    inputs         the size of x's last axis
    size           the size of the state h, which starts at 0
    layers         how many stand on each other, each taking the outputs of the one below
    bidirectional  whether a second cell of each layer goes from the last step to the first; outputs stand side by side
    output         "all": yₜ = hₜ of the last layer; "last": its h after the last step (of the backward cell, the first)
    dropout        the rate of `Dropout` between layers, in training
    bias           whether there are b and b′
    rng            a key of `cl.random` or a seed, from which the weights are drawn: W by Glorot, U orthogonal
    dtype          of all arrays
    options        none

    `layer(x, mask=…)` and `layer.run(x, states)` are those of `RNN`.

    >>> import clearprop as cl
    >>> cl.nn.GRU(3, 4, output="last")(cl.ones((5, 3))).shape
    (4,)
    """

    cell: ClassVar[type[RecurrentCell]] = GRUCell


def _unroll(cell: RecurrentCell, x: Any, before: Any, mask: Any, *, reverse: bool) -> tuple[Any, Any]:
    """The outputs of a cell at every step, and its last state; what x contributes is computed for all steps at once."""
    n = len(x.shape)
    inwards = cell.contribution(permute_dims(x, (n - 2, *range(n - 2), n - 1)))  # x is narrower than what it gives
    before = cell.zeros(x.shape[:-2], inwards.dtype) if before is None else before
    if mask is None:
        last, outputs = scan(lambda state, z: cell.output_and_state(z, state), before, inwards, reverse=reverse)
    else:
        steps = (inwards, expand_dims(permute_dims(mask, (n - 2, *range(n - 2))), -1))
        last, outputs = scan(_masked_step(cell), before, steps, reverse=reverse)
    return permute_dims(outputs, (*range(1, n - 1), 0, n - 1)), last


def _masked_step(cell: RecurrentCell) -> Any:
    """A step that leaves the states of sequences that are at their end as they are."""

    def step(state: Any, elements: Any) -> tuple[Any, Any]:
        z, real = elements
        after, y = cell.output_and_state(z, state)
        kept = (
            tuple(where(real, new, old) for new, old in zip(after, state, strict=True))
            if isinstance(state, tuple)
            else where(real, after, state)
        )
        return kept, where(real, y, 0.0)

    return step
