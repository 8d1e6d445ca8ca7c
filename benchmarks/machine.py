"""What the figures were measured on, and the environment in which contenders run."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

FORCED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Variables that force older BLAS kernels; contenders run without them."""


def environment(**more: str) -> dict[str, str]:
    """The environment of a contender's process."""
    kept = {k: v for k, v in os.environ.items() if k not in FORCED}
    return kept | more | {"PYTHONHASHSEED": "0", "PYTHONPATH": ""}


def description() -> dict[str, Any]:
    """Processor, cores, memory, system, and how busy the machine was."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": _field("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": cores,
        "memory_gb": round(int((_field("/proc/meminfo", "MemTotal") or "0 kB").split()[0]) / 2**20, 1),
        "vector": vector_extensions(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
        "unset": [name for name in FORCED if name in os.environ],
    }


def vector_extensions() -> list[str]:
    """Those of AVX2 and AVX-512 that the processor has."""
    flags = (_field("/proc/cpuinfo", "flags") or "").split()
    return [f for f in ("avx2", "avx512f") if f in flags]


def _field(path: str, name: str) -> str | None:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), None)
