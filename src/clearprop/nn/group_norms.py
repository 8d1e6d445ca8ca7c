"""Normalisation of channels, of lengths and of weights: `GroupNorm`, `InstanceNorm`, `RMSNorm`, `WeightNorm`."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.arrays.tensor import Tensor, asarray
from clearprop.errors import ArgumentError, ShapeError, require_flag, user_line
from clearprop.nn.argument_checks import (
    require_count,
    require_dtype,
    require_features,
    require_module,
    require_number,
    require_size,
)
from clearprop.nn.fields import parameter, static
from clearprop.nn.module import Module
from clearprop.nn.norms import normalise
from clearprop.program.ir import shape_of
from clearprop.program.types import type_of
from clearprop.program.values import raw
from clearprop.rules.elementwise import as_floating, sqrt, square
from clearprop.rules.reductions import mean, norm, scale_of_squares
from clearprop.rules.structural import reshape


class GroupNorm(Module):
    """y = scale · (x − mean)/√(var + eps) + offset, statistics of an example's group of channels (Wu & He 2018).

    x (…, *space, size), scale and offset (size,): mean and var are taken over all places of `space` and the
    size/groups channels of the group.

    groups  into how many groups the channels are cut, in order
    size    the number of channels, the size of x's last axis
    space   how many axes before the channels are places: 2 for images, 1 for sequences, 0 for none
    eps     keeps the quotient finite where a group is constant
    affine  whether there are scale and offset
    dtype   of scale and offset

    Raises ArgumentError where the groups do not divide the channels, ShapeError for x without these axes.

    >>> import clearprop as cl
    >>> layer = cl.nn.GroupNorm(2, 4, space=0, eps=0.0, dtype=float)
    >>> layer(cl.tensor([[1.0, 3.0, 10.0, 30.0]]))
    Tensor([[-1.0, 1.0, -1.0, 1.0]])
    """

    scale: Tensor | None = parameter()
    offset: Tensor | None = parameter()
    groups: int = static()
    size: int = static()
    space: int = static(default=2)
    eps: float = static(default=1e-5)

    def __init__(
        self,
        groups: int,
        size: int,
        *,
        space: int = 2,
        eps: float = 1e-5,
        affine: bool = True,
        dtype: Any = np.float32,
    ) -> None:
        owner = type(self).__name__
        groups, size = require_size(owner, "groups", groups), require_size(owner, "size", size)
        space = require_count(owner, "space", space)
        if size % groups:
            raise ArgumentError(
                f"{owner} cannot cut {size} channels into {groups} groups",
                expected="a number of groups that divides the number of channels",
                got=f"groups = {groups}, size = {size}",
                where=user_line(),
            )
        dtype, eps = require_dtype(owner, dtype), require_number(owner, "eps", eps, 1e-5)
        arrays = _affine(size, dtype) if require_flag(owner, "affine", affine) else (None, None)
        super().__init__(scale=arrays[0], offset=arrays[1], groups=groups, size=size, space=space, eps=eps)

    def forward(self, x: Any) -> Any:
        """Each group normalised."""
        x = asarray(x)
        require_features(self.label, self.size, x.shape)
        _require_space(self.label(), x.shape, self.space)
        lead = x.shape[: len(x.shape) - 1 - self.space]
        grouped = reshape(x, (*x.shape[:-1], self.groups, self.size // self.groups))
        axes = (*range(len(lead), len(lead) + self.space), len(x.shape))
        y = reshape(normalise(grouped, axes, self.eps), x.shape)
        return y if self.scale is None else self.scale * y + self.offset

    def label(self) -> str:
        """`GroupNorm(2 groups of 8)`."""
        return f"GroupNorm({self.groups} groups of {self.size // self.groups})"


class InstanceNorm(GroupNorm):
    """y = (x − mean)/√(var + eps), statistics of each channel of each example over its places (Ulyanov et al. 2016).

    x (…, *space, size).  It is `GroupNorm` with every channel a group.

    size    the number of channels, the size of x's last axis
    space   how many axes before the channels are places: 2 for images, 1 for sequences
    eps     keeps the quotient finite where a channel is constant
    affine  whether there are scale and offset
    dtype   of scale and offset

    Raises ShapeError for x without these axes, or of one place: it would be 0.

    >>> import clearprop as cl
    >>> cl.nn.InstanceNorm(1, space=1, eps=0.0)(cl.tensor([[[1.0], [3.0]]]))
    Tensor([[[-1.0],
             [1.0]]])
    """

    def __init__(
        self, size: int, *, space: int = 2, eps: float = 1e-5, affine: bool = False, dtype: Any = np.float32
    ) -> None:
        require_size("InstanceNorm", "space", space)
        super().__init__(size, size, space=space, eps=eps, affine=affine, dtype=dtype)

    def forward(self, x: Any) -> Any:
        """Each channel normalised."""
        x = asarray(x)
        places = x.shape[max(len(x.shape) - 1 - self.space, 0) : len(x.shape) - 1]
        if len(places) == self.space and all(isinstance(n, int) and n == 1 for n in places):
            raise ShapeError(
                f"{self.label()} cannot take statistics of one place",
                expected="two places or more",
                got=f"shape {x.shape}",
                where=user_line(),
                try_="LayerNorm, which works on single places",
            )
        return super().forward(x)

    def label(self) -> str:
        """`InstanceNorm(16)`."""
        return f"InstanceNorm({self.size})"


class RMSNorm(Module):
    """y = scale · x/√(mean(x²) + eps) over the last axis of each example (Zhang & Sennrich 2019).

    x (…, size), scale (size,).

    size   the size of x's last axis
    eps    keeps the quotient finite where all features are 0
    dtype  of scale

    >>> import clearprop as cl
    >>> cl.nn.RMSNorm(2, eps=0.0, dtype=float)(cl.tensor([[1.0, 7.0]]))
    Tensor([[0.2, 1.4]])
    """

    scale: Tensor = parameter()
    eps: float = static(default=1e-6)

    def __init__(self, size: int, *, eps: float = 1e-6, dtype: Any = np.float32) -> None:
        require_size("RMSNorm", "size", size)
        dtype, eps = require_dtype("RMSNorm", dtype), require_number("RMSNorm", "eps", eps, 1e-6)
        super().__init__(scale=np.ones(size, dtype), eps=eps)

    def forward(self, x: Any) -> Any:
        """Each example scaled to length √size."""
        x = as_floating(asarray(x))  # squares of small integers would wrap around
        require_features(self.label, shape_of(self.scale)[0], x.shape)
        total = mean(square(x), axis=-1, keepdims=True) + self.eps
        s = scale_of_squares(total, type_of(raw(total)).dtype)
        scaled = x * s
        return self.scale * (scaled / sqrt(mean(square(scaled), axis=-1, keepdims=True) + self.eps * s * s))

    def label(self) -> str:
        """`RMSNorm(16)`."""
        return f"RMSNorm({shape_of(self.scale)[0]})"


class WeightNorm(Module):
    """A layer whose weight is scale · weight/‖weight‖, length and direction learned apart (Salimans & Kingma 2016).

    The norm is that of all that leads to one output: over every axis of the weight but the last.

    layer  a layer with a `weight`: Dense, a convolution

    scale (outputs,) starts as the norms, so that the layer computes at first what it did.  Raises ArgumentError for a
    layer without a weight, and for a weight of which a norm is 0.

    >>> import clearprop as cl
    >>> layer = cl.nn.Dense(2, 1, bias=False).replace({"weight": [[3.0], [4.0]]})
    >>> normed = cl.nn.WeightNorm(layer)
    >>> normed.scale, normed(cl.tensor([1.0, 1.0]))
    (Tensor([5.0], dtype=float32), Tensor([7.0]))
    """

    layer: Module
    scale: Tensor = parameter()

    def __init__(self, layer: Module) -> None:
        require_module("WeightNorm", layer)
        weight = getattr(layer, "weight", None)
        if weight is None or len(shape_of(weight)) < 2:
            raise ArgumentError(
                "WeightNorm needs a layer with a weight",
                expected="a layer such as cl.nn.Dense(4, 16)",
                got=layer.label(),
                where=user_line(),
            )
        norms = np.asarray(raw(_norms(weight)))
        if not np.all(norms > 0):
            raise ArgumentError(
                "WeightNorm needs a direction for every output",
                expected="no output whose weights are all 0",
                got=f"{int((norms == 0).sum())} such outputs of {norms.size}",
                where=user_line(),
                try_='another initialiser, such as init="glorot"',
            )
        super().__init__(layer=layer, scale=norms)

    def forward(self, *inputs: Any) -> Any:
        """The layer with its weight brought to the learned lengths."""
        weight = getattr(self.layer, "weight")  # noqa: B009 - Module declares no weight; the constructor looked
        return self.layer.with_fields(weight=weight * (self.scale / _norms(weight)))(*inputs)

    def label(self) -> str:
        """`WeightNorm of Dense(4 → 16)`."""
        return f"WeightNorm of {self.layer.label()}"


def _norms(weight: Any) -> Any:
    return norm(weight, axis=tuple(range(len(shape_of(weight)) - 1)))


def _affine(size: int, dtype: Any) -> tuple[Any, Any]:
    return np.ones(size, dtype), np.zeros(size, dtype)


def _require_space(label: str, shape: Any, space: int) -> None:
    if len(shape) < space + 1:
        raise ShapeError(
            f"{label} cannot take an input of shape {shape}",
            expected=f"{space} {'axis' if space == 1 else 'axes'} of places before the channels",
            got=f"{len(shape) - 1}",
            where=user_line(),
            try_=f"space={len(shape) - 1}, if all of them are places",
        )
