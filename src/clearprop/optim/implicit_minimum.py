"""A minimum as a function of what the function reads from around it: where ∇f(x) = 0, by the implicit function theorem.

With H = ∂²f/∂x² regular at the minimum, ∂x/∂w = −H⁻¹ · ∂²f/∂x∂w for everything w that f reads, whatever way led
there.  In a program that is traced the way is part of it: the quasi-Newton steps of Broyden, Fletcher, Goldfarb and
Shanno (1970) with halved steps.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clearprop.autodiff.transforms import value_and_grad
from clearprop.control import while_loop
from clearprop.control.implicit_operation import solution
from clearprop.control.operation import call
from clearprop.control.subprograms import close
from clearprop.control.tree_vectors import TreeAsVector, vector_of
from clearprop.errors import ArgumentError, GradientError, user_line
from clearprop.optim.line_search import DECREASE, TRIALS
from clearprop.optim.methods import Result
from clearprop.optim.objective import Evaluations
from clearprop.optim.transform import ParameterView
from clearprop.program.ir import shape_of
from clearprop.program.types import INT64, type_of
from clearprop.program.values import no_grad, raw
from clearprop.rules.arithmetic import abs as absolute
from clearprop.rules.arithmetic import stop_gradient
from clearprop.rules.comparison import equal, logical_and, logical_not, logical_or
from clearprop.rules.elementwise import astype, maximum, minimum, where
from clearprop.rules.reductions import max as largest
from clearprop.rules.reductions import sum as sum_
from clearprop.rules.structural import arange_, expand_dims_


class StationaryPoint:
    """The equations ∇f(x) = 0 as a program of what f reads and of the vector of unknowns."""

    def __init__(self, f: Callable[[Any], Any], x0: Any, owner: str) -> None:
        self.f, self.owner, self.view = f, owner, ParameterView(x0)
        trained = [v for v, t in zip(self.view.leaves, self.view.trained, strict=True) if t]
        self.unknowns = TreeAsVector(owner, "x0", trained)
        slopes = value_and_grad(lambda x: f(self.tree(x)))
        closed = close(lambda x: list(slopes(x)), [type_of(raw(self.unknowns.vector))], ["x"])
        self.both, self.constants = closed.program, closed.constants
        self.equations = dataclasses.replace(self.both, outputs=self.both.outputs[1:])

    def tree(self, vector: Any) -> Any:
        """The tree like x0 of a vector of unknowns."""
        found = iter(self.unknowns.tree(vector))
        return self.view.build(
            [next(found) if t else v for v, t in zip(self.view.leaves, self.view.trained, strict=True)]
        )

    def differentiated(self, x: Any) -> Any:
        """The vector of unknowns, with the derivative that the equations give it."""
        return solution(self.equations, self.constants, x)


def with_derivative(f: Callable[[Any], Any], x0: Any, found: Result, owner: str) -> Result:
    """What was found, as tensors through which derivatives pass; refused where it is no regular minimum."""
    if not found.converged:
        raise _no_derivative(owner, "a run that converged", found.reason, "more steps=, or another x0")
    point = StationaryPoint(f, x0, owner)
    trained = [v for v, t in zip(point.view.of(found.x), point.view.trained, strict=True) if t]
    try:
        x = point.differentiated(vector_of(owner, trained))
        regular = np.isfinite(np.asarray(raw(x))).all()
    except ArgumentError:  # of the solver
        regular = False
    if not regular:
        got = "a second derivative that is singular: the minimum is not the only one near it"
        raise _no_derivative(owner, "a minimum by itself", got, "fewer unknowns, or a small penalty such as 1e-6 · Σx²")
    tree = point.tree(x)
    return dataclasses.replace(found, x=tree, value=f(tree))


def _no_derivative(owner: str, expected: str, got: str, try_: str) -> GradientError:
    return GradientError(
        f"{owner} found nothing through which a derivative could pass",
        expected=expected,
        got=got,
        where=user_line(),
        try_=f"{try_}; with cl.no_grad(): where the derivative is not wanted",
    )


def search_in_program(f: Callable[[Any], Any], x0: Any, tolerance: float | None, steps: int) -> Result:
    """The minimum in a program that is being traced: NaN where the steps did not lead to one."""
    point = StationaryPoint(f, x0, "minimize")
    w = [stop_gradient(v) for v in point.constants]
    allowed = math.sqrt(point.unknowns.eps) if tolerance is None else tolerance
    with no_grad():  # how it was found plays no part
        search = _ProgramSearch(lambda x: call(point.both, [*w, x]), point.unknowns.eps)
        end = while_loop(
            lambda c: logical_and(logical_and(c["left"] > 0, logical_not(c["stuck"])), _steepness(c) > allowed),
            search.step,
            search.start(stop_gradient(point.unknowns.vector), steps),
        )
        # where no lower value can be told from rounding, the slope counts relative to the sizes of x and f
        scale = maximum(absolute(end["x"]), 1.0) / maximum(absolute(end["value"]), 1.0)
        flat = largest(absolute(end["slope"]) * scale) <= point.unknowns.eps ** (1 / 3)
        converged = logical_or(_steepness(end) <= allowed, logical_and(end["stuck"], flat))
        x = stop_gradient(where(converged, end["x"], math.nan))
    tree = point.tree(point.differentiated(x))
    count = Evaluations(values=end["evaluations"], gradients=end["evaluations"])
    return Result(tree, f(tree), converged, "a search in a program: see converged", count, steps - end["left"])


def _steepness(carry: Any) -> Any:
    return largest(absolute(carry["slope"]))


def _dot(a: Any, b: Any) -> Any:
    return sum_(a * b)


@dataclasses.dataclass(frozen=True)
class _ProgramSearch:
    """Quasi-Newton steps as operations: of what `evaluate` gives, the value and its slope, at a vector."""

    evaluate: Callable[[Any], Sequence[Any]]
    eps: float

    def start(self, x: Any, steps: int) -> dict[str, Any]:
        """What is known at the beginning; `metric` is W ≈ H⁻¹, and `fresh` while nothing was learned."""
        value, slope = self.evaluate(x)
        metric = _identity(x)
        truths = {"fresh": np.True_, "stuck": np.False_}
        return {"x": x, "value": value, "slope": slope, "metric": metric, **truths, "left": steps, "evaluations": 1}

    def step(self, c: dict[str, Any]) -> dict[str, Any]:
        """A step to a lower point, and what its change of slope teaches; without one the metric is dropped."""
        way = -(c["metric"] @ c["slope"])
        way = where(_dot(way, c["slope"]) < 0, way, -c["slope"])
        trial = self._lower(c, way)
        found = self._low_enough(c, way, trial)
        p, y = trial["x"] - c["x"], trial["slope"] - c["slope"]
        curved = logical_and(found, _dot(p, y) > 1e-3 * self.eps * _dot(y, y))
        fresh = _identity(p)
        known = where(c["fresh"], fresh * (_dot(p, y) / _dot(y, y)), c["metric"])
        return {
            **{name: where(found, trial[name], c[name]) for name in ("x", "value", "slope")},
            "metric": where(curved, _bfgs(known, p, y), where(found, c["metric"], fresh)),
            "fresh": logical_and(logical_not(curved), logical_or(logical_not(found), c["fresh"])),
            "stuck": logical_and(c["fresh"], logical_not(found)),
            "left": c["left"] - 1,
            "evaluations": c["evaluations"] + trial["tried"],
        }

    def _lower(self, c: dict[str, Any], way: Any) -> dict[str, Any]:
        """The first point along the way that is low enough, each half as far as the one before."""

        def at(length: Any, tried: Any) -> dict[str, Any]:
            x = c["x"] + length * way
            value, slope = self.evaluate(x)
            return {"length": length, "x": x, "value": value, "slope": slope, "tried": tried}

        first = where(c["fresh"], minimum(1.0, 1.0 / sum_(absolute(c["slope"]))), 1.0)
        lower: dict[str, Any] = while_loop(
            lambda t: logical_and(t["tried"] < TRIALS, logical_not(self._low_enough(c, way, t))),
            lambda t: at(0.5 * t["length"], t["tried"] + 1),
            at(first, 1),
        )
        return lower

    def _low_enough(self, c: dict[str, Any], way: Any, t: dict[str, Any]) -> Any:
        """The sufficient decrease of `line_search.Line`; false where anything is no number."""
        promised = _dot(c["slope"], way)
        lower = t["value"] <= c["value"] + DECREASE * t["length"] * promised
        same = t["value"] <= c["value"] + 16 * self.eps * absolute(c["value"])
        return logical_or(lower, logical_and(same, _dot(t["slope"], way) <= (2 * DECREASE - 1) * promised))


def _bfgs(metric: Any, p: Any, y: Any) -> Any:
    """W ← (I − ρpyᵀ)·W·(I − ρypᵀ) + ρppᵀ with ρ = 1/yᵀp, multiplied out."""
    rho, u = 1.0 / _dot(p, y), metric @ y
    crossed = _outer(p, u) + _outer(u, p)
    return metric - rho * crossed + rho * (rho * _dot(y, u) + 1.0) * _outer(p, p)


def _outer(a: Any, b: Any) -> Any:
    return expand_dims_(a, axis=(-1,)) * expand_dims_(b, axis=(-2,))


def _identity(like: Any) -> Any:
    """The matrix I for vectors like this one."""
    places = arange_(size=shape_of(like)[0], dtype=INT64)
    same = equal(expand_dims_(places, axis=(-1,)), expand_dims_(places, axis=(-2,)))
    return astype(same, dtype=type_of(raw(like)).dtype)
