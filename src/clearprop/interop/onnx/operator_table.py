"""The table from operators of ONNX to functions: who takes which operator from which version on.

A function of the table takes the operator's inputs in order (an optional one that is left out is None) and its
attributes by keyword, with their defaults: its signature says what can be taken, and an attribute that it does not
name is refused when a model is loaded.  Two keywords are no attributes: `outputs` is how many outputs the node has,
and `context` is what the graph around it knows.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])
RESERVED = ("outputs", "context")


@dataclass(frozen=True)
class Operator:
    """A function of the table: the operator it computes, and the first version of the operator set it computes so."""

    name: str
    domain: str
    since: int
    function: Callable[..., Any]
    attributes: tuple[str, ...]
    reserved: tuple[str, ...]
    inputs: tuple[int, int]
    settings: tuple[int, ...] = ()
    statistics: tuple[int, ...] = ()
    broadcasts: bool = False

    def role(self, place: int) -> str:
        """What the operator reads at this place: a weight, a setting of its own, or statistics."""
        return "setting" if place in self.settings else "statistic" if place in self.statistics else "weight"

    @property
    def takes_context(self) -> bool:
        """Whether it sees more than its inputs: it holds graphs, or draws random numbers."""
        return "context" in self.reserved


_TABLE: dict[tuple[str, str], list[Operator]] = {}
MANY = 10_000


def operator(
    *names: str, since: int = 1, domain: str = "", settings: tuple[int, ...] = (), statistics: tuple[int, ...] = ()
) -> Callable[[Function], Function]:
    """Enter a function for operators of these names, as they are from version `since` of the operator set on.

    settings    places of inputs that are numbers of the operator, such as bounds: they are not trained
    statistics  places of inputs that are running statistics
    """

    def enter(function: Function) -> Function:
        for name in names:
            entry = replace(_entry(name, domain, since, function), settings=settings, statistics=statistics)
            _TABLE.setdefault((domain, name), []).append(entry)
        return function

    return enter


def enter_all(functions: dict[str, Callable[..., Any]], since: int = 1, domain: str = "") -> None:
    """Enter functions of the package that compute an operator as they stand: of several operands, they broadcast."""
    for name, function in functions.items():
        entry = _entry(name, domain, since, function, bare=True)
        _TABLE.setdefault((domain, name), []).append(replace(entry, broadcasts=entry.inputs[1] > 1))


def _entry(name: str, domain: str, since: int, function: Callable[..., Any], bare: bool = False) -> Operator:
    parameters = list(inspect.signature(function).parameters.values())
    keywords = {} if bare else {p.name: p.kind is p.KEYWORD_ONLY for p in parameters}
    named = [k for k, only in keywords.items() if only]
    attributes = tuple(k for k in named if k not in RESERVED)
    return Operator(
        name, domain, since, function, attributes, tuple(k for k in named if k in RESERVED), _places(parameters, bare)
    )


def _places(parameters: list[inspect.Parameter], bare: bool) -> tuple[int, int]:
    """How many inputs a function needs and takes."""
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = sum(p.default is p.empty for p in places)
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return needed, MANY
    return needed, needed if bare else len(places)


def find(domain: str, name: str, version: int) -> Operator | None:
    """The operator as this version of its set has it, if the table has it."""
    entries = [e for e in _TABLE.get((domain, name), ()) if e.since <= version]
    return max(entries, key=lambda e: e.since, default=None)


def known_operators() -> list[str]:
    """The names of all operators in the table, in order; those of other domains with their domain."""
    return sorted(f"{domain}.{name}" if domain else name for domain, name in _TABLE)
