"""The compiled executor: an epoch as a native loop, or a compiled step where batches come from outside.

Where the step cannot be compiled it runs as it is written, and says so once.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.compiler import Compiled, numba_obstacle, warn_user
from clearprop.compiler.fixed_values import FixedValues
from clearprop.compiler.surroundings import variables_around
from clearprop.errors import TraceError
from clearprop.program.outside_draws import AT_EVERY_STEP, without_draws
from clearprop.program.processes import process_lock
from clearprop.program.values import Node, raw
from clearprop.rules import random
from clearprop.runs.state import State
from clearprop.train.batches import ArrayFeed, Batching, Block, BlockFeed, BucketFeed, Feed, native_loops, quick_order
from clearprop.train.executor import PAUSE_SECONDS, Ended, Executor, Pause, RunsAhead, add_batch, eager_executor
from clearprop.train.sharded_executor import sharded_executor
from clearprop.train.step import Step, identity_of, own_code

COPIED, SELDOM = 1e-3, 5
"""A state that takes longer to copy, in seconds, is handed out less often in that measure, down to so many times."""


def choose_executor(step: Step, key: NDArray[np.uint32]) -> Executor:
    """The executor of a step: it compiles the step when it first meets data, natively where possible.

    The random layers of step n use the key that belongs to n under `key`.  Threads that replay one run take turns: the
    native loop has one set of arrays.
    """
    return _Chosen(step, key)


class _Chosen:
    """The executor that suits the first data; it serves one thread at a time."""

    def __init__(self, step: Step, key: NDArray[np.uint32]) -> None:
        self._step, self._key = step, key
        self._turn = process_lock()  # a callback may replay in the thread that trains
        self._known: Executor | None = None
        self._around: FixedValues | None = None  # what code of the user's read when the step was compiled
        self._settled = self._told = False

    def __call__(self, state: State, feed: Feed, last: int | None, pause: Pause) -> tuple[State, bool]:
        """See `Executor`."""
        with self._turn, feed.turn:
            result = self._for(state, feed)(state, feed, last, pause)
            if self._around is not None and not self._settled:
                self._around.settle()
                self._settled = True
            return result

    def epochs(self, state: State, feed: Feed, most: int, ended: Ended) -> State:
        """See `RunsAhead`."""
        with self._turn, feed.turn:
            known = self._for(state, feed)
            goes_on = ended if self._around is None else lambda at: ended(at) and not self._changed()
            return known.epochs(state, feed, most, goes_on) if isinstance(known, RunsAhead) else state

    def _for(self, state: State, feed: Feed) -> Executor:
        if self._known is None or self._changed():
            of_user = isinstance(self._step, Step) and identity_of((self._step, state.model)) is None
            code = own_code(state.model, self._step.loss, *self._step.metrics) if of_user else None
            around = FixedValues(variables_around(code), arrays=True) if code else None
            compiled = _compile_for(self._step, self._key, state, feed)
            self._known = compiled or eager_executor(self._step, self._key)
            self._around, self._settled = around if compiled else None, False
        return self._known

    def _changed(self) -> bool:
        """Whether code of the user's reads something else by now, as a weight that a callback lowers; said once."""
        changed = self._around.changed() if self._around is not None else None
        if changed and not self._told:
            self._told = True
            warn_user(
                f"{changed}, which the network, the loss or a metric reads, is another one than before: the step is "
                "compiled anew for it. The run does not record it, and a replay takes what it holds then"
            )
        return changed is not None


def _compile_for(step: Step, key: NDArray[np.uint32], state: State, feed: Feed) -> Executor | None:
    """The executor that suits the data; None, said with the reason, where the step cannot be compiled."""
    if isinstance(step, Step) and step.shards > 1:
        return sharded_executor(step, key)
    obstacle = numba_obstacle()
    if obstacle is not None:
        warn_user(f"training runs on the NumPy executor: {obstacle}")
    try:
        if obstacle is None and isinstance(feed, ArrayFeed | BlockFeed) and not isinstance(feed, BucketFeed):
            loop = _native_loop(step, key, state, feed)
            if loop is not None:
                return _NativeEpochs(loop)
        return _compiled_steps(step, key, None if obstacle is None else "numpy")
    except TraceError as error:
        warn_user(f"the training step runs uncompiled: {error.headline}\n{error.where}")
        return None


