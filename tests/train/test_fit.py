"""`cl.fit`: what it minimises, what it gives back, and that the same seed gives the same bits."""

import json
from pathlib import Path

import numpy as np
import polars
import pytest

import clearprop as cl
from tests.explanation.schema import problems
from tests.train.conftest import bits

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "events.schema.json").read_text(encoding="utf-8"))
pytestmark = pytest.mark.usefixtures("eager")


def fit(network, data, **options):
    return cl.fit(network, data, **{"epochs": 3, "batch_size": 16, **options})


def test_the_model_is_not_changed_and_the_run_tells_its_results(network, data):
    before = bits(network)
    run = fit(network, data, validation=0.25, metrics=("accuracy",))
    assert bits(network) == before
    assert bits(run.last) != before
    assert run.status == "done"
    assert (run.summary.epochs, run.steps) == (3, 6)
    assert [event["epoch"] for event in run.history] == [1, 2, 3]
    assert set(run.history[0]["train"]) == set(run.history[0]["validation"]) == {"loss", "accuracy"}
    assert repr(run).startswith("<Run: done after 3 epochs, 6 steps, best epoch ")


def test_batchnorm_statistics_are_part_of_the_model(network, data):
    run = fit(network, data)
    assert not np.array_equal(run.model.state()["layers[1].mean"].numpy(), network.state()["layers[1].mean"].numpy())


def test_one_step_of_gradient_descent_by_hand():
    x, y = np.array([[1.0, 2.0], [3.0, -1.0]]), np.array([[1.0], [0.0]])
    model = cl.nn.Dense(2, 1, rng=3, dtype=np.float64)
    w, b = (model.parameters()[name].numpy() for name in ("weight", "bias"))
    run = cl.fit(model, (x, y), loss="mse", optimizer=cl.optim.sgd(0.1), epochs=1, batch_size=2, l1=0.02, l2=0.03)
    error = x @ w + b - y
    w_bar = 2 * x.T @ error / 2 + 0.02 * np.sign(w) + 0.06 * w
    np.testing.assert_allclose(run.last.parameters()["weight"].numpy(), w - 0.1 * w_bar, rtol=1e-12)
    np.testing.assert_allclose(run.last.parameters()["bias"].numpy(), b - 0.1 * error.sum(0), rtol=1e-12)
    assert run.history[0]["train"]["loss"] == pytest.approx(np.mean(error**2), rel=1e-12)


def test_epoch_means_weigh_batches_by_their_rows():
    x, y = np.arange(5.0)[:, None], np.zeros((5, 1))
    model = cl.nn.Dense(1, 1, dtype=np.float64)
    run = cl.fit(model, (x, y), loss="mse", optimizer=cl.optim.sgd(0.0), epochs=1, batch_size=2)
    assert run.history[0]["train"]["loss"] == pytest.approx(np.mean(model(x).numpy() ** 2), rel=1e-12)


def test_same_seed_same_bits_and_another_seed_others(network, data):
    first, again, other = (fit(network, data, validation=0.25, seed=seed) for seed in (5, 5, 6))
    assert bits(first.last) == bits(again.last)
    assert bits(first.last) != bits(other.last)
    clock = ("time", "seconds")
    plain = [[{k: v for k, v in e.items() if k not in clock} for e in run.history] for run in (first, again)]
    assert plain[0] == plain[1]


def test_every_epoch_visits_every_row_once_in_another_order(data):
    seen = []

    def watching(outputs, y):
        seen.append(np.asarray(y).tolist())
        return cl.nn.mse(outputs, y)

    rows = np.arange(10.0)[:, None]
    cl.fit(cl.nn.Dense(1, 1), (rows, rows), loss=watching, epochs=2, batch_size=4)
    seen = seen[2:-1]  # the first calls were trials, the last one measured what the training part reaches
    orders = [[v[0] for batch in seen[i : i + 3] for v in batch] for i in (0, 3)]
    assert [len(batch) for batch in seen] == [4, 4, 2, 4, 4, 2]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(10))
    assert orders[0] != orders[1]


