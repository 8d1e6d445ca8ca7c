"""What a command is given: processes that a launcher started together, and data on standard input.

These are kept in a file for as long as the command lasts, since they are read more than once.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from clearprop.cli.exit_codes import MISTAKE
from clearprop.distributed import World, join_world
from clearprop.errors import ArgumentError, ClearpropError

NAME = "-"
"""The name of standard input."""


def given_data(data: str, world: World | None = None) -> AbstractContextManager[str]:
    """The data that a command names; for `-` the path of a file with what comes on standard input.

    Raises ArgumentError where nothing can come: at a terminal, or to several processes, which cannot share it.
    """
    return nullcontext(data) if data != NAME else _standard_input(world)


@contextmanager
def _standard_input(world: World | None) -> Iterator[str]:
    if world is not None:
        raise _cannot_be_shared()
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


def _cannot_be_shared() -> ArgumentError:
    return ArgumentError(
        "standard input comes to one process, and several want to read it",
        expected="a file that every process can read",
        got="-",
        where="DATA",
        try_="cat … > table.csv, then mpiexec … clearprop train table.csv",
    )


def on_all_ranks(work: Callable[[World | None], int], rank_timeout: float = 600.0) -> int:
    """The exit code of `work(ranks)` on all processes that a launcher started together, of which one speaks."""
    ranks = join_world(rank_timeout)
    try:
        with ranks.united(), ranks.first_alone_speaks():
            ranks.divide_threads()
            return work(ranks)
    except ClearpropError:
        if ranks.rank:
            return MISTAKE  # the first rank tells it
        raise
