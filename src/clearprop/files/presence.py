"""Whether something is there, or a name is free: a name that no system takes names nothing, and is no error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from clearprop.errors import ArgumentError
from clearprop.files.atomic import create_folder


def is_file(path: Path) -> bool:
    """Whether there is a regular file, or a link to one; not for pipes and devices, nor for impossible names.

    >>> is_file(Path("n" * 5000))
    False
    """
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Whether there is a folder, or a link to one.

    >>> is_folder(Path("."))
    True
    """
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def exists(path: Path) -> bool:
    """Whether there is anything of that name.

    >>> exists(Path("n" * 5000))
    False
    """
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def free_folder(stem: str) -> Path:
    """The first free name `runs/STEM-1`, `-2`, …."""
    number = 1
    while (path := Path("runs") / f"{stem}-{number}").exists():
        number += 1
    return path


def require_free(path: Path, option: str = "--out") -> None:
    """Raise ArgumentError if `path` is taken: a run, or a set of plots, starts in a new or an empty folder."""
    if path.is_file():
        got = "a file"
    elif path.is_dir() and any(path.iterdir()):
        got = f"a folder that holds {min(path.iterdir()).name!r} and possibly more"
    else:
        return
    run = option == "--out"
    raise ArgumentError(
        f"the {'run folder' if run else 'folder'} {str(path)!r} is not empty",
        expected="a new folder, or an empty one",
        got=got,
        where=f"{option} {path}",
        try_="another name, or --resume to continue the run in it" if run else "another name",
    )


def start_folder(path: Path, content: Mapping[str, bytes]) -> None:
    """Start a folder with these files in one step: of two processes that begin at once, one does.

    Raises ArgumentError if there is something in it, RunError if it cannot be written.
    """
    require_free(path)
    if not create_folder(path, content, durable=True):
        require_free(path)
