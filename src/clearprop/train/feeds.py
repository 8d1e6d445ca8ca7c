"""Where batches come from: arrays in an order that the seed fixes, or an iterable of batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from clearprop.errors import ArgumentError, DataError
from clearprop.program.values import raw
from clearprop.rules import random

Batch: TypeAlias = tuple[Any, Any]


class Feed(Protocol):
    """A source of batches."""

    @property
    def count(self) -> int | None:
        """The number of batches in an epoch; None where only its end tells."""
        ...

    def batches(self, epoch: int, first: int) -> Iterator[Batch]:
        """The batches of an epoch (the first is epoch 0) from number `first` on."""
        ...


@dataclass(frozen=True, eq=False)
class ArrayFeed:
    """Batches of `batch_size` rows of `x` and `y`; the last one of an epoch holds the rest.

    With `shuffle` the order of epoch e is the permutation that belongs to e under `key`.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    batch_size: int
    shuffle: bool
    key: NDArray[np.uint32]

    @property
    def count(self) -> int:
        """The number of batches in an epoch."""
        return -(-len(self.x) // self.batch_size)

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The rows in the order of epoch `epoch`."""
        if not self.shuffle:
            return np.arange(len(self.x))
        order: NDArray[np.int64] = raw(random.permutation(random.fold_in(self.key, epoch), len(self.x)))
        return order

    def batches(self, epoch: int, first: int) -> Iterator[Batch]:
        """The batches of an epoch from number `first` on."""
        order = self.order(epoch)
        for start in range(first * self.batch_size, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            yield self.x[rows], self.y[rows]


@dataclass(frozen=True, eq=False)
class StreamFeed:
    """An iterable of batches `(x, y)`, iterated anew for every epoch; their order is its own."""

    source: Iterable[Any]
    count: int | None = None

    def batches(self, epoch: int, first: int) -> Iterator[Batch]:
        """The batches from number `first` on; those before are taken and left."""
        for number, batch in enumerate(self.source):
            x, y = _pair(batch, number)
            if number >= first:
                yield x, y


def stream(source: Iterable[Any], epochs: int) -> StreamFeed:
    """The feed of an iterable.  Raises ArgumentError for a generator that more than one epoch needs."""
    if epochs > 1 and iter(source) is source:
        raise ArgumentError(
            "an iterator is used up after one epoch",
            expected="an iterable that starts anew each time, such as a list or an object with __iter__",
            got=f"{type(source).__name__}, and epochs = {epochs}",
            try_="epochs=1, or list(batches)",
        )
    return StreamFeed(source)


def _pair(batch: Any, number: int) -> Batch:
    if isinstance(batch, tuple | list) and len(batch) == 2:
        return np.asarray(raw(batch[0])), np.asarray(raw(batch[1]))
    raise DataError(
        "an iterable of batches must give pairs (x, y)",
        expected="a pair (x, y) of arrays with one row per example",
        got=f"{type(batch).__name__}" + (f" of {len(batch)}" if isinstance(batch, tuple | list) else ""),
        where=f"batch {number}",
        try_="yield x, y",
    )
