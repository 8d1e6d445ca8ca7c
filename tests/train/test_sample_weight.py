"""Rows with weights: a row of weight 2 is the row twice, everywhere that rows are counted."""

import numpy as np
import pytest
import sklearn.metrics

import clearprop as cl
from clearprop.train.evaluation import evaluate_blocks
from clearprop.train.executor import eager_executor
from clearprop.train.metrics import METRICS, find_loss, find_metrics

R = np.random.default_rng(5)
X = R.normal(size=(40, 3))
LABELS = (X[:, 0] + 0.3 * R.normal(size=40) > 0).astype(int)
NUMBERS = 2 * X[:, 1] + 0.1 * R.normal(size=40)
WEIGHTS = R.integers(0, 4, size=40)
TWICE = np.repeat(np.arange(40), WEIGHTS)
CLASS_METRICS = tuple(name for name, m in METRICS.items() if m.task == "classes")
NUMBER_METRICS = tuple(
    name for name, m in METRICS.items() if m.task == "numbers" and name not in ("median_ae", "poisson_deviance")
)


@pytest.fixture
def uncompiled(monkeypatch):
    """A few steps are taken as they are written: compiling each loss would take longer than all of them."""
    monkeypatch.setattr("clearprop.train.job.choose_executor", eager_executor)


def network(outputs):
    """A network in float64, so that sums in another order differ in the last digits alone."""
    first, last = cl.nn.Dense(3, 5, dtype=np.float64), cl.nn.Dense(5, outputs, dtype=np.float64, rng=1)
    return cl.nn.Sequential(first, cl.nn.Activation("relu"), last)


def trained(y, outputs, rows=None, weight=None, **more):
    """Four full-batch steps on all rows by weight, or on those rows."""
    x, y, held = (
        (X, y, (X, y) if weight is None else (X, y, weight)) if rows is None else (X[rows], y[rows], (X[rows], y[rows]))
    )
    settings = {"optimizer": cl.optim.sgd(0.3), "epochs": 4, "batch_size": 1000, "progress": False, "validation": held}
    return cl.fit(network(outputs), (x, y), sample_weight=weight, **{**settings, **more})


def close(a, b):
    return all(
        np.allclose(p, q, atol=1e-12)
        for p, q in zip(a.model.parameters().values(), b.model.parameters().values(), strict=True)
    )


@pytest.mark.parametrize(
    ("y", "outputs", "more"),
    [
        (LABELS, 2, {"metrics": CLASS_METRICS}),
        (LABELS, 2, {"class_weight": "balanced"}),
        (LABELS, 2, {"loss": "focal", "metric": "auc"}),
        (LABELS.astype(float), 1, {"loss": "binary_cross_entropy", "metrics": ("accuracy",)}),
        (NUMBERS, 1, {"metrics": NUMBER_METRICS}),
        (NUMBERS[:, None], 1, {"loss": "quantile:0.8", "l2": 0.01}),
        (np.abs(NUMBERS), 1, {"loss": "poisson", "metrics": ("mae", "r2", "poisson_deviance")}),
        (np.stack([NUMBERS, X[:, 2]], axis=1), 2, {"loss": "mse"}),
    ],
    ids=["classes", "class weights", "focal", "one output", "numbers", "quantile", "amounts", "two targets"],
)  # fmt: skip
def test_a_row_of_weight_two_is_the_row_twice(y, outputs, more, uncompiled):
    by_weight, repeated = trained(y, outputs, weight=WEIGHTS, **more), trained(y, outputs, TWICE, **more)
    assert close(by_weight, repeated)
    for part in ("training", "validation"):
        assert by_weight.results[part] == pytest.approx(repeated.results[part], rel=1e-7), part
    assert by_weight.config.settings.class_weight == pytest.approx(repeated.config.settings.class_weight)


def test_batches_by_weight_add_up_to_the_loss_of_all_rows():
    run = trained(NUMBERS, 1, weight=WEIGHTS, batch_size=7, shuffle=False, optimizer=cl.optim.sgd(1e-9), epochs=1)
    errors = np.square(run.predict(X) - NUMBERS)
    assert run.results["training"]["loss"] == pytest.approx(np.average(errors, weights=WEIGHTS), rel=1e-5)


def test_a_score_by_weight_is_that_of_scikit_learn():
    run = trained(NUMBERS, 1, weight=WEIGHTS, metrics=("r2", "mae"))
    told, said = run.evaluate(X, NUMBERS, WEIGHTS), run.predict(X)
    for name, function in {"loss": "mean_squared_error", "r2": "r2_score", "mae": "mean_absolute_error"}.items():
        wanted = getattr(sklearn.metrics, function)(NUMBERS, said, sample_weight=WEIGHTS)
        assert told[name] == pytest.approx(wanted, rel=1e-9), name
    assert run.evaluate(X, NUMBERS)["r2"] == pytest.approx(sklearn.metrics.r2_score(NUMBERS, said), rel=1e-9)


