"""Special functions; SciPy computes them, and each has its derivative here in terms of the others.

None of them has a native form: a compiled function computes them by NumPy, and the rest around them natively.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from clearprop.primitives import HELPERS, composite, primitive
from clearprop.program.types import Value
from clearprop.rules.elementwise import as_floating, equal, exp, log, sign, square, where
from clearprop.rules.on_demand.floating import xlog1py, xlogy


def _scipy_special(name: str, *values: Any) -> Any:
    """SciPy's function of this name, in the dtype of its operands; SciPy is loaded when it is first needed."""
    from scipy import special

    dtype = np.result_type(*(v for v in values if not isinstance(v, int)))
    return np.asarray(getattr(special, name)(*values), dtype if dtype.kind == "f" else np.float64)[()]


HELPERS["scipy_special"] = _scipy_special


@primitive(
    "elementwise",
    numpy='scipy_special("erfc", {x})',
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


@primitive(
    "elementwise",
    numpy='scipy_special("erfinv", {x})',
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
    numpy='scipy_special("gammaln", {x})',
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
    numpy='scipy_special("psi", {x})',
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
    numpy='scipy_special("polygamma", {order}, {x})',
    tex=r"\psi^{{({order})}}({x})",
    dtype="float",
    d_x=lambda g, x, order: g * polygamma(x, order=order + 1),
)
def polygamma(x: Value, /, *, order: int = 1) -> Any:
    """The derivative of the digamma function of an order, ψ⁽ⁿ⁾(x) (DLMF 5.15).

    x      numbers above 0
    order  how often ψ is differentiated

    >>> import clearprop as cl
    >>> cl.polygamma(1.0, order=1)
    Tensor(1.6449340668482266)
    """


@primitive(
    "elementwise",
    numpy='scipy_special("gammainc", {a}, {x})',
    tex=r"P({a}, {x})",
    dtype="float",
    d_x=lambda g, a, x: g * exp(xlogy(a - 1, x) - x - lgamma(a)),
)
def gammainc(a: Value, x: Value, /) -> Any:
    """Regularised lower incomplete gamma function P(a, x) (DLMF 8.2.4); it has a derivative with respect to x alone.

    a  above 0
    x  from 0

    >>> import clearprop as cl
    >>> cl.gammainc(1.0, 1.0)
    Tensor(0.6321205588285577)
    """


@primitive(
    "elementwise",
    numpy='scipy_special("gammaincc", {a}, {x})',
    tex=r"Q({a}, {x})",
    dtype="float",
    d_x=lambda g, a, x: -g * exp(xlogy(a - 1, x) - x - lgamma(a)),
)
def gammaincc(a: Value, x: Value, /) -> Any:
    """Regularised upper incomplete gamma function 1 − P(a, x) (DLMF 8.2.4); differentiable with respect to x alone.

    a  above 0
    x  from 0

    >>> import clearprop as cl
    >>> cl.gammaincc(1.0, 0.0)
    Tensor(1.0)
    """


@primitive(
    "elementwise",
    numpy='scipy_special("betainc", {a}, {b}, {x})',
    tex="I_{{{x}}}({a}, {b})",
    dtype="float",
    d_x=lambda g, a, b, x: g * exp(xlogy(a - 1, x) + xlog1py(b - 1, -x) - betaln(a, b)),
)
def betainc(a: Value, b: Value, x: Value, /) -> Any:
    """Regularised incomplete beta function Iₓ(a, b) (DLMF 8.17.2); it has a derivative with respect to x alone.

    a, b  above 0
    x     from 0 to 1

    >>> import clearprop as cl
    >>> cl.betainc(1.0, 1.0, 0.25)
    Tensor(0.25)
    """


@composite("elementwise", dtype="float", tex=r"\log B({a}, {b})")
def betaln(a: Value, b: Value, /) -> Any:
    """log |B(a, b)|, the logarithm of the beta function (DLMF 5.12.1).

    a, b  numbers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.betaln(1.0, 1.0)
    Tensor(0.0)
    """
    a, b = as_floating(a), as_floating(b)
    return lgamma(a) + lgamma(b) - lgamma(a + b)


@primitive("elementwise", numpy='scipy_special("i0", {x})', tex="I_0({x})", dtype="float", d_x=lambda g, x: g * i1(x))
def i0(x: Value, /) -> Any:
    """Modified Bessel function of the first kind, order 0 (DLMF 10.25.2).

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.i0(cl.tensor([0.0, 1.0]))
    Tensor([1.0, 1.26606588])
    """


def _over(y: Value, x: Value) -> Any:
    """y/x, and its limit ½ where both are 0."""
    return where(equal(x, 0), 0.5, y / where(equal(x, 0), 1.0, x))


@primitive(
    "elementwise",
    numpy='scipy_special("i1", {x})',
    tex="I_1({x})",
    dtype="float",
    d_x=lambda g, x, y: g * (i0(x) - _over(y, x)),
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
    numpy='scipy_special("ndtr", {x})',
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
    numpy='scipy_special("log_ndtr", {x})',
    tex=r"\log \Phi({x})",
    dtype="float",
    d_x=lambda g, x, y: g * _PEAK * exp(-0.5 * square(x) - y),
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
