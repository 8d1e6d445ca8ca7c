"""Levenberg-Marquardt: Gauss-Newton steps, kept as short as the linear model can be trusted."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import NamedTuple, Protocol

import numpy as np

from clearprop.optim.hyperparameters import NOT_NEGATIVE, POSITIVE, Choices, Configured, hyper
from clearprop.optim.methods import Steps, Stop
from clearprop.optim.objective import Objective, Point, Vector, rounding
from clearprop.optim.trust_region import Region, eigen_step

POLISH = 40
"""The most Gauss-Newton steps after convergence."""
SHORTER = 0.9
"""By what factor each of them must be shorter than the one before."""


class Fit(NamedTuple):
    """A place with its residuals r and Jacobian J; the point's value is Σr², its gradient 2Jᵀr."""

    point: Point
    r: Vector
    j: Vector

    @property
    def cosine(self) -> float:
        """The largest |cos| of the angle between r and a column of J: 0 where the fit is best (Moré 1978)."""
        lengths = np.linalg.norm(self.j, axis=0) * np.linalg.norm(self.r)
        return float(np.max(np.abs(self.point.gradient) / 2 / np.where(lengths > 0, lengths, 1.0)))


class Linear:
    """‖r + Jp‖² with scaled variables q = d·p: the singular values of J/d, by way of its QR factors.

    No normal equations: JᵀJ would square the condition number.
    """

    def __init__(self, fit: Fit, scale: Vector) -> None:
        self.scale = scale
        q, triangle = np.linalg.qr(fit.j / scale)
        u, s, vt = np.linalg.svd(triangle, full_matrices=False)
        self.q, self.u, self.v = q, u, vt.T[:, ::-1]
        self.s, self.b = s[::-1], self.onto(fit.r)

    def onto(self, r: Vector) -> Vector:
        """A vector of residuals in the basis of the singular vectors."""
        turned: Vector = (self.u.T @ (self.q.T @ r))[::-1]
        return turned

    def within(self, radius: float) -> Vector:
        """The q that minimises ‖r + Jp‖² with ‖q‖ <= radius."""
        return eigen_step(self.s**2, self.s * self.b, radius)

    def damped(self, mu: float) -> Vector:
        """The q that minimises ‖r + Jp‖² + μ‖q‖²."""
        q: Vector = -self.s * self.b / (self.s**2 + mu)
        return q

    def answer(self, second: Vector, q: Vector) -> Vector:
        """The a that minimises ‖second + Ja‖² + λ‖a‖², with the λ that belongs to q."""
        i = int(np.argmax(np.abs(q)))
        damping = max(-self.s[i] * self.b[i] / q[i] - self.s[i] ** 2, 0.0)
        a: Vector = -self.s * self.onto(second) / (self.s**2 + damping)
        return a

    def newton(self) -> Vector:
        """The q that minimises ‖r + Jp‖²; of several the shortest."""
        kept = self.s > np.finfo(self.s.dtype).eps * self.s[-1] * self.s.size
        return np.where(kept, -self.b / np.where(kept, self.s, 1.0), 0.0)

    def step(self, q: Vector) -> Vector:
        """The variables' step p."""
        p: Vector = (self.v @ q) / self.scale
        return p

    def promised(self, q: Vector) -> float:
        """By how much ‖r + Jp‖² is below ‖r‖²: −(2bᵀSq + ‖Sq‖²)."""
        moved = self.s * q
        return -float(moved @ (2 * self.b + moved))


