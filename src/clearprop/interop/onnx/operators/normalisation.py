"""Softmax and its like; norms of batches, layers, groups, and of neighbouring channels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from clearprop.arrays import functions as f
from clearprop.errors import ArgumentError
from clearprop.interop.onnx.graph_values import dtype_of, rank, sizes
from clearprop.interop.onnx.operator_table import operator
from clearprop.interop.onnx.operators.shapes import pad_axes
from clearprop.program.ir import shape_of


def _from_axis_on(function: Any) -> Any:
    """Before version 13: along all axes from `axis` on, as one."""

    def along(x: Any, *, axis: int = 1) -> Any:
        first = axis % max(rank(x), 1)
        if first == rank(x) - 1:
            return function(x, axis=-1)
        shape = shape_of(x)
        return f.reshape(function(f.reshape(x, (*shape[:first], math.prod(shape[first:]))), axis=-1), shape)

    return along


def _along(function: Any) -> Any:
    def along(x: Any, *, axis: int = -1) -> Any:
        return function(x, axis=axis)

    return along


for _name, _function in {"Softmax": f.softmax, "LogSoftmax": f.log_softmax}.items():
    operator(_name)(_from_axis_on(_function))
    operator(_name, since=13)(_along(_function))


def _per_channel(v: Any, x: Any) -> Any:
    """One number per channel, which is the second axis of x."""
    return f.reshape(v, (-1, *[1] * (rank(x) - 2)))


def _normalise(x: Any, mean: Any, var: Any, epsilon: float) -> Any:
    return (x - mean) / f.sqrt(var + epsilon)


@operator("BatchNormalization", statistics=(3, 4))
def batch_normalization(
    x: Any,
    scale: Any,
    bias: Any,
    mean: Any,
    var: Any,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    spatial: int = 1,
    training_mode: int = 0,
) -> Any:
    """Y = scale·(x - mean) / √(var + ε) + bias per channel (Ioffe & Szegedy 2015).

    In training mode mean and variance are the batch's, and new running ones are outputs.
    """
    if not spatial and rank(x) > 2:
        raise ArgumentError(
            "BatchNormalization has statistics of every place here",
            expected="spatial = 1, statistics per channel",
            got=f"spatial = 0, and x with {rank(x)} axes",
            try_="a model of version 9 of the operator set or later, which has statistics per channel alone",
        )
    if not training_mode:
        means, variances = (_per_channel(v, x) for v in (mean, var))
        return _normalise(x, means, variances, epsilon) * _per_channel(scale, x) + _per_channel(bias, x)
    others = tuple(i for i in range(rank(x)) if i != 1)
    now_mean, now_var = f.mean(x, axis=others), f.var(x, axis=others)
    y = batch_normalization(x, scale, bias, now_mean, now_var, epsilon=epsilon)
    running = [old * momentum + now * (1 - momentum) for old, now in ((mean, now_mean), (var, now_var))]
    return y, *running


@operator("InstanceNormalization")
def instance_normalization(x: Any, scale: Any, bias: Any, *, epsilon: float = 1e-5) -> Any:
    """Each channel of each example by its own mean and variance (Ulyanov et al. 2016)."""
    axes = tuple(range(2, rank(x)))
    y = _normalise(x, f.mean(x, axis=axes, keepdims=True), f.var(x, axis=axes, keepdims=True), epsilon)
    return y * _per_channel(scale, x) + _per_channel(bias, x)


@operator("LayerNormalization")
def layer_normalization(
    x: Any, scale: Any, bias: Any = None, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1, outputs: int
) -> Any:
    """Each example by the mean and variance of its axes from `axis` on (Ba et al. 2016)."""
    axes = tuple(range(axis % rank(x), rank(x)))
    mean, var = f.mean(x, axis=axes, keepdims=True), f.var(x, axis=axes, keepdims=True)
    y = _normalise(x, mean, var, epsilon) * scale
    y = y if bias is None else y + bias
    return y if outputs == 1 else (y, mean, f.reciprocal(f.sqrt(var + epsilon)))


@operator("RMSNormalization")
def rms_normalization(x: Any, scale: Any, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1) -> Any:
    """Y = scale·x / √(mean of x² + ε) over the axes from `axis` on (Zhang & Sennrich 2019)."""
    axes = tuple(range(axis % rank(x), rank(x)))
    return x / f.sqrt(f.mean(x * x, axis=axes, keepdims=True) + epsilon) * scale


def _groups(x: Any, count: int, epsilon: float) -> Any:
    """X in groups of channels, normalised: (n, groups, channels of a group, *space)."""
    n, channels, *space = shape_of(x)
    grouped = f.reshape(x, (n, count, int(channels) // count, *space))
    axes = tuple(range(2, rank(grouped)))
    mean, var = f.mean(grouped, axis=axes, keepdims=True), f.var(grouped, axis=axes, keepdims=True)
    return _normalise(grouped, mean, var, epsilon)


@operator("GroupNormalization", since=18)
def group_normalization_per_group(
    x: Any, scale: Any, bias: Any, *, num_groups: int, epsilon: float = 1e-5, stash_type: int = 1
) -> Any:
    """Each group of channels by its own mean and variance (Wu & He 2018); a scale per group."""
    wide = (1, num_groups, *[1] * (rank(x) - 1))
    y = _groups(x, num_groups, epsilon) * f.reshape(scale, wide) + f.reshape(bias, wide)
    return f.reshape(y, shape_of(x))


@operator("GroupNormalization", since=21)
def group_normalization(
    x: Any, scale: Any, bias: Any, *, num_groups: int, epsilon: float = 1e-5, stash_type: int = 1
) -> Any:
    """Each group of channels by its own mean and variance (Wu & He 2018); a scale per channel."""
    y = f.reshape(_groups(x, num_groups, epsilon), shape_of(x))
    return y * _per_channel(scale, x) + _per_channel(bias, x)


@operator("LpNormalization")
def lp_normalization(x: Any, *, axis: int = -1, p: int = 2) -> Any:
    """Y = x / its norm along an axis; 0 where the norm is 0."""
    norm = f.sum(f.abs(x), axis=axis, keepdims=True) if p == 1 else f.sqrt(f.sum(x * x, axis=axis, keepdims=True))
    zero = f.equal(norm, 0)
    return f.where(zero, f.zeros_like(x), x / f.where(zero, f.ones_like(norm), norm))


@operator("LRN")
def lrn(x: Any, *, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0, size: int) -> Any:
    """Y = x / (bias + alpha/size · Σ x² of neighbouring channels)^beta (Krizhevsky et al. 2012)."""
    before = math.floor((size - 1) / 2)
    squares = pad_axes(x * x, (before, size - 1 - before), "constant", 0, (1,))
    channels = sizes(x)[1]
    total = sum((f.take(squares, np.arange(i, i + channels), axis=1) for i in range(size)), np.zeros((), dtype_of(x)))
    return x / f.pow(bias + alpha / size * total, beta)
