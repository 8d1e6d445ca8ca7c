"""The driver: one native loop over steps and instructions, the same for every program.

Work that is divided has two shares.  Between two instructions of which one reads what the other share wrote stands a
fence, and what lies between fences is a *phase*.  In each phase the caller begins with the first share, while a second
thread, the partner, may claim the other; if it has not by then, the caller does that too.  So nobody waits for a thread
that has no processor, except for one that lost it in the middle of its share; then the caller says so, and stops.  Who
does a share changes no bit.

Waking the partner, working and waiting for it are one native call.  Python handles signals between such calls only, so
Ctrl-C finds everything before it or after it, and a handler that computes finds the partner free.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
from typing import Any

import numpy as np

from clearprop.compiler.native.cache import expect_kernels, kernel_address
from clearprop.compiler.native.compile_process import PARTNER
from clearprop.program.processes import process_lock

DRIVER = '''"""Generated; do not edit."""

from clearprop.compiler.native.kernel_imports import *


@entry(
    "word", "word", "word", "word", "u64", "u64", "i64", "word", "word", "u64", "i64", "u64", "u64", "i64", shared=True
)
def kernel(start, stop, count, table, functions, offsets, cursor, many, data, objects, sources, shifts, places, pause):
    step, k = i64(start), u64(0)
    if pause[0] != 0:
        step, k = pause[2], u64(pause[3])
        pause[0] = pause[1] = 0
    else:
        for i in range(many):
            atomic_store(places[i], atomic_load(objects[sources[i]] + data) + i64(shifts[i]))
    while step < i64(stop):
        cursor[u64(0)] = step
        while k < count:
            if functions[k] != 0:
                call(functions[k], table + offsets[k])
                if pause[0] != 0:
                    pause[2], pause[3] = step, i64(k)
                    return
            k += u64(1)
        k = u64(0)
        step += 1
'''
"""One share alone.  First `many` addresses of arrays are put into their places: they are read from the array objects,
`data` bytes behind the beginning of each.  Where a loop paused (`control_kernels`), so does the driver: `pause` holds
that it did, when the call began, the step, the instruction, and room for a time."""

TEAM = '''"""Generated; do not edit."""

from clearprop.compiler.native.kernel_imports import *


@entry("u64", "u64", "i64", "word", "i64", "i64", "word", "u64", "word", shared=True)
def kernel(mine, theirs, phases, count, state, mail, at, system, together):
    published, claimed, done = at + u64(24), at + u64(128), at + u64(192)
    clock, time = system[u64(7)], at + u64(320)
    alone = atomic_add(at, 1) != 0 or together == 0  # the partner works for somebody else, or is not wanted
    if not alone:
        # a scheduler wakes a thread where its waker runs, so the partner is kept away from there
        size = u64(128)
        if system[u64(4)] != 0 and invoke(system[u64(5)], u64(0), size, at + u64(512)) >= 0:
            cpu = i64(invoke(system[u64(4)], u64(0), u64(0), u64(0)))
            many = 0
            for k in range(16):
                mail[u64(80 + k)] = mail[u64(64 + k)]
                many += i64(mail[u64(64 + k)] != 0) + i64((mail[u64(64 + k)] & (mail[u64(64 + k)] - 1)) != 0)
            if many > 1 and 0 <= cpu < 1024:
                mail[u64(80) + u64(cpu >> 6)] &= ~(i64(1) << (cpu & 63))
                invoke(system[u64(6)], u64(mail[u64(2)]), size, at + u64(640))
        mail[u64(4)] = i64(address(theirs))
        invoke(system[u64(0)], at + u64(64), u64(0), u64(0))
        atomic_add(at + u64(8), 1)
        invoke(system[u64(3)], at + u64(256), u64(0), u64(0))
        invoke(system[u64(1)], at + u64(64), u64(0), u64(0))
    state[u64(1)] = i64(not alone)
    late = False
    step = i64(mine[u64(0)])
    while step < i64(mine[u64(1)]) and not late:
        atomic_store(mine[u64(6)], step)
        atomic_store(theirs[u64(6)], step)
        for p in range(count):
            first, last = phases[u64(3) * p], phases[u64(3) * p + u64(1)]
            shared = phases[u64(3) * p + u64(2)] != 0 and not alone and not late
            base, finished, began = i64(0), i64(0), i64(0)
            if shared:  # all that was published is claimed: the next number is the caller's own, the one after is open
                finished = atomic_load(done)
                mail[u64(5)], mail[u64(6)] = first, last
                base = atomic_add(claimed, 1)
                atomic_add(published, 2)
                began = now(clock, time)
                state[u64(3)] += 1
            for k in range(first, last):
                f = u64(atomic_load(mine[u64(4)] + u64(8 * k)))
                if f != 0:
                    call(f, mine[u64(3)] + u64(atomic_load(mine[u64(5)] + u64(8 * k))))
            if not shared or compare_and_swap(claimed, base + 1, base + 2):
                for k in range(first, last):
                    f = u64(atomic_load(theirs[u64(4)] + u64(8 * k)))
                    if f != 0:
                        call(f, theirs[u64(3)] + u64(atomic_load(theirs[u64(5)] + u64(8 * k))))
                continue
            state[u64(4)] += 1
            ready = i64(0)
            spins = 0
            while atomic_load(done) == finished:
                spins += 1
                if spins > 1000:
                    spins = 0
                    if ready == 0:
                        ready = now(clock, time)
                    yield_processor()
            if ready != 0:
                waited = now(clock, time) - ready
                late = waited > 500000 and waited > (ready - began) // 2
        step += 1
    if not alone:
        atomic_add(at + u64(8), -1)
    atomic_add(at, -1)
    state[u64(0)] = step
    state[u64(2)] = i64(late)
'''
"""Both shares, with the partner where it has a processor; it stops after a step in which that was lost."""

SERVE = '''"""Generated; do not edit."""

from clearprop.compiler.native.kernel_imports import *


@entry("i64", "word", "u64", shared=True)
def kernel(mail, at, system):
    published, claimed, done = at + u64(24), at + u64(128), at + u64(192)
    while True:
        invoke(system[u64(0)], at + u64(64), u64(0), u64(0))
        while atomic_load(at + u64(8)) == 0:
            invoke(system[u64(2)], at + u64(256), at + u64(64), u64(0))
        invoke(system[u64(1)], at + u64(64), u64(0), u64(0))
        spins = 0
        while atomic_load(at + u64(8)) != 0:
            number = atomic_load(claimed)
            # nothing of a caller's memory is touched before its share is claimed, nor after it is done
            if number < atomic_load(published) and compare_and_swap(claimed, number, number + 1):
                share = u64(atomic_load(at + u64(32)))
                functions, offsets = atomic_load(share + u64(32)), atomic_load(share + u64(40))
                table = u64(atomic_load(share + u64(24)))
                for k in range(atomic_load(at + u64(40)), atomic_load(at + u64(48))):
                    f = u64(atomic_load(u64(functions + 8 * k)))
                    if f != 0:
                        call(f, table + u64(atomic_load(u64(offsets + 8 * k))))
                atomic_add(done, 1)
                spins = 0
            spins += 1
            if spins > 1000:
                yield_processor()
                spins = 0
'''
"""What the partner does as long as the process lives."""


@functools.cache
def _entry(text: str) -> Any:
    """A compiled module of this file, called without the interpreter's lock."""
    return ctypes.CFUNCTYPE(None, ctypes.c_uint64)(kernel_address(text))


