"""Special functions; SciPy computes them, and each has its derivative here in terms of the others.

In kernels SciPy computes them, too, by the addresses of its functions.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from clearprop.primitives import HELPERS, composite, primitive
from clearprop.program.types import Value
from clearprop.rules.elementwise import abs, as_floating, equal, exp, log, sign, square, where


def _scipy_special(name: str, *values: Any) -> Any:
    """SciPy's function of this name, in float64 and rounded: its own float32 `betainc` loses up to 64 units."""
    from scipy import special

    dtype = np.result_type(*(v for v in values if not isinstance(v, int)))
    doubles = (v if isinstance(v, int) else np.asarray(v, np.float64) for v in values)
    return np.asarray(getattr(special, name)(*doubles), dtype if dtype.kind == "f" else np.float64)[()]


def _exp_of_square(x: Any, c: float) -> Any:
    """exp(−c x²) within 4 ulp, however large x² is: of x = h + l with 26 bits in h the square of h has no error."""
    h = np.asarray(np.float32(x), np.float64)
    return np.exp(-c * h * h) * np.exp(-c * (x - h) * (x + h))


def _erfc(x: Any) -> Any:
    """SciPy's below 1; above, where the square in its exponential takes digits, exp(−x²) erfcx(x)."""
    from scipy import special

    dtype = np.result_type(x) if np.result_type(x).kind == "f" else np.float64
    x = np.asarray(x, np.float64)
    t = np.clip(x, 1.0, 30.0)
    return np.asarray(np.where(x > 1, _exp_of_square(t, 1.0) * special.erfcx(t), special.erfc(x)), dtype)[()]


def _ndtr(x: Any) -> Any:
    """SciPy's above −1; below, where the square in its exponential takes digits, ½ exp(−x²/2) erfcx(−x/√2)."""
    from scipy import special

    dtype = np.result_type(x) if np.result_type(x).kind == "f" else np.float64
    x = np.asarray(x, np.float64)
    t = np.clip(-x, 1.0, 40.0)
    tail = 0.5 * _exp_of_square(t, 0.5) * special.erfcx(t / np.sqrt(2.0))
    return np.asarray(np.where(x < -1, tail, special.ndtr(x)), dtype)[()]


def _log_ndtr(x: Any) -> Any:
    """SciPy's up to 1; above it log(1 − Φ(−x)) by the exact tail."""
    from scipy import special

    dtype = np.result_type(x) if np.result_type(x).kind == "f" else np.float64
    x = np.asarray(x, np.float64)
    return np.asarray(np.where(x > 1, np.log1p(-_ndtr(-x)), special.log_ndtr(np.minimum(x, 1.0))), dtype)[()]


def _inverse_mills(x: Any) -> Any:
    """φ/Φ by the scaled complementary error function on the left, where both vanish; −x where 1/x is no part of it."""
    from scipy import special

    dtype = np.result_type(x) if np.result_type(x).kind == "f" else np.float64
    x = np.asarray(x, np.float64)
    tail = np.sqrt(2.0 / np.pi) / special.erfcx(np.clip(-x, 0.0, 1e9) / np.sqrt(2.0))
    left = np.where(x < -1e9, -x, tail)
    right = _exp_of_square(np.clip(x, 0.0, 40.0), 0.5) / np.sqrt(2.0 * np.pi) / special.ndtr(x)
    return np.asarray(np.where(x < 0, left, right), dtype)[()]


def _lgamma(x: Any) -> Any:
    """SciPy's; of subnormal numbers, for which that overflows, −log |x|."""
    from scipy import special

    dtype = np.result_type(x) if np.result_type(x).kind == "f" else np.float64
    x = np.asarray(x, np.float64)
    small = (np.abs(x) < np.finfo(np.float64).tiny) & (x != 0)
    y = np.where(small, -np.log(np.where(small, np.abs(x), 1.0)), special.gammaln(np.where(small, 1.0, x)))
    return np.asarray(y, dtype)[()]


def cotangent_polynomial(order: int) -> tuple[float, ...]:
    """The derivative of cot πt of an order as a polynomial of the cotangent: its coefficients, the highest first.

    >>> cotangent_polynomial(0)
    (1.0, 0.0)
    """
    powers, slope = np.polynomial.Polynomial([0.0, 1.0]), np.polynomial.Polynomial([-np.pi, 0.0, -np.pi])
    for _ in range(order):
        powers = slope * powers.deriv()
    return tuple(powers.coef[::-1].tolist())


