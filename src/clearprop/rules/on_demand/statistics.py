"""Statistics of order, running products and extremes, integrals of samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from clearprop.errors import ArgumentError, ShapeError, user_line
from clearprop.program.types import Axes, Value, type_of
from clearprop.program.values import raw
from clearprop.rules import elementwise as ew
from clearprop.rules import reductions, standard_forms
from clearprop.rules.indexing import slice_axis
from clearprop.rules.joining import concat, in_one_dtype, stack
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
Share = float | Sequence[float]
"""A share of the entries, or several."""


def for_each_share(found: Callable[[float], Any], q: Share, name: str, whole: float = 1.0) -> Any:
    """What is found at a share, a part of `whole`; of several shares, each along a first axis."""
    given = np.asarray(q)
    if given.dtype.kind not in "biuf" or given.ndim > 1 or not np.all((given >= 0) & (given <= whole)):
        raise ArgumentError(
            f"{name} takes a share",
            expected=f"q from 0 to {whole:g}, or a sequence of such",
            got=f"q = {q!r:.60}",
            where=user_line(),
        )
    shares = np.true_divide(given, whole)
    return stack([found(float(v)) for v in shares], axis=0) if given.ndim else found(float(shares))


def sorted_rows(x: Value, axis: Axes) -> tuple[Any, int]:
    """The entries that are reduced together, in order along a last axis, NaN behind; and how many they are."""
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
    return sort(reshape(rows, (*(t.shape[i] for i in kept), n))), n


def with_axes_kept(found: Value, x: Value, axis: Axes, keepdims: bool) -> Any:
    """One number for each row, with the reduced axes of x in size 1 where they are to stay."""
    t = type_of(raw(x))
    axes = normalise_axes(axis, t.ndim)
    return reshape(found, [1 if i - t.ndim in axes else s for i, s in enumerate(t.shape)]) if keepdims else found


def quantile(x: Value, q: Share, /, *, axis: Axes = None, keepdims: bool = False) -> Any:
    """The value below which the share q of the entries lies, by linear interpolation (Hyndman & Fan 1996, type 7).

    NaN where an entry is NaN.  The derivative belongs to the two entries in order next to it.

    x         numbers
    q         the share, a Python number from 0 to 1; of several the results stand along a first axis
    axis      the axes to reduce; None for all
    keepdims  whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.quantile(cl.tensor([1.0, 2.0, 4.0]), 0.75)
    Tensor(3.0)
    >>> cl.quantile(cl.tensor([1.0, 2.0, 4.0]), [0.0, 1.0])
    Tensor([1.0, 4.0])
    """
    return _quantile(x, q, axis, keepdims, "quantile")


def _quantile(x: Value, q: Share, axis: Axes, keepdims: bool, name: str, whole: float = 1.0) -> Any:
    rows, n = sorted_rows(x, axis)
    last = squeeze(slice_axis(rows, -1, n - 1, n), axis=-1)  # NaN stands there, if there is one

    def found(share: float) -> Any:
        low = min(math.floor(share * (n - 1)), n - 1)
        high, part = min(low + 1, n - 1), share * (n - 1) - low
        below, above = (squeeze(slice_axis(rows, -1, i, i + 1), axis=-1) for i in (low, high))
        value = ew.where(ew.isnan(last), last, below if part == 0 else below + part * (above - below))
        return with_axes_kept(value, x, axis, keepdims)

    return for_each_share(found, q, name, whole)


def percentile(x: Value, q: Share, /, *, axis: Axes = None, keepdims: bool = False) -> Any:
    """The value below which q hundredths of the entries lie: `quantile` of q/100.

    x         numbers
    q         a Python number from 0 to 100; of several the results stand along a first axis
    axis      the axes to reduce; None for all
    keepdims  whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.percentile(cl.tensor([1.0, 2.0, 4.0]), 75)
    Tensor(3.0)
    """
    return _quantile(x, q, axis, keepdims, "percentile", 100.0)


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
