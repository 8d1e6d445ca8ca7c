"""One process at a time writes a folder: a lock that dies with the process that holds it."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clearprop.errors import RunError
from clearprop.files.atomic import cannot_write

APPENDED = ("history.jsonl", "events.jsonl")
"""Files to whose end lines are added; all others are replaced."""
_HELD: set[int] = set()
_BUSY = (errno.EWOULDBLOCK, errno.EACCES)
GRACE = 2.0
"""Seconds: so long a process that was killed may take to end, when its launcher has returned already."""
_UNKNOWN = (errno.ENOTSUP, errno.ENOSYS, errno.EBADF, errno.EINVAL, errno.ENOLCK)


@contextmanager
def hold_folder(path: Path) -> Iterator[None]:
    """Hold the folder until the block ends; no file is written for it, and a process that is killed lets it go.

    Raises RunError where another process, or another thread of this one, still holds it after two seconds, where it
    cannot be opened, and where a link in it leads to another folder, in which files would be written and removed.  A
    file system without locks is written without one.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name, hold_folder(Path(name)):
    ...     with hold_folder(Path(name)):
    ...         pass
    Traceback (most recent call last):
        ...
    clearprop.errors.RunError: ...
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as problem:
        raise cannot_write(path, problem) from None
    _HELD.add(descriptor)
    try:
        _lock(descriptor, path)
        try:
            _require_no_links(path)
            yield
        finally:
            if descriptor in _HELD:
                with suppress(OSError):  # a child of a fork that has not let go yet shares the lock
                    fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        if descriptor in _HELD:  # not in a child of a fork, where it is closed and its number may be another file's
            _HELD.discard(descriptor)
            os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    end = time.monotonic() + GRACE
    while not _is_locked(descriptor):
        if time.monotonic() > end:
            raise RunError(
                "this run is being trained already",
                expected="a run folder that nobody else writes",
                got="a folder that another process, or another thread, holds",
                where=str(path),
                try_="wait until it has ended, or take another --out",
            )
        time.sleep(0.02)


def _require_no_links(path: Path) -> None:
    """Refuse links within, except to files: what is written takes the place of these, and follows none."""
    for folder in (path, *(Path(entry) for entry in _entries(path) if entry.is_dir(follow_symlinks=False))):
        for entry in _entries(folder):
            if entry.is_symlink() and (entry.is_dir() or entry.name in APPENDED):
                raise RunError(
                    f"{entry.name!r} leads out of the folder that is to be written",
                    expected="folders of its own; the whole folder may be a link, and files that are only read",
                    got=f"a link to {str(Path(entry.path).readlink())!r}",
                    where=entry.path,
                    try_="put what it leads to in its place, or link the whole folder",
                )


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError as problem:
        raise cannot_write(folder, problem) from None


def _is_locked(descriptor: int) -> bool:
    """Whether the lock was taken, or the file system has none."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        if problem.errno in _BUSY:
            return False
        if problem.errno not in _UNKNOWN:
            raise
    return True


def _let_go() -> None:
    """In a child of a fork: the lock is the parent's, and the child must not keep it alive."""
    for descriptor in _HELD:
        os.close(descriptor)
    _HELD.clear()


os.register_at_fork(after_in_child=_let_go)
