"""Operators of ATen that are layers: pools, norms, dropout, embeddings.

Those of a module in training mode follow the pass that they run in: in `cl.nn.apply(model, x, train=True, rng=…)`
dropout draws and batch norms take the statistics of the batch; in `model(x)` they do what `module.eval()` does.
"""

from __future__ import annotations

import math
from typing import Any

from clearprop.arrays import functions
from clearprop.interop.torch.operators.linear import channels_first, channels_last, each, with_batch
from clearprop.interop.torch.operators.table import operator
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


@operator("avg_pool1d", "avg_pool2d", "avg_pool3d", ceil_mode=(False,), divisor_override=(None,))
def avg_pool(
    self: Any,
    kernel_size: Any,
    stride: Any = (),
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: Any = None,
) -> Any:
    """The mean of every window."""
    space = len(kernel_size)
    x, alone = with_batch(self, space)
    y = functions.avg_pool(
        channels_last(x),
        each(kernel_size, space),
        stride=each(stride or kernel_size, space),
        padding=tuple((n, n) for n in each(padding, space)),
        count_padding=count_include_pad,
    )
    return channels_first(y)[0] if alone else channels_first(y)


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


@operator("instance_norm", running_mean=(None,), running_var=(None,), use_input_stats=(True,))
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


@operator("embedding_bag", mode=(0, 1), scale_grad_by_freq=(False,), sparse=(False,), include_last_offset=(False,))
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
    """(bags, –, –, –): sums (0) or means (1) of the rows of each bag.

    Bags stand behind each other in `indices`, and `offsets` says where each begins.
    """
    bags, n = offsets.shape[0], indices.shape[0]
    begun = functions.segment_sum(functions.ones(offsets.shape, dtype="int64"), offsets, size=n + 1)
    bag = functions.cumulative_sum(begun[:n]) - 1  # a bag that is empty at the end begins behind the last number
    rows = functions.take(weight, indices, axis=0)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights[:, None]
    counted = functions.ones(indices.shape, dtype=rows.dtype)
    if padding_idx is not None and padding_idx >= 0:
        counted = functions.astype(functions.not_equal(indices, padding_idx), rows.dtype)
        rows = functions.where(counted[:, None] > 0, rows, 0.0)
    total = functions.segment_sum(rows, bag, size=bags)
    if mode == 0:
        return total, None, None, None
    count = functions.segment_sum(counted, bag, size=bags)
    return total / functions.maximum(count, 1.0)[:, None], None, None, None