def _native_loop(step: Step, key: NDArray[np.uint32], state: State, feed: ArrayFeed | BlockFeed) -> Any:
    """The loop, or None (said once, with the reason) where the step has no native form."""

    def body(carry: Any, x: Any, y: Any, *weight: Any) -> Any:
        model, optimizer, number = carry
        model, optimizer, loss, metrics = step(model, optimizer, x, y, random.fold_in(key, number), *weight)
        return (model, optimizer, number + 1), (loss, *metrics)

    carry = (state.model, state.optimizer, Node.tensor(np.array(state.step)))
    known_as = identity_of((step, state.model)) if isinstance(step, Step) else None
    options = {"trusted": True, "known_as": known_as, "given": (key,)}
    make = functools.partial(native_loops(), body, carry, list(feed.buffers), **options)
    loop = make() if known_as is not None else _without_draws(make, step, state.model)
    if loop.obstacle is not None:
        warn_user(f"training runs batch by batch, not as one native loop: {loop.obstacle}")
        return None
    return loop


def _without_draws(make: Callable[[], Any], step: Step, model: Any) -> Any:
    """The loop of a step with code of the user's.  Raises TraceError where that draws random numbers elsewhere."""
    loops = []

    def program() -> Any:
        loops.append(make())
        return loops[-1].lowered

    code = own_code(model, step.loss, *step.metrics)
    without_draws(program, "the network or the loss", AT_EVERY_STEP, code, seldom=True)
    return loops[0]


class _NativeEpochs:
    """Runs epochs of a native loop, pausing about every tenth of a second."""

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        self.held: State | None = None  # the state that the loop's arrays hold
        self.pace, self.copying = 0.0, 0.0  # seconds of a step, and of a state that is handed out
        self._ahead: _EpochsAhead | None = None

    def __call__(self, state: State, feed: Feed, last: int | None, pause: Pause) -> tuple[State, bool]:
        """Take the state through batches up to number `last`, or to the end of the epoch."""
        assert isinstance(feed, ArrayFeed | BlockFeed)  # the loop was made for it
        if not self._holds(state):
            self.loop.load((state.model, state.optimizer, np.array(state.step)))
        self.held = None  # until the end: an interrupt may come when the arrays have gone on
        stop = feed.count if last is None else min(last, feed.count)
        if state.batch < stop:
            for block in feed.blocks(state.epoch, state.batch, quick_order):
                state, paused = self._through(state, block, feed.batching, stop, pause)
                if paused or state.batch >= stop:
                    break
        else:
            self.loop.prepare(int(feed.batching.sizes(len(feed.buffers[0]), 0, 1)[0]))
        self.held = state
        return state, state.batch == feed.count

    def epochs(self, state: State, feed: Feed, most: int, ended: Ended) -> State:
        """See `RunsAhead`."""
        if not isinstance(feed, ArrayFeed) or not self.pace:
            return state
        most = min(most, int(PAUSE_SECONDS / (self.pace * feed.count)))
        if most < 2:
            return state
        if self._ahead is None or self._ahead.feed is not feed:
            self._ahead = _EpochsAhead(self.loop, feed)
        if not self._holds(state):
            self.loop.load((state.model, state.optimizer, np.array(state.step)))
        self.held = None  # until the end: an interrupt may come when the arrays have gone on
        self.held = self._ahead.run(state, most, ended, time.perf_counter() + PAUSE_SECONDS)
        return self.held

    def _holds(self, state: State) -> bool:
        """Whether the loop's arrays are at this state, which may have gone to the next epoch meanwhile."""
        held = self.held
        if held is None or held.step != state.step:
            return False
        return held.model is state.model and held.optimizer is state.optimizer

    def _through(self, state: State, block: Block, cut: Batching, stop: int, pause: Pause) -> tuple[State, bool]:
        """Take the state through the batches of a block, up to batch number `stop` of the epoch."""
        stop = min(stop, block.first + cut.count(len(block.order)))
        while state.batch < stop:
            state = self._advance(state, block, cut, min(stop, state.batch + self._chunk()))
            if pause(state):
                return state, True
        return state, False

    def _chunk(self) -> int:
        """Steps until the next pause, where the state is copied: a large one less often."""
        seconds = PAUSE_SECONDS * min(max(1.0, self.copying / COPIED), SELDOM)
        return max(1, int(seconds / self.pace)) if self.pace else 1

    def _advance(self, state: State, block: Block, cut: Batching, to: int) -> State:
        began = time.perf_counter()
        first, last = state.batch - block.first, to - block.first
        rows = cut.sizes(len(block.order), first, last)
        scalars = self._run(block.order, cut.size, first, last, int(rows[-1]))
        seconds = (time.perf_counter() - began) / (last - first)
        self.pace = min(self.pace, seconds) if self.pace else seconds if state.step else 0.0
        began = time.perf_counter()
        model, optimizer, _ = self.loop.carry()
        copying = time.perf_counter() - began
        self.copying = min(self.copying or copying, copying)
        step = state.step + last - first
        return State(model, optimizer, step, state.epoch, to, _add_batches(state.totals, rows, scalars))

    def _run(
        self, order: NDArray[np.int64], size: int, first: int, last: int, last_size: int
    ) -> Sequence[NDArray[Any]]:
        """The scalars of these batches.  A last one that a rest joined has a size of its own, so it runs by itself."""
        if last_size <= size:
            scalars: Sequence[NDArray[Any]] = self.loop.run(order, size, first, last)[1]
            return scalars
        runs = [(order, size, first, last - 1), (order[(last - 1) * size :], last_size, 0, 1)]
        found = [self.loop.run(*run)[1] for run in runs if run[2] < run[3]]
        return [np.concatenate(parts) for parts in zip(*found, strict=True)]


