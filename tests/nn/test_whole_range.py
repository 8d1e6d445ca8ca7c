"""Layers and losses in the whole range of float32: no square overflows on the way, nor vanishes."""

import numpy as np
import pytest

import clearprop as cl
from clearprop import nn

RNG = np.random.default_rng(11)
ROWS = RNG.normal(size=(6, 5))
OTHERS = RNG.normal(size=(6, 5))
SIZES = (1e-30, 1e-18, 1.0, 1e18, 1e30)
"""Those of 1e18 have squares, and sums of them may be too large."""


LAYERS = {
    "LayerNorm": nn.LayerNorm(5),
    "LayerNorm without eps": nn.LayerNorm(5, eps=0.0),
    "GroupNorm": nn.GroupNorm(1, 5, space=0),
    "InstanceNorm": nn.InstanceNorm(5, space=1),
    "RMSNorm": nn.RMSNorm(5),
    "RMSNorm without eps": nn.RMSNorm(5, eps=0.0),
}
OF_TWO = {
    "cosine_distance": nn.cosine_distance,
    "triplet": lambda a, b: nn.triplet(a, b, -b, margin=1e-3),
    "mae": nn.mae,
    "huber": nn.huber,
    "log_cosh": nn.log_cosh,
}


def compared(f, *arrays):
    """Value and derivatives in float32 beside those in float64 of the same numbers, which it has room for."""
    singles = [np.asarray(a, np.float32) for a in arrays]
    doubles = [a.astype(np.float64) for a in singles]
    weight = RNG.uniform(0.5, 1.5, size=np.shape(f(*doubles)))
    for what in (f, *(cl.grad(lambda *a: cl.sum(f(*a) * weight), argnums=k) for k in range(len(arrays)))):
        found, wanted = np.asarray(what(*singles)), np.asarray(what(*doubles))
        assert found.dtype == np.float32
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(found / scale, wanted / scale, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name, size):
    compared(LAYERS[name], ROWS * size)


@pytest.mark.parametrize("size", [1.0, 1e18, 1e30])
@pytest.mark.parametrize("name", OF_TWO)
def test_losses(name, size):
    """Of large numbers: of small ones the square is the value, which float32 does not hold."""
    compared(OF_TWO[name], ROWS * size, OTHERS * size)


@pytest.mark.parametrize("executor", ["eager", "numpy", pytest.param("numba", marks=pytest.mark.verify)])
def test_rows_do_not_disturb_each_other(executor):
    """Each is scaled by itself."""
    layer = nn.LayerNorm(5, eps=0.0)
    found = np.asarray(
        (layer if executor == "eager" else cl.compile(lambda x: layer(x), executor=executor))(
            (ROWS * np.array([[1.0], [1e30], [1e-3], [3e37], [1e20], [5.0]])).astype(np.float32)
        )
    )
    wanted = np.asarray(layer(ROWS))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_huge_weights_keep_their_direction():
    layer = nn.Dense(3, 2, bias=False)
    weight = np.asarray(layer.weight)
    huge = nn.WeightNorm(layer.replace({"weight": weight * np.float32(1e30)}))
    np.testing.assert_allclose(np.asarray(huge.scale) / 1e30, np.linalg.norm(weight, axis=0), rtol=1e-6)
    np.testing.assert_allclose(np.asarray(huge([1e-30, 0.0, 0.0])), weight[0], rtol=1e-5)
