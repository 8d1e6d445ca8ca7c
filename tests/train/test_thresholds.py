"""The threshold of two classes: scikit-learn's metrics at it, the best one by hand, and every door that chooses."""

import pickle

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score, log_loss, roc_auc_score

import clearprop as cl
from clearprop.cli import main
from clearprop.errors import ArgumentError, RunError
from clearprop.reporting.numbers import confusion, held_rows
from clearprop.runs.folder import RunFolder

RNG = np.random.default_rng(5)
X = RNG.normal(size=(300, 3)).astype(np.float32)
RARE = (X[:, 0] + 0.5 * RNG.normal(size=300) > 1.2).astype(int)
HELD = (X[240:], RARE[240:])
METRICS = ("accuracy", "f1", "balanced_accuracy", "auc")
TABLE = pl.DataFrame({"a": X[:, 0], "b": X[:, 1], "kind": np.where(RARE, "yes", "no")})


def train(outputs, y=RARE, **more):
    settings = {"validation": HELD, "epochs": 3, "metrics": METRICS, "progress": False, **more}
    return cl.fit(cl.nn.mlp([3, 8, outputs]), (X, y), **settings)


def by_scikit_learn(y, shares, threshold):
    said = shares > threshold
    names = zip(METRICS, (accuracy_score, f1_score, balanced_accuracy_score), strict=False)
    scores = {name: function(y, said) for name, function in names}
    return {"loss": log_loss(y, shares), **scores, "auc": roc_auc_score(y, shares)}


@pytest.mark.parametrize("threshold", [0.15, "auto"])
@pytest.mark.parametrize("outputs", [1, 2])
def test_what_is_measured_and_predicted_is_chosen_by_the_threshold(outputs, threshold):
    run = train(outputs, threshold=threshold, test=(X[:100], RARE[:100]))
    reached = run.threshold
    assert 0 < reached < 1 and (threshold == "auto" or reached == threshold)
    for x, y, found in ((*HELD, run.summary.validation), (X[:100], RARE[:100], run.summary.test)):
        shares = run.probabilities(x)[:, -1]
        assert found == pytest.approx(by_scikit_learn(y, shares, reached), rel=1e-5)
        assert run.evaluate(x, y) == pytest.approx(found)
        assert np.array_equal(run.predict(x), shares > reached)
    assert run.importance(metric="accuracy", repeats=2).base == pytest.approx(run.summary.validation["accuracy"])
    held = held_rows(run, run.workings.job().data, None)
    assert np.array_equal(confusion(held), confusion_matrix(HELD[1], run.predict(HELD[0])))
    again = pickle.loads(pickle.dumps(run))
    assert again.threshold == reached and again.evaluate(*HELD) == run.evaluate(*HELD)


@pytest.mark.parametrize(("metric", "judge"), [("loss", f1_score), ("balanced_accuracy", balanced_accuracy_score)])
def test_no_threshold_is_better_on_the_validation_rows(metric, judge):
    run = train(2, threshold="auto", metric=metric)
    shares = run.probabilities(HELD[0])[:, 1]
    most = max(judge(HELD[1], shares > t) for t in [0.5, *np.sort(shares)[:-1]])
    assert judge(HELD[1], shares > run.threshold) == pytest.approx(most)


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("costs", [{1: 9}, {1: 0.5, 0: 3.0}, {0: 0.0}])
def test_no_threshold_costs_less_on_the_validation_rows(outputs, costs):
    run = train(outputs, costs=costs)
    shares = run.probabilities(HELD[0])[:, -1]
    of_row = np.where(HELD[1] == 1, costs.get(1, 1.0), costs.get(0, 1.0))
    tried = [0.5, *np.sort(shares)[:-1], run.threshold]
    reached = [np.mean(of_row * ((shares > t) != HELD[1])) for t in tried]
    assert reached[-1] == pytest.approx(min(reached))
    assert run.config.settings.costs == {"0": float(costs.get(0, 1.0)), "1": float(costs.get(1, 1.0))}


def test_a_half_is_no_threshold_and_none_changes_a_weight():
    plain, half, low = (train(2, threshold=t) for t in (None, 0.5, 0.1))
    assert plain.threshold is None and plain.summary.validation == half.summary.validation
    for name, weight in plain.model.parameters().items():
        assert np.array_equal(weight, low.model.parameters()[name])
    assert low.history[-1]["train"]["loss"] == plain.history[-1]["train"]["loss"]


