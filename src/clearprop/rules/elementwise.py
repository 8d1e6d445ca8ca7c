"""Elementwise leaves: arithmetic, comparison, choice, powers, exponentials.

Each `d_x` is the map v ↦ D·v with D = ∂y/∂x, a diagonal matrix; it is its own transpose.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from clearprop.primitives import HELPERS, Zero, composite, primitive
from clearprop.program.types import FLOAT64, PYTHON_SCALARS, Value, is_floating, type_of
from clearprop.program.values import raw
from clearprop.rules import eager
from clearprop.rules.special import erf as _erf

HELPERS["erf"] = _erf
_CONSTANT = Zero("piecewise constant: its derivative is 0 wherever it has one")


# ------------------------------------------------------------------------------------------ arithmetic
@primitive(
    "elementwise", numpy="{a} + {b}", tex="{a} + {b}", neutral=((0, 1, -0.0), (1, 0, -0.0)),
    d_a=lambda g: g, d_b=lambda g: g,
)  # fmt: skip
def add(a: Value, b: Value, /) -> Any:
    """Sum a + b, with broadcasting."""


@primitive(
    "elementwise", numpy="{a} - {b}", tex="{a} - {b}", neutral=((1, 0, 0),), d_a=lambda g: g, d_b=lambda g: -g
)  # fmt: skip
def subtract(a: Value, b: Value, /) -> Any:
    """Difference a − b, with broadcasting."""


@primitive(
    "elementwise", numpy="{a} * {b}", tex=r"{a} \odot {b}", neutral=((0, 1, 1), (1, 0, 1)),
    d_a=lambda g, b: g * b, d_b=lambda g, a: g * a,
)  # fmt: skip
def multiply(a: Value, b: Value, /) -> Any:
    """Product a · b, element by element, with broadcasting."""


@primitive(
    "elementwise",
    numpy="{a} / {b}",
    tex=r"\frac{{{a}}}{{{b}}}",
    dtype="float",
    neutral=((1, 0, 1),),
    d_a=lambda g, b: g / b,
    d_b=lambda g, b, y: -g * y / b,
)
def divide(a: Value, b: Value, /) -> Any:
    """Quotient a / b, with broadcasting; x/0 is ±inf and 0/0 is NaN, as IEEE 754 says."""


@primitive("elementwise", numpy="-{x}", tex="-{x}", d_x=lambda g: -g)
def negative(x: Value, /) -> Any:
    """Negation −x."""


@primitive(
    "elementwise",
    numpy="np.power({a}, {b})",
    numba="power({a}, {b})",
    tex="{a}^{{{b}}}",
    neutral=((1, 0, 1),),
    d_a=lambda g, a, b: g * _power_slope(a, b),
    d_b=lambda g, a, y: g * where(equal(a, 0), 0.0, y * log(where(equal(a, 0), 1.0, a))),
)
def pow(a: Value, b: Value, /) -> Any:
    """Power aᵇ.

    The derivative with respect to b is 0 at a = 0 by convention and NaN for negative a, where aᵇ has no
    derivative in b.
    """


def _power_slope(a: Value, b: Value) -> Any:
    """b·aᵇ⁻¹, and 0 for b = 0 even at a = 0."""
    if type(b) in PYTHON_SCALARS:
        return 0.0 * a if b == 0 else b * a if b == 2 else b * pow(a, b - 1)
    constant = equal(b, 0)
    return where(constant, 0.0, b * pow(a, where(constant, 1, b - 1)))


@primitive(
    "elementwise", numpy="np.square({x})", numba="{x} * {x}", tex="{x}^2", same_on="b", d_x=lambda g, x: 2 * g * x
)  # fmt: skip
def square(x: Value, /) -> Any:
    """Square x²."""


@primitive(
    "elementwise", numpy="np.abs({x})", numba="abs({x})", tex=r"\lvert {x} \rvert", kink=lambda x: x,
    d_x=lambda g, x: g * sign(x),
)  # fmt: skip
def abs(x: Value, /) -> Any:
    """Absolute value |x|.  By convention the derivative at 0 is 0."""


@primitive(
    "elementwise",
    numpy="np.sign({x})",
    numba="sign({x})",
    tex=r"\operatorname{{sign}} {x}",
    kink=lambda x: x,
    d_x=_CONSTANT,
)
def sign(x: Value, /) -> Any:
    """Sign of x: −1, 0 or 1; NaN stays NaN."""


@primitive(
    "elementwise", numpy="np.maximum({a}, {b})", numba="maximum({a}, {b})", tex=r"\max({a}, {b})",
    kink=lambda a, b: a - b,
    d_a=lambda g, a, b: where(a > b, g, where(equal(a, b), 0.5 * g, 0.0)),
    d_b=lambda g, a, b: where(b > a, g, where(equal(a, b), 0.5 * g, 0.0)),
)  # fmt: skip
def maximum(a: Value, b: Value, /) -> Any:
    """The larger of a and b; NaN wins.  At a tie each operand gets half of the derivative."""


@primitive(
    "elementwise", numpy="np.minimum({a}, {b})", numba="minimum({a}, {b})", tex=r"\min({a}, {b})",
    kink=lambda a, b: a - b,
    d_a=lambda g, a, b: where(a < b, g, where(equal(a, b), 0.5 * g, 0.0)),
    d_b=lambda g, a, b: where(b < a, g, where(equal(a, b), 0.5 * g, 0.0)),
)  # fmt: skip
def minimum(a: Value, b: Value, /) -> Any:
    """The smaller of a and b; NaN wins.  At a tie each operand gets half of the derivative."""


@primitive(
    "elementwise",
    numpy="np.floor({x})",
    numba="floor({x})",
    tex=r"\lfloor {x} \rfloor",
    same_on="biu",
    kink=lambda x: x - round(x),
    d_x=_CONSTANT,
)
def floor(x: Value, /) -> Any:
    """The largest integer not above x, as a number of x's dtype."""


