"""`minimize`: a method driven to a minimum of a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from clearprop.autodiff.trees import is_array
from clearprop.errors import ArgumentError, ShapeError, checked_call, user_line
from clearprop.optim.first_order_method import following
from clearprop.optim.methods import (
    Method,
    Result,
    Watch,
    check_limits,
    default_tolerance,
    drive,
    require_finite,
    require_function,
)
from clearprop.optim.objective import Objective
from clearprop.optim.quasi_newton_methods import quasi_newton
from clearprop.optim.transform import Transform
from clearprop.program.values import raw


@checked_call
def minimize(
    f: Callable[[Any], Any],
    x0: Any,
    method: Method | Transform | None = None,
    *,
    tolerance: float | None = None,
    steps: int = 1000,
    executor: str | None = None,
    watch: Watch | None = None,
) -> Result:
    """A local minimum of f.

    f          the function, from a tree like x0 to a number
    x0         where to start: a tree of arrays and numbers, or a module
    method     `quasi_newton()` by default, `newton_cg()`, or a transform such as `adam(0.01)`
    tolerance  converged when no partial derivative is larger: ‖∇f‖∞ <= tolerance; by default √eps of the dtype, 1.5e-8
               for float64.  With 0 a method goes on until rounding lets it find no lower value.
    steps      the most accepted steps
    executor   "eager", "numpy" or "numba"; None compiles to NumPy, or to native code where f reads much data
    watch      called with a `Progress` after every step; ends the run when it returns "stop"

    Raises ArgumentError if f is not finite at x0, or is not the same when evaluated twice (mini-batches, dropout).
    Computes in the dtype of the leaves.  For a sum of squares, `least_squares` knows more than the sum.

    >>> import clearprop as cl
    >>> found = cl.optim.minimize(lambda x: (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2, cl.tensor([-1.2, 1.0]))
    >>> found.converged, [round(float(v), 6) for v in found.x]
    (True, [1.0, 1.0])
    """
    require_function("minimize", "f", f)
    if watch is not None:
        require_function("minimize", "watch", watch)
    chosen = method_of(quasi_newton() if method is None else method)
    check_limits("minimize", tolerance, steps)
    objective = Objective(f, x0, "minimize", executor)
    with np.errstate(all="ignore"):
        _same_twice(objective, chosen)
        start = objective.point(objective.space.start)
        require_finite(start, "minimize")
        allowed = default_tolerance(objective) if tolerance is None else tolerance
        return drive(objective, start, chosen.steps(objective, start, allowed), steps, watch)


def method_of(method: Any) -> Method:
    """The method, also where a transform was given."""
    if isinstance(method, Transform):
        return following(method)
    if isinstance(method, Method):
        return method
    raise ArgumentError(
        "minimize needs a method",
        expected="a method (quasi_newton(), newton_cg()) or a transform (adam(0.01))",
        got=repr(method),
        where=user_line(),
        try_="method=cl.optim.quasi_newton()",
    )


def _same_twice(objective: Objective, method: Method) -> None:
    """Refuse a function that differs from itself; rounding apart, in case threads sum in another order."""
    first, second = map(_number, objective.twice())
    close = abs(first - second) <= 8 * float(np.finfo(objective.space.dtype).eps) * abs(first)
    if close or not np.isfinite([first, second]).all():
        return
    if not method.deterministic:
        objective.executor = "eager"  # a traced program would draw the same numbers every time
        return
    raise ArgumentError(
        f"{type(method).__name__} needs a function that is the same whenever it is evaluated",
        expected="f(x0) == f(x0)",
        got=f"{first!r} and then {second!r}",
        where=user_line(),
        try_="the whole data set in place of mini-batches, fixed keys for random layers; or adam, which stands noise",
    )


def _number(value: Any) -> float:
    """The value of a function as a number."""
    if is_array(value) and np.shape(raw(value)) == ():
        return float(raw(value))
    raise ShapeError(
        "minimize needs a function that returns one number",
        expected="a scalar: a Tensor of shape ()",
        got=f"shape {np.shape(raw(value))}" if is_array(value) else f"a {type(value).__name__}",
        try_="cl.mean or cl.sum of it; least_squares, if these are residuals",
    )
