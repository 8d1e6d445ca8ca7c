"""Operators of ATen that are linear in a weight: products, convolutions, and attention, which is made of products."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from clearprop.arrays import functions
from clearprop.interop.torch.operators.operator_table import operator
from clearprop.nn import Dropout


@operator("linear")
def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """x·Wᵀ + b: PyTorch keeps the weight as (outputs, inputs)."""
    y = functions.matmul(input, weight.mT)
    return y if bias is None else y + bias


@operator("matmul", "mm", "bmm", "mv", "dot")
def matmul(self: Any, mat2: Any) -> Any:
    """The product."""
    return functions.matmul(self, mat2)


@operator("addmm", "baddbmm", "addmv")
def addmm(self: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · self + alpha · (mat1·mat2)."""
    product = functions.matmul(mat1, mat2)
    return (self if beta == 1 else beta * self) + (product if alpha == 1 else alpha * product)


@operator("einsum", path=(None,))
def einsum(equation: str, tensors: Any, path: Any = None) -> Any:
    """Products and sums by their axes."""
    return functions.einsum(equation, *tensors)


@operator("outer")
def outer(self: Any, vec2: Any) -> Any:
    """Every product of two entries."""
    return self[:, None] * vec2[None, :]


# ------------------------------------------------------------------------------------------------------ convolution
def channels_last(x: Any) -> Any:
    """(n, channels, *space) as (n, *space, channels), which our convolutions and pools take."""
    return functions.moveaxis(x, 1, -1)


def channels_first(x: Any) -> Any:
    """(n, *space, channels) as (n, channels, *space)."""
    return functions.moveaxis(x, -1, 1)


def with_batch(x: Any, space: int) -> tuple[Any, bool]:
    """The input with an axis of examples, and whether that had to be added."""
    alone = len(x.shape) == space + 1
    return (x[None] if alone else x), alone


def each(value: Any, space: int) -> tuple[int, ...]:
    """A number for every axis of space."""
    given = tuple(value) if isinstance(value, Sequence) else (value,)
    return given * space if len(given) == 1 else given


@operator("conv1d", "conv2d", "conv3d", "conv1d.padding", "conv2d.padding", "conv3d.padding")
def conv(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """A convolution: weight (outputs, inputs/groups, *kernel)."""
    space = len(weight.shape) - 2
    x, alone = with_batch(input, space)
    kernel = functions.permute_dims(weight, (*range(2, space + 2), 1, 0))
    y = functions.conv(
        channels_last(x),
        kernel,
        stride=each(stride, space),
        padding=_padding(padding, weight.shape[2:], each(dilation, space)),
        dilation=each(dilation, space),
        groups=groups,
    )
    y = channels_first(y if bias is None else y + bias)
    return y[0] if alone else y


def _padding(padding: Any, kernel: Sequence[int], dilation: Sequence[int]) -> Any:
    """Pairs of widths; of "same" the smaller half stands before, as PyTorch has it, whatever the stride."""
    if padding == "valid":
        return "valid"
    if padding == "same":
        widths = [d * (int(k) - 1) for k, d in zip(kernel, dilation, strict=True)]
        return tuple((n // 2, n - n // 2) for n in widths)
    return tuple((n, n) for n in each(padding, len(kernel)))


@operator("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def conv_transpose(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """The transpose of a convolution: weight (inputs, outputs/groups, *kernel)."""
    space = len(weight.shape) - 2
    x, alone = with_batch(input, space)
    y = functions.conv_transpose(
        channels_last(x),
        functions.permute_dims(weight, (*range(2, space + 2), 1, 0)),
        stride=each(stride, space),
        padding=tuple((n, n) for n in each(padding, space)),
        dilation=each(dilation, space),
        groups=groups,
        output_padding=each(output_padding, space),
    )
    y = channels_first(y if bias is None else y + bias)
    return y[0] if alone else y


# -------------------------------------------------------------------------------------------------------- attention
@operator("scaled_dot_product_attention")
def attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """softmax(Q·Kᵀ·scale + mask)·V; a query that sees no key at all gives NaN, as it does in PyTorch."""
    if enable_gqa:
        times = int(query.shape[-3]) // int(key.shape[-3])
        key, value = (functions.repeat(x, times, axis=-3) for x in (key, value))
    scores = functions.matmul(query * (1 / math.sqrt(query.shape[-1]) if scale is None else scale), key.mT)
    if is_causal:
        seen = functions.tril(functions.ones((query.shape[-2], key.shape[-2]), dtype="bool"))
        scores = functions.where(seen, scores, -math.inf)
    if attn_mask is not None:
        truth = attn_mask.dtype.kind == "b"
        scores = functions.where(attn_mask, scores, -math.inf) if truth else scores + attn_mask
    weights = functions.softmax(scores, axis=-1)
    return functions.matmul(Dropout(dropout_p)(weights) if dropout_p else weights, value)
