"""An ONNX graph while it is built: nodes, constants, and names that stand once, sizes among the values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.errors import ArgumentError
from clearprop.files.onnx_package import onnx_package
from clearprop.program.types import Type
from clearprop.shapes import Shape, Size, Symbol, lone_symbol

OPSET = 20
"""The version of the operators (ONNX 1.15): the first that takes texts apart, and has gelu."""
ML_OPSET = 3
"""The version of the operators for tables, ai.onnx.ml, of which one is used: texts to numbers."""
ML = "ai.onnx.ml"
BATCH = "N"
"""The name of the axis of rows."""
INT64 = np.dtype(np.int64)


@dataclass
class GraphBuilder:
    """Nodes in order, and the constants that they read.

    A graph within another, the body of a loop, shares names and constants with the one around it, whose values it may
    read.  `sizes` are the names of values `(1,)` int64 that hold the sizes which are open.
    """

    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    sizes: dict[Symbol, str] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)
    _known: dict[Any, str] = field(default_factory=dict)

    def within(self) -> GraphBuilder:
        """An empty graph in this one."""
        return GraphBuilder([], self.constants, self.sizes, self._taken, self._known)

    def unique(self, name: str) -> str:
        """The name, or with a number behind where it stands already.

        >>> graph = GraphBuilder()
        >>> graph.unique("label"), graph.unique("label")
        ('label', 'label_2')
        """
        chosen, number = name, 1
        while chosen in self._taken:
            number += 1
            chosen = f"{name}_{number}"
        self._taken.add(chosen)
        return chosen

    def node(self, op: str, *inputs: str, name: str = "", domain: str = "", **attributes: Any) -> str:
        """A node of one output, whose name it returns."""
        return self.node_of_many(op, inputs, [name or op.lower()], domain, **attributes)[0]

    def node_of_many(
        self, op: str, inputs: Sequence[str], names: Sequence[str], domain: str = "", **attributes: Any
    ) -> list[str]:
        """A node, and the names of its outputs, made unique."""
        outputs = [self.unique(name) for name in names]
        helper = onnx_package().helper
        self.nodes.append(helper.make_node(op, list(inputs), outputs, name=outputs[0], domain=domain, **attributes))
        return outputs

    def result(self, value: str, name: str) -> None:
        """EquationCall a value by a name that `unique` has given, as an output of the graph."""
        self.nodes.append(onnx_package().helper.make_node("Identity", [value], [name], name=name))

    def constant(self, value: Any, dtype: Any = None, name: str = "") -> str:
        """The name of a constant; without a name of its own it stands once, whoever reads it."""
        array = np.asarray(value, dtype)
        if name:
            own = self.unique(name)
            self.constants[own] = array
            return own
        key = (array.dtype.str, array.shape, tuple(array.flat) if array.dtype == object else array.tobytes())
        if key not in self._known:
            self._known[key] = self.unique("constant")
            self.constants[self._known[key]] = array
        return self._known[key]

    def numbers(self, values: Sequence[int]) -> str:
        """Whole numbers as a constant vector: axes, shapes, places."""
        return self.constant(np.array(values, INT64).reshape(-1))

    # ------------------------------------------------------------------------------------------------- sizes
    def size(self, dim: Any) -> str:
        """The size of an axis as a value `(1,)` int64: a polynomial in the open ones.

        Raises ArgumentError for one that is computed by a division.
        """
        if isinstance(dim, Size):
            dim = dim.canonical()
        if not isinstance(dim, Size):
            return self.numbers([dim])
        terms = []
        for monomial, coefficient in dim.terms.items():
            factors = [self._open_size(symbol) for symbol in monomial]
            factors += [self.numbers([coefficient])] if coefficient != 1 or not factors else []
            terms.append(self._fold("Mul", factors))
        return self._fold("Add", terms)

    def _open_size(self, symbol: Symbol) -> str:
        root = symbol.root()
        if isinstance(root, int):
            return self.numbers([root])
        if root not in self.sizes:
            raise ArgumentError(
                "the network computes with a part of the number of rows",
                expected="sizes that are sums and products of the number of rows",
                got=str(root.label),
                try_="keep the axis of rows as it is",
            )
        return self.sizes[root]

    def _fold(self, op: str, names: list[str]) -> str:
        found = names[0]
        for name in names[1:]:
            found = self.node(op, found, name, name="size")
        return found

    def shape(self, shape: Shape) -> str:
        """A shape as a vector of int64."""
        plain: list[Any] = [dim.canonical() if isinstance(dim, Size) else dim for dim in shape]
        if not any(isinstance(dim, Size) for dim in plain):
            return self.numbers(plain)
        return self.node("Concat", *map(self.size, plain), axis=0, name="shape")

    def value_info(self, name: str, t: Type, note: str = "") -> Any:
        """What is said of an input or output: its dtype and shape."""
        helper = onnx_package().helper
        return helper.make_tensor_value_info(name, element_type(t.dtype), self.told_shape(t.shape), note)

    def told_shape(self, shape: Shape) -> list[int | str | None]:
        """A shape as the file tells it: numbers, the name of the axis of rows, None for what is computed."""
        told: list[int | str | None] = []
        for dim in shape:
            dim = dim.canonical() if isinstance(dim, Size) else dim
            told.append(dim if isinstance(dim, int) else BATCH if lone_symbol(dim) is not None else None)
        return told


def element_type(dtype: Any) -> int:
    """ONNX's number for a dtype; objects are texts."""
    onnx = onnx_package()
    if np.dtype(dtype) == object:
        return int(onnx.TensorProto.STRING)
    return int(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def values_read(node: Any) -> set[str]:
    """The names of values that a node reads, those of graphs within it included."""
    found = set(node.input)
    for attribute in node.attribute:
        for inner in attribute.g.node:
            found |= values_read(inner)
    return found
