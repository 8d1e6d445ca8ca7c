"""`clearprop evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)],
    data: Annotated[
        str,
        typer.Argument(metavar="DATA", help="A CSV, Parquet or NPZ file with the target in it.", show_default=False),
    ],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> int:
    """Measure a run on data that hold the target.

    The loss, and for classes the accuracy, for numbers R² and the mean absolute error in the target's own unit.

    **Examples**

    * `clearprop evaluate runs/houses-1 houses-2024.csv`

    * `clearprop evaluate runs/digits-1 digits --json`
    """
    from clearprop.cli import DONE
    from clearprop.cli.console import messages, output, results_table, say
    from clearprop.train.events import as_line, plain
    from clearprop.train.loading import load

    loaded = load(run)
    encoded = loaded.encode(data, with_target=True)
    results = loaded.evaluate(encoded.x, encoded.y)
    for remark in encoded.report.lines():
        say(messages(), remark)
    if json:
        typer.echo(as_line(plain({"rows": len(encoded.x), **results})))
    else:
        output().print(results_table({f"{len(encoded.x)} rows": results}))
    return DONE
