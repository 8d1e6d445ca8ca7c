"""Whole processes from start to exit, contenders in turns: W8, a training; P0, ten predictions.

R: what a run folder costs.
"""

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


def predicted(installed: dict[str, Installed], effort: Effort) -> list[Result]:
    """`clearprop predict` of ten rows of a file, and a script that loads an estimator for them."""
    results = [Result("clearprop.warm", "`clearprop predict`")]
    if "sklearn" in installed and not installed["sklearn"].absent:
        results.append(Result("sklearn.file", "scikit-learn, joblib, np.loadtxt"))
    with tempfile.TemporaryDirectory(prefix="clearprop-bench-") as name:
        folder = Path(name)
        table, ten = _tables_of_digits(folder)
        train = ["train", str(table), "--target", "digit", "--hidden", "64,64", "--epochs", "3", "--out", f"{name}/run"]
        made = {"clearprop": ["clearprop", *train], "sklearn": [_ESTIMATOR, f"{name}/model", str(table)]}
        asked = {
            "clearprop": ["clearprop", "predict", f"{name}/run", str(ten)],
            "sklearn": [*made["sklearn"][:2], str(ten)],
        }
        for commands in (made, *[asked] * (effort.starts + 1)):
            for result in results:
                family = result.contender.partition(".")[0]
                command = [installed[family].python, "-m", *commands[family]]
                code, seconds, out, err = run(command, CLEARPROP_CACHE_DIR=f"{name}/kernels")
                if code:
                    result.error = (err.strip().splitlines() or [f"exit code {code}"])[-1]
                elif commands is asked:
                    result.samples.append(seconds)
                    result.check = float(out.strip().splitlines()[-1].split(",")[1])
    for result in results:
        del result.samples[:1]  # the first one may compile a kernel, and read files that nobody has read
        result.version = installed[result.contender.partition(".")[0]].version
    return results


_ESTIMATOR = "benchmarks.digits.sklearn_file"


def _tables_of_digits(folder: Path) -> tuple[Path, Path]:
    """scikit-learn's digits as a CSV file, and their first ten rows without the digit."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    table, ten = folder / "digits.csv", folder / "ten.csv"
    names = [f"x{j}" for j in range(x.shape[1])]
    np.savetxt(table, np.c_[x, y], fmt="%d", delimiter=",", header=",".join([*names, "digit"]), comments="")
    np.savetxt(ten, x[:10], fmt="%d", delimiter=",", header=",".join(names), comments="")
    return table, ten


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
