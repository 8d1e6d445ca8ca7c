"""Reductions over the whole range, against mpmath: values, and derivatives of weighted sums of what they give.

A unit in the last place is that of the right value or, where the terms of a sum cancel, of the sum of their sizes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import clearprop as cl
from tests.primitives.mp_functions import MP
from tests.primitives.whole_range import Run, error

LENGTHS = (1, 2, 7, 300)
"""Of the rows: within a block of a compensated sum, and beyond it."""
ROWS_OF_LENGTH = 3

Row = list[Any]


def _fsum(row: Row) -> Any:
    return MP.fsum(row)


def _sizes(row: Row) -> Any:
    return MP.fsum(row, absolute=True)


def _weights(n: int) -> np.ndarray:
    """Numbers without a pattern that every dtype holds, of both signs."""
    return np.round(8 * np.cos(np.arange(n) * 1.7)) / 8 + 0.0625


@dataclass(frozen=True)
class Reduced:
    """What a reduction is of one row, its derivative by the row's entries, and the sizes that units are of."""

    value: Callable[[Row], Any]  # a number, or a list where a row gives a row
    slope: Callable[[Row, Row], Row]  # of Σ wᵢ·valueᵢ
    size: Callable[[Row], Any] = lambda row: 0
    slope_size: Callable[[Row, Row], Any] = lambda row, w: 0
    reach: Callable[[int, float], float] = lambda n, top: top - 12  # the largest exponent of an entry


def _mean(row: Row) -> Any:
    return _fsum(row) / len(row)


def _variance(row: Row) -> Any:
    mean = _mean(row)
    return MP.fsum([(v - mean) ** 2 for v in row]) / len(row)


def _powers(row: Row) -> Row:
    """What each entry has of the largest one's exponential: after the subtraction, few digits do."""
    top = max(row)
    gaps = [max(v - top, MP.mpf(-2000)) for v in row]
    with MP.workprec(250):
        return [MP.exp(gap) for gap in gaps]


def _shares(row: Row) -> Row:
    powers = _powers(row)
    with MP.workprec(250):
        total = _fsum(powers)
        return [p / total for p in powers]


def _logsumexp(row: Row) -> Any:
    with MP.workprec(250):
        above = MP.log(_fsum(_powers(row)))
    return max(row) + above


def _log_shares(row: Row) -> Row:
    total = _logsumexp(row)
    return [v - total for v in row]


def _running_sum(row: Row) -> Row:
    return list(itertools.accumulate(row))


def _softmax_slope(row: Row, w: Row) -> Row:
    p = _shares(row)
    mean = _fsum([a * b for a, b in zip(p, w, strict=True)])
    return [a * (b - mean) for a, b in zip(p, w, strict=True)]


def _log_softmax_slope(row: Row, w: Row) -> Row:
    total = _fsum(w)
    return [b - a * total for a, b in zip(_shares(row), w, strict=True)]


def _product(row: Row) -> Any:
    return MP.fprod(row)


def _product_slope(row: Row, w: Row) -> Row:
    product = _product(row)
    return [w[0] * product / v for v in row]


def _largest_slope(row: Row, w: Row) -> Row:
    top = max(row)
    return [w[0] * (v == top) for v in row]


def _smallest_slope(row: Row, w: Row) -> Row:
    low = min(row)
    return [w[0] * (v == low) for v in row]


def _norm_slope(row: Row, w: Row) -> Row:
    norm = MP.norm(row)
    return [w[0] * v / norm for v in row]


def _deviation_slope(row: Row, w: Row) -> Row:
    mean, std = _mean(row), MP.sqrt(_variance(row))
    return [w[0] * (v - mean) / (len(row) * std) if std else MP.nan for v in row]


def _variance_slope(row: Row, w: Row) -> Row:
    mean = _mean(row)
    return [2 * w[0] * (v - mean) / len(row) for v in row]


