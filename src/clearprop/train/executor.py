"""Running the training step: how steps take the state of a run forward.

The loop knows an `Executor` only by its signature; `compiled_executor.choose_executor` is the one place that picks one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from clearprop.program.values import raw
from clearprop.rules import random
from clearprop.runs.state import State
from clearprop.train.batches import Feed
from clearprop.train.step import Step

PAUSE_SECONDS = 0.1
"""About how long steps are taken between two looks at the clock, by executors that do not pause after each."""
Pause: TypeAlias = Callable[[State], bool]
"""Called with the state after a step, or after a few; training pauses where it says True."""
Executor: TypeAlias = Callable[[State, Feed, int | None, Pause], tuple[State, bool]]
"""`executor(state, feed, last, pause) -> (state, finished)`.

It takes the state through the batches of its epoch, up to batch number `last` (None: all), calling `pause` about
every tenth of a second, or oftener; where the state is large, up to half a second.  Where no batch is left before
`last`, the step is only made ready: compiled.  `finished` says that the epoch has no further batch.  How often it
pauses changes no bit.
"""

Ended: TypeAlias = Callable[[State], bool]
"""Called with the state at the end of an epoch, whose arrays change when it returns; whether another epoch begins."""


@runtime_checkable
class RunsAhead(Protocol):
    """An executor that takes several epochs at a time, which costs less than one after another."""

    def __call__(self, state: State, feed: Feed, last: int | None, pause: Pause) -> tuple[State, bool]:
        """See `Executor`."""
        ...

    def epochs(self, state: State, feed: Feed, most: int, ended: Ended) -> State:
        """The state at the end of the last of several whole epochs, at most so many; the same state where none began.

        They take a tenth of a second at most.  After each `ended` is called.
        """
        ...


def eager_executor(step: Step, key: NDArray[np.uint32]) -> Executor:
    """Run the step as it is written, operation by operation; it pauses after every step."""

    def run(state: State, feed: Feed, last: int | None, pause: Pause) -> tuple[State, bool]:
        for x, y, *weight in feed.batches(state.epoch, state.batch):
            if state.batch == last:
                return state, False
            rng = random.fold_in(key, state.step)
            model, optimizer, loss, metrics = step(state.model, state.optimizer, x, y, rng, *weight)
            totals = add_batch(state.totals, len(x), (loss, *metrics))
            state = State(model, optimizer, state.step + 1, state.epoch, state.batch + 1, totals)
            if pause(state):
                return state, state.batch == feed.count
        return state, True

    return run


def add_batch(totals: tuple[float, ...], rows: int, means: tuple[Any, ...]) -> tuple[float, ...]:
    """The totals after a batch of `rows` rows with these means; sums are float64, in the order of the batches."""
    sums = (float(rows), *(rows * float(raw(mean)) for mean in means))
    return tuple(a + b for a, b in zip(totals, sums, strict=True)) if totals else sums
