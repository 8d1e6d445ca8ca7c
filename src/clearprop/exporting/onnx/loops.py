"""Loops and branches in ONNX: the programs that an operation holds become graphs within the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.exporting.onnx.call import EquationCall, Operand, Rule
from clearprop.exporting.onnx.graph import GraphBuilder
from clearprop.files.onnx_package import onnx_package
from clearprop.program.ir import Program
from clearprop.program.types import BOOL, INT64, Type, type_of
from clearprop.program.values import raw


def control_rules() -> dict[str, Rule]:
    """What puts a loop or a branch into a graph."""
    return {"scan": _scan, "switch": _switch, "while_loop": _while}


def _scan(call: EquationCall) -> list[str]:
    """The carries, then what is stacked.  What the steps read from outside, they read from outside."""
    # A loop from the end runs over arrays that are turned around: not every runtime knows the directions of Scan.
    p = call.params
    body: Program = p["body"]
    constants, carries = p["constants"], p["carries"]
    names = [call.operand(i) for i in range(len(call.operands))]
    inner = call.graph.within()
    moving = body.arguments[constants:]
    own = [inner.unique(v.name or "step") for v in moving]
    results = _outputs_of(call, body, [*names[:constants], *own], inner)
    types = [type_of(raw(a)) for a in body.outputs]
    inputs = [inner.value_info(name, v.type) for name, v in zip(own, moving, strict=True)]
    outputs = [inner.value_info(name, t) for name, t in zip(results, types, strict=True)]
    turn = (lambda name: _turn_around(call.graph, name)) if p["reverse"] else (lambda name: name)
    first = constants + carries
    found = call.graph.node_of_many(
        "Scan",
        [*names[constants:first], *map(turn, names[first:])],
        [v.name or call.label for v in call.equation.outputs],
        body=_graph_of(inner, inputs, outputs),
        num_scan_inputs=len(moving) - carries,
    )
    return [*found[:carries], *map(turn, found[carries:])]


def _turn_around(graph: GraphBuilder, name: str) -> str:
    """The array from its last element along the leading axis to the first."""
    ends = [graph.numbers([n]) for n in (-1, np.iinfo(np.int64).min, 0, -1)]
    return graph.node("Slice", name, *ends, name="turned")


def _while(call: EquationCall) -> list[str]:
    """The carries once the condition fails: it is asked before the loop, and after each of its steps."""
    p = call.params
    condition, body, first = p["condition"], p["body"], p["condition_constants"]
    names = [call.operand(i) for i in range(len(call.operands))]
    outer, constants = names[:first], names[first : first + p["constants"]]
    carries, moving = names[first + p["constants"] :], body.arguments[p["constants"] :]
    (begin,) = _outputs_of(call, condition, [*outer, *carries], call.graph)
    inner = call.graph.within()
    own = [inner.unique(name) for name in ("turn", "goes_on", *(v.name or "step" for v in moving))]
    after = _outputs_of(call, body, [*constants, *own[2:]], inner)
    (goes_on,) = _outputs_of(call, condition, [*outer, *after], inner)
    types = [Type((), INT64), Type((), BOOL), *(v.type for v in moving)]
    inputs = [inner.value_info(name, t) for name, t in zip(own, types, strict=True)]
    outputs = [inner.value_info(name, t) for name, t in zip([goes_on, *after], types[1:], strict=True)]
    labels = [v.name or call.label for v in call.equation.outputs]
    return call.graph.node_of_many("Loop", ["", begin, *carries], labels, body=_graph_of(inner, inputs, outputs))


def _outputs_of(call: EquationCall, program: Program, operands: Sequence[Operand], graph: GraphBuilder) -> list[str]:
    """The outputs of a graph within, each a value of its own: no input, nothing from outside, none twice."""
    found = call.enter(program, operands, graph)
    types: list[Type] = [type_of(raw(a)) for a in program.outputs]
    return [graph.node("Identity", _as_name(graph, f, t), name="result") for f, t in zip(found, types, strict=True)]


def _as_name(graph: GraphBuilder, found: Operand, t: Type) -> str:
    return found if isinstance(found, str) else graph.constant(found, t.dtype)


def _graph_of(graph: GraphBuilder, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    return onnx_package().helper.make_graph(graph.nodes, graph.unique("body"), list(inputs), list(outputs))


def _switch(call: EquationCall) -> list[str]:
    """Branches one within the other: if it is the last, else if it is the one before …; outside, the nearest."""
    branches: Sequence[Program] = call.params["branches"]
    names = [call.operand(i) for i in range(1, len(call.operands))]
    index = call.operand(0, "int64")
    labels = [v.name or call.label for v in call.equation.outputs]
    return _nested_branches(call, call.graph, index, list(branches), names, labels)


def _nested_branches(
    call: EquationCall, graph: GraphBuilder, index: str, branches: list[Program], names: list[str], labels: list[str]
) -> list[str]:
    last = graph.within()
    found = _outputs_of(call, branches[-1], names, last)
    types = [type_of(raw(a)) for a in branches[-1].outputs]
    if len(branches) == 1:
        graph.nodes += last.nodes
        return found
    others = graph.within()
    rest = _nested_branches(call, others, index, branches[:-1], names, labels)
    is_last = graph.node("GreaterOrEqual", index, graph.constant(len(branches) - 1, "int64"))
    told = [
        [inner.value_info(n, t) for n, t in zip(own, types, strict=True)]
        for inner, own in ((last, found), (others, rest))
    ]
    return graph.node_of_many(
        "If",
        [is_last],
        labels,
        then_branch=_graph_of(last, [], told[0]),
        else_branch=_graph_of(others, [], told[1]),
    )
