"""Locks and forks: a child has none of the threads that held its parent's locks; and what a process remembers."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

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
