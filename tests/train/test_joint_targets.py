"""Several targets learned together: scikit-learn's metrics of each in its own unit, and every door that answers."""

import json

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import accuracy_score, mean_absolute_error, r2_score, roc_auc_score

import clearprop as cl
from clearprop.cli import main
from clearprop.data.preprocessing import Preprocessing
from clearprop.data.streaming.streamed_table import stream_table
from clearprop.errors import ArgumentError, ClearpropError, DataError, RunError

RNG = np.random.default_rng(3)
A = RNG.normal(size=240)
NOISE = RNG.normal(size=(2, 240))
TABLE = pl.DataFrame(
    {
        "a": A,
        "kind": np.where(RNG.random(240) > 0.5, "x", "y"),
        "w": RNG.integers(1, 4, size=240),
        "height": 170 + 20 * A + NOISE[0],
        "mass": 0.5 - 0.1 * A + 0.01 * NOISE[1],
        "tall": np.where(A + 0.3 * NOISE[0] > 0.2, "yes", "no"),
        "heavy": (0.5 * A + NOISE[1] > 0).astype(int),
    }
)
NUMBERS, LABELS = TABLE.drop("w", "tall", "heavy"), TABLE.drop("w", "height", "mass")
BOTH = {"numbers": (NUMBERS, ("height", "mass")), "labels": (LABELS, ("tall", "heavy"))}


def fit(table, targets, **more):
    settings = {"epochs": 4, "validation": 0.2, "test": 0.2, "progress": False, **more}
    return cl.fit(cl.nn.mlp(hidden=[6]), table, target=targets, **settings)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {
        "numbers": fit(*BOTH["numbers"], out=folder / "numbers", baseline=True, metrics=("r2", "mae", "median_ae")),
        "labels": fit(*BOTH["labels"], out=folder / "labels", baseline=True, metrics=("accuracy", "auc")),
    }


def test_numbers_are_judged_each_in_its_own_unit_and_on_average(runs):
    run = runs["numbers"]
    said, true = run.predict(NUMBERS), NUMBERS[["height", "mass"]].to_numpy()
    found = run.evaluate(NUMBERS)
    assert said.shape == true.shape
    assert found["r2"] == pytest.approx(r2_score(true, said), rel=1e-5)
    deviations = [part.scale for part in run.preprocessing.target.parts]
    assert found["mae"] == pytest.approx(np.mean(np.abs(said - true) / deviations), rel=1e-5)
    for k, name in enumerate(("height", "mass")):
        assert found[f"r2[{name}]"] == pytest.approx(r2_score(true[:, k], said[:, k]), rel=1e-5)
        assert found[f"mae[{name}]"] == pytest.approx(mean_absolute_error(true[:, k], said[:, k]), rel=1e-5)
        assert found[f"median_ae[{name}]"] == pytest.approx(np.median(np.abs(true[:, k] - said[:, k])), rel=1e-5)
    linear = run.summary.baseline["linear"]
    assert linear["r2[height]"] > 0.9 and set(linear) == set(found)
    assert run.headline.startswith("Predictions of 2 targets reach R² ") and "on average" in run.headline


def test_labels_are_judged_each_by_itself_and_come_back_as_they_came(runs):
    run = runs["labels"]
    said, shares, found = run.predict(LABELS), run.probabilities(LABELS), run.evaluate(LABELS)
    assert said[:3].tolist() == [[("no", "yes")[int(p > 0.5)], int(q > 0.5)] for p, q in shares[:3]]
    for k, name in enumerate(("tall", "heavy")):
        true = LABELS[name].to_numpy()
        right = accuracy_score(true.astype(str), said[:, k].astype(str))
        assert found[f"accuracy[{name}]"] == pytest.approx(right)
        assert found[f"auc[{name}]"] == pytest.approx(roc_auc_score(true.astype(str) >= ("yes", "1")[k], shares[:, k]))
    assert found["accuracy"] == pytest.approx(np.mean([found["accuracy[tall]"], found["accuracy[heavy]"]]))
    test = run.summary.baseline["constant"]
    assert 0.5 <= test["accuracy"] < 1 and test["auc"] == 0.5
    assert run.headline.startswith("The labels of 2 targets are right in ")


@pytest.mark.parametrize("kind", BOTH)
def test_what_is_stored_answers_alike_and_replays(runs, kind):
    run, table = runs[kind], BOTH[kind][0]
    again = cl.load(run.folder)
    assert again.evaluate(table) == run.evaluate(table)
    assert np.array_equal(again.predict(table), run.predict(table))
    assert again.predict(table, as_given=True).columns == list(BOTH[kind][1])
    assert run.replay(3).digest == run.replay(3).digest
    fitted = run.preprocessing
    assert Preprocessing.from_json(fitted.to_json()) == fitted
    torn = json.loads(fitted.to_json())
    torn["target"]["parts"] = torn["target"]["parts"][:1]
    with pytest.raises(RunError, match="two targets or more"):
        Preprocessing.from_json(json.dumps(torn))


def test_one_of_them_is_explained_and_scored(runs):
    found = runs["numbers"].explain_prediction({"a": 0.5, "kind": "x"}, output="mass")
    predicted = runs["numbers"].predict(pl.DataFrame({"a": [0.5], "kind": ["x"]}))
    assert found.answer == "mass" and found.predicted == pytest.approx(predicted[0, 1], rel=1e-5)
    total = found.start + sum(part.added for part in found.contributions) + found.rest
    assert total == pytest.approx(found.predicted)
    label = runs["labels"].explain_prediction({"a": 3.0, "kind": "x"}, output="tall")
    assert label.answer.startswith("p(tall = ") and 0.5 <= label.predicted <= 1
    scored = runs["numbers"].importance(output="mass", repeats=2)
    assert scored.metric == "r2 of mass"
    assert scored.base == pytest.approx(runs["numbers"].summary.validation["r2[mass]"], rel=1e-5)
    with pytest.raises(ArgumentError, match="no output named 'size'"):
        runs["numbers"].explain_prediction({"a": 0.5, "kind": "x"}, output="size")


