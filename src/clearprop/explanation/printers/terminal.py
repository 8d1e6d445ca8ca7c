"""The explanation in a terminal: plain text, aligned, at most 100 columns."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence

import numpy as np

from clearprop.explanation.explanations import Entry, Explanation, Explanations, Factor, Path, Term
from clearprop.explanation.record import Check, Rounding, prints
from clearprop.explanation.updates import Update
from clearprop.notation import number_text, subscript, text
from clearprop.notation.expressions import MINUS, Name, Number

WIDTH = 100
ENTRIES, PATHS, FACTORS = 6, 6, 16
"""How many entries of an explanation are opened; up to how many paths, of how many factors in all, are written out."""


@prints("text", Explanation)
def explanation_text(explanation: Explanation) -> str:
    """Every entry if there are few, else the largest ones."""
    return "\n\n".join([*_head(explanation), *map(entry_text, explanation.largest(ENTRIES))])


@prints("text", Explanations)
def explanations_text(explanations: Explanations) -> str:
    """A table of the arrays: shape, norm, and the largest entry of each gradient."""
    rows = [("array", "shape", "|gradient|", "largest entry")]
    for part in explanations.parts.values():
        name, size = part.name, np.abs(part.gradient.ravel())
        at = np.unravel_index(int(np.argmax(size)), part.shape) if size.size and part.shape else ()
        largest = (
            f"{subscript(name, tuple(map(int, at)))} = {number_text(float(part.gradient[at]))}" if size.size else ""
        )
        rows.append((name, str(part.shape), number_text(float(np.linalg.norm(size))), largest))
    return "\n".join([f"gradients of {explanations.target.text}", *columns(rows, ("   ", "   ", "   "))])


def _head(e: Explanation) -> list[str]:
    if e.gradient.ndim == 0:
        return [e.where] if e.where else []
    title = f"∂{e.target.text}/∂{e.name} = " + (_array(e) if len(e) <= ENTRIES else f"shape {e.shape}")
    if len(e) > ENTRIES:
        title += f", the {ENTRIES} largest of {len(e)} entries"
    return [e.where + "\n" + title if e.where else title]


def _array(e: Explanation) -> str:
    numbers = [[number_text(float(v)) for v in row] for row in e.gradient.reshape(-1, e.shape[-1])]
    rows = ["[" + ", ".join(row) + "]" for row in numbers]
    return rows[0] if e.gradient.ndim == 1 else "[" + ", ".join(rows) + "]"


# ------------------------------------------------------------------------------------------------- one entry
@prints("text", Entry)
def entry_text(entry: Entry) -> str:
    """Whole paths where there are few, as a textbook prints them; the level as a table where there are many."""
    if entry.status == "not computed":
        return f"{entry.symbol} not computed: {entry.reason}"
    paths = written_paths(entry)
    body = _level(entry) if paths is None else [*_chains(entry, paths), *_rules(p.factors for p in paths)]
    return "\n".join([*body, *_closing(entry)])


def written_paths(entry: Entry) -> tuple[Path, ...] | None:
    """The whole paths of an entry, if they are few enough to be written out."""
    paths = entry.all_paths(PATHS)
    long = paths is not None and len(paths) > 1 and sum(len(p.factors) for p in paths) > FACTORS
    return None if long else paths


def _closing(entry: Entry) -> list[str]:
    lines = [] if entry.rounding.difference == 0 else [rounding_text(entry.rounding)]
    return ["    " + line for line in [*lines, check_text(entry.check())]]


def _chains(entry: Entry, paths: Sequence[Path]) -> list[str]:
    if len(paths) == 1 and entry.status == "value":
        return chain_lines(entry.symbol + " = ", paths[0])
    over = f", the sum over {len(paths)} paths:" if len(paths) > 1 else ""
    reason = f": {entry.reason}" if entry.reason else ""
    lines = [f"{entry.symbol} = {number_text(entry.value)}{reason}{over}"]
    for i, path in enumerate(paths):
        lines += chain_lines("  + " if i else "    ", path)
    return lines


@prints("text", Path)
def path_text(path: Path) -> str:
    """A whole path by itself."""
    return "\n".join(chain_lines("", path))


def chain_lines(lead: str, path: Path) -> list[str]:
    """`∂y/∂w₀ = dReLU/dsum · dsum/dmul(x₀,w₀) · dmul(x₀,w₀)/dw₀ = 1 · 1 · 1 = 1`, broken where it is too long."""
    if not path.factors:
        return [f"{lead}{number_text(path.value)}: the entry itself"]
    symbols, numbers = [f.symbol for f in path.factors], [_factor_number(f.value) for f in path.factors]
    product = number_text(path.value) + (": not chosen" if path.was_left else "")
    parts = [symbols, numbers, [product]] if len(symbols) > 1 else [symbols, [product]]
    whole = lead + " = ".join(" · ".join(p) for p in parts)
    return [whole] if len(whole) <= WIDTH else _broken_lines(lead, parts)


def _broken_lines(lead: str, parts: list[list[str]]) -> list[str]:
    """One part per line where that fits, further lines inside a part where it does not."""
    lines, indent = [], " " * 4
    for i, part in enumerate(parts):
        line = lead if i == 0 else indent + "= "
        for j, piece in enumerate(part):
            if j and len(line) + len(piece) + 3 > WIDTH:
                lines.append(line)
                line = indent + "· " + piece
            else:
                line += piece if j == 0 else " · " + piece
        lines.append(line)
    return lines


def _factor_number(value: float) -> str:
    body = number_text(value)
    return f"({body})" if body.startswith(MINUS) else body


# ------------------------------------------------------------------------------------------------- the rules
def _rules(groups: Iterable[Sequence[Factor]]) -> list[str]:
    """Every factor once: symbol, rule with the names of its operands, value, and their numbers."""
    # Short rules stand in columns, long ones below each other; one long rule must not widen the columns of the others,
    # and if the columns do not fit with all short rules in them, nobody gets columns.
    factors = list({(f.symbol, f.formula, f.value): f for group in groups for f in group}.values())
    rows = [(f.symbol, rule_text(f), number_text(f.value), numbers_text(f)) for f in factors]
    short = [row for row in rows if sum(map(len, row)) <= WIDTH - _GAPS and len(row[1]) <= _RULE]
    aligned = dict(zip(short, columns(short, ("  ", " = ", "   ")), strict=True)) if short else {}
    fits = all(len(line) <= WIDTH - 4 for line in aligned.values())
    lines: list[str] = []
    for row, factor in zip(rows, factors, strict=True):
        lines += [aligned[row]] if row in aligned and fits else _stacked_lines(row, factor)
    return ["    " + line for line in lines]


def _stacked_lines(row: tuple[str, str, str, str], factor: Factor) -> list[str]:
    """A rule too long for a table: one line each for the symbol, the formula, the numbers."""
    symbol, rule, value, numbers = row
    if len(rule) > WIDTH - _GAPS:
        rule = text(factor.formula)
        numbers = ", ".join(f"{o.symbol} = {o.label.text} = {number_text(o.value)}" for o in factor.operands)
    number = [] if rule == value else wrapped_lines(f"= {value}" + (f"   {numbers}" if numbers else ""), "    ")
    return [symbol, *wrapped_lines(f"= {rule}", "    "), *number]


_GAPS, _RULE = 14, 48


def wrapped_lines(line: str, indent: str) -> list[str]:
    """A line broken at its spaces where it is too long."""
    return textwrap.wrap(
        line, WIDTH - 4, initial_indent=indent, subsequent_indent=indent + "  ", break_long_words=False
    )


def columns(rows: Sequence[Sequence[str]], between: Sequence[str]) -> list[str]:
    """Rows of cells, aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.ljust(w) for cell, w in zip(row, widths, strict=True)]
        lines.append("".join(c + s for c, s in zip(cells, [*between, ""], strict=True)).rstrip())
    return lines


