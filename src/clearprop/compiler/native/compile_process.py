"""A second process that compiles kernels: a fork of this one, which has Numba loaded already."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from clearprop.compiler.native import blas

PARTNER = "clearprop-partner"
"""The name of the thread that runs loops beside the caller's; between them it waits, and holds nothing."""


@contextmanager
def helper(work: Callable[[], None]) -> Iterator[None]:
    """Within this block a second process does the work, too; what is left of it at the end is abandoned.

    It leaves its results in files.  Where forking is not safe or not possible, there is none: other threads might hold
    locks or be inside BLAS, which stops its own threads for a fork.
    """
    pid = _fork() if _is_safe() else None
    if pid == 0:
        _serve(work)
    try:
        yield
    finally:
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _is_safe() -> bool:
    others = [t for t in threading.enumerate() if t is not threading.current_thread() and t.name != PARTNER]
    return sys.platform == "linux" and not others and blas.cores() > 1


def _fork() -> int | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads: there are BLAS's and LLVM's, which are idle
        try:
            return os.fork()
        except OSError:
            return None  # one process does it too, only later


def _serve(work: Callable[[], None]) -> None:
    """In the second process: work, silently, and vanish; never outlive the first one."""
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        work()
    finally:
        os._exit(0)
