"""Columns of numbers of a file that is read: those of a large table lie on disk, and come when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clearprop.data.columns import Column, same
from clearprop.data.readers.formats import is_large
from clearprop.data.readers.plain_text import RegularRows, byte_of_line, pieces_of_lines
from clearprop.data.readers.reading import Reading
from clearprop.data.readers.text_form import NumberForm, is_plain, plain_numbers, surely
from clearprop.data.streaming.memory import give_back
from clearprop.data.streaming.scratch import Scratch, has_space
from clearprop.errors import RunError

if TYPE_CHECKING:
    import polars


class NumberColumns:
    """Columns by name, about so many, each of so many numbers: written some rows at a time, and read whole.

    Those of a large table lie on disk: beside the rows that they are encoded into they would be twice as much memory.
    Where a disk has no room for them, or others fill it meanwhile, they are in memory.

    >>> numbers = NumberColumns(1, rows=3)
    >>> numbers.write("size", 0, np.array([1.0, 2.0]))
    >>> numbers.write("size", 2, np.array([3.0]))
    >>> numbers.get("size").tolist()
    [1.0, 2.0, 3.0]
    """

    def __init__(self, columns: int, rows: int) -> None:
        self.rows = rows
        self._begin = dict[str, int]()
        """The place in the file at which each column begins."""
        self._written = dict[str, int]()
        """The number of its rows that are there."""
        self._held = dict[str, NDArray[np.float64]]()
        self._file: Scratch | None = None
        if is_large(rows, columns):
            with suppress(RunError):  # no folder that may be written
                self._file = Scratch(rows * columns, (), np.float64) if has_space(8 * rows * columns) else None

    def write(self, name: str, first: int, values: NDArray[np.float64]) -> None:
        """Write values of a column from row `first` on; those before it are there."""
        begin = self._begin.setdefault(name, len(self._begin) * self.rows)
        if self._file is not None:
            try:
                self._file.write(begin + first, values)
                self._written[name] = first + len(values)
                return
            except RunError:
                self._take_back(self._file)
        if name not in self._held:
            self._held[name] = np.empty(self.rows)
        self._held[name][first : first + len(values)] = values

    def _take_back(self, file: Scratch) -> None:
        """Hold in memory what is in the file."""
        for name, begin in self._begin.items():
            self._held[name] = np.empty(self.rows)
            file.read(begin, self._held[name][: self._written.get(name, 0)])
        file.close()
        self._file = None

    def get(self, name: str) -> NDArray[np.float64]:
        """The numbers of a column."""
        begin = self._begin[name]
        return self._held[name] if self._file is None else self._file.get(begin, begin + self.rows)

    def keep(self, column: Column) -> Callable[[], Column]:
        """What gives a column that was read: one of numbers alone from here, any other as it is."""
        if not of_numbers(column):
            return partial(same, column)
        self.write(column.name, 0, column.values)
        return self.maker(column)

    def maker(self, column: Column) -> Callable[[], Column]:
        """What gives a column that was written, which is this one but for its values."""
        return partial(self._made, replace(column, values=np.empty(0)))

    def _made(self, column: Column) -> Column:
        return replace(column, values=self.get(column.name))


def of_numbers(column: Column) -> bool:
    """Whether all that is known of the rows of a column are numbers: no texts, and not how these are written."""
    return column.kind != "category" and column.spelling is None


# ------------------------------------------------------------------------------------------------ in lines of text
class TextRows(Protocol):
    """The lines of a file, each of which is a row: the names of its columns, and the line with which rows begin."""

    header: tuple[str, ...]

    @property
    def begin(self) -> int:
        """The line at which the rows begin."""


class TextTable(Protocol):
    """A file of such lines: see `csv_file.CsvFile`."""

    path: Path
    reading: Reading
    numbers: NumberForm
    marked: set[str]

    @property
    def needs_evidence(self) -> bool:
        """Whether all rows must be looked at to decide the form of numbers."""

    def parts(
        self, records: Any, lines: Iterable[bytes], known: RegularRows, as_text: Collection[str] | None
    ) -> Iterator[tuple[int, polars.DataFrame]]:
        """The texts of lines some together, and the number of bytes that these are."""


_AT_ONCE, _FIRST = 1 << 23, 1 << 14
"""The bytes of text that are read at a time, and those that are looked at first."""


def numbers_apart(
    table: TextTable, rows: TextRows, known: RegularRows, as_text: Collection[str], numbers: NumberColumns
) -> tuple[dict[str, Callable[[], Column]], polars.DataFrame | None]:
    """What gives the columns of numbers, and the texts of all others; None where the file must be read as one."""

    def parts(size: int, of: RegularRows, texts: Collection[str] | None) -> Iterator[polars.DataFrame]:
        lines = pieces_of_lines(table.path, byte_of_line(table.path, rows.begin), size)
        return (found for _, found in table.parts(rows, lines, of, texts))

    header, sign, said = rows.header, ".", table.reading.decimal
    if known.bare and (table.needs_evidence or said == ","):
        # What a comma means is told by all rows.  One column shows it, and stays text until all of it was seen to be
        # numbers; of the others none can show anything else, if it is read as numbers of that form.
        first = next(parts(_FIRST, known, None))
        sign, shown = _sign_in(first) if said is None else (said, [])
        some = {i for i, text in enumerate(first) if is_plain(text, sign) and text.null_count() < len(text)}
        known = known._replace(numeric=frozenset(some) - known.coded if shown or said else frozenset())
        as_text, table.numbers = {*as_text, *(header[i] for i in shown)}, _FORMS[sign]
    numeric = {header[place] for place in known.numeric} - set(as_text)
    if not numeric:
        return {}, None
    found, others = store_numbers(numbers, header, numeric, table.marked, lambda: parts(_AT_ONCE, known, as_text), sign)
    if table.needs_evidence and not surely(sign, others):
        return {}, None
    return found, others


_FORMS = {".": NumberForm(), ",": NumberForm(",", ".")}


def _sign_in(first: polars.DataFrame) -> tuple[str, list[int]]:
    """The sign before decimals in the first rows, and the column that shows it; none where none does."""
    for sign in _FORMS:
        if surely(sign, first):
            return sign, [next(i for i, text in enumerate(first) if surely(sign, [text]))]
    return ".", []


def store_numbers(
    numbers: NumberColumns,
    header: Sequence[str],
    numeric: Collection[str],
    marked: Collection[str],
    parts: Callable[[], Iterable[polars.DataFrame]],
    sign: str = ".",
) -> tuple[dict[str, Callable[[], Column]], polars.DataFrame]:
    """Of a table that comes in parts what gives its columns of numbers, and the texts of all others.

    `numeric` columns are numbers, or texts that are such, until one turns out to be `marked`: then it is read as text
    from the first row on.  `sign` is the one before decimals.
    """
    import polars as pl

    known = -1
    while known < len(marked):
        known, others, first = len(marked), list[pl.DataFrame](), 0
        stored = [place for place, name in enumerate(header) if name in numeric and name not in marked]
        rest = [place for place, _ in enumerate(header) if place not in stored]
        for part in parts():
            others.append(part[:, rest])
            for place in stored:
                if header[place] not in marked:
                    numbers.write(header[place], first, plain_numbers(part.to_series(place), sign).to_numpy())
            first += len(part)
    give_back()
    return {header[k]: numbers.maker(Column(header[k], "number", np.empty(0))) for k in stored}, pl.concat(others)
