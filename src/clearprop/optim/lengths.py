"""Lengths and inner products over all leaves of a tree, for gradients of any size that their dtype holds.

A square overflows long before its number does: 1e20 is a float32, its square is none.  So where a sum of squares is not
finite it is taken of the numbers times 2⁻ᵏ.  A power of two rounds nothing, and wherever no square overflows all bits
are those of the plain sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from clearprop.optim.transform import scalar_like
from clearprop.program.types import type_of
from clearprop.program.values import raw
from clearprop.rules.elementwise import astype, sqrt, square, where
from clearprop.rules.reductions import sum

SHRINK = {np.dtype(np.float32): 2.0**-80, np.dtype(np.float64): 2.0**-640}
"""2⁻ᵏ: the square of the largest number times this is far below it, that of one whose square overflows far above 0."""


class Length(NamedTuple):
    """The length of some arrays together: Σ(x·by)², where `by` is 1 or, for huge x, 2⁻ᵏ."""

    square: Any
    by: Any

    @property
    def norm(self) -> Any:
        """√Σ(x·by)²."""
        return sqrt(self.square)

    def shrink(self, x: Any) -> Any:
        """An array times `by`, whose square does not overflow."""
        return x * scalar_like(self.by, x)


def length_of(leaves: Sequence[Any]) -> Length:
    """The length over all leaves, None left out; that of none is 0."""
    given = [x for x in leaves if x is not None]
    if not given:
        return Length(0.0, 1.0)
    dtype = np.result_type(*(type_of(raw(x)).dtype for x in given))
    wide = [x if type_of(raw(x)).dtype == dtype else astype(x, dtype=dtype) for x in given]
    plain = _total([sum(square(x)) for x in wide])
    by = _factor(plain, dtype)
    return Length(_either(plain, _total([sum(square(x * by)) for x in wide])), by)


def unit_lengths(x: Any, axes: tuple[int, ...] | None) -> Length:
    """The lengths along these axes of one array (None: along all), which stay as axes of size 1."""
    keepdims = axes is not None
    plain = sum(square(x), axis=axes, keepdims=keepdims)
    by = _factor(plain, type_of(raw(x)).dtype)
    return Length(_either(plain, sum(square(x * by), axis=axes, keepdims=keepdims)), by)


def _factor(plain: Any, dtype: np.dtype[Any]) -> Any:
    """1 where a sum of squares is finite, else 2⁻ᵏ.

    The sum is taken again with the factor, and not beside the plain one: two sums in one loop take longer than both.
    """
    return astype(where(plain < np.inf, 1.0, SHRINK[dtype]), dtype=dtype)


def _either(plain: Any, shrunk: Any) -> Any:
    """The plain sum where it is finite: with a factor of 1 compiled code might round another product first."""
    return where(plain < np.inf, plain, shrunk)


def _total(parts: Sequence[Any]) -> Any:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def inner_product(a: Sequence[Any], b: Sequence[Any]) -> Any:
    """Σ aᵢbᵢ over all leaves, None left out; 0.0 for none."""
    parts = [sum(x * y) for x, y in zip(a, b, strict=True) if x is not None and y is not None]
    return _total(parts) if parts else 0.0
