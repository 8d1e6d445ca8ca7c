"""Structural primitives: they move or repeat entries; the VJP is the transpose of the move."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from numpy.typing import DTypeLike

from clearprop.errors import ShapeError
from clearprop.primitives import primitive
from clearprop.program.ir import is_array_now
from clearprop.program.types import PYTHON_SCALARS, Axes, Value, type_of
from clearprop.program.values import raw
from clearprop.rules import eager
from clearprop.shapes import (
    Dim,
    Shape,
    Size,
    as_shape,
    broadcast,
    divide,
    normalise_axes,
    normalise_axis,
    same,
    size_of,
)


# ------------------------------------------------------------------------------------------------- creation
@primitive(
    "structural",
    numpy="np.full({shape}, {value}, {dtype})",
    shape=lambda shape, value, dtype: shape,
    dtype=lambda shape, value, dtype: dtype,
    public=False,
    source="constant",
)
def full_(*, shape: Shape, value: Value, dtype: DTypeLike) -> Any:
    """An array of one repeated value."""


@primitive(
    "structural",
    numpy="np.arange({size}, dtype={dtype})",
    shape=lambda size, dtype: (size,),
    dtype=lambda size, dtype: dtype,
    public=False,
    source="indices",
)
def arange_(*, size: Dim, dtype: DTypeLike) -> Any:
    """The integers 0, 1, …, size − 1."""


@primitive("structural", numpy="{dim}", shape=lambda dim: [type_of(0)], public=False, source="size")
def size(*, dim: Dim) -> Any:
    """A size as a number: it adopts the dtype of what it meets."""


def _size_as_value(dim: Size) -> Any:
    return size(dim=dim)


Size.as_value = staticmethod(_size_as_value)


def zeros_like(x: Value) -> Any:
    """Zeros of x's shape and dtype.

    x  an array

    >>> import clearprop as cl
    >>> cl.zeros_like(cl.tensor([1.0, 2.0]))
    Tensor([0.0, 0.0])
    """
    value = raw(x)
    t = type_of(value)
    return full_(shape=t.shape, value=0, dtype=t.dtype)


def ones_like(x: Value) -> Any:
    """Ones of x's shape and dtype.

    x  an array

    >>> import clearprop as cl
    >>> cl.ones_like(cl.tensor([1.0, 2.0]))
    Tensor([1.0, 1.0])
    """
    t = type_of(raw(x))
    return full_(shape=t.shape, value=1, dtype=t.dtype)


def _shape(x: Any) -> Any:
    x = raw(x)
    return () if type(x) in PYTHON_SCALARS else x.shape


def only_axis(x: Value, axis: int | None, name: str) -> int:
    """The axis, or the only one there is."""
    n = len(_shape(x))
    if axis is None and n != 1:
        raise ShapeError(
            f"{name} needs an axis",
            expected="axis=…, or an array with one axis",
            got=f"shape {_shape(x)}",
            try_="axis=-1 for the last axis",
        )
    return -1 if axis is None else axis


# --------------------------------------------------------------------------------------------------- shape
def _batch_reshape(size: Dim, x: Value, *, shape: Shape) -> Any:
    return reshape_(x, shape=(size, *shape))


@primitive(
    "structural", numpy="np.reshape({x}, {shape})", tex="{x}", shape=lambda x, shape: shape, batch=_batch_reshape,
    view="reshape", absorbs=True,
    vjp_x=lambda g, x: reshape_(g, shape=x.shape),
)  # fmt: skip
def reshape_(x: Value, /, shape: Shape) -> Any:
    """The same elements in another shape; one size may be −1.

    x      an array
    shape  the new sizes: a number, or a sequence of them; one may be −1
    copy   without effect: a tensor never changes, so it need not be copied

    >>> import clearprop as cl
    >>> cl.reshape(cl.tensor([1.0, 2.0, 3.0, 4.0]), (2, -1))
    Tensor([[1.0, 2.0],
            [3.0, 4.0]])
    """


@reshape_.front
def reshape(x: Any, shape: Dim | Shape, *, copy: bool | None = None) -> Any:  # noqa: D103 - the declaration's docstring
    shape = as_shape(shape)
    return reshape_(x, shape=_complete_shape(_shape(x), shape))


def _complete_shape(old: Shape, new: Shape) -> Any:
    # Sizes may be polynomials of a trace: a quotient that is none becomes a new size, and equality is asked by `same`,
    # which merges what must agree instead of comparing numbers that hold for this call alone.
    unknown = [i for i, n in enumerate(new) if isinstance(n, int) and n == -1]
    total = size_of(old)
    if len(unknown) == 1:
        rest = size_of(n for i, n in enumerate(new) if i != unknown[0])
        missing = divide(total, rest)
        if missing is None and isinstance(total, Size):
            missing = total // rest
        if missing is not None and not (isinstance(rest, int) and rest == 0):
            return (*new[: unknown[0]], missing, *new[unknown[0] + 1 :])
    elif not unknown and same(total, size_of(new)):
        return new
    raise ShapeError(
        f"cannot reshape {old} to {new}",
        expected=f"{total} elements, and at most one size −1",
        got=f"shape {new}",
    )


@primitive(
    "structural", numpy="np.transpose({x}, {axes})", view="permute", eager=eager.permute_axes, tex=r"{x}^{{\top}}",
    shape=lambda x, axes: tuple(x.shape[a] for a in axes),
    vjp_x=lambda g, axes: permute_dims_(g, axes=_inverse(axes)),
    batch=lambda size, x, *, axes: permute_dims_(x, axes=(-len(axes) - 1, *axes)),
)  # fmt: skip
def permute_dims_(x: Value, /, axes: Axes) -> Any:
    """The axes of x in another order.

    x     an array
    axes  every axis once, in the new order

    >>> import clearprop as cl
    >>> cl.permute_dims(cl.zeros((2, 3, 4)), (2, 0, 1)).shape
    (4, 2, 3)
    """


def _inverse(axes: Sequence[int]) -> tuple[int, ...]:
    n = len(axes)
    return tuple(i - n for i in sorted(range(n), key=lambda i: axes[i] % n))


@permute_dims_.front
def permute_dims(x: Value, axes: Sequence[int]) -> Any:  # noqa: D103 - the declaration's docstring
    n = len(_shape(x))
    order = tuple(normalise_axis(operator.index(a), n) for a in axes)
    if sorted(order) != list(range(-n, 0)):
        raise ShapeError(
            "permute_dims needs every axis once",
            expected=f"a permutation of 0 … {n - 1}",
            got=f"axes = {tuple(axes)}",
        )
    return permute_dims_(x, axes=order)


def matrix_transpose(x: Value) -> Any:
    """The last two axes of x exchanged; `x.mT`.

    x  an array with at least two axes

    >>> import clearprop as cl
    >>> cl.matrix_transpose(cl.tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor([[1.0, 3.0],
            [2.0, 4.0]])
    """
    if is_array_now(x) and x.ndim > 1:
        return x.swapaxes(-1, -2)
    n = len(_shape(x))
    if n < 2:
        raise ShapeError(
            "mT needs two axes",
            expected="an array with at least two axes",
            got=f"shape {_shape(x)}",
            try_="x[:, None] makes a column",
        )
    return permute_dims_(x, axes=(*range(-n, -2), -1, -2))


def _batch_broadcast(size: Dim, x: Value, *, shape: Shape) -> Any:
    pad = len(shape) - (len(_shape(x)) - 1)
    own = _shape(x)
    return broadcast_to_(reshape_(x, shape=(own[0], *([1] * pad), *own[1:])), shape=(size, *shape))


@primitive(
    "structural", numpy="np.broadcast_to({x}, {shape})", view="broadcast", absorbs=True, eager=eager.spread, tex="{x}",
    shape=lambda x, shape: shape, batch=_batch_broadcast, vjp_x=lambda g: g,
)  # fmt: skip
def broadcast_to_(x: Value, /, shape: Shape) -> Any:
    """x repeated along axes of size 1 and new leading axes, without copying (but for small ones in eager mode).

    x      an array
    shape  the shape to repeat it to

    >>> import clearprop as cl
    >>> cl.broadcast_to(cl.tensor([1.0, 2.0]), (2, 2))
    Tensor([[1.0, 2.0],
            [1.0, 2.0]])
    """


@broadcast_to_.front
def broadcast_to(x: Value, shape: Shape) -> Any:  # noqa: D103 - the declaration's docstring
    require_broadcastable(x, shape)
    return broadcast_to_(x, shape=tuple(shape))


def require_broadcastable(x: Value, shape: Shape) -> None:
    """Raise a ShapeError where x cannot be repeated to a shape."""
    shape, own = tuple(shape), _shape(x)
    try:
        fits = len(own) <= len(shape) and all(same(a, b) for a, b in zip(broadcast(own, shape), shape, strict=True))
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(
            f"cannot broadcast {own} to {shape}",
            expected="axes that are equal or 1 in x, counted from the last",
            got=f"x has shape {own}",
        )


@primitive(
    "structural", numpy="np.squeeze({x}, {axis})", view="reshape", tex="{x}",
    shape=lambda x, axis: _squeeze_shape(x.shape, axis), vjp_x=lambda g, x: reshape_(g, shape=x.shape),
)  # fmt: skip
def squeeze(x: Value, /, axis: Axes = None) -> Any:
    """x without the named axes, which must have size 1 (None: every axis must).

    x     an array
    axis  the axes to drop; None for all

    >>> import clearprop as cl
    >>> cl.squeeze(cl.zeros((1, 3)), axis=0).shape
    (3,)
    """


def _squeeze_shape(shape: Shape, axes: Any) -> Any:
    wrong = [a for a in axes if not (isinstance(shape[a], int) and shape[a] == 1)]
    if wrong:
        raise ShapeError(
            f"cannot squeeze axis {wrong[0] % len(shape)}",
            expected="an axis of size 1",
            got=f"size {shape[wrong[0]]} in shape {shape}",
        )
    return tuple(n for i, n in enumerate(shape) if i - len(shape) not in axes)


@primitive(
    "structural", numpy="np.expand_dims({x}, {axis})", view="reshape", tex="{x}",
    shape=lambda x, axis: _expand_shape(x.shape, axis), vjp_x=lambda g, x: reshape_(g, shape=x.shape),
)  # fmt: skip
def expand_dims_(x: Value, /, axis: Axes) -> Any:
    """x with new axes of size 1 at the named positions of the result.

    x     an array
    axis  where the new axes stand in the result

    >>> import clearprop as cl
    >>> cl.expand_dims(cl.zeros(3), 0).shape
    (1, 3)
    """


def _expand_shape(shape: Shape, axes: Any) -> Any:
    n = len(shape) + len(axes)
    rest = iter(shape)
    return tuple(1 if i - n in axes else next(rest) for i in range(n))


@expand_dims_.front
def expand_dims(x: Any, axis: Any = 0) -> Any:  # noqa: D103 - the declaration's docstring
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    return expand_dims_(x, axis=normalise_axes(axes, len(_shape(x)) + len(axes)))


@primitive(
    "structural", numpy="np.flip({x}, {axis})", view="flip", tex=r"\operatorname{{flip}} {x}",
    shape=lambda x, axis: x.shape, vjp_x=lambda g, axis: flip(g, axis=axis),
)  # fmt: skip
def flip(x: Value, /, axis: Axes = None) -> Any:
    """x in reverse order along the axes (None: all).

    x     an array
    axis  the axes to reverse; None for all

    >>> import clearprop as cl
    >>> cl.flip(cl.tensor([1.0, 2.0, 3.0]))
    Tensor([3.0, 2.0, 1.0])
    """


def swapaxes(x: Value, a: int, b: int) -> Any:
    """x with two axes exchanged.

    x     an array
    a, b  the axes to exchange

    >>> import clearprop as cl
    >>> cl.swapaxes(cl.zeros((2, 3, 4)), 0, 2).shape
    (4, 3, 2)
    """
    n = len(_shape(x))
    axes = list(range(-n, 0))
    i, j = normalise_axis(a, n), normalise_axis(b, n)
    axes[i], axes[j] = axes[j], axes[i]
    return permute_dims_(x, axes=tuple(axes))
