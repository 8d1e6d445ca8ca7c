"""`cl.sweep`: many trainings, each with other settings, done side by side; the best one, and how sure that is."""

from __future__ import annotations

import math
import time as clock
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from clearprop.compiler import thread_count, threads_meanwhile
from clearprop.data.readers.sources import BUNDLED, default_memory
from clearprop.data.streaming.disk_rows import DiskRows
from clearprop.data.training_data import Prepared
from clearprop.errors import ArgumentError, RunError, checked_call, unknown_name, user_line
from clearprop.files.atomic import as_path, remove_leftovers
from clearprop.files.folder_lock import hold_folder
from clearprop.files.presence import free_folder
from clearprop.files.strict_json import refuse
from clearprop.nn.losses import task_under
from clearprop.runs.asked_settings import settings_from
from clearprop.runs.events import Events, Subscriber, listed_functions, plain
from clearprop.runs.folder import HistoryWriter
from clearprop.runs.settings import OPTIONS, Settings
from clearprop.search.page import PageWriter
from clearprop.search.pools import Pool, given_pool, pool_for, require_workers
from clearprop.search.scheduler import Aim, Ended, TrialScheduler
from clearprop.search.selection import TrialChoice, choose
from clearprop.search.shared_data import data_for, share
from clearprop.search.space import SearchSpace, read_space
from clearprop.search.strategies import Halving, Listed, Request, Strategy, random_trials, require_trials
from clearprop.search.sweep_folder import FORMAT, WHAT, SweepConfig, SweepFolder
from clearprop.search.time_limit import read_time
from clearprop.search.tpe import Parzen
from clearprop.search.trial import Order, TrialOutcome, outcome_in, run_trial, settings_of
from clearprop.train import Job, Run, fit_to_model, higher_is_better, job_for, load

SEARCHES = ("random", "grid", "tpe", "halving")
"""How trials are found."""


@dataclass(frozen=True, eq=False)
class Sweep:
    """What a sweep has given: `trials`, the best first, and the `choice`; None where no trial came to a result.

    `stopped_by` is None for one that did all of its trials, else `time` or `interrupted`.
    """

    folder: Path
    trials: tuple[Ended, ...]
    choice: TrialChoice | None
    stopped_by: str | None = None

    @property
    def best(self) -> Run:
        """The run of the best trial, loaded.  Raises RunError where there is none."""
        if self.choice is None:
            raise RunError("no trial came to a result", got="none", where=str(self.folder), try_="smaller rates")
        return load(self.choice.folder)

    def __repr__(self) -> str:
        if self.choice is None:
            return f"<Sweep in {self.folder}: no trial came to a result>"
        return "\n".join(self.choice.sentences())


@checked_call
def sweep(
    data: Any = None,
    space: Mapping[str, Any] | None = None,
    *,
    trials: int = 20,
    search: str = "random",
    time: float | str | None = None,
    on: str = "local",
    executor: Any = None,
    threads: int = 1,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    callbacks: Sequence[Subscriber] = (),
    **settings: Any,
) -> Sweep:
    """Train with many settings, side by side, and choose the best by the validation rows.

    data      the path of a table, a bundled set, a data frame or arrays `(x, y)`, whose columns are taken as a table's;
              every trial learns from the same rows
    space     the settings that vary: `{"lr": "1e-4..1e-1:log", "hidden": [(32, 32), (64, 64)]}`, text as `--set` takes
              it, or a list of values
    trials    how many, at most: a grid may have fewer
    search    random, grid, tpe (Optuna's; the extra `[sweep]`) or halving: a third of the trials is trained on to three
              times the epochs, and so on; what is trained on has the bits of a run that never stopped
    time      after so long (seconds, or "10m", "2h") trials that run save and stop, and no other begins
    on        local, local:N (so many processes), or dask://HOST:PORT
    executor  an executor of the form of `concurrent.futures`, in place of `on`
    threads   so many for each trial
    out       a new folder; by default runs/DATA-sweep-1, -2, …
    resume    the folder of a sweep that goes on, instead of data, space and settings: what has ended is not repeated
    callbacks  functions that are called with every event of the sweep
    settings  those that are the same for all trials, as `clearprop train` has them: epochs=20, metric="auc", seed=1

    Every trial is a run folder under `out`, of `cl.load`, `clearprop explain` and `clearprop compare`.  The same seed
    gives the same trials, to the bit, wherever they are done (with tpe, one at a time).  The test rows are looked at
    once, for the chosen trial.

    Raises ArgumentError for what does not fit together, before anything is written.

    >>> import tempfile
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as pool:
    ...     found = sweep("iris", {"lr": "1e-3..1e-1:log"}, trials=2, executor=pool, epochs=2, out=f"{folder}/sweep")
    ...     len(found.trials), found.best.status
    (2, 'done')
    """
    limit = read_time(time)
    told = listed_functions(callbacks, "event")
    threads = thread_count(threads, user_line())
    if resume is not None:
        _require_nothing_else(data, space, settings, out)
        folder = SweepFolder(as_path(resume, "resume"))
        plan = stored_plan(folder)
    else:
        plan = new_plan(data, space, settings, search=search, trials=trials, threads=threads)
        folder = None
    pool = given_pool(executor) if executor is not None else pool_for(_as_text(on, "on"))
    try:
        require_workers(pool)
        if folder is None:
            folder = SweepFolder.make(place_for(out, plan.config.data), plan.config)
        return conduct(folder, plan, pool, told, limit)
    finally:
        pool.close()


