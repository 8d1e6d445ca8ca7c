"""Newton's method with exact Hessian-vector products, in a trust region that leaves saddles."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import numpy as np

from clearprop.optim.driver import Method, Steps, small, stuck
from clearprop.optim.hyper import COUNT, POSITIVE, hyper
from clearprop.optim.objective import Objective, Point, Vector
from clearprop.optim.trust_region import Region

Product = Callable[[Vector], Vector]

NEGATIVE = 1e-6
"""How far below 0 a curvature must be, in parts of the largest, to count as negative."""


class newton_cg(Method):
    """Newton steps p = −H⁻¹∇f within a trust region, from products Hv alone: H is never formed.

    By default p comes from conjugate gradients (Steihaug 1983) that stop at ‖Hp + g‖ <= min(½, √‖g‖)·‖g‖, at the
    radius, or at a direction of negative curvature, which is followed up to the radius.

    With `saddle_free` p = −|H|⁻¹g in the space of `krylov` Lanczos vectors (Dauphin et al. 2014): along directions of
    negative curvature the step leads down, where Newton's leads to the saddle.  Where the gradient has next to no part
    along the most negative direction, the step gets one as long as the radius: |H|⁻¹ alone would double a tiny part
    in every step.

    Where the gradient vanishes, the curvature is looked at before that counts as a minimum: from a saddle the run goes
    on along the most negative direction found.

    krylov   the most Hessian-vector products per step; None: 2n + 2, at most 250 (saddle_free: n, at most 50)
    radius   the first radius of the trust region, default 1

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

    def steps(self, objective: Objective, start: Point, tolerance: float) -> Steps:
        """The accepted points."""
        point, region = start, Region(self.radius)
        while True:
            stop = small(point, tolerance)
            if stop is not None:
                lower = _escape(objective, point, self.radius)
                if lower is None:
                    return stop._replace(reason=f"{stop.reason}, and no direction of negative curvature was found")
                point, region = lower, Region(self.radius)
                yield point
                continue
            if region.spent(point.x):
                return stuck(point)
            step = self._step(objective, point, region.radius)
            trial = objective.point(point.x + step.p)
            if region.judge(point, trial, step.promised, float(np.linalg.norm(step.p))):
                point = trial
                yield point

    def _step(self, objective: Objective, point: Point, radius: float) -> Step:
        def times(v: Vector) -> Vector:
            return objective.curvature(point.x, v)

        n = point.x.size
        if self.saddle_free:
            return saddle_free_step(times, point.gradient, radius, self.krylov or min(n, 50))
        return steihaug(times, point.gradient, radius, self.krylov or min(2 * n + 2, 250))


class Step(NamedTuple):
    """A step, and the decrease that the quadratic model promises for it."""

    p: Vector
    promised: float


def steihaug(times: Product, g: Vector, radius: float, most: int) -> Step:
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
    return Step(p.astype(g.dtype), -float(g @ p) - float(p @ hp) / 2)


def _to_border(p: Vector, d: Vector, radius: float) -> float:
    """The t > 0 with ‖p + td‖ = radius."""
    a, b, c = float(d @ d), float(p @ d), float(p @ p) - radius**2
    root = math.sqrt(max(b * b - a * c, 0.0))
    return -c / (b + root) if b > 0 else (root - b) / a


def saddle_free_step(times: Product, g: Vector, radius: float, most: int) -> Step:
    """−|H|⁻¹g within the radius, in the Krylov space of g."""
    basis, values, vectors = lanczos(times, g, most)
    parts = vectors.T @ (basis.T @ g)
    size = np.abs(values)
    q = -parts / np.maximum(size, float(np.finfo(g.dtype).eps) * max(float(np.max(size)), 1e-300))
    length = float(np.linalg.norm(q))
    if length > radius:
        q = _shortened(size, parts, radius)
    if is_negative(values) and abs(q[0]) < 0.1 * radius:
        rest = float(np.linalg.norm(q[1:]))
        q[0] = math.copysign(math.sqrt(max(radius**2 - rest**2, 0.01 * radius**2)), -parts[0])
    promised = -float(parts @ q) - float(q @ (values * q)) / 2
    return Step((basis @ (vectors @ q)).astype(g.dtype), promised)


def _shortened(size: Vector, parts: Vector, radius: float) -> Vector:
    """−parts/(size + λ) with the λ > 0 that makes it as long as the radius."""
    low, high = 0.0, float(np.linalg.norm(parts)) / radius
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if np.linalg.norm(parts / (size + middle)) > radius else (low, middle)
    q: Vector = -parts / (size + high)
    return q


def is_negative(values: Vector) -> bool:
    """Whether the first (lowest) of some curvatures is negative beyond rounding."""
    return bool(values[0] < -NEGATIVE * np.max(np.abs(values)))


def lanczos(times: Product, start: Vector, most: int) -> tuple[Vector, Vector, Vector]:
    """An orthonormal basis (n, k) of the Krylov space of H and `start`, and eigenvalues and -vectors of H in it.

    Fully reorthogonalised.  Where the space is exhausted before `most` products, it is continued from a fixed random
    direction, so that a start without any part along an eigenvector hides nothing.
    """
    random = np.random.default_rng(0)
    basis: list[Vector] = []
    images: list[Vector] = []
    v = start
    for _ in range(min(most, start.size)):
        new = _orthogonal(v, basis)
        if new is None:
            new = _orthogonal(random.standard_normal(start.size).astype(start.dtype), basis)
        if new is None:
            break
        basis.append(new)
        v = times(new)
        images.append(v)
    q = np.stack(basis, axis=1)
    projected = q.T @ np.stack(images, axis=1)
    values, vectors = np.linalg.eigh((projected + projected.T) / 2)
    return q, values, vectors


def _orthogonal(v: Vector, basis: list[Vector]) -> Vector | None:
    """The unit vector of v without its parts along the basis; None if rounding is all that is left."""
    size = float(np.linalg.norm(v))
    for _ in range(2):
        for b in basis:
            v = v - (b @ v) * b
    left = float(np.linalg.norm(v))
    return v / v.dtype.type(left) if left > 100 * float(np.finfo(v.dtype).eps) * size else None


def _escape(objective: Objective, point: Point, radius: float) -> Point | None:
    """A lower point along the most negative direction; None at what looks like a minimum.

    Where no curvature is found at all (a saddle of higher order), a random direction is tried.
    """
    random = np.random.default_rng(1).standard_normal(point.x.size).astype(point.x.dtype)
    basis, values, vectors = lanczos(lambda v: objective.curvature(point.x, v), random, min(point.x.size, 50))
    if is_negative(values):
        return _lower(objective, point, basis @ vectors[:, 0], radius)
    if not np.any(values):
        return _lower(objective, point, random / np.linalg.norm(random), radius)
    return None


def _lower(objective: Objective, point: Point, direction: Vector, radius: float) -> Point | None:
    """The first lower point at radius, radius/4, … to either side."""
    for k in range(20):
        for sign in (1.0, -1.0):
            trial = objective.point(point.x + point.x.dtype.type(sign * radius / 4**k) * direction)
            if trial.finite and trial.value < point.value:
                return trial
    return None
