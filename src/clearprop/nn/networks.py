"""Whole networks in one line."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, overload

import numpy as np

from clearprop.errors import ArgumentError, checked_call, unknown_name, user_line
from clearprop.nn.activations import Activation, as_layer, suited_to
from clearprop.nn.argument_checks import require_fraction, require_size
from clearprop.nn.layers import Dense, Dropout, Sequential
from clearprop.nn.module import Module
from clearprop.nn.norms import BatchNorm, LayerNorm
from clearprop.rules import random

AUTO: Final = "auto"
"""The word for sizes that the data decide."""
_NORMS: dict[str, Callable[..., Module]] = {"layer": LayerNorm, "batch": BatchNorm}


@dataclass(frozen=True)
class UnsizedMLP:
    """A multilayer perceptron whose numbers of inputs and outputs the data will say: `cl.fit` gives them.

    hidden   the sizes of the hidden layers; None where the number of rows decides them, too
    options  what else `cl.nn.mlp` is given

    >>> import clearprop as cl
    >>> len(cl.nn.mlp(hidden=[16]).sized(4, 3).layers)
    3
    """

    hidden: tuple[int, ...] | None
    options: Mapping[str, Any]

    def sized(self, inputs: int, outputs: int) -> Sequential:
        """The network for so many inputs and outputs."""
        return mlp([inputs, *(self.hidden or ()), outputs], **self.options)


@overload
def mlp(
    sizes: Sequence[int],
    activation: Any = ...,
    *,
    seed: int = ...,
    dropout: float = ...,
    norm: str | None = ...,
    init: str | Callable[..., Any] | None = ...,
    dtype: Any = ...,
) -> Sequential: ...
@overload
def mlp(
    sizes: Literal["auto"],
    activation: Any = ...,
    *,
    seed: int = ...,
    dropout: float = ...,
    norm: str | None = ...,
    init: str | Callable[..., Any] | None = ...,
    dtype: Any = ...,
) -> UnsizedMLP: ...
@overload
def mlp(
    sizes: None = ...,
    activation: Any = ...,
    *,
    hidden: Sequence[int],
    seed: int = ...,
    dropout: float = ...,
    norm: str | None = ...,
    init: str | Callable[..., Any] | None = ...,
    dtype: Any = ...,
) -> UnsizedMLP: ...
@checked_call
def mlp(
    sizes: Sequence[int] | Literal["auto"] | None = None,
    activation: Any = "relu",
    *,
    hidden: Sequence[int] | None = None,
    seed: int = 0,
    dropout: float = 0.0,
    norm: str | None = None,
    init: str | Callable[..., Any] | None = None,
    dtype: Any = np.float32,
) -> Sequential | UnsizedMLP:
    """A multilayer perceptron: dense layers of these sizes, with the activation between them.

    After each hidden `Dense` come, as asked for, normalisation, activation, dropout; the output is linear.  Before a
    batch normalisation, which subtracts the mean, `Dense` has no bias: the normalisation's offset takes its place.

    sizes       [inputs, hidden …, outputs], or "auto" for `cl.fit`: the data decide all of them
    hidden      in place of sizes: the hidden ones alone, for `cl.fit`, which takes the others from the data
    activation  a name of `cl.nn.ACTIVATIONS`, a module without arrays or a function of one array
    seed        what the weights depend on, and nothing else does
    dropout     the rate of `Dropout` behind every activation
    norm        "layer", "batch" or None
    init        an initialiser by name or as a function; None: the one that suits the activation (`suited_to`), and
                Glorot's for the output
    dtype       of all arrays

    >>> import clearprop as cl
    >>> cl.nn.mlp([4, 16, 3], activation="tanh", dropout=0.1)
    Sequential(
      layers[0]  Dense(4 → 16)      weight (4, 16), bias (16,)  80
      layers[1]  tanh
      layers[2]  Dropout(rate=0.1)
      layers[3]  Dense(16 → 3)      weight (16, 3), bias (3,)   51
      131 parameters, float32
    )
    """
    if hidden is not None or (isinstance(sizes, str) and sizes == AUTO):
        options: dict[str, Any] = {"seed": seed, "dropout": dropout, "norm": norm, "init": init, "dtype": dtype}
        tried = [1, 1] if hidden is None else _sizes_around(sizes, hidden)
        mlp(tried, activation, **options)  # refuses what is wrong
        return UnsizedMLP(None if hidden is None else tuple(hidden), {"activation": activation, **options})
    sizes = _checked_sizes(sizes)
    require_fraction("mlp", "dropout", dropout, 0.0)
    if norm is not None and (not isinstance(norm, str) or norm not in _NORMS):
        raise unknown_name("normalisation", norm, _NORMS, user_line())
    key, layers = random.key(seed), list[Module]()
    act = as_layer(activation)
    suited = suited_to(act.name if isinstance(act, Activation) else "relu")
    inner, final = (suited, "glorot") if init is None else (init, init)
    for i, (a, b) in enumerate(itertools.pairwise(sizes[:-1])):
        layers.append(Dense(a, b, init=inner, bias=norm != "batch", rng=random.fold_in(key, i), dtype=dtype))
        layers += [_NORMS[norm](b, dtype=dtype)] if norm else []
        layers += [act, *([Dropout(dropout)] if dropout else [])]
    last = Dense(sizes[-2], sizes[-1], init=final, rng=random.fold_in(key, len(sizes) - 2), dtype=dtype)
    return Sequential(*layers, last)


def _sizes_around(sizes: Any, hidden: Any) -> list[Any]:
    """Sizes with which hidden layers alone can be tried."""
    if sizes is not None or not isinstance(hidden, (list, tuple)):
        raise ArgumentError(
            "mlp takes all sizes, or the hidden ones alone",
            expected="[inputs, hidden …, outputs], or hidden=[…] for cl.fit, which knows the data",
            got=f"hidden = {hidden!r}" + (f", sizes = {sizes!r}" if sizes is not None else ""),
            where=user_line(),
            try_="cl.nn.mlp(hidden=[64, 64])",
        )
    return [1, *hidden, 1]


def _checked_sizes(sizes: Any) -> list[int]:
    if not isinstance(sizes, (list, tuple)) or len(sizes) < 2:
        raise ArgumentError(
            "mlp needs the sizes of at least two layers",
            expected="[inputs, hidden …, outputs]",
            got=repr(sizes),
            where=user_line(),
            try_="cl.nn.mlp([4, 16, 3])",
        )
    return [require_size("mlp", f"sizes[{i}]", n) for i, n in enumerate(sizes)]
