"""What the figures were measured on, and the environment in which contenders run."""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from pathlib import Path
from typing import Any

FORCED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Variables that force older BLAS kernels; contenders run without them."""


HASWELL_FEATURES = (
    "+64bit,+avx,+avx2,+bmi,+bmi2,+cmov,+crc32,+cx16,+cx8,+f16c,+fma,+fsgsbase,+fxsr,+invpcid,+lzcnt,+mmx,+movbe,"
    "+pclmul,+popcnt,+rdrnd,+sahf,+sse,+sse2,+sse3,+sse4.1,+sse4.2,+ssse3,+xsave,+xsaveopt"
)
"""What LLVM knows of that processor; Numba takes those of the processor it runs on unless it is told."""
LIMITS = {
    "avx2": {
        "OPENBLAS_CORETYPE": "Haswell",
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": HASWELL_FEATURES,
        # XLA's own limit holds for what it generates; YNNPACK multiplies by what the processor has, oneDNN is limited
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2 --xla_cpu_experimental_ynn_fusion_type=",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
    }
}
"""What holds every contender to the instructions that most people's processors have: `--kernel avx2`."""
_BYTECODE = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
"""Variables without which sources are compiled once, as they are where pip installs them, and not at every start."""
_LEFT_OUT = {*FORCED, *_BYTECODE, *(name for limits in LIMITS.values() for name in limits)}
_LIMIT = "CLEARPROP_BENCH_KERNEL"


def limit(kernel: str) -> None:
    """Hold every contender that starts from now on to a set of instructions."""
    os.environ[_LIMIT] = kernel


def environment(**more: str) -> dict[str, str]:
    """The environment of a contender's process: what forces kernels or limits one of them is left out."""
    kept = {k: v for k, v in os.environ.items() if k not in _LEFT_OUT}
    limits = LIMITS.get(os.environ.get(_LIMIT, ""), {})
    return kept | limits | more | {"PYTHONHASHSEED": "0", "PYTHONPATH": ""}


class Others:
    """How much of the processors others use, from when it is made: a benchmark shares its machine."""

    def __init__(self) -> None:
        self._start, self._busy, self._own = time.monotonic(), _busy_seconds(), _own_seconds()

    def share(self) -> float | None:
        """Processor time of others over all that there was, from 0 to 1; None where the system does not tell."""
        before, now = self._busy, _busy_seconds()
        if before is None or now is None:
            return None
        others = now - before - (_own_seconds() - self._own)
        return min(1.0, max(0.0, others / ((time.monotonic() - self._start) * (os.cpu_count() or 1))))


def _busy_seconds() -> float | None:
    """Seconds that all processors together have worked since the system started."""
    line = _first_line("/proc/stat").split()
    if line[:1] != ["cpu"]:
        return None
    user, nice, system, _, _, interrupts, soft, *_ = map(int, line[1:])
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    """Processor time of this process and of those it has started and ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def resident(name: str) -> int | None:
    """A size of this process's resident memory in bytes: VmRSS now, VmHWM at its peak; None where no /proc tells."""
    size = _field("/proc/self/status", name)
    return None if size is None else int(size.split()[0]) * 1024


def peak_memory() -> int:
    """The peak of this program's resident memory in bytes.

    Linux counts it in /proc from when the program began; `ru_maxrss` begins with what the process that started it took,
    so that a child of a process of a gibibyte seems to have taken a gibibyte.
    """
    peak = resident("VmHWM")
    if peak is not None:
        return peak
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


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
        "unset": sorted(_LEFT_OUT & set(os.environ)),
        "kernel": os.environ.get(_LIMIT, ""),
    }


def vector_extensions() -> list[str]:
    """Those of AVX2 and AVX-512 that the processor has."""
    flags = (_field("/proc/cpuinfo", "flags") or "").split()
    return [f for f in ("avx2", "avx512f") if f in flags]


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text().partition("\n")[0]
    except OSError:
        return ""


def _field(path: str, name: str) -> str | None:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), None)
