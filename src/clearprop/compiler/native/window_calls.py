"""How convolution and its two transposes become calls of kernels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from clearprop.compiler import window_kernels
from clearprop.compiler.binding import SPLIT_PRODUCT, Binding, KernelCall
from clearprop.compiler.iteration_domains import Statement
from clearprop.compiler.kernel_text import dtype_name
from clearprop.compiler.kernels import Kernel
from clearprop.compiler.native import library_kernels
from clearprop.compiler.native.loader import processor
from clearprop.compiler.read_regions import region_read
from clearprop.compiler.tiles import VECTOR_BYTES, pack_panels, panel_columns

Place = tuple[Any, int]
"""A variable or piece of memory, and how many bytes behind its begin."""
_FEW = 8
"""Sums that the processor has under way at once; a smaller tile waits for its own."""


@dataclass(frozen=True)
class ConvolutionSizes:
    """The sizes of y = conv(x, w): images, channels and outputs, and one number for each axis of space.

    `room` is the space of the array in which y lies, if that is larger.
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
    room: tuple[int, ...] = ()

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
    def numbers(self) -> tuple[int, int, int]:
        """How many x, w and y have."""
        x, w, y = (math.prod(sizes) for sizes in (self.space, self.kernel, self.out))
        return self.images * x * self.channels, w * self.each * self.outputs, self.images * y * self.outputs

    @property
    def work(self) -> int:
        """Multiply-adds."""
        return self.numbers[2] * math.prod(self.kernel) * self.each

    def merges(self) -> bool:
        """Whether the taps of the last axis and their channels are one loop."""
        return self.groups == 1 and self.dilation[-1] == 1

    def run(self) -> int:
        """Terms that lie side by side."""
        return self.each * (self.kernel[-1] if self.merges() else 1)

    def axis_words(self, item: int, merged: bool, row: int) -> list[int]:
        """What kernels are told of each axis, with numbers and rows of w of so many bytes: `window_kernels.AXIS`."""
        words: list[int] = []
        last = len(self.space) - 1
        for k in range(len(self.space)):
            x = item * self.channels * math.prod(self.space[k + 1 :])
            y = item * self.outputs * math.prod((self.room or self.out)[k + 1 :])
            w = row * self.each * math.prod(self.kernel[k + 1 :])
            taps = 1 if merged and k == last else self.kernel[k]
            words += [self.out[k], self.stride[k] * x, y, taps, self.dilation[k] * x, w]
        return words

    def images_in(self, item: int) -> list[int]:
        """From an image to the next, in x and in y, with numbers of so many bytes."""
        return [
            item * self.channels * math.prod(self.space),
            item * self.outputs * math.prod(self.room or self.out),
        ]

    def tile_words(self, panel: int, row: int) -> list[int]:
        """The words of a kernel in tiles, behind its addresses: w has panels and rows that are so many bytes apart."""
        i = self.item
        rest = [self.groups, i * self.each, i * self.columns, self.columns, panel, self.run(), row]
        return [*self.images_in(i), *rest, *self.axis_words(i, self.merges(), row)]

    def channel_words(self) -> list[int]:
        """The words of a kernel channel by channel, behind its addresses."""
        return [*self.images_in(1), self.channels, *self.axis_words(1, False, self.outputs)]


def _tile_vectors(dtype: str, columns: int) -> tuple[int, int]:
    """Vectors of a tile, and the most rows: so many as the registers hold beside what is multiplied."""
    if "+avx512f" not in processor():
        return 1, 6
    return (2, 14) if columns >= panel_columns(dtype, 2) else (1, 16)


