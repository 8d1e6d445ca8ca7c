"""Which layers have the same bits however they are computed: at once by NumPy, or compiled."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from clearprop.arrays.tensor import asarray
from clearprop.nn.activations import Activation
from clearprop.nn.layers import Sequential, array_through
from clearprop.nn.module import Module
from clearprop.program.values import raw
from clearprop.rules.elementwise import sqrt

_LAYERS = ("Dropout", "Dropout2d", "Flatten", "MaxPool", "RandomCrop", "RandomFlip", "RandomShift", "Unflatten")
"""Layers that choose and move numbers, or do nothing."""
_ACTIVATIONS = ("leaky_relu", "linear", "relu", "relu6")
"""Activations that choose, or round once."""
_CONVOLUTIONS = ("Conv1d", "Conv2d", "Conv3d")
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
"""Of which every program is native."""
_ALIKE, _ORDINARY, _RESIDUAL, _NORM = "alike", "ordinary", "residual", "norm"

_Through: TypeAlias = Callable[[Any], Any]


def by_segments(model: Any, compiled: Callable[..., Any]) -> _Through | None:
    """`array_through(model, rows)`, in which `compiled(layers, x=rows)` computes convolutions and what is around them.

    Its bits are the same: a sum of a convolution is one chain of fused multiply-adds here and there, from the first tap
    and channel to the last, a bias is added behind it, and the rest moves and chooses numbers.  Layers of which that
    does not hold, with sums and functions of other orders and approximations, go their ordinary way.

    None for a network without convolutions, and for one that is no `Sequential`.

    >>> import clearprop as cl
    >>> by_segments(cl.nn.mlp([2, 3]), lambda layers, x: layers(x)) is None
    True
    """
    return _through(model, compiled) if type(model) is Sequential and any(map(_convolves, model.layers)) else None


def _through(model: Module, compiled: Callable[..., Any]) -> _Through:
    """The way through a network, or through one layer of it, segment by segment."""
    segments = [_segment(kind, list(layers), compiled) for kind, layers in itertools.groupby(_layers(model), key=_kind)]

    def through(x: Any) -> Any:
        for segment in segments:
            x = segment(x)
        return x

    return through


def _segment(kind: str, layers: Sequence[Any], compiled: Callable[..., Any]) -> _Through:
    """The way through layers of a kind that follow each other."""
    if kind == _RESIDUAL:
        both = [(_through(layer.layer, compiled), _through(layer.shortcut, compiled)) for layer in layers]
        return lambda x: _through_residuals(both, x)
    if kind == _NORM:
        return _norms(layers)
    whole = Sequential(layers)
    if kind == _ALIKE and any(_is_ours(layer, (*_CONVOLUTIONS, "MaxPool")) for layer in layers):
        # by its name, so that no function is made for calls of a kind, which takes long where it is new
        return lambda x: raw(compiled(whole, x=x)) if x.dtype in _FLOATS else array_through(whole, x)
    return lambda x: array_through(whole, x)


def _through_residuals(both: Sequence[tuple[_Through, _Through]], x: Any) -> Any:
    for layer, shortcut in both:
        x = raw(asarray(layer(x)) + asarray(shortcut(x)))
    return x


def _norms(layers: Sequence[Any]) -> _Through:
    """Batch norms as they are in inference, over lines of an image in one array: channels alone are short for NumPy."""
    ordinary = Sequential(layers)
    given = [(x.mean, sqrt(x.variance + x.eps), x.scale, x.offset) for x in layers]
    numbers = [list(map(raw, each)) for each in given]

    def through(x: Any) -> Any:
        size = np.shape(x)[-1]
        plain = type(x) is np.ndarray and x.ndim > 2 and x.flags.c_contiguous and x.size
        if not plain or any(a.dtype != x.dtype or len(a) != size for each in numbers for a in each):
            return array_through(ordinary, x)
        y = x.reshape(-1, x.shape[-2] * size)
        for each in numbers:
            mean, deviation, scale, offset = (np.tile(a, x.shape[-2]) for a in each)
            y = y - mean
            y /= deviation
            y *= scale
            y += offset
        return y.reshape(x.shape)

    return through


def _layers(model: Any) -> Iterator[Any]:
    if type(model) is not Sequential:
        yield model
        return
    for layer in model.layers:
        yield from _layers(layer)


def _convolves(layer: Any) -> bool:
    """Whether convolutions are in it that are alike."""
    if type(layer) is Sequential:
        return any(map(_convolves, layer.layers))
    if _kind(layer) == _RESIDUAL:
        return _convolves(layer.layer) or _convolves(layer.shortcut)
    return _is_ours(layer, _CONVOLUTIONS) and _kind(layer) == _ALIKE


def _kind(layer: Any) -> str:
    for name, kind in (("Residual", _RESIDUAL), ("BatchNorm", _NORM)):
        if _is_ours(layer, (name,)):
            return kind
    if _is_ours(layer, _CONVOLUTIONS):
        # of several channels and one output the compiled sum goes channel by channel
        alike = not layer.outputs == 1 < layer.inputs
    else:
        alike = layer.name in _ACTIVATIONS if type(layer) is Activation else _is_ours(layer, _LAYERS)
    return _ALIKE if alike else _ORDINARY


def _is_ours(layer: Module, names: tuple[str, ...]) -> bool:
    """Whether the layer is one of these, and none that a user made of one; some are loaded when they are asked for."""
    kind = type(layer)
    return kind.__name__ in names and kind.__module__.startswith("clearprop.nn.")
