"""Recurrent networks: RNN, GRU and LSTM as loops over the steps, in one direction or in both."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearprop.arrays import functions as f
from clearprop.arrays.tensor import asarray
from clearprop.control import scan
from clearprop.errors import unknown_name
from clearprop.interop.onnx.graph_values import dtype_of, require_agreement, sizes
from clearprop.interop.onnx.operator_table import operator
from clearprop.interop.onnx.operators.indexing import reverse_sequence

Activation = Callable[..., Any]


def _or(given: float | None, usual: float) -> float:
    return usual if given is None else given


_ACTIVATIONS: dict[str, Activation] = {
    "affine": lambda x, a, b: x * _or(a, 1.0) + _or(b, 0.0),
    "elu": lambda x, a, b: f.elu(x, alpha=_or(a, 1.0)),
    "hardsigmoid": lambda x, a, b: f.clip(x * _or(a, 0.2) + _or(b, 0.5), 0.0, 1.0),
    "leakyrelu": lambda x, a, b: f.leaky_relu(x, slope=_or(a, 0.01)),
    "relu": lambda x, a, b: f.relu(x),
    "scaledtanh": lambda x, a, b: _or(a, 1.0) * f.tanh(_or(b, 1.0) * x),
    "sigmoid": lambda x, a, b: f.sigmoid(x),
    "softplus": lambda x, a, b: f.softplus(x),
    "softsign": lambda x, a, b: f.softsign(x),
    "tanh": lambda x, a, b: f.tanh(x),
    "thresholdedrelu": lambda x, a, b: f.where(f.greater(x, _or(a, 1.0)), x, f.zeros_like(x)),
}


@dataclass(frozen=True)
class _Layer:
    """What all directions share: activations of one direction after the other, lengths, the bound of sums."""

    direction: str
    activations: list[Callable[[Any], Any]]
    lengths: Any
    clip: float | None
    layout: int

    @property
    def reversals(self) -> list[bool]:
        """Of each direction, whether it runs from the last step to the first."""
        names = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}
        if self.direction not in names:
            raise unknown_name("direction", self.direction, names)
        return names[self.direction]

    def bound(self, x: Any) -> Any:
        """The sum that goes into an activation, kept in -clip … clip."""
        return x if self.clip is None else f.clip(x, -self.clip, self.clip)

    def of(self, place: int) -> list[Callable[[Any], Any]]:
        """The activations of a direction."""
        count = len(self.activations) // len(self.reversals)
        return self.activations[place * count : (place + 1) * count]

    def turned(self, x: Any) -> Any:
        """Each sequence from its last step to its first."""
        if self.lengths is None:
            return f.flip(x, axis=0)
        return reverse_sequence(x, self.lengths, batch_axis=1, time_axis=0)

    def run(self, x: Any, starts: Sequence[Any], cells: Sequence[Callable[..., Any]]) -> tuple[Any, ...]:
        """All answers (steps, directions, n, size) and each last carry (directions, n, size).

        `starts` are the first carries, (directions, n, size); a cell takes carries and an element to new carries, of
        which the first is the answer.
        """
        answers, lasts = [], []
        steps = sizes(x)[0]
        for place, backwards in enumerate(self.reversals):
            elements = self.turned(x) if backwards else x
            first = tuple(asarray(s)[place] for s in starts)
            last, y = scan(self._step(cells[place]), first, (elements, self._alive(steps)))
            answers.append(self.turned(y) if backwards else y)
            lasts.append(last)
        y = f.stack(answers, axis=1)
        carries = [f.stack([last[i] for last in lasts], axis=0) for i in range(len(starts))]
        if self.layout:
            return f.permute_dims(y, (2, 0, 1, 3)), *(f.permute_dims(c, (1, 0, 2)) for c in carries)
        return y, *carries

    def _alive(self, steps: int) -> Any:
        if self.lengths is None:
            return np.ones((steps, 1, 1), bool)
        ends = f.astype(f.reshape(self.lengths, (1, -1, 1)), "int64")
        return f.less(np.arange(steps).reshape(-1, 1, 1), ends)

    def _step(self, cell: Callable[..., Any]) -> Callable[[Any, Any], Any]:
        def step(carries: Any, element: Any) -> Any:
            x, alive = element
            new = cell(carries, x)
            if self.lengths is None:
                return new, new[0]
            kept = tuple(f.where(alive, n, old) for n, old in zip(new, carries, strict=True))
            return kept, f.where(alive, new[0], f.zeros_like(new[0]))

        return step


def _layer(
    names: tuple[str, ...],
    direction: str,
    usual: tuple[str, ...],
    alphas: tuple[float, ...],
    betas: tuple[float, ...],
    lengths: Any,
    clip: float | None,
    layout: int,
) -> _Layer:
    """The activations by name; alphas and betas belong in order to those that have them."""
    directions = 2 if direction == "bidirectional" else 1
    chosen = names or usual * directions
    require_agreement("the number of activations", len(chosen), len(usual) * directions)
    with_alpha = ("affine", "elu", "hardsigmoid", "leakyrelu", "scaledtanh", "thresholdedrelu")
    with_beta = ("affine", "hardsigmoid", "scaledtanh")
    rest_a, rest_b = list(alphas), list(betas)
    found: list[Callable[[Any], Any]] = []
    for name in (n.lower() for n in chosen):
        if name not in _ACTIVATIONS:
            raise unknown_name("activation", name, _ACTIVATIONS)
        alpha = rest_a.pop(0) if name in with_alpha and rest_a else None
        beta = rest_b.pop(0) if name in with_beta and rest_b else None
        found.append(functools.partial(_ACTIVATIONS[name], a=alpha, b=beta))
    return _Layer(direction, found, lengths, clip, layout)


def _prepare(
    layer: _Layer, x: Any, w: Any, r: Any, b: Any, starts: Sequence[Any], hidden_size: int | None
) -> tuple[Any, Any, list[Any]]:
    """X with steps first, the biases of input and state as (directions, 2, gates·size), and first carries."""
    x = f.permute_dims(x, (1, 0, 2)) if layer.layout else x
    directions, size = sizes(r)[0], sizes(r)[2]
    require_agreement("hidden_size", hidden_size, size)
    require_agreement("the number of directions", len(layer.reversals), directions)
    wide = sizes(w)[1]
    biases = np.zeros((directions, 2, wide), dtype_of(x)) if b is None else f.reshape(b, (directions, 2, wide))
    first = [
        np.zeros((directions, sizes(x)[1], size), dtype_of(x))
        if s is None
        else f.permute_dims(s, (1, 0, 2))
        if layer.layout
        else s
        for s in starts
    ]
    return x, biases, first


def _times(x: Any, w: Any) -> Any:
    return f.matmul(x, f.permute_dims(w, (1, 0)))


@operator("RNN", settings=(4,))
def rnn(
    x: Any,
    w: Any,
    r: Any,
    b: Any = None,
    lengths: Any = None,
    h: Any = None,
    *,
    activation_alpha: tuple[float, ...] = (),
    activation_beta: tuple[float, ...] = (),
    activations: tuple[str, ...] = (),
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
) -> Any:
    """hₜ = act(W xₜ + R hₜ₋₁ + b) (Elman 1990)."""
    layer = _layer(activations, direction, ("Tanh",), activation_alpha, activation_beta, lengths, clip, layout)
    x, biases, starts = _prepare(layer, x, w, r, b, [h], hidden_size)

    def cell(place: int) -> Callable[..., Any]:
        own, state, (act,) = asarray(w)[place], asarray(r)[place], layer.of(place)
        bias = f.sum(asarray(biases)[place], axis=0)
        return lambda carries, element: (act(layer.bound(_times(element, own) + _times(carries[0], state) + bias)),)

    return layer.run(x, starts, [cell(i) for i in range(len(layer.reversals))])


@operator("GRU", settings=(4,))
def gru(
    x: Any,
    w: Any,
    r: Any,
    b: Any = None,
    lengths: Any = None,
    h: Any = None,
    *,
    activation_alpha: tuple[float, ...] = (),
    activation_beta: tuple[float, ...] = (),
    activations: tuple[str, ...] = (),
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
    linear_before_reset: int = 0,
) -> Any:
    """hₜ = (1 - z) · n + z · hₜ₋₁ with gates z and r, and n from xₜ and r · hₜ₋₁ (Cho et al. 2014)."""
    layer = _layer(
        activations, direction, ("Sigmoid", "Tanh"), activation_alpha, activation_beta, lengths, clip, layout
    )
    x, biases, starts = _prepare(layer, x, w, r, b, [h], hidden_size)

    def cell(place: int) -> Callable[..., Any]:
        own, state, (gate, new) = asarray(w)[place], asarray(r)[place], layer.of(place)
        of_input, of_state = asarray(biases)[place][0], asarray(biases)[place][1]
        size = sizes(state)[1]

        def step(carries: Any, element: Any) -> Any:
            (old,) = carries
            z, reset, n = f.split(_times(element, own) + of_input, 3, axis=-1)
            both = _times(old, state[: 2 * size]) + of_state[: 2 * size]
            z, reset = gate(layer.bound(z + both[..., :size])), gate(layer.bound(reset + both[..., size:]))
            if linear_before_reset:
                inner = reset * (_times(old, state[2 * size :]) + of_state[2 * size :])
            else:
                inner = _times(reset * old, state[2 * size :]) + of_state[2 * size :]
            return ((1 - z) * new(layer.bound(n + inner)) + z * old,)

        return step

    return layer.run(x, starts, [cell(i) for i in range(len(layer.reversals))])


@operator("LSTM", settings=(4,))
def lstm(
    x: Any,
    w: Any,
    r: Any,
    b: Any = None,
    lengths: Any = None,
    h: Any = None,
    c: Any = None,
    p: Any = None,
    *,
    activation_alpha: tuple[float, ...] = (),
    activation_beta: tuple[float, ...] = (),
    activations: tuple[str, ...] = (),
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    input_forget: int = 0,
    layout: int = 0,
) -> Any:
    """cₜ = f · cₜ₋₁ + i · g, hₜ = o · act(cₜ) (Hochreiter & Schmidhuber 1997); p lets the gates see the cell."""
    layer = _layer(
        activations, direction, ("Sigmoid", "Tanh", "Tanh"), activation_alpha, activation_beta, lengths, clip, layout
    )
    x, biases, starts = _prepare(layer, x, w, r, b, [h, c], hidden_size)

    def cell(place: int) -> Callable[..., Any]:
        own, state, (gate, new, out) = asarray(w)[place], asarray(r)[place], layer.of(place)
        bias = f.sum(asarray(biases)[place], axis=0)
        seen = None if p is None else f.split(asarray(p)[place], 3, axis=-1)

        def step(carries: Any, element: Any) -> Any:
            h0, c0 = carries
            sums = f.split(_times(element, own) + _times(h0, state) + bias, 4, axis=-1)
            i, o, forget, g = sums
            i = gate(layer.bound(i if seen is None else i + seen[0] * c0))
            forget = 1 - i if input_forget else gate(layer.bound(forget if seen is None else forget + seen[2] * c0))
            c1 = forget * c0 + i * new(layer.bound(g))
            o = gate(layer.bound(o if seen is None else o + seen[1] * c1))
            return o * out(c1), c1

        return step

    return layer.run(x, starts, [cell(i) for i in range(len(layer.reversals))])
