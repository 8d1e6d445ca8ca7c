"""`cl.cross_validate`: every row of a table is tested once, by a network that learned from other rows."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.columns import as_category, in_digits
from clearprop.data.folds import Fold, deal_folds
from clearprop.data.provenance import path_of
from clearprop.data.readers.reading import READING_TEXT, Reading
from clearprop.data.table import Table, load_table
from clearprop.data.training_data import Prepared, from_parts
from clearprop.errors import ArgumentError, RunError, checked_call, checked_methods, unknown_name, user_line
from clearprop.files.atomic import as_path, remove_leftovers, write_text
from clearprop.files.folder_lock import hold_folder
from clearprop.files.presence import is_file, start_folder
from clearprop.files.spreadsheet import spreadsheet_text
from clearprop.files.strict_json import checked_value, read_json, require_keys
from clearprop.nn.losses import task_under
from clearprop.runs.asked_settings import settings_from
from clearprop.runs.events import SHARES, Event, Events, Subscriber, listed_functions, plain
from clearprop.runs.folder import FOLDS, RunFolder, holds_folds
from clearprop.runs.settings import OPTIONS, default_of
from clearprop.search.pools import Pool
from clearprop.search.rooms import HERE, Workplace, room_in
from clearprop.search.trial import stopping_at
from clearprop.train import (
    AUTO,
    Callback,
    Run,
    TrainingInterrupted,
    class_probabilities,
    job_for,
    load,
    settled_table,
    tested_rate,
    train,
    with_defaults,
)

LEVEL = 0.95
"""The share of cases in which the interval of a score holds it."""
FORMAT = 1


@dataclass(frozen=True)
class FoldScore:
    """A metric over all folds: its mean, its standard deviation, and the interval in which it is expected.

    Trainings share most of their rows, so the scores of folds do not vary as much as those of new data would: the
    interval is mean ± t·s·√(1/n + tested/trained), with n folds and Student's t of n − 1 degrees (Nadeau & Bengio 2003;
    for repeats Bouckaert & Frank 2004), of a share within 0 and 1.  None where a fold has no value.
    """

    name: str
    mean: float
    deviation: float
    interval: tuple[float, float] | None


def score_of(name: str, values: Sequence[float], tested: float, trained: float) -> FoldScore:
    """The score of these values of folds, each of so many rows on average.

    >>> found = score_of("accuracy", [0.9, 0.8, 1.0], tested=30, trained=60)
    >>> round(found.mean, 3), [round(end, 3) for end in found.interval]
    (0.9, [0.507, 1.0])
    """
    from scipy.special import stdtrit  # start-up time: a sweep does without

    known, n = np.array(values, dtype=np.float64), len(values)  # there are two folds or more
    mean, deviation = float(known.mean()), float(known.std(ddof=1))
    half = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * deviation * math.sqrt(1 / n + tested / trained)
    if not math.isfinite(half):
        return FoldScore(name, mean, deviation, None)
    low, high = mean - half, mean + half
    is_share = name.partition("[")[0] in SHARES
    return FoldScore(name, mean, deviation, (max(low, 0.0), min(high, 1.0)) if is_share else (low, high))


@dataclass(frozen=True, eq=False)
class TestedFold:
    """A fold with the run that was tested on it, and its answers for the rows: what is told of each, by column."""

    fold: Fold
    run: Run
    rows: tuple[tuple[Any, ...], ...]


@checked_methods
@dataclass(frozen=True, eq=False)
class CrossValidation:
    """What came of all folds: the runs, their scores, and a prediction of every row by a run that did not learn it.

    `heads` are the columns of the predictions: repeat, fold, the row's number in the source, its true targets, the
    predicted ones, and for classes the probability of each.
    """

    folds: tuple[TestedFold, ...]
    heads: tuple[str, ...]
    folder: Path | None = None

    @property
    def runs(self) -> tuple[Run, ...]:
        """The run of each fold."""
        return tuple(tested.run for tested in self.folds)

    @property
    def scores(self) -> dict[str, FoldScore]:
        """Loss and metrics on the rows that were tested, by name; no loss where folds learn other transforms."""
        return self._scores(lambda run: run.summary.test or {})

    def baseline(self, which: str) -> dict[str, FoldScore]:
        """The same of the `constant` answer or the `linear` model, measured on the same rows."""
        if not isinstance(which, str) or which not in ("constant", "linear"):
            raise unknown_name("baseline", which, ("constant", "linear"), user_line())
        return self._scores(lambda run: (run.summary.baseline or {}).get(which, {}))

    def _scores(self, results: Callable[[Run], Mapping[str, Any]]) -> dict[str, FoldScore]:
        found = [results(run) for run in self.runs]
        tested = float(np.mean([len(t.fold.rows) for t in self.folds]))
        trained = float(np.mean([len(t.fold.others) for t in self.folds]))
        names = list(found[0]) if all(found) else []
        ways = {run.preprocessing and run.preprocessing.target_transform for run in self.runs}
        if len({way and way.name for way in ways}) > 1:
            names.remove("loss")  # of targets in different scales there is no mean
        return {name: score_of(name, [_number(values[name]) for values in found], tested, trained) for name in names}

    @property
    def predictions(self) -> list[tuple[Any, ...]]:
        """A row of `heads` for every row of the table and every repeat, in the order of the folds."""
        return [row for tested in self.folds for row in tested.rows]

    def sentence(self, metric: str) -> str:
        """What is to be known of one metric."""
        scores = self.scores
        if not isinstance(metric, str) or metric not in scores:
            raise unknown_name("metric", metric, scores, user_line())
        score, repeats = scores[metric], self.folds[-1].fold.repeat
        told = f"{metric} {in_digits(score.mean)} over {len(self.folds)} folds"
        told += f" in {repeats} repeats" if repeats > 1 else ""
        if score.interval is None:
            return told
        low, high = score.interval
        ends = f"{in_digits(low)} … {in_digits(high)}"
        return f"{told}; {LEVEL:.0%} interval {ends}, which allows for the rows that trainings share"

    def __repr__(self) -> str:
        where = f" in {self.folder}" if self.folder else ""
        return "\n".join([f"<CrossValidation{where}: {len(self.folds)} folds>", *map(self.sentence, self.scores)])


@checked_call
def cross_validate(
    data: Any,
    *,
    folds: int = 5,
    repeats: int = 1,
    out: str | Path | None = None,
    on: str | None = None,
    executor: Any = None,
    callbacks: Sequence[Subscriber] = (),
    **settings: Any,
) -> CrossValidation:
    """Train on all rows but those of a fold and test on these, for every fold of every repeat.

    data      the path of a table, a bundled set, a data frame, or arrays `(x, y)`, whose columns are taken as a table's
    folds     so many parts, of which each is tested once: with its share of each class; whole groups under
              `split="group:COL"`; in order of time, each by what was learned before it, under `split="time:COL"`
    repeats   how often the table is divided anew
    out       a new folder: a run folder for each fold (`2-3` is fold 3 of repeat 2), `predictions.csv` and `folds.json`
    on        where several folds are trained at once: local, local:N (so many processes) or dask://HOST:PORT
    executor  an executor of the form of `concurrent.futures`, in place of `on`
    callbacks  functions that are called with every event of every training; of folds trained elsewhere as they end
    settings  as `clearprop train` has them: target="price", epochs=50, metric="auc", seed=1; of the rows outside of the
              fold `val` chooses the best epoch

    Preprocessing, best epoch, threshold and learning rate are found outside of the fold that is tested.  The same seed
    gives the same folds and the same bits, wherever they are trained with as many threads (elsewhere one each, or
    `cl.set_threads`).

    Raises ArgumentError and DataError, before anything is written, for what does not fit together.

    >>> import clearprop as cl
    >>> found = cl.cross_validate("iris", folds=3, epochs=3, hidden=8)
    >>> len(found.runs), len(found.predictions), found.heads[:5]
    (3, 150, ('repeat', 'fold', 'row', 'true target', 'predicted target'))
    """
    told, place = listed_functions(callbacks, "event"), Workplace(on, executor)
    plan = plan_folds(data, settings, folds, repeats)
    return conduct_folds(plan, None if out is None else as_path(out, "out"), told, place=place)


@dataclass(frozen=True, eq=False)
class FoldPlan:
    """A cross-validation that was read and fits together: the table, its folds, and what was asked for."""

    table: Table
    folds: list[Fold]
    reading: Reading
    asked: Mapping[str, Any]
    validation: float
    seed: int
    source: str | None

    def as_record(self) -> dict[str, object]:
        """What was asked for, as a file keeps it: settings and numbers."""
        last = self.folds[-1]
        asked = {**{n: v for n, v in self.asked.items() if n != "test"}, "data": self.source}
        return {"format": FORMAT, "folds": len(self.folds) // last.repeat, "repeats": last.repeat, "settings": asked}

    def prepared(self, fold: Fold) -> Prepared:
        """The data of a fold, encoded by its own training part."""
        parts = fold.split(self.table, self.validation, self.seed)
        chosen = settled_table(self.asked, self.table, parts, self.reading)
        return from_parts(chosen, replace(parts, train=replace(parts.train, transform=chosen.transform)), self.reading)

    @property
    def again(self) -> Callable[[], FoldPlan] | None:
        """What makes the plan anew; None where the table came from a program."""
        if self.source is None:
            return None
        last = self.folds[-1]
        return partial(plan_folds, self.source, dict(self.asked), len(self.folds) // last.repeat, last.repeat)


def plan_folds(data: Any, given: Mapping[str, Any], folds: int, repeats: int) -> FoldPlan:
    """Read the table and deal the folds.  Raises ArgumentError and DataError for what does not fit together."""
    stranger = next((name for name in given if name not in OPTIONS), None)
    if stranger is not None:
        raise unknown_name("setting", stranger, [name for name in OPTIONS if name != "data"], where=user_line())
    asked = settings_from({name: value for name, value in given.items() if value is not None})
    if asked.get("test"):
        raise ArgumentError(
            "the folds are what is tested",
            expected="no --test beside --folds",
            got=f"--test {asked['test']}",
            where=user_line(),
            try_="--folds alone",
        )
    named = asked.get("data") if data is None else data
    reading = Reading.from_words(**{name: asked.get(name, default_of(name)) for name in READING_TEXT})
    task = task_under(asked.get("task", default_of("task")), asked.get("loss"))
    table = load_table(named, asked.get("target"), task, reading)
    seed, validation = (asked.get(name, default_of(name)) for name in ("seed", "val"))
    asked = {**asked, "test": 0.0}
    return FoldPlan(table, deal_folds(table, folds, repeats, seed), reading, asked, validation, seed, path_of(named))


def conduct_folds(
    plan: FoldPlan,
    out: Path | None,
    subscribers: Sequence[Subscriber] = (),
    watch: Callable[[TestedFold], object] = lambda _: None,
    place: Workplace = HERE,
) -> CrossValidation:
    """Train and test all folds, or those that are missing in `out`, here or at another place.

    `watch` is told of each as it ends, in their order.  Raises ArgumentError where other folds, or others' settings,
    were asked for in `out`, and KeyboardInterrupt after Ctrl-C: what was saved goes on.
    """
    pool = place.pool()
    with nullcontext() if pool is None else closing(pool):
        if out is None:
            return _folds_of(plan, None, subscribers, watch, pool)
        if not holds_folds(out):
            start_folder(out, {FOLDS: f"{json.dumps(plain(plan.as_record()))}\n".encode()})
        with hold_folder(out):
            remove_leftovers(out)
            _require_same_folds(plan, out)
            return _folds_of(plan, out, subscribers, watch, pool)


def _require_same_folds(plan: FoldPlan, out: Path) -> None:
    known, now = _asked_in(out), json.loads(json.dumps(plain(plan.as_record())))
    flat = [{**record.pop("settings"), **record} for record in (known, now)]
    other = sorted(n for n in {*flat[0], *flat[1]} if flat[0].get(n) != flat[1].get(n))
    if other:
        raise ArgumentError(
            f"{str(out)!r} holds other folds",
            expected="a new folder, or what was asked for when these were begun: then the missing ones are trained",
            got=", ".join(f"{name} {flat[1].get(name)!r} instead of {flat[0].get(name)!r}" for name in other),
            where=str(out),
            try_="another out=, or the same settings",
        )


def _folds_of(
    plan: FoldPlan,
    out: Path | None,
    subscribers: Sequence[Subscriber],
    watch: Callable[[TestedFold], object],
    pool: Pool | None,
) -> CrossValidation:
    tested = _tested_here(plan, out, subscribers) if pool is None else _tested_by(pool, plan, out, subscribers)
    found = list[TestedFold]()
    with closing(tested):
        for one in tested:
            found.append(one)
            watch(one)
    told = [f"true {column.name}" for column in plan.table.targets]
    told += [f"predicted {name}" for name in found[0].run.target_names]
    heads = ("repeat", "fold", "row", *told, *_probability_names(found[0].run))
    result = CrossValidation(tuple(found), heads, out)
    if out is not None:
        _write(result, out)
    return result


def _tested_here(plan: FoldPlan, out: Path | None, subscribers: Sequence[Subscriber]) -> Generator[TestedFold]:
    """The folds, trained one after another."""
    for fold in plan.folds:
        data = plan.prepared(fold)
        run = _train_fold(plan, fold, data, out, subscribers)
        yield TestedFold(fold, run, tuple(_answers(plan.table, fold, run, data)))


def _tested_by(
    pool: Pool, plan: FoldPlan, out: Path | None, subscribers: Sequence[Subscriber]
) -> Generator[TestedFold]:
    """The folds, trained side by side."""
    folder = None if out is None else out.resolve()
    with room_in(pool, plan, plan.again, folder) as room:
        asked = [(number, folder, room.stop) for number in range(len(plan.folds))]
        for tested, events in room.results(_test_fold, asked):
            for event in events:
                for subscriber in subscribers:
                    subscriber(event)
            if tested.run.status == "interrupted":  # somebody interrupted that worker alone
                raise TrainingInterrupted(tested.run)
            yield tested


def _test_fold(plan: FoldPlan, number: int, out: Path | None, stop: Path) -> tuple[TestedFold, list[Event]]:
    """A fold, trained and tested by a worker, and the events of its training; without answers if it was interrupted."""
    fold, told = plan.folds[number], list[Event]()
    data = plan.prepared(fold)
    try:
        run = _train_fold(plan, fold, data, out, [told.append], [stopping_at(stop)])
    except TrainingInterrupted as stopped:
        return TestedFold(fold, stopped.run, ()), told
    return TestedFold(fold, run, tuple(_answers(plan.table, fold, run, data))), told


def _train_fold(
    plan: FoldPlan,
    fold: Fold,
    data: Prepared,
    out: Path | None,
    subscribers: Sequence[Subscriber],
    callbacks: Sequence[Callback] = (),
) -> Run:
    """The run of a fold: one that has ended already, one that goes on, or a new one."""
    folder = None if out is None else out / fold.name
    begun = folder if folder is not None and is_file(folder / "config.json") else None
    if begun is not None:
        summary = RunFolder(begun).summary()
        if summary is not None and summary.status in ("done", "diverged"):
            return _ended_run(begun, data)
    settings = with_defaults(plan.asked, data)
    if settings.lr == AUTO:
        settings = replace(settings, lr=tested_rate(settings, data).suggestion)
    job = job_for(data, settings, events=Events(subscribers), callbacks=callbacks)
    return train(replace(job, resume=begun) if begun is not None else replace(job, out=folder))


def _ended_run(folder: Path, data: Prepared) -> Run:
    """A run of the folder.  Raises RunError where it learned from other data than these."""
    run, now = load(folder), data.record().digest
    if run.config.data.digest != now:
        raise RunError(
            "the data are not those that the folds learned from",
            expected=f"{run.config.data.source} with SHA-256 {str(run.config.data.digest)[:12]}…",
            got=f"{str(now)[:12]}…",
            where=str(folder),
            try_="restore the data, or begin anew",
        )
    return run


def plan_folds_again(folder: Path) -> FoldPlan:
    """The plan of the cross-validation in a folder.  Raises RunError for one that is damaged, or of a data frame."""
    stored = _asked_in(folder)
    folds, repeats, asked = stored["folds"], stored["repeats"], stored["settings"]
    if asked.get("data") is None:
        raise RunError(
            "the table of these folds cannot be read again",
            expected="folds of a file or a bundled set",
            got="those of a data frame or of arrays",
            where=str(folder),
            try_="cl.cross_validate anew",
        )
    return plan_folds(None, asked, folds, repeats)


def _asked_in(folder: Path) -> dict[str, Any]:
    """What was asked for when the folds of a folder were begun.  Raises RunError for what is damaged."""
    place, what = folder / FOLDS, "what was asked of the folds"
    stored = require_keys(read_json(place, what), {"format", "folds", "repeats", "settings"}, what, str(place))
    for name in ("folds", "repeats"):
        checked_value(int, stored[name], what, f"{place}, {name}")
    checked_value(dict[str, object], stored["settings"], what, f"{place}, settings")
    return dict(stored)


def _answers(table: Table, fold: Fold, run: Run, data: Prepared) -> Iterator[tuple[Any, ...]]:
    """What the run says of the rows of its fold."""
    assert isinstance(data.test, tuple)
    outputs = run.outputs(data.test[0])
    fitted = data.preprocessing
    assert fitted is not None  # a table's
    known = [column.take(fold.rows) for column in table.targets]
    if fitted.of_classes:
        said, true = fitted.spelled(run.chosen(outputs)), [as_category(column).values.tolist() for column in known]
    else:
        said, true = run.values(outputs).reshape(len(outputs), -1), [column.values.tolist() for column in known]
    shares: NDArray[Any] = np.empty((len(outputs), 0))
    if _probability_names(run):
        shares = np.asarray(class_probabilities(outputs.astype(np.float64), run.config.settings.loss))
    for place, row in enumerate(table.rows[fold.rows].tolist()):
        beside = [values[place] for values in true]
        yield (fold.repeat, fold.number, row, *beside, *said[place].tolist(), *shares[place].tolist())


def _probability_names(run: Run) -> tuple[str, ...]:
    fitted = run.preprocessing
    labels = () if fitted is None else fitted.label_names
    return tuple(f"p({name})" for name in (*run.class_names, *labels))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _write(result: CrossValidation, folder: Path) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([spreadsheet_text(head, True) for head in result.heads])
    known = 3 + sum(head.startswith("true ") for head in result.heads[3:])
    for row in result.predictions:
        true = [v if isinstance(v, float) else spreadsheet_text(str(v), True) for v in row[:known]]
        said = [in_digits(v, 6) if isinstance(v, float) else spreadsheet_text(str(v), True) for v in row[known:]]
        writer.writerow([*true, *said])
    write_text(folder / "predictions.csv", text.getvalue())
    each = [
        {"run": t.fold.name, "rows": len(t.fold.rows), **{n: getattr(t.run.summary, n) for n in ("best_epoch", "test")}}
        for t in result.folds
    ]
    scores = {name: asdict(score) for name, score in result.scores.items()}
    document = plain({"format": FORMAT, "folds": each, "scores": scores})
    write_text(folder / "folds.json", json.dumps(document, indent=1) + "\n")
