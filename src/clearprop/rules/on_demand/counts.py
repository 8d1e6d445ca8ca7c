"""Random counts: of classes, of failures, of what is drawn without putting back; and integers with long tails."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.errors import ArgumentError, ShapeError, user_line
from clearprop.primitives import HELPERS, primitive
from clearprop.program.types import INT64, Value, type_of
from clearprop.program.values import raw
from clearprop.rules import random
from clearprop.rules.elementwise import as_floating, astype, expm1, floor, log, log1p, maximum, stop_gradient, where
from clearprop.rules.indexing import getitem
from clearprop.rules.on_demand import distributions
from clearprop.rules.on_demand.discrete import poisson
from clearprop.rules.on_demand.gamma_family import attempt_words, by_key, exact_exp, gamma
from clearprop.rules.on_demand.manipulation import diff
from clearprop.rules.on_demand.sorting import argsort
from clearprop.rules.random import LOG_2, exact_log, open_interval
from clearprop.rules.reductions import cumulative_sum, sum
from clearprop.rules.structural import broadcast_to
from clearprop.shapes import Dim, Shape, as_shape


def _number(name: str, n: int) -> int:
    n = operator.index(n)
    random.require_where_known(name, n, lambda v: v >= 0, "an integer from 0")
    return n


@random.distribution
def multinomial(key: Any, n: int, p: Value, shape: Dim | Shape = ()) -> Any:
    """How many of n trials end in each class (int64); every trial is drawn, two words for each.

    key    two 32-bit words: same key, same bits
    n      how many trials
    p      weights of the classes along the last axis, from 0; by their sum they are probabilities
    shape  how many vectors of counts are drawn of each; in the result these axes come first

    >>> import clearprop as cl
    >>> cl.random.multinomial(cl.random.key(0), 5, cl.tensor([0.0, 1.0]))
    Tensor([0, 5])
    """
    n, t = _number("n", n), type_of(raw(p))
    if t.ndim < 1:
        raise ShapeError(
            "multinomial needs a weight for each class",
            expected="shape (…, k)",
            got=f"shape {t.shape}",
            where=user_line(),
        )
    random.require_where_known(
        "p", p, lambda v: np.all(v >= 0) and np.all(np.any(v > 0, axis=-1)), "numbers from 0, not all of them 0"
    )
    total = cumulative_sum(as_floating(stop_gradient(p)), axis=-1)
    ends = total / getitem(total, (Ellipsis, slice(-1, None)))
    u = distributions.open_uniforms(key, (n, *as_shape(shape), *t.shape[:-1]))
    below = sum(astype(getitem(u, (Ellipsis, None)) < ends, dtype=INT64), axis=0)
    return diff(below, axis=-1, prepend=0)


@random.distribution
def negative_binomial(key: Any, n: Value, p: Value, shape: Dim | Shape = ()) -> Any:
    """How many trials fail before the n-th success of probability p (int64): Poisson numbers of gamma numbers as rates.

    key    two 32-bit words: same key, same bits
    n      a number above 0, also a fraction
    p      from 0, which is left out, to 1
    shape  of the integers, with which n and p broadcast; () is theirs

    >>> import clearprop as cl
    >>> cl.random.negative_binomial(cl.random.key(0), 3.0, 1.0)
    Tensor(0)
    """
    random.require_where_known("n", n, lambda v: v > 0, "a number above 0")
    random.require_where_known("p", p, lambda v: (v > 0) & (v <= 1), "a probability above 0, up to 1")
    n, p = (as_floating(stop_gradient(v)) for v in (n, p))
    rate = gamma(random.fold_in_(key, 0), n, random.with_parameters(shape, n, p)) * ((1.0 - p) / p)
    return poisson(random.fold_in_(key, 1), rate)


def _first_of_all(key: Any, many: int, n: int, shape: Shape) -> Any:
    """The places of n of so many things that are drawn without putting back, along the last axis."""
    if n > many:
        raise ArgumentError(
            "no more can be drawn than there are", expected=f"n from 0 to {many}", got=f"n = {n}", where=user_line()
        )
    order = argsort(distributions.open_uniforms(key, (*shape, many)), axis=-1)
    return getitem(order, (Ellipsis, slice(0, n)))


@random.distribution
def hypergeometric(key: Any, good: int, bad: int, n: int, shape: Dim | Shape = ()) -> Any:
    """How many of n things that are drawn without putting back are good (int64); all things are put in order.

    key        two 32-bit words: same key, same bits
    good, bad  how many there are of each
    n          how many are drawn
    shape      of the integers, an integer or a tuple; () is one

    >>> import clearprop as cl
    >>> cl.random.hypergeometric(cl.random.key(0), 5, 0, 3)
    Tensor(3)
    """
    good, bad, n = _number("good", good), _number("bad", bad), _number("n", n)
    return sum(astype(_first_of_all(key, good + bad, n, as_shape(shape)) < good, dtype=INT64), axis=-1)


@random.distribution
def multivariate_hypergeometric(key: Any, colours: Value, n: int, shape: Dim | Shape = ()) -> Any:
    """How many of each colour are among n things that are drawn without putting back (int64); all are put in order.

    key      two 32-bit words: same key, same bits
    colours  how many things there are of each colour, integers (k,)
    n        how many are drawn
    shape    how many vectors of counts; in the result these axes come first

    >>> import clearprop as cl
    >>> cl.random.multivariate_hypergeometric(cl.random.key(0), [2, 3], 5)
    Tensor([2, 3])
    """
    many = np.asarray(colours)
    if many.ndim != 1 or many.dtype.kind not in "iu" or not many.size or (many < 0).any():
        raise ArgumentError(
            "there are no such colours", expected="integers from 0, of shape (k,)", got=f"{colours!r:.80}",
            where=user_line(),
        )  # fmt: skip
    places = _first_of_all(key, int(many.sum()), _number("n", n), as_shape(shape))
    below = sum(astype(getitem(places, (Ellipsis, None)) < np.cumsum(many), dtype=INT64), axis=-2)
    return diff(below, axis=-1, prepend=0)


@random.distribution
def logseries(key: Any, p: Value, shape: Dim | Shape = ()) -> Any:
    """Integers k from 1 on with probability −pᵏ/(k log(1 − p)) (int64), by Kemp's second method (1981).

    key    two 32-bit words: same key, same bits
    p      from 0 to 1, both left out
    shape  of the integers, with which p broadcasts; () is that of p

    >>> import clearprop as cl
    >>> cl.random.logseries(cl.random.key(0), 1e-9)
    Tensor(1)
    """
    random.require_where_known("p", p, lambda v: (v > 0) & (v < 1), "a number between 0 and 1")
    p = as_floating(stop_gradient(p))
    whole = random.with_parameters(shape, p)
    u, v = (distributions.open_uniforms(random.fold_in_(key, i), whole) for i in (0, 1))
    q = -expm1(v * log1p(-p))
    long = maximum(floor(1.0 + log(u) / log(q)), 1.0)
    return astype(where(u <= q * q, long, where(u < q, 2.0, 1.0)) * where(u < p, 1.0, 0.0) + where(u < p, 0.0, 1.0),
                  dtype=INT64)  # fmt: skip


# --------------------------------------------------------------------------------------------------------------- Zipf
_LARGEST = 2.0**63 - 1024
"""The largest floating-point number that is an int64."""
_ONLY_ONE = 1000.0
"""The exponent from which 2 has no probability that a floating-point number could hold."""
_FAR = 1e5
"""From here on (1 + 1/k)^(a−1) − 1 is (a − 1)/k and one term more."""


def _zipf_row(key: NDArray[Any], a: NDArray[Any]) -> NDArray[Any]:
    """Devroye (1986, X.6.1): the integer part of a number with a tail of the same power, accepted in half the cases."""
    out, places = np.ones(len(a)), np.arange(len(a))
    waiting, attempt = places[a < _ONLY_ONE], 0
    while waiting.size:
        power = a[waiting] - 1.0
        u = open_interval(*attempt_words(key, attempt, waiting, 2))
        v = open_interval(*attempt_words(key, attempt, waiting, 3))
        least = exact_exp(-power * (63.0 * LOG_2))  # below, the number would be no int64
        k = np.minimum(np.floor(exact_exp(-exact_log(u + (1.0 - u) * least) / power)), _LARGEST)
        inverse = 1.0 / k
        near = exact_exp(power * exact_log(1.0 + inverse)) - 1.0
        growth = np.where(k > _FAR, power * inverse * (1.0 + (power - 1.0) * 0.5 * inverse), near)
        two = exact_exp(power * LOG_2)
        taken = v * k * growth * two <= (1.0 + growth) * (two - 1.0)
        out[waiting[taken]] = k[taken]
        waiting, attempt = waiting[~taken], attempt + 1
    return out


def _zipf_numbers(key: NDArray[Any], a: NDArray[Any]) -> NDArray[Any]:
    if not np.all(a > 1):
        raise ValueError("an exponent of Zipf's distribution is above 1")
    return by_key(_zipf_row, key, a).astype(np.int64)


HELPERS["zipf_numbers"] = _zipf_numbers


@primitive(
    "general",
    numpy="zipf_numbers({key}, {a})",
    tex=r"\operatorname{{Zipf}}({a})",
    shape=lambda key, a: a.shape,
    dtype="int64",
    public=False,
    batch=lambda size, key, a: zipf_numbers(key, a),
)
def zipf_numbers(key: Any, a: Value, /) -> Any:
    """One number of Zipf's distribution for each exponent."""


@random.distribution
def zipf(key: Any, exponent: Value, shape: Dim | Shape = ()) -> Any:
    """Integers k from 1 on with probability k^(−a)/ζ(a) (int64): ranks of words; those above 2⁶³ are drawn again.

    key       two 32-bit words: same key, same bits
    exponent  a, above 1
    shape     of the integers, with which a broadcasts; () is that of a

    >>> import clearprop as cl
    >>> bool(cl.random.zipf(cl.random.key(0), 2.0) >= 1)
    True
    """
    random.require_where_known("exponent", exponent, lambda v: v > 1, "a number above 1")
    a = astype(as_floating(stop_gradient(exponent)), dtype=np.dtype(np.float64))
    return zipf_numbers(key, broadcast_to(a, random.with_parameters(shape, a)))