def _best_rows(length: int, vectors: int, most: int, overlap: bool) -> int:
    """Rows of the tiles over a length with the least work; what is left over is done again, or row by row."""

    def cost(rows: int) -> int:
        one = max(rows * vectors, _FEW) + vectors + 1
        rest = 0 if overlap else (length % rows) * (_FEW + vectors + 1)
        return (-(-length // rows) if overlap else length // rows) * one + rest

    return min(range(1, min(length, most) + 1), key=lambda rows: (cost(rows), -rows), default=1)


def _conv(binding: Binding, op: Statement) -> None:
    for g, (x, w, y) in _each_example(binding, op, "x", "w", "y"):
        _add_conv(binding, g, x, w, y)


def _add_conv(binding: Binding, g: ConvolutionSizes, x: Place, w: Place, y: Place) -> None:
    if g.depthwise:
        _add(binding, g, _depthwise(g, "conv"), g.channel_words(), x, w, y)
        return
    vectors, most = _tile_vectors(g.dtype, g.columns)
    rows = _best_rows(g.out[-1], vectors, most, overlap=True)
    w, words = _in_panels(binding, g, w, vectors)
    down = g.stride[-1] * g.item * g.channels
    tiling = window_kernels.Tiling.of(g.dtype, len(g.space), rows, vectors, g.columns)
    kernel = window_kernels.conv_tiles(tiling, down)
    _add(binding, g, kernel, words, x, w, y)


def _in_panels(binding: Binding, g: ConvolutionSizes, w: Place, vectors: int) -> tuple[Place, list[int]]:
    """The weights as tiles read them, and the words: of several panels each lies by itself, and stays in the caches."""
    wide, rows = panel_columns(g.dtype, vectors), math.prod(g.kernel) * g.each
    if g.groups > 1 or g.outputs <= wide:
        return w, g.tile_words(vectors * VECTOR_BYTES, g.item * g.outputs)
    panels = -(-g.outputs // wide)
    packed: Place = binding.piece(panels * rows * wide * g.item), 0
    row = [0, panels, 0, g.outputs, 1, 0, g.outputs, rows]
    binding.add([KernelCall(pack_panels(g.dtype, vectors), row, [(2, *w), (5, *packed)])])
    return packed, g.tile_words(rows * wide * g.item, wide * g.item)


def _conv_input(binding: Binding, op: Statement) -> None:
    for g, (y, w, x) in _each_example(binding, op, "y", "w", "x"):
        if g.depthwise:
            _fill(binding, x, g.numbers[0], g)
            _add(binding, g, _depthwise(g, "conv_input"), g.channel_words(), x, w, y)
        else:
            region = region_read(binding.plan, op.out, binding.number)[-len(g.space) - 1 : -1]
            turned, wide, weights = _turn_around(binding, g, w, y)
            # what pads an image has a cotangent that nobody asks for
            inside = replace(turned, out=tuple(hi - lo for lo, hi in region), room=g.space)
            starts = [lo for lo, _ in region]
            wide = wide[0], wide[1] + g.item * g.outputs * _flat_index(starts, turned.space)
            x = x[0], x[1] + g.item * g.channels * _flat_index(starts, g.space)
            _add_conv(binding, inside, wide, weights, x)


def _flat_index(index: Sequence[int], space: Sequence[int]) -> int:
    return sum(i * math.prod(space[k + 1 :]) for k, i in enumerate(index))


def _turn_around(binding: Binding, g: ConvolutionSizes, w: Place, y: Place) -> tuple[ConvolutionSizes, Place, Place]:
    """The convolution that `conv_input` is: of y between zeros, `stride` apart, with the weights turned around."""
    reach = tuple(e * (k - 1) for k, e in zip(g.kernel, g.dilation, strict=True))
    space = tuple(n + r for n, r in zip(g.space, reach, strict=True))
    ones = (1,) * len(space)
    turned = ConvolutionSizes(
        g.dtype, g.images, g.outputs, g.channels, g.groups, space, g.space, g.kernel, ones, g.dilation
    )
    # memory begins as zeros and a piece of it belongs to one call: what stands around and between y stays 0
    wide: Place = binding.piece(g.item * turned.numbers[0]), 0
    steps = [g.outputs * math.prod(space[k + 1 :]) for k in range(len(space))]
    start = sum(r * step for r, step in zip(reach, steps, strict=True))
    image, kernel = g.outputs * math.prod(space), library_kernels.scatter(g.dtype, len(space) + 2, unit=True)
    strides = [image, *(s * step for s, step in zip(g.stride, steps, strict=True)), 1]
    per_image = g.numbers[2] // max(g.images, 1)
    binding.add([
        KernelCall(
            kernel, [0, hi - lo, 0, 0, *g.out, g.outputs, *strides],
            [(2, y[0], y[1] + lo * per_image * g.item), (3, wide[0], (start + lo * image) * g.item)],
        )
        for lo, hi in binding.shares(g.images, g.work >= SPLIT_PRODUCT, 1)
    ])  # fmt: skip
    weights: Place = binding.piece(g.item * g.numbers[1]), 0
    row = [0, math.prod(g.kernel), 0, 0, g.each, g.outputs, g.groups]
    binding.add([KernelCall(window_kernels.turned_weights(g.dtype), row, [(2, *w), (3, *weights)])])
    return turned, wide, weights


def _conv_weight(binding: Binding, op: Statement) -> None:
    for g, (x, y, w) in _each_example(binding, op, "x", "y", "w"):
        shares = binding.shares(g.images, g.work >= SPLIT_PRODUCT, 1)
        parts: list[Place] = [w] if len(shares) == 1 else [(binding.piece(g.item * g.numbers[1]), 0) for _ in shares]
        for part in parts:
            _fill(binding, part, g.numbers[1], g)
        kernel, words = _weight_kernel(g)
        calls = [
            KernelCall(kernel, [lo, hi, 0, 0, 0, *words], [(2, *x), (3, *part), (4, *y)])
            for (lo, hi), part in zip(shares, parts, strict=True)
        ]
        binding.add(calls)
        if len(parts) > 1:
            places = [(at, *place) for at, place in enumerate([*parts, w], start=2)]
            combine = library_kernels.combine_parts(g.dtype)
            binding.add([KernelCall(combine, [0, g.numbers[1], 0, 0, 0], places)])


def _weight_kernel(g: ConvolutionSizes) -> tuple[Kernel, list[int]]:
    if g.depthwise:
        return _depthwise(g, "conv_weight"), g.channel_words()
    vectors, most = _tile_vectors(g.dtype, g.columns)
    rows = _best_rows(g.run(), vectors, most, overlap=False)
    tiling = window_kernels.Tiling.of(g.dtype, len(g.space), rows, vectors, g.columns)
    return window_kernels.conv_weight_tiles(tiling), g.tile_words(vectors * VECTOR_BYTES, g.item * g.outputs)


def _depthwise(g: ConvolutionSizes, name: str) -> Kernel:
    statement = window_kernels.DEPTHWISE[name]
    return window_kernels.channel_by_channel(g.dtype, len(g.space), statement, name == "conv")


def _fill(binding: Binding, place: Place, count: int, g: ConvolutionSizes) -> None:
    kernel = library_kernels.fill_zeros(g.dtype)
    shares = binding.shares(count, g.work >= SPLIT_PRODUCT)
    binding.add([KernelCall(kernel, [lo, hi, 0], [(2, *place)]) for lo, hi in shares])


def _add(
    binding: Binding, g: ConvolutionSizes, kernel: Kernel, words: Sequence[int], x: Place, w: Place, y: Place
) -> None:
    """A kernel over the images, for each thread a share."""
    shares = binding.shares(g.images, g.work >= SPLIT_PRODUCT, 1)
    places = [(2, *x), (3, *w), (4, *y)]
    binding.add([KernelCall(kernel, [lo, hi, 0, 0, 0, *words], list(places)) for lo, hi in shares])


def _each_example(binding: Binding, op: Statement, *names: str) -> Iterator[tuple[ConvolutionSizes, list[Place]]]:
    """For every example of a batch: the sizes, and where the operands and the result lie."""
    params, number = op.equation.params, binding.number
    stride, dilation = tuple(params["stride"]), tuple(params["dilation"])
    d = len(stride)
    found = [(r.base, number(r.offset) * r.base.dtype.itemsize, tuple(map(number, r.shape))) for r in op.reads]
    found.append((op.out, 0, tuple(map(number, op.out.shape))))
    shapes = {name: shape[-d - 2 :] for name, (_, _, shape) in zip(names, found, strict=True)}
    x, w, y = shapes["x"], shapes["w"], shapes["y"]
    g = ConvolutionSizes(
        dtype_name(op.out.dtype), x[0], x[-1], y[-1], params["groups"], x[1:-1], y[1:-1], w[:-2], stride, dilation
    )
    examples = math.prod(found[0][2][: -d - 2])
    for at in range(examples):
        yield g, [(base, offset + at * math.prod(shape[-d - 2 :]) * g.item) for base, offset, shape in found]


SPECIAL = {"conv": _conv, "conv_input": _conv_input, "conv_weight": _conv_weight}
"""How each sum over windows becomes calls."""
