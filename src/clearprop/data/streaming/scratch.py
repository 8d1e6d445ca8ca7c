"""Arrays on disk: files without a name, which are gone when the process is, however it ends."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from numpy.typing import NDArray

from clearprop.data.streaming.memory import size_text
from clearprop.data.streaming.sharers import ALONE, Sharers
from clearprop.errors import RunError


def scratch_folder() -> Path:
    """Where scratch files lie: the folder that TMPDIR names, else the user's cache, which is not kept in memory."""
    chosen = os.environ.get("TMPDIR")
    folder = Path(chosen) if chosen else Path(platformdirs.user_cache_dir("clearprop")) / "scratch"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as problem:
        raise _no_space(folder, problem.strerror or "") from None
    return folder


def has_space(size: int) -> bool:
    """Whether so many bytes are free for scratch files."""
    return size <= shutil.disk_usage(scratch_folder()).free


def require_space(size: int, held: int = 0) -> None:
    """Raise RunError unless so many bytes are free for scratch files, with those that are `held` for them already."""
    folder = scratch_folder()
    free = shutil.disk_usage(folder).free + held
    if size > free:
        raise RunError(
            "there is not enough space on disk for the encoded rows",
            expected=f"{size_text(size)}, while the run lasts",
            got=f"{size_text(free)} free",
            where=str(folder),
            try_="free some space, or TMPDIR=FOLDER with a folder that has more; nothing was written",
        )


def _no_space(folder: Path, detail: str) -> RunError:
    return RunError(
        "the encoded rows cannot be kept on disk",
        expected="a folder that may be written, with space left",
        got=detail,
        where=str(folder),
        try_="free some space, or TMPDIR=FOLDER with a folder that has more; nothing was written",
    )


def _nameless_file(folder: Path) -> int:
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        return os.dup(file.fileno())


def _common_file(folder: Path, ranks: Sharers) -> int:
    """One file, opened by all ranks; its name is gone when all have it."""
    name = ranks.lead(lambda: _named_file(folder))
    found: list[int] = []

    def join() -> None:
        found.append(os.open(name, os.O_RDWR | os.O_CLOEXEC))

    try:
        ranks.each(join)
    finally:
        if ranks.rank == 0:
            os.unlink(name)  # noqa: PTH108 - a text
    return found[0]


def _named_file(folder: Path) -> str:
    file, name = tempfile.mkstemp(dir=folder)
    os.close(file)
    return name


class Scratch:
    """An array of shape `(rows, *tail)` in a file, written and read some rows at a time.

    Several `ranks` have one array: all of them make it, at the same place of their program, and each reads what others
    wrote.
    """

    def __init__(self, rows: int, tail: tuple[int, ...], dtype: Any, ranks: Sharers = ALONE) -> None:
        self.rows, self.tail, self.dtype = rows, tail, np.dtype(dtype)
        self.size = int(np.prod(tail, dtype=np.int64)) * self.dtype.itemsize
        self.folder = scratch_folder()
        try:
            self.file = _nameless_file(self.folder) if ranks.size == 1 else _common_file(self.folder, ranks)
        except OSError as problem:
            raise _no_space(self.folder, problem.strerror or "") from None
        self.close = weakref.finalize(self, os.close, self.file)
        """Gives the space on disk back."""

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, row: int) -> Any:
        return self.get(row, row + 1)[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return (self.rows, *self.tail)

    def write(self, first: int, values: NDArray[Any]) -> None:
        """Write rows from number `first` on.  Raises RunError where the disk is full."""
        if not len(values):
            return
        data = np.ascontiguousarray(values, dtype=self.dtype).data.cast("B")
        place = first * self.size
        try:
            while data:
                count = os.pwrite(self.file, data, place)
                data, place = data[count:], place + count
        except OSError as problem:
            raise _no_space(self.folder, problem.strerror or "") from None

    def read(self, first: int, out: NDArray[Any]) -> NDArray[Any]:
        """Fill `out` with rows from number `first` on, and return it."""
        left = out.data.cast("B") if out.size else memoryview(b"")
        place = first * self.size
        while left:
            count = os.preadv(self.file, [left], place)
            if not count:
                raise RunError("the encoded rows on disk end too early", where=str(self.folder), try_="train again")
            left, place = left[count:], place + count
        return out

    def get(self, first: int, last: int) -> NDArray[Any]:
        """The rows from `first` up to, but not including, `last`."""
        return self.read(first, np.empty((last - first, *self.tail), self.dtype))

    def pieces(self, rows: int) -> Iterator[NDArray[Any]]:
        """All rows in their order, so many at a time."""
        for first in range(0, self.rows, rows):
            yield self.get(first, min(first + rows, self.rows))
