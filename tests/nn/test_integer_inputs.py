"""Every layer gives of integers and truth values what it gives of floating-point numbers, or refuses them."""

import inspect

import numpy as np
import pytest

import clearprop as cl

ARGUMENTS = [(4, 3), (4,), (), (2,), (2, 4), (4, 2, 3), (4, 2)]
OF_LAYERS = {"Masked": [(cl.nn.MeanOverSteps(),), (cl.nn.LSTM(3, 2, rng=0), cl.nn.MeanOverSteps())]}
MODES = {"Upsample": {"mode": "linear"}, "AdaptivePool": {"mode": "max"}}
SHAPES = [(2, 4), (3, 2), (2, 5, 4), (2, 6, 6, 4)]
DTYPES = ["bool", "uint8", "int8", "uint16", "int32", "int64", "uint64"]
NO_LAYERS = {"Module", "Function", "Penalty", "Ensemble", "Embedding", "EmbeddingBag", "Residual", "Parallel"}
"""What takes other things than numbers of a shape, or other layers."""
NOT_MADE = {
    "Activation",
    "Augment",
    "Conv3d",
    "GRUCell",
    "LSTMCell",
    "PiecewiseLinear",
    "RNNCell",
    "Unflatten",
    "WeightNorm",
}
"""Layers that need other arguments, or other inputs."""
LAYERS = sorted(
    name
    for name, value in ((name, getattr(cl.nn, name)) for name in dir(cl.nn))
    if inspect.isclass(value) and issubclass(value, cl.nn.Module) and name not in NO_LAYERS
)


def made(name):
    """The layer, with the first arguments that it takes, in its forms."""
    for arguments in OF_LAYERS.get(name, ARGUMENTS):
        for options in ({}, MODES.get(name)):
            if options is not None:
                try:
                    yield getattr(cl.nn, name)(*arguments, **options)
                except (cl.errors.ClearpropError, TypeError):
                    continue


def first(y):
    return np.asarray(y[0] if isinstance(y, tuple) else y, dtype=np.float64)


@pytest.mark.parametrize("name", LAYERS)
def test_of_integers_a_layer_gives_what_it_gives_of_floats(name):
    tried = 0
    for layer in made(name):
        for shape in SHAPES:
            x = np.arange(np.prod(shape)).reshape(shape) % 7 * 5
            for dtype in DTYPES:
                given = x.astype(dtype)
                try:
                    wanted = first(layer(given.astype(np.float32)))
                    tried += 1
                    got = first(layer(given))
                except cl.errors.ClearpropError:
                    continue
                np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=2e-5, err_msg=f"{layer} of {dtype} {shape}")
    assert tried or name in NOT_MADE


def test_a_penalty_is_of_a_module():
    with pytest.raises(cl.errors.ArgumentError, match="Penalty looks into a module"):
        cl.nn.Penalty(l2=0.1)(np.ones((2, 2)))
