"""Where trainings are done side by side: processes of this machine, a Dask cluster, any executor of Python's form."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    TimeoutError,
    wait,
)
from contextlib import suppress
from dataclasses import replace
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from clearprop.compiler.native import blas
from clearprop.errors import ArgumentError, RunError, user_line
from clearprop.runs.environment import environment

T = TypeVar("T")
Running: TypeAlias = dict[Future[Any], int]
"""What has been handed out and has not ended, with its number."""
PLACES = "local, local:N or dask://HOST:PORT"
"""Where trainings can be done side by side, in words."""
MOST_LOSSES = 3
"""So often workers may die during one piece of work, until it has failed."""
_ANSWER = 60.0
"""Seconds in which an executor must answer at all."""
_CONNECT = "10s"
"""How long a Dask scheduler may take to answer."""
_DASK = "dask://"
_LOCAL = re.compile(r"local(?::([0-9]{1,4}))?")
_MOST_PROCESSES = 1024
_PRELOADED = ["clearprop.search.trial", "clearprop.compiler.epoch_loop"]
"""What is imported once, in the process of which those of a pool are forked: Numba among it, which takes a second."""
_PATIENCE = 5.0
"""Seconds that a process with nothing left to do has to end."""
_UNKNOWN = 2
"""So many trials at once, for an executor that does not tell how many workers it has."""


class Pool(Protocol):
    """Workers: `size` of them at once, which `renew` replaces where they have died."""

    size: int

    def submit(self, function: Callable[..., T], *arguments: Any) -> Future[T]:
        """Have `function(*arguments)` done; of workers that have died the future tells, as if they died at it."""

    def renew(self) -> None:
        """Replace workers that died.  Raises RunError where that is not ours to do."""

    def close(self) -> None:
        """Let go of what was made for this sweep."""


def _submit(executor: Executor, function: Callable[..., T], *arguments: Any) -> Future[T]:
    """The future; a failed one where the executor has noticed already that a worker died, and takes nothing more."""
    try:
        return executor.submit(function, *arguments)
    except BrokenExecutor as problem:
        failed: Future[T] = Future()
        failed.set_exception(problem)
        return failed


class LocalPool:
    """Processes of this machine, each forked of one that has imported all and done nothing.

    They leave Ctrl-C to the process of the sweep, and end when it does.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._open: set[Future[Any]] = set()
        self._executor = self._start()

    def _start(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOADED)
        return ProcessPoolExecutor(self.size, mp_context=context, initializer=_begin_worker)

    def submit(self, function: Callable[..., T], *arguments: Any) -> Future[T]:
        """Have it done by the next process that is free."""
        future = _submit(self._executor, function, *arguments)
        self._open.add(future)
        future.add_done_callback(self._open.discard)
        return future

    def renew(self) -> None:
        """Start processes anew: of a pool that one has died of, none goes on."""
        self.close()
        self._executor = self._start()

    def close(self) -> None:
        """End the processes, once what they do is done.

        One that was killed while it waited for work holds the lock of the queue for ever, and the executor waits for
        those that wait for the lock: with nothing left to do they are killed after a while.
        """
        workers = list((getattr(self._executor, "_processes", None) or {}).values())
        self._executor.shutdown(wait=False, cancel_futures=True)
        wait(list(self._open))
        last = time.monotonic() + _PATIENCE
        for worker in workers:
            worker.join(max(0.0, last - time.monotonic()))
            if worker.is_alive():
                worker.kill()
                worker.join()


class GivenPool:
    """An executor that somebody else made, and keeps."""

    def __init__(self, executor: Executor, size: int | None = None, name: str = "") -> None:
        known = getattr(executor, "_max_workers", None) if size is None else size
        self.size = known if isinstance(known, int) and known > 0 else _UNKNOWN
        self._executor, self._name = executor, name or type(executor).__name__

    def submit(self, function: Callable[..., T], *arguments: Any) -> Future[T]:
        """Hand it to the executor."""
        return _submit(self._executor, function, *arguments)

    def renew(self) -> None:
        """Raise RunError: the executor is not ours."""
        raise RunError(
            "the executor has lost its workers",
            expected="an executor that replaces workers which die",
            got=f"{self._name}, which takes nothing more",
            try_="sweep again with resume= and a new executor: what has ended is not done again",
        )

    def close(self) -> None:
        """Leave the executor to its owner."""


