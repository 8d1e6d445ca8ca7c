"""Text files as UTF-8 with lines that end in a line feed: others are rewritten so, into a scratch file."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import lzma
import os
import re
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clearprop.data.columns import name_list, quantity
from clearprop.data.readers.excel_file import write_excel_as_csv
from clearprop.data.readers.formats import (
    DATA_FILE,
    JSON,
    LONGEST_LINE,
    holds_workbook,
    long_line_error,
    names_behind_hash,
    require_known_form,
    require_unpacked_in_bounds,
)
from clearprop.data.readers.json_rows import is_json, write_json_as_csv
from clearprop.errors import DataError

_PIECE = 1 << 20
_MARKS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF8: "utf-8-sig"}
_MARKS |= {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f]")
"""Characters that no table holds."""
_DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, ValueError, RuntimeError, MemoryError)


@dataclass(frozen=True, eq=False)
class PlainText:
    """A file that holds the text as UTF-8, line by line as in the original; `notes` say what was done to it.

    `blanked` is the number of lines of comment below the header; numbers of lines are `shift` lower in the original.
    Where rows are `joined`, `LINE_FEED` stands for the end of a line within a cell.  A temporary file is gone when
    nothing refers to this.
    """

    path: Path
    notes: tuple[str, ...] = ()
    blanked: int = 0
    shift: int = 0
    joined: bool = False


def plain_text(path: Path, source: str, encoding: str | None = None, habit: str | None = None) -> PlainText:
    """The text of a file: itself where it is UTF-8 already, else a copy that is.

    It is unpacked (gzip, bzip2, xz, Zstandard, ZIP with one file), decoded (by its byte order mark, as UTF-8, or as
    cp1252 or Latin-1 where it is no UTF-8), its lines end in a line feed even where the old ones end in a carriage
    return alone, and lines of comment (`# …`, where the file begins with one) are blank.  Rows of JSON and sheets of
    workbooks are written out as text.  `habit` is the encoding of what is no UTF-8 and has no mark, in place of cp1252.

    Raises DataError for what is no text, or packed to excess.
    """
    info = path.stat()
    return _plain_text(path, source, encoding, habit, (info.st_size, info.st_mtime_ns, info.st_ino))


@lru_cache(maxsize=2)  # a file is opened several times, for the same text
def _plain_text(path: Path, source: str, encoding: str | None, habit: str | None, _stamp: tuple[int, ...]) -> PlainText:
    with _told_damage(source, encoding, DATA_FILE):
        if holds_workbook(path):
            return _as_written(lambda out: write_excel_as_csv(path, out, source), joined=True)
        packed = _packing(path)
        if packed:
            _require_unpacked(path, source)
        with _open_unpacked(path) as file:
            require_known_form(file.read(512), source)
        found = encoding or _encoding(path, source, habit)
        with _open_unpacked(path) as file, io.TextIOWrapper(file, encoding=found, newline="") as text:
            head = text.read(_PIECE)
        if (head.lstrip()[:1] in ("{", "[") or _suffix(path) in JSON.suffixes) and is_json(head, _suffix(path)):
            return _json_as_text(path, source, found)
        returns = "\r" in head and "\n" not in head
        comments = _begins_with_comment(head)
        if not (packed or returns or comments) and found in ("utf-8", "utf-8-sig"):
            return PlainText(path)
        return _rewritten(path, source, found, returns, comments)


def whole_text(path: Path, source: str, most: int, encoding: str | None = None) -> tuple[str, str]:
    """The characters of a file, unpacked and decoded as by `plain_text`, its lines ended by line feeds; else as it is.

    With them comes a sentence about the encoding, where that is not UTF-8; '' where it is.

    Raises DataError for what is no text, is packed to excess, or has more than `most` characters.
    """
    with _told_damage(source, encoding, "a text"):
        if _packing(path):
            _require_unpacked(path, source)
        found = encoding or _encoding(path, source)
        with _open_unpacked(path) as file, io.TextIOWrapper(file, encoding=found) as stream:
            text = stream.read(most + 1)
    if len(text) > most:
        raise DataError(
            f"{source!r} is too long a text",
            expected=f"at most {most:,} characters",
            got="more of them",
            where=source,
            try_="a part of it",
        )
    return text, _encoding_note(found)


def _encoding_note(encoding: str) -> str:
    return "" if encoding in ("utf-8", "utf-8-sig") else f"the text is read as {encoding} (--encoding says another)"


@contextmanager
def _told_damage(source: str, encoding: str | None, expected: str) -> Iterator[None]:
    """Within it, what reading a damaged file raises is a DataError."""
    try:
        yield
    except DataError:
        raise
    except (UnicodeError, LookupError):
        raise not_text_error(source, encoding) from None
    except _DAMAGE as problem:
        raise DataError(
            f"cannot read {source!r}",
            expected=expected,
            got=" ".join(str(problem).split())[:200] or type(problem).__name__,
            where=source,
            try_="write the file anew",
        ) from None


def _suffix(path: Path) -> str:
    """The end of a file's name that says what is in it, without what packs it."""
    packed = path.suffix.lower() in (".gz", ".bz2", ".xz", ".zst", ".zip")
    return Path(path.stem).suffix.lower() if packed else path.suffix.lower()


