"""Layers on sequences of several lengths, whose steps say themselves whether they are there."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

from clearprop.arrays.tensor import asarray
from clearprop.errors import ArgumentError, ShapeError, is_ours, user_line
from clearprop.nn.activations import as_layer
from clearprop.nn.attention import MultiHeadAttention, TransformerBlock
from clearprop.nn.combinations import Parallel, Residual
from clearprop.nn.layers import Sequential
from clearprop.nn.module import Module
from clearprop.nn.norms import BatchNorm
from clearprop.nn.recurrent import Recurrent
from clearprop.program.ir import shape_of
from clearprop.rules.elementwise import maximum, where
from clearprop.rules.reductions import mean, sum
from clearprop.rules.structural import expand_dims


class Masked(Module):
    """Layers one after another on sequences whose last feature is a mask: a step is there where it is above ½.

    x (…, length, features + 1), and what the last layer gives for (…, length, features).  `RNN`, `LSTM`, `GRU`,
    `MultiHeadAttention`, `TransformerBlock`, `BatchNorm`, `MeanOverSteps` and layers of your own whose `forward` has an
    argument `mask` are given it, within `Sequential`, `Residual` and `Parallel` as well; for `Conv1d` what is not there
    is 0.  Others see all steps as they are: those that mix them, such as pools, see what fills a sequence up.

    layers  as of `cl.nn.Sequential`

    Raises ArgumentError without layers, ShapeError for x without an axis of steps or with the mask alone.

    >>> import clearprop as cl
    >>> layer = cl.nn.Masked(cl.nn.MeanOverSteps())
    >>> layer(cl.tensor([[1.0, 1.0], [3.0, 1.0], [8.0, 0.0]]))
    Tensor([2.0])
    """

    layers: tuple[Module, ...]

    def __init__(self, *layers: Any) -> None:
        if not layers:
            raise ArgumentError(
                "Masked needs a layer",
                expected="layers, such as cl.nn.LSTM(3, 8)",
                got="none",
                where=user_line(),
            )
        super().__init__(layers=tuple(map(as_layer, layers)))

    def forward(self, x: Any) -> Any:
        """What the last layer gives."""
        x = asarray(x)
        if len(x.shape) < 2 or x.shape[-1] == 1:
            raise ShapeError(
                f"Masked cannot take an input of shape {x.shape}",
                expected="shape (…, length, features + 1), the last feature a mask",
                got=f"{x.shape}",
                where=user_line(),
            )
        there, y = x[..., -1] > 0.5, x[..., :-1]
        for layer in self.layers:
            y = _through(layer, there, y)
        return y


def _through(layer: Module, there: Any, x: Any) -> Any:
    """What a layer gives for sequences of which these steps are there, told to layers within it as well."""
    if len(shape_of(x)) != len(shape_of(there)) + 1:  # the steps are behind it
        return layer(x)
    if type(layer) is Sequential:
        for inner in layer.layers:
            x = _through(inner, there, x)
        return x
    if type(layer) is Residual:
        return Residual(partial(_through, layer.layer, there), partial(_through, layer.shortcut, there))(x)
    if type(layer) is Parallel:
        return Parallel([partial(_through, inner, there) for inner in layer.layers], join=layer.join)(x)
    if isinstance(layer, MultiHeadAttention | TransformerBlock):
        return layer(x, mask=expand_dims(there, -2))
    if isinstance(layer, Recurrent | MeanOverSteps | BatchNorm) or _asks_for_mask(type(layer)):
        return layer(x, mask=there)
    if getattr(
        layer, "zeros_beyond", False
    ):  # what lies beyond the end is 0 for it, as it is where nothing is filled up
        x = where(expand_dims(there, -1), x, 0.0)
    return layer(x)


def _asks_for_mask(kind: type[Module]) -> bool:
    """Whether a layer of the user's has an argument `mask`."""
    return not is_ours(kind) and "mask" in inspect.signature(kind.forward).parameters


class MeanOverSteps(Module):
    """The mean over the steps of a sequence: x (…, length, features), y (…, features).

    `layer(x, mask=…)`: truth values (…, length), False where a step fills a shorter sequence up; it is left out, and
    may be anything.  The mean of no step is 0.

    Raises ShapeError for x without an axis of steps.

    >>> import clearprop as cl
    >>> cl.nn.MeanOverSteps()(cl.tensor([[1.0], [3.0]]))
    Tensor([2.0])
    """

    def forward(self, x: Any, *, mask: Any = None) -> Any:
        """The mean of the steps that are there."""
        x = asarray(x)
        if len(x.shape) < 2:
            raise ShapeError(
                f"MeanOverSteps cannot take an input of shape {x.shape}",
                expected="shape (…, length, features)",
                got="no axis of steps",
                where=user_line(),
            )
        if mask is None:
            steps = x.shape[-2]
            return sum(x, axis=-2) if isinstance(steps, int) and steps == 0 else mean(x, axis=-2)
        there = expand_dims(asarray(mask), -1)
        return sum(where(there, x, False), axis=-2) / maximum(sum(there.astype(x.dtype), axis=-2), 1.0)
