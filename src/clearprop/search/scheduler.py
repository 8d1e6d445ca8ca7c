"""The trials of a sweep, done: handed out, collected, done again where workers died, stopped where time is up."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Any

from clearprop.data.training_data import Prepared
from clearprop.runs.events import Events
from clearprop.search.pools import MOST_LOSSES, Pool
from clearprop.search.shared_data import Shared
from clearprop.search.strategies import Request, Strategy
from clearprop.search.sweep_folder import SweepFolder
from clearprop.search.trial import Order, TrialOutcome, outcome_in, run_trial


@dataclass(frozen=True)
class Aim:
    """What all trials share: their data and settings, how they are judged, and how many threads each takes."""

    data: Shared[Prepared]
    asked: Mapping[str, Any]
    metric: str
    higher: bool
    threads: int


@dataclass
class Ended:
    """A trial so far: what varied in it, and how its last training ended."""

    request: Request
    outcome: TrialOutcome

    def cost(self, higher: bool) -> float:
        """Lower for a better one; infinite for one without a result."""
        value = self.outcome.value
        if value is None or not math.isfinite(value):
            return math.inf
        return -value if higher else value


@dataclass
class _Flight:
    request: Request
    losses: int = 0


@dataclass
class TrialScheduler:
    """Trials in progress: `ended` holds those that have ended, by their numbers."""

    strategy: Strategy
    pool: Pool
    folder: SweepFolder
    aim: Aim
    events: Events
    deadline: float = math.inf
    watch: Callable[[], object] = lambda: None
    ended: dict[int, Ended] = field(default_factory=dict)
    running: dict[Future[TrialOutcome], _Flight] = field(default_factory=dict)
    stopped_by: str | None = None
    _again: list[_Flight] = field(default_factory=list)

    def run(self) -> None:
        """Do all trials, or as many as the time allows.

        Ctrl-C once lets those that run save and stop; twice leaves at once.
        """
        self.folder.stop.unlink(missing_ok=True)
        try:
            self._until_done()
        except KeyboardInterrupt:
            self._stop("interrupted")
            self._until_done()

    def _until_done(self) -> None:
        while True:
            self._hand_out()
            if not self.running:
                return
            left = self.deadline - time.monotonic()
            done, _ = wait(self.running, timeout=max(0.0, min(left, 1.0)), return_when=FIRST_COMPLETED)
            for future in done:
                self._collect(future)
            self.watch()
            if self.stopped_by is None and time.monotonic() >= self.deadline:
                self._stop("time")

    def _stop(self, reason: str) -> None:
        """Ask those that run to save and stop; no other begins."""
        self.stopped_by = reason
        self.folder.stop.touch()

    # ------------------------------------------------------------------------------------------ handing out
    def _hand_out(self) -> None:
        """Give work to every worker that is free."""
        while self.stopped_by is None and len(self.running) < self.pool.size:
            flight = self._next_lost() if self._again else self._next_asked()
            if flight is None:
                return
            self._submit(flight)

    def _next_lost(self) -> _Flight | None:
        """A trial that was lost; one that was lost twice is alone, so that it takes no other one with it."""
        alone = self._again[0].losses > 1
        return None if self.running and alone else self._again.pop(0)

    def _next_asked(self) -> _Flight | None:
        """The next trial of the strategy that has not ended; None where there is none now."""
        if any(flight.losses > 1 for flight in self.running.values()):
            return None
        while (request := self.strategy.ask()) is not None:
            known = outcome_in(self.folder.trial(request.number), request, self.aim.metric)
            if known is None:
                self._tell(TrialOutcome(request.number, request.epochs, "begun"), request)
                return _Flight(request)
            self._note(request, known, told=False)  # by a sweep before this one, whose process ended
        return None

    def _submit(self, flight: _Flight) -> None:
        request, aim = flight.request, self.aim
        folder = str(self.folder.trial(request.number).resolve())
        stop = str(self.folder.stop.resolve())
        order = Order(request, aim.data, {**aim.asked, "metric": aim.metric}, folder, stop, aim.threads, os.getpid())
        self.running[self.pool.submit(run_trial, order)] = flight

    # ------------------------------------------------------------------------------------------- collecting
    def _collect(self, future: Future[TrialOutcome]) -> None:
        flight = self.running.pop(future, None)
        if flight is None:  # lost together with another one
            return
        problem = future.exception()
        if problem is not None:
            self._lose(flight, problem)
            return
        outcome = future.result()
        if outcome.status == "fault":
            raise RuntimeError(f"trial {outcome.number} failed by a fault of clearprop:\n{outcome.message}")
        if outcome.status == "interrupted":
            self._tell(outcome, flight.request)
            if self.stopped_by is None:  # somebody interrupted that worker alone
                self._again.append(flight)
            return
        self._note(flight.request, outcome)

    def _lose(self, flight: _Flight, problem: BaseException) -> None:
        """A worker has died: what it did, and what its companions did with it, is done again by new ones."""
        self.pool.renew()  # afterwards all that the old ones had to do has ended, one way or the other
        lost = [flight, *(self.running.pop(future) for future in list(self.running) if _is_broken(future))]
        for one in lost:
            one.losses += 1
            number, epochs = one.request.number, one.request.epochs
            message = f"a worker died ({type(problem).__name__})"
            if one.losses < MOST_LOSSES:
                self._tell(TrialOutcome(number, epochs, "lost", message=message), one.request)
                self._again.append(one)
            else:
                message = f"workers died {one.losses} times: has the memory run out?"
                self._note(one.request, TrialOutcome(number, epochs, "failed", message=message))

    def _note(self, request: Request, outcome: TrialOutcome, told: bool = True) -> None:
        ended = Ended(request, outcome)
        self.ended[request.number] = ended
        cost = ended.cost(self.aim.higher)
        self.strategy.tell(request, cost if math.isfinite(cost) else None)
        if told:
            self._tell(outcome, request)

    def _tell(self, outcome: TrialOutcome, request: Request) -> None:
        self.events.emit(
            "trial",
            step=None,
            epoch=outcome.trained or None,
            number=outcome.number,
            status=outcome.status,
            settings=dict(request.settings),
            epochs=outcome.epochs,
            metric=self.aim.metric,
            value=outcome.value,
            best_epoch=outcome.best_epoch,
            validation=outcome.validation,
            seconds=round(outcome.seconds, 3),
            folder=str(self.folder.trial(outcome.number)),
            message=outcome.message,
        )

    def ranked(self) -> list[Ended]:
        """The trials that have a result, the best first: those trained longest, then by their result, then by number.

        With halving, trials that were left behind early have seen fewer epochs, and are not compared with the others.
        """
        known = [e for e in self.ended.values() if math.isfinite(e.cost(self.aim.higher))]
        return sorted(known, key=lambda e: (-(e.request.epochs or 0), e.cost(self.aim.higher), e.request.number))


def _is_broken(future: Future[Any]) -> bool:
    """Whether a process pool that broke has ended the future too."""
    return future.done() and not future.cancelled() and future.exception() is not None