@primitive(
    "elementwise",
    numpy="np.ceil({x})",
    numba="ceil({x})",
    tex=r"\lceil {x} \rceil",
    same_on="biu",
    kink=lambda x: x - round(x),
    d_x=_CONSTANT,
)
def ceil(x: Value, /) -> Any:
    """The smallest integer not below x, as a number of x's dtype."""


@primitive(
    "elementwise",
    numpy="np.rint({x})",
    numba="rint({x})",
    tex=r"\operatorname{{round}} {x}",
    same_on="biu",
    kink=lambda x: x - floor(x) - 0.5,
    d_x=_CONSTANT,
)
def round(x: Value, /) -> Any:
    """The nearest integer; halves go to the even one."""


@primitive("elementwise", numpy="{x}", tex="{x}", same_on="biufc", d_x=Zero("stopped by stop_gradient"))
def stop_gradient(x: Value, /) -> Any:
    """The value of x, as a constant: no derivative flows through."""


@primitive("elementwise", numpy="{x}", tex="{x}", public=False, same_on="biufc", d_x=lambda g: g)
def identity(x: Value, /) -> Any:
    """The value of x: a fresh variable for a transform to differentiate with respect to."""


# ------------------------------------------------------------------------------------ comparison and choice
@primitive("elementwise", numpy="{a} == {b}", tex="{a} = {b}", dtype="bool")
def equal(a: Value, b: Value, /) -> Any:
    """Whether a = b."""


@primitive("elementwise", numpy="{a} != {b}", tex=r"{a} \ne {b}", dtype="bool")
def not_equal(a: Value, b: Value, /) -> Any:
    """Whether a ≠ b."""


@primitive("elementwise", numpy="{a} < {b}", tex="{a} < {b}", dtype="bool")
def less(a: Value, b: Value, /) -> Any:
    """Whether a < b."""


