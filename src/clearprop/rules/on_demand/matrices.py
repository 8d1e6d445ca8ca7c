"""Primitives of linear algebra: inverses, solutions, decompositions, the exponential; batched over leading axes.

NumPy (LAPACK) and SciPy compute them.  None but those made of products has a native form.  Derivatives after Giles
(2008), "Collected matrix derivative results".  Vectors that belong to equal eigenvalues or singular
values are any that span their space, so they have no derivative: it is NaN there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.errors import ArgumentError, GradientError, ShapeError, user_line
from clearprop.primitives import HELPERS, primitive
from clearprop.program.types import FLOAT64, DType, Type, Value, is_floating, real_dtype, type_of
from clearprop.program.values import raw
from clearprop.rules.elementwise import abs, conjugate, equal, less_equal, where
from clearprop.rules.indexing import getitem
from clearprop.rules.joining import concat, in_one_dtype
from clearprop.rules.linear import matmul_
from clearprop.rules.on_demand.creation import eye, tril
from clearprop.rules.reductions import max, sum
from clearprop.rules.structural import expand_dims, matrix_transpose, squeeze
from clearprop.shapes import Dim, Shape, same


def lapack_refusals(spelled: Callable[..., Any]) -> Callable[..., Any]:
    """What runs: LAPACK's refusal of a matrix is told in our four parts."""

    def run(*values: NDArray[Any], **params: Any) -> Any:
        try:
            return spelled(*values, **params)
        except np.linalg.LinAlgError as error:
            raise ArgumentError(
                f"a matrix has no such result: {error}",
                expected="regular matrices, and for cholesky symmetric positive definite ones",
                got=" and ".join(f"{v.dtype.name}{list(v.shape)}" for v in values),
                where=user_line(),
                try_="cl.linalg.pinv(x) in place of an inverse; a small multiple of the identity added",
            ) from None

    return run


def require_square(x: Type) -> Shape:
    """The shape of square matrices; ShapeError for what is none."""
    if x.ndim < 2 or not same(x.shape[-1], x.shape[-2]):
        raise ShapeError("this needs square matrices", expected="shape (…, n, n)", got=f"shape {x.shape}")
    return x.shape


def _vector_of(x: Type) -> Shape:
    return require_square(x)[:-1]


def _t(x: Value) -> Any:
    return matrix_transpose(x)


def one_entry(g: Value) -> Any:
    """One number for each matrix, as a matrix of one entry."""
    return expand_dims(expand_dims(g, -1), -1)


def diagonal_entries(x: Value) -> Any:
    """The diagonals of square matrices."""
    return sum(x * eye(type_of(raw(x)).shape[-1], dtype=type_of(raw(x)).dtype), axis=-1)


def _half_lower(x: Value) -> Any:
    """The lower triangle with half of the diagonal."""
    lower = tril(x)
    return lower - 0.5 * lower * eye(type_of(raw(x)).shape[-1], dtype=type_of(raw(x)).dtype)


def adjoint(x: Value) -> Any:
    """The conjugate transpose of matrices; of real ones the transpose."""
    return conjugate(_t(x))


def _symmetric(x: Value) -> Any:
    return 0.5 * (x + adjoint(x))


def real_result(x: Type) -> DType:
    """The dtype of real numbers that are computed from matrices."""
    return real_dtype(x.dtype) if is_floating(x.dtype) else FLOAT64


@primitive(
    "general",
    on_complex="differentiated",
    numpy="np.linalg.inv({x})",
    eager=lapack_refusals(np.linalg.inv),
    tex="{x}^{{-1}}",
    shape=require_square,
    dtype="float",
    vjp_x=lambda g, y: -matmul_(matmul_(_t(y), g), _t(y)),
    jvp=lambda x_dot, y: -matmul_(matmul_(y, x_dot), y),
)
def inv(x: Value, /) -> Any:
    """The inverse of matrices.

    x  regular matrices (…, n, n)

    >>> import clearprop as cl
    >>> cl.linalg.inv(cl.tensor([[2.0, 0.0], [0.0, 4.0]]))
    Tensor([[0.5, 0.0],
            [0.0, 0.25]])
    """


