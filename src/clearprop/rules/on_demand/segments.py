"""Reductions of rows that belong together: `segments` says of each row where it belongs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from clearprop.program.types import Value, is_floating, type_of
from clearprop.program.values import raw
from clearprop.rules.elementwise import as_floating, maximum, minimum, multiply
from clearprop.rules.indexing import take_transposed
from clearprop.rules.on_demand.scattering import combine_along_axis
from clearprop.rules.reductions import in_sum_dtype
from clearprop.rules.structural import full_, reshape


def segment_sum(x: Value, segments: Value, /, *, size: int) -> Any:
    """The sum of the rows of x that belong to each segment.

    x         an array (n, …)
    segments  the segment of each row, n integers from 0
    size      how many segments there are

    >>> import clearprop as cl
    >>> cl.segment_sum(cl.tensor([1.0, 2.0, 4.0]), [0, 1, 0], size=2)
    Tensor([5.0, 2.0])
    """
    rank = type_of(raw(x)).ndim
    x = in_sum_dtype(x)
    return take_transposed(x, segments, size=size, axis=-rank)


def segment_mean(x: Value, segments: Value, /, *, size: int) -> Any:
    """The mean of the rows of x that belong to each segment; NaN of none.

    x         an array (n, …)
    segments  the segment of each row, n integers from 0
    size      how many segments there are

    >>> import clearprop as cl
    >>> cl.segment_mean(cl.tensor([1.0, 2.0, 4.0]), [0, 1, 0], size=2)
    Tensor([2.5, 2.0])
    """
    total = segment_sum(as_floating(x), segments, size=size)
    t = type_of(raw(total))
    counts = segment_sum(full_(shape=type_of(raw(segments)).shape, value=1, dtype=t.dtype), segments, size=size)
    return total / reshape(counts, (size, *[1] * (t.ndim - 1)))


def segment_prod(x: Value, segments: Value, /, *, size: int) -> Any:
    """The product of the rows of x that belong to each segment; 1 of none.

    x         an array (n, …)
    segments  the segment of each row, n integers from 0
    size      how many segments there are

    >>> import clearprop as cl
    >>> cl.segment_prod(cl.tensor([2.0, 3.0, 4.0]), [0, 1, 0], size=2)
    Tensor([8.0, 3.0])
    """
    return _combine_rows(multiply, in_sum_dtype(x), segments, size, 1)


def segment_max(x: Value, segments: Value, /, *, size: int) -> Any:
    """The largest of the rows of x that belong to each segment, entry by entry; the smallest number there is of none.

    What ties shares the derivative, in pairs.

    x         an array (n, …)
    segments  the segment of each row, n integers from 0
    size      how many segments there are

    >>> import clearprop as cl
    >>> cl.segment_max(cl.tensor([1.0, 2.0, 4.0]), [0, 1, 0], size=2)
    Tensor([4.0, 2.0])
    """
    return _combine_rows(maximum, x, segments, size, _farthest(x, -1))


def segment_min(x: Value, segments: Value, /, *, size: int) -> Any:
    """The smallest of the rows of x that belong to each segment, entry by entry; the largest number there is of none.

    What ties shares the derivative, in pairs.

    x         an array (n, …)
    segments  the segment of each row, n integers from 0
    size      how many segments there are

    >>> import clearprop as cl
    >>> cl.segment_min(cl.tensor([1.0, 2.0, 4.0]), [0, 1, 0], size=2)
    Tensor([1.0, 2.0])
    """
    return _combine_rows(minimum, x, segments, size, _farthest(x, 1))


def _farthest(x: Value, sign: int) -> Any:
    """±∞, or the end of the integers of x's dtype: what every number comes before."""
    kind = type_of(raw(x)).dtype
    if is_floating(kind):
        return sign * math.inf
    ends = (0, 1) if kind.kind == "b" else (np.iinfo(kind).min, np.iinfo(kind).max)
    return ends[sign > 0]


def _combine_rows(operation: Callable[..., Any], x: Value, segments: Value, size: int, nothing: Any) -> Any:
    """Rows combined into those of an array that holds what is left of none."""
    t = type_of(raw(x))
    start = full_(shape=(size, *t.shape[1:]), value=nothing, dtype=t.dtype)
    return combine_along_axis(start, segments, operation, x, axis=-t.ndim)
