"""Python's `if` and `while` in the user's source, written with clearprop's functions: what an error may propose.

What is found is the statement around the line, if it is of a form that has one meaning: a choice between two
expressions, between two values that are returned or assigned, or a loop that assigns one name.  Of anything else there
is no proposal.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator, Sequence

from clearprop.notation.expressions import syntax_tree

LONGEST = 160
"""Letters of a proposal that still reads well in an error."""


def rewritten_control(filename: str, line: int) -> str:
    """The statement or expression at this line that asks for a truth value, rewritten; "" if there is no proposal."""
    try:
        tree = syntax_tree("".join(linecache.getlines(filename)))
    except SyntaxError:
        return ""
    found = [text for block in _blocks(tree) for k in range(len(block)) for text in _proposals(block, k, line)]
    return found[0] if len(found) == 1 and len(found[0]) <= LONGEST else ""


def _blocks(tree: ast.AST) -> Iterator[Sequence[ast.stmt]]:
    """All sequences of statements."""
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                yield block


def _proposals(block: Sequence[ast.stmt], k: int, line: int) -> Iterator[str]:
    """What can be proposed for a statement of a block whose condition stands on the line."""
    statement, after = block[k], block[k + 1] if k + 1 < len(block) else None
    if isinstance(statement, ast.If) and _is_at(statement.test, line):
        yield _choice(statement, after)
    elif isinstance(statement, ast.While) and _is_at(statement.test, line):
        yield _loop(statement)
    elif not hasattr(statement, "body"):
        for node in ast.walk(statement):
            if isinstance(node, ast.IfExp) and _is_at(node.test, line):
                yield _cond_text(node.test, node.body, node.orelse)


def _is_at(node: ast.expr, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or node.lineno)


def _choice(statement: ast.If, after: ast.stmt | None) -> str:
    """`if` as one expression: two values returned, or two that are assigned to one name."""
    if len(statement.body) != 1 or len(statement.orelse) > 1:
        return ""
    first = statement.body[0]
    other = statement.orelse[0] if statement.orelse else after
    if isinstance(first, ast.Return) and isinstance(other, ast.Return) and first.value and other.value:
        return f"return {_cond_text(statement.test, first.value, other.value)}"
    name, value = _assignment(first)
    if value is None:
        return ""
    if not statement.orelse:
        return f"{name} = {_cond_text(statement.test, value, ast.Name(name))}"
    second, otherwise = _assignment(statement.orelse[0])
    return f"{name} = {_cond_text(statement.test, value, otherwise)}" if otherwise and second == name else ""


def _loop(statement: ast.While) -> str:
    """`while` as one expression: of the one name that its body assigns."""
    if len(statement.body) != 1 or statement.orelse:
        return ""
    name, value = _assignment(statement.body[0])
    if value is None:
        return ""
    return f"{name} = cl.while_loop(lambda {name}: {_condition(statement.test)}, lambda {name}: {_text(value)}, {name})"


def _assignment(statement: ast.stmt) -> tuple[str, ast.expr | None]:
    """The one name that a statement assigns, and what."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id, statement.value
    if isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name):
        return statement.target.id, ast.BinOp(ast.Name(statement.target.id), statement.op, statement.value)
    return "", None


def _cond_text(test: ast.expr, first: ast.expr, second: ast.expr) -> str:
    return f"cl.cond({_condition(test)}, lambda: {_text(first)}, lambda: {_text(second)})"


def _condition(test: ast.expr) -> str:
    """A condition whose `and`, `or`, `not` and chains of comparisons are functions."""
    if isinstance(test, ast.BoolOp):
        name = "cl.logical_and" if isinstance(test.op, ast.And) else "cl.logical_or"
        return _nested_calls(name, [_condition(v) for v in test.values])
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return f"cl.logical_not({_condition(test.operand)})"
    if isinstance(test, ast.Compare) and len(test.ops) > 1:
        sides = zip([test.left, *test.comparators], test.ops, test.comparators, strict=False)
        return _nested_calls("cl.logical_and", [_text(ast.Compare(a, [op], [b])) for a, op, b in sides])
    return _text(test)


def _nested_calls(name: str, parts: Sequence[str]) -> str:
    text = parts[-1]
    for part in reversed(parts[:-1]):
        text = f"{name}({part}, {text})"
    return text


def _text(node: ast.expr) -> str:
    return ast.unparse(ast.fix_missing_locations(node))
