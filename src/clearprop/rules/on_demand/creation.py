"""Arrays made of numbers and sizes: ranges, constants, the identity, triangles, grids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from clearprop.errors import ArgumentError, DTypeError, ShapeError, user_line
from clearprop.program.types import COMPLEX128, FLOAT64, INT64, Value, promote, type_of
from clearprop.program.values import Node, raw
from clearprop.rules.elementwise import astype, equal, floor, greater_equal, where
from clearprop.rules.indexing import iota
from clearprop.rules.structural import arange_, broadcast_to, full_, reshape
from clearprop.shapes import Dim, Shape, Size, as_shape


def full(shape: Dim | Shape, fill_value: Value, dtype: DTypeLike | None = None, *, device: str | None = None) -> Any:
    """An array of one repeated value.

    shape       its sizes: a number, or a sequence of them
    fill_value  the value, a number or a tensor without axes, through which a derivative flows
    dtype       its data type; None is that of the value
    device      "cpu" or None

    >>> import clearprop as cl
    >>> cl.full((2,), 7.0)
    Tensor([7.0, 7.0])
    """
    own = type_of(raw(fill_value))
    if own.shape:
        raise ShapeError(
            "full repeats one value",
            expected="a number, or a tensor without axes",
            got=f"shape {own.shape}",
            where=user_line(),
            try_="cl.broadcast_to(x, shape) repeats an array",
        )
    kind = own.dtype if dtype is None else np.dtype(dtype)
    if own.weak and isinstance(raw(fill_value), (bool, int, float, complex)):
        return full_(shape=as_shape(shape), value=raw(fill_value), dtype=kind)
    return broadcast_to(astype(fill_value, dtype=kind), as_shape(shape))


def full_like(x: Value, fill_value: Value, dtype: DTypeLike | None = None, *, device: str | None = None) -> Any:
    """An array of one repeated value, with the shape of x and its dtype unless another is given.

    x           an array
    fill_value  the value
    dtype       its data type; None is that of x
    device      "cpu" or None

    >>> import clearprop as cl
    >>> cl.full_like(cl.tensor([1.0, 2.0]), 3)
    Tensor([3.0, 3.0])
    """
    t = type_of(raw(x))
    return full(t.shape, fill_value, t.dtype if dtype is None else dtype)


def empty(shape: Dim | Shape, dtype: DTypeLike | None = None, *, device: str | None = None) -> Any:
    """An array to be replaced: zeros, since a tensor never changes (the standard leaves its numbers open).

    shape   its sizes: a number, or a sequence of them
    dtype   its data type; None is float64
    device  "cpu" or None

    >>> import clearprop as cl
    >>> cl.empty((2, 3)).shape
    (2, 3)
    """
    return full_(shape=as_shape(shape), value=0, dtype=np.dtype(np.float64 if dtype is None else dtype))


def empty_like(x: Value, dtype: DTypeLike | None = None, *, device: str | None = None) -> Any:
    """An array of x's shape to be replaced: zeros.

    x       an array
    dtype   its data type; None is that of x
    device  "cpu" or None

    >>> import clearprop as cl
    >>> cl.empty_like(cl.tensor([1.0, 2.0])).shape
    (2,)
    """
    return full_like(x, 0, dtype)


def arange(
    start: Any, /, stop: Any = None, step: Any = 1, dtype: DTypeLike | None = None, *, device: str | None = None
) -> Any:
    """The numbers start, start + step, … before stop; `arange(n)` is 0, 1, …, n − 1.

    start, stop  the first number, and the end, which is not reached; of one argument, it is the end
    step         the distance; not 0
    dtype        its data type; None is int64 of integers, float64 of floats
    device       "cpu" or None

    >>> import clearprop as cl
    >>> cl.arange(3), cl.arange(1, 2, 0.5)
    (Tensor([0, 1, 2]), Tensor([1.0, 1.5]))
    """
    first, end = (0, start) if stop is None else (start, stop)
    if step == 0:
        raise ArgumentError(
            "arange needs a step", expected="a number other than 0", got=f"step = {step!r}", where=user_line()
        )
    if not any(isinstance(v, Size) for v in (first, end, step)):
        return np.arange(first, end, step, dtype=dtype)  # type: ignore[call-overload,unused-ignore]  # its types are narrower than it is
    if step != 1:
        raise ArgumentError(
            "arange over a size that is not fixed has steps of 1",
            expected="step = 1",
            got=f"step = {step!r}",
            where=user_line(),
            try_="step * cl.arange(n), or int(x.shape[0]) to fix the size",
        )
    return arange_(size=end - first, dtype=np.dtype(INT64 if dtype is None else dtype)) + first


def linspace(
    start: Any,
    stop: Any,
    /,
    num: int,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    endpoint: bool = True,
) -> Any:
    """`num` numbers at equal distances from start to stop, along a first axis where the ends are arrays.

    start, stop  the ends; a derivative flows into those that are tensors
    num          how many
    dtype        its data type; None is float64, complex128 of complex numbers, and of floating tensors theirs
    device       "cpu" or None
    endpoint     whether stop is the last of them

    >>> import clearprop as cl
    >>> cl.linspace(0, 1, 3)
    Tensor([0.0, 0.5, 1.0])
    """
    if not isinstance(start, Node) and not isinstance(stop, Node):
        number = COMPLEX128 if isinstance(start, complex) or isinstance(stop, complex) else FLOAT64
        return np.linspace(start, stop, num, endpoint=endpoint, dtype=number if dtype is None else dtype)
    types = [type_of(raw(end)) for end in (start, stop)]
    share = np.linspace(0.0, 1.0, num, endpoint=endpoint).reshape((-1, *[1] * max(t.ndim for t in types)))
    kind, _ = promote(types)
    share = share.astype(kind) if kind.kind == "f" else share
    numbers = start * (1.0 - share) + stop * share
    if dtype is None:
        return numbers
    return astype(floor(numbers) if np.dtype(dtype).kind in "iu" else numbers, dtype=np.dtype(dtype))  # as NumPy does


def eye(
    n_rows: Dim, n_cols: Dim | None = None, /, *, k: int = 0, dtype: DTypeLike | None = None, device: str | None = None
) -> Any:
    """Ones on a diagonal, zeros elsewhere.

    n_rows, n_cols  the sizes; as many columns as rows unless they are given
    k               which diagonal: 0 is the main one, 1 the next above
    dtype           its data type; None is float64
    device          "cpu" or None

    >>> import clearprop as cl
    >>> cl.eye(2)
    Tensor([[1.0, 0.0],
            [0.0, 1.0]])
    """
    shape = (n_rows, n_rows if n_cols is None else n_cols)
    return astype(equal(iota(shape, 0) + k, iota(shape, 1)), dtype=np.dtype(np.float64 if dtype is None else dtype))


def _matrix_shape(x: Value, name: str) -> Any:
    shape = type_of(raw(x)).shape
    if len(shape) < 2:
        raise ShapeError(
            f"{name} needs two axes",
            expected="an array with at least two axes",
            got=f"shape {shape}",
            where=user_line(),
            try_="x[:, None] makes a column",
        )
    return shape[-2:]


def _zero_of(x: Value) -> Any:
    return full_(shape=(), value=0, dtype=type_of(raw(x)).dtype)


def tril(x: Value, /, *, k: int = 0) -> Any:
    """The lower triangle of matrices, zeros above it.

    x  matrices (…, n, m)
    k  the last diagonal that is kept: 0 is the main one, 1 the next above

    >>> import clearprop as cl
    >>> cl.tril(cl.ones((2, 2)))
    Tensor([[1.0, 0.0],
            [1.0, 1.0]])
    """
    shape = _matrix_shape(x, "tril")
    return where(greater_equal(iota(shape, 0) + k, iota(shape, 1)), x, _zero_of(x))


def triu(x: Value, /, *, k: int = 0) -> Any:
    """The upper triangle of matrices, zeros below it.

    x  matrices (…, n, m)
    k  the first diagonal that is kept: 0 is the main one, 1 the next above

    >>> import clearprop as cl
    >>> cl.triu(cl.ones((2, 2)))
    Tensor([[1.0, 1.0],
            [0.0, 1.0]])
    """
    shape = _matrix_shape(x, "triu")
    return where(greater_equal(iota(shape, 1), iota(shape, 0) + k), x, _zero_of(x))


def meshgrid(*arrays: Value, indexing: str = "xy") -> tuple[Any, ...]:
    """Each vector repeated over the grid that all of them span.

    arrays    vectors of one dtype
    indexing  "ij": the first varies along axis 0; "xy": along axis 1, and the second along axis 0

    >>> import clearprop as cl
    >>> x, y = cl.meshgrid(cl.tensor([1.0, 2.0]), cl.tensor([5.0, 6.0]))
    >>> x
    Tensor([[1.0, 2.0],
            [1.0, 2.0]])
    """
    shapes = _vector_shapes(arrays, indexing)
    places = list(range(len(arrays)))
    if indexing == "xy" and len(arrays) > 1:
        places[:2] = [1, 0]
    sizes = [s[0] if s else 1 for s in shapes]
    grid = tuple(sizes[places.index(i)] for i in range(len(arrays)))
    apart = [tuple(n if i == p else 1 for i in range(len(grid))) for n, p in zip(sizes, places, strict=True)]
    return tuple(broadcast_to(reshape(a, shape), grid) for a, shape in zip(arrays, apart, strict=True))


def _vector_shapes(arrays: Sequence[Value], indexing: str) -> list[Shape]:
    """The shapes of vectors of one dtype; what else is given to `meshgrid` is refused."""
    if indexing not in ("xy", "ij"):
        raise ArgumentError('indexing is "xy" or "ij"', expected='"xy" or "ij"', got=repr(indexing), where=user_line())
    shapes = [type_of(raw(a)).shape for a in arrays]
    if any(len(s) > 1 for s in shapes):
        raise ShapeError(
            "meshgrid takes vectors", expected="one axis each", got=" and ".join(map(str, shapes)), where=user_line()
        )
    if len({type_of(raw(a)).dtype for a in arrays}) > 1:
        raise DTypeError(
            "meshgrid takes vectors of one dtype",
            expected="equal dtypes",
            got=" and ".join(type_of(raw(a)).dtype.name for a in arrays),
            where=user_line(),
            try_="x.astype(...) on one of them",
        )
    return shapes
