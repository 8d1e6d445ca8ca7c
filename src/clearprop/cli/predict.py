"""`clearprop predict`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from clearprop.cli.console import messages, say
from clearprop.cli.exit_codes import DONE
from clearprop.cli.options import Fill, form_words, with_settings
from clearprop.cli.standard_input import given_data, on_all_ranks
from clearprop.data.columns import in_digits
from clearprop.data.encoded_rows import Encoded, EncodingReport
from clearprop.data.encodings import NumberTarget
from clearprop.data.joint_target import JointTarget
from clearprop.data.readers.formats import DATA_HELP
from clearprop.data.readers.reading import FORM, FormWords, require_names, words_of
from clearprop.data.streaming.encoded_source import merge_reports
from clearprop.data.streaming.sharers import ALONE, Sharers
from clearprop.distributed import World
from clearprop.errors import ArgumentError
from clearprop.files.atomic import write_file
from clearprop.files.spreadsheet import spreadsheet_text
from clearprop.program.processes import launched_processes
from clearprop.train import Decide, Run, class_probabilities, decide_alone, load

if TYPE_CHECKING:
    from numpy.typing import NDArray


@with_settings(FORM)
def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)],
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA", help=f"{DATA_HELP}, a bundled set, or - for standard input.", show_default=False
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write a CSV file instead of stdout.")
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(metavar="COLS", help="Further columns of DATA to write, with commas between them."),
    ] = None,
    fill: Fill = None,
    length: Annotated[
        int | None, typer.Option(metavar="N", help="Of a run of text: how many characters or words to write (500).")
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            metavar="T", help="Of a run of text: 1 draws as it foretells, less what is likelier, 0 the likeliest."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Of a run of text: what is drawn depends on it (0).")
    ] = None,
    interval: Annotated[
        float | None,
        typer.Option(metavar="LEVEL", help="Write the ends between which a number lies with this probability: 0.9."),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace FILE if it exists.")] = False,
    quote_formulas: Annotated[
        bool, typer.Option(help="Put ' before a name that a spreadsheet would take for a formula.")
    ] = True,
    **form: str | None,
) -> int:
    """Predict with a run: one line of CSV per row of DATA; a run of text writes on from where DATA ends.

    Columns are encoded as in training: their order does not matter, further columns are ignored, and values that
    training did not meet are reported on stderr.  Columns that tell rows apart are written, too.

    **Examples**

    * `clearprop predict runs/digits-1 digits`

    * `clearprop predict runs/houses-1 new.csv -o predicted.csv`

    * `clearprop predict runs/houses-1 neu.csv --delimiter ';' --decimal , --fill garden`

    * `clearprop predict runs/plays-1 beginning.txt --length 300 --temperature 0.8`

    * `mpiexec -n 4 clearprop predict runs/houses-1 many.parquet -o predicted.csv`
    """

    def work(world: World | None) -> int:
        lead: Decide = decide_alone if world is None else world.lead
        if out is not None and not overwrite:
            lead(lambda: require_new(out))
        if out is not None:
            lead(lambda: _require_other(out, data))
        loaded = load(run)
        drawing = {"length": length, "temperature": temperature, "seed": seed}
        if loaded.config.settings.unit is not None:
            from clearprop.cli.written_text import write_text  # start-up time: tables do without

            others = {"--keep": keep, "--fill": fill, "--interval": interval}
            with given_data(data, world) as source:
                return write_text(loaded, source, out, drawing, others, form, data)
        _require_no_drawing(drawing, run)
        given = loaded, quote_formulas, words_of(keep), form_words(fill, form), interval
        with given_data(data, world) as source:
            if world is None:
                _write_out(out, lambda file: write_predictions(given[0], source, file, *given[1:]))
            else:
                _write_together(world, out, source, *given)
        return DONE

    return on_all_ranks(work) if launched_processes() > 1 else work(None)


def _require_no_drawing(drawing: Mapping[str, object], run: Path) -> None:
    """Raise ArgumentError for options of what is written on, where a table is predicted."""
    for name, value in drawing.items():
        if value is not None:
            raise ArgumentError(
                f"--{name} is for a run of text",
                expected="a run of clearprop train --unit char, or no such option",
                got=f"--{name} {value}, and {run}, which predicts rows",
                where=f"--{name}",
                try_=f"clearprop predict {run} DATA",
            )


def _write_out(out: Path | None, write: Callable[[BinaryIO], list[str]]) -> None:
    """Write the file or, when all is known, to stdout; then tell the remarks."""
    import tempfile

    remarks = list[str]()
    if out is not None:
        write_file(out, lambda file: remarks.extend(write(file)))
    with tempfile.TemporaryFile() as file:  # nothing is printed before all rows have been predicted
        if out is None:
            remarks += write(file)
        for remark in remarks:
            say(messages(), remark)
        file.seek(0)
        for line in file:
            typer.echo(line, nl=False)


def _write_together(
    world: World,
    out: Path | None,
    source: str,
    run: Run,
    quote_formulas: bool,
    keep: Sequence[str],
    form: FormWords,
    interval: float | None,
) -> None:
    """The same by all ranks: each predicts its rows, the first puts them together."""
    import io
    import tempfile

    with tempfile.TemporaryFile() as own:
        asked = source, own, quote_formulas, keep, form, interval, world.everyone
        reports = [each for part in world.everyone.each(lambda: _write_rows(run, *asked)) for each in part]

        def write(file: BinaryIO) -> list[str]:
            world.collect(own, file)
            return merge_reports(reports).lines()

        if world.rank:
            write(io.BytesIO())
        else:
            _write_out(out, write)


def require_new(out: Path) -> None:
    """Raise ArgumentError if there is something at `out` already."""
    if out.exists():
        raise ArgumentError(
            f"{str(out)!r} is there already",
            expected="the name of a new file",
            got="a folder" if out.is_dir() else "a file",
            where=f"-o {out}",
            try_="another name" if out.is_dir() else "another name, or --overwrite",
        )


def _require_other(out: Path, data: str) -> None:
    """Raise ArgumentError if the predictions would replace the rows that they are made from."""
    if out.exists() and Path(data).exists() and out.samefile(data):
        raise ArgumentError(
            "the predictions would replace the data that they are made from",
            expected="a file beside the data",
            got=f"{str(out)!r}, which holds the data",
            where=f"-o {out}",
            try_="another name; --keep COLS writes columns of the data beside the predictions",
        )


def write_predictions(
    run: Run,
    data: str,
    file: BinaryIO,
    quote_formulas: bool = True,
    keep: Sequence[str] = (),
    form: FormWords | None = None,
    interval: float | None = None,
) -> list[str]:
    """Write the predictions as CSV, and give remarks on the data: `row` is the number of the row in DATA, from 0.

    Identifiers of rows and the columns to `keep` follow it, as they stand in DATA, whose file has this `form`; with an
    `interval` its ends follow the prediction.
    Names are printable and, unless `quote_formulas` is false, none is a formula: see `spreadsheet_text`.
    """
    told = merge_reports(_write_rows(run, data, file, quote_formulas, keep, form, interval, ALONE)).lines()
    return [*told, *_units_told(run)]


def _units_told(run: Run) -> list[str]:
    """In what currency numbers are predicted, where the column was written with one."""
    target = None if run.preprocessing is None else run.preprocessing.target
    parts = target.numbers if isinstance(target, JointTarget) else (target,)
    return [f"{p.name} is predicted in {p.unit}" for p in parts if isinstance(p, NumberTarget) and p.unit]


def _write_rows(
    run: Run,
    data: str,
    file: BinaryIO,
    quote_formulas: bool,
    keep: Sequence[str],
    form: FormWords | None,
    interval: float | None,
    ranks: Sharers,
) -> list[EncodingReport]:
    """Write this rank's rows, the first rank's below the names of columns, and give a report on each block."""
    import csv
    import io

    import numpy as np

    if interval is not None:
        run.require_interval(interval)
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    reports, classes = list[EncodingReport](), list[str]()
    known = () if run.preprocessing is None else run.preprocessing.identifiers
    wanted = tuple(dict.fromkeys((*known, *keep)))
    for number, encoded in enumerate(run.encoded(data, keep=wanted, ranks=ranks, **(form or {}))):
        if not number:
            fitted = run.preprocessing
            assert fitted is not None  # encoded has checked it
            classes = [spreadsheet_text(name, quote_formulas) for name in fitted.class_names]
            kept = [column.name for column in encoded.kept]
            further = (*(c.name for c in fitted.source_columns), *encoded.report.ignored)
            require_names(keep, (*kept, *(name for name in further if name not in wanted)), "--keep", data)
            clear = [spreadsheet_text(name, quote_formulas) for name in run.target_names]
            doubles = zip(clear, run.target_names, strict=True)
            targets = [f"predicted {told}" if name in kept else told for told, name in doubles]
            heads = ["row", *(spreadsheet_text(name, quote_formulas) for name in kept), *targets]
            ends = [] if interval is None else [f"{targets[0]} from", f"{targets[0]} to"]
            judged = classes or (clear if fitted.label_names else [])
            if ranks.rank == 0:
                writer.writerow([*heads, *ends, *(f"p({name})" for name in judged)])
        outputs = run.outputs(encoded.x)
        writer.writerows(_rows(run, encoded, outputs, classes, quote_formulas, interval))
        lost = int((~np.isfinite(outputs)).any(axis=-1).sum())
        reports.append(replace(encoded.report, lost=lost) if lost else encoded.report)
    text.detach()  # flushes, and leaves the file open
    return reports


def _rows(
    run: Run,
    encoded: Encoded,
    outputs: NDArray[Any],
    classes: Sequence[str],
    quote_formulas: bool,
    interval: float | None,
) -> Iterator[list[object]]:
    import numpy as np

    fitted = run.preprocessing
    assert fitted is not None  # encoded has checked it
    values = [column.values.tolist() for column in encoded.kept]
    texts = [["" if v is None else spreadsheet_text(v, quote_formulas) for v in column] for column in values]
    heads = [[row, *cells] for row, *cells in zip(encoded.rows, *texts, strict=True)]
    if fitted.class_names:
        shares = np.asarray(class_probabilities(outputs.astype(np.float64), run.config.settings.loss))
        for head, code, share in zip(heads, run.chosen(outputs).tolist(), shares, strict=True):
            yield [*head, classes[code], *(f"{p:.4f}" for p in share)]
    elif fitted.label_names:
        shares = np.asarray(class_probabilities(outputs.astype(np.float64), run.config.settings.loss))
        for head, said, share in zip(heads, fitted.spelled(run.chosen(outputs)), shares, strict=True):
            words = (spreadsheet_text(name, quote_formulas) for name in said)
            yield [*head, *words, *(f"{p:.4f}" for p in share)]
    else:
        numbers = run.values(outputs)[:, : len(run.target_names)]
        if interval is not None:
            numbers = np.concatenate([numbers, run.interval_around(numbers[:, 0], interval)], axis=1)
        told = ([in_digits(number, 6) for number in row] for row in numbers)
        yield from ([*head, *row] for head, row in zip(heads, told, strict=True))
