"""What `clearprop train --folds N` does: every row tested once, the folds told as one table of runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clearprop.cli.console import messages, output, print_json, say, table
from clearprop.cli.exit_codes import DONE, INTERRUPTED
from clearprop.errors import ArgumentError
from clearprop.files.presence import free_folder, require_free
from clearprop.runs.asked_settings import settings_from
from clearprop.runs.events import measure_text, overall
from clearprop.runs.settings import option_of
from clearprop.search.cross_validation import (
    CrossValidation,
    FoldPlan,
    TestedFold,
    conduct_folds,
    plan_folds,
    plan_folds_again,
)
from clearprop.search.rooms import Workplace


def cross_validate(
    given: Mapping[str, Any],
    folds: int | None,
    repeats: int | None,
    others: Mapping[str, Any],
    *,
    out: Path | None,
    config: Path | None,
    json: bool,
    on: str | None,
) -> int:
    """Train and test all folds; `others` are options that do not go together with them, and their values."""
    _require_fit(folds, others)
    asked = settings_from(given, config)
    require_table(asked.get("data"), "folds")
    place = free_folder(f"{Path(asked['data']).stem or 'run'}-folds") if out is None else out
    require_free(place)
    return _conduct(plan_folds(None, asked, folds or 0, 1 if repeats is None else repeats), place, json, on)


def resume(folder: Path, given: Mapping[str, Any], others: Mapping[str, Any], *, json: bool, on: str | None) -> int:
    """Go on with the folds of a folder; nothing else may be asked for."""
    strange = next(
        (n for n, value in {**others, **{option_of(n): n for n in given}}.items() if value is not None), None
    )
    if strange is not None:
        raise ArgumentError(
            "folds go on as they were begun",
            expected="--resume, perhaps with --on",
            got=strange,
            where=f"--resume {folder}",
            try_=f"clearprop train --resume {folder}",
        )
    return _conduct(plan_folds_again(folder), folder, json, on)


def _conduct(plan: FoldPlan, place: Path, json: bool, on: str | None) -> int:
    if not json:
        _tell_plan(plan)
    watch = _tell_nothing if json else _tell_fold
    try:
        found = conduct_folds(plan, place, [print_json] if json else [], watch, Workplace(on))
    except KeyboardInterrupt:
        say(messages(), f"interrupted; clearprop train --resume {place} goes on with the folds that are missing")
        return INTERRUPTED
    if not json:
        _tell_end(found)
    return DONE


def _require_fit(folds: int | None, others: Mapping[str, Any]) -> None:
    """Raise ArgumentError for --repeats alone, and for options that do not go together with folds."""
    strange = next((name for name, value in others.items() if value is not None), None)
    if folds is None or strange is not None:
        raise ArgumentError(
            "folds are new trainings on one process, several of them",
            expected="--folds N, perhaps with --repeats N, and a new training",
            got="--repeats without --folds" if folds is None else f"--folds and {strange}",
            where=strange or "--repeats",
            try_="clearprop train DATA --folds 5 --repeats 3",
        )


def require_table(data: str | None, what: str) -> None:
    """Raise ArgumentError for data that cannot be read at once."""
    if data is None or data == "-":
        raise ArgumentError(
            f"{what} need a table that can be read at once",
            expected="DATA: a file or a bundled set",
            got="no DATA" if data is None else "standard input",
            where="DATA",
            try_=f"clearprop train penguins --{what} 5",
        )


def _tell_plan(plan: FoldPlan) -> None:
    for note in (plan.table.target_note, plan.table.task_note, *plan.table.notes):
        say(output(), f"{plan.table.source}: {note}")
    repeats = plan.folds[-1].repeat
    each = len(plan.folds) // repeats
    told = f"{each} folds of {len(plan.table):,} rows" + (f", {repeats} times" if repeats > 1 else "")
    say(output(), f"{told}; preprocessing, best epoch and all that is chosen come from the rows outside of each fold")


def _tell_fold(tested: TestedFold) -> None:
    results = overall(tested.run.summary.test or {})
    told = "  ".join(f"{name} {measure_text(name, value)}" for name, value in results.items())
    say(messages(), f"fold {tested.fold.name}  {tested.run.status}  {told}")


def _tell_nothing(_: TestedFold) -> None:
    pass


def _tell_end(found: CrossValidation) -> None:
    console, scores = output(), found.scores
    names = list(scores)
    rows = [
        [t.fold.name, str(len(t.fold.rows)), *(measure_text(n, (t.run.summary.test or {}).get(n)) for n in names)]
        for t in found.folds
    ]
    rows.append(["mean", "", *(measure_text(n, scores[n].mean) for n in names)])
    rows.append(["deviation", "", *(measure_text(n, scores[n].deviation) for n in names)])
    for which in ("constant", "linear"):
        beside = found.baseline(which)
        if beside:
            rows.append([f"{which}, mean", "", *(measure_text(n, beside[n].mean) for n in names)])
    console.print()
    console.print(table(["fold", "rows", *names], rows, right=range(1, len(names) + 2)))
    console.print()
    for name in overall(scores):
        say(console, found.sentence(name))
    say(
        console,
        f"\nsaved in {found.folder}: a run for each fold, predictions.csv, folds.json; "
        f"next: clearprop compare {found.folder}/*/",
    )
