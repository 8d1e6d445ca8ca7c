"""The ranks of one machine, which share its disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from clearprop.distributed.outcomes import RankOutcome, outcome_of

_T = TypeVar("_T")
BEAT_SECONDS = 1.0
"""While the first rank works alone, it says so no oftener than this."""


class Settle(Protocol):
    """`settle(outcome)` is what was found, or raises the mistake."""

    def __call__(self, outcome: RankOutcome[_T], /) -> _T:
        """What was found."""


class Machine:
    """The ranks of one machine: what `data.streaming.sharers.Sharers` asks of those who make a table ready.

    `wind` winds up the guard against ranks that hang, `settle` raises a mistake of which all of them know.
    """

    def __init__(self, comm: Any, wind: Callable[[], object], settle: Settle) -> None:
        self.comm, self.rank, self.size = comm, comm.Get_rank(), comm.Get_size()
        self._wind, self._settle = wind, settle
        self._leads, self._told = False, 0.0

    def lead(self, decide: Callable[[], _T]) -> _T:
        """What the first of them finds; an error of ours that it raises is raised by all.

        However long that takes, nobody gives up as long as `beat` is called.
        """
        self._wind()
        if self.rank == 0:
            self._leads, self._told = self.size > 1, time.monotonic()
            try:
                outcome: RankOutcome[_T] | None = outcome_of(decide)
            finally:
                self._leads = False
            self.comm.bcast(outcome, root=0)
        else:
            while (outcome := self.comm.bcast(None, root=0)) is None:
                self._wind()
        assert outcome is not None
        return self._settle(outcome)

    def each(self, work: Callable[[], _T]) -> list[_T]:
        """What every one finds, in their order; the first error of ours is raised by all."""
        self._wind()
        found: list[RankOutcome[_T]] = self.comm.allgather(outcome_of(work))
        self._wind()
        first = next((outcome for outcome in found if outcome.mistake is not None), None)
        if first is not None:
            self._settle(first)
        return [self._settle(outcome) for outcome in found]

    def beat(self) -> None:
        """Say that work goes on; those who wait for what the first finds wind up their guard, too."""
        self._wind()
        now = time.monotonic()
        if self._leads and now - self._told >= BEAT_SECONDS:
            self.comm.bcast(None, root=0)
            self._told = now
