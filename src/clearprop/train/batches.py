"""Where batches come from: arrays or rows on disk in an order that the seed fixes, or an iterable of batches."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from clearprop.compiler import numba_obstacle
from clearprop.data.array_checks import plain_array
from clearprop.data.array_labels import text_labels
from clearprop.data.streaming.disk_rows import DiskRows
from clearprop.errors import ArgumentError, DataError
from clearprop.program.processes import process_lock
from clearprop.program.values import raw
from clearprop.rules import random

Batch: TypeAlias = tuple[Any, ...]
"""Rows x and y, and their weights where rows have some."""
Arrays: TypeAlias = tuple[NDArray[Any], ...]
"""All rows of a block: x and y, and weights where rows have some."""
Ordering: TypeAlias = Callable[[Any, Sequence[int], int], NDArray[np.int64]]
"""`ordering(key, path, n)`: `drawn_order`, or what gives the same integers faster."""


def drawn_order(key: Any, path: Sequence[int], n: int) -> NDArray[np.int64]:
    """The permutation of n rows that belongs to the numbers of a path under a key, such as an epoch and a block."""
    order: NDArray[np.int64] = raw(random.permutation(functools.reduce(random.fold_in, path, key), n))
    return order


def native_loops() -> Any:
    """The class `epoch_loop.NativeLoop`, for which Numba is loaded."""
    from clearprop.compiler.epoch_loop import NativeLoop  # start-up time: Numba

    return NativeLoop


def quick_order(key: Any, path: Sequence[int], n: int) -> NDArray[np.int64]:
    """`drawn_order`, natively where that is sooner."""
    found = native_loops().order(key, path, n) if numba_obstacle() is None else None
    return drawn_order(key, path, n) if found is None else found


@dataclass(frozen=True, eq=False)
class Picked:
    """A batch whose rows are not copied yet: arrays, and the numbers of its rows in them (None: all, as they are).

    Of the second axis of x come the first `width` (None: all).
    """

    arrays: Arrays
    rows: NDArray[np.int64] | None
    width: int | None = None

    def count(self) -> int:
        """How many rows it has."""
        return len(self.arrays[0] if self.rows is None else self.rows)

    def part(self, begin: int, end: int) -> Batch:
        """Its rows from number `begin` on, up to `end`."""
        if self.rows is None:
            return tuple(array[begin:end] for array in self.arrays)
        chosen = self.rows[begin:end]
        if self.width is not None:
            x, *others = self.arrays
            return (x[chosen, : self.width], *(array.take(chosen, axis=0) for array in others))
        return tuple(array.take(chosen, axis=0) for array in self.arrays)


class Feed(Protocol):
    """A source of batches.

    Whoever takes batches holds `turn` meanwhile: a feed whose batches share memory serves one thread at a time.
    """

    @property
    def turn(self) -> AbstractContextManager[Any]:
        """Held by the thread that takes batches."""
        ...

    @property
    def count(self) -> int | None:
        """The number of batches in an epoch; None where only its end tells."""
        ...

    def picked(self, epoch: int, first: int, ordering: Ordering = drawn_order) -> Iterator[Picked]:
        """The batches of an epoch (the first is epoch 0) from number `first` on, not copied yet."""
        ...

    def batches(self, epoch: int, first: int) -> Iterator[Batch]:
        """The same batches, copied."""
        ...


class _Copying:
    """What feeds have in common: batches are the rows that were picked."""

    def batches(self: Feed, epoch: int, first: int) -> Iterator[Batch]:
        """The batches of an epoch from number `first` on."""
        for batch in self.picked(epoch, first):
            yield batch.part(0, batch.count())


@dataclass(frozen=True)
class Batching:
    """How rows are cut: `size` at a time; a rest of fewer than `least` joins the batch before it, if there is one."""

    size: int
    least: int = 1

    def count(self, rows: int) -> int:
        """The number of batches."""
        full, rest = divmod(rows, self.size)
        return full + (rest >= self.least or (rest > 0 and not full))

    def joins(self, rows: int) -> bool:
        """Whether a rest joins the batch before it."""
        return self.count(rows) * self.size < rows

    def ends(self, rows: int) -> NDArray[np.int64]:
        """Where each batch ends."""
        ends = self.size * np.arange(1, self.count(rows) + 1)
        ends[-1:] = rows
        return ends

    def sizes(self, rows: int, first: int, last: int) -> NDArray[np.int64]:
        """How many rows the batches first … last − 1 have."""
        sizes = np.full(last - first, self.size)
        if last == self.count(rows):
            sizes[-1] = rows - (last - 1) * self.size
        return sizes

    def cut(self, order: NDArray[np.int64], first: int) -> Iterator[NDArray[np.int64]]:
        """The rows of each batch from number `first` on."""
        for end in self.ends(len(order))[first:].tolist():
            yield order[first * self.size : end]
            first += 1


@dataclass(frozen=True, eq=False)
class ArrayFeed(_Copying):
    """Batches of `batch_size` rows of `x` and `y`; the last one of an epoch holds the rest (see `Batching`).

    With `shuffle` the order of epoch e is the permutation that belongs to e under `key`.  With `weight` `(rows,)` a
    batch has the weights of its rows, too.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    batch_size: int
    shuffle: bool
    key: NDArray[np.uint32]
    least: int = 1
    weight: NDArray[Any] | None = None
    turn: ClassVar[AbstractContextManager[Any]] = nullcontext()

    @property
    def batching(self) -> Batching:
        """How the rows of an epoch are cut."""
        return Batching(self.batch_size, self.least)

    @property
    def count(self) -> int:
        """The number of batches in an epoch."""
        return self.batching.count(len(self.x))

    @property
    def joins(self) -> bool:
        """Whether the last batch of an epoch is larger than the others."""
        return self.batching.joins(len(self.x))

    @property
    def buffers(self) -> Arrays:
        """The arrays that hold the rows of every block."""
        return (self.x, self.y) if self.weight is None else (self.x, self.y, self.weight)

    def order(self, epoch: int, ordering: Ordering = drawn_order) -> NDArray[np.int64]:
        """The rows in the order of epoch `epoch`."""
        return ordering(self.key, (epoch,), len(self.x)) if self.shuffle else np.arange(len(self.x))

    def blocks(self, epoch: int, _first: int, ordering: Ordering = drawn_order) -> Iterator[Block]:
        """All rows, as the only block of an epoch."""
        yield Block(self.buffers, self.order(epoch, ordering), 0)

    def picked(self, epoch: int, first: int, ordering: Ordering = drawn_order) -> Iterator[Picked]:
        """The batches of an epoch from number `first` on, not copied yet."""
        for rows in self.batching.cut(self.order(epoch, ordering), first):
            yield Picked(self.buffers, rows)


