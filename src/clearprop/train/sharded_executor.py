"""The executor of steps whose batches are sums over shards: on one process one shard after the other, or on several.

Every shard has the same rows, the same key and the same compiled program wherever it is computed, and every addition
has its place in one binary tree, so how many processes share the work changes no bit.
"""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from clearprop.autodiff.trees import flatten, unflatten
from clearprop.compiler import Compiled, warn_user
from clearprop.errors import DataError, TraceError
from clearprop.program.processes import process_lock
from clearprop.program.values import Node, raw
from clearprop.rules import random
from clearprop.runs.state import State
from clearprop.train.batches import ArrayFeed, BlockFeed, Feed, Picked, quick_order
from clearprop.train.executor import PAUSE_SECONDS, Executor, Pause, add_batch
from clearprop.train.shards import bounds, shares
from clearprop.train.step import ShardTerms, Step

ALIGNED = 64
"""Arrays in a buffer begin at multiples of so many bytes."""


class Ranks(Protocol):
    """The processes that share a training: each computes S/N neighbouring shards."""

    rank: int
    size: int

    def vector(self, count: int, dtype: DTypeLike) -> NDArray[Any]:
        """Zeros to write what `add` adds; all ranks ask together, for as many."""

    def add(self, vector: NDArray[Any], how: str) -> NDArray[Any]:
        """The sum of `vector` over all ranks until the next sum, the same bits on all; how is "exact" or "fast"."""

    def require_same(self, **facts: object) -> None:
        """Raise RunError on every rank unless all have the same facts."""


class OneRank:
    """A training on one process."""

    rank, size = 0, 1

    def vector(self, count: int, dtype: DTypeLike) -> NDArray[Any]:
        """Zeros."""
        return np.zeros(count, dtype)

    def add(self, vector: NDArray[Any], how: str) -> NDArray[Any]:
        """The sum over one rank is what it has."""
        return vector

    def require_same(self, **facts: object) -> None:
        """One rank has what it has."""


def sharded_executor(
    step: Step, key: NDArray[np.uint32], ranks: Ranks | None = None, reduce: str = "exact"
) -> Executor:
    """The executor of a step with shards; shard s of step n draws its random numbers from (`key`, n, s).

    `reduce` is how ranks add: "exact", in the tree, or "fast", in any order.

    Threads that replay one run take turns: the sums have one set of buffers.
    """
    steps, turn = _ShardedSteps(step, key, OneRank() if ranks is None else ranks, reduce), process_lock()

    def run(state: State, feed: Feed, last: int | None, pause: Pause) -> tuple[State, bool]:
        with turn, feed.turn:
            return steps.through(state, feed, last, pause)

    return run


