"""Scalar functions that vectorise inside kernels, with NumPy's answers at infinities, zero and NaN.

Un-jitted, each is NumPy's own function.  Compiled, float32 and float64 have polynomial forms after Cephes
(Moshier 1989): branch-free, so that loops vectorise.  Compiled with `contract` alone: reordering would break the
argument reductions.  Errors in ulp, tested over every exponent, subnormal arguments and results included:

         float32   float64
exp      1         2
log      1         1
tanh     1.5       1.5
erf      6         1 (the C library's)

sin, cos, log1p and expm1 stand in `vector_functions`.
inf, 0, NaN, overflow and underflow stand where NumPy has them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

from clearprop.compiler.native.intrinsics import bits_of_f32, bits_of_f64, f32_of_bits, f64_of_bits
from clearprop.compiler.native.vector_functions import FORMS
from clearprop.rules import random

f32, f64, i32, i64 = np.float32, np.float64, np.int32, np.int64
u8, u32, u64 = np.uint8, np.uint32, np.uint64
OPTIONS: dict[str, Any] = {
    "cache": True,
    "error_model": "numpy",
    "fastmath": {"contract"},
    "no_cpython_wrapper": True,
    "nogil": True,
}


@njit(**OPTIONS)
def _exp32(x0: Any) -> Any:
    # what becomes 0 is computed as e⁰: processors take ten times as long over subnormal numbers, as masks give them
    x = min(x0 if x0 >= f32(-103.97) else f32(0.0), f32(88.73))
    n = np.floor(x * f32(1.44269504088896341) + f32(0.5))
    r = x - n * f32(0.693359375)
    r = r - n * f32(-2.12194440e-4)
    p = f32(1.9875691500e-4)
    p = p * r + f32(1.3981999507e-3)
    p = p * r + f32(8.3334519073e-3)
    p = p * r + f32(4.1665795894e-2)
    p = p * r + f32(1.6666665459e-1)
    p = p * r + f32(5.0000001201e-1)
    p = p * r * r + r + f32(1.0)
    k = i32(n)
    half = i32(k >> i32(1))  # 2**k in two factors: 2**128 and subnormal results do not wrap
    y = p * f32_of_bits(i32(half + i32(127)) << i32(23)) * f32_of_bits(i32(k - half + i32(127)) << i32(23))
    y = f32(np.inf) if x0 > f32(88.72283) else y
    y = f32(0.0) if x0 < f32(-103.97) else y
    return y if x0 == x0 else x0


@njit(**OPTIONS)
def _exp64(x0: Any) -> Any:
    x = min(x0 if x0 >= -745.1332191019412 else 0.0, 709.79)  # as in float32
    n = np.floor(x * 1.4426950408889634073599 + 0.5)
    r = x - n * 6.93145751953125e-1
    r = r - n * 1.42860682030941723212e-6
    z = r * r
    p = r * ((1.26177193074810590878e-4 * z + 3.02994407707441961300e-2) * z + 9.99999999999999999910e-1)
    q = ((3.00198505138664455042e-6 * z + 2.52448340349684104192e-3) * z + 2.27265548208155028766e-1) * z + 2.0
    p = 1.0 + 2.0 * (p / (q - p))
    k = i64(n)
    half = k >> i64(1)
    y = p * f64_of_bits((half + i64(1023)) << i64(52)) * f64_of_bits((k - half + i64(1023)) << i64(52))
    y = np.inf if x0 > 709.782712893384 else y
    y = 0.0 if x0 < -745.1332191019412 else y
    return y if x0 == x0 else x0


@njit(**OPTIONS)
def _log32(x0: Any) -> Any:
    small = x0 < f32(1.17549435e-38)
    x = x0 * f32(8388608.0) if small else x0
    i = i32(bits_of_f32(x) - i32(0x3F3504F3))
    e = f32(i >> i32(23)) - (f32(23.0) if small else f32(0.0))
    m = f32_of_bits(i32((i & i32(0x7FFFFF)) + i32(0x3F3504F3))) - f32(1.0)
    z = m * m
    p = f32(7.0376836292e-2)
    p = p * m + f32(-1.1514610310e-1)
    p = p * m + f32(1.1676998740e-1)
    p = p * m + f32(-1.2420140846e-1)
    p = p * m + f32(1.4249322787e-1)
    p = p * m + f32(-1.6668057665e-1)
    p = p * m + f32(2.0000714765e-1)
    p = p * m + f32(-2.4999993993e-1)
    p = p * m + f32(3.3333331174e-1)
    y = m + (p * m * z - f32(0.5) * z + e * f32(-2.12194440e-4)) + e * f32(0.693359375)
    y = y if x0 > f32(0.0) else (f32(-np.inf) if x0 == f32(0.0) else f32(np.nan))
    return y if x0 < f32(np.inf) else x0 if x0 == f32(np.inf) else y


@njit(**OPTIONS)
def _log64(x0: Any) -> Any:
    small = x0 < 2.2250738585072014e-308
    x = x0 * 4503599627370496.0 if small else x0
    i = bits_of_f64(x) - i64(0x3FE6A09E667F3BCD)
    e = f64(i >> i64(52)) - (52.0 if small else 0.0)
    m = f64_of_bits((i & i64(0xFFFFFFFFFFFFF)) + i64(0x3FE6A09E667F3BCD)) - 1.0
    z = m * m
    p = 1.01875663804580931796e-4
    p = p * m + 4.97494994976747001425e-1
    p = p * m + 4.70579119878881725854e0
    p = p * m + 1.44989225341610930846e1
    p = p * m + 1.79368678507819816313e1
    p = p * m + 7.70838733755885391666e0
    q = m + 1.12873587189167450590e1
    q = q * m + 4.52279145837532221105e1
    q = q * m + 8.29875266912776603211e1
    q = q * m + 7.11544750618563894466e1
    q = q * m + 2.31251620126765340583e1
    y = m * (z * p / q) - e * 2.121944400546905827679e-4 - 0.5 * z
    y = (m + y) + e * 0.693359375
    y = y if x0 > 0.0 else (-np.inf if x0 == 0.0 else np.nan)
    return y if x0 < np.inf else x0 if x0 == np.inf else y


@njit(**OPTIONS)
def _tanh32(x: Any) -> Any:
    a = abs(x)
    z = x * x
    p = f32(-5.70498872745e-3)
    p = p * z + f32(2.06390887954e-2)
    p = p * z + f32(-5.37397155531e-2)
    p = p * z + f32(1.33314422036e-1)
    p = p * z + f32(-3.33332819422e-1)
    small = p * z * x + x
    large = f32(1.0) - f32(2.0) / (_exp32(min(a, f32(20.0)) * f32(2.0)) + f32(1.0))
    large = -large if x < f32(0.0) else large
    y = small if a < f32(0.625) else large
    return y if a > f32(0.0) else x  # NaN, and both zeros with their signs


@njit(**OPTIONS)
def _tanh64(x: Any) -> Any:
    a = abs(x)
    z = x * x
    p = (-9.64399179425052238628e-1 * z - 9.92877231001918586564e1) * z - 1.61468768441708447952e3
    q = ((z + 1.12811678491632931402e2) * z + 2.23548839060100448583e3) * z + 4.84406305325125486048e3
    small = x + x * z * (p / q)
    large = 1.0 - 2.0 / (_exp64(min(a, 30.0) * 2.0) + 1.0)
    large = -large if x < 0.0 else large
    y = small if a < 0.625 else large
    return y if a > 0.0 else x


@njit(**OPTIONS)
def _erf32(x0: Any) -> Any:
    x = min(max(x0, f32(-3.92)), f32(3.92))
    z = x * x
    p = f32(-2.72614225801306e-10)
    p = p * z + f32(2.77068142495902e-08)
    p = p * z + f32(-2.10102402082508e-06)
    p = p * z + f32(-5.69250639462346e-05)
    p = p * z + f32(-7.34990630326855e-04)
    p = p * z + f32(-2.95459980854025e-03)
    p = p * z + f32(-1.60960333262415e-02)
    q = f32(-1.45660718464996e-05)
    q = q * z + f32(-2.13374055278905e-04)
    q = q * z + f32(-1.68282697438203e-03)
    q = q * z + f32(-7.37332916720468e-03)
    q = q * z + f32(-1.42647390514189e-02)
    y = min(max(x * (p / q), f32(-1.0)), f32(1.0))  # the quotient first: x·p vanishes for tiny x
    y = f32(1.0) if x0 >= f32(3.92) else (f32(-1.0) if x0 <= f32(-3.92) else y)
    return y if x0 == x0 else x0


@njit(**OPTIONS)
def _erf64(x: Any) -> Any:
    return math.erf(x)


def _two(name: str, single: Any, double: Any, plain: Any) -> Any:
    """A function that is NumPy's in Python and one of two compiled forms in a kernel."""

    def function(x: Any) -> Any:
        return plain(x)

    function.__name__ = function.__qualname__ = name

    forms = (lambda x: single(x)), (lambda x: double(x))
    overload(function)(lambda x: forms[0] if x == types.float32 else forms[1])
    return function


