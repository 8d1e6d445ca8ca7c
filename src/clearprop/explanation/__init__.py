"""Explanations: any entry of any gradient opened into its terms, factors and rules, summed and checked.

Open to other folders beside the names here: `printers.html`, `printers.terminal`.
"""

from clearprop.explanation import printers as printers
from clearprop.explanation.explanations import Entry, Explanation, Explanations, Factor, Path, Term
from clearprop.explanation.record import Check, Operand, Place, Rounding
from clearprop.explanation.request import explain, explain_function
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
    "explain_function",
    "explain_update",
]
