"""The problems of Moré, Garbow and Hillstrom: minima reached, and evaluations against SciPy's."""

from typing import Any

import numpy as np
from scipy import optimize

from benchmarks.optimizers.markdown import table as markdown
from clearprop import optim
from clearprop.optim.objective import Objective
from problems.garbow import PROBLEMS, Problem

METHODS = {
    "`newton_cg()`": optim.newton_cg(),
    "`newton_cg(saddle_free=True)`": optim.newton_cg(saddle_free=True),
    "`bfgs`": optim.quasi_newton("bfgs"),
    "`lbfgs`": optim.quasi_newton("lbfgs"),
    "`sr1`": optim.quasi_newton("sr1"),
    "`dfp`": optim.quasi_newton("dfp"),
}
PEERS = {"SciPy `trust-ncg`": "trust-ncg", "SciPy `BFGS`": "BFGS", "SciPy `L-BFGS-B`": "L-BFGS-B", "SciPy `trf`": "trf"}
TOLERANCE = 1e-8


def own(problem: Problem, method: Any) -> tuple[float, str]:
    found = optim.minimize(problem.value, problem.start, method, tolerance=TOLERANCE, steps=2000)
    products = found.evaluations.hessian_vectors
    return found.value, f"{found.evaluations.gradients}" + (f" + {products}" if products else "")


def own_squares(problem: Problem) -> tuple[float, str]:
    found = optim.least_squares(problem.residuals, problem.start)
    return found.value, f"{found.evaluations.jacobians}"


def peer(problem: Problem, method: str) -> tuple[float, str]:
    f = Objective(problem.residuals if method == "trf" else problem.value, problem.start, "the benchmark")
    if method == "trf":
        found = optimize.least_squares(
            f.residuals, problem.start, lambda x: f.linearised(x)[1], x_scale="jac", gtol=TOLERANCE
        )
        return 2 * found.cost, f"{f.count.jacobians}"
    options: dict[str, Any] = {"gtol": TOLERANCE} | ({"ftol": 0} if method == "L-BFGS-B" else {})
    more = {"hessp": f.curvature} if method == "trust-ncg" else {}
    found = optimize.minimize(lambda x: f.point(x)[1:], problem.start, jac=True, method=method, options=options, **more)
    products = f.count.hessian_vectors
    return found.fun, f"{f.count.gradients}" + (f" + {products}" if products else "")


def table() -> str:
    head = ["problem", *METHODS, "`least_squares`", *PEERS]
    rows = []
    for problem in PROBLEMS:
        found = [own(problem, m) for m in METHODS.values()] + [own_squares(problem)]
        with np.errstate(all="ignore"):
            found += [peer(problem, m) for m in PEERS.values()]
        rows.append([problem.name, *(n if problem.reached(value) else f"{n} **no**" for value, n in found)])
    return "\n\n".join([
        "# Moré–Garbow–Hillstrom problems",
        "Evaluations of the gradient (+ Hessian-vector products; Jacobians for least squares) from the standard start "
        f"to ‖∇f‖∞ ≤ {TOLERANCE:g}; both solvers of least squares with their own defaults, ours to the last digits. "
        "**no**: the value there is not that of a known minimum.",
        markdown(head, rows),
    ])  # fmt: skip
