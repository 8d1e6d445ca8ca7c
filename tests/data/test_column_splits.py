"""Rows divided by time, by group and by a column of the file: at once and in blocks, by every door."""

from itertools import chain
from pathlib import Path
from unittest.mock import patch

import numpy as np
import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clearprop as cl
from clearprop.data.readers.reading import Reading, quoted_words, words_of
from clearprop.data.training_data import from_source
from clearprop.errors import ArgumentError, DataError
from tests.cli.conftest import command, eager

__all__ = ["command", "eager"]
N = 300
K = np.random.default_rng(0).permutation(N)
PART = [("Train", "TEST", "train", "valid", "training", "train")[k % 6] for k in range(N)]
DATA = polars.DataFrame(
    {
        "sold": [f"2024-{k // 25 % 12 + 1:02}-{k % 25 + 1:02}" for k in K],
        "customer": [f"{k * 7 % 23:03}" for k in range(N)],
        "part": PART,
        "area": [k % 17 + 0.5 for k in range(N)],
        "kind": [("a", "b", "c")[k % 3] for k in range(N)],
        "price": [None if k in (3, 40) else k % 17 * 2.0 + k % 3 + k / 100 for k in range(N)],
    }
)
ROWS = np.array([k for k in range(N) if k not in (3, 40)])
SOLD, CUSTOMER = DATA["sold"].to_numpy(), DATA["customer"].to_numpy()
WAYS = {"time": {"split": "time:sold"}, "group": {"group": "customer"}, "column": {"split": "column:part"}}


def saved(folder, form, data=DATA):
    path = folder / f"t.{form}"
    data.write_csv(path) if form == "csv" else data.write_parquet(path)
    return path


def read(path, words, in_blocks=False, **more):
    asked = {"validation": 0.2, "test": 0.2, "seed": 3, **more}
    reading = Reading.from_words(**words)
    with patch("clearprop.data.training_data.needs_streaming", lambda *_: in_blocks):
        return from_source(str(path), None, "auto", **asked, memory=24 * 10**6, reading=reading)


def numbers(data):
    return {name: [int(rows.numbers[k]) for k in range(len(rows.numbers))] for name, rows in data.rows.items()}


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("way", WAYS)
def test_parts_are_the_same_at_once_and_in_blocks(way, form, tmp_path):
    path = saved(tmp_path, form)
    whole, blocks = read(path, WAYS[way]), read(path, WAYS[way], in_blocks=True)
    assert not isinstance(blocks.train, tuple)
    assert numbers(whole) == numbers(blocks)
    assert sorted(chain(*numbers(whole).values())) == ROWS.tolist()
    assert whole.preprocessing == blocks.preprocessing
    assert np.array_equal(np.concatenate([x for x, _ in blocks.validation.pairs()]), whole.validation[0])
    told = [note for note in whole.told["notes"] if "divided" in note or "together" in note or "names" in note]
    assert len(told) == 1 and told[0] in blocks.told["notes"]


def test_by_time_the_latest_rows_test(tmp_path):
    parts = numbers(read(saved(tmp_path, "csv"), WAYS["time"]))
    assert [len(rows) for rows in parts.values()] == pytest.approx([178, 60, 60], abs=2)
    assert max(SOLD[parts["training"]]) < min(SOLD[parts["validation"]])
    assert max(SOLD[parts["validation"]]) < min(SOLD[parts["test"]])


def test_rows_of_one_time_stay_in_one_part(tmp_path):
    years = DATA.with_columns(polars.Series("year", [2019 + k % 4 for k in range(N)])).select("year", "area", "price")
    parts = numbers(read(saved(tmp_path, "csv", years), {"split": "time:year"}))
    assert {name: {2019 + k % 4 for k in rows} for name, rows in parts.items()} == {
        "training": {2019, 2020}, "validation": {2021}, "test": {2022},
    }  # fmt: skip


def test_no_group_is_in_two_parts(tmp_path):
    data = read(saved(tmp_path, "csv"), WAYS["group"])
    parts = numbers(data)
    groups = [set(CUSTOMER[rows]) for rows in parts.values()]
    assert sum(map(len, groups)) == len(set(CUSTOMER)) and len(groups) == 3
    assert [len(rows) for rows in parts.values()] == pytest.approx([178, 60, 60], abs=13)
    assert "customer" not in data.preprocessing.feature_columns
    used = read(saved(tmp_path, "csv"), {**WAYS["group"], "only": "customer,area"}).preprocessing
    assert "customer" in used.feature_columns
    other = numbers(read(saved(tmp_path, "csv"), WAYS["group"], seed=4))
    assert other != parts
    assert data.preprocessing.identifiers == ("customer",)


