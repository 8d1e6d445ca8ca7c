"""`least_squares`: the minimum of a sum of squares, from the residuals themselves."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import numpy as np

from clearprop.autodiff.trees import is_array
from clearprop.errors import ArgumentError, GradientError, ShapeError, TraceError, checked_call, user_line
from clearprop.optim.gauss_newton import Problem, levenberg_marquardt
from clearprop.optim.methods import Watch, check_limits, default_tolerance, drive, require_finite, require_function
from clearprop.optim.minimisation import differentiable
from clearprop.optim.objective import Objective
from clearprop.optim.uncertainty import Estimate
from clearprop.program.ir import builder
from clearprop.program.values import no_grad, raw
from clearprop.rules.reductions import sum as sum_


@checked_call
def least_squares(
    residuals: Callable[[Any], Any],
    x0: Any,
    method: levenberg_marquardt | None = None,
    *,
    tolerance: float | None = None,
    steps: int = 1000,
    executor: str | None = None,
    watch: Watch | None = None,
) -> Estimate:
    """A local minimum of Σ r(x)².

    residuals  r, a function from a tree like x0 to a vector
    x0         where to start: a tree of arrays and numbers, or a module
    method     `levenberg_marquardt()`; its Jacobians are exact, and column by column or row by row, whichever are fewer
    tolerance  converged when no column of J has a cosine with r above it; by default √eps of the dtype
    steps, executor, watch  as in `minimize`

    The result's `value` is Σr² (not half of it); it also has `standard_errors` and `covariance` of x,
    `residual_deviation` and `degrees_of_freedom`.  Inside a loss x and `value` have the derivatives that `minimize`
    gives a minimum, and the uncertainty has none.

    Raises ShapeError if r is no vector, ArgumentError if it is not finite at x0, GradientError as `minimize` does,
    TraceError in a program that is traced.

    >>> import clearprop as cl
    >>> t = cl.tensor([0.0, 1.0, 2.0, 3.0])
    >>> y = 2 * cl.exp(-0.5 * t)
    >>> found = cl.optim.least_squares(lambda p: p["a"] * cl.exp(-p["rate"] * t) - y, {"a": 1.0, "rate": 1.0})
    >>> {name: round(float(v), 12) for name, v in found.x.items()}
    {'a': 2.0, 'rate': 0.5}
    """
    require_function("least_squares", "residuals", residuals)
    if watch is not None:
        require_function("least_squares", "watch", watch)
    chosen = _method(levenberg_marquardt() if method is None else method)
    check_limits("least_squares", tolerance, steps)
    if builder() is not None:
        raise _not_in_a_program()
    objective = Objective(residuals, x0, "least_squares", executor)
    problem = Problem(objective)
    with np.errstate(all="ignore"):
        first = objective.of_leaves(*objective.space.split(objective.space.start))
        _require_vector(first)
        with no_grad():
            start = problem.fit(objective.space.start)
            require_finite(start.point, "least_squares")
            allowed = default_tolerance(objective) if tolerance is None else tolerance
            found = drive(objective, start.point, chosen.steps(problem, start, allowed), steps, watch)
        if first.tracked:
            found = differentiable().with_derivative(
                lambda x: _sum_of_squares(residuals(x)), x0, found, "least_squares"
            )
            return Estimate(**vars(found), space=objective.space, linearised=partial(_refuse_uncertainty, user_line()))
    end = objective.space.join(objective.space.pick(found.x))
    return Estimate(**vars(found), space=objective.space, linearised=lambda: problem.fit(end))


def _sum_of_squares(r: Any) -> Any:
    return sum_(r * r)


def _refuse_uncertainty(where: str) -> NoReturn:
    raise GradientError(
        "the uncertainty of least squares has no derivative",
        expected="x and value alone, where derivatives pass least_squares",
        got="a standard error, a covariance or the deviation of the residuals",
        where=where,
        try_="with cl.no_grad(): around least_squares, where the derivative is not wanted",
    )


def _not_in_a_program() -> TraceError:
    return TraceError(
        "least_squares cannot be part of a program",
        expected="least_squares outside cl.compile, cl.vmap and loops",
        got="a call while a program is traced",
        where=user_line(),
        try_="cl.optim.minimize of cl.sum(r(x) ** 2), which can",
    )


def _method(method: Any) -> levenberg_marquardt:
    if isinstance(method, levenberg_marquardt):
        return method
    raise ArgumentError(
        "least_squares needs levenberg_marquardt()",
        expected="levenberg_marquardt(), with other options than the defaults",
        got=repr(method),
        where=user_line(),
        try_="minimize, with the sum of squares, for other methods",
    )


def _require_vector(r: Any) -> None:
    shape = np.shape(raw(r)) if is_array(r) else None
    if shape is not None and len(shape) == 1 and shape[0] > 0:
        return
    scalar = shape == ()
    raise ShapeError(
        "least_squares needs the residuals themselves" if scalar else "least_squares needs a vector of residuals",
        expected="a vector of shape (m,), one number per observation",
        got=f"a {type(r).__name__}" if shape is None else f"shape {shape}",
        where=user_line(),
        try_="return prediction - y, not the sum of squares; minimize takes any scalar function"
        if scalar
        else "cl.reshape(residuals, (-1,)), or cl.concat of several",
    )
