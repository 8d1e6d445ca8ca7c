"""Linear algebra, `cl.linalg`: what is made of the primitives in `matrices` and of products."""

from __future__ import annotations

import builtins
import itertools
import math
import string
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from clearprop.errors import ArgumentError, ShapeError, user_line
from clearprop.program.types import INT64, Axes, Value, is_complex, type_of
from clearprop.program.values import raw
from clearprop.rules.elementwise import (
    abs,
    as_floating,
    astype,
    equal,
    greater,
    isfinite,
    less,
    logical_and,
    multiply,
    not_equal,
    pow,
    square,
    stop_gradient,
    where,
)
from clearprop.rules.indexing import getitem, take
from clearprop.rules.joining import concat, in_one_dtype
from clearprop.rules.linear import matmul_
from clearprop.rules.on_demand.contractions import einsum
from clearprop.rules.on_demand.creation import eye, tril, triu
from clearprop.rules.on_demand.decompositions import (
    complete_factor,
    orthonormal_factor,
    packed_lu,
    pivot_places,
    solve_triangular,
    triangular_factor,
)
from clearprop.rules.on_demand.determinants import determinant_phase, determinant_sign, logabsdet
from clearprop.rules.on_demand.matrices import (
    adjoint,
    eigenvectors,
    eigvalsh,
    inv,
    left_vectors,
    pinv,
    require_matrices,
    require_square,
    right_vectors,
    shorter_side,
    svdvals,
)
from clearprop.rules.reductions import max, min, norm, reduced_shape, sum
from clearprop.rules.structural import arange_, expand_dims, full_, reshape, squeeze
from clearprop.shapes import normalise_axes


class SlogdetResult(NamedTuple):
    """The sign of a determinant, and the logarithm of its size."""

    sign: Any
    logabsdet: Any


def slogdet(x: Value, /) -> SlogdetResult:
    """The sign of the determinant, and log |det|; of complex matrices det/|det|, which has no derivative here.

    x  matrices (…, n, n)

    >>> import clearprop as cl
    >>> cl.linalg.slogdet(cl.tensor([[1.0, 0.0], [0.0, -1.0]])).sign
    Tensor(-1.0)
    """
    phase = determinant_phase if is_complex(type_of(raw(x)).dtype) else determinant_sign
    return SlogdetResult(phase(x), logabsdet(x))


class EighResult(NamedTuple):
    """Eigenvalues in ascending order, and the eigenvectors as columns."""

    eigenvalues: Any
    eigenvectors: Any


def eigh(x: Value, /) -> EighResult:
    """The eigenvalues of symmetric matrices in ascending order, and the eigenvectors as columns.

    x  symmetric matrices (…, n, n)

    >>> import clearprop as cl
    >>> cl.linalg.eigh(cl.tensor([[2.0, 0.0], [0.0, -1.0]])).eigenvalues
    Tensor([-1.0, 2.0])
    """
    return EighResult(eigvalsh(x), eigenvectors(x))


class QRResult(NamedTuple):
    """Orthonormal columns, and an upper triangular matrix."""

    Q: Any
    R: Any


def qr(x: Value, /, *, mode: str = "reduced") -> QRResult:
    """The factors of x = Q @ R: orthonormal columns, and an upper triangular matrix; differentiated at full rank.

    x     matrices (…, n, m)
    mode  "reduced": Q has min(n, m) columns; "complete": n, of which those beyond the range of x have no derivative

    >>> import clearprop as cl
    >>> cl.linalg.qr(cl.tensor([[3.0, 1.0], [4.0, 2.0]])).R.shape
    (2, 2)
    """
    if mode not in ("reduced", "complete"):
        raise ArgumentError(
            f"qr has no mode {mode!r}", expected='"reduced" or "complete"', got=repr(mode), where=user_line()
        )
    n, m = require_matrices(type_of(raw(x)))[-2:]
    tall = getitem(x, (Ellipsis, slice(0, int(shorter_side((n, m))))))
    r = triangular_factor(tall)
    if int(m) > int(n):
        q = orthonormal_factor(tall)
        return QRResult(q, concat([r, matmul_(adjoint(q), getitem(x, (Ellipsis, slice(n, m))))], axis=-1))
    if mode == "complete" and int(n) > int(m):
        below = full_(shape=(*type_of(raw(r)).shape[:-2], n - m, m), value=0, dtype=type_of(raw(r)).dtype)
        return QRResult(complete_factor(x), concat([r, below], axis=-2))
    return QRResult(orthonormal_factor(tall), r)


class LUResult(NamedTuple):
    """A permutation matrix, a lower triangular one with a diagonal of ones, and an upper triangular one."""

    P: Any
    L: Any
    U: Any


