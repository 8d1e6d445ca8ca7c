"""Models of operator sets before the seventh, in which broadcasting had another form: converted by the package onnx."""

from __future__ import annotations

from typing import Any

from clearprop.errors import ArgumentError, DataError
from clearprop.files.onnx_package import onnx_package

OLDEST = 7
"""The oldest version of the operator set whose forms are taken as they are."""
_TARGET = 8


def in_taken_version(model: Any) -> Any:
    """The model itself, or one of a later version that computes the same, if an operator's form has changed since.

    Raises DataError if the model cannot be converted, ArgumentError for slopes that the conversion would misplace.
    """
    version = next((max(int(s.version), 1) for s in model.opset_import if s.domain in ("", "ai.onnx")), OLDEST)
    if version >= OLDEST or all(_keeps_form(node, version) for node in model.graph.node):
        return model
    _require_single_slopes(model.graph)
    package = onnx_package()
    import onnx.version_converter

    try:
        package.checker.check_model(model)
        return onnx.version_converter.convert_version(model, _TARGET)
    except (RuntimeError, ValueError, package.checker.ValidationError) as problem:
        raise DataError(
            f"the model of version {version} of the operator set cannot be converted",
            expected=f"version {OLDEST} or later, or a model that onnx.version_converter takes",
            got=str(problem)[:300],
        ) from None


def _keeps_form(node: Any, version: int) -> bool:
    """Whether an operator of an older set is what it is in the oldest one that is taken."""
    package = onnx_package()
    try:
        schemas = [package.defs.get_schema(node.op_type, v, node.domain) for v in (version, OLDEST)]
    except package.defs.SchemaError:
        return True  # said with all others that are not in the table
    return bool(schemas[0].since_version == schemas[1].since_version)


def _require_single_slopes(graph: Any) -> None:
    """Slopes per channel lay along the second axis before version 7 and along the last one since; nobody moves them."""
    sizes = {t.name: list(t.dims) for t in graph.initializer}
    for node in graph.node:
        if node.op_type == "PRelu" and sizes.get(node.input[1] if len(node.input) > 1 else "", []) not in ([], [1]):
            raise ArgumentError(
                "PRelu with a slope per channel is not taken from operator sets before version 7",
                expected="one slope, or a model of version 7 or later",
                got=f"slopes of shape {sizes[node.input[1]]}",
                where=f"node {node.name!r}",
                try_="export the model again with a later version of the operator set",
            )
