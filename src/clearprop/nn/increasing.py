"""`Increasing`: outputs that never cross, for quantiles that are learned side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.arrays.tensor import asarray
from clearprop.nn.argument_checks import require_features, require_size
from clearprop.nn.fields import static
from clearprop.nn.module import Module
from clearprop.rules.activations import softplus
from clearprop.rules.joining import concat
from clearprop.rules.linear import matmul


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


def _sums(size: int, middle: int) -> Any:
    """What each gap adds to each number: 1 to those above it, −1 to those below.

    >>> _sums(3, 1).tolist()
    [[-1.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 1.0]]
    """
    gap, number = np.indices((size, size))
    above = (gap > middle) & (number >= gap)
    below = (gap < middle) & (number <= gap)
    return np.where(gap == middle, 1.0, above - below.astype(np.float64))
