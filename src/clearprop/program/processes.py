"""Processes: locks and forks, what a process remembers, and whether a launcher started several that work together.

A child of a fork has none of the threads that held its parent's locks.
"""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from clearprop.errors import unknown_name

T = TypeVar("T")

_LOCKS: weakref.WeakSet[Any] = weakref.WeakSet()


def process_lock() -> Any:
    """A reentrant lock of this process alone.

    What it guards must be whole, or be made anew by the next holder, between any two instructions of Python: a child
    may begin while another thread is inside.

    >>> lock = process_lock()
    >>> with lock:
    ...     holds(lock)
    True
    """
    lock = threading.RLock()
    _LOCKS.add(lock)
    return lock


def awaited_lock() -> Any:
    """A reentrant lock that a fork waits for, because a child could not go on with what another thread left half done.

    There is one for each kind of work, for the life of the process.

    >>> with awaited_lock() as held:
    ...     held
    True
    """
    lock = threading.RLock()
    os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
    return lock


def holds(lock: Any) -> bool:
    """Whether this thread holds the lock: then a signal's handler runs in the middle of what it guards."""
    return bool(lock._is_owned())  # as `threading.Condition` asks


PATIENCE = 5.0
"""Seconds that a fork waits at most for work in other threads."""


class AwaitedWork:
    """Work that any number of threads may be at, and that a fork waits for, unless it takes too long.

    NumPy's products use the threads of OpenBLAS, and OpenBLAS ends them before a fork: it hangs if another thread is
    just giving them work.

    >>> work = AwaitedWork()
    >>> with work:
    ...     work.count
    1
    """

    def __init__(self) -> None:
        self.count, self._own = 0, threading.local()
        self._free()
        os.register_at_fork(before=self._wait, after_in_parent=self._go_on, after_in_child=self._free)

    def _free(self) -> None:
        self._changed, self._forks = threading.Condition(), 0
        self.count = getattr(self._own, "depth", 0)  # of a child's threads there is only this one

    def __enter__(self) -> None:
        depth = getattr(self._own, "depth", 0)
        with self._changed:
            if not depth:
                self._changed.wait_for(lambda: not self._forks, PATIENCE)
            self.count += 1
        self._own.depth = depth + 1

    def __exit__(self, *exception: object) -> None:
        self._own.depth -= 1
        with self._changed:
            self.count -= 1
            self._changed.notify_all()

    def _wait(self) -> None:
        with self._changed:
            self._forks += 1
            self._changed.wait_for(lambda: self.count == getattr(self._own, "depth", 0), PATIENCE)

    def _go_on(self) -> None:
        with self._changed:
            self._forks -= 1
            self._changed.notify_all()


class Remembered(Generic[T]):
    """Values that were made once and are found again by their keys: the `most` that were asked for last.

    Of several threads that ask for the same, one makes it and the others wait.

    >>> squares = Remembered(2)
    >>> [squares.get(n, lambda: n * n) for n in (1, 2, 3)], squares.get(3, lambda: 0), squares.get(1, lambda: 0)
    ([1, 4, 9], 9, 0)
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.values: OrderedDict[Hashable, T] = OrderedDict()
        self._turn = process_lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value that is known under the key, or what `make` gives; where it raises, nothing is known."""
        with self._turn:
            value = self.values[key] if key in self.values else make()
            self.values[key] = value
            self.values.move_to_end(key)
            while len(self.values) > self.most:
                self.values.popitem(last=False)
            return value


def _free_in_child() -> None:
    for lock in list(_LOCKS):
        if not holds(lock):  # what the thread that forked holds, it lets go of itself
            lock._at_fork_reinit()


os.register_at_fork(after_in_child=_free_in_child)


WORLDS = ("auto", "none", "mpi")
"""How a training may be told whether it is one of several processes."""
_LAUNCHED = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS")  # Open MPI; MPICH and its kin; srun


def launched_processes() -> int:
    """How many processes a launcher (mpiexec, srun) says that it started together with this one; 1 without one."""
    found = (os.environ.get(name, "") for name in _LAUNCHED)
    return next((int(text) for text in found if text.isascii() and text.isdecimal()), 1)


def is_one_of_several(world: str, where: str) -> bool:
    """Whether a training shall share its work with other processes: it was asked to, or a launcher started several.

    world  "auto", "none" or "mpi"
    where  where that was said, for the message

    Raises ArgumentError for another word.

    >>> is_one_of_several("none", "world="), is_one_of_several("mpi", "world=")
    (False, True)
    """
    if not isinstance(world, str) or world not in WORLDS:
        raise unknown_name("world", str(world), WORLDS, where)
    return world == "mpi" or (world == "auto" and launched_processes() > 1)


@contextmanager
def without_collector() -> Iterator[None]:
    """Within it nobody looks for garbage: what modules make while they are loaded stays.

    A tenth of the time of a short command was the collector's.

    >>> with without_collector():
    ...     gc.isenabled()
    False
    """
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
