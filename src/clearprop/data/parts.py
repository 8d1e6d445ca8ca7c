"""A part of the data, in memory or on disk: how many rows and batches it has, and its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from clearprop.data.streaming.disk_rows import DiskRows

Pair: TypeAlias = tuple[NDArray[Any], NDArray[Any]]
"""Arrays x and y, with equally many rows."""
Part: TypeAlias = Pair | DiskRows
"""A part of the data: arrays x and y, or rows on disk."""
_ROWS_HASHED = 4096


def batches_in(part: Part, size: int) -> int:
    """The number of batches of an epoch over a part; rows on disk are cut block by block.

    >>> batches_in((np.zeros((5, 2)), np.zeros(5)), 2)
    3
    """
    if isinstance(part, tuple):
        return -(-len(part[0]) // size)
    return int((-(-part.sizes // size)).sum())


def rows_in(part: Part) -> int:
    """The number of rows of a part.

    >>> rows_in((np.zeros((5, 2)), np.zeros(5)))
    5
    """
    return len(part[0]) if isinstance(part, tuple) else len(part)


def sample_rows(part: Part, number: int) -> Pair:
    """At most so many rows of a part, evenly spread: the same ones, whether in memory or on disk.

    >>> x, y = sample_rows((np.arange(10.0)[:, None], np.arange(10)), 4)
    >>> y.tolist()
    [0, 3, 6, 9]
    """
    if not isinstance(part, tuple):
        return part.sample(number)
    x, y = part
    chosen = np.unique(np.linspace(0, len(x) - 1, min(number, len(x))).astype(np.int64))
    return x[chosen], y[chosen]


def digest(parts: Sequence[Part]) -> str:
    """SHA-256 of shapes, dtypes and values of all parts, hexadecimal.

    >>> pair = np.zeros((5, 2)), np.zeros(5)
    >>> digest([pair]) == digest([pair]), len(digest([pair]))
    (True, 64)
    """
    total = hashlib.sha256()
    for array in (array for part in parts for array in (part if isinstance(part, tuple) else (part.x, part.y))):
        total.update(f"{array.dtype.str}{array.shape}".encode())
        for piece in [array] if isinstance(array, np.ndarray) else array.pieces(_ROWS_HASHED):
            total.update(np.ascontiguousarray(piece).data)
    return total.hexdigest()
