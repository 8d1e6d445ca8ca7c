"""Residuals: what a loop computes and a later one over the same elements would compute again is kept instead.

The step of a derivative's loop begins with what it needs of the loop that it differentiates (`control.scan_operation`),
computed from the kept carry.  In one program both loops are at hand.  The values of their steps are matched from the
operands on: constants with constants, elements with elements, and rows that the first loop kept with what it kept
there.  What costs something, a product or a function, becomes an output of the first loop and an element of the second.

Assumed: a lowered program, and that both loops find row i of an array in the step of element i, whatever their
directions.  Kept: every value, since the same operation on the same operands gives the same (natively to the bit but
where the later loop's kernel would have rounded a product and a sum together).  Memory is taken as by the carries: of
each value that is kept one array for all steps.  What all steps have in common is not kept in each.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from clearprop.compiler.kernels import is_cheap_text
from clearprop.program.ir import Equation, Program, Var, freeze, prune
from clearprop.program.types import PYTHON_SCALARS, Type
from clearprop.shapes import dim_key


def with_residuals(program: Program, loops: Sequence[int]) -> Program:
    """The program, its later loops reading what earlier ones have computed; `loops` are the places of its loops."""
    equations = list(program.equations)
    for earlier, later in itertools.combinations(loops, 2):
        if _follows(equations[later], equations[earlier]):
            _share(equations, earlier, later)
    return program if equations == list(program.equations) else prune(replace(program, equations=tuple(equations)))


def _follows(later: Equation, earlier: Equation) -> bool:
    """Whether a loop runs over as many elements as an earlier one, and reads something that that has made."""
    alike = dim_key(later.params["length"]) == dim_key(earlier.params["length"])
    return alike and any(v in earlier.outputs for v in later.inputs)


@dataclass
class _Match:
    """Which values of a later step are those of an earlier one, and which of them differ from step to step."""

    first: Equation
    second: Equation
    same: dict[Var, Var] = field(default_factory=dict)
    varies: set[Var] = field(default_factory=set)

    def __post_init__(self) -> None:
        body = self.second.params["body"]
        shared, rows = _held_values(self.first)
        count = self.second.params["constants"]
        behind = count + self.second.params["carries"]
        for k, (inside, atom) in enumerate(zip(body.inputs, self.second.inputs, strict=True)):
            known = shared if k < count else rows if k >= behind else {}
            if isinstance(atom, Var) and atom in known:
                self.same[inside] = known[atom]
                if k >= behind:
                    self.varies.add(inside)
        self._follow(body)

    def _follow(self, body: Program) -> None:
        """Equations of both steps that are one operation on the same values."""
        known = {_key(eq, eq.inputs): eq for eq in self.first.params["body"].equations}
        for eq in body.equations:
            operands = [self.same.get(a) if isinstance(a, Var) else a for a in eq.inputs]
            found = None if None in operands or eq.primitive.facts.control else known.get(_key(eq, operands))
            if found is not None:
                self.same.update(zip(eq.outputs, found.outputs, strict=True))
                if any(a in self.varies for a in eq.inputs):
                    self.varies.update(eq.outputs)

    def residuals(self) -> list[Var]:
        """The values of the later step that are to be read instead of computed again, each once."""
        # three passes: what is dear, itself or by what it reads; what is asked for; from there back through views
        body, found = self.second.params["body"], dict[Var, None]()
        makers = {v: eq for eq in body.equations for v in eq.outputs}
        dear = set[Var]()
        for eq in body.equations:
            if _is_dear(eq) or any(a in dear for a in eq.inputs):
                dear.update(eq.outputs)
        asked = [a for eq in body.equations if eq.outputs[0] not in self.same for a in eq.inputs]
        for atom in (*asked, *body.outputs):
            while atom in makers and makers[atom].primitive.facts.view:
                (atom,) = makers[atom].inputs
            if atom in makers and atom in self.same and atom in self.varies and atom in dear:
                found[atom] = None
        return list(found)


def _held_values(loop: Equation) -> tuple[Mapping[Var, Var], Mapping[Var, Var]]:
    """What stands for an array in a loop's step: for what all steps read, and for what has a row for each step."""
    body, params = loop.params["body"], loop.params
    first, count = params["constants"], params["carries"]
    shared, given = zip(body.inputs[:first], loop.inputs, strict=False), loop.inputs[first + count :]
    rows = [*zip(body.inputs[first + count :], given, strict=True)]
    rows += zip(body.outputs[count:], loop.outputs[count:], strict=False)
    if params["keep"]:
        rows += zip(body.inputs[first : first + count], loop.outputs[len(body.outputs) :], strict=True)
    return ({a: v for v, a in shared if isinstance(a, Var)}, {a: v for v, a in rows if isinstance(v, Var)})


