"""Files of rows, opened to be read several times, some rows at a time, by what stays unchanged."""

from __future__ import annotations

import io
from array import array
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from clearprop.data.columns import Column, ColumnKind, Levels, Locator, TextBytes, as_category
from clearprop.data.readers.csv_file import (
    Cells,
    CsvFile,
    Records,
    heading,
    regular_rows,
)
from clearprop.data.readers.formats import CSV, FileForm, blank_lines, no_rows_error, place_of_line, table_parts
from clearprop.data.readers.plain_text import NOTHING_KNOWN, RegularRows, byte_of_line, pieces_of_lines
from clearprop.data.readers.reading import AS_SHOWN, ColumnRequest, Reading
from clearprop.data.readers.sources import file_form
from clearprop.data.readers.text_codes import TextCodes, TextRoom
from clearprop.data.readers.text_form import Evidence, NumberForm
from clearprop.data.readers.typed_tables import TABLES, read_together, typed_table
from clearprop.data.streaming.memory import Budget, give_back
from clearprop.data.streaming.sharers import ALONE, Sharers, own_part
from clearprop.errors import DataError


class Values(Protocol):
    """One column of a block, before its kind is known."""

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Where no value is."""
        ...

    @property
    def kind(self) -> ColumnKind:
        """What its own values say that it is."""
        ...

    def fits(self, kind: ColumnKind) -> bool:
        """Whether every value is of that kind."""
        ...

    def as_kind(self, kind: ColumnKind) -> Column:
        """The column as that kind, which its values fit; with its spelling, if it is the target."""
        ...

    @property
    def levels(self) -> Levels | None:
        """The different texts, where it is known that these are few."""
        ...

    @property
    def text_bytes(self) -> TextBytes | None:
        """The bytes of the texts, where all are there and have as many."""
        ...

    @property
    def codes(self) -> tuple[TextCodes, NDArray[np.integer[Any]]] | None:
        """The different texts of the file so far, and the place there of each row; None where it is not known."""
        ...

    def of_texts(self, texts: list[str]) -> Values:
        """The same column with these texts, where its different ones are known."""
        ...


@dataclass(frozen=True, eq=False)
class TextValues:
    """A column of a CSV file: what it is, its texts decide."""

    cells: Cells
    spelled: bool = False

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Where no value is."""
        text = self.cells.text
        return np.asarray(text.is_null().to_numpy()) if text.null_count() else np.zeros(len(text), dtype=bool)

    @property
    def kind(self) -> ColumnKind:
        """What its own values say that it is."""
        return self.cells.kind

    def fits(self, kind: ColumnKind) -> bool:
        """Whether every value is of that kind."""
        if kind == "category":
            return True
        return kind != "time" and {"number": self.cells.is_numbers, "boolean": self.cells.is_booleans}[kind]()

    def as_kind(self, kind: ColumnKind) -> Column:
        """The column as that kind."""
        return self.cells.as_kind(kind, self.spelled)

    @property
    def levels(self) -> Levels | None:
        """The different texts, where these are few."""
        return self.cells.levels

    @property
    def text_bytes(self) -> TextBytes | None:
        """The bytes of the texts, where all are there and have as many."""
        known = None if self.cells.text.dtype.is_float() else self.cells.known
        return known if isinstance(known, TextBytes) else None

    @property
    def codes(self) -> tuple[TextCodes, NDArray[np.integer[Any]]] | None:
        """The different texts of the file so far, and the place there of each row."""
        known, levels = self.cells.different, self.cells.levels
        if known is None or levels is None or levels.different is not known.different:
            return None
        return known, levels.places

    def of_texts(self, texts: list[str]) -> TextValues:
        """The same column with these texts."""
        return TextValues(self.cells.of_texts(texts), self.spelled)