@dataclass(frozen=True, eq=False)
class SweepPlan:
    """A sweep that was read and fits together: its config, the space, and the data."""

    config: SweepConfig
    space: SearchSpace
    asked: Mapping[str, Any]
    settings: Settings
    data: Prepared
    epochs: int

    @property
    def higher(self) -> bool:
        """Whether more of the metric is better."""
        return higher_is_better(self.config.metric)

    @property
    def again(self) -> Callable[[], Prepared] | None:
        """What reads the data anew; None where they came from a program."""
        return None if self.settings.data is None else partial(data_for, self.settings)

    @property
    def most(self) -> int:
        """How many trials there are, at most."""
        strategy = self.strategy([])
        return len(strategy.trials) if isinstance(strategy, Listed | Halving) else self.config.trials

    def strategy(self, begun: list[dict[str, Any]]) -> Strategy:
        """What decides on the trials; `begun` are the settings of those that a sweep before this one had begun."""
        config, space = self.config, self.space
        if config.search == "grid":
            return Listed(space.grid(config.trials))
        if config.search == "tpe":
            return Parzen(space, config.trials, config.seed, begun)
        trials = random_trials(space, config.trials, config.seed)
        return Halving(trials, self.epochs) if config.search == "halving" else Listed(trials)


def new_plan(
    data: Any, space: Any, settings: Mapping[str, Any], *, search: str, trials: int, threads: int
) -> SweepPlan:
    """A sweep, read and tried: data, space and settings fit together.  Raises our errors for what does not."""
    require_trials(trials)
    _require_search(search)
    if not isinstance(space, Mapping):
        raise _no_space(space)
    axes = read_space(space)
    asked = _read_settings(settings, axes, search)
    named = data if isinstance(data, str | Path) else None
    if data is None or (named is not None and str(named) == "-"):
        raise ArgumentError(
            "a sweep needs data that can be read again",
            expected="DATA: the path of a table or a bundled set; in Python a data frame, too",
            got="standard input" if named is not None else "no DATA",
            where="DATA",
            try_="clearprop sweep digits --set lr=1e-4..1e-1:log",
        )
    where = None if named is None else str(named) if str(named) in BUNDLED else str(Path(named).resolve())
    config = SweepConfig(
        FORMAT, "", where, dict(axes.texts), {name: plain(value) for name, value in asked.items()},
        search, trials, asked.get("metric", "loss"), asked.get("seed", 0), threads,
    )  # fmt: skip
    return _tried_plan(config, axes, asked, data)


def stored_plan(folder: SweepFolder) -> SweepPlan:
    """The plan of a sweep that was begun.  Raises RunError where its data are not at hand."""
    config = folder.config()
    if config.data is None:
        raise RunError(
            "this sweep learned from data of a program, which are not at hand",
            expected="a sweep of a file or a bundled set",
            got=config.source,
            where=str(folder.path),
            try_="save the data as a file, and sweep again",
        )
    require_trials(config.trials)
    _require_search(config.search)
    asked = settings_from(config.asked)
    return _tried_plan(config, read_space(config.space), asked, config.data)


