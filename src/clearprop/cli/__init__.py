"""The command line: `clearprop train | predict | evaluate | check | config`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from clearprop.cli.exit_codes import MISTAKE
from clearprop.errors import package_error
from clearprop.program.processes import without_collector

try:
    with without_collector():
        from clearprop.cli.app import main as main
except ModuleNotFoundError as missing:
    _told = package_error(missing, "the command line")

    def main(args: Sequence[str] | None = None) -> int:
        """Say which package the command line needs, and return the exit code of a mistake."""
        print(_told, file=sys.stderr)  # noqa: T201 - rich may be what is missing
        return MISTAKE
