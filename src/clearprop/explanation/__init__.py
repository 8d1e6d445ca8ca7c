"""Explanations: any entry of any gradient opened into its terms, factors and rules, summed and checked."""

from clearprop.explanation.record import (
    Check,
    Entry,
    Explanation,
    Explanations,
    Factor,
    Operand,
    Path,
    Place,
    Rounding,
    Term,
)
from clearprop.explanation.request import explain
from clearprop.explanation.updates import Part, Update, explain_update

__all__ = [
    "Check",
    "Entry",
    "Explanation",
    "Explanations",
    "Factor",
    "Operand",
    "Part",
    "Path",
    "Place",
    "Rounding",
    "Term",
    "Update",
    "explain",
    "explain_update",
]
