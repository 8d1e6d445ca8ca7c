"""The stored sources of the training steps W0 to W5.  `python -m tests.compiler.goldens` writes them anew."""

from __future__ import annotations

from pathlib import Path

import clearprop as cl
from tests.compiler.workloads import WORKLOADS, arguments

FOLDER = Path(__file__).parents[1] / "golden" / "compiler"
TARGETS = ("numpy", "numba")


def sources(name: str) -> dict[str, str]:
    """The generated sources of a row, by file name."""
    step, given = arguments(name)
    compiled = cl.compile(step, donate=("model", "state"), executor="numpy").lower(*given)
    return {f"{name.lower()}_{target}.py": compiled.source(target) for target in TARGETS}


def main() -> None:
    """Write every file."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in WORKLOADS:
        for file, text in sources(name).items():
            (FOLDER / file).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