@dataclass(frozen=True, eq=False)
class BucketFeed(ArrayFeed):
    """Batches of sequences of similar lengths: of each, x holds no more steps than the longest of its bucket.

    `buckets` are the rows of each, and of how much of x's second axis they have need.  The rows of an epoch are those
    of `ArrayFeed` in their order, bucket by bucket; with `shuffle` batches come in an order that belongs to the epoch.
    """

    buckets: tuple[tuple[NDArray[np.int64], int], ...] = ()

    @property
    def count(self) -> int:
        """The number of batches in an epoch."""
        return sum(self.batching.count(len(rows)) for rows, _ in self.buckets)

    @property
    def joins(self) -> bool:
        """Whether the last batch of some bucket is larger than the others."""
        return any(self.batching.joins(len(rows)) for rows, _ in self.buckets)

    def picked(self, epoch: int, first: int, ordering: Ordering = drawn_order) -> Iterator[Picked]:
        """The batches of an epoch from number `first` on, not copied yet."""
        order = self.order(epoch, ordering)
        found = [
            Picked(self.buffers, chosen, width)
            for rows, width in self.buckets
            for chosen in self.batching.cut(order[np.isin(order, rows, assume_unique=True)], 0)
        ]
        turns = ordering(self.key, (epoch, len(order)), len(found)) if self.shuffle else np.arange(len(found))
        yield from (found[k] for k in turns[first:].tolist())


def lengths_in(steps: NDArray[Any]) -> NDArray[np.int64]:
    """How long sequences `(rows, steps, features)` are whose last feature says whether a step is there, 1 at least.

    >>> lengths_in(np.array([[[5.0, 1.0], [0.0, 0.0]], [[5.0, 1.0], [6.0, 1.0]]])).tolist()
    [1, 2]
    """
    there = steps[..., -1] > 0.5
    last = steps.shape[1] - np.argmax(there[:, ::-1], axis=1)
    return np.where(there.any(axis=1), last, 1).astype(np.int64)


def bucket_rows(lengths: NDArray[np.int64], number: int, least: int) -> list[tuple[NDArray[np.int64], int]]:
    """Rows by so many buckets of lengths at most, of about as many rows each and `least` at least, and the longest.

    >>> bucket_rows(np.array([3, 9, 4, 8]), 2, 1)
    [(array([0, 2]), 4), (array([1, 3]), 9)]
    """
    ends = np.unique(np.quantile(lengths, np.arange(1, number + 1) / number, method="lower"))
    found: list[tuple[NDArray[np.int64], int]] = []
    begin = 0
    for end in ends.tolist():
        rows = np.flatnonzero((lengths > begin) & (lengths <= end))
        if len(rows) >= least and (end == ends[-1] or (lengths > end).sum() >= least):
            found.append((rows, int(end)))
            begin = end
    return found or [(np.arange(len(lengths)), int(lengths.max()))]


