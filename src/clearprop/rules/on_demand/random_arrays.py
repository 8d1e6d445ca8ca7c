"""Random vectors and matrices: shares, points of a ball, rotations, covariances and correlations.

All are compositions; derivatives flow into every parameter.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from clearprop.errors import ArgumentError, user_line
from clearprop.program.types import Value, type_of
from clearprop.program.values import raw
from clearprop.rules import random
from clearprop.rules.elementwise import abs, as_floating, astype, sqrt, square, where
from clearprop.rules.indexing import getitem
from clearprop.rules.linear import matmul
from clearprop.rules.on_demand import distributions
from clearprop.rules.on_demand.creation import tril
from clearprop.rules.on_demand.diagonals import diagonal
from clearprop.rules.on_demand.further_distributions import generalized_normal, standard_normals
from clearprop.rules.on_demand.gamma_family import beta, gamma
from clearprop.rules.on_demand.linalg import qr
from clearprop.rules.on_demand.matrices import cholesky
from clearprop.rules.reductions import softmax, sum
from clearprop.rules.structural import matrix_transpose
from clearprop.shapes import Dim, Shape, as_shape, normalise_axis


def _size(name: str, n: int, least: int = 1) -> int:
    n = operator.index(n)
    if n < least:
        raise ArgumentError(f"there is no such {name}", expected=f"an integer from {least}", got=f"n = {n}",
                            where=user_line())  # fmt: skip
    return n


@random.distribution
def gumbel_softmax(key: Any, logits: Value, shape: Dim | Shape = (), temperature: Value = 1.0, *, axis: int = -1,
                   dtype: DTypeLike = np.float64) -> Any:  # fmt: skip
    """Shares softmax((l + Gumbel numbers)/T): a class, softened, so that derivatives flow into l (Jang et al. 2017).

    The lower the temperature, the nearer each vector is to a unit vector, i with probability softmax(l)ᵢ.

    key          two 32-bit words: same key, same bits
    logits       l, logarithms of the probabilities, up to a constant
    shape        how many vectors are drawn of each; in the result these axes come first
    temperature  T, above 0
    axis         the axis of the classes
    dtype        float64 or float32

    >>> import clearprop as cl
    >>> round(float(cl.sum(cl.random.gumbel_softmax(cl.random.key(0), cl.tensor([0.0, 1.0, 2.0])))), 6)
    1.0
    """
    random.require_where_known("temperature", temperature, lambda v: v > 0, "a number above 0")
    t = type_of(raw(logits))
    at = normalise_axis(axis, t.ndim)
    noise = distributions.gumbel(key, (*as_shape(shape), *t.shape), dtype=dtype)
    return softmax((noise + astype(as_floating(logits), dtype=random.floating_dtype(dtype))) / temperature, axis=at)


@random.distribution
def ball(key: Any, n: int, shape: Dim | Shape = (), p: Value = 2.0, dtype: DTypeLike = np.float64) -> Any:
    """Points uniform in the unit ball of n dimensions and the norm (Σ|xᵢ|ᵖ)^(1/p) (Barthe et al. 2005).

    key    two 32-bit words: same key, same bits
    n      dimensions
    shape  of the array of points, an integer or a tuple; () is one point
    p      of the norm, above 0
    dtype  float64 or float32

    >>> import clearprop as cl
    >>> bool(cl.linalg.vector_norm(cl.random.ball(cl.random.key(0), 3)) < 1)
    True
    """
    n, lead = _size("number of dimensions", n), as_shape(shape)
    x = generalized_normal(random.fold_in_(key, 0), p, (*lead, n), dtype=dtype)
    e = distributions.exponential(random.fold_in_(key, 1), (*lead, 1), dtype=dtype)
    return x / (sum(abs(x) ** p, axis=-1, keepdims=True) + e) ** (1.0 / as_floating(p))


@random.distribution
def orthogonal(key: Any, n: int, shape: Dim | Shape = (), dtype: DTypeLike = np.float64) -> Any:
    """Orthogonal matrices, uniform over all of them: Q of normal numbers' QR, with R's signs (Mezzadri 2007).

    key    two 32-bit words: same key, same bits
    n      rows and columns
    shape  of the array of matrices, an integer or a tuple; () is one matrix
    dtype  float64 or float32

    >>> import clearprop as cl
    >>> q = cl.random.orthogonal(cl.random.key(0), 3)
    >>> bool(cl.max(cl.abs(q @ q.mT - cl.eye(3))) < 1e-12)
    True
    """
    n = _size("number of rows", n)
    q, r = qr(random.normal(key, (*as_shape(shape), n, n), dtype=dtype))
    return q * getitem(where(diagonal(r) < 0, -1.0, 1.0), (Ellipsis, None, slice(None)))


def _lower(entries: Any, on_diagonal: Any) -> Any:
    """Lower triangular matrices of what stands below the diagonal, and on it."""
    n = int(type_of(raw(entries)).shape[-1])
    return tril(entries, k=-1) + getitem(on_diagonal, (Ellipsis, None)) * np.eye(n, dtype=type_of(raw(entries)).dtype)


@random.distribution
def wishart(key: Any, df: Value, scale: Value, shape: Dim | Shape = (), dtype: DTypeLike = np.float64) -> Any:
    """Random covariances: sums of xxᵀ over df normal vectors x with covariance V, by Bartlett's decomposition (1933).

    key    two 32-bit words: same key, same bits
    df     degrees of freedom, a number above n − 1
    scale  V, a symmetric positive definite matrix (n, n): the mean is df·V
    shape  of the array of matrices, an integer or a tuple; () is one matrix
    dtype  float64 or float32

    >>> import clearprop as cl
    >>> cl.random.wishart(cl.random.key(0), 5.0, cl.eye(2), (3,)).shape
    (3, 2, 2)
    """
    factor = cholesky(astype(as_floating(scale), dtype=random.floating_dtype(dtype)))
    n, lead = int(type_of(raw(factor)).shape[-1]), as_shape(shape)
    random.require_where_known("df", df, lambda v: v > n - 1, f"a number above {n - 1}")
    half = (astype(as_floating(df), dtype=random.floating_dtype(dtype)) - np.arange(n, dtype=dtype)) * 0.5
    squares = 2.0 * gamma(random.fold_in_(key, 0), half, (*lead, n), dtype=dtype)
    a = matmul(factor, _lower(standard_normals(key, 1, (*lead, n, n), dtype), sqrt(squares)))
    return matmul(a, matrix_transpose(a))


@random.distribution
def lkj_cholesky(
    key: Any, n: int, concentration: Value = 1.0, shape: Dim | Shape = (), dtype: DTypeLike = np.float64
) -> Any:
    """Cholesky factors L of random correlations C = LLᵀ of the density det(C)^(η−1), row by row: the onion.

    Source: Lewandowski, Kurowicka & Joe 2009.

    key            two 32-bit words: same key, same bits
    n              rows and columns, at least 2
    concentration  η, above 0: 1 is uniform over all correlations, more is nearer to independence
    shape          of the array of matrices, an integer or a tuple; () is one matrix
    dtype          float64 or float32

    >>> import clearprop as cl
    >>> cl.random.lkj_cholesky(cl.random.key(0), 3).shape
    (3, 3)
    """
    n, lead = _size("number of rows", n, least=2), as_shape(shape)
    random.require_where_known("concentration", concentration, lambda v: v > 0, "a number above 0")
    row = np.arange(1.0, n)
    share = beta(random.fold_in_(key, 0), row / 2, as_floating(concentration) + (n - 1 - row) / 2, (*lead, n - 1),
                 dtype=dtype)  # fmt: skip
    z = tril(standard_normals(key, 1, (*lead, n - 1, n - 1), dtype))  # each row's direction
    below = z * getitem(sqrt(share), (Ellipsis, None)) / sqrt(sum(square(z), axis=-1, keepdims=True))
    return _first_row_above(below, sqrt(1.0 - share))


def _first_row_above(below: Any, on_diagonal: Any) -> Any:
    """The lower triangular matrix whose first row is (1, 0, …, 0), of the others' entries and diagonals."""
    n = int(type_of(raw(below)).shape[-1]) + 1
    dtype = type_of(raw(below)).dtype
    down = np.eye(n, n - 1, k=-1, dtype=dtype)  # puts row i into row i + 1
    entries = matmul(matmul(down, below), np.eye(n - 1, n, dtype=dtype))
    diagonals = matmul(on_diagonal, np.eye(n - 1, n, k=1, dtype=dtype)) + np.eye(1, n, dtype=dtype)[0]
    return _lower(entries, diagonals)
