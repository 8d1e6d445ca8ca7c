"""NaN, infinities, signed zeros and kinks: values and slopes where floating-point numbers end.

The tables are written by hand from the functions' limits; NaN only equals NaN.
"""

import math

import numpy as np
import pytest

import clearprop as cl
from clearprop.primitives import REGISTRY
from clearprop.rules import on_demand
from tests.primitives.factory import array

inf, nan, pi = math.inf, math.nan, math.pi
HUGE, TINY = 1e300, 1e-300

# The values at −inf, −0.0, 0.0, 1.0, inf and NaN.
UNARY = {
    "negative": (inf, 0.0, -0.0, -1.0, -inf, nan),
    "square": (inf, 0.0, 0.0, 1.0, inf, nan),
    "abs": (inf, 0.0, 0.0, 1.0, inf, nan),
    "sign": (-1.0, 0.0, 0.0, 1.0, 1.0, nan),
    "floor": (-inf, -0.0, 0.0, 1.0, inf, nan),
    "ceil": (-inf, -0.0, 0.0, 1.0, inf, nan),
    "round": (-inf, -0.0, 0.0, 1.0, inf, nan),
    "stop_gradient": (-inf, -0.0, 0.0, 1.0, inf, nan),
    "identity": (-inf, -0.0, 0.0, 1.0, inf, nan),
    "exp": (0.0, 1.0, 1.0, math.e, inf, nan),
    "expm1": (-1.0, -0.0, 0.0, math.e - 1, inf, nan),
    "log": (nan, -inf, -inf, 0.0, inf, nan),
    "log1p": (nan, -0.0, 0.0, math.log(2), inf, nan),
    "log2": (nan, -inf, -inf, 0.0, inf, nan),
    "log10": (nan, -inf, -inf, 0.0, inf, nan),
    "sqrt": (nan, -0.0, 0.0, 1.0, inf, nan),
    "reciprocal": (-0.0, -inf, inf, 1.0, 0.0, nan),
    "sin": (nan, -0.0, 0.0, math.sin(1), nan, nan),
    "cos": (nan, 1.0, 1.0, math.cos(1), nan, nan),
    "tan": (nan, -0.0, 0.0, math.tan(1), nan, nan),
    "asin": (nan, -0.0, 0.0, pi / 2, nan, nan),
    "acos": (nan, pi / 2, pi / 2, 0.0, nan, nan),
    "atan": (-pi / 2, -0.0, 0.0, pi / 4, pi / 2, nan),
    "sinh": (-inf, -0.0, 0.0, math.sinh(1), inf, nan),
    "cosh": (inf, 1.0, 1.0, math.cosh(1), inf, nan),
    "tanh": (-1.0, -0.0, 0.0, math.tanh(1), 1.0, nan),
    "asinh": (-inf, -0.0, 0.0, math.asinh(1), inf, nan),
    "acosh": (nan, nan, nan, 0.0, inf, nan),
    "atanh": (nan, -0.0, 0.0, inf, nan, nan),
    "erf": (-1.0, -0.0, 0.0, math.erf(1), 1.0, nan),
    "sigmoid": (0.0, 0.5, 0.5, 1 / (1 + math.exp(-1)), 1.0, nan),
    "softplus": (0.0, math.log(2), math.log(2), math.log(1 + math.e), inf, nan),
    "relu": (0.0, 0.0, 0.0, 1.0, inf, nan),
    "leaky_relu": (-inf, 0.0, 0.0, 1.0, inf, nan),
    "relu6": (0.0, 0.0, 0.0, 1.0, 6.0, nan),
    "elu": (-1.0, 0.0, 0.0, 1.0, inf, nan),
    "selu": (-1.7580993408473766, 0.0, 0.0, 1.0507009873554805, inf, nan),
    "gelu": (nan, 0.0, 0.0, 0.5 * (1 + math.erf(math.sqrt(0.5))), inf, nan),
    "gelu_tanh": (nan, 0.0, 0.0, 0.8411919906082768, inf, nan),
    "silu": (nan, 0.0, 0.0, 1 / (1 + math.exp(-1)), inf, nan),
    "trunc": (-inf, -0.0, 0.0, 1.0, inf, nan),
    "positive": (-inf, -0.0, 0.0, 1.0, inf, nan),
    "exp2": (0.0, 1.0, 1.0, 2.0, inf, nan),
    "rsqrt": (nan, -inf, inf, 1.0, 0.0, nan),
    "deg2rad": (-inf, -0.0, 0.0, pi / 180, inf, nan),
    "rad2deg": (-inf, -0.0, 0.0, 180 / pi, inf, nan),
    "logit": (nan, -inf, -inf, inf, nan, nan),
    "softsign": (nan, 0.0, 0.0, 0.5, nan, nan),
    "mish": (nan, 0.0, 0.0, math.tanh(math.log(1 + math.e)), inf, nan),
    "hard_tanh": (-1.0, 0.0, 0.0, 1.0, 1.0, nan),
    "hard_sigmoid": (0.0, 0.5, 0.5, 2 / 3, 1.0, nan),
    "hard_silu": (nan, 0.0, 0.0, 2 / 3, inf, nan),
    "sinc": (nan, 1.0, 1.0, -0.0, nan, nan),
    "erfc": (2.0, 1.0, 1.0, math.erfc(1), 0.0, nan),
    "erfcx": (inf, 1.0, 1.0, math.e * math.erfc(1), 0.0, nan),
    "erfinv": (nan, 0.0, 0.0, inf, nan, nan),
    "lgamma": (-inf, inf, inf, 0.0, inf, nan),  # at −∞ the logarithm has no limit; this is SciPy's value
    "digamma": (nan, inf, -inf, -0.5772156649015329, inf, nan),
    "i0": (nan, 1.0, 1.0, 1.2660658777520084, nan, nan),  # at ∞ SciPy's value is NaN: ∞ · 0
    "i1": (nan, 0.0, 0.0, 0.5651591039924851, nan, nan),
    "i0e": (0.0, 1.0, 1.0, 0.46575960759364043, 0.0, nan),
    "i1e": (-0.0, 0.0, 0.0, 0.2079104153497085, 0.0, nan),
    "ndtr": (0.0, 0.5, 0.5, 0.8413447460685429, 1.0, nan),
    "log_ndtr": (-inf, math.log(0.5), math.log(0.5), math.log(0.8413447460685429), -0.0, nan),
    "inverse_mills": (inf, math.sqrt(2 / pi), math.sqrt(2 / pi), 0.28759997093917833, 0.0, nan),
    "ndtri": (nan, -inf, -inf, inf, nan, nan),
    "entr": (nan, 0.0, 0.0, 0.0, -inf, nan),
}
POINTS = (-inf, -0.0, 0.0, 1.0, inf, nan)

