"""`clearprop predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from clearprop.train.run import Run


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)],
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A CSV, Parquet or NPZ file, or a bundled set.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write a CSV file instead of stdout.")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace FILE if it exists.")] = False,
) -> int:
    """Predict with a run: one line of CSV per row of DATA.

    Columns are encoded as in training: their order does not matter, further columns are ignored, and values that
    training did not meet are reported on stderr.

    **Examples**

    * `clearprop predict runs/digits-1 digits`

    * `clearprop predict runs/houses-1 new.csv -o predicted.csv`
    """
    from clearprop.cli import DONE
    from clearprop.cli.console import messages, say
    from clearprop.train.atomic import write_text
    from clearprop.train.loading import load

    if out is not None and not overwrite:
        require_new(out)
    text, remarks = predictions(load(run), data)
    for remark in remarks:
        say(messages(), remark)
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_text(out, text)
    return DONE


def require_new(out: Path) -> None:
    """Raise ArgumentError if there is something at `out` already."""
    from clearprop.errors import ArgumentError

    if out.exists():
        raise ArgumentError(
            f"{str(out)!r} is there already",
            expected="the name of a new file",
            got="a folder" if out.is_dir() else "a file",
            where=f"-o {out}",
            try_="another name" if out.is_dir() else "another name, or --overwrite",
        )


def predictions(run: Run, data: str) -> tuple[str, list[str]]:
    """The predictions as CSV text, and remarks on the data: `row` is the number of the row in DATA, from 0."""
    import csv
    import io

    import numpy as np

    from clearprop.rules.normalisation import softmax

    encoded = run.encode(data)
    outputs = run.outputs(encoded.x)
    fitted = run.preprocessing
    assert fitted is not None  # encode has checked it
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    if fitted.class_names:
        writer.writerow(["row", fitted.target.name, *(f"p({name})" for name in fitted.class_names)])
        shares = np.asarray(softmax(outputs.astype(np.float64)))
        for row, share in zip(encoded.rows, shares, strict=True):
            writer.writerow([row, fitted.class_names[int(share.argmax())], *(f"{p:.4f}" for p in share)])
    else:
        writer.writerow(["row", fitted.target.name])
        values = fitted.target_values(outputs)[:, 0]
        writer.writerows([row, f"{value:.6g}"] for row, value in zip(encoded.rows, values, strict=True))
    return file.getvalue(), encoded.report.lines()