class levenberg_marquardt(Configured):
    """Levenberg-Marquardt: p minimises ‖r + Jp‖² + λ‖Dp‖², between Gauss-Newton (λ = 0) and a short steepest descent.

    damping  "radius"   λ such that ‖Dp‖ stays within a trust region (Moré 1978); the default
             "nielsen"  λ ← λ·max(⅓, 1 − (2ρ − 1)³) after a good step, λ·ν with ν = 2, 4, 8 … after a bad one, ρ being
                        actual/promised decrease (Nielsen 1999)
    scaling  "columns"  D holds the largest norm so far of every column of J (Moré 1978): the units of the variables do
                        not matter;  "none" (Levenberg 1944): D = I
    initial  the first radius in multiples of ‖D·x0‖ (default 1), or the first λ (default 1e-3)
    acceleration  the step is bent to p + ½a, where a does to d²r/dp² (exact, one evaluation) what p does to r, if
             2‖a‖ <= acceleration·‖p‖ (geodesic acceleration, Transtrum & Sethna 2012): it follows curved valleys.
             0.1 is what they advise for hard problems, 0.75 for easy ones; 0 leaves it out

    After convergence Gauss-Newton steps go on while they become shorter, for the last digits that rounding allows.

    >>> import clearprop as cl
    >>> cl.optim.levenberg_marquardt("nielsen")
    levenberg_marquardt(damping='nielsen', scaling='columns', initial=None, acceleration=0.1)
    """

    damping: str = hyper(default="radius", within=Choices(("radius", "nielsen")))
    scaling: str = hyper(default="columns", within=Choices(("columns", "none")))
    initial: float | None = hyper(default=None, within=POSITIVE._replace(or_none=True))
    acceleration: float = hyper(default=0.1, within=NOT_NEGATIVE)

    def steps(self, problem: Problem, fit: Fit, tolerance: float) -> Steps:
        """The accepted points."""
        scale = self._scale(fit, None)
        control = self._control(float(np.linalg.norm(scale * fit.point.x)))
        rest = fit.point.value * float(np.finfo(fit.r.dtype).eps) ** 2
        while (stop := _stop_at_best_fit(fit, tolerance, rest)) is None:
            scale = self._scale(fit, scale)
            better = self._better(problem, fit, Linear(fit, scale), control)
            if better is None:
                stop = Stop(True, "no lower sum can be told from rounding")
                break
            fit = better
            yield fit.point
        fit = yield from _polish(problem, fit, scale)
        return stop._replace(answer=fit.point)

    def _better(self, problem: Problem, fit: Fit, linear: Linear, control: Control) -> Fit | None:
        """The next fit; None where steps and promises have shrunk to rounding."""
        while True:
            q = control.propose(linear)
            promised, p = linear.promised(q), linear.step(q)
            trial = problem.fit(fit.point.x + p + self._bent(problem, fit, linear, q))
            if control.accepts(fit.point, trial.point, promised, float(np.linalg.norm(q))):
                return trial
            if promised <= rounding(fit.point) or _is_tiny(p, fit.point.x):
                return None

    def _bent(self, problem: Problem, fit: Fit, linear: Linear, q: Vector) -> Vector | float:
        """½a, where a answers the second derivative of r along the step; 0 where it is too long to be trusted."""
        if not self.acceleration:
            return 0.0
        a = linear.answer(problem.bend(fit.point.x, linear.step(q)), q)
        short = 2 * float(np.linalg.norm(a)) <= self.acceleration * float(np.linalg.norm(q))
        return linear.step(a) / 2 if short else 0.0

    def _scale(self, fit: Fit, before: Vector | None) -> Vector:
        norms = np.linalg.norm(fit.j, axis=0)
        if self.scaling == "none":
            return np.ones_like(norms)
        return np.where(norms > 0, norms, 1.0) if before is None else np.maximum(before, norms)

    def _control(self, length: float) -> Control:
        if self.damping == "nielsen":
            return Nielsen(1e-3 if self.initial is None else self.initial)
        return Radius((1.0 if self.initial is None else self.initial) * (length or 1.0))


class Control(Protocol):
    """How far the linear model is trusted."""

    def propose(self, linear: Linear) -> Vector:
        """A step q."""

    def accepts(self, before: Point, after: Point, promised: float, length: float) -> bool:
        """Whether the step is taken; the trust is adapted."""


class Radius(Region):
    """λ by way of a trust region."""

    def propose(self, linear: Linear) -> Vector:
        """The best q within the radius."""
        return linear.within(self.radius)

    def accepts(self, before: Point, after: Point, promised: float, length: float) -> bool:
        """Whether the step is taken."""
        return self.judge(before, after, promised, length)


class Nielsen:
    """λ itself, after Nielsen 1999."""

    def __init__(self, mu: float) -> None:
        self.mu, self.nu = mu, 2.0

    def propose(self, linear: Linear) -> Vector:
        """The damped q."""
        return linear.damped(self.mu)

    def accepts(self, before: Point, after: Point, promised: float, length: float) -> bool:
        """Whether the step is taken."""
        fell = before.value - after.value if after.finite else -math.inf
        if not (fell > 0 and promised > 0):
            self.mu, self.nu = self.mu * self.nu, self.nu * 2
            return False
        ratio = min(fell / promised, 2.0)
        self.mu, self.nu = self.mu * max(1 / 3, 1 - (2 * ratio - 1) ** 3), 2.0
        return True


def _stop_at_best_fit(fit: Fit, tolerance: float, rest: float) -> Stop | None:
    """The end: at a best fit, or where nothing is left of the residuals that there were at the start."""
    cosine = fit.cosine
    if fit.point.value <= rest:
        return Stop(True, f"the fit is exact: the sum of squares is {fit.point.value:.1e}")
    if cosine <= tolerance:
        return Stop(True, f"residuals and Jacobian are orthogonal: |cos| <= {cosine:.1e} (tolerance {tolerance:.1e})")
    return None


def _is_tiny(p: Vector, x: Vector) -> bool:
    """Whether the step is below the distance of neighbouring numbers, in every variable."""
    return bool(np.all(np.abs(p) <= np.finfo(x.dtype).eps * np.abs(x)))


def _polish(problem: Problem, fit: Fit, scale: Vector) -> Generator[Point, None, Fit]:
    """Gauss-Newton steps, while each is shorter than the one before; the sum may move by rounding, no more."""
    before, highest = math.inf, fit.point.value * (1 + 1e-9)
    for _ in range(POLISH):
        linear = Linear(fit, scale)
        q = linear.newton()
        length = float(np.linalg.norm(q))
        if not length <= SHORTER * before or _is_tiny(linear.step(q), fit.point.x):
            break
        trial = problem.fit(fit.point.x + linear.step(q))
        if not trial.point.finite or trial.point.value > highest:
            break
        fit, before = trial, length
        yield fit.point
    return fit


class Problem:
    """Residuals as a counted objective."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective

    def fit(self, x: Vector) -> Fit:
        """Residuals and Jacobian at x."""
        r, j = self.objective.linearised(x)
        return Fit(Point(x, float(r @ r), 2 * (r @ j)), r, j)

    def bend(self, x: Vector, p: Vector) -> Vector:
        """The second derivative of the residuals along p."""
        second = self.objective.bend(x, p)
        return second
