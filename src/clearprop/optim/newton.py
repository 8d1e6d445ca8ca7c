"""Newton's method with exact Hessian-vector products, in a trust region that leaves saddles."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import numpy as np

from clearprop.optim.hyperparameters import COUNT, POSITIVE, Choices, hyper
from clearprop.optim.krylov import Krylov
from clearprop.optim.methods import Method, Stall, Steps, stop_if_flat, stop_where_nothing_is_lower
from clearprop.optim.objective import Objective, Point, Vector
from clearprop.optim.trust_region import Region

Product = Callable[[Vector], Vector]

LEAST = 4
"""Lanczos vectors of a saddle-free step, at least: the extreme curvatures show early."""
SEARCHED = 50
"""Lanczos vectors, at most, that look for negative curvature where the gradient vanishes."""


class newton_cg(Method):
    """Newton steps p = −H⁻¹∇f within a trust region, from products Hv alone: H is never formed.

    By default p comes from conjugate gradients (Steihaug 1983) that stop at ‖Hp + g‖ <= min(½, √‖g‖)·‖g‖, at the
    radius, or at a direction of negative curvature, which is followed up to the radius.

    With `saddle_free` p = −|H|⁻¹g in the space of some Lanczos vectors (Dauphin et al. 2014): along directions of
    negative curvature the step leads down, where Newton's leads to the saddle.  Where the gradient has next to no part
    along the most negative direction, the step gets one as long as the radius: |H|⁻¹ alone would double a tiny part
    in every step.

    Where the gradient vanishes, the curvature is looked at before that counts as a minimum: from a saddle the run goes
    on along the most negative direction found.

    saddle_free  which of the two steps
    krylov   the most Hessian-vector products per step; None: 2n + 2, at most 250 (saddle_free: n, at most 100)
    radius   the first radius of the trust region, default 1
    scaling  "none", or "start": the region is a ball of the variables in units of their sizes at x0, |x0| (1 where that
             is 0), which is a diagonal preconditioner for the conjugate gradients too (typical sizes, Dennis &
             Schnabel 1983).  For a few variables of different units: of NIST's 54 regressions it solves 53 in place
             of 48.  Not for a network, whose first weights are random numbers around 0 and no sizes.

    >>> import clearprop as cl
    >>> saddle = lambda x: (x[0] ** 2 - 1) ** 2 + x[1] ** 2
    >>> found = cl.optim.minimize(saddle, cl.tensor([0.0, 0.5]), cl.optim.newton_cg())
    >>> found.converged, [abs(round(float(v), 6)) for v in found.x]
    (True, [1.0, 0.0])
    """

    full_batch: ClassVar[bool] = True
    saddle_free: bool = False
    krylov: int | None = hyper(default=None, within=COUNT._replace(or_none=True))
    radius: float = hyper(default=1.0, within=POSITIVE)
    scaling: str = hyper(default="none", within=Choices(("none", "start")))

    def steps(self, objective: Objective, start: Point, tolerance: float) -> Steps:
        """The accepted points."""
        point, region, stall = start, Region(self.radius), Stall(start)
        sizes = self._sizes(start.x)
        while True:
            stop = stop_if_flat(point, tolerance)
            if stop is not None:
                lower = _escape(objective, point, sizes, self.radius)
                if lower is None:
                    return stop._replace(reason=f"{stop.reason}, and no direction of negative curvature was found")
                point, region = lower, Region(self.radius)
                yield point
                continue
            if region.spent(point.x / sizes) or stall.over(point):
                return stop_where_nothing_is_lower(point)
            step = self._step(objective, point, sizes, region.radius)
            trial = objective.point(point.x + sizes * step.p)
            if region.judge(point, trial, step.promised, float(np.linalg.norm(step.p))):
                point = trial
                yield point

    def _sizes(self, x0: Vector) -> Vector:
        """The unit of every variable; steps and products are in these units."""
        return np.ones_like(x0) if self.scaling == "none" else np.where(x0 != 0, np.abs(x0), x0.dtype.type(1))

    def _step(self, objective: Objective, point: Point, sizes: Vector, radius: float) -> ModelStep:
        n, times, gradient = point.x.size, _product(objective, point, sizes), sizes * point.gradient
        if self.saddle_free:
            return saddle_free_step(times, gradient, radius, self.krylov or min(n, 100))
        return steihaug(times, gradient, radius, self.krylov or min(2 * n + 2, 250))


def _product(objective: Objective, point: Point, sizes: Vector) -> Product:
    """The Hessian in units of the sizes times a vector."""

    def times(v: Vector) -> Vector:
        scaled: Vector = sizes * objective.curvature(point.x, sizes * v)
        return scaled

    return times


class ModelStep(NamedTuple):
    """A step, and the decrease that the quadratic model promises for it."""

    p: Vector
    promised: float


def steihaug(times: Product, g: Vector, radius: float, most: int) -> ModelStep:
    """Conjugate gradients for Hp = −g, up to the radius or a direction of negative curvature."""
    p, hp, r = np.zeros_like(g), np.zeros_like(g), g.copy()
    d, square = -r, float(r @ r)
    enough = min(0.5, math.sqrt(math.sqrt(square))) * math.sqrt(square)
    for _ in range(most):
        hd = times(d)
        curvature = float(d @ hd)
        length = square / curvature if curvature > 0 else math.inf
        if not np.linalg.norm(p + length * d if curvature > 0 else [math.inf]) < radius:
            to_border = _to_border(p, d, radius)
            p, hp = p + to_border * d, hp + to_border * hd
            break
        p, hp, r = p + length * d, hp + length * hd, r + length * hd
        before, square = square, float(r @ r)
        if math.sqrt(square) <= enough:
            break
        d = -r + (square / before) * d
    return ModelStep(p.astype(g.dtype), -float(g @ p) - float(p @ hp) / 2)


def _to_border(p: Vector, d: Vector, radius: float) -> float:
    """The t > 0 with ‖p + td‖ = radius."""
    a, b, c = float(d @ d), float(p @ d), float(p @ p) - radius**2
    root = math.sqrt(max(b * b - a * c, 0.0))
    return -c / (b + root) if b > 0 else (root - b) / a


def saddle_free_step(times: Product, g: Vector, radius: float, most: int) -> ModelStep:
    """−|H|⁻¹g within the radius, in the Krylov space of g: as large as the residual ‖Hp + g‖ asks for."""
    space = Krylov(times, g)
    least = min(most, LEAST)
    while space.grow():
        q, parts = _downhill_step(space, g, radius)
        if space.k >= most or (space.k >= least and space.residual(q) <= _residual_limit(space, q, g, radius)):
            break
    promised = -float(parts @ q) - float(q @ (space.values * q)) / 2
    return ModelStep(space.full(q).astype(g.dtype), promised)


def _residual_limit(space: Krylov, q: Vector, g: Vector, radius: float) -> float:
    """The residual at which a step is good enough; one that the radius cuts off anyway need not be accurate."""
    if float(np.linalg.norm(q)) >= 0.99 * radius:
        return 0.5 * float(np.linalg.norm(space.values * q))
    size = float(np.linalg.norm(g))
    return min(0.5, math.sqrt(size)) * size


def _downhill_step(space: Krylov, g: Vector, radius: float) -> tuple[Vector, Vector]:
    """The step and the gradient, in the basis of the space's eigenvectors."""
    values, parts = space.values, space.parts(g)
    size = np.abs(values)
    q = -parts / np.maximum(size, float(np.finfo(g.dtype).eps) * max(float(np.max(size)), 1e-300))
    if float(np.linalg.norm(q)) > radius:
        q = _shorten(size, parts, radius)
    if space.negative and abs(q[0]) < 0.1 * radius:
        rest = float(np.linalg.norm(q[1:]))
        q[0] = math.copysign(math.sqrt(max(radius**2 - rest**2, 0.01 * radius**2)), -parts[0])
    return q, parts


