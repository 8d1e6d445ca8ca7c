"""The training loop: epochs, validation, the best epoch, patience, checkpoints, interruption."""

from __future__ import annotations

import math
import operator
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np

from clearprop.autodiff.trees import flatten, unflatten
from clearprop.data.parts import Part
from clearprop.data.training_data import Prepared
from clearprop.errors import RunError
from clearprop.program.values import Node, raw
from clearprop.runs.checkpoints import Best, Keys, Standing, checkpoint_steps, remove_old, save_checkpoint
from clearprop.runs.events import Event, Events, Subscriber, listed_functions
from clearprop.runs.folder import HistoryWriter, RunFolder
from clearprop.runs.settings import Settings
from clearprop.runs.state import State
from clearprop.train.batches import Feed
from clearprop.train.evaluation import evaluate_part
from clearprop.train.executor import Executor, RunsAhead
from clearprop.train.interrupts import Interrupts
from clearprop.train.metrics import Measure

_T = TypeVar("_T")
STOP = "stop"
"""What a callback returns to end the training after this epoch."""
SHARE_OF_SAVING = 20
"""Between two checkpoints of finished epochs, training takes at least this many times as long as saving took."""

Callback: TypeAlias = Callable[[Event, State], object]
"""`callback(event, state)`: called with every event; it may return "stop".

Where all have an attribute `only_looks` that is true, a state's arrays may change when the call is over.
"""
Tick: TypeAlias = Callable[[State], object]
"""Called with the state every now and then within an epoch: for displays."""


def as_callbacks(callbacks: Any) -> tuple[Callback, ...]:
    """The functions.  Raises ArgumentError for anything else."""
    return listed_functions(callbacks, "event, state")


class Decide(Protocol):
    """`decide(f)` is f(), found by the first of the processes that train together."""

    def __call__(self, decide: Callable[[], _T], /) -> _T:
        """The value, on every process."""


decide_alone: Decide = operator.call
"""A decision of a training on one process: whatever `f()` is."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What a run does, fixed before its first step.

    `shown(state)` is the model to evaluate and to keep; `by_batch` are the metrics that the executor totals; what the
    clock, a signal or a callback settles is asked of `decide`.
    """

    settings: Settings
    feed: Feed
    executor: Executor
    shown: Callable[[State], Any]
    loss: Measure
    metrics: Sequence[Measure]
    data: Prepared
    keys: Keys
    callbacks: Sequence[Callback] = ()
    tick: Tick | None = None
    checkpoint_seconds: float = 10.0
    decide: Decide = decide_alone

    def judged_by(self, validation: Mapping[str, float]) -> float:
        """What is lower for a better epoch: the validation loss, or the metric in its place."""
        name = self.settings.metric
        higher = any(metric.name == name and metric.higher for metric in self.metrics)
        return -validation[name] if higher else validation[name]

    @property
    def validation(self) -> Part | None:
        """The rows that choose the best epoch."""
        return self.data.validation

    @property
    def may_run_ahead(self) -> bool:
        """Whether nobody keeps the state between two epochs, so that several may be taken at once."""
        kept = any(not getattr(callback, "only_looks", False) for callback in self.callbacks)
        return not kept and self.checkpoint_seconds > 0 and self.decide is decide_alone

    @property
    def by_batch(self) -> list[Measure]:
        """The metrics that are measured on every batch."""
        return [metric for metric in self.metrics if metric.by_batch]