def test_without_shuffling_the_order_is_kept():
    seen = []

    def watching(outputs, y):
        seen.append(np.asarray(y).ravel().tolist())
        return cl.nn.mse(outputs, y)

    rows = np.arange(4.0)[:, None]
    cl.fit(cl.nn.Dense(1, 1), (rows, rows), loss=watching, epochs=1, batch_size=3, shuffle=False)
    assert seen[2:-1] == [[0.0, 1.0, 2.0], [3.0]]  # between the trials and what the training part reaches


def test_the_best_epoch_by_validation_is_restored(network, data):
    run = fit(network, data, validation=0.25, epochs=12, optimizer=cl.optim.adam(0.3), test=data)
    losses = [event["validation"]["loss"] for event in run.history]
    assert run.summary.best_epoch == 1 + int(np.argmin(losses))
    assert run.summary.validation["loss"] == min(losses)
    again = fit(network, data, validation=0.25, epochs=run.summary.best_epoch, optimizer=cl.optim.adam(0.3))
    assert bits(again.last) == bits(run.model)
    assert run.summary.test == run.evaluate(*data)


def test_without_validation_the_last_epoch_counts(network, data):
    run = fit(network, data)
    assert bits(run.model) == bits(run.last)
    assert run.history[-1]["best"] and run.history[-1]["validation"] is None


def test_patience_stops_and_min_delta_counts(network, data):
    run = fit(network, data, validation=0.25, epochs=200, optimizer=cl.optim.adam(0.3), patience=4)
    assert run.summary.stopped_by == "patience"
    assert run.summary.epochs == run.summary.best_epoch + 4
    strict = fit(network, data, validation=0.25, epochs=200, optimizer=cl.optim.adam(0.3), patience=4, min_delta=9.0)
    assert strict.summary.epochs == 5


def test_callbacks_get_every_event_and_may_stop(network, data):
    events = []

    def callback(event, state):
        events.append(event)
        assert state.step == event["step"] or event["event"] == "epoch"
        return "stop" if event["event"] == "epoch" and event["epoch"] == 2 else None

    run = fit(network, data, callbacks=[callback], epochs=9)
    assert [event["event"] for event in events] == ["start", "data", "epoch", "epoch", "stop", "end"]
    assert (run.summary.stopped_by, run.summary.epochs) == ("callback", 2)
    assert [event["seq"] for event in events] == list(range(6))


def test_events_fit_the_schema(network, data, tmp_path):
    events = []
    options = {"callbacks": [lambda event, state: events.append(event)], "checkpoint_seconds": 0.0}
    fit(network, data, validation=0.25, metrics=("accuracy",), out=tmp_path / "run", test=data, **options)
    fit(network, (data[0], np.eye(2)[data[1]]), optimizer=cl.optim.sgd(1e30), loss="mse", **options)
    assert {event["event"] for event in events} == {"start", "data", "epoch", "checkpoint", "warning", "stop", "end"}
    for event in events:
        assert problems(json.loads(json.dumps(event)), SCHEMA, SCHEMA) == []
    broken = {**events[0], "seed": "0"}
    assert problems(broken, SCHEMA, SCHEMA) == ["$: 0 of the alternatives fit"]


def test_diverging_stops_at_once_and_keeps_the_best(network, data):
    x, y = data
    run = fit(network, (x, np.eye(2)[y]), loss="mse", optimizer=cl.optim.sgd(1e30), validation=0.25, epochs=50)
    assert run.status == "diverged"
    assert run.summary.epochs < 50
    assert np.isfinite(run.outputs(x)).all()


def test_own_loss_and_metric(data):
    x, y = data

    def logistic(outputs, y):
        return cl.mean(cl.softplus(outputs[:, 0] * (1 - 2 * y)))

    def confidence(outputs, y):
        return cl.mean(cl.abs(outputs))

    run = cl.fit(cl.nn.mlp([4, 5, 1]), (x, y), loss=logistic, metrics=(confidence,), epochs=2, batch_size=20)
    assert run.config.settings.loss == "logistic"
    assert set(run.evaluate(x, y)) == {"loss", "confidence"}
    assert run.history[1]["train"]["loss"] < run.history[0]["train"]["loss"]


