"""Reading an NPZ file: every header is checked before an array is loaded, and nothing is unpickled."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from clearprop.data.readers.array_tables import is_borne_out
from clearprop.data.readers.formats import require_unpacked_in_bounds
from clearprop.errors import DataError

_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""The ways in which NumPy compresses; others unpack a few bytes to gigabytes."""
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, ValueError, EOFError, RuntimeError, OSError, MemoryError, KeyError,
    OverflowError,
)  # fmt: skip
"""What reading a damaged archive raises."""
_Choice = Callable[[list[str], str], list[str]]
"""Which of the arrays that are there are read; the second argument is what the file is called."""
NPZ_LIMIT = 2 * 2**30
"""The largest size in bytes of the arrays that are read from one NPZ file, unpacked."""


def read_npz(path: Path, source: str) -> dict[str, NDArray[Any]]:
    """The arrays `x, y, lengths` or `x_train, y_train[, x_test, y_test]` of an NPZ file alone; else all arrays.

    `y` and `lengths` may be absent.  Raises DataError for a broken archive, an archive without x, arrays of objects, an
    array whose header and size disagree, and arrays of more than `NPZ_LIMIT` bytes in all.
    """
    arrays = _read(path, source, _wanted_names)
    shapes = {array.shape for array in arrays.values()}
    if not {"x", "x_train"} & arrays.keys() and (len(shapes) > 1 or any(len(shape) != 1 for shape in shapes)):
        raise _lacking_error(list(arrays), source)
    return arrays


def read_all_npz(path: Path, source: str) -> dict[str, NDArray[Any]]:
    """Every array of an NPZ file, whatever its name and shape.  Raises DataError as `read_npz` does."""
    return _read(path, source, lambda present, _: present)


def _read(path: Path, source: str, wanted: _Choice) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: _load(archive, name, source) for name in _checked_names(archive, source, wanted)}
    except DataError:
        raise
    except _DAMAGE as problem:
        raise _broken_error(source, str(problem)) from None


def values_in_npz(path: Path, source: str) -> int:
    """How many values the arrays that `read_npz` gives hold, by their headers.  Raises what it raises."""
    try:
        with zipfile.ZipFile(path) as archive:
            headers = [
                _checked_header(archive, name, source) for name in _checked_names(archive, source, _wanted_names)
            ]
            return sum(prod(shape) for shape, _ in headers)
    except DataError:
        raise
    except _DAMAGE as problem:
        raise _broken_error(source, str(problem)) from None


def _checked_names(archive: zipfile.ZipFile, source: str, wanted: _Choice) -> list[str]:
    """The names of the arrays that are wanted; their sizes are within bounds."""
    names = wanted([n.removesuffix(".npy") for n in archive.namelist()], source)
    _check_sizes(archive, names, source)
    return names


def _broken_error(source: str, detail: str) -> DataError:
    return DataError(
        f"cannot read {source!r} as NPZ",
        expected="an archive as written by numpy.savez(file, x=x, y=y)",
        got=detail,
        where=source,
        try_="write the file anew with numpy.savez",
    )


def _wanted_names(present: list[str], source: str) -> list[str]:
    for names in (["x", "y", "lengths"], ["x_train", "y_train", "x_test", "y_test"]):
        if names[0] in present:
            found = [name for name in names if name in present]
            unread = [name for name in present if name.startswith("lengths") and name not in found]
            if unread:
                raise lengths_error(f"{', '.join(unread)} beside {names[0]}", source)
            if ("x_test" in found) == ("y_test" in found):
                return found
    if present and not {"x", "y", "x_train", "y_train", "x_test", "y_test"} & set(present):
        return present  # columns
    raise _lacking_error(present, source)


def lengths_error(got: str, source: str) -> DataError:
    """Of lengths that would not be read: steps that fill sequences up would be learned as if they were there."""
    return DataError(
        "lengths of sequences stand beside what they cannot be lengths of",
        expected="x of shape (sequences, steps, features) with y and lengths, one for each sequence",
        got=got,
        where=source,
        try_="numpy.savez(file, x=x, y=y, lengths=lengths) of all sequences: --split takes a part of them for the test",
    )


def _lacking_error(present: list[str], source: str) -> DataError:
    return DataError(
        f"{source!r} does not hold the arrays that training needs",
        expected="x and y, or x_train and y_train with or without x_test and y_test, or columns with other names",
        got=", ".join(present) or "no array",
        where=source,
        try_="numpy.savez(file, x=x, y=y)",
    )


def _check_sizes(archive: zipfile.ZipFile, names: list[str], source: str) -> None:
    infos = [archive.getinfo(name + ".npy") for name in names]
    for name, info in zip(names, infos, strict=True):
        if info.compress_type not in _COMPRESSIONS:
            raise _broken_error(source, f"{name} is compressed in a way that NumPy does not write")
        where, advice = f"{source}, array {name}", "numpy.savez, which does not compress, if you trust the file"
        require_unpacked_in_bounds(info.compress_size, info.file_size, source, where, advice)
    total = sum(info.file_size for info in infos)
    if total > NPZ_LIMIT:
        raise DataError(
            f"{source!r} is too large",
            expected=f"arrays of at most {NPZ_LIMIT:,} bytes in all",
            got=f"{total:,} bytes in {', '.join(names)}",
            where=source,
            try_="a smaller data type (uint8 for images, float32), or fewer rows",
        )


def _load(archive: zipfile.ZipFile, name: str, source: str) -> NDArray[Any]:
    _checked_header(archive, name, source)
    with archive.open(archive.getinfo(name + ".npy")) as file:
        return np.asarray(npy.read_array(file, allow_pickle=False))


def _checked_header(archive: zipfile.ZipFile, name: str, source: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype of an array, which agree with its size."""
    info = archive.getinfo(name + ".npy")
    with archive.open(info) as file:
        try:
            shape, dtype = _array_header(file)
        except Exception as problem:  # NumPy's parser of headers lets out nearly anything: TokenError, SystemError, …
            detail = str(problem).partition("\n")[0][:200] or type(problem).__name__
            raise _broken_error(source, f"{name}: {detail}") from None
        if dtype.hasobject:
            raise DataError(
                f"{source!r} holds objects, which are not read",
                expected="arrays of numbers, or of text for y",
                got=f"{name} of dtype {dtype}: loading it could run code",
                where=f"{source}, array {name}",
                try_=f"{name} = np.array({name}.tolist()) before saving",
            )
        held = info.file_size - file.tell()
        if not is_borne_out(shape, dtype, held):
            told = f"{name} of shape {shape} and dtype {dtype}"[:200]
            raise _broken_error(source, f"{told}, but {held:,} bytes of values")
    return shape, dtype


def _array_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype
