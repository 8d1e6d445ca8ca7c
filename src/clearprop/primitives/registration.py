"""How a declared operation enters the registry: one name, one meaning, wherever it is looked up."""

from __future__ import annotations

from typing import Protocol, TypeVar

LATE = ".rules.on_demand."
"""Part of the names of modules whose declarations are loaded when they are first used."""


class Named(Protocol):
    """What is registered."""

    name: str
    __module__: str


P = TypeVar("P", bound=Named)


def enter(registry: dict[str, P], p: P) -> None:
    """Register by name; a name that another module declared is refused.

    A user's declaration stands before that of a family which may be loaded after it, or was before: whether that
    happened must not decide.
    """
    known = registry.get(p.name)
    if known is not None and known.__module__ != p.__module__:
        if LATE in p.__module__:
            return
        if LATE not in known.__module__:
            raise ValueError(f"a primitive named {p.name!r} exists already, in {known.__module__}")
    registry[p.name] = p
