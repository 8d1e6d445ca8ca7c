"""Expressions: names, numbers, and calls of declared operations; how they are written in NumPy and as plain text.

Names of entries are w₀ where a subscript reads well and layers[0].weight[3,5] elsewhere; numbers have six significant
digits, a true minus sign, and powers of ten in LaTeX.  Where parentheses stand, Python's own grammar decides.
"""

from __future__ import annotations

import ast
import functools
import math
import os
import re
import string
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

_LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_SHORT = re.compile(r"[^\W\d_]{1,2}")
_GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "kappa", "lambda", "mu", "nu", "xi", "rho",
    "sigma", "tau", "phi", "chi", "psi", "omega",
}  # fmt: skip


_PARSING = threading.RLock()
os.register_at_fork(after_in_child=_PARSING._at_fork_reinit)  # type: ignore[attr-defined]  # as `threading` does


def syntax_tree(source: str) -> ast.Module:
    """The syntax tree of a source, made by one thread at a time.

    CPython 3.11 counts the depth of all trees in one place: where the collector of garbage lets another thread begin
    one meanwhile, both end in a SystemError.

    >>> ast.unparse(syntax_tree("x=1"))
    'x = 1'
    """
    with _PARSING:
        return ast.parse(source)


def expression_tree(source: str) -> ast.expr:
    """The syntax tree of an expression; see `syntax_tree`.

    >>> ast.unparse(expression_tree("x+1"))
    'x + 1'
    """
    with _PARSING:
        return ast.parse(source, mode="eval").body


def subscript(name: str, index: Sequence[int]) -> str:
    """The name of one entry for a terminal.

    >>> subscript("w", (0,)), subscript("layers[0].weight", (3, 5)), subscript("b", ())
    ('w₀', 'layers[0].weight[3,5]', 'b')
    """
    if not index:
        return name
    if len(index) == 1 and _SHORT.fullmatch(name):
        return name + str(index[0]).translate(_LOWERED)
    return f"{name}[{','.join(map(str, index))}]"


def name_tex(name: str) -> str:
    r"""A name for LaTeX: one letter stays, Greek letters are drawn, words stand upright.

    >>> name_tex("w"), name_tex("sigma"), name_tex("batch_mean")
    ('w', '\\sigma', '\\mathrm{batch\\_mean}')
    """
    if len(name) == 1:
        return name
    if name in _GREEK:
        return "\\" + name
    return rf"\mathrm{{{escape_tex(name)}}}"


def escape_tex(text: str) -> str:
    r"""Text with LaTeX's special characters made harmless, and the signs of our texts as mathematics.

    >>> escape_tex("z_1 = −1")
    'z\\_1 = $-$1'
    """
    plain = re.sub(r"([_#%&${}])", r"\\\1", text.replace("\\", "/"))
    return re.sub("|".join(_IN_TEXT), lambda m: f"${_IN_TEXT[m[0]]}$", plain)


_IN_TEXT = {
    "−": "-", "∂": r"\partial ", "·": r"\cdot ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "√": r"\surd ", "²": "^2",
    "∞": r"\infty ", "Σ": r"\Sigma ", **{chr(0x2080 + i): f"_{i}" for i in range(10)},
}  # fmt: skip


def subscript_tex(name: str, index: Sequence[int]) -> str:
    r"""The name of one entry for LaTeX.

    >>> subscript_tex("w", (0,)), subscript_tex("w", (3, 5))
    ('w_{0}', 'w_{3,5}')
    """
    return name_tex(name) + (f"_{{{','.join(map(str, index))}}}" if index else "")


# --------------------------------------------------------------------------------------------------- numbers
MINUS = "\u2212"


def _digits(value: Any, digits: int) -> str:
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__"):
        return str(value)
    number = float(value)
    if number == int(number) if math.isfinite(number) else False:
        return f"{int(number)}" if abs(number) < 1e9 else f"{number:.{digits}g}"
    return f"{number:.{digits}g}"


def number_text(value: Any, digits: int = 6) -> str:
    """The number for a terminal.

    >>> number_text(-1.25), number_text(6.0), number_text(float("-inf"))
    ('−1.25', '6', '−∞')
    """
    body = _digits(value, digits).replace("inf", "∞").replace("nan", "NaN")
    return MINUS + body[1:] if body.startswith("-") else body


def number_tex(value: Any, digits: int = 6) -> str:
    r"""The number for LaTeX.

    >>> number_tex(1.5e-7), number_tex(float("inf"))
    ('1.5 \\cdot 10^{-7}', '\\infty')
    """
    body = _digits(value, digits)
    if body in ("True", "False"):
        return rf"\text{{{body.lower()}}}"
    if body == "nan":
        return r"\text{NaN}"
    if "inf" in body:
        return body.replace("inf", r"\infty")
    mantissa, _, exponent = body.partition("e")
    return mantissa if not exponent else rf"{mantissa} \cdot 10^{{{int(exponent)}}}"


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


def used_names(expression: Expression) -> list[str]:
    """The names in an expression, each once, in reading order."""
    if isinstance(expression, Name):
        return [expression.name]
    if isinstance(expression, Number):
        return []
    found = [n for o in expression.operands for n in used_names(o)]
    return list(dict.fromkeys(found))


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
    return whole


def literal(value: Any) -> ast.expr:
    """A Python literal for a parameter or number."""
    try:
        return expression_tree(repr(value))
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
    return expression_tree(_template(spelling))


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
