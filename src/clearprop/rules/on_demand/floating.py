"""Elementwise functions of floats beyond the basic ones: signs, neighbours, lengths, safe logarithms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from clearprop.errors import ArgumentError, user_line
from clearprop.primitives import Zero, composite, primitive
from clearprop.program.types import FLOAT64, Value, is_floating, promote, type_of
from clearprop.program.values import raw
from clearprop.rules.elementwise import (
    abs,
    as_floating,
    astype,
    equal,
    isfinite,
    isnan,
    log,
    log1p,
    logical_and,
    logical_not,
    maximum,
    minimum,
    multiply,
    pow,
    reciprocal,
    round,
    sign,
    sqrt,
    where,
)
from clearprop.rules.trigonometric import cos, sin


def _cosine(a: Value, b: Value, y: Value) -> Any:
    """a/y for y = √(a² + b²): 0 where that is 0; where it overflows, of a quarter of both."""
    nothing = equal(y, 0)
    share = a / where(nothing, 1.0, y)
    return where(nothing, 0.0, where(isfinite(y), share, 0.25 * a / hypot(0.25 * a, 0.25 * b)))


@primitive(
    "elementwise",
    numpy="np.hypot({a}, {b})",
    numba="hypot({a}, {b})",
    tex=r"\sqrt{{{a}^2 + {b}^2}}",
    dtype="float",
    kink=lambda y: y,
    d_a=lambda g, a, b, y: g * _cosine(a, b, y),
    d_b=lambda g, a, b, y: g * _cosine(b, a, y),
)
def hypot(a: Value, b: Value, /) -> Any:
    """Length √(a² + b²) without overflow.  By convention its derivatives at (0, 0) are 0.

    a, b  numbers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.hypot(cl.tensor([3.0, 5.0]), cl.tensor([4.0, 12.0]))
    Tensor([5.0, 13.0])
    """


@primitive(
    "elementwise",
    numpy="np.copysign({a}, {b})",
    numba="copysign({a}, {b})",
    tex=r"\lvert {a} \rvert \operatorname{{sign}} {b}",
    dtype="float",
    kink=lambda a, b: a * b,
    d_a=lambda g, a, b: g * copysign(sign(a), sign(a) * copysign(1.0, b)),
    d_b=Zero("piecewise constant: its derivative is 0 wherever it has one"),
)
def copysign(a: Value, b: Value, /) -> Any:
    """|a| with the sign of b, which −0.0 has too.  By convention the derivative at a = 0 is 0.

    a, b  numbers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.copysign(cl.tensor([1.0, 2.0]), -0.0)
    Tensor([-1.0, -2.0])
    """


@primitive(
    "elementwise",
    numpy="np.nextafter({a}, {b})",
    numba="nextafter({a}, {b})",
    tex=r"\operatorname{{next}}({a} \to {b})",
    dtype="float",
    d_a=lambda g: g,
    d_b=Zero("piecewise constant: its derivative is 0 wherever it has one"),
)
def nextafter(a: Value, b: Value, /) -> Any:
    """The floating-point number next to a in the direction of b; a itself where they are equal.

    a, b  numbers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.nextafter(1.0, 2.0) - 1.0 == 2.0**-52
    Tensor(True)
    """


@primitive(
    "elementwise", numpy="np.signbit({x})", numba="signbit({x})", tex=r"\operatorname{{signbit}} {x}", dtype="bool"
)
def signbit(x: Value, /) -> Any:
    """Whether the sign bit is set: of negative numbers and of −0.0.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.signbit(cl.tensor([1.0, -0.0, -2.0]))
    Tensor([False, True, True])
    """


@composite("elementwise", on_complex="differentiated", dtype="bool", tex=r"\lvert {x} \rvert = \infty")
def isinf(x: Value, /) -> Any:
    """Whether x is infinite.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.isinf(cl.tensor([1.0, float('-inf'), float('nan')]))
    Tensor([False, True, False])
    """
    return equal(abs(as_floating(x)), math.inf)


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="+{x}",
    numba="{x}",
    undefined_on="b",
    tex="{x}",
    modular=True,
    d_x=lambda g: g,
)
def positive(x: Value, /) -> Any:
    """x itself; `+x`.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.positive(cl.tensor([1.0, -2.0]))
    Tensor([1.0, -2.0])
    """


@composite("elementwise", dtype="float", tex="2^{{{x}}}", d_x=lambda g, y: g * y * math.log(2))
def exp2(x: Value, /) -> Any:
    """Power of two 2ˣ.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.exp2(cl.tensor([0.0, 3.0]))
    Tensor([1.0, 8.0])
    """
    return pow(2.0, as_floating(x))


@composite("elementwise", dtype="float", tex=r"\frac{{1}}{{\sqrt{{{x}}}}}", d_x=lambda g, x, y: -0.5 * g * y / x)
def rsqrt(x: Value, /) -> Any:
    """1/√x; inf at 0, NaN below.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.rsqrt(cl.tensor([4.0, 0.25]))
    Tensor([0.5, 2.0])
    """
    return reciprocal(sqrt(x))


@composite("elementwise", dtype="float", tex=r"\tfrac{{\pi}}{{180}} {x}")
def deg2rad(x: Value, /) -> Any:
    """Degrees as radians, x·π/180.

    x  angles in degrees

    >>> import clearprop as cl
    >>> cl.deg2rad(180.0)
    Tensor(3.141592653589793)
    """
    return x * (math.pi / 180)


@composite("elementwise", dtype="float", tex=r"\tfrac{{180}}{{\pi}} {x}")
def rad2deg(x: Value, /) -> Any:
    """Radians as degrees, x·180/π.

    x  angles in radians

    >>> import clearprop as cl
    >>> cl.rad2deg(cl.tensor([0.0, 3.141592653589793]))
    Tensor([0.0, 180.0])
    """
    return x * (180 / math.pi)


@composite("elementwise", dtype="float", tex=r"(1 - {t}) {a} + {t} {b}")
def lerp(a: Value, b: Value, t: Value, /) -> Any:
    """The point a + t·(b − a) on the way from a (t = 0) to b (t = 1).

    a, b  the ends
    t     how far, from 0 to 1 between them; all three broadcast

    >>> import clearprop as cl
    >>> cl.lerp(1.0, 3.0, cl.tensor([0.0, 0.5, 1.0]))
    Tensor([1.0, 2.0, 3.0])
    """
    return a + t * (b - a)


def _in_common_dtype(x: Value, other: Value) -> Any:
    """x in the floating dtype in which both meet: a Python number chosen from by a mask would become float64."""
    dtype, weak = promote([type_of(raw(x)), type_of(raw(other))])
    return as_floating(x) if weak else astype(x, dtype=dtype if is_floating(dtype) else FLOAT64)


@composite(
    "elementwise",
    dtype="float",
    tex=r"{a} \log {b}",
    d_a=lambda g, a, b: g * log(where(equal(a, 0), 1.0, b)),
    d_b=lambda g, a, b: where(equal(a, 0), 0.0, g * a / b),
)
def xlogy(a: Value, b: Value, /) -> Any:
    """a·log b, and 0 where a = 0 (as in −Σ p log p) unless b is NaN.

    Where a = 0 both derivatives are 0 by convention.

    a, b  numbers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.xlogy(cl.tensor([0.0, 2.0]), cl.tensor([0.0, 1.0]))
    Tensor([0.0, 0.0])
    """
    b = _in_common_dtype(b, a)
    nothing = logical_and(equal(a, 0), logical_not(isnan(b)))
    return where(nothing, 0.0, a * log(where(nothing, 1.0, b)))


@composite(
    "elementwise",
    dtype="float",
    tex=r"{a} \log(1 + {b})",
    d_a=lambda g, a, b: g * log1p(where(equal(a, 0), 0.0, b)),
    d_b=lambda g, a, b: where(equal(a, 0), 0.0, g * a / (1 + b)),
)
def xlog1py(a: Value, b: Value, /) -> Any:
    """a·log(1 + b), accurate for small b, and 0 where a = 0 unless b is NaN.

    Where a = 0 both derivatives are 0 by convention.

    a, b  numbers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.xlog1py(cl.tensor([0.0, 2.0]), cl.tensor([-1.0, 0.0]))
    Tensor([0.0, 0.0])
    """
    b = _in_common_dtype(b, a)
    nothing = logical_and(equal(a, 0), logical_not(isnan(b)))
    return where(nothing, 0.0, a * log1p(where(nothing, 0.0, b)))


@composite("elementwise", tex=r"\max({a}, {b})", kink=lambda a, b: a - b)
def fmax(a: Value, b: Value, /) -> Any:
    """The larger of a and b; where one is NaN, the other.  At a tie each operand gets half of the derivative.

    a, b  numbers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.fmax(cl.tensor([1.0, float('nan')]), 0.5)
    Tensor([1.0, 0.5])
    """
    return where(isnan(a), b, where(isnan(b), a, maximum(a, b)))


@composite("elementwise", tex=r"\min({a}, {b})", kink=lambda a, b: a - b)
def fmin(a: Value, b: Value, /) -> Any:
    """The smaller of a and b; where one is NaN, the other.  At a tie each operand gets half of the derivative.

    a, b  numbers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.fmin(cl.tensor([1.0, float('nan')]), 0.5)
    Tensor([0.5, 0.5])
    """
    return where(isnan(a), b, where(isnan(b), a, minimum(a, b)))


@composite("elementwise", dtype="float", tex=r"H({x})", kink=lambda x, half: x)
def heaviside(x: Value, half: Value, /) -> Any:
    """0 below 0, 1 above, and `half` at 0; NaN stays NaN.

    x     numbers
    half  the value at 0; it broadcasts with x

    >>> import clearprop as cl
    >>> cl.heaviside(cl.tensor([-1.0, 0.0, 2.0]), 0.5)
    Tensor([0.0, 0.5, 1.0])
    """
    x = as_floating(x)
    return where(equal(x, 0), half, where(isnan(x), x, 0.5 * (sign(x) + 1.0)))


@composite("elementwise", dtype="float", tex=r"\log\frac{{{x}}}{{1 - {x}}}", d_x=lambda g, x: g / (x * (1 - x)))
def logit(x: Value, /) -> Any:
    """log(x/(1 − x)), the inverse of the sigmoid; −inf at 0, inf at 1, NaN outside.

    x  probabilities

    >>> import clearprop as cl
    >>> cl.logit(cl.tensor([0.5, 1.0]))
    Tensor([0.0, inf])
    """
    return log(x) - log1p(-as_floating(x))


@composite(
    "elementwise",
    dtype="float",
    tex=r"\frac{{{x}}}{{1 + \lvert {x} \rvert}}",
    d_x=lambda g, x: g / multiply(1 + abs(x), 1 + abs(x)),
)
def softsign(x: Value, /) -> Any:
    """x/(1 + |x|) (Bergstra et al. 2009).

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.softsign(cl.tensor([0.0, 1.0, -3.0]))
    Tensor([0.0, 0.5, -0.75])
    """
    return x / (1 + abs(as_floating(x)))


def _within_a_turn(x: Value) -> Any:
    """x less a multiple of 2, exactly: π times it has the cosine of πx, and does not overflow."""
    return x - 2.0 * round(0.5 * x)


def _sine_of_half_turns(x: Value) -> Any:
    """sin πx, right to its last digits also beside the integers: ±sin πr of the distance r to the nearest of them."""
    nearest = round(x)
    return cos(math.pi * _within_a_turn(nearest)) * sin(math.pi * (x - nearest))


_SINC_SLOPE = tuple((-1) ** k * 2 * (k + 1) / math.factorial(2 * k + 3) for k in range(7))
"""Of the series of −sinc′ in t = πx, divided by πt: 1/3, −1/30, …"""


def _sinc_slope(x: Value, y: Value) -> Any:
    """(cos πx − sinc x)/x; near 0 its series, where the difference would lose its digits."""
    small = abs(x) < 0.1
    t = math.pi * where(small, x, 0.0)
    near = 0.0
    for c in reversed(_SINC_SLOPE):
        near = near * (t * t) + c
    far = (cos(math.pi * _within_a_turn(x)) - y) / where(small, 1.0, x)
    return where(small, -math.pi * t * near, far)


@composite(
    "elementwise",
    dtype="float",
    tex=r"\frac{{\sin \pi {x}}}{{\pi {x}}}",
    d_x=lambda g, x, y: g * _sinc_slope(x, y),
)
def sinc(x: Value, /) -> Any:
    """sin(πx)/(πx), and 1 at 0 (NumPy's normalised sinc).

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.sinc(cl.tensor([0.0, 0.5]))
    Tensor([1.0, 0.63661977])
    """
    x = as_floating(x)
    zero = equal(x, 0)
    whole = where(zero, 1.0, x)
    return where(zero, 1.0, _sine_of_half_turns(whole) / (math.pi * whole))


def nan_to_num(x: Value, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Any:
    """x with numbers in place of NaN and infinities; what was replaced has the derivative 0.

    x       numbers
    nan     in place of NaN
    posinf  in place of ∞; None is the largest number of the dtype
    neginf  in place of −∞; None is the least number of the dtype

    >>> import clearprop as cl
    >>> cl.nan_to_num(cl.tensor([1.0, float('nan')]))
    Tensor([1.0, 0.0])
    """
    dtype = type_of(raw(x)).dtype
    if dtype.kind in "biu":
        return x
    if dtype.kind != "f":
        raise ArgumentError(
            "nan_to_num is for real numbers", expected="floats or integers", got=dtype.name, where=user_line()
        )
    limits = np.finfo(dtype)
    high = float(limits.max) if posinf is None else posinf
    low = float(limits.min) if neginf is None else neginf
    finite = where(equal(x, math.inf), high, where(equal(x, -math.inf), low, x))
    return where(isnan(x), nan, finite)
