"""`clearprop compare RUN RUN…`: runs that exist, side by side."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from pathlib import Path

import typer

from clearprop.charts.chart import save_charts
from clearprop.cli.console import output, print_wide, say
from clearprop.cli.exit_codes import DONE
from clearprop.errors import ArgumentError
from clearprop.files.atomic import make_folder, write_text
from clearprop.files.presence import require_free
from clearprop.reporting.runs_side_by_side import (
    comparison_charts,
    comparison_html,
    differences,
    record,
    remarks,
    results,
)
from clearprop.runs.events import plain
from clearprop.train import load


def compare_runs(folders: Sequence[Path], out: Path | None, json: bool) -> int:
    """Print tables of how the runs ended and of what differed; `out` gets a page with their curves, and pictures."""
    if len(folders) < 2:
        raise ArgumentError(
            "one run is nothing to compare",
            expected="two runs or more, or DATA to compare optimizers on",
            got=str(folders[0]),
            where="RUN",
            try_=f"clearprop report {folders[0]}",
        )
    if out is not None:
        require_free(out)
    runs = [load(folder) for folder in folders]
    if out is not None:
        make_folder(out)
        write_text(out / "comparison.html", comparison_html(runs))
        save_charts(out, comparison_charts(runs))
        write_text(out / "results.json", json_module.dumps(plain(record(runs)), indent=1, ensure_ascii=False) + "\n")
    if json:
        typer.echo(json_module.dumps(plain(record(runs)), ensure_ascii=False))
        return DONE
    console = output()
    heads, rows = results(runs)
    print_wide(console, heads, rows, right=range(2, len(heads)))
    heads, rows = differences(runs)
    print_wide(console, heads, rows, right=())
    for remark in remarks(runs):
        say(console, remark)
    if out is not None:
        say(console, f"curves are in {out / 'comparison.html'}, and as PNG and SVG beside it")
    return DONE
