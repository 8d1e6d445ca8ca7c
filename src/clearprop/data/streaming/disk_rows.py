"""Encoded rows on disk, in blocks of which each is a sample of all rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.streaming.scratch import Scratch
from clearprop.data.streaming.sharers import ALONE, Sharers


class Dealing:
    """Where each row is kept: rows are dealt to blocks like cards, a round to all blocks in random order after another.

    Block sizes differ by at most one, and each block holds rows from everywhere in the source, however that is sorted.
    A single block keeps the order of the source, and so do rows that are not `shuffled`.  The order of round r comes
    from Philox with key `seed` and a second key word of 1, advanced to r.

    >>> Dealing(5, blocks=2, seed=0, shuffled=False).starts.tolist()
    [0, 3, 5]
    """

    def __init__(self, rows: int, blocks: int, seed: int, shuffled: bool) -> None:
        self.rows, self.blocks, self.seed = rows, blocks, seed
        self.shuffled = shuffled and blocks > 1
        rounds, rest = divmod(rows, blocks)
        sizes = np.full(blocks, rounds, np.int64)
        sizes[self._rounds(rounds, rounds + 1)[0, :rest] if self.shuffled else slice(rest)] += 1
        self.starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])

    def places(self, first: int, last: int) -> NDArray[np.int64]:
        """The places at which rows number `first` … `last` − 1 of the source are kept."""
        rows = np.arange(first, last)
        if not self.shuffled:
            return rows
        begin = first // self.blocks
        dealt = self._rounds(begin, -(-last // self.blocks)).ravel()[rows - begin * self.blocks]
        return np.asarray(self.starts[dealt] + rows // self.blocks)

    def _rounds(self, first: int, last: int) -> NDArray[np.intp]:
        words = -(-self.blocks // 4)  # a step of Philox's counter gives four numbers
        generator = np.random.Philox(key=self.seed + (1 << 64)).advance(first * words)
        raw = generator.random_raw((last - first) * 4 * words).reshape(last - first, 4 * words)
        return np.argsort(raw[:, : self.blocks], axis=1, kind="stable")


class DiskRows:
    """Encoded rows `x`, `y` on disk.  Block b holds the rows from `dealing.starts[b]` up to `dealing.starts[b + 1]`.

    `numbers` are the numbers that the rows have in their source, in its order.  Rows that are `weighted` have a
    `weight` each.  Several `ranks` have them on disk once.
    """

    def __init__(
        self,
        dealing: Dealing,
        features: int,
        y_tail: tuple[int, ...],
        y_dtype: Any,
        weighted: bool = False,
        ranks: Sharers = ALONE,
    ) -> None:
        self.dealing = dealing
        self.x = Scratch(dealing.rows, (features,), np.float32, ranks)
        self.y = Scratch(dealing.rows, y_tail, y_dtype, ranks)
        self.weight = Scratch(dealing.rows, (), np.float32, ranks) if weighted else None
        self.numbers = Scratch(dealing.rows, (), np.int64, ranks)

    def __len__(self) -> int:
        return self.dealing.rows

    @property
    def features(self) -> int:
        """The number of features."""
        return self.x.tail[0]

    @property
    def blocks(self) -> int:
        """The number of blocks."""
        return self.dealing.blocks

    @property
    def sizes(self) -> NDArray[np.int64]:
        """The number of rows of each block."""
        return np.diff(self.dealing.starts)

    @property
    def kept(self) -> tuple[Scratch, ...]:
        """What is on disk of every row: x, y, and the weight where rows have one."""
        return (self.x, self.y) if self.weight is None else (self.x, self.y, self.weight)

    def order(self, first: int, last: int) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """The order in which rows number `first` … `last` − 1 of the source are kept, and their places, which rise."""
        places = self.dealing.places(first, last)
        order = np.argsort(places)
        return order, places[order]

    def write(
        self, first: int, numbers: NDArray[np.int64], places: NDArray[np.int64], arrays: Sequence[NDArray[Any]]
    ) -> None:
        """Keep rows from `first` on; `numbers` are theirs in the source.

        x, y, and their weights if they have some, are those at the `places` that `order` gives.
        """
        self.numbers.write(first, numbers)
        for scratch, array in zip(self.kept, arrays, strict=True):
            done = 0
            for a, b in _runs(places):
                scratch.write(a, array[done : done + b - a])
                done += b - a

    def buffers(self) -> tuple[NDArray[Any], ...]:
        """Arrays in which every block has room."""
        largest = int(self.sizes.max())
        return tuple(np.empty((largest, *scratch.tail), scratch.dtype) for scratch in self.kept)

    def read(self, block: int, *buffers: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Read a block into the buffers; gives the part of them that it fills."""
        first, last = (int(n) for n in self.dealing.starts[block : block + 2])
        return tuple(
            scratch.read(first, into[: last - first]) for scratch, into in zip(self.kept, buffers, strict=True)
        )

    def row(self, number: int) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Row number `number` of the source's order, as arrays of one row."""
        place = int(self.dealing.places(number, number + 1)[0])
        return self.x.get(place, place + 1), self.y.get(place, place + 1)

    def first_rows(self, number: int) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        """At most so many rows, the first ones of the source in its order, some at a time."""
        step = min(int(self.sizes.max()), _ROWS_AT_ONCE)
        for first in range(0, min(number, len(self)), step):
            order, places = self.order(first, min(first + step, number, len(self)))
            back = np.argsort(order)
            x, y = (np.concatenate([scratch.get(a, b) for a, b in _runs(places)])[back] for scratch in self.kept[:2])
            yield x, y

    def pairs(self) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        """The blocks in their order.  A pair is good until the next one is asked for: they share their memory."""
        for x, y, *_ in self.batches():
            yield x, y

    def batches(self) -> Iterator[tuple[NDArray[Any], ...]]:
        """The blocks in their order, with weights where rows have some; good until the next one is asked for."""
        buffers = self.buffers()
        for block in range(self.blocks):
            yield self.read(block, *buffers)

    def spread(self, number: int) -> NDArray[np.int64]:
        """The numbers of at most so many rows, evenly spread over the source."""
        return np.unique(np.linspace(0, len(self) - 1, min(number, len(self))).astype(np.int64))

    def sample_weights(self, number: int) -> NDArray[np.float32] | None:
        """The weights of the rows that `sample` gives; None where rows have none."""
        if self.weight is None:
            return None
        return np.array([self.weight[int(self.dealing.places(row, row + 1)[0])] for row in self.spread(number)])

    def sample(self, number: int) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """At most so many rows, evenly spread over the source, as arrays."""
        chosen = self.spread(number).tolist()
        x = np.empty((len(chosen), self.features), np.float32)
        y = np.empty((len(chosen), *self.y.tail), self.y.dtype)
        for i, row in enumerate(chosen):
            place = int(self.dealing.places(row, row + 1)[0])
            self.x.read(place, x[i : i + 1])
            self.y.read(place, y[i : i + 1])
        return x, y


_ROWS_AT_ONCE = 4096


def _runs(places: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Places that rise, as stretches of which each follows the one before it.

    >>> _runs(np.array([3, 4, 5, 9]))
    [(3, 6), (9, 10)]
    """
    breaks = np.flatnonzero(np.diff(places) != 1)
    starts, ends = places[[0, *breaks + 1]] if len(places) else places, places[[*breaks, -1]] if len(places) else places
    return list(zip(starts.tolist(), (ends + 1).tolist(), strict=True))
