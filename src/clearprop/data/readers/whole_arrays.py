"""Arrays as they stand in NPZ and NPY files, whatever their shapes: inputs of a network, and no table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from clearprop.data.readers.array_tables import read_npy_array
from clearprop.data.readers.npz_file import read_all_npz

ENDINGS = (".npz", ".npy")
"""The endings of files that hold whole arrays."""


def read_whole_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an NPZ file by their names, or the one of an NPY file under the name `x`.

    Raises DataError for a file that is damaged, holds objects, or more bytes than are read from one.
    """
    if path.suffix.lower() == ".npz":
        return read_all_npz(path, str(path))
    return {"x": read_npy_array(path, str(path))}
