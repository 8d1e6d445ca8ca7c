"""Convolutions as layers: `Conv1d`, `Conv2d`, `Conv3d` and their transposes; channels are the last axis."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from clearprop.arrays.tensor import Tensor, asarray
from clearprop.errors import ArgumentError, ShapeError, require_flag, user_line
from clearprop.nn.argument_checks import require_dtype, require_features, require_size
from clearprop.nn.fields import parameter, static
from clearprop.nn.initialisers import as_key, initialiser
from clearprop.nn.module import Module
from clearprop.program.values import raw
from clearprop.rules.on_demand.convolution import conv, conv_transpose, padding_widths, steps_along
from clearprop.rules.structural import reshape
from clearprop.shapes import size_of


class Convolution(Module):
    """What the convolutions share: weight (*kernel, inputs/groups, outputs), bias (outputs,), and how windows move."""

    weight: Tensor = parameter()
    bias: Tensor | None = parameter()
    inputs: int = static()
    outputs: int = static()
    stride: tuple[int, ...] = static()
    padding: Any = static()
    dilation: tuple[int, ...] = static()
    groups: int = static(default=1)
    space: ClassVar[int] = 0

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, ...],
        *,
        stride: int | tuple[int, ...] = 1,
        padding: Any = "valid",
        dilation: int | tuple[int, ...] = 1,
        groups: int = 1,
        init: str | Callable[..., Any] = "he",
        bias: bool = True,
        rng: Any = 0,
        dtype: Any = np.float32,
        **more: Any,
    ) -> None:
        owner = type(self).__name__
        inputs, outputs = require_size(owner, "inputs", inputs), require_size(owner, "outputs", outputs)
        groups, dtype = require_size(owner, "groups", groups), require_dtype(owner, dtype)
        sizes, strides, dilations = (
            steps_along(given, self.space, name)
            for given, name in ((kernel, "kernel"), (stride, "stride"), (dilation, "dilation"))
        )
        padding = _checked_padding(padding, sizes, strides, dilations)
        if inputs % groups or outputs % groups:
            raise ArgumentError(
                f"{owner} cannot cut its channels into {groups} groups",
                expected="a number of groups that divides inputs and outputs",
                got=f"inputs = {inputs}, outputs = {outputs}, groups = {groups}",
                where=user_line(),
            )
        flat = initialiser(init)(as_key(rng), (math.prod(sizes) * inputs // groups, outputs), dtype)
        super().__init__(
            weight=np.asarray(raw(flat)).reshape(self._weight_shape(sizes, inputs, outputs, groups)),
            bias=np.zeros(outputs, dtype) if require_flag(owner, "bias", bias) else None,
            inputs=inputs,
            outputs=outputs,
            stride=strides,
            padding=padding,
            dilation=dilations,
            groups=groups,
            **more,
        )

    def _weight_shape(self, kernel: tuple[int, ...], inputs: int, outputs: int, groups: int) -> tuple[int, ...]:
        return (*kernel, inputs // groups, outputs)

    def forward(self, x: Any) -> Any:
        """The weight at every position."""
        x = asarray(x)
        require_features(self.label, self.inputs, x.shape)
        if len(x.shape) < self.space + 1:
            raise ShapeError(
                f"{self.label()} cannot take an input of shape {x.shape}",
                expected=f"{self.space} {'axis' if self.space == 1 else 'axes'} of places before the channels",
                got=str(len(x.shape) - 1),
                where=user_line(),
                try_="x[..., None], if there is one channel",
            )
        lead = x.shape[: len(x.shape) - self.space - 1]
        y = self._convolved(reshape(x, (size_of(lead), *x.shape[len(lead) :])) if len(lead) != 1 else x)
        y = y if self.bias is None else y + self.bias
        return reshape(y, (*lead, *y.shape[1:])) if len(lead) != 1 else y

    def _convolved(self, x: Any) -> Any:
        return conv(
            x, self.weight, stride=self.stride, padding=self.padding, dilation=self.dilation, groups=self.groups
        )

    def label(self) -> str:
        """`Conv2d(3 → 16, stride (2, 2), same)`: what is not usual is said."""
        words = [f"{self.inputs} → {self.outputs}"]
        words += [f"stride {self.stride}"] if set(self.stride) != {1} else []
        words += [f"padding {self.padding}"] if self.padding != "valid" else []
        words += [f"dilation {self.dilation}"] if set(self.dilation) != {1} else []
        words += [f"{self.groups} groups"] if self.groups != 1 else []
        return f"{type(self).__name__}({', '.join(words)})"


class Conv1d(Convolution, init=False):
    """A convolution along one axis (LeCun et al. 1989): x (…, length, inputs), y (…, out, outputs).

    y[t, o] = bias[o] + Σ over taps k and channels c of weight[k, c, o]·x[stride·t + dilation·k − before, c]; nothing is
    flipped.  weight (kernel, inputs/groups, outputs).

    inputs    the number of channels of x, its last axis
    outputs   the number of channels of y
    kernel    how many taps
    stride    places from one window to the next
    padding   zeros around x: "valid" for none, "same" for out = ⌈length/stride⌉, a number, or a pair (before, after)
    dilation  places from one tap to the next
    groups    into how many groups the channels are cut, each convolved alone; groups=inputs is a depthwise convolution
    init      the name of an initialiser (`cl.nn.INITIALISERS`) or a function; inputs are kernel·inputs/groups to it
    bias      whether there is one; it starts at 0
    rng       a key of `cl.random` or a seed, from which the weight is drawn
    dtype     of weight and bias
    more      nothing

    Raises ArgumentError for settings that cannot be, ShapeError for other channels or too few places.

    >>> import clearprop as cl
    >>> cl.nn.Conv1d(3, 8, 5, padding="same")(cl.ones((2, 20, 3))).shape
    (2, 20, 8)
    """

    space: ClassVar[int] = 1
    zeros_beyond: ClassVar[bool] = True  # what `Masked` asks of it, which is loaded without this file


class Conv2d(Convolution, init=False):
    """A convolution of images (LeCun et al. 1989): x (…, height, width, inputs), y (…, *out, outputs).

    As `Conv1d`, along two axes: weight (*kernel, inputs/groups, outputs).

    inputs    the number of channels of x, its last axis
    outputs   the number of channels of y
    kernel    how many taps along each axis: a number, or one for each
    stride    places from one window to the next: a number, or one for each axis
    padding   zeros around x: "valid" for none, "same" for out = ⌈size/stride⌉, a number, one for each axis, or pairs
    dilation  places from one tap to the next: a number, or one for each axis
    groups    into how many groups the channels are cut, each convolved alone; groups=inputs is a depthwise convolution
    init      the name of an initialiser (`cl.nn.INITIALISERS`) or a function; inputs are taps·inputs/groups to it
    bias      whether there is one; it starts at 0
    rng       a key of `cl.random` or a seed, from which the weight is drawn
    dtype     of weight and bias
    more      nothing

    Raises what `Conv1d` raises.

    >>> import clearprop as cl
    >>> layer = cl.nn.Conv2d(1, 16, 3, stride=2, padding="same")
    >>> layer
    Conv2d(1 → 16, stride (2, 2), padding same)  weight (3, 3, 1, 16), bias (16,)  160 parameters
    >>> layer(cl.ones((4, 28, 28, 1))).shape, layer(cl.ones((28, 28, 1))).shape
    ((4, 14, 14, 16), (14, 14, 16))
    """

    space: ClassVar[int] = 2


class Conv3d(Convolution, init=False):
    """A convolution of volumes: x (…, depth, height, width, inputs), y (…, *out, outputs).

    As `Conv1d`, along three axes: weight (*kernel, inputs/groups, outputs).

    inputs, outputs, kernel, stride, padding, dilation, groups, init, bias, rng, dtype, more  as in `Conv2d`

    >>> import clearprop as cl
    >>> cl.nn.Conv3d(2, 4, (1, 3, 3))(cl.ones((2, 5, 8, 8, 2))).shape
    (2, 5, 6, 6, 4)
    """

    space: ClassVar[int] = 3


class TransposedConvolution(Convolution):
    """What the transposes share: weight (*kernel, outputs/groups, inputs), that of the convolution they transpose."""

    output_padding: tuple[int, ...] = static(default=())

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, ...],
        *,
        output_padding: int | tuple[int, ...] = 0,
        **options: Any,
    ) -> None:
        more = steps_along(output_padding, self.space, "output_padding", least=0)
        super().__init__(inputs, outputs, kernel, output_padding=more, **options)
        if self.padding == "same":
            raise ArgumentError(
                f"{type(self).__name__} has no padding of that name",
                expected='"valid", a number, one for each axis, or pairs',
                got='padding = "same"',
                where=user_line(),
                try_="padding=1 and output_padding=1, for kernel=3 and stride=2",
            )

    def _weight_shape(self, kernel: tuple[int, ...], inputs: int, outputs: int, groups: int) -> tuple[int, ...]:
        return (*kernel, outputs // groups, inputs)

    def _convolved(self, x: Any) -> Any:
        return conv_transpose(
            x,
            self.weight,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            output_padding=self.output_padding,
        )


class ConvTranspose1d(TransposedConvolution, init=False):
    """The transpose of a convolution along one axis (Zeiler et al. 2010): x (…, length, inputs), y (…, out, outputs).

    Every place of x puts the weight, times its value, where the convolution would read it: out = (length − 1)·stride +
    dilation·(kernel − 1) + 1 − before − after + output_padding.  weight (kernel, outputs/groups, inputs).

    inputs          the number of channels of x, its last axis
    outputs         the number of channels of y
    kernel          how many taps
    output_padding  places more behind, which a stride leaves open; below stride
    options         stride, padding (without "same"), dilation, groups, init, bias, rng, dtype as in `Conv1d`

    >>> import clearprop as cl
    >>> cl.nn.ConvTranspose1d(3, 8, 4, stride=2, padding=1)(cl.ones((2, 10, 3))).shape
    (2, 20, 8)
    """

    space: ClassVar[int] = 1


class ConvTranspose2d(TransposedConvolution, init=False):
    """The transpose of a convolution of images: x (…, height, width, inputs), y (…, *out, outputs).

    As `ConvTranspose1d`, along two axes: weight (*kernel, outputs/groups, inputs).

    inputs, outputs, kernel, output_padding, options  as in `ConvTranspose1d`, a number or one for each axis

    >>> import clearprop as cl
    >>> cl.nn.ConvTranspose2d(8, 1, 3, stride=2, padding=1, output_padding=1)(cl.ones((2, 7, 7, 8))).shape
    (2, 14, 14, 1)
    """

    space: ClassVar[int] = 2


class ConvTranspose3d(TransposedConvolution, init=False):
    """The transpose of a convolution of volumes: x (…, depth, height, width, inputs), y (…, *out, outputs).

    As `ConvTranspose1d`, along three axes: weight (*kernel, outputs/groups, inputs).

    inputs, outputs, kernel, output_padding, options  as in `ConvTranspose1d`, a number or one for each axis

    >>> import clearprop as cl
    >>> cl.nn.ConvTranspose3d(2, 1, 2, stride=2)(cl.ones((1, 2, 3, 4, 2))).shape
    (1, 4, 6, 8, 1)
    """

    space: ClassVar[int] = 3


def _checked_padding(padding: Any, kernel: Any, stride: Any, dilation: Any) -> Any:
    """Padding that can be kept: a name, or a pair for every axis."""
    if padding is None or (isinstance(padding, str) and padding not in ("valid", "same")):
        padding = [padding]  # refused below, in the words of `cl.conv`
    if isinstance(padding, str):
        return padding
    return tuple(map(tuple, padding_widths(padding, kernel, kernel, stride, dilation)))
