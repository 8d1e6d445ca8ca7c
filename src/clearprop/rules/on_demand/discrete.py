"""Random integers and choices: what is drawn from keeps its history, probabilities have no derivative."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from clearprop.errors import ArgumentError, ShapeError, user_line
from clearprop.primitives import HELPERS, primitive
from clearprop.program.types import INT64, Value, type_of
from clearprop.program.values import raw
from clearprop.rules import random
from clearprop.rules.elementwise import as_floating, astype, floor, log, log1p, minimum, stop_gradient, where
from clearprop.rules.indexing import take
from clearprop.rules.on_demand import distributions
from clearprop.rules.on_demand.gamma_family import attempt_words, by_key, exact_exp
from clearprop.rules.on_demand.sorting import topk
from clearprop.rules.random import exact_log, open_interval
from clearprop.rules.reductions import argmax, sum
from clearprop.rules.structural import broadcast_to, reshape
from clearprop.shapes import Dim, Shape, as_shape, normalise_axis, same, size_of

_LARGEST = 2.0**63 - 1024
"""The largest floating-point number that is an int64."""


@random.distribution
def integers(key: Any, low: int, high: int, shape: Dim | Shape = ()) -> Any:
    """Integers from low to high − 1, all equally likely (int64), as low + ⌊u·(high − low)⌋.

    key        two 32-bit words: same key, same bits
    low, high  the first integer, and the one behind the last; at most 2⁵³ apart
    shape      of the integers, an integer or a tuple; () is one

    >>> import clearprop as cl
    >>> cl.random.integers(cl.random.key(0), 5, 6, (3,))
    Tensor([5, 5, 5])
    """
    low, high = operator.index(low), operator.index(high)
    if not 0 < high - low <= 2**53:
        raise ArgumentError(
            "integers are drawn from a range",
            expected="low < high, at most 2**53 apart",
            got=f"low = {low}, high = {high}",
            where=user_line(),
        )
    return astype(floor(random.uniform(key, shape) * float(high - low)), dtype=INT64) + low


@random.distribution
def rademacher(key: Any, shape: Dim | Shape = (), dtype: DTypeLike = np.float64) -> Any:
    """Numbers that are 1 or −1, equally likely.

    key    two 32-bit words: same key, same bits
    shape  of the numbers, an integer or a tuple; () is one number
    dtype  of the numbers

    >>> import clearprop as cl
    >>> cl.abs(cl.random.rademacher(cl.random.key(0), (2,)))
    Tensor([1.0, 1.0])
    """
    up = random.random_bits(key, shape=as_shape(shape)) < 2**31
    return astype(where(up, 1, -1), dtype=random.floating_dtype(dtype))


@random.distribution
def geometric(key: Any, p: Value, shape: Dim | Shape = ()) -> Any:
    """How many trials it takes until the first success of probability p (int64), as ⌈log u / log(1 − p)⌉.

    key    two 32-bit words: same key, same bits
    p      from 0, which is left out, to 1
    shape  of the integers, with which p broadcasts; () is that of p

    >>> import clearprop as cl
    >>> cl.random.geometric(cl.random.key(0), 1.0)
    Tensor(1)
    """
    random.require_where_known("p", p, lambda v: (v > 0) & (v <= 1), "a probability above 0, up to 1")
    whole = random.with_parameters(shape, p)
    trials = floor(-distributions.standard_exponential(key, whole) / log1p(-p)) + 1.0
    return astype(minimum(trials, _LARGEST), dtype=INT64)


@random.distribution
def binomial(key: Any, n: int, p: Value, shape: Dim | Shape = ()) -> Any:
    """How many of n trials succeed, each with probability p (int64); every trial is drawn, n words for each number.

    key    two 32-bit words: same key, same bits
    n      how many trials
    p      from 0 to 1
    shape  of the integers, with which p broadcasts; () is that of p

    >>> import clearprop as cl
    >>> cl.random.binomial(cl.random.key(0), 5, 1.0)
    Tensor(5)
    """
    n = operator.index(n)
    random.require_where_known("n", n, lambda v: v >= 0, "a number of trials, from 0")
    return sum(astype(random.bernoulli(key, p, (n, *random.with_parameters(shape, p))), dtype=INT64), axis=0)


@random.distribution
def categorical(key: Any, logits: Value, shape: Dim | Shape = (), *, axis: int = -1) -> Any:
    """Indices along an axis, drawn with probability softmax(logits), as the largest of logits + Gumbel numbers (int64).

    key     two 32-bit words: same key, same bits
    logits  logarithms of the probabilities, up to a constant
    shape   how many are drawn of each distribution; in the result these axes come first
    axis    the axis of the classes

    >>> import clearprop as cl
    >>> cl.random.categorical(cl.random.key(0), cl.tensor([0.0, 1000.0]), (3,))
    Tensor([1, 1, 1])
    """
    t = type_of(raw(logits))
    at = normalise_axis(axis, t.ndim)
    noise = distributions.standard_gumbel(key, (*as_shape(shape), *t.shape))
    return argmax(logits + astype(noise, dtype=t.dtype if t.dtype.kind == "f" else np.dtype(float)), axis=at)


@random.distribution
def shuffle(key: Any, x: Value, *, axis: int = 0) -> Any:
    """x with its entries along an axis in random order.

    key   two 32-bit words: same key, same order
    x     an array
    axis  the axis

    >>> import clearprop as cl
    >>> cl.sort(cl.random.shuffle(cl.random.key(0), cl.tensor([3, 1, 2])))
    Tensor([1, 2, 3])
    """
    return take(x, random.permutation(key, int(type_of(raw(x)).shape[axis])), axis=axis)


@random.distribution
def choice(
    key: Any, x: Value, shape: Dim | Shape = (), *, replace: bool = True, p: Value | None = None, axis: int = 0
) -> Any:
    """Entries of x along an axis, or integers from 0 to x − 1, drawn at random.

    key      two 32-bit words: same key, same choice
    x        an array, or a number of integers
    shape    how many, an integer or a tuple; () is one
    replace  whether an entry may be drawn again
    p        the probability of each entry; None: all equal
    axis     the axis of x that is drawn from

    >>> import clearprop as cl
    >>> cl.sort(cl.random.choice(cl.random.key(0), 3, (3,), replace=False))
    Tensor([0, 1, 2])
    """
    shape = as_shape(shape)
    is_number = not type_of(raw(x)).shape
    n = operator.index(x) if is_number else int(type_of(raw(x)).shape[axis])  # type: ignore[arg-type]  # what is none says so
    many = int(size_of(shape))
    if n < 1 or (not replace and many > n):
        raise ArgumentError(
            "there are too few entries to choose from",
            expected=f"at least {1 if replace else many} entries, or replace=True",
            got=f"{n} entries, {many} drawn",
            where=user_line(),
        )
    places = reshape(_places(key, n, many, replace, p), shape)
    return places if is_number else take(x, places, axis=axis)


def _places(key: Any, n: int, many: int, replace: bool, p: Value | None) -> Any:
    if p is None:
        return integers(key, 0, n, (many,)) if replace else take(random.permutation(key, n), np.arange(many))
    _require_shares(p, n, 1 if replace else many)
    if replace:
        return categorical(key, log(p), (many,))
    return topk(log(p) + distributions.standard_gumbel(key, (n,)), many)[1]  # the largest are drawn first


def _require_shares(p: Value, n: int, least: int) -> None:
    """Probabilities, one for each of n entries, of which at least so many can be drawn."""
    shape = type_of(raw(p)).shape
    if len(shape) != 1 or not same(shape[0], n):
        raise ShapeError(
            "choice needs a probability for each entry",
            expected=f"shape ({n},)",
            got=f"shape {shape}",
            where=user_line(),
        )
    random.require_where_known(
        "p", p, lambda v: np.all(v >= 0) and np.count_nonzero(v) >= least, f"numbers from 0, {least} or more above 0"
    )


# ------------------------------------------------------------------------------------------------------------ Poisson
_DIRECT = 10.0
"""The rate up to which Poisson numbers are found by adding probabilities."""
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188)
"""Coefficients of Stirling's series of log Γ(x) in 1/x, 1/x³, … (DLMF 5.11.1)."""