@functools.cache
def driver() -> Any:
    """What runs one share alone, given the address of its row of words."""
    return _entry(DRIVER)


def expect_driver() -> None:
    """Say that kernels will be needed soon; every program needs the driver among them."""
    expect_kernels(DRIVER)


DATA = object.__basicsize__
"""Where an array object holds the address of its data: behind the object's header."""
ITEMS = tuple.__basicsize__
"""Where a tuple holds the identities of its items, one after the other."""
OBJECTS = 9
"""Which word of the driver's row says where the identities of arrays are."""


def _has_data_there(array: np.ndarray[Any, Any]) -> bool:
    return ctypes.c_size_t.from_address(id(array) + DATA).value == array.ctypes.data


def _has_items_there(held: tuple[Any, ...]) -> bool:
    return all(ctypes.c_size_t.from_address(id(held) + ITEMS + 8 * i).value == id(a) for i, a in enumerate(held))


_EXAMPLES = (np.arange(3.0), np.arange(9)[3:])
READS_OBJECTS = all(map(_has_data_there, _EXAMPLES)) and _has_items_there(_EXAMPLES)
"""Whether native code may read addresses from objects; where they are made otherwise, Python asks for them."""


class _Partner:
    """A thread that waits for work: the second core of every two-threaded run in this process.

    It lives in native code, and needs neither the interpreter nor its lock.  `mail` holds, as `TEAM` and `SERVE` read
    it: how many callers there are, whether one wants help, the thread's number, how many shares were published, whose,
    and the first and last instruction; a mutex; how many shares were claimed, and how many are done; a condition; a
    time; two sets of processors.
    """

    def __init__(self) -> None:
        libc = ctypes.CDLL(None)
        self.system = np.array([_address(libc, name) for name in _SYSTEM], np.uint64)
        self.mail = np.zeros(96, np.int64)
        libc.pthread_mutex_init(ctypes.c_void_p(self.mail.ctypes.data + _MUTEX), None)
        libc.pthread_cond_init(ctypes.c_void_p(self.mail.ctypes.data + _CONDITION), None)
        thread = threading.Thread(target=self._serve, name=PARTNER, daemon=True)
        thread.start()
        self.mail[_NUMBER] = thread.native_id or 0

    def _serve(self) -> None:
        row = np.array([self.mail.ctypes.data, self.mail.ctypes.data, self.system.ctypes.data], np.uint64)
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
    "clock_gettime",
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


def run_shares(
    mine: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any], phases: np.ndarray[Any, Any], together: bool
) -> tuple[int, bool, bool, bool]:
    """Run two rows of words, phase by phase, `together` with the partner where it is free and has a processor.

    `phases` has a row for each: the first instruction, the one after the last, and whether the second share has any.
    Returns the step that was reached, whether the partner was free, whether it was there for half of the shares, and
    whether it lost its processor on the way.
    """
    partner, state = _partner(), np.zeros(5, np.int64)
    words: list[Any] = [mine, theirs, phases, len(phases), state, partner.mail, partner.mail, partner.system, together]
    row = np.array([w.ctypes.data if isinstance(w, np.ndarray) else int(w) for w in words], np.uint64)
    _entry(TEAM)(row.ctypes.data)
    offered, taken = int(state[3]), int(state[4])
    return int(state[0]), bool(state[1]), 2 * taken >= offered, bool(state[2])
