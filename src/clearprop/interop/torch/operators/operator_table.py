"""The table from an operator of ATen to a function of ours, and how a function enters it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from clearprop.interop.torch.graph import TorchGraph, TorchNode, references_of


@dataclass(frozen=True)
class AtenOperator:
    """How an operator is computed here: a function with ATen's arguments, and the values that some of them may have."""

    compute: Callable[..., Any]
    only: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def refusals(self, node: TorchNode) -> list[str]:
        """What this call asks for that the function does not do, such as `ceil_mode=True`."""
        try:
            given = inspect.signature(self.compute).bind(*node.arguments, **dict(node.options)).arguments
        except TypeError as problem:
            return [str(problem)]
        return [
            f"{name}={given[name]!r}" for name, known in self.only.items() if given.get(name, known[0]) not in known
        ]


OPERATORS: dict[str, AtenOperator] = {}
"""By ATen's name: `max.dim`, or `max` for all overloads that have no entry of their own."""


def operator(*names: str, **only: tuple[Any, ...]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a function under these names of ATen; `only` holds the values that an argument may have."""

    def enter(compute: Callable[..., Any]) -> Callable[..., Any]:
        OPERATORS.update(dict.fromkeys(names, AtenOperator(compute, only)))
        return compute

    return enter


def operator_named(name: str) -> AtenOperator | None:
    """The entry for `name.overload`: that of the overload, or that of the name."""
    return OPERATORS.get(name) or OPERATORS.get(name.rpartition(".")[0])


def refusals(graph: TorchGraph) -> list[str]:
    """A line for every node that cannot be taken: its operator, what of it, and where the module calls it."""
    lines = []
    for node in graph.nodes:
        found = operator_named(node.operator)
        reasons = ["no such operator here"] if found is None else found.refusals(node)
        lines += [f"{node.operator}: {reason}" + (f"  ({node.line})" if node.line else "") for reason in reasons]
    return list(dict.fromkeys(lines))


def nodes_for(nodes: tuple[TorchNode, ...], *outputs: Any) -> tuple[TorchNode, ...]:
    """The nodes that the outputs hang on, in their order."""
    wanted = {reference.name for output in outputs for reference in references_of(output)}
    kept = []
    for node in reversed(nodes):
        if node.name in wanted:
            wanted.update(r.name for r in references_of((node.arguments, dict(node.options))))
            kept.append(node)
    return tuple(reversed(kept))
