"""Pieces of a kernel's text: dtypes, numbers, conversions, parentheses."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.compiler.iteration_domains import Statement
from clearprop.program.ir import Var
from clearprop.program.types import INT64, DType, promote, type_of

CAST = {
    "float32": "f32",
    "float64": "f64",
    "int64": "i64",
    "uint32": "u32",
    "bool": "b1",
    "int32": "i32",
    "uint8": "u8",
}


@functools.cache
def dtype_name(dtype: DType) -> str:
    """The name of a dtype in generated sources."""
    return CAST[dtype.name]


def compute_dtype(op: Statement, position: int) -> DType | None:
    """The dtype in which an operation reads an operand: that of all together, as NumPy has it; None: as it is.

    A Python integer that is known only at run time is compared in int64, which holds it.
    """
    p = op.equation.primitive
    own: DType = op.out.dtype
    if op.kind == "reduce":
        return own
    if position < p.conditions or p.facts.unconverted:
        return None
    types = [type_of(a) for a in op.equation.inputs[p.conditions :]]
    dtype, _ = promote(types)
    if own.kind == "f" and dtype.kind in "iub":
        return own
    late = any(isinstance(a, Var) and type_of(a).weak for a in op.equation.inputs)
    return INT64 if own.kind == "b" and dtype.kind in "iu" and late else dtype


_INITIAL = {"sum": "0", "max": "-inf", "min": "inf", "all": "1", "any": "0"}
_COMBINE = {
    "sum": "accumulate({0}, {1})",
    "max": "fold_maximum({0}, {1})",
    "min": "fold_minimum({0}, {1})",
    "all": "{0} & {1}",
    "any": "{0} | {1}",
}


def reduction_step(op: Statement, old: str, new: str) -> str:
    """One step of a reduction."""
    return _COMBINE[op.equation.primitive.facts.reduction].format(old, new)


def reduced_operand(op: Statement, text: str) -> str:
    """What a reduction takes of an element: an extreme +0 for a zero, so that it has one sign in any order."""
    if op.equation.primitive.facts.reduction in ("max", "min") and op.out.dtype.kind == "f":
        return f"({text} + {dtype_name(op.out.dtype)}(0))"
    return text


def reduction_start(op: Statement) -> str:
    """What a reduction starts from."""
    dtype, name = op.out.dtype, op.equation.primitive.facts.reduction
    value = _INITIAL[name]
    if dtype.kind in "iub" and "inf" in value:  # integers have no infinity, only a least and a largest
        low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        value = str(low if name == "max" else high)
    return f"{dtype_name(dtype)}({value})"


def indent_lines(lines: Sequence[str]) -> list[str]:
    """The lines one level deeper."""
    return ["    " + line for line in lines]


def literal_text(value: Any, dtype: DType | None) -> str:
    """A number of a dtype."""
    text = (
        "inf"
        if value == float("inf")
        else "-inf"
        if value == float("-inf")
        else "nan"
        if value != value
        else repr(value)
    )
    if dtype is None:
        return text
    return f"{dtype_name(dtype)}({text})"


def cast_text(text: str, have: DType, want: DType | None) -> str:
    """An expression of one dtype in another."""
    return text if want is None or want == have else f"{dtype_name(want)}({text})"


_ATOM = re.compile(r"^-?[\w.]+$|^[\w.]+\[[^\[\]]*\]$|^\w+\([^()]*\)$")


def enclose_operand(text: str) -> str:
    """An operand's text, in parentheses where an operator beside it would take it apart."""
    call = re.match(r"\w*(?=\()", text)
    whole = _ATOM.match(text) or (call is not None and _is_enclosed(text[call.end() :]))
    return text if whole else f"({text})"


def unsigned_text(text: str) -> str:
    """An int64 operand as the unsigned number of the same bits."""
    return "u" + text[1:] if re.fullmatch(r"i64\([^()]*\)", text) else f"u64({text})"


def _is_enclosed(text: str) -> bool:
    """Whether the first parenthesis closes at the end."""
    depth = 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if depth == 0:
            return i == len(text) - 1
    return False


_ASSIGNMENT = re.compile(r"\s*([a-z]\w*) = ")


def without_dead(lines: list[str]) -> list[str]:
    """The lines without assignments to locals that nothing reads (each value may be computed where it is used)."""
    while True:
        used = re.findall(r"[a-z]\w*", "\n".join(lines))
        counts = {name: used.count(name) for name in set(used)}
        kept = [line for line in lines if not ((m := _ASSIGNMENT.match(line)) and counts[m.group(1)] == 1)]
        if len(kept) == len(lines):
            return kept
        lines = kept
