"""Operators of ATen that are layers: pools, norms, dropout, embeddings.

Those of a module in training mode follow the pass that they run in: in `cl.nn.apply(model, x, train=True, rng=…)`
dropout draws and batch norms take the statistics of the batch; in `model(x)` they do what `module.eval()` does.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.arrays import functions
from clearprop.interop.torch.operators.linear import channels_first, channels_last, each, with_batch
from clearprop.interop.torch.operators.operator_table import operator
from clearprop.nn import AdaptivePool, Dropout, is_training, next_key
from clearprop.rules import random


# ------------------------------------------------------------------------------------------------------------ pools
@operator("max_pool1d", "max_pool2d", "max_pool3d")
def max_pool(
    self: Any, kernel_size: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Any:
    """The largest of every window; in `ceil_mode` the last window may stand over the border."""
    space = len(kernel_size)
    x, alone = with_batch(self, space)
    window, steps, taps = each(kernel_size, space), each(stride or kernel_size, space), each(dilation, space)
    widths = [(n, n) for n in each(padding, space)]
    if ceil_mode:
        reach = [d * (k - 1) + 1 for k, d in zip(window, taps, strict=True)]
        sizes = [int(n) for n in x.shape[2:]]
        over = map(_over, sizes, reach, steps, each(padding, space))
        widths = [(p, p + more) for (p, _), more in zip(widths, over, strict=True)]
    y = functions.max_pool(channels_last(x), window, stride=steps, padding=tuple(widths), dilation=taps)
    return channels_first(y)[0] if alone else channels_first(y)


def _over(size: int, reach: int, step: int, padding: int) -> int:
    """How far the last window stands over the border: it must begin within the image or the padding before it."""
    windows = -(-(size + 2 * padding - reach) // step) + 1
    windows -= (windows - 1) * step >= size + padding
    return max(0, (windows - 1) * step + reach - size - 2 * padding)


@operator("max_pool2d_with_indices", "max_pool3d_with_indices")
def max_pool_with_places(
    self: Any, kernel_size: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Any:
    """The largest of every window, and its place among the numbers of its channel."""
    space = len(kernel_size)
    x, alone = with_batch(self, space)
    y = max_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    steps, taps = each(stride or kernel_size, space), each(dilation, space)
    sizes, counts = [int(n) for n in x.shape[2:]], [int(n) for n in y.shape[2:]]
    starts = [np.arange(c) * s - p for c, s, p in zip(counts, steps, each(padding, space), strict=True)]
    offsets = np.indices(tuple(each(kernel_size, space))).reshape(space, -1)
    where = [a[:, None] + d * o for a, d, o in zip(starts, taps, offsets, strict=True)]  # (windows, taps) of each axis
    inside, flat = np.array(True), np.array(0)
    for axis, (places, size) in enumerate(zip(where, sizes, strict=True)):
        form = [1] * axis + [counts[axis]] + [1] * (space - 1 - axis) + [offsets.shape[1]]
        inside = inside & ((places >= 0) & (places < size)).reshape(form)
        flat = flat * size + np.clip(places, 0, size - 1).reshape(form)
    rows = functions.reshape(x, (*x.shape[:2], -1))
    numbers = functions.reshape(functions.take(rows, flat.reshape(-1), axis=2), (*x.shape[:2], *flat.shape))
    best = functions.argmax(functions.where(inside, functions.stop_gradient(numbers), -np.inf), axis=-1)
    found = functions.take_along_axis(functions.broadcast_to(flat, numbers.shape), best[..., None], axis=-1)[..., 0]
    return (y[0], found[0]) if alone else (y, found)


@operator("max_unpool2d")
def max_unpool(self: Any, indices: Any, output_size: Any) -> Any:
    """The numbers of a max pool where they came from, zeros elsewhere."""
    x, alone = with_batch(self, 2)
    n, channels = x.shape[:2]
    empty = functions.zeros((n, channels, int(output_size[0]) * int(output_size[1])), dtype=x.dtype)
    places, numbers = (functions.reshape(part, (n, channels, -1)) for part in (indices, x))
    y = functions.reshape(functions.put_along_axis(empty, places, numbers, axis=-1), (n, channels, *output_size))
    return y[0] if alone else y


@operator("avg_pool1d", "avg_pool2d", "avg_pool3d")
def avg_pool(
    self: Any,
    kernel_size: Any,
    stride: Any = (),
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: Any = None,
) -> Any:
    """The mean of every window; in `ceil_mode` the last window may stand over the border, which never counts."""
    space = len(kernel_size)
    x, alone = with_batch(self, space)
    window, steps, widths = each(kernel_size, space), each(stride or kernel_size, space), each(padding, space)
    sizes = [int(n) for n in x.shape[2:]]
    over = [max(0, n) for n in map(_over, sizes, window, steps, widths)] if ceil_mode else [0] * space
    y = functions.avg_pool(
        channels_last(x),
        window,
        stride=steps,
        padding=tuple((n, n + more) for n, more in zip(widths, over, strict=True)),
        count_padding=count_include_pad or divisor_override is not None,
    )
    if divisor_override is not None:
        y = y * (math.prod(window) / divisor_override)
    elif any(over) and count_include_pad:
        y = y * _shares_inside(sizes, window, steps, widths, [int(n) for n in y.shape[1:-1]]).astype(y.dtype)
    return channels_first(y)[0] if alone else channels_first(y)


def _shares_inside(
    sizes: Sequence[int], window: Sequence[int], steps: Sequence[int], padding: Sequence[int], counts: Sequence[int]
) -> NDArray[Any]:
    """The size of a window by how much of it stands in the image or its padding, `(*windows, 1)`."""
    lines = []
    for size, k, step, pad, count in zip(sizes, window, steps, padding, counts, strict=True):
        begin = np.arange(count) * step - pad
        lines.append(k / (np.minimum(begin + k, size + pad) - begin))
    return functools.reduce(np.multiply.outer, lines)[..., None]


@operator("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d")
def adaptive_avg_pool(self: Any, output_size: Any) -> Any:
    """Means of windows that divide each axis into so many parts."""
    return _adaptive(self, output_size, "mean")


@operator("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def adaptive_max_pool(self: Any, output_size: Any) -> Any:
    """The largest of windows that divide each axis into so many parts."""
    return (_adaptive(self, output_size, "max"),)


def _adaptive(x: Any, output_size: Any, mode: str) -> Any:
    space = len(output_size)
    x, alone = with_batch(x, space)
    if set(output_size) == {1}:
        axes = tuple(range(2, space + 2))
        y = (functions.mean if mode == "mean" else functions.max)(x, axis=axes, keepdims=True)
    else:
        sizes = tuple(int(x.shape[2 + i]) if n is None else n for i, n in enumerate(output_size))
        y = channels_first(AdaptivePool(sizes, space=space, mode=mode)(channels_last(x)))
    return y[0] if alone else y


# ------------------------------------------------------------------------------------------------------------ norms
def _affine(x: Any, weight: Any, bias: Any, shape: tuple[int, ...] | None = None) -> Any:
    """x · weight + bias, both in a shape that broadcasts."""
    weight, bias = (p if p is None or shape is None else functions.reshape(p, shape) for p in (weight, bias))
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


def _normalise(x: Any, axes: tuple[int, ...], eps: float) -> Any:
    centred = x - functions.mean(x, axis=axes, keepdims=True)
    return centred / functions.sqrt(functions.var(x, axis=axes, keepdims=True) + eps)


def _per_channel(x: Any) -> tuple[int, ...]:
    return (-1,) + (1,) * (len(x.shape) - 2)


@operator("layer_norm")
def layer_norm(
    input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5, cudnn_enable: Any = None
) -> Any:
    """Each example normalised over its last axes."""
    axes = tuple(range(-len(normalized_shape), 0))
    return _affine(_normalise(input, axes, eps), weight, bias)


@operator("rms_norm")
def rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    """Each example divided by the root of its mean square."""
    axes = tuple(range(-len(normalized_shape), 0))
    eps = float(functions.finfo(input.dtype).eps) if eps is None else eps
    square = functions.mean(functions.square(input), axis=axes, keepdims=True)
    return _affine(input / functions.sqrt(square + eps), weight, None)


@operator("group_norm")
def group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, cudnn_enabled: Any = None
) -> Any:
    """Groups of channels normalised together, for each example."""
    grouped = functions.reshape(input, (input.shape[0], num_groups, -1))
    y = functions.reshape(_normalise(grouped, (-1,), eps), input.shape)
    return _affine(y, weight, bias, _per_channel(input))


@operator("instance_norm", running_mean=(None,), running_var=(None,), use_input_stats=(True,))  # else: a batch norm
def instance_norm(
    input: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: Any = None,
) -> Any:
    """Every channel of every example normalised over its places."""
    return _affine(_normalise(input, tuple(range(2, len(input.shape))), eps), weight, bias, _per_channel(input))


@operator("_native_batch_norm_legit_functional")
def batch_norm(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, training: bool, momentum: float, eps: float
) -> Any:
    """(y, –, –, running mean, running variance): the batch's statistics in a training pass, else the running ones."""
    if not (training and is_training()):
        y = batch_norm_inference(input, weight, bias, running_mean, running_var, momentum, eps)[0]
        return y, None, None, running_mean, running_var
    axes = (0, *range(2, len(input.shape)))
    mu, v = functions.mean(input, axis=axes), functions.var(input, axis=axes)
    n = math.prod(input.shape[a] for a in axes)
    y = _with_statistics(input, weight, bias, mu, v, eps)
    unbiased = v * (n / (n - 1))
    return y, None, None, _blend(running_mean, mu, momentum), _blend(running_var, unbiased, momentum)


