"""Rows of the elementwise primitives; values by mpmath with 40 digits, or by Python's own arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.primitives.rows import (
    MP,
    Case,
    Draw,
    Row,
    booleans,
    choice,
    elementwise,
    floats,
    integers,
    words,
)

ONE = tuple(Case((s,)) for s in ("", "n", "nm", "n1m", "0", "n0"))
TWO = tuple(
    Case(s)
    for s in (
        ("", ""),
        ("n", "n"),
        ("nm", "m"),
        ("m", "nm"),
        ("", "n"),
        ("nm", ""),
        ("n1", "1m"),
        ("nm", "1"),
        ("0", "1"),
        ("n", "0n"),
    )
)
THREE = tuple(Case(s) for s in (("n", "n", "n"), ("nm", "m", ""), ("n1", "1m", "nm"), ("", "", ""), ("0", "", "")))


def unary(name: str, value: Callable[..., Any], low: float, high: float, **options: Any) -> Row:
    return Row(name, (options.pop("draw", floats(low, high)),), ONE, elementwise(value), **options)


def binary(name: str, value: Callable[..., Any], *draws: Draw, **options: Any) -> Row:
    return Row(name, draws, options.pop("cases", TWO), elementwise(value), **options)


def with_params(cases: Sequence[Case], **params: Any) -> tuple[Case, ...]:
    return tuple(Case(c.shapes, lambda: params) for c in cases)


def _sign(x: Any) -> Any:
    return MP.mpf((x > 0) - (x < 0))


def _logistic(x: Any) -> Any:
    return 1 / (1 + MP.exp(-x))


def _huber(p: Any, t: Any, delta: float = 1.0) -> Any:
    e = abs(p - t)
    return e * e / 2 if e <= delta else delta * e - MP.mpf(delta) ** 2 / 2


def _gelu_tanh(x: Any) -> Any:
    return x / 2 * (1 + MP.tanh(MP.sqrt(2 / MP.pi) * (x + MP.mpf("0.044715") * x**3)))


def _selu(x: Any) -> Any:
    scale, alpha = MP.mpf("1.0507009873554804934193349852946"), MP.mpf("1.6732632423543772848170429916717")
    return scale * (x if x > 0 else alpha * MP.expm1(x))


def _bernoulli_loss(z: Any, p: Any) -> Any:
    return -(p * MP.log(_logistic(z)) + (1 - p) * MP.log(_logistic(-z)))


ANY = floats(-2.5, 2.5)
POSITIVE = floats(0.3, 3.0)
TIES = choice(-1.0, 0.0, 0.5, 2.0)
SPECIAL = choice(-math.inf, -1.0, 0.0, math.nan, math.inf)

ARITHMETIC = [
    binary("add", lambda a, b: a + b, ANY, ANY, ulps=1),
    binary("subtract", lambda a, b: a - b, ANY, ANY, ulps=1),
    binary("multiply", lambda a, b: a * b, ANY, ANY, ulps=1),
    binary("divide", lambda a, b: a / b, ANY, POSITIVE, ulps=1),
    unary("negative", lambda x: -x, -3, 3, ulps=0),
    binary("pow", lambda a, b: a**b, POSITIVE, ANY, ulps=2, slope_scale=10),
    binary("pow", lambda a, b: a**b, floats(-3, -0.3), integers(-2, 5), ulps=2, slope_scale=100, variant="integer"),
    unary("square", lambda x: x * x, -3, 3, ulps=1),
    unary("abs", abs, -3, 3, ulps=0, analytic=False),
    unary("sign", _sign, -3, 3, ulps=0, analytic=False),
    binary("maximum", max, ANY, ANY, ulps=0, analytic=False),
    binary("minimum", min, ANY, ANY, ulps=0, analytic=False),
    unary("floor", MP.floor, -3, 3, ulps=0, analytic=False),
    unary("ceil", MP.ceil, -3, 3, ulps=0, analytic=False),
    unary("round", MP.nint, -3, 3, ulps=0, analytic=False),
    unary("stop_gradient", lambda x: x, -3, 3, ulps=0, differentiated=False),
    unary("identity", lambda x: x, -3, 3, ulps=0),
    Row(
        "astype",
        (ANY,),
        with_params(ONE, dtype=np.dtype("float64")),
        elementwise(lambda x, dtype: x),
        ulps=0,
        analytic=False,
    ),
    Row(
        "astype",
        (ANY,),
        with_params(ONE, dtype=np.dtype("float32")),
        elementwise(lambda x, dtype: np.float32(float(x))),
        ulps=0,
        differentiated=False,
        variant="narrow",
    ),
    Row(
        "nan_or_zero",
        (ANY,),
        with_params(ONE, dtype=np.dtype("float64")),
        elementwise(lambda x, dtype: x - x),
        ulps=0,
        analytic=False,
    ),
    Row("zero_or_nan", (floats(0.0, 0.0),), ONE, elementwise(lambda x: x), ulps=0, analytic=False),
]

COMPARISON = [
    binary("equal", lambda a, b: bool(a == b), TIES, TIES, kind="b"),
    binary("not_equal", lambda a, b: bool(a != b), TIES, TIES, kind="b"),
    binary("less", lambda a, b: bool(a < b), TIES, TIES, kind="b"),
    binary("less_equal", lambda a, b: bool(a <= b), TIES, TIES, kind="b"),
    binary("greater", lambda a, b: bool(a > b), TIES, TIES, kind="b"),
    binary("greater_equal", lambda a, b: bool(a >= b), TIES, TIES, kind="b"),
    binary("logical_and", lambda a, b: a and b, booleans(), booleans(), kind="b"),
    binary("logical_or", lambda a, b: a or b, booleans(), booleans(), kind="b"),
    unary("logical_not", lambda x: not x, 0, 1, draw=booleans(), kind="b"),
    unary("isnan", lambda x: x != x, 0, 1, draw=SPECIAL, kind="b"),
    unary("isfinite", lambda x: bool(abs(x) < MP.inf), 0, 1, draw=SPECIAL, kind="b"),
    Row("where", (booleans(), ANY, ANY), THREE, elementwise(lambda c, a, b: a if c else b), ulps=0),
    Row(
        "clip",
        (ANY, floats(-1.5, -0.5), floats(0.5, 1.5)),
        THREE,
        elementwise(lambda x, low, high: min(max(x, low), high)),
        ulps=0,
        analytic=False,
    ),
]

ANALYSIS = [
    unary("exp", MP.exp, -3, 3, slope_scale=20),
    unary("expm1", MP.expm1, -3, 3, slope_scale=20),
    unary("log", MP.log, 0.3, 4),
    unary("log1p", MP.log1p, -0.6, 3),
    unary("log2", lambda x: MP.log(x, 2), 0.3, 4),
    unary("log10", MP.log10, 0.3, 4),
    unary("sqrt", MP.sqrt, 0.3, 4),
    unary("reciprocal", lambda x: 1 / x, 0.5, 4, slope_scale=10),
    unary("sin", MP.sin, -4, 4),
    unary("cos", MP.cos, -4, 4),
    unary("tan", MP.tan, -1.1, 1.1, slope_scale=10),
    unary("asin", MP.asin, -0.8, 0.8),
    unary("acos", MP.acos, -0.8, 0.8),
    unary("atan", MP.atan, -3, 3),
    binary("atan2", MP.atan2, ANY, POSITIVE, analytic=False),
    unary("sinh", MP.sinh, -3, 3, slope_scale=20),
    unary("cosh", MP.cosh, -3, 3, slope_scale=20),
    unary("tanh", MP.tanh, -3, 3),
    unary("asinh", MP.asinh, -3, 3),
    unary("acosh", MP.acosh, 1.3, 4),
    unary("atanh", MP.atanh, -0.8, 0.8),
    unary("erf", MP.erf, -5, 5, analytic=False),
    binary("logaddexp", lambda a, b: MP.log(MP.exp(a) + MP.exp(b)), ANY, ANY, scale=1, analytic=False),
]

ACTIVATIONS = [
    unary("sigmoid", _logistic, -5, 5),
    unary("softplus", lambda x: MP.log1p(MP.exp(x)), -5, 5, analytic=False),
    unary("relu", lambda x: max(x, MP.mpf(0)), -3, 3, ulps=0, analytic=False),
    unary("leaky_relu", lambda x: x if x > 0 else MP.mpf(0.01) * x, -3, 3, ulps=1),
    Row(
        "leaky_relu",
        (ANY,),
        with_params(ONE, slope=0.25),
        elementwise(lambda x, slope: x if x > 0 else slope * x),
        variant="slope",
    ),
    unary("relu6", lambda x: min(max(x, MP.mpf(0)), MP.mpf(6)), -3, 9, ulps=0, analytic=False),
    unary("elu", lambda x: x if x > 0 else MP.expm1(x), -3, 3, analytic=False),
    Row(
        "elu",
        (ANY,),
        with_params(ONE, alpha=1.5),
        elementwise(lambda x, alpha: x if x > 0 else alpha * MP.expm1(x)),
        variant="alpha",
        analytic=False,
    ),
    unary("selu", _selu, -3, 3, analytic=False),
    unary("gelu", lambda x: x * MP.ncdf(x), -4, 4, scale=4, analytic=False),
    unary("gelu_tanh", _gelu_tanh, -4, 4, scale=4),
    unary("silu", lambda x: x * _logistic(x), -5, 5),
]

LOSSES = [
    binary("sigmoid_cross_entropy", _bernoulli_loss, floats(-4, 4), floats(0, 1), scale=4, analytic=False),
    binary("squared_error", lambda p, t: (p - t) ** 2, ANY, ANY, ulps=8, scale=1),
    binary("absolute_error", lambda p, t: abs(p - t), ANY, ANY, ulps=1, analytic=False),
    binary(
        "huber_error",
        _huber,
        ANY,
        ANY,
        ulps=8,
        scale=1,
        analytic=False,
        avoid=lambda p, t: np.abs(np.abs(p - t) - 1) < 1e-3,
    ),
    Row(
        "huber_error",
        (ANY, ANY),
        with_params(TWO, delta=0.3),
        elementwise(_huber),
        ulps=8,
        scale=1,
        analytic=False,
        avoid=lambda p, t: np.abs(np.abs(p - t) - 0.3) < 1e-3,
        variant="delta",
    ),
]

RANDOM = [
    unary("uniform_float32", lambda b: int(b) // 256 / 2**24, 0, 1, draw=words(), ulps=0),
    binary(
        "uniform_float64", lambda h, low: ((int(h) >> 5) * 2**26 + (int(low) >> 6)) / 2**53, words(), words(), ulps=0
    ),
    unary("normal_quantile", lambda b: MP.sqrt(2) * MP.erfinv((2 * b + 1) / 2**32 - 1), 0, 1, draw=words(), ulps=16),
]

ROWS = [*ARITHMETIC, *COMPARISON, *ANALYSIS, *ACTIVATIONS, *LOSSES, *RANDOM]
