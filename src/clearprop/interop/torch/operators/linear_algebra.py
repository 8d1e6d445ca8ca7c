"""Operators of ATen of linear algebra: equations, factors, distances.

PyTorch's forms with `_ex` give what went wrong as a number besides; here it is an error, and the number is None.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.arrays import functions
from clearprop.interop.torch.operators.operator_table import operator


@operator("_linalg_solve_ex")
def solve(A: Any, B: Any, *, left: bool = True, check_errors: bool = False) -> Any:
    """(X, –, –, –) with A·X = B, or X·A = B; B is a matrix, or a vector for every A."""
    if len(B.shape) == 1 or tuple(B.shape) == tuple(A.shape[:-1]):
        return functions.squeeze(functions.linalg.solve(A if left else A.mT, B[..., None]), axis=-1), None, None, None
    return functions.linalg.solve(A, B) if left else functions.linalg.solve(A.mT, B.mT).mT, None, None, None


@operator("linalg_inv_ex")
def inverse(A: Any, *, check_errors: bool = False) -> Any:
    """(A⁻¹, –)."""
    return functions.linalg.inv(A), None


@operator("_linalg_det")
def det(A: Any) -> Any:
    """(det A, –, –)."""
    return functions.linalg.det(A), None, None


@operator("_linalg_slogdet")
def slogdet(A: Any) -> Any:
    """(sign of det A, log |det A|, –, –)."""
    return (*functions.linalg.slogdet(A), None, None)


@operator("linalg_cholesky_ex")
def cholesky(self: Any, *, upper: bool = False, check_errors: bool = False) -> Any:
    """(L, –) with L·Lᵀ = A; `upper`: Lᵀ."""
    return functions.linalg.cholesky(self, upper=upper), None


@operator("cholesky_solve")
def cholesky_solve(self: Any, input2: Any, upper: bool = False) -> Any:
    """X with (L·Lᵀ)·X = B, where L is a Cholesky factor."""
    return functions.linalg.cholesky_solve(input2, self, upper=upper)


@operator("linalg_solve_triangular")
def solve_triangular(self: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Any:
    """X with A·X = B, or X·A = B, for a triangular A."""
    if left:
        return functions.linalg.solve_triangular(self, B, lower=not upper, unit=unitriangular)
    return functions.linalg.solve_triangular(self.mT, B.mT, lower=upper, unit=unitriangular).mT


@operator("_linalg_svd", driver=(None,))
def svd(A: Any, full_matrices: bool = False, compute_uv: bool = True, *, driver: str | None = None) -> Any:
    """(U, S, Vᵀ) with A = U·diag(S)·Vᵀ; S alone where the others are not asked for."""
    return (
        functions.linalg.svd(A, full_matrices=full_matrices)
        if compute_uv
        else (None, functions.linalg.svdvals(A), None)
    )


@operator("_linalg_eigh")
def eigh(A: Any, UPLO: str = "L", compute_v: bool = True) -> Any:
    """(λ, V) with A·V = V·diag(λ) for a symmetric A, of which one triangle is read."""
    A = A if UPLO == "L" else A.mT
    return functions.linalg.eigh(A) if compute_v else (functions.linalg.eigvalsh(A), None)


@operator("linalg_qr", mode=("reduced", "complete"))
def qr(A: Any, mode: str = "reduced") -> Any:
    """(Q, R) with A = Q·R."""
    return functions.linalg.qr(A, mode=mode)


@operator("linalg_pinv.atol_rtol_tensor", "linalg_pinv.atol_rtol_float", atol=(None,), rtol=(None,), hermitian=(False,))
def pinv(self: Any, *, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> Any:
    """The pseudo-inverse (Moore 1920, Penrose 1955)."""
    return functions.linalg.pinv(self)


@operator("linalg_matrix_exp")
def matrix_exp(self: Any) -> Any:
    """Σ Aⁿ/n!."""
    return functions.linalg.expm(self)


# ---------------------------------------------------------------------------------------------------------- distances
@operator("_cdist_forward")
def cdist(x1: Any, x2: Any, p: float, compute_mode: int | None = None) -> Any:
    """The p-norm of the difference of every row of x1 and every row of x2."""
    return _length(x1[..., :, None, :] - x2[..., None, :, :], p)


@operator("_pdist_forward")
def pdist(self: Any, p: float = 2.0) -> Any:
    """The p-norm of the difference of every two rows, each pair once."""
    first, second = np.triu_indices(int(self.shape[0]), 1)
    return _length(functions.take(self, first, axis=0) - functions.take(self, second, axis=0), p)


def _length(difference: Any, p: float) -> Any:
    if p == 2:
        return functions.norm(difference, axis=-1)
    return functions.linalg.vector_norm(difference, axis=-1, ord=p)


@operator("dist")
def dist(self: Any, other: Any, p: float = 2) -> Any:
    """The p-norm of the difference of two tensors."""
    return _length(functions.reshape(self - other, (-1,)), p)


# ----------------------------------------------------------------------------------------------------------- products
@operator("_trilinear")
def trilinear(
    i1: Any,
    i2: Any,
    i3: Any,
    expand1: Sequence[int],
    expand2: Sequence[int],
    expand3: Sequence[int],
    sumdim: Sequence[int],
    unroll_dim: int = 1,
) -> Any:
    """The product of three tensors, each with new axes of size 1, summed over axes: what `Bilinear` is made of."""
    rank = len(i1.shape) + len(expand1)
    letters = "abcdefghijklmnop"[:rank]
    parts = ["".join(c for n, c in enumerate(letters) if n not in gone) for gone in (expand1, expand2, expand3)]
    left = "".join(c for n, c in enumerate(letters) if n not in sumdim)
    return functions.einsum(f"{','.join(parts)}->{left}", i1, i2, i3)


@operator("addbmm")
def addbmm(self: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · self + alpha · Σ of the products of a batch."""
    return beta * self + alpha * functions.sum(functions.matmul(batch1, batch2), axis=0)


@operator("diagonal")
def diagonal(self: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The diagonal over two axes, along a new last axis."""
    return functions.linalg.diagonal(functions.moveaxis(self, (dim1, dim2), (-2, -1)), offset=offset)