def _one(name: str, compiled: Any, plain: Any) -> Any:
    """A function with one compiled form for every dtype."""

    def function(x: Any) -> Any:
        return plain(x)

    function.__name__ = function.__qualname__ = name

    overload(function)(lambda x: compiled)
    return function


exp, log, tanh = (
    _two("exp", _exp32, _exp64, np.exp),
    _two("log", _log32, _log64, np.log),
    _two("tanh", _tanh32, _tanh64, np.tanh),
)
erf = _two("erf", _erf32, _erf64, np.vectorize(math.erf))
sqrt, floor, ceil, rint = np.sqrt, np.floor, np.ceil, np.rint
sign = _one("sign", lambda x: x if x != x else type(x)(x > 0) - type(x)(x < 0), np.sign)
isfinite = np.isfinite
sin, cos, log1p, expm1 = (_two(n, *FORMS[n], getattr(np, n)) for n in ("sin", "cos", "log1p", "expm1"))
log2, log10 = np.log2, np.log10
tan, asin, acos, atan, atan2 = np.tan, np.arcsin, np.arccos, np.arctan, np.arctan2
sinh, cosh, asinh, acosh, atanh = np.sinh, np.cosh, np.arcsinh, np.arccosh, np.arctanh


def power(a: Any, b: Any) -> Any:
    """a to the power b; in integers by squaring, modulo 2⁶⁴."""
    return np.power(a, b)


