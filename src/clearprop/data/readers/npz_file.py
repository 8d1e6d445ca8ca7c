"""Reading an NPZ file: every header is checked before an array is loaded, and nothing is unpickled."""

from __future__ import annotations

import struct
import zipfile
import zlib
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from clearprop.errors import DataError

NPZ_LIMIT = 2 * 2**30
"""The largest size in bytes of the arrays that are read from one NPZ file, unpacked."""


def read_npz(path: Path, source: str) -> dict[str, NDArray[Any]]:
    """The arrays `x, y` or `x_train, y_train[, x_test, y_test]` of an NPZ file; others are not touched.

    `y` may be absent.  Raises DataError for a broken archive, an archive without x, arrays of objects, an
    array whose header and size disagree, and arrays of more than `NPZ_LIMIT` bytes in all.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = _wanted_names([n.removesuffix(".npy") for n in archive.namelist()], source)
            _check_sizes(archive, names, source)
            return {name: _load(archive, name, source) for name in names}
    except DataError:
        raise
    except (zipfile.BadZipFile, zlib.error, struct.error, ValueError, EOFError, RuntimeError, OSError) as problem:
        raise _broken_error(source, str(problem)) from None


def _broken_error(source: str, detail: str) -> DataError:
    return DataError(
        f"cannot read {source!r} as NPZ",
        expected="an archive as written by numpy.savez(file, x=x, y=y)",
        got=detail,
        where=source,
        try_="write the file anew with numpy.savez",
    )


def _wanted_names(present: list[str], source: str) -> list[str]:
    for names in (["x", "y"], ["x_train", "y_train", "x_test", "y_test"]):
        if names[0] in present:
            found = [name for name in names if name in present]
            if ("x_test" in found) == ("y_test" in found):
                return found
    raise DataError(
        f"{source!r} does not hold the arrays that training needs",
        expected="x and y, or x_train and y_train with or without x_test and y_test",
        got=", ".join(present) or "no array",
        where=source,
        try_="numpy.savez(file, x=x, y=y)",
    )


def _check_sizes(archive: zipfile.ZipFile, names: list[str], source: str) -> None:
    total = sum(archive.getinfo(name + ".npy").file_size for name in names)
    if total > NPZ_LIMIT:
        raise DataError(
            f"{source!r} is too large",
            expected=f"arrays of at most {NPZ_LIMIT:,} bytes in all",
            got=f"{total:,} bytes in {', '.join(names)}",
            where=source,
            try_="a smaller data type (uint8 for images, float32), or fewer rows",
        )


def _load(archive: zipfile.ZipFile, name: str, source: str) -> NDArray[Any]:
    info = archive.getinfo(name + ".npy")
    with archive.open(info) as file:
        try:
            shape, dtype = _array_header(file)
        except ValueError as problem:
            raise _broken_error(source, f"{name}: {str(problem).partition(chr(10))[0]}") from None
        if dtype.hasobject:
            raise DataError(
                f"{source!r} holds objects, which are not read",
                expected="arrays of numbers, or of text for y",
                got=f"{name} of dtype {dtype}: loading it could run code",
                where=f"{source}, array {name}",
                try_=f"{name} = np.array({name}.tolist()) before saving",
            )
        held = info.file_size - file.tell()
        if prod(shape) * dtype.itemsize != held:
            raise _broken_error(source, f"{name} of shape {shape} and dtype {dtype}, but {held:,} bytes of values")
    with archive.open(info) as file:
        return np.asarray(npy.read_array(file, allow_pickle=False))


def _array_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype
