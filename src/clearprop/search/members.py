"""`cl.ensemble`: networks of one table, each with other rows to validate, whose answers are averaged.

A folder of ordinary runs, `1`, `2`, …, which is a run folder itself once they have ended.  Member k is the run of
`clearprop train DATA --member k`: the first is the run without an ensemble, and what is known of a run (steps,
gradients, updates, replays) is known of every member.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from clearprop.data.parts import SplitTable, split_table
from clearprop.data.provenance import path_of
from clearprop.data.readers.reading import READING_TEXT, Reading
from clearprop.data.table import Table, load_table
from clearprop.data.training_data import Prepared, from_members, from_parts
from clearprop.errors import ArgumentError, RunError, checked_call, unknown_name, user_line
from clearprop.files.atomic import as_path, remove_leftovers
from clearprop.files.folder_lock import hold_folder
from clearprop.files.presence import start_folder
from clearprop.files.strict_json import checked_value, read_json, require_keys
from clearprop.nn.losses import task_under
from clearprop.runs.asked_settings import settings_from
from clearprop.runs.events import Event, Events, Subscriber, listed_functions, plain
from clearprop.runs.folder import MANIFEST, RunFolder
from clearprop.runs.settings import OPTIONS, default_of
from clearprop.search.pools import Pool
from clearprop.search.rooms import HERE, Workplace, room_in
from clearprop.search.time_limit import read_time
from clearprop.search.trial import stopping_at
from clearprop.train import (
    AUTO,
    Callback,
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
    told: list[Prepared] = field(default_factory=list, repr=False)

    def parts(self, member: int = 1) -> SplitTable:
        """The parts of the table for a member."""
        val, test, seed = (self.asked.get(name, default_of(name)) for name in ("val", "test", "seed"))
        return split_table(self.table, val, test, seed, member)

    def prepared(self, member: int) -> Prepared:
        """The data of a member, encoded by its own training part."""
        if member == 1 and self.told:
            return self.told.pop()
        return from_parts(self.table, self.parts(member), self.reading)

    def first_prepared(self) -> Prepared:
        """The data of the first member, to be told; they are kept until it is trained."""
        self.told.append(self.prepared(1))
        return self.told[0]

    @property
    def again(self) -> Callable[[], EnsemblePlan] | None:
        """What makes the plan anew; None where the table came from a program."""
        return None if self.source is None else partial(plan_ensemble, self.source, dict(self.asked), self.extent)


def plan_ensemble(data: Any, given: Mapping[str, Any], extent: Extent) -> EnsemblePlan:
    """Read the table.  Raises ArgumentError and DataError for what does not fit together."""
    asked = settings_from({name: value for name, value in given.items() if value is not None})
    named = asked.get("data") if data is None else data
    reading = Reading.from_words(**{name: asked.get(name, default_of(name)) for name in READING_TEXT})
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
    chosen = settled_table(asked, table, plan.parts(), reading, ("log",))
    if chosen is not table:  # what was chosen holds wherever the plan is made again
        asked = {**asked, "target_transform": chosen.transform}
    return replace(plan, table=chosen, asked=asked)


@checked_call
def ensemble(
    data: Any,
    *,
    members: int | None = None,
    time: float | str | None = None,
    out: str | Path | None = None,
    on: str | None = None,
    executor: Any = None,
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
    on        where several members are trained at once: local, local:N (so many processes) or dask://HOST:PORT
    executor  an executor of the form of `concurrent.futures`, in place of `on`
    callbacks  functions that are called with every event of every training; of members trained elsewhere as they end
    settings  as `clearprop train` has them: target="price", epochs=50, metric="auc", seed=1

    The same seed and the same number of members give the same bits, wherever they are trained with as many threads
    (elsewhere one each, or `cl.set_threads`); the run's command has the number.  The result
    predicts, evaluates, explains predictions and exports as any run does; steps and updates are those of its members:
    `cl.load(out / "1")`.  `interval` is made of the errors of single members.

    Raises ArgumentError and DataError, before anything is written, for what does not fit together.

    >>> import clearprop as cl
    >>> run = cl.ensemble("iris", members=2, epochs=3, hidden=8)
    >>> run.summary.members, run.probabilities("iris").shape
    (2, (150, 3))
    """
    told, place = listed_functions(callbacks, "event"), Workplace(on, executor)
    strange = next((name for name in settings if name not in OPTIONS or name == "member"), None)
    if strange is not None:
        raise unknown_name("setting", strange, [n for n in OPTIONS if n not in ("data", "member")], where=user_line())
    extent = Extent.asked(members, time)
    plan = plan_ensemble(data, settings, extent if extent != Extent(None, None) else Extent(5, None))
    return conduct_ensemble(plan, None if out is None else as_path(out, "out"), told, place=place)


def conduct_ensemble(
    plan: EnsemblePlan,
    out: Path | None,
    subscribers: Sequence[Subscriber] = (),
    watch: Callable[[int, Run], object] = lambda *_: None,
    before: Sequence[Run] | None = None,
    place: Workplace = HERE,
) -> Run:
    """Train the members that are still to be trained, here or at another place, and join them.

    `before` are those that have ended in a folder that goes on; None begins a new one.  `watch` is told of each as it
    ends, in their order.  Members that diverge are left out, unless the first does.  Raises TrainingInterrupted with
    the run of those that ended, or with that of the first member; KeyboardInterrupt where none is at hand.
    """
    pool = place.pool()
    with nullcontext() if pool is None else closing(pool):
        if out is not None and before is None:
            _begin(plan, out)
        with nullcontext() if out is None else hold_folder(out):
            if out is not None:
                remove_leftovers(out)
            work = _Members(plan, out, subscribers, list(before or ()))
            return _joined_members(work, work.here() if pool is None else work.side_by_side(pool), watch)