# a, b, value; in both orders where that is marked by the name
BINARY = {
    "add": [(inf, 1.0, inf), (inf, -inf, nan), (nan, 1.0, nan), (-0.0, -0.0, -0.0)],
    "subtract": [(inf, inf, nan), (1.0, inf, -inf), (nan, inf, nan)],
    "multiply": [(inf, 0.0, nan), (inf, -2.0, -inf), (nan, 0.0, nan), (-0.0, 3.0, -0.0)],
    "divide": [
        (1.0, 0.0, inf),
        (-1.0, 0.0, -inf),
        (0.0, 0.0, nan),
        (1.0, inf, 0.0),
        (inf, inf, nan),
        (1.0, -0.0, -inf),
    ],
    "pow": [
        (0.0, 0.0, 1.0),
        (nan, 0.0, 1.0),
        (0.0, -1.0, inf),
        (-1.0, 0.5, nan),
        (inf, 2.0, inf),
        (2.0, -inf, 0.0),
        (1.0, nan, 1.0),
    ],
    "maximum": [(nan, 1.0, nan), (1.0, nan, nan), (inf, -inf, inf)],
    "minimum": [(nan, 1.0, nan), (1.0, nan, nan), (inf, -inf, -inf)],
    "atan2": [
        (0.0, -1.0, pi),
        (-0.0, -1.0, -pi),
        (0.0, 0.0, 0.0),
        (inf, inf, pi / 4),
        (1.0, -inf, pi),
        (nan, 1.0, nan),
    ],
    "logaddexp": [
        (-inf, -inf, -inf),
        (inf, 0.0, inf),
        (-inf, 1.0, 1.0),
        (inf, -inf, inf),
        (nan, 0.0, nan),
        (1000.0, 1000.0, 1000.0 + math.log(2)),
    ],
    "floor_divide": [  # the standard's table
        *((x, nan, nan) for x in (-1.0, 0.0, inf)),
        *((s * inf, t * inf, nan) for s in (1, -1) for t in (1, -1)),
        *((0.0, s * 0.0, nan) for s in (1, -1)),
        *((s * 1.0, t * 0.0, s * t * inf) for s in (1, -1) for t in (1, -1)),
        *((s * 1.0, s * inf, 0.0) for s in (1, -1)),
        *((s * 1.0, -s * inf, -1.0) for s in (1, -1)),
        (7.0, 2.0, 3.0),
        (-7.0, 2.0, -4.0),
    ],
    "remainder": [  # the standard's table
        *((x, nan, nan) for x in (-1.0, 0.0, inf)),
        *((s * inf, 1.0, nan) for s in (1, -1)),
        *((x, s * 0.0, nan) for x in (0.0, 1.0, -1.0) for s in (1, -1)),
        (1.0, inf, 1.0),
        (-1.0, -inf, -1.0),
        (1.0, -inf, -inf),
        (-1.0, inf, inf),
        (0.0, 2.0, 0.0),
        (-0.0, -2.0, -0.0),
        (-7.0, 2.0, 1.0),
    ],
    "fmod": [(inf, 1.0, nan), (1.0, 0.0, nan), (1.0, inf, 1.0), (-7.0, 2.0, -1.0), (nan, 1.0, nan)],
    "hypot": [  # an infinite side wins even over NaN
        *((s * inf, x, inf) for s in (1, -1) for x in (nan, 0.0, inf)),
        *((x, s * inf, inf) for s in (1, -1) for x in (nan, 0.0, inf)),
        (nan, 1.0, nan),
        (-0.0, -3.0, 3.0),
        (HUGE, HUGE, math.hypot(HUGE, HUGE)),
        (TINY, TINY, math.hypot(TINY, TINY)),
    ],
    "copysign": [
        (1.0, -0.0, -1.0),
        (-1.0, 0.0, 1.0),
        (inf, -nan, -inf),
        (0.0, -1.0, -0.0),
        (-0.0, inf, 0.0),
        (nan, 1.0, nan),
    ],
    "nextafter": [
        (nan, 1.0, nan),
        (1.0, nan, nan),
        (0.0, 1.0, 5e-324),
        (1.0, 1.0, 1.0),
        (inf, 0.0, 1.7976931348623157e308),
    ],
    "xlogy": [(0.0, 0.0, 0.0), (0.0, inf, 0.0), (0.0, nan, nan), (1.0, 0.0, -inf), (0.0, -1.0, 0.0)],
    "xlog1py": [(0.0, -1.0, 0.0), (0.0, inf, 0.0), (0.0, nan, nan), (1.0, -1.0, -inf)],
    "fmax": [(nan, 1.0, 1.0), (1.0, nan, 1.0), (nan, nan, nan), (inf, -inf, inf)],
    "fmin": [(nan, 1.0, 1.0), (1.0, nan, 1.0), (nan, nan, nan), (inf, -inf, -inf)],
    "heaviside": [(-inf, 0.5, 0.0), (0.0, 0.5, 0.5), (-0.0, nan, nan), (inf, 0.5, 1.0), (nan, 0.5, nan)],
    "equal": [(nan, nan, False), (0.0, -0.0, True), (inf, inf, True)],
    "not_equal": [(nan, nan, True), (inf, -inf, True)],
    "less": [(nan, 1.0, False), (-inf, inf, True)],
    "less_equal": [(nan, nan, False), (inf, inf, True)],
    "greater": [(nan, 1.0, False), (inf, 1.0, True)],
    "greater_equal": [(nan, nan, False), (-inf, -inf, True)],
    "sigmoid_cross_entropy": [(1000.0, 1.0, 0.0), (-1000.0, 1.0, 1000.0), (1000.0, 0.0, 1000.0), (nan, 1.0, nan)],
    "squared_error": [(inf, 0.0, inf), (nan, 0.0, nan)],
    "absolute_error": [(-inf, 0.0, inf), (inf, inf, nan)],
    "huber_error": [(inf, 0.0, inf), (nan, 0.0, nan), (1e200, 0.0, 1e200)],
}

