"""Of a large table that is read whole numbers lie on disk: every column is what it is in memory, by every bit."""

import csv
import os
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
from clearprop.errors import RunError

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


FORMS = {
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
    monkeypatch.setattr(csv_file, "_AT_ONCE", 3000)
    monkeypatch.setattr(csv_file, "_OPENING", 200)
    monkeypatch.setattr(typed_tables, "_ROWS_AT_ONCE", 64)
    monkeypatch.setattr(typed_tables, "_HELD", 2**16)


def facts(column):
    values = column.values.tolist() if column.values.dtype == object else column.values.tobytes()
    known = None if column.spelling is None else column.spelling.tolist()
    return column.name, column.kind, str(column.values.dtype), values, known, column.marks, column.zoned, column.shared


def of_file(path, target="kind"):
    found = read(path, target=target, reading=READING)
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


@pytest.mark.parametrize("disk", [lambda _: None, no_room, no_folder, *map(full_after, (0, 1, 5, 20, 60))])
def test_columns_are_the_same_on_disk_as_in_memory(path, disk, monkeypatch):
    known = [of_file(path), of_file(path, target="size")]
    monkeypatch.setattr(formats, "LARGE", 1)
    disk(monkeypatch)
    assert [of_file(path), of_file(path, target="size")] == known


def arrays(path, memory=None):
    found = from_source(path, "kind", "auto", 0.2, 0.1, 3, memory, reading=READING)
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