class _ShardedSteps:
    """The compiled parts of a step, and what puts them together."""

    def __init__(self, step: Step, key: NDArray[np.uint32], ranks: Ranks, reduce: str) -> None:
        def terms(model: Any, number: Any, shard: Any, x: Any, y: Any, *weight: Any) -> Any:
            return step.of_shard(model, x, y, random.fold_in(random.fold_in(key, number), shard), *weight)

        def after(model: Any, optimizer: Any, number: Any, mean: Any) -> Any:
            return step.after(model, optimizer, random.fold_in(key, number), mean)

        self.shards, self.ranks, self.reduce = step.shards, ranks, reduce
        self.terms, self.after = _Traceable(terms), _Traceable(after, donate=(0, 1))
        self.layout: _Layout | None = None
        self.buffers: list[NDArray[Any]] = []

    def through(self, state: State, feed: Feed, last: int | None, pause: Pause) -> tuple[State, bool]:
        """Take the state through batches up to number `last`, or to the end of the epoch.

        That the first rank wants to pause is told with the next sum, so that all pause after the same step.  A step
        writes its state over the one before: whoever pauses gets a copy.
        """
        given, wanted, due = state, False, 0.0
        for batch in self._agreed(feed.picked(state.epoch, state.batch, quick_order), feed):
            if state.batch == last:
                return state, False
            state, told = self._advance(_copy_of(state) if state is given else state, batch, wanted)
            goes_on = math.isfinite(state.totals[1])
            if not goes_on or time.perf_counter() >= due:
                wanted, due = pause(_copy_of(state)), time.perf_counter() + PAUSE_SECONDS
            if not goes_on or (wanted if self.ranks.size == 1 else told):
                return state, state.batch == feed.count
        if self.ranks.size > 1:
            self.ranks.require_same(weights_after_an_epoch=_checksum(state.model))
        return state, True

    def _agreed(self, batches: Iterator[Picked], feed: Feed) -> Iterator[Picked]:
        """The batches; of an iterable, whose count nobody knows, all ranks must have as many, of the same rows."""
        known = isinstance(feed, ArrayFeed | BlockFeed)
        for batch in batches:
            if not known:
                self._require_rows(batch.count())
                self.ranks.require_same(number_of_rows_in_a_batch=batch.count())
            yield batch
        if not known:
            self.ranks.require_same(number_of_rows_in_a_batch=0)

    def _require_rows(self, rows: int) -> None:
        if rows < self.shards:
            raise DataError(
                "a batch has too few rows for its shards",
                expected=f"{self.shards} rows or more in every batch: {self.shards} shards",
                got=f"{rows} rows",
                where="grad_shards",
                try_="larger batches, or fewer shards",
            )

    def _advance(self, state: State, batch: Picked, wanted: bool) -> tuple[State, bool]:
        """The state after a batch, and whether the first rank wants to pause."""
        each = self.shards // self.ranks.size
        own = self._tree_sum(_ShardsOf(state, batch, self.shards), each * self.ranks.rank, each)
        own[-1] = wanted and self.ranks.rank == 0
        total = self.ranks.add(own, self.reduce)
        assert self.layout is not None  # a shard was written
        mean = self.layout.read(total)
        model, optimizer = self.after(state.model, state.optimizer, np.array(state.step), mean)
        totals = add_batch(state.totals, batch.count(), mean[2][1:])
        return State(model, optimizer, state.step + 1, state.epoch, state.batch + 1, totals), bool(total[-1])

    def _tree_sum(self, shards: _ShardsOf, first: int, count: int, depth: int = 0) -> NDArray[Any]:
        """The sum over neighbouring shards, in the buffer of this depth."""
        if count == 1:
            return self._write(shards, first, depth)
        half = count // 2
        sum_ = self._tree_sum(shards, first, half, depth)
        sum_ += self._tree_sum(shards, first + half, half, depth + 1)
        return sum_

    def _write(self, shards: _ShardsOf, s: int, depth: int) -> NDArray[Any]:
        rows = shards.batch.part(*shards.bounds[s])
        found = self.terms(shards.state.model, np.array(shards.state.step), np.array(s), *rows)
        if self.layout is None:
            self.layout = _Layout(found, self.ranks.size)
            size, dtype, levels = self.layout.size, self.layout.dtype, (self.shards // self.ranks.size).bit_length()
            self.buffers = [self.ranks.vector(size, dtype), *(np.zeros(size, dtype) for _ in range(levels - 1))]
        self.layout.write(found, shards.shares[s], self.buffers[depth])
        return self.buffers[depth]


def _copy_of(state: State) -> State:
    """The state in memory of its own."""
    leaves, structure = flatten((state.model, state.optimizer))
    held = [raw(leaf) for leaf in leaves]
    copies = [Node.tensor(a.copy()) if isinstance(a, np.ndarray) else b for a, b in zip(held, leaves, strict=True)]
    model, optimizer = unflatten(structure, copies)
    return replace(state, model=model, optimizer=optimizer)


def _checksum(model: Any) -> int:
    found = 0
    for leaf in flatten(model)[0]:
        found = zlib.crc32(np.asarray(raw(leaf)).tobytes(), found)
    return found


class _ShardsOf:
    """A batch that is to be learned from in this state, and how it is cut."""

    def __init__(self, state: State, batch: Picked, count: int) -> None:
        rows, weights = batch.count(), Picked(batch.arrays[2:], batch.rows)
        self.state, self.batch = state, batch
        self.bounds, self.shares = bounds(rows, count), shares(rows, count, *weights.part(0, rows))


class _Layout:
    """Where the terms of a shard stand in one buffer, whose last number is a word between ranks."""

    def __init__(self, terms: ShardTerms, ranks: int) -> None:
        leaves, self.structure = flatten(terms)
        arrays = [np.asarray(raw(leaf)) for leaf in leaves]
        self.dtype = np.result_type(*arrays)
        step = ALIGNED // self.dtype.itemsize
        ends = np.cumsum([-(-a.size // step) * step for a in arrays]).tolist()
        self.places = [(e, a.size, a.shape, a.dtype) for e, a in zip([0, *ends], arrays, strict=False)]
        self.size = -(-(ends[-1] + 1) // (step * ranks)) * step * ranks  # ranks take slices of one size

    def write(self, terms: ShardTerms, share: float, into: NDArray[Any]) -> None:
        """Set the buffer to `share` · the terms; to zeros where the share is 0: rows without weight have no mean."""
        leaves = flatten(terms)[0]
        for leaf, (at, size, shape, _) in zip(leaves, self.places, strict=True):
            place = into[at : at + size].reshape(shape)
            if share:
                np.multiply(raw(leaf), self.dtype.type(share), out=place)
            else:
                place[...] = 0

    def read(self, vector: NDArray[Any]) -> Any:
        """The terms in a buffer, which they share."""
        return unflatten(
            self.structure,
            [vector[at : at + n].reshape(shape).astype(dtype, copy=False) for at, n, shape, dtype in self.places],
        )


class _Traceable:
    """A function, compiled; where it cannot be traced it runs as it is written, and says so once."""

    def __init__(self, function: Callable[..., Any], donate: tuple[int, ...] = ()) -> None:
        self.function = function
        self.run: Callable[..., Any] = Compiled(function, donate, (), None)

    def __call__(self, *arguments: Any) -> Any:
        """The function's value."""
        try:
            return self.run(*arguments)
        except TraceError as error:
            if self.run is self.function:
                raise
            warn_user(f"the training step runs uncompiled: {error.headline}\n{error.where}")
            self.run = self.function
            return self.run(*arguments)
