"""Indexing: slices and integers, gathering by index arrays, and their transposes."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from clearprop.errors import ShapeError
from clearprop.primitives import HELPERS, composite, primitive
from clearprop.program.ir import Var
from clearprop.program.types import FLOAT64, INT64, PYTHON_SCALARS, Axes, Value
from clearprop.program.values import raw
from clearprop.rules import eager
from clearprop.rules.elementwise import astype, equal
from clearprop.rules.structural import (
    arange_,
    broadcast_to,
    expand_dims,
    expand_dims_,
    only_axis,
    permute_dims,
    reshape,
    reshape_,
)
from clearprop.shapes import Dim, Shape, Size, broadcast, hint, normalise_axis, size_of

Key: TypeAlias = object
"""What stands in brackets: integers, slices, None, Ellipsis, integer arrays, or a tuple of them."""


# -------------------------------------------------------------------------------------- slices and integers
def _slice_shape(shape: Shape, key: Any) -> Any:
    out = []
    for n, k in zip(shape, key, strict=True):
        if isinstance(k, slice):
            if k == slice(None):
                out.append(n)
            elif k.step in (None, 1) and (isinstance(n, Size) or isinstance(k.stop, Size) or isinstance(k.start, Size)):
                out.append(k.stop - k.start)
            else:
                out.append(len(range(*k.indices(int(n)))))
    return tuple(out)


@primitive(
    "structural", numpy="{x}[{key}]", tex="{x}",
    shape=lambda x, key: _slice_shape(x.shape, key), view="slice",
    vjp_x=lambda g, x, key: scatter_slice(g, shape=x.shape, key=key),
    batch=lambda size, x, *, key: getitem_(x, key=(slice(None), *key)),
)  # fmt: skip
def getitem_(x: Value, /, *, key: Key) -> Any:
    """x[key], where key has a slice or an integer for every axis."""


def _put_into_zeros(x: NDArray[Any], shape: Shape, key: Any) -> Any:
    out = np.zeros(shape, np.asarray(x).dtype)
    out[key] = x
    return out


HELPERS["put"] = _put_into_zeros


@primitive(
    "structural", numpy="put({x}, {shape}, {key})", numba="scatter_slice", tex="{x}",
    shape=lambda x, shape, key: shape, public=False, places=True,
    vjp_x=lambda g, key: getitem_(g, key=key),
    batch=lambda size, x, *, shape, key: scatter_slice(x, shape=(size, *shape), key=(slice(None), *key)),
)  # fmt: skip
def scatter_slice(x: Value, /, *, shape: Shape, key: Key) -> Any:
    """Zeros of the given shape with x written at `key`: the transpose of x[key]."""


@getitem_.front
def getitem(x: Value, key: Key) -> Any:
    """x[key] for slices, integers, None, Ellipsis, integer arrays, which gather along their axes, and known masks."""
    if _is_single_truth(key):  # as an axis of its own, of which its one place is taken or none is
        return take(expand_dims(x, (0,)), np.flatnonzero(_known_mask(key, x)), axis=0)
    given = key if isinstance(key, tuple) else (key,)
    parts, new_axes, gathers = sorted_key(x, given)
    out = x if all(isinstance(k, slice) and k == slice(None) for k in parts) else getitem_(x, key=tuple(parts))
    if new_axes:
        out = expand_dims(out, tuple(new_axes))
    return _gather(out, gathers, given) if gathers else out


def sorted_key(x: Value, given: tuple[Any, ...]) -> tuple[list[Any], list[int], list[tuple[int, Any]]]:
    """The entries of a key as what one primitive each can do: cuts, new axes, index arrays and where they stand.

    In that order they are applied: slices and integers cut every axis, None inserts, and index arrays gather last, at
    the places where their axes then stand.

    >>> sorted_key(np.zeros((3, 4)), (None, 1, slice(0, 2)))
    ([1, slice(0, 2, 1)], [0], [])
    """
    shape = raw(x).shape if type(raw(x)) not in PYTHON_SCALARS else ()
    # `position` counts the axes of the result of cuts and new axes; integers leave none behind
    parts: list[Any] = []
    new_axes: list[int] = []
    gathers: list[tuple[int, Any]] = []
    position = 0
    for k in _fill_ellipsis(given, len(shape)):
        n = shape[len(parts)] if k is not None and len(parts) < len(shape) else 1
        if k is None:
            new_axes.append(position)
        elif isinstance(k, slice):
            parts.append(_complete_slice(k, n))
        elif _is_integer(k):
            parts.append(_checked_index(k, n, len(parts), shape))
            continue
        else:
            arrays = _places_of(k, x, len(parts)) if is_mask(k) else [_index_array(k)]
            parts += [slice(None)] * len(arrays)
            gathers += [(position + i, indices) for i, indices in enumerate(arrays)]
            position += len(arrays) - 1
        position += 1
    return parts, new_axes, gathers


def is_mask(k: Any) -> bool:
    """Whether an entry of a key is an array of truth values.

    >>> is_mask(np.array([True, False])), is_mask([0, 1])
    (True, False)
    """
    if isinstance(k, (list, tuple)) and k:
        return isinstance(k[0], (bool, np.bool_)) or is_mask(k[0])
    dtype = getattr(raw(k), "dtype", None)
    return getattr(dtype, "kind", "") == "b" and len(raw(k).shape) > 0


def _is_single_truth(key: Any) -> bool:
    """Whether a key is one truth value in an array without axes, as comparisons of such arrays give it."""
    held = raw(key)
    dtype = getattr(held, "dtype", None)
    return getattr(dtype, "kind", "") == "b" and held.shape == ()


def _known_mask(mask: Any, x: Value) -> Any:
    """The truth values of a mask; raises ShapeError where they, or x, are traced."""
    value = raw(mask)
    if isinstance(value, Var) or isinstance(raw(x), Var):
        raise ShapeError(
            "a mask cannot index what is being traced: how many entries it chooses is no part of the program",
            expected="integers, slices, None, Ellipsis or integer arrays",
            got=f"a mask of shape {np.shape(value) if isinstance(value, list) else value.shape}",
            try_="cl.where(mask, x, 0) keeps the shape; np.nonzero(mask), outside, makes integer indices",
        )
    return np.asarray(value)


def _places_of(mask: Any, x: Value, axis: int) -> list[Any]:
    """The indices at which a mask holds, one array for each of its axes; `axis` of x is the first of them."""
    value = _known_mask(mask, x)
    sizes = raw(x).shape[axis : axis + value.ndim]
    if value.shape != sizes:
        raise ShapeError(
            "a mask has the sizes of the axes that it stands for",
            expected=f"shape {sizes}",
            got=f"shape {value.shape}",
        )
    return list(np.nonzero(value))


def _gather(x: Value, gathers: Sequence[tuple[int, Any]], given: tuple[Any, ...]) -> Any:
    """x at the indices, whose axes stand where the first axis stood, or first where NumPy has them first.

    That is where they and an integer are separated by what is neither, even by an Ellipsis that stands for nothing.
    """
    axis = gathers[0][0]
    x, indices = (x, gathers[0][1]) if len(gathers) == 1 else _as_one_axis(x, gathers)
    out = take(x, indices, axis=axis)
    picks = [i for i, k in enumerate(given) if not (k is None or k is Ellipsis or isinstance(k, slice))]
    if picks[-1] - picks[0] == len(picks) - 1:
        return out
    n, many = len(raw(out).shape), len(raw(indices).shape)
    moved = range(axis, axis + many)
    return permute_dims(out, [*moved, *(i for i in range(n) if i not in moved)])


def _as_one_axis(x: Value, gathers: Sequence[tuple[int, Any]]) -> tuple[Any, Any]:
    """x with the axes that are indexed made one, at the first one's place, and the index along it."""
    shape, axes = raw(x).shape, [axis for axis, _ in gathers]
    before, behind = list(range(axes[0])), [i for i in range(axes[0], len(shape)) if i not in axes]
    try:
        broadcast(*(raw(indices).shape for _, indices in gathers))
    except ValueError as error:
        raise ShapeError(
            "index arrays of one key cannot be paired",
            expected="axes that are equal or 1, counted from the last",
            got=str(error),
        ) from None
    flat: Any = 0
    for axis, indices in gathers:
        # taken from 0 … n − 1, an index is checked, and one from the end is counted from the front
        flat = flat * shape[axis] + take(arange_(size=shape[axis], dtype=INT64), indices)
    together = reshape(
        permute_dims(x, [*before, *axes, *behind]),
        (*(shape[i] for i in before), size_of(shape[i] for i in axes), *(shape[i] for i in behind)),
    )
    return together, flat


