"""Shapes and order: what is moved, joined, cut, repeated."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from clearprop.arrays import functions as f
from clearprop.arrays.tensor import asarray
from clearprop.errors import ArgumentError
from clearprop.interop.onnx.graph_values import checked_shape, dtype_of, integers, is_known, rank, sizes
from clearprop.interop.onnx.operator_table import operator
from clearprop.program.ir import shape_of


@operator("Shape")
def shape(x: Any, *, start: int = 0, end: int | None = None) -> Any:
    """The sizes of x, as integers that are known."""
    return np.asarray(sizes(x)[start:end], np.int64)


@operator("Size")
def size(x: Any) -> Any:
    """How many numbers x has."""
    return np.asarray(math.prod(sizes(x)), np.int64)


@operator("Reshape", settings=(1,))
def reshape(x: Any, shape: Any, *, allowzero: int = 0) -> Any:
    """The same numbers in another shape; 0 keeps the size that x has there (unless `allowzero`), -1 is what is left."""
    old = shape_of(x)
    wanted = integers(shape, "the shape")
    if not allowzero:
        wanted = tuple(old[i] if n == 0 else n for i, n in enumerate(wanted))
    if -1 in wanted and 0 in sizes(x):  # what is left is not told by 0 numbers
        rest = math.prod(int(n) for n in wanted if not (isinstance(n, int) and n == -1))
        wanted = tuple((0 if rest == 0 else math.prod(sizes(x)) // rest) if n == -1 else n for n in wanted)
    return f.reshape(x, wanted)


@operator("Flatten")
def flatten(x: Any, *, axis: int = 1) -> Any:
    """A matrix: the axes before `axis` are rows, the others columns."""
    old = shape_of(x)
    axis = axis + len(old) if axis < 0 else axis
    return f.reshape(x, (math.prod(old[:axis]), math.prod(old[axis:])))


@operator("Transpose")
def transpose(x: Any, *, perm: tuple[int, ...] | None = None) -> Any:
    """The axes in another order, by default in the opposite one."""
    return f.permute_dims(x, tuple(reversed(range(rank(x)))) if perm is None else perm)


@operator("Squeeze")
def squeeze_by_attribute(x: Any, *, axes: tuple[int, ...] | None = None) -> Any:
    """Without axes of size 1."""
    found = tuple(i for i, n in enumerate(shape_of(x)) if n == 1) if axes is None else axes
    return f.squeeze(x, axis=found) if found else x


@operator("Squeeze", since=13, settings=(1,))
def squeeze(x: Any, axes: Any = None) -> Any:
    """Without axes of size 1."""
    return squeeze_by_attribute(x, axes=None if axes is None else integers(axes, "the axes"))


@operator("Unsqueeze")
def unsqueeze_by_attribute(x: Any, *, axes: tuple[int, ...]) -> Any:
    """With axes of size 1 at these places of the result."""
    total = rank(x) + len(axes)
    places = {a % total for a in axes}
    if len(places) != len(axes) or not all(-total <= a < total for a in axes):
        raise ArgumentError("Unsqueeze names an axis twice or outside", expected=f"axes of {total}", got=str(axes))
    old = iter(shape_of(x))
    return f.reshape(x, tuple(1 if i in places else next(old) for i in range(total)))


@operator("Unsqueeze", since=13, settings=(1,))
def unsqueeze(x: Any, axes: Any) -> Any:
    """With axes of size 1 at these places of the result."""
    return unsqueeze_by_attribute(x, axes=integers(axes, "the axes"))


@operator("Expand", settings=(1,))
def expand(x: Any, shape: Any) -> Any:
    """X repeated along axes of size 1 until it has the shape, both broadcast."""
    wanted, old = integers(shape, "the shape"), sizes(x)
    return f.broadcast_to(x, checked_shape(np.broadcast_shapes(wanted, old), "Expand"))


@operator("Concat")
def concat(*arrays: Any, axis: int) -> Any:
    """The arrays one after the other along an axis."""
    checked_shape([sum(math.prod(sizes(a)) for a in arrays if is_known(a))], "Concat")
    return f.concat(list(arrays), axis=axis)


def _parts(x: Any, lengths: tuple[int, ...], axis: int) -> Any:
    total = sizes(x)[axis]
    if sum(lengths) != total or min(lengths, default=0) < 0:
        raise ArgumentError("the parts of Split do not add up", expected=f"{total} in all", got=str(lengths))
    ends = np.cumsum(lengths)[:-1].tolist()
    return tuple(f.split(x, ends, axis=axis))


@operator("Split")
def split_by_attribute(x: Any, *, axis: int = 0, split: tuple[int, ...] | None = None, outputs: int) -> Any:
    """X in parts along an axis, equal ones unless their lengths are given."""
    return _parts(x, _equal_lengths(sizes(x)[axis], outputs) if split is None else split, axis)


@operator("Split", since=13, settings=(1,))
def split(x: Any, split: Any = None, *, axis: int = 0, num_outputs: int | None = None, outputs: int) -> Any:
    """X in parts along an axis, equal ones (the last may be shorter) unless their lengths are given."""
    if split is not None:
        return _parts(x, integers(split, "the lengths"), axis)
    return _parts(x, _equal_lengths(sizes(x)[axis], num_outputs or outputs), axis)


def _equal_lengths(total: int, parts: int) -> tuple[int, ...]:
    each = -(-total // parts)
    return tuple(max(min(each, total - i * each), 0) for i in range(parts))


@operator("Tile", settings=(1,))
def tile(x: Any, repeats: Any) -> Any:
    """X repeated along each axis."""
    times = integers(repeats, "the repetitions")
    checked_shape([n * t for n, t in zip(sizes(x), times, strict=True)], "Tile")
    return f.tile(x, times)


@operator("Slice")
def slice_by_attributes(
    x: Any, *, starts: tuple[int, ...], ends: tuple[int, ...], axes: tuple[int, ...] | None = None
) -> Any:
    """X from start to end along axes."""
    return _cut(x, starts, ends, axes, None)


@operator("Slice", since=10, settings=(1, 2, 3, 4))
def slice_(x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
    """X from start to end along axes, in steps."""
    optional = [None if v is None else integers(v, "the slice") for v in (axes, steps)]
    return _cut(x, integers(starts, "the slice"), integers(ends, "the slice"), *optional)


def _cut(
    x: Any,
    starts: tuple[int, ...],
    ends: tuple[int, ...],
    axes: tuple[int, ...] | None,
    steps: tuple[int, ...] | None,
) -> Any:
    axes = tuple(range(len(starts))) if axes is None else axes
    key: list[Any] = [slice(None)] * rank(x)
    full = shape_of(x)
    for axis, start, end, step in zip(axes, starts, ends, steps or (1,) * len(starts), strict=True):
        if (start, step) == (0, 1) and end >= 2**31 - 1:
            continue  # the whole axis, whatever its size
        n = int(full[axis])
        first, last, by = slice(start, end, step).indices(n)
        key[axis] = slice(first, None if last < 0 else last, by)
    return asarray(x)[tuple(key)]


def pad_axes(x: Any, pads: tuple[int, ...], mode: str, value: Any, axes: tuple[int, ...]) -> Any:
    """X with places before and after along axes: first all that come before, then all after; negative ones cut off."""
    half, count = len(pads) // 2, rank(x)
    widths = [(0, 0)] * count
    for place, axis in enumerate(axes):
        widths[axis] = (pads[place], pads[place + half])
    cut: Any = tuple(
        slice(max(-before, 0), n - max(-after, 0)) if before < 0 or after < 0 else slice(None)
        for n, (before, after) in zip(sizes(x), widths, strict=True)
    )
    x = asarray(x)[cut] if any(c != slice(None) for c in cut) else x
    added = [(max(before, 0), max(after, 0)) for before, after in widths]
    checked_shape([n + before + after for n, (before, after) in zip(sizes(x), added, strict=True)], "Pad")
    return _fill(x, added, mode, value)


def _fill(x: Any, added: list[tuple[int, int]], mode: str, value: Any) -> Any:
    if mode != "constant":
        return _repeat_edges(x, added, mode)
    number = 0 if value is None else value
    for axis, (before, after) in enumerate(added):
        parts = [_block(x, axis, n, number) if n else None for n in (before, after)]
        present = [p for p in (parts[0], x, parts[1]) if p is not None]
        x = f.concat(present, axis=axis) if len(present) > 1 else x
    return x


def _block(x: Any, axis: int, length: int, number: Any) -> Any:
    shape = list(shape_of(x))
    shape[axis] = length
    return f.broadcast_to(f.astype(f.reshape(asarray(number), ()), dtype_of(x)), tuple(shape))


_NUMPY_MODES = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}


def _repeat_edges(x: Any, added: list[tuple[int, int]], mode: str) -> Any:
    """Places that hold numbers of x again: which ones, NumPy says on the places themselves."""
    for axis, width in enumerate(added):
        if width != (0, 0):
            places = np.pad(np.arange(sizes(x)[axis]), width, mode=_NUMPY_MODES[mode])  # type: ignore[call-overload]  # a mode
            x = f.take(x, places, axis=axis)
    return x


@operator("Pad", since=2)
def pad_by_attributes(x: Any, *, pads: tuple[int, ...], mode: str = "constant", value: float = 0.0) -> Any:
    """X with places around it: a number, or numbers of x again."""
    return pad_axes(x, pads, mode, value, tuple(range(rank(x))))


@operator("Pad", since=11, settings=(1, 2, 3))
def pad(x: Any, pads: Any, constant_value: Any = None, axes: Any = None, *, mode: str = "constant") -> Any:
    """X with places around it: a number, or numbers of x again."""
    chosen = tuple(range(rank(x))) if axes is None else integers(axes, "the axes")
    return pad_axes(x, integers(pads, "the widths"), mode, constant_value, chosen)


@operator("CenterCropPad", settings=(1,))
def center_crop_pad(x: Any, shape: Any, *, axes: tuple[int, ...] | None = None) -> Any:
    """X cut or filled with zeros, as much on both sides, until it has the shape along the axes."""
    chosen = tuple(range(rank(x))) if axes is None else axes
    missing = [n - sizes(x)[a] for n, a in zip(integers(shape, "the shape"), chosen, strict=True)]
    before = tuple(m // 2 if m >= 0 else -((-m) // 2) for m in missing)
    after = tuple(m - b for m, b in zip(missing, before, strict=True))
    return pad_axes(x, before + after, "constant", 0, chosen)


@operator("DepthToSpace")
def depth_to_space(x: Any, *, blocksize: int, mode: str = "DCR") -> Any:
    """Blocks of channels as squares of places."""
    n, c, h, w = shape_of(x)
    b, depth = blocksize, int(c) // blocksize**2
    if mode == "DCR":
        parts, order = (n, b, b, depth, h, w), (0, 3, 4, 1, 5, 2)
    else:
        parts, order = (n, depth, b, b, h, w), (0, 1, 4, 2, 5, 3)
    return f.reshape(f.permute_dims(f.reshape(x, parts), order), (n, depth, h * b, w * b))


@operator("SpaceToDepth")
def space_to_depth(x: Any, *, blocksize: int, mode: str = "DCR") -> Any:
    """Squares of places as blocks of channels."""
    n, c, h, w = sizes(x)
    b = blocksize
    parts = f.reshape(x, (n, c, h // b, b, w // b, b))
    order = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    return f.reshape(f.permute_dims(parts, order), (n, c * b * b, h // b, w // b))


@operator("Trilu", settings=(1,))
def trilu(x: Any, k: Any = None, *, upper: int = 1) -> Any:
    """The triangle above (or below) the diagonal k; the rest is 0."""
    diagonal = 0 if k is None else integers(k, "the diagonal")[0]
    return f.triu(x, k=diagonal) if upper else f.tril(x, k=diagonal)