class DaskPool(GivenPool):
    """The workers of a Dask cluster, which does again by itself what a worker that died had to do."""

    def __init__(self, address: str) -> None:
        self._client = _connect(address)
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        size = sum(worker["nthreads"] for worker in workers.values())
        if not size:
            self._client.close()
            raise _unreachable(address, "a scheduler without workers")
        super().__init__(self._client.get_executor(pure=False), size, "Dask's executor")

    def renew(self) -> None:
        """Do nothing: the cluster finds other workers."""

    def close(self) -> None:
        """Leave the cluster."""
        self._client.close()


class _Handout(Generic[T]):
    """Calls that are handed out: as many at once as there are workers, so what follows may hang on what ended."""

    def __init__(
        self, pool: Pool, function: Callable[..., T], arguments: Iterable[tuple[Any, ...]], running: Running
    ) -> None:
        self.pool, self.function, self.waiting, self.running = pool, function, iter(arguments), running
        self.given: list[tuple[Any, ...]] = []
        self.ended: dict[int, Future[T]] = {}
        self.losses: Counter[int] = Counter()
        self._exhausted = False

    def fill(self) -> None:
        """Give work to every worker that is free."""
        while len(self.running) < self.pool.size and not self._exhausted:
            given = next(self.waiting, None)
            if given is None:
                self._exhausted = True
            else:
                self.given.append(given)
                self._submit(len(self.given) - 1)

    def _submit(self, number: int) -> None:
        self.running[self.pool.submit(self.function, *self.given[number])] = number

    def collect(self) -> list[Future[T]]:
        """Wait until a call has ended, or was lost and is handed out again; those that ended."""
        done, _ = wait(self.running, return_when=FIRST_COMPLETED)
        lost = next((future for future in done if _is_lost(future)), None)
        if lost is not None:
            self._again(lost)
            return []
        for future in done:
            self.ended[self.running.pop(future)] = future
            self._exhausted |= future.exception() is not None
        return [future for future in done if future.exception() is None]

    def _again(self, lost: Future[T]) -> None:
        """A worker has died: what it did, and what its companions did with it, is done again by new ones."""
        self.losses.update(self.running[future] for future in self.running if _is_lost(future))
        if max(self.losses.values()) >= MOST_LOSSES:
            raise RunError(
                "workers keep dying",
                expected="workers that live as long as a training takes",
                got=f"{MOST_LOSSES} times that they died: {lost.exception()}".partition("\n")[0],
                try_="fewer workers or a smaller network, if memory ran out",
            )
        self.pool.renew()  # afterwards all that the old ones had to do has ended, one way or the other
        for future in [future for future in self.running if _is_lost(future)]:
            self._submit(self.running.pop(future))


def results(
    pool: Pool,
    function: Callable[..., T],
    arguments: Iterable[tuple[Any, ...]],
    ended: Callable[[T], object] = lambda _: None,
    running: Running | None = None,
) -> Iterator[T]:
    """`function(*a)` for every a of the arguments, in their order, done side by side; what workers lose is done again.

    arguments  asked for one as a worker gets free
    ended      called with each result as soon as it is there, in whatever order
    running    holds what runs meanwhile, for who must wait for it

    Raises what a call raises, and RunError where workers have died `MOST_LOSSES` times of one.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ThreadPoolExecutor(2) as executor:
    ...     list(results(given_pool(executor), pow, [(2, 3), (3, 2)]))
    [8, 9]
    """
    handout = _Handout(pool, function, arguments, {} if running is None else running)
    number = 0
    while True:
        handout.fill()
        if number in handout.ended:
            yield handout.ended.pop(number).result()
            number += 1
        elif not handout.running:
            return
        else:
            for future in handout.collect():
                ended(future.result())


