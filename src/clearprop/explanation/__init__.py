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

__all__ = [
    "Check",
    "Entry",
    "Explanation",
    "Explanations",
    "Factor",
    "Operand",
    "Path",
    "Place",
    "Rounding",
    "Term",
    "explain",
]
