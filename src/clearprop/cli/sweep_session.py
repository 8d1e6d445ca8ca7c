"""What `clearprop sweep` does: options to a sweep, the sweep done, the outcome told."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from clearprop.cli.console import messages, output, print_json, say
from clearprop.cli.exit_codes import DONE, INTERRUPTED, MISTAKE
from clearprop.cli.sweep_display import SweepDisplay, trials_table
from clearprop.compiler import thread_count
from clearprop.errors import ArgumentError, ClearpropError
from clearprop.files.presence import require_free
from clearprop.runs.events import Events, measure_text
from clearprop.runs.settings import option_of
from clearprop.search.pools import pool_for, require_workers
from clearprop.search.slurm import require_array, write_array
from clearprop.search.space import split_texts
from clearprop.search.sweep_folder import SweepFolder
from clearprop.search.sweeping import (
    Sweep,
    SweepPlan,
    conduct,
    new_plan,
    place_for,
    stored_plan,
    train_one,
)
from clearprop.search.time_limit import read_time
from clearprop.search.trial import ENDED

ARRAY = "slurm-array"
"""The place that is a script for Slurm."""


class SweepSession:
    """One call of `clearprop sweep`; a mistake is an event too where events are printed."""

    def __init__(self, *, json: bool, on: str | None, time: str | None, resume: Path | None) -> None:
        self.json, self.on, self.time = json, on or "local", time
        self._where = str(resume) if resume is not None else ""

    def start(
        self,
        given: Mapping[str, Any],
        *,
        texts: Sequence[str],
        search: str,
        trials: int,
        threads: str,
        out: Path | None,
        trial: int | None,
    ) -> int:
        """A new sweep."""
        with _mistakes_as_events(self.json):
            if trial is not None:
                raise _needs_resume()
            limit = read_time(self.time)
            space = _once_each(texts)
            count = thread_count(threads, "--threads")
            settings = {name: value for name, value in given.items() if name != "data"}
            with self._reading(given.get("data")):
                plan = new_plan(given.get("data"), space, settings, search=search, trials=trials, threads=count)
            place = place_for(out, plan.config.data)
            require_free(place)
            if self.on == ARRAY:
                return self._write_array(plan, place)
            return self._conduct(plan, limit, lambda: SweepFolder.make(place, plan.config))

    def go_on(self, resume: Path, own: Sequence[str], given: Mapping[str, Any], trial: int | None) -> int:
        """A sweep that goes on, or one trial of it."""
        with _mistakes_as_events(self.json):
            other = [*own, *map(option_of, given)]
            if other:
                raise ArgumentError(
                    "a sweep that goes on keeps its settings",
                    expected="--resume with at most --on, --time, --trial and --json",
                    got=", ".join(other),
                    where=f"--resume {resume}",
                    try_=f"clearprop sweep --resume {resume}, or a new sweep with {other[0]}",
                )
            limit = read_time(self.time)
            folder = SweepFolder(resume)
            with self._reading(folder.config().data):
                plan = stored_plan(folder)
            if trial is not None:
                return self._train_one(folder, plan, trial)
            if self.on == ARRAY:
                return self._write_array(plan, folder.path, folder)
            return self._conduct(plan, limit, lambda: folder)

    # ------------------------------------------------------------------------------------------ what is done
    def _reading(self, data: str | None) -> Any:
        return nullcontext() if self.json or data is None else messages().status(f"{data} is read")

    def _conduct(self, plan: SweepPlan, limit: float, folder: Any) -> int:
        config = plan.config
        pool = pool_for(self.on)
        try:
            require_workers(pool)
            names = list(config.space)
            display = SweepDisplay(messages(), names, config.metric, plan.most, plan.higher)
            callbacks = [print_json] if self.json else [display]
            opened = folder()
            with nullcontext() if self.json else display:
                found = conduct(opened, plan, pool, callbacks, limit)
        finally:
            pool.close()
        if not self.json:
            _tell(found, plan, opened)
        if found.choice is None and found.stopped_by is None:
            raise ArgumentError(
                "no trial came to a result",
                expected="a trial that does not diverge",
                got=f"{len(found.trials)} trials that diverged or failed",
                where=str(found.folder),
                try_="lower rates, or --optimizer adam",
            )
        return INTERRUPTED if found.stopped_by == "interrupted" else DONE

    def _write_array(self, plan: SweepPlan, place: Path, folder: SweepFolder | None = None) -> int:
        require_array(plan.config.search)
        folder = SweepFolder.make(place, plan.config) if folder is None else folder
        start = write_array(folder, plan.most, plan.config.threads)
        say(output(), f"{plan.most} trials, as a job array: {start}")
        say(output(), f"once they have ended: clearprop sweep --resume {folder.path}")
        return DONE

    def _train_one(self, folder: SweepFolder, plan: SweepPlan, number: int) -> int:
        require_array(plan.config.search)
        found = train_one(folder, plan, number, os.getpid())
        told = f": {found.message}" if found.message else ""
        metric = plan.config.metric
        value = "" if found.value is None else f", validation {metric} {measure_text(metric, found.value)}"
        say(output(), f"trial {number} {found.status}{value}{told}, in {folder.trial(number)}")
        return DONE if found.status in ("done", "diverged") else MISTAKE


class _mistakes_as_events:
    """A user's mistake within the block is an event on stdout, too, where events are printed."""

    def __init__(self, json: bool) -> None:
        self.json = json

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, problem: BaseException | None, _trace: object) -> None:
        if self.json and isinstance(problem, ClearpropError):
            Events([print_json]).error(problem)


def _once_each(texts: Sequence[str]) -> dict[str, str]:
    """The space as a mapping.  Raises ArgumentError for a name that comes twice."""
    space: dict[str, str] = {}
    for name, values in split_texts(texts):
        if name in space:
            raise ArgumentError(
                f"{name} varies twice",
                expected="--set once for every setting",
                got=f"--set {name}={space[name]} and --set {name}={values}",
                where=f"--set {name}",
                try_=f"--set '{name}={space[name]};{values}'",
            )
        space[name] = values
    return space


def _tell(found: Sweep, plan: SweepPlan, folder: SweepFolder) -> None:
    console = output()
    ended = [e for e in folder.trial_events() if e["status"] in ENDED]
    newest = {event["number"]: event for event in ended}
    if newest:
        console.print(trials_table(list(newest.values()), list(plan.config.space), plan.config.metric, plan.higher))
        console.print()
    for sentence in found.choice.sentences() if found.choice is not None else ():
        say(console, sentence)
    console.print()
    if found.stopped_by is not None:
        reason = "its time was up" if found.stopped_by == "time" else "interrupted"
        say(console, f"stopped, {reason}; clearprop sweep --resume {found.folder} goes on from there")
    best = "" if found.choice is None else f"; next: clearprop report {found.choice.folder}"
    say(console, f"the trials are in {folder.page}{best}")


def _needs_resume() -> ArgumentError:
    return ArgumentError(
        "a trial alone is of a sweep that exists",
        expected="--resume SWEEP --trial N",
        got="--trial without --resume",
        where="--trial",
        try_="clearprop sweep … --on slurm-array, whose script does it",
    )
