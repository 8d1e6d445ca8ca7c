"""Parquet files: read as data frames are, recognised by their content, and refused where they are damaged."""

import datetime
from pathlib import Path

import numpy as np
import polars
import pyarrow
import pyarrow.parquet
import pytest

from clearprop.data.readers import typed_tables
from clearprop.data.readers.sources import read
from clearprop.data.table import load_table
from clearprop.errors import DataError

N = 30
NUMBERS = np.arange(N) * 0.5
TYPES = {
    "int64": (polars.Series(range(N), dtype=polars.Int64), "number", [0.0, 1.0]),
    "uint8": (polars.Series([7, 250] * 15, dtype=polars.UInt8), "number", [7.0, 250.0]),
    "float64": (polars.Series(NUMBERS), "number", [0.0, 0.5]),
    "float32": (polars.Series(NUMBERS, dtype=polars.Float32), "number", [0.0, 0.5]),
    "decimal": (polars.Series([1.25, 2.5] * 15).cast(polars.Decimal(10, 2)), "number", [1.25, 2.5]),
    "missing": (polars.Series([None, 2.0] * 15), "number", [np.nan, 2.0]),
    "null": (polars.Series([None] * N, dtype=polars.Null), "number", [np.nan, np.nan]),
    "boolean": (polars.Series([True, False] * 15), "boolean", [1.0, 0.0]),
    "truth": (polars.Series([None, False] * 15), "boolean", [np.nan, 0.0]),
    "text": (polars.Series(["u", None] * 15), "category", ["u", None]),
    "categorical": (polars.Series(["u", "é"] * 15, dtype=polars.Categorical), "category", ["u", "é"]),
    "date": (polars.Series([datetime.date(2024, 1, 2), None] * 15), "time", [1704153600.0, np.nan]),
}


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("group", [7, N], ids=["row groups", "one group"])
def test_every_type(tmp_path, name, group):
    series, kind, first = TYPES[name]
    path = tmp_path / "t.parquet"
    polars.DataFrame({"v": series, "z": range(N)}).write_parquet(path, row_group_size=group)
    frame = read(path)
    assert frame.rows == N
    column = frame["v"]
    assert column.kind == kind
    assert column.values[:2].tolist() == pytest.approx(first, nan_ok=True)
    whole = polars.DataFrame({"v": series, "z": range(N)})
    if name != "null":  # a data frame without types has no numbers to be missing
        other = read(whole)["v"]
        assert other.kind == kind
        assert np.array_equal(other.missing, column.missing)
        assert np.array_equal(other.present, column.present)


def test_a_table_is_the_same_from_parquet_csv_and_frame(tmp_path):
    rng = np.random.default_rng(0)
    frame = polars.DataFrame(
        {
            "id": range(90),
            "size": rng.normal(size=90),
            "colour": rng.choice(["red", "green", "blue"], 90),
            "even": rng.random(90) < 0.5,
            "kind": rng.choice(["a", "b"], 90),
        }
    )
    frame.write_parquet(tmp_path / "t.parquet", row_group_size=20)
    frame.write_csv(tmp_path / "t.csv")
    tables = [load_table(source) for source in (tmp_path / "t.parquet", tmp_path / "t.csv", frame)]
    assert len({table.digest() for table in tables}) == 1
    assert len({(table.task_note, table.dropped) for table in tables}) == 1


def test_the_content_tells_the_form_not_the_name(tmp_path):
    polars.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}).write_parquet(tmp_path / "data.csv")
    assert read(tmp_path / "data.csv").names == ("a", "b")


# ------------------------------------------------------------------------------------------------------- mistakes
def saved(**columns):
    polars.DataFrame(columns).write_parquet("t.parquet")


def truncated():
    saved(a=list(range(1000)), b=["x"] * 1000)
    path = Path("t.parquet")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def by_name_only():
    Path("t.parquet").write_bytes(b"a,b\n1,2\n")


def no_rows():
    saved(a=polars.Series([], dtype=polars.Float64))


def lists():
    saved(a=[[1, 2], [3]], b=[1, 2])


def twice():
    table = pyarrow.table([pyarrow.array([1.0]), pyarrow.array([2.0])], names=["a", "a"])
    pyarrow.parquet.write_table(table, "t.parquet")


def bomb():
    """A page of zeros that is compressed more than a thousand times."""
    zeros = pyarrow.table({"a": np.zeros(9_000_000)})
    pyarrow.parquet.write_table(zeros, "t.parquet", compression="zstd", use_dictionary=False, row_group_size=9_000_000)


def large():
    saved(a=np.zeros(1000), b=np.zeros(1000))


MISTAKES = {
    truncated: """\
cannot read 't.parquet' as Parquet
  expected  a Parquet file that was written out whole
  got       Parquet magic bytes not found in footer. Either the file is corrupted or this is not a parquet file.
  where     t.parquet
  try       write the file anew""",
    by_name_only: """\
cannot read 't.parquet' as Parquet
  expected  a Parquet file that was written out whole
  got       Parquet magic bytes not found in footer. Either the file is corrupted or this is not a parquet file.
  where     t.parquet
  try       write the file anew""",
    no_rows: """\
't.parquet' is empty
  expected  at least one row and one column
  got       0 rows and 1 column
  where     t.parquet
  try       check that the table was written out whole""",
    lists: """\
column 'a' cannot be used
  expected  numbers, truth values, dates or text
  got       a column of type large_list<element: int64>
  where     t.parquet, column 'a'
  try       write the table without it, or with numbers or text in its place""",
    twice: """\
't.parquet' has two columns of one name
  expected  a name of its own for every column
  got       'a' 2 times
  where     t.parquet
  try       rename one of them""",
    bomb: """\
't.parquet' would unpack to more than it should
  expected  at most 1000 bytes for every compressed one
  got       *
  where     t.parquet, row group 0, column 'a'
  try       write the file anew with smaller row groups, if it comes from a source that you trust""",
    large: """\
't.parquet' is too large to be read at once
  expected  at most 15,999 bytes, at 8 bytes a value
  got       16,000 bytes: 1,000 rows of 2 columns
  where     t.parquet
  try       clearprop train --memory 1GB, which streams it; or fewer rows""",
}


@pytest.mark.parametrize("make", MISTAKES, ids=lambda make: make.__name__)
def test_mistakes(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(typed_tables, "TABLE_LIMIT", 15_999 if make is large else typed_tables.TABLE_LIMIT)
    make()
    with pytest.raises(DataError) as caught:
        read("t.parquet")
    said, wanted = str(caught.value).split("\n"), MISTAKES[make].split("\n")
    assert [line for line, want in zip(said, wanted, strict=True) if "*" not in want] == [
        want for want in wanted if "*" not in want
    ]


def test_repeated_long_texts_take_the_memory_of_one(tmp_path):
    """Half a million rows that name one text of a megabyte: half a terabyte, if it were written out."""
    codes = pyarrow.array(np.zeros(500_000, np.int32))
    texts = pyarrow.DictionaryArray.from_arrays(codes, ["x" * 1_000_000])
    path = tmp_path / "t.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"a": texts, "b": np.arange(500_000.0)}), path)
    values = read(path)["a"].values
    assert len(values) == 500_000 and values[0] is values[65_000]
