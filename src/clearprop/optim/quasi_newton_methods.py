"""Quasi-Newton methods: curvature learned from how the gradient changes along the steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import ClassVar, Protocol

import numpy as np

from clearprop.errors import ArgumentError, user_line
from clearprop.optim.hyperparameters import COUNT, Choices, hyper
from clearprop.optim.line_search import Line
from clearprop.optim.methods import Method, Stall, Steps, stop_if_flat, stop_where_nothing_is_lower
from clearprop.optim.objective import Objective, Point, Vector
from clearprop.optim.symmetric_rank_one import rank_one_steps

FLATTER = {"lbfgs": 0.9, "bfgs": 0.9, "dfp": 0.1}
"""By what factor the slope must fall along the line (c₂); DFP mends a bad metric too slowly otherwise."""
DENSE_LIMIT = 5_000
"""The most variables for which an n × n matrix is kept."""


class quasi_newton(Method):
    """Quasi-Newton steps x ← x − s·W∇f with W ≈ H⁻¹ and a strong-Wolfe line search for s.

    With p the step made and y the change of the gradient over it, W is corrected so that W·y = p:

    update   "lbfgs"  the last `memory` pairs (p, y), applied by the two-loop recursion (Nocedal 1980); the default
             "bfgs"   W ← (I − ρpyᵀ)W(I − ρypᵀ) + ρppᵀ, ρ = 1/yᵀp (Broyden, Fletcher, Goldfarb, Shanno 1970)
             "dfp"    W ← W − Wyyᵀ W/(yᵀWy) + ppᵀ/(yᵀp) (Davidon 1959, Fletcher & Powell 1963); slower, for comparison
             "sr1"    B ← B + rrᵀ/(rᵀp), r = y − Bp, in a trust region: it may learn negative curvature (Conn, Gould &
                      Toint 1991)
    memory   pairs kept by "lbfgs", default 10
    damped   Powell's damping (1978): y is mixed with Bp where the curvature pᵀy is below 0.2·pᵀBp

    The first W is I; for "lbfgs" it is I·(pᵀy/yᵀy) of the last pair (Shanno & Phua 1978).  A trial that is not finite
    counts as +∞.  Where the search finds no lower point, the memory is dropped and the steepest descent tried; where
    that fails too, the run ends.
    Formulas: Nocedal & Wright 2006, ch. 6 and 7.

    >>> import clearprop as cl
    >>> found = cl.optim.minimize(lambda x: cl.sum(cl.cosh(x - 1)), cl.zeros(3), cl.optim.quasi_newton("bfgs"))
    >>> found.value, found.steps < 10
    (3.0, True)
    """

    full_batch: ClassVar[bool] = True
    update: str = hyper(default="lbfgs", within=Choices(("lbfgs", "bfgs", "dfp", "sr1")))
    memory: int = hyper(default=10, within=COUNT)
    damped: bool = False

    def steps(self, objective: Objective, start: Point, tolerance: float) -> Steps:
        """The accepted points."""
        if self.update != "lbfgs":
            _require_few(start.x.size, self.update)
        if self.update == "sr1":
            return rank_one_steps(objective, start, tolerance)
        return _line_search_steps(objective, start, tolerance, self)

    def metric(self) -> Metric:
        """What is known before the first step."""
        if self.update == "lbfgs":
            return Pairs(self.memory)
        return Matrix(_bfgs if self.update == "bfgs" else _dfp)


class Metric(Protocol):
    """An approximation W of the inverse Hessian."""

    @property
    def empty(self) -> bool:
        """Whether nothing was learned yet."""

    def times(self, g: Vector) -> Vector:
        """W·g."""

    def learn(self, p: Vector, y: Vector) -> None:
        """Make W·y = p."""


def _line_search_steps(objective: Objective, point: Point, tolerance: float, method: quasi_newton) -> Steps:
    metric, flatter, stall = method.metric(), FLATTER[method.update], Stall(point)
    while (stop := stop_if_flat(point, tolerance)) is None:
        direction = -metric.times(point.gradient)
        if not float(direction @ point.gradient) < 0:  # rounding, or a damaged metric
            metric, direction = method.metric(), -point.gradient
        trial = Line(objective.point, point, direction, flatter).search(_first_length(point, metric))
        if stall.over(point) or (trial is None and metric.empty):
            return stop_where_nothing_is_lower(point)
        if trial is None:
            metric = method.metric()
            continue
        p, y = trial.point.x - point.x, trial.point.gradient - point.gradient
        if method.damped:
            y = _damp(p, y, -trial.step * point.gradient)
        if _is_curved(p, y):
            metric.learn(p, y)
        point = trial.point
        yield point
    return stop


def _first_length(point: Point, metric: Metric) -> float:
    """The step to try first: the full one, or at most 1 long while nothing is known."""
    if not metric.empty:
        return 1.0
    return min(1.0, 1 / float(np.sum(np.abs(point.gradient))))


def _is_curved(p: Vector, y: Vector) -> bool:
    """Whether pᵀy is positive beyond rounding."""
    return float(p @ y) > np.finfo(p.dtype).eps * float(y @ y) * 1e-3 if float(y @ y) else False


def _damp(p: Vector, y: Vector, curved: Vector) -> Vector:
    """Powell 1978: θy + (1 − θ)Bp, so that its product with p is at least 0.2·pᵀBp; `curved` is Bp."""
    product, own = float(p @ y), float(p @ curved)
    if product >= 0.2 * own:
        return y
    mix = p.dtype.type(0.8 * own / (own - product))
    mixed: Vector = mix * y + (1 - mix) * curved
    return mixed


class Pairs:
    """The last pairs (p, y), and W·g by the two-loop recursion."""

    def __init__(self, memory: int) -> None:
        self.kept: deque[tuple[Vector, Vector, float]] = deque(maxlen=memory)

    @property
    def empty(self) -> bool:
        """Whether nothing was learned yet."""
        return not self.kept

    def times(self, g: Vector) -> Vector:
        """W·g (Nocedal & Wright 2006, algorithm 7.4)."""
        if not self.kept:
            return g
        q, shares = g.copy(), []
        for p, y, rho in reversed(self.kept):
            shares.append(rho * float(p @ q))
            q -= q.dtype.type(shares[-1]) * y
        p, y, rho = self.kept[-1]
        q *= q.dtype.type(1 / (rho * float(y @ y)))
        for (p, y, rho), share in zip(self.kept, reversed(shares), strict=True):
            q += q.dtype.type(share - rho * float(y @ q)) * p
        return q

    def learn(self, p: Vector, y: Vector) -> None:
        """Keep the pair, and forget the oldest."""
        self.kept.append((p, y, 1 / float(p @ y)))


class Matrix:
    """W itself, corrected by a formula; I at first.

    Scaling that I by pᵀy/yᵀy, as is usual, makes it far too small along variables with small units: 41 in place of 50
    of the 54 NIST regressions are solved then.
    """

    def __init__(self, corrected: Callable[[Vector, Vector, Vector], Vector]) -> None:
        self.corrected, self.w = corrected, None

    w: Vector | None

    @property
    def empty(self) -> bool:
        """Whether nothing was learned yet."""
        return self.w is None

    def times(self, g: Vector) -> Vector:
        """W·g."""
        return g if self.w is None else self.w @ g

    def learn(self, p: Vector, y: Vector) -> None:
        """Correct W."""
        if self.w is None:
            self.w = np.eye(p.size, dtype=p.dtype)
        self.w = self.corrected(self.w, p, y)


def _bfgs(w: Vector, p: Vector, y: Vector) -> Vector:
    """(I − ρpyᵀ)W(I − ρypᵀ) + ρppᵀ, multiplied out."""
    rho, wy = 1 / (p @ y), w @ y
    cross = np.outer(p, wy)
    updated: Vector = w - rho * (cross + cross.T) + rho * (1 + rho * (y @ wy)) * np.outer(p, p)
    return updated


def _dfp(w: Vector, p: Vector, y: Vector) -> Vector:
    """W − Wyyᵀ W/(yᵀWy) + ppᵀ/(yᵀp)."""
    wy = w @ y
    updated: Vector = w - np.outer(wy, wy) / (y @ wy) + np.outer(p, p) / (p @ y)
    return updated


def _require_few(n: int, update: str) -> None:
    if n > DENSE_LIMIT:
        raise ArgumentError(
            f'"{update}" keeps a matrix of n × n numbers',
            expected=f"at most {DENSE_LIMIT:,} variables",
            got=f"n = {n:,}",
            where=user_line(),
            try_='quasi_newton("lbfgs"), whose memory grows with n alone',
        )