@pytest.mark.parametrize(
    ("outputs", "y", "more", "said"),
    [
        (2, RARE, {"threshold": 1.0}, "this is no threshold"),
        (2, RARE, {"threshold": True}, "this is no threshold"),
        (2, RARE, {"threshold": "best"}, "this is no threshold"),
        (2, RARE, {"costs": {1: -1.0}}, "these are no costs of mistakes"),
        (2, RARE, {"costs": {1: 0, 0: 0}}, "these are no costs of mistakes"),
        (2, RARE, {"costs": 3}, "these are no costs of mistakes"),
        (2, RARE, {"costs": {2: 1.0}}, "no class"),
        (2, RARE, {"costs": {1: 5}, "threshold": 0.5}, "costs of mistakes find a threshold"),
        (3, RARE, {"costs": {1: 5}, "threshold": "auto"}, "a threshold chooses between two classes"),
        (2, np.eye(2)[RARE], {"costs": {1: 5}, "loss": "binary_cross_entropy"}, "costs of mistakes choose a class"),
        (1, X[:, 0], {"costs": {1: 5}, "metrics": (), "validation": None}, "costs of mistakes choose a class"),
        (3, RARE + 1 * (X[:, 1] > 1), {"costs": {0: {0: 1.0}}}, "a right answer costs nothing"),
        (3, RARE, {"costs": {0: {4: 1.0}}}, "no class"),
        (2, RARE, {"costs": {1: 5}, "validation": None}, "a threshold is found on validation rows"),
        (2, RARE, {"threshold": "auto", "validation": None}, "a threshold is found on validation rows"),
        (3, RARE, {"threshold": 0.2}, "a threshold chooses between two classes"),
        (1, X[:, 0], {"threshold": 0.2, "metrics": (), "validation": None}, "a threshold chooses between two classes"),
    ],
)
def test_refused(outputs, y, more, said):
    with pytest.raises(ArgumentError, match=said):
        train(outputs, y, **more)


def command(capsys, *arguments):
    code = main([str(a) for a in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    TABLE.write_csv("t.csv")
    quick = ("train", "t.csv", "--epochs", 3, "--hidden", 4)
    code, said, _ = command(capsys, *quick, "--threshold", "auto", "--metric", "f1", "--out", "r")
    run = cl.load("r")
    assert code == 0 and f"threshold {run.threshold:.4g}: above that probability yes is chosen" in said
    assert RunFolder(tmp_path / "r").config().settings.threshold == "auto"
    assert run.evaluate("t.csv")["f1"] == pytest.approx(f1_score(RARE, run.predict("t.csv") == "yes"))
    assert command(capsys, "predict", "r", "t.csv", "-o", "p.csv")[0] == 0
    predicted = pl.read_csv("p.csv")
    assert (
        predicted["kind" if "kind" in predicted.columns else "predicted kind"].to_list()
        == run.predict("t.csv").tolist()
    )
    assert command(capsys, "train", "--resume", "r", "--epochs", 4)[0] == 0
    code, said, _ = command(capsys, *quick, "--costs", "yes=20", "--out", "c")
    assert code == 0 and "mistakes cost least so" in said and cl.load(tmp_path / "c").threshold < run.threshold
    code, _, said = command(capsys, *quick, "--threshold", "1.5")
    assert code == 2 and "--threshold cannot be '1.5'" in said and "auto" in said
    code, _, said = command(capsys, *quick, "--target", "a", "--threshold", "0.5")
    assert code == 2 and "a threshold chooses between two classes" in said


def test_a_stored_threshold_is_not_trusted(tmp_path):
    train(2, threshold=0.25, out=tmp_path / "r", epochs=1)
    config = tmp_path / "r" / "config.json"
    config.write_text(
        config.read_text(encoding="utf-8").replace('"threshold": 0.25', '"threshold": 25'), encoding="utf-8"
    )
    with pytest.raises(RunError, match="the stored threshold cannot be trusted"):
        cl.load(tmp_path / "r")


@pytest.mark.parametrize("threshold", [0.2, "auto"])
def test_the_estimator_predicts_by_it_and_its_baselines_are_judged_by_their_own(threshold):
    asked = {"hidden": 4, "epochs": 3, "metric": "f1", "baseline": True}
    classifier = cl.sklearn.TabularClassifier(threshold=threshold, **asked).fit(TABLE[:, :2], TABLE["kind"])
    run, plain = classifier.run_, cl.sklearn.TabularClassifier(**asked).fit(TABLE[:, :2], TABLE["kind"]).run_
    shares = classifier.predict_proba(TABLE[:, :2])
    assert np.array_equal(classifier.predict(TABLE[:, :2]) == "yes", shares[:, 1] > run.threshold)
    assert np.array_equal(classifier.predict(TABLE[:, :2]), run.predict(TABLE[:, :2]))
    linear, before = (r.summary.baseline["linear"] for r in (run, plain))
    assert linear["loss"] == before["loss"] and linear["f1"] > before["f1"]
    with pytest.raises(ArgumentError, match="threshold"):
        cl.sklearn.TabularClassifier(threshold=2.0).fit(TABLE[:, :2], TABLE["kind"])