@njit(**OPTIONS)
def _integer_power(a: Any, b: Any) -> Any:
    total, square, left = u64(1), u64(a), u64(b)
    while left > u64(0):
        if left & u64(1):
            total *= square
        square *= square
        left >>= u64(1)
    return i64(total)


_POWERS: tuple[Any, Any] = (lambda a, b: _integer_power(a, b)), (lambda a, b: np.power(a, b))
overload(power)(lambda a, b: _POWERS[isinstance(a, types.Float) or isinstance(b, types.Float)])


trunc, hypot, copysign, nextafter = np.trunc, np.hypot, np.copysign, np.nextafter


@njit(**OPTIONS)
def _integer_quotient(a: Any, b: Any) -> Any:
    """⌊a/b⌋, with 0 by 0 and the wrapped −a by −1, where the processor's own division would end the process."""
    if b == 0:
        return a - a
    if b + 1 == 0:
        return -a
    return a // b


@njit(**OPTIONS)
def _integer_rest(a: Any, b: Any) -> Any:
    return a - a if b == 0 or b + 1 == 0 else a % b


@njit(**OPTIONS)
def _integer_fmod(a: Any, b: Any) -> Any:
    rest = _integer_rest(a, b)
    return rest - b if rest != 0 and (a < 0) != (b < 0) else rest


@njit(**OPTIONS)
def _floating_rest(a: Any, b: Any) -> Any:
    rest = np.fmod(a, b)
    if rest == 0:
        return math.copysign(rest, b) if b == b else rest
    return rest + b if (b < 0) != (rest < 0) else rest


@njit(**OPTIONS)
def _floating_quotient(a: Any, b: Any) -> Any:
    """NumPy's ⌊a/b⌋: from the rest, so that it agrees with it; the rounding of the quotient is undone."""
    if b == 0:
        return a / b
    rest = np.fmod(a, b)
    quotient = (a - rest) / b
    if rest != 0 and (b < 0) != (rest < 0):
        quotient -= type(a)(1)
    if quotient == 0:
        return math.copysign(quotient, a / b)
    whole = np.floor(quotient)
    return whole + type(a)(1) if quotient - whole > type(a)(0.5) else whole


def floor_divide(a: Any, b: Any) -> Any:
    """The largest integer not above a/b."""
    return np.floor_divide(a, b)


def remainder(a: Any, b: Any) -> Any:
    """What is left of a after dividing by b and rounding down."""
    return np.remainder(a, b)


_QUOTIENTS: tuple[Any, Any] = (lambda a, b: _integer_quotient(a, b)), (lambda a, b: _floating_quotient(a, b))
overload(floor_divide)(lambda a, b: _QUOTIENTS[isinstance(a, types.Float)])
_RESTS: tuple[Any, Any] = (lambda a, b: _integer_rest(a, b)), (lambda a, b: _floating_rest(a, b))
overload(remainder)(lambda a, b: _RESTS[isinstance(a, types.Float)])


def gcd(a: Any, b: Any) -> Any:
    """The greatest common divisor."""
    return np.gcd(a, b)


