"""Temperature: the least log loss of the validation rows, by SciPy's own search, and every probability by it."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.metrics import log_loss

import clearprop as cl
from clearprop.errors import ArgumentError

RNG = np.random.default_rng(1)
X = RNG.normal(size=(160, 3)).astype(np.float32)
Y = np.argmax(X @ RNG.normal(size=(3, 3)) + 2 * RNG.normal(size=(160, 3)), axis=1)
HELD = (X[100:], Y[100:])


def train(outputs, y=Y, **more):
    settings = {"validation": (X[100:], y[100:]), "epochs": 12, "metrics": ("accuracy", "log_loss"), "progress": False}
    settings |= {"optimizer": cl.optim.adam(0.05), **more}
    return cl.fit(cl.nn.mlp([3, 16, outputs], seed=2), (X[:100], y[:100]), **settings)


@pytest.mark.parametrize("outputs", [3, 1])
def test_it_is_the_least_log_loss_and_all_probabilities_are_by_it(outputs, tmp_path):
    y = Y if outputs == 3 else (Y > 0).astype(int)
    plain = train(outputs, y)
    run = train(outputs, y, calibration="temperature", out=tmp_path / "r", test=(X[:40], y[:40]))
    z = plain.outputs(X[100:]).astype(np.float64)
    logits = z if outputs == 3 else np.concatenate([0 * z, z], axis=1)

    def loss(t):
        return -log_softmax(logits / t, axis=1)[np.arange(60), y[100:]].mean()

    best = minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-9})
    found = run.summary.temperature
    assert found == pytest.approx(best.x, rel=1e-3) and abs(found - 1) > 0.01
    assert run.summary.validation["loss"] == pytest.approx(best.fun, rel=1e-5)
    assert best.fun < plain.summary.validation["loss"]
    # an output near 0 is as exact as the products that it is the sum of
    divided = plain.outputs(X) / found
    np.testing.assert_allclose(run.outputs(X), divided, rtol=0, atol=1e-6 * np.abs(divided).max())
    assert np.array_equal(run.predict(X), plain.predict(X))
    assert run.summary.test["log_loss"] == pytest.approx(log_loss(y[:40], run.probabilities(X[:40])), rel=1e-5)
    again = cl.load(tmp_path / "r")
    assert np.array_equal(again.probabilities(X), run.probabilities(X))
    assert again.evaluate(X[100:], y[100:]) == pytest.approx(run.summary.validation)
    assert run.replay(5).digest == plain.replay(5).digest


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"calibration": "platt"}, "no calibration named 'platt'"),
        ({"calibration": "temperature", "validation": None}, "a temperature is found on validation rows"),
        ({"calibration": "temperature", "loss": "mse", "metrics": ()}, "probabilities are calibrated"),
    ],
)
def test_refused(more, said):
    with pytest.raises(ArgumentError, match=said):
        train(3, **more)


def test_the_estimator_takes_it():
    classifier = cl.sklearn.TabularClassifier(hidden=4, epochs=3, calibration="temperature").fit(X, Y)
    assert classifier.run_.summary.temperature > 0


def test_of_answers_for_every_step_it_is_that_of_all_steps():
    """The least of the log loss over all of them, by a grid that is written out here."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(30, 5, 3)).astype(np.float32)
    y = np.argmax(x + rng.normal(size=x.shape), axis=-1)
    net = cl.nn.Sequential(cl.nn.Dense(3, 3)).replace({"layers[0].weight": 10 * np.eye(3)})  # far too sure
    held = (x[20:], y[20:])
    run = cl.fit(
        net, (x[:20], y[:20]), validation=held, calibration="temperature", epochs=1, optimizer=cl.optim.sgd(1e-4)
    )
    logits = run.outputs(held[0]).astype(float).reshape(-1, 3) * run.summary.temperature

    def log_loss(t):
        z = logits / t
        return np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(50), held[1].ravel()])

    grid = np.geomspace(0.1, 100, 4001)
    assert run.summary.temperature == pytest.approx(grid[np.argmin([log_loss(t) for t in grid])], rel=2e-3)


@pytest.mark.parametrize("asked", [{"threshold": "auto"}, {"costs": {1: 5}}])
def test_thresholds_and_costs_of_answers_for_every_step_are_refused(asked):
    x, y = np.ones((20, 5, 3)), np.arange(100).reshape(20, 5) % 2
    net = cl.nn.Sequential(cl.nn.GRU(3, 4), cl.nn.Dense(4, 2))
    with pytest.raises(cl.errors.ArgumentError) as error:
        cl.fit(net, (x, y), validation=0.2, epochs=1, **asked)
    assert error.value.expected == "one answer a row"
