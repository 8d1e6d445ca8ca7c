"""Writing that is whole or not at all: a temporary name, the data on disk, then one rename.

Files that belong together are made durable at once, from several threads: a disk commits them together, so that five
files take about as long as one, where one after the other takes five times that.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from clearprop.errors import ArgumentError, RunError, user_line

WAITING = 6
"""So many files and folders are waited for at once."""


def as_path(value: Any, name: str) -> Path:
    """What a user gave as the argument `name` for a file or a folder.  Raises ArgumentError for what names none.

    >>> as_path("runs/first", "out").name
    'first'
    """
    try:
        path = Path(value)
        if b"\0" not in os.fsencode(path):
            return path
        got = "a name with the character 0, at which the system would cut it off"
    except TypeError:
        got = f"a value of type {type(value).__name__}"
    except UnicodeEncodeError:
        got = "a name with half a character (a surrogate by itself)"
    raise ArgumentError(
        f"{name} names no file or folder", expected="a path: a str or a Path", got=got, where=user_line(),
        try_=f"{name}='runs/first'",
    )  # fmt: skip


def write_text(path: Path, text: str) -> None:
    """Put `text` under `path` in one step; a reader, or a crash, sees the old file or the new one.

    Raises RunError if the file cannot be written; what stood there before still stands.

    >>> write_text(Path("note.txt"), "whole")
    >>> Path("note.txt").read_text()
    'whole'
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """`write_text` for bytes.

    >>> write_bytes(Path("b.bin"), b"ab")
    >>> Path("b.bin").read_bytes()
    b'ab'
    """
    write_files(path.parent, {path.name: data})


def write_file(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """`write_bytes` for what `write` writes little by little."""
    temporary = _temporary(path)
    try:
        with temporary.open("xb") as file:
            write(file)
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except OSError as problem:
        _unlink(temporary)
        raise cannot_write(path, problem) from None
    except BaseException:
        _unlink(temporary)
        raise


def write_files(folder: Path, content: Mapping[str, bytes], after: Sequence[Path] = ()) -> None:
    """Put several files into `folder`, each in one step, in their order: a later one is there only with those before.

    They are there once the files `after` are durable, too.
    Raises RunError if one cannot be written.
    """
    temporary = {folder / name: _temporary(folder / name) for name in content}
    path = folder
    try:
        for path, data in zip(temporary, content.values(), strict=True):
            _write_new(temporary[path], data)
        _sync_all([*temporary.values(), *after])
        for path in temporary:
            temporary[path].replace(path)
        _sync(folder)
    except OSError as problem:
        _unlink(*temporary.values())
        raise cannot_write(path, problem) from None
    except BaseException:
        _unlink(*temporary.values())
        raise


def write_folder(path: Path, content: Mapping[str, bytes], after: Sequence[Path] = ()) -> None:
    """Make the folder `path` with these files in one step, once the files `after`, outside it, are durable too.

    A folder of that name is replaced.  Raises RunError if it cannot be written.
    """
    temporary = _temporary(path)
    try:
        temporary.mkdir(parents=True)
        for name, data in content.items():
            _write_new(temporary / name, data)
        _sync_all([*(temporary / name for name in content), temporary, *after])
        if path.exists():
            remove_folder(path)
        temporary.replace(path)
        _sync(path.parent)
    except OSError as problem:
        shutil.rmtree(temporary, ignore_errors=True)
        raise cannot_write(path, problem) from None
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def create_folder(path: Path, content: Mapping[str, bytes], durable: bool = False) -> bool:
    """Make the folder `path` with these files, whose names may have folders in them, in one step.

    An empty folder is replaced; False says that there is one with something in it, which is left as it is.  Without
    `durable` a loss of power may still take the files.  Raises RunError if it cannot be written.
    """
    path = path.resolve()
    temporary = _temporary(path)
    try:
        make_folder(path.parent)
        _remove_partial(path.parent, f".{path.name}.partial-*")
        temporary.mkdir()
        for name, data in content.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            _write_new(temporary / name, data)
        if durable:
            _sync_all([*(temporary / name for name in content), *(p for p in temporary.rglob("*") if p.is_dir())])
        if path.exists() and path.samefile(Path.cwd()) and not any(path.iterdir()):
            for name in content:  # whoever stands in the folder would stand in one that is gone
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                (temporary / name).replace(path / name)
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.replace(path)
        if durable:
            _sync(path.parent)
        return True
    except OSError as problem:
        shutil.rmtree(temporary, ignore_errors=True)
        if problem.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR) and path.exists():
            return False
        raise cannot_write(path, problem) from None
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def remove_folder(path: Path) -> None:
    """Remove a folder so that no part of it is ever seen under its name.  Raises RunError if that fails."""
    try:
        away = _renamed_away(path)
    except OSError as problem:
        raise cannot_write(path, problem) from None
    shutil.rmtree(away, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what an interrupted write left behind in `folder`, as far as that is allowed."""
    _remove_partial(folder, ".*.partial-*")


def _remove_partial(folder: Path, pattern: str) -> None:
    for path in folder.glob(pattern):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            _unlink(path)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, unless it is there.  Raises RunError if that fails.

    >>> make_folder(Path("runs/first"))
    >>> Path("runs/first").is_dir()
    True
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise cannot_write(path, problem) from None


def cannot_write(path: Path, problem: OSError) -> RunError:
    """The error for a folder or disk that refuses to be written."""
    return RunError(
        f"cannot write {path.name!r}",
        expected="a folder that may be written, with space left",
        got=problem.strerror or type(problem).__name__,
        where=str(path),
        try_="free some space or choose another --out; everything saved before is still there",
    )


def _unlink(*paths: Path) -> None:
    """Remove files that are there, as far as the disk allows it."""
    for path in paths:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    return path.parent / f".{path.name}.partial-{secrets.token_hex(4)}"


def _renamed_away(path: Path) -> Path:
    return path.rename(_temporary(path))


def _write_new(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)


def _sync_all(paths: Sequence[Path]) -> None:
    """Make files and folders durable, all at once."""
    waiting = [_threads().submit(_sync, path) for path in paths]
    wait(waiting)
    for one in waiting:
        one.result()


@cache
def _threads() -> ThreadPoolExecutor:
    """Threads that wait for the disk: they are kept, because starting one takes as long as a write."""
    return ThreadPoolExecutor(WAITING, thread_name_prefix="clearprop-disk")


os.register_at_fork(after_in_child=_threads.cache_clear)  # a child has none of the threads of its parent


def _sync(path: Path) -> None:
    """Make the content of a file, or the names in a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
