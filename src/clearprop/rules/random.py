"""Random numbers from an explicit counter-based generator: same key, same bits, everywhere.

A key is two 32-bit words.  Bits are Threefry-2x32 with 20 rounds (Salmon et al. 2011) of a counter; numbers are
made from bits with correctly rounded operations only (+, −, ×, ÷, √), so they do not depend on a platform's
exponential or logarithm, on vectorisation, or on the executor.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from clearprop.errors import ArgumentError, DTypeError, user_line
from clearprop.primitives import HELPERS, primitive
from clearprop.program.operands import checked_dtype
from clearprop.program.types import PYTHON_SCALARS, Value, type_of
from clearprop.program.values import Node, raw
from clearprop.rules.checking import is_key, with_refusals
from clearprop.rules.elementwise import astype
from clearprop.rules.indexing import getitem
from clearprop.rules.on_demand import find_in
from clearprop.shapes import Dim, Shape, as_shape, broadcast

_R = TypeVar("_R")


def __getattr__(name: str) -> Any:
    """A distribution, whose family is loaded when it is first asked for."""
    found = find_in("random", name)
    if found is None:
        raise AttributeError(f"clearprop.random has no name {name!r}")
    return found


ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
"""How far the words are rotated in the four rounds of an even and of an odd block of Threefry-2x32."""
BLOCKS, PARITY = 5, 0x1BD11BDA
"""Blocks of four rounds, and the constant that makes the third key word."""
STREAM_BITS, STREAM_FOLD = 0, 1
"""The counter's high word: for bits, for new keys."""


def threefry(key: Any, low: Any, high: Any) -> tuple[Any, Any]:
    """The Threefry-2x32-20 bijection of the counter (low, high) under a key of two words.

    The answer under key 0 at counter 0 is one of those that the authors publish.

    >>> [hex(word) for word in threefry((0, 0), 0, 0)]
    ['0x6b200159', '0x99ba4efe']
    """
    k0, k1 = (np.asarray(k).astype(np.uint32) for k in key)
    ks = (k0, k1, k0 ^ k1 ^ np.uint32(PARITY))
    with np.errstate(over="ignore"):
        x, y = np.uint32(low) + ks[0], np.uint32(high) + ks[1]
        for block in range(BLOCKS):
            for r in ROTATIONS[block % 2]:
                x = x + y
                y = ((y << np.uint32(r)) | (y >> np.uint32(32 - r))) ^ x
            x = x + ks[(block + 1) % 3]
            y = y + ks[(block + 2) % 3] + np.uint32(block + 1)
    return x, y


def _random_bits(key: Any, shape: tuple[int, ...]) -> Any:
    """Word 0 of the counters 0 … h−1, then word 1, with h half the number of elements, rounded up; for each key."""
    n = int(np.prod(shape, dtype=np.int64))
    half = (n + 1) // 2
    counters = np.arange(half, dtype=np.uint32), np.full(half, STREAM_BITS, np.uint32)
    words = threefry((key[..., 0, None], key[..., 1, None]), *counters)
    return np.concatenate(words, axis=-1)[..., :n].reshape((*key.shape[:-1], *shape))


def _fold_in(key: Any, data: Value) -> Any:
    low = np.asarray(data & 0xFFFFFFFF if type(data) is int else data).astype(np.uint32)
    return np.stack(threefry((key[..., 0], key[..., 1]), low, np.uint32(STREAM_FOLD)), axis=-1)


HALF_ROOT, LOG_2 = 0.70710678118654752, 0.6931471805599453
"""√½ and log 2."""
ODD_SERIES = tuple(1.0 / (2 * k + 1) for k in range(12, -1, -1))
"""Coefficients of artanh(s)/s in s², the highest first: log((1 + s)/(1 − s)) = 2·artanh s."""


def exact_log(x: Any) -> Any:
    """log x for 0 < x < ∞ from correctly rounded operations: exponent and mantissa, then an odd series.

    >>> float(exact_log(np.float64(1.0)))
    0.0
    """
    m, e = np.frexp(x)
    low = m < HALF_ROOT
    m, e = np.where(low, m + m, m), np.where(low, e - 1, e)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    total = np.zeros_like(z)
    for c in ODD_SERIES:
        total = total * z + c
    return 2.0 * s * total + e * LOG_2


def open_interval(high: Any, low: Any) -> Any:
    """52 of the bits of two words as numbers in (0, 1).

    >>> open_interval(np.array([2**31], np.uint32), np.array([0], np.uint32)).round(6).tolist()
    [0.5]
    """
    numbers = (np.float64(high >> 6) * 67108864.0 + np.float64(low >> 6) + 0.5) * 2.0**-52
    return np.asarray(numbers)[()]


