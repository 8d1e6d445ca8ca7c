"""`clearprop compare`: optimizers side by side on one data set."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from clearprop.train.comparison import Outcome, Setup

DEFAULT = "sgd:momentum=0.9,adam,adamw,rmsprop,lion,schedule_free"
_AXES = {"steps": "steps", "gradients": "gradient evaluations", "seconds": "seconds, without compilation"}


def compare(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA|RUN RUN…",
            help="A CSV, Parquet or NPZ file or a bundled set, to compare optimizers on; or the folders of runs.",
        ),
    ],
    optimizers: Annotated[
        str, typer.Option(metavar="A,B,…", help="Optimizers, perhaps with settings: adam,sgd:momentum=0.9")
    ] = DEFAULT,
    seeds: Annotated[int, typer.Option(metavar="N", min=1, max=100, help="Networks per optimizer.")] = 5,
    grid: Annotated[bool, typer.Option("--grid", help="Try 8 learning rates each; the best one counts.")] = False,
    epochs: Annotated[int, typer.Option(metavar="N", min=1, help="The budget, at one gradient per step.")] = 30,
    batch_size: Annotated[int, typer.Option(metavar="N", min=1, help="Rows per step.")] = 32,
    hidden: Annotated[str, typer.Option(metavar="SIZES", help="The sizes of the hidden layers.")] = "32,32",
    target: Annotated[str | None, typer.Option(metavar="COL", help="The column to learn.")] = None,
    out: Annotated[Path | None, typer.Option(help="A new folder for plots and numbers.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> int:
    """Compare optimizers on a data set, or runs that exist.

    With DATA, train the same networks with several optimizers, and say which one came out ahead, and how surely.

    All start from the same weights, see the same batches and take the same number of gradients. A network is judged by
    its lowest validation loss; the test part is not touched.

    With the folders of two runs or more, tell how they ended and in which settings they differ; `--out` writes a page
    with their curves.

    **Examples**

    * `clearprop compare digits`

    * `clearprop compare diabetes --optimizers adam,sgd:momentum=0.9,sam:inner=adam --grid --out comparison`

    * `clearprop compare runs/digits-1 runs/digits-2 --out comparison`
    """
    from clearprop.cli import DONE
    from clearprop.cli.console import messages, output, say, table
    from clearprop.cli.settings import settings_from
    from clearprop.train.comparison import Setup, verdict
    from clearprop.train.comparison import compare as run
    from clearprop.train.prepared import from_source
    from clearprop.train.run_folder import require_free

    folders = [Path(name) for name in what]
    if len(folders) > 1 or folders[0].is_dir():
        from clearprop.cli.compare_runs import compare_runs

        return compare_runs(folders, out, json)
    data = what[0]
    if out is not None:
        require_free(out)
    sizes = settings_from({"data": data, "hidden": hidden}).hidden or ()
    names = split_names(optimizers)
    prepared = from_source(data, target, "auto", 0.2, 0.0, 0)
    setup = Setup(tuple(sizes), epochs=epochs, batch_size=batch_size, seeds=seeds, grid=grid)
    console = messages()
    outcomes = run(prepared, names, setup, lambda text: None if json else say(console, text))
    sentence = verdict(outcomes, setup)
    if out is not None:
        _write(out, outcomes, setup, sentence)
    if json:
        typer.echo(json_module.dumps(record(outcomes, setup, sentence)))
        return DONE
    result = output()
    header = [
        "optimizer",
        "rate",
        "validation loss",
        "±",
        metric_of(prepared),
        "training loss",
        "gradients",
        "seconds",
        "",
    ]
    result.print(table(header, [_row(o) for o in outcomes], right=range(1, 8)))
    result.print()
    say(result, sentence)
    for note in notes(outcomes):
        say(result, note)
    if out is not None:
        say(result, f"plots and numbers are in {out}")
    return DONE


def split_names(text: str) -> list[str]:
    """`a,b:x=1,y=2,c` as `a`, `b:x=1,y=2`, `c`: what holds `=` and no `:` belongs to the name before it."""
    names: list[str] = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        if names and "=" in item and ":" not in item:
            names[-1] += ("," if ":" in names[-1] else ":") + item
        else:
            names.append(item)
    return list(dict.fromkeys(names))


def metric_of(prepared: Any) -> str:
    """The metric of the task."""
    return "accuracy" if prepared.preprocessing.class_names else "r2"


def notes(outcomes: Sequence[Outcome]) -> list[str]:
    """What the table alone does not say."""
    found = [
        f"{o.name}: {o.diverged} of {len(o.traces)} runs diverged; try a lower rate" for o in outcomes if o.diverged
    ]
    edges = [o for o in outcomes if o.edge]
    return found + [f"{o.name}: its best rate is at the grid's edge; a better one may lie beyond" for o in edges]


def _row(outcome: Outcome) -> list[str]:
    from clearprop.train.events import number

    traces, several = outcome.traces, len(outcome.traces) > 1
    done = [t for t in traces if len(t.train)]

    def mean(values: list[float]) -> str:
        return number(sum(values) / len(values)) if values else ""

    return [
        outcome.name,
        "" if outcome.rate is None else f"{outcome.rate:.3g}",
        number(outcome.score),
        f"{outcome.scores.std(ddof=1):.2g}" if several else "",
        mean([t.metric for t in done]),
        mean([float(t.train[-1]) for t in done]),
        f"{max((t.gradients[-1] for t in done), default=0):.0f}",
        mean([float(t.seconds[-1]) for t in done]),
        f"{outcome.diverged} diverged" if outcome.diverged else "",
    ]


def record(outcomes: Sequence[Outcome], setup: Setup, sentence: str) -> dict[str, Any]:
    """Everything measured, as JSON holds it."""
    from dataclasses import asdict

    from clearprop.train.events import plain

    found = [
        {"optimizer": o.name, "rate": o.rate, "rates_tried": o.tried, "runs": [asdict(t) for t in o.traces]}
        for o in outcomes
    ]
    result: dict[str, Any] = plain({"setup": asdict(setup), "verdict": sentence, "outcomes": found})
    return result


def _write(out: Path, outcomes: Sequence[Outcome], setup: Setup, sentence: str) -> None:
    from clearprop.train.atomic import write_text

    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "results.json", json_module.dumps(record(outcomes, setup, sentence), indent=1) + "\n")
    for axis, label in _AXES.items():
        _draw(out / f"{axis}.svg", outcomes, axis, label)


def _draw(path: Path, outcomes: Sequence[Outcome], axis: str, label: str) -> None:
    """Mean training loss with the range over the seeds, as far as all of them came."""
    import numpy as np

    from clearprop.train.plotting import Curve, save_plot

    curves = []
    for outcome in outcomes:
        length = min(len(t.train) for t in outcome.traces)
        if not length:
            continue
        losses = np.array([t.train[:length] for t in outcome.traces])
        x = np.mean([getattr(t, axis)[:length] for t in outcome.traces], axis=0)
        curves.append(Curve(outcome.name, x, losses.mean(0), losses.min(0), losses.max(0)))
    save_plot(path, curves, label, "training loss", log_y=True)
