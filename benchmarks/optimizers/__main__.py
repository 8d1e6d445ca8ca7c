"""Make the tables: all of them, or those named (`python -m benchmarks.optimizers nist convex`)."""

import sys
import time
import warnings
from pathlib import Path

import numpy
import scipy

from benchmarks.optimizers import convex, garbow, network, nist, saddles

FOLDER = Path(__file__).parents[2] / "docs" / "tables"
TABLES = {"nist": nist, "garbow": garbow, "convex": convex, "saddles": saddles, "network": network}


def main(names: list[str]) -> None:
    """Write `docs/tables/NAME.md` for each."""
    warnings.simplefilter("ignore")  # what peers warn of is theirs
    unknown = set(names) - set(TABLES)
    if unknown:
        raise SystemExit(f"no table is named {min(unknown)}; there are {', '.join(TABLES)}")
    FOLDER.mkdir(exist_ok=True)
    for name in names or TABLES:
        began = time.perf_counter()
        text = TABLES[name].table()
        seconds = time.perf_counter() - began
        versions = f"NumPy {numpy.__version__}, SciPy {scipy.__version__}"
        made = f"Made by `python -m benchmarks.optimizers {name}` in {seconds:.0f} s; {versions}."
        (FOLDER / f"optimizers-{name}.md").write_text(f"{text}\n\n{made}\n", encoding="utf-8")
        print(f"{text}\n\n{made}\n", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