def _is_lost(future: Future[Any]) -> bool:
    return future.done() and (future.cancelled() or isinstance(future.exception(), BrokenExecutor))


def pool_for(on: str) -> Pool:
    """The workers that `local`, `local:N` or `dask://HOST:PORT` names.

    Raises ArgumentError for another place, a scheduler that does not answer, or without Dask.
    """
    if on.startswith(_DASK):
        return DaskPool(on)
    cores, said = blas.cores(), _LOCAL.fullmatch(on)
    size = int(said[1] or cores) if said else 0
    if not 1 <= size <= _MOST_PROCESSES:
        raise ArgumentError(
            f"--on cannot be {on!r}",
            expected=f"{PLACES}; a sweep takes slurm-array, too",
            got=repr(on),
            where="--on",
            try_=f"--on local:{cores}",
        )
    return LocalPool(size)


def given_pool(executor: Any) -> Pool:
    """The workers behind an executor of the form of `concurrent.futures`.  Raises ArgumentError for anything else."""
    if not callable(getattr(executor, "submit", None)):
        raise ArgumentError(
            "this is no executor",
            expected="an executor of concurrent.futures, or one of its form, such as Dask's client.get_executor()",
            got=repr(executor)[:80],
            where=user_line(),
            try_='on="local:2", which makes one',
        )
    return GivenPool(executor)


def require_workers(pool: Pool) -> None:
    """Have something small done, so that what cannot work is said before anything starts.

    Raises ArgumentError for an executor that refuses, does not answer or has other versions of what decides on bits.
    """
    try:
        there = pool.submit(environment).result(timeout=_ANSWER)
    except TimeoutError:
        raise _no_workers(f"no answer within {_ANSWER:.0f} s") from None
    except Exception as problem:  # an executor may fail in any way
        raise _no_workers(f"{type(problem).__name__}: {problem}".partition("\n")[0]) from None
    different = replace(environment(), threads=0).differences(replace(there, threads=0))
    if different:
        raise ArgumentError(
            "the workers are not made as this process is",
            expected="the same processor, BLAS kernel, NumPy and clearprop everywhere: else a trial has other bits",
            got="; ".join(different),
            where="--on",
            try_="workers on machines of one kind, with the same versions installed",
        )


def _no_workers(got: str) -> ArgumentError:
    return ArgumentError(
        "the workers cannot train",
        expected="workers that import clearprop, and take and return what pickle can write",
        got=got,
        where="--on",
        try_="in a script, call cl.sweep below `if __name__ == '__main__':`; or --on local:2",
    )


def _connect(address: str) -> Any:
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise ArgumentError(
            "dask:// needs Dask",
            expected="the package distributed, in the version of the cluster",
            got="no module named 'distributed'",
            where=f"--on {address}",
            try_="pip install distributed, or --on local:2",
        ) from None
    try:
        return Client(f"tcp://{address.removeprefix(_DASK)}", timeout=_CONNECT, set_as_default=False)
    except (OSError, ValueError, TypeError) as problem:
        raise _unreachable(address, str(problem).partition("\n")[0]) from None


def _unreachable(address: str, got: str) -> ArgumentError:
    return ArgumentError(
        "the scheduler cannot be reached",
        expected=f"a Dask scheduler with workers, which answers within {_CONNECT}",
        got=got,
        where=f"--on {address}",
        try_="dask scheduler, and dask worker HOST:PORT; or --on local:2",
    )


def _begin_worker() -> None:
    """What a process of our own does first: leave Ctrl-C to the sweep, and end where the sweep does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for the end of the process that started this one: a sweep that is killed leaves nobody who trains on."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        with suppress(OSError):
            parent.join()
        os._exit(1)
