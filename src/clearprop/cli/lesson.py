"""`clearprop lesson`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from clearprop.cli.exit_codes import DONE
from clearprop.lessons import lesson as find
from clearprop.lessons import lessons, tell


def lesson(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="The lesson; without it, the list.")] = None,
    no_input: Annotated[bool, typer.Option("--no-input", help="Ask nothing: tell everything at once.")] = False,
) -> int:
    """Learn how networks learn: small computations, value by value and factor by factor.

    On a terminal a lesson asks first and tells then; Enter shows an answer, Ctrl-D leaves.

    **Examples**

    * `clearprop lesson`

    * `clearprop lesson relu-neuron`

    * `clearprop lesson vanishing-gradient --no-input`
    """
    if name is None:
        width = max(map(len, lessons()))
        for known, title in lessons().items():
            typer.echo(f"{known:<{width}}  {title}")
        typer.echo("\nstart with: clearprop lesson relu-neuron")
        return DONE
    chosen = find(name)
    asked = not no_input and sys.stdin.isatty()
    tell(chosen, typer.echo, input if asked else None)
    return DONE
