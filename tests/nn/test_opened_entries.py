"""Random entries over all layers, opened: they agree with numerical derivatives, and their sums close.

Zeros say why they are: outside the receptive field, not the largest of a window, a step that a mask leaves out.
"""

from functools import partial

import numpy as np
import pytest

import clearprop as cl
from clearprop import nn
from tests.nn.peer_cases import LAYERS
from tests.tiers import later

MANY = 200
KEPT = range(3, MANY, 10)


def total_of(case):
    """A number that depends on every output of a layer, and what can be opened of it: paths and shapes."""
    model, inputs = case.model(), case.inputs
    first = np.shape(np.asarray(case.compute(model, *inputs)))
    weights = np.random.default_rng(0).normal(size=first)

    def total(model, inputs):
        return cl.sum(case.compute(model, *inputs) * weights)

    places = {} if model is None else {name: np.shape(value) for name, value in model.parameters().items()}
    floats = {f"inputs[{i}]": a.shape for i, a in enumerate(inputs) if np.asarray(a).dtype.kind == "f"}
    return total, (model, inputs), {**places, **floats}


@pytest.mark.parametrize("number", [*KEPT, *later([n for n in range(MANY) if n not in KEPT])])
def test_a_random_entry_agrees_with_differences_and_its_sum_closes(number):
    case, rng = LAYERS[number % len(LAYERS)], np.random.default_rng(number)
    total, args, places = total_of(case)
    path = sorted(places)[rng.integers(len(places))]
    index = tuple(int(rng.integers(n)) for n in places[path])
    entry = cl.explain(total, path, args=args)[index]
    entry.check()
    summed = sum(term.value for term in entry.terms) + entry.rest
    assert summed == pytest.approx(entry.value, rel=1e-9, abs=1e-12)
    assert entry.value or entry.reason


SEQUENCE = np.random.default_rng(1).normal(size=(1, 3, 4))
IMAGE = np.arange(1.0, 17.0).reshape(1, 4, 4, 1)
SEEN = np.array([[True, True, False]])
HIDDEN = "masked: scan leaves"
SMALLER = "is the first of the largest in no window of max_pool"
CELLS = [kind(4, 3, dtype=float, output="last") for kind in (nn.RNN, nn.LSTM, nn.GRU)]
CAUSAL, PLAIN = (nn.MultiHeadAttention(4, 2, causal=causal, dtype=float) for causal in (True, False))
OUTSIDE = "is outside the receptive field of conv"


def masked_loop(x):
    def step(state, given):
        return cl.where(given[1], cl.tanh(state + given[0]), state), None

    return cl.scan(step, cl.zeros(4), (x[0], SEEN[0]))[0]


ZEROS = {
    "a later element": (lambda x: CAUSAL(x)[0, 0], SEQUENCE, (0, 2, 1), "masked by where"),
    "a hidden element": (lambda x: PLAIN(x, mask=SEEN[:, None])[0, :2], SEQUENCE, (0, 2, 1), "masked by where"),
    **{f"hidden from {k.label()}": (partial(k, mask=SEEN), SEQUENCE, (0, 2, 1), "masked by where") for k in CELLS},
    "hidden from a loop": (lambda x: masked_loop(2.0 * x), SEQUENCE, (0, 2, 1), HIDDEN),
    "a smaller pixel": (nn.MaxPool(2), IMAGE, (0, 0, 1, 0), f"pooled elsewhere: x[0,0,1,0] {SMALLER}"),
    "a smaller pixel, padded": (nn.MaxPool(3, stride=2, padding=1), IMAGE, (0, 0, 0, 0), SMALLER),
    "a pixel between": (nn.Conv2d(1, 1, 1, stride=2, dtype=float), IMAGE, (0, 1, 1, 0), f"x[0,1,1,0] {OUTSIDE}"),
    "a pixel at the end": (nn.Conv2d(1, 1, 3, stride=2, dtype=float), IMAGE, (0, 3, 3, 0), f"x[0,3,3,0] {OUTSIDE}"),
}  # fmt: skip


@pytest.mark.parametrize("what", ZEROS)
def test_a_zero_says_why(what):
    layer, x, index, reason = ZEROS[what]
    entry = cl.explain(lambda x: cl.sum(cl.square(layer(x))), "x", args=(x,))[index]
    entry.check()
    assert entry.value == 0.0
    assert reason in entry.reason


