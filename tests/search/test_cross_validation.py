"""Folds of a table: each row tested once a repeat, by what was learned without it; scores and intervals by hand."""

import csv
import json
import shutil

import numpy as np
import polars as pl
import pytest
from scipy.stats import t as student
from sklearn.metrics import accuracy_score, roc_auc_score

import clearprop as cl
from clearprop.cli import main
from clearprop.data.folds import deal_folds
from clearprop.data.table import load_table
from clearprop.errors import ArgumentError, ClearpropError
from clearprop.search.cross_validation import plan_folds

RNG = np.random.default_rng(2)
A = RNG.normal(size=120)
TABLE = pl.DataFrame(
    {
        "a": A,
        "gap": [None if i % 7 == 0 else float(i % 5) for i in range(120)],
        "who": [f"p{i % 12}" for i in range(120)],
        "when": np.arange(120) // 3,
        "y": np.where(A + 0.5 * RNG.normal(size=120) > 0.7, "yes", "no"),
    }
)
QUICK = {"epochs": 2, "hidden": 3}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folds") / "cv"
    table = TABLE.drop("who", "when")
    return cl.cross_validate(table, folds=4, repeats=2, target="y", metric="auc", out=folder, **QUICK)


def rows_of(folds, repeat):
    return sorted(np.concatenate([fold.rows for fold in folds if fold.repeat == repeat]).tolist())


def test_every_row_is_tested_once_a_repeat_with_its_share_of_each_class(found):
    folds = [tested.fold for tested in found.folds]
    assert [fold.name for fold in folds] == [f"{r}-{k}" for r in (1, 2) for k in (1, 2, 3, 4)]
    yes = TABLE["y"].to_numpy() == "yes"
    for repeat in (1, 2):
        assert rows_of(folds, repeat) == list(range(120))
    for fold in folds:
        assert sorted([*fold.rows, *fold.others]) == list(range(120))
        assert abs(yes[fold.rows].sum() - yes.sum() / 4) < 1
    assert not np.array_equal(folds[0].rows, folds[4].rows)


def test_a_fold_is_judged_by_a_run_that_saw_none_of_it(found):
    first = found.folds[0]
    data = plan_folds(TABLE.drop("who", "when"), {"target": "y", **QUICK}, 4, 2).prepared(first.fold)
    number = next(column for column in first.run.preprocessing.columns if column.name == "a")
    known = TABLE["a"].to_numpy()[data.rows["training"].numbers]
    assert number.centre == pytest.approx(known.mean())
    assert not set(data.rows["training"].numbers) & set(first.fold.rows)
    rows = [row for row in found.predictions if row[:2] == (1, 1)]
    assert [row[2] for row in rows] == first.fold.rows.tolist()
    true, said, shares = ([row[i] for row in rows] for i in (3, 4, 6))
    assert true == TABLE["y"].to_numpy()[first.fold.rows].tolist()
    assert first.run.summary.test["accuracy"] == pytest.approx(accuracy_score(true, said))
    assert first.run.summary.test["auc"] == pytest.approx(roc_auc_score(np.array(true) == "yes", shares))


def test_the_interval_allows_for_rows_that_trainings_share(found):
    values = np.array([run.summary.test["auc"] for run in found.runs])
    half = student.ppf(0.975, 7) * values.std(ddof=1) * np.sqrt(1 / 8 + 30 / 90)
    score = found.scores["auc"]
    assert score.mean == pytest.approx(values.mean())
    assert score.interval == pytest.approx((max(values.mean() - half, 0), min(values.mean() + half, 1)))
    assert 0 < score.interval[0] < score.interval[1] <= 1
    assert "over 8 folds in 2 repeats; 95% interval" in repr(found)
    linear = [run.summary.baseline["linear"]["auc"] for run in found.runs]
    assert found.baseline("linear")["auc"].mean == pytest.approx(np.mean(linear))


