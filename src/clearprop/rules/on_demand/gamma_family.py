"""The gamma distribution and what is made of it.

Numbers are drawn by rejection, each from its own counters, so that it does not depend on its neighbours; all steps are
correctly rounded operations.  NumPy computes them: there is no native form, since the number of attempts is not known.
The derivative with respect to the parameter is the implicit one, ∂z/∂a = −(∂F/∂a)/f(z) (Figurnov et al. 2018).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from clearprop.primitives import HELPERS, primitive
from clearprop.program.types import Value, type_of
from clearprop.program.values import raw
from clearprop.rules import random
from clearprop.rules.elementwise import as_floating, astype, sqrt
from clearprop.rules.random import STREAM_FOLD, exact_log, open_interval, quantile_of_bits, threefry
from clearprop.rules.reductions import sum
from clearprop.rules.structural import broadcast_to
from clearprop.shapes import Dim, Shape, as_shape, broadcast

_LN2 = (0.6931471803691238, 1.9082149292705877e-10)
"""log 2 in two parts, the first with 21 bits to spare (fdlibm)."""
_FACTORIALS = tuple(1.0 / f for f in np.cumprod([1.0, *range(1, 15)])[::-1].tolist())
"""1/14!, …, 1/1!, 1/0!."""
_LAST_ATTEMPT = 0xFFFFFFFF


def exact_exp(x: NDArray[Any]) -> NDArray[Any]:
    """eˣ from correctly rounded operations: the same bits everywhere; 0 far below, for −745 < x < 709 within 1 ulp.

    >>> exact_exp(np.array([0.0, -1.0])).round(6).tolist()
    [1.0, 0.367879]
    """
    x = np.maximum(x, -800.0)
    k = np.rint(x * 1.4426950408889634)
    r = (x - k * _LN2[0]) - k * _LN2[1]
    total = np.zeros_like(r)
    for c in _FACTORIALS:
        total = total * r + c
    return np.asarray(np.ldexp(total, k.astype(np.int32)))


def attempt_words(key: NDArray[Any], attempt: int, places: NDArray[Any], stream: int) -> tuple[Any, Any]:
    """Two words for each place, of one attempt: its counters are its own, whoever else is drawn beside it.

    >>> words = attempt_words(np.zeros(2, np.uint32), 0, np.arange(3), 2)
    >>> [w.shape for w in words]
    [(3,), (3,)]
    """
    own = threefry(key, np.uint32(attempt), np.uint32(STREAM_FOLD))
    low = places.astype(np.uint32)
    return threefry(own, low, np.full(low.shape, stream, np.uint32))


def by_key(draw: Callable[..., Any], key: NDArray[Any], parameters: NDArray[Any]) -> NDArray[Any]:
    """What `draw(key, vector)` gives, for each key its own parameters.

    >>> by_key(lambda key, a: a + key[1], np.array([0, 1], np.uint32), np.zeros((2, 2))).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    keys = np.asarray(key).reshape(-1, 2)
    rows = np.asarray(parameters, np.float64).reshape(len(keys), -1)
    drawn = [draw(k, row) for k, row in zip(keys, rows, strict=True)]
    return np.asarray(np.stack(drawn).reshape(np.shape(parameters))[()]) if drawn else np.zeros(np.shape(parameters))


def _gamma_row(key: NDArray[Any], a: NDArray[Any]) -> NDArray[Any]:
    """Marsaglia & Tsang (2000): d·v with v the cube of a moved normal number, accepted nearly always."""
    known = (a > 0) & np.isfinite(a)
    d = np.where(a < 1, a + 1, a) - 1.0 / 3.0
    out = np.where(a == np.inf, np.inf, np.nan)
    waiting, attempt = np.flatnonzero(known), 0
    while waiting.size:
        x = np.asarray(quantile_of_bits(attempt_words(key, attempt, waiting, 2)[0]))
        u = open_interval(*attempt_words(key, attempt, waiting, 3))
        scale = d[waiting]
        root = 1.0 + x / np.sqrt(9.0 * scale)
        v = root * root * root
        logs = exact_log(np.where(v > 0, v, 1.0))
        taken = (v > 0) & (exact_log(u) < 0.5 * x * x + scale * (1.0 - v + logs))
        out[waiting[taken]] = (scale * v)[taken]
        waiting, attempt = waiting[~taken], attempt + 1
    small = np.flatnonzero(known & (a < 1))  # of a + 1 comes a by a power of one more uniform number
    u = open_interval(*attempt_words(key, _LAST_ATTEMPT, small, 2))
    out[small] *= exact_exp(exact_log(u) / a[small])
    return out