@pytest.mark.parametrize(
    ("y", "outputs", "names"), [(LABELS, 2, CLASS_METRICS), (NUMBERS, 1, (*NUMBER_METRICS, "median_ae"))]
)
def test_evaluation_in_blocks_is_that_of_all_rows_by_weight(y, outputs, names):
    model, loss, metrics = (
        cl.nn.mlp([3, outputs]),
        find_loss("cross_entropy" if outputs > 1 else "mse"),
        find_metrics(names),
    )
    y = y if outputs > 1 else y[:, None].astype(np.float32)
    weight = (WEIGHTS / WEIGHTS.mean()).astype(np.float32)
    whole = evaluate_blocks(model, [(X, y, weight)], loss, metrics)
    blocks = evaluate_blocks(
        model, [(X[i : i + 9], y[i : i + 9], weight[i : i + 9]) for i in range(0, 40, 9)], loss, metrics
    )
    assert blocks == pytest.approx(whole, rel=1e-5)


def test_runs_with_weights_are_replayed_explained_checked_and_resumed(tmp_path):
    run = trained(LABELS, 2, weight=WEIGHTS, batch_size=16, out=tmp_path / "run")
    assert np.array_equal(run.replay(run.steps).model.layers[0].weight, run.last.layers[0].weight)
    opened = cl.explain(run, "layers[0].weight", step=3)
    assert opened.where.endswith("by their weights") and opened[0, 0].check().agrees
    assert cl.explain(run, "layers[0].weight").where.startswith("loss of all 40 training rows, by their weights")
    assert cl.explain_update(run, "layers[0].weight", index=(0, 0), step=3) is not None
    again = trained(LABELS, 2, weight=WEIGHTS, batch_size=16, resume=tmp_path / "run", epochs=6)
    straight = trained(LABELS, 2, weight=WEIGHTS, batch_size=16, epochs=6)
    assert np.array_equal(again.last.layers[0].weight, straight.last.layers[0].weight)
    with pytest.raises(cl.errors.RunError, match="only be resumed as it was started"):
        trained(LABELS, 2, weight=WEIGHTS[::-1].copy(), batch_size=16, resume=tmp_path / "run", epochs=7)
    with pytest.raises(cl.errors.ArgumentError, match="rows have weights cannot be exported"):
        cl.export(run, path=tmp_path / "network.py")


def test_a_share_for_validation_takes_its_weights_along():
    run = trained(LABELS, 2, weight=WEIGHTS, validation=0.25, metrics=("accuracy",))
    data = run.workings.plan().data
    held = data.rows["validation"].numbers
    said = run.predict(X[held]) == LABELS[held]
    assert run.results["validation"]["accuracy"] == pytest.approx(np.average(said, weights=WEIGHTS[held]))
    assert data.weights["training"].mean() == pytest.approx(1)


def own(outputs, y, sample_weight):
    return cl.mean((outputs[:, 0] - y[:, 0]) ** 2 * sample_weight)


def bare(outputs, y):
    return cl.mean((outputs[:, 0] - y[:, 0]) ** 2)


def test_functions_of_the_users_take_weights_or_are_refused(uncompiled):
    by_name, by_function = (
        trained(NUMBERS[:, None], 1, weight=WEIGHTS, loss=loss, metrics=(own,)) for loss in ("mse", own)
    )
    assert close(by_name, by_function)
    for words in ({"loss": bare}, {"metrics": (bare,)}):
        with pytest.raises(cl.errors.ArgumentError, match="bare does not take weights of rows"):
            trained(NUMBERS[:, None], 1, weight=WEIGHTS, **words)
    for words in ({"loss": own}, {"metrics": (own,)}):
        with pytest.raises(cl.errors.ArgumentError, match="own cannot be called with outputs and targets"):
            trained(NUMBERS[:, None], 1, weight=None, **words)
    run = trained(NUMBERS[:, None], 1, weight=WEIGHTS, metrics=(own,))
    with pytest.raises(cl.errors.ArgumentError, match="own cannot be called with outputs and targets"):
        run.evaluate(X, NUMBERS[:, None])


@pytest.mark.parametrize(
    ("weight", "got"),
    [
        (np.zeros(40), "0 for every row"),
        (np.r_[-1.0, np.ones(39)], "-1.0 at"),
        (np.ones(39), "shape"),
        (np.r_[np.nan, np.ones(39)], "not finite"),
        (["a"] * 40, "numbers"),
    ],
)
def test_what_cannot_be_weights_is_refused(weight, got):
    with pytest.raises(cl.errors.DataError, match=got):
        trained(LABELS, 2, weight=weight)


@pytest.mark.parametrize("data", ["iris", [(X, LABELS)]], ids=["table", "batches"])
def test_weights_beside_a_table_or_batches_are_refused(data):
    with pytest.raises(cl.errors.ArgumentError, match="weights"):
        cl.fit(cl.nn.mlp([3, 2]), data, sample_weight=np.ones(40), epochs=1)


def test_weights_beside_a_source_to_evaluate_are_refused():
    run = cl.fit(cl.nn.mlp("auto"), "iris", epochs=1)
    with pytest.raises(cl.errors.ArgumentError, match="weights of a source stand in the source"):
        run.evaluate("iris", sample_weight=np.ones(150))
