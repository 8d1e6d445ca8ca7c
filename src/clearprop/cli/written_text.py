"""What commands do with a run of running text: it writes on, and is measured."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from clearprop.cli.exit_codes import DONE
from clearprop.data.readers.reading import FORM
from clearprop.data.running_text import read_text
from clearprop.errors import ArgumentError, printable
from clearprop.files.atomic import write_file
from clearprop.train import Run
from clearprop.train.text_writing import continue_text, measure_text

LENGTH = 500
"""So much is written where nothing is asked for."""


def write_text(
    run: Run,
    source: str,
    out: Path | None,
    drawing: Mapping[str, Any],
    others: Mapping[str, object],
    form: Mapping[str, str | None],
    name: str,
) -> int:
    """Write on from where a text ends, into a file or to stdout.  Raises ArgumentError for options of tables."""
    require_text_options(others, form)
    length = LENGTH if drawing["length"] is None else drawing["length"]
    if length < 1 or length > 1_000_000:
        raise ArgumentError(
            f"--length cannot be {length}",
            expected="a whole number from 1 to 1,000,000",
            got=str(length),
            where="--length",
            try_=f"--length {LENGTH}",
        )
    temperature = 1.0 if drawing["temperature"] is None else drawing["temperature"]
    begun = read_text(source, form.get("encoding"))
    written = continue_text(run, begun, length, temperature, drawing["seed"] or 0, name)
    if out is None:
        # a terminal would obey what a text holds; a pipe gets it as it is, of which click would take colours out
        typer.echo(printable(written, keep="\n\t") if _is_terminal() else written, color=True)
    else:
        write_file(out, lambda file: file.writelines([written.encode()]))
    return DONE


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def measured_text(
    run: Run, source: str, others: Mapping[str, object], form: Mapping[str, str | None]
) -> tuple[int, dict[str, float], list[str]]:
    """The number of stretches, the results, and no remarks.  Raises ArgumentError for options of tables."""
    require_text_options(others, form)
    return *measure_text(run, source, form.get("encoding")), []


def require_text_options(others: Mapping[str, object], form: Mapping[str, str | None]) -> None:
    """Raise ArgumentError for options that only tables have."""
    given = {**others, **{f"--{name}": form.get(name) for name in FORM if name != "encoding"}}
    for option, value in given.items():
        if value is not None:
            raise ArgumentError(
                f"{option} is for tables",
                expected="a run of a table, or no such option",
                got=f"{option} {value}, and a run of text",
                where=option,
            )
