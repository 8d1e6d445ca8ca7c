"""What executors refuse once sizes and data are known, in the same words whichever of them runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearprop.errors import ArgumentError, user_line
from clearprop.program.ir import Program
from clearprop.program.types import Type, type_of
from clearprop.shapes import evaluate_size


def index_out_of_range() -> ArgumentError:
    """The error for an index in an array that lies beyond the axis it indexes."""
    return ArgumentError(
        "an index is out of range",
        expected="indices within the axis that they index",
        got="an index beyond it, met while the compiled function ran",
        where=user_line(),
        try_="the same call without cl.compile, which names the index",
    )


def label_out_of_range() -> ArgumentError:
    """The error for labels that lie outside the range that the loss has for them."""
    return ArgumentError(
        "a label lies outside its range",
        expected="labels from 0 to the number of classes less 1, probabilities from 0 to 1, counts from 0",
        got="a label outside, met while the compiled function ran",
        where=user_line(),
        try_="the same call without cl.compile, which names the label",
    )


REFUSALS = {1: index_out_of_range, 2: label_out_of_range}
"""What kernels report in their status word."""


def require_elements(program: Program, env: Mapping[Any, int]) -> None:
    """Refuse an extreme of nothing, as eager code does: whether an axis is empty is known when sizes are."""
    for eq in program.equations:
        if eq.primitive.facts.nonempty:
            types = [type_of(a) for a in eq.inputs]
            known = [Type(tuple(int(evaluate_size(n, env)) for n in t.shape), t.dtype, t.weak) for t in types]
            eq.primitive.infer(known, eq.params)