def test_what_is_stored(found):
    stored = json.loads((found.folder / "folds.json").read_text(encoding="utf-8"))
    assert stored["scores"]["auc"]["mean"] == found.scores["auc"].mean
    assert [fold["run"] for fold in stored["folds"]] == [tested.fold.name for tested in found.folds]
    with (found.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        heads, *rows = csv.reader(file)
    assert heads == ["repeat", "fold", "row", "true y", "predicted y", "p(no)", "p(yes)"] and len(rows) == 240
    again = cl.load(found.folder / "1-2")
    assert again.summary.test == found.runs[1].summary.test


def test_folds_go_on_where_they_were_stopped_with_the_same_bits(tmp_path, capsys):
    file = tmp_path / "t.csv"
    TABLE.drop("who", "when").write_csv(file)
    command = ["train", str(file), "--folds", "3", "--epochs", "2", "--hidden", "3", "--out", f"{tmp_path}/cv"]
    assert main(command) == 0
    whole = {name: (tmp_path / "cv" / name).read_bytes() for name in ("predictions.csv", "folds.json")}
    for name in ("predictions.csv", "folds.json", "1-2/summary.json"):
        (tmp_path / "cv" / name).unlink()
    shutil.rmtree(tmp_path / "cv/1-3")
    assert main(["train", "--resume", f"{tmp_path}/cv", "--epochs", "3"]) == 2
    assert "folds go on as they were begun" in capsys.readouterr().err
    assert main(["train", "--resume", f"{tmp_path}/cv"]) == 0
    assert {name: (tmp_path / "cv" / name).read_bytes() for name in whole} == whole
    file.write_text(file.read_text(encoding="utf-8").replace("yes", "no", 1), encoding="utf-8")
    assert main(["train", "--resume", f"{tmp_path}/cv"]) == 2
    assert "the data are not those that the folds learned from" in capsys.readouterr().err


def test_groups_stay_together_and_time_goes_on():
    groups = load_table(TABLE, "y", reading=plan_folds(TABLE, {"target": "y", "split": "group:who"}, 3, 1).reading)
    who = TABLE["who"].to_numpy()
    for fold in deal_folds(groups, 3, repeats=2):
        assert not set(who[fold.rows]) & set(who[fold.others])
        inner = fold.split(groups, 0.2, 0)
        assert not set(who[inner.train.rows]) & set(who[inner.validation.rows])
    plan = plan_folds(TABLE, {"target": "y", "split": "time:when"}, 3, 1)
    when = TABLE["when"].to_numpy()
    for fold in plan.folds:
        inner = fold.split(plan.table, 0.2, 0)
        assert when[inner.train.rows].max() < when[inner.validation.rows].min() <= when[inner.validation.rows].max()
        assert when[inner.validation.rows].max() < when[fold.rows].min()
    tested = np.concatenate([fold.rows for fold in plan.folds])
    assert len(tested) == len(set(tested.tolist())) == 90


def test_the_same_seed_gives_the_same_bits_and_numbers_have_units():
    table = pl.DataFrame({"a": A, "y": 100 + 30 * A})
    one, two = (cl.cross_validate(table, folds=2, seed=3, **QUICK) for _ in range(2))
    assert one.predictions == two.predictions and one.heads[3:] == ("true y", "predicted y")
    off = np.mean([abs(float(row[3]) - row[4]) for row in one.predictions if row[1] == 1])
    assert one.runs[0].summary.test["mae"] == pytest.approx(off, rel=1e-5)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"folds": 1}, "--folds cannot be 1"),
        ({"repeats": 0}, "--repeats cannot be 0"),
        ({"folds": 500, "repeats": 3}, "so many trainings"),
        ({"folds": 200}, "fewer rows, or groups of rows, than folds"),
        ({"folds": 20, "split": "group:who"}, "fewer rows, or groups of rows, than folds"),
        ({"split": "time:when", "repeats": 2}, "in one way"),
        ({"folds": 60, "split": "time:when"}, "too few different values for so many folds"),
        ({"split": "column:who"}, "the data say themselves"),
        ({"test": 0.2}, "the folds are what is tested"),
        ({"epoch": 3}, "no setting named 'epoch'"),
    ],
)
def test_refused(more, said):
    with pytest.raises(ClearpropError, match=said):
        plan_folds(TABLE, {"target": "y", **{k: v for k, v in more.items() if k not in ("folds", "repeats")}},
                   more.get("folds", 3), more.get("repeats", 1))  # fmt: skip


