"""Tables of typed columns that are read at once: NPY arrays, NPZ archives of columns."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from clearprop.data.array_checks import holds_characters
from clearprop.data.readers.formats import require_columns_in_bounds
from clearprop.errors import DataError

NPY_LIMIT = 2 * 2**30
"""The largest size in bytes of an array that is read."""


def read_npy(path: Path, source: str) -> dict[str, NDArray[Any]]:
    """The columns of an array of shape `(rows, columns)`, or of one with named fields.  Nothing is unpickled.

    Raises DataError for objects, other shapes, a size that the header does not bear out, more than `NPY_LIMIT` bytes.
    """
    array = read_npy_array(path, source)
    if array.dtype.names:
        return columns_of({name: array[name] for name in array.dtype.names}, source)
    if array.ndim != 2 or 0 in array.shape:
        raise _broken_error(source, f"an array of shape {array.shape}")
    return columns_of({f"column {i + 1}": array[:, i] for i in range(array.shape[1])}, source)


def is_borne_out(shape: tuple[int, ...], dtype: np.dtype[Any], held: int) -> bool:
    """Whether so many bytes hold an array: elements of no bytes would need none, however many there are.

    >>> is_borne_out((2, 3), np.dtype("f4"), 24), is_borne_out((10**15,), np.dtype("U0"), 0)
    (True, False)
    """
    return min(shape, default=0) >= 0 and dtype.itemsize > 0 and prod(shape) * dtype.itemsize == held


def read_npy_array(path: Path, source: str) -> NDArray[Any]:
    """The array of an NPY file, of any shape.  Raises DataError as `read_npy` does, but for the shape."""
    with path.open("rb") as file:
        shape, dtype = _header(file, source)
        held = path.stat().st_size - file.tell()
        if not is_borne_out(shape, dtype, held) or held > NPY_LIMIT:
            raise _broken_error(source, f"shape {shape} and dtype {dtype}, with {held:,} bytes of values"[:200])
        file.seek(0)
        return np.asarray(npy.read_array(file, allow_pickle=False))


def columns_of(arrays: Mapping[str, NDArray[Any]], source: str) -> dict[str, NDArray[Any]]:
    """Arrays as the columns of a table.  Raises DataError unless all have one axis and one length."""
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise _broken_error(source, ", ".join(f"{name} {array.shape}" for name, array in arrays.items())[:200])
    require_columns_in_bounds(len(arrays), source)
    return {name: _checked_texts(name, array, source) for name, array in arrays.items()}


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


def _header(file: Any, source: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(file)
    except Exception as problem:  # NumPy's parser of headers lets out nearly anything
        raise _broken_error(source, str(problem).partition("\n")[0][:200] or type(problem).__name__) from None
    if dtype.hasobject:
        raise _broken_error(source, f"objects of dtype {dtype}, which could run code when they are loaded")
    return shape, dtype


def _broken_error(source: str, detail: str) -> DataError:
    return DataError(
        f"cannot read {source!r} as a table",
        expected=f"an array of shape (rows, columns), or columns of one length, of at most {NPY_LIMIT:,} bytes",
        got=detail,
        where=source,
        try_="numpy.savez(file, x=x, y=y), or numpy.savez(file, area=area, price=price)",
    )
