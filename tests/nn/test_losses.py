"""Losses against formulas written again in NumPy, with reductions and weights."""

import numpy as np
import pytest
from sklearn.metrics import mean_pinball_loss, mean_tweedie_deviance

import clearprop as cl
from clearprop import nn
from clearprop.nn import further_losses, loss_text
from clearprop.program.ir import trace
from clearprop.program.types import type_of

RNG = np.random.default_rng(2)
PREDICTION, TARGET = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 3))
LABELS = np.array([0, 2, 1, 1, 0])
WEIGHT = np.array([1.0, 0.0, 2.0, 0.5, 3.0])


def soft(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


COUNTS = RNG.poisson(2.0, size=(5, 3))
P = soft(TARGET)
RIGHT = soft(PREDICTION)[np.arange(5), LABELS]
E = PREDICTION - TARGET
UNIT = 1 / (1 + np.exp(-TARGET))
ELEMENTS = {
    "mse": ((PREDICTION, TARGET), E**2),
    "mae": ((PREDICTION, TARGET), np.abs(E)),
    "huber": ((PREDICTION, TARGET), np.where(np.abs(E) <= 1, E**2 / 2, np.abs(E) - 0.5)),
    "pinball": ((PREDICTION, TARGET), np.abs(E) / 2),
    "pinball:0.9": ((PREDICTION, TARGET), np.where(E < 0, -0.9 * E, 0.1 * E)),
    "quantile:0.2": ((PREDICTION, TARGET), np.where(E < 0, -0.2 * E, 0.8 * E)),
    "log_cosh": ((PREDICTION, TARGET), np.log(np.cosh(E))),
    "poisson": ((PREDICTION, COUNTS), np.exp(PREDICTION) - COUNTS * PREDICTION),
    "tweedie:1.3": (
        (PREDICTION, COUNTS),
        np.exp(0.7 * PREDICTION) / 0.7 + COUNTS * np.exp(-0.3 * PREDICTION) / 0.3,
    ),
    "focal": ((PREDICTION, LABELS), -((1 - RIGHT) ** 2) * np.log(RIGHT)),
    "focal:gamma=1.5": ((PREDICTION, LABELS), -((1 - RIGHT) ** 1.5) * np.log(RIGHT)),
    "cross_entropy:label_smoothing=0.1": (
        (PREDICTION, LABELS),
        -((0.9 * np.eye(3)[LABELS] + 0.1 / 3) * np.log(soft(PREDICTION))).sum(axis=-1),
    ),
    "binary_cross_entropy:0.2": (
        (PREDICTION, UNIT),
        np.log1p(np.exp(PREDICTION)) - (0.8 * UNIT + 0.1) * PREDICTION,
    ),
    "cross_entropy": ((PREDICTION, LABELS), -np.log(soft(PREDICTION)[np.arange(5), LABELS])),
    "cross_entropy of probabilities": ((PREDICTION, P), -(P * np.log(soft(PREDICTION))).sum(axis=-1)),
    "binary_cross_entropy": (
        (PREDICTION, UNIT),
        -UNIT * np.log(1 / (1 + np.exp(-PREDICTION))) - (1 - UNIT) * np.log(1 / (1 + np.exp(PREDICTION))),
    ),
}


def loss_of(name):
    return nn.loss_named(name.split(" ")[0])


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
    assert nn.loss_named("quantile:0.9") == nn.loss_named("pinball:quantile=0.9")
    assert {nn.loss_named("quantile:0.9").name, nn.loss_named("huber:2").name} == {
        "pinball:quantile=0.9",
        "huber:delta=2.0",
    }


@pytest.mark.parametrize(
    "text",
    [
        "mse:2",
        "huber:two",
        "huber:0",
        "huber:gamma=2",
        "huber:1,2",
        "pinball:1",
        "quantile:0",
        "focal:0.5",
        "tweedie:2",
    ],
)
def test_settings_that_a_loss_does_not_have_are_refused(text):
    with pytest.raises(cl.errors.ArgumentError):
        nn.loss_named(text)


FURTHER = [n for n, f in vars(further_losses).items() if getattr(f, "__module__", "") == further_losses.__name__]


@pytest.mark.parametrize("name", [n for n in FURTHER if not n.startswith("_")])
def test_every_loss_without_a_name_says_how_it_is_given(name):
    for text in (name, f"{name}:2"):
        with pytest.raises(cl.errors.ArgumentError, match=f"{name} is no loss by name") as caught:
            nn.loss_named(text)
        assert f"cl.nn.{name}" in caught.value.try_


@pytest.mark.parametrize("name", loss_text.ALSO_CALLED)
def test_what_others_call_a_loss_says_how_it_is_given(name):
    with pytest.raises(cl.errors.ArgumentError, match=f"{name} is no loss by name") as caught:
        nn.loss_named(name)
    assert f"cl.nn.{loss_text.ALSO_CALLED[name]}" in caught.value.try_


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_pinball_is_scikit_learns(quantile):
    wanted = mean_pinball_loss(TARGET, PREDICTION, alpha=quantile)
    assert float(nn.pinball(PREDICTION, TARGET, quantile=quantile)) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(("loss", "power"), [("poisson", 1), ("tweedie:1.2", 1.2), ("tweedie:1.9", 1.9)])
def test_losses_of_amounts_differ_from_half_the_deviance_by_what_no_prediction_changes(loss, power):
    def excess(prediction):
        deviance = mean_tweedie_deviance(COUNTS.ravel(), np.exp(prediction).ravel(), power=power)
        return float(nn.loss_named(loss)(prediction, COUNTS)) - deviance / 2

    assert excess(PREDICTION) == pytest.approx(excess(TARGET), rel=1e-10)


def test_log_cosh_is_near_a_parabola_and_far_a_line():
    e = np.array([0.0, 1e-3, 1e3])
    found = np.asarray(nn.log_cosh(e, np.zeros(3), reduction="none"))
    np.testing.assert_allclose(found, [0.0, 5e-7, 1e3 - np.log(2)], rtol=1e-6)
    np.testing.assert_allclose(np.asarray(cl.grad(nn.log_cosh)(e, np.zeros(3))), np.tanh(e) / 3, rtol=1e-9)


@pytest.mark.parametrize("executor", [lambda f: f, lambda f: cl.compile(f, executor="numpy"), cl.compile])
@pytest.mark.parametrize("loss", [nn.poisson, nn.tweedie])
def test_negative_amounts_are_refused_by_every_executor(executor, loss):
    run = executor(loss)
    assert float(run(np.zeros(2), np.array([0.0, 3.0]))) > 0
    with pytest.raises(cl.errors.ArgumentError):
        run(np.zeros(2), np.array([0.0, -3.0]))
