"""One table from ATen's operators to our functions, by family; `table` says how a function enters it."""

from clearprop.interop.torch.operators import (
    elementwise,
    layers,
    linear,
    linear_algebra,
    recurrent,
    reductions,
    resizing,
    scattering,
    shapes,
    signals,
)
from clearprop.interop.torch.operators.operator_table import OPERATORS, nodes_for, operator_named, refusals

FAMILIES = (
    elementwise,
    shapes,
    reductions,
    linear,
    layers,
    resizing,
    recurrent,
    scattering,
    linear_algebra,
    signals,
)
"""The files whose import fills the table."""

__all__ = ["FAMILIES", "OPERATORS", "nodes_for", "operator_named", "refusals"]
