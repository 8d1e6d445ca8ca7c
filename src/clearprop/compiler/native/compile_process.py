"""Other processes that compile kernels: forks of this one, which take names from a queue and leave results in files."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from clearprop.compiler.native import blas

PARTNER = "clearprop-partner"
"""The name of the thread that runs loops beside the caller's; between them it waits, and holds nothing."""
NAME = 20
"""Bytes of a name.  A pipe gives and takes so few whole, whoever else reads and writes."""
_WHOLE = 4096 // NAME * NAME
"""Bytes that a pipe takes at once, if it takes any."""
_ROOM = 16 * _WHOLE // NAME
"""Names that a pipe holds, even where nobody reads them."""
IDLE = 30.0
"""Seconds after which a process that was given nothing ends."""
PATIENCE = 60.0
"""Seconds without a result after which the caller does the rest by itself; a kernel takes one at most."""
MOST = 4
"""Processes that compile together: longer than the longest kernel it takes in any case."""


class CompileProcesses:
    """Forks of this process, each of which takes the next name from one queue, and works, until none are left.

    begin  what each of them needs first: done once, before they divide
    work   what is done for a name
    many   how many processes

    Where forking is not safe or not possible there are none: other threads might hold locks or be inside BLAS, which
    stops its own threads for a fork.  They end with this process, and with the queue.
    """

    def __init__(self, begin: Callable[[], None], work: Callable[[str], None], many: int) -> None:
        self._names, self._giving = os.pipe()
        self._done, telling = os.pipe()
        self._taken, self._given = 0, 0
        self._pid = _fork() if many > 0 and is_safe() else None
        if self._pid == 0:
            _serve((self._names, telling), begin, work, many)
        self._open = {self._names, self._giving, self._done}
        os.close(telling)

    @property
    def alive(self) -> bool:
        """Whether there are any."""
        if self._pid is not None:
            try:
                ended = os.waitpid(self._pid, os.WNOHANG)[0] != 0
            except ChildProcessError:  # somebody else has heard of its end
                ended = True
            self._pid = None if ended else self._pid
        return self._pid is not None

    def give(self, names: Sequence[str]) -> None:
        """Put names into the queue, as many as it holds."""
        names = names[:_ROOM]
        self._given += len(names)
        data = "".join(names).encode()
        for start in range(0, len(data), _WHOLE):
            os.write(self._giving, data[start : start + _WHOLE])
        self._close(self._giving)

    def take(self) -> str | None:
        """The next name, for this process; None where none is left."""
        name = os.read(self._names, NAME).decode()
        self._taken += bool(name)
        return name or None

    def wait(self) -> None:
        """Until the others have done what they took; or they ended, or nothing was done for long."""
        self._close(self._names)
        left = self._given - self._taken
        while left > 0 and _is_readable(self._done, PATIENCE):
            told = len(os.read(self._done, left))
            left -= told or left  # all have ended

    def end(self) -> None:
        """Whatever they do, they do not go on."""
        for end in list(self._open):
            self._close(end)
        if self.alive and self._pid is not None:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = None

    def forget(self) -> None:
        """In a fork of this process, to which they do not belong."""
        self._pid = None
        self.end()

    def _close(self, end: int) -> None:
        if end in self._open:
            self._open.remove(end)
            os.close(end)


def is_safe() -> bool:
    """Whether this process may fork, and another would have a processor of its own."""
    others = [t for t in threading.enumerate() if t is not threading.current_thread() and t.name != PARTNER]
    return sys.platform == "linux" and not others and blas.cores() > 1


def _is_readable(end: int, seconds: float) -> bool:
    """Whether there is something to read, or nobody left to write it; `select` knows no more than 1,024 open files."""
    waiting = select.poll()
    waiting.register(end, select.POLLIN)
    return bool(waiting.poll(seconds * 1000))


def _fork() -> int | None:
    """A fork that ends with this process, and in which no handler runs that the user gave to a signal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads: there are BLAS's and LLVM's, which are idle
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
            if pid == 0:
                _begin_anew()
            return pid
        except OSError:
            return None  # one process does it too, only later
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_anew() -> None:
    try:
        _end_with_parent()
        _forget_handlers()
    except BaseException:
        os._exit(1)  # it must not go on as a second copy of the program


def _serve(ends: tuple[int, int], begin: Callable[[], None], work: Callable[[str], None], many: int) -> None:
    """In the new process: work, silently, and vanish; never outlive the first one."""
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        _close_others({0, 1, 2, *ends})
        begin()
        others = _divide(many)
        names, telling = ends
        if _is_readable(names, IDLE):
            while name := os.read(names, NAME).decode():
                work(name)
                os.write(telling, b".")
        for pid in others:
            os.waitpid(pid, 0)
    finally:
        os._exit(0)


def _divide(many: int) -> list[int]:
    """Fork so that there are so many; the others' numbers, of which the others themselves have none."""
    others = list[int]()
    for _ in range(many - 1):
        pid = _fork()
        if pid == 0:
            return []
        others += [] if pid is None else [pid]
    return others


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _forget_handlers() -> None:
    """A signal is answered as by the first process no more, and Ctrl-C, which all processes are sent, not at all."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _close_others(kept: set[int]) -> None:
    """Close files of the first process: a pipe that stays open here has no end there."""
    for file in list(Path("/proc/self/fd").iterdir()):
        if int(file.name) not in kept:
            with suppress(OSError):  # that of the list itself
                os.close(int(file.name))