def lu(x: Value, /) -> LUResult:
    """The factors of x = P @ L @ U by Gaussian elimination with the largest pivot of each column first.

    x  square matrices (…, n, n)

    >>> import clearprop as cl
    >>> cl.linalg.lu(cl.tensor([[1.0, 2.0], [4.0, 4.0]])).U
    Tensor([[4.0, 4.0],
            [0.0, 1.0]])
    """
    x = as_floating(x)  # LAPACK would take small integers in single precision
    packed, places = packed_lu(x), pivot_places(x)
    t = type_of(raw(packed))
    order = equal(expand_dims(places, -1), arange_(size=t.shape[-1], dtype=INT64))
    return LUResult(astype(order, dtype=t.dtype), tril(packed, k=-1) + eye(t.shape[-1], dtype=t.dtype), triu(packed))


class LstsqResult(NamedTuple):
    """The solution, the sum of squares that it leaves, and the rank and singular values of the matrix."""

    solution: Any
    residuals: Any
    rank: Any
    singular_values: Any


def lstsq(a: Value, b: Value, /, *, rtol: float | None = None) -> LstsqResult:
    """The x with the smallest Σ(a @ x − b)², and of several the shortest; its derivative assumes that a keeps its rank.

    a     matrices (…, n, m)
    b     right sides: matrices (…, n, k), or one vector (n,)
    rtol  singular values below this share of the largest count as 0; None is max(n, m)·eps

    >>> import clearprop as cl
    >>> cl.linalg.lstsq(cl.tensor([[1.0], [1.0]]), cl.tensor([1.0, 3.0])).solution
    Tensor([2.0])
    """
    a, b = in_one_dtype("lstsq", (a, b))
    right = expand_dims(b, -1) if type_of(raw(b)).ndim == 1 else b
    solution = matmul_(pinv(a, rtol=rtol), right)
    residuals = sum(square(_size(matmul_(a, solution) - right)), axis=-2)
    if type_of(raw(b)).ndim == 1:
        solution, residuals = squeeze(solution, axis=-1), squeeze(residuals, axis=-1)
    return LstsqResult(solution, residuals, matrix_rank(a, rtol=rtol), svdvals(a))


def cholesky_solve(factor: Value, b: Value, /, *, upper: bool = False) -> Any:
    """The x for which a @ x = b, from the Cholesky factor of a: two triangular solutions.

    factor  lower triangular matrices (…, n, n) with factor @ factor.mT = a
    b       right sides: matrices (…, n, k), or one vector (n,)
    upper   whether the factor is upper triangular, factor.mT @ factor = a

    >>> import clearprop as cl
    >>> cl.linalg.cholesky_solve(cl.linalg.cholesky(cl.tensor([[4.0]])), cl.tensor([8.0]))
    Tensor([2.0])
    """
    lower = adjoint(factor) if upper else factor
    inner = solve_triangular(lower, b, lower=True)
    return solve_triangular(adjoint(lower), inner, lower=False)


def logdet(x: Value, /) -> Any:
    """log det x; NaN where the determinant is negative.

    x  matrices (…, n, n)

    >>> import clearprop as cl
    >>> cl.linalg.logdet(cl.tensor([[1.0, 0.0], [0.0, 1.0]]))
    Tensor(0.0)
    """
    return where(less(determinant_sign(x), 0), math.nan, logabsdet(x))


def cond(x: Value, /, *, ord: float | str = 2) -> Any:
    """The condition number ‖x‖·‖x⁻¹‖ of matrices: by how much a relative error may grow.

    x    matrices (…, n, m), square unless ord is 2 or −2
    ord  which norm, as in `matrix_norm`

    >>> import clearprop as cl
    >>> cl.linalg.cond(cl.tensor([[4.0, 0.0], [0.0, 2.0]]))
    Tensor(2.0)
    """
    if ord in (2, -2):
        sigma = svdvals(x)
        ratio = max(sigma, axis=-1) / min(sigma, axis=-1)
        return ratio if ord == 2 else 1 / ratio
    return matrix_norm(x, ord=ord) * matrix_norm(inv(x), ord=ord)


def multi_dot(arrays: Sequence[Value], /) -> Any:
    """The product of several matrices, in the order that needs the fewest multiplications.

    arrays  matrices; the first and the last may be vectors

    >>> import clearprop as cl
    >>> cl.linalg.multi_dot([cl.tensor([1.0, 2.0]), cl.tensor([[3.0], [4.0]]), cl.tensor([[5.0]])])
    Tensor([55.0])
    """
    # Each matrix has the letters of its two axes, neighbours share one; a vector at an end has that alone.
    letters = string.ascii_letters[: len(arrays) + 1]
    terms = [a + b for a, b in itertools.pairwise(letters)]
    if arrays and type_of(raw(arrays[0])).ndim == 1:
        terms[0] = terms[0][1:]
    if len(arrays) > 1 and type_of(raw(arrays[-1])).ndim == 1:
        terms[-1] = terms[-1][:1]
    wrong = [type_of(raw(a)).shape for a, term in zip(arrays, terms, strict=True) if type_of(raw(a)).ndim != len(term)]
    if wrong or len(arrays) < 2:
        raise ShapeError(
            "multi_dot multiplies matrices",
            expected="two or more, of two axes; the first and the last may be vectors",
            got=" and ".join(map(str, wrong)) or f"{len(arrays)} arrays",
            where=user_line(),
        )
    ends = "".join(c for c in (letters[0], letters[-1]) if "".join(terms).count(c) == 1)
    return einsum(",".join(terms) + "->" + ends, *arrays)


