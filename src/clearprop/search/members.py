"""`cl.ensemble`: networks of one table, each with other rows to validate, whose answers are averaged.

A folder of ordinary runs, `1`, `2`, …, which is a run folder itself once they have ended.  Member k is the run of
`clearprop train DATA --member k`: the first is the run without an ensemble, and what is known of a run (steps,
gradients, updates, replays) is known of every member.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clearprop.data.parts import SplitTable, split_table
from clearprop.data.readers.reading import READING, Reading
from clearprop.data.table import Table, load_table, path_of
from clearprop.data.training_data import Prepared, from_members, from_parts
from clearprop.errors import ArgumentError, checked_call, unknown_name, user_line
from clearprop.files.atomic import as_path
from clearprop.files.folder_lock import hold_folder
from clearprop.files.presence import start_folder
from clearprop.files.strict_json import checked_value, read_json, require_keys
from clearprop.nn.losses import task_under
from clearprop.runs.asked_settings import settings_from
from clearprop.runs.events import Events, Subscriber, listed_functions
from clearprop.runs.folder import MANIFEST, RunFolder
from clearprop.runs.settings import OPTIONS, default_of
from clearprop.search.time_limit import read_time
from clearprop.train import (
    AUTO,
    Run,
    TrainingInterrupted,
    command_of,
    job_for,
    load,
    settled_table,
    tested_rate,
    train,
    with_defaults,
)
from clearprop.train.ensembles import encoding_of, join_runs

FORMAT = 1
MOST = 1000
"""So many members at most."""


@dataclass(frozen=True)
class Extent:
    """How many members there are to be: `members` of them, or as many as end within `time` seconds, at least one."""

    members: int | None
    time: float | None

    @classmethod
    def asked(cls, members: Any, time: Any) -> Extent:
        """What was asked for: a whole number, and seconds or a text.  Raises ArgumentError for anything else.

        >>> Extent.asked(None, "5m"), Extent.asked(3, None)
        (Extent(members=None, time=300.0), Extent(members=3, time=None))
        """
        if members is not None and (
            isinstance(members, bool) or not isinstance(members, int) or not 0 < members <= MOST
        ):
            raise ArgumentError(
                f"an ensemble cannot have {members!r} members",
                expected=f"a whole number from 1 to {MOST:,}",
                got=repr(members),
                where="--members",
                try_="--members 5",
            )
        return cls(members, None if time is None else read_time(time))

    def wants(self, ended: int, seconds: float, slowest: float) -> bool:
        """Whether another one is begun after so many, which took so long: only if it ends in time as the slowest did.

        >>> Extent(None, 60.0).wants(3, 45.0, 15.0), Extent(None, 60.0).wants(3, 46.0, 15.0)
        (True, False)
        >>> Extent(2, None).wants(1, 9.0, 5.0), Extent(2, None).wants(2, 9.0, 5.0)
        (True, False)
        """
        if not ended:
            return True
        if ended >= (self.members or MOST):
            return False
        return self.time is None or seconds + slowest <= self.time


@dataclass(frozen=True, eq=False)
class EnsemblePlan:
    """An ensemble that was read and fits together: the table, how it is read, what was asked for, and its extent."""

    table: Table
    reading: Reading
    asked: Mapping[str, Any]
    source: str | None
    extent: Extent

    def parts(self, member: int = 1) -> SplitTable:
        """The parts of the table for a member."""
        val, test, seed = (self.asked.get(name, default_of(name)) for name in ("val", "test", "seed"))
        return split_table(self.table, val, test, seed, member)

    def prepared(self, member: int) -> Prepared:
        """The data of a member, encoded by its own training part."""
        return from_parts(self.table, self.parts(member), self.reading)


def plan_ensemble(data: Any, given: Mapping[str, Any], extent: Extent) -> EnsemblePlan:
    """Read the table.  Raises ArgumentError and DataError for what does not fit together."""
    asked = settings_from({name: value for name, value in given.items() if value is not None})
    named = asked.get("data") if data is None else data
    reading = Reading.from_words(**{name: asked.get(name, default_of(name)) for name in READING})
    task = task_under(asked.get("task", default_of("task")), asked.get("loss"))
    if asked.get("target_transform") == "quantile":
        raise ArgumentError(
            "each member would know other quantiles of the target, and their answers would have no mean",
            expected="none or log for an ensemble",
            got="quantile",
            where="--target-transform",
            try_="--target-transform log, or one network",
        )
    table = load_table(named, asked.get("target"), task, reading)
    plan = EnsemblePlan(table, reading, asked, path_of(named), extent)
    return replace(plan, table=settled_table(asked, table, plan.parts(), reading, ("log",)))


@checked_call
def ensemble(
    data: Any,
    *,
    members: int | None = None,
    time: float | str | None = None,
    out: str | Path | None = None,
    callbacks: Sequence[Subscriber] = (),
    **settings: Any,
) -> Run:
    """Train several networks on a table, each with other rows to validate, and give them as one run.

    ȳ = Σ y / n of values, and of classes the mean of the probabilities, over the n members (Hansen & Salamon 1990;
    Lakshminarayanan et al. 2017).  All are tested on the same rows.

    data      the path of a table, a bundled set, a data frame, or arrays `(x, y)`, whose columns are taken as a table's
    members   so many; with neither this nor `time` there are 5
    time      seconds, or "60s", "5m": members are added as long as another one ends in time, at least one is trained
    out       a new folder: a run folder for each member (`1`, `2`, …), and a run folder itself
    callbacks  functions that are called with every event of every training
    settings  as `clearprop train` has them: target="price", epochs=50, metric="auc", seed=1

    The same seed and the same number of members give the same bits; the run's command has the number.  The result
    predicts, evaluates, explains predictions and exports as any run does; steps and updates are those of its members:
    `cl.load(out / "1")`.  `interval` is made of the errors of single members.

    Raises ArgumentError and DataError, before anything is written, for what does not fit together.

    >>> import clearprop as cl
    >>> run = cl.ensemble("iris", members=2, epochs=3, hidden=8)
    >>> run.summary.members, run.probabilities("iris").shape
    (2, (150, 3))
    """
    told = listed_functions(callbacks, "event")
    strange = next((name for name in settings if name not in OPTIONS or name == "member"), None)
    if strange is not None:
        raise unknown_name("setting", strange, [n for n in OPTIONS if n not in ("data", "member")], where=user_line())
    extent = Extent.asked(members, time)
    plan = plan_ensemble(data, settings, extent if extent != Extent(None, None) else Extent(5, None))
    return conduct_ensemble(plan, None if out is None else as_path(out, "out"), told)


def conduct_ensemble(
    plan: EnsemblePlan,
    out: Path | None,
    subscribers: Sequence[Subscriber] = (),
    watch: Callable[[int, Run], object] = lambda *_: None,
    before: Sequence[Run] = (),
) -> Run:
    """Train the members that are still to be trained and join them; `watch` is told of each as it ends.

    Members that diverge are left out, unless the first does.  Raises TrainingInterrupted with the run of those that
    ended, or with that of the first member.
    """
    ended, slowest = list(before), max((run.summary.seconds for run in before), default=0.0)
    seconds = sum(run.summary.seconds for run in before)
    if out is not None and not before:
        _begin(plan, out)
    with nullcontext() if out is None else hold_folder(out):
        return _train_members(plan, out, subscribers, watch, ended, seconds, slowest)


def _train_members(
    plan: EnsemblePlan,
    out: Path | None,
    subscribers: Sequence[Subscriber],
    watch: Callable[[int, Run], object],
    ended: list[Run],
    seconds: float,
    slowest: float,
) -> Run:
    while plan.extent.wants(len(ended), seconds, slowest):
        begun = time.monotonic()
        try:
            run = _train_member(plan, len(ended) + 1, out, subscribers)
        except TrainingInterrupted as stop:
            raise TrainingInterrupted(_join(plan, ended, seconds, out) if ended else stop.run) from None
        took = time.monotonic() - begun
        ended, seconds, slowest = [*ended, run], seconds + took, max(slowest, took)
        watch(len(ended), run)
        if run.status == "diverged" and len(ended) == 1:
            return run
    return _join(plan, ended, seconds, out)


def _begin(plan: EnsemblePlan, out: Path) -> None:
    extent = {"format": FORMAT, "members": plan.extent.members, "time": plan.extent.time}
    start_folder(out, {MANIFEST: f"{json.dumps(extent)}\n".encode()})


def _train_member(plan: EnsemblePlan, member: int, out: Path | None, subscribers: Sequence[Subscriber]) -> Run:
    """Train a member, or go on with one whose folder is there."""
    data = plan.prepared(member)
    settings = replace(with_defaults(plan.asked, data), data=plan.source, member=member)
    folder = None if out is None else out / str(member)
    resumed = folder is not None and (folder / "config.json").exists()
    if resumed and folder is not None:
        stored = command_of(RunFolder(folder).config(), str(folder / "config.json"))
        settings = replace(settings, lr=stored["lr"])
    elif settings.lr == AUTO:
        settings = replace(settings, lr=tested_rate(settings, data).suggestion)
    command = None if plan.source is None else settings.options()
    job = job_for(data, settings, events=Events(subscribers), command=command)
    return train(replace(job, resume=folder) if resumed else replace(job, out=folder))


def _join(plan: EnsemblePlan, tried: Sequence[Run], seconds: float, out: Path | None) -> Run:
    runs = [run for run in tried if run.status == "done"]
    data = from_members(plan.table, plan.parts(), plan.reading, encoding_of(runs))
    known = tried[0].config.command
    command = None if known is None else {**known, "members": len(tried)}
    return join_runs(runs, data, command, seconds, out)


# ------------------------------------------------------------------------------------------------- going on
def plan_again(folder: Path, extent: Extent) -> tuple[EnsemblePlan, list[Run]]:
    """The plan of the ensemble in a folder, to that extent or as it was begun, and the members that have ended.

    Raises RunError for a folder that is damaged.
    """
    place = folder / MANIFEST
    stored = require_keys(read_json(place, "the ensemble"), {"format", "members", "time"}, "the ensemble", str(place))
    members = checked_value(int | None, stored["members"], "the ensemble", f"{place}, members")
    budget = checked_value(float | None, stored["time"], "the ensemble", f"{place}, time")
    if extent == Extent(None, None):
        extent = Extent(members, budget)
    first = RunFolder(folder / "1")
    asked = {n: value for n, value in command_of(first.config(), str(first.path)).items() if n != "member"}
    plan = plan_ensemble(None, asked, extent)
    return plan, _ended_members(folder)


def _ended_members(folder: Path) -> list[Run]:
    found = list[Run]()
    while (folder / str(len(found) + 1) / "config.json").exists():
        summary = RunFolder(folder / str(len(found) + 1)).summary()
        if summary is None or summary.status not in ("done", "diverged"):
            break
        found.append(load(folder / str(len(found) + 1)))
    return found
