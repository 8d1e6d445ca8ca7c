"""Order statistics of more values than fit into memory, exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

_CELLS = 1 << 16
"""The most counters that a selection holds."""
KeyChunks: TypeAlias = Callable[[], Iterable[tuple[NDArray[np.uint64], NDArray[np.intp]]]]
"""Gives keys and the group of each anew at each call, some at a time."""

_SIGN = np.uint64(1 << 63)


def keys_of(values: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Integers in the order of the floats: the sign bit is turned, and all bits of negative numbers."""
    bits = (values + 0.0).view(np.uint64)  # -0.0 is 0.0
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def floats_of(keys: NDArray[np.uint64]) -> NDArray[np.float64]:
    """The floats of which these are the keys.

    >>> floats_of(keys_of(np.array([-1.5, 2.0]))).tolist()
    [-1.5, 2.0]
    """
    return np.where(keys & _SIGN, keys & ~_SIGN, ~keys).view(np.float64)


def order_statistics(keys: KeyChunks, ranks: NDArray[np.intp]) -> NDArray[np.uint64]:
    """Order statistics in bounded memory: for group g the keys that stand at places `ranks[g]` of its sorted keys.

    `ranks` has shape (groups, k).  Bit by bit from the highest, a few bits in each pass over the keys: those keys that
    agree in all bits so far are counted by their next bits.  A rank beyond a group's keys gives the largest number.
    """
    groups, width = ranks.shape
    bits = max(1, min(16, (_CELLS // (groups * width)).bit_length() - 1))
    prefix = np.zeros(ranks.shape, np.uint64)
    left = ranks.astype(np.int64).copy()
    done = 0
    while done < 64:
        step = min(bits, 64 - done)
        counts = _count_digits(keys, prefix, done, step)
        below = np.cumsum(counts, axis=2)
        digit = np.minimum((below <= left[:, :, None]).sum(axis=2), (1 << step) - 1)
        before = np.where(digit > 0, np.take_along_axis(below, np.maximum(digit - 1, 0)[:, :, None], 2)[:, :, 0], 0)
        left -= before
        prefix = (prefix << np.uint64(step)) | digit.astype(np.uint64)
        done += step
    return prefix


def _count_digits(keys: KeyChunks, prefix: NDArray[np.uint64], done: int, step: int) -> NDArray[np.int64]:
    """How many keys of each group continue each prefix of `done` bits with each value of the next `step` bits."""
    groups, width = prefix.shape
    size = 1 << step
    counts = np.zeros((groups, width, size), np.int64)
    low, mask = np.uint64(64 - done - step), np.uint64(size - 1)
    for values, group in keys():
        digits = (values >> low) & mask
        for k in range(width):
            if done:
                agree = values >> np.uint64(64 - done) == prefix[group, k]
                place = group[agree] * size + digits[agree].astype(np.intp)
            else:
                place = group * size + digits.astype(np.intp)
            counts[:, k] += np.bincount(place, minlength=groups * size).reshape(groups, size)
    return counts
