"""Checks that layers share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from clearprop.errors import ArgumentError, ShapeError, user_line
from clearprop.shapes import same


def require_size(owner: str, name: str, value: Any) -> int:
    """A size is a positive integer."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ArgumentError(
            f"{owner} has an impossible size",
            expected=f"{name}: an integer of at least 1",
            got=f"{name} = {value!r}",
            where=user_line(),
        )
    return int(value)


def require_fraction(owner: str, name: str, value: Any, default: float) -> float:
    """A share from 0 to just below 1."""
    if not isinstance(value, (int, float, np.number)) or not 0 <= value < 1:
        raise ArgumentError(
            f"{owner} cannot work with this {name}",
            expected=f"0 <= {name} < 1 (default {default})",
            got=f"{name} = {value!r}",
            where=user_line(),
            try_=f"{name}={default}",
        )
    return float(value)


def require_features(label: Callable[[], str], size: Any, shape: tuple[Any, ...]) -> None:
    """The last axis of an input must have the layer's size: an axis of size 1 would be repeated silently."""
    if shape and same(shape[-1], size):
        return
    raise ShapeError(
        f"{label()} cannot take an input of shape {shape}",
        expected=f"{size} numbers in the last axis",
        got=str(shape[-1]) if shape else "no axis at all",
        where=user_line(),
        try_="check the columns of the data and the sizes of the layers before" if shape else "x[None]",
    )
