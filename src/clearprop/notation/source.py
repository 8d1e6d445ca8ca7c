"""NumPy source of an expression.  Python's own grammar decides where parentheses stand."""

from __future__ import annotations

import ast
import functools
import string
from typing import Any

from clearprop.notation.expressions import Call, Expression, Name, Number, Spelling


def numpy_source(expression: Expression) -> str:
    """The expression as Python that runs on NumPy arrays.

    A composite, which has no NumPy spelling of its own, is written as a call of its name.
    """
    return ast.unparse(tree(expression))


def tree(expression: Expression) -> ast.expr:
    """The expression as Python's syntax tree."""
    if isinstance(expression, Name):
        return ast.Name(expression.name)
    if isinstance(expression, Number):
        return literal(expression.value)
    operands = [tree(e) for e in expression.operands]
    return filled(expression.function, operands, expression)


def filled(function: Spelling, operands: list[ast.expr], call: Call) -> ast.expr:
    """The NumPy spelling with syntax trees in the places of its operands and parameters."""
    if not function.numpy:
        return ast.Call(ast.Name(function.name), operands, [])
    given: dict[str, ast.expr] = {k: literal(v) for k, v in call.params.items()}
    if function.variadic:
        given[function.operands[0]] = ast.List(operands)
    else:
        given |= dict(zip(function.operands, operands, strict=True))
    whole: ast.expr = _Fill(given).visit(parsed(function.numpy))
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


def parsed(spelling: str) -> ast.expr:
    """A fresh syntax tree of a spelling."""
    return ast.parse(_template(spelling), mode="eval").body
