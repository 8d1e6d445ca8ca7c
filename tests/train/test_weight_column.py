"""A column that says how much each row of a table counts: in memory and streamed, at every door."""

import numpy as np
import polars
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error

import clearprop as cl
from clearprop.cli import main
from clearprop.comparison.trials import Setup, compare
from clearprop.data.preprocessing import Preprocessing
from clearprop.data.readers.reading import Reading
from clearprop.data.streaming.streamed_table import stream_table
from clearprop.data.training_data import from_source
from clearprop.train.baselines import baselines_of
from clearprop.train.executor import eager_executor
from clearprop.train.metrics import find_loss, find_metrics, in_units

R = np.random.default_rng(2)
FRAME = polars.DataFrame({"a": R.normal(size=90), "b": R.normal(size=90), "w": R.integers(0, 4, size=90) / 2})
FRAME = FRAME.with_columns(y=FRAME["a"] * 2 - FRAME["b"], c=polars.Series(np.where(FRAME["a"] > 0.3, "yes", "no")))
READING = Reading.from_words(weight="w")


@pytest.fixture(autouse=True)
def uncompiled(monkeypatch):
    """A few steps are taken as they are written: compiling would take longer than all of them."""
    for module in ("job", "rate_range"):
        monkeypatch.setattr(f"clearprop.train.{module}.choose_executor", eager_executor)


@pytest.fixture
def path(tmp_path):
    FRAME.drop("c").write_csv(tmp_path / "t.csv")
    return tmp_path / "t.csv"


def test_weights_follow_their_rows_and_are_no_feature(path):
    data = from_source(str(path), "y", "auto", 0.2, 0.2, 0, reading=READING)
    assert data.preprocessing.feature_names == ("a", "b")
    assert "it weighs the rows" in data.told["columns"][-1]["note"] + str(data.preprocessing.dropped)
    for name, rows in data.rows.items():
        known = FRAME["w"].to_numpy()[rows.numbers]
        assert data.weights[name] == pytest.approx(known / known.mean(), rel=1e-12), name


def test_streamed_rows_have_the_same_weights(path):
    whole = from_source(str(path), "y", "auto", 0.2, 0.2, 3, reading=READING)
    found = stream_table(path, "t.csv", "y", "auto", 0.2, 0.2, 3, 24 * 10**6, reading=READING)
    assert found.preprocessing == whole.preprocessing
    for name, rows in {"training": found.train, "validation": found.validation, "test": found.test}.items():
        x, _, weight = next(rows.batches())
        assert np.array_equal(weight, whole.weights[name].astype(np.float32)), name
        assert np.array_equal(x, whole.parts[name][0]), name
    assert np.array_equal(found.train.sample_weights(10**6), whole.weights["training"].astype(np.float32))


def test_the_column_is_stored_and_evaluation_needs_it(path, tmp_path):
    run = cl.fit(
        cl.nn.mlp(hidden=[4]), path, target="y", sample_weight="w", validation=0.2, test=0.3, epochs=2, progress=False,
        out=tmp_path / "run",
    )  # fmt: skip
    again = cl.load(tmp_path / "run")
    assert (
        again.preprocessing.weight == "w"
        and Preprocessing.from_json(again.preprocessing.to_json()) == again.preprocessing
    )
    tested = FRAME.drop("c")[run.workings.plan().data.rows["test"].numbers.tolist()]
    assert again.evaluate(tested) == pytest.approx(dict(run.results["test"]), rel=1e-5)
    assert len(again.predict(tested.drop("w", "y"))) == len(tested)
    with pytest.raises(cl.errors.DataError, match="1 column of training missing: w"):
        again.evaluate(tested.drop("w"))


def test_importance_begins_with_the_score_by_weight(path):
    settings = {"target": "y", "sample_weight": "w", "validation": 0.3, "epochs": 2, "progress": False}
    run = cl.fit(cl.nn.mlp(hidden=[4]), path, metrics=("r2",), **settings)
    assert run.importance(repeats=1).base == pytest.approx(run.results["validation"]["r2"], rel=1e-5)
    given = FRAME.drop("c")
    assert run.importance(given, repeats=1).base == pytest.approx(run.evaluate(given)["r2"], rel=1e-5)


