"""NIST StRD: 27 regressions from two starts each, every solver on the same residuals with the same derivatives."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import optimize

from benchmarks.optimizers.markdown import table as markdown
from clearprop import optim, sum
from clearprop.optim.objective import Objective
from problems.nist import NAMES, SOLVED, Regression, regression

Solver = Callable[[Regression, np.ndarray], tuple[Any, int]]
"""`solve(problem, start) -> (parameters, evaluations of the derivative)`."""


def squares(problem: Regression) -> Callable[[Any], Any]:
    return lambda b: sum(problem.residuals(b) ** 2)


def own_least_squares(damping: str = "radius") -> Solver:
    def solve(problem: Regression, start: np.ndarray) -> tuple[Any, int]:
        found = optim.least_squares(problem.residuals, start, optim.levenberg_marquardt(damping))
        return found.x, found.evaluations.cost

    return solve


def own_minimize(method: Any) -> Solver:
    def solve(problem: Regression, start: np.ndarray) -> tuple[Any, int]:
        found = optim.minimize(squares(problem), start, method, tolerance=0, steps=3000)
        return found.x, found.evaluations.cost

    return solve


def scipy_least_squares(method: str, **options: Any) -> Solver:
    def solve(problem: Regression, start: np.ndarray) -> tuple[Any, int]:
        f = Objective(problem.residuals, start, "the benchmark")
        with np.errstate(all="ignore"):
            found = optimize.least_squares(
                f.residuals, start, lambda b: f.linearised(b)[1], method=method, ftol=1e-15, xtol=1e-15, gtol=1e-15,
                max_nfev=10_000, **options,
            )  # fmt: skip
        return found.x, found.njev or found.nfev

    return solve


def scipy_minimize(method: str, **options: Any) -> Solver:
    def solve(problem: Regression, start: np.ndarray) -> tuple[Any, int]:
        f = Objective(squares(problem), start, "the benchmark")
        with np.errstate(all="ignore"):
            found = optimize.minimize(lambda b: f.point(b)[1:], start, jac=True, method=method, options=options)
        return found.x, found.njev

    return solve


SOLVERS: dict[str, Solver] = {
    "`least_squares` (radius)": own_least_squares(),
    "`least_squares` (nielsen)": own_least_squares("nielsen"),
    'SciPy `trf`, `x_scale="jac"`': scipy_least_squares("trf", x_scale="jac"),
    "SciPy `lm` (MINPACK)": scipy_least_squares("lm", x_scale="jac"),
    '`quasi_newton("bfgs")`': own_minimize(optim.quasi_newton("bfgs")),
    "SciPy `BFGS`": scipy_minimize("BFGS", gtol=0, maxiter=10_000),
    '`quasi_newton("lbfgs")`': own_minimize(optim.quasi_newton("lbfgs")),
    "SciPy `L-BFGS-B`": scipy_minimize("L-BFGS-B", gtol=0, ftol=0, maxiter=15_000, maxfun=15_000),
    "`newton_cg()`": own_minimize(optim.newton_cg()),
    '`newton_cg(scaling="start")`': own_minimize(optim.newton_cg(scaling="start")),
}
SHOWN = list(SOLVERS)[:3] + list(SOLVERS)[4:6]


def scores(solver: Solver) -> dict[str, tuple[float, int]]:
    """Digits and evaluations per problem and start."""
    found = {}
    for name in NAMES:
        problem = regression(name)
        for i, start in enumerate(problem.starts):
            x, evaluations = solver(problem, start)
            found[f"{name}/{i + 1}"] = problem.digits(x), evaluations
    return found


def deviation_digits() -> dict[str, float]:
    """The digits of the standard errors of `least_squares`, per problem and start."""
    problems = {name: regression(name) for name in NAMES}
    return {
        f"{name}/{i + 1}": p.deviation_digits(optim.least_squares(p.residuals, start).standard_errors)
        for name, p in problems.items()
        for i, start in enumerate(p.starts)
    }


def _uncertainty() -> str:
    found = deviation_digits()
    few = {name: digits for name, digits in found.items() if digits < 10}
    least = min(digits for name, digits in found.items() if name not in few)
    rest = ", ".join(f"{name} {digits:.1f}" for name, digits in few.items())
    return (
        f"Standard errors of `least_squares` against the certified standard deviations: mean "
        f"{np.mean(list(found.values())):.2f} digits, at least {least:.1f} from {len(found) - len(few)} of "
        f"{len(found)} starts; the others: {rest}. Lanczos1 was made without noise: its residuals of 1e-13 are the "
        "rounding of the data, and the errors follow from them."
    )


def solved(found: dict[str, tuple[float, int]]) -> int:
    return int(np.sum([d >= SOLVED for d, _ in found.values()]))


def mean(found: dict[str, tuple[float, int]]) -> float:
    return float(np.mean([d for d, _ in found.values()]))


def table() -> str:
    found = {name: scores(solver) for name, solver in SOLVERS.items()}
    totals = [
        (name, solved(f), f"{mean(f):.2f}", int(np.median([n for _, n in f.values()])), _failures(f))
        for name, f in found.items()
    ]
    rows = [(p, *(f"{found[s][p][0]:.1f} / {found[s][p][1]}" for s in SHOWN)) for p in found[SHOWN[0]]]
    return "\n\n".join([
        "# NIST StRD nonlinear regression",
        "Digits: LRE = −log₁₀ of the largest relative error of a parameter, at most 11; solved from 4 on. All solvers "
        "have the same residuals and exact derivatives. Evaluations are those of the derivative (`least_squares`: "
        "Jacobians, and two for each second derivative along a step; `newton_cg`: gradients, and two for each "
        "Hessian-vector product).",
        markdown(["solver", "solved of 54", "mean digits", "evaluations, median", "not solved"], totals),
        _uncertainty(),
        "Digits / evaluations, per problem and start:",
        markdown(["problem", *SHOWN], rows),
    ])  # fmt: skip


def _failures(found: dict[str, tuple[float, int]]) -> str:
    failed = [name for name, (digits, _) in found.items() if digits < SOLVED]
    return ", ".join(failed) if len(failed) < 8 else f"{len(failed)} starts"
