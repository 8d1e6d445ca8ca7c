"""The order of an epoch's rows, natively: the same integers as `random.permutation`, in a twentieth of its time.

Compiling the kernel takes as long as NumPy takes for millions of rows, so it is compiled when so many were put in order
in this process; from then on it is found on disk.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.compiler.native.cache import is_ready, kernel_address, module_text
from clearprop.compiler.native.library_kernels import random_order
from clearprop.program.values import raw

WORTH = 1 << 22
"""Rows that NumPy puts in order in the time in which the kernel is compiled."""
CALL = 1 << 11
"""Rows that take NumPy as long as what it does for each order, however few rows there are."""
RANGE_BITS = 16
"""At most 2**RANGE_BITS ranges: the table of their ends is read and written at random, and should stay near."""


class Ledger:
    """Counts the rows that NumPy put in order, until the kernel is worth its compilation."""

    def __init__(self) -> None:
        self.rows = 0

    def is_worth(self, n: int) -> bool:
        """Whether the order of n more rows is better found natively."""
        self.rows += n + CALL
        return self.rows > WORTH or _is_ready()


@functools.cache
def _text() -> str:
    return module_text(random_order())


def _is_ready() -> bool:
    """Whether the kernel need not be compiled.  What was not there once is not looked for again."""
    return _found_at_first() or bool(_function.cache_info().currsize)


@functools.cache
def _found_at_first() -> bool:
    return is_ready(_text())


@functools.cache
def _function() -> Callable[[int], None]:
    return ctypes.CFUNCTYPE(None, ctypes.c_uint64)(kernel_address(_text()))


LEDGER = Ledger()


def native_order(key: Any, path: Sequence[int], n: int) -> NDArray[np.int64]:
    """The integers 0 … n − 1 in random order, as `random.permutation` gives them.

    key   two 32-bit words: same key, same order
    path  numbers that are folded into the key, one after another (`random.fold_in`)
    n     how many

    >>> import clearprop as cl
    >>> key = cl.random.key(0)
    >>> bool(np.all(native_order(key, (7,), 50) == raw(cl.random.permutation(cl.random.fold_in(key, 7), 50))))
    True
    """
    return RowOrders(key, len(path), n)(np.array(path, np.int64).astype(np.uint32).tolist())


class RowOrders:
    """`native_order` of n rows for one path after another, under one key: in the same memory, which each overwrites.

    key    two 32-bit words
    folds  how many numbers a path has
    n      how many rows

    >>> import clearprop as cl
    >>> orders = RowOrders(cl.random.key(0), 1, 50)
    >>> bool(np.all(orders([7]) == native_order(cl.random.key(0), [7], 50)))
    True
    """

    def __init__(self, key: Any, folds: int, n: int) -> None:
        bits = min(RANGE_BITS, max(1, n.bit_length() - 1))
        self.order, self._path = np.empty(n, np.int64), np.zeros(folds, np.uint32)
        self._ends = np.zeros(1 << bits, np.uint32)
        self._held = np.ascontiguousarray(raw(key)), np.empty((2, n), np.uint64)
        own, (keys, moved) = self._held
        places = [a.ctypes.data for a in (own, self._path, keys, moved, self.order, self._ends)]
        places.insert(2, folds)
        self._row = np.array([0, n, *places, len(self._ends), 64 - bits, n.bit_length()], np.uint64)
        self._find, self._address = _function(), self._row.ctypes.data

    def __call__(self, path: Sequence[int]) -> NDArray[np.int64]:
        """The rows in the order of a path, until the next call."""
        self._path[:] = path
        self._ends.fill(0)
        self._find(self._address)
        return self.order