def test_a_column_names_the_parts(tmp_path):
    data = read(saved(tmp_path, "csv"), WAYS["column"])
    assert {name: {PART[k].lower()[:4] for k in rows} for name, rows in numbers(data).items()} == {
        "training": {"trai"}, "validation": {"vali"}, "test": {"test"},
    }  # fmt: skip
    two = DATA.with_columns(polars.col("part").str.replace("valid", "train"))
    parts = numbers(read(saved(tmp_path, "csv", two), WAYS["column"]))
    assert len(parts["validation"]) == round(0.2 * (len(ROWS) - len(parts["test"])))
    assert not any(PART[k] == "TEST" for k in parts["validation"])


MISTAKES = {
    "no such column": ({"split": "time:date"}, "no column named 'date'"),
    "words in no order": ({"split": "time:kind"}, "'kind' has no order in time"),
    "words that are no part": ({"split": "column:kind"}, "column 'kind' names no part of the data"),
    "too few groups": ({"split": "group:one"}, "'one' has too few different values"),
    "a gap": ({"split": "group:gap"}, "a row has no value in 'gap', which divides the rows"),
    "a gap in time": ({"split": "time:late"}, "a row has no value in 'late', which divides the rows"),
}


@pytest.mark.parametrize("in_blocks", [False, True])
@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name, in_blocks, tmp_path):
    words, headline = MISTAKES[name]
    data = DATA.with_columns(
        polars.lit("x").alias("one"),
        polars.Series("gap", [None if k == 7 else f"g{k % 9}" for k in range(N)]),
        polars.Series("late", [None if k == 9 else f"2024-03-{k % 25 + 1:02}" for k in range(N)]),
    ).select("one", "gap", "late", *DATA.columns)
    with pytest.raises(DataError) as caught:
        read(saved(tmp_path, "csv", data), words, in_blocks)
    assert caught.value.headline.startswith(headline)


@pytest.mark.parametrize("in_blocks", [False, True])
def test_a_class_that_training_lacks_is_refused(in_blocks, tmp_path):
    data = DATA.with_columns(
        polars.Series("kind", ["new" if s > "2024-12" else "abc"[i % 3] for i, s in enumerate(SOLD)])
    )
    with pytest.raises(DataError, match="the test part holds a class that the training part lacks"):
        read(saved(tmp_path, "csv", data.select("sold", "area", "kind")), WAYS["time"], in_blocks)


def test_what_is_said_of_splits_is_checked():
    for words in ({"split": "time"}, {"split": "random:x"}, {"split": "weekly:x"}, {"split": "time:x", "group": "y"}):
        with pytest.raises(ArgumentError):
            Reading.from_words(**words)


@pytest.mark.usefixtures("eager")
def test_the_command_line_divides_and_repeats_it(command):
    saved(Path(), "csv")
    result = command("train", "t.csv", "--split", "time:sold", "--drop", "part", "--epochs", "2", "--out", "run")
    assert result.code == 0 and "the rows are divided by 'sold'" in result.out.replace("\n", " ")
    run = cl.load("run")
    assert run.replay(3).digest
    with pytest.raises(DataError):
        cl.fit(cl.nn.mlp([1, 1]), "t.csv", split="time:kind")


def test_fit_takes_the_words_of_tables(tmp_path):
    words = {"split": "time:sold", "drop": ["part", "customer"], "kind": {"kind": "category"}, "missing": ["NA"]}
    known = read(saved(tmp_path, "csv"), {"split": "time:sold", "drop": "part,customer", "missing": "NA"})
    for source in (saved(tmp_path, "csv"), saved(tmp_path, "parquet"), DATA):
        model = cl.nn.mlp([known.train[0].shape[1], 1])
        run = cl.fit(model, source, validation=0.2, test=0.2, epochs=1, seed=3, progress=False, **words)
        assert run.preprocessing.columns == known.preprocessing.columns
        assert run.config.data.test == len(known.test[0])
        assert {"training", "validation", "test"} <= set(run.results)
    x = np.zeros((9, 1))
    for wrong in ({"drop": ["a"]}, {"test": 0.2}):
        with pytest.raises(ArgumentError, match="arrays have no columns with names"):
            cl.fit(cl.nn.mlp([1, 1]), (x, x), **wrong)
    for name, value in {"drop": 3, "kind": ["a"], "header": 2, "decimal": 1.0}.items():
        with pytest.raises(ArgumentError, match=f"this {name} is not understood"):
            cl.fit(cl.nn.mlp([1, 1]), DATA, **{name: value})


@given(st.lists(st.text("ab,;\"'= \n").map(str.strip).filter(bool)))
def test_words_come_back_from_their_text(words):
    assert words_of(quoted_words(words)) == tuple(words)