class SVDResult(NamedTuple):
    """Left singular vectors as columns, singular values in descending order, right singular vectors as rows."""

    U: Any
    S: Any
    Vh: Any


def svd(x: Value, /, *, full_matrices: bool = True) -> SVDResult:
    """The singular value decomposition x = U · diag(S) · Vh; vectors beyond the range of x have no derivative.

    x              matrices (…, n, m)
    full_matrices  whether U and Vh are square

    >>> import clearprop as cl
    >>> cl.linalg.svd(cl.tensor([[3.0, 0.0], [0.0, -4.0]])).S
    Tensor([4.0, 3.0])
    """
    return SVDResult(left_vectors(x, whole=full_matrices), svdvals(x), right_vectors(x, whole=full_matrices))


def matrix_power(x: Value, n: int, /) -> Any:
    """The product of n equal matrices, by squaring; of the inverse where n is negative.

    x  matrices (…, n, n)
    n  the exponent

    >>> import clearprop as cl
    >>> cl.linalg.matrix_power(cl.tensor([[1.0, 1.0], [0.0, 1.0]]), 3)
    Tensor([[1.0, 3.0],
            [0.0, 1.0]])
    """
    t = type_of(raw(x))
    require_square(t)
    if n < 0:
        x, n = inv(x), -n
    total = where(equal(x, x), eye(t.shape[-1], dtype=t.dtype), x) if n == 0 else None
    while n:
        if n % 2:
            total = x if total is None else matmul_(total, x)
        n //= 2
        x = matmul_(x, x) if n else x
    return total


def outer(a: Value, b: Value, /) -> Any:
    """Every product of an entry of one vector with one of another.

    a, b  vectors (n,) and (m,)

    >>> import clearprop as cl
    >>> cl.linalg.outer(cl.tensor([1.0, 2.0]), cl.tensor([3.0, 4.0]))
    Tensor([[3.0, 4.0],
            [6.0, 8.0]])
    """
    if type_of(raw(a)).ndim != 1 or type_of(raw(b)).ndim != 1:
        raise ShapeError(
            "outer multiplies vectors",
            expected="one axis each",
            got=f"{type_of(raw(a)).shape} and {type_of(raw(b)).shape}",
            where=user_line(),
        )
    return multiply(expand_dims(a, -1), expand_dims(b, -2))


def cross(a: Value, b: Value, /, *, axis: int = -1) -> Any:
    """The vector product of vectors of three entries.

    a, b  arrays of shapes that broadcast, of size 3 along the axis
    axis  the axis of the vectors

    >>> import clearprop as cl
    >>> cl.linalg.cross(cl.tensor([1.0, 0.0, 0.0]), cl.tensor([0.0, 1.0, 0.0]))
    Tensor([0.0, 0.0, 1.0])
    """
    shapes = [type_of(raw(v)).shape for v in (a, b)]
    if any(not -len(s) <= axis < len(s) or s[axis] != 3 for s in shapes):
        raise ShapeError(
            "cross multiplies vectors of three entries",
            expected=f"size 3 along axis {axis}",
            got=" and ".join(map(str, shapes)),
            where=user_line(),
        )
    a1, b1 = (take(v, np.array([1, 2, 0]), axis=axis) for v in (a, b))
    a2, b2 = (take(v, np.array([2, 0, 1]), axis=axis) for v in (a, b))
    return a1 * b2 - a2 * b1


def kron(a: Value, b: Value, /) -> Any:
    """The Kronecker product of two matrices: every entry of a times b, as blocks.

    a, b  matrices (n, m) and (p, q)

    >>> import clearprop as cl
    >>> cl.linalg.kron(cl.tensor([[1.0, 2.0]]), cl.tensor([[1.0], [10.0]]))
    Tensor([[1.0, 2.0],
            [10.0, 20.0]])
    """
    (n, m), (p, q) = (require_matrices(type_of(raw(v)))[-2:] for v in (a, b))
    blocks = multiply(reshape(a, (n, 1, m, 1)), reshape(b, (1, p, 1, q)))
    return reshape(blocks, (n * p, m * q))


