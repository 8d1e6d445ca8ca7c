"""Embeddings: a row of numbers for every word, category or other whole number."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.arrays.tensor import Tensor, asarray
from clearprop.errors import ArgumentError, DTypeError, ShapeError, unknown_name, user_line
from clearprop.nn.argument_checks import require_dtype, require_size
from clearprop.nn.fields import parameter, static
from clearprop.nn.initialisers import as_key
from clearprop.nn.module import Module
from clearprop.program.ir import Var, shape_of
from clearprop.program.types import INT64
from clearprop.program.values import raw
from clearprop.rules import random
from clearprop.rules.elementwise import astype, maximum, not_equal, where
from clearprop.rules.indexing import take
from clearprop.rules.reductions import max, sum
from clearprop.rules.structural import expand_dims
from clearprop.shapes import same

MODES = ("mean", "sum", "max")
"""How `EmbeddingBag` makes one row of several."""


class Embedding(Module):
    """y = weight[x]: x whole numbers (…), weight (rows, size), y (…, size) (Bengio et al. 2003).

    The gradient of a row is the sum of what arrives at the places where x names it; a row that x does not name has 0.

    rows     how many numbers there are: x lies in 0 … rows − 1
    size     how many numbers stand for each
    padding  a number whose places are 0 in y, and which learns nothing; None for none
    rng      a key of `cl.random` or a seed, from which the weight is drawn: normal, with standard deviation 1
    dtype    of the weight

    Raises DTypeError where x holds no whole numbers, ArgumentError for a number outside 0 … rows − 1.

    >>> import clearprop as cl
    >>> layer = cl.nn.Embedding(10, 4, padding=0)
    >>> layer
    Embedding(10 → 4, padding=0)  weight (10, 4)  40 parameters
    >>> layer([[1, 2, 0]]).shape, layer([0])
    ((1, 3, 4), Tensor([[0.0, 0.0, 0.0, 0.0]], dtype=float32))
    """

    weight: Tensor = parameter()
    padding: int | None = static(default=None)

    def __init__(
        self, rows: int, size: int, *, padding: int | None = None, rng: Any = 0, dtype: Any = np.float32
    ) -> None:
        weight, padding = _table_of("Embedding", rows, size, padding, rng, dtype)
        super().__init__(weight=weight, padding=padding)

    def forward(self, x: Any) -> Any:
        """The rows that x names."""
        return _rows(self, x)

    def unknown_number(self, x: Any) -> tuple[int, ...] | None:
        """Where in an array a number stands first that is no row; None where all are rows, or x holds no integers."""
        return _first_unknown(self.weight, x)

    def label(self) -> str:
        """`Embedding(10 → 4)`."""
        return _label_of("Embedding", self.weight, padding=self.padding)


class EmbeddingBag(Module):
    """One row for a bag of numbers: the mean, sum or maximum of their rows; x (…, n), y (…, size).

    mean is Σ weight[xᵢ]/n over the numbers that are no padding, sum Σ wᵢ·weight[xᵢ]; a bag of padding alone is 0.
    Bags of several lengths are filled up with padding.

    rows     how many numbers there are: x lies in 0 … rows − 1
    size     how many numbers stand for each
    mode     "mean", "sum" or "max"
    padding  a number that counts as nothing; None for none
    rng      a key of `cl.random` or a seed, from which the weight is drawn: normal, with standard deviation 1
    dtype    of the weight

    `layer(x, weights)` multiplies each row by its weight first, of x's shape; for mode "sum" only.  Raises what
    `Embedding` raises, and ShapeError for weights of another shape.

    >>> import clearprop as cl
    >>> layer = cl.nn.EmbeddingBag(3, 2, mode="sum", padding=2)
    >>> layer = layer.replace({"weight": [[1.0, 2.0], [10.0, 20.0], [5.0, 5.0]]})
    >>> layer([[0, 1, 2], [1, 1, 2]])
    Tensor([[11.0, 22.0],
            [20.0, 40.0]], dtype=float32)
    """

    weight: Tensor = parameter()
    mode: str = static(default="mean")
    padding: int | None = static(default=None)

    def __init__(
        self,
        rows: int,
        size: int,
        *,
        mode: str = "mean",
        padding: int | None = None,
        rng: Any = 0,
        dtype: Any = np.float32,
    ) -> None:
        if not isinstance(mode, str) or mode not in MODES:
            raise unknown_name("mode", mode, MODES, user_line())
        weight, padding = _table_of("EmbeddingBag", rows, size, padding, rng, dtype)
        super().__init__(weight=weight, mode=mode, padding=padding)

    def forward(self, x: Any, weights: Any = None) -> Any:
        """One row for every bag."""
        x = asarray(x)
        if not x.shape:
            raise _no_bag(self.label())
        rows = _rows(self, x)
        if weights is not None:
            rows = rows * expand_dims(self._checked_weights(weights, x.shape), -1)
        if self.mode == "sum":
            return sum(rows, axis=-2)
        if self.mode == "mean":
            return sum(rows, axis=-2) / maximum(astype(self._count(x), dtype=rows.dtype), 1.0)
        return self._largest(x, rows)

    def unknown_number(self, x: Any) -> tuple[int, ...] | None:
        """As that of `Embedding`."""
        return _first_unknown(self.weight, x)

    def _count(self, x: Any) -> Any:
        """How many numbers of each bag are no padding."""
        return sum(astype(self._named(x), dtype=INT64), axis=-1)[..., None]

    def _named(self, x: Any) -> Any:
        return not_equal(x, -1 if self.padding is None else self.padding)  # −1 is no number, so all count

    def _largest(self, x: Any, rows: Any) -> Any:
        if self.padding is None:
            return max(rows, axis=-2)
        named = self._named(x)[..., None]
        largest = max(where(named, rows, np.finfo(rows.dtype).min), axis=-2)
        return where(self._count(x) > 0, largest, 0.0)

    def _checked_weights(self, weights: Any, shape: Any) -> Any:
        weights = asarray(weights)
        if self.mode != "sum":
            raise ArgumentError(
                f"{self.label()} takes no weights",
                expected='weights with mode="sum", where they are factors of the rows',
                got=f"mode={self.mode!r}",
                where=user_line(),
                try_='cl.nn.EmbeddingBag(…, mode="sum")',
            )
        if len(weights.shape) != len(shape) or not all(map(same, weights.shape, shape)):
            raise ShapeError(
                f"{self.label()} cannot weigh {shape} numbers by weights of shape {weights.shape}",
                expected=f"a weight for every number: shape {shape}",
                got=f"shape {weights.shape}",
                where=user_line(),
            )
        return weights

    def label(self) -> str:
        """`EmbeddingBag(10 → 4, mean)`."""
        return _label_of("EmbeddingBag", self.weight, self.mode, padding=self.padding)


def _table_of(owner: str, rows: Any, size: Any, padding: Any, rng: Any, dtype: Any) -> tuple[Tensor, int | None]:
    """The first weight of a table of rows, and its padding, checked."""
    shape = (require_size(owner, "rows", rows), require_size(owner, "size", size))
    dtype = require_dtype(owner, dtype)
    whole = isinstance(padding, (int, np.integer)) and not isinstance(padding, (bool, np.bool_))
    if padding is not None and (not whole or not 0 <= padding < rows):
        raise ArgumentError(
            f"{owner} cannot work with this padding",
            expected=f"a number from 0 to {rows - 1}, or None",
            got=f"padding = {padding!r}",
            where=user_line(),
            try_="padding=0, and words counted from 1",
        )
    weight = raw(random.normal(as_key(rng), shape)).astype(dtype)
    if padding is not None:
        weight[padding] = 0.0
    return Tensor(weight), None if padding is None else int(padding)


def _label_of(kind: str, weight: Tensor, *words: str, padding: int | None) -> str:
    rows, size = shape_of(weight)
    return f"{kind}({', '.join([f'{rows} → {size}', *words, *([] if padding is None else [f'padding={padding}'])])})"


def _rows(layer: Embedding | EmbeddingBag, x: Any) -> Any:
    """The rows of the layer's weight that x names, those of its padding 0."""
    x, count = asarray(x), shape_of(layer.weight)[0]
    if x.dtype.kind not in "iu":
        raise DTypeError(
            f"{layer.label()} looks rows up by their numbers",
            expected=f"whole numbers from 0 to {count - 1}",
            got=f"an input of {x.dtype.name}",
            where=user_line(),
            try_="x.astype(int), where the values are whole numbers",
        )
    if not isinstance(raw(x), Var) and isinstance(count, int):
        _require_known_rows(layer.label(), np.asarray(raw(x)), count)
    # where the values are not known yet, or how many rows a traced layer has, what is below 0 becomes a number beyond
    # the last: `take` counts from the end
    found = take(layer.weight, where(x < 0, count, x), axis=0)
    return found if layer.padding is None else where(expand_dims(not_equal(x, layer.padding), -1), found, 0.0)


def _first_unknown(weight: Any, x: Any) -> tuple[int, ...] | None:
    if x.dtype.kind not in "iu":
        return None
    inside = (x >= 0) & (x < shape_of(weight)[0])
    return None if inside.all() else tuple(map(int, np.unravel_index(int(np.argmin(inside)), x.shape)))


def _require_known_rows(label: str, x: Any, count: int) -> None:
    inside = (x >= 0) & (x < count)
    if not inside.all():
        at = np.unravel_index(int(np.argmin(inside)), x.shape)
        raise ArgumentError(
            f"{label} has no row {x[at]}",
            expected=f"whole numbers from 0 to {count - 1}",
            got=f"{x[at]}" + (f" at index {', '.join(map(str, at))}" if at else ""),
            where=user_line(),
            try_="count from 0, and give the layer as many rows as there are numbers",
        )


def _no_bag(label: str) -> ShapeError:
    return ShapeError(
        f"{label} needs an axis of numbers",
        expected="x of shape (…, numbers in a bag)",
        got="a single number",
        where=user_line(),
        try_="cl.nn.Embedding, which looks up single numbers",
    )
