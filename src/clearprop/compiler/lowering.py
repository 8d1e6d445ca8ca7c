"""Lowering: composites expanded into leaves, shared and simplified; still a program, with the same meaning.

Sharing needs no pass of its own: the builder that re-traces the program finds identical equations.

Assumed: the facts that primitives declare (`program.facts`).  Kept: types, names, lines, and every value to the bit,
the sign of zero and NaN included.  So x · 0 is not 0, x + 0 is not x, and nothing is reordered.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from clearprop.compiler.loop_residuals import with_residuals
from clearprop.primitives import REGISTRY
from clearprop.program.ir import Builder, Equation, Program, Var, holds_programs, prune, tracing
from clearprop.program.operation import Operation
from clearprop.program.types import BOOL, PYTHON_SCALARS, DType, type_of
from clearprop.program.values import Node, raw
from clearprop.shapes import Dim, dim_key, is_one, same_shape

Parts: TypeAlias = tuple[int, Dim, tuple[tuple[int, int, Any], ...]]
"""An axis from the end, its size, and what stands from where to where along it."""
NO_PARTS: Parts = (0, 0, ())
MOST_PARTS = 32


def lower(program: Program, around: frozenset[int] = frozenset()) -> Program:
    """The program over leaves alone: expanded, shared, simplified, without dead code.

    around  as `program.ir.trace` takes it: bodies of composites may read what variables outside hold
    """
    # twice: bodies of composites only become visible, and constants in them only meet, once they are written out
    lowered = _retrace(_retrace(program, around, expand=True), around, expand=False)
    loops = [k for k, eq in enumerate(lowered.equations) if eq.primitive.facts.control == "scan"]
    return with_residuals(lowered, loops) if len(loops) > 1 else lowered


def _retrace(program: Program, around: frozenset[int], *, expand: bool) -> Program:
    b = _Simplifier(program.scope, expand=expand)
    b.around |= around
    inputs = [b.new(v.type, v.name) for v in program.inputs]
    with tracing(b):
        outputs = _repeat(program, b, inputs)
        atoms = tuple(b.atom(o) for o in outputs)
    hidden = list(b.captured.values())
    lowered = Program(
        tuple(inputs) + tuple(v for _, v in hidden),
        tuple(b.equations),
        atoms,
        program.captured + tuple(raw(value) for value, _ in hidden),
        program.scope,
    )
    return prune(lowered)


def _repeat(program: Program, b: Builder, inputs: Sequence[Var]) -> list[Any]:
    """Bind every equation again in `b`, keeping the names and lines of the user's code."""
    env: dict[Any, Any] = dict(zip(program.inputs, map(Node.tensor, inputs), strict=True))
    for eq in program.equations:
        b.origin = eq
        params = _lower_held(eq.params) if b.expand else eq.params
        out = eq.primitive(*(env[a] if isinstance(a, Var) else a for a in eq.inputs), **params)
        for var, value in zip(eq.outputs, out if len(eq.outputs) > 1 else (out,), strict=True):
            env[var] = value
            own = raw(value)
            if var.name and isinstance(own, Var) and not own.name:
                own.name = var.name
    b.origin = None
    return [env[a] if isinstance(a, Var) else a for a in program.outputs]


