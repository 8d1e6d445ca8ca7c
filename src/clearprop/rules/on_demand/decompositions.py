"""Factors of matrices, and solutions with triangular ones; batched over leading axes.

LAPACK computes them; none has a native form.  Derivatives: QR and LU after Walter & Lehmann (2010), "Algorithmic
differentiation of linear algebra functions"; where several factors would do (columns beyond the range, equal
eigenvalues) it is that of the choice which does not turn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.primitives import HELPERS, primitive
from clearprop.program.types import Value, type_of
from clearprop.program.values import raw
from clearprop.rules.indexing import take_along_axis
from clearprop.rules.joining import in_one_dtype
from clearprop.rules.linear import matmul_
from clearprop.rules.on_demand.creation import tril, triu
from clearprop.rules.on_demand.matrices import lapack_refusals, require_matrices, require_square, shorter_side
from clearprop.rules.on_demand.sorting import argsort
from clearprop.rules.structural import expand_dims, matrix_transpose, squeeze


def _t(x: Value) -> Any:
    return matrix_transpose(x)


def _below(x: Value) -> Any:
    """What stands strictly below the diagonal."""
    return tril(x, k=-1)


# --------------------------------------------------------------------------------------------------- QR of tall ones
def _times_inverse(c: Value, r: Value) -> Any:
    """c r⁻¹, r upper triangular."""
    return _t(solve_triangular_(_t(r), _t(c), lower=True))


def _back_through(c: Value, r: Value) -> Any:
    """c r⁻ᵀ, r upper triangular: from the cotangent of x r⁻¹ to that of x."""
    return _t(solve_triangular_(r, _t(c), lower=False))


def _turn(m: Value) -> Any:
    """The antisymmetric matrix with the strict lower triangle of m: how the columns turn among themselves."""
    return _below(m) - _t(_below(m))


def _q_tangent(x_dot: Value, x: Value, q: Value) -> Any:
    c = _times_inverse(x_dot, triangular_factor(x))
    m = matmul_(_t(q), c)
    return matmul_(q, _turn(m)) + c - matmul_(q, m)


def _q_pullback(g: Value, x: Value, q: Value) -> Any:
    a = matmul_(_t(q), g)
    c = matmul_(q, _below(a - _t(a))) + g - matmul_(q, a)
    return _back_through(c, triangular_factor(x))


def _r_tangent(x_dot: Value, x: Value, r: Value) -> Any:
    m = matmul_(_t(orthonormal_factor(x)), _times_inverse(x_dot, r))
    return matmul_(m - _turn(m), r)


def _r_pullback(g: Value, x: Value, r: Value) -> Any:
    b = matmul_(g, _t(r))
    return _back_through(matmul_(orthonormal_factor(x), b - _below(b - _t(b))), r)


@primitive(
    "general",
    on_complex="value",
    numpy="np.linalg.qr({x})[0]",
    tex="Q({x})",
    shape=lambda x: (*require_matrices(x)[:-1], shorter_side(x.shape)),
    dtype="float",
    public=False,
    vjp_x=lambda g, x, y: _q_pullback(g, x, y),
    jvp=lambda x_dot, x, y: _q_tangent(x_dot, x, y),
)
def orthonormal_factor(x: Value, /) -> Any:
    """Q of x = Q R, with orthonormal columns; differentiated where x is tall, of full rank."""


@primitive(
    "general",
    on_complex="value",
    numpy='np.linalg.qr({x}, mode="r")',
    tex="R({x})",
    shape=lambda x: (*require_matrices(x)[:-2], shorter_side(x.shape), x.shape[-1]),
    dtype="float",
    public=False,
    vjp_x=lambda g, x, y: _r_pullback(g, x, y),
    jvp=lambda x_dot, x, y: _r_tangent(x_dot, x, y),
)
def triangular_factor(x: Value, /) -> Any:
    """R of x = Q R, upper triangular; differentiated where x is tall, of full rank."""


@primitive(
    "general",
    on_complex="value",
    numpy='np.linalg.qr({x}, mode="complete")[0]',
    tex="Q({x})",
    shape=lambda x: (*require_matrices(x)[:-1], x.shape[-2]),
    dtype="float",
    public=False,
)
def complete_factor(x: Value, /) -> Any:
    """Q of x = Q R as a square matrix; columns beyond those of x are any that complete it, so it has no derivative."""


# ----------------------------------------------------------------------------------------------------------------- LU
def _pivot_places(x: NDArray[Any]) -> NDArray[Any]:
    """Where each row of x stands once Gaussian elimination has taken the largest pivot first."""
    from scipy import linalg

    return np.asarray(linalg.lu(x, p_indices=True)[0], np.int64)


def _packed_lu(x: NDArray[Any]) -> NDArray[Any]:
    """The factors of the rows in that order: L below the diagonal, without its ones, and U."""
    from scipy import linalg

    _, lower, upper = linalg.lu(x, p_indices=True)
    return np.asarray(np.tril(lower, -1) + upper)


HELPERS.update(pivot_places=_pivot_places, packed_lu=_packed_lu)


def _rows(x: Value, places: Value) -> Any:
    return take_along_axis(x, expand_dims(places, -1), axis=-2)


def _lu_tangent(x_dot: Value, x: Value, y: Value) -> Any:
    rows = _rows(x_dot, argsort(pivot_places(x)))
    m = _times_inverse(solve_triangular_(y, rows, lower=True, unit=True), triu(y))
    return _below(m) + matmul_(_below(y), _below(m)) + matmul_(triu(m), triu(y))


def _lu_pullback(g: Value, x: Value, y: Value) -> Any:
    m = _below(g + matmul_(_t(_below(y)), g)) + triu(matmul_(g, _t(triu(y))))
    rows = _back_through(solve_triangular_(_t(y), m, lower=False, unit=True), triu(y))
    return _rows(rows, pivot_places(x))


@primitive(
    "general",
    on_complex="value",
    numpy="pivot_places({x})",
    tex=r"\pi({x})",
    shape=lambda x: require_square(x)[:-1],
    dtype="int64",
    public=False,
)
def pivot_places(x: Value, /) -> Any:
    """The place of each row of square matrices in the order in which Gaussian elimination takes them."""


@primitive(
    "general",
    on_complex="differentiated",
    numpy="packed_lu({x})",
    tex="LU({x})",
    shape=require_square,
    dtype="float",
    public=False,
    vjp_x=lambda g, x, y: _lu_pullback(g, x, y),
    jvp=lambda x_dot, x, y: _lu_tangent(x_dot, x, y),
)
def packed_lu(x: Value, /) -> Any:
    """L and U of square matrices in one: L below the diagonal, without its ones, and U."""


# -------------------------------------------------------------------------------------------------- triangular systems
def _solve_triangular(a: NDArray[Any], b: NDArray[Any], lower: bool, unit: bool) -> NDArray[Any]:
    from scipy import linalg

    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    dtype = np.result_type(a, b, np.float32 if a.dtype == b.dtype == np.float32 else np.float64)
    a, b = (np.broadcast_to(v.astype(dtype, copy=False), (*lead, *v.shape[-2:])) for v in (a, b))
    out = np.empty(b.shape, dtype)
    for at in np.ndindex(*lead):
        if b[at].size:
            out[at] = linalg.solve_triangular(a[at], b[at], lower=lower, unit_diagonal=unit, check_finite=False)
    return out


HELPERS["solve_triangular"] = _solve_triangular


def _triangle(x: Value, lower: bool, unit: bool) -> Any:
    return (tril(x, k=-1) if unit else tril(x)) if lower else (triu(x, k=1) if unit else triu(x))


def _triangular_tangent(a_dot: Value, b_dot: Value, a: Value, y: Value, lower: bool, unit: bool) -> Any:
    return solve_triangular_(a, b_dot - matmul_(_triangle(a_dot, lower, unit), y), lower=lower, unit=unit)


@primitive(
    "general",
    on_complex="differentiated",
    numpy="solve_triangular({a}, {b}, {lower}, {unit})",
    eager=lapack_refusals(_solve_triangular),
    tex="{a}^{{-1}} {b}",
    signature="(n,n),(n,k)->(n,k)",
    verb="solve",
    dtype="float",
    vjp_a=lambda g, a, y, lower, unit: (
        -_triangle(matmul_(solve_triangular_(_t(a), g, lower=not lower, unit=unit), _t(y)), lower, unit)
    ),
    vjp_b=lambda g, a, lower, unit: solve_triangular_(_t(a), g, lower=not lower, unit=unit),
    jvp=lambda a_dot, b_dot, a, y, lower, unit: _triangular_tangent(a_dot, b_dot, a, y, lower, unit),
)
def solve_triangular_(a: Value, b: Value, /, *, lower: bool = False, unit: bool = False) -> Any:
    """The x for which a @ x = b, a triangular: the other triangle is not read, and has derivative 0.

    a      triangular matrices (…, n, n)
    b      right sides: matrices (…, n, k), or one vector (n,)
    lower  whether the lower triangle is meant
    unit   whether the diagonal counts as ones, and is not read

    >>> import clearprop as cl
    >>> cl.linalg.solve_triangular(cl.tensor([[2.0, 1.0], [0.0, 4.0]]), cl.tensor([4.0, 8.0]))
    Tensor([1.0, 2.0])
    """


@solve_triangular_.front
def solve_triangular(a: Value, b: Value, /, *, lower: bool = False, unit: bool = False) -> Any:  # noqa: D103 - the declaration's docstring
    a, b = in_one_dtype("solve_triangular", (a, b))
    if type_of(raw(b)).ndim == 1:
        return squeeze(solve_triangular_(a, expand_dims(b, -1), lower=lower, unit=unit), axis=-1)
    return solve_triangular_(a, b, lower=lower, unit=unit)
