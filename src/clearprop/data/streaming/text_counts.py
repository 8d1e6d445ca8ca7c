"""The different texts of columns, counted within a limit of memory that all columns share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.column_roles import MOST_TEXTS
from clearprop.data.streaming.memory import size_text
from clearprop.errors import ArgumentError

_TEXT_BYTES = 100
"""What a different text takes in memory besides its characters."""


class TextLimit:
    """The memory that the different texts of all columns take together, and the most that it may be.

    Where it would be more, the column that takes most of it keeps hashes in place of its texts.
    """

    def __init__(self, limit: int, source: str) -> None:
        self.limit, self.source, self.size = limit, source, 0
        self.columns: list[Texts] = []

    def grow(self, column: Texts, size: int) -> None:
        """Count further memory of a column."""
        column.size += size
        self.size += size
        while self.size > self.limit:
            max(self.columns, key=lambda other: other.size).forget()

    def error(self, name: str) -> ArgumentError:
        """The error for a column whose texts would have been needed."""
        return ArgumentError(
            "the memory is too small for the different texts of these data",
            expected=f"at most {size_text(self.limit)} of different texts in all columns, an eighth of the memory",
            got="more",
            where=f"--memory, {self.source}, column {name!r}",
            try_=f"--memory {max(1, 16 * self.limit // 10**6)}MB, or leave out the column",
        )


class Texts:
    """The different texts of a column, and how often each occurs.

    Beyond `MOST_TEXTS` it is only known that there are more.  Where memory is short it is known how many there are, by
    64-bit hashes, but not which; that is enough to leave a column out.
    """

    def __init__(self, limit: TextLimit) -> None:
        self.limit, self.size = limit, 0
        self.counts: Counter[str] | None = Counter()
        self.hashes: NDArray[np.int64] | None = None
        limit.columns.append(self)

    @property
    def distinct(self) -> int | None:
        """How many different texts there are; None for more than `MOST_TEXTS`."""
        known = self.counts if self.hashes is None else self.hashes
        return None if known is None else len(known)

    def add(self, further: Counter[str]) -> None:
        """Count texts of further rows."""
        if self.counts is not None:
            new = sum(len(text) + _TEXT_BYTES for text in further if text not in self.counts)
            self.counts.update(further)
            self.limit.grow(self, new)
        elif self.hashes is not None:
            self.hashes = np.union1d(self.hashes, _hashes(further))
        if (self.distinct or 0) > MOST_TEXTS:
            self._release()
            self.hashes = None

    def forget(self) -> None:
        """Keep hashes in place of texts."""
        self.hashes = _hashes(self.counts or Counter())
        self._release()

    def _release(self) -> None:
        self.counts = None
        self.limit.size -= self.size
        self.size = 0


def _hashes(texts: Counter[str]) -> NDArray[np.int64]:
    return np.unique(np.fromiter(map(hash, texts), np.int64, len(texts)))


def distinct_counts(values: NDArray[np.float64]) -> tuple[list[float], list[int]]:
    """The different numbers, and how often each occurs.

    >>> distinct_counts(np.array([2.0, 1.0, 2.0]))
    ([1.0, 2.0], [1, 2])
    """
    distinct, counts = np.unique(values, return_counts=True)
    return distinct.tolist(), counts.tolist()


def add_counts(known: Counter[Any] | None, further: Mapping[Any, int]) -> Counter[Any] | None:
    """The counts with further ones; None if there are too many to hold.

    >>> add_counts(Counter("ab"), {"b": 2})
    Counter({'b': 3, 'a': 1})
    """
    if known is None:
        return None
    known.update(further)
    return known if len(known) <= MOST_TEXTS else None
