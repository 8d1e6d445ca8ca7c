"""A program of its own that writes the first table of a workbook as CSV: `workbook_process.py BYTES CELLS PATH …`.

What reads workbooks holds a sheet as a rectangle up to its farthest cell, and ends its process where there is no memory
for it: a file of a kilobyte with one cell at the far end asks for gigabytes.  Here this costs no more than the BYTES
that the process may take; a sheet of more than CELLS is left.  What follows PATH are the folders that modules are
imported from; nothing of clearprop is.

On standard output stands the table; on standard error a line of JSON: `{"sheets": […]}` with the names of the sheets
that hold tables, or `{"problem": …}`, or `{"height": …, "width": …}` of a sheet that is too large.
"""

import csv
import json
import resource
import sys
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any


def main(most_bytes: str, most_cells: str, path: str, *folders: str) -> None:
    """Read the workbook, within so many bytes of memory."""
    resource.setrlimit(resource.RLIMIT_AS, (int(most_bytes), int(most_bytes)))
    sys.path[:] = folders
    from python_calamine import CalamineWorkbook, SheetVisibleEnum

    full: list[str] = []
    with Path(path).open("rb") as file:
        book = CalamineWorkbook.from_filelike(file)
        hidden = {sheet.name for sheet in book.sheets_metadata if sheet.visible != SheetVisibleEnum.Visible}
        for name in sorted(book.sheet_names, key=hidden.__contains__):  # what a person does not see comes last
            sheet = book.get_sheet_by_name(name)
            if sheet.total_height < 2:
                continue
            if not full:
                if sheet.total_height * sheet.total_width > int(most_cells):
                    say(height=sheet.total_height, width=sheet.total_width)
                    return
                write_rows(sheet.to_python(skip_empty_area=False))
            full.append(name)
    say(sheets=full)


def write_rows(rows: Iterable[list[Any]]) -> None:
    """Write the rows as CSV; a row without a value is a blank line."""
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogatepass", newline="")  # type: ignore[union-attr]  # text
    writer = csv.writer(sys.stdout, lineterminator="\n")
    for row in rows:
        cells = [] if row.count("") == len(row) else [cell(value) for value in row]
        if any(cells):
            writer.writerow(cells)
        else:
            sys.stdout.write("\n")


LINE_FEED = "\ue00a"
"""What stands for the end of a line within a cell, so that each row of a sheet is one line."""


def cell(value: Any) -> str:
    """A value as the text of a cell."""
    if isinstance(value, str):
        return value.replace("\r\n", LINE_FEED).replace("\n", LINE_FEED).replace("\r", LINE_FEED)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        return value.isoformat(" ").removesuffix(" 00:00:00")
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value.total_seconds()) if isinstance(value, timedelta) else str(value)


def say(**what: Any) -> None:
    """What came of it."""
    sys.stdout.flush()
    sys.stderr.write(json.dumps(what) + "\n")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except BaseException as problem:  # the reader has an exception of its own for each part of a workbook, and panics
        say(problem=f"{type(problem).__name__}: {problem}" if isinstance(problem, MemoryError) else str(problem))
