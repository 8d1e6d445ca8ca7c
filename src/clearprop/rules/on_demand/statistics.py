"""Statistics of order, running products and extremes, and reductions that leave out NaN."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from numpy.typing import DTypeLike

from clearprop.errors import ArgumentError, ShapeError, user_line
from clearprop.program.types import Axes, Value, is_floating, type_of
from clearprop.program.values import raw
from clearprop.rules import elementwise as ew
from clearprop.rules import reductions, standard_forms
from clearprop.rules.indexing import slice_axis
from clearprop.rules.joining import concat, in_one_dtype
from clearprop.rules.on_demand.sorting import sort
from clearprop.rules.structural import only_axis, permute_dims, reshape, squeeze
from clearprop.shapes import normalise_axes, normalise_axis, size_of


def _running(x: Value, axis: int, combine: Callable[[Any, Any], Any]) -> Any:
    """Each entry combined with all before it, in ⌈log₂ n⌉ rounds (Hillis & Steele 1986): every derivative is right."""
    at = normalise_axis(axis, type_of(raw(x)).ndim)
    n = int(type_of(raw(x)).shape[at])
    step = 1
    while step < n:
        joined = combine(slice_axis(x, at, step, n), slice_axis(x, at, 0, n - step))
        x = concat([slice_axis(x, at, 0, step), joined], axis=at)
        step *= 2
    return x


def cumulative_prod(
    x: Value, /, *, axis: int | None = None, dtype: DTypeLike | None = None, include_initial: bool = False
) -> Any:
    """Running product along an axis, which may be left out if x has only one.

    x                numbers
    axis             the axis to multiply along
    dtype            to which numbers are converted first; None: integers become int64 or uint64, floats stay
    include_initial  whether the product of nothing, 1, stands in front

    >>> import clearprop as cl
    >>> cl.cumulative_prod(cl.tensor([2.0, 3.0, 4.0]))
    Tensor([2.0, 6.0, 24.0])
    """
    at = only_axis(x, axis, "cumulative_prod")
    widened = {"b": "int64", "i": "int64", "u": "uint64"}.get(type_of(raw(x)).dtype.kind)
    kind = widened if dtype is None else dtype
    out = _running(x if kind is None else standard_forms.astype(x, kind), at, ew.multiply)
    return standard_forms.with_initial(out, at, 1) if include_initial else out


def cummax(x: Value, /, *, axis: int | None = None) -> Any:
    """The largest entry so far along an axis, which may be left out if x has only one; NaN wins from where it stands.

    x     numbers
    axis  the axis to go along

    >>> import clearprop as cl
    >>> cl.cummax(cl.tensor([2.0, 1.0, 3.0]))
    Tensor([2.0, 2.0, 3.0])
    """
    return _running(x, only_axis(x, axis, "cummax"), ew.maximum)


def cummin(x: Value, /, *, axis: int | None = None) -> Any:
    """The smallest entry so far along an axis, which may be left out if x has only one; NaN wins from where it stands.

    x     numbers
    axis  the axis to go along

    >>> import clearprop as cl
    >>> cl.cummin(cl.tensor([2.0, 1.0, 3.0]))
    Tensor([2.0, 1.0, 1.0])
    """
    return _running(x, only_axis(x, axis, "cummin"), ew.minimum)


def logcumsumexp(x: Value, /, *, axis: int | None = None) -> Any:
    """log of the running sum of eˣ along an axis, without overflow.

    x     numbers
    axis  the axis to go along; it may be left out if x has only one

    >>> import clearprop as cl
    >>> cl.logcumsumexp(cl.tensor([1000.0, 1000.0]))
    Tensor([1000.0, 1000.69314718])
    """
    return _running(ew.as_floating(x), only_axis(x, axis, "logcumsumexp"), ew.logaddexp)


# ---------------------------------------------------------------------------------------------------- order statistics
def quantile(x: Value, q: float, /, *, axis: Axes = None, keepdims: bool = False) -> Any:
    """The value below which the share q of the entries lies, by linear interpolation (Hyndman & Fan 1996, type 7).

    NaN where an entry is NaN.  The derivative belongs to the two entries in order next to it.

    x         numbers
    q         the share, a Python number from 0 to 1
    axis      the axes to reduce; None for all
    keepdims  whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.quantile(cl.tensor([1.0, 2.0, 4.0]), 0.75)
    Tensor(3.0)
    """
    if not 0 <= q <= 1:
        raise ArgumentError("quantile takes a share", expected="q from 0 to 1", got=f"q = {q}", where=user_line())
    t = type_of(raw(x))
    axes = normalise_axes(axis, t.ndim)
    kept = [i for i in range(t.ndim) if i - t.ndim not in axes]
    n = int(size_of(t.shape[a] for a in axes))
    if n == 0:
        raise ShapeError(
            "no elements have no quantile",
            expected="at least one element along the axis",
            got=f"shape {t.shape}",
            where=user_line(),
        )
    rows = permute_dims(ew.as_floating(x), kept + [a % t.ndim for a in axes])
    rows = sort(reshape(rows, (*(t.shape[i] for i in kept), n)))
    low = min(math.floor(q * (n - 1)), n - 1)
    high, part = min(low + 1, n - 1), q * (n - 1) - low
    below, above = (squeeze(slice_axis(rows, -1, i, i + 1), axis=-1) for i in (low, high))
    last = squeeze(slice_axis(rows, -1, n - 1, n), axis=-1)  # NaN stands there, if there is one
    found = ew.where(ew.isnan(last), last, below if part == 0 else below + part * (above - below))
    return reshape(found, tuple(1 if i not in kept else s for i, s in enumerate(t.shape))) if keepdims else found


def median(x: Value, /, *, axis: Axes = None, keepdims: bool = False) -> Any:
    """The middle entry in order, or the mean of the two middle ones; NaN where an entry is NaN.

    x         numbers
    axis      the axes to reduce; None for all
    keepdims  whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.median(cl.tensor([3.0, 1.0, 2.0]))
    Tensor(2.0)
    """
    return quantile(x, 0.5, axis=axis, keepdims=keepdims)


# ------------------------------------------------------------------------------------------------------- without NaN
def _without_nan(x: Value, instead: float) -> Any:
    return ew.where(ew.isnan(x), instead, x) if is_floating(type_of(raw(x)).dtype) else x


def _count_numbers(x: Value, axis: Axes, keepdims: bool) -> Any:
    x = ew.as_floating(x)
    number = ew.astype(ew.logical_not(ew.isnan(x)), dtype=type_of(raw(x)).dtype)
    return reductions.sum(number, axis=axis, keepdims=keepdims)


def nansum(x: Value, /, *, axis: Axes = None, keepdims: bool = False) -> Any:
    """Sum over axes of what is not NaN; 0 of nothing.

    x         numbers
    axis      the axes to reduce; None for all
    keepdims  whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.nansum(cl.tensor([1.0, float('nan'), 2.0]))
    Tensor(3.0)
    """
    return reductions.sum(_without_nan(x, 0.0), axis=axis, keepdims=keepdims)


def nanmean(x: Value, /, *, axis: Axes = None, keepdims: bool = False) -> Any:
    """Mean over axes of what is not NaN; NaN of nothing.

    x         numbers
    axis      the axes to reduce; None for all
    keepdims  whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.nanmean(cl.tensor([1.0, float('nan'), 2.0]))
    Tensor(1.5)
    """
    return nansum(x, axis=axis, keepdims=keepdims) / _count_numbers(x, axis, keepdims)


def nanvar(x: Value, /, *, axis: Axes = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """Variance over axes of what is not NaN.

    x           numbers
    axis        the axes to reduce; None for all
    correction  0 for the population's, 1 for an estimate from a sample
    keepdims    whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.nanvar(cl.tensor([1.0, float('nan'), 3.0]))
    Tensor(1.0)
    """
    centred = _centred_numbers(x, axis)
    total = reductions.sum(centred * centred, axis=axis, keepdims=keepdims)
    return total / ew.maximum(_count_numbers(x, axis, keepdims) - correction, 0.0)


def _centred_numbers(x: Value, axis: Axes) -> Any:
    """The distance of each number from their mean, 0 where there is none; of infinities it is NaN, and stays."""
    return ew.where(ew.isnan(x), 0.0, x - nanmean(x, axis=axis, keepdims=True))


def nanstd(x: Value, /, *, axis: Axes = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """Standard deviation over axes of what is not NaN.

    x           numbers
    axis        the axes to reduce; None for all
    correction  0 for the population's, 1 for an estimate from a sample
    keepdims    whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.nanstd(cl.tensor([1.0, float('nan'), 3.0]))
    Tensor(1.0)
    """
    deviation = reductions.norm(_centred_numbers(x, axis), axis=axis, keepdims=keepdims)  # squares that fit
    return deviation / ew.sqrt(ew.maximum(_count_numbers(x, axis, keepdims) - correction, 0.0))


def _extreme_number(x: Value, axis: Axes, keepdims: bool, sign: float) -> Any:
    """The largest (sign 1) or smallest (−1) number; NaN where there is none."""
    reduce = reductions.max if sign > 0 else reductions.min
    if not is_floating(type_of(raw(x)).dtype):
        return reduce(x, axis=axis, keepdims=keepdims)
    found = reduce(_without_nan(x, -sign * math.inf), axis=axis, keepdims=keepdims)
    return ew.where(ew.equal(_count_numbers(x, axis, keepdims), 0), math.nan, found)


def nanmax(x: Value, /, *, axis: Axes = None, keepdims: bool = False) -> Any:
    """Largest entry over axes that is not NaN; NaN where there is none.

    x         numbers
    axis      the axes to reduce; None for all
    keepdims  whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.nanmax(cl.tensor([1.0, float('nan'), 2.0]))
    Tensor(2.0)
    """
    return _extreme_number(x, axis, keepdims, 1.0)


def nanmin(x: Value, /, *, axis: Axes = None, keepdims: bool = False) -> Any:
    """Smallest entry over axes that is not NaN; NaN where there is none.

    x         numbers
    axis      the axes to reduce; None for all
    keepdims  whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.nanmin(cl.tensor([1.0, float('nan'), 2.0]))
    Tensor(1.0)
    """
    return _extreme_number(x, axis, keepdims, -1.0)


def trapezoid(y: Value, x: Value | None = None, /, *, dx: float = 1.0, axis: int = -1) -> Any:
    """The integral of samples along an axis by the trapezoidal rule.

    y     the samples
    x     where they were taken; None: at distances dx
    dx    the distance, where x is not given
    axis  the axis of the samples

    >>> import clearprop as cl
    >>> cl.trapezoid(cl.tensor([0.0, 1.0, 4.0]))
    Tensor(3.0)
    """
    if x is not None:
        y, x = in_one_dtype("trapezoid", (y, x))
    y, x = ew.as_floating(y), None if x is None else ew.as_floating(x)  # sums of small integers would wrap around
    at = normalise_axis(axis, type_of(raw(y)).ndim)
    n = type_of(raw(y)).shape[at]
    pairs = slice_axis(y, at, 1, n) + slice_axis(y, at, 0, n - 1)
    if x is None:
        return 0.5 * dx * reductions.sum(pairs, axis=at)
    t = type_of(raw(x))
    place = at if t.ndim > 1 else -1
    widths = slice_axis(x, place, 1, t.shape[place]) - slice_axis(x, place, 0, t.shape[place] - 1)
    if t.ndim == 1:
        widths = reshape(widths, (type_of(raw(widths)).shape[0], *([1] * (-at - 1))))
    return 0.5 * reductions.sum(pairs * widths, axis=at)
