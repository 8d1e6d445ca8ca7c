"""The executor of steps whose batches are sums over shards: on one process one shard after the other, or on several.

Every shard has the same rows, the same key and the same compiled program wherever it is computed, and every addition
has its place in one binary tree, so how many processes share the work changes no bit.
"""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clearprop.autodiff.trees import flatten, unflatten
from clearprop.compiler import Compiled, numba_obstacle, warn_user
from clearprop.errors import DataError, TraceError
from clearprop.program.processes import Remembered, process_lock
from clearprop.program.types import type_of
from clearprop.program.values import Node, raw
from clearprop.rules import random
from clearprop.runs.state import State
from clearprop.shapes import hint
from clearprop.train.batches import ArrayFeed, Arrays, BlockFeed, BucketFeed, Feed, Picked, quick_order
from clearprop.train.executor import PAUSE_SECONDS, Executor, Pause, add_batch
from clearprop.train.shards import Layout, OneRank, Ranks, ShardPlace, SharedWork, bounds, shares
from clearprop.train.step import Step, identity_of


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


class StepParts(Protocol):
    """What computes the two parts of a step: terms of a shard, and the update by their sum."""

    def begin(self, state: State) -> State:
        """The same state, in arrays that `update` writes over."""

    def write(self, state: State, rows: Picked, place: ShardPlace, depth: int) -> NDArray[Any]:
        """The buffer of this depth, where the terms of a shard stand then; the first is what ranks add up."""

    def update(self, state: State, own: NDArray[Any]) -> tuple[Any, Any, Any, bool]:
        """Model and optimizer after the sum of all ranks' buffers; objective, loss and metrics; what the first says."""

    def alone(self, state: State) -> Any:
        """The arrays of the model that each rank has by itself: of others there is one, which all share."""


class _ShardedSteps:
    """Steps whose batches are sums over shards: what their parts compute is put together here."""

    def __init__(self, step: Step, key: NDArray[np.uint32], ranks: Ranks, reduce: str) -> None:
        def terms(model: Any, number: Any, shard: Any, share: Any, x: Any, y: Any, *weight: Any) -> Any:
            return step.of_shard(model, x, y, random.fold_in(random.fold_in(key, number), shard), share, *weight)

        def after(model: Any, optimizer: Any, number: Any, mean: Any) -> Any:
            return step.after(model, optimizer, random.fold_in(key, number), mean)

        def known_as(model: Any) -> Hashable:
            return identity_of((step, model)) if isinstance(step, Step) else None

        self.shards, self.ranks = step.shards, ranks
        self.work = SharedWork(terms, after, key, step.shards, ranks, reduce, known_as)
        self.parts: StepParts | None = None
        self.buffers: Arrays | None = None  # of the feed that the parts were made for

    def through(self, state: State, feed: Feed, last: int | None, pause: Pause) -> tuple[State, bool]:
        """Take the state through batches up to number `last`, or to the end of the epoch.

        That the first rank wants to pause is told with the next sum, so that all pause after the same step.  A step
        writes its state over the one before: whoever pauses gets a copy.
        """
        given, wanted, due = state, False, 0.0
        for batch in self._agreed(feed.picked(state.epoch, state.batch, quick_order), feed):
            if state.batch == last:
                return state if state is given else copy_of(state), False
            if state is given:
                state = self._parts_for(state, feed, batch).begin(state)
            state, told = self._advance(state, batch, wanted)
            goes_on = math.isfinite(state.totals[1])
            if not goes_on or time.perf_counter() >= due:
                wanted, due = pause(copy_of(state)), time.perf_counter() + PAUSE_SECONDS
            if not goes_on or (wanted if self.ranks.size == 1 else told):
                return copy_of(state), state.batch == feed.count
        if self.ranks.size > 1:
            alone = state.model if self.parts is None else self.parts.alone(state)
            self.ranks.require_same(weights_after_an_epoch=_checksum(alone))
        return copy_of(state), True

    def _parts_for(self, state: State, feed: Feed, batch: Picked) -> StepParts:
        """What computes steps on these batches: native loops over rows that are picked from arrays, or calls."""
        buffers = None
        if isinstance(feed, ArrayFeed | BlockFeed) and not isinstance(feed, BucketFeed):
            buffers = feed.buffers
        if self.parts is None or not _are_the_same(buffers, self.buffers):
            compiled = CompiledParts(self.work)
            native = None if buffers is None else _native(compiled, state, batch, buffers)
            self.parts, self.buffers = compiled if native is None else native, buffers
        return self.parts

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
        assert self.parts is not None  # the state is theirs
        each = self.shards // self.ranks.size
        own = self._tree_sum(state, _ShardsOf(batch, self.shards), each * self.ranks.rank, each)
        own[-1] = wanted and self.ranks.rank == 0
        model, optimizer, means, told = self.parts.update(state, own)
        totals = add_batch(state.totals, batch.count(), means[1:])
        return State(model, optimizer, state.step + 1, state.epoch, state.batch + 1, totals), told

    def _tree_sum(self, state: State, shards: _ShardsOf, first: int, count: int, depth: int = 0) -> NDArray[Any]:
        """The sum over neighbouring shards, in the buffer of this depth."""
        assert self.parts is not None  # the state is theirs
        if count == 1:
            return self.parts.write(state, shards.batch, shards.place(first), depth)
        half = count // 2
        sum_ = self._tree_sum(state, shards, first, half, depth)
        sum_ += self._tree_sum(state, shards, first + half, half, depth + 1)
        return sum_


