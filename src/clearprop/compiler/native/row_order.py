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
    bits = min(RANGE_BITS, max(1, n.bit_length() - 1))
    order, memory = np.empty(n, np.int64), np.empty((2, n), np.uint64)
    ends, folded = np.zeros(1 << bits, np.uint32), np.array(path, np.int64).astype(np.uint32)
    given = [np.ascontiguousarray(raw(key)), folded, *memory, order, ends]
    words = [0, n, *(array.ctypes.data for array in given), len(ends), 64 - bits]
    words.insert(4, len(folded))
    row = np.array(words, np.uint64)
    _function()(row.ctypes.data)
    return order
