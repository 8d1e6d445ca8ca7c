"""`clearprop compare`: optimizers side by side on one data set."""

from __future__ import annotations

import json as json_module
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from clearprop.cli.compare_runs import compare_runs
from clearprop.cli.console import messages, output, say, table
from clearprop.cli.exit_codes import DONE
from clearprop.cli.options import with_settings
from clearprop.comparison.page import draw, heads, notes, record, rows
from clearprop.comparison.trials import Outcome, Setup, Trainings
from clearprop.comparison.trials import compare as run
from clearprop.comparison.verdict import verdict
from clearprop.data.provenance import path_of
from clearprop.data.readers.formats import DATA_HELP, table_parts
from clearprop.data.readers.reading import READING, Reading
from clearprop.data.training_data import Prepared, from_source
from clearprop.errors import ArgumentError
from clearprop.files.atomic import write_text
from clearprop.files.presence import require_free
from clearprop.train import suitable_measures

DEFAULT = "sgd:momentum=0.9,adam,adamw,rmsprop,lion,schedule_free"


@with_settings(("target", "task", *READING))
def compare(
    context: typer.Context,
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA|RUN RUN…",
            help=f"{DATA_HELP}, or a bundled set, to compare optimizers on; or the folders of runs.",
        ),
    ],
    optimizers: Annotated[
        str, typer.Option(metavar="A,B,…", help="Optimizers, perhaps with settings: adam,sgd:momentum=0.9")
    ] = DEFAULT,
    seeds: Annotated[int, typer.Option(metavar="N", min=1, max=100, help="Networks per optimizer.")] = 5,
    grid: Annotated[
        bool, typer.Option("--grid", help="Try 8 learning rates each; the best one is judged on other networks.")
    ] = False,
    judged: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=100, help="With --grid: how many; as many as --seeds.")
    ] = None,
    epochs: Annotated[
        int, typer.Option(metavar="N", min=1, max=10**9, help="The budget, at one gradient per step.")
    ] = 30,
    batch_size: Annotated[int, typer.Option(metavar="N", min=1, max=2**31 - 1, help="Rows per step.")] = 32,
    hidden: Annotated[str, typer.Option(metavar="SIZES", help="The sizes of the hidden layers.")] = "32,32",
    on: Annotated[
        str | None,
        typer.Option(metavar="PLACE", help="Train several at once: local:N (processes), or dask://HOST:PORT."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A new folder for plots and numbers.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
    **columns: str | None,
) -> int:
    """Compare optimizers on a data set, or runs that exist.

    With DATA, train the same networks with several optimizers, and say which one came out ahead, and how surely.

    All start from the same weights, see the same batches and take the same number of gradients. A network is judged by
    its lowest validation loss; the test part is not touched. Every two optimizers are compared by a paired t-test over
    the networks, and the p-values are corrected for the number of pairs (Holm).

    With the folders of two runs or more, tell how they ended and in which settings they differ; `--out` writes a page
    with their curves.

    **Examples**

    * `clearprop compare digits`

    * `clearprop compare diabetes --optimizers adam,sgd:momentum=0.9,sam:inner=adam --grid --out comparison`

    * `clearprop compare digits --grid --on local:2`

    * `clearprop compare runs/digits-1 runs/digits-2 --out comparison`
    """
    from clearprop.runs.asked_settings import settings_from  # start-up time: pydantic

    folders = [Path(name) for name in what]
    if len(folders) > 1 or (folders[0].is_dir() and not table_parts(folders[0])):
        _require_none_for_data(context)
        return compare_runs(folders, out, json)
    data = what[0]
    if judged is not None and not grid:
        raise _no_grid(judged)
    if out is not None:
        require_free(out)
    asked = settings_from({"data": data, "hidden": hidden, **columns})
    names = split_names(optimizers)
    reading = Reading.from_words(**{name: asked.get(name) for name in READING})
    how = asked.get("target"), asked.get("task", "auto"), 0.2, 0.0, 0
    prepared = from_source(data, *how, reading=reading)
    again = partial(from_source, path_of(data), *how, reading=reading)
    setup = Setup(tuple(asked["hidden"]), epochs=epochs, batch_size=batch_size, seeds=seeds, grid=grid, judged=judged)
    console = messages()
    with _trainings(on, prepared, setup, again) as train_all:
        outcomes = run(prepared, names, setup, lambda text: None if json else say(console, text), train_all)
    if out is not None:
        _write(out, outcomes, setup)
    if json:
        typer.echo(json_module.dumps(record(outcomes, setup)))
    else:
        _show(outcomes, setup, metric_of(prepared), out)
    return DONE


def _trainings(
    on: str | None, data: Prepared, setup: Setup, again: Callable[[], Prepared]
) -> AbstractContextManager[Trainings | None]:
    if on is None:
        return nullcontext()
    from clearprop.comparison.side_by_side import trainings_on  # start-up time: processes, and what sweeps need

    return trainings_on(on, data, setup, again)


def _show(outcomes: Sequence[Outcome], setup: Setup, metric: str, out: Path | None) -> None:
    result = output()
    result.print(table(heads(metric), rows(outcomes), right=range(1, 9)))
    result.print()
    say(result, verdict(outcomes, setup))
    for note in notes(outcomes):
        say(result, note)
    if out is not None:
        say(result, f"plots and numbers are in {out}")


_FOR_RUNS = ("what", "out", "json", "threads")
"""The parameters that mean something where runs are compared."""


def _require_none_for_data(context: typer.Context) -> None:
    """Raise ArgumentError for an option that is about data, where runs are compared."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is not None and source.name == "COMMANDLINE" and parameter.name not in _FOR_RUNS:
            option = parameter.opts[0]
            raise ArgumentError(
                f"{option} is for data, and these are runs, which were trained already",
                expected="DATA, or the folders of runs with --out and --json alone",
                got=option,
                where=option,
                try_=f"leave {option} out, or train again",
            )


def split_names(text: str) -> list[str]:
    """`a,b:x=1,y=2,c` as `a`, `b:x=1,y=2`, `c`: what holds `=` and no `:` belongs to the name before it."""
    names: list[str] = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        if names and "=" in item and ":" not in item:
            names[-1] += ("," if ":" in names[-1] else ":") + item
        else:
            names.append(item)
    return list(dict.fromkeys(names))


def _no_grid(judged: int) -> ArgumentError:
    return ArgumentError(
        "--judged is for learning rates that were chosen",
        expected="--judged with --grid: how many other networks judge the best rate",
        got=f"--judged {judged} without --grid",
        where="--judged",
        try_=f"--seeds {judged}, or --grid --judged {judged}",
    )


def metric_of(prepared: Any) -> str:
    """The first metric of the task."""
    return suitable_measures(prepared.preprocessing)[1][0]


def _write(out: Path, outcomes: Sequence[Outcome], setup: Setup) -> None:

    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "results.json", json_module.dumps(record(outcomes, setup), indent=1) + "\n")
    for suffix in ("svg", "png"):
        draw(out / f"curves.{suffix}", outcomes)
