"""What stands in the way of running a program natively."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any

from clearprop.compiler.control_programs import held_programs
from clearprop.compiler.native.structural_kernels import SPECIAL
from clearprop.compiler.native.vocabulary import VOCABULARY
from clearprop.program.ir import Equation, Program, Var
from clearprop.program.operation import Operation
from clearprop.program.types import DType, promote, type_of

_DTYPES = frozenset({"float32", "float64", "int64", "int32", "bool", "uint32", "uint8"})


def obstacles(program: Program) -> dict[Equation, str]:
    """The equations that have no native form, and why, in the order of the program."""
    return _obstacles(program, {*program.inputs})


def _obstacles(program: Program, checked: set[Var]) -> dict[Equation, str]:
    """`checked` are Python integers that were seen to fit."""
    checked |= {eq.outputs[0] for eq in program.equations if eq.primitive.facts.source == "size"}
    reasons = {eq: _obstacle(eq, checked) for eq in program.equations}
    return {eq: reason for eq, reason in reasons.items() if reason}


def obstacle(program: Program) -> str | None:
    """The first primitive that has no native form, as a sentence; None if there is none."""
    # In the order of the program, so that the reason named is the first that a reader of it meets.
    return next(iter(obstacles(program).values()), None) or _foreign_dtype([*program.inputs, *program.outputs]) or None


def missing_form(p: Operation) -> str:
    """Why kernels cannot compute a primitive, whatever it is given; empty where they can."""
    if p.kind != "elementwise":
        return "" if _is_known(p) else f"{p.name} has no native form"
    unknown = set(re.findall(r"([A-Za-z_][\w.]*)\(", p.numba)) - VOCABULARY
    return f"{p.name} is spelled with {sorted(unknown)[0]}, which kernels do not know" if unknown else ""


def _obstacle(eq: Equation, checked: set[Var]) -> str:
    p = eq.primitive
    if p.facts.control:
        return missing_form(p) or next(
            (r for held, _ in held_programs(eq) for r in _obstacles(held, set()).values()), ""
        )
    reason = _late_integer(eq, checked) or _unknown_sign(eq) if p.kind == "elementwise" else ""
    reason = reason or missing_form(p)
    if not reason and p.kind == "multilinear" and eq.outputs[0].dtype.kind != "f":
        return f"{p.name} of {eq.outputs[0].dtype.name} has no native form"
    return reason or _foreign_dtype([*eq.inputs, *eq.outputs])


def _foreign_dtype(atoms: Sequence[Any]) -> str:
    """A dtype that kernels do not know, as a sentence."""
    foreign = next((v.dtype.name for v in atoms if isinstance(v, Var) and not _has_form(v.dtype)), None)
    return "" if foreign is None else f"{foreign} has no native form"


@functools.cache
def _has_form(dtype: DType) -> bool:
    """Whether kernels know a dtype."""
    return dtype.name in _DTYPES


def _late_integer(eq: Equation, checked: set[Var]) -> str:
    """A Python integer that is computed beside small integers: whether it fits is known only while kernels run.

    Those of the arguments and sizes are `checked` before.
    """
    late = any(isinstance(a, Var) and type_of(a).weak and a.dtype.kind == "i" and a not in checked for a in eq.inputs)
    if not late:
        return ""
    dtype, _ = promote([type_of(a) for a in eq.inputs[eq.primitive.conditions :]])
    if dtype.kind in "iu" and dtype.itemsize < 8 and eq.outputs[0].dtype.kind != "b":
        return f"{eq.primitive.name} of {dtype.name} and a computed Python integer has no native form"
    return ""


def _unknown_sign(eq: Equation) -> str:
    """An operand that must not be negative, of which only the data know: kernels refuse nothing."""
    for k in eq.primitive.facts.nonnegative:
        atom = eq.inputs[k]
        known = not isinstance(atom, Var) and atom >= 0
        if eq.outputs[0].dtype.kind == "i" and type_of(atom).dtype.kind == "i" and not known:
            return f"{eq.primitive.name} of integers, where an exponent may be negative, has no native form"
    return ""


def _is_known(p: Operation) -> bool:
    """Whether a nest, a matrix product or a kernel of its own computes it, or nothing need be computed at all."""
    f = p.facts
    return bool(f.view or f.source or f.reduction or f.product) or (f.control or p.numba) in SPECIAL
