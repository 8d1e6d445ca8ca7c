"""Reductions and running totals that leave out NaN, which stands for what is missing; it passes nothing on."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from numpy.typing import DTypeLike

from clearprop.program.types import FLOAT64, INT64, Axes, Value, is_floating, type_of
from clearprop.program.values import raw
from clearprop.rules import elementwise as ew
from clearprop.rules import reductions, standard_forms
from clearprop.rules.indexing import take_along_axis
from clearprop.rules.on_demand.statistics import (
    Share,
    cumulative_prod,
    for_each_share,
    sorted_rows,
    with_axes_kept,
)
from clearprop.rules.structural import only_axis, squeeze


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


def nanprod(x: Value, /, *, axis: Axes = None, keepdims: bool = False) -> Any:
    """Product over axes of what is not NaN; 1 of nothing.

    x         numbers
    axis      the axes to reduce; None for all
    keepdims  whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.nanprod(cl.tensor([2.0, float('nan'), 3.0]))
    Tensor(6.0)
    """
    return standard_forms.prod(_without_nan(x, 1.0), axis=axis, keepdims=keepdims)


def nancumsum(x: Value, /, *, axis: int | None = None, dtype: DTypeLike | None = None) -> Any:
    """Running sum along an axis of what is not NaN, which counts as 0.

    x      numbers
    axis   the axis to sum along; it may be left out if x has only one
    dtype  to which numbers are converted first; None: integers become int64 or uint64, floats stay

    >>> import clearprop as cl
    >>> cl.nancumsum(cl.tensor([1.0, float('nan'), 2.0]))
    Tensor([1.0, 1.0, 3.0])
    """
    return standard_forms.cumulative_sum(_without_nan(x, 0.0), axis=only_axis(x, axis, "nancumsum"), dtype=dtype)


def nancumprod(x: Value, /, *, axis: int | None = None, dtype: DTypeLike | None = None) -> Any:
    """Running product along an axis of what is not NaN, which counts as 1.

    x      numbers
    axis   the axis to multiply along; it may be left out if x has only one
    dtype  to which numbers are converted first; None: integers become int64 or uint64, floats stay

    >>> import clearprop as cl
    >>> cl.nancumprod(cl.tensor([2.0, float('nan'), 3.0]))
    Tensor([2.0, 2.0, 6.0])
    """
    return cumulative_prod(_without_nan(x, 1.0), axis=only_axis(x, axis, "nancumprod"), dtype=dtype)


def nanmean(x: Value, /, *, axis: Axes = None, keepdims: bool = False) -> Any:
    """Mean over axes of what is not NaN; NaN of nothing.

    x         numbers
    axis      the axes to reduce; None for all
    keepdims  whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.nanmean(cl.tensor([1.0, float('nan'), 2.0]))
    Tensor(1.5)
    """
    return ew.divide(nansum(x, axis=axis, keepdims=keepdims), _count_numbers(x, axis, keepdims))


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
    return ew.divide(total, ew.maximum(_count_numbers(x, axis, keepdims) - correction, 0.0))


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
    return ew.divide(deviation, ew.sqrt(ew.maximum(_count_numbers(x, axis, keepdims) - correction, 0.0)))


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


def nanargmax(x: Value, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
    """Where the largest entry that is not NaN stands first; −1 where there is none, as JAX has it.

    x         numbers
    axis      the axis to search; None for all entries in order
    keepdims  whether the axis stays, with size 1

    >>> import clearprop as cl
    >>> cl.nanargmax(cl.tensor([float('nan'), 1.0, 2.0]))
    Tensor(2)
    """
    return _place_of(x, nanmax, axis, keepdims)


def nanargmin(x: Value, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
    """Where the smallest entry that is not NaN stands first; −1 where there is none, as JAX has it.

    x         numbers
    axis      the axis to search; None for all entries in order
    keepdims  whether the axis stays, with size 1

    >>> import clearprop as cl
    >>> cl.nanargmin(cl.tensor([float('nan'), 1.0, 2.0]))
    Tensor(1)
    """
    return _place_of(x, nanmin, axis, keepdims)


def _place_of(x: Value, extreme: Callable[..., Any], axis: int | None, keepdims: bool) -> Any:
    """The first entry that equals the extreme one, which no NaN does, nor ∞ that stands for one."""
    found = ew.equal(x, extreme(x, axis=axis, keepdims=True))
    place = reductions.argmax(found, axis=axis, keepdims=keepdims)
    return ew.where(reductions.any(found, axis=axis, keepdims=keepdims), place, -1)


def nanquantile(x: Value, q: Share, /, *, axis: Axes = None, keepdims: bool = False) -> Any:
    """The value below which the share q of what is not NaN lies, by linear interpolation; NaN where there is none.

    x         numbers
    q         the share, a Python number from 0 to 1; of several the results stand along a first axis
    axis      the axes to reduce; None for all
    keepdims  whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.nanquantile(cl.tensor([1.0, float('nan'), 2.0, 4.0]), 0.75)
    Tensor(3.0)
    """
    return _quantile_of_numbers(x, q, axis, keepdims, "nanquantile")


def _quantile_of_numbers(x: Value, q: Share, axis: Axes, keepdims: bool, name: str, whole: float = 1.0) -> Any:
    rows, _ = sorted_rows(x, axis)  # NaN behind the numbers, which are counted
    numbers = ew.astype(ew.logical_not(ew.isnan(rows)), dtype=FLOAT64)
    last = ew.maximum(reductions.sum(numbers, axis=-1, keepdims=True) - 1, 0)

    def entry(place: Value) -> Any:
        return squeeze(take_along_axis(rows, ew.astype(place, dtype=INT64), axis=-1), axis=-1)

    def found(share: float) -> Any:
        place = share * last
        low = ew.floor(place)
        part = squeeze(ew.astype(place - low, dtype=type_of(raw(rows)).dtype), axis=-1)
        below, above = entry(low), entry(ew.minimum(low + 1, last))
        between = ew.where(ew.equal(part, 0), below, below + part * (above - below))
        return with_axes_kept(between, x, axis, keepdims)

    return for_each_share(found, q, name, whole)


def nanpercentile(x: Value, q: Share, /, *, axis: Axes = None, keepdims: bool = False) -> Any:
    """The value below which q hundredths of what is not NaN lie; NaN where there is none.

    x         numbers
    q         a Python number from 0 to 100; of several the results stand along a first axis
    axis      the axes to reduce; None for all
    keepdims  whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.nanpercentile(cl.tensor([1.0, float('nan'), 3.0]), 50)
    Tensor(2.0)
    """
    return _quantile_of_numbers(x, q, axis, keepdims, "nanpercentile", 100.0)


def nanmedian(x: Value, /, *, axis: Axes = None, keepdims: bool = False) -> Any:
    """The middle of what is not NaN in order, or the mean of the two middle ones; NaN where there is none.

    x         numbers
    axis      the axes to reduce; None for all
    keepdims  whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.nanmedian(cl.tensor([1.0, float('nan'), 3.0]))
    Tensor(2.0)
    """
    return nanquantile(x, 0.5, axis=axis, keepdims=keepdims)