_HALF_LOG_2_PI = 0.9189385332046727
_LARGEST_RATE = 1e15


def _log_factorial(k: NDArray[Any]) -> NDArray[Any]:
    """log k! by Stirling's series, and below 10 as a sum of logarithms."""
    x = np.maximum(k, 10.0) + 1.0
    series = np.zeros_like(x)
    for c in reversed(_STIRLING):
        series = c + series / (x * x)
    large = (x - 0.5) * exact_log(x) - x + _HALF_LOG_2_PI + series / x
    small = np.cumsum(np.concatenate([[0.0], exact_log(np.arange(1.0, 11.0))]))
    return np.asarray(np.where(k < 10, small[np.clip(k, 0, 10).astype(np.int64)], large))


def _few(key: NDArray[Any], rate: NDArray[Any], places: NDArray[Any]) -> NDArray[Any]:
    """Poisson numbers of small rates: the first k up to which the probabilities exceed a uniform number."""
    u = open_interval(*attempt_words(key, 0, places, 2))
    p = exact_exp(-rate)
    total, k = p.copy(), np.zeros(len(rate))
    while (more := (u > total) & (p > 0)).any():
        k = np.where(more, k + 1, k)
        p = np.where(more, p * rate / np.maximum(k, 1.0), p)
        total = np.where(more, total + p, total)
    return k