REDUCED = {
    "sum": [([inf, -inf], nan), ([nan, 1.0], nan), ([inf, 1.0], inf)],
    "mean": [([inf, 1.0], inf), ([], nan)],
    "max": [([nan, 1.0], nan), ([-inf, -inf], -inf)],
    "min": [([1.0, nan], nan), ([inf, inf], inf)],
    "prod": [([inf, 0.0], nan), ([], 1.0), ([nan, 1.0, 2.0], nan)],
    "logsumexp": [
        ([-inf, -inf], -inf),
        ([inf, 1.0], inf),
        ([inf, -inf], inf),
        ([nan, 1.0], nan),
        ([1000.0, 1000.0], 1000.0 + math.log(2)),
        ([-inf, 2.0], 2.0),
    ],
    "var": [([inf, 1.0], nan), ([3.0, 3.0], 0.0)],
    "norm": [([inf, 1.0], inf), ([nan, 1.0], nan), ([0.0, 0.0], 0.0)],
    "argmax": [([1.0, nan, 2.0], 1), ([1.0, 1.0], 0), ([-inf, -inf], 0)],
    "argmin": [([1.0, nan, 0.0], 1), ([inf, inf], 0)],
}


def agrees(got, want, signed=True):
    got = np.asarray(got).item()
    if math.isnan(want) or math.isinf(want) or want == 0:
        signed = not signed or isinstance(got, bool) or math.copysign(1, got) == math.copysign(1, want)
        return (math.isnan(got) and math.isnan(want)) or (got == want and signed)
    return abs(got - want) <= 4e-16 * abs(want)


