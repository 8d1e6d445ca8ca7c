"""How far apart rounding can drive the gradient that the run computed and the sum of the terms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.explanation.levels import Bundle
from clearprop.explanation.record import Rounding
from clearprop.program.types import type_of
from clearprop.program.values import raw


def rounding_of(level: Sequence[Bundle], value: float, total: float, dtype: Any) -> Rounding:
    """|Σ − g| ≤ c·n·ε·Σ|terms|, with n terms of a few rounded operations each."""
    dtypes = [np.dtype(dtype)] + [type_of(raw(b.node)).dtype for b in level]
    coarse = max(dtypes, key=lambda d: float(np.finfo(d).eps))
    info = np.finfo(coarse)
    n = sum(map(len, level))
    magnitude = sum(float(np.sum(np.abs(b.product))) for b in level)
    bound = 4 * (n + 4) * float(info.eps) * magnitude + n * float(info.tiny)
    return Rounding(value - total, bound, coarse.name)