def rule_text(factor: Factor) -> str:
    """The rule as a formula in the names of its operands: `1 if ReLU > 0 else 0`."""
    return text(factor.rule)


def numbers_text(factor: Factor) -> str:
    """The numbers of the operands that the rule names: `ReLU = 6`."""
    if isinstance(factor.formula, (Name, Number)):
        return ""
    return ", ".join(f"{o.label.text} = {number_text(o.value)}" for o in factor.operands)


# ------------------------------------------------------------------------------------------------- the level
def _level(entry: Entry) -> list[str]:
    """The terms of one level as a table: cotangent of the consumer, local factor, product."""
    what = "one term" if entry.count == 1 else f"the sum of {entry.count} terms"
    target, own = entry.target.text, entry.place.label.text
    reason = f": {entry.reason}" if entry.reason else ""
    title = f"{entry.symbol} = {number_text(entry.value)}{reason}, {what}"
    full = f"{title} ∂{target}/∂c · ∂c/∂{own}:"
    title = full if len(full) <= WIDTH else f"{title}, consumer by consumer c:"
    rows = [("c", f"∂{entry.target.text}/∂c", "∂c/∂…", "term"), *map(_row, entry.terms)]
    if entry.rest_count:
        rows.append((f"{entry.rest_count} more", "", "", number_text(entry.rest)))
    head, *body = columns(rows, ("   ", " · ", " = "))
    return [title, "    " + head.replace("·", " ").replace("=", " "), *("    " + line for line in body)]