def _cotangent_slope(order: int, turns: Any) -> Any:
    """The derivative of cot πt of an order."""
    first, *rest = cotangent_polynomial(order)
    cotangent, total = 1.0 / np.tan(np.pi * turns), first
    for c in rest:
        total = total * cotangent + c
    return total


def _polygamma(order: int, x: Any) -> Any:
    """SciPy's for positive numbers; for negative ones, where its sums are as long as x, by reflection (DLMF 5.15.6).

    ψ⁽ⁿ⁾(x) = (−1)ⁿ ψ⁽ⁿ⁾(1 − x) − π dⁿ cot πx / dxⁿ, of x less a whole number.
    """
    from scipy import special

    dtype = np.result_type(x) if np.result_type(x).kind == "f" else np.float64
    x = np.asarray(x, np.float64)
    turns = x - np.rint(x)
    left = (x < 0) & (turns != 0) & (order <= 8)  # of higher orders the polynomial cancels, and the sums are short
    mirrored = (-1) ** order * special.polygamma(order, 1.0 - np.where(left, x, 0.0)) if left.any() else 0.0
    mirrored = mirrored - np.pi * _cotangent_slope(min(order, 8), np.where(left, turns, 0.25))
    return np.asarray(np.where(left, mirrored, special.polygamma(order, np.where(left, 1.0, x))), dtype)[()]


HELPERS.update(
    scipy_special=_scipy_special,
    exp_of_square=_exp_of_square,
    erfc_values=_erfc,
    ndtr_values=_ndtr,
    log_ndtr_values=_log_ndtr,
    inverse_mills=_inverse_mills,
    lgamma_values=_lgamma,
    cotangent_polynomial=cotangent_polynomial,
    cotangent_slope=_cotangent_slope,
    polygamma_values=_polygamma,
)


@primitive(
    "elementwise",
    numpy="erfc_values({x})",
    numba="special_erfc({x})",
    tex=r"\operatorname{{erfc}} {x}",
    dtype="float",
    d_x=lambda g, x: -g * (2 / math.sqrt(math.pi)) * exp(-x * x),
)
def erfc(x: Value, /) -> Any:
    """Complementary error function 1 − erf x, accurate where it is small (DLMF 7.2.2).

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.erfc(cl.tensor([0.0, 1.0]))
    Tensor([1.0, 0.15729921])
    """


def _erfcx_slope(x: Value, y: Value) -> Any:
    """2xy − 2/√π for y = erfcx(x); from 16 on, where that cancels, by the asymptotic series of y (DLMF 7.12.1)."""
    far = x > 16
    z = 0.5 / square(where(far, x, 16.0))
    series: Any = 1.0
    for odd in range(15, 1, -2):
        series = 1.0 - odd * z * series
    return where(far, -_TWICE_ROOT * z * series, 2 * x * y - _TWICE_ROOT)


_TWICE_ROOT = 2 / math.sqrt(math.pi)


@primitive(
    "elementwise",
    numpy='scipy_special("erfcx", {x})',
    numba="special_erfcx({x})",
    tex=r"e^{{{x}^2}} \operatorname{{erfc}} {x}",
    dtype="float",
    d_x=lambda g, x, y: g * _erfcx_slope(x, y),
)
def erfcx(x: Value, /) -> Any:
    """Scaled complementary error function exp(x²) erfc x, which does not vanish to the right (DLMF 7.2.2).

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.erfcx(cl.tensor([0.0, 100.0]))
    Tensor([1.0, 0.00564161])
    """


@primitive(
    "elementwise",
    numpy='scipy_special("erfinv", {x})',
    numba="special_erfinv({x})",
    tex=r"\operatorname{{erf}}^{{-1}} {x}",
    dtype="float",
    d_x=lambda g, y: g * (math.sqrt(math.pi) / 2) * exp(y * y),
)
def erfinv(x: Value, /) -> Any:
    """The inverse of the error function; ±inf at ±1, NaN beyond (DLMF 7.17.1).

    x  numbers from −1 to 1

    >>> import clearprop as cl
    >>> cl.erfinv(cl.tensor([0.0, 0.5]))
    Tensor([0.0, 0.47693628])
    """


@primitive(
    "elementwise",
    numpy="lgamma_values({x})",
    numba="special_lgamma({x})",
    tex=r"\log \lvert \Gamma({x}) \rvert",
    dtype="float",
    d_x=lambda g, x: g * digamma(x),
)
def lgamma(x: Value, /) -> Any:
    """log |Γ(x)|, the logarithm of the gamma function; inf at 0, −1, −2, … (DLMF 5.2.1).

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.lgamma(cl.tensor([1.0, 5.0]))
    Tensor([0.0, 3.17805383])
    """


