"""Of a large table that is read whole numbers lie on disk: every column is what it is in memory, by every bit."""

import csv
import os
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars
import pytest

from clearprop.data.readers import csv_file, formats, number_columns, typed_tables
from clearprop.data.readers.number_columns import NumberColumns
from clearprop.data.readers.reading import Reading
from clearprop.data.readers.sources import read
from clearprop.data.streaming import scratch
from clearprop.data.training_data import from_source
from clearprop.errors import DataError, RunError
from tests.tiers import diagonal

ROWS = 700
NUMBERS = np.random.default_rng(0).normal(size=ROWS)
DAYS = [datetime(2021, 1, 1) + timedelta(days=k % 500, seconds=k) for k in range(ROWS)]
COLUMNS = {
    "size": NUMBERS.tolist(),
    "far": (NUMBERS * 1e9 + 1e15).tolist(),
    "gaps": [None if k % 5 == 0 else -0.0 if k % 7 == 0 else k / 7 for k in range(ROWS)],
    "large": [2**53 + k % 3 for k in range(ROWS)],
    "late gaps": [k if k < 600 else None for k in range(ROWS)],
    "flag": [k % 3 == 0 for k in range(ROWS)],
    "day": [at.date() for at in DAYS],
    "at": DAYS,
    "colour": [("red", "blue", None)[k % 3] for k in range(ROWS)],
    "count": [k % 9 for k in range(ROWS)],
    "key": [2**60 + k for k in range(ROWS)],
    "kind": [k % 4 for k in range(ROWS)],
}
LATE = {
    "money": ["1.5" if k < 400 else f"${k:,}.25" for k in range(ROWS)],
    "word": ["7" if k < 340 else "seven" for k in range(ROWS)],
    "code": ["12" if k < 300 else "0815" for k in range(ROWS)],
    "last": ["3" if k < ROWS - 1 else "~4" for k in range(ROWS)],
}
"""Texts that begin as numbers."""


def frame():
    return polars.DataFrame(COLUMNS)


def in_words(separator, further, quote=csv.QUOTE_MINIMAL):
    def write(path):
        columns = COLUMNS | further
        with path.open("w", newline="") as file:
            rows = csv.writer(file, delimiter=separator, quoting=quote)
            rows.writerows([columns, *zip(*columns.values(), strict=True)])

    return write


def with_commas(further, say=lambda cell: cell):
    """As people write it where a comma stands before decimals and a semicolon between fields."""

    def write(path):
        columns = COLUMNS | further
        rows = [
            ";".join("" if cell is None else written(cell) for cell in row)
            for row in zip(*columns.values(), strict=True)
        ]
        path.write_text("\n".join([";".join(columns), *rows]))

    def written(cell):
        return str(cell).replace(".", ",") if isinstance(cell, float) else say(str(cell))

    return write


def folder_of(path):
    path.mkdir()
    for part in range(3):
        frame()[part * 250 : (part + 1) * 250].write_parquet(path / f"{part}.parquet", row_group_size=90)


def as_array(path):
    values = np.zeros(ROWS, [("size", "f8"), ("small", "f4"), ("count", "i8"), ("at", "M8[s]"), ("kind", "U3")])
    values["size"], values["small"], values["count"], values["at"] = NUMBERS, NUMBERS, COLUMNS["key"], DAYS
    values["kind"] = COLUMNS["kind"]
    np.save(path, values)


def with_gaps_between(path):
    in_words(",", {})(path)
    path.write_text("\n\n".join(path.read_text().splitlines()))


def from_row(number, text, usual=lambda k: f"{k % 37},5"):
    return [text if k >= number else usual(k) for k in range(ROWS)]


