"""The declarations: every primitive, by family.  Everything else is derived from them.

Open to other folders beside the names here: `activations`, `elementwise`, `indexing`, `joining`, `linear`, `losses`,
`normalisation`, `random`, `reductions`, `structural`, `trigonometric`.
"""

from clearprop.rules import (
    activations,
    arithmetic,
    comparison,
    elementwise,
    exponentials,
    indexing,
    joining,
    linear,
    losses,
    normalisation,
    random,
    reductions,
    structural,
    trigonometric,
)

__all__ = [
    "activations",
    "arithmetic",
    "comparison",
    "elementwise",
    "exponentials",
    "indexing",
    "joining",
    "linear",
    "losses",
    "normalisation",
    "random",
    "reductions",
    "structural",
    "trigonometric",
]
