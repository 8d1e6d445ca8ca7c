"""Where a run was made: what must be the same for the same bits."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from clearprop.compiler.native import blas
from clearprop.errors import unknown_name

_PACKAGES = ("clearprop", "numpy", "scipy", "numba", "scikit-learn", "polars")


@dataclass(frozen=True)
class Environment:
    """The machine and the libraries of a run; `blas` is the kernel that the BLAS library chose."""

    python: str
    platform: str
    processor: str
    blas: str
    threads: int
    versions: dict[str, str]

    def differences(self, now: Environment) -> list[str]:
        """What differs between this environment and `now` in a way that may change the last bits."""
        before, after = asdict(self), asdict(now)
        names = {"processor": "processor", "blas": "BLAS kernel", "threads": "threads"}
        changed = [name for name in names if before[name] != after[name]]
        found = [f"{names[name]} {before[name]} → {after[name]}" for name in changed]
        for name in ("clearprop", "numpy"):
            old, new = self.versions.get(name, "none"), now.versions.get(name, "none")
            if old != new:
                found.append(f"{name} {old} → {new}")
        return found


def environment() -> Environment:
    """The environment of this process."""
    kernel, threads = blas.describe()
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        processor=_processor(),
        blas=kernel,
        threads=threads,
        versions=_versions(),
    )


@cache
def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


WORLDS = ("auto", "none", "mpi")
"""How a training may be told whether it is one of several processes."""
_LAUNCHED = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS")  # Open MPI; MPICH and its kin; srun


def launched_processes() -> int:
    """How many processes a launcher (mpiexec, srun) says that it started together with this one; 1 without one."""
    found = (os.environ.get(name, "") for name in _LAUNCHED)
    return next((int(text) for text in found if text.isascii() and text.isdecimal()), 1)


def is_one_of_several(world: str, where: str) -> bool:
    """Whether a training shall share its work with other processes: it was asked to, or a launcher started several.

    world  "auto", "none" or "mpi"
    where  where that was said, for the message

    Raises ArgumentError for another word.

    >>> is_one_of_several("none", "world="), is_one_of_several("mpi", "world=")
    (False, True)
    """
    if not isinstance(world, str) or world not in WORLDS:
        raise unknown_name("world", str(world), WORLDS, where)
    return world == "mpi" or (world == "auto" and launched_processes() > 1)
