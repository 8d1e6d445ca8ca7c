r"""The explanation in LaTeX, for `amsmath`: chains as a textbook sets them, in `align*`."""

from __future__ import annotations

from collections.abc import Sequence

from clearprop.explanation.explanations import Entry, Explanation, Factor, Path
from clearprop.explanation.printers.terminal import ENTRIES, written_paths
from clearprop.explanation.record import prints
from clearprop.notation import number_tex, tex
from clearprop.notation.expressions import Name, Number, escape_tex


@prints("latex", Explanation)
def explanation_latex(explanation: Explanation) -> str:
    """Every entry if there are few, else the largest ones."""
    return "\n\n".join(map(entry_latex, explanation.largest(ENTRIES)))


@prints("latex", Entry)
def entry_latex(entry: Entry) -> str:
    """Whole paths where there are few, else the level."""
    paths = written_paths(entry)
    lines = _level(entry) if paths is None else _chains(entry, paths) + _rules(paths)
    if entry.reason:
        lines.append(rf"& \text{{{escape_tex(entry.reason)}}}")
    return "\\begin{align*}\n" + " \\\\\n".join(lines) + "\n\\end{align*}"


def _chains(entry: Entry, paths: Sequence[Path]) -> list[str]:
    if not paths:
        return [f"{entry.symbol_tex} &= {number_tex(entry.value)}"]
    symbols = [_product([f.symbol_tex for f in p.factors]) for p in paths]
    numbers = [_product([_number(f.value) for f in p.factors]) for p in paths]
    lines = [f"{entry.symbol_tex} &= " + " \\\\\n&\\quad + ".join(symbols)]
    if len(paths) > 1 or len(paths[0].factors) > 1:
        lines.append("&= " + " + ".join(numbers))
    return [*lines, f"&= {number_tex(entry.value)}"]


def _product(factors: Sequence[str]) -> str:
    return r" \cdot ".join(factors) if factors else "1"


def _number(value: float) -> str:
    body = number_tex(value)
    return rf"({body})" if body.startswith("-") else body


def _rules(paths: Sequence[Path]) -> list[str]:
    factors = {(f.symbol, f.formula, f.value): f for p in paths for f in p.factors}
    return [_rule(f) for f in factors.values()]


def _rule(factor: Factor) -> str:
    r"""`\frac{∂ReLU}{∂sum} &= {rule} = 1, \quad ReLU = 6`."""
    shown, value = rule_latex(factor), number_tex(factor.value)
    line = f"{factor.symbol_tex} &= {shown}" + ("" if shown == value else f" = {value}")
    if isinstance(factor.formula, (Name, Number)):
        return line
    return line + "".join(rf", \quad {o.label.tex} = {number_tex(o.value)}" for o in factor.operands)


def rule_latex(factor: Factor) -> str:
    """The rule as a formula in the names of its operands."""
    return tex(factor.rule).replace(r"\odot", r"\cdot")


def _level(entry: Entry) -> list[str]:
    terms = [_product([_number(t.delta), *(_number(f.value) for f in t.factors)]) for t in entry.terms]
    rest = [rf"({number_tex(entry.rest)})_{{\text{{{entry.rest_count} more}}}}"] if entry.rest_count else []
    total = f"&= {number_tex(entry.value)}"
    return [f"{entry.symbol_tex} &= " + " \\\\\n&\\quad + ".join([*terms, *rest]), total]