def _many(key: NDArray[Any], rate: NDArray[Any], places: NDArray[Any]) -> NDArray[Any]:
    """Poisson numbers of large rates by transformed rejection (PTRS, Hörmann 1993)."""
    b = 0.931 + 2.53 * np.sqrt(rate)
    a = -0.059 + 0.02483 * b
    out, waiting, attempt = np.zeros(len(rate)), np.arange(len(rate)), 0
    while waiting.size:
        u = open_interval(*attempt_words(key, attempt, places[waiting], 2)) - 0.5
        v = open_interval(*attempt_words(key, attempt, places[waiting], 3))
        wide, steep, m = b[waiting], a[waiting], rate[waiting]
        room = 0.5 - np.abs(u)
        k = np.floor((2 * steep / room + wide) * u + m + 0.43)
        quick = (room >= 0.07) & (v <= 0.9277 - 3.6224 / (wide - 2))
        possible = (k >= 0) & ((room >= 0.013) | (v <= room))
        height = exact_log(v * (1.1239 + 1.1328 / (wide - 3.4)) / (steep / (room * room) + wide))
        inside = height <= k * exact_log(m) - m - _log_factorial(np.maximum(k, 0))
        taken = quick | (possible & inside)
        out[waiting[taken]] = k[taken]
        waiting, attempt = waiting[~taken], attempt + 1
    return out


def _poisson_row(key: NDArray[Any], rate: NDArray[Any]) -> NDArray[Any]:
    out, places = np.zeros(len(rate), np.int64), np.arange(len(rate))
    for chosen, draw in ((rate < _DIRECT, _few), (rate >= _DIRECT, _many)):
        out[chosen] = draw(key, rate[chosen], places[chosen]).astype(np.int64)
    return out


def _poisson_numbers(key: NDArray[Any], rate: NDArray[Any]) -> NDArray[Any]:
    if not np.all((rate >= 0) & (rate <= _LARGEST_RATE)):
        raise ValueError(f"a Poisson rate is from 0 to {_LARGEST_RATE:g}")
    return by_key(_poisson_row, key, rate)


HELPERS["poisson_numbers"] = _poisson_numbers


@primitive(
    "general",
    numpy="poisson_numbers({key}, {rate})",
    tex=r"\operatorname{{Poisson}}({rate})",
    shape=lambda key, rate: rate.shape,
    dtype="int64",
    public=False,
    batch=lambda size, key, rate: poisson_numbers(key, rate),
)
def poisson_numbers(key: Any, rate: Value, /) -> Any:
    """One Poisson number for each rate."""


@random.distribution
def poisson(key: Any, rate: Value, shape: Dim | Shape = ()) -> Any:
    """Counts of events that come at a rate (int64): k with probability e^(−λ)λᵏ/k!.

    Small rates by adding probabilities, large ones by transformed rejection (Hörmann 1993); from 0 to 10¹⁵.

    key    two 32-bit words: same key, same bits
    rate   λ, numbers from 0
    shape  of the integers, with which the rates broadcast; () is that of the rates

    >>> import clearprop as cl
    >>> cl.random.poisson(cl.random.key(0), 0.0, (2,))
    Tensor([0, 0])
    """
    random.require_where_known("rate", rate, lambda v: (v >= 0) & (v <= _LARGEST_RATE), f"from 0 to {_LARGEST_RATE:g}")
    rate = astype(as_floating(stop_gradient(rate)), dtype=np.dtype(np.float64))
    return poisson_numbers(key, broadcast_to(rate, random.with_parameters(shape, rate)))
