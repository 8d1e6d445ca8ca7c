"""How convolution and its two transposes become calls of kernels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from clearprop.compiler import window_kernels
from clearprop.compiler.binding import SPLIT_PRODUCT, Binding, KernelCall
from clearprop.compiler.iteration_domains import Statement
from clearprop.compiler.kernel_text import dtype_name
from clearprop.compiler.kernels import Kernel
from clearprop.compiler.native import library_kernels
from clearprop.compiler.product_layouts import WINDOW_OPERANDS
from clearprop.compiler.tiles import VECTOR_BYTES, pack_panels, panel_columns, registers_of_vector
from clearprop.program.ir import Var

Place = tuple[Any, int]
"""A variable or piece of memory, and how many bytes behind its begin."""
NEAR = 1 << 18
"""Bytes of an image that sums work on: a part of the second cache."""
NEAR_TOGETHER = 1 << 19
"""Bytes of the images that several sums go over one after another: half of the second cache."""
_UNROLLED = 7
"""The most taps that are summed at a time: more take long to compile."""
_FEW = 8
"""Sums that the processor has under way at once; a smaller tile waits for its own."""


@dataclass(frozen=True)
class ConvolutionSizes:
    """The sizes of y = conv(x, w): images, channels and outputs, and one number for each axis of space.

    `space` holds the zeros around an image too, so many as `padding` says, (before, after) for each axis.
    """

    dtype: str
    images: int
    channels: int
    outputs: int
    groups: int
    space: tuple[int, ...]
    out: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...] = ()

    @property
    def item(self) -> int:
        """Bytes of a number."""
        return 4 if self.dtype == "f32" else 8

    @property
    def each(self) -> int:
        """Channels that an output meets."""
        return self.channels // self.groups

    @property
    def columns(self) -> int:
        """Outputs of a group."""
        return self.outputs // self.groups

    @property
    def depthwise(self) -> bool:
        """Whether every channel has one output, which meets no other."""
        return self.groups > 1 and self.each == self.columns == 1

    @property
    def inside(self) -> tuple[int, ...]:
        """The space of an image without the zeros around."""
        around = self.padding or ((0, 0),) * len(self.space)
        return tuple(n - before - after for n, (before, after) in zip(self.space, around, strict=True))

    @property
    def weights(self) -> int:
        """How many numbers w has."""
        return math.prod(self.kernel) * self.each * self.outputs

    @property
    def work(self) -> int:
        """Multiply-adds."""
        return self.images * math.prod(self.out) * self.outputs * math.prod(self.kernel) * self.each

    def merges(self) -> bool:
        """Whether the taps of the last axis and their channels are one loop."""
        return self.groups == 1 and self.dilation[-1] == 1

    def run(self) -> int:
        """Terms that lie side by side."""
        return self.each * (self.kernel[-1] if self.merges() else 1)

    def steps(self) -> list[int]:
        """Bytes from one position of an image with its zeros to the next, along each axis."""
        return [self.item * self.channels * math.prod(self.space[k + 1 :]) for k in range(len(self.space))]

    def axis_words(self, row: int) -> list[int]:
        """What kernels are told of each axis, with rows of w of so many bytes: `window_kernels.AXIS`."""
        words: list[int] = []
        last = len(self.space) - 1
        for k, x in enumerate(self.steps()):
            y = self.item * self.outputs * math.prod(self.out[k + 1 :])
            w = row * self.each * math.prod(self.kernel[k + 1 :])
            taps = 1 if self.merges() and k == last else self.kernel[k]
            words += [self.out[k], self.stride[k] * x, y, taps, self.dilation[k] * x, w]
        return words

    def tile_words(self, panel: int, row: int, image: int) -> list[int]:
        """The words of a kernel in tiles, behind its addresses; panels, rows of w and images of x are so far apart.

        Depthwise the channels are columns of one group, and a run is the taps of the last axis.
        """
        i = self.item
        y = i * self.outputs * math.prod(self.out)
        if self.depthwise:
            groups = [1, 0, 0, self.outputs, panel, self.kernel[-1], row]
        else:
            groups = [self.groups, i * self.each, i * self.columns, self.columns, panel, self.run(), row]
        return [image, y, *groups, *self.axis_words(row)]


@dataclass(frozen=True)
class Images:
    """How the images of x are put between zeros, for each axis of space, if they are: else sums read x itself.

    counts  positions of an image
    apart   from one of them to the next
    before  zeros before the first
    begin   where sums begin to read
    """

    counts: Sequence[int]
    apart: Sequence[int]
    before: Sequence[int]
    begin: Sequence[int]
    put: bool = True

    @classmethod
    def plain(cls, g: ConvolutionSizes) -> Images:
        """Images with nothing between their numbers, and perhaps zeros around."""
        none = (0,) * len(g.space)
        before = [lo for lo, _ in g.padding] or none
        return cls(g.inside, (1,) * len(g.space), before, none, g.inside != g.space)

    def numbers(self, g: ConvolutionSizes) -> int:
        """How many an image has."""
        return g.channels * math.prod(self.counts)


@dataclass(frozen=True)
class ImageRoom:
    """Memory in which rows of an image stand between zeros, for `Images` that are put there.

    size    its bytes
    begin   where in it sums begin to read
    first   where in a row of it the first number is put
    words   what kernels are told of it, its two addresses first: `window_kernels.window_words`
    """

    size: int
    begin: int
    first: int
    words: Sequence[int]

    @classmethod
    def of(cls, g: ConvolutionSizes, images: Images) -> ImageRoom | None:
        """The room for images; None if they are not put into one."""
        if not images.put:
            return None
        steps, pixel, runs = g.steps(), g.item * g.channels, list(images.counts)
        length = pixel
        if images.apart[-1] == 1:
            length, runs[-1] = pixel * runs[-1], 1
        apart = [n * step for n, step in zip(images.apart, steps, strict=True)]
        rows = len(steps) > 1  # of one axis there are no rows, and all of it is put
        behind = range(rows, len(steps))
        inner = [w for k in behind for w in (runs[k], apart[k])]
        begin, first = (sum(at[k] * steps[k] for k in behind) for at in (images.begin, images.before))
        if not rows:
            return cls(pixel * g.space[0], begin, first, [0, 0, length, *inner])
        band = _rows_at_a_time(g)
        tall = _rows_of_room(g, band)
        span = length + sum((runs[k] - 1) * apart[k] for k in behind)
        before = (images.before[0] - images.begin[0]) % 2**64
        row = pixel * math.prod(images.counts[1:])
        band_words = [images.counts[0], images.apart[0], before, tall, band, g.stride[0], row, steps[0], span]
        return cls(tall * steps[0], begin, first, [0, 0, length, *inner, *band_words])


def _rows_of_room(g: ConvolutionSizes, band: int) -> int:
    """How many rows so many rows of outputs meet."""
    return (band - 1) * g.stride[0] + g.dilation[0] * (g.kernel[0] - 1) + 1


def _rows_at_a_time(g: ConvolutionSizes) -> int:
    """Rows of outputs whose rows of an image stay in a near cache: all, where they are few."""
    return next((n for n in range(g.out[0], 1, -1) if _rows_of_room(g, n) * g.steps()[0] <= NEAR), 1)


def _tile_vectors(dtype: str, columns: int) -> tuple[int, int]:
    """Vectors of a tile, and the most rows: so many as the registers hold beside what is multiplied."""
    if registers_of_vector() == 2:
        return 1, 6
    return (2, 14) if columns >= panel_columns(dtype, 2) else (1, 16)


def _best_rows(length: int, vectors: int, most: int, overlap: bool) -> int:
    """Rows of the tiles over a length with the least work; what is left over is done again, or row by row."""
    wide = vectors * registers_of_vector()

    def cost(rows: int) -> int:
        one = max(rows * wide, _FEW) + wide + 1
        rest = 0 if overlap else (length % rows) * (_FEW + wide + 1)
        return (-(-length // rows) if overlap else length // rows) * one + rest

    return min(range(1, min(length, most) + 1), key=lambda rows: (cost(rows), -rows), default=1)


def _conv(binding: Binding, op: Statement) -> None:
    for g, (x, w, y) in _each_example(binding, op):
        _add_conv(binding, g, Images.plain(g), x, w, y, [])


def _add_conv(
    binding: Binding, g: ConvolutionSizes, images: Images, x: Place, w: Place, y: Place, before: list[KernelCall]
) -> None:
    """y = conv(x, w), where calls `before` have made w."""
    vectors, most = _tile_vectors(g.dtype, g.outputs if g.depthwise else g.columns)
    if _is_planar(g, most):
        for call in before:
            binding.add([call])
        _add_planar(binding, g, images, most, x, w, y)
        return
    taps = _at_a_time(g, g.kernel[-1])
    rows = _best_rows(g.out[-1], vectors, max(most - taps, most // 2) if taps > 1 else most, overlap=True)
    tiles, panel, row = _in_panels(binding, g, w, vectors, before)
    down, along = (step * g.item * g.channels for step in (g.stride[-1], g.dilation[-1]))
    kernel = window_kernels.conv_tiles(_tiling(g, rows, vectors, images, taps), down, along)
    words = g.tile_words(panel, row, g.item * images.numbers(g))
    shares = [(*share, x, tiles, y) for share in binding.shares(g.images, g.work >= SPLIT_PRODUCT, 1)]
    calls = _calls_of_shares(binding, kernel, words, ImageRoom.of(g, images), shares)
    _go_over_images(binding, ImageSum(g, calls, [[call] for call in before], [], y[0]))


def _is_planar(g: ConvolutionSizes, most: int) -> bool:
    """Whether vectors of neighbouring outputs are better than vectors of outputs in one place."""
    one = g.groups == g.outputs == 1 and g.channels > 1 and len(g.space) == 2 and g.stride == (1, 1)
    return one and g.out[0] >= most // 2 and g.out[1] >= panel_columns(g.dtype, 1)


def _add_planar(binding: Binding, g: ConvolutionSizes, images: Images, most: int, x: Place, w: Place, y: Place) -> None:
    """With one output: channels in planes, a tile of neighbouring rows."""
    rows, row = _best_rows(g.out[0], 1, most - 2, overlap=True), g.space[1]
    plane = _odd_lines(g.item * math.prod(g.space)) // g.item
    first, begin = (at[0] * row + at[1] for at in (images.before, images.begin))
    put = [*images.counts, g.channels, images.apart[0] * row, images.apart[1], first, begin, plane]
    words = [images.numbers(g), *put, *g.out, *g.kernel, *g.dilation]
    kernel = window_kernels.planar_conv(g.dtype, rows, row)
    calls = []
    for lo, hi in binding.shares(g.images, g.work >= SPLIT_PRODUCT, 1):
        room: Place = binding.piece(g.item * g.channels * plane), 0
        calls.append(KernelCall(kernel, [lo, hi, 0, 0, 0, 0, *words], [(2, *x), (3, *w), (4, *y), (5, *room)]))
    binding.add(calls)


def _odd_lines(size: int) -> int:
    """At least so many bytes, an odd number of lines of the cache, so that neighbours do not meet in its sets."""
    return (-(-size // VECTOR_BYTES) | 1) * VECTOR_BYTES


def _at_a_time(g: ConvolutionSizes, many: int) -> int:
    """How many taps of the last axis, or outputs, depthwise sums go through at a time: all of few, else one."""
    return (many if many <= _UNROLLED else 1) if g.depthwise else 0


def _tiling(
    g: ConvolutionSizes, rows: int, vectors: int, images: Images, each: int, deep: int = 1
) -> window_kernels.Tiling:
    columns = g.outputs if g.depthwise else g.columns
    return window_kernels.Tiling.of(
        g.dtype, len(g.space), rows, vectors, columns, room=images.put, each=each, deep=deep
    )


def _in_panels(
    binding: Binding, g: ConvolutionSizes, w: Place, vectors: int, before: list[KernelCall]
) -> tuple[Place, int, int]:
    """The weights as tiles read them, which calls `before` the sums make, and how far apart panels and rows are.

    Of several panels each lies by itself, and stays in the caches.
    """
    wide, rows = panel_columns(g.dtype, vectors), math.prod(g.kernel) * g.each
    if g.groups > 1 or g.outputs <= wide:
        return w, vectors * VECTOR_BYTES, g.item * g.outputs
    panels = -(-g.outputs // wide)
    packed: Place = binding.piece(panels * rows * wide * g.item), 0
    row = [0, panels, 0, g.outputs, 1, 0, g.outputs, rows]
    before.append(KernelCall(pack_panels(g.dtype, vectors), row, [(2, *w), (5, *packed)]))
    return packed, rows * wide * g.item, wide * g.item


def _conv_input(binding: Binding, op: Statement) -> None:
    for g, (y, w, x) in _each_example(binding, op):
        turned, images = _turn_around(g)
        weights: Place = binding.piece(g.item * g.weights), 0
        row = [0, math.prod(g.kernel), 0, 0, g.each, g.outputs, g.groups]
        turn = KernelCall(window_kernels.turned_weights(g.dtype), row, [(2, *w), (3, *weights)])
        _add_conv(binding, turned, images, y, weights, x, [turn])


def _turn_around(g: ConvolutionSizes) -> tuple[ConvolutionSizes, Images]:
    """The convolution that `conv_input` is: of y between zeros, `stride` apart, with the weights turned around.

    What stands around an image has a cotangent that nobody asks for, and so have zeros there no place.
    """
    reach = [e * (k - 1) for k, e in zip(g.kernel, g.dilation, strict=True)]
    cut = g.padding or ((0, 0),) * len(g.space)
    met = [(n - 1) * s + 1 for n, s in zip(g.out, g.stride, strict=True)]
    # where more is cut off than taps reach, some of y is met by none, but has its place
    kept = [
        (before, after) if before <= r and after <= n - m else (0, 0)
        for n, r, m, (before, after) in zip(g.space, reach, met, cut, strict=True)
    ]
    space = tuple(n + r - sum(k) for n, r, k in zip(g.space, reach, kept, strict=True))
    ones = (1,) * len(space)
    turned = ConvolutionSizes(
        g.dtype, g.images, g.outputs, g.channels, g.groups, space, g.inside, g.kernel, ones, g.dilation
    )
    first = [r - before for r, (before, _) in zip(reach, kept, strict=True)]
    begin = [before - k for (before, _), (k, _) in zip(cut, kept, strict=True)]
    if space == g.out:
        return turned, Images.plain(turned)
    return turned, Images(g.out, g.stride, first, begin)


def _conv_weight(binding: Binding, op: Statement) -> None:
    for g, (x, y, w) in _each_example(binding, op):
        shares = binding.shares(g.images, g.work >= SPLIT_PRODUCT, 1)
        parts: list[Place] = [w] if len(shares) == 1 else [(binding.piece(g.item * g.weights), 0) for _ in shares]
        zeros = library_kernels.fill_zeros(g.dtype)
        # each thread begins its own sum
        fill = [KernelCall(zeros, [0, g.weights, 0], [(2, *part)], goes_on=len(parts) > 1) for part in parts]
        images, behind = Images.plain(g), list[list[KernelCall]]()
        kernel, words = _weight_kernel(g, images)
        taken = [(*share, x, part, y) for share, part in zip(shares, parts, strict=True)]
        calls = _calls_of_shares(binding, kernel, words, ImageRoom.of(g, images), taken)
        if len(parts) > 1:
            places = [(at, *place) for at, place in enumerate([*parts, w], start=2)]
            behind.append([KernelCall(library_kernels.combine_parts(g.dtype), [0, g.weights, 0, 0, 0], places)])
        _go_over_images(binding, ImageSum(g, calls, [fill], behind, w[0]))


def _weight_kernel(g: ConvolutionSizes, images: Images) -> tuple[Kernel, list[int]]:
    """A tile of rows of w: of terms that lie side by side in x, or depthwise of taps of the last axis."""
    vectors, most = _tile_vectors(g.dtype, g.outputs if g.depthwise else g.columns)
    rows = _best_rows(g.kernel[-1] if g.depthwise else g.run(), vectors, most, overlap=False)
    words = g.tile_words(vectors * VECTOR_BYTES, g.item * g.outputs, g.item * images.numbers(g))
    pixel = g.item * g.channels
    down = pixel * g.dilation[-1] if g.depthwise else g.item
    above = g.kernel[-2] if g.depthwise and len(g.kernel) > 1 else 1
    deep = above if above * rows <= most else 1
    tiling = _tiling(g, rows, vectors, images, _at_a_time(g, min(g.out[-1], 4)), deep)
    return window_kernels.conv_weight_tiles(tiling, down, pixel * g.stride[-1]), words


def _calls_of_shares(
    binding: Binding,
    kernel: Kernel,
    words: Sequence[int],
    room: ImageRoom | None,
    shares: Sequence[tuple[int, int, Place, Place, Place]],
) -> list[KernelCall]:
    """A call for each share of the images, lo … hi, with where its x, w and y lie."""
    calls = []
    for lo, hi, *given in shares:
        places = [(at, *place) for at, place in enumerate(given, start=2)]
        if room is not None:
            # memory begins as zeros and a piece of it belongs to one call: what stands around and between stays 0
            piece, at = binding.piece(room.size), 5 + len(words)
            places += [(at, piece, room.begin), (at + 1, piece, room.first)]
        calls.append(KernelCall(kernel, [lo, hi, 0, 0, 0, *words, *(room.words if room else [])], places))
    return calls


@dataclass(frozen=True)
class ImageSum:
    """A sum over windows as calls, one a share of the images, with what is done before and behind all of them."""

    sizes: ConvolutionSizes
    calls: list[KernelCall]
    before: list[list[KernelCall]]
    behind: list[list[KernelCall]]
    written: Any

    @property
    def image(self) -> int:
        """Bytes of an image of x and of y."""
        g = self.sizes
        return g.item * (g.channels * math.prod(g.inside) + g.outputs * math.prod(g.out))

    @property
    def read(self) -> set[Any]:
        """The variables that it meets and does not write."""
        met = (c for calls in (self.calls, *self.before, *self.behind) for c in calls)
        return {held for c in met for _, held, _ in c.addresses if isinstance(held, Var)} - {self.written}

    def of_images(self, share: int, part: int, parts: int) -> KernelCall:
        """The call of a share for one of its parts."""
        c = self.calls[share]
        lo, hi = (c.row[0] + (c.row[1] - c.row[0]) * k // parts for k in (part, part + 1))
        return KernelCall(c.kernel, [lo, hi, *c.row[2:]], list(c.addresses), goes_on=True)


@dataclass(frozen=True)
class ImageSums:
    """Sums over the same images that are computed together, and which instructions they are."""

    sums: list[ImageSum]
    begin: int
    end: int


def _go_over_images(binding: Binding, new: ImageSum) -> None:
    """Add a sum, together with those just before it if they have the same images and write nothing of each other.

    Then each is computed of so many images as stay in a near cache, and what two of them read comes from far away once.
    """
    last = binding.under_way
    if isinstance(last, ImageSums) and last.end == len(binding.calls) and _fits(binding, new, last.sums):
        sums, begin = [*last.sums, new], last.begin
        del binding.calls[begin:], binding.parallel[begin:]
    else:
        sums, begin = [new], len(binding.calls)
    _add_together(binding, sums)
    binding.under_way = ImageSums(sums, begin, len(binding.calls))


def _add_together(binding: Binding, sums: Sequence[ImageSum]) -> None:
    turns = _turns(sums)
    for call in turns[-1]:
        call.goes_on = False
    for calls in itertools.chain(*(s.before for s in sums), turns, *(s.behind for s in sums)):
        binding.add(calls)


def _turns(sums: Sequence[ImageSum]) -> list[list[KernelCall]]:
    """The calls of all shares, of so many images at a time, for one sum after the other."""
    shares, images = sums[0].calls, max(1, NEAR_TOGETHER // max(1, sum(s.image for s in sums)))
    parts = max(1, -(-max(c.row[1] - c.row[0] for c in shares) // images)) if len(sums) > 1 else 1
    return [[s.of_images(share, part, parts) for share in range(len(shares))] for part in range(parts) for s in sums]


def _fits(binding: Binding, new: ImageSum, sums: Sequence[ImageSum]) -> bool:
    """Whether a sum has the shares of the others, and none of all writes what another reads or writes."""

    def apart(written: Any, held: set[Any]) -> bool:
        return not any(binding.overlap(written, other) for other in held)

    alike = [c.row[:2] for c in new.calls] == [c.row[:2] for c in sums[0].calls]
    return alike and all(
        apart(new.written, {*s.read, s.written}) and apart(s.written, {*new.read, new.written}) for s in sums
    )


def _each_example(binding: Binding, op: Statement) -> Iterator[tuple[ConvolutionSizes, list[Place]]]:
    """For every example of a batch: the sizes, and where the operands and the result lie."""
    params, number = op.equation.params, binding.number
    stride, dilation = tuple(params["stride"]), tuple(params["dilation"])
    d = len(stride)
    found = [(r.base, number(r.offset) * r.base.dtype.itemsize, tuple(map(number, r.shape))) for r in op.reads]
    found.append((op.out, 0, tuple(map(number, op.out.shape))))
    names = WINDOW_OPERANDS[op.equation.primitive.numba]
    shapes = {name: shape[-d - 2 :] for name, (_, _, shape) in zip(names, found, strict=True)}
    x, w, y = shapes["x"], shapes["w"], shapes["y"]
    padding = tuple(params.get("padding", ()))
    around = padding or ((0, 0),) * d
    space = tuple(n + before + after for n, (before, after) in zip(x[1:-1], around, strict=True))
    g = ConvolutionSizes(
        dtype_name(op.out.dtype),
        x[0],
        x[-1],
        y[-1],
        params["groups"],
        space,
        y[1:-1],
        w[:-2],
        stride,
        dilation,
        padding,
    )
    examples = math.prod(found[0][2][: -d - 2])
    for at in range(examples):
        yield g, [(base, offset + at * math.prod(shape[-d - 2 :]) * g.item) for base, offset, shape in found]


SPECIAL = {"conv": _conv, "conv_input": _conv_input, "conv_weight": _conv_weight}
"""How each sum over windows becomes calls."""
