"""Continuous distributions: numbers that are moved and scaled from those of a standard one, so that derivatives flow.

The standard numbers are made from random bits with correctly rounded operations, as everywhere in `cl.random`: same
key, same bits, in every version and executor.  Where a distribution needs exp, a power or the normal integral besides
(`lognormal`, `pareto`, `weibull`, `truncated_normal`), its last bit is that of the processor's function.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from clearprop.errors import ShapeError, user_line
from clearprop.primitives import HELPERS, primitive
from clearprop.program.types import Value, type_of
from clearprop.program.values import raw
from clearprop.rules import random
from clearprop.rules.elementwise import astype, divide, exp, maximum, minimum, sqrt, where
from clearprop.rules.indexing import getitem
from clearprop.rules.linear import matmul
from clearprop.rules.on_demand.matrices import cholesky
from clearprop.rules.on_demand.special_functions import ndtr, ndtri
from clearprop.shapes import Dim, Shape, as_shape

HELPERS.update(exact_log=random.exact_log, open_interval=random.open_interval)
_FARTHEST = 37.0
"""How far from the mean the normal integral is still a normal number of float64."""


@primitive(
    "elementwise",
    numpy="open_interval({high}, {low})",
    numba="(f64({high} >> u32(6)) * 67108864.0 + f64({low} >> u32(6)) + 0.5) * 2.220446049250313e-16",
    tex=r"2^{{-52}}(({high}, {low}) + \tfrac12)",
    dtype=lambda high, low: np.float64,
    public=False,
    unconverted=True,
)
def open_uniform(high: Value, low: Value, /) -> Any:
    """52 of the bits as a number in (0, 1), neither end reached.

    >>> import numpy as np
    >>> from clearprop.rules.on_demand.distributions import open_uniform
    >>> open_uniform(np.uint32(2**31), np.uint32(0)) - 0.5 == 2.0**-53
    np.True_
    """


@primitive(
    "elementwise",
    numpy="exact_log(np.float64({x})).astype(np.result_type({x}))",
    numba="exact_log(f64({x}))",
    tex=r"\log {x}",
    dtype="float",
    public=False,
)
def exact_log(x: Value, /) -> Any:
    """log x for 0 < x < ∞, by correctly rounded operations: the same bits everywhere.

    >>> import numpy as np
    >>> from clearprop.rules.on_demand.distributions import exact_log
    >>> float(exact_log(np.float64(1.0)))
    0.0
    """


def open_uniforms(key: Any, shape: Shape) -> Any:
    """Numbers in (0, 1) of 52 random bits each."""
    bits = random.random_bits(key, shape=(2, *shape))
    return open_uniform(getitem(bits, (Ellipsis, 0, *[slice(None)] * len(shape))),
                        getitem(bits, (Ellipsis, 1, *[slice(None)] * len(shape))))  # fmt: skip


def standard_exponential(key: Any, shape: Shape) -> Any:
    """Numbers of the density e^(−x) from 0 on.

    >>> import clearprop as cl
    >>> standard_exponential(cl.random.key(0), (2,)).shape
    (2,)
    """
    return -exact_log(open_uniforms(key, shape))


def standard_gumbel(key: Any, shape: Shape) -> Any:
    """Numbers of the distribution exp(−e^(−x)): the largest of them + log p is at i with probability pᵢ.

    >>> import clearprop as cl
    >>> standard_gumbel(cl.random.key(0), (2,)).shape
    (2,)
    """
    return -exact_log(standard_exponential(key, shape))


def _scaled_by(standard: Value, scale: Value, dtype: DTypeLike) -> Any:
    random.require_scale(scale)
    return astype(standard, dtype=random.floating_dtype(dtype)) * scale


def _from_standard(standard: Value, loc: Value, scale: Value, dtype: DTypeLike) -> Any:
    return _scaled_by(standard, scale, dtype) + loc


def _require_positive(concentration: Value) -> None:
    random.require_where_known("concentration", concentration, lambda v: v > 0, "a number above 0")


@random.distribution
def exponential(key: Any, shape: Dim | Shape = (), scale: Value = 1.0, dtype: DTypeLike = np.float64) -> Any:
    """Numbers of the density e^(−x/s)/s from 0 on, as −s·log u.

    key    two 32-bit words: same key, same bits
    shape  of the numbers, an integer or a tuple; () is one number
    scale  s, the mean
    dtype  float64 or float32

    >>> import clearprop as cl
    >>> bool(cl.random.exponential(cl.random.key(0)) > 0)
    True
    """
    return _scaled_by(standard_exponential(key, as_shape(shape)), scale, dtype)


@random.distribution
def laplace(
    key: Any, shape: Dim | Shape = (), loc: Value = 0.0, scale: Value = 1.0, dtype: DTypeLike = np.float64
) -> Any:
    """Numbers of the density e^(−|x − m|/s)/2s: exponential ones with a random sign.

    key         two 32-bit words: same key, same bits
    shape       of the numbers, an integer or a tuple; () is one number
    loc, scale  m and s
    dtype       float64 or float32

    >>> import clearprop as cl
    >>> cl.random.laplace(cl.random.key(0), (3,)).shape
    (3,)
    """
    shape = as_shape(shape)
    size = standard_exponential(random.fold_in_(key, 0), shape)
    sign = random.random_bits(random.fold_in_(key, 1), shape=shape) < 2**31
    return _from_standard(where(sign, size, -size), loc, scale, dtype)


@random.distribution
def gumbel(
    key: Any, shape: Dim | Shape = (), loc: Value = 0.0, scale: Value = 1.0, dtype: DTypeLike = np.float64
) -> Any:
    """Numbers of the distribution exp(−e^(−(x − m)/s)) of largest values, as m − s·log(−log u).

    key         two 32-bit words: same key, same bits
    shape       of the numbers, an integer or a tuple; () is one number
    loc, scale  m and s
    dtype       float64 or float32

    >>> import clearprop as cl
    >>> cl.random.gumbel(cl.random.key(0), (3,)).shape
    (3,)
    """
    return _from_standard(standard_gumbel(key, as_shape(shape)), loc, scale, dtype)


@random.distribution
def logistic(
    key: Any, shape: Dim | Shape = (), loc: Value = 0.0, scale: Value = 1.0, dtype: DTypeLike = np.float64
) -> Any:
    """Numbers of the distribution 1/(1 + e^(−(x − m)/s)), as m + s·log(u/(1 − u)).

    key         two 32-bit words: same key, same bits
    shape       of the numbers, an integer or a tuple; () is one number
    loc, scale  m and s
    dtype       float64 or float32

    >>> import clearprop as cl
    >>> cl.random.logistic(cl.random.key(0), (3,)).shape
    (3,)
    """
    u = open_uniforms(key, as_shape(shape))
    return _from_standard(exact_log(u) - exact_log(1.0 - u), loc, scale, dtype)


@random.distribution
def cauchy(
    key: Any, shape: Dim | Shape = (), loc: Value = 0.0, scale: Value = 1.0, dtype: DTypeLike = np.float64
) -> Any:
    """Numbers of the density 1/(πs(1 + ((x − m)/s)²)), as the ratio of two normal ones; they have no mean.

    key         two 32-bit words: same key, same bits
    shape       of the numbers, an integer or a tuple; () is one number
    loc, scale  m and s
    dtype       float64 or float32

    >>> import clearprop as cl
    >>> cl.random.cauchy(cl.random.key(0), (3,)).shape
    (3,)
    """
    shape = as_shape(shape)
    a, b = (random.normal_quantile(random.random_bits(random.fold_in_(key, i), shape=shape)) for i in (0, 1))
    return _from_standard(divide(a, b), loc, scale, dtype)


@random.distribution
def rayleigh(key: Any, shape: Dim | Shape = (), scale: Value = 1.0, dtype: DTypeLike = np.float64) -> Any:
    """Lengths of plane vectors of two normal numbers with standard deviation s, as s·√(−2 log u).

    key    two 32-bit words: same key, same bits
    shape  of the numbers, an integer or a tuple; () is one number
    scale  s
    dtype  float64 or float32

    >>> import clearprop as cl
    >>> bool(cl.random.rayleigh(cl.random.key(0)) > 0)
    True
    """
    return _scaled_by(sqrt(2.0 * standard_exponential(key, as_shape(shape))), scale, dtype)


@random.distribution
def weibull(key: Any, shape: Dim | Shape = (), concentration: Value = 1.0, scale: Value = 1.0,
            dtype: DTypeLike = np.float64) -> Any:  # fmt: skip
    """Numbers of the distribution 1 − e^(−(x/s)ᵏ) from 0 on, as s·(−log u)^(1/k).

    key            two 32-bit words: same key, same bits
    shape          of the numbers, an integer or a tuple; () is one number
    concentration  k
    scale          s
    dtype          float64 or float32

    >>> import clearprop as cl
    >>> bool(cl.random.weibull(cl.random.key(0), concentration=2.0) > 0)
    True
    """
    _require_positive(concentration)
    standard = astype(standard_exponential(key, as_shape(shape)), dtype=random.floating_dtype(dtype))
    return _scaled_by(standard ** (1.0 / concentration), scale, dtype)


@random.distribution
def pareto(key: Any, shape: Dim | Shape = (), concentration: Value = 1.0, scale: Value = 1.0,
           dtype: DTypeLike = np.float64) -> Any:  # fmt: skip
    """Numbers of the distribution 1 − (s/x)ᵃ from s on, as s·u^(−1/a).

    key            two 32-bit words: same key, same bits
    shape          of the numbers, an integer or a tuple; () is one number
    concentration  a
    scale          s, the smallest value
    dtype          float64 or float32

    >>> import clearprop as cl
    >>> bool(cl.random.pareto(cl.random.key(0), scale=2.0) > 2.0)
    True
    """
    _require_positive(concentration)
    standard = astype(standard_exponential(key, as_shape(shape)), dtype=random.floating_dtype(dtype))
    return _scaled_by(exp(standard / concentration), scale, dtype)


@random.distribution
def lognormal(
    key: Any, shape: Dim | Shape = (), mean: Value = 0.0, std: Value = 1.0, dtype: DTypeLike = np.float64
) -> Any:
    """Numbers whose logarithm is normal.

    key        two 32-bit words: same key, same bits
    shape      of the numbers, an integer or a tuple; () is one number
    mean, std  of the logarithm
    dtype      float64 or float32

    >>> import clearprop as cl
    >>> bool(cl.random.lognormal(cl.random.key(0)) > 0)
    True
    """
    return exp(random.normal(key, as_shape(shape), mean, std, dtype))


@random.distribution
def truncated_normal(key: Any, low: Value, high: Value, shape: Dim | Shape = (), dtype: DTypeLike = np.float64) -> Any:
    """Normal numbers between two bounds, as Φ⁻¹(Φ(low) + u·(Φ(high) − Φ(low))); a derivative flows into the bounds.

    Where both bounds are above 0 it is computed on the other side, on which Φ has its precision; beyond 37 standard
    deviations it has none.

    key        two 32-bit words: same key, same bits
    low, high  the bounds, in standard deviations from the mean
    shape      of the numbers, an integer or a tuple; () is one number
    dtype      float64 or float32

    >>> import clearprop as cl
    >>> x = cl.random.truncated_normal(cl.random.key(0), -1.0, 2.0)
    >>> bool((x > -1.0) & (x < 2.0))
    True
    """
    dtype = random.floating_dtype(dtype)
    random.require_where_known("pair of bounds", high - low, lambda v: v > 0, "low < high")
    random.require_where_known("low", low, lambda v: v < _FARTHEST, f"a number below {_FARTHEST:g}")
    random.require_where_known("high", high, lambda v: v > -_FARTHEST, f"a number above {-_FARTHEST:g}")
    u = open_uniforms(key, as_shape(shape))  # in half as many bits Φ would be 1 already before a far bound
    turned = low > 0
    below, above = where(turned, -high, low), where(turned, -low, high)
    share = where(turned, 1.0 - u, u)
    z = ndtri(ndtr(below) + share * (ndtr(above) - ndtr(below)))
    z = minimum(maximum(z, below), above)  # rounding may pass a bound, up to infinity
    return astype(where(turned, -z, z), dtype=dtype)


@random.distribution
def multivariate_normal(
    key: Any, mean: Value, covariance: Value, shape: Dim | Shape = (), dtype: DTypeLike = np.float64
) -> Any:
    """Normal vectors with a mean and a covariance, as m + L z with L Lᵀ = C; the last bits are those of the product.

    key         two 32-bit words: same key, same bits
    mean        m, a vector (n,)
    covariance  C, a symmetric positive definite matrix (n, n)
    shape       of the array of vectors, an integer or a tuple; () is one vector
    dtype       float64 or float32

    >>> import clearprop as cl
    >>> cl.random.multivariate_normal(cl.random.key(0), cl.zeros(2), cl.eye(2), (5,)).shape
    (5, 2)
    """
    t = type_of(raw(mean))
    if t.ndim != 1:
        raise ShapeError(
            "multivariate_normal needs a mean for each number of a vector",
            expected="shape (n,)",
            got=f"shape {t.shape}",
            where=user_line(),
        )
    z = random.normal(key, (*as_shape(shape), t.shape[0]), dtype=dtype)
    return matmul(z, cholesky(covariance, upper=True)) + mean
