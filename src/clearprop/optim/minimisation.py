"""`minimize`: a method driven to a minimum of a function."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
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
from clearprop.program.ir import builder
from clearprop.program.values import Node, no_grad, raw


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

    Inside a loss the minimum is a function of everything w that f reads from around it, and has the derivative of the
    implicit function theorem, ∂x/∂w = −(∂²f/∂x²)⁻¹ · ∂²f/∂x∂w, in both modes and to any order; x0 has none.  `value` is
    a tensor then.  Raises GradientError where derivatives would pass what has not converged, or a minimum that is not
    by itself.  In a program that is traced (`cl.compile`, `cl.vmap`, `cl.scan`) the search is part of it, by the
    default method; a minimum that was not found is NaN there, and `converged` a tensor.

    >>> import clearprop as cl
    >>> found = cl.optim.minimize(lambda x: (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2, cl.tensor([-1.2, 1.0]))
    >>> found.converged, [round(float(v), 6) for v in found.x]
    (True, [1.0, 1.0])
    >>> cl.grad(lambda w: cl.optim.minimize(lambda x: cl.exp(x) - w * x, 0.0).x)(2.0)  # of log(w)
    Tensor(0.5)
    """
    require_function("minimize", "f", f)
    if watch is not None:
        require_function("minimize", "watch", watch)
    chosen = method_of(quasi_newton() if method is None else method)
    check_limits("minimize", tolerance, steps)
    if builder() is not None:
        _require_plain(method, executor, watch)
        in_program: Result = differentiable().search_in_program(f, x0, tolerance, steps)
        return in_program
    objective = Objective(f, x0, "minimize", executor)
    with np.errstate(all="ignore"):
        followed = _same_twice(objective, chosen)
        with no_grad():
            start = objective.point(objective.space.start)
            require_finite(start, "minimize")
            allowed = default_tolerance(objective) if tolerance is None else tolerance
            found = drive(objective, start, chosen.steps(objective, start, allowed), steps, watch)
        return differentiable().with_derivative(f, x0, found, "minimize") if followed else found


def differentiable() -> ModuleType:
    """The module that makes a minimum a function of what the function reads."""
    # start-up time: loops and branches are loaded by minima through which derivatives pass
    from clearprop.optim import implicit_minimum

    return implicit_minimum


def _require_plain(method: Any, executor: str | None, watch: Watch | None) -> None:
    """In a program there is one way to search, and nobody to watch."""
    chosen = {"method": method, "executor": executor, "watch": watch}
    given = [f"{name} = {value!r:.60}" for name, value in chosen.items() if value not in (None, quasi_newton())]
    if given:
        raise ArgumentError(
            "minimize searches by quasi-Newton steps where it is part of a program",
            expected="the defaults of method, executor and watch inside cl.compile, cl.vmap and loops",
            got=", ".join(given),
            where=user_line(),
            try_="leave them out; or minimize outside, and differentiate with cl.grad alone",
        )


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


def _same_twice(objective: Objective, method: Method) -> bool:
    """Refuse a function that differs from itself; rounding apart, in case threads sum in another order.

    Returns whether derivatives pass what it reads from around it.
    """
    values = objective.twice()
    first, second = map(_number, values)
    followed = isinstance(values[0], Node) and values[0].tracked
    close = abs(first - second) <= 8 * float(np.finfo(objective.space.dtype).eps) * abs(first)
    if close or not np.isfinite([first, second]).all():
        return followed
    if not method.deterministic:
        objective.executor = "eager"  # a traced program would draw the same numbers every time
        return followed
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
