"""`clearprop evaluate`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from clearprop.cli.console import messages, output, print_results, say
from clearprop.cli.exit_codes import DONE
from clearprop.cli.options import Fill, form_words, with_settings
from clearprop.cli.standard_input import given_data
from clearprop.data.preprocessing import Encoded, EncodingReport
from clearprop.data.readers.formats import forms_text
from clearprop.data.readers.reading import FORM
from clearprop.data.streaming.encoded_source import merge_reports
from clearprop.runs.events import as_line, plain
from clearprop.train import load


@with_settings(FORM)
def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)],
    data: Annotated[
        str,
        typer.Argument(metavar="DATA", help=f"A {forms_text()} file with the target in it.", show_default=False),
    ],
    fill: Fill = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
    **form: str | None,
) -> int:
    """Measure a run on data that hold the target.

    The loss, and for classes the accuracy, for numbers R² and the mean absolute error in the target's own unit.

    **Examples**

    * `clearprop evaluate runs/houses-1 houses-2024.csv`

    * `clearprop evaluate runs/digits-1 digits --json`

    * `clearprop evaluate runs/houses-1 häuser.csv --decimal , --missing k.A.`
    """
    loaded, said = load(run), form_words(fill, form)
    seen: list[tuple[int, EncodingReport]] = []

    def noted(source: str) -> Iterator[Encoded]:
        for block in loaded.encoded(source, with_target=True, **said):
            seen.append((len(block.x), block.report))
            yield block

    with given_data(data) as source:
        results = loaded.measured(noted(source))
    rows = sum(number for number, _ in seen)
    for remark in merge_reports(report for _, report in seen).lines():
        say(messages(), remark)
    if json:
        typer.echo(as_line(plain({"rows": rows, **results})))
    else:
        print_results(output(), {f"{rows} rows": results})
    return DONE
