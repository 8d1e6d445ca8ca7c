"""`clearprop report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clearprop.charts.chart import save_charts
from clearprop.cli.exit_codes import DONE
from clearprop.cli.predict import require_new
from clearprop.errors import printable
from clearprop.files.atomic import write_text
from clearprop.files.presence import require_free
from clearprop.reporting import report_of
from clearprop.train import load


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="The file to write; by default RUN/report.html."),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace FILE if it exists.")] = False,
    plots: Annotated[
        Path | None,
        typer.Option("--plots", metavar="DIR", help="A new folder for the plots of the page, as PNG and as SVG files."),
    ] = None,
) -> int:
    """Write what a run did as one HTML page: it loads nothing, needs no script, and can be printed.

    Data, network, curves, confusions or residuals, calibration, the importance of the columns with intervals, the worst
    misses with what their predictions hang on,
    the sizes of gradients and updates by layer (from replayed steps), the environment, and the command that repeats it.

    **Examples**

    * `clearprop report runs/digits-1`

    * `clearprop report runs/digits-1 -o digits.html --plots plots`
    """
    target = run / "report.html" if out is None else out
    if out is not None and not overwrite:
        require_new(out)
    if plots is not None:
        require_free(plots, "--plots")
    made = report_of(load(run))
    write_text(target, made.html)
    typer.echo(printable(f"written: {target}"))
    if plots is not None:
        typer.echo(printable(f"written: {len(save_charts(plots, made.charts))} plots in {plots}"))
    return DONE