@primitive(
    "elementwise",
    numpy="polygamma_values(0, {x})",
    numba="special_polygamma(0, {x})",
    tex=r"\psi({x})",
    dtype="float",
    d_x=lambda g, x: g * polygamma(x, order=1),
)
def digamma(x: Value, /) -> Any:
    """Digamma function ψ(x) = d log Γ(x)/dx (DLMF 5.2.2).

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.digamma(1.0)
    Tensor(-0.5772156649015329)
    """


@primitive(
    "elementwise",
    numpy="polygamma_values({order}, {x})",
    numba="special_polygamma({order}, {x})",
    tex=r"\psi^{{({order})}}({x})",
    dtype="float",
    d_x=lambda g, x, order: g * polygamma(x, order=order + 1),
)
def polygamma(x: Value, /, *, order: int = 1) -> Any:
    """The derivative of the digamma function of an order, ψ⁽ⁿ⁾(x) (DLMF 5.15).

    x      numbers; 0, −1, −2, … are poles
    order  how often ψ is differentiated

    >>> import clearprop as cl
    >>> cl.polygamma(1.0, order=1)
    Tensor(1.6449340668482266)
    """


@primitive(
    "elementwise",
    numpy='scipy_special("betaln", {a}, {b})',
    numba="special_betaln({a}, {b})",
    tex=r"\log B({a}, {b})",
    dtype="float",
    d_a=lambda g, a, b: g * (digamma(a) - digamma(a + b)),
    d_b=lambda g, a, b: g * (digamma(b) - digamma(a + b)),
)
def betaln(a: Value, b: Value, /) -> Any:
    """log |B(a, b)|, the logarithm of the beta function (DLMF 5.12.1).

    a, b  numbers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.betaln(1.0, 1.0)
    Tensor(0.0)
    """


@primitive(
    "elementwise",
    numpy='scipy_special("beta", {a}, {b})',
    numba="special_beta({a}, {b})",
    tex="B({a}, {b})",
    dtype="float",
    d_a=lambda g, a, b, y: g * y * (digamma(a) - digamma(a + b)),
    d_b=lambda g, a, b, y: g * y * (digamma(b) - digamma(a + b)),
)
def beta(a: Value, b: Value, /) -> Any:
    """Beta function B(a, b) = Γ(a)Γ(b)/Γ(a + b) (DLMF 5.12.1); where it overflows, see `betaln`.

    a, b  numbers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.beta(2.0, cl.tensor([1.0, 2.0]))
    Tensor([0.5, 0.16666667])
    """


@primitive(
    "elementwise",
    numpy='scipy_special("i0", {x})',
    numba="special_i0({x})",
    tex="I_0({x})",
    dtype="float",
    d_x=lambda g, x: g * i1(x),
)
def i0(x: Value, /) -> Any:
    """Modified Bessel function of the first kind, order 0 (DLMF 10.25.2).

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.i0(cl.tensor([0.0, 1.0]))
    Tensor([1.0, 1.26606588])
    """


def _over(y: Value, x: Value) -> Any:
    """y/x for y = e^−|x| I₁(x); near 0, where y may be subnormal, e^−|x| (½ + x²/16)."""
    small = abs(x) < 1e-4
    return where(small, exp(-abs(x)) * (0.5 + x * x / 16), y / where(small, 1.0, x))


@primitive(
    "elementwise",
    numpy='scipy_special("i1", {x})',
    numba="special_i1({x})",
    tex="I_1({x})",
    dtype="float",
    d_x=lambda g, x: g * i0(x) * (1 - _over(i1e(x), x) / i0e(x)),  # of I₀ and I₁ alone both overflow
)
def i1(x: Value, /) -> Any:
    """Modified Bessel function of the first kind, order 1 (DLMF 10.25.2).

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.i1(cl.tensor([0.0, 1.0]))
    Tensor([0.0, 0.5651591])
    """


@primitive(
    "elementwise",
    numpy='scipy_special("i0e", {x})',
    numba="special_i0e({x})",
    tex=r"e^{{-\lvert {x} \rvert}} I_0({x})",
    dtype="float",
    kink=lambda x: x,
    d_x=lambda g, x, y: g * (i1e(x) - sign(x) * y),
)
def i0e(x: Value, /) -> Any:
    """e^−|x| I₀(x), which does not overflow.  By convention the derivative at 0 is 0.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.i0e(cl.tensor([0.0, 1000.0]))
    Tensor([1.0, 0.01261724])
    """


