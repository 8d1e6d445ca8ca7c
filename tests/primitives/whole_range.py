"""Values and derivatives over the whole range of a dtype, against 60 or more digits.

`python -m tests.primitives.accuracy` measures the largest error of every function, in units in the last place of the
right value or, where that is large, of 1: of a difference of numbers near 1 no more can be asked.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import clearprop as cl
from tests.primitives import whole_range_special
from tests.primitives.mp_functions import MP, clipped, exp, normal_cdf, normal_density, sigmoid, softplus

Run = Callable[[Callable[..., Any]], Callable[..., Any]]
ALL, POSITIVE, UNIT, SHARE, ABOVE_ONE = "all", "positive", "unit", "share", "above one"


@dataclass(frozen=True)
class Swept:
    """A function, what it is in mpmath, its derivative there, and the domain that is swept."""

    value: Callable[..., Any]
    slope: Callable[..., Any] | None
    domain: str = ALL
    call: Callable[..., Any] | None = None
    """Ours, where it is not the function of this name alone."""


def _elu(x: Any, a: Any = 1) -> Any:
    return x if x > 0 else a * MP.expm1(clipped(x))


_ROOT = MP.sqrt(2 / MP.pi)
_SELU = MP.mpf("1.0507009873554804934193349852946"), MP.mpf("1.6732632423543772848170429916717")


def _gelu_tanh_slope(x: Any) -> Any:
    inner, cube = _ROOT * (x + MP.mpf("0.044715") * x**3), _ROOT * (1 + 3 * MP.mpf("0.044715") * x * x)
    return (1 + MP.tanh(clipped(inner))) / 2 + x * MP.sech(clipped(inner)) ** 2 * cube / 2


FUNCTIONS: dict[str, Swept] = {
    "square": Swept(lambda x: x * x, lambda x: 2 * x),
    "reciprocal": Swept(lambda x: 1 / x, lambda x: -1 / (x * x)),
    "sqrt": Swept(MP.sqrt, lambda x: 1 / (2 * MP.sqrt(x)), POSITIVE),
    "exp": Swept(exp, exp),
    "expm1": Swept(lambda x: MP.expm1(clipped(x)), exp),
    "log": Swept(MP.log, lambda x: 1 / x, POSITIVE),
    "log1p": Swept(MP.log1p, lambda x: 1 / (1 + x), POSITIVE),
    "log2": Swept(lambda x: MP.log(x) / MP.log(2), lambda x: 1 / (x * MP.log(2)), POSITIVE),
    "log10": Swept(lambda x: MP.log(x) / MP.log(10), lambda x: 1 / (x * MP.log(10)), POSITIVE),
    "sin": Swept(MP.sin, MP.cos),
    "cos": Swept(MP.cos, lambda x: -MP.sin(x)),
    "tan": Swept(MP.tan, lambda x: MP.sec(x) ** 2),
    "asin": Swept(MP.asin, lambda x: 1 / MP.sqrt((1 - x) * (1 + x)), UNIT),
    "acos": Swept(MP.acos, lambda x: -1 / MP.sqrt((1 - x) * (1 + x)), UNIT),
    "atan": Swept(MP.atan, lambda x: 1 / (1 + x * x)),
    "sinh": Swept(lambda x: MP.sinh(clipped(x)), lambda x: MP.cosh(clipped(x))),
    "cosh": Swept(lambda x: MP.cosh(clipped(x)), lambda x: MP.sinh(clipped(x))),
    "tanh": Swept(lambda x: MP.tanh(clipped(x)), lambda x: MP.sech(clipped(x)) ** 2),
    "asinh": Swept(MP.asinh, lambda x: 1 / MP.sqrt(1 + x * x)),
    "acosh": Swept(MP.acosh, lambda x: 1 / MP.sqrt((x - 1) * (x + 1)), ABOVE_ONE),
    "atanh": Swept(MP.atanh, lambda x: 1 / ((1 - x) * (1 + x)), UNIT),
    "erf": Swept(lambda x: MP.erf(max(min(x, MP.mpf(300)), MP.mpf(-300))), lambda x: 2 / MP.sqrt(MP.pi) * exp(-x * x)),
    "sigmoid": Swept(sigmoid, lambda x: sigmoid(x) * sigmoid(-x)),
    "softplus": Swept(softplus, sigmoid),
    "elu": Swept(_elu, lambda x: MP.mpf(1) if x > 0 else exp(x)),
    "selu": Swept(lambda x: _SELU[0] * _elu(x, _SELU[1]), lambda x: _SELU[0] * (1 if x > 0 else _SELU[1] * exp(x))),
    "gelu": Swept(lambda x: x * normal_cdf(x), lambda x: normal_cdf(x) + x * normal_density(x)),
    "gelu_tanh": Swept(
        lambda x: x * (1 + MP.tanh(clipped(_ROOT * (x + MP.mpf("0.044715") * x**3)))) / 2, _gelu_tanh_slope
    ),
    "silu": Swept(lambda x: x * sigmoid(x), lambda x: sigmoid(x) * (1 + x * sigmoid(-x))),
    **{name: Swept(*row) for name, row in whole_range_special.VALUES.items()},
}


@functools.cache
def points(domain: str, dtype: str, count: int) -> np.ndarray:
    """Numbers of every size that the dtype has, of both signs where the domain has them, and neighbours of 1."""
    info, rng = np.finfo(dtype), np.random.default_rng(0)
    low, high = np.log2(float(info.smallest_subnormal)), float(info.maxexp)
    sizes = 2.0 ** np.concatenate([rng.uniform(low, high - 1e-3, count), rng.uniform(-6, 8, count)])
    near = 1 + np.concatenate([-(2.0 ** rng.uniform(-20, -1, count // 4)), 2.0 ** rng.uniform(-20, 3, count // 4)])
    x = np.concatenate([sizes, near, [float(info.max), float(info.tiny), float(info.smallest_subnormal)]])
    if domain in (UNIT, SHARE, ABOVE_ONE):
        x = x[x > 1] if domain == ABOVE_ONE else x[x < 1]
    x = x if domain in (POSITIVE, SHARE, ABOVE_ONE) else np.concatenate([x, -x])
    x = np.unique(x.astype(dtype))
    x = x[np.isfinite(x)]
    return x[np.abs(x) < 1] if domain in (UNIT, SHARE) else x[x > 1] if domain == ABOVE_ONE else x


def right_values(f: Callable[..., Any], *operands: np.ndarray) -> list[Any]:
    """f at every point, with so many digits that none is lost where numbers of any size are subtracted."""
    out = []
    for values in zip(*(x.tolist() for x in operands), strict=True):
        MP.prec = 220 + 2 * max(abs(int(np.frexp(v)[1])) for v in values)
        out.append(+f(*map(MP.mpf, values)))
    MP.dps = 60
    return out


def error(got: np.ndarray, right: list[Any], scale: Any) -> tuple[float, int]:
    """The largest error in units in the last place, and where it is; an infinite one where the kind is wrong.

    A unit is that of the right value or of `scale` (a number, or one for each value) where that is larger.
    """
    info = np.finfo(got.dtype)
    worst, at = 0.0, -1
    scales = np.broadcast_to(np.asarray(scale, dtype=object), (len(right),)).tolist()
    for i, (g, r, own) in enumerate(zip(got.tolist(), right, scales, strict=True)):
        if MP.isnan(r):  # a pole
            continue
        with np.errstate(all="ignore"):
            nearest = got.dtype.type(float(r))
        if not np.isfinite(nearest):
            ulps = 0.0 if g == nearest or abs(g) == float(info.max) else float("inf")
        elif max(abs(nearest), own) < info.tiny:  # below the smallest normal number 0 will do
            ulps = 0.0 if abs(g) <= info.tiny else float("inf")
        else:
            size = float(max(float(abs(nearest)), own))
            step = float(np.spacing(got.dtype.type(min(size, float(info.max) / 2))))  # above lies no number
            ulps = float(abs(MP.mpf(g) - r) / step) if np.isfinite(g) else float("inf")
        if ulps > worst:
            worst, at = ulps, i
    return worst, at


def errors(name: str, dtype: str, count: int, run: Run) -> dict[str, tuple[float, float, float]]:
    """Of value and derivative: the largest error in units of the right value, in units of 1, and the point of it."""
    one, x = FUNCTIONS[name], points(FUNCTIONS[name].domain, dtype, count)
    f = one.call or getattr(cl, name)
    jobs = {"value": (f, one.value), "derivative": (cl.grad(lambda x: cl.sum(f(x))), one.slope)}
    out = {}
    for what, (ours, theirs) in jobs.items():
        if theirs is not None:
            got, right = np.asarray(run(ours)(x)), right_values(theirs, x)
            (worst, at), (of_one, _) = error(got, right, 0.0), error(got, right, 1.0)
            out[what] = worst, of_one, float(x[at])
    return out