def test_iterable_of_batches(network, data):
    x, y = data
    batches = [(x[i : i + 10], y[i : i + 10]) for i in range(0, 40, 10)]
    run = cl.fit(network, batches, epochs=2, validation=(x, y))
    same = cl.fit(network, data, epochs=2, batch_size=10, shuffle=False, validation=(x, y))
    assert bits(run.last) == bits(same.last)
    assert cl.fit(network, iter(batches), epochs=1).steps == 4


def test_targets_as_column_and_integers_as_floats():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 9, size=(30, 3)), rng.integers(0, 9, size=30)
    run = cl.fit(cl.nn.mlp([3, 4, 1]), (x, y), loss="mse", metrics=("mae", "rmse", "r2"), epochs=2, validation=0.3)
    assert run.predict(x.astype(np.float32)).shape == (30,)
    outputs = run.outputs(x.astype(np.float32))[:, 0]
    results = run.evaluate(x.astype(float), y[:, None].astype(float))
    assert results["rmse"] == pytest.approx(np.sqrt(np.mean((outputs - y) ** 2)), rel=1e-5)
    assert results["r2"] == pytest.approx(1 - np.sum((outputs - y) ** 2) / np.sum((y - y.mean()) ** 2), rel=1e-4)
    assert set(run.history[0]["train"]) == {"loss", "mae"}
    assert set(run.history[0]["validation"]) == {"loss", "mae", "rmse", "r2"}


def test_one_output_is_a_binary_classification(data):
    run = cl.fit(cl.nn.mlp([4, 8, 1]), data, loss="binary_cross_entropy", metrics=("accuracy",), epochs=30,
                 optimizer=cl.optim.adam(0.05))  # fmt: skip
    assert np.mean(run.predict(data[0]) == data[1]) == run.evaluate(*data)["accuracy"] > 0.9
    assert run.probabilities(data[0]).shape == (40, 2)


def test_data_frame_with_names_and_gaps():
    rng = np.random.default_rng(2)
    size = rng.normal(size=60)
    kind = [("round", "square", None)[i % 3] for i in range(60)]
    frame = polars.DataFrame({"size": size, "kind": kind, "label": ["big" if s > 0 else "small" for s in size]})
    run = cl.fit(cl.nn.mlp([4, 8, 2]), frame, epochs=40, validation=0.2, optimizer=cl.optim.adam(0.02))
    predicted = run.predict(frame.drop("label").select("kind", "size"))
    assert set(predicted) == {"big", "small"}
    assert np.mean(predicted == frame["label"].to_numpy()) > 0.9
    assert run.probabilities(frame).shape == (60, 2)
    assert run.evaluate(frame)["loss"] < 0.4


def test_an_optimizer_that_needs_the_loss(data):
    run = cl.fit(cl.nn.mlp([4, 5, 2]), data, optimizer=cl.optim.polyak(), epochs=2)
    assert run.history[1]["train"]["loss"] < run.history[0]["train"]["loss"]


class Idle(cl.nn.Module):
    used: cl.nn.Dense
    idle: cl.nn.Dense

    def forward(self, x):
        return self.used(x)


def test_every_run_tells_what_it_does_not_train(caplog):
    x, y = np.ones((8, 3), np.float32), np.arange(8) % 2
    model = Idle(cl.nn.Dense(3, 2, rng=0), cl.nn.Dense(3, 2, rng=1))
    for _ in range(2):
        caplog.clear()
        heard = []
        cl.fit(model, (x, y), epochs=1, callbacks=[lambda event, _, heard=heard: heard.append(event)])
        assert "idle.weight, idle.bias: not trained" in caplog.text
        assert ["idle.weight" in event["message"] for event in heard if event["event"] == "warning"] == [True]
