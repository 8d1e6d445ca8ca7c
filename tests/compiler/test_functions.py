"""The vector functions of compiled kernels: errors in ulp over the whole range, and NumPy's answers at the edges.

float32: every exponent and sign (subnormals are exponent 0) with 1,000 mantissas each, against float64.
float64: every exponent and sign with 30 mantissas, and the working range densely, against extended precision; erf
against 40 digits.
"""

from __future__ import annotations

import functools

import mpmath
import numpy as np
import pytest
from scipy import special

import clearprop as cl
from clearprop.program.values import raw

ULPS = {  # measured: 0.98 1.56, 0.78 0.83, 1.25 1.34, 5.2 1.0
    "exp": (1.0, 2.0),
    "log": (1.0, 1.0),
    "tanh": (1.5, 1.5),
    "erf": (6.0, 1.0),
}
EXACT = {"exp": np.exp, "log": np.log, "tanh": np.tanh, "erf": special.erf}
SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0)
EDGES = {  # around overflow, underflow, saturation and the seams of the polynomial forms
    "exp": (88.72283, 88.722839, 88.73, 89.0, -87.33655, -103.97, -103.98, -104.0, -110.0, 1e30, -1e30),
    "log": (1.1754944e-38, 1.1754942e-38, 1.0, 0.99999994, 1.0000001, 0.70710677, 1.4142135, 3.4028235e38),
    "tanh": (0.625, 0.62499994, 9.0, 20.0, 88.0, 1e30, -0.625, -20.0, 1e-30),
    "erf": (3.92, 3.9199998, -3.92, 4.0, 30.0, 1e30, -1e30, 1e-30),
}
EDGES64 = {
    "exp": (709.782712893384, 709.7827128933841, 709.79, -708.4, -745.1332191019411, -745.14, 1e300, -1e300),
    "log": (2.2250738585072014e-308, 2.225073858507201e-308, 1.0, 0.9999999999999999, 1.7976931348623157e308),
    "tanh": (0.625, 0.6249999999999999, 19.0, 22.0, 30.0, -1e300, 1e-300),
    "erf": (5.9, 6.0, -6.0, 30.0, 1e300, 1e-300),
}


@functools.cache
def compiled(name):
    return cl.compile(getattr(cl, name), executor="numba")


def native(name, x):
    return np.asarray(compiled(name)(x))


@functools.cache
def every_exponent(dtype):
    """Both signs of every exponent, with the first, the last and random mantissas."""
    word, bits, exponents, count = (np.uint32, 23, 512, 1000) if dtype is np.float32 else (np.uint64, 52, 4096, 30)
    rng = np.random.default_rng(0)
    mantissas = np.concatenate([rng.integers(0, 2**bits, count, word), np.array([0, 1, 2**bits - 1], word)])
    x = ((np.arange(exponents, dtype=word) << word(bits))[:, None] | mantissas).ravel().view(dtype)
    return x[np.isfinite(x)]


def units(y, dtype):
    """The spacing of numbers of a dtype at y; that of subnormals below the normal range."""
    info = np.finfo(dtype)
    exponent = np.maximum(np.frexp(np.abs(y))[1] - 1, info.minexp)
    return np.ldexp(np.longdouble(1), exponent - info.nmant)


def largest_error(got, want, dtype):
    """In ulp, where the true value is in range."""
    with np.errstate(all="ignore"):
        fine = np.abs(want) <= np.finfo(dtype).max
        return float(np.max(np.abs(got.astype(np.longdouble) - want)[fine] / units(want[fine], dtype)))


@pytest.mark.parametrize("name", ULPS)
def test_float32_over_every_exponent(name):
    x = every_exponent(np.float32)
    with np.errstate(all="ignore"):
        want = EXACT[name](x.astype(np.float64)).astype(np.longdouble)
    got = native(name, x)
    assert got.dtype == np.float32
    assert largest_error(got, want, np.float32) <= ULPS[name][0]


@pytest.mark.parametrize("name", ULPS)
def test_float64_over_every_exponent(name):
    x = np.concatenate([every_exponent(np.float64), np.random.default_rng(1).uniform(-745, 709, 50000)])
    if name == "erf":  # extended precision has none
        x = np.random.default_rng(1).uniform(-6, 6, 2000)
        want = np.array([_extended(mpmath.erf(mpmath.mpf(v))) for v in x])
    else:
        with np.errstate(all="ignore"):
            want = EXACT[name](x.astype(np.longdouble))
    assert largest_error(native(name, x), want, np.float64) <= ULPS[name][1]


def _extended(number):
    high = float(number)
    return np.longdouble(high) + np.longdouble(float(number - high))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ULPS)
def test_what_is_not_a_number_or_infinite_is_so_for_numpy_too(name, dtype):
    edges = EDGES[name] if dtype is np.float32 else EDGES64[name]
    near = np.array(edges, dtype)
    with np.errstate(all="ignore"):
        x = np.concatenate([np.array(SPECIAL, dtype), near, np.nextafter(near, dtype(np.inf)), every_exponent(dtype)])
        want = np.asarray(raw(getattr(cl, name)(x)))
    got = native(name, x)
    for found in (np.isnan, np.isposinf, np.isneginf):
        assert np.array_equal(found(got), found(want)), name
    zero = (got == 0) == (want == 0)
    assert np.all(zero | (np.abs(want) <= np.finfo(dtype).smallest_subnormal)), "zero but for a last subnormal"


@pytest.mark.parametrize("name", ["tanh", "erf"])
def test_bounded_functions_stay_bounded(name):
    for dtype in (np.float32, np.float64):
        got = native(name, every_exponent(dtype))
        assert np.max(np.abs(got)) == 1.0


def test_exp_of_a_subnormal_result_is_rounded_once():
    """Not flushed to zero: e⁻⁸⁸ … e⁻¹⁰³ are subnormal in float32."""
    x = np.linspace(-103.9, -87.4, 4000, dtype=np.float32)
    got = native("exp", x)
    assert np.all(got > 0)
    assert np.max(np.abs(got - np.exp(x.astype(np.float64)))) <= 1.0 * np.finfo(np.float32).smallest_subnormal


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_inherits_the_bound(dtype):
    """1/(1 + e⁻ˣ): two roundings and exp's error, where e⁻ˣ does not overflow."""
    x = np.linspace(-87 if dtype is np.float32 else -700, 60, 20001).astype(dtype)
    want = 1 / (1 + np.exp(-x.astype(np.longdouble)))
    assert largest_error(native("sigmoid", x), want, dtype) <= 4
