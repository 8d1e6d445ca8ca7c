"""Whether something is there: a name that no system takes names nothing, and is no error."""

from __future__ import annotations

from pathlib import Path


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
