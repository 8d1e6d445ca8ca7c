"""Layers made of layers, and of shapes: `Residual`, `Parallel`, `Flatten`, `Unflatten`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.arrays.tensor import asarray
from clearprop.errors import ArgumentError, ShapeError, unknown_name, user_line
from clearprop.nn.activations import LINEAR, Activation, as_layer
from clearprop.nn.argument_checks import require_size
from clearprop.nn.fields import static
from clearprop.nn.module import Module
from clearprop.rules.joining import concat
from clearprop.rules.structural import reshape
from clearprop.shapes import same, size_of

JOINS = ("concat", "sum")
"""How `Parallel` makes one array of several."""


class Residual(Module):
    """y = layer(x) + shortcut(x): the gradient passes the layer by (He et al. 2016).

    layer     a module, the name of an activation or a function
    shortcut  what x goes through beside it, where layer changes the shape; None: x itself

    Raises ShapeError where the two differ in shape.

    >>> import clearprop as cl
    >>> cl.nn.Residual(cl.square)(cl.tensor([1.0, 3.0]))
    Tensor([2.0, 12.0])
    """

    layer: Module
    shortcut: Module

    def __init__(self, layer: Any, shortcut: Any = None) -> None:
        super().__init__(layer=as_layer(layer), shortcut=Activation(LINEAR) if shortcut is None else as_layer(shortcut))

    def forward(self, x: Any) -> Any:
        """The layer's output added to the input."""
        x = asarray(x)
        y, passed = asarray(self.layer(x)), asarray(self.shortcut(x))
        _require_equal_shapes("Residual", y.shape, passed.shape)
        return y + passed


class Parallel(Module):
    """The outputs of several layers of the same input, side by side along the last axis, or added.

    layers  modules, names of activations and functions; or one list of them
    join    "concat" or "sum"

    Raises ArgumentError for no layer at all and for a layer with arrays that is given twice, ShapeError where the
    outputs do not fit together.

    >>> import clearprop as cl
    >>> cl.nn.Parallel("relu", cl.negative)(cl.tensor([1.0, -2.0]))
    Tensor([1.0, 0.0, -1.0, 2.0])
    """

    layers: tuple[Module, ...]
    join: str = static(default="concat")

    def __init__(self, *layers: Any, join: str = "concat") -> None:
        given = layers[0] if len(layers) == 1 and isinstance(layers[0], (list, tuple)) else layers
        if not isinstance(join, str) or join not in JOINS:
            raise unknown_name("join", join, JOINS, user_line())
        if not given:
            raise ArgumentError("Parallel needs a layer", expected="one or more", got="none", where=user_line())
        super().__init__(layers=tuple(map(as_layer, given)), join=join)

    def forward(self, x: Any) -> Any:
        """All outputs, joined."""
        outputs = [asarray(layer(x)) for layer in self.layers]
        if self.join == "concat":
            return concat(outputs, axis=-1)
        total = outputs[0]
        for y in outputs[1:]:
            _require_equal_shapes("Parallel", total.shape, y.shape)
            total = total + y
        return total


class Flatten(Module):
    """The last axes as one: an image (…, height, width, channels) as (…, height·width·channels).

    axes  how many of the last axes become one; None: all but the first, which counts examples

    With `axes=3` single images and batches of them are taken alike.  Raises ShapeError for fewer axes.

    >>> import clearprop as cl
    >>> cl.nn.Flatten()(cl.ones((2, 28, 28, 1))).shape, cl.nn.Flatten(2)(cl.ones((5, 4, 3))).shape
    ((2, 784), (5, 12))
    """

    axes: int | None = static(default=None)

    def __init__(self, axes: int | None = None) -> None:
        super().__init__(axes=None if axes is None else require_size("Flatten", "axes", axes))

    def forward(self, x: Any) -> Any:
        """The same numbers in fewer axes."""
        x = asarray(x)
        least = 1 if self.axes is None else self.axes
        if len(x.shape) < least:
            raise ShapeError(
                f"{self.label()} cannot take an input of shape {x.shape}",
                expected=f"{least} {'axis' if least == 1 else 'axes'} or more",
                got=str(len(x.shape)),
                where=user_line(),
                try_="x[None]",
            )
        kept = 1 if self.axes is None else len(x.shape) - self.axes
        return reshape(x, (*x.shape[:kept], size_of(x.shape[kept:])))

    def label(self) -> str:
        """`Flatten(3)`."""
        return "Flatten()" if self.axes is None else f"Flatten({self.axes})"


class Unflatten(Module):
    """The last axis as several: numbers in a row (…, height·width·channels) as images (…, height, width, channels).

    shape  the sizes of the axes, of which the last one is counted first; the first may be -1, as many as there are

    Raises ArgumentError for a shape that is none, ShapeError for another number of numbers.

    >>> import clearprop as cl
    >>> cl.nn.Unflatten((2, 3, 1))(cl.arange(12.0).reshape((2, 6))).shape
    (2, 2, 3, 1)
    >>> cl.nn.Unflatten((-1, 2))(cl.arange(6.0)).shape
    (3, 2)
    """

    shape: tuple[int, ...] = static()

    def __init__(self, shape: Sequence[int]) -> None:
        if not isinstance(shape, list | tuple) or not shape:
            raise ArgumentError(
                "Unflatten needs the sizes of the axes",
                expected="a list of sizes, 1 or more each",
                got=f"shape = {shape!r}",
                where=user_line(),
                try_="cl.nn.Unflatten((28, 28, 1))",
            )
        open_ = len(shape) > 1 and isinstance(shape[0], int | np.integer) and shape[0] == -1
        known = [require_size("Unflatten", f"shape[{i}]", n) for i, n in enumerate(shape) if i or not open_]
        super().__init__(shape=tuple([-1, *known] if open_ else known))

    def forward(self, x: Any) -> Any:
        """The same numbers along more axes."""
        x, shape = asarray(x), self.shape
        if shape[0] == -1 and x.shape:
            shape = (x.shape[-1] // math.prod(shape[1:]), *shape[1:])
        if not x.shape or not same(x.shape[-1], math.prod(shape)):
            several = "a multiple of " if self.shape[0] == -1 else ""
            raise ShapeError(
                f"{self.label()} cannot take an input of shape {x.shape}",
                expected=f"{several}{abs(math.prod(self.shape))} numbers in the last axis: "
                f"{' · '.join(map(str, self.shape))}",
                got=str(x.shape[-1]) if x.shape else "one number",
                where=user_line(),
            )
        return reshape(x, (*x.shape[:-1], *shape))

    def label(self) -> str:
        """`Unflatten(28, 28, 1)`."""
        return f"Unflatten({', '.join(map(str, self.shape))})"


def _require_equal_shapes(owner: str, a: Any, b: Any) -> None:
    if len(a) != len(b) or not all(map(same, a, b)):
        raise ShapeError(
            f"{owner} cannot add outputs of shapes {a} and {b}",
            expected="equal shapes",
            got=f"{a} and {b}",
            where=user_line(),
            try_="a shortcut that changes the shape alike" if owner == "Residual" else 'join="concat"',
        )
