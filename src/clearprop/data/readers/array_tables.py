"""Tables of typed columns in NumPy's files: NPY arrays, read some rows at a time, and NPZ archives of columns."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from clearprop.data.array_checks import holds_characters
from clearprop.data.columns import Column, Locator, as_category
from clearprop.data.readers.formats import place_of_row, require_columns_in_bounds
from clearprop.data.readers.reading import ALL_COLUMNS, ColumnRequest
from clearprop.errors import DataError

NPY_LIMIT = 2 * 2**30
"""The largest size in bytes of an array that is read at once."""
_MOST_BYTES = 8 * 2**20
"""Of an array no more bytes are read at a time, unless a single row takes more."""
_BYTES_PER_NUMBER, _BYTES_PER_TEXT = 24, 120
_USABLE = "biufSUM"
"""The kinds of dtypes that can be learned from."""
_PARTS_OF_SECONDS = ("ms", "us", "ns", "ps", "fs", "as")


class ArrayTable:
    """An NPY file that was opened and whose header was checked: names of columns, number of rows, blocks of rows.

    It holds an array of shape `(rows, columns)`, or one of shape `(rows,)` with named fields.  Values are read from the
    file when they are asked for, and nothing is unpickled.

    Raises DataError for other shapes, for objects and what else cannot be learned from, and for a size that the header
    does not bear out.
    """

    held_per_column = 0
    notes: tuple[str, ...] = ()

    def __init__(self, path: Path, source: str) -> None:
        self.path, self.source = path, source
        with path.open("rb") as file:
            shape, self.by_columns, self.dtype = _header(file, source)
            self.begin = file.tell()
        held = path.stat().st_size - self.begin
        if not is_borne_out(shape, self.dtype, held):
            raise _broken_error(source, f"shape {shape} and dtype {self.dtype}, with {held:,} bytes of values"[:200])
        fields = self.dtype.names
        if len(shape) != (1 if fields else 2) or 0 in shape:
            raise _broken_error(source, f"an array of shape {shape}")
        self.rows = shape[0]
        width = len(fields) if fields else shape[1]
        require_columns_in_bounds(width, source)
        self.names = tuple(fields or (f"column {i + 1}" for i in range(width)))
        self._row_bytes = held // self.rows
        for name, dtype in zip(self.names, self._types(), strict=True):
            _require_usable(name, dtype, source)

    def _types(self) -> list[np.dtype[Any]]:
        return [self.dtype[name] for name in self.dtype.names or ()] or [self.dtype] * len(self.names)

    @property
    def schema(self) -> tuple[tuple[str, str], ...]:
        """The columns: the name of each and its type."""
        return tuple((name, str(dtype)) for name, dtype in zip(self.names, self._types(), strict=True))

    @property
    def bytes_per_value(self) -> int:
        """So many bytes of memory, at most about, are taken for each value when it is read at once."""
        return _BYTES_PER_TEXT if any(dtype.kind in "SU" for dtype in self._types()) else _BYTES_PER_NUMBER

    def starts(self, rows: int) -> tuple[int, ...]:
        """The rows at which blocks of so many rows begin; rows of many bytes come fewer at a time."""
        return tuple(range(0, self.rows, self._at_once(rows)))

    def _at_once(self, rows: int) -> int:
        return max(1, min(rows, _MOST_BYTES // self._row_bytes))

    def blocks(
        self, rows: int, asked: ColumnRequest = ALL_COLUMNS, since: int = 0, until: int | None = None
    ) -> Iterator[tuple[Column, ...]]:
        """The rows from number `since` up to `until`, at most `rows` at a time: see `ParquetTable.blocks`."""
        last = self.rows if until is None else until
        chosen = self.names if asked.names is None else tuple(asked.names)
        size = self._at_once(rows)
        for first in range(since, last, size):
            arrays = columns_of(self._arrays(chosen, first, min(first + size, last)), self.source)
            yield tuple(
                array_column(n, a, n == asked.target, n in asked.as_text, n in asked.spelled) for n, a in arrays.items()
            )

    def _arrays(self, names: Collection[str], first: int, last: int) -> dict[str, NDArray[Any]]:
        """Rows of these columns, as the file holds them."""
        count, size = last - first, self.dtype.itemsize
        if self.by_columns:
            starts = {name: (self.names.index(name) * self.rows + first) * size for name in names}
            return {name: self._read(start, count) for name, start in starts.items()}
        if self.dtype.names:
            fields = self._read(first * size, count)
            return {name: fields[name] for name in names}
        width = len(self.names)
        values = self._read(first * width * size, count * width).reshape(count, width)
        return {name: values[:, self.names.index(name)] for name in names}

    def _read(self, start: int, count: int) -> NDArray[Any]:
        """So many values that stand one after another from this byte of the array on."""
        with self.path.open("rb") as file:
            file.seek(self.begin + start)
            found = file.read(count * self.dtype.itemsize)
        if len(found) != count * self.dtype.itemsize:
            raise _broken_error(self.source, "fewer bytes than the header tells")
        return np.frombuffer(found, self.dtype)

    @property
    def place(self) -> Locator:
        """Says where a value stands."""
        return partial(place_of_row, self.source)


def array_column(name: str, values: NDArray[Any], target: bool, as_text: bool, spelled: bool) -> Column:
    """An array `(rows,)` as a column: its dtype says what it is.

    Of a target and columns `spelled` whole numbers are kept as they are written, too; columns `as_text` are texts,
    whatever their dtype, and so are the times of a target.

    >>> array_column("a", np.array([1, 2]), target=True, as_text=False, spelled=False).spelling.tolist()
    ['1', '2']
    """
    kind = values.dtype.kind
    if kind == "U":
        return Column(name, "category", np.array(values.tolist(), dtype=object))
    if kind == "M":
        return _time_column(name, values, target or as_text)
    whole = kind in "iu" and (target or as_text or spelled)
    spelling = np.array([str(value) for value in values.tolist()], dtype=object) if whole else None
    numbers = Column(name, "boolean" if kind == "b" else "number", values.astype(np.float64), spelling=spelling)
    return as_category(numbers) if as_text else numbers


def _time_column(name: str, values: NDArray[Any], as_text: bool) -> Column:
    if as_text:
        texts = [None if text == "NaT" else text.replace("T", " ") for text in np.datetime_as_string(values).tolist()]
        return Column(name, "category", np.array(texts, dtype=object))
    seconds = values.astype("M8[s]")
    found = seconds.astype(np.int64).astype(np.float64)
    if np.datetime_data(values.dtype)[0] in _PARTS_OF_SECONDS:
        found += values.astype("M8[us]").astype(np.int64) % 10**6 / 10**6
    return Column(name, "time", np.where(np.isnat(values), np.nan, found), zoned=False)


def is_borne_out(shape: tuple[int, ...], dtype: np.dtype[Any], held: int) -> bool:
    """Whether so many bytes hold an array: elements of no bytes would need none, however many there are.

    >>> is_borne_out((2, 3), np.dtype("f4"), 24), is_borne_out((10**15,), np.dtype("U0"), 0)
    (True, False)
    """
    return min(shape, default=0) >= 0 and dtype.itemsize > 0 and prod(shape) * dtype.itemsize == held


def read_npy_array(path: Path, source: str) -> NDArray[Any]:
    """The array of an NPY file, of any shape.

    Raises DataError for objects, a size that the header does not bear out, more than `NPY_LIMIT` bytes.
    """
    with path.open("rb") as file:
        shape, _, dtype = _header(file, source)
        held = path.stat().st_size - file.tell()
        if not is_borne_out(shape, dtype, held) or held > NPY_LIMIT:
            raise _broken_error(source, f"shape {shape} and dtype {dtype}, with {held:,} bytes of values"[:200])
        file.seek(0)
        return np.asarray(npy.read_array(file, allow_pickle=False))


def columns_of(arrays: Mapping[str, NDArray[Any]], source: str) -> dict[str, NDArray[Any]]:
    """Arrays as the columns of a table, which have one axis and one length.

    Raises DataError for others, for no rows, and for what cannot be learned from.
    """
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1 or (0,) in shapes:
        raise _broken_error(source, ", ".join(f"{name} {array.shape}" for name, array in arrays.items())[:200])
    require_columns_in_bounds(len(arrays), source)
    for name, array in arrays.items():
        _require_usable(name, array.dtype, source)
    return {name: _checked_texts(name, array, source) for name, array in arrays.items()}


def _require_usable(name: str, dtype: np.dtype[Any], source: str) -> None:
    if dtype.kind not in _USABLE:
        raise DataError(
            f"column {name!r} cannot be used",
            expected="numbers, truth values, dates or text",
            got=f"a column of type {dtype}"[:200],
            where=f"{source}, column {name!r}",
            try_="turn it into numbers or text, or drop it",
        )


def _checked_texts(name: str, array: NDArray[Any], source: str) -> NDArray[Any]:
    """Texts as texts, all of whose characters are some; other arrays as they are."""
    if array.dtype.kind not in "SU":
        return array
    try:
        texts = np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array
    except UnicodeDecodeError as problem:
        raise _broken_error(source, f"{name}: {problem}"[:200]) from None
    if not holds_characters(texts):
        raise _broken_error(source, f"numbers that are no characters in {name}")
    return texts


def _header(file: Any, source: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether it is written column by column, and dtype."""
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, by_columns, dtype = read(file)
    except Exception as problem:  # NumPy's parser of headers lets out nearly anything
        raise _broken_error(source, str(problem).partition("\n")[0][:200] or type(problem).__name__) from None
    if dtype.hasobject:
        raise _broken_error(source, f"objects of dtype {dtype}, which could run code when they are loaded")
    return shape, bool(by_columns), dtype


def _broken_error(source: str, detail: str) -> DataError:
    return DataError(
        f"cannot read {source!r} as a table",
        expected="an array of shape (rows, columns), one of fields, or columns of one length",
        got=detail,
        where=source,
        try_="numpy.save(file, numpy.column_stack((x, y))), or numpy.savez(file, area=area, price=price)",
    )
