"""Sums over windows: kernels of convolution and of its two transposes, in tiles, or channel by channel.

Images lie as (n, *space, channels), weights as (*kernel, channels / groups, outputs), and nothing stands around an
image: padding is in it already.  A tile of `conv` holds neighbouring outputs along the last axis of space times vectors
of channels of the result, and sums over taps and channels in one order, whatever else is computed; a tile of
`conv_weight` holds neighbouring rows of the weights, and sums over the outputs of an image.  Where taps of the last
axis lie side by side, they and their channels are one loop (Zhang, Franchetti and Low 2018, High performance
zero-memory overhead direct convolutions, arXiv:1809.10170).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clearprop.compiler.kernels import Kernel, Parameter
from clearprop.compiler.tiles import VECTOR_BYTES, panel_columns

AXIS = ("o", "xs", "ys", "k", "xt", "wt")
"""What a kernel is told of an axis of space: outputs; from one to the next in x and in y; taps; from one to the next in
x and in w."""
_BEGIN = ("image_x", "image_y", "groups", "group_x", "group_y", "columns", "panel", "run", "row")
_ITEM = {"f32": 4, "f64": 8}


def window_words(axes: int) -> list[str]:
    """The names of the words behind lo, hi and three addresses; all but counts in bytes."""
    return [*_BEGIN, *(f"{name}{k}" for k in range(axes) for name in AXIS)]


@dataclass(frozen=True)
class Tiling:
    """A kernel's tiles: over how many axes of space, how many rows and vectors, and what there is beside whole ones."""

    dtype: str
    axes: int
    rows: int
    vectors: int
    whole: bool
    rest: bool

    @classmethod
    def of(cls, dtype: str, axes: int, rows: int, vectors: int, columns: int) -> Tiling:
        """Tiles for so many columns: code is made for what occurs alone, since compiling takes long.

        >>> Tiling.of("f32", 2, 8, 2, 64).rest, Tiling.of("f32", 2, 8, 2, 10).whole
        (False, False)
        """
        wide = panel_columns(dtype, vectors)
        return cls(dtype, axes, rows, vectors, columns >= wide, columns % wide > 0)


def conv_tiles(t: Tiling, down: int) -> Kernel:
    """Images lo … hi of y = conv(x, w), in tiles of neighbouring outputs, `down` bytes of x apart."""
    return _in_tiles(t, lambda vectors, part: _output_tiles(t, vectors, part, down))


def conv_weight_tiles(t: Tiling) -> Kernel:
    """w += what images lo … hi add to conv_weight(x, y), in tiles of neighbouring rows of w, the last ones singly."""
    return _in_tiles(t, lambda vectors, part: _weight_tiles(t, vectors, part))


def _in_tiles(t: Tiling, tiles: Callable[[int, str], list[str]]) -> Kernel:
    """Image by image and group by group, over panels of columns, of which the last may have fewer."""
    wide, one, panel = panel_columns(t.dtype, t.vectors), panel_columns(t.dtype, 1), t.vectors * VECTOR_BYTES
    names = ["x", "w", "y", *window_words(t.axes)]
    whole = [
        "for q in range(panels):",
        "    wg = w + g * group_y + q * panel",
        f"    yg = y + n * image_y + g * group_y + q * u64({panel})",
        *_indent(1, tiles(t.vectors, "")),
    ]
    rest = [
        f"for q in range((left + u64({one - 1})) // u64({one})):",
        f"    wg = w + g * group_y + panels * panel + q * u64({VECTOR_BYTES})",
        f"    yg = y + n * image_y + g * group_y + panels * u64({panel}) + q * u64({VECTOR_BYTES})",
        f"    many = min(left - q * u64({one}), u64({one}))",
        *_indent(1, tiles(1, "_first")),
    ]
    text = [
        f"def kernel(lo, hi, {', '.join(names)}):",
        f"    panels = columns // u64({wide})",
        f"    left = columns - panels * u64({wide})",
        "    for n in range(lo, hi):",
        "        for g in range(groups):",
        "            xg = x + n * image_x + g * group_x",
        *_indent(3, [*(whole if t.whole else []), *(rest if t.rest else [])]),
    ]
    return Kernel("\n".join(text) + "\n", [Parameter(name, "size", name) for name in names])


def _output_tiles(t: Tiling, vectors: int, part: str, down: int) -> list[str]:
    dtype, axes, rows = t.dtype, t.axes, t.rows
    last, rest = axes - 1, ", many" if part else ""
    outer, taps = range(last), range(axes)
    tile = [
        f"i{last} = min(j * u64({rows}), o{last} - u64({rows}))",  # the last tile may compute again what others have
        f"c = zero_tile_{dtype}({rows}, {vectors})",
        *_loops("t", "k", taps),
        *_indent(axes, [
            f"a = xg + {_place('i', 'xs', taps)} + {_place('t', 'xt', taps)}",
            f"b = wg + {_place('t', 'wt', taps)}",
            "for p in range(run):",
            f"    c = add_outer_by{part}(c, a, {down}, b{rest})",
            f"    a += u64({_ITEM[dtype]})",
            "    b += row",
        ]),
        f"keep_tile{part}(yg + {_place('i', 'ys', taps)}, ys{last}, c{rest})",
    ]  # fmt: skip
    tall = [f"for j in range((o{last} + u64({rows - 1})) // u64({rows})):", *_indent(1, tile)]
    return [*_loops("i", "o", outer), *_indent(last, tall)]


