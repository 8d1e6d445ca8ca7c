"""Products of matrices, and determinants."""

from __future__ import annotations

from typing import Any

from clearprop.arrays import functions as f
from clearprop.arrays.tensor import asarray
from clearprop.interop.onnx.graph_values import checked_shape, rank, require_bounded_broadcast, sizes
from clearprop.interop.onnx.operator_table import operator


@operator("MatMul")
def matmul(a: Any, b: Any) -> Any:
    """Y = A @ B, over the last two axes."""
    require_bounded_broadcast(
        [asarray(a)[..., :1], asarray(b)[..., :1, :]] if min(rank(a), rank(b)) > 1 else [], "MatMul"
    )
    return f.matmul(a, b)


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
    equation = equation.replace(" ", "")
    letters, _, result = equation.partition("->")
    named = {
        c: n for part, x in zip(letters.split(","), operands, strict=True) for c, n in zip(part, sizes(x), strict=False)
    }
    checked_shape([named.get(c, 1) for c in result], "Einsum")
    return f.einsum(equation, *operands)


@operator("Det")
def det(x: Any) -> Any:
    """The determinants of the last two axes."""
    return f.linalg.det(x)