COMMAS = {
    "commas.csv": with_commas({}),
    "dotted dates.csv": with_commas({"on": [f"{day:%d.%m.%Y}" for day in DAYS]}),
    "groups.csv": with_commas({"price": from_row(500, "1.234,5"), "cost": from_row(300, "1.234")}),
    "money.csv": with_commas({"price": from_row(500, "12,50 €"), "words": from_row(200, "none")}),
    "both signs.csv": with_commas({"price": from_row(600, "1.5")}),
    "powers.csv": with_commas({"price": from_row(100, "1,5e3"), "other": from_row(690, "-,5")}),
    "no decimals.csv": with_commas({"size": list(range(ROWS)), "far": [5] * ROWS, "gaps": from_row(0, "1.000")}),
    "late decimals.csv": with_commas({"size": [k if k < 650 else 1.5 for k in range(ROWS)], "far": [2] * ROWS,
                                      "gaps": [7] * ROWS}),
    "words below.csv": with_commas({"size": from_row(350, "far"), "far": from_row(360, "x"), "gaps": from_row(9, "y")}),
}  # fmt: skip
FORMS = COMMAS | {
    "blank lines.csv": with_gaps_between,
    "t.csv": in_words(",", {}),
    "late.csv": in_words(",", LATE | {"kind": COLUMNS["kind"]}),
    "semicolon.csv": in_words(";", LATE),
    "quoted.csv": in_words(",", {"said": ['a, "b"', "c"] * (ROWS // 2)}),
    "all quoted.csv": in_words(",", {}, csv.QUOTE_ALL),
    "t.parquet": lambda path: frame().write_parquet(path, row_group_size=150),
    "parts": folder_of,
    "t.npy": as_array,
    "t.jsonl": lambda path: frame().write_ndjson(path),
}
READING = Reading(spelled=frozenset({"key"}))


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    monkeypatch.setattr(number_columns, "_AT_ONCE", 3000)
    monkeypatch.setattr(number_columns, "_FIRST", 200)
    monkeypatch.setattr(csv_file, "_OPENING", 200)
    monkeypatch.setattr(typed_tables, "_ROWS_AT_ONCE", 64)
    monkeypatch.setattr(typed_tables, "_HELD", 2**16)


def facts(column):
    values = column.values.tolist() if column.values.dtype == object else column.values.tobytes()
    known = None if column.spelling is None else column.spelling.tolist()
    marks = column.marks if "%" in column.marks else column.marks - {"share"}  # beside % alone shares mean something
    return column.name, column.kind, str(column.values.dtype), values, known, marks, column.zoned, column.shared


def of_file(path, target="kind", **form):
    try:
        found = read(path, target=target, reading=replace(READING, **form))
    except DataError as error:
        return str(error)
    columns = [*found.columns]
    again = [facts(found[column.name]) for column in reversed(columns)][::-1]
    assert again == [facts(column) for column in columns]
    places = [found.place(column.name, row) for column in columns for row in (0, found.rows - 1)]
    lines = None if found.lines is None else found.lines.tolist()
    return again, places, lines, found.notes, found.rows, found.decimal


@pytest.fixture(params=FORMS)
def path(request, tmp_path):
    FORMS[request.param](tmp_path / request.param)
    return tmp_path / request.param


def no_room(monkeypatch):
    monkeypatch.setattr(number_columns, "has_space", lambda _: False)


def no_folder(monkeypatch):
    def refuse():
        raise RunError("no folder")

    monkeypatch.setattr(scratch, "scratch_folder", refuse)


def full_after(writes):
    def patch(monkeypatch):
        done, write = [], scratch.Scratch.write

        def fill(self, first, values):
            if len(done) == writes:
                write(self, first, values[: len(values) // 2])
                raise RunError("the disk is full")
            done.append(first)
            write(self, first, values)

        monkeypatch.setattr(scratch.Scratch, "write", fill)

    return patch


def test_columns_are_the_same_on_disk_as_in_memory(path, monkeypatch):
    asked = ({}, {"target": "size"}, *({"decimal": sign} for sign in ".," if path.name in COMMAS))
    known = [of_file(path, **form) for form in asked]
    monkeypatch.setattr(formats, "LARGE", 1)
    assert [of_file(path, **form) for form in asked] == known


DISKS = {"no room": no_room, "no folder": no_folder} | {f"full after {n}": full_after(n) for n in (0, 1, 5, 20, 60)}


@pytest.mark.parametrize(("form", "disk"), diagonal(FORMS, DISKS))
def test_where_the_disk_has_no_room_columns_are_in_memory(form, disk, tmp_path, monkeypatch):
    FORMS[form](tmp_path / form)
    known = of_file(tmp_path / form)
    monkeypatch.setattr(formats, "LARGE", 1)
    DISKS[disk](monkeypatch)
    assert of_file(tmp_path / form) == known


def arrays(path):
    try:
        found = from_source(path, "kind", "auto", 0.2, 0.1, 3, reading=READING)
    except DataError as error:
        return str(error)
    parts = (found.train, found.validation, found.test)
    return [a.tobytes() for part in parts for a in part], found.preprocessing, found.told


def test_what_is_trained_on_is_the_same_and_the_disk_is_given_back(path, monkeypatch):
    known = arrays(path)
    made, init = [], scratch.Scratch.__init__

    def noted(self, *given):
        init(self, *given)
        made.append(os.fstat(self.file).st_ino)

    monkeypatch.setattr(scratch.Scratch, "__init__", noted)
    monkeypatch.setattr(formats, "LARGE", 1)
    assert arrays(path) == known
    assert len(made) == 1
    assert made[0] not in [file.stat().st_ino for file in Path("/proc/self/fd").iterdir() if file.exists()]


def test_texts_that_begin_as_numbers_are_read_twice_at_most(tmp_path, monkeypatch):
    FORMS["late.csv"](tmp_path / "t.csv")
    begun, parts = [], csv_file.CsvFile.parts

    def noted(self, *given):
        begun.append(self)
        return parts(self, *given)

    monkeypatch.setattr(csv_file.CsvFile, "parts", noted)
    monkeypatch.setattr(formats, "LARGE", 1)
    read(tmp_path / "t.csv")
    assert len(begun) == 2


def test_numbers_are_large_together():
    assert not formats.is_large(rows=1000, columns=100)
    assert formats.is_large(rows=10**6, columns=100)
    assert NumberColumns(100, 1000)._file is None
