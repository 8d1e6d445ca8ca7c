"""Tables whose files say what their columns are, Parquet and NPY; and folders of such files, which are one table.

Other programs write large tables as folders of parts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Protocol

from clearprop.data.columns import Column, Frame, Locator, TableColumns, quantity, same
from clearprop.data.readers.array_tables import ArrayTable
from clearprop.data.readers.formats import NPY, PARQUET, FileForm, form_of, place_of_row, table_parts
from clearprop.data.readers.number_columns import NumberColumns, of_numbers
from clearprop.data.readers.parquet_file import ParquetTable, joined_column
from clearprop.data.readers.reading import ALL_COLUMNS, ColumnRequest
from clearprop.data.streaming.memory import give_back
from clearprop.errors import DataError

TABLE_LIMIT = 2 * 2**30
"""The largest size in bytes, at 8 bytes a value, of a table that is read into memory at once."""
MUCH = 2**24
"""Bytes from which what readers leave behind is worth giving back."""
_ROWS_AT_ONCE, _HELD = 65_536, 2**26
_BYTES_OF_A_VALUE = 32
"""A reader holds no more than this of each value that it reads, packed, unpacked and as a number."""


class TypedTable(Protocol):
    """A table that was opened and whose form was checked."""

    source: str
    names: tuple[str, ...]
    notes: tuple[str, ...]
    rows: int

    @property
    def schema(self) -> tuple[tuple[str, str], ...]:
        """The columns: the name of each and its type, as the file calls it."""
        ...

    @property
    def held_per_column(self) -> int:
        """The bytes that its reader holds of each column that it reads, whatever the number of rows."""
        ...

    @property
    def bytes_per_value(self) -> int:
        """So many bytes of memory, at most about, are taken for each value when it is read at once."""
        ...

    def starts(self, rows: int) -> tuple[int, ...]:
        """The rows at which blocks of so many rows begin."""
        ...

    def blocks(
        self, rows: int, asked: ColumnRequest = ALL_COLUMNS, since: int = 0, until: int | None = None
    ) -> Iterator[tuple[Column, ...]]:
        """The rows from number `since` up to `until`, at most `rows` at a time: see `ParquetTable.blocks`."""
        ...

    @property
    def place(self) -> Locator:
        """Says where a value stands."""
        ...


TABLES: dict[FileForm, Callable[[Path, str], TypedTable]] = {PARQUET: ParquetTable, NPY: ArrayTable}
"""What opens a file of each form."""


class FolderTable:
    """The files of a folder in the order of their names: names of columns, number of rows, blocks of rows.

    It is read as one of them is, and no block holds rows of two files.

    Raises DataError for a file that is refused by itself, and for one whose columns are not those of the first.
    """

    def __init__(self, path: Path, source: str) -> None:
        self.source, self.files, self.open = source, table_parts(path), TABLES[form_of(path, source)]
        tables = (self._table(file) for file in self.files)
        first = next(tables)
        counts = [first.rows]
        for table in tables:
            _require_same_columns(first, table)
            counts.append(table.rows)
        self.names, self.schema, self.notes = first.names, first.schema, first.notes
        self.firsts = tuple(accumulate(counts, initial=0))
        # one file is open at a time, so that a reader holds no more than the longest has
        self.held_per_column = min(first.held_per_column, _BYTES_OF_A_VALUE * max(counts))
        self.bytes_per_value = first.bytes_per_value
        self.rows = self.firsts[-1]

    def _table(self, file: Path) -> TypedTable:
        return self.open(file, f"{self.source}/{file.name}")

    def starts(self, rows: int) -> tuple[int, ...]:
        """The rows at which blocks of so many rows begin."""
        parts = zip(self.files, self.firsts, strict=False)  # one more number than files: that of all rows
        return tuple(first + start for file, first in parts for start in self._table(file).starts(rows))

    def blocks(
        self, rows: int, asked: ColumnRequest = ALL_COLUMNS, since: int = 0, until: int | None = None
    ) -> Iterator[tuple[Column, ...]]:
        """The rows from number `since` up to `until`, at most `rows` at a time: see `ParquetTable.blocks`."""
        end = self.rows if until is None else until
        for file, (first, last) in zip(self.files, pairwise(self.firsts), strict=True):
            if since < last and first < end:
                own = max(since - first, 0), min(end, last) - first
                yield from self._table(file).blocks(rows, asked, *own)

    @property
    def place(self) -> Locator:
        """Says where a value stands."""
        return PlaceInFolder(tuple(f"{self.source}/{file.name}" for file in self.files), self.firsts)


@dataclass(frozen=True)
class PlaceInFolder:
    """Says in which file of a folder a value stands, and in which row of it.

    >>> PlaceInFolder(("t/a.parquet", "t/b.parquet"), (0, 10, 15))("size", 12)
    "t/b.parquet, row 2 (the first is 0), column 'size'"
    """

    sources: tuple[str, ...]
    firsts: tuple[int, ...]

    def __call__(self, column: str, row: int) -> str:
        """The place of a value by its column and its row in the whole table."""
        part = bisect_right(self.firsts, row) - 1
        return place_of_row(self.sources[part], column, row - self.firsts[part])


def typed_table(path: Path, source: str) -> TypedTable:
    """The table in a Parquet or an NPY file, or in a folder of them."""
    return FolderTable(path, source) if path.is_dir() else TABLES[form_of(path, source)](path, source)


def read_typed(
    path: Path,
    source: str,
    target: str | None = None,
    as_text: frozenset[str] = frozenset(),
    spelled: frozenset[str] = frozenset(),
) -> Frame:
    """Read a Parquet or an NPY file, or a folder of them, of numbers, truth values, dates and text into memory.

    Of `target`, by default the last column, and of columns `spelled` the spelling of whole numbers is kept; columns
    `as_text` are texts.

    Raises DataError for a file that is damaged or empty, and for more than `TABLE_LIMIT` bytes of values.
    """
    table = typed_table(path, source)
    size = 8 * table.rows * len(table.names)
    if size > TABLE_LIMIT:
        raise DataError(
            f"{source!r} is too large to be read at once",
            expected=f"at most {TABLE_LIMIT:,} bytes, at 8 bytes a value",
            got=f"{size:,} bytes: {table.rows:,} rows of {quantity(len(table.names), 'column')}",
            where=source,
            try_="clearprop train --memory 1GB, which streams it; or fewer rows",
        )
    asked = ColumnRequest(None, table.names[-1] if target is None else target, as_text, spelled)
    columns = _columns_of(table, asked)
    if size > MUCH:
        give_back()
    return Frame(source, columns, table.place, notes=table.notes)


def read_together(names: tuple[str, ...], held: int, memory: int) -> list[tuple[str, ...]]:
    """The columns in groups, as many in each as there is memory for the bytes that a reader holds of one.

    >>> read_together(("a", "b", "c"), 10, 20), read_together(("a", "b"), 0, 20)
    ([('a', 'b'), ('c',)], [('a', 'b')])
    """
    size = max(1, memory // held) if held else len(names)
    return [names[i : i + size] for i in range(0, len(names), size)]


def _columns_of(table: TypedTable, asked: ColumnRequest) -> TableColumns:
    """All columns, as many together as the reader holds little of: those of numbers are kept some rows at a time."""
    numbers = NumberColumns(len(table.names), table.rows)
    makers = dict[str, Callable[[], Column]]()
    held = min(table.held_per_column, _BYTES_OF_A_VALUE * table.rows)
    for names in read_together(table.names, held, _HELD):
        texts, first = dict[str, list[Column]](), 0
        for block in table.blocks(_ROWS_AT_ONCE, replace(asked, names=names)):
            for column in block:
                if of_numbers(column):
                    numbers.write(column.name, first, column.values)
                    makers.setdefault(column.name, numbers.maker(column))
                else:
                    texts.setdefault(column.name, []).append(column)
            first += len(block[0].values)
        makers |= {name: partial(same, joined_column(pieces)) for name, pieces in texts.items()}
    return TableColumns(table.names, [makers[name] for name in table.names], table.rows)


def _require_same_columns(first: TypedTable, other: TypedTable) -> None:
    """Raise DataError unless a file has the columns of the first one, in their order and with their types."""
    known, found = first.schema, other.schema
    if known == found:
        return
    both = zip(known, found, strict=False)
    here, there = next(
        ((a, b) for a, b in both if a != b), (((f"{quantity(len(known), 'column')}",)), (f"{len(found)}",))
    )
    raise DataError(
        f"{other.source!r} has other columns than {first.source!r}",
        expected=" of type ".join(map(repr, here)) if len(here) > 1 else here[0],
        got=" of type ".join(map(repr, there)) if len(there) > 1 else there[0],
        where=other.source,
        try_="write all files of the folder by one program; or train on the one file that holds the table",
    )
