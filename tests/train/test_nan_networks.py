"""A network whose weights are NaN answers nothing: every door refuses to name a class, or says NaN."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pandas
import pytest
from safetensors.numpy import load_file, save_file

import clearprop as cl
from clearprop.cli import main
from clearprop.errors import ClearpropError, DataError
from clearprop.sklearn import MLPClassifier, TabularClassifier
from clearprop.train import job
from clearprop.train.executor import eager_executor

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 2)).astype(np.float32)
FRAME = pandas.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": np.where(X[:, 0] > 0, "p", "q")})


def without_numbers(model):
    """The model with NaN for one of its weights."""
    path = [*model.parameters()][-1]
    last = np.array(model.parameters()[path])
    last[-1] = np.nan
    return model.replace({path: last})


@pytest.fixture(scope="module", params=["classes", "numbers"])
def run(request, tmp_path_factory):
    """A run folder whose network is NaN, and its table beside it."""
    folder, classes = tmp_path_factory.mktemp(request.param), request.param == "classes"
    frame = FRAME if classes else FRAME.assign(y=X[:, 0] * 2.0)
    frame.to_csv(folder / "t.csv", index=False)
    table = str(folder / "t.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "choose_executor", eager_executor)
        assert main(["train", table, "--epochs", "1", "--hidden", "3", "--out", str(folder / "run")]) == 0
    weights = folder / "run" / "model.safetensors"
    arrays = load_file(weights)
    arrays[max(arrays)][-1] = np.nan
    save_file(arrays, weights)
    return str(folder / "run"), str(folder / "t.csv"), classes


def test_what_the_command_line_says(run, tmp_path, capsys):
    path, data, classes = run
    out = tmp_path / "p.csv"
    assert main(["predict", path, data, "-o", str(out)]) == (2 if classes else 0)
    err = capsys.readouterr().err
    if classes:
        assert "no class can be chosen" in err
        assert not out.exists()
    else:
        assert "40 rows without a prediction: the network gives NaN or infinite numbers" in err
        assert {row["y"] for row in csv.DictReader(out.read_text().splitlines())} == {"nan"}
    assert main(["check", path]) == 2
    assert "the loss of this network is no number" in capsys.readouterr().err
    assert main(["export", path, "--format", "onnx", "-o", str(tmp_path / "m.onnx")]) == 2
    assert "its parameters are not all numbers" in capsys.readouterr().err
    assert not (tmp_path / "m.onnx").exists()
    assert main(["evaluate", path, data, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    names = ("loss", "accuracy") if classes else ("loss", "r2", "mae")
    assert told == {"rows": 40, **dict.fromkeys(names, "nan")}


def test_what_python_gives(run):
    path, data, classes = run
    known = cl.load(path)
    judged = known.evaluate(data)
    assert set(judged) == ({"loss", "accuracy"} if classes else {"loss", "r2", "mae"})
    assert all(map(math.isnan, judged.values())), judged
    if classes:
        with pytest.raises(DataError, match="no class can be chosen"):
            known.predict(data)
        assert np.isnan(known.probabilities(data)).all()
    else:
        assert np.isnan(known.predict(data)).all()
    drops = known.importance()
    assert all(math.isnan(column.drop) for column in drops.columns), drops


@pytest.mark.parametrize("metrics", [["f1", "balanced_accuracy", "mcc"], ["auc"]])
def test_blocks_of_rows_and_other_metrics_are_judged_alike(metrics):
    known = cl.fit(cl.nn.mlp([2, 3, 2], seed=0), FRAME, epochs=1, progress=False, metrics=metrics)
    lost = replace(known, model=without_numbers(known.model))
    assert all(map(math.isnan, lost.evaluate(FRAME).values()))


def test_estimators_name_no_class():
    few = MLPClassifier(max_iter=2, tol=0.0, n_iter_no_change=99)
    with pytest.warns(Warning, match="Maximum iterations"):
        few.fit(X, FRAME.y)
    few.intercepts_[-1][:] = np.nan
    table = TabularClassifier(epochs=1).fit(FRAME[["a", "b"]], FRAME.y)
    table.run_ = replace(table.run_, model=without_numbers(table.run_.model))
    for fitted, rows in ((few, X), (table, FRAME[["a", "b"]])):
        with pytest.raises(DataError, match="no class can be chosen"):
            fitted.predict(rows)


def test_a_gradient_that_is_no_number_agrees_with_nothing():
    model = cl.nn.mlp([2, 3, 1], seed=0)
    with pytest.raises(ClearpropError, match="no derivative to compare"):
        cl.train.check_objective(lambda m: cl.sum(m(X)) * np.nan, model)
