"""Accesses: how a loop reads or writes an array.  Views are strides, so moving axes costs nothing.

An access is a base array, an offset and one stride per axis, in elements.  Axes of size 1 and repeated axes have
stride 0.  Strides and offsets are polynomials in the run-time sizes.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clearprop.program.ir import Equation, Program, Var
from clearprop.program.types import PYTHON_SCALARS
from clearprop.shapes import Size, dim_key, is_one, size_of

IOTA = "iota"
"""The base whose element e is the number e: what `arange` reads."""


@dataclass(frozen=True)
class Constant:
    """The base of `full`: one number, of a dtype."""

    value: Any
    dtype: Any


@dataclass(frozen=True)
class SizeNumber:
    """The base of a size used as a number: known when the program is bound."""

    dim: Any


@dataclass(frozen=True)
class Access:
    """`base[offset + Σ index·stride]` for the axes of `shape`."""

    base: Any
    shape: tuple[Any, ...]
    strides: tuple[Any, ...]
    offset: Any = 0

    @functools.cached_property
    def key(self) -> tuple[tuple[Any, ...], Any]:
        """Hashable identity of the walk: strides and offset."""
        return tuple(map(dim_key, self.strides)), dim_key(self.offset)


def contiguous_strides(shape: Sequence[Any]) -> tuple[Any, ...]:
    """Row-major strides; 0 on axes of size 1."""
    out: list[Any] = []
    step: Any = 1
    for n, further in zip(reversed(shape), range(len(shape) - 1, -1, -1), strict=True):
        out.append(0 if is_one(n) else step)
        step = n * step if further else step
    return tuple(reversed(out))


def whole_array(var: Var) -> Access:
    """The access that walks an array in its own order."""
    return Access(var, tuple(var.shape), contiguous_strides(var.shape))


def permute_axes(a: Access, axes: Sequence[int]) -> Access:
    """Axes in another order."""
    return Access(a.base, tuple(a.shape[i] for i in axes), tuple(a.strides[i] for i in axes), a.offset)


def broadcast_axes(a: Access, shape: Sequence[Any]) -> Access:
    """Repeated along axes of size 1 and new leading axes."""
    pad = len(shape) - len(a.shape)
    strides = (0,) * pad + tuple(a.strides)
    old = (1,) * pad + tuple(a.shape)
    kept = tuple(0 if is_one(m) else s for m, s in zip(old, strides, strict=True))
    return Access(a.base, tuple(shape), kept, a.offset)


def flip_axes(a: Access, axes: Sequence[int]) -> Access:
    """Reversed along axes."""
    strides, offset = list(a.strides), a.offset
    for i in axes:
        offset = offset + (a.shape[i] - 1) * strides[i]
        strides[i] = -strides[i]
    return Access(a.base, a.shape, tuple(strides), offset)


def slice_axes(a: Access, key: Sequence[Any], shape: Sequence[Any]) -> Access:
    """A slice or an integer per axis, complete: a slice's start names an element, unless it selects none."""
    strides, offset = [], a.offset
    for k, n, s in zip(key, a.shape, a.strides, strict=True):
        if isinstance(k, slice):
            offset = offset + (k.start or 0) * s
            strides.append(s * (1 if k.step is None else k.step))
        else:
            offset = offset + (k if isinstance(k, Size) or k >= 0 else k + n) * s
    out = tuple(0 if is_one(n) else s for n, s in zip(shape, strides, strict=True))
    return Access(a.base, tuple(shape), out, offset)


def reshape_axes(a: Access, shape: Sequence[Any]) -> Access | None:
    """The same elements in another shape; None when that needs a copy."""
    # Axes of size 1 have no say in strides; what is left must be the same axes, or lie in memory as one.
    old = [(n, s) for n, s in zip(a.shape, a.strides, strict=True) if not is_one(n)]
    new = [n for n in shape if not is_one(n)]
    if [dim_key(n) for n, _ in old] == [dim_key(n) for n in new]:
        rest = iter(s for _, s in old)
        return Access(a.base, tuple(shape), tuple(0 if is_one(n) else next(rest) for n in shape), a.offset)
    for (_, outer), (n, inner) in itertools.pairwise(old):
        if dim_key(outer) != dim_key(n * inner):
            return None
    unit = old[-1][1] if old else 1
    return Access(a.base, tuple(shape), tuple(s * unit for s in contiguous_strides(shape)), a.offset)


def view_of(eq: Equation, a: Access) -> Access | None:
    """The access that a structural equation's output is, if it is only another walk of the same array."""
    return _WALKS[eq.primitive.facts.view](eq.params, a, tuple(eq.outputs[0].shape))


_WALKS: dict[str, Callable[[Mapping[str, Any], Access, tuple[Any, ...]], Access | None]] = {
    "broadcast": lambda params, a, shape: broadcast_axes(a, shape),
    "flip": lambda params, a, shape: flip_axes(a, params["axis"]),
    "permute": lambda params, a, shape: permute_axes(a, params["axes"]),
    "reshape": lambda params, a, shape: reshape_axes(a, shape),
    "slice": lambda params, a, shape: slice_axes(a, params["key"], shape),
}
"""For each kind of view that a declaration may state, the operand's access turned into the result's."""


def source_of(eq: Equation) -> Access | None:
    """The access of an equation without operands: a number everywhere, or indices in order; nothing is stored."""
    shape, source = tuple(eq.outputs[0].shape), eq.primitive.facts.source
    if source == "indices":
        return Access(IOTA, shape, contiguous_strides(shape))
    if source == "constant":
        return Access(Constant(eq.params["value"], eq.params["dtype"]), shape, (0,) * len(shape))
    return Access(SizeNumber(eq.params["dim"]), (), ()) if source == "size" else None


def resolve_accesses(program: Program) -> tuple[dict[Var, Access], list[Equation]]:
    """Accesses of all variables, and the equations that compute something."""
    found: dict[Var, Access] = {v: whole_array(v) for v in program.inputs}
    work: list[Equation] = []
    for eq in program.equations:
        free = source_of(eq)
        if eq.primitive.facts.view and isinstance(eq.inputs[0], Var):
            free = view_of(eq, found[eq.inputs[0]])
        if free is not None:
            found[eq.outputs[0]] = free
            continue
        work.append(eq)
        for v in eq.outputs:
            found[v] = whole_array(v)
    return found, work


def element_count(var: Var) -> Any:
    """How many elements an array has."""
    return size_of(var.shape)


def is_number(atom: Any) -> bool:
    """Whether an atom is a literal."""
    return type(atom) in PYTHON_SCALARS
