"""Rows of the families that are loaded at their first use."""

from __future__ import annotations

import math

from tests.primitives.elementwise_rows import ANY, POSITIVE, SPECIAL, THREE, TIES, TWO, binary, unary
from tests.primitives.rows import MP, Row, booleans, choice, elementwise, floats, integers

SMALL = integers(0, 60)


def _floor_divide(a, b):
    return MP.floor(a / b)


def _bits(operation):
    return lambda a, b: int(operation(int(a), int(b)))


def _sinc(x):
    return MP.sinpi(x) / (MP.pi * x) if x else MP.mpf(1)


DIVISION = [
    binary("floor_divide", _floor_divide, ANY, POSITIVE, ulps=0, analytic=False),
    binary("remainder", lambda a, b: a - b * MP.floor(a / b), ANY, POSITIVE, ulps=1, analytic=False, slope_scale=10),
    binary(
        "remainder",
        lambda a, b: a - b * MP.floor(a / b),
        ANY,
        floats(-3, -1.1),
        ulps=2,
        scale=1,
        analytic=False,
        slope_scale=10,
        variant="negative",
    ),
    binary("fmod", MP.fmod, POSITIVE, floats(0.4, 1.0), ulps=1, analytic=False, slope_scale=10),
    unary("trunc", lambda x: MP.floor(x) if x > 0 else MP.ceil(x), -3, 3, ulps=0, analytic=False),
]

BITS = [
    binary("bitwise_and", _bits(lambda a, b: a & b), SMALL, SMALL, kind="i"),
    binary("bitwise_or", _bits(lambda a, b: a | b), SMALL, SMALL, kind="i"),
    binary("bitwise_xor", _bits(lambda a, b: a ^ b), SMALL, SMALL, kind="i"),
    unary("bitwise_invert", lambda x: -int(x) - 1, 0, 1, draw=integers(-50, 50), kind="i"),
    binary("bitwise_left_shift", _bits(lambda a, b: a << b), integers(-9, 9), integers(0, 9), kind="i"),
    binary("bitwise_right_shift", _bits(lambda a, b: a >> b), integers(-99, 99), integers(0, 9), kind="i"),
    binary("logical_xor", lambda a, b: a != b, booleans(), booleans(), kind="b"),
]

FLOATING = [
    binary("hypot", MP.hypot, ANY, POSITIVE, ulps=2, analytic=False),
    binary(
        "copysign", lambda a, b: math.copysign(a, b), ANY, floats(-3, -0.3), ulps=0, analytic=False, variant="negative"
    ),
    binary("copysign", lambda a, b: abs(a), ANY, POSITIVE, ulps=0, analytic=False),
    Row("nextafter", (ANY, POSITIVE), TWO, elementwise(lambda a, b: a), ulps=2, differentiated=False),
    unary("signbit", lambda x: bool(x < 0), 0, 1, draw=choice(-2.0, 1.0, 3.0), kind="b"),
    unary("isinf", lambda x: bool(abs(x) == MP.inf), 0, 1, draw=SPECIAL, kind="b"),
    unary("positive", lambda x: x, -3, 3, ulps=0),
    unary("exp2", lambda x: MP.power(2, x), -3, 3, slope_scale=10),
    unary("rsqrt", lambda x: 1 / MP.sqrt(x), 0.3, 4, slope_scale=10),
    unary("deg2rad", MP.radians, -200, 200),
    unary("rad2deg", MP.degrees, -4, 4, slope_scale=100),
    Row("lerp", (ANY, ANY, ANY), THREE, elementwise(lambda a, b, t: a + t * (b - a)), ulps=8, scale=4),
    binary("xlogy", lambda a, b: a * MP.log(b), ANY, POSITIVE, scale=1, analytic=False),
    binary("xlog1py", lambda a, b: a * MP.log1p(b), ANY, POSITIVE, analytic=False),
    binary("fmax", max, ANY, ANY, ulps=0, analytic=False),
    binary("fmin", min, ANY, ANY, ulps=0, analytic=False),
    binary("heaviside", lambda x, h: h if x == 0 else MP.mpf(x > 0), TIES, ANY, ulps=0, differentiated=False),
    unary("logit", lambda x: MP.log(x / (1 - x)), 0.1, 0.9, scale=3, slope_scale=20),
    unary("softsign", lambda x: x / (1 + abs(x)), -3, 3, analytic=False, avoid=lambda x: abs(x) < 1e-3),
    unary("sinc", _sinc, -3, 3, scale=1, analytic=False, slope_scale=10),
]

ROWS = [*DIVISION, *BITS, *FLOATING]
