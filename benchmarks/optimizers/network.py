"""A network's whole training set at once: seconds to the same loss with `lbfgs`, SciPy's and PyTorch's."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import optimize

import clearprop as cl
from benchmarks.optimizers.markdown import table as markdown
from benchmarks.workloads import dataset, initial, named
from clearprop import optim
from clearprop.optim.objective import Objective

ROOT = Path(__file__).parents[2]
PYTORCH = ROOT / ".bench" / "bin" / "python"
TARGETS = (0.1, 0.01)
RUNS = 3


class Reached(Exception):
    """The loss is low enough."""


def model_and_loss() -> tuple[Any, Any]:
    w = named("W2")
    x, y = dataset(w)
    model = cl.nn.mlp(list(w.sizes), "relu")
    arrays = [a for pair in initial(w) for a in pair]
    return model.replace(dict(zip(model.parameters(), arrays, strict=True))), lambda m: cl.nn.cross_entropy(m(x), y)


def own(f: Any, model: Any) -> dict[float, tuple[float, int]]:
    reached: dict[float, tuple[float, int]] = {}
    began = time.perf_counter()

    def watch(progress: Any) -> str | None:
        return _note(reached, progress.value, began, progress.evaluations.gradients)

    optim.minimize(f, model, optim.quasi_newton("lbfgs"), tolerance=0, steps=500, watch=watch)
    return reached


def scipys(f: Any, model: Any) -> dict[float, tuple[float, int]]:
    """SciPy's, driving the same compiled evaluations."""
    reached: dict[float, tuple[float, int]] = {}
    began = time.perf_counter()
    objective = Objective(f, model, "the benchmark")

    def evaluate(x: np.ndarray) -> tuple[float, np.ndarray]:
        point = objective.point(x.astype(np.float32))
        if _note(reached, point.value, began, objective.count.gradients):
            raise Reached
        return point.value, point.gradient.astype(np.float64)

    try:
        start = objective.space.start.astype(np.float64)
        optimize.minimize(evaluate, start, jac=True, method="L-BFGS-B", options={"maxcor": 10, "gtol": 0, "ftol": 0})
    except Reached:
        pass
    return reached


def _note(reached: dict[float, tuple[float, int]], value: float, began: float, gradients: int) -> str | None:
    for target in TARGETS:
        if value <= target:
            reached.setdefault(target, (time.perf_counter() - began, gradients))
    return "stop" if len(reached) == len(TARGETS) else None


def pytorchs() -> dict[float, tuple[float, int]] | None:
    """PyTorch's LBFGS with its strong-Wolfe search, in a process of its own; None where it is not installed."""
    if not PYTORCH.exists():
        return None
    w = named("W2")
    x, y = dataset(w)
    arrays = {f"p{i}": a for i, a in enumerate(a for pair in initial(w) for a in pair)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "start.npz"
        np.savez(path, x=x, y=y, **arrays)
        script = str(Path(__file__).with_name("pytorch_lbfgs.py"))
        call = [str(PYTORCH), script, str(path), *map(str, TARGETS)]
        done = subprocess.run(call, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        return None
    return {float(k): tuple(v) for k, v in json.loads(done.stdout).items()}


def table() -> str:
    model, f = model_and_loss()
    own(f, model)  # kernels are compiled once, and kept
    found: dict[str, list[dict[float, tuple[float, int]] | None]] = {}
    for _ in range(RUNS):
        found.setdefault('`minimize(f, model, quasi_newton("lbfgs"))`', []).append(own(f, model))
        found.setdefault("SciPy `L-BFGS-B` on the same compiled evaluations", []).append(scipys(f, model))
        found.setdefault('PyTorch `LBFGS`, `line_search_fn="strong_wolfe"`', []).append(pytorchs())
    rows = []
    for name, runs in found.items():
        known = [r for r in runs if r is not None]
        cells = [_best([r[t] for r in known if t in r]) for t in TARGETS]
        rows.append([name, *(cells if known else ["not installed"] * len(TARGETS))])
    return "\n\n".join([
        "# A network's whole training set at once",
        "784-128-128-10, ReLU, cross-entropy, float32, 8,192 rows, ten pairs of memory: seconds and evaluations of the "
        f"gradient to the same training loss; the best of {RUNS} runs, taken in turn, tracing and loading of cached "
        "kernels included.",
        markdown(["method", *(f"loss {t}" for t in TARGETS)], rows),
    ])  # fmt: skip


def _best(runs: list[tuple[float, int]]) -> str:
    if not runs:
        return "never"
    seconds, gradients = min(runs)
    return f"{seconds:.2f} s / {gradients}"
