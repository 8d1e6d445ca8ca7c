"""Arithmetic of two operands and of any number of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from clearprop.arrays import functions as f
from clearprop.interop.onnx.graph_values import dtype_of
from clearprop.interop.onnx.operator_table import enter_all, operator

enter_all({"Add": f.add, "Mul": f.multiply, "Sub": f.subtract})


@operator("Div")
def div(a: Any, b: Any) -> Any:
    """Y = a / b; of integers the quotient without its fraction, towards 0."""
    if dtype_of(a).kind in "fc":
        return f.divide(a, b)
    return f.floor_divide(f.subtract(a, f.fmod(a, b)), b)


@operator("Mod")
def mod(a: Any, b: Any, *, fmod: int = 0) -> Any:
    """The remainder of a / b with the sign of b, with fmod with the sign of a."""
    return f.fmod(a, b) if fmod else f.remainder(a, b)


@operator("Pow")
def pow(a: Any, b: Any) -> Any:
    """Y = aᵇ in the dtype of a."""
    kind, other = dtype_of(a), dtype_of(b)
    if kind == other:
        return f.pow(a, b)
    if kind.kind in "iu" and other.kind == "f":
        return f.astype(f.pow(f.astype(a, "float64"), f.astype(b, "float64")), kind)
    return f.pow(a, f.astype(b, kind))


def _fold(combine: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def over(*operands: Any) -> Any:
        return functools.reduce(combine, operands)

    return over


operator("Sum")(_fold(f.add))
operator("Max")(_fold(f.maximum))
operator("Min")(_fold(f.minimum))


@operator("Mean")
def mean(*operands: Any) -> Any:
    """The mean of the operands, number by number."""
    return functools.reduce(f.add, operands) / len(operands)