@pytest.mark.parametrize("name", UNARY)
def test_unary(name):
    for x, want in zip(POINTS, UNARY[name], strict=True):
        for value in (np.float64(x), np.array([x])):
            assert agrees(REGISTRY[name](value), want, not REGISTRY[name].is_composite), (
                name,
                x,
                REGISTRY[name](value),
                want,
            )


@pytest.mark.parametrize("name", BINARY)
def test_binary(name):
    for a, b, want in BINARY[name]:
        got = REGISTRY[name](np.float64(a), np.array([b]))
        assert agrees(got, want), (name, a, b, got, want)


@pytest.mark.parametrize("name", REDUCED)
def test_reduced(name):
    for values, want in REDUCED[name]:
        assert agrees(getattr(cl, name)(np.array(values)), want), (name, values)


def test_every_elementwise_primitive_is_in_a_table():
    elsewhere = {"where", "clip", "astype", "logical_and", "logical_or", "logical_not", "isnan", "isfinite",
                 "nan_or_zero", "zero_or_nan", "uniform_float32", "uniform_float64", "normal_quantile",
                 "open_uniform", "exact_log", "gamma_slope", "gammainc_slope", "betainc_slope",
                 "von_mises_slope", "wald_number",
                 "signbit", "isinf", "lerp", "gcd", "lcm", "polygamma", "gammainc", "gammaincc", "beta", "betainc",
                 "betaln", "zeta", "conj", "imag", "real",
                 *on_demand.FAMILIES["bits"]}  # fmt: skip
    declared = {n for n, p in REGISTRY.items() if p.kind == "elementwise" and p.__module__.startswith("clearprop.")}
    assert declared == set(UNARY) | set(BINARY) | elsewhere


