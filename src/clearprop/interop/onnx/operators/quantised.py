"""Numbers as small integers: x ≈ scale · (q - zero point)."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.arrays import functions as f
from clearprop.errors import DTypeError
from clearprop.interop.onnx.graph_values import dtype_of, rank, sizes
from clearprop.interop.onnx.operator_table import operator
from clearprop.interop.onnx.operators.convolution import Ints, conv
from clearprop.interop.onnx.operators.logic import taken_dtype


def _spread(v: Any, x: Any, axis: int, block: int) -> Any:
    """One number per array, per slice along an axis, or per block of it, in a form that broadcasts with x."""
    if v is None or rank(v) == 0:
        return v
    if block:
        return f.repeat(v, block, axis=axis)
    return f.reshape(v, tuple(-1 if i == axis % rank(x) else 1 for i in range(rank(x)))) if rank(v) == 1 else v


def _round_into(x: Any, zero: Any, kind: np.dtype[Any]) -> Any:
    """The nearest integers (halves to the even one) from the zero point on, kept in the dtype."""
    if kind.kind not in "iu":
        raise DTypeError("numbers are quantised to integers", expected="int8, uint8, int16, uint16", got=kind.name)
    whole = f.round(f.astype(x, "float64"))
    whole = whole if zero is None else whole + f.astype(zero, "float64")
    limits = np.iinfo(kind)
    return f.astype(f.clip(whole, float(limits.min), float(limits.max)), kind)


@operator("QuantizeLinear", settings=(1, 2))
def quantize_linear(
    x: Any,
    scale: Any,
    zero: Any = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    precision: int = 0,
    saturate: int = 1,
) -> Any:
    """Q = round(x / scale) + zero point."""
    kind = dtype_of(zero) if zero is not None else taken_dtype(output_dtype or 2)
    by = _spread(scale, x, axis, block_size)
    shared = taken_dtype(precision) if precision else np.promote_types(dtype_of(x), dtype_of(by))
    return _round_into(f.astype(x, shared) / f.astype(by, shared), _spread(zero, x, axis, block_size), kind)


@operator("DequantizeLinear", settings=(2,))
def dequantize_linear(
    x: Any, scale: Any, zero: Any = None, *, axis: int = 1, block_size: int = 0, output_dtype: int = 0
) -> Any:
    """Y = scale · (x - zero point)."""
    kind = taken_dtype(output_dtype) if output_dtype else dtype_of(scale)
    whole = f.astype(x, "float64")
    whole = whole if zero is None else whole - f.astype(_spread(zero, x, axis, block_size), "float64")
    return f.astype(whole, kind) * f.astype(_spread(scale, x, axis, block_size), kind)


@operator("DynamicQuantizeLinear")
def dynamic_quantize_linear(x: Any) -> Any:
    """Q in 0 … 255 over the range of x, which is made to hold 0; scale and zero point are outputs."""
    low, high = f.minimum(f.min(x), 0), f.maximum(f.max(x), 0)
    width = high - low
    scale = f.where(f.equal(width, 0), f.ones_like(width), width) / 255
    zero = _round_into(-low / scale, None, np.dtype("uint8"))
    return quantize_linear(x, scale, zero), scale, zero


def _subtract_zero(x: Any, zero: Any, channel_axis: int | None = None) -> Any:
    """The integers without their zero point, as float64, in which sums of their products are exact."""
    whole = f.astype(x, "float64")
    if zero is None:
        return whole
    offset = f.astype(zero, "float64")
    if channel_axis is not None and rank(zero) == 1 and sizes(zero)[0] > 1:
        offset = f.reshape(offset, tuple(-1 if i == channel_axis % rank(x) else 1 for i in range(rank(x))))
    return whole - offset


@operator("MatMulInteger", settings=(2, 3))
def matmul_integer(a: Any, b: Any, a_zero: Any = None, b_zero: Any = None) -> Any:
    """The product of two matrices of small integers."""
    return f.astype(f.matmul(_subtract_zero(a, a_zero, -2), _subtract_zero(b, b_zero, -1)), "int32")


@operator("QLinearMatMul", settings=(1, 2, 4, 5, 6, 7))
def qlinear_matmul(
    a: Any, a_scale: Any, a_zero: Any, b: Any, b_scale: Any, b_zero: Any, y_scale: Any, y_zero: Any
) -> Any:
    """The product of two quantised matrices, quantised."""
    product = f.matmul(_subtract_zero(a, a_zero, -2), _subtract_zero(b, b_zero, -1))
    return _round_into(product * (a_scale * b_scale / y_scale), y_zero, dtype_of(y_zero))


@operator("ConvInteger", settings=(2, 3))
def conv_integer(
    x: Any,
    w: Any,
    x_zero: Any = None,
    w_zero: Any = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints | None = None,
    group: int = 1,
    kernel_shape: Ints | None = None,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Any:
    """A convolution of small integers."""
    y = conv(
        _subtract_zero(x, x_zero),
        _subtract_zero(w, w_zero, 0),
        auto_pad=auto_pad,
        dilations=dilations,
        group=group,
        kernel_shape=kernel_shape,
        pads=pads,
        strides=strides,
    )
    return f.astype(y, "int32")


@operator("QLinearConv", settings=(1, 2, 4, 5, 6, 7))
def qlinear_conv(
    x: Any,
    x_scale: Any,
    x_zero: Any,
    w: Any,
    w_scale: Any,
    w_zero: Any,
    y_scale: Any,
    y_zero: Any,
    b: Any = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints | None = None,
    group: int = 1,
    kernel_shape: Ints | None = None,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Any:
    """A convolution of quantised numbers, quantised."""
    y = conv(
        _subtract_zero(x, x_zero),
        _subtract_zero(w, w_zero, 0),
        None if b is None else f.astype(b, "float64"),
        auto_pad=auto_pad,
        dilations=dilations,
        group=group,
        kernel_shape=kernel_shape,
        pads=pads,
        strides=strides,
    )
    scale = x_scale * w_scale / y_scale
    scale = f.reshape(scale, (-1, *[1] * (rank(y) - 2))) if rank(scale) == 1 else scale
    return _round_into(y * scale, y_zero, dtype_of(y_zero))