class Loop:
    """One run in progress.  `standing` is replaced whole, so that an interruption finds it consistent."""

    def __init__(
        self, plan: Plan, standing: Standing, history: list[Event], events: Events, folder: RunFolder | None
    ) -> None:
        self.plan, self.standing, self.history, self.events, self.folder = plan, standing, history, events, folder
        self.state = standing.state
        self.stopped_by: str | None = None
        self.status = "running"
        self._asked_to_stop = False
        self._runs_ahead = plan.may_run_ahead
        self._measured = ["loss", *(metric.name for metric in plan.by_batch)]
        self._process = os.getpid()
        self._started = time.perf_counter() - standing.seconds
        self._saved_at, self._saving_took = time.perf_counter(), 0.0
        self._writer = None if folder is None else HistoryWriter(folder.history_file)
        self._subscribers: list[Subscriber] = [*([] if self._writer is None else [self._writer]), self._call_back]
        for subscriber in self._subscribers:
            events.subscribe(subscriber)
        events.catch_up(self._call_back)

    def unsubscribe(self) -> None:
        """Hear of nothing more: the stream is the caller's, and would keep all that this run holds."""
        while self._subscribers:
            self.events.unsubscribe(self._subscribers.pop())

    # -------------------------------------------------------------------------------------------- running
    def run(self) -> None:
        """Train until the epochs are done, patience ends, a callback says stop, or Ctrl-C asks to."""
        if self.folder is not None and not checkpoint_steps(self.folder.checkpoints):
            self._save("start")
        with Interrupts() as interrupts, self._writer or nullcontext():
            try:
                while self.status == "running":
                    self._epoch(interrupts)
            except KeyboardInterrupt:
                if interrupts.asked:
                    raise
                self._interrupted()

    def _epoch(self, interrupts: Interrupts) -> None:
        if self._is_over():
            return
        if not self._several(interrupts):
            self._through_batches(interrupts)
        if self.status == "running" and self.plan.decide(lambda: interrupts.asked):
            self._interrupted()

    def _through_batches(self, interrupts: Interrupts) -> None:
        """Take the epoch on until it ends, or a pause is asked for."""
        state, finished = self.plan.executor(self.state, self.plan.feed, None, lambda s: self._pause(s, interrupts))
        self.state = state
        if not all(map(math.isfinite, state.totals)):
            self._diverged(state)
        elif finished:
            self._end_epoch(state)
            self._save_if_due()

    def _several(self, interrupts: Interrupts) -> bool:
        """Take as many epochs at once as nobody looks into before they are over; whether there were any."""
        plan, before, known = self.plan, self.standing, len(self.history)
        reached = before.state.step
        if self.state.batch or not self._runs_ahead or not isinstance(plan.executor, RunsAhead):
            return False

        def ended(state: State) -> bool:
            nonlocal reached
            self._runs_ahead = all(map(math.isfinite, state.totals))
            if self._runs_ahead:
                self.state, reached = state, state.step
                self._close_ahead(state)
            return self._runs_ahead and not (self._asked_to_stop or self._has_waited or interrupts.asked)

        try:
            state = plan.executor.epochs(before.state, plan.feed, plan.settings.epochs - before.state.epoch, ended)
        except BaseException:  # the states in between are gone
            self.standing, self.state = before, before.state
            del self.history[known:]
            raise
        if state is before.state:
            return False
        # an epoch that went wrong is taken again by itself, from the end of the one before
        state = state.next_epoch() if self._runs_ahead else replay_steps(plan, before.state, reached)
        self.state = state
        if plan.validation is None:
            self.standing, _ = self._judged(state, plan.shown(state), None)
        else:  # judged epoch by epoch, but with states that are gone
            self.standing = replace(self.standing, state=state)
        if plan.tick is not None:
            plan.tick(state)
        self._save_if_due()
        return True

    def _pause(self, state: State, interrupts: Interrupts) -> bool:
        self.state = state
        if self.plan.tick is not None:
            self.plan.tick(state)
        return interrupts.asked or not math.isfinite(state.totals[1])

    def _is_over(self) -> bool:
        settings, standing = self.plan.settings, self.standing
        if self.plan.decide(lambda: self._asked_to_stop):
            self._stop("callback", "a callback asked to stop")
        elif self._has_waited:
            best = standing.best.epoch if standing.best else 0
            self._stop(
                "patience", f"no better validation {settings.metric} for {standing.waited} epochs (best: epoch {best})"
            )
        elif self.state.epoch >= settings.epochs:
            self.status, self.stopped_by = "done", "epochs"
        return self.status != "running"

    @property
    def _has_waited(self) -> bool:
        """Whether patience is at its end."""
        patience = self.plan.settings.patience
        return patience is not None and self.standing.waited >= patience

    def _stop(self, reason: str, message: str) -> None:
        self.status, self.stopped_by = "done", reason
        self.events.emit("stop", step=self.state.step, epoch=self.state.epoch, reason=reason, message=message)

    # ----------------------------------------------------------------------------------------- epoch's end
    def _end_epoch(self, state: State) -> None:
        self.standing = self._close(state)
        self.state = self.standing.state

    def _close_ahead(self, state: State) -> None:
        """Close an epoch after which the arrays of its state change; of the best one the network is kept."""
        if self.plan.validation is None:
            seconds = time.perf_counter() - self._started
            self._tell_epoch(state.step, state.epoch + 1, state.totals, None, True, seconds)
            return
        known, standing = self.standing.best, self._close(state)
        best = standing.best
        if best is not None and best is not known:
            standing = replace(standing, best=replace(best, model=_with_own_arrays(best.model)))
        self.standing = standing

    def _close(self, state: State) -> Standing:
        """Judge the network at the end of an epoch, and tell how it went; the standing after it."""
        plan, totals, state = self.plan, state.totals, state.next_epoch()
        shown = plan.shown(state)
        held = plan.validation
        weight = plan.data.weights.get("validation")
        validation = None
        if held is not None:
            validation = plan.decide(lambda: evaluate_part(shown, held, plan.loss, plan.metrics, weight))
        standing, improved = self._judged(state, shown, validation)
        self._tell_epoch(state.step, state.epoch, totals, validation, improved, standing.seconds)
        return standing

    def _tell_epoch(
        self,
        step: int,
        epoch: int,
        totals: Sequence[float],
        validation: Mapping[str, float] | None,
        best: bool,
        seconds: float,
    ) -> None:
        rows, *sums = totals
        train = {name: total / rows for name, total in zip(self._measured, sums, strict=True)}
        told = self.events.emit(
            "epoch",
            step=step,
            epoch=epoch,
            epochs=self.plan.settings.epochs,
            train=train,
            validation=validation,
            best=best,
            seconds=round(seconds, 3),
        )
        self.history.append(told)

    def _judged(self, state: State, shown: Any, validation: dict[str, float] | None) -> tuple[Standing, bool]:
        """The standing after an epoch, and whether it is the best one.  Without validation the last is the best."""
        old = replace(self.standing, state=state, seconds=time.perf_counter() - self._started)
        if validation is None:
            return replace(old, best=Best(shown, state.epoch, state.step, None)), True
        loss = self.plan.judged_by(validation)
        reference = math.inf if old.reference is None else old.reference
        if loss < reference - self.plan.settings.min_delta:
            old = replace(old, reference=loss, waited=0)
        else:
            old = replace(old, waited=old.waited + 1)
        known = math.inf if old.best is None or old.best.loss is None else old.best.loss
        if loss < known:
            return replace(old, best=Best(shown, state.epoch, state.step, loss)), True
        return old, False

    # ----------------------------------------------------------------------------------- saving, stopping
    def _interrupted(self) -> None:
        self.status = self.stopped_by = "interrupted"
        seconds = time.perf_counter() - self._started
        self.standing = replace(self.standing, state=self.state, seconds=seconds)
        self._save("interrupted")
        where = f"epoch {self.state.epoch + 1}" if self.state.batch else f"the start of epoch {self.state.epoch + 1}"
        message = f"interrupted after step {self.state.step}, in {where}"
        self.events.emit("stop", step=self.state.step, epoch=self.state.epoch, reason="interrupted", message=message)

    def _diverged(self, state: State) -> None:
        self.status = self.stopped_by = "diverged"
        self.events.emit(
            "warning",
            step=state.step,
            epoch=state.epoch,
            message=f"the loss is no longer finite in epoch {state.epoch + 1}, at step {state.step}: "
            "try a smaller learning rate, or clip the gradients",
        )
        self.events.emit(
            "stop", step=state.step, epoch=state.epoch, reason="diverged", message="the loss is no longer finite"
        )

    def finish(self) -> None:
        """Save the last state of a run that came to its end."""
        if self.status == "done":
            self.standing = replace(self.standing, seconds=time.perf_counter() - self._started)
            self._save("end")

    def _save_if_due(self) -> None:
        wanted = self.plan.checkpoint_seconds
        due = wanted and max(wanted, SHARE_OF_SAVING * self._saving_took)
        if time.perf_counter() - self._saved_at >= due:
            self._save("epoch")

    def _save(self, reason: str) -> None:
        if self.folder is None:
            return
        self._require_own_process(self.folder)
        began = time.perf_counter()
        state = self.standing.state
        path = self.folder.checkpoints / str(state.step)
        # the history must not be shorter than a checkpoint that is found after a loss of power
        after = self.folder.begun if reason == "start" else [self.folder.history_file]
        size = save_checkpoint(path, self.standing, self.plan.keys, after)
        remove_old(self.folder.checkpoints)
        self._saved_at = time.perf_counter()
        self._saving_took = self._saved_at - began
        self.events.emit("checkpoint", step=state.step, epoch=state.epoch, path=str(path), bytes=size, reason=reason)

    def _call_back(self, event: Event) -> None:
        for callback in self.plan.callbacks:
            if callback(event, self.state) == STOP:
                self._asked_to_stop = True
        if self.folder is not None:
            self._require_own_process(self.folder)

    def _require_own_process(self, folder: RunFolder) -> None:
        """Raise RunError in a child that a callback forked: what it wrote would stand between its parent's lines."""
        if os.getpid() != self._process:
            raise RunError(
                "this run is trained by the process that forked this one",
                expected="a run folder that one process writes",
                got="a child of a fork that goes on with the training",
                where=str(folder.path),
                try_="end the child with os._exit, or start it with multiprocessing's spawn",
            )

    @property
    def seconds(self) -> float:
        """The time that training has taken, over all sessions."""
        return time.perf_counter() - self._started


def _with_own_arrays(model: Any) -> Any:
    """A network with arrays that nobody else writes."""
    leaves, structure = flatten(model)
    copies = (np.array(raw(leaf)) for leaf in leaves)
    return unflatten(structure, [Node.tensor(a if a.ndim else a[()]) for a in copies])


def replay_steps(plan: Plan, state: State, step: int) -> State:
    """The state after step number `step`, from an earlier state: the same steps again, without validation.

    Raises RunError if the data end before that step.
    """
    while state.step < step:
        before = state.step
        last = state.batch + step - state.step
        state, finished = plan.executor(state, plan.feed, last, lambda _: False)
        if state.step == before and not state.batch:
            raise RunError("the data end before that step", expected=f"step {step}", got=f"step {before}")
        if finished or state.batch == plan.feed.count:
            state = state.next_epoch()
    return state
