"""Distributions made of normal, exponential and gamma numbers, through which derivatives flow into all parameters.

They are compositions, except for the inverse Gaussian distribution: its numbers are chosen of two roots, and the
derivative is the implicit one at the number that was chosen, in closed form.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from clearprop.primitives import composite
from clearprop.program.types import Value
from clearprop.rules import random
from clearprop.rules.activations import sigmoid
from clearprop.rules.elementwise import abs, as_floating, astype, exp, expm1, log, sqrt, square, where
from clearprop.rules.on_demand import distributions
from clearprop.rules.on_demand.gamma_family import gamma
from clearprop.rules.on_demand.special_functions import erfcx
from clearprop.shapes import Dim, Shape, as_shape


def _standard_normal(key: Any, stream: int, shape: Shape) -> Any:
    """Normal numbers of their own stream."""
    return random.normal_quantile(random.random_bits(random.fold_in_(key, stream), shape=shape))


def _exponential(key: Any, stream: int, shape: Shape, dtype: DTypeLike) -> Any:
    numbers = distributions.standard_exponential(random.fold_in_(key, stream), shape)
    return astype(numbers, dtype=random.floating_dtype(dtype))


def _sign(key: Any, stream: int, shape: Shape) -> Any:
    return where(random.random_bits(random.fold_in_(key, stream), shape=shape) < 2**31, 1.0, -1.0)


def _as(value: Value, dtype: DTypeLike) -> Any:
    return astype(as_floating(value), dtype=random.floating_dtype(dtype))


@random.distribution
def half_normal(key: Any, shape: Dim | Shape = (), scale: Value = 1.0, dtype: DTypeLike = np.float64) -> Any:
    """Sizes |x| of normal numbers with mean 0 and standard deviation s.

    key    two 32-bit words: same key, same bits
    shape  of the numbers, an integer or a tuple; () is one number
    scale  s
    dtype  float64 or float32

    >>> import clearprop as cl
    >>> bool(cl.random.half_normal(cl.random.key(0)) > 0)
    True
    """
    random.require_scale(scale)
    return abs(random.normal(key, as_shape(shape), dtype=dtype)) * scale


@random.distribution
def half_cauchy(key: Any, shape: Dim | Shape = (), scale: Value = 1.0, dtype: DTypeLike = np.float64) -> Any:
    """Sizes |x| of Cauchy numbers around 0 with scale s; they have no mean.

    key    two 32-bit words: same key, same bits
    shape  of the numbers, an integer or a tuple; () is one number
    scale  s, the median
    dtype  float64 or float32

    >>> import clearprop as cl
    >>> bool(cl.random.half_cauchy(cl.random.key(0)) > 0)
    True
    """
    random.require_scale(scale)
    return abs(distributions.cauchy(key, as_shape(shape), dtype=dtype)) * scale


@random.distribution
def triangular(
    key: Any, low: Value, mode: Value, high: Value, shape: Dim | Shape = (), dtype: DTypeLike = np.float64
) -> Any:
    """Numbers whose density rises in a straight line from low to the mode and falls from there to high.

    key              two 32-bit words: same key, same bits
    low, mode, high  low ≤ mode ≤ high, low < high
    shape            of the numbers, with which the three broadcast; () is theirs
    dtype            float64 or float32

    >>> import clearprop as cl
    >>> x = cl.random.triangular(cl.random.key(0), 1.0, 2.0, 4.0)
    >>> bool((x > 1.0) & (x < 4.0))
    True
    """
    random.require_where_known("pair of bounds", high - low, lambda v: v > 0, "low < high")
    random.require_where_known("mode", mode - low, lambda v: v >= 0, "low <= mode")
    random.require_where_known("mode", high - mode, lambda v: v >= 0, "mode <= high")
    u = _as(distributions.open_uniforms(key, random.with_parameters(shape, low, mode, high)), dtype)
    left = u * (high - low) < mode - low
    rising = low + sqrt(where(left, u * (high - low) * (mode - low), 1.0))
    falling = high - sqrt(where(left, 1.0, (1.0 - u) * (high - low) * (high - mode)))
    return where(left, rising, falling)


def _mills_ratio(mean: Value, concentration: Value, y: Value) -> Any:
    """Φ(b)/φ(b) for b = −√(λ/y)(y/μ + 1)."""
    return math.sqrt(math.pi / 2) * erfcx(sqrt(concentration / (2.0 * y)) * (y / mean + 1.0))


@composite(
    "elementwise",
    dtype="float",
    tex=r"\operatorname{{Wald}}({mean}, {concentration})",
    public=False,
    d_mean=lambda g, mean, concentration, y: (
        g * 2.0 * sqrt(concentration * y) * y / square(mean) * _mills_ratio(mean, concentration, y)
    ),
    d_concentration=lambda g, mean, concentration, y: (
        g * (y / concentration - 2.0 * y / mean * sqrt(y / concentration) * _mills_ratio(mean, concentration, y))
    ),
)
def wald_number(normal: Value, uniform: Value, mean: Value, concentration: Value, /) -> Any:
    """The inverse Gaussian number of a normal and a uniform one (Michael, Schucany & Haas 1976).

    Which of two roots it is hangs on the parameters, so that the derivative is not that of the formula but the implicit
    one, −(∂F/∂μ)/f and −(∂F/∂λ)/f; in both the normal densities of the distribution function cancel.
    """
    w = mean * square(normal) / (2.0 * concentration)
    root = 1.0 + w + sqrt(w * (2.0 + w))
    return where(uniform * (1.0 + root) <= root, mean / root, mean * root)


@random.distribution
def wald(
    key: Any, mean: Value, concentration: Value = 1.0, shape: Dim | Shape = (), dtype: DTypeLike = np.float64
) -> Any:
    """Inverse Gaussian numbers, of the density √(λ/2πx³) e^(−λ(x−μ)²/2μ²x) from 0 on; derivatives are implicit.

    key            two 32-bit words: same key, same bits
    mean           μ, above 0
    concentration  λ, above 0: the variance is μ³/λ
    shape          of the numbers, with which both broadcast; () is theirs
    dtype          float64 or float32

    >>> import clearprop as cl
    >>> bool(cl.random.wald(cl.random.key(0), 2.0) > 0)
    True
    """
    random.require_where_known("mean", mean, lambda v: v > 0, "a number above 0")
    random.require_where_known("concentration", concentration, lambda v: v > 0, "a number above 0")
    whole = random.with_parameters(shape, mean, concentration)
    z, u = _standard_normal(key, 0, whole), distributions.open_uniforms(random.fold_in_(key, 1), whole)
    return wald_number(*(_as(v, dtype) for v in (z, u, mean, concentration)))


@random.distribution
def f(key: Any, dfn: Value, dfd: Value, shape: Dim | Shape = (), dtype: DTypeLike = np.float64) -> Any:
    """Numbers of the F distribution: the ratio of two chi-square numbers, each by its degrees of freedom.

    key       two 32-bit words: same key, same bits
    dfn, dfd  degrees of freedom of numerator and denominator, above 0
    shape     of the numbers, with which both broadcast; () is theirs
    dtype     float64 or float32

    >>> import clearprop as cl
    >>> bool(cl.random.f(cl.random.key(0), 3.0, 4.0) > 0)
    True
    """
    whole = random.with_parameters(shape, dfn, dfd)
    a, b = (_as(df, dtype) * 0.5 for df in (dfn, dfd))
    return (
        gamma(random.fold_in_(key, 0), a, whole, dtype=dtype)
        / a
        * (b / gamma(random.fold_in_(key, 1), b, whole, dtype=dtype))
    )


@random.distribution
def maxwell(key: Any, shape: Dim | Shape = (), scale: Value = 1.0, dtype: DTypeLike = np.float64) -> Any:
    """Lengths of vectors of three normal numbers with standard deviation s: speeds of the molecules of a gas.

    key    two 32-bit words: same key, same bits
    shape  of the numbers, an integer or a tuple; () is one number
    scale  s
    dtype  float64 or float32

    >>> import clearprop as cl
    >>> bool(cl.random.maxwell(cl.random.key(0)) > 0)
    True
    """
    random.require_scale(scale)
    return sqrt(2.0 * gamma(key, 1.5, as_shape(shape), dtype=dtype)) * scale


@random.distribution
def double_sided_maxwell(
    key: Any, shape: Dim | Shape = (), loc: Value = 0.0, scale: Value = 1.0, dtype: DTypeLike = np.float64
) -> Any:
    """Numbers of the density (x − m)² e^(−(x−m)²/2s²)/√(2π)s³: Maxwell's with a random sign.

    key         two 32-bit words: same key, same bits
    shape       of the numbers, an integer or a tuple; () is one number
    loc, scale  m and s
    dtype       float64 or float32

    >>> import clearprop as cl
    >>> cl.random.double_sided_maxwell(cl.random.key(0), (3,)).shape
    (3,)
    """
    shape = as_shape(shape)
    size = maxwell(random.fold_in_(key, 0), shape, scale, dtype)
    return size * _as(_sign(key, 1, shape), dtype) + loc


@random.distribution
def generalized_normal(key: Any, power: Value, shape: Dim | Shape = (), loc: Value = 0.0, scale: Value = 1.0,
                       dtype: DTypeLike = np.float64) -> Any:  # fmt: skip
    """Numbers of the density p e^(−|(x−m)/s|ᵖ)/2sΓ(1/p): Laplace's for p = 1, normal with variance s²/2 for p = 2.

    key         two 32-bit words: same key, same bits
    power       p, above 0
    shape       of the numbers, with which p broadcasts; () is that of p
    loc, scale  m and s
    dtype       float64 or float32

    >>> import clearprop as cl
    >>> cl.random.generalized_normal(cl.random.key(0), 3.0, (4,)).shape
    (4,)
    """
    random.require_where_known("power", power, lambda v: v > 0, "a number above 0")
    random.require_scale(scale)
    whole, p = random.with_parameters(shape, power), _as(power, dtype)
    size = exp(loggamma(random.fold_in_(key, 0), 1.0 / p, whole, dtype) / p)
    return size * _as(_sign(key, 1, whole), dtype) * scale + loc


@random.distribution
def loggamma(key: Any, concentration: Value, shape: Dim | Shape = (), dtype: DTypeLike = np.float64) -> Any:
    """Logarithms of gamma numbers, right also where a is so small that the numbers themselves would be 0.

    A gamma number of a is one of a + 1 times u^(1/a), whose logarithms are added.

    key            two 32-bit words: same key, same bits
    concentration  a, above 0
    shape          of the numbers, with which a broadcasts; () is that of a
    dtype          float64 or float32

    >>> import clearprop as cl
    >>> bool(cl.random.loggamma(cl.random.key(0), 1e-4) < 0)
    True
    """
    random.require_where_known("concentration", concentration, lambda v: v > 0, "a number above 0")
    whole, a = random.with_parameters(shape, concentration), _as(concentration, dtype)
    return log(gamma(random.fold_in_(key, 0), a + 1.0, whole, dtype=dtype)) - _exponential(key, 1, whole, dtype) / a


@random.distribution
def power(key: Any, exponent: Value, shape: Dim | Shape = (), dtype: DTypeLike = np.float64) -> Any:
    """Numbers of the density a x^(a−1) on (0, 1), as u^(1/a).

    key       two 32-bit words: same key, same bits
    exponent  a, above 0
    shape     of the numbers, with which a broadcasts; () is that of a
    dtype     float64 or float32

    >>> import clearprop as cl
    >>> bool(cl.random.power(cl.random.key(0), 3.0) < 1)
    True
    """
    random.require_where_known("exponent", exponent, lambda v: v > 0, "a number above 0")
    return exp(-_exponential(key, 0, random.with_parameters(shape, exponent), dtype) / exponent)


@random.distribution
def kumaraswamy(key: Any, a: Value, b: Value, shape: Dim | Shape = (), dtype: DTypeLike = np.float64) -> Any:
    """Numbers of the distribution 1 − (1 − xᵃ)ᵇ on (0, 1), as (1 − u^(1/b))^(1/a) (Kumaraswamy 1980).

    key    two 32-bit words: same key, same bits
    a, b   above 0
    shape  of the numbers, with which a and b broadcast; () is theirs
    dtype  float64 or float32

    >>> import clearprop as cl
    >>> bool(cl.random.kumaraswamy(cl.random.key(0), 2.0, 3.0) < 1)
    True
    """
    for name, v in (("a", a), ("b", b)):
        random.require_where_known(name, v, lambda v: v > 0, "a number above 0")
    return exp(log(-expm1(-_exponential(key, 0, random.with_parameters(shape, a, b), dtype) / b)) / a)


def _relative_expm1(x: Value) -> Any:
    """(eˣ − 1)/x, 1 at 0: near 0 its series, whose derivatives are right there, too."""
    near = abs(x) < 1e-2
    far = where(near, 1.0, x)
    series = 1.0
    for n in range(9, 1, -1):
        series = 1.0 + where(near, x, 0.0) * (1.0 / n) * series
    return where(near, series, expm1(far) / far)


@random.distribution
def generalized_pareto(key: Any, concentration: Value, shape: Dim | Shape = (), loc: Value = 0.0, scale: Value = 1.0,
                       dtype: DTypeLike = np.float64) -> Any:  # fmt: skip
    """Numbers of the distribution 1 − (1 + k(x − m)/s)^(−1/k) from m on: what lies beyond a high threshold.

    key            two 32-bit words: same key, same bits
    concentration  k: above 0 a heavy tail, 0 the exponential distribution, below 0 an end at m − s/k
    shape          of the numbers, with which k broadcasts; () is that of k
    loc, scale     m and s
    dtype          float64 or float32

    >>> import clearprop as cl
    >>> bool(cl.random.generalized_pareto(cl.random.key(0), 0.5) > 0)
    True
    """
    random.require_scale(scale)
    e = _exponential(key, 0, random.with_parameters(shape, concentration), dtype)
    return e * _relative_expm1(e * concentration) * scale + loc


@random.distribution
def noncentral_chisquare(
    key: Any, df: Value, nonc: Value, shape: Dim | Shape = (), dtype: DTypeLike = np.float64
) -> Any:
    """Sums of the squares of normal numbers, one of which has the mean √λ: (z + √λ)² and a chi-square number of df − 1.

    key    two 32-bit words: same key, same bits
    df     degrees of freedom, above 1: below, a number of Poisson's would be needed, through which no derivative flows
    nonc   λ, the sum of the squares of the means, from 0
    shape  of the numbers, with which df and λ broadcast; () is theirs
    dtype  float64 or float32

    >>> import clearprop as cl
    >>> bool(cl.random.noncentral_chisquare(cl.random.key(0), 3.0, 2.0) > 0)
    True
    """
    random.require_where_known("df", df, lambda v: v > 1, "a number above 1")
    random.require_where_known("nonc", nonc, lambda v: v >= 0, "a number from 0")
    whole = random.with_parameters(shape, df, nonc)
    z = _as(_standard_normal(key, 0, whole), dtype)
    rest = gamma(random.fold_in_(key, 1), (_as(df, dtype) - 1.0) * 0.5, whole, dtype=dtype)
    return square(z + sqrt(_as(nonc, dtype))) + 2.0 * rest


@random.distribution
def noncentral_f(
    key: Any, dfn: Value, dfd: Value, nonc: Value, shape: Dim | Shape = (), dtype: DTypeLike = np.float64
) -> Any:
    """Numbers of the F distribution whose numerator is a noncentral chi-square number.

    key       two 32-bit words: same key, same bits
    dfn, dfd  degrees of freedom, above 1 and above 0
    nonc      λ of the numerator, from 0
    shape     of the numbers, with which all three broadcast; () is theirs
    dtype     float64 or float32

    >>> import clearprop as cl
    >>> bool(cl.random.noncentral_f(cl.random.key(0), 3.0, 4.0, 2.0) > 0)
    True
    """
    whole, b = random.with_parameters(shape, dfn, dfd, nonc), _as(dfd, dtype) * 0.5
    above = noncentral_chisquare(random.fold_in_(key, 0), dfn, nonc, whole, dtype) / _as(dfn, dtype)
    return above * (b / gamma(random.fold_in_(key, 1), b, whole, dtype=dtype))


@random.distribution
def relaxed_bernoulli(
    key: Any, logits: Value, shape: Dim | Shape = (), temperature: Value = 1.0, dtype: DTypeLike = np.float64
) -> Any:
    """Numbers between 0 and 1, the nearer to one of them the lower the temperature (Maddison et al. 2017).

    They are σ((l + logistic number)/T): above ½ with probability σ(l), and differentiable, as Bernoulli's are not.

    key          two 32-bit words: same key, same bits
    logits       l
    shape        of the numbers, with which l broadcasts; () is that of l
    temperature  T, above 0
    dtype        float64 or float32

    >>> import clearprop as cl
    >>> bool(cl.random.relaxed_bernoulli(cl.random.key(0), 0.0) < 1)
    True
    """
    random.require_where_known("temperature", temperature, lambda v: v > 0, "a number above 0")
    noise = distributions.logistic(key, random.with_parameters(shape, logits), dtype=dtype)
    return sigmoid((noise + _as(logits, dtype)) / temperature)


def standard_normals(key: Any, stream: int, shape: Shape, dtype: DTypeLike) -> Any:
    """Normal numbers of their own stream, in a dtype.

    >>> import clearprop as cl
    >>> standard_normals(cl.random.key(0), 1, (2,), "float32").shape
    (2,)
    """
    return _as(_standard_normal(key, stream, shape), dtype)