def _row(term: Term) -> tuple[str, str, str, str]:
    local = " · ".join(map(local_text, shown_factors(term)))
    return term.consumer.label.text, number_text(term.delta), local, number_text(term.value)


def shown_factors(term: Term) -> list[Factor]:
    """The factors of a term without the 1 of a sum, unless there is nothing else."""
    return [f for f in term.factors if f.operation != "sum"] or list(term.factors)


def local_text(factor: Factor) -> str:
    """`x[17,3] = 1.9`: a local factor in a table."""
    rule, value = rule_text(factor), number_text(factor.value)
    if len(rule) > _RULE:
        return value
    return rule if rule == value else f"({rule} = {value})"


# ---------------------------------------------------------------------------------------------- confirmation
def rounding_text(rounding: Rounding) -> str:
    """How far the run's number is from the sum of the terms, and how far it may be."""
    sign = "≤" if rounding.holds else ">"
    sizes = number_text(rounding.difference, 2), number_text(rounding.bound, 2)
    return f"rounding in {rounding.dtype} {sizes[0]}, |…| {sign} {sizes[1]}"


def native_text(entry: Entry) -> str:
    """How far the compiled step of the run is from the sum of the terms; empty where there is none."""
    native = entry.native()
    if native is None:
        return ""
    return f"native step {number_text(native, 10)}, differs from the sum by {number_text(native - entry.total, 2)}"


def check_text(check: Check) -> str:
    """`finite difference 1, complex step 1: agrees within 1e-10`."""
    found_none = math.isnan(check.value)
    if check.agrees:
        verdict = "not a number either" if found_none else f"agrees within {_power_of_ten(check.relative)}"
    elif found_none:
        verdict = f"it leaves the domain, and cannot confirm {number_text(check.gradient, 10)}"
    else:
        verdict = f"DISAGREES with {number_text(check.gradient, 10)}"
    found = f"finite difference {number_text(check.finite_difference, 10)}"
    if check.complex_step is not None:
        found += f", complex step {number_text(check.complex_step, 10)}"
    return f"{found}: {verdict}" + (f" ({check.note})" if check.note else "")


def _power_of_ten(relative: float) -> str:
    """The power of ten above a relative difference; nobody needs to be told more than ten digits."""
    return f"1e{max(-10, math.ceil(math.log10(relative)))}" if relative > 0 else "1e-10"


# -------------------------------------------------------------------------------------------------- an update
@prints("text", Update)
def update_text(update: Update) -> str:
    """The parts of Δw as a column that adds up, and what the step did to the loss."""
    name = update.place.text
    rate = "" if update.learning_rate is None else f", learning rate {number_text(update.learning_rate)}"
    head = f"step {update.step}: {name} = {number_text(update.before)}, Δ = {number_text(update.applied)}{rate}"
    rows = [
        (p.name, number_text(p.value), p.link if len(p.link) <= _RULE else p.link[:_RULE] + "…") for p in update.parts
    ]
    rows += [("sum", number_text(update.total), ""), ("rounding", number_text(update.rounding, 2), "")]
    return "\n".join([head, *("    " + line for line in columns(rows, ("   ", "   "))), *_effect(update)])


def _effect(update: Update) -> list[str]:
    """Predicted and actual change of the loss, and what they say about the length of the step."""
    changes = f"loss: predicted {number_text(update.predicted)}, actual {number_text(update.actual)} on this batch"
    best = update.best_scale
    if update.predicted >= 0:
        return [changes, "      the step goes uphill by the gradient of this batch"]
    if math.isinf(best):
        return [changes, "      the loss falls faster than the gradient says: a longer step would do more"]
    if best < 1:
        return [changes, f"      the step is too long by about ×{_rough(1 / best)}"]
    return [changes, f"      a step ×{_rough(best)} as long would do most"]


def _rough(value: float) -> str:
    """Two digits, without an exponent."""
    return number_text(float(f"{value:.2g}"))
