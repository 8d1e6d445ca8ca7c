"""The functions of the table, by family: importing this fills it."""

from clearprop.interop.onnx.operators import (
    elementwise,
    indexing,
    linear,
    logic,
    reductions,
    scattering,
    shapes,
    variadic,
)

__all__ = [
    "elementwise",
    "indexing",
    "linear",
    "logic",
    "reductions",
    "scattering",
    "shapes",
    "variadic",
]
