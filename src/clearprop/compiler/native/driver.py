"""The driver: one native loop over steps and instructions, the same for every program.

With two threads both run it side by side, each on its own rows of the table; a barrier separates instructions of
which one reads what the other thread wrote.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from numba import njit, types
from numba.types import ExternalFunction

from clearprop.compiler.native.intrinsics import atomic_add, atomic_load, call

_yield_processor = ExternalFunction("sched_yield", types.int32())
_u64s, _u8s, _i64s = (
    types.Array(types.uint64, 1, "C"),
    types.Array(types.uint8, 1, "C"),
    types.Array(types.int64, 1, "C"),
)


@njit(types.void(types.uint64, types.int64), cache=True, nogil=True, no_cpython_wrapper=True)
def _wait(barrier: Any, threads: Any) -> Any:
    """Return when all threads have arrived; spin, since the others are microseconds away, then give way."""
    ticket = atomic_add(barrier, 1)
    goal = (ticket // threads + 1) * threads
    spins = 0
    while atomic_load(barrier) < goal:
        spins += 1
        if spins > 20000:
            _yield_processor()
            spins = 0


@njit(
    types.void(types.int64, types.int64, _u64s, _u64s, _u8s, types.uint64, _i64s, types.int64, types.uint64),
    cache=True,
    nogil=True,
)
def drive(
    start: Any,
    stop: Any,
    functions: Any,
    offsets: Any,
    fences: Any,
    table: Any,
    cursor: Any,
    threads: Any,
    barrier: Any,
) -> Any:
    """Run steps start … stop − 1; `functions[k]` is called on the row at `table + offsets[k]`, 0 is left out."""
    for step in range(start, stop):
        cursor[0] = step
        for k in range(functions.size):
            if functions[k] != 0:
                call(functions[k], table + offsets[k])
            if fences[k] != 0:
                _wait(barrier, threads)


class _Partner:
    """A thread that waits for work: the second core of every two-threaded run in this process."""

    def __init__(self) -> None:
        self.work: Callable[[], None] | None = None
        self.wake, self.finished = threading.Semaphore(0), threading.Semaphore(0)
        self.owner = threading.Lock()
        self.thread = threading.Thread(target=self._serve, name="clearprop-partner", daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            self.wake.acquire()
            assert self.work is not None
            self.work()
            self.finished.release()

    def together(self, mine: Callable[[], None], theirs: Callable[[], None]) -> None:
        """Run both at once and return when both are done; one caller at a time."""
        with self.owner:
            self.work = theirs
            self.wake.release()
            mine()
            self.finished.acquire()
            self.work = None


_partners: dict[int, _Partner] = {}


def together(mine: Callable[[], None], theirs: Callable[[], None]) -> None:
    """Run two native loops side by side."""
    import os

    pid = os.getpid()  # a forked child has no thread of its parent's
    if pid not in _partners:
        _partners.clear()
        _partners[pid] = _Partner()
    _partners[pid].together(mine, theirs)
