"""`clearprop export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clearprop.cli.exit_codes import DONE
from clearprop.cli.predict import require_new
from clearprop.errors import printable
from clearprop.exporting import export as write
from clearprop.exporting.export_run import files_of
from clearprop.train import load


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)],
    format_: Annotated[str, typer.Option("--format", metavar="FORM", help="python, onnx or safetensors")] = "python",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="The file to write (default: the run's name).")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace files that exist.")] = False,
) -> int:
    """Take a run away: as one Python file that needs NumPy alone, as an ONNX file, or as its weights.

    The Python file holds the network, its backward pass line by line, the update rule, a training loop and a gradient
    check; run it, and it checks itself and repeats the first losses of the run. Of a table it takes encoded rows, and
    gives standardised numbers: its first lines tell how they come to the target's unit.

    The ONNX file takes the columns as they are (numbers; everything else as text) and gives the class
    with its probabilities, or the value; what ONNX cannot compute is said, and nothing is written.

    **Examples**

    * `clearprop export runs/digits-1`

    * `clearprop export runs/penguins-1 --format onnx`

    * `clearprop export runs/digits-1 --format safetensors -o weights.safetensors`
    """
    loaded = load(run)
    files = files_of(format_, out, run.resolve().name)
    if not overwrite:
        for path in files:
            require_new(path)
    for path in write(loaded, format_, files[0]):
        typer.echo(printable(f"{path}  {path.stat().st_size:,} bytes"))
    return DONE
