"""Expressions: names, numbers, and calls of declared operations; and how they are written in NumPy.

Python's own grammar decides where parentheses stand.
"""

from __future__ import annotations

import ast
import functools
import string
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


# ---------------------------------------------------------------------------------------------- NumPy source
def numpy_source(expression: Expression) -> str:
    """The expression as Python that runs on NumPy arrays.

    A composite, which has no NumPy spelling of its own, is written as a call of its name.

    >>> numpy_source(Name("x")), numpy_source(Number(-2.0))
    ('x', '-2.0')
    """
    return ast.unparse(tree(expression))


def tree(expression: Expression) -> ast.expr:
    """The expression as Python's syntax tree."""
    if isinstance(expression, Name):
        return ast.Name(expression.name)
    if isinstance(expression, Number):
        return literal(expression.value)
    operands = [tree(e) for e in expression.operands]
    return fill_spelling(expression.function, operands, expression)


def fill_spelling(function: Spelling, operands: list[ast.expr], call: Call) -> ast.expr:
    """The NumPy spelling with syntax trees in the places of its operands and parameters."""
    if not function.numpy:
        return ast.Call(ast.Name(function.name), operands, [])
    given: dict[str, ast.expr] = {k: literal(v) for k, v in call.params.items()}
    if function.variadic:
        given[function.operands[0]] = ast.List(operands)
    else:
        given |= dict(zip(function.operands, operands, strict=True))
    whole: ast.expr = _Fill(given).visit(parse_spelling(function.numpy))
    return ast.fix_missing_locations(whole)


def literal(value: Any) -> ast.expr:
    """A Python literal for a parameter or number."""
    try:
        return ast.parse(repr(value), mode="eval").body
    except SyntaxError:
        return ast.Name(str(value))


class _Fill(ast.NodeTransformer):
    def __init__(self, given: dict[str, ast.expr]) -> None:
        self.given = given

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.given.get(node.id.removeprefix(_HOLE), node) if node.id.startswith(_HOLE) else node


_HOLE = "hole_"


@functools.lru_cache(maxsize=1024)
def _template(spelling: str) -> str:
    """The spelling with every placeholder made an identifier."""
    parts = string.Formatter().parse(spelling)
    return "".join(before + (_HOLE + name if name else "") for before, name, _, _ in parts)


def parse_spelling(spelling: str) -> ast.expr:
    """A fresh syntax tree of a spelling."""
    return ast.parse(_template(spelling), mode="eval").body
