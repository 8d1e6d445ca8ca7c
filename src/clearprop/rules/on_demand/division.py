"""Division with a remainder, of integers and of floating-point numbers; common divisors and multiples."""

from __future__ import annotations

from typing import Any

from clearprop.primitives import Zero, composite, primitive
from clearprop.program.types import Value
from clearprop.rules.elementwise import abs, equal, round, where

_STEPS = Zero("piecewise constant: its derivative is 0 wherever it has one")


@primitive(
    "elementwise",
    numpy="np.floor_divide({a}, {b})",
    numba="floor_divide({a}, {b})",
    undefined_on="b",
    tex=r"\lfloor {a} / {b} \rfloor",
    kink=lambda a, b: a / b - round(a / b),
    d_a=_STEPS,
    d_b=_STEPS,
)
def floor_divide(a: Value, b: Value, /) -> Any:
    """The largest integer not above a / b, as a number of the operands' dtype; `a // b`.

    By 0 it is 0 in integers, and ±inf or NaN in floating point (IEEE 754).

    a, b  numbers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.tensor([7, -7]) // 2
    Tensor([3, -4])
    """


@primitive(
    "elementwise",
    numpy="np.remainder({a}, {b})",
    numba="remainder({a}, {b})",
    undefined_on="b",
    tex=r"{a} \bmod {b}",
    kink=lambda a, b: a / b - round(a / b),
    d_a=lambda g: g,
    d_b=lambda g, a, b: -g * floor_divide(a, b),
)
def remainder(a: Value, b: Value, /) -> Any:
    """What is left of a after dividing by b and rounding down, with the sign of b; `a % b`.

    a − b·⌊a/b⌋.  At the multiples of b, where it jumps, the derivatives are those to the right: 1, and −⌊a/b⌋.

    a, b  numbers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.tensor([7.5, -7.5]) % 2
    Tensor([1.5, 0.5])
    """


@primitive(
    "elementwise",
    numpy="np.trunc({x})",
    numba="trunc({x})",
    tex=r"\operatorname{{trunc}} {x}",
    same_on="biu",
    kink=lambda x: x - round(x),
    d_x=_STEPS,
)
def trunc(x: Value, /) -> Any:
    """The integer part of x, rounded towards 0, as a number of x's dtype.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.trunc(cl.tensor([1.7, -1.7]))
    Tensor([1.0, -1.0])
    """


@primitive(
    "elementwise",
    numpy="np.fmod({a}, {b})",
    numba="fmod({a}, {b})",
    undefined_on="b",
    tex=r"{a} - {b} \operatorname{{trunc}}({a} / {b})",
    kink=lambda a, b: a / b - round(a / b),
    d_a=lambda g: g,
    d_b=lambda g, a, b, y: -g * round((a - y) / b),  # a / b may round to the next whole number
)
def fmod(a: Value, b: Value, /) -> Any:
    """What is left of a after dividing by b and rounding towards 0, with the sign of a (C's `fmod`).

    At the multiples of b, where it jumps, the derivatives are those of the remainder's formula: 1, and −trunc(a/b).

    a, b  numbers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.fmod(cl.tensor([7.5, -7.5]), 2.0)
    Tensor([1.5, -1.5])
    """


@primitive(
    "elementwise",
    numpy="np.gcd({a}, {b})",
    numba="gcd({a}, {b})",
    undefined_on="bf",
    tex=r"\gcd({a}, {b})",
)
def gcd(a: Value, b: Value, /) -> Any:
    """The greatest common divisor of integers, from 0; that of a number and 0 is its absolute value.

    By Euclid's algorithm (Elements, book VII, about 300 BC).

    a, b  integers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.gcd(cl.tensor([12, -18, 0]), 8)
    Tensor([4, 2, 8])
    """


@composite("elementwise", undefined_on="bf", tex=r"\operatorname{{lcm}}({a}, {b})")
def lcm(a: Value, b: Value, /) -> Any:
    """The least common multiple of integers, |a b| / gcd(a, b), from 0; 0 where one of them is 0.

    What is too large for the dtype wraps.

    a, b  integers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.lcm(cl.tensor([4, -6, 0]), 6)
    Tensor([12, 6, 0])
    """
    divisor = gcd(a, b)
    return floor_divide(abs(a), where(equal(divisor, 0), 1, divisor)) * abs(b)