def _weight_tiles(t: Tiling, vectors: int, part: str) -> list[str]:
    dtype, axes, rows = t.dtype, t.axes, t.rows
    last, rest, item = axes - 1, ", many" if part else "", _ITEM[dtype]
    taps, outer = range(axes), range(axes - 1)
    text = _loops("t", "k", taps)
    for count, start, height in (
        (f"run // u64({rows})", "u64(0)", rows),
        (f"run - run // u64({rows}) * u64({rows})", f"run // u64({rows}) * u64({rows})", 1),
    ):
        tile = [
            f"r = {start} + z * u64({height})",
            f"c = zero_tile_{dtype}({height}, {vectors})",
            *_loops("i", "o", outer),
            *_indent(last, [
                f"a = xg + {_place('t', 'xt', taps)} + r * u64({item}){_plus('i', 'xs', outer)}",
                f"b = yg{_plus('i', 'ys', outer)}",
                f"for j in range(o{last}):",
                f"    c = add_outer_by{part}(c, a, {item}, b{rest})",
                f"    a += xs{last}",
                f"    b += ys{last}",
            ]),
            f"add_tile{part}(wg + {_place('t', 'wt', taps)} + r * row, row, c{rest})",
        ]  # fmt: skip
        text += _indent(axes, [f"for z in range({count}):", *_indent(1, tile)])
    return text


def channel_by_channel(dtype: str, axes: int, statement: str, zeros: bool) -> Kernel:
    """Depthwise sums of images lo … hi: one statement for every output, tap and channel; distances in elements.

    `zeros`: the images of y are made 0 first.
    """
    names = ["image_x", "image_y", "channels", *(f"{name}{k}" for k in range(axes) for name in AXIS)]
    every = range(axes)
    clear = ["for c in range(channels):", f"    y[e + c] = {dtype}(0)"] if zeros else []
    inside = [
        f"e = n * image_y + {_place('i', 'ys', every)}",
        *clear,
        *_loops("t", "k", every),
        *_indent(axes, [
            f"p = n * image_x + {_place('i', 'xs', every)} + {_place('t', 'xt', every)}",
            f"q = {_place('t', 'wt', every)}",
            "for c in range(channels):",
            f"    {statement}",
        ]),
    ]  # fmt: skip
    text = [
        f"def kernel(lo, hi, x, w, y, {', '.join(names)}):",
        "    for n in range(lo, hi):",
        *_indent(2, [*_loops("i", "o", every), *_indent(axes, inside)]),
    ]
    words = [*(f"{name}:{dtype}" for name in "xwy"), *(f"{name}:size" for name in names)]
    return Kernel.of("\n".join(text) + "\n", " ".join(words))


DEPTHWISE = {
    "conv": "y[e + c] += x[p + c] * w[q + c]",
    "conv_input": "x[p + c] += y[e + c] * w[q + c]",
    "conv_weight": "w[q + c] += x[p + c] * y[e + c]",
}
"""Each sum channel by channel."""


def turned_weights(dtype: str) -> Kernel:
    """Weights (taps, channels, outputs) for the transpose in x: taps from the last on, (taps, outputs, channels).

    Within groups: the outputs of a group become rows, the channels of all groups stand side by side.
    """
    text = (
        "def kernel(lo, hi, w, out, channels, outputs, groups):\n"
        "    many = outputs // groups\n"
        "    for t in range(lo, hi):\n"
        "        for g in range(groups):\n"
        "            for c in range(channels):\n"
        "                start = (t * channels + c) * outputs + g * many\n"
        "                end = (hi - u64(1) - t) * many * channels * groups + g * channels + c\n"
        "                for o in range(many):\n"
        "                    out[end + o * channels * groups] = w[start + o]\n"
    )
    return Kernel.of(text, f"w:{dtype} out:{dtype} channels:size outputs:size groups:size")


def _place(index: str, step: str, axes: Sequence[int]) -> str:
    return " + ".join(f"{index}{k} * {step}{k}" for k in axes)


def _plus(index: str, step: str, axes: Sequence[int]) -> str:
    return f" + {_place(index, step, axes)}" if axes else ""


def _loops(index: str, count: str, axes: Sequence[int]) -> list[str]:
    return ["    " * at + f"for {index}{k} in range({count}{k}):" for at, k in enumerate(axes)]


def _indent(depth: int, lines: Sequence[str]) -> list[str]:
    return ["    " * depth + line for line in lines]