# fmt: off
CENTRE, NEAR = (
    # numerator and denominator of the centre and of the near tail, the constant first
    ((3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
      4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3),
     (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
      2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3)),
    ((1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
      1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4),
     (1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
      1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9)),
)
"""Rational functions of algorithm AS 241 (Wichura 1988, PPND16); 32 bits do not reach its far tail, r > 5."""
AT_ONCE = 1 << 14
"""Quantiles whose intermediate arrays stay in the near caches."""
CENTRAL, SHIFT, NEAR_SHIFT = 0.425, 0.180625, 1.6
"""|q| up to which the centre serves; its shift, CENTRAL²; the shift of the near tail."""
# fmt: on


def _ratio(coefficients: Any, r: Any) -> Any:
    numerator, denominator = coefficients
    p, q = np.full_like(r, numerator[-1]), np.full_like(r, denominator[-1])
    for a, b in zip(numerator[-2::-1], denominator[-2::-1], strict=True):
        p, q = p * r + a, q * r + b
    return p / q


def quantile_of_bits(bits: Value) -> Any:
    """The standard normal quantile of (bits + ½)/2³² (algorithm AS 241, Wichura 1988).

    >>> quantile_of_bits(np.array([0, 2**32 - 1], np.uint32)).round(6).tolist()
    [-6.337958, 6.337958]
    """
    words = np.asarray(bits)
    flat, found = words.reshape(-1), np.empty(words.size)
    for start in range(0, words.size, AT_ONCE):
        found[start : start + AT_ONCE] = _quantiles(flat[start : start + AT_ONCE])
    return found.reshape(words.shape)[()]


def _quantiles(bits: NDArray[np.uint32]) -> NDArray[np.float64]:
    u = (np.asarray(bits, np.float64) + 0.5) * 2.0**-32
    q = u - 0.5
    central = np.abs(q) <= CENTRAL
    found: NDArray[np.float64] = q * _ratio(CENTRE, np.where(central, SHIFT - q * q, 0.0))
    outside = np.flatnonzero(~central)
    q, u = q[outside], u[outside]
    r = np.sqrt(-exact_log(np.minimum(u, 1.0 - u)))
    outer = _ratio(NEAR, r - NEAR_SHIFT)
    found[outside] = np.where(q < 0, -outer, outer)
    return found


HELPERS.update(
    random_bits=_random_bits,
    fold_in=_fold_in,
    normal_quantile=quantile_of_bits,
)


@primitive(
    "general",
    numpy="random_bits({key}, {shape})",
    numba="random_bits",
    tex=r"\text{{bits}}({key})",
    shape=lambda key, shape: (*key.shape[:-1], *shape),
    dtype="uint32",
    public=False,
)
def random_bits(key: Any, /, *, shape: Shape) -> Any:
    """32 random bits per element; for a batch of keys (leading axes) a batch of arrays.

    >>> import clearprop as cl
    >>> bits = cl.random.random_bits(cl.random.key(0), shape=(3,))
    >>> bits.shape, str(bits.dtype)
    ((3,), 'uint32')
    """


@primitive(
    "general",
    numpy="fold_in({key}, {data})",
    numba="fold_in",
    tex=r"\text{{fold}}({key}, {data})",
    shape=lambda key, data: (*broadcast(key.shape[:-1], data.shape), 2),
    dtype="uint32",
    public=False,
)
def fold_in_(key: Any, data: Value, /) -> Any:
    """A new key from a key and an integer.

    >>> import clearprop as cl
    >>> cl.random.fold_in_(cl.random.key(0), 7).shape
    (2,)
    """


@primitive(
    "elementwise",
    numpy="np.float32({bits} >> 8) * np.float32(2.0**-24)",
    numba="uniform_float32({bits})",
    tex=r"2^{{-24}}{bits}",
    dtype=lambda bits: np.float32,
    public=False,
    unconverted=True,
)
def uniform_float32(bits: Value, /) -> Any:
    """24 of the bits as a number in [0, 1).

    >>> import numpy as np
    >>> import clearprop as cl
    >>> cl.random.uniform_float32(np.uint32(2**31)).item()
    0.5
    """


