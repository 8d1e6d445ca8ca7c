"""The form of a table row: how operands are drawn, which shapes and parameters, and an independent value.

A shape is written with letters, one per axis (`nm`); each letter stands for a size, digits for themselves.  So the
same row is drawn at other sizes, and traced with symbolic ones.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np

SIZES = {"n": 3, "m": 2, "k": 4, "b": 2}
OTHER_SIZES = {"n": 4, "m": 3, "k": 2, "b": 5}

Draw = Callable[[np.random.Generator, tuple[int, ...], Mapping[str, int]], np.ndarray]


@dataclass(frozen=True)
class Case:
    """One call: the operands' shapes, and parameters that may depend on the sizes."""

    shapes: tuple[str, ...]
    given: Callable[..., Mapping[str, Any]] | None = None

    def params(self, sizes: Mapping[str, Any]) -> dict[str, Any]:
        if self.given is None:
            return {}
        names = inspect.signature(self.given).parameters
        return dict(self.given(**{n: sizes[n] for n in names}))

    def __str__(self) -> str:
        return ";".join(s or "()" for s in self.shapes)


def case(*shapes: str, given: Callable[..., Any] | None = None, **params: Any) -> Case:
    return Case(shapes, given or (lambda: params))


@dataclass(frozen=True)
class Row:
    """What the factory needs to know about a primitive beside its declaration."""

    name: str
    draws: tuple[Draw, ...]
    cases: tuple[Case, ...]
    oracle: Callable[..., Any]
    ulps: float = 4.0  # allowed error in units of eps/2, relative to |value| + scale
    scale: float = 0.0  # > 0 where the value is a difference of numbers of this size
    slope_scale: float = 1.0  # size of the derivatives that central differences must resolve
    analytic: bool = True  # whether the declaration also computes with complex numbers
    avoid: Callable[..., Any] | None = None  # further points without second derivative
    fixed: str = ""  # why the sizes are specialised while tracing
    kind: str = "f"  # of the result's dtype: f, i, u or b
    variant: str = ""
    differentiated: bool = True  # False where the derivative is zero by decree, not by nature

    @property
    def id(self) -> str:
        return self.name + (f"[{self.variant}]" if self.variant else "")


def shape_of_text(text: str, sizes: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(int(c) if c.isdigit() else sizes[c] for c in text)


# --------------------------------------------------------------------------------------------------- drawing
def floats(low: float, high: float) -> Draw:
    """Uniform on an interval."""
    return lambda rng, shape, sizes: rng.uniform(low, high, shape)


def spaced(gap: float = 0.3) -> Draw:
    """Distinct numbers around 0 in random order: no two tie."""

    def draw(rng: np.random.Generator, shape: tuple[int, ...], sizes: Mapping[str, int]) -> np.ndarray:
        n = int(np.prod(shape, dtype=int))
        return rng.permutation(gap * (np.arange(n) - 0.4 * n) + rng.uniform(-0.05, 0.05, n)).reshape(shape)

    return draw


def choice(*values: float) -> Draw:
    """One of a few values, so that ties and special values occur."""
    return lambda rng, shape, sizes: rng.choice(np.array(values), size=shape)


def booleans() -> Draw:
    return lambda rng, shape, sizes: rng.random(shape) < 0.5


def integers(low: int, high: int | str, dtype: str = "int64") -> Draw:
    """Integers in [low, high); `high` may be a letter, the size of an axis."""
    return lambda rng, shape, sizes: rng.integers(low, sizes.get(high, high), shape).astype(dtype)


def words() -> Draw:
    """32 random bits."""
    return lambda rng, shape, sizes: rng.integers(0, 2**32, shape, dtype=np.uint32)


def distributions() -> Draw:
    """Probabilities along the last axis."""

    def draw(rng: np.random.Generator, shape: tuple[int, ...], sizes: Mapping[str, int]) -> np.ndarray:
        p = rng.uniform(0.1, 1.0, shape)
        return p / p.sum(-1, keepdims=True)

    return draw


# ---------------------------------------------------------------------------------------- oracles, elementwise
_MP = mpmath.mp.clone()
_MP.dps = 40


def elementwise(function: Callable[..., Any]) -> Callable[..., np.ndarray]:
    """An oracle from a function of mpmath numbers (40 digits), applied entry by entry."""

    def oracle(*operands: Any, **params: Any) -> np.ndarray:
        arrays = np.broadcast_arrays(*operands)
        out = [function(*map(_mpf, values), **params) for values in zip(*(a.ravel() for a in arrays), strict=True)]
        return np.array([v if isinstance(v, bool) else float(v) for v in out]).reshape(arrays[0].shape)

    return oracle


def _mpf(value: Any) -> Any:
    return bool(value) if isinstance(value, np.bool_) else _MP.mpf(value.item())


MP = _MP


def by_entry(function: Callable[[Sequence[Any]], Any]) -> Callable[..., np.ndarray]:
    """An oracle of a reduction: `function` maps the list of entries taken together to one number."""

    def oracle(x: Any, axis: Any = None, keepdims: bool = False, **params: Any) -> np.ndarray:
        axes = tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        axes = tuple(a % x.ndim for a in axes) if x.ndim else ()
        kept = [i for i in range(x.ndim) if i not in axes]
        out: dict[tuple[int, ...], list[Any]] = {at: [] for at in np.ndindex(*(x.shape[i] for i in kept))}
        for at in np.ndindex(*x.shape):
            out[tuple(at[i] for i in kept)].append(x[at].item())
        full = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
        shape = full if keepdims else tuple(x.shape[i] for i in kept)
        return np.array([function(v, **params) for v in out.values()]).reshape(shape)

    return oracle


def along(function: Callable[[Sequence[Any]], Sequence[Any]]) -> Callable[..., np.ndarray]:
    """An oracle of a map of vectors to vectors along one axis."""

    def oracle(x: Any, axis: int = -1, **params: Any) -> np.ndarray:
        moved = np.moveaxis(x, axis, -1)
        rows = [
            function([v.item() for v in row], **params)
            for row in moved.reshape(math.prod(moved.shape[:-1]), moved.shape[-1])
        ]
        return np.moveaxis(np.array(rows, dtype=np.float64).reshape(moved.shape), -1, axis)

    return oracle