def test_a_class_of_one_row_is_refused():
    with pytest.raises(ClearpropError, match="class 'maybe' has one row only"):
        plan_folds(TABLE.with_columns(y=pl.Series(["maybe", *TABLE["y"][1:]])), {"target": "y"}, 3, 1)
    with pytest.raises(ArgumentError, match="--folds cannot be True"):
        plan_folds(TABLE, {"target": "y"}, True, 1)


def command(capsys, *arguments):
    code = main([str(a) for a in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    TABLE.drop("who", "when").write_csv("t.csv")
    quick = ("train", "t.csv", "--epochs", 2, "--hidden", 3)
    code, said, told = command(capsys, *quick, "--folds", 2)
    assert code == 0 and "fold 1-2  done" in told and "linear, mean" in said
    assert "saved in runs/t-folds-1" in said
    code, said, _ = command(capsys, "compare", "runs/t-folds-1/1-1", "runs/t-folds-1/1-2")
    assert code == 0
    for more in (("--repeats", 2), ("--folds", 2, "--resume", "r"), ("--folds", 2, "--out", "runs")):
        assert command(capsys, *quick, *more)[0] == 2
    code, said, _ = command(capsys, *quick, "--folds", 2, "--json", "--out", "j")
    assert code == 0 and [json.loads(line)["event"] for line in said.splitlines()].count("end") == 2


@pytest.mark.parametrize("words", [("FALSE", "TRUE"), ("007", "008"), ("no", "yes")])
def test_true_and_predicted_classes_are_spelled_alike(words, tmp_path):
    lines = [f"{k},{words[k % 2]}" for k in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["a,y", *lines]) + "\n")
    found = cl.cross_validate(tmp_path / "t.csv", folds=2, epochs=1, hidden=2)
    for place in (3, 4):
        assert {row[place] for row in found.predictions} <= set(words)


def test_true_numbers_are_kept_to_the_last_digit(tmp_path):
    price = 1234567.125 + np.arange(40.0) - 2469134 * (np.arange(40) % 2)
    table = pl.DataFrame({"x": np.arange(40.0), "price": price})
    found = cl.cross_validate(table, target="price", folds=2, epochs=1, hidden=2, out=tmp_path / "folds")
    assert {row[3] for row in found.predictions} == set(price)
    assert set(pl.read_csv(tmp_path / "folds" / "predictions.csv")["true price"]) == set(price)


def test_a_folder_goes_on_with_what_it_was_begun_with_and_nothing_else(tmp_path):
    out = tmp_path / "cv"
    first = cl.cross_validate("iris", folds=2, out=out, **QUICK)
    again = cl.cross_validate("iris", folds=2, out=out, **QUICK)
    assert again.predictions == first.predictions
    others = [{"epochs": 3}, {"seed": 1}, {"folds": 3}, {"hidden": 4}, {"repeats": 2}, {"lr": 0.5}]
    for other in others:
        with pytest.raises(ArgumentError, match="holds other folds") as caught:
            cl.cross_validate("iris", out=out, **{"folds": 2, **QUICK, **other})
        assert next(iter(other)) in caught.value.got


@pytest.mark.parametrize("begin", [cl.cross_validate, cl.ensemble], ids=lambda f: f.__name__)
def test_a_folder_of_several_runs_has_one_writer(begin, tmp_path, monkeypatch):
    out, inside = tmp_path / "out", []

    def meanwhile(event):
        if event["event"] == "epoch" and not inside:
            inside.append(None)
            with pytest.raises(ClearpropError) as caught:
                begin("iris", out=out, **QUICK)
            inside.append(caught.value.headline)

    monkeypatch.setattr("clearprop.files.folder_lock.GRACE", 0.0)
    count = {"folds": 2} if begin is cl.cross_validate else {"members": 2}
    begin("iris", out=out, callbacks=[meanwhile], **count, **QUICK)
    assert inside[1] in ("this run is being trained already", f"the run folder {str(out)!r} is not empty")
