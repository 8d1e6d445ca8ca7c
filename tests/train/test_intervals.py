"""Intervals around predictions: the level is the share of new rows that lie in them."""

import csv

import numpy as np
import pytest

import clearprop as cl
from clearprop.cli import main
from clearprop.train.executor import eager_executor
from clearprop.train.intervals import QUANTILES, ErrorQuantiles

R = np.random.default_rng(4)
X = R.normal(size=(400, 2)).astype(np.float32)
Y = 2 * X[:, 0] + R.standard_t(4, size=400)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clearprop.train.job.choose_executor", eager_executor)
        settings = {"validation": (X[:150], Y[:150]), "epochs": 20, "batch_size": 50, "progress": False}
        return cl.fit(
            cl.nn.mlp([2, 1]), (X[300:], Y[300:]), optimizer=cl.optim.adam(0.1), **settings,
            out=tmp_path_factory.mktemp("runs") / "run",
        )  # fmt: skip


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
@pytest.mark.parametrize("rows", [29, 500])
def test_the_share_of_new_errors_inside_is_the_level(rows, level):
    errors = np.abs(np.random.default_rng(0).standard_cauchy(size=(2000, rows + 1)))
    inside = [
        new <= ErrorQuantiles.of(known).half_width(level) for *known, new in errors for known in [np.array(known)]
    ]
    exact = np.ceil((rows + 1) * level - 1e-9) / (rows + 1)  # the chance that a new error is among the smallest so many
    spread = 4 * np.sqrt(exact * (1 - exact) / 2000)
    assert exact - spread <= np.mean(inside) <= exact + spread + 1 / QUANTILES
    assert exact >= level


def test_few_rows_keep_every_error_and_the_rank_is_that_of_the_paper():
    errors = ErrorQuantiles.of(np.arange(1.0, 20.0))
    assert errors.quantiles == tuple(np.arange(1.0, 20.0)) and errors.rows == 19
    assert [errors.half_width(level) for level in (0.5, 0.9, 0.95)] == [10.0, 18.0, 19.0]
    with pytest.raises(cl.errors.ArgumentError, match="too few validation rows"):
        errors.half_width(0.96)


def test_an_interval_of_a_run_covers_and_is_loaded_as_it_was(run):
    ends = run.interval(X[150:300], level=0.9)
    assert 0.84 <= np.mean((ends[:, 0] <= Y[150:300]) & (Y[150:300] <= ends[:, 1])) <= 0.96
    assert ends.mean(axis=1) == pytest.approx(run.predict(X[150:300]), abs=1e-6)
    width = np.sort(np.abs(run.predict(X[:150]) - Y[:150]))[int(np.ceil(151 * 0.9)) - 1]
    assert np.diff(ends, axis=1) == pytest.approx(2 * width, rel=1e-5)
    assert np.array_equal(cl.load(run.folder).interval(X[150:300], 0.9), ends)


@pytest.mark.parametrize(("level", "words"), [(0, "0"), (1.0, "1.0"), (True, "True"), ("0.9", "'0.9'")])
def test_what_is_no_level_is_refused(run, level, words):
    with pytest.raises(cl.errors.ArgumentError, match=f"an interval has a probability(.|\n)*got *{words}"):
        run.interval(X, level)


@pytest.mark.parametrize(
    ("y", "outputs", "more"),
    [
        ((Y > 0).astype(int), 2, {"validation": 0.3}),
        (Y, 1, {}),
        (np.stack([Y, Y], axis=1), 2, {"validation": 0.3, "loss": "mse"}),
        (Y, 1, {"validation": 0.3, "sample_weight": np.ones(400)}),
    ],
    ids=["classes", "no validation", "two targets", "weights"],
)
def test_runs_without_such_errors_say_so(y, outputs, more, monkeypatch):
    monkeypatch.setattr("clearprop.train.job.choose_executor", eager_executor)
    made = cl.fit(cl.nn.mlp([2, outputs]), (X, y), epochs=1, batch_size=400, progress=False, **more)
    with pytest.raises(cl.errors.ArgumentError, match="this run has no errors to make intervals of"):
        made.interval(X)


def test_the_command_line_writes_the_ends_in_the_unit_of_the_target(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("clearprop.train.job.choose_executor", eager_executor)
    rows = [
        ["a", "b", "price"],
        *([f"{a:.4f}", f"{b:.4f}", f"{1000 + 50 * y:.2f}"] for (a, b), y in zip(X, Y, strict=True)),
    ]
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    data, out = str(tmp_path / "t.csv"), str(tmp_path / "run")
    assert main(["train", data, "--epochs", "3", "--hidden", "4", "--batch-size", "64", "--out", out]) == 0
    capsys.readouterr()
    assert main(["predict", out, data, "--interval", "0.8"]) == 0
    told = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    low, middle, high = (np.array([float(row[f"price{end}"]) for row in told]) for end in (" from", "", " to"))
    assert low + high == pytest.approx(2 * middle, rel=1e-5)
    assert 0.7 <= np.mean((low <= 1000 + 50 * Y) & (high >= 1000 + 50 * Y)) <= 0.95
    assert main(["predict", out, data, "--interval", "1.5"]) == 2
    assert "an interval has a probability" in capsys.readouterr().err
