"""Costs of mistakes: the class of least expected cost, worked out by hand, at every door; and what are no costs."""

import json

import numpy as np
import polars as pl
import pytest

import clearprop as cl
from clearprop.cli import main
from clearprop.errors import ArgumentError, RunError
from clearprop.reporting.numbers import held_rows
from clearprop.runs.cost_text import costs_in
from clearprop.runs.folder import RunFolder

RNG = np.random.default_rng(3)
NAMES = np.array(["high", "low", "mid: x"])
X = RNG.normal(size=(240, 3))
CODES = np.argmax(X @ RNG.normal(size=(3, 3)) + RNG.normal(size=(240, 3)), axis=1)
TABLE = pl.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "kind": NAMES[CODES]})
COSTS = np.array([[0.0, 9.0, 1.0], [1.0, 0.0, 2.0], [0.5, 1.0, 0.0]])
AS_TEXT = "high:low=9,low:mid: x=2,mid: x:high=0.5"
NESTED = {"high": {"low": 9}, "low": {"mid: x": 2.0}, "mid: x": {"high": 0.5}}
AS_FILE = "\ufefftrue;mid: x;high;low\n\nlow;2;1;0\nhigh;1;0;9\nmid: x;0;0.5;1\n"
QUICK = {"hidden": 4, "epochs": 3}


def by_hand(shares):
    """The class of least Σᵢ pᵢ·Cᵢⱼ for every row, and what it costs on average."""
    return np.array([min(range(3), key=lambda j: sum(row[i] * COSTS[i, j] for i in range(3))) for row in shares])


def judged(run, data=TABLE):
    """Predictions and metrics of a run are what follows from its probabilities by hand."""
    chosen = by_hand(run.probabilities(data))
    assert np.array_equal(run.predict(data), NAMES[chosen]) and len(set(chosen)) > 1
    truth = np.searchsorted(NAMES, data["kind"].to_numpy())
    found = run.evaluate(data)
    assert found["cost"] == pytest.approx(COSTS[truth, chosen].mean())
    assert found["accuracy"] == pytest.approx(np.mean(truth == chosen))
    assert not np.array_equal(chosen, np.argmax(run.probabilities(data), axis=1))
    return chosen


@pytest.mark.parametrize("form", ["text", "file", "nested"])
def test_every_form_of_costs_is_the_same_run(form, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "costs.csv").write_text(AS_FILE, encoding="utf-8")
    asked = {"text": AS_TEXT, "file": "costs.csv", "nested": NESTED}[form]
    run = cl.fit(cl.nn.mlp(hidden=[4]), TABLE, costs=asked, epochs=3, validation=0.2, progress=False, out="r")
    judged(run)
    assert run.config.settings.costs == {
        true: {chosen: COSTS[i, j] for j, chosen in enumerate(NAMES) if i != j} for i, true in enumerate(NAMES)
    }
    again = cl.load("r")
    assert np.array_equal(again.predict(TABLE), run.predict(TABLE)) and again.threshold is None
    assert again.evaluate(TABLE) == run.evaluate(TABLE) and again.history[-1]["validation"]["cost"] >= 0
    held = held_rows(run, run.workings.job().data, None)
    assert np.array_equal(held.chosen, by_hand(held.probabilities))
    part = run.workings.job().data.validation
    assert run.summary.validation == pytest.approx(run.evaluate(*part), rel=1e-6)


def test_labels_of_arrays_have_costs_and_need_no_validation():
    y = np.array([7, 9, 4])[CODES]
    own = {7: {9: 9.0}, 9: {4: 2.0}, 4: {7: 0.5}}
    run = cl.fit(cl.nn.mlp([3, 6, 3]), (X, y), costs=own, epochs=3, progress=False)
    order = [int(label) for label in run.class_names]
    table = np.ones((3, 3)) - np.eye(3)
    for true, row in own.items():
        for chosen, cost in row.items():
            table[order.index(true), order.index(chosen)] = cost
    assert np.array_equal(run.predict(X), np.array(order)[np.argmin(run.probabilities(X) @ table, axis=1)])


def test_two_classes_of_a_table_of_costs_have_a_threshold():
    two = TABLE.with_columns(pl.col("kind").replace({"mid: x": "low"}))
    plain, table = (
        cl.fit(cl.nn.mlp(hidden=[4]), two, costs=c, epochs=3, validation=0.3, progress=False)
        for c in ({"high": 9, "low": 1}, "high:low=9")
    )
    assert plain.threshold == table.threshold is not None and plain.config.settings.costs == {"high": 9.0, "low": 1.0}
    chosen, truth = table.predict(two), two["kind"].to_numpy()
    assert table.evaluate(two)["cost"] == pytest.approx(np.mean((chosen != truth) * np.where(truth == "high", 9, 1)))


