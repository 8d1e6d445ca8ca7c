"""Layers: `Dense`, `Dropout`, `Sequential`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from clearprop.arrays.tensor import Tensor, asarray
from clearprop.errors import ArgumentError, user_line
from clearprop.nn.activations import as_layer
from clearprop.nn.argument_checks import require_dtype, require_features, require_flag, require_fraction, require_size
from clearprop.nn.context import is_training, next_key
from clearprop.nn.fields import parameter, static
from clearprop.nn.initialisers import as_key, initialiser
from clearprop.nn.module import Module
from clearprop.program.tracing import shape_of
from clearprop.program.values import name_variable
from clearprop.rules import random
from clearprop.rules.elementwise import where
from clearprop.rules.linear import matmul


class Dense(Module):
    """y = x @ weight + bias: x (…, inputs), weight (inputs, outputs), bias (outputs,), y (…, outputs).

    inputs   the size of x's last axis
    outputs  the size of y's last axis
    init     the name of an initialiser (`cl.nn.INITIALISERS`) or a function `(key, shape, dtype)`
    bias     whether there is one; it starts at 0
    rng      a key of `cl.random` or a seed, from which the weight is drawn
    dtype    of weight and bias

    The result has the dtype that x and the weight promote to.  Raises ArgumentError for a size that is no positive
    integer, ShapeError when x has another last axis than `inputs`.

    >>> import clearprop as cl
    >>> layer = cl.nn.Dense(4, 16)
    >>> layer
    Dense(4 → 16)  weight (4, 16), bias (16,)  80 parameters
    >>> layer(cl.ones((2, 4))).shape
    (2, 16)
    """

    weight: Tensor = parameter()
    bias: Tensor | None = parameter()

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        init: str | Callable[..., Any] = "glorot",
        bias: bool = True,
        rng: Any = 0,
        dtype: Any = np.float32,
    ) -> None:
        shape = (require_size("Dense", "inputs", inputs), require_size("Dense", "outputs", outputs))
        dtype, bias = require_dtype("Dense", dtype), require_flag("Dense", "bias", bias)
        weight = initialiser(init)(as_key(rng), shape, dtype)
        super().__init__(weight=weight, bias=np.zeros(shape[1], dtype) if bias else None)

    def forward(self, x: Any) -> Any:
        """x @ weight + bias."""
        x = asarray(x)
        require_features(self.label, shape_of(self.weight)[0], x.shape)
        y = matmul(x, self.weight)
        return y if self.bias is None else y + self.bias

    def label(self) -> str:
        """`Dense(4 → 16)`."""
        shape = shape_of(self.weight)
        return f"Dense({shape[0]} → {shape[1]})"


class Dropout(Module):
    """In training, each element is 0 with probability `rate` and else divided by 1 − rate (Srivastava et al. 2014).

    In inference, nothing happens: the expected values agree.  A training pass needs `rng`.

    rate  the probability, 0 ≤ rate < 1

    >>> import clearprop as cl
    >>> y, _ = cl.nn.apply(cl.nn.Dropout(0.5), cl.ones(4), train=True, rng=cl.random.key(1))
    >>> sorted(set(y.tolist()))
    [0.0, 2.0]
    """

    rate: float = static(default=0.5)

    def __init__(self, rate: float = 0.5) -> None:
        super().__init__(rate=require_fraction("Dropout", "rate", rate, 0.5))

    def forward(self, x: Any) -> Any:
        """X, with elements dropped in training."""
        if self.rate == 0 or not is_training():
            return x
        kept = random.bernoulli(next_key("Dropout"), 1 - self.rate, shape_of(x))
        return where(kept, x / (1 - self.rate), 0.0)


class Sequential(Module):
    """Modules one after another.  Names and functions become layers: `Sequential(Dense(4, 3), "relu")`.

    layers  modules, names of activations and functions of one array; or one list of them

    A slice of it is a Sequential again.  Raises ArgumentError for a layer with arrays that is given twice.

    >>> import clearprop as cl
    >>> cl.nn.Sequential(cl.nn.Dense(4, 3), "relu")
    Sequential(
      layers[0]  Dense(4 → 3)  weight (4, 3), bias (3,)  15
      layers[1]  relu
      15 parameters, float32
    )
    """

    layers: tuple[Module, ...]

    def __init__(self, *layers: Any) -> None:
        given = layers[0] if len(layers) == 1 and isinstance(layers[0], (list, tuple)) else layers
        super().__init__(layers=tuple(map(as_layer, given)))
        _require_distinct(self.layers)

    def forward(self, x: Any) -> Any:
        """The last layer of … of the first of x."""
        for i, layer in enumerate(self.layers):
            x = name_variable(layer(x), f"h{i}")  # while it is traced, generated sources call the output of layer i so
        return x

    def __getitem__(self, index: int | slice) -> Module:
        return Sequential(self.layers[index]) if isinstance(index, slice) else self.layers[index]

    def __len__(self) -> int:
        return len(self.layers)


def _require_distinct(layers: tuple[Module, ...]) -> None:
    """A module in two places would be two after the first update: a tree holds values, not references."""
    seen: dict[int, int] = {}
    for i, layer in enumerate(layers):
        first = seen.setdefault(id(layer), i)
        if first != i and layer.arrays():
            raise ArgumentError(
                "a layer with arrays is used twice",
                expected="every layer once: a model is a tree of values, and shared weights would part when trained",
                got=f"layers[{first}] is layers[{i}]",
                where=user_line(),
                try_="a module of your own whose forward calls the shared layer twice",
            )
