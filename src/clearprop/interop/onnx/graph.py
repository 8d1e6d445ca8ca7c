"""A network as a plan: calls of functions of the table, in the order of the file."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearprop.arrays.tensor import Tensor, asarray
from clearprop.errors import ArgumentError, ClearpropError
from clearprop.interop.onnx.graph_values import is_known, require_bounded_broadcast, settle
from clearprop.interop.onnx.operator_table import Operator

Environment = MutableMapping[str, Any]
"""Values by their names in the graph."""


@dataclass(frozen=True, eq=False)
class NodeCall:
    """A node: an operator with its attributes, the names of what it reads and of what it gives."""

    operator: Operator
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def __str__(self) -> str:
        return f"node {self.name!r} ({self.operator.name})" if self.name else f"a node {self.operator.name}"


@dataclass(frozen=True, eq=False)
class NodeGraph:
    """Calls in order, what they start from and what is read of them; a body of a loop or branch is one, too."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constants: Mapping[str, np.ndarray[Any, Any]]
    calls: tuple[NodeCall, ...]

    def run(self, values: Mapping[str, Any], around: Mapping[str, Any] | None = None) -> list[Any]:
        """The outputs for these values by name; what is not found in the graph is read from around it."""
        own: dict[str, Any] = {**self.constants, **values}
        environment: Environment = own if around is None else ChainMap(own, dict(around))
        for place, call in enumerate(self.calls):
            _run_call(call, environment, self.calls[:place] if call.operator.takes_context else ())
        return [_lookup(environment, name) for name in self.outputs]

    def unknown_names(self, around: Iterable[str]) -> set[str]:
        """Names that are read, here and in bodies, and that neither the graph nor what is around it gives before."""
        given = {*around, *self.inputs, *self.constants}
        missing: set[str] = set()
        for call in self.calls:
            missing |= {name for name in call.inputs if name and name not in given}
            for body in (v for v in call.attributes.values() if isinstance(v, NodeGraph)):
                missing |= body.unknown_names(given)
            given.update(call.outputs)
        return missing | {name for name in self.outputs if name not in given}


@dataclass(frozen=True, eq=False)
class Context:
    """What an operator may know beside its inputs: the values around it."""

    environment: Environment
    calls: tuple[NodeCall, ...] = ()

    def again(self, values: Mapping[str, Any], wanted: str) -> Any:
        """What `wanted` is with other values of these names: the nodes before that depend on them run again."""
        environment: Environment = ChainMap(dict(values), dict(self.environment))
        changed = set(values)
        for call in self.calls:
            if changed.intersection(call.inputs) and not changed.issuperset(call.outputs):
                _run_call(call, environment)
                changed.update(call.outputs)
        return _lookup(environment, wanted)

    def run(self, graph: NodeGraph, inputs: Iterable[Any]) -> list[Any]:
        """The outputs of a body for these inputs."""
        return graph.run(dict(zip(graph.inputs, inputs, strict=True)), self.environment)


@dataclass(frozen=True, eq=False)
class Description:
    """All of a model but its arrays: the graph, its inputs with dtypes and shapes, and names for people.

    shapes  of the inputs that declare one: sizes, and names of sizes that are open
    names   under which name the module holds each array of the file
    """

    title: str
    graph: NodeGraph
    dtypes: Mapping[str, Any]
    shapes: Mapping[str, tuple[int | str, ...]]
    names: Mapping[str, str]

    def __str__(self) -> str:
        return self.title

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs, in order."""
        return self.graph.inputs

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs, in order."""
        return self.graph.outputs

    def run(self, arrays: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs by name."""
        given = {name: _as_input(value, name, self.dtypes.get(name)) for name, value in inputs.items()}
        results = self.graph.run({**arrays, **given})
        return {n: asarray(v) if is_known(v) else v for n, v in zip(self.outputs, results, strict=True)}


def _as_input(value: Any, name: str, dtype: Any) -> Any:
    """An input as a tensor (or a list of them) in the dtype that the model declares."""
    if value is None or isinstance(value, (list, tuple)):
        return value if value is None else [_as_input(v, name, None) for v in value]
    tensor = value if isinstance(value, Tensor) else asarray(value)
    if dtype is None or tensor.dtype == dtype:
        return tensor
    if tensor.dtype.kind != np.dtype(dtype).kind:
        raise ArgumentError(
            f"the input {name!r} has another dtype",
            expected=np.dtype(dtype).name,
            got=tensor.dtype.name,
            try_=f"array.astype({np.dtype(dtype).name!r})",
        )
    return tensor.astype(dtype)


def _lookup(environment: Environment, name: str) -> Any:
    if name not in environment:
        raise ArgumentError(
            f"the graph reads {name!r}, which nothing gives",
            expected="an input, an initialiser or an output of a node before",
            got=repr(name),
        )
    return environment[name]


_OF_VALUES = (
    ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError
)  # fmt: skip
"""What Python and NumPy raise where values are not those that an operator is defined for."""


def _run_call(call: NodeCall, environment: Environment, before: tuple[NodeCall, ...] = ()) -> None:
    values = [_lookup(environment, name) if name else None for name in call.inputs]
    try:
        results = _results(call, values, environment, before)
    except ClearpropError as error:
        raise _with_place(error, call) from error
    except _OF_VALUES as error:
        raise ArgumentError(
            f"{call.operator.name} cannot be computed with these values",
            expected="values that the operator is defined for",
            got=f"{type(error).__name__}: {error}"[:300],
            where=str(call),
        ) from error
    for name, value in zip(call.outputs, results, strict=False):
        if name:
            environment[name] = value


def _with_place(error: ClearpropError, call: NodeCall) -> ClearpropError:
    """The error with the node in which it happened."""
    where = error.where if error.where.startswith(("node ", "a node ")) else str(call)
    return type(error)(error.headline, expected=error.expected, got=error.got, where=where, try_=error.try_)


def _results(call: NodeCall, values: list[Any], environment: Environment, before: tuple[NodeCall, ...]) -> list[Any]:
    operator = call.operator
    if any(v is None for v in values[: operator.inputs[0]]):
        raise ArgumentError(f"{operator.name} lacks an input", expected=f"{operator.inputs[0]} inputs", got="fewer")
    if operator.broadcasts:
        require_bounded_broadcast(values, operator.name)
    extra: dict[str, Any] = {}
    if "outputs" in operator.reserved:
        extra["outputs"] = len(call.outputs)
    if operator.takes_context:
        extra["context"] = Context(environment, before)
    result = operator.function(*values, **call.attributes, **extra)
    results = list(result) if isinstance(result, tuple) else [result]
    foldable = not operator.takes_context and all(v is None or is_known(v) for v in values)
    return [settle(r) for r in results] if foldable else results