def _json_as_text(path: Path, source: str, encoding: str) -> PlainText:
    def write(out: IO[str]) -> tuple[str, ...]:
        with _open_unpacked(path) as one, _open_unpacked(path) as two:
            first, second = (io.TextIOWrapper(file, encoding=encoding) for file in (one, two))
            write_json_as_csv(first, second, out, source)
        return ()

    return _as_written(write, shift=1, joined=True)


def _as_written(
    write: Callable[[IO[str]], tuple[str, ...]], shift: int = 0, blanked: int = 0, joined: bool = False
) -> PlainText:
    """What `write` writes, as a text file; it gives what should be told."""
    scratch, handle = _scratch_file()
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as out:
            notes = write(out)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    return _kept_while_used(PlainText(scratch, notes, blanked, shift, joined))


def copied_text(plain: PlainText, write: Callable[[IO[str], IO[str]], None], note: str = "") -> PlainText:
    """A copy of a text, line by line as in the original, which `write` makes of it; `note` says what was done."""

    def whole(copy: IO[str]) -> tuple[str, ...]:
        with plain.path.open(encoding="utf-8-sig", newline="") as text:
            write(text, copy)
        return (*plain.notes, note) if note else plain.notes

    return _as_written(whole, plain.shift, plain.blanked, plain.joined)


def not_text_error(source: str, encoding: str | None = None) -> DataError:
    """The error for bytes that are no text."""
    return DataError(
        f"cannot read {source!r}: it is not a text file",
        expected=f"text in {encoding or 'UTF-8'}, or {DATA_FILE}",
        got=f"bytes that are not {encoding or 'UTF-8'} text",
        where=source,
        try_="save the table as CSV with the encoding UTF-8" + (", or another --encoding" if encoding else ""),
    )


_PACKINGS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK": "zip"}


