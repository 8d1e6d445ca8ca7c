"""A sheet of a workbook (Excel, OpenDocument) as the text of a table: values, not formulas, and nothing is run."""

from __future__ import annotations

import csv
import zipfile
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import IO, Any

from clearprop.data.readers.bounds import require_columns_in_bounds, require_unpacked_in_bounds
from clearprop.errors import DataError

LARGEST_SHEET = 1 << 29
"""The most bytes of a sheet, unpacked: all of it is held."""


def write_excel_as_csv(path: Path, out: IO[str], source: str) -> tuple[str, ...]:
    """Write the first sheet that holds a table as text; gives what should be told.

    Raises DataError for a workbook that is damaged or empty, and where python-calamine is missing.
    """
    _require_bounds(path, source)
    sheets = _sheets(path, source)
    full = [(name, rows) for name, rows in sheets if len(rows) > 1]
    if not full:
        raise _broken_error(source, "no sheet with a row of names and a row below it")
    name, rows = full[0]
    require_columns_in_bounds(max(len(row) for row in rows), source)
    writer = csv.writer(out, lineterminator="\n")
    for row in rows:
        cells = [_cell(value) for value in row]
        if any(cells):
            writer.writerow(cells)
        else:
            out.write("\n")
    further = [f"{other!r}" for other, _ in full[1:]]
    return (f"the sheet {name!r} is read, and not {', '.join(further)}",) if further else ()


def _sheets(path: Path, source: str) -> list[tuple[str, list[list[Any]]]]:
    try:
        from python_calamine import CalamineWorkbook
    except ImportError:
        raise DataError(
            f"cannot read {source!r}: python-calamine, which reads workbooks, is not installed",
            expected="python-calamine, or a table in another form",
            got="an Excel or OpenDocument workbook",
            where=source,
            try_="pip install 'clearprop[excel]', or save the sheet as CSV",
        ) from None
    try:
        with path.open("rb") as file:
            book = CalamineWorkbook.from_filelike(file)
            return [(name, book.get_sheet_by_name(name).to_python(skip_empty_area=False)) for name in book.sheet_names]
    except Exception as problem:  # the reader has an exception of its own for each part of a workbook
        raise _broken_error(source, " ".join(str(problem).split())[:200] or type(problem).__name__) from None


def _require_bounds(path: Path, source: str) -> None:
    """Nothing is unpacked that its own directory says to be too large."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            where = f"{source}, part {info.filename!r}"
            require_unpacked_in_bounds(info.compress_size, info.file_size, source, where, "save the sheet as CSV")
            if info.file_size > LARGEST_SHEET:
                raise _broken_error(source, f"{info.file_size:,} bytes in {info.filename!r}")


def _cell(value: Any) -> str:
    """A value as the text of a cell."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        return value.isoformat(" ").removesuffix(" 00:00:00")
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value.total_seconds()) if isinstance(value, timedelta) else str(value)


def _broken_error(source: str, detail: str) -> DataError:
    return DataError(
        f"cannot read {source!r} as a workbook",
        expected="an Excel or OpenDocument workbook with a sheet that begins with names",
        got=detail,
        where=source,
        try_="save the sheet as CSV",
    )