def _is_integer(k: Any) -> bool:
    return isinstance(k, (int, np.integer, Size)) and not isinstance(k, bool)


def _fill_ellipsis(given: tuple[Any, ...], ndim: int) -> list[Any]:
    entries = list(given)
    used = sum(np.ndim(raw(k)) if is_mask(k) else 1 for k in entries if k is not None and k is not Ellipsis)
    if used > ndim:
        raise ShapeError("too many indices", expected=f"at most {ndim}", got=f"{used} indices")
    if sum(k is Ellipsis for k in entries) > 1:
        raise ShapeError("too many indices", expected="at most one Ellipsis", got="several")
    at = next((i for i, k in enumerate(entries) if k is Ellipsis), len(entries))
    return [*entries[:at], *[slice(None)] * (ndim - used), *entries[at + 1 :]]


def _complete_slice(k: slice, n: Any) -> slice:
    """The slice with bounds within 0 … n, which name elements that there are; whatever selects nothing is 0:0."""
    if k == slice(None):
        return k
    step = _slice_step(k)
    if step != 1 or not any(isinstance(v, Size) for v in (n, k.start, k.stop)):
        start, stop, step = k.indices(int(n))
        if not range(start, stop, step):
            return slice(0, 0, 1)
        return slice(start, None if stop < 0 else stop, step)
    start, stop = _bound_index(k.start, n, 0), _bound_index(k.stop, n, n)
    return slice(start, start if stop < start else stop, 1)


