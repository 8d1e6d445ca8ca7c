"""Weights go from PyTorch's names and layouts to ours and back without a changed bit, and files of others are safe."""

from __future__ import annotations

import json
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

import clearprop as cl
from clearprop.errors import ArgumentError, ClearpropError, DataError
from tests.interop.test_torch_modules import MODULES, model
from tests.interop.torch_modules import draw, weights
from tests.interop.torch_zoo import inputs_of


class Bag(cl.nn.Module):
    table: cl.nn.EmbeddingBag
    head: cl.nn.Dense

    def forward(self, x):
        return self.head(cl.relu(self.table(x)))


class Sequence(cl.nn.Module):
    layers: cl.nn.Module
    head: cl.nn.Dense

    def forward(self, x):
        return self.head(self.layers(x)[:, -1])


class Mixture(cl.nn.Module):
    gate: cl.nn.Dense
    experts: list[cl.nn.Module]

    def forward(self, x):
        shares = cl.softmax(self.gate(x), axis=-1)
        answers = cl.stack([expert(x) for expert in self.experts], axis=1)
        return cl.sum(answers * shares[..., None], axis=1)


def ours():
    """For recorded modules what one would write here, and how images are turned."""
    nn, f64 = cl.nn, {"dtype": float}
    both = {"layers": 2, "bidirectional": True, **f64}
    return {
        "mlp": nn.Sequential(nn.Dense(4, 8, **f64), "tanh", nn.Dropout(0.2), nn.Dense(8, 3, **f64)),
        "cnn": nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1, **f64),
            nn.BatchNorm(4, **f64),
            "relu",
            nn.MaxPool(2),
            nn.Conv2d(4, 8, 3, **f64),
            nn.Function(lambda x: cl.leaky_relu(x, slope=0.1)),
            nn.GlobalPool(),
            nn.Flatten(1),
            nn.Dense(8, 3, **f64),
        ),
        "depthwise": nn.Sequential(
            nn.Conv2d(4, 4, 3, padding=1, groups=4, **f64),
            nn.Conv2d(4, 6, 1, **f64),
            nn.GroupNorm(2, 6, **f64),
            nn.Function(cl.relu6),
            nn.AvgPool(2),
            nn.Flatten(3),
            nn.Dense(54, 2, **f64),
        ),
        "lstm": Sequence(nn.LSTM(3, 4, **both), nn.Dense(8, 3, **f64)),
        "gru": Sequence(nn.GRU(3, 4, **both), nn.Dense(8, 3, **f64)),
        "transformer": nn.TransformerBlock(8, 2, hidden=16, activation="relu", first=False, **f64),
        "embedding bag": Bag(nn.EmbeddingBag(11, 4, padding=0, **f64), nn.Dense(4, 2, **f64)),
        "mixture": Mixture(
            nn.Dense(4, 3, **f64), [nn.Sequential(nn.Dense(4, 5, **f64), "gelu", nn.Dense(5, 2, **f64)) for _ in "123"]
        ),
    }


@pytest.mark.parametrize("name", ours())
def test_our_layers_with_their_weights_give_the_same(name):
    state, (x,) = weights(MODULES[name]["shapes"]), inputs_of(name)
    found = cl.torch.load_state(state, ours()[name])
    turned = np.moveaxis(x, 1, -1) if x.ndim == 4 else x
    assert np.allclose(np.asarray(found(turned)), np.asarray(model(name)(x)), rtol=1e-12, atol=1e-13)


def bits(arrays):
    return {name: (a.dtype.name, a.shape, np.ascontiguousarray(a).tobytes()) for name, a in arrays.items()}


def layers():
    """Every layer that holds arrays otherwise than PyTorch does, and some that do not."""
    nn = cl.nn
    return {
        **ours(),
        "attention": nn.MultiHeadAttention(8, 2),
        "no bias": nn.Sequential(nn.Dense(2, 3, bias=False), nn.LSTM(3, 2, bias=False), nn.Conv1d(2, 2, 3, bias=False)),
        "cells": nn.Parallel(nn.LSTMCell(3, 2), nn.GRUCell(3, 2), nn.RNNCell(3, 2), nn.RNN(3, 2)),
        "transposed": nn.Sequential(nn.ConvTranspose2d(4, 6, 3, groups=2), nn.PReLU(6), nn.InstanceNorm(6)),
        "norms": nn.Sequential(nn.RMSNorm(4), nn.LayerNorm(4), nn.Residual(nn.GroupNorm(2, 4)), nn.BatchNorm(4)),
        "flattened": nn.Sequential(nn.Conv2d(1, 3, 2), "relu", nn.Flatten(3), nn.Dropout(0.1), nn.Dense(12, 2)),
    }


