"""Operands that an elementwise operation can compute with, and what is said of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clearprop.errors import DTypeError, user_line
from clearprop.program.numbers import fit_number
from clearprop.program.operation import Operation
from clearprop.program.types import Type, promote


def fit_operands(p: Operation, values: Sequence[Any], types: Sequence[Type]) -> Sequence[Any]:
    """The operands, with Python integers that the dtype of the others can hold; else they are refused."""
    if not any(t.weak and t.dtype.kind == "i" for t in types[p.conditions :]) or all(t.weak for t in types):
        return values
    dtype, _ = promote(types[p.conditions :])
    compares = p.dtype_rule == "bool"
    return [v if i < p.conditions else fit_number(p.name, v, dtype, compares) for i, v in enumerate(values)]


def meaningless(name: str, types: Sequence[Type]) -> DTypeError:
    """The error for dtypes on which an operation is not defined, such as a difference of booleans."""
    return DTypeError(
        f"{name} has no meaning for {' and '.join(dict.fromkeys(t.dtype.name for t in types))}",
        expected="numbers",
        got=" and ".join(map(str, types)),
        where=user_line(),
        try_="x.astype(np.float32) makes 0 and 1 of false and true; cl.logical_not negates them",
    )