@primitive(
    "general",
    on_complex="differentiated",
    numpy="np.linalg.solve({a}, {b})",
    eager=lapack_refusals(np.linalg.solve),
    tex="{a}^{{-1}} {b}",
    signature="(n,n),(n,k)->(n,k)",
    verb="solve",
    dtype="float",
    vjp_a=lambda g, a, y: -matmul_(solve_(_t(a), g), _t(y)),
    vjp_b=lambda g, a: solve_(_t(a), g),
    jvp=lambda a_dot, b_dot, a, y: solve_(a, b_dot - matmul_(a_dot, y)),
)
def solve_(a: Value, b: Value, /) -> Any:
    """The x for which a @ x = b.

    a  regular matrices (…, n, n)
    b  right sides: matrices (…, n, k), or one vector (n,)

    >>> import clearprop as cl
    >>> cl.linalg.solve(cl.tensor([[2.0, 0.0], [0.0, 4.0]]), cl.tensor([2.0, 2.0]))
    Tensor([1.0, 0.5])
    """


@solve_.front
def solve(a: Value, b: Value, /) -> Any:  # noqa: D103 - the declaration's docstring
    a, b = in_one_dtype("solve", (a, b))
    if type_of(raw(b)).ndim == 1:
        return squeeze(solve_(a, expand_dims(b, -1)), axis=-1)
    return solve_(a, b)


def _cholesky_pullback(g: Value, y: Value) -> Any:
    inner = _half_lower(matmul_(_t(y), g))
    return _symmetric(_t(solve_(_t(y), _t(solve_(_t(y), inner)))))


def _cholesky_tangent(x_dot: Value, y: Value) -> Any:
    return matmul_(y, _half_lower(_t(solve_(y, _t(solve_(y, _symmetric(x_dot)))))))


@primitive(
    "general",
    on_complex="value",
    numpy="np.linalg.cholesky({x})",
    eager=lapack_refusals(np.linalg.cholesky),
    tex=r"\operatorname{{chol}} {x}",
    shape=require_square,
    dtype="float",
    vjp_x=lambda g, y: _cholesky_pullback(g, y),
    jvp=lambda x_dot, y: _cholesky_tangent(x_dot, y),
)
def cholesky_(x: Value, /) -> Any:
    """The lower triangular L with L @ L.mT = x, of which the lower triangle is read; of complex x, L̅ᵀ for L.mT.

    x      symmetric positive definite matrices (…, n, n), or complex Hermitian ones, of which it has no derivative
    upper  whether the upper triangular L.mT is wanted

    >>> import clearprop as cl
    >>> cl.linalg.cholesky(cl.tensor([[4.0, 2.0], [2.0, 2.0]]))
    Tensor([[2.0, 0.0],
            [1.0, 1.0]])
    """


@cholesky_.front
def cholesky(x: Value, /, *, upper: bool = False) -> Any:  # noqa: D103 - the declaration's docstring
    return adjoint(cholesky_(x)) if upper else cholesky_(x)


def _pairs(w: Value) -> tuple[Any, Any, Any]:
    """Of each pair of numbers in order of size: the later less the earlier, their sum, and whether they are equal.

    They count as equal if rounding alone may have parted them: within n·eps of the largest.
    """
    earlier, later = expand_dims(w, -1), expand_dims(w, -2)
    t = type_of(raw(w))
    rounding = t.shape[-1] * float(np.finfo(t.dtype if t.dtype.kind == "f" else np.float64).eps)
    distance = later - earlier
    return distance, later + earlier, less_equal(abs(distance), one_entry(rounding * max(abs(w), axis=-1)))


