"""The driver: one native loop over steps and instructions, the same for every program.

With two threads both run it side by side, each on its own rows of the table; a barrier separates instructions of
which one reads what the other thread wrote.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from clearprop.compiler.native import blas
from clearprop.compiler.native.cache import kernel_address
from clearprop.compiler.native.compile_process import PARTNER

DRIVER = '''"""Generated; do not edit."""

from clearprop.compiler.native.kernel_imports import *


@entry("word", "word", "word", "word", "word", "word", "u64", "u64", "u8", "i64", shared=True)
def kernel(start, stop, count, table, threads, barrier, functions, offsets, fences, cursor):
    for step in range(i64(start), i64(stop)):
        cursor[u64(0)] = step
        for k in range(count):
            if functions[k] != 0:
                call(functions[k], table + offsets[k])
            if fences[k] == 0:
                continue
            # all threads arrive, then go on: spin, since the others are microseconds away, then give way
            goal = (atomic_add(barrier, 1) // i64(threads) + 1) * i64(threads)
            spins = 0
            while atomic_load(barrier) < goal:
                spins += 1
                if spins > 20000:
                    yield_processor()
                    spins = 0
'''


@functools.cache
def _entry() -> Any:
    """The compiled driver, called without the interpreter's lock."""
    return ctypes.CFUNCTYPE(None, ctypes.c_uint64)(kernel_address(DRIVER))


def drive(words: np.ndarray[Any, Any]) -> None:
    """Run the steps that a row of ten words describes."""
    _entry()(words.ctypes.data)


class _Partner:
    """A thread that waits for work: the second core of every two-threaded run in this process."""

    def __init__(self) -> None:
        self.work: Callable[[], None] | None = None
        self.wake, self.finished = threading.Semaphore(0), threading.Semaphore(0)
        self.owner = threading.Lock()
        self.thread = threading.Thread(target=self._serve, name=PARTNER, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            self.wake.acquire()
            assert self.work is not None
            self.work()
            self.finished.release()

    def run_side_by_side(self, mine: Callable[[], None], theirs: Callable[[], None]) -> None:
        """Run both at once and return when both are done, also where Ctrl-C comes; one caller at a time."""
        with self.owner, blas.threads(1), _on_other_processors(self.thread.native_id):
            self.work = theirs
            self.wake.release()
            try:
                mine()
            finally:  # the other thread still works in this caller's memory
                self.finished.acquire()
                self.work = None


@contextmanager
def _on_other_processors(partner: int | None) -> Iterator[None]:
    """Keep the two threads on different processors: a scheduler wakes a thread where its waker runs."""
    getcpu = _getcpu()
    if getcpu is None or partner is None:
        yield
        return
    allowed, here = os.sched_getaffinity(0), getcpu()
    if here not in allowed or len(allowed) < 2:
        yield
        return
    os.sched_setaffinity(partner, allowed - {here})
    os.sched_setaffinity(0, {here})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@functools.cache
def _getcpu() -> Any:
    """The C library's `sched_getcpu`, where there is one."""
    return getattr(ctypes.CDLL(None), "sched_getcpu", None) if hasattr(os, "sched_setaffinity") else None


_partners: dict[int, _Partner] = {}


def run_side_by_side(mine: Callable[[], None], theirs: Callable[[], None]) -> None:
    """Run two native loops side by side."""
    pid = os.getpid()  # a forked child has no thread of its parent's
    if pid not in _partners:
        _partners.clear()
        _partners[pid] = _Partner()
    _partners[pid].run_side_by_side(mine, theirs)