def _slice_step(k: slice) -> int:
    """The step, if start, stop and step are what a slice may be made of."""
    wrong = any(v is not None and not hasattr(v, "__index__") for v in (k.start, k.stop, k.step))
    step = 0 if wrong else 1 if k.step is None else operator.index(k.step)
    if step == 0:
        raise ShapeError(
            "a slice is made of integers, and its step is not 0",
            expected="x[start:stop:step] with integers or nothing",
            got=f"{k.start}:{k.stop}:{k.step}",
            try_="step = 2 for every second element, step = -1 for the reverse order",
        )
    return step


def _bound_index(b: Any, n: Any, missing: Any) -> Any:
    """A bound of a slice within 0 … n; what is compared here is guarded, where sizes are symbolic."""
    if b is None:
        return missing
    if b < 0:
        return b + n if n + b >= 0 else 0
    return n if n < b else b


def _checked_index(k: Any, n: Dim, axis: int, shape: Shape) -> Any:
    """The index, counted from the front where that needs no size."""
    k = k if isinstance(k, Size) else operator.index(k)
    if not (k < n if k >= 0 else n + k >= 0):
        raise ShapeError(
            f"index {k} is out of range on axis {axis}",
            expected=f"from {-hint(n)} to {hint(n) - 1}",
            got=f"{k}, for shape {shape}",
        )
    return k + n if isinstance(k, Size) and k < 0 else k


def _index_array(k: Any) -> Any:
    value = raw(k)
    if isinstance(value, (list, tuple)):
        value = np.asarray(value) if value else np.zeros(0, np.int64)
    if getattr(getattr(value, "dtype", None), "kind", "O") not in "iu":
        raise ShapeError(
            "this index is not supported",
            expected="integers, slices, None, Ellipsis, integer arrays or a mask",
            got=f"{type(k).__name__} of {getattr(value, 'dtype', 'no dtype')}",
            try_="x.astype(np.int64) makes integers",
        )
    return k if raw(k) is value else value


def slice_axis(x: Value, axis: int, start: Dim, stop: Dim) -> Any:
    """x[start:stop] along one axis."""
    n = len(raw(x).shape)
    key = tuple(slice(start, stop, 1) if i - n == axis or i == axis else slice(None) for i in range(n))
    return getitem_(x, key=key)