def _gaps(w: Value, *, squares: bool = False) -> Any:
    """1/(w_j − w_i), or 1/(w_j² − w_i²), and 0 on the diagonal; NaN where the two are equal.

    Vectors that belong to equal numbers are any that span their space: they have no derivative, and rounding would
    only make up a large one.
    """
    distance, total, equal_ones = _pairs(w)
    gap = distance * total if squares else distance
    on_diagonal = equal(eye(type_of(raw(w)).shape[-1]), 1)
    return where(on_diagonal, 0.0, where(equal_ones, math.nan, 1.0 / where(equal_ones, 1.0, gap)))


@primitive(
    "general",
    on_complex="differentiated",
    numpy="np.linalg.eigvalsh({x})",
    eager=lapack_refusals(np.linalg.eigvalsh),
    tex=r"\lambda({x})",
    shape=_vector_of,
    dtype=real_result,
    vjp_x=lambda g, x: matmul_(conjugate(eigenvectors(x)) * expand_dims(g, -2), _t(eigenvectors(x))),
    jvp=lambda x_dot, x: diagonal_entries(
        matmul_(matmul_(adjoint(eigenvectors(x)), _symmetric(x_dot)), eigenvectors(x))
    ),
)
def eigvalsh(x: Value, /) -> Any:
    """The eigenvalues of symmetric matrices, in ascending order.

    x  symmetric matrices (…, n, n), or complex Hermitian ones

    >>> import clearprop as cl
    >>> cl.linalg.eigvalsh(cl.tensor([[2.0, 0.0], [0.0, -1.0]]))
    Tensor([-1.0, 2.0])
    """


def _eigenvectors_pullback(g: Value, x: Value, y: Value) -> Any:
    return _symmetric(matmul_(matmul_(y, _gaps(eigvalsh(x)) * matmul_(_t(y), g)), _t(y)))


@primitive(
    "general",
    on_complex="value",
    numpy="np.linalg.eigh({x})[1]",
    eager=lapack_refusals(lambda x: np.linalg.eigh(x)[1]),
    tex=r"V({x})",
    shape=require_square,
    dtype="float",
    public=False,
    vjp_x=lambda g, x, y: _eigenvectors_pullback(g, x, y),
    jvp=lambda x_dot, x, y: matmul_(y, _gaps(eigvalsh(x)) * matmul_(matmul_(_t(y), _symmetric(x_dot)), y)),
)
def eigenvectors(x: Value, /) -> Any:
    """The eigenvectors of symmetric matrices as columns, in the order of their eigenvalues."""


def shorter_side(shape: Shape) -> Any:
    """The smaller of the two sizes of matrices."""
    n, m = shape[-2:]
    return n if int(n) <= int(m) else m


def require_matrices(x: Type) -> Shape:
    """The shape of matrices; ShapeError for what has fewer than two axes."""
    if x.ndim < 2:
        raise ShapeError("this needs matrices", expected="at least two axes", got=f"shape {x.shape}")
    return x.shape


def _singular_shape(x: Type) -> Shape:
    return (*require_matrices(x)[:-2], shorter_side(x.shape))


@primitive(
    "general",
    on_complex="differentiated",
    numpy="np.linalg.svd({x}, compute_uv=False)",
    eager=lapack_refusals(lambda x: np.linalg.svd(x, compute_uv=False)),
    tex=r"\sigma({x})",
    shape=_singular_shape,
    dtype=real_result,
    vjp_x=lambda g, x: matmul_(
        conjugate(left_vectors(x, whole=False)) * expand_dims(g, -2), conjugate(right_vectors(x, whole=False))
    ),
    jvp=lambda x_dot, x: diagonal_entries(
        matmul_(matmul_(adjoint(left_vectors(x, whole=False)), x_dot), adjoint(right_vectors(x, whole=False)))
    ),
)
def svdvals(x: Value, /) -> Any:
    """The singular values of matrices, in descending order.

    x  matrices (…, n, m)

    >>> import clearprop as cl
    >>> cl.linalg.svdvals(cl.tensor([[3.0, 0.0], [0.0, -4.0]]))
    Tensor([4.0, 3.0])
    """


