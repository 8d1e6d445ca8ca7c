"""What is carried from step to step keeps its structure, shapes and dtypes: the check, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.autodiff.trees import is_array, paths, structure_text, unflatten
from clearprop.errors import ArgumentError, DTypeError, ShapeError, user_line
from clearprop.program.ir import Var
from clearprop.program.operands import admit_real
from clearprop.program.types import INT64, PYTHON_SCALARS, Type, fit_number, integer_limits, type_of
from clearprop.program.values import raw
from clearprop.rules.elementwise import astype
from clearprop.rules.structural import full_
from clearprop.shapes import Size, shapes_agree

_KINDS = "biuf"


def check_carry(
    name: str, structure: Any, types: Sequence[Type], found: Any, leaves: Sequence[Any], *, final: bool
) -> list[Type]:
    """The types of what a step returned, if it can be carried on; refused with both structures otherwise."""
    if found != structure:
        raise ArgumentError(
            f"{name}: a step returns a carry of another structure than it takes",
            expected=structure_text(structure),
            got=structure_text(found),
            where=user_line(),
            try_="return the carry with the same keys, lengths and types of containers",
        )
    after = [type_of(raw(check_leaf(name, "the carry", leaf))) for leaf in leaves]
    if final:
        _check_types(name, structure, types, after)
    return after


def _check_types(name: str, structure: Any, types: Sequence[Type], after: Sequence[Type]) -> None:
    shapes = [not shapes_agree(a.shape, b.shape) for a, b in zip(types, after, strict=True)]
    dtypes = [not _adopts(b, a) for a, b in zip(types, after, strict=True)]
    if any(shapes):
        raise ShapeError(
            f"{name}: a step changes the shape of the carry",
            expected=differing_text(structure, types, shapes),
            got=differing_text(structure, after, shapes),
            where=user_line(),
            try_="start with the shape that the steps return: broadcast the first carry, or reduce in the step",
        )
    if any(dtypes):
        raise DTypeError(
            f"{name}: a step changes the dtype of the carry",
            expected=differing_text(structure, types, dtypes),
            got=differing_text(structure, after, dtypes),
            where=user_line(),
            try_=f"start with it: init.astype(np.{after[dtypes.index(True)].dtype.name}), or convert in the step",
        )


def can_become(found: Type, wanted: Type) -> bool:
    """Whether a value of one type can stand for one of another: it has it, or is a number that adopts its dtype."""
    return shapes_agree(found.shape, wanted.shape) and _adopts(found, wanted)


def _adopts(after: Type, carried: Type) -> bool:
    """Whether what a step returned has the carry's dtype, or is a Python number that can have it."""
    return after.dtype == carried.dtype or (
        after.weak and _KINDS.index(after.dtype.kind) <= _KINDS.index(carried.dtype.kind)
    )


def differing_text(structure: Any, types: Sequence[Type], differs: Sequence[bool]) -> str:
    """The leaves that differ with their types, after their paths."""
    where = paths(unflatten(structure, [np.float64(0)] * len(types)))
    return ", ".join(f"{p}: {t}" if p else str(t) for p, t, d in zip(where, types, differs, strict=True) if d)


def settle_types(types: Sequence[Type], after: Sequence[Type]) -> list[Type]:
    """Types without Python numbers: each has the dtype that a step gives it."""
    return [_settle(t, b) if t.weak else t for t, b in zip(types, after, strict=True)]


def _settle(number: Type, after: Type) -> Type:
    lower = after.weak and _KINDS.index(after.dtype.kind) < _KINDS.index(number.dtype.kind)
    return Type((), number.dtype if lower else after.dtype)


def convert(value: Any, t: Type) -> Any:
    """A first carry in the dtype that it settled to."""
    own = raw(value)
    if type(own) in PYTHON_SCALARS:
        return full_(shape=(), value=own, dtype=t.dtype)
    return astype(value, dtype=t.dtype) if type_of(own).weak else value


def strong_outputs(leaves: Sequence[Any], types: Sequence[Type] = ()) -> list[Any]:
    """What a step returns, with Python numbers as arrays: in the carry's dtype, or in their own."""
    out = []
    for i, leaf in enumerate(leaves):
        own = type_of(raw(leaf))
        dtype = types[i].dtype if types and not types[i].weak else own.dtype
        if type(raw(leaf)) in PYTHON_SCALARS:
            leaf = full_(shape=(), value=raw(leaf), dtype=dtype)
        elif own.weak:
            leaf = astype(leaf, dtype=dtype)
        out.append(leaf)
    return out


def check_leaf(name: str, what: str, value: Any) -> Any:
    """A leaf as operations take it; ArgumentError for what no loop can carry."""
    if is_array(value):
        return fit_number(name, value, INT64, compares=False) if type(value) is int else admit_real(value)
    raise ArgumentError(
        f"{name}: {what} holds something that is no array",
        expected="a tree of arrays and numbers",
        got=f"{type(value).__name__} {value!r}"[:80],
        where=user_line(),
        try_="leave it out, and read it in the function from around it",
    )


def check_scalar(value: Any, kinds: str, problem: str, expected: str, try_: str) -> None:
    """Refuse what is no value without axes of one of these kinds of dtype ("b", "iu")."""
    t = type_of(raw(value)) if is_array(value) else None
    if t is None or t.ndim or t.dtype.kind not in kinds:
        raise DTypeError(
            problem,
            expected=expected,
            got=f"{type(value).__name__} {value!r}"[:60] if t is None else str(t),
            where=user_line(),
            try_=try_,
        )


def checked_integer(value: Any, name: str, what: str) -> Any:
    """An integer or the size of a traced array; refused otherwise."""
    if isinstance(value, (int, np.integer, Size)) and not isinstance(value, bool):
        if isinstance(value, Size):
            return value
        low, high = integer_limits(INT64)
        if low <= value <= high:
            return int(value)
        raise ArgumentError(
            f"{name} takes {what} as an integer of 64 bits",
            expected=f"{low} to {high}",
            got=f"an integer of {int(value).bit_length()} bits",
            where=user_line(),
        )
    traced = isinstance(raw(value), Var)
    raise ArgumentError(
        f"{name} needs {what} before it begins",
        expected="an integer, or the size of an array",
        got="a traced value, which has no number yet" if traced else f"{type(value).__name__} {value!r}"[:80],
        where=user_line(),
        try_="cl.while_loop, whose steps may depend on values" if traced else f"int({what})",
    )


def checked_count(value: Any, what: str) -> Any:
    """A number of steps: an integer that is not negative, or a size."""
    count = checked_integer(value, "scan", what)
    if isinstance(count, int) and count < 0:
        raise ArgumentError(
            "scan cannot take a negative number of steps",
            expected=f"{what} = 0 or more",
            got=f"{what} = {count}",
            where=user_line(),
        )
    return count
