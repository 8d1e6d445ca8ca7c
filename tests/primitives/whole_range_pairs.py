"""Functions of two numbers over the whole range, against mpmath: values, and derivatives in both operands."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import clearprop as cl
from tests.primitives.mp_functions import MP, exp, sigmoid, softplus
from tests.primitives.whole_range import Run, error, right_values

BOTH_SIGNS, ABOVE_ZERO, NORMAL, NORMAL_ABOVE_ZERO, MODERATE, SHARE_LAST = range(6)


@dataclass(frozen=True)
class SweptPair:
    """A function of two numbers, what it and its two derivatives are in mpmath, and the domain that is swept."""

    value: Callable[..., Any]
    by_first: Callable[..., Any] | None
    by_second: Callable[..., Any] | None
    domain: int = BOTH_SIGNS
    call: Callable[..., Any] | None = None
    """Ours, where it is not the function of this name alone."""


def _one(a: Any, b: Any) -> Any:
    return MP.mpf(1)


def _length(a: Any, b: Any) -> Any:
    return MP.sqrt(a * a + b * b)


def _power(a: Any, b: Any) -> Any:
    return exp(b * MP.log(a))


def _logaddexp(a: Any, b: Any) -> Any:
    return max(a, b) + MP.log1p(exp(-abs(a - b)))


def _huber(p: Any, t: Any) -> Any:
    e = abs(p - t)
    return e * e / 2 if e <= 1 else e - MP.mpf("0.5")


def _truncated(a: Any, b: Any) -> Any:
    return MP.sign(a / b) * MP.floor(abs(a / b))


def _log_beta(a: Any, b: Any) -> Any:
    with MP.workdps(80):
        return MP.loggamma(+a) + MP.loggamma(+b) - MP.loggamma(a + b)


def _psi_gap(a: Any, b: Any) -> Any:
    with MP.workdps(80):
        return MP.psi(0, +a) - MP.psi(0, a + b)


def _step(a: Any, b: Any, first: bool) -> Any:
    """The share of the derivative of a largest number that an operand gets."""
    return MP.mpf("0.5") if a == b else MP.mpf((a > b) == first)


def _beta_share(a: Any, x: Any) -> Any:
    with MP.workdps(40):
        return MP.betainc(+a, MP.mpf("1.5"), 0, +x, regularized=True)


def _beta_share_slope(a: Any, x: Any) -> Any:
    with MP.workdps(40):
        return MP.exp((a - 1) * MP.log(x) + MP.log1p(-x) / 2) / MP.beta(+a, MP.mpf("1.5"))


def _hurwitz(s: Any, q: Any) -> Any:
    with MP.workdps(40):
        return MP.zeta(1 + s, +q)


def _density(a: Any, x: Any) -> Any:
    with MP.workdps(80):
        return MP.exp((a - 1) * MP.log(x) - x - MP.loggamma(+a))


def _share(a: Any, low: Any, high: Any) -> Any:
    with MP.workdps(80):
        return MP.gammainc(+a, low, high, regularized=True)


def _share_slope(a: Any, x: Any) -> Any:
    with MP.workdps(80):
        return MP.diff(lambda v: MP.gammainc(v, 0, +x, regularized=True), +a, h=MP.mpf(10) ** -25)


PAIRS: dict[str, SweptPair] = {
    "add": SweptPair(lambda a, b: a + b, _one, _one),
    "multiply": SweptPair(lambda a, b: a * b, lambda a, b: b, lambda a, b: a),
    "divide": SweptPair(lambda a, b: a / b, lambda a, b: 1 / b, lambda a, b: -a / (b * b)),
    "pow": SweptPair(
        _power, lambda a, b: b * _power(a, b - 1), lambda a, b: _power(a, b) * MP.log(a), NORMAL_ABOVE_ZERO
    ),
    "hypot": SweptPair(_length, lambda a, b: a / _length(a, b), lambda a, b: b / _length(a, b), NORMAL),
    "atan2": SweptPair(MP.atan2, lambda a, b: b / (a * a + b * b), lambda a, b: -a / (a * a + b * b)),
    "logaddexp": SweptPair(_logaddexp, lambda a, b: sigmoid(a - b), lambda a, b: sigmoid(b - a)),
    "xlogy": SweptPair(lambda a, b: a * MP.log(b), lambda a, b: MP.log(b), lambda a, b: a / b, ABOVE_ZERO),
    "xlog1py": SweptPair(
        lambda a, b: a * MP.log1p(b), lambda a, b: MP.log1p(b), lambda a, b: a / (1 + b), ABOVE_ZERO
    ),
    "remainder": SweptPair(lambda a, b: a - b * MP.floor(a / b), _one, lambda a, b: -MP.floor(a / b)),
    "fmod": SweptPair(lambda a, b: a - b * _truncated(a, b), _one, lambda a, b: -_truncated(a, b)),
    "floor_divide": SweptPair(lambda a, b: MP.floor(a / b), None, None),
    "squared_error": SweptPair(lambda a, b: (a - b) ** 2, lambda a, b: 2 * (a - b), lambda a, b: 2 * (b - a)),
    "absolute_error": SweptPair(
        lambda a, b: abs(a - b), lambda a, b: MP.sign(a - b), lambda a, b: MP.sign(b - a)
    ),
    "huber_error": SweptPair(
        _huber, lambda a, b: max(min(a - b, MP.mpf(1)), MP.mpf(-1)), lambda a, b: max(min(b - a, MP.mpf(1)), MP.mpf(-1))
    ),
    "betaln": SweptPair(_log_beta, _psi_gap, lambda a, b: _psi_gap(b, a), MODERATE),
    "gammainc": SweptPair(lambda a, x: _share(a, 0, x), _share_slope, _density, MODERATE),
    "gammaincc": SweptPair(
        lambda a, x: _share(a, x, MP.inf), lambda a, x: -_share_slope(a, x), lambda a, x: -_density(a, x), MODERATE
    ),
    "beta": SweptPair(
        lambda a, b: MP.exp(_log_beta(a, b)),
        lambda a, b: MP.exp(_log_beta(a, b)) * _psi_gap(a, b),
        lambda a, b: MP.exp(_log_beta(a, b)) * _psi_gap(b, a),
        MODERATE,
    ),
    "subtract": SweptPair(lambda a, b: a - b, _one, lambda a, b: MP.mpf(-1)),
    "maximum": SweptPair(max, lambda a, b: _step(a, b, True), lambda a, b: _step(b, a, True)),
    "minimum": SweptPair(min, lambda a, b: _step(a, b, False), lambda a, b: _step(b, a, False)),
    "fmax": SweptPair(max, lambda a, b: _step(a, b, True), lambda a, b: _step(b, a, True)),
    "fmin": SweptPair(min, lambda a, b: _step(a, b, False), lambda a, b: _step(b, a, False)),
    "copysign": SweptPair(
        lambda a, b: abs(a) * MP.sign(b), lambda a, b: MP.sign(a) * MP.sign(b), None
    ),
    "sigmoid_cross_entropy": SweptPair(
        lambda a, t: softplus(a) - t * a, lambda a, t: sigmoid(a) - t, lambda a, t: -a, SHARE_LAST
    ),
    "betainc": SweptPair(
        _beta_share, None, _beta_share_slope, SHARE_LAST, call=lambda a, x: cl.betainc(a, 1.5, x)
    ),
    "zeta": SweptPair(
        _hurwitz, None, lambda s, q: -(1 + s) * _hurwitz(1 + s, q), MODERATE, call=lambda s, q: cl.zeta(1 + s, q)
    ),
    "lerp": SweptPair(
        lambda a, b: a + (b - a) / 4, lambda a, b: MP.mpf("0.75"), lambda a, b: MP.mpf("0.25"), MODERATE,
        call=lambda a, b: cl.lerp(a, b, 0.25),
    ),
}  # fmt: skip


@functools.cache
def pairs(domain: int, dtype: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of numbers of every size: of sizes apart, of sizes near each other, the largest, and the smallest."""
    info, rng = np.finfo(dtype), np.random.default_rng(0)
    if domain == MODERATE:
        a, b = 2.0 ** np.concatenate([rng.uniform(-5.5, 5.5, (2, count)), rng.uniform(-1.5, 1.5, (2, count))], axis=1)
        a[0], b[0] = 0.5000318738766296, 1.0758669889492105  # where SciPy's incomplete gamma functions are least exact
        return a.astype(dtype), b.astype(dtype)
    if domain == SHARE_LAST:
        return (2.0 ** rng.uniform(-5.5, 5.5, count)).astype(dtype), rng.uniform(1e-3, 0.999, count).astype(dtype)
    least = float(info.tiny if domain in (NORMAL, NORMAL_ABOVE_ZERO) else info.smallest_subnormal)
    low, high = np.log2(least), info.maxexp - 1e-3
    a, b = 2.0 ** np.concatenate([rng.uniform(low, high, (2, count)), rng.uniform(-6, 8, (2, count))], axis=1)
    near = slice(count // 2, count)
    with np.errstate(over="ignore", under="ignore"):
        b[near] = a[near] * 2.0 ** rng.uniform(-3, 3, count - count // 2)
        a[:2], b[:2] = (float(info.max) / 2, least), (least, float(info.max) / 2)
        if domain in (BOTH_SIGNS, NORMAL):
            a, b = a * rng.choice([-1, 1], a.shape), b * rng.choice([-1, 1], b.shape)
        a, b = a.astype(dtype), b.astype(dtype)
    kept = np.isfinite(a) & np.isfinite(b) & (np.minimum(np.abs(a), np.abs(b)) >= least)
    return a[kept], b[kept]


def pair_errors(name: str, dtype: str, count: int, run: Run) -> dict[str, tuple[float, float, Any]]:
    """Of the value and both derivatives: the largest error in units of the right value, of 1, and the pair of it."""
    one, (a, b) = PAIRS[name], pairs(PAIRS[name].domain, dtype, count)
    f = one.call or getattr(cl, name)
    slopes = [cl.grad(lambda a, b: cl.sum(f(a, b)), argnums=i) for i in (0, 1)]
    jobs = {
        "value": (f, one.value),
        "derivative by the first": (slopes[0], one.by_first),
        "derivative by the second": (slopes[1], one.by_second),
    }
    out = {}
    for what, (ours, theirs) in jobs.items():
        if theirs is not None:
            got, right = np.asarray(run(ours)(a, b)), right_values(theirs, a, b)
            (worst, at), (of_one, _) = error(got, right, 0.0), error(got, right, 1.0)
            out[what] = worst, of_one, (float(a[at]), float(b[at]))
    return out
