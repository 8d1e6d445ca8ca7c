"""Reading a Parquet file: its footer is checked before a value is read, and values come some rows at a time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.columns import Column, Locator, quantity
from clearprop.data.kinds.times import ticks_as_seconds
from clearprop.data.readers.formats import place_of_row, require_columns_in_bounds
from clearprop.data.readers.number_marks import DURATION
from clearprop.data.readers.reading import ALL_COLUMNS, ColumnRequest
from clearprop.errors import DataError

if TYPE_CHECKING:
    import pyarrow

MOST_COMPRESSED = 1000
"""A column of a row group that unpacks to more than this many times its size, and to more than `LARGE_CHUNK`
bytes, is taken for a decompression bomb."""
LARGE_CHUNK = 64 * 2**20
MOST_VALUES_PER_BYTE = 200
"""A file that holds more values than this for each of its bytes, and more than fit into `LARGE_CHUNK`, is refused."""
_WRITTEN_OUT = frozenset({"PLAIN", "RLE", "BIT_PACKED", "DELTA_LENGTH_BYTE_ARRAY"})
"""Encodings of texts, and of where they are missing, in which every text has its own bytes."""
_BUFFER = 1 << 16
"""Bytes read ahead in each column: without it a whole row group would be held."""


_HELD_PER_COLUMN = 4 * 2**20
"""What a reader holds of each column: a page, unpacked and decoded, and a dictionary."""
_BYTES_PER_VALUE = 44


class ParquetTable:
    """A Parquet file that was opened and whose footer was checked: names, number of rows, and blocks of rows.

    Raises DataError for a file that is truncated, damaged, empty, or holds columns that cannot be learned from.
    """

    held_per_column, bytes_per_value = _HELD_PER_COLUMN, _BYTES_PER_VALUE

    def __init__(self, path: Path, source: str) -> None:
        import pyarrow.parquet as pq

        self.source = source
        path = path.absolute()  # a name such as file: is no address
        with _reader_errors(source):
            metadata = pq.read_metadata(path)
            texts = _repeating_columns(
                metadata, [f.name for f in metadata.schema.to_arrow_schema() if _is_text(f.type)]
            )
            self.coded = frozenset(texts)
            self.file = pq.ParquetFile(path, read_dictionary=texts, buffer_size=_BUFFER, pre_buffer=False)
            self.names, self.notes = names_in(self.file.schema_arrow)
            self.rows = int(self.file.metadata.num_rows)
            _check_sizes(self.file.metadata, path.stat().st_size, source)
            require_columns_in_bounds(len(self.names), source)
            self._check_columns()

    def _check_columns(self) -> None:
        double = [name for name, count in Counter(self.names).items() if count > 1]
        if double:
            raise DataError(
                f"{self.source!r} has two columns of one name",
                expected="a name of its own for every column",
                got=", ".join(f"{name!r} {self.names.count(name)} times" for name in double),
                where=self.source,
                try_="rename one of them",
            )
        if not self.names or not self.rows:
            raise DataError(
                f"{self.source!r} is empty",
                expected="at least one row and one column",
                got=f"{quantity(self.rows, 'row')} and {quantity(len(self.names), 'column')}",
                where=self.source,
                try_="check that the table was written out whole",
            )
        for field in self.file.schema_arrow:
            if not _is_usable(field.type):
                raise DataError(
                    f"column {field.name!r} cannot be used",
                    expected="numbers, truth values, dates or text",
                    got=f"a column of type {field.type}",
                    where=f"{self.source}, column {field.name!r}",
                    try_="write the table without it, or with numbers or text in its place",
                )

    def starts(self, rows: int) -> tuple[int, ...]:
        """The rows at which blocks of so many rows begin."""
        return tuple(range(0, self.rows, rows))

    def blocks(
        self, rows: int, asked: ColumnRequest = ALL_COLUMNS, since: int = 0, until: int | None = None
    ) -> Iterator[tuple[Column, ...]]:
        """The rows in their order, at most `rows` at a time, as the columns that are asked for.

        `since` and `until` are numbers of rows; row groups that hold none of the rows between them are not read.  The
        times of a target are texts.
        """
        chosen, goal = self.names if asked.names is None else tuple(asked.names), asked.target
        texts, spelled = asked.as_text, asked.spelled
        with _reader_errors(self.source):
            found, last = 0, self.rows if until is None else until
            for batches in self._batches(rows, list(chosen), since, last):
                found += sum(batch.num_rows for batch in batches)
                yield tuple(
                    joined_column([_column(n, b.column(n), n == goal, n in texts, n in spelled) for b in batches])
                    for n in chosen
                )
            if found != last - since:
                raise _broken_error(self.source, f"{quantity(found, 'row')}, where the footer says {last - since}")

    def _batches(self, rows: int, names: list[str], since: int, until: int) -> Iterator[list[Any]]:
        """The rows from number `since` up to `until`, cut where they are when all are read: batches of each block."""
        metadata = self.file.metadata
        ends = np.cumsum([metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)])
        if (since, until) == (0, self.rows):
            yield from ([batch] for batch in self.file.iter_batches(rows, columns=names, use_threads=False))
            return
        first, last = (int(np.searchsorted(ends, since, side="right")), int(np.searchsorted(ends, until)))
        at = int(ends[first - 1]) if first else 0
        batches = self.file.iter_batches(
            rows, row_groups=list(range(first, last + 1)), columns=names, use_threads=False
        )
        # codes of texts hold for a row group, so that the reader cuts there, too
        cuts = {*range(since, until, rows), *(ends.tolist() if self.coded & set(names) else ())}
        yield from _cut_batches(batches, at, sorted(cut for cut in cuts if since <= cut < until), until)

    @property
    def schema(self) -> tuple[tuple[str, str], ...]:
        """The columns: the name of each and its type."""
        return tuple((field.name, str(field.type)) for field in self.file.schema_arrow)

    @property
    def place(self) -> Locator:
        """Says where a value stands."""
        return partial(place_of_row, self.source)


def _cut_batches(batches: Iterator[Any], at: int, starts: list[int], until: int) -> Iterator[list[Any]]:
    """Batches, the first of which begins at row `at`, divided anew: for each start those up to the next one."""
    batch = next(batches, None)
    for start, end in pairwise([*starts, until]):
        held: list[Any] = []
        while start < end and batch is not None:
            if at + batch.num_rows <= start:
                at, batch = at + batch.num_rows, next(batches, None)
                continue
            held.append(batch.slice(start - at, end - start))
            start += held[-1].num_rows
        yield held


def joined_column(pieces: list[Column]) -> Column:
    """Rows of one column that were read in pieces."""
    if len(pieces) == 1:
        return pieces[0]
    spellings = [piece.spelling for piece in pieces if piece.spelling is not None]
    values = np.concatenate([piece.values for piece in pieces])
    return replace(pieces[0], values=values, spelling=np.concatenate(spellings) if spellings else None)


@contextmanager
def _reader_errors(source: str) -> Iterator[None]:
    """Turn what the reader raises for a damaged file into our error, and give its memory back at once.

    The pool that the reader uses by default keeps what it was given: its size grows with the file.
    """
    import pyarrow as pa

    before = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    except DataError:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError, KeyError) as problem:
        raise _broken_error(source, " ".join(str(problem).split())[:200] or type(problem).__name__) from None
    finally:
        pa.set_memory_pool(before)
        before.release_unused()  # pages are unpacked in it, whatever was set


def _broken_error(source: str, detail: str) -> DataError:
    return DataError(
        f"cannot read {source!r} as Parquet",
        expected="a Parquet file that was written out whole",
        got=detail,
        where=source,
        try_="write the file anew",
    )


def _check_sizes(metadata: pyarrow.parquet.FileMetaData, size: int, source: str) -> None:
    # A footer may claim anything: no claim is believed that the size of the file does not bear out.
    values = metadata.num_rows * metadata.num_columns
    if 8 * values > LARGE_CHUNK and values > MOST_VALUES_PER_BYTE * size:
        raise DataError(
            f"{source!r} would unpack to more than it should",
            expected=f"at most {MOST_VALUES_PER_BYTE} values for every byte",
            got=f"{values:,} values in {size:,} bytes",
            where=source,
            try_="leave out columns of one value, or write the file anew with fewer rows",
        )
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    if metadata.num_rows < 0 or sum(group.num_rows for group in groups) != metadata.num_rows:
        raise _broken_error(source, f"{metadata.num_rows} rows in all, and other numbers in the row groups")
    for number, group in enumerate(groups):
        for i in range(group.num_columns):
            chunk = group.column(i)
            packed, unpacked = chunk.total_compressed_size, chunk.total_uncompressed_size
            if not 0 <= packed <= size or unpacked < 0:
                raise _broken_error(source, f"{packed:,} bytes in a column, in a file of {size:,} bytes")
            if unpacked > LARGE_CHUNK and unpacked > MOST_COMPRESSED * packed:
                raise DataError(
                    f"{source!r} would unpack to more than it should",
                    expected=f"at most {MOST_COMPRESSED} bytes for every compressed one",
                    got=f"{packed:,} bytes that become {unpacked:,}",
                    where=f"{source}, row group {number}, column {chunk.path_in_schema!r}",
                    try_="write the file anew with smaller row groups, if it comes from a source that you trust",
                )


def names_in(schema: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the columns, and what should be told: of an index that pandas writes behind them.

    One with a name stands first, where it is no target by default; one without a name is what pandas counts rows by.
    """
    index = [name for name in (schema.pandas_metadata or {}).get("index_columns", ()) if isinstance(name, str)]
    named = [name for name in index if name in schema.names and not _NO_NAME.fullmatch(name)]
    others = [name for name in schema.names if name not in index]
    if not others or len(set(schema.names)) < len(schema.names):
        return tuple(schema.names), ()
    lost = len(set(schema.names) & set(index)) > len(named)
    return (*named, *others), ("the index of the data frame is left out",) * lost