def _require_determined(whole: bool, n: Dim, m: Dim) -> None:
    if whole and int(n) > int(m):
        raise GradientError(
            "singular vectors beyond the range of a matrix have no derivative: any that complete it would do",
            expected="as many vectors as singular values",
            got=f"{n} vectors, {m} singular values",
            where=user_line(),
            try_="cl.linalg.svd(x, full_matrices=False)",
        )


def _right_columns(x: Value, u: Value, whole: bool) -> Any:
    """The right singular vectors that belong to the left ones u; of the same call, so that signs agree."""
    n, m = type_of(raw(x)).shape[-2:]
    _require_determined(whole, n, m)
    return getitem(_t(right_vectors(x, whole=whole)), (Ellipsis, slice(0, type_of(raw(u)).shape[-1])))


def _left_columns(x: Value, v: Value, whole: bool) -> Any:
    """The left singular vectors that belong to the right ones, the rows of v."""
    n, m = type_of(raw(x)).shape[-2:]
    _require_determined(whole, m, n)
    return getitem(left_vectors(x, whole=whole), (Ellipsis, slice(0, type_of(raw(v)).shape[-2])))


def _vectors_pullback(g: Value, x: Value, u: Value, v: Value, s: Value) -> Any:
    """The cotangent of x = u·diag(s)·vᵀ from that of u (Townsend 2016)."""
    n, m = type_of(raw(x)).shape[-2:]
    inside, columns = matmul_(_t(u), g), expand_dims(s, -2)
    turned = _gaps(s, squares=True) * inside
    total = matmul_(u, (turned + _t(turned)) * columns)
    if int(n) > int(m):  # else the vectors fill the space, and nothing lies outside
        total = total + (g - matmul_(u, inside)) / columns
    return matmul_(total, _t(v))


def _vectors_tangent(x_dot: Value, u: Value, v: Value, s: Value) -> Any:
    n, m = type_of(raw(x_dot)).shape[-2:]
    moved, columns = matmul_(x_dot, v), expand_dims(s, -2)
    inside = matmul_(_t(u), moved)
    total = matmul_(u, _gaps(s, squares=True) * (inside * columns + expand_dims(s, -1) * _t(inside)))
    return total + (moved - matmul_(u, inside)) / columns if int(n) > int(m) else total


@primitive(
    "general",
    on_complex="value",
    numpy="np.linalg.svd({x}, full_matrices={whole})[0]",
    eager=lapack_refusals(lambda x, whole: np.linalg.svd(x, full_matrices=whole)[0]),
    tex="U({x})",
    shape=lambda x, whole: (*require_matrices(x)[:-1], x.shape[-2] if whole else shorter_side(x.shape)),
    dtype="float",
    public=False,
    vjp_x=lambda g, x, y, whole: _vectors_pullback(g, x, y, _right_columns(x, y, whole), svdvals(x)),
    jvp=lambda x_dot, x, y, whole: _vectors_tangent(x_dot, y, _right_columns(x, y, whole), svdvals(x)),
)
def left_vectors(x: Value, /, *, whole: bool) -> Any:
    """The left singular vectors of matrices as columns."""


@primitive(
    "general",
    on_complex="value",
    numpy="np.linalg.svd({x}, full_matrices={whole})[2]",
    eager=lapack_refusals(lambda x, whole: np.linalg.svd(x, full_matrices=whole)[2]),
    tex=r"V^{{\top}}({x})",
    shape=lambda x, whole: (*require_matrices(x)[:-2], x.shape[-1] if whole else shorter_side(x.shape), x.shape[-1]),
    dtype="float",
    public=False,
    vjp_x=lambda g, x, y, whole: _t(_vectors_pullback(_t(g), _t(x), _t(y), _left_columns(x, y, whole), svdvals(x))),
    jvp=lambda x_dot, x, y, whole: _t(_vectors_tangent(_t(x_dot), _t(y), _left_columns(x, y, whole), svdvals(x))),
)
def right_vectors(x: Value, /, *, whole: bool) -> Any:
    """The right singular vectors of matrices as rows."""


