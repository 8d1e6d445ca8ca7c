"""Hybrids for functions: methods one after another, and a global search around a local method."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from clearprop.errors import ArgumentError, checked_call, unknown_name, user_line
from clearprop.optim.hyperparameters import COUNT, POSITIVE, Range
from clearprop.optim.methods import (
    Method,
    Result,
    Steps,
    Stop,
    check_limits,
    default_tolerance,
    drive,
    require_finite,
    require_function,
)
from clearprop.optim.minimisation import method_of
from clearprop.optim.objective import Objective, Point, Vector
from clearprop.optim.quasi_newton_methods import quasi_newton
from clearprop.optim.transform import Transform

SEARCHED = Range(1, 10**6, whole=True)
"""How many points, rounds and steps of each a search may have: all points of a round are held at once."""
SEARCHES = ("particle_swarm", "differential_evolution", "basin_hopping")
Stage = tuple[Method | Transform, int]


class relay(Method):
    """Methods one after another for `minimize`: each starts at the lowest point that the one before has met.

    `relay((adam(0.01), 1000), (quasi_newton(), 500), (newton_cg(), 100))`: a stage ends after so many steps, or when
    its method ends; the next one goes on unless the gradient is small enough already.  Adam finds the way into a
    valley from anywhere, L-BFGS and Newton-CG converge once they are in it (Rathore et al. 2024 for the first two).

    given   the stages: pairs of a method and its largest number of steps
    stages  the same as one tuple, as configurations have it

    >>> import clearprop as cl
    >>> f = lambda x: (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
    >>> method = cl.optim.relay((cl.optim.adam(0.1), 20), (cl.optim.quasi_newton(), 100))
    >>> cl.optim.minimize(f, cl.tensor([-1.2, 1.0]), method).converged
    True
    """

    stages: tuple[Stage, ...]

    def __init__(self, *given: Stage, stages: tuple[Stage, ...] = ()) -> None:
        found = (*given, *(stages if isinstance(stages, (tuple, list)) else (stages,)))
        bad = [repr(stage) for stage in found if not _is_pair(stage)]
        bad += [f"{stage[1]!r} steps" for stage in found if _is_pair(stage) and not COUNT.holds(stage[1])]
        if not found or bad:
            raise ArgumentError(
                "relay needs stages",
                expected="pairs of a method and its number of steps, 1 or more",
                got=bad[0] if found else "none",
                where=user_line(),
                try_="relay((adam(0.01), 1000), (quasi_newton(), 500))",
            )
        for method, _ in found:
            method_of(method)
        object.__setattr__(self, "stages", tuple(map(tuple, found)))

    @property
    def deterministic(self) -> bool:  # type: ignore[override]  # here it depends on the stages
        """Whether any stage needs a function that is always the same."""
        return any(method_of(method).deterministic for method, _ in self.stages)

    def steps(self, objective: Objective, start: Point, tolerance: float) -> Steps:
        """The points of all stages."""
        best, stop = start, Stop(False, "no stage took a step")
        for method, most in self.stages:
            objective.known.pop("advance", None)  # the compiled rule of the transform before
            points, number = method_of(method).steps(objective, best, tolerance), 0
            stop = Stop(False, f"stopped after the {most} steps of the last stage")
            while number < most:
                try:
                    point = next(points)
                except StopIteration as end:
                    stop = end.value
                    break
                best, number = (point if point.value <= best.value else best), number + 1
                yield point
            best = stop.answer or best
            if best.steepness <= tolerance:
                break
        return stop._replace(answer=best)


def _is_pair(stage: Any) -> bool:
    return isinstance(stage, (tuple, list)) and len(stage) == 2


@dataclasses.dataclass(frozen=True)
class _Search:
    """A global search within the box start ± width, with a local method that refines what it proposes."""

    objective: Objective
    start: Vector
    width: float
    rounds: int
    particles: int
    refine: Callable[[Vector], tuple[Vector, float]]
    random: np.random.Generator

    def particle_swarm(self) -> None:
        """Where the best has not changed for ten rounds the local method takes it on, and the swarm continues."""
        low, high = self.start - self.width, self.start + self.width
        x = low + (high - low) * self.random.random((self.particles, self.start.size))
        x[0] = self.start
        v = np.zeros_like(x)
        own, values = x.copy(), np.array([self.value(p) for p in x])
        unchanged = 0
        for number in range(self.rounds):
            leader = int(np.argmin(values))
            if unchanged == 10:
                own[leader], values[leader] = self.refine(own[leader])
                unchanged = 0
            inertia = 0.9 - 0.5 * number / self.rounds
            pulls = self.random.uniform(0, 2, (2, *x.shape))
            v = inertia * v + pulls[0] * (own - x) + pulls[1] * (own[leader] - x)
            x = np.clip(x + v, low, high)
            found, before = np.array([self.value(p) for p in x]), values.min()
            better = found < values
            own[better], values[better] = x[better], found[better]
            unchanged = 0 if values.min() < before else unchanged + 1
        self.refine(own[int(np.argmin(values))])

    def differential_evolution(self) -> None:
        """SciPy's, and the local method on the best."""
        from scipy.optimize import differential_evolution  # start-up time

        box = list(zip(self.start - self.width, self.start + self.width, strict=True))
        size = max(5, self.particles)
        first = self.start + self.width * self.random.uniform(-1.0, 1.0, (size, self.start.size))
        first[0] = self.start
        found = differential_evolution(
            self.value, box, maxiter=self.rounds, init=first, polish=False, rng=self.random, tol=1e-8
        )
        self.refine(found.x)

    def basin_hopping(self) -> None:
        """SciPy's, with the local method in every basin (Wales and Doye 1997)."""
        from scipy.optimize import OptimizeResult, basinhopping  # start-up time

        def local(_: Any, x: Vector, *__: Any, **___: Any) -> Any:
            end, value = self.refine(x)
            return OptimizeResult(x=end, fun=value, success=True, nfev=1)

        options = {"method": local}
        basinhopping(
            self.value,
            self.start,
            niter=self.rounds,
            stepsize=self.width / 2,
            minimizer_kwargs=options,
            rng=self.random,
        )

    def value(self, x: Vector) -> float:
        """The value; infinite where it is not a number."""
        value = self.objective.value(np.asarray(x, self.objective.space.dtype))
        return value if np.isfinite(value) else np.inf


@checked_call
def memetic(
    f: Callable[[Any], Any],
    x0: Any,
    search: str = "particle_swarm",
    *,
    local: Method | Transform | None = None,
    width: float = 1.0,
    rounds: int = 50,
    particles: int = 20,
    steps: int = 200,
    tolerance: float | None = None,
    seed: int = 0,
    executor: str | None = None,
) -> Result:
    """The lowest of several local minima: a global search proposes points, a local method refines them.

    f         the function, from a tree like x0 to a number
    x0        where the search begins: a tree of arrays and numbers, or a module
    search    "particle_swarm" (Zhang et al. 2007: refines the leader when it has not changed for ten rounds, and at the
              end), "differential_evolution" (Storn and Price 1997, SciPy's; refines the best), "basin_hopping" (Wales
              and Doye 1997, SciPy's; refines after every jump)
    local     a method of `minimize`, by default `quasi_newton()`
    width     the search looks within x0 ± width for every number; basin hopping jumps by up to half of it
    rounds    generations, or jumps
    particles  how many points a generation has
    steps     the most steps of the local method, each time
    tolerance, executor  as in `minimize`
    seed      what the random numbers depend on

    For small problems: the number of points that a search needs grows with the number of variables, and beyond a
    thousand weights it finds nothing that restarts would not.  `converged` speaks of the local minimum alone: nothing
    here certifies a global one.

    >>> import clearprop as cl
    >>> f = lambda x: cl.sum(x * x - cl.cos(6 * x)) / 2    # many minima; the lowest is -1, at 0
    >>> round(cl.optim.minimize(f, cl.tensor([2.2, -2.2])).value, 2)
    3.15
    >>> round(cl.optim.memetic(f, cl.tensor([2.2, -2.2]), width=3.0).value, 6)
    -1.0
    """
    require_function("memetic", "f", f)
    _check(search, width, rounds, particles, steps, seed)
    check_limits("memetic", tolerance, steps)
    objective = Objective(f, x0, "memetic", executor)
    method = method_of(quasi_newton() if local is None else local)
    with np.errstate(all="ignore"):
        allowed = default_tolerance(objective) if tolerance is None else tolerance
        start = objective.point(objective.space.start)
        require_finite(start, "memetic")
        found: list[tuple[Result, Vector]] = []

        def refine(x: Vector) -> tuple[Vector, float]:
            point = objective.point(np.asarray(x, objective.space.dtype))
            if not point.finite:
                return point.x, np.inf
            objective.known.pop("advance", None)
            result = drive(objective, point, method.steps(objective, point, allowed), steps, None)
            end = objective.space.join(objective.space.pick(result.x))
            found.append((result, end))
            return end, result.value

        refine(start.x)
        random = np.random.default_rng(int(seed))
        getattr(_Search(objective, start.x, width, rounds, particles, refine, random), search)()
    best = min((result for result, _ in found), key=lambda r: r.value)
    reason = f"the lowest of {len(found)} local searches: {best.reason}"
    return dataclasses.replace(best, reason=reason, evaluations=objective.count)


def _check(search: Any, width: Any, rounds: Any, particles: Any, steps: Any, seed: Any) -> None:
    if not isinstance(search, str) or search not in SEARCHES:
        raise unknown_name("search", search, SEARCHES, user_line())
    numbers: list[tuple[str, Any, Any]] = [("width", width, POSITIVE)]
    numbers += [(n, v, SEARCHED) for n, v in (("rounds", rounds), ("particles", particles), ("steps", steps))]
    numbers += [("seed", seed, Range(0, 2**64, "]", whole=True))]
    defaults = {"width": 1.0, "rounds": 50, "particles": 20, "steps": 200, "seed": 0}
    for name, value, within in numbers:
        if not within.holds(value):
            raise ArgumentError(
                f"memetic cannot work with this {name}",
                expected=f"{within.text(name)} (default {defaults[name]})",
                got=f"{name} = {value!r}",
                where=user_line(),
                try_=f"{name}={defaults[name]}",
            )
