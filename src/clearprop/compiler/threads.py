"""How many cores clearprop uses: one setting for its own loops and for the BLAS pools of NumPy and SciPy."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clearprop.compiler.native import blas
from clearprop.errors import ArgumentError, checked_call, user_line
from clearprop.program.processes import process_lock

_chosen: list[int] = []
_inside: list[int] = []
"""How many threads NumPy's pool had, and a 0 for each block that lets it sleep."""
_pool = process_lock()


@checked_call
def get_threads() -> int:
    """The most threads that a computation uses; small work stays on one.

    Set by `set_threads`, else by the environment variable CLEARPROP_THREADS, else all cores of this process.

    >>> import clearprop as cl
    >>> cl.get_threads() >= 1
    True
    """
    if _chosen:
        return _chosen[-1]
    given = os.environ.get("CLEARPROP_THREADS", "")
    if not given:
        return blas.cores()
    return thread_count(given, "the environment variable CLEARPROP_THREADS")


def threads_asked() -> int | None:
    """The number of threads that somebody asked for; None where nobody did.

    >>> before = threads_asked()
    >>> before is None or before >= 1
    True
    """
    asked = bool(_chosen) or bool(os.environ.get("CLEARPROP_THREADS"))
    return get_threads() if asked else None


@checked_call
def set_threads(n: int) -> None:
    """Use at most n threads from here on, in native loops and in the BLAS pools of NumPy and SciPy.

    Native loops and compiled calls have the same bits for any number; NumPy's own products may differ in last bits.
    Nothing else that users call sets the pools of NumPy and SciPy: native loops use a copy of BLAS that has none.

    >>> import clearprop as cl
    >>> before = cl.get_threads()
    >>> cl.set_threads(1)
    >>> cl.get_threads()
    1
    >>> cl.set_threads(before)
    """
    _chosen[:] = [thread_count(n, user_line())]
    set_pools(n)


@contextmanager
def threads_meanwhile(n: int) -> Iterator[None]:
    """Use n threads until the block ends; afterwards as many as before, and nobody has asked for more than before.

    >>> before = threads_asked()
    >>> with threads_meanwhile(1):
    ...     get_threads(), threads_asked()
    (1, 1)
    >>> threads_asked() == before
    True
    """
    before = list(_chosen)
    set_threads(n)
    try:
        yield
    finally:
        _chosen[:] = before
        set_pools(get_threads())


@contextmanager
def pool_asleep() -> Iterator[None]:
    """Until the block ends, NumPy's products stay on the thread of their caller.

    A thread of OpenBLAS's pool looks for more work for up to a tenth of a second after each product, on the processor
    that the second thread of a native loop wants.  Blocks may lie within each other, and beside each other in threads.

    >>> with pool_asleep():
    ...     blas.get_threads()
    1
    """
    with _pool:
        if not _inside:
            _inside.append(blas.get_threads())
            blas.set_threads(1)
        _inside.append(0)
    try:
        yield
    finally:
        with _pool:
            _inside.pop()
            if len(_inside) == 1:
                before = _inside.pop()
                if blas.get_threads() == 1:  # else somebody has set another number meanwhile
                    blas.set_threads(before)


def thread_count(given: Any, where: str) -> int:
    """A number of threads, perhaps as text.  Raises ArgumentError for anything else; it was given at `where`.

    >>> thread_count("2", "--threads")
    2
    """
    written = isinstance(given, str) and given.isascii() and given.isdecimal() and len(given) < 10
    n = int(given) if written else given
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= 1024:
        raise ArgumentError(
            "the number of threads is a positive integer",
            expected=f"1 to 1024 (this process may use {blas.cores()})",
            got=f"{given!r:.80}",
            where=where,
            try_=f"{where} 2" if where.startswith("--") else "cl.set_threads(2)",
        )
    return n


def set_pools(n: int) -> None:
    """Use n threads in the BLAS pools of NumPy and of SciPy, if that is loaded; native loops keep their number.

    >>> set_pools(blas.get_threads())
    """
    blas.set_threads(n)
    _set_scipy(n)


def _set_scipy(n: int) -> None:
    """SciPy carries an OpenBLAS of its own; it matters only once it is loaded."""
    scipy = sys.modules.get("scipy")
    if scipy is None or scipy.__file__ is None:
        return
    folder = Path(scipy.__file__).parent.parent / "scipy.libs"
    for path in folder.glob("libscipy_openblas*"):
        setter = getattr(ctypes.CDLL(str(path)), "scipy_openblas_set_num_threads", None)
        if setter is not None:
            setter(n)