def _key(eq: Equation, operands: Any) -> Any:
    """Identity of an operation on these values."""
    values = tuple((type(a), repr(a)) if type(a) in PYTHON_SCALARS else id(a) for a in operands)
    return eq.primitive, values, tuple((k, freeze(v)) for k, v in eq.params.items())


def _is_dear(eq: Equation) -> bool:
    """Whether computing an operation again costs more than reading its result."""
    p = eq.primitive
    if p.facts.view or p.facts.source:
        return False
    return p.kind != "elementwise" or not is_cheap_text(p.numba)


def _share(equations: list[Equation], earlier: int, later: int) -> None:
    """Let a loop keep residuals, and the later one read them."""
    match = _Match(equations[earlier], equations[later])
    found = match.residuals()
    if found:
        equations[earlier], rows = _with_outputs(match.first, [match.same[v] for v in found])
        equations[later] = _with_elements(match.second, dict(zip(found, rows, strict=True)))


def _with_outputs(loop: Equation, values: list[Var]) -> tuple[Equation, list[Var]]:
    """The loop, of which these values of a step are outputs; and the arrays of their rows."""
    body, length = loop.params["body"], loop.params["length"]
    place = dict(zip(body.outputs[loop.params["carries"] :], loop.outputs[loop.params["carries"] :], strict=False))
    new = {v: Var(Type((length, *v.shape), v.dtype), v.name) for v in values if v not in place}
    own, carries_before = loop.outputs[: len(body.outputs)], loop.outputs[len(body.outputs) :]
    longer = replace(body, outputs=(*body.outputs, *new))
    changed = replace(loop, params={**loop.params, "body": longer}, outputs=(*own, *new.values(), *carries_before))
    return changed, [place[v] if v in place else new[v] for v in values]


def _with_elements(loop: Equation, rows: Mapping[Var, Var]) -> Equation:
    """The loop, whose step reads these of its values from arrays."""
    body = loop.params["body"]
    inside = {v: Var(v.type, v.name) for v in rows}

    def read(atom: Any) -> Any:
        return inside.get(atom, atom) if isinstance(atom, Var) else atom

    equations = tuple(replace(eq, inputs=tuple(map(read, eq.inputs))) for eq in body.equations)
    outputs = tuple(map(read, body.outputs))
    changed = prune(replace(body, inputs=(*body.inputs, *inside.values()), equations=equations, outputs=outputs))
    unread = _unread(changed, loop.params["constants"] + loop.params["carries"])
    operands = zip(changed.inputs, (*loop.inputs, *rows.values()), strict=True)
    kept = [(v, a) for v, a in operands if v not in unread]
    changed = replace(changed, inputs=tuple(v for v, _ in kept))
    return replace(loop, inputs=tuple(a for _, a in kept), params={**loop.params, "body": changed})


def _unread(body: Program, first: int) -> set[Var]:
    """The inputs of a step, from one on, that nothing in it reads any more."""
    read = {a for eq in body.equations for a in eq.inputs if isinstance(a, Var)}
    return set(body.inputs[first:]) - read - set(body.outputs)
