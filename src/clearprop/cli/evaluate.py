"""`clearprop evaluate`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from clearprop.cli.console import messages, output, print_results, say
from clearprop.cli.exit_codes import DONE
from clearprop.cli.options import Fill, form_words, with_settings
from clearprop.cli.standard_input import given_data, on_all_ranks
from clearprop.data.encoded_rows import Encoded, EncodingReport
from clearprop.data.readers.formats import DATA_HELP
from clearprop.data.readers.reading import FORM, FormWords
from clearprop.data.streaming.encoded_source import merge_reports
from clearprop.data.streaming.sharers import ALONE, Sharers
from clearprop.distributed import World
from clearprop.program.processes import launched_processes
from clearprop.runs.events import as_line, plain
from clearprop.train import Run, load


@with_settings(FORM)
def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)],
    data: Annotated[
        str,
        typer.Argument(metavar="DATA", help=f"{DATA_HELP}, with the target in it.", show_default=False),
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

    * `mpiexec -n 4 clearprop evaluate runs/houses-1 many.parquet`
    """

    def work(world: World | None) -> int:
        ranks: Sharers = ALONE if world is None else world.everyone
        loaded = load(run)
        with given_data(data, world) as source:
            if loaded.config.settings.unit is not None:
                from clearprop.cli.written_text import measured_text  # start-up time: tables do without

                rows, results, remarks = measured_text(loaded, source, {"--fill": fill}, form)
            else:
                rows, results, remarks = _measure(loaded, source, form_words(fill, form), ranks)
        for remark in remarks:
            say(messages(), remark)
        if json:
            typer.echo(as_line(plain({"rows": rows, **results})))
        else:
            print_results(output(), {f"{rows} rows": results})
        return DONE

    return on_all_ranks(work) if launched_processes() > 1 else work(None)


def _measure(run: Run, source: str, form: FormWords, ranks: Sharers) -> tuple[int, dict[str, float], list[str]]:
    """The number of rows, the results, and remarks; of several ranks each measures its rows."""
    own: list[tuple[int, EncodingReport]] = []

    def noted() -> Iterator[Encoded]:
        for block in run.encoded(source, with_target=True, ranks=ranks, **form):
            own.append((len(block.x), block.report))
            yield block

    results = run.measured(noted(), ranks)
    seen = [each for part in ranks.each(lambda: own) for each in part]
    return sum(number for number, _ in seen), results, merge_reports(report for _, report in seen).lines()
