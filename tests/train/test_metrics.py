"""Metrics beside scikit-learn's, in the target's unit, outside of the compiled step; what chooses the best epoch."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

import clearprop as cl
from clearprop.errors import ArgumentError
from clearprop.train.evaluation import evaluate
from clearprop.train.metrics import METRICS, find_loss, find_metrics
from clearprop.train.scores import SCORES, probabilities_of

RNG = np.random.default_rng(5)
LOGITS = RNG.normal(size=(60, 2)).astype(np.float32)
LABELS = RNG.integers(0, 2, 60)
MANY, CLASSES = RNG.normal(size=(80, 5)).astype(np.float32), RNG.integers(0, 5, 80)
SAID, TRUE = (RNG.gamma(2.0, size=(50, 1)).astype(np.float32) for _ in range(2))
P, Q = probabilities_of(LOGITS), probabilities_of(MANY)


@pytest.mark.parametrize(
    ("name", "outputs", "y", "wanted"),
    [
        ("auc", LOGITS, LABELS, sk.roc_auc_score(LABELS, P[:, 1])),
        ("auc", MANY, CLASSES, sk.roc_auc_score(CLASSES, Q, multi_class="ovr")),
        ("average_precision", LOGITS, LABELS, sk.average_precision_score(LABELS, P[:, 1])),
        ("average_precision", MANY, CLASSES, sk.average_precision_score(np.eye(5)[CLASSES], Q)),
        ("balanced_accuracy", MANY, CLASSES, sk.balanced_accuracy_score(CLASSES, Q.argmax(1))),
        ("f1", LOGITS, LABELS, sk.f1_score(LABELS, P.argmax(1))),
        ("f1", MANY, CLASSES, sk.f1_score(CLASSES, Q.argmax(1), average="macro")),
        ("precision", LOGITS, LABELS, sk.precision_score(LABELS, P.argmax(1))),
        ("recall", MANY, CLASSES, sk.recall_score(CLASSES, Q.argmax(1), average="macro")),
        ("mcc", MANY, CLASSES, sk.matthews_corrcoef(CLASSES, Q.argmax(1))),
        ("log_loss", MANY, CLASSES, sk.log_loss(CLASSES, Q)),
        ("brier", LOGITS, LABELS, np.mean((P[:, 1] - LABELS) ** 2)),
        ("brier", MANY, CLASSES, np.mean(np.sum((Q - np.eye(5)[CLASSES]) ** 2, axis=1))),
        ("top_3", MANY, CLASSES, sk.top_k_accuracy_score(CLASSES, Q, k=3)),
        ("median_ae", SAID, TRUE, sk.median_absolute_error(TRUE, SAID)),
        ("mape", SAID, TRUE, sk.mean_absolute_percentage_error(TRUE, SAID)),
        ("pinball", SAID, TRUE, sk.mean_absolute_error(TRUE, SAID) / 2),
        ("poisson_deviance", SAID, TRUE, sk.mean_poisson_deviance(TRUE[:, 0], SAID[:, 0])),
    ],
)
def test_metrics_are_those_of_scikit_learn(name, outputs, y, wanted):
    assert METRICS[name](outputs, y) == pytest.approx(wanted, rel=1e-6)


def test_a_single_output_is_the_second_of_two_classes():
    column = (LOGITS[:, 1] - LOGITS[:, 0])[:, None]
    for name in ("auc", "f1", "brier"):
        assert METRICS[name](column, LABELS[:, None].astype(np.float32)) == pytest.approx(METRICS[name](LOGITS, LABELS))


@pytest.mark.parametrize("name", sorted(SCORES))
def test_one_row_or_one_class_gives_no_warning(name):
    classes = SCORES[name].task == "classes"
    outputs, y = (MANY[:1], CLASSES[:1]) if classes else (SAID[:1], TRUE[:1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value = METRICS[name](outputs, y)
    assert isinstance(value, float)
    assert np.isnan(value) == (name in ("auc", "average_precision"))


@pytest.mark.parametrize("weight", [None, np.ones(1)])
def test_one_row_or_one_value_has_no_share_of_variance(weight):
    """R² is NaN, without a warning and without an error, over all rows at once and over blocks."""
    for rows in (TRUE[:1], np.full((1, 1), 3.0)):
        assert np.isnan(float(np.asarray(METRICS["r2"](rows + 1.0, rows, *(() if weight is None else (weight,))))))
    sums = METRICS["r2"].moments(*(part.astype(np.float64) for part in (TRUE[:1] + 1.0, TRUE[:1])))
    assert np.isnan(METRICS["r2"].of_moments(sums))


@pytest.mark.parametrize(
    ("dtype", "size"), [("float64", 1e200), ("float32", 1e30), ("float64", 1e-200), ("float32", 1e-30)]
)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", ["rmse", "r2"])
def test_no_square_overflows_on_the_way(name, weighted, dtype, size):
    """Over all rows at once, and over blocks."""
    metric, more = METRICS[name], {"sample_weight": np.linspace(0.5, 1.5, 50)} if weighted else {}
    wanted = float(np.asarray(metric.function(SAID, TRUE, **more))) * (size if name == "rmse" else 1.0)
    outputs, y = ((a * size).astype(dtype) for a in (SAID.astype(float), TRUE.astype(float)))
    assert float(np.asarray(metric.function(outputs, y, **more))) == pytest.approx(wanted, rel=1e-5)
    wide = [a.astype(np.float64) for a in (outputs, y)]
    halves = [
        metric.moments(*(a[part] for a in wide), **{k: w[part] for k, w in more.items()})
        for part in (slice(20), slice(20, 50))
    ]
    assert metric.of_moments(metric.merge(*halves)) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("size", [1e100, 1e45, 1e-45, 1e-100, 1e-200])
def test_a_target_beyond_float32_is_measured_in_its_unit(size):
    """The network, which is of float32, learns standardised values; its metrics are told in doubles."""
    table = frame(60).assign(price=lambda t: t["price"] * size)
    run = cl.fit(cl.nn.mlp([1, 4, 1]), table, epochs=2, metrics=("mae", "rmse", "r2", traced_off), progress=False)
    errors, found = run.predict(table) - table["price"].to_numpy(), run.evaluate(table)
    assert found["mae"] == pytest.approx(np.abs(errors).mean(), rel=1e-4)
    assert found["traced_off"] == pytest.approx(found["mae"], rel=1e-4)
    assert found["rmse"] == pytest.approx(np.sqrt(np.square(errors / size).mean()) * size, rel=1e-4)
    assert np.isfinite(found["r2"]) and run.history[-1]["train"]["mae"] > 0


def test_negative_counts_have_no_poisson_deviance():
    assert np.isnan(METRICS["poisson_deviance"](-SAID, TRUE))


# ----------------------------------------------------------------------------------------------------- in a training
def frame(rows=120):
    x = RNG.normal(size=rows)
    return pd.DataFrame({"x": x, "price": 5000 + 900 * x + RNG.normal(size=rows) * 50})


def half_off(outputs, y):
    return float(np.abs(np.asarray(outputs) - np.asarray(y)).mean() / 2)


def traced_off(outputs, y):
    return cl.mean(cl.abs(outputs - y))


def test_every_metric_of_a_frame_is_in_the_unit_of_its_target():
    table = frame()
    metrics = ("mae", "mse", "rmse", "median_ae", half_off, traced_off)
    run = cl.fit(cl.nn.mlp([1, 8, 1]), table, epochs=3, metrics=metrics, progress=False)
    errors = run.predict(table) - table["price"].to_numpy()
    found = run.evaluate(table)
    assert found["mae"] == pytest.approx(np.abs(errors).mean(), rel=1e-4)
    assert found["mse"] == pytest.approx(np.square(errors).mean(), rel=1e-4)
    assert found["rmse"] == pytest.approx(np.sqrt(np.square(errors).mean()), rel=1e-4)
    assert found["median_ae"] == pytest.approx(np.median(np.abs(errors)), rel=1e-4)
    assert found["half_off"] == pytest.approx(np.abs(errors).mean() / 2, rel=1e-4)
    assert found["traced_off"] == pytest.approx(np.abs(errors).mean(), rel=1e-4)


def test_a_metric_for_arrays_leaves_the_step_compiled(caplog):
    table = frame()
    with caplog.at_level("WARNING"):
        run = cl.fit(cl.nn.mlp([1, 8, 1]), table, epochs=2, metrics=(half_off,), validation=0.2, progress=False)
    assert [m.outside for m in run.workings.metrics] == [True]
    assert not caplog.records
    assert "half_off" in run.history[-1]["validation"] and "half_off" not in run.history[-1]["train"]


def test_a_metric_chooses_the_best_epoch():
    x = RNG.normal(size=(200, 3))
    y = (x[:, 0] + RNG.normal(size=200) > 0).astype(int)
    run = cl.fit(cl.nn.mlp([3, 16, 2]), (x, y), validation=0.3, epochs=12, metric="auc", progress=False)
    values = [event["validation"]["auc"] for event in run.history]
    assert run.summary.best_epoch == 1 + int(np.argmax(values))
    assert run.config.settings.metric == "auc"


def test_a_metric_of_the_other_task_is_refused():
    with pytest.raises(ArgumentError, match="auc judges classes"):
        cl.fit(cl.nn.mlp([1, 4, 1]), frame(), epochs=1, metrics=("auc",), progress=False)


def test_measures_over_blocks_keep_the_order_of_the_metrics():
    from clearprop.train.evaluation import evaluate_blocks

    model = cl.nn.mlp([3, 4, 2], seed=0)
    x, y = RNG.normal(size=(90, 3)).astype(np.float32), RNG.integers(0, 2, 90)
    loss, metrics = find_loss("cross_entropy"), find_metrics(("auc", "accuracy", "brier"))
    whole = evaluate(model, x, y, loss, metrics)
    blocks = evaluate_blocks(model, [(x[i : i + 30], y[i : i + 30]) for i in range(0, 90, 30)], loss, metrics)
    assert list(blocks) == list(whole)
    assert blocks == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("targets", [(), (1,), (3,)])
@pytest.mark.parametrize("centre", [0.0, 1e9])
def test_r2_and_rmse_are_those_of_all_rows_however_they_are_cut(centre, targets, weighted):
    """No large mean and no second target of another size spoils them."""
    rng = np.random.default_rng(3)
    y = centre + rng.normal(size=(50, *targets)) * np.array([1.0, 20.0, 300.0])[: int(np.prod(targets))].reshape(
        targets
    )
    said = (y + rng.normal(size=y.shape)).reshape(50, -1)
    weight = rng.uniform(0.1, 2.0, 50) if weighted else np.ones(50)
    weight /= weight.mean()
    cuts = [(a, b) for a, b in zip((0, 0, 7, 8, 40), (0, 7, 8, 40, 50), strict=True)]
    for name in ("r2", "rmse"):
        metric, share = METRICS[name], None
        for a, b in cuts:
            of_block = metric.moments(said[a:b], y[a:b], sample_weight=weight[a:b])
            share = of_block if share is None else metric.merge(share, of_block)
        columns = y.reshape(50, -1)
        r2 = sk.r2_score(columns, said, sample_weight=weight, multioutput="variance_weighted")
        wanted = {"r2": r2, "rmse": np.sqrt(sk.mean_squared_error(columns, said, sample_weight=weight))}[name]
        assert metric.of_moments(share) == pytest.approx(wanted, rel=1e-9 + centre * np.finfo(float).eps)
        at_once = metric.function(said, columns, sample_weight=weight)
        assert float(at_once.numpy() if hasattr(at_once, "numpy") else at_once) == pytest.approx(wanted, rel=1e-6)


def test_a_run_with_such_metrics_can_be_pickled():
    run = cl.fit(cl.nn.mlp([1, 4, 1]), frame(), epochs=1, metrics=("median_ae", "mape", traced_off), progress=False)
    again = pickle.loads(pickle.dumps(run))
    assert again.evaluate(frame()).keys() == {"loss", "median_ae", "mape", "traced_off"}


SEVERAL = np.random.default_rng(5)


@pytest.mark.parametrize("weighted", [False, True])
def test_answers_for_every_step_are_judged_one_by_one(weighted):
    """Scikit-learn's figures of all steps in a row."""
    x, y = SEVERAL.normal(size=(20, 5, 3)).astype(np.float32), SEVERAL.integers(0, 3, (20, 5))
    weight = SEVERAL.uniform(0.2, 2, 20) if weighted else None
    names = ("accuracy", "f1", "auc", "log_loss", "balanced_accuracy")
    net = cl.nn.Sequential(cl.nn.GRU(3, 4), cl.nn.Dense(4, 3))
    run = cl.fit(net, (x, y), metrics=names, sample_weight=weight, epochs=1)
    shares, flat = run.probabilities(x).reshape(-1, 3).astype(float), y.ravel()
    shares /= shares.sum(axis=1, keepdims=True)
    said, per_step = shares.argmax(axis=1), {"sample_weight": None if weight is None else np.repeat(weight, 5)}
    found = run.evaluate(x, y, sample_weight=weight)
    for name, wanted in (
        ("accuracy", sk.accuracy_score(flat, said, **per_step)),
        ("f1", sk.f1_score(flat, said, average="macro", zero_division=0, **per_step)),
        ("auc", np.mean([sk.roc_auc_score(flat == k, shares[:, k], **per_step) for k in range(3)])),
        ("log_loss", sk.log_loss(flat, shares, **per_step)),
    ):
        assert found[name] == pytest.approx(wanted, rel=1e-5), name


@pytest.mark.parametrize("name", ["accuracy", "f1", "auc", "log_loss"])
@pytest.mark.parametrize("dtype", [int, float, bool])
def test_metrics_of_one_class_a_row_refuse_several_answers(name, dtype):
    x, y = SEVERAL.normal(size=(20, 4)).astype(np.float32), SEVERAL.integers(0, 2, (20, 3)).astype(dtype)
    with pytest.raises(ArgumentError, match=f"{name} judges one class a row"):
        cl.fit(cl.nn.mlp([4, 3]), (x, y), loss="binary_cross_entropy", metrics=[name], epochs=1)
    one = np.eye(3)[y[:, 0].astype(int)]
    assert cl.fit(cl.nn.mlp([4, 3]), (x, one), loss="binary_cross_entropy", metrics=[name], epochs=1).history
