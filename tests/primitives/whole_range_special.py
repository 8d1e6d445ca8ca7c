"""What special functions and their derivatives are in mpmath over the whole range, where its own are slow or fail."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from scipy import special

import clearprop as cl
from tests.primitives.mp_functions import MP, clipped, exp, normal_cdf, normal_density, sigmoid, softplus

DIGITS = 80
"""What functions are computed with whose own algorithms lose no digits."""


def with_few_digits(f: Callable[..., Any]) -> Callable[..., Any]:
    """f with a fixed number of digits: what mpmath sums is slow with the hundreds that differences need."""

    @functools.wraps(f)
    def g(*x: Any) -> Any:
        with MP.workdps(DIGITS):
            return f(*(+v for v in x))

    return g


_psi = with_few_digits(MP.psi)
_log_gamma = with_few_digits(MP.loggamma)
_bessel = with_few_digits(MP.besseli)
LARGE = MP.mpf(10) ** 30


def is_pole(x: Any) -> bool:
    """Whether Γ has a pole at x."""
    return bool(x <= 0 and x == MP.floor(x))


def log_gamma(x: Any) -> Any:
    """log |Γ(x)| by Stirling's first terms far to the right, and by reflection to the left."""
    if is_pole(x):
        return MP.inf
    if x < 0:
        return MP.log(MP.pi / abs(MP.sinpi(x))) - log_gamma(1 - x)
    return x * MP.log(x) - x - MP.log(x / (2 * MP.pi)) / 2 if x > LARGE else _log_gamma(x)


def polygamma(n: int, x: Any) -> Any:
    """ψ⁽ⁿ⁾(x) for n = 0, 1, 2; NaN at the poles."""
    if is_pole(x):
        return MP.nan
    if x < 0 and n == 0:
        return polygamma(0, 1 - x) - MP.pi * MP.cospi(x) / MP.sinpi(x)
    if x < 0 and n == 1:
        return (MP.pi / MP.sinpi(x)) ** 2 - polygamma(1, 1 - x)
    if x > LARGE:
        return MP.log(x) if n == 0 else (-1) ** (n + 1) * MP.factorial(n - 1) / x**n
    return _psi(n, x)


def bessel(n: int, x: Any) -> Any:
    """e^−|x| Iₙ(x), by the asymptotic series where that has all digits."""
    a, turned = abs(x), -1 if n == 1 and x < 0 else 1
    if a < 1 / LARGE:
        return turned * (a / 2) ** n
    if a < 2000:
        return turned * _bessel(n, a) * MP.exp(-a)
    term = total = MP.mpf(1)
    for k in range(1, 40):
        term *= ((2 * k - 1) ** 2 - 4 * n * n) / (k * 8 * a)
        total += term
    return turned * total / MP.sqrt(2 * MP.pi * a)


def _bessel_slope(x: Any) -> Any:
    """e^−|x| (I₀ − I₁/x)."""
    return bessel(0, x) - (bessel(1, x) / x if x else MP.mpf("0.5"))


def _left_tail(x: Any) -> Any:
    """−x Φ(x)/φ(x), by the asymptotic series."""
    term = total = MP.mpf(1)
    for k in range(1, 40):
        term *= -(2 * k - 1) / (x * x)
        total += term
    return total


def log_normal_cdf(x: Any) -> Any:
    """log Φ(x)."""
    if x < -200:
        return -x * x / 2 - MP.log(-x) - MP.log(2 * MP.pi) / 2 + MP.log(_left_tail(x))
    return MP.log1p(-normal_cdf(-x)) if x > 0 else MP.log(normal_cdf(x))


def inverse_mills(x: Any) -> Any:
    """φ(x)/Φ(x)."""
    return -x / _left_tail(x) if x < -200 else normal_density(x) / normal_cdf(x)


def sinc(x: Any) -> Any:
    """sin(πx)/(πx)."""
    return MP.sinpi(x) / (MP.pi * x) if x else MP.mpf(1)


def sinc_slope(x: Any) -> Any:
    """The derivative of sinc; near 0 the first term of its series."""
    if abs(x) < 1 / LARGE:
        return -(MP.pi**2) * x / 3
    return (MP.cospi(x) - sinc(x)) / x


def mish_slope(x: Any) -> Any:
    """The derivative of x·tanh(softplus x)."""
    s = clipped(softplus(x))
    return MP.tanh(s) + x * MP.sech(s) ** 2 * sigmoid(x)


def between(x: Any, low: float, high: float) -> Any:
    """1 inside of an interval, 0 outside and at its ends."""
    return MP.mpf(low < x < high)


def ramp(x: Any, low: float, high: float) -> Any:
    """x, held between two numbers."""
    return min(max(x, MP.mpf(low)), MP.mpf(high))


@with_few_digits
def normal_quantile(p: Any) -> Any:
    """Φ⁻¹(p), from SciPy's by two steps of Newton, each of which doubles the digits."""
    y = MP.mpf(float(special.ndtri(float(p))))
    for _ in range(2):
        y -= (normal_cdf(y) - p) / normal_density(y)
    return y


