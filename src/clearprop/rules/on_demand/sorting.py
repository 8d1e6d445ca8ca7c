"""Order: sorting, searching, sets, counting.  An order has no derivative; what is moved by it has that of the move."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clearprop.errors import ArgumentError, DTypeError, ShapeError, user_line
from clearprop.primitives import primitive
from clearprop.program.operands import complex_operands
from clearprop.program.types import INT64, Axes, Type, Value, type_of
from clearprop.program.values import raw
from clearprop.rules.elementwise import (
    as_floating,
    astype,
    equal,
    isnan,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    maximum,
    minimum,
    not_equal,
    stop_gradient,
    where,
)
from clearprop.rules.indexing import getitem, slice_axis, take, take_along_axis, take_transposed
from clearprop.rules.joining import in_one_dtype
from clearprop.rules.reductions import in_sum_dtype, sum
from clearprop.rules.structural import broadcast_to, expand_dims, flip, full_, reshape
from clearprop.shapes import Shape, normalise_axis


@primitive(
    "general",
    numpy='np.argsort({x}, axis={axis}, kind="stable")',
    tex=r"\operatorname{{argsort}} {x}",
    shape=lambda x, axis: x.shape,
    dtype="int64",
)
def argsort_(x: Value, /, *, axis: Axes = -1) -> Any:
    """The indices that bring x into order along an axis; equal entries keep theirs, NaN comes last.

    x           numbers
    axis        the axis to sort along
    descending  from the largest to the smallest
    stable      without effect: the order of equal entries is always kept

    >>> import clearprop as cl
    >>> cl.argsort(cl.tensor([3.0, 1.0, 2.0]))
    Tensor([1, 2, 0])
    """


@argsort_.front
def argsort(x: Value, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:  # noqa: D103 - the declaration's docstring
    if not descending:
        return argsort_(x, axis=axis)
    at = normalise_axis(axis, type_of(raw(x)).ndim)
    last = type_of(raw(x)).shape[at] - 1
    return last - flip(argsort_(flip(x, axis=at), axis=at), axis=at)


def sort(x: Value, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """x in order along an axis, NaN last; each entry takes its derivative along.

    x           numbers
    axis        the axis to sort along
    descending  from the largest to the smallest
    stable      without effect: the order of equal entries is always kept

    >>> import clearprop as cl
    >>> cl.sort(cl.tensor([3.0, 1.0, 2.0]))
    Tensor([1.0, 2.0, 3.0])
    >>> cl.grad(lambda x: cl.sort(x)[0])(cl.tensor([3.0, 1.0, 2.0]))
    Tensor([0.0, 1.0, 0.0])
    """
    return take_along_axis(x, argsort(x, axis=axis, descending=descending), axis=axis)


def topk(x: Value, k: int, /, *, axis: int = -1) -> tuple[Any, ...]:
    """The k largest entries along an axis, from the largest on, and their indices.

    x     numbers
    k     how many
    axis  the axis to search

    >>> import clearprop as cl
    >>> cl.topk(cl.tensor([3.0, 1.0, 2.0]), 2)
    (Tensor([3.0, 2.0]), Tensor([0, 2]))
    """
    at = normalise_axis(axis, type_of(raw(x)).ndim)
    n = type_of(raw(x)).shape[at]
    if not 0 <= k <= int(n):
        raise ShapeError(f"topk cannot take {k} of {n}", expected=f"k from 0 to {n}", got=f"k = {k}", where=user_line())
    order = slice_axis(argsort(x, axis=at, descending=True), at, 0, k)
    return take_along_axis(x, order, axis=at), order


def _search_shape(a: Type, b: Type, side: str) -> Shape:
    if a.ndim != 1:
        raise ShapeError("searchsorted searches a vector", expected="one axis in the first operand", got=str(a.shape))
    return b.shape


def _count_before(a: Value, b: Value, side: str) -> Any:
    """How many of a row of `a` come before each entry of a row of `b`, by comparing all with all; NaN is largest."""
    own = type_of(raw(b)).shape
    rows = reshape(a, (type_of(raw(a)).shape[0], *([1] * (len(own) - 1)), type_of(raw(a)).shape[1]))
    b = expand_dims(b, -1)
    nan = logical_and(isnan(b), logical_not(isnan(rows))) if side == "left" else isnan(b)
    before = (less if side == "left" else less_equal)(rows, b)
    return sum(astype(logical_or(before, nan), dtype=INT64), axis=-1)


@primitive(
    "general",
    numpy="np.searchsorted({a}, {b}, side={side})",
    tex=r"\operatorname{{searchsorted}}({a}, {b})",
    shape=_search_shape,
    dtype="int64",
    batch=lambda size, a, b, *, side: _count_before(a, b, side),
)
def searchsorted_(a: Value, b: Value, /, *, side: str = "left") -> Any:
    """Where entries would be put into a sorted vector so that it stays sorted.

    a       a vector in ascending order
    b       the entries to place
    side    "left": before entries that are equal; "right": behind them
    sorter  indices that bring `a` into order, where it is not

    >>> import clearprop as cl
    >>> cl.searchsorted(cl.tensor([1.0, 2.0, 4.0]), cl.tensor([2.0, 3.0]))
    Tensor([1, 2])
    """


@searchsorted_.front
def searchsorted(a: Value, b: Value, /, *, side: str = "left", sorter: Value | None = None) -> Any:  # noqa: D103 - the declaration's docstring
    if side not in ("left", "right"):
        raise ArgumentError(
            'side is "left" or "right"', expected='"left" or "right"', got=repr(side), where=user_line()
        )
    return searchsorted_(a if sorter is None else take(a, sorter, axis=0), b, side=side)


def lexsort(keys: Sequence[Any], /, *, axis: int = -1) -> Any:
    """The indices that bring several keys into order along an axis: by the last key, ties by the one before it.

    keys  arrays of one shape, the most important one last, or an array of them along its first axis
    axis  of each key, the axis to sort along

    >>> import clearprop as cl
    >>> cl.lexsort((cl.tensor([3, 1, 2]), cl.tensor([1, 0, 1])))
    Tensor([1, 2, 0])
    """
    rows = keys if isinstance(keys, list | tuple) else [getitem(keys, k) for k in _rows_of(keys)]
    shapes = {tuple(type_of(raw(row)).shape) for row in rows}
    if len(shapes) != 1:
        raise ShapeError(
            "lexsort takes keys of one shape",
            expected="one key or more, which all have the same shape",
            got=f"{len(rows)} keys" + (f" of shapes {', '.join(sorted(map(str, shapes)))}" if shapes else ""),
            where=user_line(),
        )
    order = argsort(rows[0], axis=axis)
    for row in rows[1:]:
        order = take_along_axis(order, argsort(take_along_axis(row, order, axis=axis), axis=axis), axis=axis)
    return order


def _rows_of(keys: Any) -> Iterable[int]:
    """The places along the first axis of an array of keys; a number has none."""
    shape = type_of(raw(keys)).shape
    return range(int(shape[0])) if shape else ()


def interp(x: Value, xp: Value, fp: Value, /, *, left: Value | None = None, right: Value | None = None) -> Any:
    """The broken line through the points (xp, fp) at x: between two points fₖ + (fₖ₊₁ − fₖ)(x − xₖ)/(xₖ₊₁ − xₖ).

    Differentiable by x, xp and fp; at a point, where the line breaks, the derivative by x is the slope to its right.

    x      numbers
    xp     places of the points in ascending order, a vector
    fp     values there, a vector of the same length
    left   the value before the first point; None: that of the first
    right  the value behind the last point; None: that of the last

    >>> import clearprop as cl
    >>> cl.interp(cl.tensor([-1.0, 0.5, 3.0]), cl.tensor([0.0, 1.0, 2.0]), cl.tensor([0.0, 10.0, 30.0]))
    Tensor([0.0, 5.0, 30.0])
    """
    x, xp, fp = map(as_floating, in_one_dtype("interp", (x, xp, fp)))
    shapes = [type_of(raw(v)).shape for v in (xp, fp)]
    n = shapes[0][0] if len(shapes[0]) == 1 else 0
    if shapes[0] != shapes[1] or int(n) == 0:
        raise ShapeError(
            "interp needs points",
            expected="two vectors of one length, from 1",
            got=f"xp of shape {shapes[0]} and fp of shape {shapes[1]}",
            where=user_line(),
        )
    above = minimum(maximum(searchsorted(xp, x, side="right"), 1), maximum(n - 1, 0))
    below = maximum(above - 1, 0)
    x0, x1, f0, f1 = (take(v, k, axis=0) for v in (xp, fp) for k in (below, above))
    width = x1 - x0
    line = f0 + (f1 - f0) / where(equal(width, 0), 1.0, width) * (x - x0)
    first, last = getitem(xp, 0), getitem(xp, -1)
    line = where(less_equal(last, x), getitem(fp, -1), line)
    line = line if right is None else where(less(last, x), right, line)
    return where(less(x, first), getitem(fp, 0) if left is None else left, line)


def isin(x: Value, values: Value, /, *, invert: bool = False) -> Any:
    """Whether each entry of x is one of the values; NaN is none of them.

    x       numbers
    values  numbers, of any shape
    invert  whether the answers are turned round

    >>> import clearprop as cl
    >>> cl.isin(cl.tensor([1, 2, 3]), [3, 1])
    Tensor([True, False, True])
    """
    known = sort(reshape(values, (-1,)))
    n = type_of(raw(known)).shape[0]
    if int(n) == 0:
        return broadcast_to(invert, type_of(raw(x)).shape)
    found = equal(take(known, minimum(searchsorted(known, x), n - 1), axis=0), x)
    return logical_not(found) if invert else found


def count_nonzero(x: Value, /, *, axis: Axes = None, keepdims: bool = False) -> Any:
    """How many entries are not 0, over axes.

    x         numbers
    axis      the axes to count over; None for all
    keepdims  whether the axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.count_nonzero(cl.tensor([0.0, 3.0, -1.0]))
    Tensor(2)
    """
    return sum(astype(not_equal(x, 0), dtype=INT64), axis=axis, keepdims=keepdims)


# ------------------------------------------------------------------------------------------ sizes that depend on data
def _numbers(x: Value) -> NDArray[Any]:
    """The values, of which only an order or places are asked; a traced value has none, and says so."""
    return np.asarray(stop_gradient(x))


def nonzero(x: Value, /) -> tuple[Any, ...]:
    """The indices of the entries that are not 0, one vector for each axis; not within a compiled function.

    x  an array with at least one axis

    >>> import clearprop as cl
    >>> cl.nonzero(cl.tensor([0.0, 3.0, -1.0]))
    (Tensor([1, 2]),)
    """
    if not type_of(raw(x)).shape:
        raise ShapeError("nonzero needs an axis", expected="at least one axis", got="a number", where=user_line())
    return tuple(np.nonzero(_numbers(x)))


class UniqueAll(NamedTuple):
    """What `unique_all` finds."""

    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


class UniqueCounts(NamedTuple):
    """What `unique_counts` finds."""

    values: Any
    counts: Any


class UniqueInverse(NamedTuple):
    """What `unique_inverse` finds."""

    values: Any
    inverse_indices: Any


def unique_all(x: Value, /) -> UniqueAll:
    """The distinct entries in ascending order, where each is first met, which of them each entry is, how often it is.

    Every NaN is distinct.  Not within a compiled function: the sizes depend on the data.

    x  numbers

    >>> import clearprop as cl
    >>> cl.unique_all(cl.tensor([2, 1, 2])).counts
    Tensor([1, 2])
    """
    _, first, inverse, counts = np.unique(
        _numbers(x), return_index=True, return_inverse=True, return_counts=True, equal_nan=False
    )
    values = take(reshape(x, (-1,)), first, axis=0)  # by their places, so that they keep their history
    return UniqueAll(values, first, inverse.reshape(type_of(raw(x)).shape), counts)


def unique_counts(x: Value, /) -> UniqueCounts:
    """The distinct entries in ascending order, and how often each is met.

    x  numbers

    >>> import clearprop as cl
    >>> cl.unique_counts(cl.tensor([2, 1, 2])).values
    Tensor([1, 2])
    """
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


def unique_inverse(x: Value, /) -> UniqueInverse:
    """The distinct entries in ascending order, and which of them each entry is.

    x  numbers

    >>> import clearprop as cl
    >>> cl.unique_inverse(cl.tensor([2, 1, 2])).inverse_indices
    Tensor([1, 0, 1])
    """
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


def unique_values(x: Value, /) -> Any:
    """The distinct entries in ascending order.

    x  numbers

    >>> import clearprop as cl
    >>> cl.unique_values(cl.tensor([2, 1, 2]))
    Tensor([1, 2])
    """
    return unique_all(x).values


# ------------------------------------------------------------------------------------------------------- collecting
class HistogramResult(NamedTuple):
    """How much lies in each bin, and the ends of the bins, one more than there are bins."""

    counts: Any
    edges: Any


def histogram(
    x: Value, /, bins: Any = 10, *, range: Any = None, weights: Value | None = None, density: bool = False
) -> HistogramResult:
    """How many entries lie in each of some bins; the last bin has its right end, and what lies outside is left out.

    x        numbers
    bins     how many bins of equal width, or their ends in ascending order
    range    (low, high) of equal bins; None reads the smallest and largest entry, which needs their values
    weights  what each entry counts, in the shape of x, with a derivative; None: 1
    density  whether counts are divided by their sum and the widths, so that they are a density

    >>> import clearprop as cl
    >>> cl.histogram(cl.tensor([0.1, 0.2, 0.9]), 2, range=(0.0, 1.0)).counts
    Tensor([2, 1])
    """
    if type_of(raw(x)).dtype.kind == "c":
        raise complex_operands("histogram", [type_of(raw(x))])
    x = reshape(x, (-1,))
    edges = _equal_bins(x, int(bins), range) if isinstance(bins, int | np.integer) else _ascending_ends(bins)
    n = int(type_of(raw(edges)).shape[0]) - 1
    place = searchsorted(edges, x, side="right") - 1
    place = where(equal(x, getitem(edges, n)), n - 1, place)
    inside = logical_and(less_equal(getitem(edges, 0), x), less_equal(x, getitem(edges, n)))
    counts = bincount(where(inside, place, n), weights=None if weights is None else reshape(weights, (-1,)), size=n + 1)
    counts = slice_axis(counts, -1, 0, n)
    if density:
        counts = counts / (slice_axis(edges, -1, 1, n + 1) - slice_axis(edges, -1, 0, n)) / sum(counts)
    return HistogramResult(counts, edges)


def _equal_bins(x: Value, bins: int, ends: Any) -> NDArray[Any]:
    if ends is None:
        values = _numbers(x)
        ends = (values.min(), values.max()) if values.size else (0.0, 1.0)
    low, high = map(float, ends)
    if bins < 1 or not (-np.inf < low <= high < np.inf):
        raise ArgumentError(
            "histogram needs bins of a width",
            expected="a number of bins from 1, between two finite numbers in ascending order",
            got=f"{bins} bins from {low} to {high}",
            where=user_line(),
            try_="range=(low, high), which leaves out what lies outside",
        )
    return np.linspace(*((low - 0.5, high + 0.5) if low == high else (low, high)), bins + 1)


def _ascending_ends(bins: Any) -> Any:
    ends = np.asarray(bins) if type(bins) is list else bins
    value = raw(ends)
    if isinstance(value, np.ndarray) and (value.ndim != 1 or len(value) < 2 or not np.all(value[:-1] <= value[1:])):
        raise ArgumentError(
            "histogram needs the ends of bins in ascending order",
            expected="two numbers or more, none smaller than the one before it",
            got=f"bins = {value!r:.80}",
            where=user_line(),
        )
    return ends


def bincount(x: Value, /, *, weights: Value | None = None, minlength: int = 0, size: int | None = None) -> Any:
    """How often each integer from 0 occurs, or the sum of the weights where it does.

    x          integers from 0, one axis
    weights    what each of them counts; None: 1
    minlength  the least size of a result whose size is read from the values
    size       of the result, one more than the largest integer; None reads it from the values

    >>> import clearprop as cl
    >>> cl.bincount(cl.tensor([1, 1, 3]), size=4)
    Tensor([0, 2, 0, 1])
    """
    if type_of(raw(x)).dtype.kind not in "biu":
        raise DTypeError(
            "bincount counts integers",
            expected="integers from 0",
            got=type_of(raw(x)).dtype.name,
            where=user_line(),
            try_="x.astype(int), or cl.histogram for numbers",
        )
    if size is None:
        values = _numbers(x)
        size = max(int(values.max()) + 1 if values.size else 0, minlength)
    x = where(less(x, 0), size, x)  # beyond the last place: one from the end would be counted without a word
    shape = type_of(raw(x)).shape
    counted = (
        full_(shape=shape, value=1, dtype=INT64) if weights is None else broadcast_to(in_sum_dtype(weights), shape)
    )
    return take_transposed(counted, x, size=size, axis=-1)
