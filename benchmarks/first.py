"""First calls: cold, with the kernels of an earlier process, and with those of another network."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.contenders import Contender
from benchmarks.measure import Effort, Failure, Result, first_call
from benchmarks.peers import Installed
from benchmarks.workloads import FIRST, OTHER, Workload

COLD, WARM, ANOTHER = "cold", "warm", "warm, kernels of another network"


def measured(
    row: Workload, contenders: list[Contender], installed: dict[str, Installed], effort: Effort
) -> list[Result]:
    """One result per contender and state of the cache; peers keep no kernels that these programs could share."""
    out = []
    kept = (COLD, WARM, ANOTHER) if row.kind == FIRST else (COLD, WARM)
    for contender in contenders:
        states = kept if contender.family == "clearprop" else (COLD,)
        results = {s: Result(f"{contender.name}.{s}", f"{contender.label}, {s}") for s in states}
        for _ in range(effort.starts):
            _once(row, contender, installed[contender.family], effort, results)
        out += results.values()
    return out


def _once(
    row: Workload, contender: Contender, installed: Installed, effort: Effort, results: dict[str, Result]
) -> None:
    with tempfile.TemporaryDirectory(prefix="clearprop-bench-") as name:
        folder = Path(name)
        for state, result in results.items():
            place = folder / ("other" if state == ANOTHER else "own")
            try:
                if state == ANOTHER:
                    first_call(OTHER, contender, installed, place, effort.patience)
                said = first_call(row, contender, installed, place, effort.patience)
            except Failure as failure:
                result.error = str(failure)
                continue
            result.samples.append(said["first"])
            result.notes.setdefault("cpu_seconds", []).append(said["cpu"])
            result.imported.append(said["import"])
            result.check, result.version, result.blas = said["check"], said["version"], said["blas"]
