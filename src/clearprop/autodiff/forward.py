"""Forward mode: tangents flow from the leaves to the outputs along the same applications."""

from __future__ import annotations

from typing import Any

from clearprop.autodiff.reverse import Reader, Slice, outputs_of
from clearprop.program.ir import shape_of
from clearprop.program.types import PYTHON_SCALARS, Value
from clearprop.program.values import Node, quiet, raw
from clearprop.rules.elementwise import derivative_as
from clearprop.rules.structural import broadcast_to_
from clearprop.shapes import same_shape


def push(part: Slice, tangents: dict[Node, Any], read: Reader) -> dict[Node, Any]:
    """Tangents of all active nodes from the leaves' tangents; `tangents` is extended."""
    with quiet():
        for app, nodes, positions in part.steps():
            dots: list[Any] = [None] * len(app.inputs)
            for k in positions:
                dots[k] = tangents.get(app.inputs[k])
            if all(d is None for d in dots):
                continue
            xs: Any = app.raw if read is raw else [read(a) for a in app.inputs]
            y = app.outputs if read is raw else outputs_of(app, nodes, read)
            out = app.primitive.pushforward(dots, y, xs, app.params)
            if out is None:
                continue
            for node in nodes:
                dot = out[node.position] if type(app.outputs) is tuple else out
                if dot is not None:
                    tangents[node] = _in_the_shape_of(dot, node)
    return tangents


def _in_the_shape_of(dot: Value, node: Node) -> Any:
    """A tangent in the output's shape and dtype: a rule need not repeat what broadcasting repeats."""
    value, own = raw(dot), node.value
    if not same_shape(shape_of(value), shape_of(own)):
        dot = broadcast_to_(dot, shape=shape_of(own))
    if type(own) not in PYTHON_SCALARS and (type(value) in PYTHON_SCALARS or value.dtype != own.dtype):
        dot = derivative_as(dot, own.dtype)
    return dot
