"""Labels of every kind in an array are learned, kept with the run, and predicted as they came."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pytest

import clearprop as cl
from clearprop.data.array_labels import require_one_kind, text_labels
from clearprop.data.parts import sample_rows
from clearprop.errors import ArgumentError, DataError
from clearprop.reporting.numbers import _classes
from clearprop.train.job import _check_labels
from clearprop.train.metrics import find_loss

pytestmark = pytest.mark.usefixtures("eager")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 2))
TRUE = X[:, 0] > 0
CODES = TRUE.astype(np.int64)
BIG = 2**53
WORDS = np.array(["egg", "spam ⚠"])
KINDS = {
    "bool": TRUE,
    "bool column": TRUE[:, None],
    **{f"{name}": CODES.astype(name) for name in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">i4")},
    "whole floats": CODES.astype(np.float32),
    "floats": 0.5 + CODES,
    "a float that is no short decimal": np.float32(0.1) + CODES.astype(np.float32),
    "column of whole numbers": CODES[:, None],
    "column of floats": CODES[:, None] * 1.0,
    "minus one and one": 2 * CODES - 1,
    "from one": (CODES + 1).astype(np.uint8),
    "beyond floats": BIG + CODES,
    "beyond int64": np.uint64(2**63) + CODES.astype(np.uint64),
    "text": WORDS[CODES],
    "text column": WORDS[CODES][:, None],
    "list of text": WORDS[CODES].tolist(),
    "objects": WORDS.astype(object)[CODES],
    "objects that are numbers": CODES.astype(object),
    "text that looks like numbers": np.array(["007", "7"])[CODES],
    "text that looks like truth values": np.array(["true", "false"])[CODES],
    "bytes": np.char.encode(WORDS, "utf-8")[CODES],
    "strings of variable length": WORDS[CODES].astype(np.dtypes.StringDType()),
    "pandas text": pd.Series(WORDS[CODES]),
    "pandas categories": pd.Series(WORDS[CODES], dtype="category"),
    "pandas categories of numbers": pd.Series(CODES + 3, dtype="category"),
    "pandas frame": pd.DataFrame({"y": WORDS[CODES]}),
    "pandas nullable": pd.Series(CODES, dtype="Int8"),
    "pandas truth values": pd.Series(TRUE, dtype="boolean"),
    "polars text": pl.Series(WORDS[CODES]),
    "polars categories": pl.Series(WORDS[CODES], dtype=pl.Enum(list(WORDS))),
    "polars truth values": pl.Series(TRUE),
    "tensor": cl.tensor(CODES),
}


def learned(y, outputs=2, **options):
    options = {
        "epochs": 12,
        "batch_size": 60,
        "optimizer": cl.optim.adam(0.5),
        "loss": None,
        **options,
    }
    if np.asarray(y).dtype.kind == "f" and options["loss"] is None:
        options["loss"] = "cross_entropy"
    return cl.fit(cl.nn.Dense(2, outputs), (X, y), **options)


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_are_the_labels(kind, tmp_path):
    y = KINDS[kind]
    run = learned(y, validation=0.2, out=tmp_path / "run")
    came = np.asarray(y).reshape(-1)
    came = came.astype(came.dtype.newbyteorder("=")) if came.dtype.kind in "iuf" else came
    came = came.astype(np.array(came.tolist()).dtype) if not isinstance(came[0], str) and came.dtype == object else came
    for each in (run, cl.load(tmp_path / "run")):
        found = each.predict(X)
        assert found.shape == (60,) and found.dtype.kind == came.dtype.kind
        assert came.dtype.kind in "USOT" or found.dtype == came.dtype
        assert (found == came).mean() > 0.9
        assert each.evaluate(X, y)["loss"] == run.evaluate(X, y)["loss"] < 0.2
    with (
        pytest.raises(DataError, match="class that training did not have")
        if run.class_names[0] != "0"
        else (pytest.raises(cl.ClearpropError))
    ):
        run.evaluate(X, ["another"] * 60)


@pytest.mark.parametrize(
    "kind", ["bool", "u1", "whole floats", "text", "from one", "column of whole numbers", "text column"]
)
def test_one_output_tells_two_classes_apart(kind):
    y = KINDS[kind]
    run = learned(y, outputs=1, loss="binary_cross_entropy")
    found = run.predict(X)
    assert found.shape == (60,)
    assert found.dtype == np.asarray(y).dtype
    assert (found == np.asarray(y).reshape(-1)).mean() > 0.9


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_every_output_may_answer_yes_or_no(dtype):
    y = np.stack([TRUE, X[:, 1] > 0, ~TRUE], axis=1).astype(dtype)
    found = learned(y, outputs=3, loss="binary_cross_entropy").predict(X)
    assert found.dtype == dtype
    assert (found == y).mean() > 0.9


@pytest.mark.parametrize("kind", ["text", "beyond floats", "bool", "from one", "floats"])
def test_the_same_network_is_learned_as_from_counted_labels(kind):
    """The classes are called by names: nothing else changes."""
    counted, named = learned(CODES), learned(KINDS[kind])
    for path, array in counted.model.parameters().items():
        assert np.array_equal(np.asarray(array), np.asarray(named.model.parameters()[path]))


def test_a_network_takes_its_outputs_from_the_classes():
    free = cl.nn.mlp(hidden=[4])
    for y, outputs in [(WORDS[CODES], 2), (CODES * 10**9, 2), (CODES.astype(np.uint8), 2), (2 * CODES - 1, 2)]:
        run = cl.fit(free, (X, y), epochs=8, batch_size=60, optimizer=cl.optim.adam(0.2), progress=False)
        assert run.outputs(X).shape == (60, outputs)
        assert (run.predict(X) == y).mean() > 0.9


def test_a_run_goes_on_with_its_classes_alone(tmp_path):
    run = learned(WORDS[CODES], out=tmp_path / "run", epochs=2)
    longer = learned(WORDS[CODES], resume=tmp_path / "run", epochs=4)
    assert longer.steps == 2 * run.steps
    with pytest.raises(cl.errors.RunError, match="can only be resumed as it was started"):
        learned(np.array(["a", "b"])[CODES], resume=tmp_path / "run", epochs=6)
    fork = run.fork(run.steps, {"epochs": 4})
    assert fork.predict(X).tolist() == longer.predict(X).tolist()


def test_a_folder_that_kept_no_labels_goes_on(tmp_path):
    learned(CODES, out=tmp_path / "run", epochs=2)
    file = tmp_path / "run" / "config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    del config["data"]["labels"]
    file.write_text(json.dumps(config), encoding="utf-8")
    assert cl.load(tmp_path / "run").predict(X).dtype == np.int64
    assert learned(CODES, resume=tmp_path / "run", epochs=4).status == "done"


def test_names_are_shown_where_classes_are():
    run = learned(WORDS[CODES], class_weight={"egg": 2.0})
    assert run.config.settings.class_weight == {"egg": 2.0, "spam ⚠": 1.0}
    assert _classes(run, run.outputs(X)) == ("egg", "spam ⚠")
    assert run.explain_prediction(X[0]).answer in ("p(egg)", "p(spam ⚠)")
    assert run.importance(X, WORDS[CODES], repeats=1).metric == "accuracy"


def test_parts_are_encoded_by_the_classes_of_the_training():
    run = learned(WORDS[CODES], validation=(X[:20], WORDS[CODES][:20]), test=(X[20:], list(WORDS[CODES][20:])))
    assert run.summary.test["loss"] < 0.2
    rare = np.where(np.arange(60) == 7, "rare", WORDS[CODES])
    for seed in range(3):  # wherever the one row of that class falls
        assert len(learned(rare, outputs=3, validation=0.3, epochs=1, seed=seed).class_names) == 3


REFUSED = {
    "gaps": ((np.array(["a", None] * 30, dtype=object),), DataError, "y of data cannot be used as labels"),
    "text beside numbers": ((np.array(["a", 1] * 30, dtype=object),), DataError, "y of data cannot be used as labels"),
    "masked": ((np.ma.array(WORDS[CODES], mask=TRUE),), DataError, "y of data holds masked values"),
    "two texts a row": ((np.stack([WORDS[CODES]] * 2, 1),), DataError, "y of data cannot be used as labels"),
    "half a character": ((np.array(["a", "\ud800"])[CODES],), DataError, "y of data cannot be used as labels"),
    "bytes that are no text": ((np.array([b"a", b"\xff"])[CODES],), DataError, "y of data cannot be used as labels"),
    "a loss of numbers": ((WORDS[CODES], 1, "mse"), ArgumentError, "mse compares numbers"),
    "more outputs than classes": ((WORDS[CODES], 3), ArgumentError, "not as many as the classes"),
    "too few outputs": ((np.array(["a", "b", "c"])[np.arange(60) % 3], 2), ArgumentError, "not as many as the classes"),
    "numbers that count nothing": ((CODES + np.arange(60) % 3,), ArgumentError, "label outside its range"),
    "shares outside": ((CODES * 2.0, 1, "binary_cross_entropy"), ArgumentError, "label outside its range"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name, tmp_path):
    (y, *rest), error, text = REFUSED[name]
    more = dict(zip(("outputs", "loss"), rest, strict=False))
    with pytest.raises(error, match=text):
        learned(y, out=tmp_path / "run", **more)
    assert not (tmp_path / "run").exists()


def test_a_frame_whose_classes_are_fewer_than_the_outputs_is_refused():
    frame = pl.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": WORDS[CODES]})
    with pytest.raises(ArgumentError, match="not as many as the classes"):
        cl.fit(cl.nn.mlp([2, 3]), frame, epochs=1)
    run = cl.fit(cl.nn.mlp([2, 1]), frame, loss="binary_cross_entropy", epochs=2)
    assert run.predict(frame).shape == (60,)
    assert set(run.summary.baseline["linear"]) == {"loss", "accuracy"}


OUTSIDE = {
    "too large": (7, "cross_entropy", "label 7 at index 31"),
    "below 0": (-1, "cross_entropy", "label -1 at index 31"),
    "of two classes": (2, "binary_cross_entropy", "label 2 at index 31"),
    "an amount below 0": (-0.5, "poisson", "-0.5 at index 31"),
    "no amount": (np.nan, "poisson", "nan at index 31"),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_the_first_of_the_numbers_outside_is_named_though_extremes_are_looked_at_first(name):
    wrong, loss, said = OUTSIDE[name]
    model = cl.nn.mlp([2, 2 if loss == "cross_entropy" else 1])
    outputs, y = np.asarray(model(X[:1])), CODES.astype(np.float32 if loss == "poisson" else np.int64)
    y = y[:, None] if model(X[:1]).shape[1] == 1 else y
    measure = find_loss(loss)
    _check_labels(measure, outputs, y)
    y[31], y[45] = wrong, wrong
    with pytest.raises(ArgumentError, match=said):
        _check_labels(measure, outputs, y)


def test_a_sample_of_rows_holds_none_twice():
    for rows in (2, 3, 10, 20_001, 38_400, 10**6):
        for number in {1, 2, rows // 2, rows - 1}:
            chosen, _ = sample_rows((np.arange(rows), np.arange(rows)), number)
            assert len(chosen) == number and (np.diff(chosen) > 0).all(), (rows, number)


@pytest.mark.parametrize("gap", [None, np.nan, pd.NA, pd.NaT], ids=repr)
@pytest.mark.parametrize("form", [lambda y: pd.Series(y, dtype=object), lambda y: np.array(y, dtype=object), list])
def test_gaps_beside_text_are_named_whatever_they_are(gap, form):
    for door in (require_one_kind, text_labels):
        with pytest.raises(DataError, match="1 row without text") as error:
            door(form(["a", gap]), "y")
        assert "leave those rows out" in str(error.value)


def test_a_series_of_strings_with_na_and_rows_of_several_lengths_are_refused_in_our_words():
    with pytest.raises(DataError, match="leave those rows out"):
        require_one_kind(pd.Series(["a", pd.NA], dtype="string"), "y")
    with pytest.raises(DataError, match="several lengths"):
        require_one_kind([[1, 2], [3]], "y")
