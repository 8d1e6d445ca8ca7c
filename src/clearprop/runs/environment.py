"""Where a run was made: what must be the same for the same bits."""

from __future__ import annotations

import ctypes
import os
import platform
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np

_PREFIXES = ("scipy_openblas", "openblas")
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
    kernel, threads = blas()
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


def blas() -> tuple[str, int]:
    """The kernel that NumPy's OpenBLAS chose for this processor, and its number of threads."""
    library = _library()
    kernel = _symbol(library, "get_corename") if library else None
    threads = _symbol(library, "get_num_threads") if library else None
    if kernel is None or threads is None:
        return "unknown", os.cpu_count() or 1
    kernel.restype = ctypes.c_char_p
    threads.restype = ctypes.c_int
    return kernel().decode(), int(threads())


@cache
def _library() -> ctypes.CDLL | None:
    """NumPy's own OpenBLAS, which is loaded already."""
    folders = [Path(np.__file__).parents[1] / "numpy.libs", Path(np.__file__).parent / ".dylibs"]
    for path in sorted(file for folder in folders if folder.is_dir() for file in folder.glob("*openblas*")):
        try:
            return ctypes.CDLL(str(path))
        except OSError:
            continue
    return None


def _symbol(library: ctypes.CDLL, name: str) -> ctypes._NamedFuncPointer | None:
    for prefix in _PREFIXES:
        for suffix in ("64_", ""):
            found: ctypes._NamedFuncPointer | None = getattr(library, f"{prefix}_{name}{suffix}", None)
            if found is not None:
                return found
    return None
