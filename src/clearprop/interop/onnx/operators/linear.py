"""Products of matrices, and determinants."""

from __future__ import annotations

from typing import Any

from clearprop.arrays import functions as f
from clearprop.interop.onnx.table import enter_all, operator

enter_all({"MatMul": f.matmul})


@operator("Gemm")
def gemm(
    a: Any, b: Any, c: Any = None, *, alpha: float = 1.0, beta: float = 1.0, transA: int = 0, transB: int = 0
) -> Any:
    """Y = alpha·A @ B + beta·C, each of A and B transposed if that is asked for."""
    left, right = (f.permute_dims(v, (1, 0)) if turn else v for v, turn in ((a, transA), (b, transB)))
    product = f.matmul(left, right)
    product = product if alpha == 1 else f.multiply(product, alpha)
    if c is None or beta == 0:
        return product
    return f.add(product, c if beta == 1 else f.multiply(c, beta))


@operator("Einsum")
def einsum(*operands: Any, equation: str) -> Any:
    """Einstein's sum."""
    return f.einsum(equation.replace(" ", ""), *operands)


@operator("Det")
def det(x: Any) -> Any:
    """The determinants of the last two axes."""
    return f.linalg.det(x)