def _scipy_expm(x: NDArray[Any]) -> Any:
    from scipy import linalg

    return linalg.expm(x)


HELPERS["scipy_expm"] = _scipy_expm


def _expm_tangent(direction: Value, x: Value) -> Any:
    """The derivative of eˣ in a direction: the upper right block of e^[[x, d], [0, x]] (Najfeld & Havel 1995)."""
    n = type_of(raw(x)).shape[-1]
    lower = concat([0.0 * x, x], axis=-1)
    whole = concat([concat([x, direction], axis=-1), lower], axis=-2)
    return getitem(expm(whole), (Ellipsis, slice(0, n), slice(n, 2 * n)))


@primitive(
    "general",
    on_complex="differentiated",
    numpy="scipy_expm({x})",
    tex="e^{{{x}}}",
    shape=require_square,
    dtype="float",
    vjp_x=lambda g, x: _expm_tangent(g, _t(x)),
    jvp=lambda x_dot, x: _expm_tangent(x_dot, x),
)
def expm(x: Value, /) -> Any:
    """The exponential Σ xᵏ/k! of matrices (Al-Mohy & Higham 2009).

    x  matrices (…, n, n)

    >>> import clearprop as cl
    >>> cl.linalg.expm(cl.tensor([[0.0, 1.0], [0.0, 0.0]]))
    Tensor([[1.0, 1.0],
            [0.0, 1.0]])
    """


def _pinv_tangent(x_dot: Value, x: Value, y: Value) -> Any:
    """−x⁺ẋx⁺ and two terms for what lies outside the ranges (Golub & Pereyra 1973, rank constant)."""
    n, m = type_of(raw(x)).shape[-2:]
    kind = type_of(raw(x)).dtype
    outside, inside = eye(n, dtype=kind) - matmul_(x, y), eye(m, dtype=kind) - matmul_(y, x)
    gram_left, gram_right = matmul_(y, _t(y)), matmul_(_t(y), y)
    first = matmul_(matmul_(gram_left, _t(x_dot)), outside)
    second = matmul_(matmul_(inside, _t(x_dot)), gram_right)
    return first + second - matmul_(matmul_(y, x_dot), y)


def _pinv_pullback(g: Value, x: Value, y: Value) -> Any:
    n, m = type_of(raw(x)).shape[-2:]
    kind = type_of(raw(x)).dtype
    outside, inside = eye(n, dtype=kind) - matmul_(x, y), eye(m, dtype=kind) - matmul_(y, x)
    first = _t(matmul_(matmul_(_t(matmul_(y, _t(y))), g), _t(outside)))
    second = _t(matmul_(matmul_(_t(inside), g), _t(matmul_(_t(y), y))))
    return first + second - matmul_(matmul_(_t(y), g), _t(y))


@primitive(
    "general",
    on_complex="value",
    numpy="np.linalg.pinv({x} / 1, rtol={rtol})",  # NumPy has none of integers
    eager=lapack_refusals(lambda x, rtol: np.linalg.pinv(x / 1, rtol=rtol)),
    tex="{x}^{{+}}",
    shape=lambda x, rtol: (*require_matrices(x)[:-2], x.shape[-1], x.shape[-2]),
    dtype="float",
    vjp_x=lambda g, x, y: _pinv_pullback(g, x, y),
    jvp=lambda x_dot, x, y: _pinv_tangent(x_dot, x, y),
)
def pinv(x: Value, /, *, rtol: float | None = None) -> Any:
    """The pseudo-inverse of matrices (Moore, Penrose); its derivative assumes that the rank does not change.

    x     matrices (…, n, m)
    rtol  singular values below this share of the largest count as 0; None is max(n, m)·eps

    >>> import clearprop as cl
    >>> cl.linalg.pinv(cl.tensor([[2.0], [0.0]]))
    Tensor([[0.5, 0.0]])
    """
