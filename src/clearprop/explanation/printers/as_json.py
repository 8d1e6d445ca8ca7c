"""The explanation as JSON.  `docs/explanation.schema.json` says what each field means.

Numbers that JSON does not have are the strings "NaN", "Infinity" and "-Infinity".
"""

from __future__ import annotations

import json
import math
from typing import Any

from clearprop.explanation.explanations import Entry, Explanation, Factor, Path, Term
from clearprop.explanation.printers.latex import rule_latex
from clearprop.explanation.printers.terminal import ENTRIES, rule_text, written_paths
from clearprop.explanation.record import Check, Label, Operand, Place, Rounding, prints
from clearprop.notation import numpy_source

FORMAT = 1
"""The version of the form."""


@prints("json", Explanation)
def explanation_json(explanation: Explanation) -> str:
    """All of an explanation that is printed: the largest entries, opened."""
    e = explanation
    return _text(
        {
            "kind": "explanation",
            "target": _label(e.target),
            "wrt": e.name,
            "shape": list(e.shape),
            "where": e.where,
            "entries": [entry_record(entry) for entry in e.largest(ENTRIES)],
        }
    )


@prints("json", Entry)
def entry_json(entry: Entry) -> str:
    """One entry."""
    return _text({"kind": "entry", "entry": entry_record(entry)})


def _text(value: dict[str, Any]) -> str:
    return json.dumps({"format": FORMAT, **value}, ensure_ascii=False, indent=1, allow_nan=False)


def entry_record(entry: Entry) -> dict[str, Any]:
    """An entry as a tree of dicts, lists, strings and numbers."""
    computed = entry.status != "not computed"
    paths = written_paths(entry) if computed else None
    return {
        "symbol": {"text": entry.symbol, "latex": entry.symbol_tex},
        "target": _label(entry.target),
        "place": _place(entry.place),
        "value": _number(entry.value),
        "status": entry.status,
        "reason": entry.reason,
        "terms": [_term(t) for t in entry.terms],
        "rest": {"terms": entry.rest_count, "sum": _number(entry.rest)},
        "total": _number(entry.total),
        "rounding": _rounding(entry.rounding) if computed else None,
        "check": _check(entry.check()) if computed else None,
        "paths": None if paths is None else [_path(p) for p in paths],
    }


def _label(label: Label) -> dict[str, str]:
    return {"text": label.text, "latex": label.tex}


def _place(place: Place) -> dict[str, Any]:
    return {"name": _label(place.label), "index": list(place.index), "value": _number(place.value)}


def _term(term: Term) -> dict[str, Any]:
    return {
        "consumer": _place(term.consumer),
        "delta": _number(term.delta),
        "factors": [_factor(f) for f in term.factors],
        "value": _number(term.value),
        "last": term.is_last,
    }


def _factor(factor: Factor) -> dict[str, Any]:
    return {
        "symbol": {"text": factor.symbol, "latex": factor.symbol_tex},
        "operation": factor.operation,
        "composite": factor.is_composite,
        "out": _place(factor.out),
        "in": _place(factor.under),
        "rule": {
            "text": rule_text(factor),
            "latex": rule_latex(factor),
            "numpy": numpy_source(factor.formula),
        },
        "operands": [_operand(o) for o in factor.operands],
        "value": _number(factor.value),
        "where": factor.where,
    }


def _operand(operand: Operand) -> dict[str, Any]:
    return {"symbol": operand.symbol, "name": _label(operand.label), "value": _number(operand.value)}


def _rounding(rounding: Rounding) -> dict[str, Any]:
    return {
        "difference": _number(rounding.difference),
        "bound": _number(rounding.bound),
        "dtype": rounding.dtype,
        "holds": rounding.holds,
    }


def _check(check: Check) -> dict[str, Any]:
    return {
        "gradient": _number(check.gradient),
        "finite_difference": _number(check.finite_difference),
        "step": _number(check.step),
        "complex_step": None if check.complex_step is None else _number(check.complex_step),
        "tolerance": _number(check.tolerance),
        "agrees": check.agrees,
        "note": check.note,
    }


def _path(path: Path) -> dict[str, Any]:
    return {"factors": [_factor(f) for f in path.factors], "value": _number(path.value)}


def _number(value: float | bool) -> Any:
    if isinstance(value, (bool, int)) or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