# -------------------------------------------------------------------------------------------------- gathering
@primitive(
    "structural", numpy="np.take({x}, {indices}, axis={axis})", numba="take", tex="{x}_{{{indices}}}",
    picks="slices",
    shape=lambda x, indices, axis: (*x.shape[:axis], *indices.shape, *x.shape[len(x.shape) + axis + 1 :]),
    dtype=lambda x, indices, axis: x.dtype,
    vjp_x=lambda g, x, indices, axis: take_transposed(g, indices, size=x.shape[axis], axis=axis),
    batch=lambda batch, x, indices, *, axis: _batch_take(batch, x, indices, axis=axis),
)  # fmt: skip
def take_(x: Value, indices: Value, /, *, axis: Axes = -1) -> Any:
    """Entries of x at integer indices along an axis; the indices' axes stand where the axis stood.

    The axis may be left out if x has only one.

    x        an array
    indices  integers, from 0 or from the end
    axis     the axis that is indexed

    >>> import clearprop as cl
    >>> cl.take(cl.tensor([10.0, 20.0, 30.0]), [2, 0])
    Tensor([30.0, 10.0])
    """


def _per_example(batch: Dim, x: Value, indices: Value, axis: int) -> tuple[Any, Any]:
    """Indices of every example, laid along one axis of x: the shape of one example's indices, and they flattened."""
    n, shape = len(raw(x).shape), raw(indices).shape[1:]
    return shape, reshape_(indices, shape=(batch, *([1] * (n + axis - 1)), size_of(shape), *([1] * (-axis - 1))))


def _batch_take(batch: Dim, x: Value, indices: Value, *, axis: int) -> Any:
    own = raw(x).shape
    shape, lifted = _per_example(batch, x, indices, axis)
    out = take_along_axis_(*_side_by_side(x, lifted, axis), axis=axis)
    return reshape_(out, shape=(*own[: len(own) + axis], *shape, *own[len(own) + axis + 1 :]))


@take_.front
def take(x: Value, indices: Value, /, *, axis: int | None = None) -> Any:  # noqa: D103 - the declaration's docstring
    indices = _index_array(indices) if type(raw(indices)) not in PYTHON_SCALARS else np.asarray(raw(indices))
    return take_(x, indices, axis=only_axis(x, axis, "take"))


def _add_at(x: NDArray[Any], indices: NDArray[Any], size: int, axis: int) -> Any:
    """Sum slices of x into `size` places along an axis: what np.take spread is collected."""
    k = np.ndim(indices)
    first = x.ndim + axis - k + 1
    moved = np.moveaxis(x, range(first, first + k), range(k)) if k else x[None].reshape((1, *x.shape))
    flat = moved.reshape((np.size(indices), *moved.shape[max(k, 1) :]))
    out = np.zeros((size, *flat.shape[1:]), x.dtype)
    if flat.size:  # else nothing is added, and the indices may be those of an empty axis
        np.add.at(out, np.reshape(indices, -1), flat)
    return np.moveaxis(out, 0, first)


HELPERS["add_at"] = _add_at


def _batch_take_transposed(batch: Dim, x: Value, indices: Value, *, size: Dim, axis: int) -> Any:
    own, k = raw(x).shape, len(raw(indices).shape) - 1
    first = len(own) + axis - k + 1
    together = (*own[:first], size_of(own[first : first + k]), *own[first + k :])
    flat = reshape_(x, shape=together)
    _, lifted = _per_example(batch, flat, indices, axis)
    return along_transposed(flat, broadcast_to(lifted, together), size=size, axis=axis)


def _take_transposed_shape(x: Any, indices: Any, size: Any, axis: int) -> Any:
    first = len(x.shape) + axis - len(indices.shape) + 1
    return (*x.shape[:first], size, *x.shape[first + len(indices.shape) :])


@primitive(
    "structural", numpy="add_at({x}, {indices}, {size}, {axis})", numba="take_transposed", tex="{x}", public=False,
    shape=_take_transposed_shape, dtype=lambda x, indices, size, axis: x.dtype,
    vjp_x=lambda g, indices, axis: take_(g, indices, axis=axis),
    batch=lambda batch, x, indices, *, size, axis: _batch_take_transposed(batch, x, indices, size=size, axis=axis),
)  # fmt: skip
def take_transposed(x: Value, indices: Value, /, *, size: Dim, axis: Axes) -> Any:
    """The transpose of `take`: entries of x summed into the places that the indices name.

    `axis` counts from the end of the *result*.
    """


