"""Comparisons, truth values, bits, dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.arrays import functions as f
from clearprop.errors import DTypeError
from clearprop.interop.onnx.graph_values import checked_shape, dtype_of, known_numbers, sizes
from clearprop.interop.onnx.operator_table import enter_all, operator
from clearprop.interop.onnx.reading import DTYPES, dtype_name

enter_all(
    {
        "And": f.logical_and,
        "BitwiseAnd": f.bitwise_and,
        "BitwiseNot": f.bitwise_invert,
        "BitwiseOr": f.bitwise_or,
        "BitwiseXor": f.bitwise_xor,
        "Equal": f.equal,
        "Greater": f.greater,
        "GreaterOrEqual": f.greater_equal,
        "IsNaN": f.isnan,
        "Less": f.less,
        "LessOrEqual": f.less_equal,
        "Not": f.logical_not,
        "Or": f.logical_or,
        "Where": f.where,
        "Xor": f.logical_xor,
    }
)


@operator("IsInf")
def isinf(x: Any, *, detect_negative: int = 1, detect_positive: int = 1) -> Any:
    """Where x is infinite, of the signs that are asked for."""
    infinite = f.isinf(x)
    if not detect_negative:
        infinite = f.logical_and(infinite, f.greater(x, 0))
    return infinite if detect_positive else f.logical_and(infinite, f.less(x, 0))


@operator("BitShift")
def bit_shift(x: Any, by: Any, *, direction: str) -> Any:
    """The bits of x moved to the left or right; what is moved out is lost, and a sign fills what was left."""
    width = 8 * dtype_of(x).itemsize
    inside = f.logical_and(f.greater_equal(by, 0), f.less(by, width))
    steps = f.where(inside, by, f.zeros_like(by))
    if direction == "LEFT":
        return f.where(inside, f.bitwise_left_shift(x, steps), f.zeros_like(x))
    sign = f.where(f.less(x, 0), f.bitwise_invert(f.zeros_like(x)), f.zeros_like(x))
    return f.where(inside, f.bitwise_right_shift(x, steps), sign)


def taken_dtype(number: int) -> np.dtype[Any]:
    """The dtype of a number of the format; raises DTypeError for one that is not held."""
    if number not in DTYPES:
        raise DTypeError(
            "the model converts to a dtype that is not held",
            expected=", ".join(DTYPES.values()),
            got=dtype_name(number),
        )
    return np.dtype(DTYPES[number])


@operator("Cast")
def cast(x: Any, *, to: int, saturate: int = 1, round_mode: str = "up") -> Any:
    """The numbers in another dtype; `saturate` and `round_mode` speak of 8-bit floats, which are not held."""
    return f.astype(x, taken_dtype(to))


@operator("CastLike")
def cast_like(x: Any, like: Any, *, saturate: int = 1, round_mode: str = "up") -> Any:
    """The numbers of x in the dtype of `like`."""
    return f.astype(x, dtype_of(like))


@operator("BitCast")
def bit_cast(x: Any, *, to: int) -> Any:
    """The same bits, read as another dtype of the same size; known numbers alone have bits."""
    return known_numbers(x, "BitCast").view(taken_dtype(to))


@operator("Constant")
def constant(
    *,
    value: Any = None,
    value_float: float | None = None,
    value_floats: tuple[float, ...] | None = None,
    value_int: int | None = None,
    value_ints: tuple[int, ...] | None = None,
) -> Any:
    """The array, number or numbers that the node holds."""
    if value is not None:
        return value
    if value_float is not None or value_floats is not None:
        return np.asarray(value_floats if value_float is None else value_float, np.float32)
    return np.asarray(value_ints if value_int is None else value_int, np.int64)


@operator("ConstantOfShape", settings=(0,))
def constant_of_shape(shape: Any, *, value: Any = None) -> Any:
    """An array of this shape, full of one number (0 unless it is given)."""
    number = np.zeros(1, np.float32) if value is None else value
    return np.full(checked_shape(known_numbers(shape, "the shape").tolist(), "ConstantOfShape"), number.reshape(-1)[0])


@operator("EyeLike")
def eye_like(x: Any, *, dtype: int | None = None, k: int = 0) -> Any:
    """Ones on the diagonal k of a matrix of the shape of x."""
    rows, columns = sizes(x)
    return np.eye(rows, columns, k=k, dtype=dtype_of(x) if dtype is None else taken_dtype(dtype))


@operator("Range", settings=(0, 1, 2))
def range_(start: Any, limit: Any, delta: Any) -> Any:
    """Start, start + delta, … before limit."""
    first, end, step = (known_numbers(v, "Range").reshape(()) for v in (start, limit, delta))
    count = max(int(np.ceil((end - first) / step)), 0)
    checked_shape([count], "Range")
    return (first + np.arange(count) * step).astype(first.dtype)
