"""Special functions inside kernels: SciPy's own code by address, and the tails that `rules` computes better.

Float32 is computed in float64 and rounded.  What is put together of several is spelled here for a number as it is for
arrays in `rules.on_demand.special_functions`, with the C library's exp and log, whose last bits may differ from those
of NumPy.
"""

from __future__ import annotations

import math
from typing import Any

from numba import njit, types
from numba.extending import overload

from clearprop.compiler.native.math_functions import OPTIONS, f32, f64, i32
from clearprop.compiler.native.scipy_addresses import FUNCTIONS, scipy_symbol
from clearprop.rules.on_demand.special_functions import cotangent_polynomial

_EXACT = OPTIONS | {"fastmath": False}  # as NumPy computes: one rounding an operation
_HERE = _EXACT | {"cache": False}  # closures, which Numba does not tell apart on disk


def _external(name: str) -> Any:
    """SciPy's function in a kernel; its last argument is Cython's, and says nothing."""
    operands = [types.float64] * FUNCTIONS[name]
    return types.ExternalFunction(scipy_symbol(name), types.float64(*operands, types.int32))


_erfc, _erfcx, _gammaln, _psi, _zeta = map(_external, ("erfc", "erfcx", "gammaln", "psi", "zeta"))
_log_ndtr, _ndtr, _betainc = map(_external, ("log_ndtr", "ndtr", "betainc"))


@njit(**_EXACT)
def _exp_of_square(x: Any, c: Any) -> Any:
    h = f64(f32(x))
    return math.exp(-c * h * h) * math.exp(-c * (x - h) * (x + h))


@njit(**_EXACT)
def _erfc64(x: Any) -> Any:
    if x > 1.0:
        t = min(x, 30.0)
        return _exp_of_square(t, 1.0) * _erfcx(t, i32(0))
    return _erfc(x, i32(0))


@njit(**_EXACT)
def _ndtr64(x: Any) -> Any:
    if x < -1.0:
        t = min(-x, 40.0)
        return 0.5 * _exp_of_square(t, 0.5) * _erfcx(t / math.sqrt(2.0), i32(0))
    return _ndtr(x, i32(0))


@njit(**_EXACT)
def _log_ndtr64(x: Any) -> Any:
    return math.log1p(-_ndtr64(-x)) if x > 1.0 else _log_ndtr(x, i32(0))


@njit(**_EXACT)
def _inverse_mills64(x: Any) -> Any:
    if x < -1e9:
        return -x
    if x < 0.0:
        return math.sqrt(2.0 / math.pi) / _erfcx(-x / math.sqrt(2.0), i32(0))
    return _exp_of_square(min(x, 40.0), 0.5) / math.sqrt(2.0 * math.pi) / _ndtr(x, i32(0))


@njit(**_EXACT)
def _lgamma64(x: Any) -> Any:
    subnormal = abs(x) < 2.2250738585072014e-308 and x != 0.0
    return -math.log(abs(x)) if subnormal else _gammaln(x, i32(0))


def _round_result(double: Any) -> Any:
    """A function of one number from one of float64."""

    @njit(**_HERE)
    def function(x: Any) -> Any:
        return type(x)(double(f64(x)))

    return function


def _unary(name: str) -> Any:
    """SciPy's function of one number."""
    double = _external(name)

    @njit(**_HERE)
    def function(x: Any) -> Any:
        return type(x)(double(f64(x), i32(0)))

    return function


def _binary(name: str) -> Any:
    """SciPy's function of two numbers."""
    double = _external(name)

    @njit(**_HERE)
    def function(a: Any, b: Any) -> Any:
        return type(b)(double(f64(a), f64(b), i32(0)))

    return function


@njit(**_EXACT)
def special_betainc(a: Any, b: Any, x: Any) -> Any:
    """The regularised incomplete beta function."""
    return type(x)(_betainc(f64(a), f64(b), f64(x), i32(0)))


special_erfc, special_ndtr, special_log_ndtr = (
    _round_result(_erfc64),
    _round_result(_ndtr64),
    _round_result(_log_ndtr64),
)
special_inverse_mills, special_lgamma = _round_result(_inverse_mills64), _round_result(_lgamma64)
special_i0, special_i0e, special_i1, special_i1e = map(_unary, ("i0", "i0e", "i1", "i1e"))
special_erfcx, special_ndtri, special_erfinv = map(_unary, ("erfcx", "ndtri", "erfinv"))
special_beta, special_betaln, special_zeta = map(_binary, ("beta", "betaln", "zeta"))
special_gammainc, special_gammaincc = map(_binary, ("gammainc", "gammaincc"))


def special_polygamma(order: int, x: Any) -> Any:
    """ψ⁽ⁿ⁾(x) of an order that stands in the kernel's text."""
    raise NotImplementedError


def _polygamma_of(n: int) -> Any:
    """ψ⁽ⁿ⁾ of one number, as `rules` has it: by reflection where that is negative."""
    positive = _positive_polygamma(n)
    first, *rest = cotangent_polynomial(min(n, 8))
    coefficients, sign, reflects = tuple(rest), (-1.0) ** n, n <= 8

    @njit(**_HERE)
    def polygamma(x: Any) -> Any:
        turns = x - math.floor(x + 0.5)
        if not (reflects and x < 0.0 and turns != 0.0):
            return positive(x)
        cotangent, total = 1.0 / math.tan(math.pi * turns), first
        for c in coefficients:
            total = total * cotangent + c
        return sign * positive(1.0 - x) - math.pi * total

    return lambda order, x: type(x)(polygamma(f64(x)))


def _positive_polygamma(order: int) -> Any:
    """ψ⁽ⁿ⁾ as SciPy has it: of order 0 by itself, of others by the zeta function (DLMF 25.11.12)."""
    if order == 0:
        return njit(**_HERE)(lambda x: _psi(x, i32(0)))
    factor, s = (-1.0) ** (order + 1) * math.gamma(order + 1.0), order + 1.0
    return njit(**_HERE)(lambda x: factor * _zeta(s, x, i32(0)))


overload(special_polygamma, prefer_literal=True)(lambda order, x: _polygamma_of(order.literal_value))