def _packing(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(8)
    return next((name for mark, name in _PACKINGS.items() if start.startswith(mark)), "")


_OF_SYSTEM = re.compile(r"(?:^|/)(?:__MACOSX/|\.|Thumbs\.db$|desktop\.ini$)")
"""Files that systems put into archives."""


@contextmanager
def _open_unpacked(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of the text, unpacked."""
    packing = _packing(path)
    if packing == "zstd":
        import pyarrow

        with pyarrow.input_stream(str(path), compression="zstd") as stream:
            yield io.BufferedReader(stream)
    elif packing == "zip":
        with zipfile.ZipFile(path) as archive:
            names = [info for info in archive.infolist() if not info.is_dir() and not _OF_SYSTEM.search(info.filename)]
            if len(names) != 1:
                raise DataError(
                    f"{path.name!r} is an archive of {quantity(len(names), 'file')}",
                    expected="one table in it",
                    got=name_list([info.filename for info in names], 6) or "nothing",
                    where=path.name,
                    try_="unpack it, and name one of its files",
                )
            with archive.open(names[0]) as member:
                yield member
    else:
        opener: Any = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}.get(packing, open)
        with opener(path, "rb") as file:
            yield file


def _encoding(path: Path, source: str, habit: str | None = None) -> str:
    """The encoding: by a mark at the start, by zeros between the letters, by what can be decoded as a whole."""
    with _open_unpacked(path) as file:
        start = file.read(4096)
    marked = next((name for mark, name in _MARKS.items() if start.startswith(mark)), None)
    if marked is not None:
        return marked
    if len(start) > 3 and start.count(0) * 3 > len(start):
        even, odd = start[::2].count(0), start[1::2].count(0)
        if even == 0 or odd == 0:
            return "utf-16-le" if even == 0 else "utf-16-be"
    if _CONTROLS.search(start.decode("latin-1")):
        return "utf-8"  # no text of one byte a character; what it holds is said when it is read
    return next((name for name in ("utf-8", habit or "cp1252") if _decodes(path, source, name)), "latin-1")


def _decodes(path: Path, source: str, encoding: str) -> bool:
    decoder, read = codecs.getincrementaldecoder(encoding)(), 0
    with _open_unpacked(path) as file:
        while piece := file.read(_PIECE):
            read += len(piece)
            _require_bounds(path, source, read)
            if piece.isascii() and not decoder.getstate()[0]:
                continue  # every encoding that is tried here has ASCII
            try:
                decoder.decode(piece)
            except UnicodeDecodeError:
                return False
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _require_unpacked(path: Path, source: str) -> None:
    """Raise DataError for what unpacks to too much, before a line of it is read: it may be one line."""
    read = 0
    with _open_unpacked(path) as file:
        while piece := file.read(_PIECE):
            read += len(piece)
            _require_bounds(path, source, read)


def _require_bounds(path: Path, source: str, unpacked: int) -> None:
    require_unpacked_in_bounds(path.stat().st_size, unpacked, source, source, "unpack it first, if you trust the file")


def _begins_with_comment(head: str) -> bool:
    """Whether the first line is a comment: it begins with #, and does not have as many fields as the table's lines."""
    lines = [line for line in head.splitlines() if line.strip()][:50]
    if not lines or not lines[0].startswith("#") or names_behind_hash(head):
        return False
    first = next((line for line in lines if not line.startswith("#")), "")
    return not any(lines[0].count(sign) == first.count(sign) > 0 for sign in ",;\t|")


def _rewritten(path: Path, source: str, encoding: str, returns: bool, comments: bool) -> PlainText:
    scratch, handle = _scratch_file()
    try:
        with os.fdopen(handle, "wb") as file:
            notes, blanked = _rewrite(path, source, encoding, returns, comments, file)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    return _kept_while_used(PlainText(scratch, notes, blanked))


def _scratch_file() -> tuple[Path, int]:
    handle, name = tempfile.mkstemp(suffix=".csv", prefix="clearprop-")
    return Path(name), handle


def _kept_while_used(plain: PlainText) -> PlainText:
    weakref.finalize(plain, plain.path.unlink, missing_ok=True)
    return plain


def _groups_of_lines(text: IO[str], source: str) -> Iterator[list[str]]:
    """The lines of a text with their ends, some at a time; raises DataError before a line that is too long is held."""
    number = 1
    while piece := text.read(_PIECE):
        rest = "" if piece.endswith("\n") else text.readline(LONGEST_LINE)
        lines = io.StringIO(piece + rest, newline="").readlines()
        number += len(lines)
        if len(rest) == LONGEST_LINE:
            raise long_line_error(source, number - 1)
        yield lines


def _rewrite(
    path: Path, source: str, encoding: str, returns: bool, comments: bool, scratch: IO[bytes]
) -> tuple[tuple[str, ...], int]:
    """Write the text as UTF-8; gives what was done to it, and the number of lines of comment below the header."""
    read = blanked = above = 0
    inside, begun = False, False
    with (
        _open_unpacked(path) as file,
        io.TextIOWrapper(file, encoding=encoding, newline=None if returns else "") as text,
    ):
        for lines in _groups_of_lines(text, source):
            for i, line in enumerate(lines):
                if comments and not inside and line.startswith("#"):
                    lines[i] = "\n"
                    blanked += 1
                    above += not begun
                else:
                    begun = begun or bool(line.strip())
                    inside ^= bool(line.count('"') & 1)
            data = "".join(lines).encode()
            read += len(data)
            _require_bounds(path, source, read)
            scratch.write(data)
    notes = _encoding_note(encoding), f"{quantity(blanked, 'line')} of comment skipped" if blanked else ""
    return tuple(filter(None, notes)), blanked - above


# ----------------------------------------------------------------------------- files in which each line is a row
class RegularRows(NamedTuple):
    """The number of rows in a file where each line below the header is one, and what is known of their cells.

    `bare`: none has blanks around it; `told`: none is a word for a missing value, but for those that hold nothing;
    `coded`: the columns, by their places, where some begins like a code, with 0 and a digit, if all are bare; `numeric`
    those that hold plain numbers in the first lines.
    """

    number: int
    bare: bool = True
    told: bool = True
    coded: frozenset[int] = frozenset()
    numeric: frozenset[int] = frozenset()

    def of(self, places: Sequence[int]) -> RegularRows:
        """The same of the columns at these places alone."""
        coded, numeric = ({n for n, place in enumerate(places) if place in of} for of in (self.coded, self.numeric))
        return self._replace(coded=frozenset(coded), numeric=frozenset(numeric))


NOTHING_KNOWN = RegularRows(0, bare=False, told=False)


def look_at_lines(path: Path, line: int, width: int, separator: str, words: Sequence[str]) -> RegularRows | None:
    """What the lines of a file from one on are, if each is `width` cells and cannot be read otherwise; else None.

    `words` stand for missing values.
    """
    found, openings = RegularRows(0), _openings(words)
    for piece in pieces_of_lines(path, byte_of_line(path, line), _LOOKED):
        cells = _Cells.of(piece, separator, width)
        if cells is None:
            return None
        first = cells.text[cells.starts]
        bare = found.bare and piece.isascii() and cells.are_bare(piece, separator)
        told = bare and found.told and not cells.hold_words(first, openings)
        zeros = np.flatnonzero(first == ord("0"))
        second = cells.text[cells.starts[zeros] + 1]
        coded = zeros[(second >= ord("0")) & (second <= ord("9"))]
        number = found.number + len(cells.starts) // width
        found = RegularRows(number, bare, told, found.coded | {*np.unique(coded % width).tolist()})
    return found if found.number else None


_LOOKED = 1 << 18
_BLANKS = b" \t\v\f"
_NO_WORD = 31
"""A length that words have not: longer ones are looked for by their first letter alone."""


def _openings(words: Sequence[str]) -> NDArray[np.uint32]:
    """For each byte the lengths of the words that begin with it, as bits."""
    found = np.zeros(256, np.uint32)
    for word in map(str.encode, filter(None, words)):
        found[word[0]] |= np.uint32(1 << min(len(word), _NO_WORD))
    return found


def byte_of_line(path: Path, line: int) -> int:
    """The byte with which a line begins; the first line is 1."""
    with path.open("rb") as file:
        if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
            file.seek(0)
        for _ in range(line - 1):
            file.readline()
        return file.tell()


def pieces_of_lines(path: Path, begin: int, size: int, end: int | None = None) -> Iterator[bytes]:
    """The bytes of a file in pieces of about `size` that end where a line does; a line begins with number `begin`.

    `end` is where one of these pieces ends; by default the file.
    """
    with path.open("rb") as file:
        file.seek(begin)
        while (end is None or file.tell() < end) and (piece := file.read(size)):
            piece += b"" if piece.endswith(b"\n") else file.readline(LONGEST_LINE)
            yield piece


class _Cells(NamedTuple):
    """Where the cells of lines begin and end in a text, all of which have equally many."""

    text: NDArray[np.uint8]
    starts: NDArray[np.intp]
    ends: NDArray[np.intp]

    @classmethod
    def of(cls, piece: bytes, separator: str, width: int) -> _Cells | None:
        """The cells, if each line is `width` of them in UTF-8 and nothing could be read otherwise.

        None where there is a quote, a return that ends no line, or a line that is longer than a field may be.
        """
        if b'"' in piece or b"\0" in piece or piece.endswith(b"\r") or not _is_text(piece):
            return None
        text = np.frombuffer(piece if piece.endswith(b"\n") else piece + b"\n", np.uint8)
        line_feeds = text == ord("\n")
        ends = np.flatnonzero(line_feeds | (text == ord(separator)))
        lines = ends[width - 1 :: width]
        if len(ends) != len(lines) * width or np.count_nonzero(line_feeds) != len(lines) or not line_feeds[lines].all():
            return None
        if np.diff(lines, prepend=-1).max() > csv.field_size_limit():
            return None
        starts = np.zeros_like(ends)
        np.add(ends[:-1], 1, out=starts[1:])
        if b"\r" in piece:
            returned = text[lines - 1] == ord("\r")
            if np.count_nonzero(text == ord("\r")) != np.count_nonzero(returned):
                return None
            ends[width - 1 :: width] -= returned
        return cls(text, starts, ends)

    def hold_words(self, first: NDArray[np.uint8], openings: NDArray[np.uint32]) -> bool:
        """Whether some cell, by its first byte and its length, may be one of the words with these `openings`."""
        cells = np.flatnonzero((openings != 0)[first])
        lengths = np.minimum(self.ends[cells] - self.starts[cells], _NO_WORD).astype(np.uint32)
        return bool((openings[first[cells]] >> lengths & np.uint32(1)).any())

    def are_bare(self, piece: bytes, separator: str) -> bool:
        """Whether no cell of this text has a blank before or behind it."""
        ends = np.zeros(256, np.bool_)
        ends[[ord("\n"), ord("\r"), ord(separator)]] = True
        for blank in (blank for blank in _BLANKS.replace(separator.encode(), b"") if blank in piece):
            places = np.flatnonzero(self.text == blank)  # before the first byte stands the last, which ends a line
            if ends[self.text[places - 1]].any() or ends[self.text[places + 1]].any():
                return False
        return True


def _is_text(piece: bytes) -> bool:
    if piece.isascii():
        return True
    try:
        piece.decode()
    except UnicodeDecodeError:
        return False
    return True
