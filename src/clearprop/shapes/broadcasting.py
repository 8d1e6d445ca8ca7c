"""Shapes that meet: broadcasting, and axes counted from the end."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence
from typing import Any

from clearprop.errors import ShapeError
from clearprop.shapes.sizes import Shape, is_one, same


def broadcast(*shapes: Shape) -> Shape:
    """The common shape under NumPy's rules; raises ValueError naming the axis (counted from the end)."""
    out = []
    for axis, dims in enumerate(itertools.zip_longest(*(s[::-1] for s in shapes), fillvalue=1), start=1):
        common: Any = 1
        for d in dims:
            if is_one(d):
                continue
            if is_one(common):
                common = d
            elif not same(common, d):
                raise ValueError(f"axis -{axis} is {common} in one operand and {d} in another")
        out.append(common)
    return tuple(out[::-1])


def normalise_axis(axis: int, ndim: int, name: str = "axis") -> int:
    """The axis counted from the end (negative), checked against the rank."""
    if not -ndim <= axis < ndim:
        raise ShapeError(
            f"{name} {axis} does not exist",
            expected=f"an axis of an array with {ndim} axes: from {-ndim} to {ndim - 1}"
            if ndim
            else "no axis: the array has none",
            got=f"{name} = {axis}",
        )
    return axis if axis < 0 else axis - ndim


def normalise_axes(axis: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """Axes counted from the end, ascending and distinct; None means all."""
    if axis is None:
        return tuple(range(-ndim, 0))
    if type(axis) is tuple and len(axis) == 1 and type(axis[0]) is int and -ndim <= axis[0] < 0:
        return axis
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    out = tuple(sorted(normalise_axis(operator.index(a), ndim) for a in axes))
    if len(set(out)) < len(out):
        raise ShapeError("an axis is named twice", expected="distinct axes", got=f"axis = {axis}")
    return out