def test_a_row_of_an_embedding_opens_into_the_places_that_used_it():
    layer, words = nn.Embedding(5, 3, dtype=float), np.array([[1, 2, 1]])
    weights = np.arange(9.0).reshape(1, 3, 3)
    opened = cl.explain(lambda model: cl.sum(model(words) * weights), "weight", args=(layer,))
    assert sorted(term.value for term in opened[1, 0].terms) == [0.0, 6.0]
    assert opened[4, 0].reason == "not on any path: weight[4,0] is not selected by take"


def test_a_weight_of_a_wide_loop_opens_into_outputs_and_those_into_time_steps():
    """One tangent reaches all 4,800 outputs; a cotangent for each of them would be as many loops, and was refused."""
    layer, x = nn.LSTM(2, 40, dtype=float, output="last"), np.random.default_rng(0).normal(size=(120, 3, 2))
    entry = cl.explain(lambda model: cl.sum(cl.square(model(x))), "cells[0].recurrent", args=(layer,))[0, 5]
    assert entry.check().agrees
    (scan,) = entry.terms[0].factors
    steps = scan.body()
    assert "sum2[" in str(steps) and "sum3[" in str(steps) and steps.check().agrees


def dense(n, m):
    return nn.Dense(n, m, dtype=float)


OTHERS = {
    "BatchNorm": (lambda: nn.BatchNorm(4, dtype=float), SEQUENCE),
    "LayerNorm": (lambda: nn.LayerNorm(4, dtype=float), SEQUENCE),
    "Dense": (lambda: dense(4, 3), SEQUENCE),
    "DropPath": (lambda: nn.Sequential(dense(4, 3), nn.DropPath(0.5)), SEQUENCE),
    "Dropout": (lambda: nn.Sequential(dense(4, 3), nn.Dropout(0.5)), SEQUENCE),
    "Dropout2d": (lambda: nn.Sequential(nn.Dropout2d(0.5), nn.Conv2d(1, 2, 2, dtype=float)), IMAGE),
    "Flatten": (lambda: nn.Sequential(nn.Flatten(), dense(16, 2)), IMAGE),
    "Unflatten": (lambda: nn.Sequential(nn.Unflatten((2, 2)), dense(2, 2)), SEQUENCE),
    "Residual": (lambda: nn.Residual(dense(4, 4)), SEQUENCE),
    "Parallel": (lambda: nn.Parallel(dense(4, 3), dense(4, 2)), SEQUENCE),
    "a function": (lambda: nn.Sequential(dense(4, 3), cl.tanh), SEQUENCE),
    "LearnedPositions": (lambda: nn.LearnedPositions(5, 4, dtype=float), SEQUENCE),
    "SinusoidalPositions": (lambda: nn.Sequential(nn.SinusoidalPositions(4), dense(4, 3)), SEQUENCE),
    "Masked": (lambda: nn.Masked(nn.GRU(3, 2, dtype=float), nn.MeanOverSteps()), SEQUENCE),
    "Increasing": (lambda: nn.Sequential(dense(4, 3), nn.Increasing(3)), SEQUENCE),
    "NormalInterval": (lambda: nn.Sequential(dense(4, 2), nn.NormalInterval()), SEQUENCE),
    "Ensemble": (lambda: nn.Ensemble((dense(4, 3), dense(4, 3))), SEQUENCE),
}


@pytest.mark.parametrize("name", OTHERS)
def test_random_entries_of_layers_without_a_peer_agree_and_close(name):
    make, x = OTHERS[name]
    model, rng = make(), np.random.default_rng(len(name))
    inputs = {"x": x.shape, **{path: np.shape(v) for path, v in model.parameters().items()}}
    for path, shape in inputs.items():
        opened = cl.explain(lambda model, x: cl.sum(cl.sin(model(x))), path, args=(model, x))
        entry = opened[tuple(int(rng.integers(n)) for n in shape)]
        assert entry.check().agrees and (entry.value or entry.reason)
        assert sum(term.value for term in entry.terms) + entry.rest == pytest.approx(entry.value, rel=1e-9, abs=1e-12)
