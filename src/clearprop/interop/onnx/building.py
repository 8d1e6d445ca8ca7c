"""From the nodes of a file to calls of the table's functions; what cannot be taken is collected and said at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import clearprop.interop.onnx.operators  # noqa: F401 - fills the table
from clearprop.errors import ArgumentError, DataError, user_line
from clearprop.files.onnx_package import onnx_package
from clearprop.interop.onnx.graph import Context, NodeCall, NodeGraph
from clearprop.interop.onnx.operator_table import Operator, find, known_operators
from clearprop.interop.onnx.reading import DTYPES, dtype_name, tensor_array

DTYPE_ATTRIBUTES = ("to", "dtype", "output_dtype", "output_datatype")
"""The attributes that hold a dtype, by its number in the format."""
_NEWEST = 2**31 - 1  # the package onnx looks up versions of 32 bits
_STANDARD = ("", "ai.onnx")


class Building:
    """What is gathered while the graph of a file is built: what was refused, and how its arrays are used."""

    def __init__(self, model: Any, folder: Path | None) -> None:
        self.folder = folder
        self.versions = versions_of(model.opset_import)
        self.functions = {(_domain(f.domain), f.name): f for f in model.functions}
        self.refused: dict[str, int] = {}
        self.input_dtypes: dict[str, Any] = {}
        self.input_shapes: dict[str, tuple[int | str, ...]] = {}
        self._uses: dict[str, set[str]] = {}

    def refuse(self, what: str) -> None:
        """Something cannot be taken."""
        self.refused[what] = self.refused.get(what, 0) + 1

    def refuse_unknown_names(self, graph: NodeGraph, around: Iterable[str]) -> None:
        """Names that nothing gives; where nodes were refused, what they give is missing for that reason alone."""
        for name in sorted(graph.unknown_names(around)) if not self.refused else ():
            self.refuse(f"the name {name!r}, which nothing gives before it is read")

    def use(self, name: str, role: str) -> None:
        """An array is read by an operator: as a weight, a setting or a statistic."""
        self._uses.setdefault(name, set()).add(role)

    def only_setting(self, name: str) -> bool:
        """Whether the array is read as a setting of operators alone."""
        return self._uses.get(name) == {"setting"}

    def only_statistic(self, name: str) -> bool:
        """Whether the array is read as statistics of a batch norm alone."""
        return self._uses.get(name) == {"statistic"}

    def require_nothing_refused(self) -> None:
        """Raise ArgumentError, which lists everything that was refused."""
        if not self.refused:
            return
        lines = [what + (f" ({n} times)" if n > 1 else "") for what, n in self.refused.items()]
        raise ArgumentError(
            "the model holds what cannot be taken",
            expected=f"the {len(known_operators())} operators of the table, dtypes {', '.join(DTYPES.values())}",
            got="\n".join(lines[:40] + (["…"] if len(lines) > 40 else [])),
            where=user_line(),
            try_="export the model without them, or with another version of the operator set",
        )


def _domain(domain: str) -> str:
    return "" if domain in _STANDARD else domain


def versions_of(imports: Iterable[Any]) -> dict[str, int]:
    """The version of each operator set that is used."""
    return {_domain(entry.domain): max(0, min(int(entry.version), _NEWEST)) for entry in imports}


def build_graph(
    building: Building, proto: Any, bound: Mapping[str, Any] | None = None, outer: bool = True
) -> tuple[NodeGraph, dict[str, np.ndarray[Any, Any]]]:
    """The graph and its arrays; a body that is no outermost graph keeps its arrays as constants."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for tensor in proto.initializer:
        try:
            arrays[tensor.name] = tensor_array(tensor, building.folder)
        except DataError as problem:
            if tensor.data_type in DTYPES:
                raise
            building.refuse(f"{dtype_name(tensor.data_type)} of the array {problem.headline.split(chr(39))[1]!r}")
    if proto.sparse_initializer:
        building.refuse("sparse arrays (sparse_initializer)")
    for value in proto.input:
        _note_dtype(building, value, keep=outer)
    calls = build_calls(building, proto.node, bound or {})
    graph = NodeGraph(
        tuple(v.name for v in proto.input),
        tuple(v.name for v in proto.output),
        {} if outer else arrays,
        calls,
    )
    return graph, arrays


def _note_dtype(building: Building, value: Any, keep: bool) -> None:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return
    number = value.type.tensor_type.elem_type
    if number and number not in DTYPES:
        building.refuse(f"{dtype_name(number)} of the input {value.name!r}")
    elif keep and number:
        building.input_dtypes[value.name] = np.dtype(DTYPES[number])
        if value.type.tensor_type.HasField("shape"):
            sizes = value.type.tensor_type.shape.dim
            building.input_shapes[value.name] = tuple(_size(value.name, i, size) for i, size in enumerate(sizes))


def _size(name: str, axis: int, size: Any) -> int | str:
    """The size of an axis, or the name of one that is open: that of the file, or one of its own."""
    return int(size.dim_value) if size.HasField("dim_value") else size.dim_param or f"{name}.{axis}"


def build_calls(building: Building, nodes: Iterable[Any], bound: Mapping[str, Any]) -> tuple[NodeCall, ...]:
    """The calls of nodes; `bound` are the attributes of the function that they stand in."""
    built = []
    for node in nodes:
        call = _build_call(building, node, bound)
        if call is not None:
            built.append(call)
    return tuple(built)


