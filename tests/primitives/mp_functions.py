"""Functions of mpmath that are quick over the whole range of float64."""

from __future__ import annotations

from typing import Any

import mpmath

MP = mpmath.mp.clone()
MP.dps = 60


def clipped(x: Any, limit: int = 20000) -> Any:
    """A number beyond which an exponential is 0 or ∞ in every dtype, so that no more digits of it are computed."""
    return max(min(x, MP.mpf(limit)), MP.mpf(-limit))


def exp(x: Any) -> Any:
    """eˣ."""
    return MP.exp(clipped(x))


def sigmoid(x: Any) -> Any:
    """1/(1 + e⁻ˣ)."""
    return 1 / (1 + exp(-x))


def softplus(x: Any) -> Any:
    """log(1 + eˣ)."""
    return max(x, MP.mpf(0)) + MP.log1p(exp(-abs(x)))


def normal_cdf(x: Any) -> Any:
    """Φ(x)."""
    return MP.ncdf(clipped(x, 300))


def normal_density(x: Any) -> Any:
    """φ(x)."""
    return exp(-x * x / 2) / MP.sqrt(2 * MP.pi)
