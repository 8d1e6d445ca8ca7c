"""Where an element stands in a sequence, told to layers that would not know: tables that are added, and rotations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from clearprop.arrays.tensor import Tensor, asarray
from clearprop.errors import ArgumentError, ShapeError, checked_call, user_line
from clearprop.nn.argument_checks import require_dtype, require_features, require_number, require_size
from clearprop.nn.fields import parameter, static
from clearprop.nn.initialisers import as_key
from clearprop.nn.module import Module
from clearprop.program.ir import shape_of
from clearprop.program.types import INT64
from clearprop.program.values import raw
from clearprop.rules import random
from clearprop.rules.elementwise import as_floating, astype, exp, less, less_equal
from clearprop.rules.indexing import slice_axis
from clearprop.rules.joining import concat
from clearprop.rules.structural import arange_, expand_dims, reshape
from clearprop.rules.trigonometric import cos, sin
from clearprop.shapes import Dim, Size

BASE = 10_000.0
"""The longest wavelength of positions, divided by 2π (Vaswani et al. 2017)."""


def _angles(length: Dim, pairs: int, base: float, dtype: Any) -> Any:
    """Position · base^(−i/pairs): (length, pairs)."""
    rates = exp(astype(arange_(size=pairs, dtype=INT64), dtype=dtype) * (-math.log(base) / pairs))
    return expand_dims(astype(arange_(size=length, dtype=INT64), dtype=dtype), -1) * rates


class SinusoidalPositions(Module):
    """y = x + P with P[t, 2i] = sin(t·base^(−2i/size)) and P[t, 2i + 1] = cos of the same (Vaswani et al. 2017).

    x (…, length, size), of any length; nothing is learned.

    size  the size of x's last axis, an even number
    base  the longest wavelength, divided by 2π

    >>> import clearprop as cl
    >>> cl.nn.SinusoidalPositions(2)(cl.zeros((3, 2)))
    Tensor([[0.0, 1.0],
            [0.84147098, 0.54030231],
            [0.90929743, -0.41614684]])
    """

    size: int = static()
    base: float = static(default=BASE)

    def __init__(self, size: int, *, base: float = BASE) -> None:
        size = _require_even("SinusoidalPositions", "size", size)
        super().__init__(size=size, base=_require_base("SinusoidalPositions", base))

    def forward(self, x: Any) -> Any:
        """X with its positions added."""
        x = as_floating(asarray(x))  # truth values have no positions beyond 1, small integers none beyond theirs
        _require_sequence(self, self.size, x.shape)
        angles = _angles(x.shape[-2], self.size // 2, self.base, x.dtype)
        table = concat([expand_dims(sin(angles), -1), expand_dims(cos(angles), -1)], axis=-1)
        return x + reshape(table, (x.shape[-2], self.size))

    def label(self) -> str:
        """`SinusoidalPositions(64)`."""
        return f"SinusoidalPositions({self.size})"


class LearnedPositions(Module):
    """y = x + weight[:length], a learned row for every position: x (…, length, size), weight (longest, size).

    longest  the most positions that a sequence may have
    size     the size of x's last axis
    std      the standard deviation of the normal numbers at the start (Radford et al. 2018)
    rng      a key of `cl.random` or a seed, from which the weight is drawn
    dtype    of the weight

    Raises ShapeError for a longer sequence.

    >>> import clearprop as cl
    >>> cl.nn.LearnedPositions(128, 16)(cl.zeros((2, 50, 16))).shape
    (2, 50, 16)
    """

    weight: Tensor = parameter()

    def __init__(self, longest: int, size: int, *, std: float = 0.02, rng: Any = 0, dtype: Any = np.float32) -> None:
        owner = "LearnedPositions"
        shape = (require_size(owner, "longest", longest), require_size(owner, "size", size))
        dtype, std = require_dtype(owner, dtype), require_number(owner, "std", std, 0.02)
        super().__init__(weight=Tensor(raw(random.normal(as_key(rng), shape, std=std)).astype(dtype)))

    def forward(self, x: Any) -> Any:
        """X with the rows of its positions added."""
        x = asarray(x)
        longest, size = shape_of(self.weight)
        _require_sequence(self, size, x.shape)
        if x.shape[-2] > longest:
            raise ShapeError(
                f"{self.label()} has no position {longest}",
                expected=f"sequences of at most {longest} elements",
                got=f"{x.shape[-2]} elements, in shape {x.shape}",
                where=user_line(),
                try_="a longer table; SinusoidalPositions, which has no end",
            )
        return x + slice_axis(self.weight, 0, 0, x.shape[-2])

    def label(self) -> str:
        """`LearnedPositions(128 × 16)`."""
        return "LearnedPositions({} × {})".format(*shape_of(self.weight))


@checked_call
def rotary(x: Any, *, base: float = BASE) -> Any:
    """The pairs (x[i], x[i + n/2]) of each position t turned by t·base^(−2i/n), n the last axis (Su et al. 2021).

    The product of two vectors that are turned so hangs on their distance alone, not on where they stand.

    x     (…, length, n), n even
    base  the longest wavelength, divided by 2π

    Raises ShapeError for another x.

    >>> import clearprop as cl
    >>> cl.nn.rotary(cl.tensor([[1.0, 0.0], [1.0, 0.0]]))
    Tensor([[1.0, 0.0],
            [0.54030231, 0.84147098]])
    """
    x, base = as_floating(asarray(x)), _require_base("rotary", base)
    n = int(x.shape[-1]) if len(x.shape) > 1 else 0
    if n < 2 or n % 2:
        raise ShapeError(
            f"rotary cannot turn pairs of an input of shape {x.shape}",
            expected="shape (…, length, n) with n an even number",
            got=f"shape {x.shape}",
            where=user_line(),
        )
    angles = _angles(x.shape[-2], n // 2, base, x.dtype)
    first, second = slice_axis(x, -1, 0, n // 2), slice_axis(x, -1, n // 2, n)
    c, s = cos(angles), sin(angles)
    return concat([first * c - second * s, second * c + first * s], axis=-1)


@checked_call
def causal_mask(queries: Dim, keys: Dim | None = None) -> Any:
    """Whether query i may look at key j: j ≤ i; truth values of shape (queries, keys).

    queries  how many there are
    keys     how many there are; None: as many

    >>> import clearprop as cl
    >>> cl.nn.causal_mask(3).astype(int)
    Tensor([[1, 0, 0],
            [1, 1, 0],
            [1, 1, 1]])
    """
    _require_number("causal_mask", "queries", queries)
    _require_number("causal_mask", "keys", queries if keys is None else keys)
    at_key = arange_(size=queries if keys is None else keys, dtype=INT64)
    return asarray(less_equal(at_key, expand_dims(arange_(size=queries, dtype=INT64), -1)))


@checked_call
def length_mask(lengths: Any, longest: Dim) -> Any:
    """Whether an element belongs to its sequence: j < length; truth values of shape (…, longest).

    lengths  whole numbers (…), how many elements of each sequence are real; the others fill it up
    longest  how many elements each has with what fills it up

    For attention, `mask=cl.nn.length_mask(lengths, n)[..., None, :]` lets every query see the real keys.

    >>> import clearprop as cl
    >>> cl.nn.length_mask([1, 3], 3).astype(int)
    Tensor([[1, 0, 0],
            [1, 1, 1]])
    """
    lengths = asarray(lengths)
    if lengths.dtype.kind not in "iu":
        raise ArgumentError(
            "lengths are whole numbers",
            expected="an array of integers",
            got=f"{lengths.dtype.name}",
            where=user_line(),
            try_="lengths.astype(int)",
        )
    _require_number("length_mask", "longest", longest)
    return less(arange_(size=longest, dtype=INT64), expand_dims(lengths, -1))


def _require_number(owner: str, name: str, value: Any) -> None:
    """Refuse what is no number of elements; one that is traced is one."""
    if not isinstance(value, Size):
        require_size(owner, name, value)


def _require_even(owner: str, name: str, value: Any) -> int:
    size = require_size(owner, name, value)
    if size % 2:
        raise ArgumentError(
            f"{owner} works with pairs of numbers",
            expected=f"{name}: an even number",
            got=f"{name} = {size}",
            where=user_line(),
        )
    return size


def _require_base(owner: str, base: Any) -> float:
    checked: float = require_number(owner, "base", base, BASE)
    if not checked > 1:
        raise ArgumentError(
            f"{owner} cannot work with this base",
            expected=f"base > 1 (default {BASE:g})",
            got=f"base = {base!r}",
            where=user_line(),
        )
    return checked


def _require_sequence(layer: Module, size: Any, shape: Any) -> None:
    require_features(layer.label, size, shape)
    if len(shape) < 2:
        raise ShapeError(
            f"{layer.label()} cannot take an input of shape {shape}",
            expected="shape (…, length, features)",
            got="no axis of positions",
            where=user_line(),
            try_="x[None], a sequence of one element",
        )
