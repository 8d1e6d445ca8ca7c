"""What is measured of numbers: range, mean, deviation and order statistics, of more than fit into memory as well.

It is the same in every bit, however the values are cut into blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
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


CHUNK = 65_536
"""So many values are summed at a time; sums of chunks are added exactly, and rounded once."""

Chunks: TypeAlias = Callable[[], Iterable[NDArray[np.float64]]]
"""Gives the values anew at each call, some at a time."""


@dataclass(frozen=True)
class Numbers:
    """The number of values, their range, mean, population deviation and median; of none, those of a single 0."""

    count: int
    low: float
    high: float
    mean: float
    deviation: float
    median: float


def summarise(chunks: Chunks) -> Numbers:
    """Measure values (float64, none of them NaN).  Mean and deviation may be infinite where squares overflow.

    Mean and deviation sum `CHUNK` values at a time, wherever blocks end, and `math.fsum` adds these sums; the median is
    found by exact selection.  So all of it is a function of the values and their order alone.

    >>> found = summarise(lambda: [np.array([1.0, 2.0]), np.array([6.0])])
    >>> found.mean, found.median, found.high
    (3.0, 2.0, 6.0)
    """
    count, low, high = 0, math.inf, -math.inf
    for values in chunks():
        if len(values):
            count += len(values)
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    if not count:
        return Numbers(0, 0.0, 0.0, 0.0, 0.0, 0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = _sum(_aligned_chunks(chunks())) / count
        scale = _scale_of_squares(high - low)
        squares = _sum(np.square((values - mean) * scale) for values in _aligned_chunks(chunks()))
    return Numbers(count, low, high, mean, math.sqrt(squares / count) / scale, _median(chunks, count))


def _scale_of_squares(spread: float) -> float:
    """1, or a power of two by which numbers of this spread have squares that are no denormal numbers."""
    return 2.0**540 if 0 < spread < 2.0**-400 else 1.0


def mean_of(chunks: Chunks) -> float:
    """The mean of values, of which there is at least one: that of `summarise`.

    >>> mean_of(lambda: [np.array([1.0, 2.0]), np.array([6.0])])
    3.0
    """
    return _sum(_aligned_chunks(chunks())) / sum(map(len, chunks()))


def _sum(chunks: Iterable[NDArray[np.float64]]) -> float:
    try:
        return math.fsum(float(np.add.reduce(values)) for values in chunks)
    except (OverflowError, ValueError):  # a sum of finite numbers that is not finite
        return math.inf


def _aligned_chunks(blocks: Iterable[NDArray[np.float64]]) -> Iterator[NDArray[np.float64]]:
    """The same values, `CHUNK` at a time."""
    held: list[NDArray[np.float64]] = []
    size = 0
    for block in blocks:
        at = 0
        while at < len(block):
            part = block[at : at + CHUNK - size]
            held.append(part)
            at, size = at + len(part), size + len(part)
            if size == CHUNK:
                yield held[0] if len(held) == 1 else np.concatenate(held)
                held, size = [], 0
    if held:
        yield held[0] if len(held) == 1 else np.concatenate(held)


def _median(chunks: Chunks, count: int) -> float:
    held = list(islice((block for block in chunks() if len(block)), 2))  # enough to tell one from many
    if len(held) == 1:
        half = count // 2
        part = np.partition(held[0], half)
        below = part[half] if count % 2 else part[:half].max()
        return float(np.mean([below, part[half]])) + 0.0  # -0.0 is 0.0
    del held
    ranks = np.array([[(count - 1) // 2, count // 2]])
    found = order_statistics(lambda: ((keys_of(v), np.zeros(len(v), np.intp)) for v in chunks()), ranks)
    return float(np.mean(floats_of(found[0])))


def count_far(values: NDArray[np.float64], low: float, high: float) -> int:
    """The number of values that lie further outside the range of training than it is wide.

    >>> count_far(np.array([0.5, 2.5, -7.0]), 0.0, 1.0)
    2
    """
    span = high - low
    return int(np.count_nonzero((values < low - span) | (values > high + span))) if span > 0 else 0
