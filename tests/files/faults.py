"""A disk that refuses, or a process that is killed: every operation that writes under a folder is counted.

Counted are the opening of a file for writing, each write to it, `fsync`, and what makes, renames or removes: whatever
an operating system may answer with "No space left on device", "Read-only file system" or "Input/output error".
"""

import builtins
import errno
import io
import os
import signal
import warnings
from contextlib import contextmanager
from pathlib import Path

FULL, READ_ONLY, BROKEN = errno.ENOSPC, errno.EROFS, errno.EIO
CHANGING = ("replace", "rename", "mkdir")


class Disk:
    """The operations under `folder` so far; the one with number `at`, and if `lasting` all later ones, fail."""

    def __init__(self, folder, at=None, number=FULL, lasting=True):
        self.folder, self.at, self.number, self.lasting = str(Path(folder).resolve()), at, number, lasting
        self.kinds = []

    @property
    def count(self):
        return len(self.kinds)

    def holds(self, path):
        try:
            return str(Path(path).absolute()).startswith(self.folder)
        except TypeError:  # a descriptor
            return False

    def touch(self, kind, path, file=None, data=b""):
        """An operation begins: before it, or in the middle of a write, the disk may refuse."""
        self.kinds.append(kind)
        if self.at is not None and (self.count == self.at or (self.lasting and self.count > self.at)):
            raise OSError(self.number, os.strerror(self.number), str(path))


class Killer(Disk):
    """At operation `at` the process is killed; of a write, half is done by then."""

    def touch(self, kind, path, file=None, data=b""):
        self.kinds.append(kind)
        if self.count == self.at:
            if file is not None:
                file.write(data[: len(data) // 2])
                file.flush()
            os.kill(os.getpid(), signal.SIGKILL)


class Written:
    """A file whose writes are counted."""

    def __init__(self, file, disk, path):
        self._file, self._disk, self._path = file, disk, path

    def write(self, data):
        self._disk.touch("write", self._path, self._file, data)
        return self._file.write(data)

    def __enter__(self):
        self._file.__enter__()
        return self

    def __exit__(self, *problem):
        return self._file.__exit__(*problem)

    def __getattr__(self, name):
        return getattr(self._file, name)


def numbers_to_refuse(kinds, step=None):
    """The first, the middle and the last operation, the first of each kind, and every so many-th if there is a step."""
    last = len(kinds)
    chosen = {1, (last + 1) // 2, last, *(kinds.index(kind) + 1 for kind in kinds)}
    return sorted(chosen | set(range(1, last + 1, step or last)))


@contextmanager
def faults(monkeypatch, disk):
    """Within the block, files are those of the disk."""
    opened, synced = io.open, os.fsync

    def open_file(path, mode="r", *args, **options):
        if not set(mode) & set("wax+") or not disk.holds(path):
            return opened(path, mode, *args, **options)
        disk.touch("open", path)
        return Written(opened(path, mode, *args, **options), disk, path)

    def sync(descriptor):
        disk.touch("fsync", "a descriptor")
        return synced(descriptor)

    def counted(name):
        change = getattr(os, name)

        def changed(path, *args, **options):
            if disk.holds(path):
                disk.touch(name, path)
            return change(path, *args, **options)

        return changed

    with monkeypatch.context() as patch:
        patch.setattr(io, "open", open_file)
        patch.setattr(builtins, "open", open_file)
        patch.setattr(Path, "open", lambda path, *args, **options: open_file(path, *args, **options))
        patch.setattr(os, "fsync", sync)
        for name in CHANGING:
            patch.setattr(os, name, counted(name))
        yield disk


def killed_at(monkeypatch, disk, act, folder):
    """How a child ends that does `act(folder)` on such a disk: 0, or killed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads that wait for the disk hold nothing here
        child = os.fork()
    if child == 0:
        code = 1
        try:
            with faults(monkeypatch, disk):
                act(folder)
            code = 0
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL
    return status
