"""Shapes that meet: broadcasting, axes counted from the end, and signatures of generalised ufuncs.

A signature says which axes of which operand must agree, and its message which of them do not.
"""

from __future__ import annotations

import itertools
import operator
import re
from collections.abc import Callable, Sequence
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


Remedy = Callable[[Sequence[str], Sequence[Shape], str], str]
"""What to try, from the operands' names, their shapes and the axis on which they differ."""


class Signature:
    """A gufunc signature such as `(n,k),(k,m)->(n,m)`: core axes by name, loop axes broadcast."""

    def __init__(self, text: str, verb: str = "combine", remedy: Remedy | None = None) -> None:
        self.text, self.verb, self.remedy = text, verb, remedy or _check_the_axis
        left, right = text.split("->")
        self.inputs = tuple(_core(part) for part in re.findall(r"\((.*?)\)", left))
        self.outputs = tuple(_core(part) for part in re.findall(r"\((.*?)\)", right))

    def infer(self, name: str, operands: Sequence[str], shapes: Sequence[Shape]) -> Shape:
        """The output shape, or a ShapeError that names the axis."""
        dims: dict[str, tuple[Any, str]] = {}
        loops = []
        for operand, core, shape in zip(operands, self.inputs, shapes, strict=True):
            if len(shape) < len(core):
                raise ShapeError(
                    f"{name} needs {len(core)} axes in {operand}",
                    expected=f"axes ({', '.join(core)}) at the end of {operand}   [{self.text}]",
                    got=f"{operand} has shape {shape}",
                )
            split = len(shape) - len(core)
            loops.append(shape[:split])
            for axis, size in zip(core, shape[split:], strict=True):
                first, where = dims.setdefault(axis, (size, operand))
                if not same(first, size):
                    raise self._mismatch(name, operands, shapes, axis, (first, where), (size, operand))
        try:
            loop = broadcast(*loops)
        except ValueError as error:
            raise ShapeError(
                f"{name} cannot broadcast {' with '.join(map(str, shapes))}",
                expected=f"leading axes that are equal or 1   [{self.text}]",
                got=str(error),
            ) from None
        return loop + tuple(dims[axis][0] for axis in self.outputs[0])

    def _mismatch(
        self,
        name: str,
        operands: Sequence[str],
        shapes: Sequence[Shape],
        axis: str,
        first: tuple[Any, str],
        second: tuple[Any, str],
    ) -> ShapeError:
        pair = " by ".join(str(s) for s in shapes[:2]) if len(shapes) == 2 else ", ".join(map(str, shapes))
        return ShapeError(
            f"{name} cannot {self.verb} {pair}",
            expected=f"axis {axis} equal in {first[1]} and {second[1]}   [{self.text}]",
            got=f"{axis} = {first[0]} in {first[1]}, {axis} = {second[0]} in {second[1]}",
            try_=self.remedy(operands, shapes, axis),
        )


def _core(part: str) -> tuple[str, ...]:
    return tuple(axis.strip() for axis in part.split(",") if axis.strip())


def _check_the_axis(operands: Sequence[str], shapes: Sequence[Shape], axis: str) -> str:
    return f"check where {operands[0]} and {operands[1]} get their axis {axis}"
