"""What a method of minimisation is: accepted points one after another, a reason to end, and what is found."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Generator
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from clearprop.errors import ArgumentError, user_line
from clearprop.optim.hyperparameters import COUNT, NOT_NEGATIVE, Configured, Range
from clearprop.optim.objective import Evaluations, Objective, Point, rounding


@dataclasses.dataclass(frozen=True)
class Result:
    """What a minimiser found.

    x            a tree like x0, with the lowest value met
    value        the function there
    converged    whether that is a minimum as far as the method can tell
    reason       why it stopped, as a sentence
    evaluations  how many values, gradients, Jacobians and Hessian-vector products it took
    steps        the number of accepted steps

    >>> import clearprop as cl
    >>> found = cl.optim.minimize(lambda x: (x - 3.0) ** 2 + 1.0, 0.0)
    >>> found.x, found.value, found.converged, found.steps
    (Tensor(3.0), 1.0, True, 2)
    """

    x: Any
    value: float
    converged: bool
    reason: str
    evaluations: Evaluations
    steps: int


class Progress(NamedTuple):
    """What `watch` is called with: after the start (number 0) and after every step.

    number       of the step
    value        the function at the point that was accepted
    steepness    the largest absolute partial derivative there
    evaluations  all up to now
    x            a function that gives the point, as a tree like x0

    >>> import clearprop as cl
    >>> seen = []
    >>> found = cl.optim.minimize(lambda x: (x - 3.0) ** 2, 0.0, watch=lambda p: seen.append((p.number, p.value)))
    >>> seen
    [(0, 9.0), (1, 4.0), (2, 0.0)]
    """

    number: int
    value: float
    steepness: float
    evaluations: Evaluations
    x: Callable[[], Any]


class Stop(NamedTuple):
    """Why a method ends; and its answer, where that is not simply the lowest point."""

    converged: bool
    reason: str
    answer: Point | None = None


Steps: TypeAlias = Generator[Point, None, Stop]
Watch: TypeAlias = Callable[[Progress], object]


class Method(Configured):
    """A way to a minimum, as an immutable value: `steps` yields every accepted point, and returns why it ended.

    The base of `quasi_newton`, `newton_cg` and `relay`; `minimize` takes any of them.

    >>> import clearprop as cl
    >>> isinstance(cl.optim.newton_cg(), cl.optim.Method), isinstance(cl.optim.adam(), cl.optim.Method)
    (True, False)
    """

    deterministic = True  # whether a function that draws random numbers breaks it

    def steps(self, objective: Objective, start: Point, tolerance: float) -> Steps:
        """The accepted points, from `start` (which is not yielded) on."""
        raise NotImplementedError


def drive(objective: Objective, start: Point, points: Steps, most: int, watch: Watch | None) -> Result:
    """Take steps until the method ends, or `most` are done, or the watcher says stop."""
    best, number = start, 0
    stop = _ask_watcher(watch, objective, start, 0)
    while stop is None:
        if number == most:
            stop = Stop(False, f"stopped after the {most} steps allowed")
            break
        try:
            point = next(points)
        except StopIteration as end:
            stop = end.value
            break
        number += 1
        best = point if point.value <= best.value + rounding(best) else best
        stop = _ask_watcher(watch, objective, point, number)
    assert stop is not None
    best = stop.answer or best
    return Result(objective.space.tree(best.x), best.value, stop.converged, stop.reason, objective.count, number)


def _ask_watcher(watch: Watch | None, objective: Objective, point: Point, number: int) -> Stop | None:
    if watch is None:
        return None
    progress = Progress(number, point.value, point.steepness, objective.count, lambda: objective.space.tree(point.x))
    return Stop(False, "stopped by the watcher") if watch(progress) == "stop" else None


def stop_if_flat(point: Point, tolerance: float) -> Stop | None:
    """The end, if the gradient is small enough."""
    if point.steepness > tolerance:
        return None
    return Stop(True, f"no partial derivative is larger than {point.steepness:.1e} (tolerance {tolerance:.1e})")


class Stall:
    """Counts steps that lower neither the value beyond rounding nor the largest partial derivative by half."""

    PATIENCE = 30

    def __init__(self, start: Point) -> None:
        self.lowest, self.least, self.count = start, start.steepness, 0

    def over(self, point: Point) -> bool:
        """Whether the last steps were all of that kind."""
        if point.value < self.lowest.value - rounding(self.lowest):
            self.lowest, self.count = point, 0
        if point.steepness < self.least / 2:
            self.least, self.count = point.steepness, 0
        self.count += 1
        return self.count > self.PATIENCE


def stop_where_nothing_is_lower(point: Point) -> Stop:
    """The end where nothing lower is found; converged if the slope is small for the sizes of x and f.

    The relative gradient maxᵢ |∂f/∂xᵢ|·max(|xᵢ|, 1)/max(|f|, 1) is compared with ∛eps (Dennis & Schnabel 1983).
    """
    relative = np.abs(point.gradient) * np.maximum(np.abs(point.x), 1) / max(abs(point.value), 1.0)
    flat = float(np.max(relative)) <= float(np.finfo(point.x.dtype).eps) ** (1 / 3)
    steepness = f"the largest partial derivative is {point.steepness:.1e}"
    return Stop(flat, f"no lower value can be told from rounding; {steepness}")


def default_tolerance(objective: Objective) -> float:
    """√eps of the dtype."""
    return math.sqrt(float(np.finfo(objective.space.dtype).eps))


# ------------------------------------------------------------------------------------------------ mistakes in calling
def check_limits(owner: str, tolerance: float | None, steps: int) -> None:
    """The options that all minimisers share."""
    ranges: list[tuple[str, Any, Range, str]] = [
        ("tolerance", tolerance, NOT_NEGATIVE._replace(or_none=True), "tolerance=None"),
        ("steps", steps, COUNT, "steps=1000"),
    ]
    for name, value, within, try_ in ranges:
        if not within.holds(value):
            raise ArgumentError(
                f"{owner} cannot work with this {name}",
                expected=f"{within.text(name)} (default {try_.partition('=')[2]})",
                got=f"{name} = {value!r}",
                where=user_line(),
                try_=try_,
            )


def require_function(owner: str, name: str, function: Any) -> None:
    """What is minimised, and who watches, are functions."""
    if not callable(function):
        raise ArgumentError(
            f"{owner} needs a function for {name}",
            expected=f"{name}: a function",
            got=repr(function)[:200],
            where=user_line(),
        )


def require_finite(start: Point, owner: str) -> None:
    """A start from which there is no direction is a mistake."""
    if start.finite:
        return
    value = f"f(x0) = {start.value}"
    bad = int(np.size(start.gradient) - np.sum(np.isfinite(start.gradient)))
    raise ArgumentError(
        f"{owner} needs a start where f and its gradient are finite",
        expected="finite numbers",
        got=value if not math.isfinite(start.value) else f"{value}, but {bad} partial derivatives that are not finite",
        where=user_line(),
        try_="another x0; smaller weights, or scaled data, where a network overflows",
    )
