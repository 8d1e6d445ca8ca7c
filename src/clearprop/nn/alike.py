"""Which layers have the same bits however they are computed: at once by NumPy, or compiled."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from clearprop.nn.activations import Activation
from clearprop.nn.layers import Sequential, array_through
from clearprop.nn.module import Module
from clearprop.program.values import raw

_LAYERS = ("Dropout", "Dropout2d", "Flatten", "MaxPool", "RandomCrop", "RandomFlip", "RandomShift", "Unflatten")
"""Layers that choose and move numbers, or do nothing."""
_ACTIVATIONS = ("leaky_relu", "linear", "relu", "relu6")
"""Activations that choose, or round once."""
_CONVOLUTIONS = ("Conv1d", "Conv2d", "Conv3d")


def by_segments(model: Any, compiled: Callable[..., Any]) -> Callable[[Any], Any] | None:
    """`array_through(model, rows)`, in which `compiled(layers, x=rows)` computes convolutions and what is around them.

    Its bits are the same: a sum of a convolution is one chain of fused multiply-adds here and there, from the first tap
    and channel to the last, a bias is added behind it, and the rest moves and chooses numbers.  Layers of which that
    does not hold, with sums and functions of other orders and approximations, go their ordinary way.

    None for a network without convolutions, and for one that is no `Sequential`.

    >>> import clearprop as cl
    >>> by_segments(cl.nn.mlp([2, 3]), lambda layers, x: layers(x)) is None
    True
    """
    if type(model) is not Sequential:
        return None
    segments = list(_segments(model))
    if not any(convolves for _, convolves in segments):
        return None

    def through(x: Any) -> Any:
        for segment, convolves in segments:
            # by its name, so that no function is made for calls of a kind, which takes long where it is new
            x = raw(compiled(segment, x=x)) if convolves else array_through(segment, x)
        return x

    return through


def _segments(model: Sequential) -> Iterator[tuple[Sequential, bool]]:
    """Layers that are computed together, and whether there are convolutions among them and all are alike."""
    for alike, group in itertools.groupby(_layers(model), _is_alike):
        layers = list(group)
        yield Sequential(layers), alike and any(_is_ours(layer, _CONVOLUTIONS) for layer in layers)


def _layers(model: Sequential) -> Iterator[Any]:
    for layer in model.layers:
        yield from _layers(layer) if type(layer) is Sequential else [layer]


def _is_alike(layer: Any) -> bool:
    if _is_ours(layer, _CONVOLUTIONS):
        # of several channels and one output the compiled sum goes channel by channel
        return not layer.outputs == 1 < layer.inputs
    return layer.name in _ACTIVATIONS if type(layer) is Activation else _is_ours(layer, _LAYERS)


def _is_ours(layer: Module, names: tuple[str, ...]) -> bool:
    """Whether the layer is one of these, and none that a user made of one; some are loaded when they are asked for."""
    kind = type(layer)
    return kind.__name__ in names and kind.__module__.startswith("clearprop.nn.")
