"""The command line: `clearprop train | predict | evaluate | check | config`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from clearprop.cli.exit_codes import MISTAKE
from clearprop.errors import package_error


def main(args: Sequence[str] | None = None) -> int:
    """Run a command line (default: that of the process) and return its exit code."""
    try:
        from clearprop.cli.app import run  # start-up time: typer; and it may not be installed
    except ModuleNotFoundError as missing:
        print(package_error(missing, "the command line"), file=sys.stderr)  # noqa: T201 - rich may be what is missing
        return MISTAKE
    return run(sys.argv[1:] if args is None else list(args))
