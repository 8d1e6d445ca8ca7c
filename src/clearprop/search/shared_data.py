"""What many trainings learn from, read once: its arrays lie in files, which every process of the machine maps."""

from __future__ import annotations

import pickle
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from clearprop.data.readers.reading import READING_TEXT, Reading
from clearprop.data.streaming.disk_rows import DiskRows
from clearprop.data.training_data import Prepared, from_source
from clearprop.errors import RunError
from clearprop.nn.losses import task_under
from clearprop.program.processes import Remembered
from clearprop.runs.settings import Settings

D = TypeVar("D")
LEAST_BYTES = 4096
"""A smaller array is written among the others."""
_HEAD = "prepared.pickle"


def data_for(settings: Settings, source: Any = None) -> Prepared:
    """The data that the settings name, cut and encoded, or `source` in place of their name.

    Raises DataError or ArgumentError for data that cannot be learned from.
    """
    reading = Reading.from_words(**{name: getattr(settings, name) for name in READING_TEXT})
    task = task_under(settings.task, settings.loss)
    named = settings.data if source is None else source
    shares = settings.val, settings.test
    return from_source(named, settings.target, task, *shares, settings.seed, settings.memory, reading=reading)


@dataclass(frozen=True)
class Shared(Generic[D]):
    """Where a process finds the data: those that it has opened already, the files, or their source.

    `folder` holds the arrays as `.npy` files, which are mapped read-only, so that all processes of a machine share one
    copy of them; where it is not, on another machine, a process reads them by `again`, once.
    """

    token: str
    folder: str | None
    again: Callable[[], D] | None

    def open(self) -> D:
        """The data.  Raises RunError where neither files nor source are at hand."""
        found: D = _OPENED.get(self.token, self._read)
        return found

    def _read(self) -> D:
        head = None if self.folder is None else Path(self.folder) / _HEAD
        if head is not None and head.is_file():
            return _Mapped(head).load()  # type: ignore[no-any-return]  # what `share` wrote
        if self.again is None:
            raise RunError(
                "the data are not on this machine",
                expected="a file that every machine can read",
                got="data of a program, which were shared on its own machine alone",
                where=str(self.folder),
                try_="save them as a Parquet or CSV file that all machines see",
            )
        return self.again()


_OPENED = Remembered[Any](4)


@contextmanager
def share(data: D, again: Callable[[], D] | None) -> Iterator[Shared[D]]:
    """The data as any process opens them, until the block ends; rows that stream are read `again` by each of them."""
    token = secrets.token_hex(8)
    if isinstance(data, Prepared) and isinstance(data.train, DiskRows):
        _OPENED.get(token, lambda: data)
        yield Shared(token, None, again)
        return
    folder = Path(tempfile.mkdtemp(prefix="clearprop-shared-"))  # nobody else may write it, so a pickle is no danger
    try:
        text = BytesIO()
        _Mapping(text, folder).dump(data)
        (folder / _HEAD).write_bytes(text.getvalue())
        yield Shared(token, str(folder), again)
    finally:
        with suppress(OSError):
            shutil.rmtree(folder)


class _Mapping(pickle.Pickler):
    """Writes arrays beside the pickle, each into a file of its own."""

    def __init__(self, file: BytesIO, folder: Path) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.folder, self._names = folder, dict[int, str]()

    def persistent_id(self, value: Any) -> str | None:
        """The name of the file for a large array of numbers; None for anything else."""
        if type(value) is not np.ndarray or value.dtype.hasobject or value.nbytes < LEAST_BYTES:
            return None
        if id(value) not in self._names:
            self._names[id(value)] = f"{len(self._names)}.npy"
            np.save(self.folder / self._names[id(value)], value)
        return self._names[id(value)]


class _Mapped(pickle.Unpickler):
    """Reads what `_Mapping` wrote; arrays are mapped, not read."""

    def __init__(self, head: Path) -> None:
        super().__init__(BytesIO(head.read_bytes()))
        self.folder, self._arrays = head.parent, dict[str, Any]()

    def persistent_load(self, name: str) -> Any:
        """The array in the file of that name, as a plain array."""
        if name not in self._arrays:
            self._arrays[name] = np.asarray(np.load(self.folder / name, mmap_mode="r"))
        return self._arrays[name]
