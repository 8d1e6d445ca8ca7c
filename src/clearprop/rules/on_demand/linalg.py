"""Linear algebra, `cl.linalg`: what is made of the primitives in `matrices` and of products."""

from __future__ import annotations

import builtins
import math
from typing import Any, NamedTuple

import numpy as np

from clearprop.errors import ArgumentError, ShapeError, user_line
from clearprop.program.types import INT64, Axes, Value, type_of
from clearprop.program.values import raw
from clearprop.rules.elementwise import abs, as_floating, astype, equal, greater, not_equal, where
from clearprop.rules.indexing import getitem, take
from clearprop.rules.linear import matmul_
from clearprop.rules.on_demand.creation import eye
from clearprop.rules.on_demand.matrices import (
    determinant_sign,
    eigenvectors,
    eigvalsh,
    inv,
    left_vectors,
    logabsdet,
    require_matrices,
    require_square,
    right_vectors,
    shorter_side,
    svdvals,
)
from clearprop.rules.reductions import max, min, norm, sum
from clearprop.rules.structural import expand_dims, reshape


class SlogdetResult(NamedTuple):
    """The sign of a determinant, and the logarithm of its size."""

    sign: Any
    logabsdet: Any


def slogdet(x: Value, /) -> Any:
    """The sign of the determinant, and log |det|.

    x  matrices (…, n, n)

    >>> import clearprop as cl
    >>> cl.linalg.slogdet(cl.tensor([[1.0, 0.0], [0.0, -1.0]])).sign
    Tensor(-1.0)
    """
    return SlogdetResult(determinant_sign(x), logabsdet(x))


class EighResult(NamedTuple):
    """Eigenvalues in ascending order, and the eigenvectors as columns."""

    eigenvalues: Any
    eigenvectors: Any


def eigh(x: Value, /) -> Any:
    """The eigenvalues of symmetric matrices in ascending order, and the eigenvectors as columns.

    x  symmetric matrices (…, n, n)

    >>> import clearprop as cl
    >>> cl.linalg.eigh(cl.tensor([[2.0, 0.0], [0.0, -1.0]])).eigenvalues
    Tensor([-1.0, 2.0])
    """
    return EighResult(eigvalsh(x), eigenvectors(x))


class SVDResult(NamedTuple):
    """Left singular vectors as columns, singular values in descending order, right singular vectors as rows."""

    U: Any
    S: Any
    Vh: Any


def svd(x: Value, /, *, full_matrices: bool = True) -> Any:
    """The singular value decomposition x = U · diag(S) · Vh; a derivative flows through S, and is refused of U and Vh.

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


def trace(x: Value, /, *, offset: int = 0) -> Any:
    """The sum of a diagonal of matrices.

    x       matrices (…, n, m)
    offset  which diagonal: 0 is the main one, 1 the next above

    >>> import clearprop as cl
    >>> cl.linalg.trace(cl.tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor(5.0)
    """
    n, m = require_matrices(type_of(raw(x)))[-2:]
    on_it = equal(eye(n, m, k=offset), 1)
    zero = astype(0, dtype=type_of(raw(x)).dtype)
    return sum(where(on_it, x, zero), axis=(-2, -1))


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
    return expand_dims(a, -1) * expand_dims(b, -2)


def diagonal(x: Value, /, *, offset: int = 0) -> Any:
    """A diagonal of matrices, along the last axis.

    x       matrices (…, n, m)
    offset  which diagonal: 0 is the main one, 1 the next above

    >>> import clearprop as cl
    >>> cl.linalg.diagonal(cl.tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor([1.0, 4.0])
    """
    t = type_of(raw(x))
    require_matrices(t)
    cut = getitem(x, (Ellipsis, slice(offset, None)) if offset >= 0 else (Ellipsis, slice(-offset, None), slice(None)))
    n = int(shorter_side(type_of(raw(cut)).shape))
    square_part = getitem(cut, (Ellipsis, slice(0, n), slice(0, n)))
    found = sum(where(equal(eye(n), 1), square_part, astype(0, dtype=t.dtype)), axis=-1)
    return astype(found, dtype=t.dtype)


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
    blocks = reshape(a, (n, 1, m, 1)) * reshape(b, (1, p, 1, q))
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
    x = as_floating(x)
    if ord == 2:
        return norm(x, axis=axis, keepdims=keepdims)
    size = abs(x)
    if ord in (math.inf, -math.inf):
        return (max if ord > 0 else min)(size, axis=axis, keepdims=keepdims)
    if ord == 0:
        return sum(astype(not_equal(x, 0), dtype=type_of(raw(x)).dtype), axis=axis, keepdims=keepdims)
    total = sum(size if ord == 1 else size**ord, axis=axis, keepdims=keepdims)
    return total if ord == 1 else total ** (1 / ord)


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
        return norm(x, axis=(-2, -1), keepdims=keepdims)
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
