"""A sweep as a job array of Slurm: a folder and a script, and nothing that must run meanwhile."""

from __future__ import annotations

import shlex
import sys

from clearprop.errors import ArgumentError
from clearprop.files.atomic import write_text
from clearprop.search.sweep_folder import SweepFolder

SCRIPT = "array.sh"
"""The script that `sbatch` takes."""
KNOWN_BEFORE = ("grid", "random")
"""The searches whose trials do not hang on how others ended."""


def require_array(search: str) -> None:
    """Raise ArgumentError for a search whose trials are not known beforehand."""
    if search not in KNOWN_BEFORE:
        raise ArgumentError(
            f"a job array cannot search by {search}",
            expected="--search grid or random, whose trials are known before the first has ended",
            got=f"--search {search}",
            where="--on slurm-array",
            try_="--search random, or --on dask://HOST:PORT",
        )


def write_array(folder: SweepFolder, trials: int, threads: int) -> str:
    """Write the script for so many trials into the folder; returns the command that starts it."""
    place = folder.path.resolve()
    run = shlex.join([sys.executable, "-m", "clearprop", "sweep", "--resume", str(place), "--trial"])
    script = f"""#!/bin/sh
#SBATCH --job-name={shlex.quote(f"clearprop-{place.name}")}
#SBATCH --array=0-{trials - 1}
#SBATCH --cpus-per-task={threads}
#SBATCH --output={shlex.quote(str(place / "slurm-%a.txt"))}
exec {run} "$SLURM_ARRAY_TASK_ID"
"""
    write_text(place / SCRIPT, script)
    return shlex.join(["sbatch", str(folder.path / SCRIPT)])
