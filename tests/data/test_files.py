"""Files as people have them (`files/`): the right values of every column, what is told, and what refuses to guess."""

from pathlib import Path

import numpy as np
import pytest

from clearprop.data.columns import as_category
from clearprop.data.readers.reading import Reading
from clearprop.data.streaming import memory
from clearprop.data.streaming.streamed_table import stream_table
from clearprop.data.table import load_table
from clearprop.data.training_data import from_source
from clearprop.errors import DataError

FILES = Path(__file__).parent / "files"
PLAIN = {"a": [5.29, 9.0], "b": [1, 3], "y": [10.57, 18.0]}
AREA = {"area": [1013, 3587], "y": [15.857, 27.0]}
PRICE = {"rooms": [2, 5], "area": [1013, 3587], "price": [120130, 205870]}
TOWN = {"ville": ["Nîmes", "Nîmes"], **AREA}
LEAK = "tells the target by itself"
# the options, the second and the last row of every column that is used, parts of what is told
READ = {
    "comment_lines.csv": ({}, PLAIN, ["1 line of comment skipped", LEAK]),
    "count_target.csv": ({}, {"a": [5.29, 9.0], "b": [1, 3], "n": ["5", "9"]}, ["--task regression, if they count"]),
    "currency.csv": ({}, PRICE, []),
    "dates.csv": ({}, {"when": [1612224000.0, 1628035200.0], "kind": ["b", "b"], "y": ["11", "71"]}, []),
    "datetimes.csv": ({}, {"when": [1612227660.0, 1628061540.0], "kind": ["b", "b"], "y": [11, 71]}, []),
    "eu_mixed_thousands.csv": ({"decimal": ","}, {"ort": ["B", "B"], "preis": [1501, 502], "wert": [3003, 1008]}, []),
    "id_column_1000up.csv": ({}, {"a": [3.7, 18.3], "y": [8.4, 38.6]}, []),
    "latin1.csv": ({}, TOWN, ["the text is read as cp1252"]),
    "missing_999.csv": ({}, PLAIN, []),
    "missing_dash.csv": ({"missing": "-"}, PLAIN, []),
    "no_header.csv": ({}, {"column 1": [5.29, 9.0], "column 2": [1, 3], "column 3": ["A", "A"]}, ["holds no names"]),
    "old_mac.csv": ({}, PLAIN, []),
    "percent_feature.csv": ({}, {"rate": [5.29, 9.0], "area": [1013, 3587], "good": ["no", "yes"]}, []),
    "pipe.csv": ({}, {"rate": [5.29, 9.0], **AREA}, ["a bar stands between fields"]),
    "quoted_newlines.csv": ({}, {"note": ['line 1\nsecond, "q"'] * 2, **AREA}, []),
    "rare_class.csv": (
        {},
        {"a": [5.29, 9.0], "b": [1, 3], "y": ["lo", "hi"]},
        ["2 classes have too few rows to be in every part: 'few' (2 rows), 'rare' (1 row); none in the validation"],
    ),
    "semicolon_comma_in_header.csv": ({}, {"rate, in %": [5.29, 9.0], **AREA}, ["a semicolon stands between"]),
    "semicolon_comma_thousandspoint.csv": ({}, {"rate": [5.29, 9.0], **AREA}, ["a comma stands before decimals"]),
    "tab_comma_header.tsv": ({}, {"rate, pct": [5.29, 9.0], **AREA}, []),
    "target_missing.csv": ({}, PLAIN, ["20 rows left out: no value in the target 'y'"]),
    "thousands.csv": ({}, PRICE, []),
    "thousands_feature.csv": ({}, PRICE, []),
    "tiny.csv": ({}, {"a": [2, 4], "b": [3, 5], "y": [5, 9]}, []),
    "trailing_comma.csv": ({}, PLAIN, ["a separator at the end of lines is no column"]),
    "utf16.csv": ({}, TOWN, ["the text is read as utf-16"]),
    "yesno01.csv": ({}, {"a": ["true", "true"], "b": ["true", "true"], "y": ["true", "true"]}, []),
    "zipcode_number.csv": (
        {"kind": "zip=category"},
        {"zip": ["16979", "10997"], "a": [5.29, 9], "y": [21.53, 3.9]},
        [],
    ),
}
REFUSED = {"eu_mixed_thousands.csv": "--decimal", "missing_dash.csv": "--missing '-'"}
NOTED = {
    "missing_999.csv": ("a", "-999 may stand for a missing value (--missing -999)"),
    "zipcode_number.csv": ("zip", "if these are codes: --kind zip=category"),
    "id_column_1000up.csv": ("customer_id", "it counts the rows"),
}


