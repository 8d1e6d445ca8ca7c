"""The driver: one native loop over steps and instructions, the same for every program.

With two threads both run it side by side, each on its own rows of the table; a barrier separates instructions of
which one reads what the other thread wrote.

Waking the second thread, working and waiting for it are one native call.  Python handles signals between such calls
only, so Ctrl-C finds everything before it or after it, and a handler that computes finds the second thread free.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
from typing import Any

import numpy as np

from clearprop.compiler.native.cache import kernel_address
from clearprop.compiler.native.compile_process import PARTNER
from clearprop.program.process_lock import process_lock

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


TEAM = '''"""Generated; do not edit."""

from clearprop.compiler.native.kernel_imports import *


@entry("word", "word", "word", "word", "i64", "i64", "word", "u64", shared=True)
def kernel(driver, mine, theirs, both, state, mail, at, system):
    state[u64(0)] = 0  # the barrier
    state[u64(1)] = 0  # whether the partner is done
    state[u64(2)] = 0  # whether the two ran side by side
    if atomic_add(at, 1) != 0:  # the partner works for somebody else
        call(driver, both)
        atomic_add(at, -1)
        return
    # each stays on a processor of its own: a scheduler wakes a thread where its waker runs
    allowed, here, others, size = at + u64(512), at + u64(640), at + u64(768), u64(128)
    pinned = False
    if system[u64(4)] != 0 and invoke(system[u64(5)], u64(0), size, allowed) >= 0:
        cpu = i64(invoke(system[u64(4)], u64(0), u64(0), u64(0)))
        many = 0
        for k in range(16):
            mail[u64(80 + k)] = 0
            mail[u64(96 + k)] = mail[u64(64 + k)]
            many += i64(mail[u64(64 + k)] != 0) + i64((mail[u64(64 + k)] & (mail[u64(64 + k)] - 1)) != 0)
        word, bit = u64(cpu >> 6), i64(1) << (cpu & 63)
        if many > 1 and 0 <= cpu < 1024 and (mail[u64(64) + word] & bit) != 0:
            mail[u64(80) + word] = bit
            mail[u64(96) + word] &= ~bit
            invoke(system[u64(6)], u64(mail[u64(2)]), size, others)
            pinned = invoke(system[u64(6)], u64(0), size, here) == 0
    mutex, condition = at + u64(64), at + u64(256)
    invoke(system[u64(0)], mutex, u64(0), u64(0))
    mail[u64(1)] = i64(theirs)
    invoke(system[u64(3)], condition, u64(0), u64(0))
    invoke(system[u64(1)], mutex, u64(0), u64(0))
    call(driver, mine)
    spins = 0
    while atomic_load(address(state) + u64(8)) == 0:
        spins += 1
        if spins > 20000:
            yield_processor()
            spins = 0
    if pinned:
        invoke(system[u64(6)], u64(0), size, allowed)
    state[u64(2)] = 1
    atomic_add(at, -1)
'''
"""One caller's work with the partner, or without it."""

SERVE = '''"""Generated; do not edit."""

from clearprop.compiler.native.kernel_imports import *


@entry("word", "i64", "word", "u64", shared=True)
def kernel(driver, mail, at, system):
    mutex, condition = at + u64(64), at + u64(256)
    while True:
        invoke(system[u64(0)], mutex, u64(0), u64(0))
        while atomic_load(at + u64(8)) == 0:
            invoke(system[u64(2)], condition, mutex, u64(0))
        work = u64(mail[u64(1)])
        mail[u64(1)] = 0
        invoke(system[u64(1)], mutex, u64(0), u64(0))
        barrier = u64(atomic_load(work + u64(40)))
        call(driver, work)
        atomic_add(barrier + u64(8), 1)  # the caller may go: nothing of its memory is touched from here on
'''
"""What the partner does as long as the process lives."""


@functools.cache
def _entry(text: str) -> Any:
    """A compiled module of this file, called without the interpreter's lock."""
    return ctypes.CFUNCTYPE(None, ctypes.c_uint64)(kernel_address(text))


def drive(words: np.ndarray[Any, Any]) -> None:
    """Run the steps that a row of ten words describes."""
    _entry(DRIVER)(words.ctypes.data)


class _Partner:
    """A thread that waits for work: the second core of every two-threaded run in this process.

    It lives in native code, and needs neither the interpreter nor its lock.  `mail` holds, as `TEAM` and `SERVE` read
    it: how many callers there are, the work, the thread's number, a mutex and a condition, three sets of processors.
    """

    def __init__(self) -> None:
        libc = ctypes.CDLL(None)
        self.system = np.array([_address(libc, name) for name in _SYSTEM], np.uint64)
        self.mail = np.zeros(112, np.int64)
        libc.pthread_mutex_init(ctypes.c_void_p(self.mail.ctypes.data + _MUTEX), None)
        libc.pthread_cond_init(ctypes.c_void_p(self.mail.ctypes.data + _CONDITION), None)
        thread = threading.Thread(target=self._serve, name=PARTNER, daemon=True)
        thread.start()
        self.mail[_NUMBER] = thread.native_id or 0

    def _serve(self) -> None:
        words = [kernel_address(DRIVER), self.mail.ctypes.data, self.mail.ctypes.data, self.system.ctypes.data]
        row = np.array(words, np.uint64)
        _entry(SERVE)(row.ctypes.data)


_MUTEX, _CONDITION, _NUMBER = 64, 256, 2
_SYSTEM = (
    "pthread_mutex_lock",
    "pthread_mutex_unlock",
    "pthread_cond_wait",
    "pthread_cond_signal",
    "sched_getcpu",
    "sched_getaffinity",
    "sched_setaffinity",
)


def _address(libc: ctypes.CDLL, name: str) -> int:
    """The address of a function of the C library; 0 where there is none."""
    return ctypes.cast(getattr(libc, name), ctypes.c_void_p).value or 0 if hasattr(libc, name) else 0


_partners: list[_Partner] = []
_starting = process_lock()
os.register_at_fork(after_in_child=_partners.clear)  # a forked child has no thread of its parent's


def _partner() -> _Partner:
    if not _partners:
        with _starting:
            if not _partners:
                _partners.append(_Partner())
    return _partners[0]


def run_side_by_side(
    mine: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any], both: np.ndarray[Any, Any], state: np.ndarray[Any, Any]
) -> bool:
    """Run two rows of words at once, and return when both are done.

    Where the second thread works for another caller, `both`, which holds the shares of the two, runs instead, with the
    same bits; then the result is False.  `state` is eight words that the threads share.
    """
    partner = _partner()
    arrays = (mine, theirs, both, state, partner.mail, partner.mail, partner.system)
    row = np.array([kernel_address(DRIVER), *(a.ctypes.data for a in arrays)], np.uint64)
    _entry(TEAM)(row.ctypes.data)
    return bool(state[2])
