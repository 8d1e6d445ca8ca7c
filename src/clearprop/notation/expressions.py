"""Expressions: names, numbers, and calls of declared operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class Spelling(Protocol):
    """What a declaration says about how an operation is written; every primitive is one."""

    name: str
    operands: tuple[str, ...]
    variadic: bool
    numpy: str
    tex: str


@dataclass(frozen=True, slots=True)
class Name:
    """A symbol; `tex` is given where it is not the name itself."""

    name: str
    tex: str = ""


@dataclass(frozen=True, slots=True)
class Number:
    """A number, a boolean, or another literal of Python."""

    value: Any


@dataclass(frozen=True, slots=True)
class Call:
    """An operation applied to operands."""

    function: Spelling
    operands: tuple[Expression, ...]
    params: Mapping[str, Any] = field(default_factory=dict, hash=False)


Expression = Name | Number | Call


def replace(expression: Expression, names: Mapping[str, Expression]) -> Expression:
    """The expression with other expressions put in for names."""
    if isinstance(expression, Name):
        return names.get(expression.name, expression)
    if isinstance(expression, Number):
        return expression
    inside = tuple(replace(e, names) for e in expression.operands)
    return Call(expression.function, inside, expression.params)
