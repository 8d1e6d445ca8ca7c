"""Whole networks in one line."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clearprop.errors import ArgumentError, checked_call, unknown_name, user_line
from clearprop.nn.activations import Activation, as_layer, suited_to
from clearprop.nn.argument_checks import require_fraction, require_size
from clearprop.nn.layers import Dense, Dropout, Sequential
from clearprop.nn.module import Module
from clearprop.nn.norms import BatchNorm, LayerNorm
from clearprop.rules import random

_NORMS: dict[str, Callable[..., Module]] = {"layer": LayerNorm, "batch": BatchNorm}


@checked_call
def mlp(
    sizes: Sequence[int],
    activation: Any = "relu",
    *,
    seed: int = 0,
    dropout: float = 0.0,
    norm: str | None = None,
    init: str | Callable[..., Any] | None = None,
    dtype: Any = np.float32,
) -> Sequential:
    """A multilayer perceptron: dense layers of these sizes, with the activation between them.

    After each hidden `Dense` come, as asked for, normalisation, activation, dropout; the output is linear.  Before a
    batch normalisation, which subtracts the mean, `Dense` has no bias: the normalisation's offset takes its place.

    sizes       [inputs, hidden …, outputs]
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
    sizes = _checked_sizes(sizes)
    require_fraction("mlp", "dropout", dropout, 0.0)
    if norm is not None and (not isinstance(norm, str) or norm not in _NORMS):
        raise unknown_name("normalisation", norm, _NORMS, user_line())
    key, layers = random.key(seed), list[Module]()
    act = as_layer(activation)
    suited = suited_to(act.name if isinstance(act, Activation) else "relu")
    hidden, final = (suited, "glorot") if init is None else (init, init)
    for i, (a, b) in enumerate(itertools.pairwise(sizes[:-1])):
        layers.append(Dense(a, b, init=hidden, bias=norm != "batch", rng=random.fold_in(key, i), dtype=dtype))
        layers += [_NORMS[norm](b, dtype=dtype)] if norm else []
        layers += [act, *([Dropout(dropout)] if dropout else [])]
    last = Dense(sizes[-2], sizes[-1], init=final, rng=random.fold_in(key, len(sizes) - 2), dtype=dtype)
    return Sequential(*layers, last)


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
