"""The symmetric rank-one update in a trust region."""

from __future__ import annotations

import numpy as np

from clearprop.optim.methods import Stall, Steps, stop_if_flat, stop_where_nothing_is_lower
from clearprop.optim.objective import Objective, Point, Vector
from clearprop.optim.trust_region import Region, eigen_step

HUGE = 1e100
"""A correction that makes an entry larger is rounding in a denominator, and left out."""


def rank_one_steps(objective: Objective, point: Point, tolerance: float) -> Steps:
    """Steps to the minimum of gᵀp + ½pᵀBp within the radius; B learns from refused trials too (Byrd et al. 1996)."""
    b, region, stall = None, Region(1.0), Stall(point)
    while (stop := stop_if_flat(point, tolerance)) is None:
        if region.spent(point.x) or stall.over(point):
            return stop_where_nothing_is_lower(point)
        p, promised = _model_step(b, point.gradient, region.radius)
        trial = objective.point(point.x + p)
        if trial.finite:
            b = _correct_matrix(b, p, trial.gradient - point.gradient)
        if region.judge(point, trial, promised, float(np.linalg.norm(p))):
            point = trial
            yield point
    return stop


def _model_step(b: Vector | None, g: Vector, radius: float) -> tuple[Vector, float]:
    """The step, and the decrease that the model promises."""
    if b is None:
        p = -g * min(1.0, radius / float(np.linalg.norm(g)))
        return p, -float(g @ p) - float(p @ p) / 2
    values, vectors = np.linalg.eigh(b)
    p = vectors @ eigen_step(values, vectors.T @ g, radius)
    return p, -float(g @ p) - float(p @ (b @ p)) / 2


def _correct_matrix(b: Vector | None, p: Vector, y: Vector) -> Vector:
    """B ← B + rrᵀ/(rᵀp), r = y − Bp, left out where rᵀp is next to 0; the first B is I·(yᵀy/pᵀy)."""
    if b is None:
        curved, size = float(p @ y), float(y @ y)
        scale = size / abs(curved) if curved else 1.0
        b = np.eye(p.size, dtype=p.dtype) * p.dtype.type(scale)
    r = y - b @ p
    product = float(r @ p)
    if abs(product) < 1e-8 * float(np.linalg.norm(r)) * float(np.linalg.norm(p)) or not product:
        return b
    learned: Vector = b + np.outer(r, r) / product
    return learned if np.max(np.abs(learned)) < HUGE else b