def test_chosen_and_clipped_values():
    assert agrees(cl.where(np.array(False), nan, 1.0).item(), 1.0)
    assert agrees(cl.clip(np.float64(nan), 0.0, 1.0).item(), nan)
    assert agrees(cl.clip(np.float64(inf), 0.0, 1.0).item(), 1.0)
    assert agrees(cl.clip(np.float64(-inf), None, 1.0).item(), -inf)


# ------------------------------------------------------------------------------------------------ derivatives
# name: (x, slope) pairs; what is a convention is said in the primitive's docstring
SLOPES = {
    "abs": [(0.0, 0.0), (-inf, -1.0), (inf, 1.0)],
    "relu": [(0.0, 0.0), (inf, 1.0), (-inf, 0.0)],
    "leaky_relu": [(0.0, 0.01), (inf, 1.0), (-inf, 0.01)],
    "relu6": [(0.0, 0.0), (6.0, 0.0), (inf, 0.0), (-inf, 0.0)],
    "elu": [(0.0, 1.0), (inf, 1.0), (-inf, 0.0)],
    "selu": [(inf, 1.0507009873554805), (-inf, 0.0)],
    "sigmoid": [(inf, 0.0), (-inf, 0.0), (1000.0, 0.0), (-1000.0, 0.0)],
    "softplus": [(inf, 1.0), (-inf, 0.0), (1000.0, 1.0), (-1000.0, 0.0)],
    "tanh": [(inf, 0.0), (-inf, 0.0), (1000.0, 0.0)],
    "erf": [(inf, 0.0), (-inf, 0.0), (50.0, 0.0)],
    "gelu": [(50.0, 1.0), (-50.0, 0.0), (HUGE, 1.0), (-HUGE, 0.0)],
    "gelu_tanh": [(50.0, 1.0), (-50.0, 0.0), (HUGE, 1.0), (-HUGE, 0.0)],
    "silu": [(1000.0, 1.0), (-1000.0, 0.0), (HUGE, 1.0), (-HUGE, 0.0)],
    "sqrt": [(0.0, inf), (inf, 0.0), (-1.0, nan)],
    "log": [(0.0, inf), (inf, 0.0)],
    "exp": [(-inf, 0.0), (inf, inf)],
    "expm1": [(-inf, 0.0), (inf, inf)],
    "asin": [(1.0, inf), (-1.0, inf)],
    "acos": [(1.0, -inf)],
    "acosh": [(1.0, inf)],
    "atanh": [(1.0, inf)],
    "asinh": [(inf, 0.0), (-inf, 0.0)],
    "atan": [(inf, 0.0), (HUGE, 0.0)],
    "reciprocal": [(inf, 0.0), (0.0, -inf)],
    "norm": [(0.0, 0.0)],
}


@pytest.mark.parametrize("name", SLOPES)
def test_slopes(name):
    for x, want in SLOPES[name]:
        got = cl.grad(getattr(cl, name))(x)
        found = array(got).item()
        assert (found == want) or (math.isnan(found) and math.isnan(want)), (name, x, found, want)