def test_optimizers_are_compared_on_weighted_rows(path):
    setup, found = Setup(hidden=(4,), epochs=1, batch_size=100, seeds=1), []
    for words in ({"weight": "w"}, {"drop": "w"}):
        data = from_source(str(path), "y", "auto", 0.2, 0.0, 0, reading=Reading.from_words(**words))
        found.append(compare(data, ["sgd"], setup)[0].traces[0].train[0])
    weighted, plain = found
    assert weighted != pytest.approx(plain, rel=1e-3)


def test_validation_frames_bring_their_own_weights():
    train, held = FRAME.drop("c")[:60], FRAME.drop("c")[60:]
    settings = {"target": "y", "epochs": 2, "progress": False, "metrics": ("mae",)}
    run = cl.fit(cl.nn.mlp(hidden=[4]), train, sample_weight="w", validation=held, **settings)
    errors = np.abs(run.predict(held) - held["y"].to_numpy())
    assert run.results["validation"]["mae"] == pytest.approx(np.average(errors, weights=held["w"]), rel=1e-5)


@pytest.mark.parametrize("target", ["y", "c"])
def test_the_constant_baseline_counts_rows_by_weight(target):
    frame = FRAME.drop("y" if target == "c" else "c").with_columns(w=(FRAME["w"] * 2).cast(polars.Int64))
    twice = frame[np.repeat(np.arange(90), frame["w"]).tolist()].drop("w")
    loss, metric = ("cross_entropy", "accuracy") if target == "c" else ("mse", "mae")
    found = []
    for data, words in ((frame, {"weight": "w"}), (twice, {})):
        prepared = from_source(data, target, "auto", 0.0, 0.0, 0, reading=Reading.from_words(**words))
        metrics = in_units(find_metrics((metric,)), prepared.preprocessing, loss)
        found.append(baselines_of(prepared, find_loss(loss), metrics).constant[metric])
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_the_linear_baseline_is_scikit_learns_by_weight():
    data = from_source(FRAME.drop("c"), "y", "auto", 0.0, 0.0, 0, reading=READING)
    (x, y), weight = data.train, data.weights["training"]
    known = Ridge().fit(x, y[:, 0], sample_weight=weight)
    said = known.predict(x.astype(np.float64))
    loss = baselines_of(data, find_loss("mse"), ()).linear["loss"]
    assert loss == pytest.approx(mean_squared_error(y[:, 0], said, sample_weight=weight), rel=1e-4)


def test_the_command_line_weighs_and_opens_the_run_again(path, tmp_path, capsys):
    words = ["--target", "y", "--weight", "w", "--epochs", "2", "--hidden", "4", "--batch-size", "64", "--lr", "auto"]
    assert main(["train", str(path), *words, "--out", str(tmp_path / "run")]) == 0
    run = cl.load(tmp_path / "run")
    assert run.config.command["weight"] == "w"
    assert np.array_equal(run.replay(run.steps).model.layers[0].weight, run.last.layers[0].weight)
    capsys.readouterr()
    assert main(["train", "--resume", str(tmp_path / "run"), "--epochs", "3"]) == 0
    assert main(["evaluate", str(tmp_path / "run"), str(path)]) == 0


@pytest.mark.parametrize(
    ("change", "weight", "words"),
    [
        ({"w": None}, "w", "column 'w' cannot weigh the rows"),
        ({"w": -1.0}, "w", "an empty|-1"),
        ({"w": 0.0}, "w", "no row of the training part counts"),
        ({"w": "much"}, "w", "'much'"),
        ({}, "y", "'y' is the target, for which --weight cannot be"),
        ({}, "v", "no column named 'v'"),
    ],
)
def test_what_cannot_weigh_is_refused_in_memory_and_streamed(tmp_path, change, weight, words):
    frame = FRAME.drop("c").with_columns(polars.lit(value).alias(name) for name, value in change.items())
    frame.write_csv(tmp_path / "t.csv")
    reading, told = Reading.from_words(weight=weight), []
    for memory in (None, 24 * 10**6):
        with pytest.raises(cl.errors.DataError, match=words) as caught:
            if memory is None:
                from_source(str(tmp_path / "t.csv"), "y", "auto", 0.2, 0.2, 0, reading=reading)
            else:
                stream_table(
                    tmp_path / "t.csv", str(tmp_path / "t.csv"), "y", "auto", 0.2, 0.2, 0, memory, reading=reading
                )
        told.append(str(caught.value))
    assert told[0].splitlines()[:3] == told[1].splitlines()[:3]
