"""Random angles, of von Mises' distribution: drawn by rejection, with the implicit derivative by the concentration."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from clearprop.primitives import HELPERS, primitive
from clearprop.program.types import Value
from clearprop.rules import random
from clearprop.rules.elementwise import as_floating, astype
from clearprop.rules.on_demand.division import remainder
from clearprop.rules.on_demand.gamma_family import attempt_words, by_key
from clearprop.rules.random import exact_log, open_interval, quantile_of_bits
from clearprop.rules.structural import broadcast_to
from clearprop.shapes import Dim, Shape

_HUGE = 1e8
"""From here on √(1 + 4κ²) is 2κ."""


def _von_mises_row(key: NDArray[Any], concentration: NDArray[Any]) -> NDArray[Any]:
    """Best & Fisher (1979): an angle of a wrapped Cauchy distribution, accepted in two of three attempts or more.

    That angle is 2·atan(s·t) of a Cauchy number t; in s² and κs² nothing cancels, so that the numbers are right for
    every concentration.
    """
    known = (concentration >= 0) & np.isfinite(concentration)
    out = np.where(concentration == np.inf, 0.0, np.nan)
    k = np.where(known, concentration, 0.0)
    root = np.where(k > _HUGE, 2.0 * k, np.sqrt(1.0 + 4.0 * np.square(np.minimum(k, _HUGE))))
    gap = 1.0 / (root + 2.0 * k)
    squeezed = (1.0 + gap) / (1.0 + root + 2.0 * k)
    waiting, attempt = np.flatnonzero(known), 0
    while waiting.size:
        a, b = (np.asarray(quantile_of_bits(words)) for words in attempt_words(key, attempt, waiting, 2))
        u = open_interval(*attempt_words(key, attempt, waiting, 3))
        ratio = np.square(a / b)
        tangent = squeezed[waiting] * ratio
        c = (1.0 + gap[waiting]) / 2.0 + 2.0 * k[waiting] * squeezed[waiting] * ratio / (1.0 + tangent)
        taken = exact_log(u) <= exact_log(c) + 1.0 - c
        angle = 2.0 * np.arctan(np.sqrt(squeezed[waiting]) * (a / b))
        out[waiting[taken]] = angle[taken]
        waiting, attempt = waiting[~taken], attempt + 1
    return out


def _von_mises_numbers(key: NDArray[Any], concentration: NDArray[Any]) -> NDArray[Any]:
    kind = np.result_type(concentration)
    return np.asarray(by_key(_von_mises_row, key, concentration), kind if kind.kind == "f" else np.float64)[()]


_SERIES = (1 / 2, 1 / 8, 1 / 8, 25 / 128, 13 / 32, 1073 / 1024, 103 / 32, 375733 / 32768, 23797 / 512)
"""Of 1 − I₁(κ)/I₀(κ) in 1/κ, 1/κ², …, from the asymptotic series of both (DLMF 10.40.1)."""
_SERIES_FROM = 60.0
_NODES = 64
_TAIL = 45.0
"""By how much κ·cos t falls over the part of a tail that is integrated."""


def _less_than_one(k: NDArray[Any]) -> NDArray[Any]:
    """1 − I₁(κ)/I₀(κ)."""
    from scipy import special

    large = k > _SERIES_FROM
    inverse = 1.0 / np.where(large, k, 1.0)
    series = np.zeros_like(k)
    for c in reversed(_SERIES):
        series = (series + c) * inverse
    small = np.where(large, 1.0, k)
    return np.asarray(np.where(large, series, 1.0 - special.i1e(small) / special.i0e(small)))


def _von_mises_slope(k: NDArray[Any], angle: NDArray[Any]) -> NDArray[Any]:
    """∂θ/∂κ at a fixed share of the distribution, −(∂F/∂κ)/f(θ): ∫(cos t − I₁/I₀) e^(κ(cos t − cos θ)) dt.

    It is taken from 0 to θ or, with the other sign, over the tail beyond θ, whichever part holds no large numbers, by
    Gauss and Legendre's rule.
    """
    kind = np.result_type(k, angle)
    k, angle = np.broadcast_arrays(np.asarray(k, np.float64), np.asarray(angle, np.float64))
    theta, gap = np.abs(angle), _less_than_one(k)
    sine2 = np.square(np.sin(theta / 2.0))
    near = (2.0 * k * sine2 < 1.0) & (theta < np.pi / 2)
    with np.errstate(divide="ignore"):
        end = 2.0 * np.arcsin(np.sqrt(np.minimum(1.0, sine2 + _TAIL / (2.0 * k))))
    low, high = np.where(near, 0.0, theta), np.where(near, theta, end)
    total = np.zeros(k.shape)
    for node, weight in zip(*np.polynomial.legendre.leggauss(_NODES), strict=True):
        t = low + (high - low) * (node + 1.0) / 2.0
        fall = -2.0 * np.sin((t + theta) / 2.0) * np.sin((t - theta) / 2.0)
        total += weight * (gap - 2.0 * np.square(np.sin(t / 2.0))) * np.exp(k * fall)
    slope = np.where(near, -total, total) * (high - low) / 2.0
    return np.asarray(np.copysign(1.0, angle) * slope, kind if kind.kind == "f" else np.float64)[()]


HELPERS.update(von_mises_numbers=_von_mises_numbers, von_mises_slope=_von_mises_slope)


@primitive(
    "elementwise",
    numpy="von_mises_slope({concentration}, {angle})",
    tex=r"\partial {angle} / \partial {concentration}",
    dtype="float",
    public=False,
)
def von_mises_slope(concentration: Value, angle: Value, /) -> Any:
    """By how much an angle of von Mises' distribution moves with the concentration; it has no derivative of its own.

    >>> import numpy as np
    >>> from clearprop.rules.on_demand.angles import von_mises_slope
    >>> round(float(von_mises_slope(np.float64(0.0), np.float64(1.0))), 6)  # −sin 1
    -0.841471
    """


@primitive(
    "general",
    numpy="von_mises_numbers({key}, {concentration})",
    tex=r"\operatorname{{vonMises}}({concentration})",
    shape=lambda key, concentration: concentration.shape,
    dtype=lambda key, concentration: concentration.dtype if concentration.dtype.kind == "f" else np.float64,
    public=False,
    batch=lambda size, key, concentration: von_mises_numbers(key, concentration),
    vjp_concentration=lambda g, concentration, y: g * von_mises_slope(concentration, y),
    jvp=lambda concentration_dot, concentration, y: concentration_dot * von_mises_slope(concentration, y),
)
def von_mises_numbers(key: Any, concentration: Value, /) -> Any:
    """One angle of the density e^(κ cos θ)/2πI₀(κ) for each κ."""


@random.distribution
def von_mises(
    key: Any, concentration: Value, shape: Dim | Shape = (), loc: Value = 0.0, dtype: DTypeLike = np.float64
) -> Any:
    """Angles of the density e^(κ cos(θ−m))/2πI₀(κ), from −π to π; derivatives flow into κ (implicitly) and m.

    key            two 32-bit words: same key, same bits
    concentration  κ, from 0 (all angles alike); for large κ nearly normal numbers with variance 1/κ
    shape          of the numbers, with which κ broadcasts; () is that of κ
    loc            m, the angle around which they are
    dtype          float64 or float32

    >>> import clearprop as cl
    >>> bool(cl.abs(cl.random.von_mises(cl.random.key(0), 2.0, loc=3.0)) <= cl.pi)
    True
    """
    random.require_where_known("concentration", concentration, lambda v: v >= 0, "a number from 0")
    k = astype(as_floating(concentration), dtype=np.dtype(np.float64))
    angle = von_mises_numbers(key, broadcast_to(k, random.with_parameters(shape, k)))
    angle = astype(angle, dtype=random.floating_dtype(dtype))
    if type(loc) in (int, float) and loc == 0:
        return angle
    return remainder(angle + loc + math.pi, 2.0 * math.pi) - math.pi
