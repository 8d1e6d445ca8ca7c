r"""An expression as LaTeX.  Which operands need parentheses is read from the spelling around their places.

A place inside delimiters, `\log(1 + {x})` or `\frac{{{a}}}{{{b}}}`, needs none.  A place beside an operator needs
them when its operand binds less tightly than that operator; a place after a function's name, `\tanh {x}`, when its
operand is not a single symbol.
"""

from __future__ import annotations

import functools
import re

from clearprop.notation.expressions import Call, Expression, Name, Number, escape_tex, name_tex, number_tex

RELATION, SUM, NEGATION, PRODUCT, APPLICATION, POWER, ATOM = range(7)
_OPERATORS = {
    "=": RELATION, "<": RELATION, ">": RELATION, r"\ne": RELATION, r"\le": RELATION, r"\ge": RELATION,
    r"\land": RELATION, r"\lor": RELATION, r"\lnot": RELATION, "+": SUM, "-": SUM,
    r"\odot": PRODUCT, r"\cdot": PRODUCT, r"\,": PRODUCT, "^": POWER, "_": POWER,
}  # fmt: skip
_TOKEN = re.compile(
    r"\\\\|\\(?:begin|end)\{\{\w+\}\}|\\[a-zA-Z]+|\\[{}|,]|\{\{|\}\}|\{\w+\}|[-+=<>^_(),&\[\]]|\w+|\s+|."
)
_BETWEEN = ("", r"\\", "&", ",")
_OPEN = {"{{", "(", "[", r"\{", r"\lvert", r"\lVert", r"\lfloor", r"\lceil", r"\left", r"\begin{{cases}}"}
_CLOSE = {"}}", ")", "]", r"\}", r"\rvert", r"\rVert", r"\rfloor", r"\rceil", r"\right", r"\end{{cases}}"}


def tex(expression: Expression) -> str:
    r"""The expression in LaTeX's mathematics mode.

    >>> tex(Name("sigma")), tex(Number(1e-9))
    ('\\sigma', '1 \\cdot 10^{-9}')
    """
    return _piece(expression)[0]


def _piece(e: Expression) -> tuple[str, int]:
    if isinstance(e, Name):
        return e.tex or name_tex(e.name), ATOM
    if isinstance(e, Number):
        body = number_tex(e.value)
        return body, NEGATION if body.startswith("-") else PRODUCT if "10^" in body else ATOM
    if not e.function.tex:
        return rf"\operatorname{{{escape_tex(e.function.name)}}}({', '.join(map(tex, e.operands))})", ATOM
    return _fill_template(e)


def _fill_template(e: Call) -> tuple[str, int]:
    function = e.function
    own, needed = levels(function.tex)
    if function.variadic:
        given = {function.operands[0]: ", ".join(map(tex, e.operands))}
        return function.tex.format(**given, **e.params), own
    given = {}
    alone = function.tex == f"{{{function.operands[0]}}}" if function.operands else False
    for name, operand in zip(function.operands, e.operands, strict=True):
        body, level = _piece(operand)
        if alone:
            return body, level
        given[name] = body if level >= needed.get(name, RELATION) else rf"\left({body}\right)"
    return function.tex.format(**given, **{k: str(v) for k, v in e.params.items()}), own


@functools.lru_cache(maxsize=1024)
def levels(spelling: str) -> tuple[int, dict[str, int]]:
    """How tightly the whole binds, and how tightly the operand at each place must."""
    tokens = [t for t in _TOKEN.findall(spelling) if not t.isspace()]
    depth, own = 0, ATOM
    needed: dict[str, int] = {}
    for i, token in enumerate(tokens):
        depth += (token in _OPEN) - (token in _CLOSE)
        if token.startswith("{") and token != "{{":
            needed[token[1:-1]] = max(_needed_level(tokens, i), needed.get(token[1:-1], RELATION))
        if depth == 0:
            own = min(own, _level(tokens, i))
    return own, needed


def _level(tokens: list[str], i: int) -> int:
    """How loosely the token at place `i` makes the whole bind."""
    token, before = tokens[i], tokens[i - 1] if i else ""
    if token in _OPERATORS:
        return NEGATION if token == "-" and i == 0 else _OPERATORS[token]
    applied = token.startswith("{") and token != "{{" and before not in (*_BETWEEN, *_OPERATORS, *_OPEN)
    return APPLICATION if applied else ATOM


def _needed_level(tokens: list[str], i: int) -> int:
    """The level that an operand at place `i` needs: from what stands to its left and right."""
    before = tokens[i - 1] if i else ""
    after = tokens[i + 1] if i + 1 < len(tokens) else ""
    return max(_needed_after(before), _needed_before(after))


def _needed_after(before: str) -> int:
    if before in _BETWEEN or before in _OPEN:
        return RELATION
    if before in "+-":
        return PRODUCT
    level = _OPERATORS.get(before, ATOM)
    return SUM if level == RELATION else level


def _needed_before(after: str) -> int:
    if after in _BETWEEN or after in _CLOSE:
        return RELATION
    level = _OPERATORS.get(after, PRODUCT)
    return SUM if level == RELATION else ATOM if level == POWER else level
