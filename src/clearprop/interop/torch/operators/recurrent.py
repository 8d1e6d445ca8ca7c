"""Operators of ATen that go along a sequence: LSTM, GRU, and the simple recurrence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clearprop.arrays import functions
from clearprop.control import scan
from clearprop.interop.torch.operators.operator_table import operator
from clearprop.nn import Dropout

_Step = Callable[[Any, Any, Any, Any], tuple[Any, Any]]


@operator("lstm.input")
def lstm(
    input: Any,
    hx: Any,
    params: Any,
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> Any:
    """(y, h, c): gates in PyTorch's order i, f, g, o (Hochreiter & Schmidhuber 1997)."""
    layers = _Layers(params, has_biases, num_layers, dropout if train else 0.0, bidirectional, batch_first)
    y, states = layers.run(_lstm_step, input, [(hx[0][i], hx[1][i]) for i in range(layers.count)])
    return y, functions.stack([h for h, _ in states]), functions.stack([c for _, c in states])


@operator("gru.input")
def gru(
    input: Any,
    hx: Any,
    params: Any,
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> Any:
    """(y, h): gates in PyTorch's order r, z, n (Cho et al. 2014)."""
    layers = _Layers(params, has_biases, num_layers, dropout if train else 0.0, bidirectional, batch_first)
    y, states = layers.run(_gru_step, input, [hx[i] for i in range(layers.count)])
    return y, functions.stack(states)


def _simple(activation: Callable[[Any], Any]) -> Callable[..., Any]:
    def rnn(
        input: Any,
        hx: Any,
        params: Any,
        has_biases: bool,
        num_layers: int,
        dropout: float,
        train: bool,
        bidirectional: bool,
        batch_first: bool,
    ) -> Any:
        """(y, h): h′ = act(W·x + U·h + b) (Elman 1990)."""
        layers = _Layers(params, has_biases, num_layers, dropout if train else 0.0, bidirectional, batch_first)
        y, states = layers.run(_simple_step(activation), input, [hx[i] for i in range(layers.count)])
        return y, functions.stack(states)

    return rnn


operator("rnn_tanh.input")(_simple(functions.tanh))
operator("rnn_relu.input")(_simple(functions.relu))


class _Layers:
    """Layers of cells in one or two directions: their weights in PyTorch's order, and how a sequence passes them."""

    def __init__(
        self, params: Any, biased: bool, layers: int, dropout: float, bidirectional: bool, batch_first: bool
    ) -> None:
        self.ways = 2 if bidirectional else 1
        self.count = layers * self.ways
        per_cell = len(params) // self.count
        cells = [params[i * per_cell : (i + 1) * per_cell] for i in range(self.count)]
        self.cells = [cell if biased else [*cell[:2], None, None, *cell[2:]] for cell in cells]
        self.dropout, self.batch_first = dropout, batch_first

    def run(self, step: _Step, x: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        """The outputs of the last layer, and the state of every cell after its last step."""
        x = functions.swapaxes(x, 0, 1) if self.batch_first else x
        after = []
        for first in range(0, self.count, self.ways):
            x = Dropout(self.dropout)(x) if first and self.dropout else x
            outputs = []
            for i in range(first, first + self.ways):
                last, y = self._along(step, x, self.cells[i], states[i], reverse=i > first)
                after.append(last)
                outputs.append(y)
            x = outputs[0] if len(outputs) == 1 else functions.concat(outputs, axis=-1)
        return functions.swapaxes(x, 0, 1) if self.batch_first else x, after

    @staticmethod
    def _along(step: _Step, x: Any, cell: Any, state: Any, *, reverse: bool) -> tuple[Any, Any]:
        """One cell along the sequence; what x contributes is computed for all steps at once."""
        weight, recurrent, bias, hidden_bias, *projection = cell
        inwards = functions.matmul(x, weight.mT)
        inwards = inwards if bias is None else inwards + bias

        def one(carry: Any, z: Any) -> tuple[Any, Any]:
            h = carry[0] if isinstance(carry, tuple) else carry
            by_state = functions.matmul(h, recurrent.mT)
            by_state = by_state if hidden_bias is None else by_state + hidden_bias
            return step(z, by_state, carry, projection)

        return scan(one, state, inwards, reverse=reverse)


def _lstm_step(z: Any, by_state: Any, state: Any, projection: Any) -> tuple[Any, Any]:
    _, c = state
    i, f, g, o = functions.split(z + by_state, 4, axis=-1)
    c = functions.sigmoid(f) * c + functions.sigmoid(i) * functions.tanh(g)
    h = functions.sigmoid(o) * functions.tanh(c)
    h = functions.matmul(h, projection[0].mT) if projection else h
    return (h, c), h


def _gru_step(z: Any, by_state: Any, state: Any, projection: Any) -> tuple[Any, Any]:
    reset, update, new = functions.split(z, 3, axis=-1)
    by_reset, by_update, by_new = functions.split(by_state, 3, axis=-1)
    new = functions.tanh(new + functions.sigmoid(reset + by_reset) * by_new)
    kept = functions.sigmoid(update + by_update)
    h = (1 - kept) * new + kept * state
    return h, h


def _simple_step(activation: Callable[[Any], Any]) -> _Step:
    def step(z: Any, by_state: Any, state: Any, projection: Any) -> tuple[Any, Any]:
        h = activation(z + by_state)
        return h, h

    return step
