"""Signatures of generalised ufuncs.

A signature says which axes of which operand must agree, and its message which of them do not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from clearprop.errors import ShapeError
from clearprop.shapes.sizes import Shape, broadcast, same

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