def command(capsys, *arguments):
    code = main([str(a) for a in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_every_door(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    TABLE.write_csv("t.csv")
    quick = ("train", "t.csv", "--epochs", 2, "--hidden", 4, "--costs", AS_TEXT)
    code, said, _ = command(capsys, *quick, "--metric", "cost", "--out", "r")
    assert code == 0 and "whose mistakes should cost least" in said and "Mistakes about 'kind' cost" in said
    chosen = judged(cl.load("r"), pl.read_csv("t.csv"))
    assert command(capsys, "predict", "r", "t.csv", "-o", "p.csv")[0] == 0
    assert pl.read_csv("p.csv")["kind"].to_list() == NAMES[chosen].tolist()
    told = command(capsys, "evaluate", "r", "t.csv")[1]
    assert " cost" in told
    assert command(capsys, "report", "r")[0] == 0
    assert "whose mistakes should cost least" in (tmp_path / "r/report.html").read_text(encoding="utf-8")
    assert command(capsys, "export", "r", "-o", "r.py")[0] == 0
    assert "C = 0 9 1; 1 0 2; 0.5 1 0" in " ".join((tmp_path / "r.py").read_text(encoding="utf-8").split())
    assert command(capsys, *quick, "--members", 2, "--out", "e")[0] == 0
    judged(cl.load("e"), pl.read_csv("t.csv"))
    assert command(capsys, *quick, "--folds", 3, "--out", "f")[0] == 0
    rows = pl.read_csv("f/predictions.csv")
    shares = rows.select([f"p({name})" for name in NAMES]).to_numpy()
    assert rows["predicted kind"].to_list() == NAMES[by_hand(shares)].tolist()
    assert command(capsys, "train", "--resume", "r", "--epochs", 3)[0] == 0
    judged(cl.load("r"), pl.read_csv("t.csv"))


def test_the_estimator_and_an_exported_file_choose_alike(tmp_path):
    classifier = cl.sklearn.TabularClassifier(costs=NESTED, **QUICK).fit(TABLE[:, :3], TABLE["kind"])
    chosen = NAMES[by_hand(classifier.predict_proba(TABLE[:, :3]))]
    assert np.array_equal(classifier.predict(TABLE[:, :3]), chosen)
    runtime = pytest.importorskip("onnx.reference")
    cl.export(classifier.run_, "onnx", tmp_path / "m.onnx")
    feed = {name: TABLE[name].to_numpy().astype(np.float64)[:, None] for name in "abc"}
    session = runtime.ReferenceEvaluator(str(tmp_path / "m.onnx"))
    assert np.array_equal(session.run(["label"], feed)[0].reshape(-1).astype(str), chosen)


@pytest.mark.parametrize(
    ("costs", "said"),
    [
        ("high:low=-1", "a mistake costs a number"),
        ("high:low=much", "a mistake costs a number"),
        ("high:wide=2", "no class named 'wide'"),
        ("wide=2", "no class named 'wide'"),
        ("high:high=2", "a right answer costs nothing"),
        ("high=0,low=0,mid: x=0", "these are no costs of mistakes"),
        ("costs.csv", "names no file"),
        ("ragged.csv", "2 costs below 3 classes"),
        ("other.csv", "other classes above the columns than before the rows: mid: x, wide"),
        ("twice.csv", "a second row of 'low'"),
        ("words.csv", "a mistake costs a number"),
        ("empty.csv", "an empty file"),
    ],
)
def test_what_are_no_costs_is_refused_and_nothing_is_written(costs, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    TABLE.write_csv("t.csv")
    rows = {
        "ragged": ["t,high,low,mid: x", "high,0,9,1", "low,1,0"],
        "other": ["t,high,low,mid: x", "high,0,9,1", "low,1,0,2", "wide,1,1,0"],
        "twice": ["t,high,low,mid: x", "low,0,9,1", "low,1,0,2", "mid: x,1,1,0"],
        "words": ["t,high,low,mid: x", "high,0,lots,1", "low,1,0,2", "mid: x,1,1,0"],
        "empty": [""],
    }
    for name, lines in rows.items():
        (tmp_path / f"{name}.csv").write_text("\n".join(lines), encoding="utf-8")
    code, _, told = command(capsys, "train", "t.csv", "--epochs", 1, "--costs", costs)
    assert code == 2 and said in told and not (tmp_path / "runs").exists()
    assert all(f"\n  {part}" in told for part in ("expected", "got", "where", "try"))


def test_a_pair_that_can_be_read_in_two_ways_is_refused():
    kinds = np.array(["a", "a:b", "b", "b:b"])[np.arange(240) % 4]
    with pytest.raises(ArgumentError, match="can be read in two ways"):
        cl.fit(cl.nn.mlp([3, 4]), (X, kinds), costs="a:b:b=2", epochs=1, progress=False)
    assert costs_in("a=1, b:a=2.5") == {"a": 1.0, "b:a": 2.5}


def test_stored_costs_are_not_trusted(tmp_path):
    cl.fit(cl.nn.mlp([3, 3]), (X, CODES), costs={0: {1: 3.0}}, epochs=1, progress=False, out=tmp_path / "r")
    path = RunFolder(tmp_path / "r").path / "config.json"
    good = json.loads(path.read_text(encoding="utf-8"))
    costs = good["settings"]["costs"]
    for wrong in (
        {"0": costs["0"]},
        {**costs, "0": {"1": -3.0, "2": 1.0}},
        {**costs, "0": 4},
        {**costs, "0": {"1": 2.0}},
    ):
        path.write_text(json.dumps({**good, "settings": {**good["settings"], "costs": wrong}}), encoding="utf-8")
        with pytest.raises(RunError, match="the stored costs cannot be trusted"):
            cl.load(tmp_path / "r")
