"""The explanation in plain sentences, for reading aloud."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeGuard

from clearprop.explanation.explanations import Entry, Explanation, Factor, Path, Term
from clearprop.explanation.printers.terminal import ENTRIES, local_text, rule_text, written_paths
from clearprop.explanation.record import Place, prints
from clearprop.notation import number_text, text
from clearprop.notation.expressions import Call, Expression, Name, Number, replace
from clearprop.primitives import REGISTRY

_SIGNS = {"greater": (">", "≤"), "less": ("<", "≥"), "greater_equal": ("≥", "<"), "less_equal": ("≤", ">"),
          "equal": ("=", "≠"), "not_equal": ("≠", "=")}  # fmt: skip


@prints("sentences", Explanation)
def explanation_sentences(explanation: Explanation) -> str:
    """Every entry if there are few, else the largest ones."""
    return "\n\n".join(map(entry_sentences, explanation.largest(ENTRIES)))


@prints("sentences", Entry)
def entry_sentences(entry: Entry) -> str:
    """What an entry is, why it has its value, and what confirms it."""
    if entry.status == "not computed":
        return f"{entry.symbol} was not computed: {entry.reason}."
    paths = written_paths(entry)
    body = _level(entry) if paths is None else [line for p in paths for line in _path(entry, p, len(paths))]
    return "\n".join([*_meaning(entry), *body, _confirmation(entry)])


def _meaning(entry: Entry) -> list[str]:
    name, target, value = entry.place.label.text, entry.target.text, number_text(entry.value)
    if entry.status == "zero":
        return [f"{entry.symbol} = 0, so {target} does not change with {name}: {entry.reason}."]
    if math.isnan(entry.value):
        return [f"{entry.symbol} is not a number: {target} has no slope along {name} here."]
    moves = "grows" if entry.value > 0 else "falls"
    size = number_text(abs(entry.value))
    return [f"{entry.symbol} = {value}: if {name} grows by a small step, {target} {moves} by {size} times that step."]


def _path(entry: Entry, path: Path, count: int) -> list[str]:
    head = [f"One of the {count} ways leads over {_stations(path)}:"] if count > 1 else []
    steps = [_sentence(f) for f in reversed(path.factors)]
    product = " · ".join(number_text(f.value) for f in path.factors)
    left = ", because it was not chosen" if path.was_left else ""
    closing = [f"Multiplied: {product} = {number_text(path.value)}{left}."] if len(path.factors) > 1 else []
    return [*head, *steps, *closing]


def _stations(path: Path) -> str:
    return ", ".join(f.out.label.text for f in reversed(path.factors))


def _sentence(factor: Factor) -> str:
    """One factor in words."""
    if factor.operation == "sum":
        return (
            f"{_with_value(factor.out)} is a sum with {factor.under.label.text} in it, the gradient passes unchanged."
        )
    if math.isnan(factor.value):
        return f"At {_with_value(factor.under)} {factor.out.label.text} has no slope: {rule_text(factor)} is NaN."
    gate = gate_sentence(factor)
    if gate:
        return gate
    rule, value = rule_text(factor), number_text(factor.value)
    slope = value if rule == value else f"{rule} = {value}"
    return f"{_with_value(factor.out)} changes {slope} times as fast as {_with_value(factor.under)}."


def _with_value(place: Place) -> str:
    name, number = place.label.text, number_text(place.value)
    return number if name == number else f"{name} = {number}"


def gate_sentence(factor: Factor) -> str:
    """`z = 6 > 0, the gate is open, the gradient passes unchanged`; empty for a rule that is no gate."""
    rule = factor.formula
    if not _is_choice(rule):
        return ""
    condition, chosen, other = rule.operands
    holds = _holds(condition, factor)
    if holds is None:
        return ""
    taken = chosen if holds else other
    if _value_of(taken, {o.symbol: o.value for o in factor.operands}) == 0:
        return f"{_condition(condition, factor, holds)}, the gate is closed, nothing passes."
    passed = "unchanged" if factor.value == 1 else f"multiplied by {number_text(factor.value)}"
    return f"{_condition(condition, factor, holds)}, the gate is open, the gradient passes {passed}."


def _is_choice(rule: Expression) -> TypeGuard[Call]:
    """Whether a rule takes one of two values by a condition."""
    primitive = REGISTRY.get(rule.function.name) if isinstance(rule, Call) else None
    return primitive is not None and primitive.facts.chooses


def _holds(condition: Expression, factor: Factor) -> bool | None:
    """Whether a condition on the operands holds; None where their numbers are not known."""
    found = _value_of(condition, {o.symbol: o.value for o in factor.operands})
    return None if found is None else bool(found)


def _value_of(e: Expression, values: dict[str, float | bool]) -> float | bool | None:
    if isinstance(e, Number):
        return e.value  # type: ignore[no-any-return]  # a literal
    if isinstance(e, Name):
        return values.get(e.name)
    inside = [_value_of(o, values) for o in e.operands]
    primitive = REGISTRY.get(e.function.name)
    if primitive is None or primitive.kind != "elementwise" or any(v is None for v in inside):
        return None
    return primitive.run(inside, dict(e.params))  # type: ignore[no-any-return]  # a number from numbers


def _condition(condition: Expression, factor: Factor, holds: bool) -> str:
    """`z = 6 > 0`, in the operand where it says the same as in the output."""
    if isinstance(condition, Call) and condition.function.name in _SIGNS and isinstance(condition.operands[1], Number):
        sign, limit = _SIGNS[condition.function.name][not holds], condition.operands[1]
        operand = next((o for o in factor.operands if condition.operands[0] == Name(o.symbol)), None)
        if operand is not None:
            same = _value_of(condition, {operand.symbol: factor.under.value}) == holds
            own = _with_value(factor.under) if same else f"{operand.label.text} = {number_text(operand.value)}"
            return f"{own} {sign} {number_text(limit.value)}"
    names: dict[str, Expression] = {o.symbol: Name(o.label.text) for o in factor.operands}
    verdict = "holds" if holds else "does not hold"
    return f"{text(replace(condition, names))} {verdict} at {_with_value(factor.under)}"


def _level(entry: Entry) -> list[str]:
    """The largest terms of a level, and the rest."""
    if entry.count == 1:
        return [_sentence(f) for f in reversed(entry.terms[0].factors)]
    lines = [f"It is the sum of {entry.count} terms, one for every value that {entry.place.label.text} enters."]
    lines += [_term(entry, t) for t in entry.terms[:_NAMED]]
    left = entry.count - min(entry.count, _NAMED)
    if left:
        rest = number_text(entry.rest + sum(t.value for t in entry.terms[_NAMED:]))
        lines.append(f"The other {left} give {rest} together.")
    return lines


_NAMED = 3


def _term(entry: Entry, term: Term) -> str:
    local = " · ".join(local_text(f) for f in term.factors if f.operation != "sum") or "1"
    through = term.consumer.label.text
    return (
        f"Through {through}: {entry.target.text} changes by {number_text(term.delta)} with {through}, "
        f"which changes by {local} with {entry.place.label.text}; that gives {number_text(term.value)}."
    )


def _confirmation(entry: Entry) -> str:
    check = entry.check()
    shown: Sequence[str] = [f"A finite difference gives {number_text(check.finite_difference, 8)}"]
    if check.complex_step is not None:
        shown = [*shown, f"a complex step {number_text(check.complex_step, 10)}"]
    return ", ".join(shown) + ": " + ("that confirms it." if check.agrees else "that does NOT agree.")
