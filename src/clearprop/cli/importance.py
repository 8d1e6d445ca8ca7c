"""`clearprop importance`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from clearprop.cli.console import output, say, table
from clearprop.cli.exit_codes import DONE
from clearprop.cli.standard_input import given_data
from clearprop.data.readers.formats import DATA_HELP
from clearprop.runs.events import as_line, plain
from clearprop.train import load


def importance(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)],
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATA]",
            help=f"{DATA_HELP}, with the target in it; by default the run's own validation rows.",
            show_default=False,
        ),
    ] = None,
    metric: Annotated[
        str | None, typer.Option(metavar="NAME", help="The score; by default accuracy, or R² for numbers.")
    ] = None,
    repeats: Annotated[int, typer.Option(metavar="N", help="How often each column is shuffled.")] = 10,
    seed: Annotated[int, typer.Option(metavar="N", help="Decides the shuffles.")] = 0,
    target: Annotated[
        str | None,
        typer.Option("--output", metavar="TARGET", help="Of several targets the one that is scored; else the first."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> int:
    """Tell how much a run hangs on each column: what its score loses when the column is shuffled.

    The mean loss over the shuffles with its 95 % interval, as far as chance lies in the shuffles, and the mean effect
    of the column on the answer, the gradient times the input.  Columns that tell the same can each be lost without
    harm, so both look unimportant.

    **Examples**

    * `clearprop importance runs/houses-1`

    * `clearprop importance runs/houses-1 houses-2024.csv --metric mae --repeats 30`
    """
    loaded = load(run)
    if data is None:
        found = loaded.importance(metric=metric, repeats=repeats, seed=seed, output=target)
    else:
        with given_data(data) as source:
            found = loaded.importance(source, metric=metric, repeats=repeats, seed=seed, output=target)
    if json:
        typer.echo(as_line(plain(asdict(found))))
        return DONE
    console = output()
    say(console, found.caption)
    console.print(table(found.heads, found.cells, right=range(1, 4)))
    return DONE
