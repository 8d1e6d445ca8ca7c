"""`cl.odeint`: ordinary differential equations by Runge's and Kutta's steps, differentiated through the steps."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from clearprop.control.carries import check_leaf, checked_count
from clearprop.control.scan import fori_loop, scan
from clearprop.control.tree_vectors import TreeAsVector
from clearprop.control.while_loop import while_loop
from clearprop.errors import ShapeError, checked_call, require_function, user_line
from clearprop.program.ir import shape_of
from clearprop.program.types import Tree, type_of
from clearprop.program.values import raw
from clearprop.rules.arithmetic import abs as absolute
from clearprop.rules.arithmetic import maximum, minimum, stop_gradient
from clearprop.rules.comparison import greater_equal, less_equal, logical_and, logical_not
from clearprop.rules.elementwise import astype, where
from clearprop.rules.joining import concat
from clearprop.rules.reductions import mean
from clearprop.rules.structural import reshape_

Slope = Callable[[Any, Any], Any]
"""`slope(y, t)` of a vector."""

_DORMAND_PRINCE = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
"""How much of each earlier slope leads to where the next one is taken; the last row leads to the end of the step."""
_TIMES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_FOURTH = (5179 / 57600, 0.0, 7571 / 16695, 393 / 640, -92097 / 339200, 187 / 2100, 1 / 40)
"""The method of order 4 with the same slopes, which tells the error."""
SAFETY, LEAST, MOST = 0.9, 0.2, 5.0
"""A step is made so much shorter than its error allows, and changes at most by these factors."""


@checked_call
def odeint(
    f: Callable[[Any, Any], Any],
    y0: Tree,
    times: Any,
    steps: int | None = None,
    rtol: float = 1e-6,
    atol: float = 1e-9,
    max_steps: int = 100,
) -> Any:
    """The solution of y′ = f(y, t), y(times[0]) = y0, at these times: a tree like y0 with an axis of times in front.

    f           takes the state and the time, gives the state's derivative: a tree like y0
    y0          the state at the first time: a tree of floating arrays and numbers
    times       a vector of times, rising or falling
    steps       so many steps of the classical method of order 4 from each time to the next; None: adaptive steps
    rtol, atol  an adaptive step's error may be atol + rtol · |y|, as a root mean square over the state
    max_steps   the most adaptive steps, those refused included, from one time to the next; where they do not suffice
                what follows is NaN

    The derivative is that of the steps that were taken, in both modes and to any order, for y0, the times, and what f
    reads from around it; how long adaptive steps are is not differentiated.  Raises ShapeError if times is no vector,
    ArgumentError if f gives another structure than y0 has.

    W. Kutta, "Beitrag zur näherungsweisen Integration totaler Differentialgleichungen" (1901); J. R. Dormand,
    P. J. Prince, "A family of embedded Runge–Kutta formulae", J. Computational and Applied Mathematics 6 (1980).

    >>> import clearprop as cl
    >>> decay = lambda k: cl.odeint(lambda y, t: -k * y, 1.0, cl.tensor([0.0, 1.0, 2.0]), steps=20)
    >>> decay(0.5)
    Tensor([1.0, 0.60653066, 0.36787944])
    >>> cl.grad(lambda k: decay(k)[2])(0.5)
    Tensor(-0.73575887)
    """
    require_function(f, "odeint")
    state = TreeAsVector("odeint", "y0", y0)
    times = _vector_of_times(times, state.dtype)

    def slope(y: Any, t: Any) -> Any:
        return astype(state.image(f(state.tree(y), t)), dtype=state.dtype)

    if steps is not None:
        between = functools.partial(_classical_steps, slope, checked_count(steps, "steps"))
        start: Any = state.vector
    else:
        between = functools.partial(_adaptive_steps, slope, rtol, atol, checked_count(max_steps, "max_steps"))
        start = state.vector, stop_gradient((times[-1] - times[0]) * 0.01)
    _, rows = scan(between, start, (times[:-1], times[1:]))
    rows = concat([reshape_(state.vector, shape=(1, *shape_of(state.vector))), rows])
    return state.tree_of_rows(rows)


def _vector_of_times(times: Any, dtype: Any) -> Any:
    times = check_leaf("odeint", "times", times)
    if len(shape_of(times)) != 1:
        raise ShapeError(
            "odeint needs the times in a vector",
            expected="an array with one axis",
            got=str(type_of(raw(times))),
            where=user_line(),
            try_="np.linspace(0.0, 1.0, 11)",
        )
    return astype(times, dtype=dtype)


def _classical_steps(slope: Slope, steps: Any, y: Any, ends: tuple[Any, Any]) -> tuple[Any, Any]:
    """Equal steps from one time to the next."""
    first, last = ends
    h = (last - first) / steps

    def step(i: Any, y: Any) -> Any:
        t = first + astype(i, dtype=type_of(raw(y)).dtype) * h
        k1 = slope(y, t)
        k2 = slope(y + 0.5 * h * k1, t + 0.5 * h)
        k3 = slope(y + 0.5 * h * k2, t + 0.5 * h)
        k4 = slope(y + h * k3, t + h)
        return y + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)

    y = fori_loop(0, steps, step, y)
    return y, y


def _adaptive_steps(
    slope: Slope, rtol: float, atol: float, most: Any, carry: tuple[Any, Any], ends: tuple[Any, Any]
) -> tuple[Any, Any]:
    """Steps as long as their errors allow, from one time to the next; how long the last one was is carried on."""
    last = ends[1]

    def step(c: dict[str, Any]) -> dict[str, Any]:
        arrives = greater_equal(absolute(c["h"]), absolute(stop_gradient(last - c["t"])))
        h = where(arrives, last - c["t"], c["h"])
        y, difference = _dormand_prince(slope, c["y"], c["t"], h)
        allowed = atol + rtol * maximum(absolute(c["y"]), absolute(y))
        error = stop_gradient(mean((difference / allowed) ** 2) ** 0.5)
        kept = less_equal(error, 1.0)
        next_h = stop_gradient(h) * minimum(maximum(SAFETY * error**-0.2, LEAST), MOST)
        return {
            "t": where(kept, c["t"] + h, c["t"]),
            "y": where(kept, y, c["y"]),
            "h": where(logical_and(arrives, kept), c["h"], next_h),
            "there": logical_and(arrives, kept),
        }

    start = {"t": ends[0], "y": carry[0], "h": carry[1], "there": False}
    end = while_loop(lambda c: logical_not(c["there"]), step, start, max_steps=most)
    y = where(end["there"], end["y"], math.nan)
    return (y, end["h"]), y


def _dormand_prince(slope: Slope, y: Any, t: Any, h: Any) -> tuple[Any, Any]:
    """The state after a step by the method of order 5, and how far that of order 4 is from it."""
    slopes = [slope(y, t)]
    at = y
    for c, weights in zip(_TIMES, _DORMAND_PRINCE, strict=True):
        at = y + h * sum(w * k for w, k in zip(weights, slopes, strict=True) if w)
        slopes.append(slope(at, t + c * h))
    fifth = (*_DORMAND_PRINCE[-1], 0.0)
    return at, h * sum((a - b) * k for a, b, k in zip(fifth, _FOURTH, slopes, strict=True) if a != b)
