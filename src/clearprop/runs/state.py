"""The state of a run between two steps: all that the next step depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


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
        return State(self.model, self.optimizer, self.step, self.epoch + 1)