class _EpochsAhead:
    """Whole epochs of a native loop over arrays.  The orders of rows are those of the feed, in one memory."""

    def __init__(self, loop: Any, feed: ArrayFeed) -> None:
        self.loop, self.feed = loop, feed
        rows = len(feed.x)
        self._order: NDArray[np.int64] = np.arange(rows)
        self._orders: Any = None  # what draws them natively
        self._epochs = loop.whole_epochs(feed.batching.sizes(rows, 0, feed.count))

    def run(self, state: State, most: int, ended: Ended, until: float) -> State:
        """The state at the end of the last epoch: of so many, or of the first for which `ended` gives no, or too late.

        The loop holds the state at the beginning of an epoch.
        """
        if self.feed.shuffle and self._orders is None:
            self._orders = self.loop.orders(self.feed.key, len(self._order))
        order = self._order if self._orders is None else self._orders.order
        self._epochs.begin(order)
        model, optimizer, _ = self.loop.live
        count, last, at = self.feed.count, state.epoch + most - 1, state
        for epoch in range(state.epoch, state.epoch + most):
            self._draw(epoch)
            at = State(model, optimizer, at.step + count, epoch, count, self._epochs.run())
            if not ended(at) or epoch == last or time.perf_counter() > until:
                break
        model, optimizer, _ = self.loop.carry()
        return replace(at, model=model, optimizer=optimizer)

    def _draw(self, epoch: int) -> None:
        """Put the rows in the order of an epoch."""
        if self._orders is not None:
            self._orders([epoch])
        elif self.feed.shuffle:
            found = self.loop.order(self.feed.key, (epoch,), len(self._order))
            self._order[:] = self.feed.order(epoch) if found is None else found


def _add_batches(
    totals: tuple[float, ...], rows: NDArray[np.int64], scalars: Sequence[NDArray[Any]]
) -> tuple[float, ...]:
    """The totals after these batches: the same sums in the same order as one batch at a time."""
    sums = np.empty((1 + len(scalars), 1 + len(rows)))
    sums[:, 0] = totals or 0.0
    sums[0, 1:] = rows
    for own, scalar in zip(sums[1:, 1:], scalars, strict=True):
        np.multiply(rows, scalar, out=own, dtype=np.float64)
    return tuple(np.cumsum(sums, axis=1)[:, -1].tolist())


def _compiled_steps(step: Step, key: NDArray[np.uint32], executor: str | None) -> Executor:
    """One compiled call per batch, for batches that an iterable gives."""

    def one(model: Any, optimizer: Any, number: Any, x: Any, y: Any, *weight: Any) -> Any:
        return step(model, optimizer, x, y, random.fold_in(key, number), *weight)

    compiled = Compiled(one, (), (), executor)  # nothing is donated: the run's first state is replayed from

    def run(state: State, feed: Feed, last: int | None, pause: Pause) -> tuple[State, bool]:
        for x, y, *weight in feed.batches(state.epoch, state.batch):
            if state.batch == last:
                return state, False
            number = np.array(state.step)
            model, optimizer, loss, metrics = compiled(state.model, state.optimizer, number, x, y, *weight)
            totals = add_batch(state.totals, len(x), (raw(loss), *map(raw, metrics)))
            state = State(model, optimizer, state.step + 1, state.epoch, state.batch + 1, totals)
            if pause(state):
                return state, state.batch == feed.count
        return state, True

    return run
