"""Arrays with some entries written anew, never in place: `x.at[…]`, and what writes along an axis.

Where an index array names a place twice, `set` keeps the last in order, and the others combine what comes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from clearprop.errors import DTypeError, checked_methods, require_function, user_line
from clearprop.primitives import HELPERS, primitive
from clearprop.program.ir import Var
from clearprop.program.operands import admit
from clearprop.program.types import INT64, Value, fit_number, promote, type_of
from clearprop.program.values import raw
from clearprop.rules.elementwise import astype, divide, equal, maximum, minimum, multiply, negative, pow, where
from clearprop.rules.indexing import (
    Key,
    getitem,
    getitem_,
    is_mask,
    scatter_slice,
    slice_axis,
    sorted_key,
    take,
    take_along_axis,
    take_transposed,
)
from clearprop.rules.joining import concat, stack
from clearprop.rules.on_demand.sorting import argsort
from clearprop.rules.structural import arange_, broadcast_to, full_, require_broadcastable, reshape
from clearprop.shapes import Dim, Shape, normalise_axis, size_of

_TRUE = np.dtype(bool)
A = TypeVar("A")
"""The class of the arrays."""


def _last_writer(indices: NDArray[Any], size: int) -> NDArray[Any]:
    """1 + the place in order of the last index that names each of `size` places; 0 where none does."""
    out = np.zeros((*indices.shape[:-1], size), np.int64)
    np.put_along_axis(out, indices, np.arange(1, indices.shape[-1] + 1), axis=-1)
    return out


HELPERS["last_writer"] = _last_writer


@primitive(
    "general",
    numpy="last_writer({indices}, {size})",
    numba="last_writer",
    tex=r"\operatorname{{last}}({indices})",
    shape=lambda indices, size: (*indices.shape[:-1], size),
    dtype="int64",
    public=False,
    batch=lambda batch, indices, *, size: last_writer(indices, size=size),
)
def last_writer(indices: Value, /, *, size: Dim) -> Any:
    """For each of `size` places, 1 + the number of the last of the indices (…, k) that names it; 0 where none does."""


# --------------------------------------------------------------------------------------------- what is written where
@dataclass(frozen=True)
class _Cut:
    """Entries that slices and integers choose: each once."""

    x: Any
    parts: tuple[Any, ...]
    key: Key

    def read(self) -> Any:
        return getitem(self.x, self.key)

    def _spread(self, values: Value) -> Any:
        """The values at their places in zeros."""
        cut = type_of(raw(getitem_(self.x, key=self.parts))).shape
        values = reshape(broadcast_to(values, _shape(self.read())), cut)
        return scatter_slice(values, shape=_shape(self.x), key=self.parts)

    def write(self, values: Value) -> Any:
        written = self._spread(full_(shape=(), value=True, dtype=_TRUE))
        return where(written, self._spread(_fitting(values, self.x)), self.x)

    def add(self, values: Value) -> Any:
        return self.x + self._spread(_fitting(values, self.x))

    def combine(self, operation: Callable[..., Any], final: Callable[..., Any], values: Value) -> Any:
        return self.write(final(self.read(), values))


@dataclass(frozen=True)
class _Masked:
    """Entries that a mask over the first axes chooses; one value for all of them, or one for each trailing entry."""

    x: Any
    mask: Any

    def read(self) -> Any:
        return self.x

    def write(self, values: Value) -> Any:
        chosen = reshape(self.mask, (*_shape(self.mask), *[1] * (len(_shape(self.x)) - len(_shape(self.mask)))))
        return where(chosen, broadcast_to(_fitting(values, self.x), _shape(self.x)), self.x)

    def add(self, values: Value) -> Any:
        return self.write(self.x + values)

    def combine(self, operation: Callable[..., Any], final: Callable[..., Any], values: Value) -> Any:
        return self.write(final(self.x, values))


@dataclass(frozen=True)
class _Gathered:
    """Entries along one axis of `base` that indices name, perhaps several times; `base` is x, or x as a vector."""

    x: Any
    base: Any
    axis: int
    places: Any
    shape: Shape

    @property
    def size(self) -> Dim:
        n: Dim = _shape(self.base)[self.axis]
        return n

    def read(self) -> Any:
        return reshape(take(self.base, self.places, axis=self.axis), self.shape)

    def _lined_up(self, values: Value) -> Any:
        """The values in the order of the places, along the axis of `base`."""
        own = _shape(self.base)
        wide = broadcast_to(_fitting(values, self.x), self.shape)
        at = len(own) + self.axis
        return reshape(wide, (*own[:at], _shape(self.places)[0], *own[at + 1 :]))

    def write(self, values: Value) -> Any:
        return self._write_lines(self.places, self._lined_up(values))

    def _write_lines(self, places: Value, lines: Value) -> Any:
        n = self.size
        writer = last_writer(places, size=n)
        source = where(equal(writer, 0), arange_(size=n, dtype=INT64), writer + (n - 1))
        return reshape(take(concat([self.base, lines], axis=self.axis), source, axis=self.axis), _shape(self.x))

    def add(self, values: Value) -> Any:
        total = take_transposed(self._lined_up(values), self.places, size=self.size, axis=self.axis)
        return reshape(self.base + total, _shape(self.x))

    def combine(self, operation: Callable[..., Any], final: Callable[..., Any], values: Value) -> Any:
        places, lines = self.places, self._lined_up(values)
        if not _is_known_to_differ(places):
            places, lines = _running(operation, places, lines, self.axis)
        return self._write_lines(places, final(take(self.base, places, axis=self.axis), lines))


def _is_known_to_differ(places: Value) -> bool:
    value = raw(places)
    return not isinstance(value, Var) and len(np.unique(value)) == value.size


def _running(operation: Callable[..., Any], places: Value, lines: Value, axis: int) -> tuple[Any, Any]:
    """The places in order, and the lines combined with those before them at the same place: the last has them all.

    Doubling distances (Hillis & Steele 1986): log₂ n steps, each an ordinary operation, so every derivative is right.
    """
    order = argsort(places)
    places, lines = take(places, order), take(lines, order, axis=axis)
    n, distance = int(_shape(places)[0]), 1
    while distance < n:
        together = equal(slice_axis(places, -1, distance, n), slice_axis(places, -1, 0, n - distance))
        later, earlier = slice_axis(lines, axis, distance, n), slice_axis(lines, axis, 0, n - distance)
        together = reshape(together, (n - distance, *[1] * (-axis - 1)))
        joint = where(together, operation(earlier, later), later)
        lines = concat([slice_axis(lines, axis, 0, distance), joint], axis=axis)
        distance *= 2
    return places, lines


def _shape(x: Value) -> Shape:
    return type_of(raw(x)).shape


def _fitting(values: Value, x: Value) -> Any:
    """The values in the dtype of x, unless that would cut numbers off."""
    values = admit(values)
    own, given = type_of(raw(x)), type_of(raw(values))
    if not np.can_cast(promote([own, given])[0], own.dtype, "same_kind"):
        raise DTypeError(
            f"{given.dtype.name} values cannot stand in an array of {own.dtype.name}",
            expected=f"values of {own.dtype.name}, the dtype that the result keeps",
            got=given.dtype.name,
            where=user_line(),
            try_=f"x.astype(np.{given.dtype.name}) first, or values.astype(np.{own.dtype.name})",
        )
    if given.dtype == own.dtype and not given.weak:
        return values
    return astype(fit_number("at", values, own.dtype, compares=False), dtype=own.dtype)


def _target(x: Value, key: Key, values_rank: int) -> Any:
    # The cheapest that will do: a mask alone is a choice, cuts are written as they are, and an index along one axis
    # needs no index of every entry.
    shape = _shape(x)
    given = key if isinstance(key, tuple) else (key,)
    if len(given) == 1 and is_mask(given[0]):
        mask = np.asarray(given[0]) if isinstance(given[0], list) else given[0]
        rank = len(_shape(mask))
        if _shape(mask) == shape[:rank] and values_rank <= len(shape) - rank:
            return _Masked(x, mask)
    parts, new_axes, gathers = sorted_key(x, given)
    if not gathers:
        return _Cut(x, tuple(parts), key)
    if len(gathers) == 1 and not new_axes and all(isinstance(p, slice) and p == slice(None) for p in parts):
        return _along_axis(x, gathers[0][1], gathers[0][0] - len(shape))
    return _entry_by_entry(x, lambda numbers: getitem(numbers, key))


def _entry_by_entry(x: Value, read: Callable[[Any], Any]) -> _Gathered:
    """The entries that `read` gives of an array of the shape of x."""
    shape = _shape(x)
    places = read(reshape(arange_(size=size_of(shape), dtype=INT64), shape))
    return _Gathered(x, reshape(x, (-1,)), -1, reshape(places, (-1,)), _shape(places))


def _along_axis(x: Value, indices: Value, axis: int) -> _Gathered:
    """What indices along one axis name."""
    shape = _shape(x)
    at = len(shape) + axis
    places = take(arange_(size=shape[axis], dtype=INT64), indices)  # checked, and counted from the front
    return _Gathered(x, x, axis, reshape(places, (-1,)), (*shape[:at], *_shape(places), *shape[at + 1 :]))


def combine_along_axis(x: Value, indices: Value, operation: Callable[..., Any], values: Value, *, axis: int) -> Any:
    """x with slices of values combined into those that indices name along an axis; each gets all that come to it.

    >>> import numpy as np
    >>> from clearprop.rules.elementwise import maximum
    >>> combine_along_axis(np.zeros(2), np.array([0, 0]), maximum, np.array([1.0, 3.0]), axis=-1)
    array([3., 0.])
    """
    return _along_axis(x, indices, axis).combine(operation, operation, values)


# ----------------------------------------------------------------------------------------------------- what users see
@checked_methods
class Entries(Generic[A]):
    """The entries of an array that a key names; each method gives a new array, with these entries changed."""

    __slots__ = ("_key", "_x")

    def __init__(self, x: A, key: Key) -> None:
        self._x: Any = x
        self._key = key

    def _target(self, values: Value) -> Any:
        return _target(self._x, self._key, len(_shape(values)))

    def get(self) -> A:
        """These entries, as `x[key]` has them."""
        out: A = getitem(self._x, self._key)
        return out

    def set(self, values: Value) -> A:
        """The array with these entries replaced; of a place that is named twice, the last value stays."""
        values = _as_array(values)
        out: A = self._target(values).write(values)
        return out

    def add(self, values: Value) -> A:
        """The array with the values added; a place that is named twice gets both."""
        values = _as_array(values)
        out: A = self._target(values).add(values)
        return out

    def subtract(self, values: Value) -> A:
        """The array with the values subtracted."""
        return self.add(negative(_fitting(_as_array(values), self._x)))

    def multiply(self, values: Value) -> A:
        """The array with these entries multiplied, by every value that comes to them."""
        return self._combine(multiply, multiply, values)

    mul = multiply

    def divide(self, values: Value) -> A:
        """The array with these entries divided, by every value that comes to them."""
        return self._combine(multiply, divide, values)

    def power(self, values: Value) -> A:
        """The array with these entries raised to every power that comes to them, one after the other."""
        return self._combine(multiply, pow, values)

    def max(self, values: Value) -> A:
        """The array with the larger of each entry and the values that come to it; what ties shares the derivative."""
        return self._combine(maximum, maximum, values)

    def min(self, values: Value) -> A:
        """The array with the smaller of each entry and the values that come to it; what ties shares the derivative."""
        return self._combine(minimum, minimum, values)

    def apply(self, function: Callable[[Any], Any]) -> A:
        """The array with these entries replaced by a function of each by itself, such as `cl.exp`.

        For a mask the function is called with the whole array, since how many entries it chooses may not be known.
        """
        require_function(function, "apply")
        target = self._target(0)
        out: A = target.write(function(target.read()))
        return out

    def _combine(self, operation: Callable[..., Any], final: Callable[..., Any], values: Value) -> A:
        values = _as_array(values)
        out: A = self._target(values).combine(operation, final, values)
        return out


class Places(Generic[A]):
    """`x.at`: index it as x itself is indexed, and say what becomes of these entries."""

    __slots__ = ("_x",)

    def __init__(self, x: A) -> None:
        self._x = x

    def __getitem__(self, key: Key) -> Entries[A]:
        return Entries(self._x, key)


def at(x: A, /) -> Places[A]:
    """The places of x: `x.at[key].set(values)` is a new array with the values written at x[key]."""
    return Places(x)


def _as_array(values: Any) -> Any:
    return stack([_as_array(v) for v in values]) if isinstance(values, (list, tuple)) and values else values


def index_add(x: Value, indices: Value, values: Value, /, *, axis: int) -> Any:
    """x with slices of values added at indices along an axis; an index that stands twice gets both.

    x        an array
    indices  integers, one axis
    values   what is added: the shape of x, but along the axis one slice for each index
    axis     the axis that is indexed

    >>> import clearprop as cl
    >>> cl.index_add(cl.tensor([1.0, 2.0, 3.0]), [0, 0], cl.tensor([10.0, 20.0]), axis=0)
    Tensor([31.0, 2.0, 3.0])
    """
    return _along_axis(x, indices, normalise_axis(axis, len(_shape(x)))).add(values)


def put_along_axis(x: Value, indices: Value, values: Value, /, *, axis: int = -1) -> Any:
    """x with out[…, indices[…, i, …], …] = values[…, i, …] along one axis: what `take_along_axis` reads, written.

    x        an array
    indices  integers, with as many axes as x
    values   what is written there; of a place that is named twice, the last value stays
    axis     the axis that is indexed

    >>> import clearprop as cl
    >>> cl.put_along_axis(cl.tensor([[1.0, 2.0], [3.0, 4.0]]), [[1], [0]], 0.0)
    Tensor([[1.0, 0.0],
            [0.0, 4.0]])
    """
    return _entry_by_entry(x, lambda numbers: take_along_axis(numbers, indices, axis=axis)).write(values)


def masked_fill(x: Value, mask: Value, value: Value, /) -> Any:
    """x with one value wherever a mask holds, in x's dtype and shape.

    x      an array
    mask   truth values, of a shape that broadcasts to that of x
    value  a number, or an array of such a shape

    >>> import clearprop as cl
    >>> cl.masked_fill(cl.tensor([1.0, -2.0]), [False, True], 0.0)
    Tensor([1.0, 0.0])
    """
    shape = _shape(x)
    if type_of(raw(mask)).dtype.kind != "b":
        raise DTypeError(
            "masked_fill chooses by truth values",
            expected="a mask of bool",
            got=type_of(raw(mask)).dtype.name,
            where=user_line(),
            try_="mask != 0",
        )
    value = _fitting(value, x)
    for given in (mask, value):
        require_broadcastable(given, shape)
    return where(mask, value, x)  # a mask of whole rows stays one, which a gradient knows them by
