"""Starts programs under the `mpiexec` that stands beside this Python."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MPIEXEC = Path(sys.executable).parent / "mpiexec"
LIMIT, LONG = 120, 3600
"""Seconds after which a program that hangs is ended; the same of one that reads a large table."""


@pytest.fixture(scope="session")
def mpi():
    """Skip where there is no MPI to start; the test extra brings one."""
    try:
        import mpi4py  # noqa: F401 - imported alone it starts nothing
    except ImportError:
        missing = "mpi4py is not installed"
    else:
        missing = "" if MPIEXEC.exists() else f"there is no {MPIEXEC}"
    if missing:
        assert os.environ.get("CI") != "true", missing
        pytest.skip(f"{missing}: pip install 'clearprop[mpi-local]'")


@pytest.fixture
def ranks(mpi, tmp_path):
    """`ranks(n, *words)`: Python with these words on n ranks (0: without launcher), in a folder of the test."""
    return starter(sys.executable, [str(MPIEXEC)], tmp_path)


def starter(python, mpiexec, folder, **more):
    """`ranks` with this Python and these words of a launcher."""

    def call(n, *words, limit=LIMIT, **env):
        launch = [*mpiexec, "-n", str(n)] if n else []
        return subprocess.run(
            [*launch, str(python), *map(str, words)],
            cwd=folder,
            env={**os.environ, "CLEARPROP_THREADS": "1", **more, **env},
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )

    return call