def drawn(layer):
    """The layer with numbers of its own in every array, among them −0, and of every size."""
    values = {path: draw(f"drawn {path}", a.shape) for path, a in layer.arrays().items()}
    values = {path: np.where(np.abs(a) < 0.2, -0.0, a * 10.0 ** np.round(9 * a)) for path, a in values.items()}
    return layer.replace(values)


@pytest.mark.parametrize("name", layers())
def test_weights_go_there_and_back_without_a_changed_bit(name):
    layer = drawn(layers()[name])
    state = cl.torch.state_dict(layer, numpy=True)
    again = cl.torch.load_state(state, layers()[name])
    before, after = ({k: np.asarray(a) for k, a in m.arrays().items()} for m in (layer, again))
    assert bits(after) == bits(before)
    assert bits(cl.torch.state_dict(again, numpy=True)) == bits(state)


@pytest.mark.parametrize("name", MODULES)
def test_models_of_pytorch_keep_their_bits(name):
    state = weights(MODULES[name]["shapes"])
    found = cl.torch.load_state(state, model(name))
    assert bits(cl.torch.state_dict(found, numpy=True)) == bits(state)


def test_a_dense_layer_behind_a_flattening_reads_the_same_image():
    """PyTorch counts channels first, ours places first: encoder of the recorded autoencoder."""
    state = {k.removeprefix("0."): a for k, a in weights(MODULES["autoencoder"]["shapes"]).items() if k[0] == "0"}
    x = inputs_of("autoencoder")[0]
    nn = cl.nn
    conv = nn.Conv2d(1, 4, 3, stride=2, padding=1, dtype=float)
    found = cl.torch.load_state(state, nn.Sequential(conv, "silu", nn.Flatten(3), nn.Dense(64, 3, dtype=float)))
    image = np.moveaxis(np.asarray(found.layers[1](found.layers[0](np.moveaxis(x, 1, -1)))), -1, 1)
    theirs = image.reshape(3, -1) @ state["3.weight"].T + state["3.bias"]
    assert np.allclose(np.asarray(found(np.moveaxis(x, 1, -1))), theirs, rtol=1e-12)


# ------------------------------------------------------------------------------------------------- names and dtypes
def small():
    return cl.nn.Sequential(cl.nn.Dense(2, 3), "relu", cl.nn.BatchNorm(3))


def test_layers_with_other_names_are_told():
    state = cl.torch.state_dict(drawn(small()), numpy=True)
    theirs = {k.replace("0.", "encoder.fc1.").replace("2.", "encoder.bn."): a for k, a in state.items()}
    found = cl.torch.load_state(theirs, small(), names={"encoder.fc1": "0", "encoder.bn": "2"})
    assert bits(cl.torch.state_dict(found, numpy=True)) == bits(state)


def test_all_that_does_not_fit_is_said_at_once():
    state = cl.torch.state_dict(small(), numpy=True)
    state["0.wight"] = state.pop("0.weight")
    state |= {"0.bias": np.zeros(4, np.float32), "2.weight": np.ones(3), "2.bias": np.zeros(3, np.float16)}
    with pytest.raises(ArgumentError) as caught:
        cl.torch.load_state(state, small())
    assert caught.value.got.splitlines() == [
        "0.weight: missing",
        "0.bias: shape (4,), where the model has (3,)",
        "2.weight: float64, where the model has float32",
        "0.wight: not in the model (0.weight?)",
    ]


@pytest.mark.parametrize(
    "call",
    [
        lambda: cl.torch.load_state({}, object()),
        lambda: cl.torch.load_state([1], small()),
        lambda: cl.torch.load_state({"0.weight": "text"}, small()),
        lambda: cl.torch.load_state("no such file", small()),
        lambda: cl.torch.state_dict(cl.nn.MultiHeadAttention(8, 4, kv_heads=2), numpy=True),
    ],
)
def test_wrong_calls_end_in_our_errors(call):
    with pytest.raises(ClearpropError):
        call()


