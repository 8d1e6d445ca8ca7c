"""Arithmetic: sums, products, powers of numbers, rounding, the larger and the smaller of two; conversion.

Each `d_x` is the map v ↦ D·v with D = ∂y/∂x, a diagonal matrix; it is its own transpose.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from clearprop.primitives import HELPERS, Zero, composite, primitive
from clearprop.program.ir import Var
from clearprop.program.operands import complex_error
from clearprop.program.types import FLOAT64, DType, Type, Value, is_complex, is_floating, type_of
from clearprop.program.values import RECORDING, raw
from clearprop.rules import eager
from clearprop.rules.comparison import (
    equal,
    isnan,
    logical_and,
    logical_not,
    logical_or,
    nan_or_zero_,
    where,
    zero_or_nan_,
)
from clearprop.rules.on_demand import late_function

_CONSTANT = Zero("piecewise constant: its derivative is 0 wherever it has one")


def _power(a: Any, b: Any) -> Any:
    """NumPy's, but IEEE 754's where an array of one exponent is ½: NumPy takes the root, of −∞ NaN and of −0 −0."""
    y = np.power(a, b)
    halves = False if type(b) in (int, float) or y.dtype.kind != "f" else np.equal(b, 0.5)
    if not np.any(halves):
        return y
    base = np.asarray(a, y.dtype)
    return np.where(halves & (np.isneginf(base) | (base == 0)), np.abs(base), y)[()]


HELPERS["power"] = _power  # of `exponentials.pow`


def nan_or_zero(x: Value) -> Any:
    """0, and NaN where x is NaN; an array without NaN gives the number 0.0, which costs less to choose from."""
    if isinstance(x, np.ndarray):
        return where(isnan(x), x, 0.0) if eager.has_nan(x) else 0.0
    if isinstance(x, (float, np.floating)):
        return x if x != x else 0.0
    dtype = type_of(raw(x)).dtype
    return nan_or_zero_(x, dtype=dtype) if is_floating(dtype) else 0.0


def zero_or_nan(y: Value) -> Any:
    """`nan_or_zero` of what is 0 or NaN wherever it is asked for: in a kernel y itself, which costs nothing."""
    traced = raw(y)
    return zero_or_nan_(y) if isinstance(traced, Var) and is_floating(traced.dtype) else nan_or_zero(y)


@primitive(
    "elementwise", on_complex="differentiated",
    numpy="{a} + {b}", modular=True, rounded=True, tex="{a} + {b}", neutral=((0, 1, -0.0), (1, 0, -0.0)), adds=True,
    d_a=lambda g: g, d_b=lambda g: g,
)  # fmt: skip
def add(a: Value, b: Value, /) -> Any:
    """Sum a + b, with broadcasting.

    a, b  numbers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.add(cl.tensor([1.0, 2.0]), 10)
    Tensor([11.0, 12.0])
    """


@primitive(
    "elementwise", on_complex="differentiated",
    numpy="{a} - {b}", modular=True, rounded=True, tex="{a} - {b}", neutral=((1, 0, 0),), undefined_on="b",
    d_a=lambda g: g, d_b=lambda g: -g,
)  # fmt: skip
def subtract(a: Value, b: Value, /) -> Any:
    """Difference a − b, with broadcasting.

    a, b  numbers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.subtract(cl.tensor([1.0, 2.0]), 10)
    Tensor([-9.0, -8.0])
    """


@primitive(
    "elementwise", on_complex="differentiated",
    numpy="{a} * {b}", modular=True, rounded=True, tex=r"{a} \odot {b}", neutral=((0, 1, 1), (1, 0, 1)),
    negates=((0, 1, -1), (1, 0, -1)), d_a=lambda g, b: g * b, d_b=lambda g, a: g * a,
)  # fmt: skip
def multiply(a: Value, b: Value, /) -> Any:
    """Product a · b, element by element, with broadcasting.

    a, b  numbers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.multiply(cl.tensor([1.0, 2.0]), cl.tensor([3.0, 4.0]))
    Tensor([3.0, 8.0])
    """


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="{a} / {b}",
    rounded=True,
    tex=r"\frac{{{a}}}{{{b}}}",
    dtype="float",
    neutral=((1, 0, 1),),
    negates=((1, 0, -1),),
    d_a=lambda g, b: g / b,
    d_b=lambda g, b, y: -g * y / b,
)
def divide(a: Value, b: Value, /) -> Any:
    """Quotient a / b, with broadcasting; x/0 is ±inf and 0/0 is NaN, as IEEE 754 says.

    a, b  numbers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.divide(cl.tensor([1.0, -1.0, 0.0]), 0)
    Tensor([inf, -inf, nan])
    """


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="-{x}",
    rounded=True,
    undefined_on="b",
    modular=True,
    tex="-{x}",
    d_x=lambda g: -g,
)
def negative(x: Value, /) -> Any:
    """Negation −x.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.negative(cl.tensor([1.0, -2.0]))
    Tensor([-1.0, 2.0])
    """


@primitive(
    "elementwise", on_complex="differentiated",
    numpy="np.square({x})", numba="{x} * {x}", rounded=True, tex="{x}^2", same_on="b", modular=True,
    d_x=lambda g, x: 2 * g * x,
)  # fmt: skip
def square(x: Value, /) -> Any:
    """Square x².

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.square(cl.tensor([1.0, -3.0]))
    Tensor([1.0, 9.0])
    """


def _direction(x: Value) -> Any:
    """The derivative of |x|: its sign, and for complex numbers x̄/|x|; 0 at 0."""
    return conjugate(_of_length_one(x)) if is_complex(type_of(raw(x)).dtype) else sign(x)


def _of_length_one(x: Value) -> Any:
    """x/|x|, and 0 at 0."""
    length = abs(x)
    return where(equal(length, 0), 0.0, x / where(equal(length, 0), 1.0, length))


@primitive(
    "elementwise", on_complex="differentiated", numpy="np.abs({x})", numba="abs({x})", tex=r"\lvert {x} \rvert",
    kink=lambda x: x, dtype="real", d_x=lambda g, x: g * _direction(x),
)  # fmt: skip
def abs(x: Value, /) -> Any:
    """Absolute value |x|, √(Re² + Im²) of complex numbers.  By convention the derivative at 0 is 0.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.abs(cl.tensor([1.0, -3.0]))
    Tensor([1.0, 3.0])
    >>> cl.grad(cl.abs)(0.0)
    Tensor(0.0)
    """


@primitive(
    "elementwise",
    numpy="np.sign({x})",
    numba="sign({x})",
    undefined_on="b",
    tex=r"\operatorname{{sign}} {x}",
    kink=lambda x: x,
    d_x=_CONSTANT,
)
def sign(x: Value, /) -> Any:
    """Sign of x: −1, 0 or 1, and x/|x| of complex numbers; NaN stays NaN.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.sign(cl.tensor([2.0, 0.0, -3.0]))
    Tensor([1.0, 0.0, -1.0])
    """


@sign.front
def _sign(x: Value, /) -> Any:
    return _of_length_one(x) if is_complex(type_of(raw(x)).dtype) else sign(x)


@primitive(
    "elementwise", numpy="np.maximum({a}, {b})", numba="maximum({a}, {b})", tex=r"\max({a}, {b})",
    kink=lambda a, b: a - b,
    d_a=lambda g, a, b: where(a > b, g, where(equal(a, b), 0.5 * g, nan_or_zero(a))),
    d_b=lambda g, a, b: where(b > a, g, where(equal(a, b), 0.5 * g, nan_or_zero(b))),
    chosen_a=lambda a, b: logical_not(a < b), chosen_b=lambda a, b: logical_not(b < a),
)  # fmt: skip
def maximum(a: Value, b: Value, /) -> Any:
    """The larger of a and b; NaN wins.  At a tie each operand gets half of the derivative.

    a, b  numbers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.maximum(cl.tensor([1.0, 5.0]), 3.0)
    Tensor([3.0, 5.0])
    >>> cl.grad(lambda a: cl.maximum(a, 3.0))(3.0)
    Tensor(0.5)
    """


@primitive(
    "elementwise", numpy="np.minimum({a}, {b})", numba="minimum({a}, {b})", tex=r"\min({a}, {b})",
    kink=lambda a, b: a - b,
    d_a=lambda g, a, b: where(a < b, g, where(equal(a, b), 0.5 * g, nan_or_zero(a))),
    d_b=lambda g, a, b: where(b < a, g, where(equal(a, b), 0.5 * g, nan_or_zero(b))),
    chosen_a=lambda a, b: logical_not(a > b), chosen_b=lambda a, b: logical_not(b > a),
)  # fmt: skip
def minimum(a: Value, b: Value, /) -> Any:
    """The smaller of a and b; NaN wins.  At a tie each operand gets half of the derivative.

    a, b  numbers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.minimum(cl.tensor([1.0, 5.0]), 3.0)
    Tensor([1.0, 3.0])
    """


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
    """The largest integer not above x, as a number of x's dtype.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.floor(cl.tensor([1.7, -1.2]))
    Tensor([1.0, -2.0])
    """


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
    """The smallest integer not below x, as a number of x's dtype.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.ceil(cl.tensor([1.2, -1.7]))
    Tensor([2.0, -1.0])
    """


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="np.rint({x})",
    numba="rint({x})",
    tex=r"\operatorname{{round}} {x}",
    same_on="biu",
    kink=lambda x: x - floor(x) - 0.5,
    d_x=_CONSTANT,
)
def round(x: Value, /) -> Any:
    """The nearest integer; halves go to the even one.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.round(cl.tensor([0.5, 1.5, 1.6]))
    Tensor([0.0, 2.0, 2.0])
    """


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="{x}",
    tex="{x}",
    same_on="biufc",
    d_x=Zero("stopped by stop_gradient"),
)
def stop_gradient(x: Value, /) -> Any:
    """The value of x, as a constant: no derivative flows through.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.grad(lambda x: x * cl.stop_gradient(x))(3.0)
    Tensor(3.0)
    """


@primitive(
    "elementwise", on_complex="differentiated", numpy="{x}", tex="{x}", public=False, same_on="biufc", d_x=lambda g: g
)
def identity(x: Value, /) -> Any:
    """The value of x: a fresh variable for a transform to differentiate with respect to."""


@composite(
    "elementwise", tex=r"\min(\max({x}, {low}), {high})", kink=lambda x, low, high: (x - low) * (x - high),
    d_x=lambda g, x, low, high: where(logical_and(x >= low, x <= high), g, nan_or_zero(x)),
    d_low=lambda g, x, low, high: where(logical_and(x < low, low <= high), g, nan_or_zero(low)),
    d_high=lambda g, x, low, high: where(maximum(x, low) > high, g, nan_or_zero(high)),
    chosen_x=lambda x, low, high: logical_not(logical_or(x < low, x > high)),
    chosen_low=lambda x, low, high: logical_not(logical_or(x >= low, low > high)),
    chosen_high=lambda x, low, high: logical_not(maximum(x, low) <= high),
)  # fmt: skip
def clip_(x: Value, low: Value, high: Value, /) -> Any:
    """x limited to the interval [min, max]; a bound that is None does not bind.

    At a bound the derivative with respect to x is 1 by convention.  Where low > high the value is high, and so is what
    the derivative belongs to.

    x    numbers
    min  the lower bound, or None
    max  the upper bound, or None

    >>> import clearprop as cl
    >>> cl.clip(cl.tensor([-2.0, 0.5, 3.0]), 0.0, 1.0)
    Tensor([0.0, 0.5, 1.0])
    """
    return minimum(maximum(x, low), high)


@clip_.front
def clip(x: Value, min: Value | None = None, max: Value | None = None) -> Any:  # noqa: D103 - the declaration's docstring
    dtype = type_of(raw(x)).dtype
    widest = (-math.inf, math.inf) if dtype.kind not in "iu" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    return clip_(x, widest[0] if min is None else min, widest[1] if max is None else max)


def _conversion_target(x: Type, dtype: DType) -> DType:
    if is_complex(x.dtype) and not is_complex(dtype) and not RECORDING.continued:
        raise complex_error(x.dtype, f"complex numbers are not converted to {dtype}")
    return dtype


@primitive(
    "elementwise",
    numpy="np.asarray({x}, {dtype})[()]",
    numba="{dtype}({x})",
    tex="{x}",
    dtype=lambda x, dtype: _conversion_target(x, np.dtype(dtype)),
    public=False,
    converts=True,
    unconverted=True,
    on_complex="differentiated",
    d_x=lambda g, x: derivative_as(g, x.dtype),
)
def astype(x: Value, /, *, dtype: DTypeLike) -> Any:
    """x converted to another dtype."""


def derivative_as(g: Value, dtype: DType) -> Any:
    """A derivative in a dtype: that with respect to a real value, or of one, is the real part of a complex one."""
    if is_complex(type_of(raw(g)).dtype) and not is_complex(dtype):
        g = real_part(g)
    return astype(g, dtype=dtype)


def real_part(x: Value) -> Any:
    """Re x."""
    return late_function("real")(x)


def conjugate(x: Value) -> Any:
    """Re x − i·Im x; a real x is its own."""
    return late_function("conj")(x) if is_complex(type_of(raw(x)).dtype) else x


def as_floating(x: Value) -> Any:
    """x in floating point: integers and booleans become float64."""
    return x if is_floating(type_of(raw(x)).dtype) else astype(x, dtype=FLOAT64)
