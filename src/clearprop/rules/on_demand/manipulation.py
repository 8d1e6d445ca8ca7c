"""Moves of entries, written with the structural primitives: derivatives and native forms are those of the moves."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.errors import ArgumentError, ShapeError, user_line
from clearprop.program.types import Axes, Value, type_of
from clearprop.program.values import raw
from clearprop.rules.elementwise import not_equal
from clearprop.rules.indexing import slice_axis, take
from clearprop.rules.joining import concat
from clearprop.rules.structural import (
    broadcast_to,
    expand_dims,
    flip,
    full_,
    permute_dims,
    reshape,
    squeeze,
    swapaxes,
)
from clearprop.shapes import Shape, broadcast, normalise_axis, size_of


def _shape(x: Value) -> Shape:
    return type_of(raw(x)).shape


def _axes(axis: Axes, n: int) -> list[int]:
    return [normalise_axis(a, n) % n for a in ((axis,) if isinstance(axis, int) else axis or ())]


def moveaxis(x: Value, source: Axes, destination: Axes, /) -> Any:
    """x with some axes moved to other places; the rest keep their order.

    x            an array
    source       the axes to move, one or several
    destination  where each of them stands in the result

    >>> import clearprop as cl
    >>> cl.moveaxis(cl.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    n = len(_shape(x))
    sources, places = _axes(source, n), _axes(destination, n)
    if len(set(sources)) != len(set(places)) or len(sources) != len(places):
        raise ArgumentError(
            "moveaxis moves each axis to a place of its own",
            expected="as many places as axes, none twice",
            got=f"source = {source}, destination = {destination}",
            where=user_line(),
        )
    order = [a for a in range(n) if a not in sources]
    for place, a in sorted(zip(places, sources, strict=True)):
        order.insert(place, a)
    return permute_dims(x, order)


def roll(x: Value, /, shift: int | Sequence[int], *, axis: Axes = None) -> Any:
    """x with its entries moved on along axes; what leaves at the end comes in at the front.

    x      an array
    shift  how far, for all axes or for each
    axis   the axes; None moves all entries in order

    >>> import clearprop as cl
    >>> cl.roll(cl.tensor([1, 2, 3]), 1)
    Tensor([3, 1, 2])
    """
    if axis is None:
        return reshape(roll(reshape(x, (-1,)), shift, axis=0), _shape(x))
    axes = _axes(axis, len(_shape(x)))
    shifts = [operator.index(s) for s in ((shift,) if isinstance(shift, int) else shift)]
    if len(shifts) == 1:
        shifts *= len(axes)
    if len(shifts) != len(axes):
        raise ArgumentError(
            "roll needs one shift for each axis",
            expected=f"{len(axes)} shifts",
            got=f"{len(shifts)}",
            where=user_line(),
        )
    for a, s in zip(axes, shifts, strict=True):
        n = int(_shape(x)[a])
        cut = -s % n if n else 0
        x = concat([slice_axis(x, a - len(_shape(x)), cut, n), slice_axis(x, a - len(_shape(x)), 0, cut)], axis=a)
    return x


def tile(x: Value, repetitions: Sequence[int], /) -> Any:
    """x repeated as a whole along each axis, new leading axes included.

    x            an array
    repetitions  how often along each axis

    >>> import clearprop as cl
    >>> cl.tile(cl.tensor([1, 2]), (2, 2))
    Tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    times = (repetitions,) if isinstance(repetitions, int) else tuple(repetitions)
    rank = max(len(times), len(_shape(x)))
    times = (1,) * (rank - len(times)) + times
    sizes = (1,) * (rank - len(_shape(x))) + tuple(_shape(x))
    apart = reshape(x, tuple(v for n in sizes for v in (1, n)))
    wide = broadcast_to(apart, tuple(v for t, n in zip(times, sizes, strict=True) for v in (t, n)))
    return reshape(wide, tuple(t * n for t, n in zip(times, sizes, strict=True)))


def repeat(x: Value, repeats: Any, /, *, axis: int | None = None) -> Any:
    """Each entry of x repeated in place.

    x        an array
    repeats  how often: a number, or one for each entry of the axis
    axis     the axis; None repeats all entries in order

    >>> import clearprop as cl
    >>> cl.repeat(cl.tensor([1, 2]), 2)
    Tensor([1, 1, 2, 2])
    """
    if axis is None:
        return repeat(reshape(x, (-1,)), repeats, axis=0)
    shape = _shape(x)
    at = normalise_axis(axis, len(shape)) % len(shape)
    if isinstance(repeats, int):
        wide = broadcast_to(expand_dims(x, at + 1), (*shape[: at + 1], repeats, *shape[at + 1 :]))
        return reshape(wide, (*shape[:at], shape[at] * repeats, *shape[at + 1 :]))
    counts = np.asarray(repeats)
    if counts.ndim > 1 or counts.dtype.kind not in "iu" or counts.size not in (1, shape[at]) or np.any(counts < 0):
        raise ArgumentError(
            "repeat takes one count for each entry",
            expected=f"{shape[at]} integers from 0",
            got=f"{counts.dtype.name}{list(counts.shape)}",
            where=user_line(),
        )
    return take(x, np.repeat(np.arange(int(shape[at])), counts), axis=at)


def unstack(x: Value, /, *, axis: int = 0) -> tuple[Any, ...]:
    """The arrays that lie along an axis, as a tuple.

    x     an array
    axis  the axis to take apart

    >>> import clearprop as cl
    >>> cl.unstack(cl.tensor([[1, 2], [3, 4]]))
    (Tensor([1, 2]), Tensor([3, 4]))
    """
    at = normalise_axis(axis, len(_shape(x)))
    return tuple(squeeze(slice_axis(x, at, i, i + 1), axis=at) for i in range(int(_shape(x)[at])))


def split(x: Value, /, sections: int | Sequence[int], *, axis: int = 0) -> tuple[Any, ...]:
    """The parts of x along an axis, as a tuple.

    x         an array
    sections  how many equal parts, or the indices at which a new part begins
    axis      the axis to cut

    >>> import clearprop as cl
    >>> cl.split(cl.tensor([1, 2, 3]), [1])
    (Tensor([1]), Tensor([2, 3]))
    """
    at = normalise_axis(axis, len(_shape(x)))
    n = int(_shape(x)[at])
    if isinstance(sections, int):
        if sections < 1 or n % sections:
            raise ShapeError(
                f"split cannot cut {n} into {sections} equal parts",
                expected="a number of parts that divides the size",
                got=f"size {n}, {sections} parts",
                where=user_line(),
                try_="a list of the indices at which parts begin",
            )
        sections = range(n // sections, n, n // sections)
    cuts = [0, *(_inside(s, n) for s in sections), n]
    return tuple(slice_axis(x, at, a, max(a, b)) for a, b in itertools.pairwise(cuts))


def _inside(index: int, n: int) -> int:
    return min(index if index >= 0 else max(n + index, 0), n)


def broadcast_arrays(*arrays: Value) -> tuple[Any, ...]:
    """The arrays repeated to one shape, as a tuple.

    arrays  arrays of shapes that broadcast

    >>> import clearprop as cl
    >>> a, b = cl.broadcast_arrays(cl.zeros((2, 1)), cl.zeros(3))
    >>> a.shape, b.shape
    ((2, 3), (2, 3))
    """
    try:
        shape = broadcast(*map(_shape, arrays))
    except ValueError as error:
        raise ShapeError(
            "broadcast_arrays cannot broadcast " + " and ".join(str(_shape(a)) for a in arrays),
            expected="axes that are equal or 1, counted from the last",
            got=str(error),
            where=user_line(),
        ) from None
    return tuple(broadcast_to(a, shape) for a in arrays)


def _with_ends(x: Value, axis: int, before: Value | None, behind: Value | None) -> Any:
    """x with arrays put before and behind it; a number stands for one entry of each row."""
    edge = tuple(1 if i == axis else n for i, n in enumerate(_shape(x), -len(_shape(x))))
    head, tail = (v if v is None or _shape(v) else broadcast_to(v, edge) for v in (before, behind))
    return concat([v for v in (head, x, tail) if v is not None], axis=axis)


def diff(x: Value, /, n: int = 1, *, axis: int = -1, prepend: Value | None = None, append: Value | None = None) -> Any:
    """The differences of neighbours along an axis, n times over.

    x                an array
    n                how often the difference is taken
    axis             the axis
    prepend, append  arrays that are put before and behind x first; a number stands for one entry of each row

    >>> import clearprop as cl
    >>> cl.diff(cl.tensor([1.0, 4.0, 9.0]))
    Tensor([3.0, 5.0])
    """
    if n < 0:
        raise ArgumentError("diff takes a difference n times", expected="n from 0", got=f"n = {n}", where=user_line())
    at = normalise_axis(axis, len(_shape(x)))
    if prepend is not None or append is not None:
        x = _with_ends(x, at, prepend, append)
    for _ in range(n):
        size = _shape(x)[at]
        if isinstance(size, int) and size == 0:
            break
        after, before = slice_axis(x, at, 1, size), slice_axis(x, at, 0, size - 1)
        x = not_equal(after, before) if type_of(raw(x)).dtype.kind == "b" else after - before
    return x


_PAD_MODES = ("constant", "edge", "reflect", "symmetric", "wrap")


def pad(x: Value, width: Any, /, mode: str = "constant", *, value: float = 0.0) -> Any:
    """x with entries put around it.

    x      an array
    width  how many: a number, (before, after), or one such pair for each axis
    mode   "constant", "edge" (the last entry again), "reflect" (mirrored at it), "symmetric" (behind it), "wrap"
    value  what "constant" puts there

    >>> import clearprop as cl
    >>> cl.pad(cl.tensor([1.0, 2.0]), (1, 2), mode="edge")
    Tensor([1.0, 1.0, 2.0, 2.0, 2.0])
    """
    rank = len(_shape(x))
    if mode not in _PAD_MODES:
        raise ArgumentError(
            f"pad has no mode {mode!r}", expected=", ".join(_PAD_MODES), got=repr(mode), where=user_line()
        )
    for axis, (before, after) in zip(range(-rank, 0), _pad_widths(width, rank), strict=True):
        if mode == "constant":
            x = concat([_constant_block(x, axis, before, value), x, _constant_block(x, axis, after, value)], axis=axis)
        elif before or after:
            x = take(x, np.pad(np.arange(int(_shape(x)[axis])), (before, after), mode=mode), axis=axis)  # type: ignore[call-overload]  # checked above
    return x


def _pad_widths(width: Any, rank: int) -> list[tuple[int, int]]:
    try:
        widths = np.asarray(width)
        if widths.dtype.kind not in "iu":
            raise TypeError("widths are integers")
        pairs = np.broadcast_to(widths, (rank, 2)).tolist()
        if min(map(min, pairs), default=0) < 0:
            raise ValueError("a width below 0")
    except (ValueError, TypeError) as error:
        raise ArgumentError(
            "pad needs widths for each axis",
            expected=f"a number, (before, after), or {rank} such pairs, from 0",
            got=f"{width!r}: {error}",
            where=user_line(),
        ) from None
    return [tuple(p) for p in pairs]


def _constant_block(x: Value, axis: int, n: int, value: float) -> Any:
    t = type_of(raw(x))
    shape = tuple(n if i - t.ndim == axis else s for i, s in enumerate(t.shape))
    return full_(shape=shape, value=np.asarray(value, t.dtype).item(), dtype=t.dtype)


def rot90(x: Value, /, k: int = 1, *, axes: Sequence[int] = (0, 1)) -> Any:
    """x turned by k right angles in the plane of two axes, from the first towards the second.

    x     an array
    k     how many right angles
    axes  the plane

    >>> import clearprop as cl
    >>> cl.rot90(cl.tensor([[1, 2], [3, 4]]))
    Tensor([[2, 4],
            [1, 3]])
    """
    a, b = axes
    if k % 4 == 2:
        return flip(x, axis=(a, b))
    if k % 4 == 1:
        return swapaxes(flip(x, axis=b), a, b)
    return flip(swapaxes(x, a, b), axis=b) if k % 4 == 3 else x


def ravel(x: Value, /) -> Any:
    """All entries of x in order, as a vector.

    x  an array

    >>> import clearprop as cl
    >>> cl.ravel(cl.tensor([[1, 2], [3, 4]]))
    Tensor([1, 2, 3, 4])
    """
    return reshape(x, (-1,))


def flatten(x: Value, /, first: int = 0, last: int = -1) -> Any:
    """x with neighbouring axes as one; by default all of them, as a vector.

    x      an array
    first  the first axis that is joined
    last   the last one

    >>> import clearprop as cl
    >>> cl.flatten(cl.zeros((2, 3, 4)), 1).shape
    (2, 12)
    """
    shape = _shape(x)
    if not shape:
        return reshape(x, (1,))
    begin, end = (normalise_axis(a, len(shape)) % len(shape) for a in (first, last))
    if begin > end:
        raise ArgumentError(
            "flatten joins axes from the first to the last",
            expected="a first axis that does not stand behind the last",
            got=f"first = {first}, last = {last} of shape {shape}",
            where=user_line(),
        )
    return reshape(x, (*shape[:begin], size_of(shape[begin : end + 1]), *shape[end + 1 :]))


def _at_least(x: Value, before: int, rank: int) -> Any:
    """New axes in front, `before` of them at most, the rest behind, until there are `rank`."""
    missing = max(rank - len(_shape(x)), 0)
    front = min(before, missing)
    return reshape(x, ((1,) * front + tuple(_shape(x)) + (1,) * (missing - front))) if missing else x


def atleast_1d(x: Value, /) -> Any:
    """x with at least one axis: a number as a vector of one.

    x  an array or a number

    >>> import clearprop as cl
    >>> cl.atleast_1d(2.0)
    Tensor([2.0])
    """
    return _at_least(x, 1, 1)


def atleast_2d(x: Value, /) -> Any:
    """x with at least two axes: a vector as a row.

    x  an array or a number

    >>> import clearprop as cl
    >>> cl.atleast_2d(cl.tensor([1.0, 2.0])).shape
    (1, 2)
    """
    return _at_least(x, 2, 2)


def atleast_3d(x: Value, /) -> Any:
    """x with at least three axes: a vector of n as (1, n, 1), a matrix with an axis behind, as in NumPy.

    x  an array or a number

    >>> import clearprop as cl
    >>> cl.atleast_3d(cl.tensor([1.0, 2.0])).shape
    (1, 2, 1)
    """
    return _at_least(x, 1 if len(_shape(x)) else 3, 3) if len(_shape(x)) < 2 else _at_least(x, 0, 3)


def atleast_nd(x: Value, /, *, ndim: int) -> Any:
    """x with at least `ndim` axes, new ones in front.

    x     an array or a number
    ndim  how many axes

    >>> import clearprop as cl
    >>> cl.atleast_nd(cl.tensor([1.0, 2.0]), ndim=3).shape
    (1, 1, 2)
    """
    return _at_least(x, operator.index(ndim), operator.index(ndim))