_NO_NAME = re.compile(r"__index_level_\d+__")


def _repeating_columns(metadata: pyarrow.parquet.FileMetaData, names: Collection[str]) -> list[str]:
    """The text columns that are read as codes and distinct values: those whose texts a file can repeat at no cost.

    A file of a few bytes may name a long text a billion times, and then only the codes have room in memory.  Where all
    texts are written out, codes would be a table of all texts of a row group, for nothing.
    """
    groups = [metadata.row_group(g) for g in range(metadata.num_row_groups)]
    chunks = [group.column(i) for group in groups for i in range(group.num_columns)]
    found = {c.path_in_schema for c in chunks if c.has_dictionary_page or not set(c.encodings) <= _WRITTEN_OUT}
    return [name for name in names if name in found]


def _is_text(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_string(kind) or types.is_large_string(kind))


def _is_usable(kind: Any) -> bool:
    import pyarrow.types as types

    if types.is_dictionary(kind):
        return _is_text(kind.value_type)
    if _is_text(kind) or (types.is_temporal(kind) and not types.is_interval(kind)):
        return True
    numbers = (types.is_integer, types.is_floating, types.is_decimal, types.is_boolean, types.is_null)
    return any(is_kind(kind) for is_kind in numbers)


def _column(name: str, values: Any, target: bool, as_text: bool, spelled: bool) -> Column:
    import pyarrow as pa
    import pyarrow.types as types

    kind = values.type
    if (types.is_timestamp(kind) or types.is_date(kind)) and not (target or as_text):
        return Column(name, "time", _times(values), zoned=types.is_timestamp(kind) and kind.tz is not None)
    if types.is_duration(kind) and not as_text:
        return Column(name, "number", _times(values), marks=frozenset([DURATION]))
    if types.is_temporal(kind) or _is_text(kind) or (as_text and not types.is_dictionary(kind)):
        values = values.cast(pa.string()).dictionary_encode()
    if types.is_dictionary(values.type):
        return Column(name, "category", _texts(values))
    numbers = values.cast(pa.int8() if types.is_boolean(kind) else kind).cast(
        pa.float64(), safe=False
    )  # to the nearest
    array = np.array(numbers.to_numpy(zero_copy_only=False), dtype=np.float64)
    if not (target or spelled) or not types.is_integer(kind):
        return Column(name, "boolean" if types.is_boolean(kind) else "number", array)
    return Column(name, "number", array, spelling=_texts(values.cast(pa.string()).dictionary_encode()))


def _times(values: Any) -> NDArray[np.float64]:
    """Dates and times as seconds since 1970, durations as seconds, to the microsecond; those with a zone are in UTC."""
    import pyarrow as pa

    unit = pa.duration("us") if pa.types.is_duration(values.type) else pa.timestamp("us")
    ticks = values.cast(unit, safe=False).cast(pa.int64())
    return ticks_as_seconds(ticks.to_pylist())


def _texts(values: Any) -> NDArray[Any]:
    """The texts of a dictionary array; equal ones share one object.

    The dictionary may hold the texts of a whole row group: only those that occur here are made.
    """
    import pyarrow as pa

    codes = values.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    used, places = np.unique(codes, return_inverse=True)
    texts: list[str | None] = values.dictionary.take(pa.array(used[used >= 0])).to_pylist()
    distinct = np.array([None] * int((used < 0).sum()) + texts, dtype=object)
    chosen: NDArray[Any] = distinct[places]
    return chosen
