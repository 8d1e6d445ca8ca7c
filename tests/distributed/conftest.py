"""Starts programs under the `mpiexec` that stands beside this Python."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MPIEXEC = Path(sys.executable).parent / "mpiexec"
LIMIT = 120
"""Seconds after which a program that hangs is ended."""


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

    def call(n, *words, **env):
        launch = [str(MPIEXEC), "-n", str(n)] if n else []
        return subprocess.run(
            [*launch, sys.executable, *map(str, words)],
            cwd=tmp_path,
            env={**os.environ, "CLEARPROP_THREADS": "1", **env},
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )

    return call