def test_a_pickle_is_never_read(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"\x80\x04.")
    with pytest.raises(DataError) as caught:
        cl.torch.load_state(tmp_path / "model.pt", small())
    assert "a pickle, which can run any code" in caught.value.message


# ------------------------------------------------------------------------------------------------- files of others
def test_safetensors_files_are_loaded_by_name(tmp_path):
    state = cl.torch.state_dict(drawn(small()), numpy=True)
    save_file(state, tmp_path / "model.safetensors")
    found = cl.torch.load_state(tmp_path / "model.safetensors", small())
    assert bits(cl.torch.state_dict(found, numpy=True)) == bits(state)


def file_of(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_bfloat16_becomes_the_float32_of_the_same_value(tmp_path):
    numbers = np.array([1.0, -2.5, 0.15625, 3e38], np.float32)
    short = (numbers.view(np.uint32) >> 16).astype("<u2")
    header = {"weight": {"dtype": "BF16", "shape": [1, 4], "data_offsets": [0, 8]}}
    (tmp_path / "x.safetensors").write_bytes(file_of(header, short.tobytes()))
    found = cl.torch.load_state(tmp_path / "x.safetensors", cl.nn.Dense(4, 1, bias=False))
    expected = (short.astype(np.uint32) << 16).view(np.float32)
    assert np.array_equal(np.asarray(found.weight)[:, 0], expected)


HUGE = {"weight": {"dtype": "F32", "shape": [1 << 30, 1 << 20], "data_offsets": [0, 1 << 52]}}
HOSTILE = {
    "nothing": b"",
    "no header": b"\x08",
    "endless header": struct.pack("<Q", 1 << 62) + b"{}",
    "no JSON": file_of(b"{" * 50),
    "deep JSON": file_of(b'{"a":' * 5000),
    "sizes beyond the file": file_of(HUGE, b"0" * 16),
    "sizes that overflow": file_of({"weight": {"dtype": "F32", "shape": [1 << 62, 8], "data_offsets": [0, 0]}}),
    "offsets backwards": file_of({"weight": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}}, b"0" * 8),
    "negative shape": file_of({"weight": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}, b"0" * 8),
    "unknown dtype": file_of({"weight": {"dtype": "Q7", "shape": [2], "data_offsets": [0, 8]}}, b"0" * 8),
    "holes": file_of({"weight": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, b"0" * 8),
    "another shape": file_of({"weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, b"0" * 8),
}


def refuse_within_memory(path):
    """Loading ends in an error of ours, or in a model, and takes little memory."""
    layer = cl.nn.Dense(4, 1, bias=False)
    tracemalloc.start()
    try:
        cl.torch.load_state(path, layer)
    except ClearpropError:
        return True
    finally:
        assert tracemalloc.get_traced_memory()[1] < 20e6
        tracemalloc.stop()
    return False


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(name, tmp_path):
    (tmp_path / "x.safetensors").write_bytes(HOSTILE[name])
    assert refuse_within_memory(tmp_path / "x.safetensors")


def mutated(data, places):
    changed = bytearray(data)
    for place, value in places:
        changed[place % len(changed)] = value
    return bytes(changed)


PLACES = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=4)
WHOLE = file_of({"weight": {"dtype": "F32", "shape": [1, 4], "data_offsets": [0, 16]}}, bytes(range(16)))


def check_mutated(tmp_path, places, cut):
    path = tmp_path / "x.safetensors"
    path.write_bytes(mutated(WHOLE, places)[: len(WHOLE) - cut])
    refuse_within_memory(path)


QUIET = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


@settings(max_examples=40, derandomize=True, **QUIET)
@given(PLACES, st.integers(0, 3))
def test_changed_files_end_in_our_errors(tmp_path, places, cut):
    check_mutated(tmp_path, places, cut)


@pytest.mark.verify
@settings(max_examples=700, derandomize=True, **QUIET)
@given(PLACES, st.integers(0, 3))
def test_many_changed_files_end_in_our_errors(tmp_path, places, cut):
    check_mutated(tmp_path, places, cut)
