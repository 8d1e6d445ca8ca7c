"""Losses against formulas written again in NumPy, with reductions and weights."""

import numpy as np
import pytest

import clearprop as cl
from clearprop import nn
from clearprop.program.tracing import trace
from clearprop.program.types import type_of

RNG = np.random.default_rng(2)
PREDICTION, TARGET = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 3))
LABELS = np.array([0, 2, 1, 1, 0])
WEIGHT = np.array([1.0, 0.0, 2.0, 0.5, 3.0])


def soft(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


P = soft(TARGET)
E = PREDICTION - TARGET
UNIT = 1 / (1 + np.exp(-TARGET))
ELEMENTS = {
    "mse": ((PREDICTION, TARGET), E**2),
    "mae": ((PREDICTION, TARGET), np.abs(E)),
    "huber": ((PREDICTION, TARGET), np.where(np.abs(E) <= 1, E**2 / 2, np.abs(E) - 0.5)),
    "cross_entropy": ((PREDICTION, LABELS), -np.log(soft(PREDICTION)[np.arange(5), LABELS])),
    "cross_entropy of probabilities": ((PREDICTION, P), -(P * np.log(soft(PREDICTION))).sum(axis=-1)),
    "binary_cross_entropy": (
        (PREDICTION, UNIT),
        -UNIT * np.log(1 / (1 + np.exp(-PREDICTION))) - (1 - UNIT) * np.log(1 / (1 + np.exp(PREDICTION))),
    ),
}


def loss_of(name):
    return nn.LOSSES[name.split(" ")[0]]


@pytest.mark.parametrize("name", ELEMENTS)
def test_values_and_reductions(name):
    args, elements = ELEMENTS[name]
    loss = loss_of(name)
    assert float(loss(*args)) == pytest.approx(elements.mean(), rel=1e-12)
    assert float(loss(*args, reduction="sum")) == pytest.approx(elements.sum(), rel=1e-12)
    np.testing.assert_allclose(np.asarray(loss(*args, reduction="none")), elements, rtol=1e-12)


@pytest.mark.parametrize("name", ELEMENTS)
def test_sample_weights(name):
    """The mean is Σ w·loss / Σ w over all elements, so a weight of 2 counts as the example twice."""
    args, elements = ELEMENTS[name]
    loss = loss_of(name)
    w = WEIGHT if elements.ndim == 1 else np.repeat(WEIGHT[:, None], 3, axis=1)
    weighted = {r: loss(*args, reduction=r, sample_weight=WEIGHT) for r in ("mean", "sum", "none")}
    assert float(weighted["mean"]) == pytest.approx(np.average(elements, weights=w), rel=1e-12)
    assert float(weighted["sum"]) == pytest.approx((w * elements).sum(), rel=1e-12)
    np.testing.assert_allclose(np.asarray(weighted["none"]), w * elements, rtol=1e-12)
    doubled = [np.concatenate([a, a[2:3]]) for a in args]
    ones = loss(*args, sample_weight=np.array([1.0, 1.0, 2.0, 1.0, 1.0]))
    assert float(ones) == pytest.approx(float(loss(*doubled)), rel=1e-12)


@pytest.mark.parametrize("name", ELEMENTS)
def test_gradients(name):
    (prediction, target), _ = ELEMENTS[name]
    loss = loss_of(name)
    cl.check_grads(lambda p: loss(p, target, sample_weight=WEIGHT), [prediction], order=1)


def test_the_gradient_of_cross_entropy_is_softmax_minus_the_target():
    grad = cl.grad(nn.cross_entropy)(PREDICTION, LABELS)
    np.testing.assert_allclose(np.asarray(grad), (soft(PREDICTION) - np.eye(3)[LABELS]) / 5, rtol=1e-12)


def test_huber_with_another_delta():
    wanted = np.where(np.abs(E) <= 0.5, E**2 / 2, 0.5 * (np.abs(E) - 0.25)).mean()
    assert float(nn.huber(PREDICTION, TARGET, delta=0.5)) == pytest.approx(wanted)


def test_labels_of_every_integer_kind_and_float32():
    logits = PREDICTION.astype(np.float32)
    values = {float(nn.cross_entropy(logits, LABELS.astype(kind))) for kind in ("int64", "int32", "uint8")}
    assert len(values) == 1
    zero_one = (LABELS > 0)[:, None].repeat(3, axis=1)
    values = {float(nn.binary_cross_entropy(logits, zero_one.astype(k))) for k in ("int64", "bool", "float32")}
    assert len(values) == 1
    for loss, y in [
        (nn.cross_entropy, LABELS),
        (nn.mse, TARGET.astype(np.float32)),
        (nn.binary_cross_entropy, zero_one),
    ]:
        assert loss(logits, y).dtype == np.float32
        assert loss(logits, y, sample_weight=WEIGHT).dtype == np.float32


def test_extreme_logits_stay_finite():
    z = np.array([[1e4, -1e4, 0.0]])
    assert float(nn.cross_entropy(z, [1])) == 2e4
    assert float(nn.binary_cross_entropy(z, [[0, 1, 0]])) == pytest.approx((2e4 + np.log(2)) / 3)
    assert np.all(np.isfinite(np.asarray(cl.grad(nn.cross_entropy)(z, np.array([1])))))


@pytest.mark.parametrize("name", ELEMENTS)
def test_losses_trace(name):
    args, _ = ELEMENTS[name]
    loss = loss_of(name)
    program = trace(lambda a, b, w: [loss(a, b, sample_weight=w)], [type_of(a) for a in (*args, WEIGHT)])
    cl.typecheck(program)


def test_losses_by_name():
    assert nn.loss_named("mse") is nn.mse
