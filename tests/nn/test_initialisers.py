"""Initial weights: their distribution, their choice, their independence."""

import math

import numpy as np
import pytest

import clearprop as cl
from clearprop import nn

INPUTS, OUTPUTS = 300, 200
SPREAD = {
    "small_random": 0.01,
    "he": math.sqrt(2 / INPUTS),
    "lecun": math.sqrt(1 / INPUTS),
    "glorot": math.sqrt(2 / (INPUTS + OUTPUTS)),
}


def drawn(name, shape=(INPUTS, OUTPUTS), seed=0, dtype=np.float64):
    return np.asarray(nn.INITIALISERS[name](cl.random.key(seed), shape, dtype))


@pytest.mark.parametrize("name", SPREAD)
def test_mean_and_spread(name):
    """Within four standard errors of the mean and of the standard deviation, over 60,000 draws."""
    w, std = drawn(name), SPREAD[name]
    assert abs(w.mean()) < 4 * std / math.sqrt(w.size)
    assert abs(w.std() / std - 1) < 4 / math.sqrt(2 * w.size)


@pytest.mark.parametrize("name", ["small_random", "he", "lecun"])
def test_normal_initialisers_have_normal_tails(name):
    w = drawn(name) / SPREAD[name]
    assert np.mean(np.abs(w) < 1) == pytest.approx(0.6827, abs=0.01)
    assert np.abs(w).max() > 3.5


def test_glorot_is_uniform():
    w, bound = drawn("glorot"), math.sqrt(6 / (INPUTS + OUTPUTS))
    assert np.abs(w).max() <= bound and np.abs(w).max() > 0.999 * bound
    assert np.mean(np.abs(w) < bound / 2) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("shape", [(5, 5), (8, 3), (3, 8)])
def test_orthogonal(shape):
    w = drawn("orthogonal", shape)
    small = w.T @ w if shape[0] >= shape[1] else w @ w.T
    np.testing.assert_allclose(small, np.eye(min(shape)), atol=1e-12)


def test_orthogonal_has_no_preferred_sign():
    """Without the correction by R's signs, the first entry would be negative every time (LAPACK's convention)."""
    first = [drawn("orthogonal", (4, 4), seed)[0, 0] for seed in range(40)]
    assert 10 <= sum(x > 0 for x in first) <= 30


@pytest.mark.parametrize("name", nn.INITIALISERS)
def test_a_key_gives_the_same_weights_and_float32_is_the_rounded_float64(name):
    again, other = drawn(name), drawn(name, seed=1)
    assert np.array_equal(drawn(name), again) and not np.array_equal(again, other)
    assert np.array_equal(drawn(name, dtype=np.float32), again.astype(np.float32))


def test_the_initialiser_suits_the_activation():
    chosen = {
        a: nn.suited_to(a) for a in ("relu", "leaky_relu", "gelu", "silu", "elu", "selu", "tanh", "sigmoid", "linear")
    }
    assert {a for a, i in chosen.items() if i == "he"} == {"relu", "leaky_relu", "gelu", "silu", "elu"}
    assert {a for a, i in chosen.items() if i == "glorot"} == {"tanh", "sigmoid", "linear"}
    assert chosen["selu"] == "lecun"


@pytest.mark.parametrize(("activation", "init"), [("relu", "he"), ("tanh", "glorot"), ("selu", "lecun")])
def test_mlp_uses_it_for_the_hidden_layers_and_glorot_for_the_last(activation, init):
    model, key = nn.mlp([7, 6, 5], activation, seed=3), cl.random.key(3)
    for i, name in [(0, init), (2, "glorot")]:
        wanted = nn.INITIALISERS[name](cl.random.fold_in(key, i // 2), model.layers[i].weight.shape, np.float32)
        assert np.array_equal(np.asarray(model.layers[i].weight), np.asarray(wanted))


def test_mlp_takes_an_initialiser_for_all_layers():
    for init in ("orthogonal", nn.orthogonal):
        model = nn.mlp([4, 4, 4], init=init)
        for layer in (model.layers[0], model.layers[2]):
            np.testing.assert_allclose(np.asarray(layer.weight.mT @ layer.weight), np.eye(4), atol=1e-6)


def test_mlp_layers():
    names = [layer.label() for layer in nn.mlp([4, 8, 8, 3], "gelu", norm="layer", dropout=0.2).layers]
    hidden = ["LayerNorm(8)", "gelu", "Dropout(rate=0.2)"]
    assert names == ["Dense(4 → 8)", *hidden, "Dense(8 → 8)", *hidden, "Dense(8 → 3)"]
    assert [layer.label() for layer in nn.mlp([4, 3]).layers] == ["Dense(4 → 3)"]
    assert nn.mlp([4, 8, 3], dtype=np.float64)(np.ones(4)).dtype == np.float64


def test_signals_keep_their_size_through_many_layers():
    """What the initialisers are for: the variance neither vanishes nor explodes over ten layers."""
    x = np.random.default_rng(0).normal(size=(256, 128)).astype(np.float32)
    for activation in ("relu", "selu"):
        model = nn.mlp([128] * 11, activation)
        assert 0.3 < float(cl.std(model[:-1](x))) < 3
    small = nn.mlp([128] * 11, "relu", init="small_random")
    assert float(cl.std(small(x))) < 1e-6
