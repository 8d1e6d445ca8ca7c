"""Entries of every layer type and loss agree with numerical derivatives, and levels add up."""

import zlib

import numpy as np
import pytest

import clearprop as cl

nn = cl.nn
ROWS = 12


def _network(layer):
    return nn.Sequential(nn.Dense(5, 7, rng=1), *LAYERS[layer], nn.Dense(7, 3, rng=2))


LAYERS = {
    "relu": (nn.Activation("relu"),),
    "tanh": (nn.Activation("tanh"),),
    "gelu": (nn.Activation("gelu"),),
    "silu": (nn.Activation("silu"),),
    "softplus": (nn.Activation("softplus"),),
    "layer_norm": (nn.LayerNorm(7), nn.Activation("tanh")),
    "batch_norm": (nn.BatchNorm(7), nn.Activation("sigmoid")),
    "dropout": (nn.Dropout(0.4), nn.Activation("elu")),
}
LOSSES = {
    "mse": lambda y, t: nn.mse(y, t["real"]),
    "mae": lambda y, t: nn.mae(y, t["real"]),
    "huber": lambda y, t: nn.huber(y, t["real"], delta=0.7),
    "cross_entropy": lambda y, t: nn.cross_entropy(y, t["class"]),
    "soft_labels": lambda y, t: nn.cross_entropy(y, t["soft"]),
    "binary": lambda y, t: nn.binary_cross_entropy(y, t["bits"]),
    "weighted": lambda y, t: nn.cross_entropy(y, t["class"], sample_weight=t["weight"]),
}
PAIRS = [(layer, loss) for layer in LAYERS for loss in LOSSES]


def _data(rng):
    soft = rng.uniform(0.1, 1, (ROWS, 3))
    targets = {
        "real": rng.standard_normal((ROWS, 3)),
        "class": rng.integers(0, 3, ROWS),
        "soft": soft / soft.sum(-1, keepdims=True),
        "bits": rng.integers(0, 2, (ROWS, 3)).astype(float),
        "weight": rng.uniform(0.5, 2, ROWS),
    }
    return rng.standard_normal((ROWS, 5)), targets


def _explained(layer, loss):
    rng = np.random.default_rng(zlib.crc32(f"{layer} {loss}".encode()))
    x, t = _data(rng)
    model = cl.tree_map(lambda a: np.asarray(a, np.float64), _network(layer))

    def value(model, x):
        y, _ = nn.apply(model, x, train=True, rng=0)
        return LOSSES[loss](y, t)

    return value, (model, x), rng


@pytest.mark.parametrize(("layer", "loss"), PAIRS, ids=[f"{a}-{b}" for a, b in PAIRS])
def test_random_entries_agree_with_numerical_derivatives(layer, loss):
    """Four entries of each of 56 networks: parameters and inputs."""
    f, args, rng = _explained(layer, loss)
    parameters, inputs = cl.explain(f, 0, args=args), cl.explain(f, "x", args=args)
    for _ in range(3):
        name = list(parameters)[rng.integers(len(parameters))]
        _agrees(parameters[name], rng)
    _agrees(inputs, rng)


def _agrees(explanation, rng):
    index = tuple(int(rng.integers(n)) for n in explanation.shape)
    entry = explanation[index]
    check = entry.check()
    assert check.agrees, (entry.symbol, check)
    assert abs(check.value - entry.value) <= 1e-6 * abs(entry.value) + 1e-10
    assert entry.rounding.holds
    assert entry.rounding.dtype == "float64"


@pytest.mark.parametrize("layer", LAYERS)
def test_levels_add_up_all_the_way(layer):
    f, args, rng = _explained(layer, "cross_entropy")
    explanation = cl.explain(f, "layers[0].weight", args=args)
    entry = explanation[1, 2]
    for _ in range(40):
        whole = entry.show(10_000)
        assert whole.rest == 0
        assert sum(t.value for t in whole.terms) == pytest.approx(whole.total, rel=1e-12, abs=1e-16)
        assert whole.total + whole.rounding.difference == pytest.approx(whole.value, rel=1e-15)
        for term in whole.terms:
            assert term.value == pytest.approx(term.delta * np.prod([f.value for f in term.factors]), rel=1e-12)
            if not term.is_last:
                assert term.open().value == term.delta
        term = whole.terms[rng.integers(len(whole.terms))]
        if term.is_last:
            break
        entry = term.open()
    else:
        pytest.fail("the target was not reached")


def test_the_rest_is_the_sum_of_the_terms_that_are_not_shown():
    f, args, _ = _explained("tanh", "mse")
    entry = cl.explain(f, "layers[0].weight", args=args)[1, 2]
    assert (len(entry.terms), entry.rest_count, entry.count) == (8, 4, 12)
    everything = entry.show(12)
    hidden = sorted((t.value for t in everything.terms), key=abs)[:4]
    assert entry.rest == pytest.approx(sum(hidden), rel=1e-14)
    assert [abs(t.value) for t in entry.terms] == sorted((abs(t.value) for t in entry.terms), reverse=True)


def test_fan_out_gives_one_term_per_consumer():
    x = cl.tensor(0.7, name="x", requires_grad=True)
    y = x * x + cl.sin(x) * x
    entry = cl.explain(y, wrt=x, index=())
    assert [t.value for t in entry.terms] == pytest.approx([0.7, 0.7, 0.7 * np.cos(0.7), np.sin(0.7)])
    assert entry.value == pytest.approx(1.4 + 0.7 * np.cos(0.7) + np.sin(0.7))
