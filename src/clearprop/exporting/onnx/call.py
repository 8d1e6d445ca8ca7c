"""An equation of a program on its way into an ONNX graph: its operands by name, in the dtype that they meet in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from clearprop.exporting.onnx.graph import INT64, GraphBuilder, element_type
from clearprop.program.ir import Equation, Program
from clearprop.program.types import DType, Type, is_floating, promote, type_of
from clearprop.program.values import raw
from clearprop.shapes import Size

Operand: TypeAlias = str | bool | int | float
"""An operand: the name of a value in the graph, or a Python number."""
Rule: TypeAlias = "Callable[[EquationCall], str | list[str] | None]"
"""What puts an equation into the graph, and names its outputs; None where ONNX has no form of it in this case."""


@dataclass(frozen=True)
class EquationCall:
    """An equation, what it reads, and the graph that it goes to.

    `enter` puts a program into a graph: it takes the program, the names of its inputs and the graph.
    """

    graph: GraphBuilder
    equation: Equation
    operands: Sequence[Operand]
    label: str
    enter: Callable[[Program, Sequence[Operand], GraphBuilder], list[Operand]]

    @property
    def params(self) -> Mapping[str, Any]:
        """The parameters of the operation."""
        return self.equation.params

    @property
    def types(self) -> list[Type]:
        """The types of the operands."""
        return [type_of(raw(atom)) for atom in self.equation.inputs]

    @property
    def out(self) -> Type:
        """The type of the (first) output."""
        return self.equation.outputs[0].type

    @property
    def common(self) -> DType:
        """The dtype in which operands of an elementwise operation meet, conditions left out."""
        dtype, _ = promote(self.types[self.equation.primitive.conditions :])
        return self.out.dtype if is_floating(self.out.dtype) and not is_floating(dtype) else dtype

    def operand(self, number: int, dtype: Any = None) -> str:
        """The name of an operand, converted to a dtype where it is of another."""
        given, own = self.operands[number], self.types[number].dtype
        wanted = own if dtype is None else np.dtype(dtype)
        return self.graph.constant(given, wanted) if not isinstance(given, str) else self.cast(given, own, wanted)

    def cast(self, name: str, own: DType, wanted: Any) -> str:
        """A value in another dtype."""
        if own == np.dtype(wanted):
            return name
        return self.graph.node("Cast", name, to=element_type(wanted))

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """A node whose output is called as the equation's."""
        return self.graph.node(op, *inputs, name=self.label, **attributes)

    def step(self, op: str, *inputs: str, **attributes: Any) -> str:
        """A node on the way to the output."""
        return self.graph.node(op, *inputs, **attributes)

    def number(self, value: float, dtype: Any = None) -> str:
        """A number as a constant of the output's dtype, or another."""
        return self.graph.constant(value, self.out.dtype if dtype is None else dtype)

    def reshaped(self, value: str, shape: Sequence[Any]) -> str:
        """A value in another shape, called as the equation's output.

        One size that is open is told as −1, what is left: runtimes follow that further than arithmetic.
        """
        plain = [dim.canonical() if isinstance(dim, Size) else dim for dim in shape]
        known = [-1 if isinstance(dim, Size) else dim for dim in plain]
        told = self.graph.numbers(known) if known.count(-1) == 1 else self.graph.shape(tuple(plain))
        return self.node("Reshape", value, told)

    def axes(self, axes: Any, ndim: int) -> list[int]:
        """Axes counted from the front; all of them for None."""
        if axes is None:
            return list(range(ndim))
        found = [axes] if isinstance(axes, int) else list(axes)
        return [axis % ndim for axis in found]


def as_index(call: EquationCall, number: int) -> str:
    """An operand that holds places, which ONNX takes as int64 or int32."""
    own = call.types[number].dtype
    return call.operand(number, own if own in (INT64, np.dtype(np.int32)) else INT64)
