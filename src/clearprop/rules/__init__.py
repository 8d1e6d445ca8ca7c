"""The declarations: every primitive, by family.  Everything else is derived from them.

Open to other folders beside the names here: `activations`, `checking`, `eager`, `elementwise`, `indexing`,
`joining`, `linear`, `losses`, `on_demand`, `on_demand.convolution`, `on_demand.pooling`, `on_demand.scattering`,
`on_demand.special_functions`, `random`, `reductions`, `standard_forms`, `structural`, `trigonometric`.
"""

from clearprop.rules import (
    activations,
    arithmetic,
    checking,
    comparison,
    elementwise,
    exponentials,
    indexing,
    joining,
    linear,
    losses,
    random,
    reductions,
    standard_forms,
    structural,
    trigonometric,
)

__all__ = [
    "activations",
    "arithmetic",
    "checking",
    "comparison",
    "elementwise",
    "exponentials",
    "indexing",
    "joining",
    "linear",
    "losses",
    "random",
    "reductions",
    "standard_forms",
    "structural",
    "trigonometric",
]
