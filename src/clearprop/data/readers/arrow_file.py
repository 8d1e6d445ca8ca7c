"""Arrow IPC and Feather files: what they claim is held against their size before it is unpacked, and then validated.

A file holds messages, and at its end a footer that says where they are.  A message is a table of FlatBuffers, which
names the buffers of its columns, and the buffers; a compressed one begins with its size, unpacked.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from clearprop.data.readers.formats import LARGE_PART, require_unpacked_in_bounds
from clearprop.data.readers.parquet_file import names_in
from clearprop.errors import DataError

_DICTIONARY, _ROWS = 2, 3
"""The numbers of the kinds of message that hold buffers: values of a dictionary, and rows."""
_END = 10
"""Bytes behind the footer: its length, and the mark."""
_MOST_VALUES_PER_BYTE = 200
"""A file that holds more values than this for each of its bytes, and more than fit into `LARGE_PART`, is refused."""


def read_arrow(path: Path, source: str) -> tuple[Any, tuple[str, ...]]:
    """The table of an Arrow IPC or Feather file, and what should be told of it.

    Raises DataError for one that is damaged, that contradicts itself, or that would unpack to more than it should.
    """
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as file:
            reader = pa.ipc.open_file(file)
            file.seek(0)
            _require_unpacked(path.stat().st_size, _unpacked_size(file.read_buffer()), source)
            table = reader.read_all()
        _require_values_in_bounds(table, path.stat().st_size, source)
        table.validate()
        _require_texts_in_bounds(table, path.stat().st_size, source)
        table.validate(full=True)  # looks at every text, as often as it is named
        names, notes = names_in(table.schema)
        table = _with_plain_views(table.select(names) if notes or names != tuple(table.schema.names) else table)
    except struct.error:
        raise _broken_error(source, "a part that points outside the file") from None
    except (pa.ArrowException, OSError, ValueError, MemoryError) as problem:
        raise _broken_error(source, " ".join(str(problem).split())[:200] or type(problem).__name__) from None
    return table, notes


def _broken_error(source: str, detail: str) -> DataError:
    return DataError(
        f"cannot read {source!r} as Arrow",
        expected="an Arrow IPC or Feather file (version 2) that was written out whole",
        got=detail,
        where=source,
        try_="write the file anew",
    )


def _unpacked_size(content: Any) -> int:
    """The sum of what the compressed buffers of a file claim to be, unpacked."""
    held = memoryview(content).cast("B")
    (length,) = struct.unpack_from("<i", held, len(held) - _END)
    footer = held[len(held) - _END - length : len(held) - _END]
    root = _table_at(footer, 0)
    return sum(
        _unpacked_part(held[begin : begin + size], held[begin + size :])
        for number in (2, 3)  # dictionaries, and rows
        if (field := _field(footer, root, number))
        for begin, size, _ in _structs(footer, field, "<qi4xq")
    )


def _unpacked_part(message: memoryview, body: memoryview) -> int:
    """What the compressed buffers of one message claim to be; 0 where nothing is compressed."""
    (mark,) = struct.unpack_from("<i", message, 0)
    message = message[8 if mark == -1 else 4 :]
    root = _table_at(message, 0)
    kind = _field(message, root, 1)
    batch = _table_at(message, _field(message, root, 2))
    if kind and message[kind] == _DICTIONARY:
        batch = _table_at(message, _field(message, batch, 1))
    elif not kind or message[kind] != _ROWS:
        return 0
    if not _field(message, batch, 3):  # nothing is compressed
        return 0
    buffers = _structs(message, _field(message, batch, 2), "<qq")
    return sum(max(0, *struct.unpack_from("<q", body, begin)) for begin, length in buffers if length >= 8)


def _structs(table: memoryview, place: int, form: str) -> Iterator[tuple[int, ...]]:
    """The members of the list to which the number at `place` points."""
    first = _table_at(table, place)
    (count,) = struct.unpack_from("<I", table, first)
    for number in range(count):
        yield struct.unpack_from(form, table, first + 4 + struct.calcsize(form) * number)


def _table_at(message: memoryview, place: int) -> int:
    """Where the table or list begins to which the number at `place` points."""
    (offset,) = struct.unpack_from("<I", message, place)
    return int(place + offset)


def _field(message: memoryview, table: int, number: int) -> int:
    """Where a field of a table stands; 0 if it has none."""
    (back,) = struct.unpack_from("<i", message, table)
    names = table - back
    (length,) = struct.unpack_from("<H", message, names)
    if 4 + 2 * number >= length:
        return 0
    (offset,) = struct.unpack_from("<H", message, names + 4 + 2 * number)
    return table + int(offset) if offset else 0


def _require_unpacked(size: int, unpacked: int, source: str) -> None:
    require_unpacked_in_bounds(size, unpacked, source, source, "write the file uncompressed, if you trust it")


def _require_values_in_bounds(table: Any, size: int, source: str) -> None:
    """A column of nothing but gaps takes no bytes, however long it says to be."""
    values = table.num_rows * table.num_columns
    if 8 * values > LARGE_PART and values > _MOST_VALUES_PER_BYTE * size:
        raise DataError(
            f"{source!r} would unpack to more than it should",
            expected=f"at most {_MOST_VALUES_PER_BYTE} values for every byte",
            got=f"{values:,} values in {size:,} bytes",
            where=source,
            try_="leave out columns without values",
        )


def _require_texts_in_bounds(table: Any, size: int, source: str) -> None:
    """Rows of codes may name one long text again and again, and each would become a text."""
    import pyarrow.compute as pc
    import pyarrow.types as types

    total = 0
    for chunk in (chunk for column in table.columns for chunk in column.chunks):
        coded = types.is_dictionary(chunk.type)
        values = chunk.dictionary if coded else chunk
        if types.is_string_view(values.type):
            total += _sum_of_views(values)
        elif types.is_string(values.type) or types.is_large_string(values.type):
            lengths = pc.binary_length(values)
            total += pc.sum(lengths.take(chunk.indices) if coded else lengths).as_py() or 0
    _require_unpacked(size, total, source)


def _with_plain_views(table: Any) -> Any:
    """The table with texts in place of codes of texts that share bytes, as Polars writes categories."""
    import pyarrow as pa
    import pyarrow.types as types

    for place, field in enumerate(table.schema):
        if types.is_dictionary(field.type) and types.is_string_view(field.type.value_type):
            chunks = [c.dictionary.cast(pa.large_string()).take(c.indices) for c in table.column(place).chunks]
            table = table.set_column(place, field.name, pa.chunked_array(chunks, pa.large_string()))
    return table


def _sum_of_views(values: Any) -> int:
    """The bytes of texts that may share them: 16 bytes stand for each, and its length in the first four."""
    words = np.frombuffer(values.buffers()[1], "<i4").reshape(-1, 4)
    lengths = words[values.offset : values.offset + len(values), 0]
    present = np.asarray(values.is_valid())
    return int(lengths.clip(0).sum(dtype=np.int64, where=present))