def _lower_held(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Parameters, the programs in them lowered."""
    held = {k: v for k, v in params.items() if holds_programs(v)}
    lowered = {k: tuple(map(lower, v)) if isinstance(v, tuple) else lower(v) for k, v in held.items()}
    return {**params, **lowered} if held else params


class _Simplifier(Builder):
    """A builder that knows a little algebra: what an equation equals already is not emitted."""

    def __init__(self, scope: Any, *, expand: bool) -> None:
        super().__init__(scope, expand=expand)
        self.definitions: dict[Var, Equation] = {}
        self.parts: dict[Var, Parts] = {}

    def emit(self, primitive: Operation, values: Sequence[Any], params: dict[str, Any]) -> tuple[Any, ...]:
        atoms = [self.atom(v) for v in values]
        simple = self._simplified(primitive, atoms, params)
        if simple is not None:
            return (simple,)
        atoms, params = self._composed(primitive, atoms, params)
        if primitive.kind == "reduction" and not primitive.is_composite and params.get("keepdims"):
            return self._without_keepdims(primitive, atoms[0], params)
        before = len(self.equations)
        out = super().emit(primitive, atoms, params)
        for eq in self.equations[before:]:
            self.definitions.update(dict.fromkeys(eq.outputs, eq))
        return out

    def _without_keepdims(self, p: Operation, atom: Any, params: dict[str, Any]) -> tuple[Any, ...]:
        """One form of a reduction: without the reduced axes, which a reshape gives back."""
        (wanted,) = p.infer([type_of(atom)], params)
        (plain,) = self.emit(p, [atom], {**params, "keepdims": False})
        return self.emit(REGISTRY["reshape"], [plain], {"shape": wanted.shape})

    def _simplified(self, p: Operation, atoms: Sequence[Any], params: dict[str, Any]) -> Any:
        """The atom that an equation equals already, by the facts that its primitive declares; None if there is none.

        Every rule here keeps value and type to the bit.  The order is free: an equation meets at most one of them.
        """
        facts = p.facts
        if facts.adds and (joined := self._without_zeros(p, atoms)) is not None:
            return joined
        if facts.same_on and type_of(atoms[0]).dtype.kind in facts.same_on:
            return atoms[0]
        if facts.converts:
            return self._without_conversion(atoms[0], params["dtype"])
        if facts.one_dtype:
            return self._in_the_results_dtype(p, atoms, params)
        if facts.view in ("reshape", "broadcast"):
            return self._without_move(p, atoms[0], params)
        if facts.reduction:
            return self._reduced_nothing(p, atoms[0], params)
        if facts.chooses and type(atoms[0]) is bool:
            return self._kept(p, atoms, atoms[1] if atoms[0] else atoms[2])
        return self._without_neutral(p, atoms)

    def _without_zeros(self, p: Operation, atoms: Sequence[Any]) -> Any:
        """Parts of an array that stand among zeros and are added: one after the other, if they are all of it.

        So the cotangents of an array's slices are one.  Each becomes x + 0, as the sum makes it, which differs at −0.
        """
        axis, size, ranges = self._parts_of(p, atoms, {})
        ends = [stop for _, stop, _ in ranges]
        if not ranges or [0, *ends[:-1]] != [start for start, _, _ in ranges] or not same_shape(ends[-1:], (size,)):
            return None
        dtype = type_of(ranges[0][2]).dtype
        zero = 0.0 if dtype.kind == "f" else 0
        plain = [self.atom(self.emit(p, [part, zero], {})[0]) for _, _, part in ranges]
        return self.emit(REGISTRY["concat"], plain, {"axis": axis})[0]

    def _parts_of(self, p: Operation, atoms: Sequence[Any], params: Mapping[str, Any]) -> Parts:
        """What stands among zeros along one axis, by its place; nothing of an operation that is another sum."""
        if p.facts.places:
            return _placed_part(atoms[0], params["shape"], params["key"])
        if not p.facts.adds or not all(isinstance(a, Var) for a in atoms):
            return NO_PARTS
        (axis, size, first), (other, another, second) = (self._known_parts(a) for a in atoms)
        alike = (axis, dim_key(size)) == (other, dim_key(another)) and same_shape(atoms[0].shape, atoms[1].shape)
        if not first or not second or not alike or len(first) + len(second) > MOST_PARTS:
            return NO_PARTS
        return axis, size, tuple(sorted((*first, *second), key=lambda part: part[:2]))

    def _known_parts(self, atom: Var) -> Parts:
        if atom not in self.parts:
            eq = self.definitions.get(atom)
            self.parts[atom] = NO_PARTS if eq is None else self._parts_of(eq.primitive, eq.inputs, eq.params)
        return self.parts[atom]

    def _without_neutral(self, p: Operation, atoms: Sequence[Any]) -> Any:
        """The other operand, where one is the number that changes nothing."""
        for position, other, number in p.facts.neutral:
            if _is_number(atoms[position], number, type_of(atoms[other]).dtype):
                return self._kept(p, atoms, atoms[other])
        for position, other, number in p.facts.truth:
            if _is_number(atoms[position], number, BOOL):
                return self._truth(atoms[other])
        for position, number, name in p.facts.spelled_as:
            if not isinstance(atoms[position], Var) and atoms[position] == number:
                return self._spelled_as(p, REGISTRY[name], atoms, atoms[1 - position])
        return None

    def _spelled_as(self, p: Operation, other: Operation, atoms: Sequence[Any], operand: Any) -> Any:
        """Another operation of the operand left, if that has the equation's type."""
        (wanted,) = p.infer([type_of(a) for a in atoms], {})
        (found,) = other.infer([type_of(operand)], {})
        return self.emit(other, [operand], {})[0] if found.key() == wanted.key() else None

    def _in_the_results_dtype(self, p: Operation, atoms: Sequence[Any], params: dict[str, Any]) -> Any:
        """Operands of another dtype than the result's are converted before: kernels read what they write."""
        (wanted,) = p.infer([type_of(a) for a in atoms], params)
        if all(type_of(a).dtype == wanted.dtype for a in atoms):
            return None
        cast = REGISTRY["astype"]
        alike = [raw(cast(Node.tensor(a), dtype=wanted.dtype)) for a in atoms]
        return self.emit(p, alike, params)[0]

    def _without_move(self, p: Operation, atom: Any, params: dict[str, Any]) -> Any:
        """The operand, if only the shape's name changes; a constant of another shape is a constant."""
        (wanted,) = p.infer([type_of(atom)], params)
        if _same_shape(atom, wanted.shape):
            return atom
        eq = self.definitions.get(atom) if isinstance(atom, Var) else None
        if eq is not None and eq.primitive.facts.source == "constant":
            return self.emit(eq.primitive, [], {**eq.params, "shape": wanted.shape})[0]
        return None

    def _reduced_nothing(self, p: Operation, atom: Any, params: dict[str, Any]) -> Any:
        """The operand in another shape, if every axis that is reduced has size 1: 0 + x in floating point."""
        if not all(is_one(atom.shape[a]) for a in params["axis"]):
            return None
        (wanted,) = p.infer([type_of(atom)], params)
        (same,) = self.emit(REGISTRY["astype"], [atom], {"dtype": wanted.dtype})
        if wanted.dtype.kind == "f":
            (same,) = self.emit(REGISTRY["add"], [same, 0.0], {})
        return self.emit(REGISTRY["reshape"], [same], {"shape": wanted.shape})[0]

    def _kept(self, p: Operation, atoms: Sequence[Any], result: Any) -> Any:
        """The operand that the equation equals, if its type is the equation's."""
        (wanted,) = p.infer([type_of(a) for a in atoms], {})
        own = type_of(result)
        same = own.dtype == wanted.dtype and own.weak == wanted.weak and _same_shape(result, wanted.shape)
        return result if same else None

    def _without_conversion(self, atom: Any, dtype: Any) -> Any:
        t = type_of(atom)
        return atom if t.dtype == dtype and not t.weak else None

    def _truth(self, atom: Any) -> Any:
        """A boolean that was made a number and is compared with 0 is the boolean."""
        eq = self.definitions.get(atom) if isinstance(atom, Var) else None
        if eq is not None and eq.primitive.facts.converts and type_of(eq.inputs[0]).dtype.kind == "b":
            return eq.inputs[0]
        return None

    def _composed(self, p: Operation, atoms: Sequence[Any], params: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """One move instead of two of the same kind; constants read as numbers."""
        if p.kind == "elementwise" and not p.facts.converts:
            return self._with_numbers(p, atoms), params
        eq = self.definitions.get(atoms[0]) if atoms and isinstance(atoms[0], Var) else None
        if eq is None or eq.primitive is not p:
            return atoms, params
        if p.facts.absorbs:
            return eq.inputs, params
        if p.facts.view == "permute":
            inner = eq.params["axes"]
            return eq.inputs, {"axes": tuple(inner[a] for a in params["axes"])}
        return atoms, params

    def _with_numbers(self, p: Operation, atoms: Sequence[Any]) -> Sequence[Any]:
        """`full` operands become numbers where that changes neither shape nor dtype."""
        numbers = [(i, n) for i, a in enumerate(atoms) if i >= p.conditions and (n := self._constant(a)) is not None]
        if not numbers:
            return atoms
        (wanted,) = p.infer([type_of(a) for a in atoms], {})
        for i, number in numbers:
            trial = [*atoms[:i], number, *atoms[i + 1 :]]
            if any(isinstance(a, Var) for a in trial):
                (found,) = p.infer([type_of(a) for a in trial], {})
                if found.key() == wanted.key():
                    atoms = trial
        return atoms

    def _constant(self, atom: Any) -> Any:
        eq = self.definitions.get(atom) if isinstance(atom, Var) else None
        if eq is None or eq.primitive.facts.source != "constant":
            return None
        value = eq.params["value"]
        return float(value) if eq.params["dtype"].kind == "f" else value


def _placed_part(atom: Any, shape: Sequence[Any], keys: Sequence[Any]) -> Parts:
    """The one part of an array that stands among zeros, if numbers say from where to where along which one axis."""
    cut = [(i, k) for i, k in enumerate(keys) if k != slice(None)]
    if len(cut) != 1 or type_of(atom).dtype.kind not in "fiu":
        return NO_PARTS
    ((at, key),) = cut
    known = isinstance(key, slice) and key.step == 1 and type(key.start) is type(key.stop) is int
    return (at - len(shape), shape[at], ((key.start, key.stop, atom),)) if known else NO_PARTS


def _is_number(atom: Any, number: Any, dtype: DType) -> bool:
    """Whether an atom is this very number: in floating point 0 and −0 are two."""
    if type(atom) not in PYTHON_SCALARS or atom != number:
        return False
    return dtype.kind != "f" or math.copysign(1.0, atom) == math.copysign(1.0, number)


def _same_shape(atom: Any, shape: Sequence[Any]) -> bool:
    return same_shape(() if type(atom) in PYTHON_SCALARS else atom.shape, shape)
