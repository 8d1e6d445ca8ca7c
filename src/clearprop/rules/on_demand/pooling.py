"""Pools: the largest entry, or the mean, of every window, as steps over the taps of the window."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.errors import ArgumentError, ShapeError, user_line
from clearprop.primitives import composite
from clearprop.program.types import Value, is_floating, type_of
from clearprop.program.values import raw
from clearprop.rules.arithmetic import add, maximum
from clearprop.rules.elementwise import equal, greater, isnan, logical_or, stop_gradient, where
from clearprop.rules.indexing import getitem_, scatter_slice
from clearprop.rules.on_demand.convolution import (
    Padding,
    Steps,
    numbers_of,
    outputs_of_windows,
    padding_widths,
    steps_along,
)
from clearprop.rules.on_demand.manipulation import pad
from clearprop.rules.structural import broadcast_to, full_, reshape
from clearprop.shapes import Shape

INT32 = np.dtype(np.int32)


def _first_of_the_largest(*ways: Iterator[Any]) -> tuple[Any, ...]:
    """Of what comes tap by tap on each way, what comes where the first way has the first of its largest entries."""
    best = next(entries := zip(*ways, strict=True))
    for tap in entries:
        better = logical_or(greater(tap[0], best[0]), isnan(tap[0]))
        best = tuple(where(better, new, old) for new, old in zip(tap, best, strict=True))
    return best


def _outputs(x: Value, window: Steps, stride: Steps, dilation: Steps) -> Steps:
    return outputs_of_windows(numbers_of(type_of(raw(x)).shape[1:-1]), window, stride, dilation)


def _spread(g: Value, x: Value, window: Steps, stride: Steps, dilation: Steps) -> Any:
    """The cotangent of x: each entry of g at the first of the largest of its window, and 0 elsewhere.

    Along an axis tap a of window i meets position (i + q)·stride + r, where dilation·a = q·stride + r.  So the taps of
    one q are laid side by side: x is blocks of `stride` positions, and an entry is that of its block or 0.
    """
    shape, out = type_of(raw(x)).shape, _outputs(x, window, stride, dilation)
    numbers = (full_(shape=(), value=k, dtype=INT32) for k in range(math.prod(window)))
    _, number = _first_of_the_largest(_cut(stop_gradient(x), window, out, stride, dilation), numbers)
    apart = (shape[0], *itertools.chain(*((n, 1) for n in out)), shape[-1])
    number, g = reshape(broadcast_to(number, type_of(raw(g)).shape), apart), reshape(g, apart)
    pieces = (
        _lay_out(where(equal(number, taps), g, 0.0), shape, [q * s for q, s in zip(turn, stride, strict=True)], out)
        for turn, taps in _taps_by_turn(window, stride, dilation)
    )
    return functools.reduce(add, pieces)


def _taps_by_turn(window: Steps, stride: Steps, dilation: Steps) -> Iterator[tuple[Steps, NDArray[Any]]]:
    """For every q that occurs, from the last: the numbers of its taps by r, −1 where there is none."""
    found: dict[Steps, NDArray[Any]] = {}
    for number, tap in enumerate(itertools.product(*map(range, window))):
        met = [divmod(a * e, s) for a, e, s in zip(tap, dilation, stride, strict=True)]
        turn, place = zip(*met, strict=True)
        found.setdefault(turn, np.full(stride, -1, INT32))[place] = number
    blocks = (1, *itertools.chain(*((1, s) for s in stride)), 1)
    yield from ((turn, found[turn].reshape(blocks)) for turn in sorted(found, reverse=True))


def _lay_out(blocks: Value, shape: Shape, start: Sequence[int], out: Steps) -> Any:
    """Blocks side by side, from a position on, in zeros of the given shape; what lies outside is 0 and cut off."""
    space = numbers_of(shape[1:-1])
    found = type_of(raw(blocks)).shape[2:-1:2]
    wide = [n * int(s) for n, s in zip(out, found, strict=True)]
    kept = [min(w, n - a) for w, n, a in zip(wide, space, start, strict=True)]
    whole = reshape(blocks, (shape[0], *wide, shape[-1]))
    if kept != wide:
        whole = getitem_(whole, key=(slice(None), *map(slice, kept), slice(None)))
    if kept == list(space):
        return whole
    key = (slice(a, a + k) for a, k in zip(start, kept, strict=True))
    return scatter_slice(whole, shape=shape, key=(slice(None), *key, slice(None)))


def _tangent(x_dot: Value, x: Value, window: Steps, stride: Steps, dilation: Steps) -> Any:
    """Of every window the tangent of the first of its largest entries."""
    out = _outputs(x, window, stride, dilation)
    ways = (_cut(v, window, out, stride, dilation) for v in (stop_gradient(x), x_dot))
    return _first_of_the_largest(*ways)[1]


def _as_one_batch(x: Value, window: Steps, stride: Steps, dilation: Steps) -> Any:
    """The pool of a batch of batches (m, n, *space, channels)."""
    (m, n), rest = type_of(raw(x)).shape[:2], type_of(raw(x)).shape[2:]
    y = max_pool_(reshape(x, (m * n, *rest)), window=window, stride=stride, dilation=dilation)
    return reshape(y, (m, n, *type_of(raw(y)).shape[1:]))


@composite(
    "structural", tex=r"\operatorname{{maxpool}} {x}", picks="entries", on_complex="refused",
    vjp_x=_spread, jvp=_tangent, batch=lambda size, x, **form: _as_one_batch(x, **form),
)  # fmt: skip
def max_pool_(x: Value, /, *, window: Steps, stride: Steps, dilation: Steps) -> Any:
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
    out = _outputs(x, window, stride, dilation)
    # of two zeros `maximum` gives the second, here that which came first
    return functools.reduce(lambda best, tap: maximum(tap, best), _cut(x, window, out, stride, dilation))


@max_pool_.front
def max_pool(  # noqa: D103 - the declaration's docstring
    x: Value, window: Sequence[int], /, *, stride: Any = None, padding: Padding = "valid", dilation: Any = 1
) -> Any:
    whole, taps, strides, spread = _with_padding("max_pool", x, window, stride, padding, dilation, -math.inf)
    return max_pool_(whole, window=taps, stride=strides, dilation=spread)


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
    whole, taps, strides, spread = _with_padding(name, x, window, stride, padding, dilation, around)
    yield from _cut(whole, taps, _outputs(whole, taps, strides, spread), strides, spread)


def _with_padding(
    name: str, x: Value, window: Sequence[int], stride: Any, padding: Padding, dilation: Any, around: float
) -> tuple[Any, Steps, Steps, Steps]:
    """x within its padding, and window, stride and dilation along each axis, checked."""
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
    if min(_outputs(x, taps, strides, spread)) < 1:
        raise ShapeError(
            f"{name}'s window does not fit",
            expected="a window that, spread by its dilation, is not larger than the padded input",
            got=f"window {taps}, padded input {type_of(raw(x)).shape[1:-1]}",
            where=user_line(),
        )
    return x, taps, strides, spread


def _cut(x: Value, window: Steps, out: Steps, stride: Steps, dilation: Steps) -> Iterator[Any]:
    for tap in itertools.product(*map(range, window)):
        key = (slice(a * e, a * e + (n - 1) * s + 1, s) for a, n, s, e in zip(tap, out, stride, dilation, strict=True))
        yield getitem_(x, key=(slice(None), *key, slice(None)))