def test_rows_count_by_their_weights():
    table = TABLE.drop("tall", "heavy")
    run = fit(table, ("height", "mass"), sample_weight="w", epochs=1, validation=None, test=None)
    found, true, said = run.evaluate(table), table[["height", "mass"]].to_numpy(), run.predict(table)
    weight = table["w"].to_numpy()
    assert found["mae[mass]"] == pytest.approx(mean_absolute_error(true[:, 1], said[:, 1], sample_weight=weight))
    assert found["r2"] == pytest.approx(r2_score(true, said, sample_weight=weight), rel=1e-5)


@pytest.mark.parametrize(
    ("targets", "more", "said"),
    [
        ("height,height", {}, "the target 'height' is asked for twice"),
        ("height,size", {}, "no column named 'size'"),
        ("height,kind", {}, "several targets are all numbers, or all labels of two values"),
        ("height,mass", {"task": "classification"}, "several targets are all numbers, or all labels of two values"),
        ("height,mass", {"loss": "poisson"}, "poisson does not judge several targets"),
        ("tall,heavy", {"loss": "cross_entropy"}, "cross_entropy does not judge several targets"),
        ("tall,heavy", {"loss": "mse"}, "the target 'tall' of a regression must hold numbers"),
        ("tall,heavy", {"threshold": 0.3}, "a threshold chooses between two classes"),
        ("tall,heavy", {"class_weight": "balanced"}, "weights"),
        (["height", 3], {}, "this target is not understood"),
    ],
)
def test_refused(targets, more, said):
    with pytest.raises(ClearpropError, match=said):
        fit(TABLE.drop("w"), targets, **more)


def test_a_column_whose_name_has_a_comma_is_one_target():
    table = NUMBERS.rename({"mass": "height, mass"})
    run = fit(table, "height, mass", epochs=1)
    assert run.target_names == ("height, mass",) and run.predict(table).shape == (240,)
    assert fit(table, ["height", "height, mass"], epochs=1).target_names == ("height", "height, mass")


def test_the_regressor_learns_several(runs):
    X, y = NUMBERS[["a", "kind"]], NUMBERS[["height", "mass"]]
    regressor = cl.sklearn.TabularRegressor(hidden=6, epochs=4)
    assert regressor.fit(X, y).predict(X).shape == (240, 2)
    assert regressor.run_.target_names == ("height", "mass")
    assert regressor.fit(X, y.to_numpy(), np.ones(240)).run_.target_names == ("y[0]", "y[1]")
    assert regressor.score(X, y.to_numpy()) == pytest.approx(r2_score(y, regressor.predict(X)))


def command(capsys, *arguments):
    code = main([str(a) for a in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


QUICK = ("train", "t.csv", "--epochs", 3, "--hidden", 4, "--drop", "w", "--only", "a,kind")


def test_on_the_command_line(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    TABLE.write_csv("t.csv")
    code, said, told = command(capsys, *QUICK, "--target", "height,mass", "--out", "n")
    assert code == 0 and "the targets are height, mass, as asked" in said + told
    assert "(means over 2 targets, errors in standard deviations of each)" in said
    assert command(capsys, "predict", "n", "t.csv", "-o", "p.csv", "--keep", "mass")[0] == 0
    predicted = pl.read_csv("p.csv")
    assert predicted.columns == ["row", "mass", "height", "predicted mass"]
    values = cl.load("n").predict("t.csv")
    assert np.allclose(predicted[["height", "predicted mass"]].to_numpy(), values, rtol=1e-5)
    code, said, _ = command(capsys, "explain", "n", "--row", 3, "--prediction", "--output", "mass")
    assert code == 0 and said.startswith("mass = ")
    assert command(capsys, "explain", "n", "--row", 3, "--output", "mass")[0] == 2
    assert "mass" in command(capsys, "evaluate", "n", "t.csv")[1]
    assert command(capsys, "report", "n", "-o", "n.html")[0] == 0
    page = (tmp_path / "n.html").read_text(encoding="utf-8")
    assert "Residuals of mass" in page and "results of each target" in page
    assert command(capsys, "predict", runs["labels"].folder, "t.csv", "-o", "l.csv")[0] == 0
    assert pl.read_csv("l.csv").columns[-2:] == ["p(tall)", "p(heavy)"]
    with pytest.raises(DataError, match="several targets are learned from tables that fit into memory"):
        stream_table(tmp_path / "t.csv", "t.csv", "height,mass", "auto", 0.1, 0.1, 0, 10**9)


@pytest.mark.verify
def test_labels_are_trained_and_resumed_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    TABLE.write_csv("t.csv")
    code, said, told = command(capsys, *QUICK, "--target", "tall,heavy", "--out", "l")
    assert code == 0 and "labels that a row may have or not" in said + told
    assert command(capsys, "predict", "l", "t.csv", "-o", "l.csv")[0] == 0
    assert pl.read_csv("l.csv").columns == ["row", "tall", "heavy", "p(tall)", "p(heavy)"]
    assert command(capsys, "train", "--resume", "l", "--epochs", 4)[0] == 0
