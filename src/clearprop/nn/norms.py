"""Normalisation: `LayerNorm`, `BatchNorm`."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from clearprop.arrays.tensor import Tensor, asarray
from clearprop.errors import ShapeError, user_line
from clearprop.nn.argument_checks import require_dtype, require_features, require_fraction, require_number, require_size
from clearprop.nn.context import is_training, remember
from clearprop.nn.fields import parameter, state, static
from clearprop.nn.module import Module
from clearprop.program.ir import shape_of
from clearprop.program.types import type_of
from clearprop.program.values import raw
from clearprop.rules.elementwise import maximum, sqrt, square, stop_gradient, where
from clearprop.rules.reductions import count, mean, scale_of_squares, sum, var
from clearprop.rules.structural import expand_dims
from clearprop.shapes import same


def normalise(x: Any, axis: Any, eps: float) -> Any:
    """(x − mean)/√(var + eps) over axes.

    Where squares would leave the range of their dtype, x is multiplied by a power of two before, and eps by its square.
    """
    total = var(x, axis=axis, keepdims=True) + eps
    s = scale_of_squares(total, type_of(raw(total)).dtype)
    scaled = x * s
    centred = scaled - mean(scaled, axis=axis, keepdims=True)
    return centred / sqrt(var(scaled, axis=axis, keepdims=True) + eps * s * s)


def _variance(x: Any, axis: Any) -> Any:
    """The variance, NaN where its dtype does not hold it: what an infinite one divides would be 0, without a word."""
    v = var(x, axis=axis)
    return v + stop_gradient(v - v)


def _moments(x: Any, mask: Any, axes: Any) -> tuple[Any, Any, Any]:
    """Mean and variance of what a mask leaves, and how much that is; of nothing 0 and 1."""
    there = expand_dims(mask, -1)
    n = sum(there.astype(x.dtype), axis=axes)
    mu = sum(where(there, x, 0.0), axis=axes) / maximum(n, 1)
    v = sum(where(there, square(x - mu), 0.0), axis=axes) / maximum(n, 1)
    return mu, where(n > 0, v + stop_gradient(v - v), 1.0), n


class LayerNorm(Module):
    """y = scale · (x − mean)/√(var + eps) + offset over the last axis of each example (Ba et al. 2016).

    x (…, size), scale and offset (size,); var is the mean squared deviation.

    size   the size of x's last axis
    eps    keeps the quotient finite where all features are equal
    dtype  of scale and offset

    >>> import clearprop as cl
    >>> cl.nn.LayerNorm(2, dtype=float, eps=0.0)(cl.tensor([[1.0, 3.0]]))
    Tensor([[-1.0, 1.0]])
    """

    scale: Tensor = parameter()
    offset: Tensor = parameter()
    eps: float = static(default=1e-5)

    def __init__(self, size: int, *, eps: float = 1e-5, dtype: Any = np.float32) -> None:
        require_size("LayerNorm", "size", size)
        dtype, eps = require_dtype("LayerNorm", dtype), require_number("LayerNorm", "eps", eps, 1e-5)
        super().__init__(scale=np.ones(size, dtype), offset=np.zeros(size, dtype), eps=eps)

    def forward(self, x: Any) -> Any:
        """Each example normalised."""
        x = asarray(x)
        require_features(self.label, shape_of(self.scale)[0], x.shape)
        return self.scale * normalise(x, -1, self.eps) + self.offset

    def label(self) -> str:
        """`LayerNorm(16)`."""
        return f"LayerNorm({shape_of(self.scale)[0]})"


class BatchNorm(Module):
    """y = scale · (x − mean)/√(var + eps) + offset, mean and var of each feature (Ioffe & Szegedy 2015).

    x (…, size): everything but the last axis is the batch.  In training the statistics are the batch's own, and the
    running ones become decay · running + (1 − decay) · batch (with the unbiased variance, ·n/(n − 1)); in
    inference they are the running ones, which have no gradient.  A batch of one row has no statistics and is refused
    in training; `cl.fit` lets a last batch of one row join the one before it.

    `layer(x, mask=…)`: truth values (…), False where a step fills a shorter sequence up; statistics leave it out.

    size   the size of x's last axis
    decay  the share of the running statistics that a step keeps, 0 ≤ decay < 1
    eps    keeps the quotient finite where a feature is constant
    dtype  of all its arrays

    >>> import clearprop as cl
    >>> layer = cl.nn.BatchNorm(1, dtype=float, decay=0.0)
    >>> y, layer = cl.nn.apply(layer, cl.tensor([[1.0], [3.0]]))
    >>> layer.mean, layer.variance
    (Tensor([2.0]), Tensor([2.0]))
    """

    least_rows: ClassVar[int] = 2
    scale: Tensor = parameter()
    offset: Tensor = parameter()
    mean: Tensor = state()
    variance: Tensor = state()
    decay: float = static(default=0.9)
    eps: float = static(default=1e-5)

    def __init__(self, size: int, *, decay: float = 0.9, eps: float = 1e-5, dtype: Any = np.float32) -> None:
        require_size("BatchNorm", "size", size)
        require_fraction("BatchNorm", "decay", decay, 0.9)
        dtype, eps = require_dtype("BatchNorm", dtype), require_number("BatchNorm", "eps", eps, 1e-5)
        ones, zeros = np.ones(size, dtype), np.zeros(size, dtype)
        super().__init__(scale=ones, offset=zeros, mean=zeros, variance=ones, decay=decay, eps=eps)

    def forward(self, x: Any, *, mask: Any = None) -> Any:
        """Each feature normalised."""
        x = asarray(x)
        require_features(self.label, shape_of(self.scale)[0], x.shape)
        mu, v = self._batch(x, mask) if is_training() else (self.mean, self.variance)
        return self.scale * ((x - mu) / sqrt(v + self.eps)) + self.offset

    def _batch(self, x: Any, mask: Any) -> tuple[Any, Any]:
        axes = tuple(range(len(x.shape) - 1))
        self._require_several(x.shape)
        if mask is None:
            mu, v, n = mean(x, axis=axes), _variance(x, axes), count(x, axes)
        else:
            mu, v, n = _moments(x, asarray(mask), axes)
        unbiased = v * (n / maximum(n - 1, 1))
        fade = 1 - self.decay
        remember(self, mean=self.decay * self.mean + fade * mu, variance=self.decay * self.variance + fade * unbiased)
        return mu, v

    def _require_several(self, shape: Any) -> None:
        """One row is its own mean: it would become 0, and nothing below would learn."""
        if not shape[:-1]:
            raise ShapeError(
                f"{self.label()} has no batch to take statistics of",
                expected="an input of shape (examples, features) in training",
                got=f"shape {shape}: one example",
                where=user_line(),
                try_="LayerNorm, which works on single examples",
            )
        if all(same(n, 1) for n in shape[:-1]) or any(same(n, 0) for n in shape[:-1]):
            raise ShapeError(
                f"{self.label()} cannot take statistics of fewer than two rows",
                expected="a batch of two rows or more in training",
                got=f"shape {shape}",
                where=user_line(),
                try_="a larger batch; or LayerNorm, which works on single rows",
            )

    def label(self) -> str:
        """`BatchNorm(16)`."""
        return f"BatchNorm({shape_of(self.scale)[0]})"
