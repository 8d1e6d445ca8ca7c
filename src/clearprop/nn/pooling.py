"""Pools and their like: `MaxPool`, `AvgPool`, `GlobalPool`, `AdaptivePool`, `Upsample`; channels are the last axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.arrays.tensor import asarray
from clearprop.errors import ArgumentError, ShapeError, require_flag, unknown_name, user_line
from clearprop.nn.argument_checks import require_size
from clearprop.nn.fields import static
from clearprop.nn.module import Module
from clearprop.program.types import INT64
from clearprop.rules.elementwise import as_floating
from clearprop.rules.indexing import slice_axis, take
from clearprop.rules.joining import concat
from clearprop.rules.on_demand.convolution import padding_widths, steps_along
from clearprop.rules.on_demand.pooling import avg_pool, max_pool
from clearprop.rules.reductions import max, mean
from clearprop.rules.structural import reshape
from clearprop.shapes import size_of

MODES = ("mean", "max")
"""How a pool makes one number of several."""

MOST_WINDOWS = 10_000
"""The most windows of an adaptive pool along an axis: each is a slice of its own."""


class MaxPool(Module):
    """The largest number of every window, channel by channel: x (…, *space, channels) (Riesenhuber & Poggio 1999).

    The gradient goes to the first of the largest.

    window    how many places along each axis: a number, or one for each
    space     how many axes of places there are: 2 for images, 1 for sequences, 3 for volumes
    stride    places from one window to the next: a number, or one for each axis; None: the windows touch
    padding   "valid" for none, "same", a number, one for each axis, or pairs; it is never the largest
    dilation  places within a window from one to the next

    Raises ShapeError for x without these axes or smaller than the window.

    >>> import clearprop as cl
    >>> cl.nn.MaxPool(2)(cl.ones((4, 28, 28, 16))).shape
    (4, 14, 14, 16)
    """

    window: tuple[int, ...] = static()
    stride: tuple[int, ...] = static()
    dilation: tuple[int, ...] = static()
    padding: Any = static(default="valid")

    def __init__(
        self,
        window: int | tuple[int, ...],
        *,
        space: int = 2,
        stride: int | tuple[int, ...] | None = None,
        padding: Any = "valid",
        dilation: int | tuple[int, ...] = 1,
    ) -> None:
        fields = _windows("MaxPool", window, space, stride, padding, dilation)
        super().__init__(**fields)

    def forward(self, x: Any) -> Any:
        """The largest of every window."""
        pool = lambda x: max_pool(  # noqa: E731 - in one line with its like
            x, self.window, stride=self.stride, padding=self.padding, dilation=self.dilation
        )
        return _over_space(self, pool, x, len(self.window))

    def label(self) -> str:
        """`MaxPool((2, 2))`."""
        return _pool_label("MaxPool", self.window, self.stride, self.padding)


class AvgPool(Module):
    """The mean of every window, channel by channel: x (…, *space, channels).

    window         how many places along each axis: a number, or one for each
    space          how many axes of places there are: 2 for images, 1 for sequences, 3 for volumes
    stride         places from one window to the next: a number, or one for each axis; None: the windows touch
    padding        "valid" for none, "same", a number, one for each axis, or pairs: zeros
    count_padding  whether these zeros count; if not, the sum is divided by how many places of x the window meets

    Raises ShapeError for x without these axes or smaller than the window.

    >>> import clearprop as cl
    >>> cl.nn.AvgPool(2, space=1)(cl.tensor([[1.0], [3.0], [5.0], [7.0]]))
    Tensor([[2.0],
            [6.0]])
    """

    window: tuple[int, ...] = static()
    stride: tuple[int, ...] = static()
    padding: Any = static(default="valid")
    count_padding: bool = static(default=True)

    def __init__(
        self,
        window: int | tuple[int, ...],
        *,
        space: int = 2,
        stride: int | tuple[int, ...] | None = None,
        padding: Any = "valid",
        count_padding: bool = True,
    ) -> None:
        fields = _windows("AvgPool", window, space, stride, padding, 1)
        del fields["dilation"]
        super().__init__(count_padding=require_flag("AvgPool", "count_padding", count_padding), **fields)

    def forward(self, x: Any) -> Any:
        """The mean of every window."""
        pool = lambda x: avg_pool(  # noqa: E731 - in one line with its like
            x, self.window, stride=self.stride, padding=self.padding, count_padding=self.count_padding
        )
        return _over_space(self, pool, x, len(self.window))

    def label(self) -> str:
        """`AvgPool((2, 2))`."""
        return _pool_label("AvgPool", self.window, self.stride, self.padding)


class GlobalPool(Module):
    """The mean or the largest over all places: x (…, *space, channels), y (…, channels) (Lin et al. 2014).

    mode   "mean" or "max"
    space  how many axes of places there are: 2 for images, 1 for sequences, 3 for volumes

    Raises ShapeError for x without these axes.

    >>> import clearprop as cl
    >>> cl.nn.GlobalPool()(cl.ones((4, 7, 7, 64))).shape
    (4, 64)
    """

    mode: str = static(default="mean")
    space: int = static(default=2)

    def __init__(self, mode: str = "mean", *, space: int = 2) -> None:
        super().__init__(mode=_checked_mode(mode), space=require_size("GlobalPool", "space", space))

    def forward(self, x: Any) -> Any:
        """One number for every channel."""
        x = asarray(x)
        _require_places(self, x.shape, self.space)
        return _REDUCE[self.mode](x, axis=tuple(range(-self.space - 1, -1)))


class AdaptivePool(Module):
    """Means or maxima over as many windows as are asked for: x (…, *space, channels), y (…, *size, channels).

    Along an axis of n places, window i of m goes from ⌊i·n/m⌋ to ⌈(i + 1)·n/m⌉, as PyTorch's do.

    size   how many windows along each axis: a number, or one for each
    mode   "mean" or "max"
    space  how many axes of places there are: 2 for images, 1 for sequences, 3 for volumes

    Raises ShapeError for x without these axes.

    >>> import clearprop as cl
    >>> cl.nn.AdaptivePool(3)(cl.ones((4, 7, 10, 8))).shape
    (4, 3, 3, 8)
    """

    size: tuple[int, ...] = static()
    mode: str = static(default="mean")

    def __init__(self, size: int | tuple[int, ...], *, mode: str = "mean", space: int = 2) -> None:
        space = require_size("AdaptivePool", "space", space)
        windows = steps_along(size, space, "size")
        if any(n > MOST_WINDOWS for n in windows):
            raise ArgumentError(
                "AdaptivePool has an impossible size",
                expected=f"size: 1 to {MOST_WINDOWS:,} windows along each axis",
                got=f"size = {size!r:.80}",
                where=user_line(),
            )
        super().__init__(size=windows, mode=_checked_mode(mode))

    def forward(self, x: Any) -> Any:
        """One number for every window: a mean over a rectangle is the mean of its rows' means."""
        x = asarray(x)
        _require_places(self, x.shape, len(self.size))
        for axis, windows in zip(range(-len(self.size) - 1, -1), self.size, strict=True):
            n = int(x.shape[axis])
            cuts = [(i * n // windows, -(-(i + 1) * n // windows)) for i in range(windows)]
            parts = [slice_axis(x, axis, first, end) for first, end in cuts]
            x = concat([_REDUCE[self.mode](part, axis=axis, keepdims=True) for part in parts], axis=axis)
        return x


class Upsample(Module):
    """As many more places as the factor says: x (…, *space, channels), y (…, *factor·space, channels).

    nearest repeats each place; linear weighs the two that are nearest along each axis, a place standing in the middle
    of its own (PyTorch's `align_corners=False`), the ends going on as they are.

    factor  how many places become of one along each axis: a number, or one for each
    mode    "nearest" or "linear"
    space   how many axes of places there are: 2 for images, 1 for sequences, 3 for volumes

    Raises ShapeError for x without these axes.

    >>> import clearprop as cl
    >>> cl.nn.Upsample(2, mode="linear", space=1)(cl.tensor([[0.0], [1.0]]))[:, 0]
    Tensor([0.0, 0.25, 0.75, 1.0])
    """

    factor: tuple[int, ...] = static()
    mode: str = static(default="nearest")

    def __init__(self, factor: int | tuple[int, ...], *, mode: str = "nearest", space: int = 2) -> None:
        if not isinstance(mode, str) or mode not in ("nearest", "linear"):
            raise unknown_name("mode", mode, ("nearest", "linear"), user_line())
        space = require_size("Upsample", "space", space)
        steps = steps_along(factor, space, "factor")
        super().__init__(factor=tuple(require_size("Upsample", "factor", step) for step in steps), mode=mode)

    def forward(self, x: Any) -> Any:
        """X with more places."""
        x = asarray(x)
        _require_places(self, x.shape, len(self.factor))
        x = x if self.mode == "nearest" else as_floating(x)  # shares of places are no integers
        for axis, factor in zip(range(-len(self.factor) - 1, -1), self.factor, strict=True):
            if factor > 1:
                x = self._along(x, axis, int(x.shape[axis]), factor)
        return x

    def _along(self, x: Any, axis: int, n: int, factor: int) -> Any:
        if self.mode == "nearest":
            return take(x, np.repeat(np.arange(n, dtype=INT64), factor), axis=axis)
        place = np.clip((np.arange(n * factor) + 0.5) / factor - 0.5, 0, n - 1)
        low = np.floor(place).astype(INT64)
        share = (place - low).astype(x.dtype).reshape((-1, *[1] * (-axis - 1)))
        below, above = take(x, low, axis=axis), take(x, np.minimum(low + 1, n - 1), axis=axis)
        return below * (1 - share) + above * share


_REDUCE = {"mean": mean, "max": max}


def _checked_mode(mode: Any) -> str:
    if not isinstance(mode, str) or mode not in MODES:
        raise unknown_name("mode", mode, MODES, user_line())
    return mode


def _windows(owner: str, window: Any, space: Any, stride: Any, padding: Any, dilation: Any) -> dict[str, Any]:
    """The fields of a pool, checked: one number for every axis."""
    space = require_size(owner, "space", space)
    sizes = steps_along(window, space, "window")
    steps = sizes if stride is None else steps_along(stride, space, "stride")
    spread = steps_along(dilation, space, "dilation")
    if not isinstance(padding, str):
        widths = padding_widths(padding, sizes, sizes, steps, spread)
        if any(before >= k or after >= k for (before, after), k in zip(widths, sizes, strict=True)):
            raise ArgumentError(
                f"{owner} has windows of padding alone",
                expected="padding below the size of the window",
                got=f"padding = {padding!r}, window = {sizes}",
                where=user_line(),
            )
        padding = tuple(map(tuple, widths))
    elif padding not in ("valid", "same"):
        raise unknown_name("padding", padding, ("valid", "same"), user_line())
    return {"window": sizes, "stride": steps, "padding": padding, "dilation": spread}


def _require_places(layer: Module, shape: Any, space: int) -> None:
    if len(shape) < space + 1:
        raise ShapeError(
            f"{layer.label()} cannot take an input of shape {shape}",
            expected=f"{space} {'axis' if space == 1 else 'axes'} of places before the channels",
            got=str(len(shape) - 1) if shape else "no axis at all",
            where=user_line(),
            try_=f"space={len(shape) - 1}, if all of them are places" if len(shape) > 1 else "",
        )


def _over_space(layer: Module, pool: Any, x: Any, space: int) -> Any:
    """A pool of arrays with any number of axes before those of places."""
    x = asarray(x)
    _require_places(layer, x.shape, space)
    lead = x.shape[: len(x.shape) - space - 1]
    if len(lead) == 1:
        return pool(x)
    y = pool(reshape(x, (size_of(lead), *x.shape[len(lead) :])))
    return reshape(y, (*lead, *y.shape[1:]))


def _pool_label(kind: str, window: Any, stride: Any, padding: Any) -> str:
    words = [str(window), *([f"stride {stride}"] if stride != window else [])]
    return f"{kind}({', '.join([*words, *([f'padding {padding}'] if padding != 'valid' else [])])})"
