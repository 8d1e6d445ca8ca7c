"""Cells of recurrent layers: one step from a state to the next."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from clearprop.arrays.tensor import Tensor, asarray
from clearprop.errors import require_flag
from clearprop.nn.activations import Activation
from clearprop.nn.argument_checks import require_dtype, require_features, require_size
from clearprop.nn.fields import parameter, static
from clearprop.nn.initialisers import as_key, glorot, orthogonal
from clearprop.nn.module import Module
from clearprop.program.ir import shape_of
from clearprop.program.values import raw
from clearprop.rules import random
from clearprop.rules.activations import sigmoid
from clearprop.rules.indexing import slice_axis
from clearprop.rules.linear import matmul
from clearprop.rules.structural import full_
from clearprop.rules.trigonometric import tanh
from clearprop.shapes import Shape


class RecurrentCell(Module):
    """What the cells share: weight (inputs, parts·size), recurrent (size, parts·size), bias (parts·size,)."""

    weight: Tensor = parameter()
    recurrent: Tensor = parameter()
    bias: Tensor | None = parameter()
    inputs: int = static()
    size: int = static()
    parts: ClassVar[int] = 1

    def __init__(
        self, inputs: int, size: int, *, bias: bool = True, rng: Any = 0, dtype: Any = np.float32, **more: Any
    ) -> None:
        owner = type(self).__name__
        inputs, size = require_size(owner, "inputs", inputs), require_size(owner, "size", size)
        dtype, biased = require_dtype(owner, dtype), require_flag(owner, "bias", bias)
        keys = [random.fold_in(as_key(rng), i) for i in range(2 * self.parts)]
        weight = [np.asarray(raw(glorot(key, (inputs, size), dtype))) for key in keys[: self.parts]]
        recurrent = [np.asarray(raw(orthogonal(key, (size, size), dtype))) for key in keys[self.parts :]]
        super().__init__(
            weight=np.concatenate(weight, axis=1),
            recurrent=np.concatenate(recurrent, axis=1),
            bias=self._first_bias(size).astype(dtype) if biased else None,
            inputs=inputs,
            size=size,
            **more,
        )

    def _first_bias(self, size: int) -> Any:
        return np.zeros(self.parts * size)

    def forward(self, x: Any, state: Any = None) -> Any:
        """The state after one step: x (…, inputs); a state of None is 0."""
        x = asarray(x)
        require_features(self.label, self.inputs, x.shape)
        z = self.contribution(x)
        return self.output_and_state(z, self.zeros(x.shape[:-1], z.dtype) if state is None else state)[0]

    def contribution(self, x: Any) -> Any:
        """What x adds to the parts of a step, which hangs on no state: x·W + b."""
        z = matmul(x, self.weight)
        return z if self.bias is None else z + self.bias

    def zeros(self, lead: Shape, dtype: Any) -> Any:
        """The state before the first step, for sequences that are counted by these axes."""
        return full_(shape=(*lead, self.size), value=0.0, dtype=np.dtype(dtype))

    def output_and_state(self, z: Any, state: Any) -> tuple[Any, Any]:
        """`(state, output)` after a step, for `cl.scan`; z is what the input contributes."""
        raise NotImplementedError

    def output_of(self, state: Any) -> Any:
        """The part of the state that is the output."""
        return state

    def _parts(self, z: Any) -> list[Any]:
        return [slice_axis(z, -1, i * self.size, (i + 1) * self.size) for i in range(shape_of(z)[-1] // self.size)]

    def label(self) -> str:
        """`LSTMCell(8 → 16)`."""
        return f"{type(self).__name__}({self.inputs} → {self.size})"


class RNNCell(RecurrentCell):
    """h′ = tanh(x·W + h·U + b) (Elman 1990): x (…, inputs), h (…, size).

    inputs      the size of x's last axis
    size        the size of the state
    bias        whether there is b
    activation  "tanh" or another of `cl.nn.ACTIVATIONS`
    rng         a key of `cl.random` or a seed, from which the weights are drawn: W by Glorot, U orthogonal
    dtype       of all arrays

    >>> import clearprop as cl
    >>> cell = cl.nn.RNNCell(3, 4)
    >>> cell(cl.ones(3), cell(cl.ones(3))).shape
    (4,)
    """

    activation: str = static(default="tanh")

    def __init__(
        self,
        inputs: int,
        size: int,
        *,
        bias: bool = True,
        activation: str = "tanh",
        rng: Any = 0,
        dtype: Any = np.float32,
    ) -> None:
        name = Activation(activation).name
        super().__init__(inputs, size, bias=bias, rng=rng, dtype=dtype, activation=name)

    def output_and_state(self, z: Any, state: Any) -> tuple[Any, Any]:
        """The new state, which is the output as well."""
        h = Activation(self.activation)(z + matmul(state, self.recurrent))
        return h, h


class LSTMCell(RecurrentCell, init=False):
    """c′ = f·c + i·g and h′ = o·tanh(c′) (Hochreiter & Schmidhuber 1997; Gers et al. 2000); a state is (h, c).

    i, f, o = σ and g = tanh of the four parts of x·W + h·U + b, in the order i, f, g, o; the bias of f starts at 1.

    inputs  the size of x's last axis
    size    the size of h and c
    bias    whether there is b
    rng     a key of `cl.random` or a seed, from which the weights are drawn: W by Glorot, U orthogonal
    dtype   of all arrays
    more    nothing

    >>> import clearprop as cl
    >>> h, c = cl.nn.LSTMCell(3, 4)(cl.ones((2, 3)))
    >>> h.shape, c.shape
    ((2, 4), (2, 4))
    """

    parts: ClassVar[int] = 4

    def _first_bias(self, size: int) -> Any:
        return np.repeat([0.0, 1.0, 0.0, 0.0], size)

    def zeros(self, lead: Shape, dtype: Any) -> Any:
        """Zeros for h and for c."""
        return super().zeros(lead, dtype), super().zeros(lead, dtype)

    def output_and_state(self, z: Any, state: Any) -> tuple[Any, Any]:
        """The new (h, c), and h."""
        h, c = state
        i, f, g, o = self._parts(z + matmul(h, self.recurrent))
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(c)
        return (h, c), h

    def output_of(self, state: Any) -> Any:
        """h of (h, c)."""
        return state[0]


class GRUCell(RecurrentCell):
    """h′ = (1 − z)·n + z·h (Cho et al. 2014): x (…, inputs), h (…, size).

    r, z = σ of the first two parts of x·W + h·U + b, and n = tanh(x·Wₙ + bₙ + r·(h·Uₙ + b′)), the third.

    inputs  the size of x's last axis
    size    the size of the state
    bias    whether there are b and b′
    rng     a key of `cl.random` or a seed, from which the weights are drawn: W by Glorot, U orthogonal
    dtype   of all arrays

    >>> import clearprop as cl
    >>> cl.nn.GRUCell(3, 4)(cl.ones((2, 3))).shape
    (2, 4)
    """

    hidden_bias: Tensor | None = parameter()
    parts: ClassVar[int] = 3

    def __init__(self, inputs: int, size: int, *, bias: bool = True, rng: Any = 0, dtype: Any = np.float32) -> None:
        size, own = require_size("GRUCell", "size", size), require_dtype("GRUCell", dtype)
        hidden = np.zeros(size, own) if require_flag("GRUCell", "bias", bias) else None
        super().__init__(inputs, size, bias=bias, rng=rng, dtype=dtype, hidden_bias=hidden)

    def output_and_state(self, z: Any, state: Any) -> tuple[Any, Any]:
        """The new state, which is the output as well."""
        reset, update, new = self._parts(z)
        by_reset, by_update, by_new = self._parts(matmul(state, self.recurrent))
        by_new = by_new if self.hidden_bias is None else by_new + self.hidden_bias
        new = tanh(new + sigmoid(reset + by_reset) * by_new)
        kept = sigmoid(update + by_update)
        h = (1 - kept) * new + kept * state
        return h, h