def _shorten(size: Vector, parts: Vector, radius: float) -> Vector:
    """−parts/(size + λ) with the λ > 0 that makes it as long as the radius."""
    low, high = 0.0, float(np.linalg.norm(parts)) / radius
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if np.linalg.norm(parts / (size + middle)) > radius else (low, middle)
    q: Vector = -parts / (size + high)
    return q


def _escape(objective: Objective, point: Point, sizes: Vector, radius: float) -> Point | None:
    """A lower point along a direction of negative curvature; None at what looks like a minimum.

    Where no curvature is found at all (a saddle of higher order), a random direction is tried.
    """
    random = np.random.default_rng(1).standard_normal(point.x.size).astype(point.x.dtype)
    space = Krylov(_product(objective, point, sizes), random)
    while space.grow() and space.k < SEARCHED:
        if not np.any(space.values):
            return _lower_point(objective, point, sizes * random / np.linalg.norm(random), radius)
        if space.negative and space.residual(space.lowest) < -space.values[0] / 2:
            break
    return _lower_point(objective, point, sizes * space.full(space.lowest), radius) if space.negative else None


def _lower_point(objective: Objective, point: Point, direction: Vector, radius: float) -> Point | None:
    """The first lower point at radius, radius/4, … to either side."""
    for k in range(20):
        for sign in (1.0, -1.0):
            trial = objective.point(point.x + point.x.dtype.type(sign * radius / 4**k) * direction)
            if trial.finite and trial.value < point.value:
                return trial
    return None
