"""A sheet of a workbook (Excel, OpenDocument) as the text of a table: values, not formulas, and nothing is run."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import IO, Any

from clearprop.data.readers.formats import require_columns_in_bounds, require_unpacked_in_bounds
from clearprop.errors import DataError

LARGEST_SHEET = 1 << 29
"""The most bytes of a sheet, unpacked: all of it is held."""
ROOM, ROOM_PER_BYTE = 640 * 2**20, 20
"""Bytes of memory that the reader of a workbook may take, and further ones for every byte of it, unpacked."""
PATIENCE, PATIENCE_PER_BYTE = 8.0, 1e-6
"""Seconds that it may take, likewise."""
CELLS, CELLS_PER_BYTE = 1 << 20, 20
"""Cells that a sheet may have, empty ones up to the farthest included, likewise."""
PROGRAM = Path(__file__).with_name("workbook_process.py")


def write_excel_as_csv(path: Path, out: IO[str], source: str) -> tuple[str, ...]:
    """Write the first sheet that holds a table, hidden ones last, as text; gives what should be told.

    It is read by a process of its own, whose memory and time the size of the file bounds (`workbook_process`).

    Raises DataError for a workbook that is damaged or empty, and where python-calamine is missing.
    """
    if importlib.util.find_spec("python_calamine") is None:
        raise DataError(
            f"cannot read {source!r}: python-calamine, which reads workbooks, is not installed",
            expected="python-calamine, or a table in another form",
            got="an Excel or OpenDocument workbook",
            where=source,
            try_="pip install 'clearprop[excel]', or save the sheet as CSV",
        )
    size = _unpacked_size(path, source)
    with tempfile.TemporaryFile() as rows:
        found = _run(path, rows, size)
        if "width" in found:
            require_columns_in_bounds(found["width"], source)
            raise _far_error(source, found["height"], found["width"], size)
        if "problem" in found:
            raise _broken_error(source, " ".join(found["problem"].split())[:200])
        if not found["sheets"]:
            raise _broken_error(source, "no sheet with a row of names and a row below it")
        rows.seek(0)
        with open(rows.fileno(), encoding="utf-8", errors="surrogatepass", newline="", closefd=False) as text:
            shutil.copyfileobj(text, out)
    name, *others = found["sheets"]
    further = ", ".join(map(repr, others))
    return (f"the sheet {name!r} is read, and not {further}",) if further else ()


def _run(path: Path, rows: IO[bytes], size: int) -> dict[str, Any]:
    """What the process says that reads the workbook, or the problem where it says nothing."""
    memory, seconds = ROOM + ROOM_PER_BYTE * size, PATIENCE + PATIENCE_PER_BYTE * size
    arguments = [str(memory), str(CELLS + CELLS_PER_BYTE * size), str(path), *sys.path]
    command = [sys.executable, "-I", "-S", str(PROGRAM), *arguments]
    try:
        done = subprocess.run(command, stdout=rows, stderr=subprocess.PIPE, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return {"problem": f"a workbook that was not read within {seconds:.0f} seconds"}
    said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    if done.returncode or not said.startswith("{"):  # its reader ends the process where memory is short
        return {"problem": f"a workbook that cannot be read within {memory:,} bytes of memory"}
    found: dict[str, Any] = json.loads(said)
    return found


def _far_error(source: str, height: int, width: int, size: int) -> DataError:
    return DataError(
        f"{source!r} has a cell too far away",
        expected=f"at most {CELLS:,} cells and {CELLS_PER_BYTE} for each of its {size:,} bytes, empty ones included",
        got=f"a sheet of {height:,} rows and {width:,} columns up to the last cell",
        where=source,
        try_="delete what stands below and beside the table, or save the sheet as CSV",
    )


def _unpacked_size(path: Path, source: str) -> int:
    """The bytes of a workbook, unpacked.  Nothing is unpacked that its own directory says to be too large."""
    if not zipfile.is_zipfile(path):
        return path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
    for info in parts:
        where = f"{source}, part {info.filename!r}"
        require_unpacked_in_bounds(info.compress_size, info.file_size, source, where, "save the sheet as CSV")
        if info.file_size > LARGEST_SHEET:
            raise _broken_error(source, f"{info.file_size:,} bytes in {info.filename!r}")
    return sum(info.file_size for info in parts)


def _broken_error(source: str, detail: str) -> DataError:
    return DataError(
        f"cannot read {source!r} as a workbook",
        expected="an Excel or OpenDocument workbook with a sheet that begins with names",
        got=detail,
        where=source,
        try_="save the sheet as CSV",
    )
