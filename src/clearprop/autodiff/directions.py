"""Vectors that the caller gives to a transform: a tangent for each primal, a cotangent for each output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.autodiff.trees import Structure, flatten, has_derivative, is_array, structure_text, unflatten
from clearprop.errors import ArgumentError, ShapeError, user_line
from clearprop.program.ir import Var, shape_of
from clearprop.program.operands import admit, complex_error
from clearprop.program.types import Tree, Value, is_complex, type_of
from clearprop.program.values import Node
from clearprop.rules.elementwise import astype
from clearprop.shapes import shapes_agree


def start_tangents(parts: Sequence[tuple[Structure, Sequence[Node | None]]], tangents: Sequence[Tree]) -> Any:
    """The tangent of every leaf, for one tree of tangents per primal; a leaf that is not floating needs none."""
    start: dict[Node, Any] = {}
    for (structure, nodes), tangent in zip(parts, tangents, strict=True):
        flat, own = flatten(tangent)
        floating = flatten(unflatten(structure, nodes))[1]  # the structure without the leaves that have no tangent
        if own not in (structure, floating):
            raise ArgumentError(
                "a tangent has another structure than its primal",
                expected=structure_text(structure),
                got=structure_text(own),
                where=user_line(),
                try_="np.asarray(v), where a list stands for an array" if structure == flatten(0.0)[1] else "",
            )
        given = iter(flat)
        for node in nodes:
            if node is not None:
                start[node] = _vector(next(given), node.value, "a tangent", "its primal")
            elif own == structure:
                next(given)
    return start


def start_cotangents(outs: Sequence[Any], structure: Structure, cotangents: Tree) -> dict[Node, Any]:
    """The cotangent of every output that is a node, for a tree like that of the outputs."""
    given, own = flatten(cotangents)
    if len(given) != len(outs) or (len(outs) > 1 and own != structure):
        raise ArgumentError(
            "the cotangent has another structure than the output",
            expected=structure_text(structure),
            got=structure_text(own),
            where=user_line(),
        )
    start: dict[Node, Any] = {}
    for out, value in zip(outs, given, strict=True):
        if is_array(out):
            vector = _vector(value, out.value if isinstance(out, Node) else out, "the cotangent", "the output")
            if isinstance(out, Node):
                known = start.get(out)
                start[out] = vector if known is None else known + vector
    return start


def _vector(value: Value, like: Value, name: str, of: str) -> Any:
    """A tangent or cotangent of a value, as sweeps take it: numbers of its shape, in its dtype."""
    expected = type_of(like)
    if not is_array(value):
        raise ArgumentError(
            f"{name} holds numbers",
            expected=f"an array of shape {expected.shape}",
            got=ascii(value)[:80],
            where=user_line(),
        )
    if not shapes_agree(shape_of(value), expected.shape):
        raise ShapeError(
            f"{name} has another shape than {of}",
            expected=f"shape {expected.shape}",
            got=f"shape {shape_of(value)}",
            where=user_line(),
        )
    value = without_node(value if isinstance(value, Node) else admit(value))
    if not has_derivative(like) or type_of(value).dtype == expected.dtype:
        return value
    if is_complex(type_of(value).dtype) and not is_complex(expected.dtype):
        raise complex_error(type_of(value).dtype, f"{name} of a real value is real")
    return astype(value, dtype=expected.dtype) if isinstance(value, Node) else np.asarray(value, expected.dtype)[()]


def without_node(value: Value) -> Any:
    """An untracked concrete node as its array, so that sweeps stay on arrays."""
    if isinstance(value, Node) and not value.tracked and not isinstance(value.value, Var):
        return value.value
    return value