def vector_norm(x: Value, /, *, axis: Axes = None, keepdims: bool = False, ord: float = 2) -> Any:
    """The norm (Σ |x|ᵒ)^(1/o) of vectors; the largest or smallest |x| for ±inf, their number for 0.

    x         numbers
    axis      the axes of the vectors; None: all entries are one
    keepdims  whether the axes stay, with size 1
    ord       o

    >>> import clearprop as cl
    >>> cl.linalg.vector_norm(cl.tensor([3.0, -4.0])), cl.linalg.vector_norm(cl.tensor([3.0, -4.0]), ord=1)
    (Tensor(5.0), Tensor(7.0))
    """
    x = _size(as_floating(x))
    if ord == 2:
        return norm(x, axis=axis, keepdims=keepdims)
    if ord not in (0, 1, math.inf, -math.inf):
        return _norm_of_powers(x, axis, keepdims, ord)
    size = abs(x)
    if ord in (math.inf, -math.inf):
        return (max if ord > 0 else min)(size, axis=axis, keepdims=keepdims)
    if ord == 0:
        return sum(astype(not_equal(x, 0), dtype=type_of(raw(x)).dtype), axis=axis, keepdims=keepdims)
    return sum(size, axis=axis, keepdims=keepdims)


def _size(x: Value) -> Any:
    """|x| of complex numbers; real ones as they are, whose sign a norm does not see."""
    return abs(x) if is_complex(type_of(raw(x)).dtype) else x


def _norm_of_powers(x: Value, axis: Axes, keepdims: bool, ord: float) -> Any:
    """m·(Σ (|x|/m)ᵒ)^(1/o), m the |x| that counts most, so that no power leaves the range; at 0 its derivative is 0."""
    size = abs(x)
    t = type_of(raw(x))
    if 0 in [n for n in t.shape if isinstance(n, int)]:
        return sum(size, axis=axis, keepdims=keepdims)
    most = stop_gradient((max if ord > 0 else min)(size, axis=axis, keepdims=True))
    scale = where(logical_and(most > 0, isfinite(most)), most, 1.0)
    total = sum(pow(size / scale, ord), axis=axis, keepdims=True)
    nothing = equal(total, 0)
    found = where(nothing, 0.0, scale * where(nothing, 1.0, total) ** (1 / ord))
    return found if keepdims else reshape(found, reduced_shape(t, normalise_axes(axis, t.ndim)))


def matrix_norm(x: Value, /, *, keepdims: bool = False, ord: float | str = "fro") -> Any:
    """The norm of matrices: "fro" √Σx², "nuc" Σσ, ±2 the extreme singular value, ±1 of column sums, ±inf of row sums.

    x         matrices (…, n, m)
    keepdims  whether the two axes stay, with size 1
    ord       which norm

    >>> import clearprop as cl
    >>> cl.linalg.matrix_norm(cl.tensor([[3.0, 0.0], [0.0, 4.0]])), cl.linalg.matrix_norm(cl.tensor([[3.0]]), ord=2)
    (Tensor(5.0), Tensor(3.0))
    """
    require_matrices(type_of(raw(x)))
    x = as_floating(x)
    if ord == "fro":
        return norm(_size(x), axis=(-2, -1), keepdims=keepdims)
    if ord in ("nuc", 2, -2):
        sigma = svdvals(x)
        found = sum(sigma, axis=-1) if ord == "nuc" else (max if ord == 2 else min)(sigma, axis=-1)
    elif ord in (1, -1, math.inf, -math.inf):
        sums = sum(abs(x), axis=-2 if ord in (1, -1) else -1)
        found = (max if float(ord) > 0 else min)(sums, axis=-1)
    else:
        raise ArgumentError(
            f"there is no matrix norm {ord!r}",
            expected='"fro", "nuc", 1, -1, 2, -2, inf or -inf',
            got=repr(ord),
            where=user_line(),
        )
    return expand_dims(expand_dims(found, -1), -1) if keepdims else found


def matrix_rank(x: Value, /, *, rtol: float | None = None) -> Any:
    """How many singular values of matrices are above a tolerance.

    x     matrices (…, n, m)
    rtol  the tolerance as a share of the largest; None is max(n, m)·eps

    >>> import clearprop as cl
    >>> cl.linalg.matrix_rank(cl.tensor([[1.0, 2.0], [2.0, 4.0]]))
    Tensor(1)
    """
    x = as_floating(x)
    t = type_of(raw(x))
    sigma = svdvals(x)
    share = builtins.max(int(n) for n in t.shape[-2:]) * float(np.finfo(t.dtype).eps) if rtol is None else rtol
    return sum(astype(greater(sigma, share * max(sigma, axis=-1, keepdims=True)), dtype=INT64), axis=-1)
