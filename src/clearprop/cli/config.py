"""`clearprop config`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clearprop.cli.exit_codes import DONE
from clearprop.runs.folder import RunFolder
from clearprop.train import command_of


def config(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE|RUN", help="A config file, or the folder of a run.", show_default=False),
    ] = None,
) -> int:
    """Show settings as TOML: all of them with their defaults, those of a file (checked), or those of a run.

    What it prints is a config file for `clearprop train --config`.

    **Examples**

    * `clearprop config > train.toml`

    * `clearprop config train.toml`

    * `clearprop config runs/digits-1`
    """
    from clearprop.runs.asked_settings import as_toml, settings_from  # start-up time: pydantic

    if file is None:
        typer.echo("# clearprop train --config FILE; options on the command line win over it\n")
        typer.echo(as_toml({}, comments=True))
    elif file.is_dir():
        stored = command_of(RunFolder(file).config(), str(file / "config.json"))
        typer.echo(as_toml(settings_from(stored)))
    else:
        typer.echo(as_toml(settings_from({}, file)))
    return DONE