def _joined_members(work: _Members, trained: Generator[Run], watch: Callable[[int, Run], object]) -> Run:
    """The run of the members, as they come; of the first alone where it diverges."""
    try:
        with closing(trained):
            for run in trained:
                if run.status == "interrupted":
                    raise TrainingInterrupted(run)
                work.ended.append(run)
                watch(len(work.ended), run)
                if run.status == "diverged" and len(work.ended) == 1:
                    return run
    except KeyboardInterrupt as stop:
        if work.ended:
            raise TrainingInterrupted(work.joined()) from None
        raise stop from None
    return work.joined()


class _Members:
    """The members of an ensemble in progress: those that have ended, in their order, and what that has taken."""

    def __init__(
        self, plan: EnsemblePlan, out: Path | None, subscribers: Sequence[Subscriber], ended: list[Run]
    ) -> None:
        self.plan, self.out, self.subscribers, self.ended = plan, out, subscribers, ended
        self.before = sum(run.summary.seconds for run in ended)
        self.slowest = max((run.summary.seconds for run in ended), default=0.0)
        self.began = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return self.before + time.monotonic() - self.began

    def wants(self, begun: int) -> bool:
        """Whether another one is begun after so many."""
        return self.plan.extent.wants(begun, self.seconds, self.slowest)

    def here(self) -> Generator[Run]:
        """The members, trained one after another."""
        while self.wants(len(self.ended)):
            begun = time.monotonic()
            try:
                run = _train_member(self.plan, len(self.ended) + 1, self.out, self.subscribers)
            except TrainingInterrupted as stop:
                run = stop.run
            self.slowest = max(self.slowest, time.monotonic() - begun)
            yield run

    def side_by_side(self, pool: Pool) -> Generator[Run]:
        """The members, as many at once as there are workers."""
        folder = None if self.out is None else self.out.resolve()
        with room_in(pool, self.plan, self.plan.again, folder) as room:
            for found in room.results(_member_of, self._asked(folder, room.stop), self._note):
                for event in found.events:
                    for subscriber in self.subscribers:
                        subscriber(event)
                yield found.run

    def _asked(self, folder: Path | None, stop: Path) -> Generator[tuple[int, Path | None, Path]]:
        begun = len(self.ended)
        while self.wants(begun):
            begun += 1
            yield begun, folder, stop

    def _note(self, found: _Trained) -> None:
        self.slowest = max(self.slowest, found.seconds)

    def joined(self) -> Run:
        """The run of those that have ended."""
        return _join(self.plan, self.ended, self.seconds, self.out)


@dataclass(frozen=True, eq=False)
class _Trained:
    """A member that a worker has trained, the events of that, and how long it took."""

    run: Run
    events: list[Event]
    seconds: float


def _member_of(plan: EnsemblePlan, member: int, out: Path | None, stop: Path) -> _Trained:
    """A member, trained by a worker."""
    told, began = list[Event](), time.monotonic()
    try:
        run = _train_member(plan, member, out, [told.append], [stopping_at(stop)])
    except TrainingInterrupted as stopped:
        run = stopped.run
    return _Trained(run, told, time.monotonic() - began)


def _begin(plan: EnsemblePlan, out: Path) -> None:
    extent = {"format": FORMAT, "members": plan.extent.members, "time": plan.extent.time}
    record = plain({**extent, "settings": {**plan.asked, "data": plan.source}})
    start_folder(out, {MANIFEST: f"{json.dumps(record)}\n".encode()})


def _train_member(
    plan: EnsemblePlan,
    member: int,
    out: Path | None,
    subscribers: Sequence[Subscriber],
    callbacks: Sequence[Callback] = (),
) -> Run:
    """Train a member, or go on with one whose folder is there; one that has ended is loaded."""
    known = None if out is None else _ended_member(out / str(member))
    if known is not None:
        return known
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
    job = job_for(data, settings, events=Events(subscribers), command=command, callbacks=callbacks)
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
    stored = read_json(place, "the ensemble")
    asked = stored.pop("settings", None) if isinstance(stored, dict) else None
    require_keys(stored, {"format", "members", "time"}, "the ensemble", str(place))
    members = checked_value(int | None, stored["members"], "the ensemble", f"{place}, members")
    budget = checked_value(float | None, stored["time"], "the ensemble", f"{place}, time")
    if extent == Extent(None, None):
        extent = Extent(members, budget)
    if asked is None:  # version 0.1 asked the first member
        first = RunFolder(folder / "1")
        asked = {n: value for n, value in command_of(first.config(), str(first.path)).items() if n != "member"}
    asked = checked_value(dict[str, object], asked, "the ensemble", f"{place}, settings")
    if asked.get("data") is None:
        raise RunError(
            "the table of this ensemble cannot be read again",
            expected="an ensemble of a file or a bundled set",
            got="one of a data frame or of arrays",
            where=str(folder),
            try_="cl.ensemble anew",
        )
    return plan_ensemble(None, asked, extent), _ended_members(folder)


def _ended_members(folder: Path) -> list[Run]:
    """Those that have ended, up to the first that has not."""
    found = list[Run]()
    while (run := _ended_member(folder / str(len(found) + 1))) is not None:
        found.append(run)
    return found


def _ended_member(folder: Path) -> Run | None:
    """The member of a folder; None where it has not ended, or was not begun."""
    if not (folder / "config.json").exists():
        return None
    summary = RunFolder(folder).summary()
    return load(folder) if summary is not None and summary.status in ("done", "diverged") else None
