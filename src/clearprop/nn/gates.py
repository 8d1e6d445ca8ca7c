"""Activations with parameters, and gates: `PReLU`, `GLU`, `SwiGLU`."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.arrays.tensor import Tensor, asarray
from clearprop.errors import ShapeError, user_line
from clearprop.nn.activations import Activation
from clearprop.nn.argument_checks import require_dtype, require_features, require_number, require_size
from clearprop.nn.fields import parameter, static
from clearprop.nn.initialisers import as_key
from clearprop.nn.layers import Dense
from clearprop.nn.module import Module
from clearprop.program.ir import shape_of
from clearprop.rules import random
from clearprop.rules.elementwise import where
from clearprop.rules.indexing import slice_axis
from clearprop.shapes import same


class PReLU(Module):
    """y = x where x > 0, slope · x elsewhere, and the slope is learned (He et al. 2015).

    x (…, size), slope (size,) or (1,).  By convention the derivative at 0 is the slope, and that by the slope 0.

    size   the size of x's last axis, for a slope of its own for every feature; 1: one slope for all
    slope  where it starts
    dtype  of the slope

    >>> import clearprop as cl
    >>> cl.nn.PReLU()(cl.tensor([-2.0, 3.0]))
    Tensor([-0.5, 3.0])
    """

    slope: Tensor = parameter()

    def __init__(self, size: int = 1, *, slope: float = 0.25, dtype: Any = np.float32) -> None:
        size, dtype = require_size("PReLU", "size", size), require_dtype("PReLU", dtype)
        super().__init__(slope=np.full(size, require_number("PReLU", "slope", slope, 0.25), dtype))

    def forward(self, x: Any) -> Any:
        """X, its negative part scaled."""
        x, size = asarray(x), shape_of(self.slope)[0]
        if size != 1:
            require_features(self.label, size, x.shape)
        return where(x > 0, x, self.slope * x)

    def label(self) -> str:
        """`PReLU(16)`."""
        return f"PReLU({shape_of(self.slope)[0]})"


class GLU(Module):
    """y = a · σ(b), a and b the halves of x's last axis: x (…, 2n), y (…, n) (Dauphin et al. 2017).

    activation  what the second half goes through: "sigmoid"; "silu" or "gelu" are gates of transformers (Shazeer 2020)

    Raises ShapeError where the last axis cannot be halved.

    >>> import clearprop as cl
    >>> cl.nn.GLU()(cl.tensor([3.0, 0.0]))
    Tensor([1.5])
    """

    activation: str = static(default="sigmoid")

    def __init__(self, activation: str = "sigmoid") -> None:
        super().__init__(activation=Activation(activation).name)

    def forward(self, x: Any) -> Any:
        """The first half, opened as far as the second says."""
        x = asarray(x)
        n = x.shape[-1] if x.shape else 1
        if not same(n % 2, 0):
            raise ShapeError(
                f"{self.label()} cannot halve an input of shape {x.shape}",
                expected="an even number of features in the last axis",
                got=str(n) if x.shape else "no axis at all",
                where=user_line(),
            )
        gate = Activation(self.activation)(slice_axis(x, -1, n // 2, n))
        return slice_axis(x, -1, 0, n // 2) * gate


class SwiGLU(Module):
    """y = (silu(x·W) · (x·V))·U, the gated layer of transformers (Shazeer 2020): x (…, inputs), y (…, outputs).

    inputs   the size of x's last axis
    hidden   the size between: W and V are (inputs, hidden), U is (hidden, outputs)
    outputs  the size of y's last axis; None: as x's
    bias     whether the three have one
    rng      a key of `cl.random` or a seed, from which the weights are drawn
    dtype    of all arrays

    >>> import clearprop as cl
    >>> cl.nn.SwiGLU(4, 16)
    SwiGLU(
      gate    Dense(4 → 16)  weight (4, 16)  64
      value   Dense(4 → 16)  weight (4, 16)  64
      output  Dense(16 → 4)  weight (16, 4)  64
      192 parameters, float32
    )
    """

    gate: Dense
    value: Dense
    output: Dense

    def __init__(
        self,
        inputs: int,
        hidden: int,
        outputs: int | None = None,
        *,
        bias: bool = False,
        rng: Any = 0,
        dtype: Any = np.float32,
    ) -> None:
        require_size("SwiGLU", "inputs", inputs)
        require_size("SwiGLU", "hidden", hidden)
        outputs = inputs if outputs is None else require_size("SwiGLU", "outputs", outputs)
        keys = [random.fold_in(as_key(rng), i) for i in range(3)]
        super().__init__(
            gate=Dense(inputs, hidden, bias=bias, rng=keys[0], dtype=dtype),
            value=Dense(inputs, hidden, bias=bias, rng=keys[1], dtype=dtype),
            output=Dense(hidden, outputs, bias=bias, rng=keys[2], dtype=dtype),
        )

    def forward(self, x: Any) -> Any:
        """The gated product, through the last matrix."""
        return self.output(Activation("silu")(self.gate(x)) * self.value(x))