def _tried_plan(config: SweepConfig, space: SearchSpace, asked: Mapping[str, Any], source: Any) -> SweepPlan:
    """The plan, after a first trial was made ready and left: metric, network and optimizer fit the data."""
    given = {**asked, "data": config.data}
    settings = Settings(**{**given, "task": task_under(asked.get("task", "auto"), asked.get("loss"))})
    settings = replace(settings, memory=settings.memory or default_memory())
    data = data_for(settings, source)
    if isinstance(data.train, DiskRows):  # every process cuts the same blocks, which the memory decides
        given["memory"] = settings.memory
        config = replace(config, asked={**config.asked, "memory": settings.memory})
    if data.validation is None:
        raise ArgumentError(
            "a sweep chooses by validation rows, and there are none",
            expected="--val above 0",
            got=f"--val {settings.val:g}",
            where="--val",
            try_="--val 0.15",
        )
    plan = SweepPlan(replace(config, source=data.source), space, given, settings, data, 0)
    lowest = space.at([0.0] * len(space.axes))
    full = settings_of(given, Request(0, {name: value for name, value in lowest.items() if name != "lr"}), data)
    job_for(data, full)
    plan = replace(plan, epochs=full.epochs)
    plan.strategy([])
    return plan


def _require_search(search: Any) -> None:
    if not isinstance(search, str) or search not in SEARCHES:
        raise unknown_name("search", search, SEARCHES, where="--search")


def _read_settings(settings: Mapping[str, Any], space: SearchSpace, search: str) -> dict[str, Any]:
    for name in settings:
        if name not in OPTIONS or name == "data":
            raise unknown_name("setting", name, [known for known in OPTIONS if known != "data"], where=user_line())
    asked = settings_from({name: value for name, value in settings.items() if value is not None})
    twice = next((name for name in space.names if name in asked), None)
    if twice is not None:
        raise ArgumentError(
            f"{twice} is given twice",
            expected="a setting that varies, or one that is the same for all trials",
            got=f"--set {twice}=… and {twice} = {settings[twice]!r}",
            where=f"--set {twice}",
            try_="leave one of them out",
        )
    _require_variable(space, search)
    return asked


def _require_variable(space: SearchSpace, search: str) -> None:
    """Raise ArgumentError for what must be the same for all trials."""
    if search == "halving" and "epochs" in space.names:
        raise ArgumentError(
            "halving decides on the epochs itself",
            expected="epochs that are the same for all trials: what the last ones are trained to",
            got="--set epochs=… and --search halving",
            where="--set epochs",
            try_="--epochs 100",
        )
    if "metric" in space.names:
        raise ArgumentError(
            "the metric judges all trials, and cannot vary",
            expected="one metric",
            got="--set metric=…",
            where="--set metric",
            try_="--metric auc",
        )


def conduct(
    folder: SweepFolder,
    plan: SweepPlan,
    pool: Pool,
    callbacks: Sequence[Subscriber] = (),
    limit: float = math.inf,
    watch: Callable[[], object] = lambda: None,
) -> Sweep:
    """Do the sweep, or what is left of it, and choose.  Raises RunError where another process is at it."""
    config = plan.config
    with ExitStack() as held:
        held.enter_context(hold_folder(folder.path))
        remove_leftovers(folder.path)
        stream = Events(first=folder.written_events())
        stream.subscribe(held.enter_context(HistoryWriter(folder.events_file, kind=None)))
        page = PageWriter(folder, config, plan.higher)
        stream.subscribe(page)
        for callback in callbacks:
            stream.subscribe(callback)
        held.enter_context(threads_meanwhile(config.threads))
        shared = held.enter_context(share(plan.data, plan.again))
        stream.emit("sweep", step=None, epoch=None, folder=str(folder.path), source=config.source,
                    search=config.search, trials=config.trials, metric=config.metric, space=config.space,
                    workers=pool.size, threads=config.threads)  # fmt: skip
        aim = Aim(shared, plan.asked, config.metric, plan.higher, config.threads)
        deadline = clock.monotonic() + limit
        begun = (
            [_settings_again(varied, plan.space, folder.events_file) for varied in folder.begun()]
            if config.search == "tpe"
            else []
        )
        work = TrialScheduler(plan.strategy(begun), pool, folder, aim, stream, deadline, watch)
        work.run()
        ranked = work.ranked()
        choice = None if not ranked else _choose(folder, plan, ranked, work)
        if choice is not None:
            folder.write_result(_record(choice))
            _tell_choice(stream, choice)
        page.write(choice)
    folder.stop.unlink(missing_ok=True)
    known = {e.request.number for e in ranked}
    rest = [e for number, e in sorted(work.ended.items()) if number not in known]
    return Sweep(folder.path, (*ranked, *rest), choice, work.stopped_by)