@dataclass(frozen=True, eq=False)
class TypedValues:
    """A column of a Parquet or an NPY file: the file says what it is."""

    column: Column

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Where no value is."""
        return self.column.missing

    @property
    def kind(self) -> ColumnKind:
        """What the file says that it is."""
        return self.column.kind

    def fits(self, kind: ColumnKind) -> bool:
        """Whether it is of that kind."""
        return self.column.kind == kind

    def as_kind(self, _kind: ColumnKind) -> Column:
        """The column; it has one kind only."""
        return self.column

    @property
    def levels(self) -> None:
        """They are not looked for."""

    @property
    def text_bytes(self) -> None:
        """They are not looked for."""

    @property
    def codes(self) -> None:
        """Nothing is known of other blocks."""

    def of_texts(self, texts: list[str]) -> TypedValues:
        """A column of text."""
        return TypedValues(Column(self.column.name, "category", np.array(texts, dtype=object)))


def texts_in(values: Values) -> Column:
    """The values as texts, None where one is missing."""
    return as_category(values.as_kind("category" if values.fits("category") else values.kind))


@dataclass(frozen=True)
class Mark:
    """Where rows begin in a file: the number of the first, and of a text file its line and the byte of that line."""

    row: int
    line: int = 0
    byte: int = 0


@dataclass(frozen=True)
class RowRange:
    """Rows of a file from one mark up to another, or to the end."""

    begin: Mark
    end: Mark | None


@dataclass(frozen=True, eq=False)
class RowBlock:
    """Rows that stand one after another in a file; `place` takes numbers of rows within the block.

    `mark` is where they begin; None in a file that can only be read from its start.
    """

    first: int
    rows: int
    columns: Mapping[str, Values]
    place: Locator
    mark: Mark | None = None


class RowFile(Protocol):
    """A file of rows whose form was checked."""

    source: str
    names: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def decimal(self) -> str | None:
        """The sign before decimals, of a text file."""
        ...

    @property
    def most_rows(self) -> int | None:
        """A number of rows that it does not have more of, where these are read in one pass; else None."""
        ...

    def prepare(self, budget: Budget, ranks: Sharers) -> None:
        """Decide what must be known of all rows before any is read."""
        ...

    def groups(self, budget: Budget) -> list[tuple[str, ...]]:
        """The columns that are read together."""
        ...

    def cuts(self, budget: Budget, columns: int) -> tuple[Mark, ...]:
        """Where blocks of so many columns begin; nowhere in a file that can only be read from its start."""
        ...

    def blocks(self, budget: Budget, asked: ColumnRequest, part: RowRange | None = None) -> Iterator[RowBlock]:
        """All rows of these columns, or a part, in their order; of the target with its spelling."""
        ...


_Texts: TypeAlias = tuple[NDArray[np.int64], NDArray[np.bool_], Any, int | None]
"""Texts of rows: the lines, which of them hold a row, the texts, the byte of the first line where every line is one."""


class _Csv:
    """A table that is written as text, read line by line; `notes` are complete after a pass."""

    def __init__(self, path: Path, source: str, reading: Reading) -> None:
        self.source, self.table = source, CsvFile(path, source, reading)
        self.notes = self.table.notes
        with self.table.records() as records:
            self.names = records.header
        self._looked: tuple[RegularRows | None] | None = None

    @property
    def _known(self) -> RegularRows:
        """What is known of all cells."""
        return NOTHING_KNOWN if self._looked is None or self._looked[0] is None else self._looked[0]

    def _regular(self, records: Records) -> RegularRows | None:
        """The rows, where each line is one: looked for once, since a file that changes between passes is refused."""
        if self._looked is None:
            self._looked = (regular_rows(self.table, records),)
        return self._looked[0]

    @property
    def most_rows(self) -> int | None:
        """The number of lines, where each is a row; else as many as there were with nothing between separators."""
        with self.table.records() as records:
            found = self._regular(records)
        return self.table.path.stat().st_size // len(self.names) + 1 if found is None else found.number

    def groups(self, _budget: Budget) -> list[tuple[str, ...]]:
        """All columns: a line holds them all."""
        return [self.names]

    def cuts(self, budget: Budget, columns: int) -> tuple[Mark, ...]:
        """Where pieces of rows begin, if every line is a row."""
        with self.table.records() as records:
            if self._regular(records) is None:
                return ()
            found = [Mark(0, records.begin, byte_of_line(self.table.path, records.begin))]
            for piece in pieces_of_lines(self.table.path, found[0].byte, budget.text):
                last, lines = found[-1], piece.count(b"\n")
                found.append(Mark(last.row + lines, last.line + lines, last.byte + len(piece)))
            return tuple(found[:-1])

    def prepare(self, budget: Budget, ranks: Sharers) -> None:
        """Decide the form of the numbers, which needs a pass of its own over some files."""
        if not self.table.needs_evidence:
            self.table.decide_numbers(())
            return
        self.table.numbers = ranks.lead(lambda: self._decided_numbers(budget, ranks))

    def _decided_numbers(self, budget: Budget, ranks: Sharers) -> NumberForm:
        every = [Evidence() for _ in self.names]
        for _, _, texts, _ in self._texts(budget):
            ranks.beat()
            for found, text in zip(every, texts.iter_columns(), strict=True):
                found.add(text)
        self.table.decide_numbers(every)
        return self.table.numbers

    @property
    def decimal(self) -> str | None:
        """The sign before decimals."""
        return self.table.numbers.decimal

    def blocks(self, budget: Budget, asked: ColumnRequest, part: RowRange | None = None) -> Iterator[RowBlock]:
        """All rows of these columns, or a part, in their order."""
        first, blank, goal = 0 if part is None else part.begin.row, 0, asked.target or self.names[-1]
        spelled = self.table.reading.spelled | {goal}
        written = spelled | {*asked.as_text}
        room = TextRoom(budget.texts)
        different = {name: TextCodes(room) for name in self.names}
        for starts, kept, texts, byte in self._texts(budget, written, part):
            rows = int(kept.sum())
            blank += len(kept) - rows
            if rows:
                place = partial(place_of_line, self.source, starts[kept] - self.table.plain.shift)
                cells = self.table.cells(texts, self.names, goal, self._known, different)
                used = self.names if asked.names is None else asked.names
                columns = {c.name: TextValues(c, c.name in spelled) for c in cells if c.name in used}
                mark = None if byte is None else Mark(first, int(starts[0]), byte)
                yield RowBlock(first, rows, columns, place, mark)
            first += rows
        if part is not None:
            return
        if not first:
            raise no_rows_error(self.names, self.source)
        self.notes = self.table.notes + blank_lines(blank - self.table.plain.blanked)

    def _texts(
        self, budget: Budget, written: Collection[str] | None = None, part: RowRange | None = None
    ) -> Iterator[_Texts]:
        """All rows, or a part; of columns that are `written` (None: all) the texts, of others it may be the numbers."""
        with self.table.records(keep=True, size=budget.text) as records:
            if self._regular(records) is not None:
                start = Mark(0, records.begin, byte_of_line(self.table.path, records.begin))
                yield from self._regular_texts(records, part or RowRange(start, None), budget, written)
                return
            for starts, text in _cut_rows(records):
                kept = starts > 0
                yield starts, kept, self.table.texts(text.encode(), records.header, kept, headed=True), None

    def _regular_texts(
        self, records: Records, part: RowRange, budget: Budget, written: Collection[str] | None
    ) -> Iterator[_Texts]:
        """The texts of rows where every line is one."""
        line, byte = part.begin.line, part.begin.byte
        lines = pieces_of_lines(self.table.path, byte, budget.text, None if part.end is None else part.end.byte)
        for size, texts in self.table.parts(records, lines, self._known, written):
            yield np.arange(line, line + len(texts)), np.ones(len(texts), np.bool_), texts, byte
            line, byte = line + len(texts), byte + size


def _cut_rows(records: Records) -> Iterator[tuple[NDArray[np.int64], str]]:
    """Rows some at a time: the lines at which they start, and their text below a header line.

    The text is cut where a piece of it and a row begin with the same line.
    """
    head, begin = heading(records), records.begin
    lines, seen = array("q"), len(records.starts)
    for line in records:
        if len(records.starts) > seen:
            seen = len(records.starts)
            if abs(line) in records.starts:
                at = records.starts.index(abs(line))
                text = _skip_lines(records.pieces[:at], begin - records.starts[0])
                del records.pieces[:at], records.starts[:at]
                if lines:
                    yield np.array(lines, dtype=np.int64), head + text
                lines, seen, begin = array("q"), len(records.starts), abs(line)
        lines.append(line)
    if lines:
        yield np.array(lines, dtype=np.int64), head + _skip_lines(records.pieces, begin - records.starts[0])


def _skip_lines(pieces: list[str], lines: int) -> str:
    """The pieces as one text, without so many lines at its start."""
    text = io.StringIO("".join(pieces), newline="")
    for _ in range(lines):
        text.readline()
    return text.read()


class _Typed:
    """A Parquet or an NPY file, or a folder of them, cut into blocks of rows."""

    decimal: str | None = None
    most_rows: int | None = None

    def __init__(self, path: Path, source: str, reading: Reading) -> None:
        self.path, self.source = path, source
        self.as_text, self.spelled = reading.columns.texts, reading.spelled
        table = typed_table(path, source)
        self.names, self.notes, self.held = table.names, table.notes, table.held_per_column

    def cuts(self, budget: Budget, columns: int) -> tuple[Mark, ...]:
        """Where blocks of so many columns begin."""
        return tuple(Mark(row) for row in typed_table(self.path, self.source).starts(budget.rows_read(columns)))

    def prepare(self, _budget: Budget, _ranks: Sharers) -> None:
        """Nothing: the file says what its columns are."""

    def groups(self, budget: Budget) -> list[tuple[str, ...]]:
        """As many columns together as there is memory for what the reader holds of each."""
        return read_together(self.names, self.held, budget.memory // 2)

    def blocks(self, budget: Budget, asked: ColumnRequest, part: RowRange | None = None) -> Iterator[RowBlock]:
        """All rows of these columns, or a part, in their order."""
        table = typed_table(self.path, self.source)
        size = budget.rows_read(len(self.names if asked.names is None else asked.names))
        own = replace(asked, as_text=self.as_text, spelled=self.spelled)  # the file tells all other columns apart
        first, end = (0, None) if part is None else (part.begin.row, part.end)
        last = None if end is None else end.row
        for columns in table.blocks(size, own, since=first, until=last):
            rows, place = len(columns[0].values), _shift_rows(table.place, first)
            yield RowBlock(first, rows, {c.name: TypedValues(c) for c in columns}, place, Mark(first))
            first += rows


_ROW_FILES: dict[FileForm, Callable[[Path, str, Reading], RowFile]] = {
    CSV: _Csv,
    **dict.fromkeys(TABLES, _Typed),
}
"""What reads each form that can be streamed."""


def _shift_rows(place: Locator, first: int) -> Locator:
    return lambda column, row: place(column, first + row)


class UnchangingFile:
    """A table whose file must stay as it is: every pass looks at its size and its time of change, before and after.

    What must be known of all rows is found by the first of the `ranks`.
    """

    def __init__(
        self, path: Path, source: str, budget: Budget, reading: Reading = AS_SHOWN, ranks: Sharers = ALONE
    ) -> None:
        self.path, self.stamp, self.ranks = path, _file_stamp(path), ranks
        self.table = _ROW_FILES[file_form(path, source)](path, source, reading)
        self.table.prepare(budget, ranks)

    def blocks(self, budget: Budget, asked: ColumnRequest, part: RowRange | None = None) -> Iterator[RowBlock]:
        """All rows of these columns, or a part, in their order.

        Raises DataError if the file is not what it was when opened.
        """
        self.require_unchanged()
        for block in self.table.blocks(budget, asked, part):
            self.ranks.beat()
            yield block
        self.require_unchanged()
        give_back()

    def own_blocks(self, budget: Budget, asked: ColumnRequest) -> Iterator[RowBlock]:
        """Of all rows those that fall to this rank; the blocks are those of one process that reads all.

        A file that can only be read from its start is read by the first rank.
        """
        width = len(self.table.names if asked.names is None else asked.names)
        cuts = self.ranks.lead(lambda: self.table.cuts(budget, width)) if self.ranks.size > 1 else ()
        own = own_part(len(cuts), self.ranks)
        if len(own):
            yield from self.blocks(budget, asked, RowRange(cuts[own.start], (*cuts, None)[own.stop]))
        elif self.ranks.rank == 0 and not cuts:
            yield from self.blocks(budget, asked)

    def require_unchanged(self) -> None:
        """Raise DataError if the file has changed."""
        if _file_stamp(self.path) != self.stamp:
            raise self.changed()

    def changed(self) -> DataError:
        """The error for a file that changed while it was read."""
        return DataError(
            f"{self.table.source!r} changed while it was read",
            expected="a file that stays as it is until all its rows have been read",
            got="another size, time of change or content than in the pass before",
            where=self.table.source,
            try_="train again when the file is complete; nothing was written",
        )


def _file_stamp(path: Path) -> tuple[tuple[int, ...], ...]:
    """Size, time of change and number of a file, or of each part in a folder; nothing of one that has gone."""
    try:
        stats = [file.stat() for file in (table_parts(path) if path.is_dir() else [path])]
    except OSError:
        return ()
    return tuple((info.st_size, info.st_mtime_ns, info.st_ino) for info in stats)
