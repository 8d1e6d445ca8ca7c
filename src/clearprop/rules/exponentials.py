"""Powers, roots, exponentials, logarithms, and the error function."""

from __future__ import annotations

import math
from typing import Any

from clearprop.primitives import HELPERS, composite, primitive
from clearprop.program.types import PYTHON_SCALARS, Value
from clearprop.rules.arithmetic import maximum, minimum
from clearprop.rules.comparison import equal, isfinite, logical_and, logical_not, where
from clearprop.rules.special import erf as _erf

HELPERS["erf"] = _erf


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="power({a}, {b})",
    numba="power({a}, {b})",
    nonnegative=(1,),
    undefined_on="b",
    spelled_as=((1, 0.5, "sqrt"), (1, 2, "square")),
    tex="{a}^{{{b}}}",
    neutral=((1, 0, 1),),
    d_a=lambda g, a, b: g * _power_slope(a, b),
    d_b=lambda g, a, y: g * where(equal(a, 0), 0.0, y * log(where(equal(a, 0), 1.0, a))),
)
def pow(a: Value, b: Value, /) -> Any:
    """Power aᵇ.

    The derivative with respect to b is 0 at a = 0 by convention and NaN for negative a, where aᵇ has no
    derivative in b.  The Python number ½ is the square root, so that −∞ gives NaN; in an array it gives ∞ (IEEE 754).

    a  the base
    b  the exponent; it broadcasts with a

    >>> import clearprop as cl
    >>> cl.pow(cl.tensor([1.0, 2.0, 3.0]), 2)
    Tensor([1.0, 4.0, 9.0])
    """


def _power_slope(a: Value, b: Value) -> Any:
    """b·aᵇ⁻¹, and 0 for b = 0 even at a = 0."""
    if type(b) in PYTHON_SCALARS:
        return 0.0 if b == 0 else b * a if b == 2 else b * pow(a, b - 1)
    constant = equal(b, 0)
    return where(constant, 0.0, b * pow(a, where(constant, 1, b - 1)))


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="np.exp({x})",
    numba="exp({x})",
    tex="e^{{{x}}}",
    dtype="float",
    d_x=lambda g, y: g * y,
)
def exp(x: Value, /) -> Any:
    """Exponential eˣ.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.exp(cl.tensor([0.0, 1.0]))
    Tensor([1.0, 2.71828183])
    """


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="np.expm1({x})",
    numba="expm1({x})",
    tex="e^{{{x}}} - 1",
    dtype="float",
    d_x=lambda g, y: g * (y + 1),
)
def expm1(x: Value, /) -> Any:
    """eˣ − 1, accurate for small x.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.expm1(1e-10)
    Tensor(1.00000000005e-10)
    """


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="np.log({x})",
    numba="log({x})",
    tex=r"\log {x}",
    dtype="float",
    d_x=lambda g, x: g / x,
)
def log(x: Value, /) -> Any:
    """Natural logarithm; −inf at 0, NaN below.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.log(cl.tensor([1.0, 10.0]))
    Tensor([0.0, 2.30258509])
    """


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="np.log1p({x})",
    numba="log1p({x})",
    tex=r"\log(1 + {x})",
    dtype="float",
    d_x=lambda g, x: g / (1 + x),
)
def log1p(x: Value, /) -> Any:
    """log(1 + x), accurate for small x.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.log1p(1e-10)
    Tensor(9.999999999500001e-11)
    """


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="np.log2({x})",
    numba="log2({x})",
    tex=r"\log_2 {x}",
    dtype="float",
    d_x=lambda g, x: g / (x * math.log(2)),
)
def log2(x: Value, /) -> Any:
    """Logarithm to base 2.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.log2(cl.tensor([1.0, 8.0]))
    Tensor([0.0, 3.0])
    """


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="np.log10({x})",
    numba="log10({x})",
    tex=r"\log_{{10}} {x}",
    dtype="float",
    d_x=lambda g, x: g / (x * math.log(10)),
)
def log10(x: Value, /) -> Any:
    """Logarithm to base 10.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.log10(cl.tensor([1.0, 1000.0]))
    Tensor([0.0, 3.0])
    """


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="np.sqrt({x})",
    rounded=True,
    numba="sqrt({x})",
    tex=r"\sqrt{{{x}}}",
    dtype="float",
    d_x=lambda g, y: 0.5 * g / y,
)
def sqrt(x: Value, /) -> Any:
    """Square root; its derivative at 0 is inf, and NaN below.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.sqrt(cl.tensor([4.0, 9.0]))
    Tensor([2.0, 3.0])
    """


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="1.0 / {x}",
    rounded=True,
    tex=r"\frac{{1}}{{{x}}}",
    dtype="float",
    d_x=lambda g, y: -g * y * y,
)
def reciprocal(x: Value, /) -> Any:
    """Reciprocal 1/x.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.reciprocal(cl.tensor([2.0, 4.0]))
    Tensor([0.5, 0.25])
    """


@primitive(
    "elementwise",
    numpy="erf({x})",
    tex=r"\operatorname{{erf}} {x}",
    dtype="float",
    d_x=lambda g, x: g * (2 / math.sqrt(math.pi)) * exp(-x * x),
)
def erf(x: Value, /) -> Any:
    """Error function (2/√π) ∫₀ˣ exp(−t²) dt (Cody 1969).

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.erf(cl.tensor([0.0, 1.0]))
    Tensor([0.0, 0.84270079])
    """


def _gap(a: Value, b: Value) -> Any:
    """a − b, and 0 where both are the same infinity: then each gets half of the derivative."""
    return where(logical_and(equal(a, b), logical_not(isfinite(a))), 0.0, a - b)


@composite(
    "elementwise", dtype="float", tex=r"\log(e^{{{a}}} + e^{{{b}}})",
    d_a=lambda g, a, b: g / (1 + exp(_gap(b, a))), d_b=lambda g, a, b: g / (1 + exp(_gap(a, b))),
)  # fmt: skip
def logaddexp(a: Value, b: Value, /) -> Any:
    """log(eᵃ + eᵇ) without overflow.

    a, b  numbers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.logaddexp(1000.0, 1000.0)
    Tensor(1000.6931471805599)
    """
    high = maximum(a, b)
    gap = where(isfinite(high), minimum(a, b) - high, 0.0 * high)
    return where(isfinite(high), high + log1p(exp(gap)), high)
