"""Text whose quotes or names are written in another way, as text in the usual one; every line keeps its number."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from clearprop.data.columns import quantity
from clearprop.data.readers.formats import LINE_FEED, LONGEST_LINE, names_behind_hash, quote_error
from clearprop.data.readers.plain_text import PlainText, copied_text
from clearprop.data.readers.reading import DELIMITERS

if TYPE_CHECKING:
    import polars

_ROWS = 200
_ESCAPED = re.compile(r'\\(["\\])')
_IN_APOSTROPHES = re.compile(r"'.*'", re.DOTALL)


def as_usual(plain: PlainText, source: str, head: str, separator: str | None) -> PlainText:
    r"""The text itself, or a copy in which names follow no `#`, and quotes are doubled ones.

    `head` is its beginning, `separator` what stands between fields, if that is known.  Quotes are written otherwise as
    `\"`, where the text can be read in no usual way, and as apostrophes around every cell of a row or of a column.
    Raises DataError for apostrophes further down that are no quotes.
    """
    start = names_behind_hash(head)
    if start:
        return copied_text(plain, partial(_without, start), "names stand behind # in the first line")
    signs = [separator] if separator is not None else list(DELIMITERS)
    lines = head.splitlines(keepends=True)
    if '\\"' in head and not _reads(lines, signs) and _reads(list(map(_double_quotes, lines)), signs):
        return copied_text(plain, _with_doubled_quotes, r"quotes within fields are written \"")
    sign = next((sign for sign in signs if _is_in_apostrophes(lines, sign)), None)
    if sign is not None:
        return copied_text(plain, _with_other_quotes(source, sign), "apostrophes around fields are taken for quotes")
    return plain


def with_name_of_rows(plain: PlainText, separator: str) -> PlainText:
    """A copy of a text whose line of names has none for the first column, as R writes it: it has an empty one."""

    def write(text: IO[str], out: IO[str]) -> None:
        while line := text.readline(LONGEST_LINE):
            out.write(separator + line if line.strip() else line)
            if line.strip():
                break
        _copy(text, out)

    return copied_text(plain, write, "the first column has no name, as R writes names of rows")


def _without(start: str, text: IO[str], out: IO[str]) -> None:
    while (line := text.readline(LONGEST_LINE)) and not line.startswith(start):
        out.write(line)
    out.write(line.removeprefix(start))
    _copy(text, out)


def _copy(text: IO[str], out: IO[str]) -> None:
    while piece := text.read(LONGEST_LINE):
        out.write(piece)


def _double_quotes(line: str) -> str:
    r"""A line with quotes doubled that follow a backslash, and one backslash for two.

    >>> print(_double_quotes(r'5,"say \"x\" or \\ it"'))
    5,"say ""x"" or \ it"
    """
    return _ESCAPED.sub(lambda found: '""' if found[1] == '"' else "\\", line)


def _with_doubled_quotes(text: IO[str], out: IO[str]) -> None:
    out.writelines(map(_double_quotes, text))


def _reads(lines: Iterable[str], signs: Iterable[str]) -> bool:
    """Whether some sign between fields lets the quotes be read."""
    for sign in signs:
        try:
            rows = [len(row) for row in csv.reader(lines, delimiter=sign, strict=True) if row]
        except csv.Error:
            continue
        if len(set(rows)) == 1 and rows[0] > 1:
            return True
    return False


def _is_in_apostrophes(lines: list[str], sign: str) -> bool:
    """Whether all names, or all cells of a column, stand in apostrophes, and rows then have one width."""
    try:
        rows = [row for row in csv.reader(lines, delimiter=sign, quotechar="'", strict=True) if row][:_ROWS]
    except csv.Error:
        return False
    if len(rows) < 2 or len(rows[0]) < 2 or len({len(row) for row in rows}) != 1:
        return False
    written = [line.rstrip("\r\n") for line in lines if line.strip()]
    if len(written) < len(rows):  # lines within apostrophes
        return all(map(_IN_APOSTROPHES.fullmatch, written[0].split(sign)))
    by_row = [_raw_cells(line, sign) for line in written[: len(rows)]]
    if any(len(cells) != len(rows[0]) or any(cell.startswith('"') for cell in cells) for cells in by_row):
        return False  # rows of another width, or usual quotes
    quoted = [[_IN_APOSTROPHES.fullmatch(cell) is not None for cell in cells] for cells in by_row]
    return all(quoted[0]) or any(map(all, zip(*quoted[1:], strict=True)))


def _raw_cells(line: str, sign: str) -> list[str]:
    """The cells of a line with their apostrophes."""
    pattern = rf"(?:^|(?<={re.escape(sign)}))(?:'(?:[^']|'')*'|[^{re.escape(sign)}]*)(?=$|{re.escape(sign)})"
    return re.findall(pattern, line)


def _with_other_quotes(source: str, sign: str) -> Callable[[IO[str], IO[str]], None]:
    def write(text: IO[str], out: IO[str]) -> None:
        writer = csv.writer(out, delimiter=sign, lineterminator="\n")
        reader, start = csv.reader(text, delimiter=sign, quotechar="'", strict=True), 1
        try:
            for row in reader:
                writer.writerow(row)  # a blank line is a blank line
                start = reader.line_num + 1
        except csv.Error as problem:
            raise quote_error(source, start, str(problem)) from None

    return write


def without_first_lines(plain: PlainText, lines: int) -> PlainText:
    """A copy of a text whose first lines are blank, so that all others keep their numbers."""
    note = f"{quantity(lines, 'line')} above the names skipped (--header yes takes the first line for names)"

    def write(text: IO[str], out: IO[str]) -> None:
        for _ in range(lines):
            text.readline(LONGEST_LINE)
            out.write("\n")
        _copy(text, out)

    return copied_text(plain, write, note)


def with_single_blanks(plain: PlainText) -> PlainText:
    """A copy of a text with one blank between fields, where there were several, for columns to stand below each other.

    Lines keep their numbers, and what is in quotes stays as it is.
    """
    return copied_text(plain, lambda text, copy: copy.writelines(single_blanks(line) + "\n" for line in text))


_BLANKS = re.compile(r'("(?:[^"]|"")*")|[ \t]+')


def single_blanks(line: str) -> str:
    """A line with one blank in place of several, and of tabs, but in quotes.

    >>> single_blanks(' 1.5   2 "a  b" ')
    '1.5 2 "a  b"'
    """
    return _BLANKS.sub(lambda found: found[1] or " ", line.strip())


def with_line_feeds(data: polars.DataFrame) -> polars.DataFrame:
    """Cells of rows that were joined into one line each, with the ends of lines that they had."""
    import polars as pl

    return data.with_columns(pl.col(pl.String).str.replace_all(LINE_FEED, "\n", literal=True))


def rows_one_by_one(
    file: Path | bytes, separator: str, header: tuple[str, ...], rows: int, headed: bool
) -> polars.DataFrame:
    """The last rows of a text, as `Records` has read and checked them; a blank line is a row without values."""
    import polars as pl

    text = file.read_text(encoding="utf-8-sig") if isinstance(file, Path) else file.decode("utf-8-sig")
    found = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))[-rows:]
    cells = [[*row, *[None] * len(header)][: len(header)] for row in found]
    return pl.DataFrame(cells, schema=[(f"c{i}", pl.String) for i in range(len(header))], orient="row")
