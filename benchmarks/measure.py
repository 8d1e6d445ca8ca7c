"""Contenders side by side: each in its own process, timed in turns, round by round."""

from __future__ import annotations

import contextlib
import json
import select
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.contenders import Contender
from benchmarks.machine import environment
from benchmarks.peers import ROOT, Installed
from benchmarks.workloads import Workload


@dataclass(frozen=True)
class Effort:
    """How long to measure: rounds, seconds per round and contender, and how often a process is started afresh."""

    rounds: int = 15
    seconds: float = 0.3
    starts: int = 5
    patience: float = 300.0
    pause: float = 0.15
    """Between two contenders, so that the thread pool of the one before has gone to sleep."""


QUICK = Effort(rounds=3, seconds=0.05, starts=1, pause=0.05)


class Failure(Exception):
    """What a contender answered instead of a figure."""


class Process:
    """The process of one contender, and the conversation with it (see `worker`).

    `source` is the folder of a package that is tried in place of the installed one.
    """

    def __init__(
        self,
        contender: Contender,
        row: Workload,
        python: str,
        folder: Path,
        patience: float,
        source: Path | None = None,
    ) -> None:
        self.contender, self.patience = contender, patience
        self.said = (folder / "stderr.txt").open("w+")
        caches = {"CLEARPROP_CACHE_DIR": folder / "kernels", "TORCHINDUCTOR_CACHE_DIR": folder / "inductor"}
        self.child = subprocess.Popen(
            [python, "-m", "benchmarks.worker", contender.name, row.name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.said, text=True, cwd=ROOT,
            env=environment(**{k: str(v) for k, v in caches.items()}) | ({"PYTHONPATH": str(source)} if source else {}),
        )  # fmt: skip

    def ask(self, **request: Any) -> dict[str, Any]:
        """The answer; raises Failure with the contender's error text."""
        try:
            print(json.dumps(request), file=self.child.stdin, flush=True)
        except BrokenPipeError:
            raise Failure(self._last_words()) from None
        if not select.select([self.child.stdout], [], [], self.patience)[0]:
            raise Failure(f"no answer within {self.patience:.0f} s")
        line = self.child.stdout.readline() if self.child.stdout else ""
        if not line:
            raise Failure(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Failure(answer["error"])
        return answer

    def _last_words(self) -> str:
        code = self.child.wait()
        self.said.seek(0)
        lines = self.said.read().strip().splitlines() or ["nothing"]
        return f"the process ended with {code}: {lines[-1]}"

    def stop(self) -> None:
        """End this process, and only it."""
        with contextlib.suppress(BrokenPipeError, ValueError):  # ended already
            print(json.dumps({"do": "stop"}), file=self.child.stdin, flush=True)
        try:
            self.child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        for file in (self.child.stdin, self.child.stdout, self.said):
            if file is not None:
                file.close()


@dataclass
class Result:
    """One contender's figures in one row; seconds per step or call."""

    contender: str
    label: str
    samples: list[float] = field(default_factory=list)
    modes: list[float] = field(default_factory=list)
    """The median of every process."""
    first: list[float] = field(default_factory=list)
    imported: list[float] = field(default_factory=list)
    memory: int = 0
    check: float | None = None
    blas: list[str] = field(default_factory=list)
    version: str = ""
    error: str = ""
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def median(self) -> float | None:
        return statistics.median(self.samples) if self.samples and not self.error else None

    @property
    def quartiles(self) -> tuple[float, float] | None:
        if self.median is None:
            return None
        if len(self.samples) < 3:
            return min(self.samples), max(self.samples)
        low, _, high = statistics.quantiles(self.samples, n=4, method="inclusive")
        return low, high

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "contender": self.contender, "label": self.label, "median": self.median, "quartiles": self.quartiles,
            "samples": self.samples, "process_medians": self.modes, "first_call": _median(self.first),
            "import": _median(self.imported), "peak_memory": self.memory, "check": self.check, "blas": self.blas,
            "version": self.version, "error": self.error, **self.notes,
        }  # fmt: skip

    @classmethod
    def of_record(cls, record: dict[str, Any]) -> Result:
        """The result that `record` wrote."""
        known = {
            "contender": "contender", "label": "label", "samples": "samples", "process_medians": "modes",
            "peak_memory": "memory", "check": "check", "blas": "blas", "version": "version", "error": "error",
        }  # fmt: skip
        single = {"first_call": "first", "import": "imported"}
        notes = {n: v for n, v in record.items() if n not in (*known, *single, "median", "quartiles")}
        medians = {of: [] if record[name] is None else [record[name]] for name, of in single.items()}
        return cls(**{of: record[name] for name, of in known.items()}, **medians, notes=notes)


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


class Live:
    """A running contender with what was measured so far."""

    def __init__(self, process: Process, result: Result, row: Workload) -> None:
        self.process, self.result, self.row = process, result, row
        self.own: list[float] = []
        self.calls, self.clock = 1, "perf_counter"

    def prepare(self, effort: Effort) -> None:
        said = self.process.ask(do="prepare")
        result = self.result
        result.imported.append(said["import"])
        result.check, result.blas, result.version = said["check"], said["blas"], said["version"]
        # what begins calls natively is compiled at the second or third of them
        once = min(self.process.ask(do="time", calls=1)["wall"] for _ in range(3))
        result.first.append(max(0.0, said["first"] - once))
        self.calls = max(1, round(effort.seconds / max(once, 1e-7)))

    def sample(self) -> None:
        said = self.process.ask(do="time", calls=self.calls, clock=self.clock)
        self.own.append(said["seconds"] / said["calls"] / self.row.parts)

    def finish(self) -> None:
        self.result.memory = max(self.result.memory, self.process.ask(do="memory")["bytes"])
        self.result.samples += self.own
        self.result.modes.append(statistics.median(self.own))


def side_by_side(
    row: Workload, contenders: list[Contender], installed: dict[str, Installed], effort: Effort
) -> list[Result]:
    """All contenders of a row, alternating; one that fails keeps its error and the others go on."""
    results = {c.name: Result(c.name, c.label) for c in contenders}
    for _ in range(row.processes if effort.starts > 1 else 1):
        with tempfile.TemporaryDirectory(prefix="clearprop-bench-") as folder:
            _one_set(row, contenders, installed, effort, results, Path(folder))
    return list(results.values())


def _one_set(
    row: Workload, contenders: list[Contender], installed: dict[str, Installed], effort: Effort,
    results: dict[str, Result], folder: Path,
) -> None:  # fmt: skip
    live: list[Live] = []
    for contender in contenders:
        own = folder / contender.name
        own.mkdir()
        process = Process(contender, row, installed[contender.family].python, own, effort.patience)
        live.append(Live(process, results[contender.name], row))
    try:
        live = [one for one in live if _tried(one, lambda one=one: one.prepare(effort))]
        for number in range(effort.rounds):
            turn = number % max(1, len(live))
            for one in [*live[turn:], *live[:turn]]:
                time.sleep(effort.pause)
                _tried(one, one.sample)
            live = [one for one in live if not one.result.error]
        for one in live:
            _tried(one, one.finish)
    finally:
        for one in live:
            one.process.stop()


def _tried(one: Live, action: Any) -> bool:
    """Whether it worked; a process that failed is ended."""
    try:
        action()
    except Failure as failure:
        one.result.error = str(failure)
        one.process.stop()
    return not one.result.error


# ----------------------------------------------------------------------------------------------- first calls
def first_call(
    row: Workload, contender: Contender, installed: Installed, folder: Path, patience: float
) -> dict[str, Any]:
    """A fresh process, its caches in `folder`: what it says about its first call."""
    folder.mkdir(exist_ok=True)
    process = Process(contender, row, installed.python, folder, patience)
    try:
        return process.ask(do="prepare")
    finally:
        process.stop()


def import_seconds(python: str, module: str, times: int) -> list[float]:
    """The time that `import module` takes in fresh processes."""
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    out = []
    for _ in range(times):
        done = subprocess.run(
            [python, "-c", code], capture_output=True, text=True, check=True, env=environment(), cwd=ROOT
        )
        out.append(float(done.stdout.split()[-1]))
    return out