@operator("_native_batch_norm_legit.no_stats")
def batch_norm_alone(input: Any, weight: Any, bias: Any, training: bool, momentum: float, eps: float) -> Any:
    """(y, –, –): a batch norm that keeps no statistics takes those of the batch in every pass."""
    axes = (0, *range(2, len(input.shape)))
    return _affine(_normalise(input, axes, eps), weight, bias, _per_channel(input)), None, None


@operator("_native_batch_norm_legit_no_training")
def batch_norm_inference(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, momentum: float, eps: float
) -> Any:
    """(y, –, –): normalised by the running statistics, which have no gradient."""
    return _with_statistics(input, weight, bias, running_mean, running_var, eps), None, None


def _with_statistics(x: Any, weight: Any, bias: Any, mu: Any, v: Any, eps: float) -> Any:
    shape = _per_channel(x)
    centred = x - functions.reshape(mu, shape)
    return _affine(centred / functions.sqrt(functions.reshape(v, shape) + eps), weight, bias, shape)


def _blend(old: Any, new: Any, momentum: float) -> Any:
    return (1 - momentum) * old + momentum * new


# ---------------------------------------------------------------------------------------------------------- dropout
@operator("native_dropout")
def native_dropout(input: Any, p: float, train: bool | None) -> Any:
    """(y, –): entries set to 0 with probability p, the others divided by 1 − p, in a training pass."""
    return Dropout(p)(input) if train and p else input, None


