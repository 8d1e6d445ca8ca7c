"""Convex networks with a certified optimum: evaluations and seconds to a distance from it."""

import math
import time
from typing import Any

from benchmarks.optimizers.markdown import table as markdown
from clearprop import optim
from problems.convex import NAMES, Regression, regression

DISTANCES = (1e-3, 1e-6, 1e-9)
METHODS = [
    [optim.newton_cg()],
    [optim.newton_cg(saddle_free=True)],
    *([optim.quasi_newton(update)] for update in ("lbfgs", "bfgs", "sr1", "dfp")),
    [optim.rprop()],
    [optim.sgd(rate, 0.9) for rate in (0.3, 1.0, 3.0, 10.0)],
    [optim.adam(rate) for rate in (0.1, 0.3, 1.0, 3.0)],
    [optim.lion(rate) for rate in (0.001, 0.003, 0.01, 0.03)],
    [optim.diag_newton(rate, eps=1e-6) for rate in (0.3, 1.0, 3.0, 10.0)],
]


def race(problem: Regression, method: Any, steps: int = 3000) -> dict[float, tuple[int, float]]:
    """Evaluations (in gradients) and seconds until f − f* is no larger than each distance."""
    reached: dict[float, tuple[int, float]] = {}
    began = time.perf_counter()

    def watch(progress: Any) -> str | None:
        for d in DISTANCES:
            if progress.value - problem.optimum <= d:
                reached.setdefault(d, (progress.evaluations.cost, time.perf_counter() - began))
        return "stop" if len(reached) == len(DISTANCES) else None

    optim.minimize(problem.loss, problem.start, method, tolerance=0, steps=steps, watch=watch)
    return reached


def best(problem: Regression, methods: list[Any]) -> tuple[Any, dict[float, tuple[int, float]]]:
    """The setting that comes furthest, and there soonest."""
    found = [(m, race(problem, m)) for m in methods]
    return min(found, key=lambda mr: (-len(mr[1]), [mr[1].get(d, (math.inf,))[0] for d in reversed(DISTANCES)]))


def table() -> str:
    parts = [
        "# Convex networks with a certified optimum",
        "Softmax regressions (`problems/convex.py`): evaluations, in gradients (a Hessian-vector product counts as "
        "two), and seconds, the compilation included, until f − f* is no larger than 1e-3, 1e-6, 1e-9. First-order "
        "methods have the best of some learning rates and 3,000 steps; the others have their defaults.",
    ]
    for name in NAMES:
        problem, rows = regression(name), []
        for methods in METHODS:
            method, reached = best(problem, methods)
            cells = [f"{reached[d][0]} / {reached[d][1]:.2f} s" if d in reached else "–" for d in DISTANCES]
            rows.append([f"`{_short(method)}`", *cells])
        parts += [f"{name}, f* = {problem.optimum:.12f}", markdown(["method", "1e-3", "1e-6", "1e-9"], rows)]
    return "\n\n".join(parts)


def _short(method: Any) -> str:
    """The call with what differs from the defaults."""
    default = type(method)()
    given = {n: v for n, v in method.settings().items() if v != getattr(default, n) or n in ("update", "learning_rate")}
    return f"{type(method).__name__}({', '.join(f'{n}={v!r}' for n, v in given.items())})"
