"""Pools: the largest entry, or the mean, of every window, as steps over the taps of the window."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from clearprop.errors import ArgumentError, ShapeError, user_line
from clearprop.program.types import Value, is_floating, type_of
from clearprop.program.values import raw
from clearprop.rules.elementwise import greater, isnan, logical_or, where
from clearprop.rules.indexing import getitem_
from clearprop.rules.on_demand.convolution import (
    Padding,
    Steps,
    numbers_of,
    outputs_of_windows,
    padding_widths,
    steps_along,
)
from clearprop.rules.on_demand.manipulation import pad


def max_pool(
    x: Value, window: Sequence[int], /, *, stride: Any = None, padding: Padding = "valid", dilation: Any = 1
) -> Any:
    """The largest entry of every window, channel by channel; of equal ones the first, and NaN wins.

    x         (n, *space, channels)
    window    how many positions along each axis of space
    stride    positions from one window to the next: a number, or one for each axis; without it the windows touch
    padding   as in `conv`; nothing that is put around is ever the largest of a window that meets x
    dilation  positions from one tap to the next: a number, or one for each axis

    Gives (n, *out, channels).  Raises ShapeError for windows that do not fit, ArgumentError for the rest.

    >>> import clearprop as cl
    >>> cl.max_pool(cl.tensor([[[1.0], [3.0], [2.0], [0.0]]]), (2,))[0, :, 0]
    Tensor([3.0, 2.0])
    """
    taps = _windows("max_pool", x, window, stride, padding, dilation, -math.inf)
    best = next(taps)
    for tap in taps:
        best = where(logical_or(greater(tap, best), isnan(tap)), tap, best)
    return best


def avg_pool(
    x: Value, window: Sequence[int], /, *, stride: Any = None, padding: Padding = "valid", count_padding: bool = True
) -> Any:
    """The mean of every window, channel by channel.

    x              (n, *space, channels)
    window         how many positions along each axis of space
    stride         positions from one window to the next: a number, or one for each axis; without it the windows touch
    padding        as in `conv`: zeros around x
    count_padding  whether these zeros count; if not, the sum is divided by how many entries of x the window meets

    Gives (n, *out, channels).  Raises ShapeError for windows that do not fit, ArgumentError for the rest.

    >>> import clearprop as cl
    >>> cl.avg_pool(cl.tensor([[[1.0], [3.0], [2.0], [0.0]]]), (2,))[0, :, 0]
    Tensor([2.0, 1.0])
    """
    total: Any = 0
    for tap in _windows("avg_pool", x, window, stride, padding, 1, 0.0):
        total = total + tap
    if count_padding:
        return total / math.prod(window)
    space = tuple(map(int, type_of(raw(x)).shape[1:-1]))
    ones = np.ones((1, *space, 1), type_of(raw(x)).dtype)
    met: Any = 0
    for tap in _windows("avg_pool", ones, window, stride, padding, 1, 0.0):
        met = met + tap
    return total / met


def _windows(
    name: str, x: Value, window: Sequence[int], stride: Any, padding: Padding, dilation: Any, around: float
) -> Iterator[Any]:
    """For every tap of the window, in order, the entries that it meets: (n, *out, channels)."""
    shape = type_of(raw(x)).shape
    if not isinstance(window, list | tuple) or len(shape) != len(window) + 2 or not window:
        raise ShapeError(
            f"{name} needs x (n, *space, channels) and a window over space",
            expected="one number for each axis of space: (2, 2) for images",
            got=f"x {shape}, window {window!r}",
            where=user_line(),
            try_="x[None] for a single example, x[..., None] for one channel",
        )
    if not is_floating(type_of(raw(x)).dtype):
        raise ArgumentError(
            f"{name} is of floating-point numbers", expected="float32 or float64", got=f"{type_of(raw(x)).dtype}",
            where=user_line(),
        )  # fmt: skip
    axes = len(window)
    taps, spread = steps_along(window, axes, "window"), steps_along(dilation, axes, "dilation")
    strides = taps if stride is None else steps_along(stride, axes, "stride")
    widths = padding_widths(padding, numbers_of(shape[1:-1]), taps, strides, spread)
    if any(map(any, widths)):
        x = pad(x, [(0, 0), *widths, (0, 0)], value=around)
    out = outputs_of_windows(numbers_of(type_of(raw(x)).shape[1:-1]), taps, strides, spread)
    if min(out) < 1:
        raise ShapeError(
            f"{name}'s window does not fit",
            expected="a window that, spread by its dilation, is not larger than the padded input",
            got=f"window {taps}, padded input {type_of(raw(x)).shape[1:-1]}",
            where=user_line(),
        )
    yield from _cut(x, taps, out, strides, spread)


def _cut(x: Value, window: Steps, out: Steps, stride: Steps, dilation: Steps) -> Iterator[Any]:
    for tap in itertools.product(*map(range, window)):
        key = (slice(a * e, a * e + (n - 1) * s + 1, s) for a, n, s, e in zip(tap, out, stride, dilation, strict=True))
        yield getitem_(x, key=(slice(None), *key, slice(None)))
