"""The forms of files that data come in: one row for each, from which sentences, recognition and help are made.

What is read of a file is bounded before it is allocated: by its columns, and by how much it unpacks to.
"""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.columns import name_list, quantity
from clearprop.errors import DataError


@dataclass(frozen=True)
class FileForm:
    """A form of file: its name in sentences, the suffixes and first bytes that show it, whether it can be streamed."""

    name: str
    suffixes: tuple[str, ...]
    first_bytes: tuple[bytes, ...] = ()
    streams: bool = False

    def fits(self, start: bytes) -> bool:
        """Whether a file that begins with these bytes has this form, whatever its name says."""
        return any(start.startswith(known) for known in self.first_bytes)


CSV = FileForm("CSV", (".csv", ".tsv", ".txt"), streams=True)
JSON = FileForm("JSON lines", (".jsonl", ".ndjson", ".json"), streams=True)
_OLD_EXCEL = b"\xd0\xcf\x11\xe0"
EXCEL = FileForm("Excel", (".xlsx", ".xls", ".xlsb", ".xlsm", ".ods"), (_OLD_EXCEL,), streams=True)
PARQUET = FileForm("Parquet", (".parquet", ".pq"), (b"PAR1",), streams=True)
NPZ = FileForm("NPZ", (".npz",), (b"PK",))
ARROW = FileForm("Arrow", (".arrow", ".feather", ".ipc"), (b"ARROW1",))
NPY = FileForm("NPY", (".npy",), (b"\x93NUMPY",), streams=True)
FORMS = (CSV, PARQUET, JSON, EXCEL, ARROW, NPY, NPZ)
"""All forms, the one that is assumed of other files first."""
PICTURES = FileForm("PNG or JPEG", (".png", ".jpg", ".jpeg"), (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"))
"""Pictures: no table in a file, but rows of one in a folder."""
PARTS = (PARQUET, NPY)
"""The forms of which a folder of files may be one table."""
_TEXTS = (JSON, EXCEL)
"""The forms that are written out as text before they are read."""


def forms_text(conjunction: str = "or", forms: tuple[FileForm, ...] = FORMS) -> str:
    """The names of forms in a row.

    >>> forms_text()
    'CSV, Parquet, JSON lines, Excel, Arrow, NPY or NPZ'
    """
    *most, last = [form.name for form in forms]
    return f"{', '.join(most)} {conjunction} {last}" if most else last


DATA_FILE = f"a {forms_text()} file"
"""A file of data, in a sentence."""
STREAMED = tuple(form for form in FORMS if form.streams)
"""The forms of which a file may be larger than memory."""
USUAL_CONTEXT = 128
"""From so many characters or words before it each is foretold in running text, if nothing else is said."""
DATA_HELP = f"A {forms_text()} file, a folder of {forms_text('or', PARTS)} files, or one of pictures"
"""What may be named as data, at the start of an option's help."""
SUFFIXES = tuple(suffix for form in FORMS for suffix in form.suffixes)
"""The suffixes by which data files are found in a folder."""


def holds_workbook(path: Path) -> bool:
    """Whether a file is a workbook of Excel or OpenDocument, by its content."""
    with path.open("rb") as file:
        start = file.read(8)
    if not start.startswith(b"PK"):
        return start.startswith(_OLD_EXCEL)
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError):
        return path.suffix.lower() in EXCEL.suffixes
    return bool(names & {"xl/workbook.xml", "xl/workbook.bin"}) or {"content.xml", "mimetype"} <= names


def form_of(path: Path, source: str) -> FileForm:
    """The form of a file, by its first bytes; by its name only where the content shows none (CSV: all text).

    A folder has that of the files in it, of pictures those in its subfolders.  Raises DataError for what is there but
    cannot be read: a folder without parts of a table and pictures, or with parts of two forms; a device, a file without
    permission, a name that is no text.
    """
    require_name_in_utf8(source)
    if path.is_dir():
        return _form_of_parts(path, source)
    if not path.is_file():
        raise DataError(
            f"cannot read {source!r}: it is no regular file",
            expected=f"{DATA_FILE}, which can be read more than once",
            got="a device, a pipe or a socket",
            where=source,
            try_="write its content into a file first",
        )
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as problem:
        raise DataError(
            f"cannot read {source!r}",
            expected="a file that may be read",
            got=problem.strerror or type(problem).__name__,
            where=source,
            try_="check the file's permissions",
        ) from None
    if start[:2] == b"PK" and (path.suffix.lower() == ".zip" or holds_workbook(path)):
        return CSV  # packed text
    known = (*FORMS, PICTURES)
    by_name = [form for form in known if path.suffix.lower() in form.suffixes]
    found = next((form for form in known if form.fits(start)), by_name[0] if by_name else CSV)
    return CSV if found in _TEXTS else found


_OF_TEXT = ("encoding", "delimiter", "decimal", "header", "missing")


def idle_words(reading: Any, source: str, decimal: str | None) -> tuple[str, ...]:
    """Of what is said of how text is written (a `Reading`) that which does nothing beside data that are no text.

    `decimal` is the sign before decimals of what was read, None for what is no text.
    """
    said = [f"--{name}" for name in _OF_TEXT if getattr(reading, name) is not None]
    if decimal is not None or not said:
        return ()
    return (f"{source}: {name_list(said)} did nothing, since these data are no text: their columns have types",)


def require_name_in_utf8(name: str) -> None:
    """Raise DataError for a name of a file whose bytes are no text, which neither a run nor a table can hold."""
    if any("\ud800" <= sign <= "\udfff" for sign in name):
        raise DataError(
            f"the name '{name}' is no text",
            expected="names of files and folders in UTF-8",
            got="bytes that are not UTF-8",
            where=name,
            try_="rename it",
        )


def table_parts(folder: Path) -> list[Path]:
    """The files of a folder that may be parts of a table, in the order of their names.

    Those that begin with `.` or `_` hold no rows.
    """
    found = (path for path in folder.iterdir() if _form_of_part(path) is not None and path.is_file())
    return sorted(path for path in found if not path.name.startswith((".", "_")))


def holds_pictures(folder: Path) -> bool:
    """Whether pictures are in a folder, its subfolders or theirs."""
    ways = ("*", "*/*", "*/*/*")
    return any(path.suffix.lower() in PICTURES.suffixes for way in ways for path in folder.glob(way))


def _form_of_part(path: Path) -> FileForm | None:
    return next((form for form in PARTS if path.suffix.lower() in form.suffixes), None)


def _form_of_parts(folder: Path, source: str) -> FileForm:
    by_form = {_form_of_part(path): path.name for path in table_parts(folder)}
    names = forms_text("or", PARTS)
    if not by_form and holds_pictures(folder):
        return PICTURES
    if not by_form:
        raise DataError(
            f"cannot read {source!r}: it is a directory",
            expected=f"{DATA_FILE}, or a folder of {names} files or of pictures",
            got=f"a directory without {names} files and pictures",
            where=source,
            try_="name the file in it",
        )
    if len(by_form) > 1:
        raise DataError(
            f"{source!r} holds files of two forms, which are not one table",
            expected=f"{names} files alone",
            got=" and ".join(sorted(by_form.values())),
            where=source,
            try_="a folder of its own for each table",
        )
    (form,) = by_form
    return form or CSV


def place_of_row(source: str, column: str, row: int) -> str:
    """Where a value stands in what has no lines.

    >>> place_of_row("t.npy", "size", 3)
    "t.npy, row 3 (the first is 0), column 'size'"
    """
    return f"{source}, row {row} (the first is 0), column {column!r}"


def place_of_line(source: str, lines: NDArray[np.int64], column: str, row: int) -> str:
    """Where a value stands in a text file, whose rows start at these lines."""
    return f"{source}:{lines[row]}, column {column!r}"


LARGE = 2**26
"""Numbers of a table that take so many bytes, or more, are not held in memory while it is read whole."""


def is_large(rows: int, columns: int) -> bool:
    """Whether a table of so many numbers is large.

    >>> is_large(1000, 10), is_large(10**6, 100)
    (False, True)
    """
    return 8 * rows * columns >= LARGE


MOST_COLUMNS = 32_768
"""A table with more columns is refused: each takes some 20 kB and half a millisecond, however few rows there are."""
MOST_UNPACKED = 100
"""Compressed data that unpack to more than this many times their size, and to more than `LARGE_PART`, are refused."""
LARGE_PART = 64 * 2**20
LINE_FEED = "\ue00a"
"""What stands for the end of a line within a cell where each row of a workbook or of JSON is written as one line."""
LONGEST_LINE = 1 << 24
"""A text with a line of more characters is refused: a line is held as a whole."""


def require_columns_in_bounds(number: int, source: str) -> None:
    """Raise DataError for more than `MOST_COLUMNS` columns.

    >>> require_columns_in_bounds(MOST_COLUMNS, "t.csv")
    """
    if number > MOST_COLUMNS:
        raise DataError(
            f"{source!r} has too many columns",
            expected=f"at most {MOST_COLUMNS:,} columns, or numbers in a row of an array",
            got=f"{number:,}",
            where=source,
            try_="choose columns, or make pictures smaller; if rows and columns are confused, transpose the table",
        )


def require_unpacked_in_bounds(packed: int, unpacked: int, source: str, where: str, try_: str) -> None:
    """Raise DataError for a part of a file that is small and unpacks to much.

    >>> require_unpacked_in_bounds(1000, 100_000, "x.npz", "x.npz, array x", "")
    """
    if unpacked > LARGE_PART and unpacked > MOST_UNPACKED * packed:
        raise DataError(
            f"{source!r} would unpack to more than it should",
            expected=f"at most {MOST_UNPACKED} bytes for every compressed one, beyond {LARGE_PART:,} bytes",
            got=f"{packed:,} bytes that become {unpacked:,}",
            where=where,
            try_=try_,
        )


def long_line_error(source: str, line: int) -> DataError:
    """The error for a line of more than `LONGEST_LINE` characters.

    >>> long_line_error("t.csv", 3).where
    't.csv:3'
    """
    return DataError(
        f"cannot read {source!r}: a line is too long",
        expected=f"lines of at most {LONGEST_LINE:,} characters",
        got="a longer one",
        where=f"{source}:{line}",
        try_="check that lines end in a line feed, and that it is a table",
    )


def zeros_error(source: str, line: int) -> DataError:
    """The error for a text with bytes that are zero.

    >>> zeros_error("t.csv", 3).where
    't.csv:3'
    """
    return DataError(
        f"{source!r} holds bytes that are zero, and so is no whole text",
        expected=f"text, or {DATA_FILE}",
        got="a zero byte: the file is damaged, or was not written to its end",
        where=f"{source}:{line}",
        try_="write the file anew, or, if nothing else is wrong: tr -d '\\000' < file > clean.csv",
    )


_HASH = re.compile(r"#\s*(?=[^\s#,;|])")
_DIGIT = re.compile(r"\d")


def names_behind_hash(head: str) -> str:
    r"""The # and blanks with which a line of names begins: it has as many fields as the next line, which is no comment.

    Where blanks stand between fields, it holds no digits, and the next line does.

    >>> names_behind_hash("# v b\n1 2\n"), names_behind_hash("# made by me\n1,2\n"), names_behind_hash("#,v\n1,2\n")
    ('# ', '', '')
    """
    lines = [line for line in head[:LONGEST_LINE].split("\n", 20) if line.strip()][:2]
    sign = _HASH.match(lines[0]) if len(lines) == 2 else None
    if sign is None or lines[1].startswith("#"):
        return ""
    names, below = lines[0].removeprefix(sign[0]), lines[1]
    by_blanks = len(names.split()) == len(below.split()) > 1
    counted = by_blanks and not _DIGIT.search(names) and _DIGIT.search(below) and not set(",;\t|") & set(below)
    alike = any(names.count(sign) == below.count(sign) > 0 for sign in ",;\t|")
    return sign[0] if alike or counted else ""


_UNPACK = "unpack it first"
_OF_R = ("a file of R", "write.csv(table, 'table.csv', row.names=FALSE) in R")
_PICKLE = ("a pickle", "cl.fit(pandas.read_pickle(path), target=…), if you trust the file: it runs code")
_FOREIGN = (
    (0, b"%PDF", "a PDF", "export the table as CSV from the program that made it"),
    (0, b"SQLite format 3", "an SQLite database", "cl.fit(pandas.read_sql(query, connection), target=…)"),
    (0, b"\x89HDF\r\n", "an HDF5 file", "cl.fit(pandas.read_hdf(path), target=…), or arrays that h5py reads"),
    (0, b"<stata_dta>", "a Stata file", "cl.fit(pandas.read_stata(path), target=…)"),
    (0, b"$FL2@(#)", "an SPSS file", "cl.fit(pandas.read_spss(path), target=…)"),
    (12, b"\xc2\xea\x81\x60\xb3\x14\x11\xcf", "a SAS file", "cl.fit(pandas.read_sas(path), target=…)"),
    *((0, mark, *_OF_R) for mark in (b"RDX2\n", b"RDX3\n", b"RDA2\n", b"RDA3\n", b"X\n\x00\x00\x00")),
    *((0, mark, *_PICKLE) for mark in (b"\x80\x04\x95", b"\x80\x05\x95")),
    (257, b"ustar", "a tar archive", _UNPACK),
    (0, b"7z\xbc\xaf", "a 7-Zip archive", _UNPACK),
    (0, b"Rar!", "a RAR archive", _UNPACK),
    (0, b"PK\x03\x04", "an archive or a workbook within an archive", _UNPACK),
    (0, b"\x04\x22\x4d\x18", "an LZ4 file", "unpack it, or pack it as .gz, .bz2, .xz or .zst"),
    (0, b"\x1f\x9d", "a file of compress", "unpack it, or pack it as .gz, .bz2, .xz or .zst"),
)
"""Where the mark of a form stands, the mark, the form, and what to do with a file of it."""


def require_known_form(start: bytes, source: str) -> None:
    """Raise DataError for a file, unpacked, that begins as one of another program does.

    >>> require_known_form(b"a,b", "t.csv")
    """
    for place, mark, form, remedy in _FOREIGN:
        if start[place:].startswith(mark):
            raise DataError(
                f"cannot read {source!r}: it is {form}",
                expected=DATA_FILE,
                got=form,
                where=source,
                try_=remedy,
            )


def quote_error(source: str, line: int, detail: str) -> DataError:
    """The error for a quote that does not fit."""
    return DataError(
        f"cannot read {source!r}: a quote is out of place",
        expected='fields in quotes closed before the next separator, quotes in them doubled: "a ""b"" c"',
        got=detail,
        where=f"{source}:{line}",
        try_="close the quote in the record that starts there",
    )


def empty_error(source: str) -> DataError:
    """The error for a file without any text."""
    return DataError(
        f"{source!r} is empty",
        expected="a header line and rows below it",
        got="no text at all",
        where=source,
        try_="check that the file was written out whole",
    )


def no_rows_error(header: tuple[str, ...], source: str) -> DataError:
    """The error for a file without rows."""
    return DataError(
        f"{source!r} has a header but no rows",
        expected="a header line and at least one row below it",
        got=f"the header {name_list(header)}",
        where=source,
        try_="check that the table was written out whole",
    )


def ragged_error(row: list[str], header: tuple[str, ...], source: str, line: int) -> DataError:
    """The error for a row with more or fewer fields than the header."""
    return DataError(
        f"{source!r} is ragged: a row does not fit the header",
        expected=f"{quantity(len(header), 'field')}, as in the header",
        got=f"{quantity(len(row), 'field')}: {name_list(row, 6)}",
        where=f"{source}:{line}",
        try_="put a field that contains the separator in quotes, fill the row up, or delete a title or a note"
        + ("; for running text --unit char" if source.endswith(".txt") else ""),
    )


def blank_lines(number: int) -> tuple[str, ...]:
    """A note on the blank lines, if there are any.

    >>> blank_lines(2)
    ('2 blank lines skipped',)
    """
    return (f"{quantity(number, 'blank line')} skipped",) if number else ()
