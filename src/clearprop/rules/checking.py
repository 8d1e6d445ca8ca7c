"""Checks of values that are known only when a program runs: a label outside its range is refused by every executor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.errors import ArgumentError, user_line
from clearprop.primitives import HELPERS, primitive
from clearprop.program.types import Value
from clearprop.shapes import Dim

_TRUSTED: ContextVar[bool] = ContextVar("trusted", default=False)


@contextmanager
def trusted_values() -> Iterator[None]:
    """Within this block programs are traced without checks: who runs them has looked at all values before."""
    token = _TRUSTED.set(True)
    try:
        yield
    finally:
        _TRUSTED.reset(token)


def _require_range(x: NDArray[Any], low: int, high: int | None, name: str) -> NDArray[Any]:
    if np.size(x) and not (np.min(x) >= low and (high is None or np.max(x) <= high)):
        raise ValueError(f"{name} got a label outside its range, {low} to {high}")
    return x


HELPERS["require_range"] = _require_range  # what is printed stands alone, and raises an error of Python's


def _refuse(x: NDArray[Any], low: int, high: int | None, name: str) -> NDArray[Any]:
    try:
        return _require_range(x, low, high, name)
    except ValueError as error:
        raise ArgumentError(
            str(error),
            expected=f"labels from {low} to {high}",
            got=f"labels from {np.min(x)} to {np.max(x)}",
            where=user_line(),
        ) from None


@primitive(
    "structural", numpy="require_range({x}, {low}, {high}, {name})", numba="require_range", eager=_refuse, tex="{x}",
    public=False,
    shape=lambda x, low, high, name: x.shape, vjp_x=lambda g: g,
    batch=lambda size, x, *, low, high, name: require_range_(x, low=low, high=high, name=name),
)  # fmt: skip
def require_range_(x: Value, /, *, low: Any, high: Any, name: Any) -> Any:
    """x, where all its elements lie in low … high; else an error that says whose labels they are."""


def require_range(x: Value, low: int, high: Dim | None, name: str) -> Any:
    """x, refused when it is computed with an element outside low … high (None: without upper end)."""
    return x if _TRUSTED.get() else require_range_(x, low=low, high=high, name=name)