def _gamma_numbers(key: NDArray[Any], a: NDArray[Any]) -> NDArray[Any]:
    kind = np.result_type(a)
    return np.asarray(by_key(_gamma_row, key, a), kind if kind.kind == "f" else np.float64)[()]


_STENCIL = (4 / 5, -1 / 5, 4 / 105, -1 / 280)
"""Weights of the central difference of eighth order."""


def _gamma_slope(a: NDArray[Any], z: NDArray[Any]) -> NDArray[Any]:
    """∂z/∂a at a fixed share of the distribution, from SciPy's incomplete gamma function on the nearer side.

    ∂F/∂a has no closed form; the difference of eighth order is right to about ten digits.
    """
    from scipy import special

    kind = np.result_type(a, z)
    a, z = np.asarray(a, np.float64), np.asarray(z, np.float64)
    step = 0.02 * np.minimum(a, np.sqrt(a))
    far = z > a
    change = np.zeros(np.broadcast_shapes(a.shape, z.shape))
    for k, weight in enumerate(_STENCIL, 1):
        up, down = a + k * step, a - k * step
        below = special.gammainc(up, z) - special.gammainc(down, z)
        above = special.gammaincc(down, z) - special.gammaincc(up, z)
        change = change + weight * np.where(far, above, below)
    density = np.exp(special.xlogy(a - 1.0, z) - z - special.gammaln(a))
    return np.asarray(np.where(z > 0, -change / step / density, 0.0), kind if kind.kind == "f" else np.float64)[()]


HELPERS.update(gamma_numbers=_gamma_numbers, gamma_slope=_gamma_slope)


@primitive(
    "elementwise",
    numpy="gamma_slope({a}, {z})",
    tex=r"\partial {z} / \partial {a}",
    dtype="float",
    public=False,
)
def gamma_slope(a: Value, z: Value, /) -> Any:
    """By how much a gamma number z moves with its parameter a; it has no derivative of its own.

    >>> import numpy as np
    >>> from clearprop.rules.on_demand.gamma_family import gamma_slope
    >>> round(float(gamma_slope(np.float64(1.0), np.float64(1.0))), 6)
    1.173563
    """


@primitive(
    "general",
    numpy="gamma_numbers({key}, {a})",
    tex=r"\operatorname{{Gamma}}({a})",
    shape=lambda key, a: a.shape,
    dtype=lambda key, a: a.dtype if a.dtype.kind == "f" else np.float64,
    public=False,
    batch=lambda size, key, a: gamma_numbers(key, a),
    vjp_a=lambda g, a, y: g * gamma_slope(a, y),
    jvp=lambda a_dot, a, y: a_dot * gamma_slope(a, y),
)
def gamma_numbers(key: Any, a: Value, /) -> Any:
    """One number of the density x^(a−1)e^(−x)/Γ(a) for each a."""


def _standard_gamma(key: Any, a: Value, shape: Dim | Shape) -> Any:
    random.require_where_known("concentration", a, lambda v: v > 0, "a number above 0")
    a = astype(as_floating(a), dtype=np.dtype(np.float64))
    return gamma_numbers(key, broadcast_to(a, random.with_parameters(shape, a)))


@random.distribution
def gamma(
    key: Any, concentration: Value, shape: Dim | Shape = (), scale: Value = 1.0, dtype: DTypeLike = np.float64
) -> Any:
    """Numbers of the density x^(a−1)e^(−x/s)/(Γ(a)sᵃ) from 0 on; derivatives flow into a (implicitly) and s.

    key            two 32-bit words: same key, same bits
    concentration  a, above 0
    shape          of the numbers, with which a broadcasts; () is that of a
    scale          s
    dtype          float64 or float32

    >>> import clearprop as cl
    >>> bool(cl.random.gamma(cl.random.key(0), 2.0) > 0)
    True
    """
    random.require_scale(scale)
    return astype(_standard_gamma(key, concentration, shape), dtype=random.floating_dtype(dtype)) * scale


