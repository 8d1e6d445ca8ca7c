"""Running the training step: the state of a run, and how steps take it forward.

The loop knows an `Executor` only by its signature; `choose_executor` is the one place that picks one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from clearprop.program.values import raw
from clearprop.rules import random
from clearprop.train.feeds import Feed
from clearprop.train.step import Step


@dataclass(frozen=True, eq=False)
class State:
    """Everything that the next step depends on, besides the data and the seed.

    `step` steps are done in all, `epoch` epochs are complete, and `batch` batches of the one that runs are done.
    `totals` are sums over the rows of those batches: their number, the losses, each metric.
    """

    model: Any
    optimizer: Any
    step: int = 0
    epoch: int = 0
    batch: int = 0
    totals: tuple[float, ...] = ()

    def next_epoch(self) -> State:
        """The state at the start of the following epoch."""
        return replace(self, epoch=self.epoch + 1, batch=0, totals=())


Pause: TypeAlias = Callable[[State], bool]
"""Called with the state after a step, or after a few; training pauses where it says True."""
Executor: TypeAlias = Callable[[State, Feed, int | None, Pause], tuple[State, bool]]
"""`executor(state, feed, last, pause) -> (state, finished)`.

It takes the state through the batches of its epoch, up to batch number `last` (None: all), calling `pause` about
every tenth of a second, or oftener.  `finished` says that the epoch has no further batch.  How often it pauses
changes no bit.
"""


def choose_executor(step: Step, key: NDArray[np.uint32]) -> Executor:
    """The executor for a step; the random layers of step n use the key that belongs to n under `key`."""
    from clearprop.train.native import compiled_executor

    return compiled_executor(step, key)


def eager_executor(step: Step, key: NDArray[np.uint32]) -> Executor:
    """Run the step as it is written, operation by operation; it pauses after every step."""

    def run(state: State, feed: Feed, last: int | None, pause: Pause) -> tuple[State, bool]:
        for x, y in feed.batches(state.epoch, state.batch):
            if state.batch == last:
                return state, False
            rng = random.fold_in(key, state.step)
            model, optimizer, loss, metrics = step(state.model, state.optimizer, x, y, rng)
            totals = added(state.totals, len(x), (loss, *metrics))
            state = State(model, optimizer, state.step + 1, state.epoch, state.batch + 1, totals)
            if pause(state):
                return state, state.batch == feed.count
        return state, True

    return run


def added(totals: tuple[float, ...], rows: int, means: tuple[Any, ...]) -> tuple[float, ...]:
    """The totals after a batch of `rows` rows with these means; sums are float64, in the order of the batches."""
    sums = (float(rows), *(rows * float(raw(mean)) for mean in means))
    return tuple(a + b for a, b in zip(totals, sums, strict=True)) if totals else sums
