"""Reading a CSV file: its form is checked line by line, its values are parsed by polars."""

from __future__ import annotations

import csv
from array import array
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clearprop.errors import DataError
from clearprop.train.tables import Column, Frame, Kind, counted, listed

if TYPE_CHECKING:
    import _csv

    import polars

MISSING = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NAN", "null", "NULL", "None", "?")
"""The spellings of a missing value."""


@dataclass(frozen=True, eq=False)
class _Layout:
    """The form of a file: header, separator, the line at which each row starts (0: a blank line)."""

    header: tuple[str, ...]
    separator: str
    lines: NDArray[np.int64]


def read_csv(path: Path, source: str, as_text: frozenset[str] = frozenset()) -> Frame:
    """Read a CSV file with a header line; separated by commas or, where the header has none, `;` or tabs.

    Columns named in `as_text` stay text even where they look like numbers.  Raises DataError for a file that
    is empty, binary, ragged, without header or rows, or with two columns of one name.
    """
    layout = _layout(path, source)
    kept = layout.lines > 0
    lines = layout.lines[kept]
    data = _parsed(path, source, layout)
    columns = tuple(
        _column(name, data.to_series(i), kept, name in as_text, layout.separator == ";")
        for i, name in enumerate(layout.header)
    )
    blank = int((~kept).sum())
    notes = (f"{counted(blank, 'blank line')} skipped",) if blank else ()
    return Frame(source, columns, partial(_place, source, lines), notes=notes)


def _place(source: str, lines: NDArray[np.int64], column: str, row: int) -> str:
    return f"{source}:{lines[row]}, column {column!r}"


def _layout(path: Path, source: str) -> _Layout:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = next((line for line in file if line.strip()), "")
            separator = next((s for s in ",;\t" if s in first), ",")
            file.seek(0)
            return _scan(csv.reader(file, delimiter=separator, strict=True), separator, source)
    except UnicodeDecodeError:
        raise _not_text(source) from None


def _not_text(source: str) -> DataError:
    return DataError(
        f"cannot read {source!r}: it is not a text file",
        expected="a CSV file in UTF-8, or a Parquet or NPZ file",
        got="bytes that are not UTF-8 text",
        where=source,
        try_="save the table as CSV with the encoding UTF-8",
    )


def _scan(reader: _csv.Reader, separator: str, source: str) -> _Layout:
    header: tuple[str, ...] = ()
    lines, start = array("q"), 1
    try:
        for row in reader:
            if not header:
                header = _checked_header(row, reader.line_num, source) if row else ()
            elif row and len(row) != len(header):
                raise _ragged(row, header, source, start)
            else:
                lines.append(start if row else 0)
            start = reader.line_num + 1
    except csv.Error as problem:
        raise DataError(
            f"cannot read {source!r}: a quote is out of place",
            expected='fields in quotes closed before the next separator, quotes in them doubled: "a ""b"" c"',
            got=str(problem),
            where=f"{source}:{start}",
            try_="close the quote in the record that starts there",
        ) from None
    if not header:
        raise _empty(source)
    if not any(lines):
        raise DataError(
            f"{source!r} has a header but no rows",
            expected="a header line and at least one row below it",
            got=f"the header {listed(header)}",
            where=source,
            try_="check that the table was written out whole",
        )
    return _Layout(header, separator, np.array(lines, dtype=np.int64))


def _empty(source: str) -> DataError:
    return DataError(
        f"{source!r} is empty",
        expected="a header line and rows below it",
        got="no text at all",
        where=source,
        try_="check that the file was written out whole",
    )


def _ragged(row: list[str], header: tuple[str, ...], source: str, line: int) -> DataError:
    return DataError(
        f"{source!r} is ragged: a row does not fit the header",
        expected=f"{counted(len(header), 'field')}, as in the header",
        got=f"{counted(len(row), 'field')}: {listed(row, 6)}",
        where=f"{source}:{line}",
        try_="put a field that contains the separator in quotes, or fill the row up",
    )


def _checked_header(row: list[str], line: int, source: str) -> tuple[str, ...]:
    names = tuple(name.strip() or f"column {i + 1}" for i, name in enumerate(row))
    if any("\0" in name for name in names):
        raise _not_text(source)
    if any(_is_fraction(name) for name in names):
        raise DataError(
            f"{source!r} has no header line",
            expected="the names of the columns in the first line",
            got=f"numbers: {listed(names, 6)}",
            where=f"{source}:{line}",
            try_="add a line with a name for every column",
        )
    double = [name for name, count in Counter(names).items() if count > 1]
    if double:
        raise DataError(
            f"{source!r} has two columns of one name",
            expected="a name of its own for every column",
            got=", ".join(f"{name!r} {names.count(name)} times" for name in double),
            where=f"{source}:{line}",
            try_="rename one of them",
        )
    return names


def _is_fraction(name: str) -> bool:
    """Whether a name is a number with a fraction, which names are not (`2019` may be one)."""
    try:
        return not float(name).is_integer()
    except (ValueError, OverflowError):
        return False


def _parsed(path: Path, source: str, layout: _Layout) -> polars.DataFrame:
    """All fields as text, `(rows, columns)`, blank lines included."""
    import polars as pl

    try:
        data = pl.read_csv(path, separator=layout.separator, infer_schema=False)
    except pl.exceptions.PolarsError as problem:
        detail = str(problem).partition("\n")[0]
    else:
        if data.shape == (len(layout.lines), len(layout.header)):
            return data
        detail = f"{data.height} rows by one reading, {len(layout.lines)} by another"
    raise DataError(
        f"cannot read {source!r} as CSV",
        expected="lines that end in a line feed, fields with a comma or quotes inside in quotes",
        got=detail,
        where=source,
        try_="save the table as CSV anew",
    )


def _column(name: str, series: polars.Series, kept: NDArray[np.bool_], as_text: bool, comma: bool) -> Column:
    """Text where it must be, else numbers where all fields are numbers, else truth values, else text."""
    import polars as pl

    text = series.filter(pl.Series(kept)).str.strip_chars()
    text = text.set(text.is_in(list(MISSING)), None)
    missing = text.null_count()
    kind: Kind = "category"
    values = text.to_numpy()
    if not as_text:
        dotted = text.str.replace(",", ".", literal=True) if comma else text
        numbers = dotted.cast(pl.Float64, strict=False)
        lower = text.str.to_lowercase()
        if numbers.null_count() == missing:
            kind, values = "number", numbers.to_numpy().copy()
        elif lower.is_in(["true", "false"]).sum() == len(text) - missing:
            kind, values = "boolean", (lower == "true").cast(pl.Float64).to_numpy().copy()
    return Column(name, kind, values)