def train_one(folder: SweepFolder, plan: SweepPlan, number: int, home: int) -> TrialOutcome:
    """Train one trial of a sweep in this process, which is all that the sweep has here; what has ended is not repeated.

    Raises ArgumentError for a number that the sweep does not have.
    """
    strategy, config = plan.strategy([]), plan.config
    assert isinstance(strategy, Listed)
    if not 0 <= number < len(strategy.trials):
        raise ArgumentError(
            "the sweep has no such trial",
            expected=f"a number from 0 to {len(strategy.trials) - 1}",
            got=str(number),
            where="--trial",
            try_=f"--trial {len(strategy.trials) - 1}",
        )
    request = Request(number, strategy.trials[number])
    path = folder.trial(number)
    with threads_meanwhile(config.threads), share(plan.data, plan.again) as shared:
        order = Order(request, shared, {**plan.asked, "metric": config.metric}, str(path), str(folder.stop), 1, home)
        return outcome_in(path, request, config.metric) or run_trial(order)


def _choose(folder: SweepFolder, plan: SweepPlan, ranked: list[Ended], work: TrialScheduler) -> TrialChoice:
    best = ranked[0].request
    path = folder.trial(best.number)
    model = load(path).model
    job: Job = fit_to_model(job_for(plan.data, settings_of(plan.asked, best, plan.data), model))
    test = work.stopped_by != "interrupted"
    choice = choose(ranked, path, job, plan.config.metric, plan.config.seed, len(work.ended), test)
    return replace(choice, before=_judged_before(folder, best.number))


def _judged_before(folder: SweepFolder, number: int) -> int | None:
    """The trial that the test rows have judged when the sweep stopped earlier, if it is another one."""
    result = folder.result() or {}
    judged = result.get("before") if result.get("before") is not None else result.get("test") and result.get("trial")
    return judged if isinstance(judged, int) and judged != number else None


def _tell_choice(stream: Events, choice: TrialChoice) -> None:
    tested = None if choice.tested is None else choice.tested.value
    stream.emit("choice", step=None, epoch=None, number=choice.number, folder=str(choice.folder),
                settings=dict(choice.settings), metric=choice.validation.name, value=choice.validation.value,
                interval=choice.validation.interval, test=tested, message=choice.sentences()[0])  # fmt: skip


def _record(choice: TrialChoice) -> dict[str, Any]:
    figures = {"validation": choice.validation, "test": choice.tested}
    return {
        "trial": choice.number,
        "folder": str(choice.folder),
        "settings": dict(choice.settings),
        "trials": choice.trials,
        "equal": choice.equal,
        "before": choice.before,
        **{
            part: f and {"metric": f.name, "value": f.value, "interval": f.interval, "rows": f.rows}
            for part, f in figures.items()
        },
        "told": choice.sentences(),
    }


def _settings_again(varied: Mapping[str, Any], space: SearchSpace, where: Path) -> dict[str, Any]:
    """What varied in a trial, as it was before it was written.  Raises RunError where something else varied."""
    if set(varied) != set(space.names):
        refuse(WHAT, ", ".join(space.names), ", ".join(varied) or "nothing", str(where))
    return {name: settings_from({name: value})[name] for name, value in varied.items()}


def place_for(out: Any, data: str | None) -> Path:
    """The folder of a new sweep: what was asked for, or the first free name `runs/DATA-sweep-1`, `-2`, …."""
    if out is not None:
        return as_path(out, "out")
    stem = "data" if data is None else Path(data).stem or "data"
    return free_folder(f"{stem}-sweep")


def _as_text(given: Any, name: str) -> str:
    if not isinstance(given, str):
        raise ArgumentError(
            f"{name} says where, in words", expected='"local:2"', got=repr(given)[:80], where=user_line()
        )
    return given


def _no_space(space: Any) -> ArgumentError:
    return ArgumentError(
        "a sweep varies settings by name",
        expected="a mapping of settings to what they may be",
        got=repr(space)[:80],
        where=user_line(),
        try_='cl.sweep("digits", {"lr": "1e-4..1e-1:log"})',
    )


def _require_nothing_else(data: Any, space: Any, settings: Mapping[str, Any], out: Any) -> None:
    """Raise ArgumentError for what a sweep that goes on has already."""
    given = [
        name for name, value in {"data": data, "space": space, "out": out, **settings}.items() if value is not None
    ]
    if given:
        raise ArgumentError(
            "a sweep that goes on keeps its data and settings",
            expected="resume= with at most on, executor and time",
            got=", ".join(given),
            where=user_line(),
            try_="leave them out, or a new sweep",
        )