@pytest.fixture(autouse=True)
def _any_memory(monkeypatch):
    monkeypatch.setattr(memory, "LEAST_MEMORY", 1)
    monkeypatch.setattr(memory, "FIXED", 0)


def test_every_file_has_its_values():
    assert set(READ) == {path.name for path in FILES.iterdir()} - {"README.md"}


@pytest.mark.parametrize("name", READ)
def test_a_file_is_read_as_a_person_expects(name):
    words, values, told = READ[name]
    reading = Reading.from_words(**words)
    table = load_table(FILES / name, reading=reading)
    columns = {column.name: column for column in (*table.features, table.target)}
    assert list(columns) == list(values)
    for column, expected in values.items():
        found = columns[column] if not isinstance(expected[0], str) else as_category(columns[column])
        assert found.values[[1, -1]].tolist() == expected
    known = from_source(str(FILES / name), None, "auto", 0.15, 0.15 * (name != "tiny.csv"), 0, reading=reading)
    notes = " ".join(known.told["notes"])
    assert all(part in notes for part in told)
    test = 0.15 * (name != "tiny.csv")
    found = stream_table(FILES / name, name, None, "auto", 0.15, test, 0, 10**8, reading=reading)
    assert found.preprocessing == known.preprocessing
    assert np.array_equal(found.train.x.get(0, len(found.train)), known.train[0])


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_be_read_in_two_ways_is_refused(name):
    with pytest.raises(DataError) as problem:
        load_table(FILES / name)
    assert REFUSED[name] in str(problem.value).partition("try")[2]


@pytest.mark.parametrize("name", NOTED)
def test_what_looks_wrong_of_a_column_is_told(name):
    column, note = NOTED[name]
    rows = from_source(str(FILES / name), None, "auto", 0.15, 0.15, 0).told["columns"]
    assert [row["note"] for row in rows if row["column"] == column] == [note]


def test_rows_in_two_parts_and_columns_that_are_the_same_are_told(tmp_path):
    rows = [f"{i % 17 * 1.5},{i % 17 * 1.5},{i * 7 % 5},{i % 17 % 2}" for i in range(170)]
    (tmp_path / "t.csv").write_text("\n".join(["a,copy,c,y", *rows]) + "\n")
    notes = from_source(str(tmp_path / "t.csv"), None, "auto", 0.2, 0.2, 0).told["notes"]
    assert "columns 'a' and 'copy' hold the same" in notes
    assert any(note.endswith("rows of the test part stand in the training part, too") for note in notes)


@pytest.mark.parametrize("first", [10**18, 1.7e9])
def test_numbers_whose_digits_are_lost_are_told(tmp_path, first):
    rows = [f"{first + i * 7 % 120},{i * 7 % 5},{i % 17}" for i in range(170)]
    (tmp_path / "t.csv").write_text("\n".join(["big,c,y", *rows]) + "\n")
    notes = from_source(str(tmp_path / "t.csv"), None, "regression", 0.2, 0.2, 0).told["notes"]
    assert any("column big" in note and "digits are lost" in note for note in notes) is isinstance(first, int)


@pytest.mark.parametrize("target", ["number", "class"])
def test_a_column_that_gives_the_target_away_is_told_and_no_other(tmp_path, target):
    rng = np.random.default_rng(0)
    size, noise = rng.normal(size=(2, 300))
    y = size if target == "number" else (size > 0.3).astype(int)
    words = np.where(size > 0.3, "late", "early")
    lines = [f"{s * 3 + 1:.6f},{n:.6f},{w},{t}" for s, n, w, t in zip(size, noise, words, y, strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(["size,noise,word,y", *lines]) + "\n")
    notes = from_source(str(tmp_path / "t.csv"), None, "auto", 0.2, 0.2, 0).told["notes"]
    told = [note for note in notes if LEAK in note]
    assert len(told) == 1
    assert told[0].startswith("column 'size'" if target == "number" else "each of the columns size, word")
