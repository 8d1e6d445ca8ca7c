"""One trial of a sweep: an ordinary run in a folder of its own, made or gone on with, and what came of it."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clearprop.compiler import get_threads, set_threads
from clearprop.data.training_data import Prepared
from clearprop.errors import ClearpropError
from clearprop.runs.events import Event, is_measure
from clearprop.runs.folder import RunFolder
from clearprop.runs.settings import Settings
from clearprop.runs.state import State
from clearprop.search.shared_data import Shared
from clearprop.search.strategies import Request
from clearprop.train import AUTO, Job, TrainingInterrupted, job_for, tested_rate, train, with_defaults

ENDED = ("done", "diverged", "failed")
"""How a trial can have ended; one that was `interrupted` goes on with the sweep."""


@dataclass(frozen=True)
class TrialOutcome:
    """What came of a training: `value` is that of the metric on the validation rows, at the best epoch.

    `status` is done, diverged, interrupted, failed (`message` says why) or fault (it holds the traceback).
    """

    number: int
    epochs: int | None
    status: str
    value: float | None = None
    best_epoch: int | None = None
    validation: Mapping[str, Any] | None = None
    trained: int = 0
    seconds: float = 0.0
    message: str = ""


@dataclass(frozen=True)
class Order:
    """All that a process needs to train one trial.

    request   which one, and up to which epoch
    data      where the data are
    asked     the settings that were asked for, those that vary among them
    folder    of the run; one that is there goes on
    stop      a file: once it is there, the trial saves after its epoch, and stops
    threads   so many for the training
    home      the process of the sweep, whose threads are its own affair
    """

    request: Request
    data: Shared[Prepared]
    asked: Mapping[str, Any]
    folder: str
    stop: str
    threads: int
    home: int


def run_trial(order: Order) -> TrialOutcome:
    """Train the trial that was ordered, in any process; whatever happens is an outcome."""
    request = order.request
    if os.getpid() != order.home and get_threads() != order.threads:
        set_threads(order.threads)
    try:
        data = order.data.open()
        train(_trial_job(order, data))
    except TrainingInterrupted:
        return TrialOutcome(request.number, request.epochs, "interrupted")
    except ClearpropError as problem:
        return TrialOutcome(request.number, request.epochs, "failed", message=problem.headline)
    except MemoryError:
        return TrialOutcome(request.number, request.epochs, "failed", message="there was not enough memory")
    except Exception:
        return TrialOutcome(request.number, request.epochs, "fault", message=traceback.format_exc())
    found = outcome_in(Path(order.folder), request, str(order.asked["metric"]))
    return found or TrialOutcome(request.number, request.epochs, "interrupted")


def _trial_job(order: Order, data: Prepared) -> Job:
    """The job of the trial: it leaves the test part alone, which is for the one that is chosen."""
    folder = Path(order.folder)
    begun = (folder / "config.json").is_file()
    settings = settings_of(order.asked, order.request, data)
    return job_for(
        data,
        settings,
        out=None if begun else folder,
        resume=folder if begun else None,
        callbacks=(stopping_at(Path(order.stop)),),
        command=None if settings.data is None else settings.options(),
        baseline=False,
        tested=False,
    )


def settings_of(asked: Mapping[str, Any], request: Request, data: Prepared) -> Settings:
    """The settings of a trial, with what suits the data where nothing was asked for."""
    settings = with_defaults({**asked, **request.settings}, data)
    if settings.lr == AUTO:
        settings = replace(settings, lr=tested_rate(settings, data).suggestion)
    return settings if request.epochs is None else replace(settings, epochs=request.epochs)


def stopping_at(file: Path) -> Callable[[Event, State], None]:
    """A callback that saves and stops the training after the epoch in which the file has appeared."""

    def stop(event: Event, _: State) -> None:
        if event["event"] == "epoch" and file.exists():
            raise KeyboardInterrupt  # as if it came from the keyboard: the training saves, and can be resumed

    return stop


def outcome_in(folder: Path, request: Request, metric: str) -> TrialOutcome | None:
    """What a run folder says of a training that has ended; None where it has not, or there is none.

    One that was trained on to more epochs tells how it stood at those of the request.  Raises RunError for a folder
    that cannot be trusted.
    """
    if not (folder / "config.json").is_file():
        return None
    run = RunFolder(folder)
    summary, history, limit = run.summary(), run.history(), run.config().settings.epochs
    wanted = limit if request.epochs is None else request.epochs
    further = limit > wanted
    if limit < wanted or summary is None or (not further and summary.status not in ENDED):
        return None
    status = "done" if further else summary.status
    epochs = history[:wanted]
    best = _best_epoch(epochs, metric)
    seconds = float(epochs[-1]["seconds"]) if epochs else summary.seconds
    if best is None:
        return TrialOutcome(request.number, request.epochs, "diverged", trained=len(epochs), seconds=seconds)
    value = float(best["validation"][metric]) if status == "done" else None
    return TrialOutcome(
        request.number, request.epochs, status, value, best["epoch"], best["validation"], len(epochs), seconds
    )


def _best_epoch(epochs: Sequence[Event], metric: str) -> Event | None:
    """The last epoch that was the best so far; None where the metric was never a number."""
    known = [e for e in epochs if e["best"] and is_measure((e["validation"] or {}).get(metric))]
    return known[-1] if known else None
