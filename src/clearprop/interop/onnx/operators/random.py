"""Random numbers and dropout: drawn from the key of a training pass (`cl.nn.apply`), or from a seed of the node."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.arrays import functions as f
from clearprop.errors import ArgumentError
from clearprop.interop.onnx.graph_values import checked_shape, dtype_of, known_numbers, sizes
from clearprop.interop.onnx.operator_table import operator
from clearprop.interop.onnx.operators.logic import taken_dtype
from clearprop.nn import is_training, next_key
from clearprop.rules import random


def _key(seed: float | None) -> Any:
    """The next key of the pass, or the one that the node's seed gives where no pass has a key."""
    if seed is not None:
        return random.key(int(np.float32(seed).view(np.uint32)))
    if is_training():
        return next_key()
    raise ArgumentError(
        "the model draws random numbers",
        expected="a key, or a seed in the node",
        got="neither",
        try_="cl.nn.apply(model, x, train=True, rng=0)",
    )


@operator("Dropout")
def dropout_at_rest(x: Any, *, ratio: float = 0.5, outputs: int) -> Any:
    """Before version 12: in inference x itself, in a training pass x without a random part of its numbers."""
    return _drop(x, ratio, is_training(), None, outputs)


@operator("Dropout", since=12, settings=(1, 2))
def dropout(x: Any, ratio: Any = None, training_mode: Any = None, *, seed: int | None = None, outputs: int) -> Any:
    """X without a random part of its numbers, the others scaled, in training mode or in a training pass."""
    rate = 0.5 if ratio is None else float(known_numbers(ratio, "the ratio").reshape(()))
    asked = training_mode is not None and bool(known_numbers(training_mode, "the mode").reshape(()))
    return _drop(x, rate, asked or is_training(), seed, outputs)


def _drop(x: Any, rate: float, active: bool, seed: int | None, outputs: int) -> Any:
    if not active or rate == 0:
        kept: Any = np.ones(sizes(x), bool)
        return (x, kept) if outputs > 1 else x
    kept = random.bernoulli(_key(seed), 1 - rate, shape=sizes(x))
    y = f.where(kept, x / (1 - rate), f.zeros_like(x))
    return (y, kept) if outputs > 1 else y


@operator("RandomNormal")
def random_normal(
    *,
    shape: tuple[int, ...],
    dtype: int = 1,
    mean: float = 0.0,
    scale: float = 1.0,
    seed: float | None = None,
    context: Any,
) -> Any:
    """Normal numbers."""
    checked_shape(shape, "RandomNormal")
    return random.normal(_key(seed), shape=shape, dtype=taken_dtype(dtype)) * scale + mean


@operator("RandomUniform")
def random_uniform(
    *,
    shape: tuple[int, ...],
    dtype: int = 1,
    high: float = 1.0,
    low: float = 0.0,
    seed: float | None = None,
    context: Any,
) -> Any:
    """Uniform numbers from low to high."""
    checked_shape(shape, "RandomUniform")
    return random.uniform(_key(seed), shape=shape, dtype=taken_dtype(dtype)) * (high - low) + low


def _like(x: Any, dtype: int | None) -> int:
    from_x = {"float32": 1, "float64": 11}.get(dtype_of(x).name, 1)
    return from_x if dtype is None else dtype


@operator("RandomNormalLike")
def random_normal_like(
    x: Any, *, dtype: int | None = None, mean: float = 0.0, scale: float = 1.0, seed: float | None = None, context: Any
) -> Any:
    """Normal numbers in the shape of x."""
    return random_normal(shape=sizes(x), dtype=_like(x, dtype), mean=mean, scale=scale, seed=seed, context=context)


@operator("RandomUniformLike")
def random_uniform_like(
    x: Any, *, dtype: int | None = None, high: float = 1.0, low: float = 0.0, seed: float | None = None, context: Any
) -> Any:
    """Uniform numbers in the shape of x."""
    return random_uniform(shape=sizes(x), dtype=_like(x, dtype), high=high, low=low, seed=seed, context=context)


@operator("Bernoulli")
def bernoulli(x: Any, *, dtype: int | None = None, seed: float | None = None, context: Any) -> Any:
    """1 with the probability that x gives, 0 otherwise."""
    drawn = random.uniform(_key(seed), shape=sizes(x), dtype=dtype_of(x))
    return f.astype(f.less(drawn, x), dtype_of(x) if dtype is None else taken_dtype(dtype))