@dataclass(frozen=True, eq=False)
class Block:
    """Rows that are in memory (x, y, perhaps weights), the order they are taken in, the number of their first batch."""

    arrays: Arrays
    order: NDArray[np.int64]
    first: int


class BlockFeed(_Copying):
    """Batches of rows on disk, of which one block at a time is in memory.

    With `shuffle` the blocks come in the order of the permutation that belongs to epoch e under `key`, and the rows of
    block b in that of b under the epoch's key; a single block is taken in the order of `ArrayFeed`.  The last batch of
    a block holds the rest of it.
    """

    def __init__(self, rows: DiskRows, batch_size: int, shuffle: bool, key: NDArray[np.uint32], least: int = 1) -> None:
        self.rows, self.batch_size, self.shuffle, self.key = rows, batch_size, shuffle, key
        self.batching = Batching(batch_size, least)
        self.buffers = rows.buffers()
        self.turn = process_lock()
        self._held: tuple[int, Any] = (-1, None)

    @property
    def count(self) -> int:
        """The number of batches in an epoch."""
        return int(self._batches(np.arange(self.rows.blocks)).sum())

    @property
    def joins(self) -> bool:
        """Whether the last batch of some block is larger than the others."""
        return any(map(self.batching.joins, self.rows.sizes.tolist()))

    def blocks(self, epoch: int, first: int, ordering: Ordering = drawn_order) -> Iterator[Block]:
        """The blocks of an epoch from the one on that holds batch number `first`; they share their memory."""
        many = self.rows.blocks
        visited = ordering(self.key, (epoch,), many) if self.shuffle else np.arange(many)
        ends = np.cumsum(self._batches(visited))
        for place in range(int(np.searchsorted(ends, first, side="right")), len(visited)):
            block = int(visited[place])
            arrays = self._read(block)
            order = self._order(epoch, block, len(arrays[0]), ordering)
            yield Block(arrays, order, int(ends[place - 1]) if place else 0)

    def picked(self, epoch: int, first: int, ordering: Ordering = drawn_order) -> Iterator[Picked]:
        """The batches of an epoch from number `first` on, not copied yet: a batch is one of its block's rows."""
        for block in self.blocks(epoch, first, ordering):
            for rows in self.batching.cut(block.order, max(first - block.first, 0)):
                yield Picked(block.arrays, rows)

    def _batches(self, blocks: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.array([self.batching.count(rows) for rows in self.rows.sizes[blocks].tolist()], np.int64)

    def _order(self, epoch: int, block: int, rows: int, ordering: Ordering) -> NDArray[np.int64]:
        if not self.shuffle:
            return np.arange(rows)
        return ordering(self.key, (epoch,) if self.rows.blocks == 1 else (epoch, block), rows)

    def _read(self, block: int) -> Any:
        if self._held[0] != block:
            self._held = (-1, None)  # whatever stops the reading, the buffers are not taken for a block
            self._held = (block, self.rows.read(block, *self.buffers))
        return self._held[1]


@dataclass(frozen=True, eq=False)
class StreamFeed(_Copying):
    """An iterable of batches `(x, y)`, iterated anew for every epoch; their order is its own."""

    source: Iterable[Any]
    count: int | None = None
    turn: ClassVar[AbstractContextManager[Any]] = nullcontext()

    def picked(self, epoch: int, first: int, _ordering: Ordering = drawn_order) -> Iterator[Picked]:
        """The batches from number `first` on; those before are taken and left."""
        for number, batch in enumerate(self.source):
            pair = _pair(batch, number)
            if number >= first:
                yield Picked(pair, None)


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


def batch_at(feed: Feed, epoch: int, number: int) -> Batch:
    """One batch by its epoch and number."""
    with feed.turn:
        return next(feed.batches(epoch, number))


def _pair(batch: Any, number: int) -> Batch:
    if isinstance(batch, tuple | list) and len(batch) == 2:
        where = f"batch {number}"
        return plain_array(batch[0], "x", where), _targets(batch[1], where)
    raise DataError(
        "an iterable of batches must give pairs (x, y)",
        expected="a pair (x, y) of arrays with one row per example",
        got=f"{type(batch).__name__}" + (f" of {len(batch)}" if isinstance(batch, tuple | list) else ""),
        where=f"batch {number}",
        try_="yield x, y",
    )


def _targets(y: Any, where: str) -> NDArray[Any]:
    """The targets of a batch; text is refused, since no batch knows the classes of those after it."""
    if text_labels(y, "y", where) is None:
        return plain_array(y, "y", where)
    raise DataError(
        "labels in batches are numbers",
        expected="integers 0, 1, … that count the classes of all batches",
        got=f"text, such as {np.asarray(raw(y)).ravel().tolist()[0]!r}",
        where=where,
        try_="classes, y = np.unique(labels, return_inverse=True) for all rows before they are cut into batches",
    )