TWO_SLOPES = {
    "maximum": [(1.0, 1.0, 0.5, 0.5), (inf, 1.0, 1.0, 0.0), (-inf, -inf, 0.5, 0.5)],
    "minimum": [(1.0, 1.0, 0.5, 0.5), (inf, 1.0, 0.0, 1.0)],
    "pow": [
        (0.0, 0.0, 0.0, 0.0),
        (0.0, 2.0, 0.0, 0.0),
        (0.0, 1.0, 1.0, 0.0),
        (3.0, 0.0, 0.0, math.log(3)),
        (-2.0, 2.0, -4.0, nan),
    ],
    "divide": [(1.0, 0.0, inf, -inf), (0.0, 2.0, 0.5, 0.0), (1.0, inf, 0.0, 0.0)],
    "atan2": [(0.0, 1.0, 1.0, 0.0), (0.0, -1.0, -1.0, 0.0)],
    "logaddexp": [(-inf, 0.0, 0.0, 1.0), (1000.0, 1000.0, 0.5, 0.5), (1000.0, -1000.0, 1.0, 0.0), (inf, 0.0, 1.0, 0.0)],
    "absolute_error": [(1.0, 1.0, 0.0, 0.0)],
    "huber_error": [(1.0, 1.0, 0.0, 0.0), (HUGE, 0.0, 1.0, -1.0)],
    "multiply": [(inf, 0.0, 0.0, inf)],
}


@pytest.mark.parametrize("name", TWO_SLOPES)
def test_slopes_in_two_operands(name):
    for a, b, *want in TWO_SLOPES[name]:
        got = cl.grad(getattr(cl, name), argnums=(0, 1))(a, b)
        for g, w in zip(got, want, strict=True):
            found = g.item()
            assert found == w or (math.isnan(found) and math.isnan(w)) or abs(found - w) <= 4e-16 * abs(w), (
                name,
                a,
                b,
                found,
                w,
            )


def test_a_closed_gate_passes_nothing_even_of_an_infinite_cotangent():
    for gate in (
        cl.relu,
        lambda x: cl.where(x > 0, x, 0.0),
        lambda x: cl.maximum(x, 0.0),
        lambda x: cl.clip(x, 0.0, None),
    ):
        _, pullback = cl.vjp(gate, np.array([-1.0, 2.0]))
        (g,) = pullback(np.array([inf, 3.0]))
        assert g.tolist() == [0.0, 3.0]


def test_ties_share_the_derivative():
    assert cl.grad(cl.max)(np.array([2.0, 1.0, 2.0])).tolist() == [0.5, 0.0, 0.5]
    assert cl.grad(cl.min)(np.array([1.0, 1.0, 1.0, 4.0])).tolist() == [1 / 3, 1 / 3, 1 / 3, 0.0]


def test_products_with_zeros_have_the_right_derivatives():
    assert cl.grad(cl.prod)(np.array([0.0, 2.0, 5.0])).tolist() == [10.0, 0.0, 0.0]
    assert cl.grad(cl.prod)(np.array([0.0, 0.0, 5.0])).tolist() == [0.0, 0.0, 0.0]
    assert cl.hessian(cl.prod)(np.array([0.0, 0.0, 5.0]))[0, 1].item() == 5.0


def test_masked_classes_have_no_probability_and_no_gradient():
    z = np.array([1.0, -inf, 2.0])
    p = cl.softmax(z).numpy()
    assert p[1] == 0 and abs(p.sum() - 1) < 1e-15
    g = cl.grad(lambda t: cl.softmax_cross_entropy(t, np.int64(0)))(z).numpy()
    assert g[1] == 0 and np.all(np.isfinite(g))


def test_float32_overflows_in_float32():
    assert cl.exp(np.float32(100)).item() == inf
    assert cl.square(np.float32(1e30)).dtype == np.float32
    assert cl.sigmoid(np.float32(-200)).item() == 0.0
    assert cl.softplus(np.float32(200)).item() == 200.0