@random.distribution
def inverse_gamma(
    key: Any, concentration: Value, shape: Dim | Shape = (), scale: Value = 1.0, dtype: DTypeLike = np.float64
) -> Any:
    """Numbers whose reciprocal is gamma distributed.

    key            two 32-bit words: same key, same bits
    concentration  a, above 0
    shape          of the numbers, with which a broadcasts; () is that of a
    scale          s
    dtype          float64 or float32

    >>> import clearprop as cl
    >>> bool(cl.random.inverse_gamma(cl.random.key(0), 2.0) > 0)
    True
    """
    random.require_scale(scale)
    return scale / gamma(key, concentration, shape, dtype=dtype)


@random.distribution
def chisquare(key: Any, df: Value, shape: Dim | Shape = (), dtype: DTypeLike = np.float64) -> Any:
    """Sums of the squares of `df` normal numbers: twice a gamma number of df/2.

    key    two 32-bit words: same key, same bits
    df     degrees of freedom, above 0
    shape  of the numbers, with which df broadcasts; () is that of df
    dtype  float64 or float32

    >>> import clearprop as cl
    >>> bool(cl.random.chisquare(cl.random.key(0), 3.0) > 0)
    True
    """
    return 2.0 * gamma(key, as_floating(df) * 0.5, shape, dtype=dtype)


@random.distribution
def student_t(key: Any, df: Value, shape: Dim | Shape = (), dtype: DTypeLike = np.float64) -> Any:
    """Numbers of Student's t distribution: normal ones over the root of a chi-square number by its degrees of freedom.

    key    two 32-bit words: same key, same bits
    df     degrees of freedom, above 0
    shape  of the numbers, with which df broadcasts; () is that of df
    dtype  float64 or float32

    >>> import clearprop as cl
    >>> cl.random.student_t(cl.random.key(0), 3.0, (4,)).shape
    (4,)
    """
    half = as_floating(df) * 0.5
    spread = gamma(random.fold_in_(key, 1), half, shape, dtype=dtype)
    standard = random.normal(random.fold_in_(key, 0), type_of(raw(spread)).shape, dtype=dtype)
    return standard * sqrt(astype(half, dtype=random.floating_dtype(dtype)) / spread)


@random.distribution
def beta(key: Any, a: Value, b: Value, shape: Dim | Shape = (), dtype: DTypeLike = np.float64) -> Any:
    """Numbers of the density x^(a−1)(1−x)^(b−1)/B(a, b) on (0, 1): a gamma number's share of two.

    key    two 32-bit words: same key, same bits
    a, b   above 0
    shape  of the numbers, with which a and b broadcast; () is theirs
    dtype  float64 or float32

    >>> import clearprop as cl
    >>> x = cl.random.beta(cl.random.key(0), 2.0, 3.0)
    >>> bool((x > 0) & (x < 1))
    True
    """
    whole = random.with_parameters(shape, a, b)
    x, y = (gamma(random.fold_in_(key, i), v, whole, dtype=dtype) for i, v in enumerate((a, b)))
    return x / (x + y)


@random.distribution
def dirichlet(key: Any, concentration: Value, shape: Dim | Shape = (), dtype: DTypeLike = np.float64) -> Any:
    """Vectors of shares that sum to 1, of the density ∏ xᵢ^(aᵢ−1)/B(a): gamma numbers by their sum.

    key            two 32-bit words: same key, same bits
    concentration  a, above 0, along the last axis
    shape          of the array of vectors; () is that of the leading axes of a
    dtype          float64 or float32

    >>> import clearprop as cl
    >>> round(float(cl.sum(cl.random.dirichlet(cl.random.key(0), cl.tensor([1.0, 2.0])))), 6)
    1.0
    """
    own = type_of(raw(concentration)).shape
    lead = broadcast(as_shape(shape), own[:-1])
    x = gamma(key, concentration, (*lead, own[-1]), dtype=dtype)
    return x / sum(x, axis=-1, keepdims=True)
