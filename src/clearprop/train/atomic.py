"""Writing that is whole or not at all: a temporary name, the data on disk, then one rename."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from clearprop.errors import RunError


def write_text(path: Path, text: str) -> None:
    """Put `text` under `path` in one step; a reader, or a crash, sees the old file or the new one.

    Raises RunError if the file cannot be written; what stood there before still stands.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """`write_text` for bytes."""
    temporary = _temporary(path)
    try:
        _write_through(temporary, data)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as problem:
        _unlink(temporary)
        raise cannot_write(path, problem) from None
    except BaseException:
        _unlink(temporary)
        raise


def write_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Make the folder `path` in one step: `fill` writes its files under a temporary name first.

    A folder of that name is replaced.  Raises RunError if it cannot be written.
    """
    temporary = _temporary(path)
    try:
        temporary.mkdir(parents=True)
        fill(temporary)
        for file in temporary.iterdir():
            _sync(file)
        sync_folder(temporary)
        if path.exists():
            remove_folder(path)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as problem:
        shutil.rmtree(temporary, ignore_errors=True)
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
    for path in folder.glob(".*.partial-*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            _unlink(path)


def sync_file(path: Path) -> None:
    """Make what was appended to a file durable.  Raises RunError if the disk refuses."""
    try:
        _sync(path)
    except OSError as problem:
        raise cannot_write(path, problem) from None


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, unless it is there.  Raises RunError if that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise cannot_write(path, problem) from None


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    _sync(folder)


def cannot_write(path: Path, problem: OSError) -> RunError:
    """The error for a folder or disk that refuses to be written."""
    return RunError(
        f"cannot write {path.name!r}",
        expected="a folder that may be written, with space left",
        got=problem.strerror or type(problem).__name__,
        where=str(path),
        try_="free some space or choose another --out; everything saved before is still there",
    )


def _unlink(path: Path) -> None:
    """Remove a file if it is there and the disk allows it."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    return path.parent / f".{path.name}.partial-{secrets.token_hex(4)}"


def _renamed_away(path: Path) -> Path:
    return path.rename(_temporary(path))


def _write_through(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
