"""Where a run was made: what must be the same for the same bits."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from clearprop.compiler.native import blas

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