@primitive("elementwise", numpy="{a} <= {b}", tex=r"{a} \le {b}", dtype="bool")
def less_equal(a: Value, b: Value, /) -> Any:
    """Whether a ≤ b."""


@primitive("elementwise", numpy="{a} > {b}", tex="{a} > {b}", dtype="bool", truth=((1, 0, 0),))
def greater(a: Value, b: Value, /) -> Any:
    """Whether a > b."""


@primitive("elementwise", numpy="{a} >= {b}", tex=r"{a} \ge {b}", dtype="bool")
def greater_equal(a: Value, b: Value, /) -> Any:
    """Whether a ≥ b."""


@primitive(
    "elementwise", numpy="np.logical_and({a}, {b})", numba="({a} != 0) & ({b} != 0)", tex=r"{a} \land {b}",
    dtype="bool", unconverted=True,
)  # fmt: skip
def logical_and(a: Value, b: Value, /) -> Any:
    """Whether both a and b hold."""


@primitive(
    "elementwise", numpy="np.logical_or({a}, {b})", numba="({a} != 0) | ({b} != 0)", tex=r"{a} \lor {b}",
    dtype="bool", unconverted=True,
)  # fmt: skip
def logical_or(a: Value, b: Value, /) -> Any:
    """Whether a or b holds."""


@primitive(
    "elementwise", numpy="np.logical_not({x})", numba="{x} == 0", tex=r"\lnot {x}", dtype="bool", unconverted=True
)
def logical_not(x: Value, /) -> Any:
    """Whether x does not hold."""


@primitive("elementwise", numpy="np.isnan({x})", numba="{x} != {x}", tex=r"{x} = \text{{NaN}}", dtype="bool")
def isnan(x: Value, /) -> Any:
    """Whether x is NaN."""


@primitive(
    "elementwise",
    numpy="np.isfinite({x})",
    numba="isfinite({x})",
    tex=r"\lvert {x} \rvert < \infty",
    dtype="bool",
)
def isfinite(x: Value, /) -> Any:
    """Whether x is neither infinite nor NaN."""


@primitive(
    "elementwise", numpy="np.where({condition}, {a}, {b})", eager=eager.choose, numba="({a} if {condition} else {b})",
    tex=r"\begin{{cases}}{a} & {condition}\\{b} & \text{{otherwise}}\end{{cases}}", conditions=1,
    chooses=True,
    d_a=lambda g, condition: where(condition, g, 0.0),
    d_b=lambda g, condition: where(condition, 0.0, g),
)  # fmt: skip
def where(condition: Value, a: Value, b: Value, /) -> Any:
    """a where the condition holds, b elsewhere.

    A closed gate gives 0 even for an infinite cotangent: the rule is itself a `where`, not a product with 0.
    """


@composite(
    "elementwise", tex=r"\min(\max({x}, {low}), {high})", kink=lambda x, low, high: (x - low) * (x - high),
    d_x=lambda g, x, low, high: where(logical_and(x >= low, x <= high), g, 0.0),
    d_low=lambda g, x, low: where(x < low, g, 0.0),
    d_high=lambda g, x, high: where(x > high, g, 0.0),
)  # fmt: skip
def clip_(x: Value, low: Value, high: Value, /) -> Any:
    """x limited to the interval [min, max]; a bound that is None does not bind.

    At a bound the derivative with respect to x is 1 by convention.
    """
    return minimum(maximum(x, low), high)


@clip_.front
def clip(x: Value, min: Value | None = None, max: Value | None = None) -> Any:  # noqa: D103 - the declaration's docstring
    dtype = type_of(raw(x)).dtype
    widest = (-math.inf, math.inf) if dtype.kind not in "iu" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    return clip_(x, widest[0] if min is None else min, widest[1] if max is None else max)


# ---------------------------------------------------------------------------- exponentials and roots
@primitive(
    "elementwise",
    numpy="np.exp({x})",
    numba="exp({x})",
    tex="e^{{{x}}}",
    dtype="float",
    d_x=lambda g, y: g * y,
)
def exp(x: Value, /) -> Any:
    """Exponential eˣ."""


