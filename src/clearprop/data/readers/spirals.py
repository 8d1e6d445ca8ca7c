"""Three interleaved spirals: the bundled set that is computed, not stored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clearprop.data.columns import Column, Frame
from clearprop.program.values import raw
from clearprop.rules import random

_ARMS = ("first", "second", "third")
_POINTS = 300
"""How many points an arm has."""
_NOISE = 0.2
"""The standard deviation of the angles, in radians."""


def spirals() -> Frame:
    """900 points in the plane, on three arms that wind around the origin: columns `x`, `y`, and `arm`, the target.

    Arm a holds r·(sin t, cos t) with t = 4(a + r) + 0.2·ε for 300 equally spaced radii r from 0 to 1 and standard
    normal ε (Karpathy 2015, the notes of Stanford's CS231n).  No line separates the arms.  The random numbers are the
    library's own, of key 0: the set is the same everywhere.
    """
    arm = np.repeat(np.arange(len(_ARMS)), _POINTS)
    radius = np.tile(np.linspace(0.0, 1.0, _POINTS), len(_ARMS))
    noise: NDArray[np.float64] = np.asarray(raw(random.normal(random.key(0), arm.shape, std=_NOISE)))
    angle = 4.0 * (arm + radius) + noise
    columns = (
        Column("x", "number", radius * np.sin(angle)),
        Column("y", "number", radius * np.cos(angle)),
        Column("arm", "category", np.array(_ARMS, dtype=object)[arm]),
    )
    return Frame("spirals", columns, _place, target="arm")


def _place(column: str, row: int) -> str:
    return f"spirals, row {row} (the first is 0), column {column!r}"
