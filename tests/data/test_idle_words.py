"""Words about how text is written, beside data that are no text: a table of words × forms."""

import numpy as np
import polars as pl
import pytest

from clearprop.data.readers.reading import Reading
from clearprop.data.table import load_table

FRAME = pl.DataFrame({"a": np.arange(40.0), "b": ["x", "y"] * 20, "t": [0.5, 1.5] * 20})
WORDS = {
    "missing": Reading(missing=("NA",)),
    "header": Reading(header=True),
    "decimal": Reading(decimal=","),
    "delimiter": Reading(delimiter=";"),
    "encoding": Reading(encoding="latin-1"),
}


def as_parquet(folder):
    FRAME.write_parquet(folder / "table.parquet")
    return str(folder / "table.parquet")


def as_arrow(folder):
    FRAME.write_ipc(folder / "table.arrow")
    return str(folder / "table.arrow")


TYPED = {"Parquet": as_parquet, "Arrow": as_arrow, "frame": lambda _: FRAME, "bundled": lambda _: "iris"}


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("form", TYPED)
def test_they_are_told_to_do_nothing(form, word, tmp_path):
    table = load_table(TYPED[form](tmp_path), None if form == "bundled" else "t", reading=WORDS[word])
    (told,) = [note for note in table.notes if "did nothing" in note]
    assert f"--{word} did nothing, since these data are no text" in told


@pytest.mark.parametrize("word", WORDS)
def test_of_text_they_are_not(word, tmp_path):
    separator = ";" if word in ("delimiter", "decimal") else ","
    text = FRAME.write_csv(separator=separator)
    (tmp_path / "table.csv").write_text(text.replace(".", ",") if word == "decimal" else text)
    reading = WORDS[word]
    table = load_table(str(tmp_path / "table.csv"), "t", reading=reading)
    assert not [note for note in table.notes if "did nothing" in note]


def test_without_such_words_nothing_is_told(tmp_path):
    assert not [note for note in load_table(as_parquet(tmp_path), "t").notes if "did nothing" in note]
