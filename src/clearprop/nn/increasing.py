"""Answers with more than one end: `Increasing` for quantiles side by side, `NormalInterval` for a mean and its ends."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.arrays.tensor import asarray
from clearprop.nn.argument_checks import require_features, require_size
from clearprop.nn.fields import static
from clearprop.nn.loss_text import INTERVAL, normal_reach
from clearprop.nn.module import Module
from clearprop.rules.activations import softplus
from clearprop.rules.joining import concat
from clearprop.rules.linear import matmul

_LEAST_DEVIATION = 1e-3
"""Of a standardised target: a deviation of 0 would make a loss without an end of one row that is met."""

_WIDE = 2.0
"""Networks begin about 0, where the deviation is twice that of a standardised target: what is narrow and wrong costs
(error / deviation)², by which a first epoch would be spoiled."""


class Increasing(Module):
    """Numbers that rise: y_m = x_m for the middle one, and others lie softplus(x_j) apart from their neighbour.

    Behind the last layer of a network its outputs are quantiles that cannot cross, whatever the weights are: each gap
    is positive (Gasthaus et al. 2019; Park et al. 2022).  x and y (…, size), m = size // 2,
    y_{j+1} − y_j = softplus(x_{j+1}) above the middle, and softplus(x_j) below it.

    size  how many numbers rise

    Raises ArgumentError for a size that is no positive integer, ShapeError when x has another last axis.

    >>> import clearprop as cl
    >>> cl.nn.Increasing(3)(cl.tensor([-50.0, 5.0, 3.0]))
    Tensor([5.0, 5.0, 8.04858735])
    """

    size: int = static()

    def __init__(self, size: int) -> None:
        super().__init__(size=require_size("Increasing", "size", size))

    def forward(self, x: Any) -> Any:
        """The middle number, and sums of gaps beside it."""
        x, middle = asarray(x), self.size // 2
        require_features(self.label, self.size, x.shape)
        if self.size == 1:
            return x
        parts = [softplus(x[..., :middle]), x[..., middle : middle + 1], softplus(x[..., middle + 1 :])]
        gaps = concat([part for part in parts if part.shape[-1]], axis=-1)
        return matmul(gaps, _sums(self.size, middle).astype(gaps.dtype))

    def label(self) -> str:
        """`Increasing(3)`."""
        return f"Increasing({self.size})"


class NormalInterval(Module):
    """A mean and the ends of an interval of a normal distribution around it: y = (x₀ − z·s, x₀, x₀ + z·s).

    Behind the last layer of a network that learns by `cl.nn.gaussian_nll`: s = softplus(x₁ + 2) + 0.001 is the
    standard deviation, z = Φ⁻¹((1 + share)/2) (Nix & Weigend 1994).  x (…, 2), y (…, 3).

    share  how much of the distribution lies between the ends, above 0 and below 1

    Raises ArgumentError for another share, ShapeError when x has another last axis.

    >>> import clearprop as cl
    >>> cl.nn.NormalInterval(0.9)(cl.tensor([5.0, 10.0]))
    Tensor([-14.73989848, 5.0, 24.73989848])
    """

    share: float = static(default=INTERVAL)

    def __init__(self, share: float = INTERVAL) -> None:
        normal_reach(share)
        super().__init__(share=float(share))

    def forward(self, x: Any) -> Any:
        """The lower end, the mean, the upper end."""
        x = asarray(x)
        require_features(self.label, 2, x.shape)
        mean, reach = x[..., :1], normal_reach(self.share) * (softplus(x[..., 1:] + _WIDE) + _LEAST_DEVIATION)
        return concat([mean - reach, mean, mean + reach], axis=-1)

    def label(self) -> str:
        """`NormalInterval(0.9)`."""
        return f"NormalInterval({self.share:g})"


def _sums(size: int, middle: int) -> Any:
    """What each gap adds to each number: 1 to those above it, −1 to those below.

    >>> _sums(3, 1).tolist()
    [[-1.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 1.0]]
    """
    gap, number = np.indices((size, size))
    above = (gap > middle) & (number >= gap)
    below = (gap < middle) & (number <= gap)
    return np.where(gap == middle, 1.0, above - below.astype(np.float64))
