"""Sums over windows: kernels of convolution and of its two transposes, in tiles.

Images lie as (n, *space, channels), weights as (*kernel, channels / groups, outputs).  What has zeros around it, or
between its positions, is copied into a room, memory that stays in the near caches: so many rows of an image at a time.
A tile of `conv` holds neighbouring outputs along the last axis of space times vectors of channels of the result, and
sums over taps and channels in one order, whatever else is computed; a tile of `conv_weight` holds neighbouring rows of
the weights, and sums over the outputs of an image.  Where taps of the last axis lie side by side, they and their
channels are one loop (Zhang, Franchetti and Low 2018, High performance zero-memory overhead direct convolutions,
arXiv:1809.10170).  Depthwise, where every channel has weights of its own, a row of a tile is vectors of x, and the rows
of a tile of `conv_weight` are taps; several taps, or outputs, are summed at a time, since neighbours meet the same x.
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


def window_words(axes: int, room: bool) -> list[str]:
    """The names of the words behind lo, hi and three addresses; all but counts in bytes.

    Of a `room`: where sums begin to read in it, where in a row of it the first number is put, the length of a run, and
    of axes behind the first how many runs there are and how far apart they are put.  Of the first axis: rows of an
    image, how far apart they are put, how many rows of zeros stand before, and rows of the room; of how many outputs
    the rows are in it at a time, and from one output to the next; the bytes of a row of an image, of the room, and of
    what is put into it.
    """
    if not room:
        return [*_BEGIN, *_axis_words(axes)]
    inner = [f"{name}{k}" for k in range(axes > 1, axes) for name in ("runs", "apart")]
    return [*_BEGIN, *_axis_words(axes), "room", "first", "bytes", *inner, *(BAND if axes > 1 else [])]


BAND = ("rows", "apart0", "before", "tall", "band", "down0", "row_x", "row_room", "span")
"""What a kernel is told of the rows of an image that are in the room at a time."""


def _axis_words(axes: int) -> list[str]:
    return [f"{name}{k}" for k in range(axes) for name in AXIS]


@dataclass(frozen=True)
class Tiling:
    """A kernel's tiles: over how many axes of space, how many rows and vectors, and what there is beside whole ones.

    room  whether images are copied into a room first
    each  of how many taps, or outputs, at a time, where every channel meets weights of its own alone; else 0
    deep  how many rows of taps have tiles that go over the outputs together
    """

    dtype: str
    axes: int
    rows: int
    vectors: int
    whole: bool
    rest: bool
    room: bool
    each: int
    deep: int = 1

    @classmethod
    def of(
        cls,
        dtype: str,
        axes: int,
        rows: int,
        vectors: int,
        columns: int,
        *,
        room: bool = False,
        each: int = 0,
        deep: int = 1,
    ) -> Tiling:
        """Tiles for so many columns: code is made for what occurs alone, since compiling takes long.

        >>> Tiling.of("f32", 2, 8, 2, 64).rest, Tiling.of("f32", 2, 8, 2, 10).whole
        (False, False)
        """
        wide = panel_columns(dtype, vectors)
        return cls(dtype, axes, rows, vectors, columns >= wide, columns % wide > 0, room, each, deep)


def conv_tiles(t: Tiling, down: int, along: int) -> Kernel:
    """Images lo … hi of y = conv(x, w), in tiles of neighbouring outputs, `down` bytes of x apart, taps `along`."""
    return _in_tiles(t, lambda vectors, part: _output_tiles(t, vectors, part, down, along))


def conv_weight_tiles(t: Tiling, down: int, along: int) -> Kernel:
    """w += what images lo … hi add to conv_weight(x, y), in tiles of neighbouring rows of w, the last ones singly.

    `down` bytes of x lie between what two rows of w meet, `along` between what they meet of the next output.
    """
    return _in_tiles(t, lambda vectors, part: _weight_tiles(t, vectors, part, down, along))


def _in_tiles(t: Tiling, tiles: Callable[[int, str], list[str]]) -> Kernel:
    """Image by image and group by group, over panels of columns, of which the last may have fewer."""
    wide, one, panel = panel_columns(t.dtype, t.vectors), panel_columns(t.dtype, 1), t.vectors * VECTOR_BYTES
    names = ["x", "w", "y", *window_words(t.axes, t.room)]
    whole = [
        "for q in range(panels):",
        "    wg = w + g * group_y + q * panel",
        f"    yg = yn + g * group_y + q * u64({panel})",
        *([f"    xg = xn + q * u64({panel})"] if t.each else []),
        *_indent(1, tiles(t.vectors, "")),
    ]
    rest = [
        f"for q in range((left + u64({one - 1})) // u64({one})):",
        f"    wg = w + g * group_y + panels * panel + q * u64({VECTOR_BYTES})",
        f"    yg = yn + g * group_y + panels * u64({panel}) + q * u64({VECTOR_BYTES})",
        *([f"    xg = xn + panels * u64({panel}) + q * u64({VECTOR_BYTES})"] if t.each else []),
        f"    many = min(left - q * u64({one}), u64({one}))",
        *_indent(1, tiles(1, "_first")),
    ]
    sums = [
        "for g in range(groups):",
        f"    {'xn' if t.each else 'xg'} = image + g * group_x",
        *_indent(1, [*(whole if t.whole else []), *(rest if t.rest else [])]),
    ]
    text = [
        f"def kernel(lo, hi, {', '.join(names)}):",
        f"    panels = columns // u64({wide})",
        f"    left = columns - panels * u64({wide})",
        "    for n in range(lo, hi):",
        "        xs = x + n * image_x",
        *_indent(2, _by_bands(t.axes, sums) if t.room else ["image = xs", *_all_rows(sums)]),
    ]
    return Kernel("\n".join(text) + "\n", [Parameter(name, "size", name) for name in names])


def _all_rows(sums: Sequence[str]) -> list[str]:
    return ["yn = y + n * image_y", "high = o0", *sums]


def _by_bands(axes: int, sums: Sequence[str]) -> list[str]:
    """The sums of so many rows of outputs at a time, whose rows of the image are copied to between zeros before."""
    inner = range(1, axes)
    if not inner:
        line = ["copy_bytes(first + i0 * apart0, xs + i0 * bytes, bytes)"]
        return [*_loops("i", "runs", [0]), *_indent(1, line), "image = room", *_all_rows(sums)]
    copy = [f"copy_bytes(to + {_place('i', 'apart', inner)}, source, bytes)", "source += bytes"]
    return [
        "for d in range((o0 + band - u64(1)) // band):",
        "    top = d * band",
        "    for k in range(tall):",
        "        r = top * down0 + k - before",  # below 0 it is larger than any
        "        s = r // apart0",
        "        to = first + k * row_room",
        "        if s < rows and s * apart0 == r:",
        "            source = xs + s * row_x",
        *_indent(3, [*_loops("i", "runs", inner), *_indent(len(inner), copy)]),
        "        else:",
        "            zero_bytes(to, span)",
        "    image = room",
        "    yn = y + n * image_y + top * ys0",
        "    high = min(o0 - top, band)",
        *_indent(1, sums),
    ]


def _output_tiles(t: Tiling, vectors: int, part: str, down: int, along: int) -> list[str]:
    dtype, axes, rows = t.dtype, t.axes, t.rows
    last, rest = axes - 1, ", many" if part else ""
    outer, taps = range(last), range(axes)
    sums = [
        "for p in range(run):",
        f"    c = add_outer_by{part}(c, a, {down}, b{rest})",
        f"    a += u64({_ITEM[dtype]})",
        "    b += row",
    ]
    each = [f"c = add_each_by{part}(c, a, {down}, {along}, b, wt{last}, {t.each}{rest})"]
    one_by_one = outer if t.each > 1 else taps  # of the last axis all taps at once, or as loops meet them
    tile = [
        f"i{last} = min(j * u64({rows}), o{last} - u64({rows}))",  # the last tile may compute again what others have
        f"c = zero_tile_{dtype}({rows}, {vectors})",
        *_loops("t", "k", one_by_one),
        *_indent(len(one_by_one), [
            f"a = xg + {_place('i', 'xs', taps)}{_plus('t', 'xt', one_by_one)}",
            f"b = wg{_plus('t', 'wt', one_by_one)}",
            *(each if t.each else sums),
        ]),
        f"keep_tile{part}(yg + {_place('i', 'ys', taps)}, ys{last}, c{rest})",
    ]  # fmt: skip
    tall = [f"for j in range((o{last} + u64({rows - 1})) // u64({rows})):", *_indent(1, tile)]
    return [*_over_outputs(outer), *_indent(last, tall)]


def _weight_tiles(t: Tiling, vectors: int, part: str, down: int, along: int) -> list[str]:
    """Each tile sums over all outputs of an image, which depthwise tiles of several rows of taps go over together."""
    dtype, axes, rows = t.dtype, t.axes, t.rows
    last, rest = axes - 1, ", many" if part else ""
    outer = range(axes - 1)
    taps = range(axes - (1 if t.deep == 1 else 2)) if t.each else range(axes)
    deep = [(f"c{d}", f" + u64({d}) * xt{last - 1}", f" + u64({d}) * wt{last - 1}") for d in range(t.deep)]
    tiles = deep if t.deep > 1 else [("c", "", "")]
    outer_by = f"add_outer_by{part}({{c}}, a, {down}, b{rest})"
    each_by = f"add_each_by{part}({{c}}, a{{x}}, {down}, {along}, b, ys{last}, {{many}}{rest})"

    def sums(many: int) -> list[str]:
        return [f"{c} = " + (each_by if t.each else outer_by).format(c=c, x=x, many=many) for c, x, _ in tiles]

    text = _loops("t", "k", taps)
    for count, start, height in (
        (f"run // u64({rows})", "u64(0)", rows),
        (f"run - run // u64({rows}) * u64({rows})", f"run // u64({rows}) * u64({rows})", 1),
    ):
        tile = [
            f"r = {start} + z * u64({height})",
            *(f"{c} = zero_tile_{dtype}({height}, {vectors})" for c, _, _ in tiles),
            *_over_outputs(outer),
            *_indent(last, [
                f"a = xg + r * u64({down}){_plus('t', 'xt', taps)}{_plus('i', 'xs', outer)}",
                f"b = yg{_plus('i', 'ys', outer)}",
                *(_along_outputs(last, t.each, sums(t.each)) if t.each > 1 else []),
                *_along_outputs(last, 1, sums(1), f"o{last} % u64({t.each})" if t.each > 1 else ""),
            ]),
            *(f"add_tile{part}(wg + r * row{_plus('t', 'wt', taps)}{w}, row, {c}{rest})" for c, _, w in tiles),
        ]  # fmt: skip
        text += _indent(len(taps), [f"for z in range({count}):", *_indent(1, tile)])
    return text


def _along_outputs(axis: int, many: int, sums: Sequence[str], left: str = "") -> list[str]:
    """So many outputs of an axis at a time, from the first on, or those that are `left`."""
    count = left or (f"o{axis}" if many == 1 else f"o{axis} // u64({many})")
    steps = [
        f"{at} += {step}{axis}" + (f" * u64({many})" if many > 1 else "") for at, step in (("a", "xs"), ("b", "ys"))
    ]
    return [f"for j in range({count}):", *_indent(1, [*sums, *steps])]


PLANAR = (
    "rows",
    "columns",
    "channels",
    "apart0",
    "apart1",
    "first",
    "begin",
    "plane",
    "o0",
    "o1",
    "k0",
    "k1",
    "e0",
    "e1",
)
"""What a kernel of planes is told behind four addresses and the length of an image: what is put where, in numbers."""


def planar_conv(dtype: str, rows: int, row: int) -> Kernel:
    """Images lo … hi of y = conv(x, w) of planes, with one output and stride 1; `row` numbers are a row of the room.

    With one column a vector of outputs is neighbouring positions.  So that these lie side by side, the channels of an
    image are put into planes, between zeros; a tile is neighbouring rows of a vector each.
    """
    item, lanes = _ITEM[dtype], panel_columns(dtype, 1)
    text = (
        f"def kernel(lo, hi, x, w, y, room, image_x, {', '.join(PLANAR)}):\n"
        f"    base = address(room) + begin * u64({item})\n"
        "    for n in range(lo, hi):\n"
        "        source = n * image_x\n"
        "        for r in range(rows):\n"
        "            for s in range(columns):\n"
        "                to = first + r * apart0 + s * apart1\n"
        "                for c in range(channels):\n"
        "                    room[to + c * plane] = x[source]\n"
        "                    source += u64(1)\n"
        f"        for i in range((o0 + u64({rows - 1})) // u64({rows})):\n"
        f"            i0 = min(i * u64({rows}), o0 - u64({rows}))\n"
        f"            for j in range((o1 + u64({lanes - 1})) // u64({lanes})):\n"
        f"                j0 = min(j * u64({lanes}), o1 - u64({lanes}))\n"
        f"                t = zero_tile_{dtype}({rows}, 1)\n"
        "                for c in range(channels):\n"  # of a plane at a time, so that it stays in the nearest cache
        f"                    b = w + c * u64({item})\n"
        "                    for t0 in range(k0):\n"
        "                        for t1 in range(k1):\n"
        f"                            at = c * plane + (i0 + t0 * e0) * u64({row}) + j0 + t1 * e1\n"
        f"                            a = base + at * u64({item})\n"
        f"                            t = add_rows_by(t, a, {row * item}, b)\n"
        f"                            b += channels * u64({item})\n"
        f"                keep_tile(y + ((n * o0 + i0) * o1 + j0) * u64({item}), o1 * u64({item}), t)\n"
    )
    words = [f"x:{dtype}", "w:size", "y:size", f"room:{dtype}", "image_x:size", *(f"{name}:size" for name in PLANAR)]
    return Kernel.of(text, " ".join(words))


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


def _over_outputs(axes: Sequence[int]) -> list[str]:
    """Loops over the outputs along these axes; of the first there are `high` at a time."""
    return [line.replace("range(o0)", "range(high)") for line in _loops("i", "o", axes)]


def _loops(index: str, count: str, axes: Sequence[int]) -> list[str]:
    return ["    " * at + f"for {index}{k} in range({count}{k}):" for at, k in enumerate(axes)]


def _indent(depth: int, lines: Sequence[str]) -> list[str]:
    return ["    " * depth + line for line in lines]
