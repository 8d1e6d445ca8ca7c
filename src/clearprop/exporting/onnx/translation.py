"""From a program to an ONNX graph: equation by equation, by one table of operations.

An operation that the table does not have is written out where it has a body; what then remains has no form in ONNX, and
all of it is told at once.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clearprop.errors import ArgumentError, user_line
from clearprop.exporting.onnx import elementwise, structural, windows
from clearprop.exporting.onnx.call import EquationCall, Operand, Rule
from clearprop.exporting.onnx.graph import ML, ML_OPSET, OPSET, GraphBuilder, values_read
from clearprop.exporting.onnx.loops import control_rules
from clearprop.files.onnx_package import onnx_package
from clearprop.program.ir import Equation, Program, Var, trace
from clearprop.program.types import type_of
from clearprop.program.values import raw

TABLE: dict[str, Rule] = {**elementwise.RULES, **structural.RULES, **windows.RULES, **control_rules()}
"""What puts an operation into a graph, by its name: the operations that ONNX has a form for."""
_PACKAGE = "clearprop."
"""How the names of modules begin that declare what the table has."""


class Translation:
    """Programs put into graphs; `lacking` are the operations that have no form there."""

    def __init__(self) -> None:
        self.lacking: dict[str, str] = {}

    def enter(self, program: Program, operands: Sequence[Operand], graph: GraphBuilder) -> list[Operand]:
        """Put a program into a graph: the names of its outputs, or the numbers that they are.

        `operands` belong to the arguments; what the program captured becomes constants.
        """
        captured = [graph.constant(np.asarray(value)) for value in program.captured]
        known: dict[Var, Operand] = dict(zip(program.inputs, [*operands, *captured], strict=True))
        names = program.names()
        for equation in program.equations:
            found = self._equation(equation, known, names, graph)
            known.update(zip(equation.outputs, found, strict=True))
        return [known[a] if isinstance(a, Var) else a for a in program.outputs]

    def _equation(
        self, equation: Equation, known: Mapping[Var, Operand], names: Mapping[Var, str], graph: GraphBuilder
    ) -> list[Operand]:
        operands = [known[a] if isinstance(a, Var) else a for a in equation.inputs]
        primitive = equation.primitive
        # a user's own operation may bear the name of one of ours that was never loaded
        rule = TABLE.get(primitive.name) if primitive.__module__.startswith(_PACKAGE) else None
        found = rule and rule(EquationCall(graph, equation, operands, names[equation.outputs[0]], self.enter))
        if found is not None:
            return [found] if isinstance(found, str) else list(found)
        if primitive.body is not None:
            return self._written_out(equation, operands, graph)
        self.lacking.setdefault(primitive.name, equation.where)
        return [graph.unique(names[v]) for v in equation.outputs]

    def _written_out(self, equation: Equation, operands: Sequence[Operand], graph: GraphBuilder) -> list[Operand]:
        """The body of a composite in its place."""
        body = equation.primitive.body
        assert body is not None
        places = [i for i, operand in enumerate(operands) if isinstance(operand, str)]

        def called(*values: Any) -> list[Any]:
            given: list[Any] = list(operands)
            for i, value in zip(places, values, strict=True):
                given[i] = value
            out = body(*given, **equation.params)
            return list(out) if isinstance(out, tuple) else [out]

        types = [type_of(raw(equation.inputs[i])) for i in places]
        scope = next((dim.scope for t in types for dim in t.shape if not isinstance(dim, int)), None)
        program = trace(called, types, scope=scope)
        return self.enter(program, [operands[i] for i in places], graph)

    def require_all(self, where: str = "") -> None:
        """Raise ArgumentError that names every operation without a form."""
        if not self.lacking:
            return
        told = [name + (f" ({line})" if line else "") for name, line in self.lacking.items()]
        raise ArgumentError(
            "the network computes what ONNX has no operator for",
            expected=f"operations of the {len(TABLE)} that are exported",
            got="; ".join(told),
            where=where or user_line(),
            try_='another layer in their place, or --format python (cl.export(run, "python"))',
        )


def checked_model(
    graph: GraphBuilder, inputs: Sequence[Any], outputs: Sequence[Any], metadata: Mapping[str, str] | None = None
) -> Any:
    """The model of a graph, which ONNX's own checker has seen, every shape and dtype of it inferred.

    `metadata` are words by name that the file carries.
    """
    onnx = onnx_package()
    helper = onnx.helper
    read = {name for node in graph.nodes for name in values_read(node)}
    tensors = [onnx.numpy_helper.from_array(v, k) for k, v in graph.constants.items() if k in read]
    network = helper.make_graph(graph.nodes, "network", list(inputs), list(outputs), tensors)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_OPSET)]
    version = helper.find_min_ir_version_for(opsets)
    origin = {"producer_name": "clearprop", "producer_version": importlib.metadata.version("clearprop")}
    model = helper.make_model(network, opset_imports=opsets, ir_version=version, **origin)
    helper.set_model_props(model, dict(metadata or {}))
    onnx.checker.check_model(model, full_check=True)
    return model
