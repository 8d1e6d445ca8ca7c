"""Dropout of more than single numbers: `Dropout2d` drops channels, `DropPath` whole examples of a branch."""

from __future__ import annotations

from typing import Any

from clearprop.arrays.tensor import asarray
from clearprop.errors import ShapeError, user_line
from clearprop.nn.argument_checks import require_fraction
from clearprop.nn.context import is_training, next_key
from clearprop.nn.fields import static
from clearprop.nn.module import Module
from clearprop.rules import random
from clearprop.rules.elementwise import where


class Dropout2d(Module):
    """In training, each channel of each image is 0 with probability `rate` and else divided by 1 − rate.

    x (…, height, width, channels): neighbours are alike, so that to drop single numbers would change little (Tompson
    et al. 2015).  In inference, nothing happens.  A training pass needs `rng`.

    rate  the probability, 0 ≤ rate < 1

    Raises ShapeError for x with fewer than three axes.

    >>> import clearprop as cl
    >>> y, _ = cl.nn.apply(cl.nn.Dropout2d(0.5), cl.ones((2, 2, 8)), rng=0)
    >>> bool(cl.all(y == y[:1, :1]))
    True
    """

    rate: float = static(default=0.5)

    def __init__(self, rate: float = 0.5) -> None:
        super().__init__(rate=require_fraction("Dropout2d", "rate", rate, 0.5))

    def forward(self, x: Any) -> Any:
        """X, with channels dropped in training."""
        x = asarray(x)
        if len(x.shape) < 3:
            raise ShapeError(
                f"{self.label()} cannot take an input of shape {x.shape}",
                expected="shape (…, height, width, channels)",
                got=f"{len(x.shape)} {'axis' if len(x.shape) == 1 else 'axes'}",
                where=user_line(),
                try_="Dropout, which drops single numbers",
            )
        return _drop("Dropout2d", x, self.rate, (*x.shape[:-3], 1, 1, x.shape[-1]))


class DropPath(Module):
    """In training, each example is 0 with probability `rate` and else divided by 1 − rate (Huang et al. 2016).

    x (examples, …): behind a layer in `Residual`, an example then passes the layer by.  In inference, nothing happens.
    A training pass needs `rng`.

    rate  the probability, 0 ≤ rate < 1

    >>> import clearprop as cl
    >>> branch = cl.nn.Sequential(cl.nn.Dense(4, 4), cl.nn.DropPath(0.2))
    >>> cl.nn.Residual(branch)(cl.ones((3, 4))).shape
    (3, 4)
    """

    rate: float = static(default=0.1)

    def __init__(self, rate: float = 0.1) -> None:
        super().__init__(rate=require_fraction("DropPath", "rate", rate, 0.1))

    def forward(self, x: Any) -> Any:
        """X, with examples dropped in training."""
        x = asarray(x)
        return _drop("DropPath", x, self.rate, (*x.shape[:1], *(1 for _ in x.shape[1:])))


def _drop(owner: str, x: Any, rate: float, shape: Any) -> Any:
    """X, in training 0 where a mask of this shape says so."""
    if rate == 0 or not is_training():
        return x
    kept = random.bernoulli(next_key(owner), 1 - rate, shape)
    return where(kept, x / (1 - rate), 0.0)