REDUCTIONS: dict[str, Reduced] = {
    "sum": Reduced(_fsum, lambda row, w: [w[0]] * len(row), _sizes),
    "mean": Reduced(_mean, lambda row, w: [w[0] / len(row)] * len(row), lambda row: _sizes(row) / len(row)),
    "prod": Reduced(
        _product, _product_slope, reach=lambda n, top: 0.9 * top / n
    ),
    "max": Reduced(max, _largest_slope),
    "min": Reduced(min, _smallest_slope),
    "var": Reduced(_variance, _variance_slope, slope_size=lambda row, w: 2 * max(map(abs, row)) / len(row),
                   reach=lambda n, top: top / 2 - 12),
    "std": Reduced(lambda row: MP.sqrt(_variance(row)), _deviation_slope, slope_size=lambda row, w: 1 / len(row)),
    "norm": Reduced(
        lambda row: MP.norm(row), _norm_slope
    ),
    "logsumexp": Reduced(
        _logsumexp, lambda row, w: [w[0] * p for p in _shares(row)], lambda row: max(1, abs(max(row)))
    ),
    "softmax": Reduced(_shares, _softmax_slope, slope_size=lambda row, w: 1),
    "log_softmax": Reduced(_log_shares, _log_softmax_slope,
                           lambda row: max(1, abs(max(row))), lambda row, w: _sizes(w)),
    "cumulative_sum": Reduced(_running_sum, lambda row, w: _running_sum(w[::-1])[::-1], _sizes,
                              lambda row, w: _sizes(w)),
}  # fmt: skip


OF_ROWS = ("softmax", "log_softmax", "cumulative_sum")


def rows(name: str, dtype: str, n: int) -> np.ndarray:
    """Rows of numbers of one size each, from the smallest normal ones up, and of many sizes; of both signs."""
    info, rng = np.finfo(dtype), np.random.default_rng(n)
    top = REDUCTIONS[name].reach(n, float(info.maxexp))
    low = max(float(info.minexp) + 30, -top) if name in ("prod", "var") else float(info.minexp) + 30
    exponents = np.concatenate([rng.uniform(low, top, ROWS_OF_LENGTH), [0.0, 3.0, 9.0]])[:, None]
    x = rng.uniform(0.5, 1.0, (len(exponents), n)) * rng.choice([-1.0, 1.0], (len(exponents), n)) * 2.0**exponents
    mixed = 2.0 ** rng.uniform(max(low, -top), top, (ROWS_OF_LENGTH, n)) * rng.choice([-1.0, 1.0], (ROWS_OF_LENGTH, n))
    return np.concatenate([x, np.abs(x[-2:]) + 2.0, mixed]).astype(dtype)


def _worst(found: np.ndarray, given: list[Row], right: Callable[[Row], Any], size: Callable[[Row], Any]) -> float:
    """The largest error of the rows' results."""
    worst = 0.0
    for got, row in zip(found, given, strict=True):
        want = right(row)
        values = [+v for v in (want if isinstance(want, list) else [want])]
        worst = max(worst, error(np.atleast_1d(got), values, size(row))[0])
    return worst


def reduction_errors(name: str, dtype: str, run: Run) -> dict[str, tuple[float, float, Any]]:
    """Of value and derivative: the largest error in units as said above, twice, and the length of the row of it."""
    one, f, out = REDUCTIONS[name], getattr(cl, name), {"value": (0.0, 0.0, 0), "derivative": (0.0, 0.0, 0)}
    of_row = name in OF_ROWS
    for n in LENGTHS:
        x, w = rows(name, dtype, n), _weights(n if of_row else 1).astype(dtype)
        with MP.workprec(200 + 2 * int(np.finfo(dtype).maxexp)):  # no digit of a sum of any sizes is lost
            given, weights = [list(map(MP.mpf, row)) for row in x.tolist()], list(map(MP.mpf, w.tolist()))
            slope = run(cl.grad(lambda x, w=w: cl.sum(f(x, axis=-1) * (w if of_row else w[0]))))
            worst = {
                "value": _worst(np.asarray(run(lambda x: f(x, axis=-1))(x)), given, one.value, one.size),
                "derivative": _worst(
                    np.asarray(slope(x)), given, partial(one.slope, w=weights), partial(one.slope_size, w=weights)
                ),
            }
        out = {part: max(out[part], (v, v, n)) for part, v in worst.items()}
    return out
