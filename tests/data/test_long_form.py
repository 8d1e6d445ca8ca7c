"""Tables in long form: rows of one identifier, in order of time, are one example, at every door."""

import json

import numpy as np
import polars
import pytest

import clearprop as cl
from clearprop.data.columns import as_category
from clearprop.data.preprocessing import Preprocessing
from clearprop.data.readers.reading import Reading
from clearprop.data.training_data import from_source
from clearprop.errors import ArgumentError, DataError, RunError
from tests.cli.conftest import command, eager

__all__ = ["command", "eager"]
RNG = np.random.default_rng(5)
LENGTHS = RNG.integers(1, 8, 60)
IDS = [f"{k:02}" for k in range(60)]  # 00, 01, … are no numbers
STEPS = [(k, t) for k in range(60) for t in range(LENGTHS[k])]
PULSE = {step: None if RNG.random() < 0.1 else float(round(RNG.normal() + step[0] % 2, 3)) for step in STEPS}
WARD = {step: "abc"[RNG.integers(3)] for step in STEPS}
ORDER = RNG.permutation(len(STEPS))
DATA = polars.DataFrame(
    {
        "patient": [IDS[STEPS[i][0]] for i in ORDER],
        "day": [f"2024-02-{STEPS[i][1] + 1:02}" for i in ORDER],
        "pulse": [PULSE[STEPS[i]] for i in ORDER],
        "ward": [WARD[STEPS[i]] for i in ORDER],
        "part": [("train", "test", "valid", "train")[STEPS[i][0] % 4] for i in ORDER],
        "trend": [("down", "up")[STEPS[i][0] % 2] for i in ORDER],
    }
)
BY = {"sequence": "patient:day"}
FIRST = list(dict.fromkeys(DATA["patient"]))  # in the order of the file


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "long.csv"
    DATA.write_csv(path)
    return path


def read(path, validation=0.2, test=0.2, target=None, **words):
    words = {"drop": "part", **words} if words.get("split", "") != "column:part" else words
    reading = Reading.from_words(**BY, **words)
    return from_source(str(path), target, "auto", validation, test, 3, reading=reading)


def by_hand(ids, learned, steps=7):
    """The encoded sequences of these identifiers, the numbers standardised by the steps of the `learned` ones."""
    known = [PULSE[s] for s in STEPS if IDS[s[0]] in learned and PULSE[s] is not None]
    centre, scale, fill = np.mean(known), np.std(known), np.median(known)
    gaps = np.mean([PULSE[s] is None for s in STEPS if IDS[s[0]] in learned]) > 0.05
    rows = np.zeros((len(ids), steps, 1 + gaps + 3 + 1), np.float32)
    for row, name in enumerate(ids):
        for t in range(LENGTHS[IDS.index(name)]):
            step = (IDS.index(name), t)
            value = fill if PULSE[step] is None else PULSE[step]
            missing = [float(PULSE[step] is None)] if gaps else []
            rows[row, t] = [(value - centre) / scale, *missing, *(float(WARD[step] == w) for w in "abc"), 1.0]
    return rows.reshape(len(ids), -1)


def identifiers(rows):
    return as_category(rows.identifiers[0]).values.tolist()


@pytest.mark.parametrize(
    "words", [{}, {"split": "group:patient"}, {"split": "column:part"}, {"split": "time:day"}], ids=str
)
def test_sequences_are_those_put_together_by_hand(file, words):
    data = read(file, **words)
    learned = identifiers(data.rows["training"])
    for name, (x, y) in data.parts.items():
        ids = identifiers(data.rows[name])
        np.testing.assert_allclose(x, by_hand(ids, learned), rtol=1e-5, atol=1e-6)
        assert y.tolist() == [IDS.index(one) % 2 for one in ids]
        assert ids == sorted(ids, key=FIRST.index)
        if words.get("split") == "column:part":
            assert {("training", "test", "validation", "training")[IDS.index(one) % 4] for one in ids} == {name}
    told = data.told["notes"]
    assert "rows are steps: 60 sequences of 1 to 7 by 'patient', ordered by 'day'" in told


def test_any_row_of_a_sequence_stands_for_it(file):
    data = read(file)
    for number, i in enumerate(ORDER):
        part, place = data.locate(number)
        assert identifiers(data.rows[part])[place] == IDS[STEPS[i][0]]
    assert data.locate(len(ORDER)) is None
    assert data.rows["training"].text(0).endswith(f"patient {identifiers(data.rows['training'])[0]})")