@primitive(
    "elementwise",
    numpy='scipy_special("i1e", {x})',
    numba="special_i1e({x})",
    tex=r"e^{{-\lvert {x} \rvert}} I_1({x})",
    dtype="float",
    kink=lambda x: x,
    d_x=lambda g, x, y: g * (i0e(x) - sign(x) * y - _over(y, x)),
)
def i1e(x: Value, /) -> Any:
    """e^−|x| I₁(x), which does not overflow.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.i1e(cl.tensor([0.0, 1.0]))
    Tensor([0.0, 0.20791042])
    """


_PEAK = 1 / math.sqrt(2 * math.pi)


@primitive(
    "elementwise",
    numpy="ndtr_values({x})",
    numba="special_ndtr({x})",
    tex=r"\Phi({x})",
    dtype="float",
    d_x=lambda g, x: g * _PEAK * exp(-0.5 * square(x)),
)
def ndtr(x: Value, /) -> Any:
    """Standard normal distribution function Φ(x).

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.ndtr(cl.tensor([0.0, 1.0]))
    Tensor([0.5, 0.84134475])
    """


@primitive(
    "elementwise",
    numpy="inverse_mills({x})",
    numba="special_inverse_mills({x})",
    tex=r"\frac{{\varphi({x})}}{{\Phi({x})}}",
    dtype="float",
    public=False,
    d_x=lambda g, x, y: -g * y * (x + y),
)
def inverse_mills(x: Value, /) -> Any:
    """φ(x)/Φ(x), the derivative of log Φ: the inverse of Mills' ratio at −x (Mills 1926); near −x far to the left.

    >>> import numpy as np
    >>> from clearprop.rules.on_demand.special_functions import inverse_mills
    >>> round(float(inverse_mills(np.float64(0.0))), 6)
    0.797885
    """


@primitive(
    "elementwise",
    numpy="log_ndtr_values({x})",
    numba="special_log_ndtr({x})",
    tex=r"\log \Phi({x})",
    dtype="float",
    d_x=lambda g, x: g * inverse_mills(x),
)
def log_ndtr(x: Value, /) -> Any:
    """log Φ(x), accurate far to the left.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.log_ndtr(cl.tensor([0.0, -40.0]))
    Tensor([-0.69314718, -804.60844201])
    """


@primitive(
    "elementwise",
    numpy='scipy_special("ndtri", {x})',
    numba="special_ndtri({x})",
    tex=r"\Phi^{{-1}}({x})",
    dtype="float",
    d_x=lambda g, y: g * math.sqrt(2 * math.pi) * exp(0.5 * square(y)),
)
def ndtri(x: Value, /) -> Any:
    """Standard normal quantile Φ⁻¹(x).

    x  probabilities

    >>> import clearprop as cl
    >>> cl.ndtri(cl.tensor([0.5, 0.975]))
    Tensor([0.0, 1.95996398])
    """


@primitive(
    "elementwise",
    numpy='scipy_special("zeta", {s}, {q})',
    numba="special_zeta({s}, {q})",
    tex=r"\zeta({s}, {q})",
    dtype="float",
    d_q=lambda g, s, q: -g * s * zeta(s + 1, q),
)
def zeta(s: Value, q: Value, /) -> Any:
    """Hurwitz zeta function Σ (k + q)⁻ˢ (DLMF 25.11.1); it has a derivative with respect to q alone.

    s  above 1
    q  above 0; at 1 it is Riemann's zeta function

    >>> import clearprop as cl
    >>> cl.zeta(2.0, cl.tensor([1.0]))
    Tensor([1.64493407])
    """


@composite("elementwise", dtype="float", tex=r"-{x} \log {x}", d_x=lambda g, x: -g * (log(x) + 1))
def entr(x: Value, /) -> Any:
    """−x log x, a term of an entropy: 0 at 0, NaN below; its derivative at 0 is inf.

    x  probabilities

    >>> import clearprop as cl
    >>> cl.entr(cl.tensor([0.0, 0.5]))
    Tensor([0.0, 0.34657359])
    """
    x = as_floating(x)
    zero = equal(x, 0)
    return where(zero, 0.0, -x * log(where(zero, 1.0, x)))
