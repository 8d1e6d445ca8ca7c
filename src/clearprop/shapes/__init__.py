"""Shapes: sizes, broadcasting, and gufunc signatures, with messages that name the axis."""

from clearprop.shapes.broadcasting import Remedy, Signature, broadcast, normalise_axes, normalise_axis
from clearprop.shapes.sizes import (
    Dim,
    Scope,
    Shape,
    Size,
    Symbol,
    dim_key,
    divide,
    evaluate_size,
    hint,
    is_one,
    lone_symbol,
    one_or_size,
    same,
    same_shape,
    size_of,
)

__all__ = [
    "Dim",
    "Remedy",
    "Scope",
    "Shape",
    "Signature",
    "Size",
    "Symbol",
    "broadcast",
    "dim_key",
    "divide",
    "evaluate_size",
    "hint",
    "is_one",
    "lone_symbol",
    "normalise_axes",
    "normalise_axis",
    "one_or_size",
    "same",
    "same_shape",
    "size_of",
]
