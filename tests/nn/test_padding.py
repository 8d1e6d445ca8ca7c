"""What a mask hides from a layer may be anything: NaN and infinities leave value and gradients as other numbers do."""

import numpy as np
import pytest

import clearprop as cl
from clearprop import nn

RNG = np.random.default_rng(0)
SEEN = np.asarray(nn.length_mask([3, 5], 5))
X = RNG.normal(size=(2, 5, 4)).astype(np.float32)
KEYS = {"one row for all queries": SEEN[:, None], "every query": np.repeat(SEEN[:, None], 5, 1)}
LAYERS = {
    **{f"attention, {k}": (nn.MultiHeadAttention(4, 2, rng=0), m) for k, m in KEYS.items()},
    "causal attention": (nn.MultiHeadAttention(4, 2, causal=True, rng=0), SEEN[:, None]),
    "grouped attention": (nn.MultiHeadAttention(4, 2, kv_heads=1, rng=0), SEEN[:, None]),
    **{k.__name__: (k(4, 3, rng=0), SEEN) for k in (nn.RNN, nn.LSTM, nn.GRU)},
    "both ways": (nn.LSTM(4, 3, layers=2, bidirectional=True, rng=0), SEEN),
}


def filled(value):
    x = X.copy()
    x[~SEEN] = value
    return x


def slopes(mask):
    """The loss of the real elements, and its gradients for the layer and for x."""

    def loss(layer, x):
        return cl.sum(cl.where(SEEN[..., None], layer(x, mask=mask), 0.0) ** 2)

    return cl.value_and_grad(loss, argnums=(0, 1))


def flat(found):
    value, (layer, x) = found
    return [np.asarray(v) for v in (value, x, *layer.parameters().values())]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", LAYERS)
def test_eager(name, value):
    layer, mask = LAYERS[name]
    for got, want in zip(flat(slopes(mask)(layer, filled(value))), flat(slopes(mask)(layer, filled(1.0))), strict=True):
        assert np.array_equal(got, want)


@pytest.mark.parametrize("name", ["attention, every query", "LSTM"])
def test_compiled(name):
    layer, mask = LAYERS[name]
    for executor in ("numpy", "numba") if name != "LSTM" else ("numpy",):
        got = flat(cl.compile(slopes(mask), executor=executor)(layer, filled(np.nan)))
        for a, b in zip(got, flat(slopes(mask)(layer, filled(1.0))), strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", LAYERS)
def test_a_mask_that_hides_everything(name):
    layer, mask = LAYERS[name]
    for got in flat(slopes(np.zeros_like(mask))(layer, filled(np.nan)))[:1]:
        assert np.isfinite(got).all()
