"""Trainings of one table side by side, of which each is a call of one function: folds, members, optimizers.

What a sweep has, too: workers (`pools`), data that are in memory once a machine (`shared_data`), a number of threads
for each training, a file that asks those that run to save and stop.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Generic, TypeVar

from clearprop.compiler import get_threads, set_threads, threads_asked, threads_meanwhile
from clearprop.errors import ArgumentError, user_line
from clearprop.search.pools import Pool, Running, given_pool, pool_for, require_workers, results
from clearprop.search.shared_data import Shared, share

D = TypeVar("D")
R = TypeVar("R")
STOP_FILE = "stop"
"""The name of the file that asks trainings to stop."""


@dataclass(frozen=True)
class Workplace:
    """Where trainings are done: a place in words, or an executor of the form of `concurrent.futures`; here without."""

    on: str | None = None
    executor: Any = None

    def __post_init__(self) -> None:
        if self.on is not None and not isinstance(self.on, str):
            raise ArgumentError(
                "on says where, in words",
                expected='"local:2", "dask://HOST:PORT", or None for this process',
                got=repr(self.on)[:80],
                where=user_line(),
                try_='on="local:2"',
            )

    def pool(self) -> Pool | None:
        """The workers, tried; None for this process.

        Raises ArgumentError for a place that is none, an executor that cannot be used, or both.
        """
        if self.executor is not None and self.on is not None:
            raise ArgumentError(
                "workers are asked for twice",
                expected="on=, or executor=",
                got=f"on={self.on!r} and an executor",
                where=user_line(),
                try_="leave one of them out",
            )
        if self.executor is None and self.on is None:
            return None
        pool = given_pool(self.executor) if self.on is None else pool_for(self.on)
        try:
            require_workers(pool)
        except BaseException:
            pool.close()
            raise
        return pool


HERE = Workplace()
"""This process, one training after another."""


@dataclass(frozen=True)
class _Task(Generic[D]):
    """What all calls share: the data, the threads of each, and the process whose threads are its own affair."""

    data: Shared[D]
    threads: int
    home: int

    def do(self, function: Callable[..., R], *arguments: Any) -> R:
        """The function of the data and these arguments."""
        if os.getpid() != self.home and get_threads() != self.threads:
            set_threads(self.threads)
        return function(self.data.open(), *arguments)


@dataclass(frozen=True, eq=False)
class Room(Generic[D]):
    """Workers that have the same data; once the file `stop` is there, trainings save and stop after their epoch."""

    pool: Pool
    task: _Task[D]
    stop: Path
    running: Running

    def results(
        self,
        function: Callable[..., R],
        arguments: Iterable[tuple[Any, ...]],
        ended: Callable[[R], object] = lambda _: None,
    ) -> Iterator[R]:
        """`function(data, *a)` for every a, in their order, as `pools.results` does it."""
        return results(self.pool, self.task.do, ((function, *given) for given in arguments), ended, self.running)


@contextmanager
def room_in(pool: Pool, data: D, again: Callable[[], D] | None, folder: Path | None = None) -> Iterator[Room[D]]:
    """Workers that have the data, until the block ends, which closes the pool.

    again   reads the data anew, on a machine that does not see the disk of this one
    folder  where a file can ask those that train to stop; by default one for this time

    A training has one thread, since there are others beside it, or as many as were asked for.  Where the block ends by
    an exception, Ctrl-C among them, those that run are asked to save and stop, and are waited for.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ThreadPoolExecutor(2) as executor, room_in(given_pool(executor), 2, None) as room:
    ...     list(room.results(pow, [(2,), (3,)]))
    [4, 8]
    """
    threads = threads_asked() or 1
    with ExitStack() as held:
        held.callback(pool.close)
        where = folder or Path(held.enter_context(TemporaryDirectory(prefix="clearprop-")))
        held.enter_context(threads_meanwhile(threads))
        shared = held.enter_context(share(data, again))
        stop, running = (where / STOP_FILE).resolve(), Running()
        stop.unlink(missing_ok=True)
        held.callback(stop.unlink, missing_ok=True)
        try:
            yield Room(pool, _Task(shared, threads, os.getpid()), stop, running)
        except BaseException:
            stop.touch()
            wait(running)
            raise