@primitive(
    "elementwise",
    numpy="(np.float64({high} >> 5) * 67108864.0 + np.float64({low} >> 6)) * 2.0**-53",
    numba="uniform_float64({high}, {low})",
    tex=r"2^{{-53}}({high}, {low})",
    dtype=lambda high, low: np.float64,
    public=False,
    unconverted=True,
)
def uniform_float64(high: Value, low: Value, /) -> Any:
    """53 of the bits as a number in [0, 1).

    >>> import numpy as np
    >>> import clearprop as cl
    >>> cl.random.uniform_float64(np.uint32(2**30), np.uint32(0)).item()
    0.25
    """


@primitive(
    "elementwise",
    numpy="normal_quantile({bits})",
    numba="normal_quantile({bits})",
    tex=r"\Phi^{{-1}}({bits})",
    dtype=lambda bits: np.float64,
    public=False,
    unconverted=True,
)
def normal_quantile(bits: Value, /) -> Any:
    """The standard normal quantile of the bits read as a number in (0, 1).

    >>> import numpy as np
    >>> import clearprop as cl
    >>> cl.random.normal_quantile(np.array([0, 2**31, 2**32 - 1], dtype=np.uint32)).round(6).tolist()
    [-6.337958, 0.0, 6.337958]
    """


@functools.partial(with_refusals, home="cl.random")
def key(seed: int) -> Any:
    """A key from a seed, an integer of up to 64 bits.

    >>> import clearprop as cl
    >>> cl.random.uniform(cl.random.key(0), (2,))
    Tensor([0.41845711, 0.31468172])
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not -(2**63) <= seed < 2**64:
        raise ArgumentError(
            "a seed is an integer of up to 64 bits",
            expected="0 <= seed < 2**64",
            got=repr(seed),
            try_="seed=0",
        )
    bits = operator.index(seed) & (2**64 - 1)
    return Node.tensor(np.array([bits >> 32, bits & 0xFFFFFFFF], dtype=np.uint32))


@functools.partial(with_refusals, home="cl.random")
def fold_in(key: Any, data: Value) -> Any:
    """The key that belongs to `data` under `key`: another one for every number, so that streams do not overlap.

    key   two 32-bit words, shape (2,)
    data  an integer from 0, such as the number of a step; the low 32 bits count

    >>> import clearprop as cl
    >>> key = cl.random.fold_in(cl.random.key(0), 7)
    >>> key.shape, str(key.dtype)
    ((2,), 'uint32')
    """
    require_key(key)
    if type_of(raw(data)).dtype.kind not in "iu":
        raise DTypeError(
            "fold_in takes an integer", expected="the number of a step", got=ascii(data)[:80], where=user_line()
        )
    return fold_in_(key, data)


@functools.partial(with_refusals, home="cl.random")
def split(key: Any, n: int = 2) -> list[Any]:
    """N independent keys from one: those that belong to 0, 1, … under it.

    key  two 32-bit words, shape (2,)
    n    how many

    >>> import clearprop as cl
    >>> len(cl.random.split(cl.random.key(0), 3))
    3
    """
    require_key(key)
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or not 0 <= n <= 2**32:
        raise ArgumentError("a key is split into a number of keys", expected="0 <= n <= 2**32", got=f"n = {n!r:.60}")
    return [fold_in_(key, i) for i in range(n)]


def require_key(key: Any) -> None:
    """Refuse what is no key: other numbers would give bits, too, and nobody meant them.

    >>> require_key(np.zeros(2, np.uint32))
    """
    if not is_key(key):
        t = type_of(raw(key))
        raise ArgumentError(
            "random numbers are made from a key",
            expected="two numbers of 32 bits: uint32, shape (2,)",
            got=f"{t.dtype.name}{list(t.shape)}",
            where=user_line(),
            try_="cl.random.key(0), and cl.random.fold_in(key, step) for the next",
        )


def distribution(function: Callable[..., _R]) -> Callable[..., _R]:
    """The function of a key, refused without a key, its other wrong arguments told in our own form.

    >>> @distribution
    ... def zeros(key, n):
    ...     return np.zeros(n)
    >>> zeros(np.zeros(2, np.uint32), 3).tolist()
    [0.0, 0.0, 0.0]
    """

    @functools.partial(with_refusals, home="cl.random")
    @functools.wraps(function)
    def draw(key: Any, *args: Any, **kwargs: Any) -> _R:
        require_key(key)
        return function(key, *args, **kwargs)

    return draw


def require_where_known(name: str, value: Value, holds: Callable[[Any], Any], what: str) -> None:
    """Refuse a parameter of a distribution that cannot be one; while tracing nobody knows.

    >>> require_where_known("std", 1.0, lambda v: v >= 0, "a number from 0")
    """
    known = raw(value)
    if isinstance(known, bool | int | float | np.ndarray | np.generic) and not np.all(holds(np.asarray(known))):
        raise ArgumentError(f"there is no such {name}", expected=what, got=f"{name} = {known!r:.80}", where=user_line())


def require_scale(scale: Value) -> None:
    """Refuse a negative scale.

    >>> require_scale(2.0)
    """
    require_where_known("scale", scale, lambda v: v >= 0, "a number from 0")


def with_parameters(shape: Dim | Shape, *parameters: Value) -> Shape:
    """The shape of what is drawn: `shape`, with which the parameters broadcast.

    >>> with_parameters(3, np.ones((2, 1)), 1.0)
    (2, 3)
    """
    return broadcast(as_shape(shape), *(type_of(raw(p)).shape for p in parameters))


def floating_dtype(dtype: DTypeLike) -> Any:
    """The dtype of floating numbers; DTypeError for another.

    >>> floating_dtype("float32")
    dtype('float32')
    """
    found = checked_dtype(dtype)
    if found.kind != "f":
        raise DTypeError(
            "random numbers of a distribution are floating",
            expected="float32 or float64",
            got=found.name,
            where=user_line(),
            try_="cl.random.permutation, or cl.floor(n * cl.random.uniform(key, shape)).astype(int)",
        )
    return found


@distribution
def uniform(key: Any, shape: Shape = (), low: Value = 0.0, high: Value = 1.0, dtype: DTypeLike = np.float64) -> Any:
    """Numbers uniform on [low, high): 24 random bits in float32, 53 in float64.

    key        two 32-bit words: same key, same bits
    shape      of the numbers, an integer or a tuple; () is one number
    low, high  the ends
    dtype      float64 or float32

    >>> import clearprop as cl
    >>> cl.random.uniform(cl.random.key(0), (2,), low=-1.0, high=1.0)
    Tensor([-0.16308578, -0.37063656])
    """
    shape, dtype = as_shape(shape), floating_dtype(dtype)
    if dtype == np.float32:
        u = uniform_float32(random_bits(key, shape=shape))
    else:
        bits = random_bits(key, shape=(2, *shape))
        u = astype(uniform_float64(getitem(bits, 0), getitem(bits, 1)), dtype=dtype)
    plain = type(low) in PYTHON_SCALARS and type(high) in PYTHON_SCALARS and (low, high) == (0, 1)
    return u if plain else u * (high - low) + low


@distribution
def normal(key: Any, shape: Shape = (), mean: Value = 0.0, std: Value = 1.0, dtype: DTypeLike = np.float64) -> Any:
    """Normal numbers with the given mean and standard deviation, from 32 random bits each (AS 241, Wichura 1988).

    key        two 32-bit words: same key, same bits
    shape      of the numbers, an integer or a tuple; () is one number
    mean, std  of the distribution
    dtype      float64 or float32

    >>> import clearprop as cl
    >>> cl.random.normal(cl.random.key(0), (2,)).shape
    (2,)
    """
    require_where_known("std", std, lambda v: v >= 0, "a number from 0")
    z = astype(normal_quantile(random_bits(key, shape=as_shape(shape))), dtype=floating_dtype(dtype))
    plain = type(mean) in PYTHON_SCALARS and type(std) in PYTHON_SCALARS and (mean, std) == (0, 1)
    return z if plain else z * std + mean


@distribution
def bernoulli(key: Any, p: Value = 0.5, shape: Shape = ()) -> Any:
    """Booleans that are true with probability p.

    key    two 32-bit words: same key, same bits
    p      from 0 to 1
    shape  of the booleans, an integer or a tuple

    >>> import clearprop as cl
    >>> cl.random.bernoulli(cl.random.key(0), 1.0, (3,))
    Tensor([True, True, True])
    """
    require_where_known("p", p, lambda v: (v >= 0) & (v <= 1), "a probability, from 0 to 1")
    return uniform_float32(random_bits(key, shape=as_shape(shape))) < p


@distribution
def permutation(key: Any, n: int) -> Any:
    """The integers 0 … n − 1 in random order (int64 array).

    key  two 32-bit words: same key, same order
    n    how many

    >>> import clearprop as cl
    >>> sorted(cl.random.permutation(cl.random.key(0), 4).tolist())
    [0, 1, 2, 3]
    """
    words = random_bits(raw(key), shape=(2, n)).astype(np.uint64)
    keys = (words[0] << np.uint64(32)) | words[1]
    order = np.argsort(keys)
    ordered = keys[order]
    # equal keys, which hardly ever come, stay as they are; a sort that always sees to that takes ten times as long
    return np.argsort(keys, kind="stable") if (ordered[1:] == ordered[:-1]).any() else order