@primitive(
    "structural", numpy="np.take_along_axis({x}, {indices}, {axis})", numba="take_along_axis",
    tex="{x}_{{{indices}}}", paired=True, picks="entries",
    shape=lambda x, indices, axis: indices.shape, dtype=lambda x, indices, axis: x.dtype,
    vjp_x=lambda g, x, indices, axis: along_transposed(g, indices, size=x.shape[axis], axis=axis),
)  # fmt: skip
def take_along_axis_(x: Value, indices: Value, /, *, axis: Axes = -1) -> Any:
    """out[…, i, …] = x[…, indices[…, i, …], …] along one axis; the other axes broadcast.

    x        an array
    indices  integers, with as many axes as x
    axis     the axis that is indexed

    >>> import clearprop as cl
    >>> cl.take_along_axis(cl.tensor([[1.0, 2.0], [3.0, 4.0]]), [[1], [0]])
    Tensor([[2.0],
            [3.0]])
    """


@take_along_axis_.front
def take_along_axis(x: Value, indices: Value, /, *, axis: int = -1) -> Any:  # noqa: D103 - the declaration's docstring
    indices = _index_array(indices)
    at = normalise_axis(axis, len(raw(x).shape))
    return take_along_axis_(*_side_by_side(x, indices, at), axis=at)


def _side_by_side(x: Value, indices: Value, axis: int) -> tuple[Any, Any]:
    """Both repeated to the same sizes on every axis but one, so that the primitive need not broadcast."""
    shapes = raw(x).shape, raw(indices).shape
    at = len(shapes[0]) + axis
    try:
        if len(shapes[0]) != len(shapes[1]):
            raise ValueError(f"{len(shapes[0])} axes in x, {len(shapes[1])} in the indices")
        loop = broadcast(*((*s[:at], *s[at + 1 :]) for s in shapes))
    except ValueError as error:
        raise ShapeError(
            f"take_along_axis cannot pair {shapes[0]} with indices {shapes[1]}",
            expected=f"as many axes in both, equal or 1 except on axis {at}",
            got=str(error),
        ) from None
    wide = [(*loop[:at], s[at], *loop[at:]) for s in shapes]
    x, indices = (v if s == w else broadcast_to(v, w) for v, s, w in zip((x, indices), shapes, wide, strict=True))
    return x, indices


def _add_along(x: NDArray[Any], indices: NDArray[Any], size: int, axis: int) -> Any:
    shape = list(x.shape)
    shape[axis] = size
    out = np.zeros(shape, x.dtype)
    grid: list[Any] = list(np.indices(x.shape, sparse=True))
    grid[axis] = indices
    np.add.at(out, tuple(grid), x)
    return out


HELPERS["add_along"] = _add_along


@primitive(
    "structural", numpy="add_along({x}, {indices}, {size}, {axis})", numba="along_transposed", tex="{x}",
    public=False, paired=True,
    shape=lambda x, indices, size, axis: tuple(size if i - len(x.shape) == axis else n for i, n in enumerate(x.shape)),
    dtype=lambda x, indices, size, axis: x.dtype,
    vjp_x=lambda g, indices, axis: take_along_axis_(g, indices, axis=axis),
)  # fmt: skip
def along_transposed(x: Value, indices: Value, /, *, size: Dim, axis: Axes = -1) -> Any:
    """The transpose of `take_along_axis`."""


@composite("general", eager=eager.one_hot, tex=r"\mathbf 1_{{{labels}}}")
def one_hot(labels: Value, /, size: Dim | None = None, *, dtype: DTypeLike = FLOAT64) -> Any:
    """Rows with a 1 at the label's place and 0 elsewhere: shape labels.shape + (size,).

    labels  integers from 0 to size − 1
    size    how many classes there are
    dtype   of the result

    >>> import clearprop as cl
    >>> cl.one_hot([2, 0], size=3)
    Tensor([[0.0, 0.0, 1.0],
            [1.0, 0.0, 0.0]])
    """
    return astype(equal(expand_dims_(labels, axis=(-1,)), arange_(size=size, dtype=INT64)), dtype=dtype)


def iota(shape: Shape, axis: int, dtype: DTypeLike = INT64) -> Any:
    """The index along one axis of an array of the given shape, with size 1 on the others."""
    n = len(shape)
    axis = normalise_axis(axis, n)
    return reshape(
        arange_(size=shape[axis], dtype=dtype), tuple(s if i - n == axis else 1 for i, s in enumerate(shape))
    )