def test_the_numbers_of_other_parts_do_not_enter(file, tmp_path):
    data = read(file)
    learned = set(identifiers(data.rows["training"]))
    moved = DATA.with_columns(
        polars.when(polars.col("patient").is_in(learned))
        .then("pulse")
        .otherwise(polars.col("pulse") * 100)
        .alias("pulse")
    )
    moved.write_csv(tmp_path / "moved.csv")
    np.testing.assert_array_equal(read(tmp_path / "moved.csv").train[0], data.train[0])


def test_what_was_fitted_comes_back_from_its_text(file):
    fitted = read(file).preprocessing
    text = fitted.to_json()
    assert Preprocessing.from_json(text) == fitted
    for name, wrong in (("steps", 0), ("order", "sideways"), ("time", ""), ("identifier", 3)):
        document = json.loads(text)
        document["sequence"][name] = wrong
        with pytest.raises(RunError, match="stored preprocessing"):
            Preprocessing.from_json(json.dumps(document))


def test_longer_sequences_are_told_and_their_last_steps_read(file):
    fitted = read(file).preprocessing
    longer = polars.DataFrame(
        {"day": [f"2024-03-{t + 1:02}" for t in range(9)], "patient": ["x"] * 9, "pulse": [0.0] * 9}
    ).with_columns(ward=polars.Series(["b", "a", *"ccccccc"]))
    longer.write_csv(file.parent / "longer.csv")
    encoded = fitted.encode(str(file.parent / "longer.csv"))
    assert encoded.report.lines()[0] == (
        "1 sequence longer than the 7 steps of the longest in training: of these the last 7 are read"
    )
    steps = encoded.x.reshape(7, -1)
    assert steps[:, -2].tolist() == [1.0] * 7 and encoded.rows.tolist() == [0]


def test_a_target_that_stands_before_the_steps_that_are_read_is_found(file):
    fitted = read(file).preprocessing
    path = file.parent / "longer.csv"
    rows = {"day": [f"2024-03-{t + 1:02}" for t in range(9)], "patient": ["x"] * 9, "pulse": [0.0] * 9}
    longer = polars.DataFrame({**rows, "ward": ["a"] * 9, "trend": ["up", *[None] * 8]})
    longer.write_csv(path)
    encoded = fitted.encode(str(path), with_target=True)
    assert encoded.y.tolist() == [1]
    longer.with_columns(trend=polars.Series(["up", *["down"] * 8])).write_csv(path)
    with pytest.raises(DataError, match="'trend' changes within a sequence"):
        fitted.encode(str(path), with_target=True)


def changed(**columns):
    return DATA.with_columns(**{name: polars.Series(values) for name, values in columns.items()})


