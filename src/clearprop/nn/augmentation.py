"""Images that are other ones in every training step: flipped, shifted, cropped, or changed by a function of one's own.

They are layers, so that what they draw belongs to the step's key: a run that is replayed, resumed or explained sees the
same images again, and the native step makes them.  In inference nothing is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from clearprop.arrays.tensor import asarray
from clearprop.errors import ArgumentError, ShapeError, user_line
from clearprop.nn.argument_checks import require_fraction, require_size
from clearprop.nn.context import is_training, next_key
from clearprop.nn.fields import static
from clearprop.nn.module import Module
from clearprop.program.types import INT64
from clearprop.rules import random
from clearprop.rules.elementwise import astype, clip, floor, greater_equal, less, logical_and, where
from clearprop.rules.indexing import take
from clearprop.rules.structural import arange_, expand_dims, flip, reshape, zeros_like

_IMAGE = 3
"""The axes of an image: height, width, channels."""


class RandomFlip(Module):
    """In training, each image is turned left to right with probability `rate` (Krizhevsky et al. 2012).

    x (…, height, width, channels).  In inference, nothing happens.  A training pass needs `rng`.

    rate  the probability, 0 ≤ rate < 1
    axis  which axis is turned: -2 is the width, -3 the height

    Raises ShapeError for x with fewer than three axes.

    >>> import clearprop as cl
    >>> x = cl.tensor([[[[1.0], [2.0]]]] * 4)
    >>> y, _ = cl.nn.apply(cl.nn.RandomFlip(), x, rng=0)
    >>> y.shape, sorted({tuple(row) for row in cl.reshape(y, (4, 2)).tolist()})
    ((4, 1, 2, 1), [(1.0, 2.0), (2.0, 1.0)])
    """

    rate: float = static(default=0.5)
    axis: int = static(default=-2)

    def __init__(self, rate: float = 0.5, axis: int = -2) -> None:
        if not isinstance(axis, int) or axis not in (-2, -3):
            raise ArgumentError(
                "RandomFlip turns the width or the height of images",
                expected="axis = -2, the width, or -3, the height",
                got=f"axis = {axis!r}",
                where=user_line(),
            )
        super().__init__(rate=require_fraction("RandomFlip", "rate", rate, 0.5), axis=axis)

    def forward(self, x: Any) -> Any:
        """The images, some of them turned in training."""
        x = _images(self, x)
        if self.rate == 0 or not is_training():
            return x
        turned = random.bernoulli(next_key("RandomFlip"), self.rate, (*x.shape[:-_IMAGE], 1, 1, 1))
        return where(turned, flip(x, axis=self.axis), x)


class RandomCrop(Module):
    """In training, a part of each image at a place of its own; in inference, the part in the middle.

    x (…, height, width, channels), y (…, *size, channels).  A training pass needs `rng`.

    size     height and width of the part, or one number for both
    padding  so many rows and columns of zeros stand around an image in training (He et al. 2016: 4, for images of 32)

    Raises ShapeError for images that are smaller than the part.

    >>> import clearprop as cl
    >>> crop = cl.nn.RandomCrop(2)
    >>> crop(cl.reshape(cl.arange(16.0), (1, 4, 4, 1)))[0, ..., 0]
    Tensor([[5.0, 6.0],
            [9.0, 10.0]])
    """

    size: tuple[int, int] = static()
    padding: int = static(default=0)

    def __init__(self, size: int | tuple[int, int], padding: int = 0) -> None:
        pair: tuple[Any, ...] = tuple(size) if isinstance(size, list | tuple) else (size, size)
        if len(pair) != 2:
            raise ArgumentError(
                "RandomCrop cuts parts with a height and a width",
                expected="size=24, or size=(24, 32)",
                got=f"size = {size!r}",
                where=user_line(),
            )
        height, width = (require_size("RandomCrop", "size", n) for n in pair)
        super().__init__(size=(height, width), padding=_width("RandomCrop", "padding", padding))

    def forward(self, x: Any) -> Any:
        """The parts."""
        x = _images(self, x)
        (height, width), (h, w) = (int(n) for n in x.shape[-_IMAGE:-1]), self.size
        if height < h or width < w:
            raise ShapeError(
                f"{self.label()} cannot take an input of shape {x.shape}",
                expected=f"images of {h} × {w} at the least",
                got=f"{height} × {width}",
                where=user_line(),
            )
        top, left = (height - h) // 2, (width - w) // 2
        if not is_training():
            return x[..., top : top + h, left : left + w, :]
        return _parts(x, next_key("RandomCrop"), (h, w), self.padding)


class RandomShift(Module):
    """In training, each image is moved by up to `by` rows and columns; its edge is repeated (LeCun et al. 1998).

    x and y (…, height, width, channels).  What comes in is the pixel at the edge, which of a digit is the background,
    whatever pixels were scaled to; zeros would be mean grey behind a standardisation.  In inference, nothing happens.
    A training pass needs `rng`.

    by  the most rows and columns, 1 or more

    Raises ShapeError for x with fewer than three axes.

    >>> import clearprop as cl
    >>> y, _ = cl.nn.apply(cl.nn.RandomShift(1), cl.ones((2, 4, 4, 1)), rng=0)
    >>> y.shape
    (2, 4, 4, 1)
    """

    by: int = static(default=2)

    def __init__(self, by: int = 2) -> None:
        super().__init__(by=require_size("RandomShift", "by", by))

    def forward(self, x: Any) -> Any:
        """The images, moved in training."""
        x = _images(self, x)
        if not is_training():
            return x
        height, width = (int(n) for n in x.shape[-_IMAGE:-1])
        return _parts(x, next_key("RandomShift"), (height, width), self.by, edge=True)


class Augment(Module):
    """In training, `function(key, x)` in place of x: noise, masks, whatever is written with the functions of `cl`.

    In inference, nothing happens.  A training pass needs `rng`.  It cannot be stored in a file: `cl.load` needs a
    template.

    function  of a key of `cl.random`, which belongs to the step, and the examples; it gives examples of any shape

    >>> import clearprop as cl
    >>> noise = cl.nn.Augment(lambda key, x: x + 0.1 * cl.random.normal(key, x.shape))
    >>> noise(cl.ones(2)).tolist(), cl.nn.apply(noise, cl.ones(2), rng=0)[0].tolist() != [1.0, 1.0]
    ([1.0, 1.0], True)
    """

    function: Callable[[Any, Any], Any] = static()

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        if not callable(function):
            raise ArgumentError(
                "Augment needs a function",
                expected="a function of a key and the examples",
                got=f"{function!r:.80}",
                where=user_line(),
                try_="cl.nn.Augment(lambda key, x: x + cl.random.normal(key, x.shape))",
            )
        super().__init__(function=function)

    def forward(self, x: Any) -> Any:
        """What the function makes of x in training."""
        return self.function(next_key("Augment"), x) if is_training() else x

    def label(self) -> str:
        """`Augment(noise)`."""
        return f"Augment({getattr(self.function, '__name__', 'function')})"


def _parts(x: Any, key: Any, size: tuple[int, int], padding: int, *, edge: bool = False) -> Any:
    """Of each image with zeros around it, or its edge repeated, a part of this size, at a place that the key draws.

    Every number of a part is looked up by its place among all pixels, and where none is, by the nearest one.
    """
    (height, width), (h, w) = (int(n) for n in x.shape[-_IMAGE:-1]), size
    count = math.prod(x.shape[:-_IMAGE])
    draws = random.uniform(key, (2, count))
    rows = _places(draws[0], height, h, padding)
    columns = _places(draws[1], width, w, padding)
    first = expand_dims(arange_(size=count, dtype=INT64), -1) * height
    at = expand_dims((first + clip(rows, 0, height - 1)) * width, -1) + expand_dims(clip(columns, 0, width - 1), -2)
    pixels = take(reshape(x, (count * height * width, x.shape[-1])), at, axis=0)
    shape = (*x.shape[:-_IMAGE], h, w, x.shape[-1])
    if edge:
        return reshape(pixels, shape)
    inside = logical_and(expand_dims(_holds(rows, height), -1), expand_dims(_holds(columns, width), -2))
    return reshape(where(expand_dims(inside, -1), pixels, zeros_like(pixels)), shape)


def _places(draws: Any, size: int, part: int, padding: int) -> Any:
    """(images, part): the places along an axis that the part of each image has, beyond its ends too."""
    starts = astype(floor(draws * (size + 2 * padding - part + 1)), dtype=INT64) - padding
    return expand_dims(starts, -1) + np.arange(part, dtype=INT64)


def _holds(places: Any, size: int) -> Any:
    return logical_and(greater_equal(places, 0), less(places, size))


def _images(layer: Module, x: Any) -> Any:
    x = asarray(x)
    if len(x.shape) < _IMAGE:
        raise ShapeError(
            f"{layer.label()} cannot take an input of shape {x.shape}",
            expected="shape (…, height, width, channels)",
            got=f"{len(x.shape)} {'axis' if len(x.shape) == 1 else 'axes'}",
            where=user_line(),
            try_="x[..., None], for images without an axis of channels",
        )
    return x


def _width(owner: str, name: str, value: Any) -> int:
    """A whole number, 0 or more."""
    return 0 if type(value) is int and value == 0 else require_size(owner, name, value)