def _build_call(building: Building, node: Any, bound: Mapping[str, Any]) -> NodeCall | None:
    domain = _domain(node.domain)
    version = building.versions.get(domain)
    function = building.functions.get((domain, node.op_type))
    if function is not None:
        return _function_call(building, node, function, bound)
    if version is None:
        building.refuse(f"{_title(node)}: the model imports no operator set {domain or 'ai.onnx'!r}")
        return None
    entry = find(domain, node.op_type, version)
    if entry is None:
        body = _standard_body(domain, node.op_type, version)
        if body is None:
            building.refuse(f"{_title(node)} of version {version}")
            return None
        return _function_call(building, node, body, bound)
    return _operator_call(building, node, entry, bound)


def _title(node: Any) -> str:
    return f"operator {node.domain}.{node.op_type}" if node.domain else f"operator {node.op_type}"


def _operator_call(building: Building, node: Any, entry: Operator, bound: Mapping[str, Any]) -> NodeCall | None:
    attributes = _attributes(building, node, bound)
    for name, value in attributes.items():
        if name not in entry.attributes:
            building.refuse(f"{_title(node)} with the attribute {name!r}")
        elif name in DTYPE_ATTRIBUTES and not (isinstance(value, int) and value in DTYPES):
            told = dtype_name(value) if isinstance(value, int) else "no number of a dtype"
            building.refuse(f"{_title(node)} with {name}={told}")
    inputs = tuple(node.input)
    least, most = entry.inputs
    while len(inputs) > least and not inputs[-1]:
        inputs = inputs[:-1]
    if not least <= len(inputs) <= most or not all(inputs[:least]):
        building.refuse(f"{_title(node)} with {sum(map(bool, inputs))} inputs")
        return None
    for place, name in enumerate(inputs):
        building.use(name, entry.role(place))
    return NodeCall(entry, node.name, inputs, tuple(node.output), attributes)


def _attributes(building: Building, node: Any, bound: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            if attribute.ref_attr_name in bound:
                found[attribute.name] = bound[attribute.ref_attr_name]
            continue
        try:
            found[attribute.name] = _attribute_value(building, attribute, bound)
        except DataError as problem:
            building.refuse(f"{_title(node)} with the attribute {attribute.name!r}: {problem.got}")
    return found


def _attribute_value(building: Building, attribute: Any, bound: Mapping[str, Any]) -> Any:
    """A number, a text, an array, a body, or a tuple of numbers or texts."""
    kind = onnx_package().AttributeProto.AttributeType.Name(attribute.type)
    if kind in ("FLOAT", "INT"):
        return attribute.f if kind == "FLOAT" else attribute.i
    if kind == "STRING":
        return _text(attribute.s)
    if kind in ("FLOATS", "INTS"):
        return tuple(attribute.floats if kind == "FLOATS" else attribute.ints)
    if kind == "STRINGS":
        return tuple(_text(s) for s in attribute.strings)
    if kind == "TENSOR":
        return tensor_array(attribute.t, building.folder)
    if kind == "TYPE_PROTO":
        return attribute.tp
    if kind == "GRAPH":
        return _body(building, attribute.g, bound)
    raise DataError("an attribute of this kind is not taken", expected="numbers, text, arrays, graphs", got=kind)


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def _body(building: Building, proto: Any, bound: Mapping[str, Any]) -> NodeGraph:
    graph, _ = build_graph(building, proto, bound, outer=False)
    return graph


# ------------------------------------------------------------------------------------------------- functions
def _standard_body(domain: str, name: str, version: int) -> Any:
    """The body that the standard gives an operator composed of others, with its defaults, or None."""
    package = onnx_package()
    try:
        schema = package.defs.get_schema(name, version, domain)
    except (package.defs.SchemaError, TypeError):  # the second for a name that is no text
        return None
    if not schema.has_function:
        return None
    body = package.FunctionProto()
    body.CopyFrom(schema.function_body)
    body.attribute_proto.extend(a.default_value for a in schema.attributes.values() if a.default_value.name)
    return body


def _function_call(building: Building, node: Any, function: Any, bound: Mapping[str, Any]) -> NodeCall | None:
    """A call that runs the body of a function, with its attributes put in."""
    defaults = {a.name: _attribute_value(building, a, {}) for a in function.attribute_proto}
    given = {**defaults, **_attributes(building, node, bound)}
    outside, building.versions = building.versions, {**building.versions, **versions_of(function.opset_import)}
    try:
        calls = build_calls(building, function.node, given)
    finally:
        building.versions = outside
    graph = NodeGraph(tuple(function.input), tuple(function.output), {}, calls)
    building.refuse_unknown_names(graph, ())
    for name in node.input:
        building.use(name, "weight")
    entry = Operator(node.op_type, node.domain, 1, Body(graph), (), ("context",), (0, len(graph.inputs)))
    return NodeCall(entry, node.name, tuple(node.input), tuple(node.output), {})


class Body:
    """The body of a function, as a function of its inputs; what it holds is hidden from around it."""

    def __init__(self, graph: NodeGraph) -> None:
        self.graph = graph

    def __call__(self, *inputs: Any, context: Context) -> tuple[Any, ...]:
        """The outputs; inputs that were left out are not there."""
        given = [*inputs, *[None] * (len(self.graph.inputs) - len(inputs))]
        return tuple(self.graph.run(dict(zip(self.graph.inputs, given, strict=True))))