def _native(compiled: CompiledParts, state: State, batch: Picked, buffers: Arrays) -> StepParts | None:
    """The parts as native loops; None where they have no such form."""
    layout = compiled.layout_of(state, batch) if numba_obstacle() is None else None
    if layout is None:
        return None
    from clearprop.train.native_shards import native_parts  # start-up time: Numba

    return native_parts(compiled.work, layout, state, buffers)


_LAYOUTS = Remembered["Layout | None"](64)
"""Of shards' terms, by what computes them, of which dtypes and shapes, and for how many ranks."""


class CompiledParts:
    """The parts as compiled calls."""

    def __init__(self, work: SharedWork) -> None:
        self.work = work
        self._terms, self._after = _Traceable(work.terms), _Traceable(work.after, donate=(0, 1))
        self._layout: Layout | None = None
        self._buffers: list[NDArray[Any]] = []

    def layout_of(self, state: State, batch: Picked) -> Layout | None:
        """The layout of a shard's terms, from tracing alone; None where they cannot be traced."""
        rows, known = batch.part(0, max(1, batch.count() // self.work.shards)), self.work.known_as(state.model)
        if known is None:
            return self._traced_layout(state, rows)
        kinds = [(a.dtype.str, a.shape) for a in map(np.asarray, (*map(raw, flatten(state.model)[0]), *rows))]
        return _LAYOUTS.get((known, self.work.ranks.size, *kinds), lambda: self._traced_layout(state, rows))

    def _traced_layout(self, state: State, rows: Sequence[NDArray[Any]]) -> Layout | None:
        try:
            traced = Compiled(self.work.terms, (), (), None).lower(state.model, *map(np.array, (0, 0)), 1.0, *rows)
        except TraceError:
            return None  # which the first call says
        types = [type_of(o) for o in traced.program.outputs]
        shapes = [tuple(map(hint, t.shape)) for t in types]
        ranks = self.work.ranks.size
        return Layout(traced.out_structure, shapes, [t.dtype for t in types], ranks) if traced.all_out else None

    def begin(self, state: State) -> State:
        """See `StepParts`."""
        return copy_of(state)

    def write(self, state: State, rows: Picked, place: ShardPlace, depth: int) -> NDArray[Any]:
        """See `StepParts`."""
        batch = rows.part(place.begin, place.end)
        found = self._terms(state.model, np.array(state.step), np.array(place.number), place.share, *batch)
        if self._layout is None:
            leaves, structure = flatten(found)
            arrays = [np.asarray(raw(leaf)) for leaf in leaves]
            shapes, dtypes = [a.shape for a in arrays], [a.dtype for a in arrays]
            self._layout = Layout(structure, shapes, dtypes, self.work.ranks.size)
            self._buffers = self.work.buffers(self._layout)
        self._layout.write(found, self._buffers[depth])
        return self._buffers[depth]

    def update(self, state: State, own: NDArray[Any]) -> tuple[Any, Any, Any, bool]:
        """See `StepParts`."""
        total = self.work.ranks.add(own, self.work.reduce)
        assert self._layout is not None  # a shard was written
        mean = self._layout.read(total)
        model, optimizer = self._after(state.model, state.optimizer, np.array(state.step), mean)
        return model, optimizer, mean[2], bool(total[-1])

    def alone(self, state: State) -> Any:
        """See `StepParts`."""
        return state.model


def _are_the_same(arrays: Arrays | None, known: Arrays | None) -> bool:
    if arrays is None or known is None:
        return arrays is known
    return len(arrays) == len(known) and all(a is b for a, b in zip(arrays, known, strict=True))


def copy_of(state: State) -> State:
    """The state in memory of its own."""
    leaves, structure = flatten((state.model, state.optimizer))
    held = [raw(leaf) for leaf in leaves]
    copies = [
        Node.tensor(np.array(a) if a.ndim else np.array(a)[()]) if isinstance(a, np.ndarray | np.generic) else b
        for a, b in zip(held, leaves, strict=True)
    ]
    model, optimizer = unflatten(structure, copies)
    return replace(state, model=model, optimizer=optimizer)


def _checksum(arrays: Any) -> int:
    found = 0
    for leaf in flatten(arrays)[0]:
        found = zlib.crc32(np.asarray(raw(leaf)).tobytes(), found)
    return found


class _ShardsOf:
    """A batch that is to be learned from, and how it is cut."""

    def __init__(self, batch: Picked, count: int) -> None:
        rows = batch.count()
        self.batch = batch
        self._bounds, self._shares = bounds(rows, count), shares(rows, count)

    def place(self, s: int) -> ShardPlace:
        """Shard number s."""
        return ShardPlace(s, *self._bounds[s], self._shares[s])


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
