"""Diagonals of matrices: read, summed, and written into a matrix of zeros."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from clearprop.errors import ShapeError, user_line
from clearprop.program.types import Value, type_of
from clearprop.program.values import raw
from clearprop.rules.elementwise import astype, equal, where
from clearprop.rules.indexing import getitem
from clearprop.rules.on_demand.creation import eye
from clearprop.rules.on_demand.manipulation import pad
from clearprop.rules.on_demand.matrices import require_matrices, shorter_side
from clearprop.rules.reductions import sum


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


def trace(x: Value, /, *, offset: int = 0, dtype: DTypeLike | None = None) -> Any:
    """The sum of a diagonal of matrices.

    x       matrices (…, n, m)
    offset  which diagonal: 0 is the main one, 1 the next above
    dtype   in which it is summed; None is as in `sum`

    >>> import clearprop as cl
    >>> cl.linalg.trace(cl.tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor(5.0)
    """
    n, m = require_matrices(type_of(raw(x)))[-2:]
    x = x if dtype is None else astype(x, dtype=np.dtype(dtype))
    on_it = equal(eye(n, m, k=offset), 1)
    zero = astype(0, dtype=type_of(raw(x)).dtype)
    return sum(where(on_it, x, zero), axis=(-2, -1))


def diag(x: Value, /, *, offset: int = 0) -> Any:
    """The matrix that has a vector on a diagonal and zeros elsewhere; of matrices, their diagonal as a vector.

    x       a vector (n,), or matrices (…, n, m)
    offset  which diagonal: 0 is the main one, 1 the next above

    >>> import clearprop as cl
    >>> cl.diag(cl.tensor([1.0, 2.0]))
    Tensor([[1.0, 0.0],
            [0.0, 2.0]])
    >>> cl.diag(cl.tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor([1.0, 4.0])
    """
    shape = type_of(raw(x)).shape
    if len(shape) > 1:
        return diagonal(x, offset=offset)
    if not shape:
        raise ShapeError("diag needs an axis", expected="a vector, or matrices", got="a number", where=user_line())
    at = operator.index(offset)
    row = pad(x, ((max(at, 0), max(-at, 0)),))  # of each column, the one entry that it has
    n = type_of(raw(row)).shape[0]
    return where(equal(eye(n, k=at), 1), row, astype(0, dtype=type_of(raw(x)).dtype))
