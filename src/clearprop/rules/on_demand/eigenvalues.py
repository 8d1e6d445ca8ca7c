"""Eigenvalues of matrices that need not be symmetric: they are complex, and LAPACK computes them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clearprop.primitives import HELPERS, primitive
from clearprop.program.types import COMPLEX64, DType, Type, Value
from clearprop.rules.linear import matmul_
from clearprop.rules.on_demand.matrices import (
    diagonal_entries,
    lapack_refusals,
    real_result,
    require_square,
    solve_,
)
from clearprop.rules.structural import expand_dims, matrix_transpose


def _complex_result(x: Type) -> DType:
    return np.promote_types(real_result(x), COMPLEX64)


def _eigvals(x: NDArray[Any]) -> NDArray[Any]:
    """The eigenvalues, complex even where all of them are real."""
    found = np.linalg.eigvals(x)
    return found.astype(np.promote_types(found.dtype, np.complex64))


def _eigenvectors(x: NDArray[Any]) -> NDArray[Any]:
    """The eigenvectors in the order of the eigenvalues, likewise."""
    found = np.linalg.eig(x)[1]
    return found.astype(np.promote_types(found.dtype, np.complex64))


HELPERS.update(eigvals=_eigvals, eigenvectors=_eigenvectors)


@primitive(
    "general",
    on_complex="value",
    numpy="eigenvectors({x})",
    eager=lapack_refusals(_eigenvectors),
    tex=r"V({x})",
    shape=require_square,
    dtype=_complex_result,
    public=False,
)
def general_eigenvectors(x: Value, /) -> Any:
    """Eigenvectors of length 1 as columns; their phase is LAPACK's choice, so that they have no derivative."""


def _eigenvalues_pullback(g: Value, x: Value) -> Any:
    """V⁻ᵀ·diag(g)·Vᵀ (Giles 2008)."""
    columns = matrix_transpose(general_eigenvectors(x))
    return solve_(columns, expand_dims(g, -1) * columns)


def _eigenvalues_tangent(x_dot: Value, x: Value) -> Any:
    """The diagonal of V⁻¹·ẋ·V."""
    v = general_eigenvectors(x)
    return diagonal_entries(solve_(v, matmul_(x_dot + 0j, v)))


@primitive(
    "general",
    on_complex="differentiated",
    numpy="eigvals({x})",
    eager=lapack_refusals(_eigvals),
    tex=r"\lambda({x})",
    shape=lambda x: require_square(x)[:-1],
    dtype=_complex_result,
    vjp_x=_eigenvalues_pullback,
    jvp=_eigenvalues_tangent,
)
def eigvals(x: Value, /) -> Any:
    """The eigenvalues of square matrices, complex and in no order; equal ones have no derivative.

    x  matrices (…, n, n)

    >>> import clearprop as cl
    >>> cl.linalg.eigvals(cl.tensor([[0.0, 1.0], [-1.0, 0.0]]))
    Tensor([0.0+1.0j, 0.0-1.0j], dtype=complex128)
    """


class EigResult(NamedTuple):
    """Eigenvalues in no order, and the eigenvectors of length 1 as columns; both complex."""

    eigenvalues: Any
    eigenvectors: Any


def eig(x: Value, /) -> EigResult:
    """The eigenvalues of square matrices, and the eigenvectors as columns; only the eigenvalues have a derivative.

    x  matrices (…, n, n)

    >>> import clearprop as cl
    >>> cl.linalg.eig(cl.tensor([[0.0, 1.0], [-1.0, 0.0]])).eigenvalues
    Tensor([0.0+1.0j, 0.0-1.0j], dtype=complex128)
    """
    return EigResult(eigvals(x), general_eigenvectors(x))