@primitive(
    "elementwise",
    numpy="np.expm1({x})",
    numba="expm1({x})",
    tex="e^{{{x}}} - 1",
    dtype="float",
    d_x=lambda g, y: g * (y + 1),
)
def expm1(x: Value, /) -> Any:
    """eˣ − 1, accurate for small x."""


@primitive(
    "elementwise",
    numpy="np.log({x})",
    numba="log({x})",
    tex=r"\log {x}",
    dtype="float",
    d_x=lambda g, x: g / x,
)
def log(x: Value, /) -> Any:
    """Natural logarithm; −inf at 0, NaN below."""


@primitive(
    "elementwise",
    numpy="np.log1p({x})",
    numba="log1p({x})",
    tex=r"\log(1 + {x})",
    dtype="float",
    d_x=lambda g, x: g / (1 + x),
)
def log1p(x: Value, /) -> Any:
    """log(1 + x), accurate for small x."""


@primitive(
    "elementwise",
    numpy="np.log2({x})",
    numba="log2({x})",
    tex=r"\log_2 {x}",
    dtype="float",
    d_x=lambda g, x: g / (x * math.log(2)),
)
def log2(x: Value, /) -> Any:
    """Logarithm to base 2."""


@primitive(
    "elementwise",
    numpy="np.log10({x})",
    numba="log10({x})",
    tex=r"\log_{{10}} {x}",
    dtype="float",
    d_x=lambda g, x: g / (x * math.log(10)),
)
def log10(x: Value, /) -> Any:
    """Logarithm to base 10."""


@primitive(
    "elementwise",
    numpy="np.sqrt({x})",
    numba="sqrt({x})",
    tex=r"\sqrt{{{x}}}",
    dtype="float",
    d_x=lambda g, y: 0.5 * g / y,
)
def sqrt(x: Value, /) -> Any:
    """Square root; its derivative at 0 is inf, and NaN below."""


@primitive("elementwise", numpy="1.0 / {x}", tex=r"\frac{{1}}{{{x}}}", dtype="float", d_x=lambda g, y: -g * y * y)
def reciprocal(x: Value, /) -> Any:
    """Reciprocal 1/x."""


# ------------------------------------------------------------------------------- error function, conversion
@primitive(
    "elementwise",
    numpy="erf({x})",
    tex=r"\operatorname{{erf}} {x}",
    dtype="float",
    d_x=lambda g, x: g * (2 / math.sqrt(math.pi)) * exp(-x * x),
)
def erf(x: Value, /) -> Any:
    """Error function (2/√π) ∫₀ˣ exp(−t²) dt (Cody 1969)."""


@composite(
    "elementwise", dtype="float", tex=r"\log(e^{{{a}}} + e^{{{b}}})",
    d_a=lambda g, a, b: g / (1 + exp(b - a)), d_b=lambda g, a, b: g / (1 + exp(a - b)),
)  # fmt: skip
def logaddexp(a: Value, b: Value, /) -> Any:
    """log(eᵃ + eᵇ) without overflow."""
    high = maximum(a, b)
    gap = where(isfinite(high), minimum(a, b) - high, 0.0 * high)
    return where(isfinite(high), high + log1p(exp(gap)), high)


@primitive(
    "elementwise",
    numpy="np.asarray({x}, {dtype})[()]",
    numba="{dtype}({x})",
    tex="{x}",
    dtype=lambda x, dtype: dtype,
    public=False,
    converts=True,
    unconverted=True,
    d_x=lambda g, x: astype(g, dtype=x.dtype),
)
def astype(x: Value, /, *, dtype: DTypeLike) -> Any:
    """x converted to another dtype."""


def as_floating(x: Value) -> Any:
    """x in floating point: integers and booleans become float64."""
    return x if is_floating(type_of(raw(x)).dtype) else astype(x, dtype=FLOAT64)
