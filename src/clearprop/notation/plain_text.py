"""An expression as plain text for a terminal: y · (1 − y), √x, |x|, `g if y > 0 else 0`."""

from __future__ import annotations

import ast

from clearprop.notation.expressions import Expression, Name, Number, fill_spelling
from clearprop.notation.symbols import MINUS, number_text

_BINARY: dict[type[ast.AST], tuple[str, int]] = {
    ast.Add: (" + ", 5), ast.Sub: (f" {MINUS} ", 5), ast.Mult: (" · ", 6), ast.Div: (" / ", 6),
    ast.MatMult: (" @ ", 6), ast.Pow: ("^", 8), ast.RShift: (" >> ", 4),
}  # fmt: skip
_COMPARED: dict[type[ast.AST], str] = {
    ast.Eq: " = ", ast.NotEq: " ≠ ", ast.Lt: " < ", ast.LtE: " ≤ ", ast.Gt: " > ", ast.GtE: " ≥ ",
}  # fmt: skip
_WORDS = {"logical_and": " and ", "logical_or": " or "}
_ATOM, _CONDITION, _COMPARISON, _UNARY = 10, 1, 3, 7
_Piece = tuple[str, int]


def text(expression: Expression) -> str:
    """The expression in one line.

    Operations whose LaTeX shows nothing but their operand (reshape, astype, …) are not shown here either.

    >>> text(Name("layers[0].bias")), text(Number(-0.5))
    ('layers[0].bias', '−0.5')
    """
    return _piece(expression)[0]


def _piece(e: Expression) -> _Piece:
    """The text of an expression, and how tightly it binds."""
    if isinstance(e, Name):
        return e.name, _ATOM
    if isinstance(e, Number):
        body = number_text(e.value)
        return body, _UNARY if body.startswith(MINUS) else _ATOM
    pieces = [_piece(o) for o in e.operands]
    if e.function.tex == "{x}" and len(pieces) == 1:
        return pieces[0]
    if "{" not in e.function.tex and e.function.tex:  # a constant, whatever its operands are
        return e.function.tex, _ATOM
    holes: list[ast.expr] = [ast.Name(f"{_OPERAND}{i}") for i in range(len(pieces))]
    known = {f"{_OPERAND}{i}": piece for i, piece in enumerate(pieces)}
    return _text_of(fill_spelling(e.function, holes, e), known)


_OPERAND = "operand_"


def _in_parentheses(piece: _Piece, least: int) -> str:
    return piece[0] if piece[1] >= least else f"({piece[0]})"


def _text_of(node: ast.expr, known: dict[str, _Piece]) -> _Piece:
    def at(inner: ast.expr, least: int) -> str:
        return _in_parentheses(_text_of(inner, known), least)

    if isinstance(node, ast.Name):
        return known.get(node.id, (node.id, _ATOM))
    if isinstance(node, ast.Constant):
        return number_text(node.value), _ATOM
    if isinstance(node, ast.BinOp):
        sign, level = _BINARY[type(node.op)]
        right = at(node.right, level + (0 if isinstance(node.op, (ast.Add, ast.Mult)) else 1))
        return at(node.left, level) + sign + (f"({right})" if right.startswith(MINUS) else right), level
    if isinstance(node, ast.UnaryOp):
        return MINUS + at(node.operand, _UNARY), _UNARY
    if isinstance(node, ast.Compare):
        (other,) = node.comparators
        return at(node.left, _COMPARISON + 1) + _COMPARED[type(node.ops[0])] + at(other, _COMPARISON + 1), _COMPARISON
    if isinstance(node, ast.Call):
        return _call_text(node, known)
    return ast.unparse(node), _ATOM


def _call_text(node: ast.Call, known: dict[str, _Piece]) -> _Piece:
    """A call: the notation of mathematics where a terminal has it."""
    # One line per notation; the number behind each is how tightly it binds, which decides on parentheses around it.
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
    given = [_text_of(a, known) for a in node.args]
    if name == "where" and len(given) == 3:
        chosen, other = _in_parentheses(given[1], _CONDITION + 1), _in_parentheses(given[2], _CONDITION)
        return f"{chosen} if {_in_parentheses(given[0], 2)} else {other}", _CONDITION
    if name in _WORDS:
        return _WORDS[name].join(_in_parentheses(p, _COMPARISON) for p in given), 2
    if name == "logical_not":
        return "not " + _in_parentheses(given[0], _COMPARISON), 2
    if name == "power":
        return "^".join((_in_parentheses(given[0], 9), _in_parentheses(given[1], 8))), 8
    if name == "square":
        return _in_parentheses(given[0], 9) + "²", 8
    if name == "abs":
        return f"|{given[0][0]}|", _ATOM
    if name == "sqrt":
        return "√" + _in_parentheses(given[0], _ATOM), _UNARY
    return f"{name}({', '.join(p[0] for p in given)})", _ATOM
