"""Proofs by SymPy: the elementwise rules are the derivatives, and the bodies of composites the functions, exactly."""

import numpy as np
import pytest
import sympy as sp

from clearprop.primitives import REGISTRY, Zero
from clearprop.program.types import PYTHON_SCALARS
from clearprop.rules import on_demand
from tests.primitives.symbolic import LEAVES, SCALAR, expression
from tests.primitives.table import TABLE

x, real, g = sp.Symbol("x", real=True), sp.Symbol("r", real=True), sp.Symbol("g", real=True)
p, q = sp.symbols("p q", positive=True)
LOGISTIC = 1 / (1 + sp.exp(-x))
a, b = sp.symbols("a b", real=True)
HALF = sp.Rational(1, 2)
NORMAL = (1 + sp.erf(x / sp.sqrt(2))) / 2
INNER = sp.sqrt(2 / sp.pi) * (x + sp.Rational("0.044715") * x**3)
SELU = sp.Rational("1.0507009873554805"), sp.Rational("1.6732632423543772")

EVERYWHERE = [{}]
BOTH_SIDES = [{x: p}, {x: -p}]
ORDERED = [{a: b + p}, {b: a + p}]
INSIDE = [{x: p / (1 + p)}, {x: -p / (1 + p)}]  # the interval (−1, 1)

# name: (operands, the function, regions in which to prove it as substitutions)
KNOWN = {
    "add": ((a, b), a + b, EVERYWHERE),
    "subtract": ((a, b), a - b, EVERYWHERE),
    "multiply": ((a, b), a * b, EVERYWHERE),
    "divide": ((a, b), a / b, EVERYWHERE),
    "negative": ((x,), -x, EVERYWHERE),
    "pow": ((a, b), a**b, [{a: p}]),
    "square": ((x,), x**2, EVERYWHERE),
    "abs": ((x,), sp.Abs(x), BOTH_SIDES),
    "sign": ((x,), sp.sign(x), BOTH_SIDES),
    "maximum": ((a, b), sp.Max(a, b), ORDERED),
    "minimum": ((a, b), sp.Min(a, b), ORDERED),
    "identity": ((x,), x, EVERYWHERE),
    "exp": ((x,), sp.exp(x), EVERYWHERE),
    "expm1": ((x,), sp.exp(x) - 1, EVERYWHERE),
    "log": ((x,), sp.log(x), [{x: p}]),
    "log1p": ((x,), sp.log(1 + x), [{x: p}, {x: -p / (1 + p)}]),
    "log2": ((x,), sp.log(x) / sp.log(2), [{x: p}]),
    "log10": ((x,), sp.log(x) / sp.log(10), [{x: p}]),
    "sqrt": ((x,), sp.sqrt(x), [{x: p}]),
    "reciprocal": ((x,), 1 / x, EVERYWHERE),
    "sin": ((x,), sp.sin(x), EVERYWHERE),
    "cos": ((x,), sp.cos(x), EVERYWHERE),
    "tan": ((x,), sp.tan(x), EVERYWHERE),
    "asin": ((x,), sp.asin(x), INSIDE),
    "acos": ((x,), sp.acos(x), INSIDE),
    "atan": ((x,), sp.atan(x), EVERYWHERE),
    "atan2": ((a, b), sp.atan2(a, b), EVERYWHERE),
    "sinh": ((x,), sp.sinh(x), EVERYWHERE),
    "cosh": ((x,), sp.cosh(x), EVERYWHERE),
    "tanh": ((x,), sp.tanh(x), EVERYWHERE),
    "asinh": ((x,), sp.asinh(x), INSIDE),  # beyond 1e10 the rule is 1/|x|, equal to rounding
    "acosh": ((x,), sp.acosh(x), [{x: 1 + p}]),
    "atanh": ((x,), sp.atanh(x), INSIDE),
    "erf": ((x,), sp.erf(x), EVERYWHERE),
    "logaddexp": ((a, b), sp.log(sp.exp(a) + sp.exp(b)), ORDERED),
    "sigmoid": ((x,), LOGISTIC, EVERYWHERE),
    "softplus": ((x,), sp.log(1 + sp.exp(x)), BOTH_SIDES),
    "relu": ((x,), sp.Max(x, 0), BOTH_SIDES),
    "leaky_relu": ((x,), sp.Piecewise((x, x > 0), (x / 100, True)), BOTH_SIDES),
    "relu6": ((x,), sp.Min(sp.Max(x, 0), 6), [{x: -p}, {x: 6 * p / (1 + p)}, {x: 6 + p}]),
    "elu": ((x,), sp.Piecewise((x, x > 0), (sp.exp(x) - 1, True)), BOTH_SIDES),
    "selu": ((x,), SELU[0] * sp.Piecewise((x, x > 0), (SELU[1] * (sp.exp(x) - 1), True)), BOTH_SIDES),
    "gelu": ((x,), x * NORMAL, EVERYWHERE),
    "gelu_tanh": ((x,), x / 2 * (1 + sp.tanh(INNER)), EVERYWHERE),
    "silu": ((x,), x * LOGISTIC, EVERYWHERE),
    "squared_error": ((a, b), (a - b) ** 2, EVERYWHERE),
    "absolute_error": ((a, b), sp.Abs(a - b), ORDERED),
    "huber_error": ((a, b), sp.Piecewise(((a - b) ** 2 / 2, sp.Abs(a - b) <= 1), (sp.Abs(a - b) - HALF, True)),
                    [{a: b + p / (1 + p)}, {a: b - p / (1 + p)}, {a: b + 1 + p}, {b: a + 1 + p}]),
    "hypot": ((a, b), sp.sqrt(a**2 + b**2), [{a: p, b: q}, {a: -p, b: q}]),
    "positive": ((x,), x, EVERYWHERE),
    "exp2": ((x,), 2**x, EVERYWHERE),
    "rsqrt": ((x,), 1 / sp.sqrt(x), [{x: p}]),
    "xlogy": ((a, b), a * sp.log(b), [{a: p, b: q}, {a: -p, b: q}]),
    "xlog1py": ((a, b), a * sp.log(1 + b), [{a: p, b: q}, {a: -p, b: q}]),
    "logit": ((x,), sp.log(x / (1 - x)), [{x: p / (1 + p)}]),
    "softsign": ((x,), x / (1 + sp.Abs(x)), BOTH_SIDES),
    "mish": ((x,), x * ((1 + sp.exp(x)) ** 2 - 1) / ((1 + sp.exp(x)) ** 2 + 1), BOTH_SIDES),
    "hard_tanh": ((x,), sp.Min(sp.Max(x, -1), 1), [{x: -1 - p}, {x: p / (1 + p)}, {x: 1 + p}]),
    "hard_sigmoid": ((x,), sp.Min(sp.Max(x + 3, 0), 6) / 6, [{x: -3 - p}, {x: 3 * p / (1 + p)}, {x: 3 + p}]),
    "hard_silu": ((x,), x * sp.Min(sp.Max(x + 3, 0), 6) / 6, [{x: -3 - p}, {x: 3 * p / (1 + p)}, {x: 3 + p}]),
    "sinc": ((x,), sp.sin(sp.pi * x) / (sp.pi * x), [{x: 1 + p}, {x: -1 - p}]),  # nearer to 0 the rule is a series
    "sigmoid_cross_entropy": ((x, b), -b * sp.log(LOGISTIC) - (1 - b) * sp.log(1 - LOGISTIC), BOTH_SIDES),
}  # fmt: skip