DAYS, WARDS, NAMES = DATA["day"].to_list(), DATA["ward"].to_list(), DATA["patient"].to_list()
SAME = next(i for i in range(1, len(NAMES)) if NAMES[i] == NAMES[0])
REFUSED = {
    "a target that changes": ({"target": "ward"}, DATA, "'ward' changes within a sequence, which has one value of it"),
    "the identifier": ({"target": "patient"}, DATA, "'patient' tells sequences apart, and cannot be learned of them"),
    "two rows of one time": (
        {},
        changed(day=[*DAYS[:SAME], DAYS[0], *DAYS[SAME + 1 :]]),
        "two rows of one sequence have the same time",
    ),
    "no time": ({}, changed(day=["", *DAYS[1:]]), "a row has no value in 'day', which says its place in it"),
    "no identifier": (
        {},
        changed(patient=["", *NAMES[1:]]),
        "a row has no value in 'patient', which says its sequence",
    ),
    "a column called as the mask": (
        {},
        DATA.with_columns(there=1.0 * polars.Series(range(len(NAMES)))),
        "a column is called 'there', as what says which steps of a sequence are there",
    ),
    "words for times": ({"sequence": "patient:ward"}, DATA, "'ward' has no order in time"),
    "one column": ({"sequence": "patient"}, DATA, "--sequence cannot be 'patient'"),
    "one column twice": ({"sequence": "day:day"}, DATA, "--sequence cannot be 'day:day'"),
    "a name that is none": ({"sequence": "patiant:day"}, DATA, "no column named 'patiant'"),
    "a part that changes": (
        {"split": "column:part"},
        changed(part=["test" if i == SAME else "train" for i in range(len(NAMES))]),
        "'part' changes within a sequence, which has one value of it",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_put_together_is_refused(case, tmp_path):
    words, data, told = REFUSED[case]
    data.write_csv(tmp_path / "t.csv")
    target = words.get("target")
    with pytest.raises((DataError, ArgumentError)) as caught:
        reading = Reading.from_words(**{**BY, **{k: v for k, v in words.items() if k != "target"}})
        from_source(str(tmp_path / "t.csv"), target, "auto", 0.2, 0.2, 0, reading=reading)
    assert caught.value.headline == told and caught.value.expected and caught.value.got and caught.value.where


def test_a_column_called_as_the_mask_that_is_left_out_does_no_harm(file, tmp_path):
    more = DATA.with_columns(there=1.0 * polars.Series(range(len(NAMES))))
    more.write_csv(tmp_path / "more.csv")
    found, known = (
        from_source(str(path), "trend", "auto", 0.2, 0.2, 0, reading=Reading.from_words(**BY, **words))
        for path, words in ((tmp_path / "more.csv", {"drop": "there"}), (file, {}))
    )
    np.testing.assert_array_equal(found.train[0], known.train[0])


def test_a_table_that_would_be_streamed_is_refused(file):
    with pytest.raises(DataError, match="a table of sequences is not streamed"):
        from_source(str(file), None, "auto", 0.2, 0.2, 0, 1000, reading=Reading.from_words(**BY))


def test_a_target_in_one_row_of_each_sequence_is_that_of_all(file, tmp_path):
    last = {name: i for i, name in enumerate(NAMES)}
    lone = changed(trend=[t if last[NAMES[i]] == i else None for i, t in enumerate(DATA["trend"])])
    lone.write_csv(tmp_path / "lone.csv")
    np.testing.assert_array_equal(read(tmp_path / "lone.csv").train[1], read(file).train[1])


@pytest.mark.parametrize(
    ("model", "source"),
    [("lstm", "path"), ("gru", "polars"), ("rnn", "columns"), ("transformer", "path"), (None, "polars")],
)
def test_every_network_learns_at_every_door(file, source, model, eager, tmp_path):
    data = {"path": file, "polars": DATA, "columns": DATA.to_dict(as_series=False)}[source]
    model = cl.nn.mlp("auto") if model is None else model
    run = cl.fit(model, data, sequence="patient:day", drop="part", validation=0.2, epochs=1, out=tmp_path / "run")
    again = cl.load(tmp_path / "run")
    answers = run.predict(DATA)
    assert len(answers) == 60 and set(answers) <= {"up", "down"}
    np.testing.assert_array_equal(again.predict(data), answers)
    known = [("down", "up")[IDS.index(name) % 2] for name in FIRST]
    assert run.evaluate(data)["accuracy"] == pytest.approx(np.mean(answers == np.array(known)))


def test_networks_by_name_learn_quantiles(file, eager):
    data = DATA.with_columns(size=polars.col("patient").cast(float))
    run = cl.fit("gru", data, sequence="patient:day", drop=["part", "trend"], quantiles=[0.1, 0.9], epochs=1)
    assert run.predict(data).shape == (60, 2) and type(run.model.layers[-1]).__name__ == "Increasing"
    run = cl.fit("gru", data, sequence="patient:day", drop=["part", "trend"], loss="gaussian_nll", epochs=1)
    assert run.predict(data).shape == (60, 3) and type(run.model.layers[-1]).__name__ == "NormalInterval"


def test_the_command_line_trains_predicts_and_explains(file, command, eager):
    words = ("--sequence", "patient:day", "--drop", "part", "--epochs", 1, "--hidden", 4, "--out", "run")
    assert command("train", file, *words).code == 0
    result = command("predict", "run", file)
    lines = [line.split(",")[:2] for line in result.out.splitlines()]
    assert lines[0] == ["row", "patient"] and [name for _, name in lines[1:]] == FIRST
    assert [int(row) for row, _ in lines[1:]] == [NAMES.index(name) for name in FIRST]
    assert "60 rows" in command("evaluate", "run", file).out
    told = command("explain", "run", "--row", SAME, "--param", "pulse").out
    assert f"patient {NAMES[SAME]}" in told and "∂loss/∂pulse[" in told
    assert "there" in command("importance", "run", "--repeats", 1).out
    assert command("report", "run").code == 0
    assert command("train", "--resume", "run").code == 0
    refused = command("export", "run", "--format", "onnx", "-o", "x.onnx")
    assert refused.code == 2 and "rows cannot be put together to sequences in ONNX" in refused.err
    refused = command("train", file, *words[:4], "--model", "mlp")
    assert refused.code == 2 and "--model mlp does not read sequences" in refused.err
