"""Data on standard input: kept in a file for as long as a command lasts, since they are read more than once."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clearprop.errors import ArgumentError

NAME = "-"
"""The name of standard input."""


@contextmanager
def given_data(data: str) -> Iterator[str]:
    """The data that a command names; for `-` the path of a file with what comes on standard input.

    Raises ArgumentError where nothing can come: at a terminal.
    """
    if data != NAME:
        yield data
        return
    import tempfile

    if sys.stdin is None or sys.stdin.isatty():
        raise ArgumentError(
            "nothing comes on standard input",
            expected="a table from another command: cat houses.csv | clearprop train -",
            got="a terminal",
            where=NAME,
            try_="name a file, or ./- for one that is called so",
        )
    with tempfile.TemporaryDirectory(prefix="clearprop-") as folder:
        path = Path(folder) / "standard-input"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield str(path)