def in_exponentials(difference):
    """A fraction in exponentials, cancelled: a hundred times faster than to simplify, where it decides."""
    try:
        return sp.cancel(difference.rewrite(sp.exp))
    except sp.PolynomialError:  # a function by pieces
        return difference


def proved_zero(difference):
    """Whether an expression is identically zero: simplified, or decided by SymPy's own zero test."""
    for attempt in (
        lambda d: d,
        in_exponentials,
        sp.simplify,
        lambda d: sp.simplify(d.rewrite(sp.exp)),
        lambda d: sp.expand_log(sp.simplify(d), force=True),
    ):
        difference = attempt(difference)
        if difference == 0:
            return True
    return difference.equals(0) is True


def in_regions(operands, regions):
    for region in regions:
        yield region, [sp.sympify(o).subs(region) for o in operands]


@pytest.mark.parametrize("name", [n for n in KNOWN if n not in LEAVES])
def test_bodies_are_the_functions(name):
    operands, function, regions = KNOWN[name]
    for region, values in in_regions(operands, regions):
        (body,) = expression(REGISTRY[name].body, [SCALAR] * len(values), values, REGISTRY[name].params)
        assert proved_zero(body - function.subs(region)), (name, region, body)


@pytest.mark.parametrize("name", KNOWN)
def test_rules_are_the_derivatives(name):
    primitive = REGISTRY[name]
    operands, function, regions = KNOWN[name]
    for k, rule in enumerate(primitive.rules):
        if rule is None:
            continue
        for region, values in in_regions(operands, regions):
            wanted = sp.diff(function, operands[k]).subs(region).doit()
            if isinstance(rule, Zero):
                assert proved_zero(wanted), (name, region)
                continue

            def ruled(g, y, *xs, rule=rule):
                out = rule.call(g, y, xs, primitive.params)
                return np.float64(out) if type(out) in PYTHON_SCALARS else out

            y = function.subs(region)
            (found,) = expression(ruled, [SCALAR] * (2 + len(values)), [g, y, *values])
            assert proved_zero(found - g * wanted), (name, operands[k], region, sp.simplify(found), wanted)


def test_every_elementwise_rule_is_proved_or_excused():
    excused = {
        "floor", "ceil", "round", "stop_gradient",  # constant by pieces, or by decree
        "where", "clip",  # choices: every branch is the operand itself; the matrix covers them
        "astype",
        "nan_or_zero", "zero_or_nan",  # the derivative of a closed gate, itself closed
        "floor_divide", "trunc", "remainder", "fmod",  # steps, and what lies between them
        *on_demand.FAMILIES["special_functions"], "inverse_mills",  # the matrix covers them, by mpmath
        *on_demand.FAMILIES["incomplete_functions"], "gammainc_slope", "betainc_slope",
        "wald_number",  # implicit, along the distribution: test_further_distributions
        "copysign", "nextafter",  # moves of a sign and of a last bit; the matrix covers them
    }  # fmt: skip
    with_rules = {
        row.name
        for row in TABLE
        if REGISTRY[row.name].kind == "elementwise" and any(r is not None for r in REGISTRY[row.name].rules)
    }
    assert with_rules == set(KNOWN) | excused