@njit(**OPTIONS)
def _common_divisor(a: Any, b: Any) -> Any:
    m, n = u64(abs(i64(a))), u64(abs(i64(b)))  # unsigned: the least integer has no opposite
    while n != u64(0):
        m, n = n, m % n
    return i64(m)


_DIVISOR: Any = lambda a, b: _common_divisor(a, b)  # noqa: E731 - as the tables of other functions
overload(gcd)(lambda a, b: _DIVISOR)


def fmod(a: Any, b: Any) -> Any:
    """What is left of a after dividing by b and rounding towards 0."""
    return np.fmod(a, b)


_FMODS: tuple[Any, Any] = (lambda a, b: _integer_fmod(a, b)), (lambda a, b: np.fmod(a, b))
overload(fmod)(lambda a, b: _FMODS[isinstance(a, types.Float)])


def bitwise_invert(x: Any) -> Any:
    """Every bit turned over; of a boolean, its opposite."""
    return np.invert(x)


_INVERSES: tuple[Any, Any] = (lambda x: ~x), (lambda x: not x)
overload(bitwise_invert)(lambda x: _INVERSES[isinstance(x, types.Boolean)])


def left_shift(a: Any, b: Any) -> Any:
    """a·2ᵇ in the bits that there are."""
    return np.left_shift(a, b)


def right_shift(a: Any, b: Any) -> Any:
    """⌊a/2ᵇ⌋."""
    return np.right_shift(a, b)


def _shifts(width: int, up: bool) -> Any:
    """The shift of integers of a width: of more places than there are (or fewer than none) all bits leave."""
    if up:
        return lambda a, b: a << b if u64(b) < u64(width) else a - a
    return lambda a, b: a >> b if u64(b) < u64(width) else (a - a - (a < 0))


overload(left_shift)(lambda a, b: _shifts(a.bitwidth, True))
overload(right_shift)(lambda a, b: _shifts(a.bitwidth, False))


def signbit(x: Any) -> Any:
    """Whether the sign bit is set."""
    return np.signbit(x)


_SIGNBITS: tuple[Any, Any] = (lambda x: x < 0), (lambda x: math.copysign(1.0, x) < 0)
overload(signbit)(lambda x: _SIGNBITS[isinstance(x, types.Float)])


_EXACT: dict[str, Any] = {
    "cache": True,
    "error_model": "numpy",
    "fastmath": False,
    "no_cpython_wrapper": True,
    "nogil": True,
}
"""Without `contract`, and said so: an option left out is inherited from the caller.  Random bits are exact."""


@njit(**OPTIONS)
def b1(x: Any) -> Any:
    """x as a boolean."""
    return x != 0


@njit(**_EXACT)
def uniform_float32(bits: Any) -> Any:
    """24 of the bits as a number in [0, 1)."""
    return f32(bits >> u32(8)) * f32(5.9604644775390625e-08)


@njit(**_EXACT)
def uniform_float64(high: Any, low: Any) -> Any:
    """53 of the bits as a number in [0, 1)."""
    return (f64(high >> u32(5)) * 67108864.0 + f64(low >> u32(6))) * 1.1102230246251565e-16


@njit(**_EXACT)
def exact_log(x: Any) -> Any:
    """log x for 0 < x < ∞ from correctly rounded operations."""
    i = bits_of_f64(x)
    e = f64((i >> i64(52)) - i64(1022))
    m = f64_of_bits((i & i64(0xFFFFFFFFFFFFF)) | i64(0x3FE0000000000000))
    low = m < random.HALF_ROOT
    m = m + m if low else m
    e = e - 1.0 if low else e
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    total = 0.0
    for c in random.ODD_SERIES:
        total = total * z + c
    return 2.0 * s * total + e * random.LOG_2


@njit(**_EXACT)
def _ratio(coefficients: Any, r: Any) -> Any:
    a, b = coefficients
    p, q = a[7], b[7]
    for k in range(6, -1, -1):
        p = p * r + a[k]
        q = q * r + b[k]
    return p / q


@njit(**_EXACT)
def normal_quantile(bits: Any) -> Any:
    """The standard normal quantile of (bits + ½)/2³²."""
    u = (f64(bits) + 0.5) * 2.3283064365386963e-10
    q = u - 0.5
    if abs(q) <= random.CENTRAL:
        return q * _ratio(random.CENTRE, random.SHIFT - q * q)
    y = _ratio(random.NEAR, np.sqrt(-exact_log(min(u, 1.0 - u))) - random.NEAR_SHIFT)
    return -y if q < 0 else y
