"""Convolution over any number of axes: three sums over one relation, which are each other's derivatives.

Output i, tap a and position p of the input meet where stride·i + dilation·a = p.  Over the triples that meet
`conv(x, w)` sums products for every i, `conv_input(g, w)` for every p, `conv_weight(x, g)` for every a.  Each is linear
in both operands, so the derivatives of each are the other two, to any order.

Axes: x (…, n, *space, channels), w (…, *kernel, channels / groups, outputs); those before n belong to a batch of
examples, of `vmap`.  Padding is a step of its own before: x is put into zeros.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from clearprop.errors import ArgumentError, ShapeError, user_line
from clearprop.primitives import HELPERS, primitive
from clearprop.program.types import Type, Value, type_of
from clearprop.program.values import raw
from clearprop.rules import eager
from clearprop.rules.indexing import getitem_, scatter_slice
from clearprop.rules.joining import in_one_dtype
from clearprop.shapes import Shape, hint, same

Array: TypeAlias = NDArray[Any]
Steps: TypeAlias = tuple[int, ...]
Padding: TypeAlias = str | int | Sequence[int] | Sequence[tuple[int, int]]

COPIED_AT_ONCE = 8
"""Numbers of a patch that lie side by side in the image: fewer are faster copied tap by tap, over all outputs."""
PATCHES = 1 << 21
"""Numbers of the patches that NumPy holds at a time: more leave the caches, and memory grows."""


# ------------------------------------------------------------------------------------------------ values by NumPy
def _count(sizes: Sequence[int]) -> int:
    return int(np.prod(sizes, dtype=np.int64))


def _taps(kernel: Sequence[int], out: Sequence[int], stride: Steps, dilation: Steps) -> Iterator[Any]:
    """For every tap, in order, the positions that it meets."""
    for tap in np.ndindex(*kernel):
        starts = [a * e for a, e in zip(tap, dilation, strict=True)]
        yield tuple(slice(a, a + (n - 1) * s + 1, s) for a, n, s in zip(starts, out, stride, strict=True))


def _blocks(images: int, numbers: int) -> Iterator[slice]:
    """Images by so many as fit, if each has so many numbers in its patches."""
    step = max(1, PATCHES // max(1, numbers))
    for first in range(0, images, step):
        yield slice(first, first + step)


def _patches(x: Array, kernel: Shape, out: Sequence[int], stride: Steps, dilation: Steps, groups: int) -> Array:
    """What each output meets, by groups of channels: (…, groups, n·outputs, taps·channels)."""
    lead, n, c = x.shape[: -len(stride) - 2], x.shape[-len(stride) - 2], x.shape[-1] // groups
    side_by_side = c * (kernel[-1] if dilation[-1] == groups == 1 else 1)
    if side_by_side >= COPIED_AT_ONCE:
        found = np.moveaxis(_windows(x, kernel, out, stride, dilation, groups), -2, len(lead))
    else:
        found = np.empty((*lead, groups, n, *out, _count(kernel), c), x.dtype)
        for k, at in enumerate(_taps(kernel, out, stride, dilation)):
            part = x[(..., *at, slice(None))]
            found[..., k, :] = np.moveaxis(part.reshape(*part.shape[:-1], groups, c), -2, len(lead))
    return found.reshape(*lead, groups, n * _count(out), _count(kernel) * c)


def _windows(x: Array, kernel: Shape, out: Sequence[int], stride: Steps, dilation: Steps, groups: int) -> Array:
    """A view of x, (…, n, *outputs, *taps, groups, channels)."""
    axes, (channel, c) = x.strides[-len(stride) - 1 : -1], (x.strides[-1], x.shape[-1] // groups)
    # a step that is never taken may be any number, also one that no address holds
    outer = (by * s if n > 1 else 0 for by, s, n in zip(axes, stride, out, strict=True))
    inner = (by * e if n > 1 else 0 for by, e, n in zip(axes, dilation, kernel, strict=True))
    strides = (*x.strides[: -len(stride) - 1], *outer, *inner, c * channel, channel)
    shape = (*x.shape[: -len(stride) - 1], *out, *kernel, groups, c)
    return np.lib.stride_tricks.as_strided(x, shape, strides, writeable=False)


def _columns(w: Array, axes: int, groups: int) -> Array:
    """Weights as one matrix for each group: (…, groups, taps·channels, outputs)."""
    lead = w.shape[: -axes - 2]
    return np.moveaxis(w.reshape(*lead, _count(w.shape[-axes - 2 : -1]), groups, w.shape[-1] // groups), -2, -3)


def _by_group(y: Array, axes: int, groups: int) -> Array:
    """Outputs as one matrix for each group: (…, groups, n·outputs, channels)."""
    lead, n = y.shape[: -axes - 2], _count(y.shape[-axes - 2 : -1])
    return np.moveaxis(y.reshape(*lead, n, groups, y.shape[-1] // groups), -2, -3)


def _conv(x: Array, w: Array, stride: Steps, dilation: Steps, groups: int, multiply: Any = np.matmul) -> Array:
    d = len(stride)
    kernel, columns = w.shape[-d - 2 : -2], _columns(w, d, groups)
    out = tuple(
        (n - e * (k - 1) - 1) // s + 1
        for n, k, s, e in zip(x.shape[-d - 1 : -1], kernel, stride, dilation, strict=True)
    )
    y = np.empty((*x.shape[: -d - 1], *out, w.shape[-1]), np.result_type(x, w))
    for rows in _blocks(x.shape[-d - 2], _count(x.shape[: -d - 2]) * _count((*out, *kernel)) * x.shape[-1]):
        at: Any = (..., rows, *[slice(None)] * (d + 1))
        found = multiply(_patches(x[at], kernel, out, stride, dilation, groups), columns)
        y[at] = np.moveaxis(found, -3, -2).reshape(y[at].shape)
    return y


def _conv_input(
    g: Array, w: Array, size: Shape, stride: Steps, dilation: Steps, groups: int, multiply: Any = np.matmul
) -> Array:
    d = len(stride)
    kernel, columns = w.shape[-d - 2 : -2], np.swapaxes(_columns(w, d, groups), -1, -2)
    out, lead, c = g.shape[-d - 1 : -1], g.shape[: -d - 2], w.shape[-2]
    x = np.zeros((*g.shape[: -d - 1], *size, c * groups), np.result_type(g, w))
    for rows in _blocks(g.shape[-d - 2], _count((*lead, *out, *kernel)) * c * groups):
        at: Any = (..., rows, *[slice(None)] * (d + 1))
        part, block = g[at], x[at]
        found = multiply(_by_group(part, d, groups), columns)
        found = found.reshape(*lead, groups, *part.shape[-d - 2 : -1], _count(kernel), c)
        for k, place in enumerate(_taps(kernel, out, stride, dilation)):
            target = block[(..., *place, slice(None))]
            target += np.moveaxis(found[..., k, :], len(lead), -2).reshape(target.shape)
    return x


def _conv_weight(x: Array, g: Array, kernel: Shape, stride: Steps, dilation: Steps, groups: int) -> Array:
    d = len(stride)
    out, lead, c = g.shape[-d - 1 : -1], x.shape[: -d - 2], x.shape[-1] // groups
    w = np.zeros((*lead, groups, _count(kernel) * c, g.shape[-1] // groups), np.result_type(x, g))
    for rows in _blocks(x.shape[-d - 2], _count((*lead, *out, *kernel)) * x.shape[-1]):
        at: Any = (..., rows, *[slice(None)] * (d + 1))
        patches = _patches(x[at], kernel, out, stride, dilation, groups)
        w += np.matmul(np.swapaxes(patches, -1, -2), _by_group(g[at], d, groups))
    return np.moveaxis(w, -3, -2).reshape(*lead, *kernel, c, g.shape[-1])


HELPERS.update(conv_values=_conv, conv_input_values=_conv_input, conv_weight_values=_conv_weight)


def _conv_now(x: Array, w: Array, stride: Steps, dilation: Steps, groups: int) -> Array:
    """As predictions need it: with the products of `eager`."""
    return _conv(x, w, stride, dilation, groups, eager.product_of_patches)


def _conv_input_now(g: Array, w: Array, size: Shape, stride: Steps, dilation: Steps, groups: int) -> Array:
    return _conv_input(g, w, size, stride, dilation, groups, eager.product)


# ------------------------------------------------------------------------------------------------------- shapes
def numbers_of(shape: Shape) -> Steps:
    """Sizes as numbers, which they are from here on: of what is convolved or pooled a program is made for one space.

    >>> numbers_of((3, 4))
    (3, 4)
    """
    for n in shape:
        same(n, hint(n))
    return tuple(map(int, shape))


def _space(shape: Shape, axes: int) -> Steps:
    return numbers_of(shape[-axes - 1 : -1])


def _kernel(shape: Shape, axes: int) -> Steps:
    return numbers_of(shape[-axes - 2 : -2])


def outputs_of_windows(space: Steps, kernel: Steps, stride: Steps, dilation: Steps) -> Steps:
    """How many windows there are along each axis of space.

    >>> outputs_of_windows((28, 28), (5, 5), (1, 2), (1, 1))
    (24, 12)
    """
    return tuple((n - e * (k - 1) - 1) // s + 1 for n, k, s, e in zip(space, kernel, stride, dilation, strict=True))


def _conv_shape(x: Type, w: Type, stride: Steps, dilation: Steps, groups: int) -> Shape:
    d = len(stride)
    space, kernel = _space(x.shape, d), _kernel(w.shape, d)
    if not same(x.shape[-1], w.shape[-2] * groups):
        raise ShapeError(
            f"conv cannot convolve x {x.shape} with w {w.shape}",
            expected=f"x of {w.shape[-2] * groups} channels"
            + (f", {groups} groups of the {w.shape[-2]} that w has" if groups > 1 else ", as w has"),
            got=f"{x.shape[-1]} channels, the last axis of x",
            where=user_line(),
            try_="check the number of channels: x is (n, *space, channels), w is (*kernel, channels / groups, outputs)",
        )
    if hint(w.shape[-1]) % groups:
        raise ShapeError(
            f"conv cannot divide the outputs of w {w.shape} among {groups} groups",
            expected=f"a multiple of {groups} outputs, the last axis of w",
            got=f"{w.shape[-1]}",
            where=user_line(),
        )
    out = outputs_of_windows(space, kernel, stride, dilation)
    if min(out) < 1:
        raise ShapeError(
            f"conv's kernel {kernel} does not fit into {space}",
            expected="a kernel that, spread by its dilation, is not larger than the padded input",
            got=f"kernel {kernel}, dilation {dilation}, padded input {space}",
            where=user_line(),
            try_='padding="same", or a smaller kernel',
        )
    return (*x.shape[: -d - 1], *out, w.shape[-1])


# --------------------------------------------------------------------------------------------------- primitives
@primitive(
    "multilinear", numpy="conv_values({x}, {w}, {stride}, {dilation}, {groups})", numba="conv", eager=_conv_now,
    tex=r"{x}\star {w}", shape=_conv_shape,
    vjp_x=lambda g, x, w, stride, dilation, groups: conv_input(
        g, w, size=_space(x.shape, len(stride)), stride=stride, dilation=dilation, groups=groups
    ),
    vjp_w=lambda g, x, w, stride, dilation, groups: conv_weight(
        x, g, kernel=_kernel(w.shape, len(stride)), stride=stride, dilation=dilation, groups=groups
    ),
)  # fmt: skip
def conv_(x: Value, w: Value, /, *, stride: Steps, dilation: Steps, groups: int) -> Any:
    """y[n, i, o] = Σ over taps a and channels c of x[n, stride·i + dilation·a, c]·w[a, c, o], over any space axes.

    Nothing is turned around, as in every neural network (LeCun et al. 1989, Backpropagation applied to handwritten zip
    code recognition; the operation is a cross-correlation).

    x         (n, *space, channels)
    w         (*kernel, channels / groups, outputs): one axis for each of space
    stride    positions from one output to the next: a number, or one for each axis
    padding   "valid" (none), "same" (ceil(size / stride) outputs, what is odd stands behind), a number for every side,
              one for each axis, or a pair (before, after) for each axis: so many zeros
    dilation  positions from one tap to the next: a number, or one for each axis
    groups    channels and outputs are divided into so many parts, and each output meets the channels of its part;
              as many as channels is a depthwise convolution

    Gives (n, *out, outputs) with out = (size + before + after − dilation·(kernel − 1) − 1) // stride + 1.
    Raises ShapeError for channels that do not agree and for a kernel that does not fit, ArgumentError for the rest.

    >>> import clearprop as cl
    >>> x, w = cl.tensor([[[1.0], [2.0], [4.0], [8.0]]]), cl.tensor([[[1.0]], [[-1.0]]])
    >>> cl.conv(x, w).shape, cl.conv(x, w)[0, :, 0]
    ((1, 3, 1), Tensor([-1.0, -2.0, -4.0]))
    """


@primitive(
    "multilinear", numpy="conv_input_values({dy}, {w}, {size}, {stride}, {dilation}, {groups})", numba="conv_input",
    eager=_conv_input_now, tex=r"{dy}\star^{{\top}} {w}", public=False,
    shape=lambda dy, w, size, stride, dilation, groups: (
        *dy.shape[: -len(stride) - 1], *size, w.shape[-2] * groups
    ),
    vjp_dy=lambda g, w, stride, dilation, groups: conv_(g, w, stride=stride, dilation=dilation, groups=groups),
    vjp_w=lambda g, dy, w, stride, dilation, groups: conv_weight(
        g, dy, kernel=_kernel(w.shape, len(stride)), stride=stride, dilation=dilation, groups=groups
    ),
)  # fmt: skip
def conv_input(dy: Value, w: Value, /, *, size: Shape, stride: Steps, dilation: Steps, groups: int) -> Any:
    """x[n, p, c] = Σ over the outputs i and taps a that meet at p of dy[n, i, o]·w[a, c, o]: `conv` transposed in x."""


@primitive(
    "multilinear", numpy="conv_weight_values({x}, {dy}, {kernel}, {stride}, {dilation}, {groups})",
    numba="conv_weight", tex=r"{x}\star_{{w}} {dy}", public=False,
    shape=lambda x, dy, kernel, stride, dilation, groups: (
        *x.shape[: -len(stride) - 2], *kernel, x.shape[-1] // groups, dy.shape[-1]
    ),
    vjp_x=lambda g, x, dy, stride, dilation, groups: conv_input(
        dy, g, size=_space(x.shape, len(stride)), stride=stride, dilation=dilation, groups=groups
    ),
    vjp_dy=lambda g, x, stride, dilation, groups: conv_(x, g, stride=stride, dilation=dilation, groups=groups),
)  # fmt: skip
def conv_weight(x: Value, dy: Value, /, *, kernel: Shape, stride: Steps, dilation: Steps, groups: int) -> Any:
    """w[a, c, o] = Σ over n and outputs i of x[n, stride·i + dilation·a, c]·dy[n, i, o]: `conv` transposed in w."""


# ---------------------------------------------------------------------------------------------- what users call
@conv_.front
def conv(  # noqa: D103 - the declaration's docstring
    x: Value, w: Value, *, stride: Any = 1, padding: Padding = "valid", dilation: Any = 1, groups: int = 1
) -> Any:
    x, w = in_one_dtype("conv", (x, w))
    d = _space_axes("conv", x, w)
    strides, dilations = steps_along(stride, d, "stride"), steps_along(dilation, d, "dilation")
    kernel, space = _kernel(type_of(raw(w)).shape, d), _space(type_of(raw(x)).shape, d)
    x = _with_zeros(x, padding_widths(padding, space, kernel, strides, dilations))
    parts = _positive(groups, "groups")
    _conv_shape(type_of(raw(x)), type_of(raw(w)), strides, dilations, parts)  # NumPy would not say what is wrong
    return conv_(x, w, stride=strides, dilation=dilations, groups=parts)


def conv_transpose(
    x: Value,
    w: Value,
    *,
    stride: Any = 1,
    padding: Padding = "valid",
    dilation: Any = 1,
    groups: int = 1,
    output_padding: Any = 0,
) -> Any:
    """The transpose of `conv` in its input: every position of x puts w, times its values, where conv would read it.

    x               (n, *space, channels)
    w               the weight of the conv that is transposed, (*kernel, outputs / groups, channels)
    stride          positions of the result from one position of x to the next: a number, or one for each axis
    padding         what the conv would be given, without "same": so many entries of the result are cut off
    dilation        positions from one tap to the next: a number, or one for each axis
    groups          as in `conv`
    output_padding  positions more behind, which a stride leaves open: a number below stride, or one for each axis

    Gives (n, *out, outputs) with out = (size − 1)·stride + dilation·(kernel − 1) + 1 − before − after + output_padding.
    Raises ShapeError for channels that do not agree, ArgumentError for the rest.

    >>> import clearprop as cl
    >>> x, w = cl.tensor([[[1.0], [2.0]]]), cl.tensor([[[1.0]], [[10.0]]])
    >>> cl.conv_transpose(x, w, stride=2)[0, :, 0]
    Tensor([1.0, 10.0, 2.0, 20.0])
    """
    x, w = in_one_dtype("conv_transpose", (x, w))
    d = _space_axes("conv_transpose", x, w)
    strides, dilations = steps_along(stride, d, "stride"), steps_along(dilation, d, "dilation")
    more = steps_along(output_padding, d, "output_padding", least=0)
    space, shape = _space(type_of(raw(x)).shape, d), type_of(raw(w)).shape
    widths = _given_widths(padding, d)
    if not same(shape[-1], type_of(raw(x)).shape[-1]):
        raise ShapeError(
            "conv_transpose takes the weight of the conv that it transposes",
            expected=f"w (*kernel, outputs / groups, {type_of(raw(x)).shape[-1]}), whose last axis x has as channels",
            got=f"w {shape}",
            where=user_line(),
        )
    if any(m >= s for m, s in zip(more, strides, strict=True)):
        raise ArgumentError(
            "output_padding fills what a stride leaves open",
            expected=f"less than the stride {strides}",
            got=f"{more}",
            where=user_line(),
        )
    full = tuple(
        (n - 1) * s + e * (k - 1) + 1 + m
        for n, k, s, e, m in zip(space, _kernel(shape, d), strides, dilations, more, strict=True)
    )
    if any(before + after >= n for n, (before, after) in zip(full, widths, strict=True)):
        raise ArgumentError(
            "conv_transpose has nothing left",
            expected=f"padding that cuts off less than {full}",
            got=f"padding={padding!r}",
            where=user_line(),
        )
    whole = conv_input(x, w, size=full, stride=strides, dilation=dilations, groups=_positive(groups, "groups"))
    key = [slice(before, n - after) for n, (before, after) in zip(full, widths, strict=True)]
    return getitem_(whole, key=(slice(None), *key, slice(None))) if any(map(any, widths)) else whole


def _space_axes(name: str, x: Value, w: Value) -> int:
    """How many axes of space there are."""
    x_shape, w_shape = type_of(raw(x)).shape, type_of(raw(w)).shape
    if len(w_shape) < 3 or len(x_shape) != len(w_shape):
        raise ShapeError(
            f"{name} needs x (n, *space, channels) and w (*kernel, channels / groups, outputs)",
            expected="as many axes in x as in w, 3 or more",
            got=f"x {x_shape}, w {w_shape}",
            where=user_line(),
            try_="x[None] for a single example, x[..., None] for one channel",
        )
    return len(w_shape) - 2


def _positive(given: Any, name: str, least: int = 1) -> int:
    if isinstance(given, bool) or not isinstance(given, int | np.integer) or given < least:
        raise ArgumentError(
            f"{name} is a whole number from {least}",
            expected=f"{name}={least} or more",
            got=repr(given),
            where=user_line(),
        )
    return int(given)


def steps_along(given: Any, axes: int, name: str, least: int = 1) -> Steps:
    """One number for each axis of space.

    >>> steps_along(2, 3, "stride")
    (2, 2, 2)
    """
    parts = tuple(given) if isinstance(given, list | tuple) else (given,) * axes
    if len(parts) != axes:
        raise ArgumentError(
            f"{name} is one number, or one for each axis of space",
            expected=f"{axes} numbers",
            got=repr(given),
            where=user_line(),
        )
    return tuple(_positive(part, name, least) for part in parts)


def padding_widths(
    padding: Padding, space: Steps, kernel: Steps, stride: Steps, dilation: Steps
) -> list[tuple[int, int]]:
    """How many entries are put before and after, along each axis of space.

    >>> padding_widths("same", (28, 28), (5, 4), (1, 1), (1, 1))
    [(2, 2), (1, 2)]
    """
    if not (isinstance(padding, str) and padding == "same"):
        return _given_widths(padding, len(space))
    found = []
    for n, k, s, e in zip(space, kernel, stride, dilation, strict=True):
        reach = e * (k - 1) + 1
        total = max(0, (-(-n // s) - 1) * s + reach - n)
        found.append((total // 2, total - total // 2))
    return found


def _given_widths(padding: Padding, axes: int) -> list[tuple[int, int]]:
    none = isinstance(padding, str) and padding == "valid"
    try:
        array = np.asarray((0, 0) if none else padding)
        if array.dtype.kind not in "iu":
            raise ValueError("no whole numbers")
        array = array[:, None] if array.ndim == 1 and not none else array
        full = np.broadcast_to(array, (axes, 2)).tolist()
        if min(map(min, full)) < 0:
            raise ValueError("a width below 0")
    except (ValueError, TypeError) as error:
        raise ArgumentError(
            "padding says how many zeros stand around",
            expected=f'"valid", "same" (of conv), a number, {axes} numbers or {axes} pairs (before, after), from 0',
            got=f"padding={padding!r} ({error})",
            where=user_line(),
        ) from None
    return [(before, after) for before, after in full]


def _with_zeros(x: Value, widths: Sequence[tuple[int, int]]) -> Any:
    if not any(map(any, widths)):
        return x
    shape = type_of(raw(x)).shape
    space = _space(shape, len(widths))
    wide = (before + m + after for m, (before, after) in zip(space, widths, strict=True))
    key = (slice(before, before + m) for m, (before, _) in zip(space, widths, strict=True))
    return scatter_slice(x, shape=(shape[0], *wide, shape[-1]), key=(slice(None), *key, slice(None)))
