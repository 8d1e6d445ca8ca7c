"""W8: whole processes from start to exit, one seed per round, contenders in turns; R: what a run folder costs."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.digits.common import ROWS
from benchmarks.machine import environment
from benchmarks.measure import Effort, Result
from benchmarks.peers import ROOT, Installed
from benchmarks.workloads import Workload

PEERS = ("jax", "torch", "sklearn")
LABELS = {"jax": "JAX `lax.scan`", "torch": "PyTorch eager", "sklearn": "scikit-learn"}


def measured(row: Workload, installed: dict[str, Installed], effort: Effort) -> list[Result]:
    """clearprop with an empty kernel cache and with one that an earlier process filled, and every peer."""
    ours = [Result("clearprop.cold", "clearprop, cold cache"), Result("clearprop.warm", "clearprop, warm cache")]
    peers = [Result(n, LABELS[n]) for n in PEERS if n in installed and not installed[n].absent]
    with tempfile.TemporaryDirectory(prefix="clearprop-bench-") as name:
        folder = Path(name)
        file = _digits(folder)
        for seed in range(effort.starts):
            for result in (*ours, *peers):
                if not result.error:
                    _once(result, installed, file, seed, folder)
    return [*ours, *peers]


PAIRS = 5
"""The two trainings differ by a few hundredths: so many pairs are timed for each start of the other rows."""


def recorded(installed: dict[str, Installed], effort: Effort) -> list[Result]:
    """Training in memory, and the same with events, history and checkpoints written to a run folder."""
    results = {n: Result(f"clearprop.{n}", f"clearprop, {n}") for n in ("plain", "recorded")}
    with tempfile.TemporaryDirectory(prefix="clearprop-bench-") as name:
        file = _digits(Path(name))
        command = [installed["clearprop"].python, "-m", "benchmarks.digits.recorded", str(file)]
        code, _, out, err = run([*command, str(effort.starts * PAIRS), "300"])
    said = {} if code else json.loads(out.strip().splitlines()[-1])
    for kind, result in results.items():
        result.samples = said.get(kind, [])
        result.error = (err.strip().splitlines() or [f"exit code {code}"])[-1] if code else ""
    return list(results.values())


def _digits(folder: Path) -> Path:
    """scikit-learn's digits as float32 from 0 to 1, shuffled once."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(x))
    x, y = (x[rows] / 16).astype(np.float32), y[rows].astype(np.int64)
    path = folder / "digits.npz"
    np.savez(path, x_train=x[:ROWS], y_train=y[:ROWS], x_val=x[ROWS:], y_val=y[ROWS:])
    return path


def _once(result: Result, installed: dict[str, Installed], file: Path, seed: int, folder: Path) -> None:
    family, _, state = result.contender.partition(".")
    cache = folder / f"kernels{seed if state == 'cold' else 0}"  # the warm one is what the first cold run left
    command = [installed[family].python, "-m", f"benchmarks.digits.{family}_", str(file), str(seed)]
    code, seconds, out, err = run(command, CLEARPROP_CACHE_DIR=str(cache))
    if code:
        result.error = (err.strip().splitlines() or [f"exit code {code}"])[-1]
        return
    said = json.loads(out.strip().splitlines()[-1])
    result.samples.append(seconds)
    result.memory = max(result.memory, said["memory"])
    result.version = installed[family].version
    result.notes.setdefault("epochs", []).append(said["epochs"])
    result.notes.setdefault("accuracy", []).append(said["accuracy"])


def run(command: list[str], **variables: Any) -> tuple[int, float, str, str]:
    """Exit code, seconds from start to exit, and what was printed."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.perf_counter()
        code = subprocess.run(
            command, stdout=out, stderr=err, env=environment(**variables), cwd=ROOT, check=False
        ).returncode
        seconds = time.perf_counter() - start
        out.seek(0)
        err.seek(0)
        return code, seconds, out.read(), err.read()
