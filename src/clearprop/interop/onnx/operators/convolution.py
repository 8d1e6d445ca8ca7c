"""Convolutions: channels come second in ONNX and last here, so arrays are turned before and after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clearprop.arrays import functions as f
from clearprop.errors import unknown_name
from clearprop.interop.onnx.graph_values import checked_shape, rank, require_agreement, sizes
from clearprop.interop.onnx.operator_table import operator
from clearprop.interop.onnx.operators.shapes import pad_axes

Ints = tuple[int, ...]
PADDINGS = ("NOTSET", "SAME_LOWER", "SAME_UPPER", "VALID")


def channels_last(x: Any) -> Any:
    """From (n, channels, *space) to (n, *space, channels)."""
    return f.permute_dims(x, (0, *range(2, rank(x)), 1))


def channels_second(x: Any) -> Any:
    """From (n, *space, channels) to (n, channels, *space)."""
    return f.permute_dims(x, (0, rank(x) - 1, *range(1, rank(x) - 1)))


def kernel_last(w: Any) -> Any:
    """From (outputs, inputs, *kernel) to (*kernel, inputs, outputs)."""
    return f.permute_dims(w, (*range(2, rank(w)), 1, 0))


def extents(kernel: Sequence[int], dilations: Sequence[int]) -> Ints:
    """How many places a window spans along each axis."""
    return tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))


def widths(
    space: Sequence[int], extent: Ints, strides: Ints, pads: Ints | None, auto_pad: str
) -> list[tuple[int, int]]:
    """Places before and after each axis: those given, or as many as give ⌈size / stride⌉ windows."""
    if auto_pad not in PADDINGS:
        raise unknown_name("auto_pad", auto_pad, PADDINGS)
    if auto_pad in ("NOTSET", "VALID"):
        given = pads if pads and auto_pad == "NOTSET" else (0,) * 2 * len(space)
        return list(zip(given[: len(space)], given[len(space) :], strict=True))
    found = []
    for n, e, s in zip(space, extent, strides, strict=True):
        total = max((-(-n // s) - 1) * s + e - n, 0)
        less, more = total // 2, total - total // 2
        found.append((less, more) if auto_pad == "SAME_UPPER" else (more, less))
    return found


@operator("Conv")
def conv(
    x: Any,
    w: Any,
    b: Any = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints | None = None,
    group: int = 1,
    kernel_shape: Ints | None = None,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Any:
    """Convolution (nothing turned around) of x (n, channels, *space) with w (outputs, channels / groups, *kernel)."""
    require_agreement("kernel_shape", kernel_shape, sizes(w)[2:])
    count = rank(w) - 2
    steps, by = strides or (1,) * count, dilations or (1,) * count
    around = widths(_space(x, auto_pad, count), extents(sizes(w)[2:], by), steps, pads, auto_pad)
    if pads is not None:
        checked_shape([n + sum(pair) for n, pair in zip(sizes(x)[2:], around, strict=True)], "Conv")
    y = f.conv(channels_last(x), kernel_last(w), stride=steps, padding=around, dilation=by, groups=group)
    return channels_second(y if b is None else y + b)


def _space(x: Any, auto_pad: str, count: int) -> Sequence[int]:
    """The sizes, where the padding asks for them."""
    return sizes(x)[2:] if auto_pad.startswith("SAME") else (0,) * count


@operator("ConvTranspose")
def conv_transpose(
    x: Any,
    w: Any,
    b: Any = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints | None = None,
    group: int = 1,
    kernel_shape: Ints | None = None,
    output_padding: Ints | None = None,
    output_shape: Ints | None = None,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Any:
    """The transpose of a convolution; of its whole result `pads` are cut off."""
    require_agreement("kernel_shape", kernel_shape, sizes(w)[2:])
    space = sizes(x)[2:]
    count = len(space)
    steps, by, extra = (v or (n,) * count for v, n in ((strides, 1), (dilations, 1), (output_padding, 0)))
    extent = extents(sizes(w)[2:], by)
    full = [(n - 1) * s + e + o for n, s, e, o in zip(space, steps, extent, extra, strict=True)]
    same = tuple(n * s for n, s in zip(space, steps, strict=True)) if auto_pad.startswith("SAME") else None
    before, after = _cut_off(full, output_shape or same, pads or (0,) * 2 * count, auto_pad)
    checked_shape([*sizes(x)[:1], sizes(w)[1] * group, *full], "ConvTranspose")
    y = channels_second(f.conv_transpose(channels_last(x), kernel_last(w), stride=steps, dilation=by, groups=group))
    moved = (*(-p for p in before), *(o - p for o, p in zip(extra, after, strict=True)))
    y = pad_axes(y, moved, "constant", 0, tuple(range(2, 2 + count)))
    return y if b is None else y + f.reshape(b, (-1, *[1] * count))


def _cut_off(full: list[int], wanted: Ints | None, pads: Ints, auto_pad: str) -> tuple[Ints, Ints]:
    """Places to cut off before and after each axis: those given, or what the wanted sizes leave."""
    if wanted is None:
        return pads[: len(full)], pads[len(full) :]
    totals = [n - m for n, m in zip(full, wanted, strict=True)]
    less, more = tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)
    return (less, more) if auto_pad == "SAME_UPPER" else (more, less)
