"""NumPy's functions that are several of ours together, in NumPy's form: parts, statistics, polynomials, windows.

Where values decide how many results there are (`compress`, `flatnonzero`), they do so outside of programs alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from clearprop.arrays.numpy_protocol import FUNCTIONS, refusal_of
from clearprop.program.ir import shape_of
from clearprop.rules.on_demand import find_in


class PublicFunctions:
    """The public functions as attributes; of a namespace, where one is named.

    >>> import numpy as np
    >>> PublicFunctions().abs(np.array(-2.0))
    Tensor(2.0)
    """

    def __init__(self, home: str = "") -> None:
        self._home = home

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what looks at modules asks everything for such names
            raise AttributeError(name)
        return find_in(self._home, name) if self._home else FUNCTIONS[name]


cl, linalg = PublicFunctions(), PublicFunctions("linalg")


def _rank(x: Any) -> int:
    return len(shape_of(x))


def _flat(x: Any) -> Any:
    return cl.reshape(x, (-1,))


def _part(x: Any, axis: int, start: int | None, stop: int | None) -> Any:
    """The entries of x from start to stop along an axis."""
    return x[(slice(None),) * axis + (slice(start, stop),)]


# ------------------------------------------------------------------------------------------------------ moves and parts
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    """`np.array_split`: parts of nearly the same size."""
    if np.ndim(indices_or_sections):
        return cl.split(ary, indices_or_sections, axis=axis)
    each, more = divmod(int(shape_of(ary)[axis]), int(indices_or_sections))
    ends = np.cumsum([each + 1] * more + [each] * (int(indices_or_sections) - more))[:-1]
    return cl.split(ary, ends.tolist(), axis=axis)


def dsplit(ary: Any, indices_or_sections: Any) -> Any:
    """`np.dsplit`."""
    return cl.split(ary, indices_or_sections, axis=2)


def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    """`np.rollaxis`: an axis moved before another one."""
    axis, start = axis % _rank(a), start + _rank(a) if start < 0 else start
    return cl.moveaxis(a, axis, start - 1 if axis < start else start)


def partition(a: Any, kth: Any, axis: int = -1) -> Any:
    """`np.partition`, by sorting: what stands at the places kth is right, and what stands before and behind them."""
    return cl.sort(a, axis=axis)


def copy(a: Any) -> Any:
    """`np.copy`: nobody can write into a tensor."""
    return a[...]


def diagflat(v: Any, k: int = 0) -> Any:
    """`np.diagflat`."""
    return cl.diag(_flat(v), offset=k)


def delete(arr: Any, obj: Any, axis: int | None = None) -> Any:
    """`np.delete`."""
    arr, axis = (_flat(arr), 0) if axis is None else (arr, axis)
    return cl.take(arr, np.delete(np.arange(int(shape_of(arr)[axis])), obj), axis=axis)


def compress(condition: Any, a: Any, axis: int | None = None) -> Any:
    """`np.compress`: the entries of which the condition holds."""
    a, axis = (_flat(a), 0) if axis is None else (a, axis)
    return cl.take(a, cl.nonzero(condition)[0], axis=axis)


def flatnonzero(a: Any) -> Any:
    """`np.flatnonzero`."""
    return cl.nonzero(_flat(a))[0]


def argwhere(a: Any) -> Any:
    """`np.argwhere`: a row of places for each entry that is not 0."""
    return cl.stack(list(cl.nonzero(a)), axis=1)


def block(arrays: Any) -> Any:
    """`np.block`: lists of arrays along the last axis, lists of those along the one before, and so on."""

    def depth(part: Any) -> int:
        return 1 + max(map(depth, part)) if isinstance(part, list) else 0

    def rank(part: Any) -> int:
        return max(map(rank, part)) if isinstance(part, list) else _rank(part)

    levels = depth(arrays)
    least = max(levels, rank(arrays))

    def joined(part: Any, level: int) -> Any:
        if not isinstance(part, list):
            return cl.atleast_nd(part, ndim=least)
        return cl.concat([joined(p, level - 1) for p in part], axis=-level)

    return joined(arrays, levels)


def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    """`np.select`: the first choice whose condition holds."""
    pairs = list(zip(condlist, choicelist, strict=True))[::-1]
    return reduce(lambda rest, pair: cl.where(pair[0], pair[1], rest), pairs, default)


# ------------------------------------------------------------------------------------------------ numbers and questions
def fix(x: Any) -> Any:
    """`np.fix`."""
    return cl.trunc(x)


def isposinf(x: Any) -> Any:
    """`np.isposinf`."""
    return cl.equal(x, np.inf)


def isneginf(x: Any) -> Any:
    """`np.isneginf`."""
    return cl.equal(x, -np.inf)


def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """`np.digitize` into rising bins."""
    edges = np.asarray(cl.stop_gradient(bins))
    if (np.diff(edges) < 0).any():
        raise refusal_of("digitize")
    return cl.searchsorted(bins, x, side="left" if right else "right")


def unwrap(p: Any, discont: float | None = None, axis: int = -1, *, period: float = 2 * np.pi) -> Any:
    """`np.unwrap`: angles without jumps of more than half a period."""
    steps, half = cl.diff(p, axis=axis), period / 2
    within = cl.remainder(steps + half, period) - half
    within = cl.where(cl.logical_and(cl.equal(within, -half), steps > 0), half, within)
    jumps = cl.abs(steps) >= max(half, half if discont is None else discont)
    added = cl.cumulative_sum(cl.where(jumps, cl.round((within - steps) / period) * period, 0.0), axis=axis)
    at = axis % _rank(p)
    return cl.concat([_part(p, at, 0, 1), _part(p, at, 1, None) + added], axis=at)


# ---------------------------------------------------------------------------------------------------------- differences
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """`np.ediff1d`: the differences of all entries, with others put around them."""
    parts = [
        None if to_begin is None else _flat(to_begin),
        cl.diff(_flat(ary)),
        None if to_end is None else _flat(to_end),
    ]
    return cl.concat([part for part in parts if part is not None], axis=0)


def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """`np.gradient`: central differences of second order, one-sided ones at the ends."""
    axes = tuple(range(_rank(f))) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    spaces = list(varargs) if len(varargs) > 1 else list(varargs or (1.0,)) * len(axes)
    if edge_order not in (1, 2) or len(spaces) != len(axes):
        raise refusal_of("gradient")
    found = [_slope(f, space, at % _rank(f), edge_order) for space, at in zip(spaces, axes, strict=True)]
    return found[0] if len(found) == 1 else tuple(found)


def _slope(f: Any, space: Any, at: int, edge_order: int) -> Any:
    """The derivative along one axis, whose places are a step apart or given."""
    n = int(shape_of(f)[at])
    places = space if _rank(space) else cl.multiply(space, np.arange(float(n)))
    gaps = cl.reshape(cl.diff(places), (n - 1,) + (1,) * (_rank(f) - at - 1))
    rises = cl.diff(f, axis=at) / gaps
    before, behind = _part(gaps, 0, None, -1), _part(gaps, 0, 1, None)
    left, right = _part(rises, at, None, -1), _part(rises, at, 1, None)
    inner = (left * behind + right * before) / (before + behind)
    ends = _part(rises, at, 0, 1), _part(rises, at, -1, None)
    if edge_order == 2:
        bends = (right - left) / (before + behind)
        ends = (ends[0] - _part(bends, at, 0, 1) * _part(gaps, 0, 0, 1),
                ends[1] + _part(bends, at, -1, None) * _part(gaps, 0, -1, None))  # fmt: skip
    return cl.concat([ends[0], inner, ends[1]], axis=at)


# ----------------------------------------------------------------------------------------------------------- statistics
def average(a: Any, axis: Any = None, weights: Any = None, *, keepdims: bool = False) -> Any:
    """`np.average`: the mean, or with weights along an axis or of every entry."""
    if weights is None:
        return cl.mean(a, axis=axis, keepdims=keepdims)
    if _rank(weights) != _rank(a):
        if not isinstance(axis, int) or _rank(weights) != 1:
            raise refusal_of("average")
        weights = cl.reshape(weights, (-1,) + (1,) * (_rank(a) - axis % _rank(a) - 1))
    weights = cl.broadcast_to(weights, shape_of(a))
    total = cl.sum(weights, axis=axis, keepdims=keepdims)
    return cl.sum(cl.multiply(a, weights), axis=axis, keepdims=keepdims) / total


def cov(m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None) -> Any:
    """`np.cov`: variables are rows, or columns with rowvar=False."""
    parts = [cl.atleast_nd(part, ndim=2) for part in (m, y) if part is not None]
    if not rowvar:
        parts = [part if _rank(given) == 1 else part.mT for part, given in zip(parts, (m, y), strict=False)]
    x = cl.concat(parts, axis=0)
    away = x - cl.mean(x, axis=1, keepdims=True)
    less = ddof if ddof is not None else 0 if bias else 1
    return _number_of_one_entry(away @ cl.conj(away).mT / (int(shape_of(x)[1]) - less))


def _number_of_one_entry(matrix: Any) -> Any:
    """The number that a matrix of one entry holds; every other as it is."""
    return cl.reshape(matrix, ()) if shape_of(matrix) == (1, 1) else matrix


def corrcoef(x: Any, y: Any = None, rowvar: bool = True) -> Any:
    """`np.corrcoef`."""
    c = cov(x, y, rowvar)
    if not _rank(c):
        return c / c
    spread = cl.sqrt(cl.diagonal(c))
    return cl.clip(c / cl.expand_dims(spread, 1) / spread, -1.0, 1.0)


# ------------------------------------------------------------------------------------------------- windows, polynomials
def _full_convolution(a: Any, v: Any) -> Any:
    n, m = int(shape_of(a)[0]), int(shape_of(v)[0])
    x = cl.reshape(cl.pad(a, (m - 1, m - 1)), (1, n + 2 * (m - 1), 1))
    return _flat(cl.conv(x, cl.reshape(cl.flip(v, axis=0), (m, 1, 1))))


def _of_mode(full: Any, n: int, m: int, mode: str, name: str) -> Any:
    """The part of all sums that NumPy's mode names."""
    short, long = min(n, m), max(n, m)
    starts = {"full": (0, n + m - 1), "same": ((short - 1) // 2, long), "valid": (short - 1, long - short + 1)}
    if mode not in starts:
        raise refusal_of(name)
    start, many = starts[mode]
    return _part(full, 0, start, start + many)


def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    """`np.convolve`: Σⱼ aⱼ vₖ₋ⱼ."""
    return _of_mode(_full_convolution(a, v), int(shape_of(a)[0]), int(shape_of(v)[0]), mode, "convolve")


def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    """`np.correlate`: Σⱼ aₖ₊ⱼ vⱼ."""
    n, m = int(shape_of(a)[0]), int(shape_of(v)[0])
    full = _full_convolution(a, cl.flip(v, axis=0))
    return _of_mode(full, n, m, mode, "correlate") if n >= m or mode != "same" else _part(full, 0, n // 2, n // 2 + m)


def polyval(p: Any, x: Any) -> Any:
    """`np.polyval`: Horner's scheme, the highest power first."""
    coefficients = [p[i] for i in range(int(shape_of(p)[0]))]
    return reduce(lambda y, c: y * x + c, coefficients, cl.multiply(x, 0.0))


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """`np.vander`: a column for each power."""
    many = int(shape_of(x)[0]) if N is None else N
    powers = np.arange(many) if increasing else np.arange(many)[::-1]
    return cl.pow(cl.expand_dims(x, 1), powers)


# ------------------------------------------------------------------------------------------------------ linear algebra
def tensorinv(a: Any, ind: int = 2) -> Any:
    """`np.linalg.tensorinv`: the inverse of a as a map between its last and its first axes."""
    shape = tuple(map(int, shape_of(a)))
    rows = int(np.prod(shape[ind:]))
    return cl.reshape(linalg.inv(cl.reshape(a, (rows, rows))), shape[ind:] + shape[:ind])


def tensorsolve(a: Any, b: Any) -> Any:
    """`np.linalg.tensorsolve`: x with a·x = b, summed over as many axes as x has."""
    shape, n = tuple(map(int, shape_of(a))), _rank(b)
    rows = int(np.prod(shape_of(b)))
    return cl.reshape(linalg.solve(cl.reshape(a, (rows, rows)), _flat(b)), shape[n:])


_PLAIN: tuple[Callable[..., Any], ...] = (
    *(array_split, dsplit, rollaxis, partition, copy, diagflat, delete, compress, flatnonzero, argwhere, block, select),
    *(fix, isposinf, isneginf, digitize, unwrap, ediff1d, gradient, average, cov, corrcoef, convolve, correlate),
    *(polyval, vander),
)
COMPOSITIONS: dict[str, Callable[..., Any]] = {
    **{f.__name__: f for f in _PLAIN},
    "linalg.tensorinv": tensorinv,
    "linalg.tensorsolve": tensorsolve,
}
"""By NumPy's name, without `numpy.`."""