def scaled_erfc(x: Any) -> Any:
    """e^(x²) erfc x, by the asymptotic series far to the right."""
    if x < 100:
        return exp(x * x) * MP.erfc(clipped(x, 300))
    term = total = MP.mpf(1)
    for k in range(1, 40):
        term *= -(2 * k - 1) / (2 * x * x)
        total += term
    return total / (x * MP.sqrt(MP.pi))


def scaled_erfc_slope(x: Any) -> Any:
    """Its derivative 2x·erfcx x − 2/√π; far to the right, where that cancels, by the series."""
    if x < 100:
        return 2 * x * scaled_erfc(x) - 2 / MP.sqrt(MP.pi)
    term, total = MP.mpf(1), MP.mpf(0)
    for k in range(1, 40):
        term *= -(2 * k - 1) / (2 * x * x)
        total += term
    return 2 / MP.sqrt(MP.pi) * total


def _to_even(x: Any) -> Any:
    low = MP.floor(x)
    gap = x - low
    return low if gap < 0.5 or (gap == 0.5 and int(low) % 2 == 0) else low + 1


VALUES: dict[str, tuple[Any, ...]] = {
    "exp2": (lambda x: exp(x * MP.log(2)), lambda x: MP.log(2) * exp(x * MP.log(2))),
    "rsqrt": (lambda x: 1 / MP.sqrt(x), lambda x: -1 / (2 * x * MP.sqrt(x)), "positive"),
    "sinc": (sinc, sinc_slope),
    "erfc": (lambda x: MP.erfc(clipped(x, 300)), lambda x: -2 / MP.sqrt(MP.pi) * exp(-x * x)),
    "erfinv": (MP.erfinv, lambda x: MP.sqrt(MP.pi) / 2 * MP.exp(MP.erfinv(x) ** 2), "unit"),
    "lgamma": (log_gamma, lambda x: polygamma(0, x)),
    "digamma": (lambda x: polygamma(0, x), lambda x: polygamma(1, x)),
    "polygamma": (lambda x: polygamma(1, x), lambda x: polygamma(2, x), "positive"),
    "i0": (lambda x: bessel(0, x) * exp(abs(x)), lambda x: bessel(1, x) * exp(abs(x))),
    "i1": (lambda x: bessel(1, x) * exp(abs(x)), lambda x: _bessel_slope(x) * exp(abs(x))),
    "i0e": (lambda x: bessel(0, x), lambda x: bessel(1, x) - MP.sign(x) * bessel(0, x)),
    "i1e": (lambda x: bessel(1, x), lambda x: _bessel_slope(x) - MP.sign(x) * bessel(1, x)),
    "ndtr": (normal_cdf, normal_density),
    "log_ndtr": (log_normal_cdf, inverse_mills),
    "ndtri": (
        normal_quantile,
        lambda p: 1 / normal_density(normal_quantile(p)),
        "share",
    ),
    "logit": (lambda p: MP.log(p / (1 - p)), lambda p: 1 / (p * (1 - p)), "share"),
    "entr": (lambda x: -x * MP.log(x), lambda x: -MP.log(x) - 1, "positive"),
    "softsign": (lambda x: x / (1 + abs(x)), lambda x: 1 / (1 + abs(x)) ** 2),
    "mish": (lambda x: x * MP.tanh(clipped(softplus(x))), mish_slope),
    "relu": (lambda x: max(x, MP.mpf(0)), lambda x: MP.mpf(x > 0)),
    "leaky_relu": (lambda x: x if x > 0 else MP.mpf(0.01) * x, lambda x: MP.mpf(1) if x > 0 else MP.mpf(0.01)),
    "relu6": (lambda x: ramp(x, 0, 6), lambda x: between(x, 0, 6)),
    "hard_tanh": (lambda x: ramp(x, -1, 1), lambda x: between(x, -1, 1)),
    "hard_sigmoid": (lambda x: ramp(x + 3, 0, 6) / 6, lambda x: between(x, -3, 3) / 6),
    "hard_silu": (
        lambda x: x * ramp(x + 3, 0, 6) / 6,
        lambda x: x / 3 + MP.mpf("0.5") if -3 < x < 3 else MP.mpf(x > 0),
    ),
    "deg2rad": (lambda x: x * MP.pi / 180, lambda x: MP.pi / 180),
    "rad2deg": (lambda x: x * 180 / MP.pi, lambda x: 180 / MP.pi),
    "erfcx": (scaled_erfc, scaled_erfc_slope),
    "abs": (abs, MP.sign),
    "negative": (lambda x: -x, lambda x: MP.mpf(-1)),
    "positive": (lambda x: x, lambda x: MP.mpf(1)),
    "sign": (MP.sign, None),
    "floor": (MP.floor, None),
    "ceil": (MP.ceil, None),
    "trunc": (lambda x: MP.sign(x) * MP.floor(abs(x)), None),
    "round": (_to_even, None),
    "clip": (lambda x: ramp(x, -1, 2), lambda x: between(x, -1, 2), "all", lambda x: cl.clip(x, -1.0, 2.0)),
}
"""Value, derivative, and the domain if it is not the whole line."""
