"""A PyTorch model as a value: inputs, nodes in their order, outputs.  It needs no PyTorch and is written as JSON."""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, TypeAlias

PARAMETER, BUFFER, CONSTANT, GIVEN = "parameter", "buffer", "constant", "given"


@dataclass(frozen=True)
class Reference:
    """The value of an input or of an earlier node, by its name."""

    name: str


Argument: TypeAlias = Any
"""What a node is called with: a Reference, None, a number, a text (dtypes are), or a tuple or dictionary of them."""


@dataclass(frozen=True)
class Input:
    """A value that the graph begins with.

    name        how nodes refer to it
    kind        "parameter", "buffer" (written by training passes), "constant", or "given" (an argument of the call)
    target      the name of its array in the module; of an argument, the argument's name
    persistent  whether `state_dict` of the module holds it
    shape       of an argument: its sizes, None where any will do
    dtype       of an argument
    """

    name: str
    kind: str
    target: str
    persistent: bool = True
    shape: tuple[int | None, ...] = ()
    dtype: str = ""


@dataclass(frozen=True)
class TorchNode:
    """One call of an operator of ATen: `operator` is `name.overload`, such as `add.Tensor`."""

    name: str
    operator: str
    arguments: tuple[Argument, ...] = ()
    options: tuple[tuple[str, Argument], ...] = ()
    line: str = field(default="", compare=False)  # where the module's code calls it


@dataclass(frozen=True, eq=False)
class TorchGraph:
    """What `torch.export` says of a module.

    name     the class of the module
    inputs   what it begins with, in the order of the call
    nodes    calls of operators; each refers to inputs and earlier nodes alone
    output   a reference, or a tuple or dictionary of them
    updates  which buffer a training pass sets to which value: (target, reference)
    aliases  names of arrays that are another's array: (name, the other's name)

    Graphs are equal if they say the same.
    """

    name: str
    inputs: tuple[Input, ...]
    nodes: tuple[TorchNode, ...]
    output: Argument
    updates: tuple[tuple[str, Reference], ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()

    @functools.cached_property
    def fingerprint(self) -> str:
        """A digest of what the graph says: models are compared at every call, and comparing nodes would take long."""
        return hashlib.sha256(to_json(self).encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, TorchGraph) and self.fingerprint == other.fingerprint)

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        return f"TorchGraph({self.name}, {len(self.nodes)} nodes)"

    def named(self, kind: str) -> tuple[Input, ...]:
        """The inputs of a kind, in their order."""
        return tuple(i for i in self.inputs if i.kind == kind)


def references_of(argument: Argument) -> Iterator[Reference]:
    """Every reference in an argument, in order."""
    if isinstance(argument, Reference):
        yield argument
    elif isinstance(argument, tuple):
        for part in argument:
            yield from references_of(part)
    elif isinstance(argument, dict):
        for part in argument.values():
            yield from references_of(part)


def resolve(argument: Argument, value_of: Callable[[str], Any]) -> Any:
    """The argument with the value of each reference in its place; a tuple becomes a list, as ATen has them."""
    if isinstance(argument, Reference):
        return value_of(argument.name)
    if isinstance(argument, tuple):
        return [resolve(part, value_of) for part in argument]
    if isinstance(argument, dict):
        return {key: resolve(part, value_of) for key, part in argument.items()}
    return argument


def to_json(graph: TorchGraph) -> str:
    """The graph as JSON, from which `from_json` makes an equal one.

    >>> y = TorchNode("y", "relu.default", (Reference("x"),))
    >>> graph = TorchGraph("ReLU", (Input("x", GIVEN, "x", shape=(None, 3), dtype="float32"),), (y,), Reference("y"))
    >>> from_json(to_json(graph)) == graph
    True
    """
    told = {
        "name": graph.name,
        "inputs": [_fields_of(i) for i in graph.inputs],
        "nodes": [[n.name, n.operator, _plain(n.arguments), _plain(dict(n.options))] for n in graph.nodes],
        "output": _plain(graph.output),
        "updates": [[target, reference.name] for target, reference in graph.updates],
        "aliases": graph.aliases,
    }
    return json.dumps(told, allow_nan=False)


def from_json(text: str) -> TorchGraph:
    """The graph that `to_json` wrote."""
    told = json.loads(text)
    nodes = [
        TorchNode(
            name, operator, _argument(given), tuple((key, _argument(part)) for key, part in options["fields"].items())
        )
        for name, operator, given, options in told["nodes"]
    ]
    return TorchGraph(
        name=told["name"],
        inputs=tuple(Input(**{**given, "shape": tuple(given.get("shape", ()))}) for given in told["inputs"]),
        nodes=tuple(nodes),
        output=_argument(told["output"]),
        updates=tuple((target, Reference(name)) for target, name in told["updates"]),
        aliases=tuple(map(tuple, told["aliases"])),
    )


def _fields_of(given: Input) -> dict[str, Any]:
    """The fields of an input that are not what they are by themselves."""
    return {f.name: value for f in fields(given) if (value := getattr(given, f.name)) != f.default}


def _plain(argument: Argument) -> Any:
    """An argument in the words of JSON: what it has no word for is an object with one key."""
    if isinstance(argument, Reference):
        return {"value": argument.name}
    if isinstance(argument, tuple):
        return [_plain(part) for part in argument]
    if isinstance(argument, dict):
        return {"fields": {key: _plain(part) for key, part in argument.items()}}
    if isinstance(argument, float) and not math.isfinite(argument):
        return {"float": repr(argument)}
    if isinstance(argument, complex):
        return {"complex": repr(argument)}
    return argument


def _argument(plain: Any) -> Argument:
    if isinstance(plain, list):
        return tuple(map(_argument, plain))
    if not isinstance(plain, dict):
        return plain
    ((key, inner),) = plain.items()
    if key == "value":
        return Reference(inner)
    if key in ("float", "complex"):
        return (float if key == "float" else complex)(inner)
    return {name: _argument(part) for name, part in inner.items()}
