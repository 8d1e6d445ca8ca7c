"""Incomplete gamma and beta functions, differentiable in every argument as often as one likes.

SciPy computes their values; derivatives by parameters are integrals of `tail_integrals`, those by x are densities.
Those integrals have no native form: a compiled function computes them by NumPy, and the rest around them natively.
"""

from __future__ import annotations

from typing import Any

from clearprop.primitives import primitive
from clearprop.program.types import Value
from clearprop.rules.elementwise import equal, exp, log, log1p, where
from clearprop.rules.on_demand import tail_integrals
from clearprop.rules.on_demand.floating import xlog1py, xlogy
from clearprop.rules.on_demand.special_functions import betaln, digamma, lgamma, polygamma


def _gamma_density(a: Value, x: Value) -> Any:
    return exp(xlogy(a - 1, x) - x - lgamma(a))


def _gamma_density_slope(a: Value, x: Value, order: int) -> Any:
    """The density differentiated by a; where it is 0, so is its derivative."""
    density = _gamma_density(a, x)
    factor = tail_integrals.complete_bell(
        order, 0, lambda p, q: log(x) - digamma(a) if p == 1 else -polygamma(a, order=p - 1)
    )
    return where(equal(density, 0), 0.0, density * factor)


@primitive(
    "elementwise",
    numpy="gammainc_slopes({a}, {x}, {order})",
    tex=r"\partial_a^{{{order}}} P({a}, {x})",
    dtype="float",
    public=False,
    d_a=lambda g, a, x, order: g * gammainc_slope(a, x, order=order + 1),
    d_x=lambda g, a, x, order: g * _gamma_density_slope(a, x, order),
)
def gammainc_slope(a: Value, x: Value, /, *, order: int = 1) -> Any:
    """∂ⁿP(a, x)/∂aⁿ, right to 1e−12 of the largest of its kind, to 1e−11 from n = 2 on; 0 at x = 0 and ∞.

    a      above 0
    x      from 0
    order  how often P is differentiated
    """


@primitive(
    "elementwise",
    numpy='scipy_special("gammainc", {a}, {x})',
    numba="special_gammainc({a}, {x})",
    tex=r"P({a}, {x})",
    dtype="float",
    d_a=lambda g, a, x: g * gammainc_slope(a, x, order=1),
    d_x=lambda g, a, x: g * _gamma_density(a, x),
)
def gammainc(a: Value, x: Value, /) -> Any:
    """Regularised lower incomplete gamma function P(a, x) (DLMF 8.2.4); its derivative by a is an integral.

    a  above 0
    x  from 0

    >>> import clearprop as cl
    >>> cl.gammainc(1.0, 1.0)
    Tensor(0.6321205588285577)
    """


@primitive(
    "elementwise",
    numpy='scipy_special("gammaincc", {a}, {x})',
    numba="special_gammaincc({a}, {x})",
    tex=r"Q({a}, {x})",
    dtype="float",
    d_a=lambda g, a, x: -g * gammainc_slope(a, x, order=1),
    d_x=lambda g, a, x: -g * _gamma_density(a, x),
)
def gammaincc(a: Value, x: Value, /) -> Any:
    """Regularised upper incomplete gamma function 1 − P(a, x) (DLMF 8.2.4).

    a  above 0
    x  from 0

    >>> import clearprop as cl
    >>> cl.gammaincc(1.0, 0.0)
    Tensor(1.0)
    """


def _beta_density(a: Value, b: Value, x: Value) -> Any:
    return exp(xlogy(a - 1, x) + xlog1py(b - 1, -x) - betaln(a, b))


def _beta_density_slope(a: Value, b: Value, x: Value, by_a: int, by_b: int) -> Any:
    """The density differentiated by a and b; where it is 0, so are its derivatives."""

    def cumulant(p: int, q: int) -> Any:
        if p + q == 1:
            return log(x) - digamma(a) + digamma(a + b) if p else log1p(-x) - digamma(b) + digamma(a + b)
        own = polygamma(a, order=p - 1) if q == 0 else polygamma(b, order=q - 1) if p == 0 else 0.0
        return polygamma(a + b, order=p + q - 1) - own

    density = _beta_density(a, b, x)
    return where(equal(density, 0), 0.0, density * tail_integrals.complete_bell(by_a, by_b, cumulant))


@primitive(
    "elementwise",
    numpy="betainc_slopes({a}, {b}, {x}, {by_a}, {by_b})",
    tex=r"\partial_a^{{{by_a}}} \partial_b^{{{by_b}}} I_{{{x}}}({a}, {b})",
    dtype="float",
    public=False,
    d_a=lambda g, a, b, x, by_a, by_b: g * betainc_slope(a, b, x, by_a=by_a + 1, by_b=by_b),
    d_b=lambda g, a, b, x, by_a, by_b: g * betainc_slope(a, b, x, by_a=by_a, by_b=by_b + 1),
    d_x=lambda g, a, b, x, by_a, by_b: g * _beta_density_slope(a, b, x, by_a, by_b),
)
def betainc_slope(a: Value, b: Value, x: Value, /, *, by_a: int = 1, by_b: int = 0) -> Any:
    """∂ⁿ⁺ᵐIₓ(a, b)/∂aⁿ∂bᵐ, right to 1e−12 of the largest of its kind, to 1e−11 from n + m = 2 on; 0 at x = 0 and 1.

    a, b        above 0
    x           from 0 to 1
    by_a, by_b  how often I is differentiated by each, together at least once
    """


@primitive(
    "elementwise",
    numpy='scipy_special("betainc", {a}, {b}, {x})',
    numba="special_betainc({a}, {b}, {x})",
    tex="I_{{{x}}}({a}, {b})",
    dtype="float",
    d_a=lambda g, a, b, x: g * betainc_slope(a, b, x, by_a=1, by_b=0),
    d_b=lambda g, a, b, x: g * betainc_slope(a, b, x, by_a=0, by_b=1),
    d_x=lambda g, a, b, x: g * _beta_density(a, b, x),
)
def betainc(a: Value, b: Value, x: Value, /) -> Any:
    """Regularised incomplete beta function Iₓ(a, b) (DLMF 8.17.2); its derivatives by a and b are integrals.

    a, b  above 0
    x     from 0 to 1

    >>> import clearprop as cl
    >>> cl.betainc(1.0, 1.0, 0.25)
    Tensor(0.25)
    """
