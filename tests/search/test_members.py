"""Ensembles: what the members answer on average, by NumPy, for every kind of target; kept, gone on with, exported."""

import numpy as np
import onnx
import polars as pl
import pytest
from onnx.reference import ReferenceEvaluator
from scipy.special import expit, softmax
from sklearn.metrics import log_loss, mean_absolute_error

import clearprop as cl
from clearprop.cli import main
from clearprop.data.parts import split_table
from clearprop.data.readers.reading import Reading
from clearprop.data.table import load_table
from clearprop.errors import RunError
from clearprop.reporting import report_html
from clearprop.search.members import Extent

RNG = np.random.default_rng(5)
ROWS = 90
A, B = RNG.normal(size=(2, ROWS))
TABLE = pl.DataFrame(
    {
        "a": A,
        "gap": [None if i % 9 == 0 else float(i % 5) for i in range(ROWS)],
        "town": [("Rome", "Oslo", "Bern")[i % 3] for i in range(ROWS)],
        "kind": np.where(A > 0.4, "x", np.where(B > 0, "y", "z")),
        "height": 100 + 30 * A + 3 * B,
        "weight": 7 - 2 * B,
        "count": RNG.poisson(np.exp(1 + 0.5 * A)),
        "red": np.where(A > 0, "yes", "no"),
        "round": np.where(B > 0.3, "yes", "no"),
    }
)
TARGETS = {
    "classes": (["kind"], {}),
    "numbers": (["height"], {}),
    "amounts": (["count"], {"loss": "poisson"}),
    "several numbers": (["height", "weight"], {}),
    "labels": (["red", "round"], {}),
}
QUICK = {"epochs": 2, "hidden": 3}
FEATURES = ["a", "gap", "town"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The run of an ensemble of three for each kind of target, and the file of its table."""
    root = tmp_path_factory.mktemp("members")

    def make(kind):
        names, more = TARGETS[kind]
        file = root / f"{kind}.csv"
        if not file.exists():
            TABLE.select(*FEATURES, *names).write_csv(file)
            cl.ensemble(file, members=3, target=",".join(names), out=root / kind, **QUICK, **more)
        return cl.load(root / kind), file

    return make


def members_of(run, number=3):
    return [cl.load(run.folder / str(k + 1)) for k in range(number)]


@pytest.mark.parametrize("kind", TARGETS)
def test_answers_are_those_of_the_members_on_average(made, kind):
    run, file = made(kind)
    each = members_of(run)
    assert run.summary.members == 3 and "the mean of 3 members" in repr(run)
    if kind == "classes":
        shares = np.mean([softmax(m.outputs(m.encode(file).x).astype(float), axis=1) for m in each], axis=0)
        np.testing.assert_allclose(run.probabilities(file), shares, atol=1e-6)
        assert run.predict(file).tolist() == [run.class_names[k] for k in shares.argmax(axis=1)]
        assert run.evaluate(file)["loss"] == pytest.approx(log_loss(TABLE["kind"], shares), abs=1e-6)
    elif kind == "labels":
        shares = np.mean([expit(m.outputs(m.encode(file).x).astype(float)) for m in each], axis=0)
        np.testing.assert_allclose(run.probabilities(file), shares, atol=1e-6)
    else:
        values = np.mean([m.predict(file) for m in each], axis=0)
        np.testing.assert_allclose(run.predict(file), values, rtol=1e-5)
    if kind == "numbers":
        assert run.evaluate(file)["mae"] == pytest.approx(mean_absolute_error(TABLE["height"], values), rel=1e-5)


@pytest.mark.parametrize("kind", TARGETS)
def test_an_explanation_adds_up_and_columns_stand_once(made, kind):
    run, file = made(kind)
    found = run.explain_prediction(TABLE.select(FEATURES)[4])
    assert sorted(c.column for c in found.contributions) == sorted(FEATURES)
    total = found.start + sum(c.added for c in found.contributions) + found.rest
    assert total == pytest.approx(found.predicted, rel=1e-6)
    assert abs(found.rest) <= 2e-3 * max(abs(found.predicted - found.start), 1e-3)
    if kind == "numbers":
        assert found.predicted == pytest.approx(run.predict(file)[4], rel=1e-5)
    if kind != "labels":
        shown = run.importance(repeats=2)
        assert sorted(c.column for c in shown.columns) == sorted(FEATURES)


@pytest.mark.parametrize("kind", ["classes", "numbers", "amounts"])
def test_the_onnx_file_has_an_input_for_each_column_and_the_same_answers(made, kind, tmp_path):
    run, file = made(kind)
    (path,) = cl.export(run, "onnx", tmp_path / "m.onnx")
    model = onnx.load(path)
    assert [given.name for given in model.graph.input] == FEATURES
    gap = np.array([np.nan if v is None else v for v in TABLE["gap"]])
    given = {"a": A[:, None], "gap": gap[:, None], "town": TABLE["town"].to_numpy().astype(object)[:, None]}
    found = ReferenceEvaluator(model).run(None, given)
    if kind == "classes":
        assert found[0].tolist() == run.predict(file).tolist()
        np.testing.assert_allclose(found[1], run.probabilities(file), atol=1e-5)
    else:
        np.testing.assert_allclose(found[0][:, 0], run.predict(file), rtol=1e-5)


def test_a_member_is_the_run_of_its_number_and_all_test_the_same_rows(made, tmp_path, capsys):
    run, file = made("classes")
    assert (
        main(["train", str(file), "--member", "2", "--epochs", "2", "--hidden", "3", "--out", f"{tmp_path}/two"]) == 0
    )
    capsys.readouterr()
    own = cl.load(tmp_path / "two")
    for name in ("model.safetensors", "preprocessing.json"):
        assert (own.folder / name).read_bytes() == (run.folder / "2" / name).read_bytes()
    assert [e["validation"] for e in own.history] == [e["validation"] for e in members_of(run)[1].history]
    parts = [split_table(load_table(file, "kind"), member=k) for k in (1, 2, 3)]
    assert len({tuple(part.test.rows.tolist()) for part in parts}) == 1
    assert len({tuple(part.validation.rows.tolist()) for part in parts}) == 3
    assert len({m.config.settings.own_seed for m in members_of(run)}) == 3
    assert cl.load(run.folder / "2").replay(1).step == 1
    tested = TABLE.select(*FEATURES, "kind")[parts[0].test.rows.tolist()]
    assert run.summary.test == pytest.approx(run.evaluate(tested), rel=1e-5)


@pytest.mark.parametrize("way", ["random", "group:town2", "column:part"])
def test_members_test_the_same_rows_however_they_are_divided(way):
    table = TABLE.with_columns(
        town2=pl.Series([f"t{i % 17}" for i in range(ROWS)]),
        part=pl.Series(["test" if i % 7 == 0 else "train" for i in range(ROWS)]),
    )
    loaded = load_table(table, "height", reading=Reading.from_words(split=way))
    parts = [split_table(loaded, 0.2, 0.2, 3, member) for member in (1, 2, 3)]
    assert len({tuple(part.test.rows.tolist()) for part in parts}) == 1
    assert len({tuple(part.validation.rows.tolist()) for part in parts}) == 3
    for part in parts:
        rows = [*part.train.rows, *part.validation.rows, *part.test.rows]
        assert sorted(rows) == list(range(ROWS))


def test_an_ensemble_goes_on_with_the_bits_of_one_that_never_stopped(made, tmp_path, capsys):
    run, file = made("classes")
    command = ["--target", "kind", "--epochs", "2", "--hidden", "3"]
    assert main(["train", str(file), *command, "--members", "2", "--out", f"{tmp_path}/e"]) == 0
    said = capsys.readouterr()
    assert "member 2  done" in said.err and "the mean of 2 members" in said.out
    (tmp_path / "e/config.json").unlink()  # killed before it was joined, in its second member
    (tmp_path / "e/2/summary.json").unlink()
    assert main(["train", "--resume", f"{tmp_path}/e", "--members", "3"]) == 0
    capsys.readouterr()
    again = cl.load(tmp_path / "e")
    assert again.predict(file).tolist() == run.predict(file).tolist()
    assert (tmp_path / "e/model.safetensors").read_bytes() == (run.folder / "model.safetensors").read_bytes()
    assert again.config.data.digest == run.config.data.digest and again.config.command["members"] == 3


def test_members_begin_only_if_they_end_in_time():
    budget = Extent.asked(None, "1m")
    assert budget.time == 60.0 and budget.wants(0, 99.0, 99.0)
    assert budget.wants(2, 40.0, 20.0) and not budget.wants(2, 40.0, 20.1)
    assert not Extent.asked(3, "1h").wants(3, 1.0, 1.0) and Extent.asked(3, 0.5).wants(1, 0.2, 0.3)


def test_one_is_trained_however_short_the_time_is():
    run = cl.ensemble(TABLE.select("a", "kind"), time=1e-9, **QUICK)
    assert run.summary.members == 1


def test_intervals_are_those_of_errors_of_members_on_rows_that_they_did_not_learn(made):
    run, file = made("numbers")
    ends = run.interval(file, 0.8)
    errors = np.sort(np.concatenate([m.summary.errors["quantiles"] for m in members_of(run)]))
    rows = members_of(run)[0].summary.errors["rows"]
    width = errors[int(np.ceil(np.ceil((rows + 1) * 0.8) * len(errors) / rows)) - 1]
    np.testing.assert_allclose(ends[:, 1] - run.predict(file), width, rtol=1e-5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--members", "0"], "cannot have 0 members"),
        (["--time", "soon"], "the time cannot be 'soon'"),
        (["--time", "0s"], "a number of seconds above 0, or one with s, m, h or d"),
        (["--members", "2", "--fork", "x@1"], "--fork"),
        (["--members", "2", "--folds", "3"], "--members"),
        (["--members", "2", "--member", "2"], "--member"),
        (["--members", "2", "--memory", "1kB"], "would be streamed"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_written(words, said, made, tmp_path, capsys):
    _, file = made("classes")
    assert main(["train", str(file), *words, "--out", f"{tmp_path}/e"]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "e").exists()


def test_the_report_tells_of_the_members_and_judges_by_rows_that_none_of_them_learned(made):
    run, _ = made("numbers")
    page = report_html(run)
    assert "Judged by the 14 rows of the test part." in page and "the members" in page and "--members 3" in page
    assert "an ensemble has no steps of its own" in page and "no epoch was" not in page


def test_an_ensemble_has_no_steps(made, tmp_path, capsys):
    run, _ = made("classes")
    for act in (lambda: run.replay(0), lambda: run.fork(0, {}), lambda: cl.export(run, "python", tmp_path / "a.py")):
        with pytest.raises(RunError, match="no steps of its own") as caught:
            act()
        assert str(run.folder / "1") in str(caught.value)
    assert main(["train", "--fork", f"{run.folder}@0"]) == 2 and "no steps of its own" in capsys.readouterr().err