@operator("bernoulli.p")
def bernoulli(self: Any, p: float) -> Any:
    """1 with probability p, else 0; in inference p, their mean: dropout of channels then changes nothing."""
    mean = functions.full(self.shape, p, dtype=self.dtype)
    if not is_training():
        return mean
    return functions.astype(random.bernoulli(next_key("bernoulli"), p, self.shape), self.dtype)


# ------------------------------------------------------------------------------------------------------- embeddings
@operator("embedding", scale_grad_by_freq=(False,), sparse=(False,))
def embedding(
    weight: Any, indices: Any, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Any:
    """The rows of a table by their numbers; the row of the padding has no gradient."""
    rows = functions.take(weight, indices, axis=0)
    if padding_idx < 0:
        return rows
    padding = functions.equal(indices, padding_idx)[..., None]
    return functions.where(padding, functions.stop_gradient(rows), rows)


@operator("embedding_bag", scale_grad_by_freq=(False,), sparse=(False,))
def embedding_bag(
    weight: Any,
    indices: Any,
    offsets: Any,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """(bags, –, –, –): sums (0), means (1) or the largest numbers (2) of the rows of each bag.

    Bags stand behind each other in `indices`; `offsets` says where each begins and, with `include_last_offset`, where
    the last one ends.
    """
    offsets = offsets[:-1] if include_last_offset else offsets
    bags, n = offsets.shape[0], indices.shape[0]
    begun = functions.segment_sum(functions.ones(offsets.shape, dtype="int64"), offsets, size=n + 1)
    bag = functions.cumulative_sum(begun[:n]) - 1  # a bag that is empty at the end begins behind the last number
    rows = functions.take(weight, indices, axis=0)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights[:, None]
    counted = functions.ones(indices.shape, dtype=rows.dtype)
    if padding_idx is not None and padding_idx >= 0:
        counted = functions.astype(functions.not_equal(indices, padding_idx), rows.dtype)
        rows = functions.where(counted[:, None] > 0, rows, -math.inf if mode == 2 else 0.0)
    if mode == 0:
        return functions.segment_sum(rows, bag, size=bags), None, None, None
    count = functions.segment_sum(counted, bag, size=bags)[:, None]
    if mode == 1:
        return functions.segment_sum(rows, bag, size=bags) / functions.maximum(count, 1.0), None, None, None
    return functions.where(count > 0, functions.segment_max(rows, bag, size=bags), 0.0), None, None, None
