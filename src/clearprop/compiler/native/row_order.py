"""The order of an epoch's rows, natively: the same integers as `random.permutation`, in a twentieth of its time.

Every row has a random key of 64 bits, and the rows come in the order of their keys.  Random keys are spread evenly, so
each is put at once into one of about as many ranges as there are keys; within a range few are left to be compared.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.compiler.kernels import Kernel
from clearprop.compiler.native.cache import kernel_address, module_text, prepare
from clearprop.compiler.native.library_kernels import random_keys
from clearprop.program.values import raw

FEW = 1 << 12
"""Rows up to which sorting by NumPy takes less than a millisecond, for which no kernel need be compiled."""
RANGE_BITS = 16
"""At most 2**RANGE_BITS ranges: the table of their ends is read and written at random, and should stay near."""


def sorted_places() -> Kernel:
    """The stable order of keys that are spread evenly: `order[i]` is the place of the i-th smallest.

    `ends` has one number for each value of key >> shift, all 0; `moved` is memory for the keys.
    """
    text = (
        "def kernel(lo, hi, keys, moved, order, ends, ranges, shift):\n"
        "    for i in range(lo, hi):\n"
        "        ends[keys[i] >> shift] += 1\n"
        "    before = i64(0)\n"
        "    for r in range(ranges):\n"
        "        count = ends[r]\n"
        "        ends[r] = before\n"
        "        before += count\n"
        "    for i in range(lo, hi):\n"
        "        key = keys[i]\n"
        "        at = ends[key >> shift]\n"
        "        ends[key >> shift] = at + 1\n"
        "        moved[u64(at)] = key\n"
        "        order[u64(at)] = i64(i)\n"
        "    # a key passes those before it that are greater, all of its own range\n"
        "    for i in range(lo + u64(1), hi):\n"
        "        key, place, at = moved[i], order[i], u64(i)\n"
        "        while at > lo and moved[at - u64(1)] > key:\n"
        "            moved[at] = moved[at - u64(1)]\n"
        "            order[at] = order[at - u64(1)]\n"
        "            at -= u64(1)\n"
        "        moved[at] = key\n"
        "        order[at] = place\n"
    )
    return Kernel.of(text, "keys:u64 moved:u64 order:i64 ends:i64 ranges:size shift:size")


def native_permutation(key: Any, n: int) -> NDArray[np.int64]:
    """The integers 0 … n − 1 in random order, as `random.permutation` gives them.

    key  two 32-bit words: same key, same order
    n    how many
    """
    prepare([module_text(random_keys()), module_text(sorted_places())])
    keys = np.empty(n, np.uint64)
    _run(random_keys(), n, np.ascontiguousarray(raw(key)), keys)
    return order_of(keys)


def order_of(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The stable order of keys: equal ones stay as they came.

    >>> order_of(np.array([2**63, 5, 2**63], np.uint64))
    array([1, 0, 2])
    """
    bits = min(RANGE_BITS, max(1, keys.size.bit_length() - 1))
    order, ends = np.empty(keys.size, np.int64), np.zeros(1 << bits, np.int64)
    _run(sorted_places(), keys.size, keys, np.empty_like(keys), order, ends, ends.size, 64 - bits)
    return order


def _run(kernel: Kernel, n: int, *given: NDArray[Any] | int) -> None:
    """Run a kernel over 0 … n − 1, with these arrays and numbers."""
    row = np.array([0, n, *(g if isinstance(g, int) else g.ctypes.data for g in given)], np.uint64)
    ctypes.CFUNCTYPE(None, ctypes.c_uint64)(kernel_address(module_text(kernel)))(row.ctypes.data)
