"""Loops whose steps treat the rows of a batch alike, so that two threads can each take some rows through all steps.

A symbol that is the size of one axis of everything that has a batch says what belongs to the batch.  Each array of the
step plays a role, found operation by operation: it holds the batch's rows; or it is the same for all of them; or it is
a sum over them, of which each thread has a part.  A part may only be added to others: then the parts of two threads are
added once, behind the loop.  An operation that is not known to keep to this ends the search, and the loop is one
thread's.
"""

from __future__ import annotations

import enum
from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clearprop.program.ir import Equation, Program, Var
from clearprop.shapes import Dim, Size, Symbol, lone_symbol


class Role(enum.Enum):
    """What an array of a step is to a batch."""

    SAME = "the same for all rows"
    ROWS = "the rows"
    PART = "a sum over the rows"


@dataclass(frozen=True)
class BatchLoop:
    """A loop over a batch: the symbol of its size, and what the inputs of a step are to it."""

    size: Symbol
    roles: Mapping[Var, Role]

    def sums(self, eq: Equation, step: Program) -> list[Var]:
        """The results of the loop that are sums over the batch, of which each thread has a part."""
        carries = step.inputs[eq.params["constants"] :][: eq.params["carries"]]
        return [out for v, out in zip(carries, eq.outputs, strict=False) if self.roles[v] is Role.PART]


def batch_loop(eq: Equation, step: Program) -> BatchLoop | None:
    """How a loop runs over a batch whose rows do not meet; None where that is not known.

    eq    an operation that holds programs: only `scan` is known to run over a batch
    step  the program of a step as it is run, whose outputs are the carries, then what is kept of every step
    """
    if eq.primitive.facts.control != "scan":
        return None
    carries = step.inputs[eq.params["constants"] :][: eq.params["carries"]]
    symbols = {lone_symbol(v.shape[0]): None for v in carries if v.shape}
    found = (_roles(eq, step, root) for s in symbols if s is not None and isinstance(root := s.root(), Symbol))
    return next((loop for loop in found if loop is not None), None)


def _roles(eq: Equation, step: Program, size: Symbol) -> BatchLoop | None:
    first, count = eq.params["constants"], eq.params["carries"]
    carries, given = step.inputs[first : first + count], dict[Var, Role]()
    for v in step.inputs:
        places = _places(v.shape, size)
        if places not in ([], [0]):
            return None
        given[v] = Role.ROWS if places else Role.SAME
    sums = _find_sums(step.equations, given, carries, step.outputs, size)
    roles = {**given, **dict.fromkeys(sums, Role.PART)}
    found = _follow(step.equations, roles, size, ())
    after = [None if found is None else found.get(o) for o in step.outputs]
    if after[:count] != [roles[v] for v in carries]:
        return None
    kept = zip(step.outputs[count:], after[count:], strict=True)
    if any(role is not Role.ROWS or _places(o.shape, size) != [0] for o, role in kept):
        return None
    return BatchLoop(size, {v: roles[v] for v in step.inputs})


def _find_sums(
    equations: Iterable[Equation],
    given: Mapping[Var, Role],
    carries: Sequence[Var],
    outputs: Sequence[Any],
    size: Symbol,
) -> list[Var]:
    """The carries to which every step adds a sum over its rows."""
    alike = [v for v in carries if given[v] is Role.SAME]
    found = _follow(equations, given, size, alike) or {}
    return [v for v, o in zip(carries, outputs, strict=False) if v in alike and found.get(o) is Role.PART]


def _follow(
    equations: Iterable[Equation], given: Mapping[Var, Role], size: Symbol, open_to_sums: Sequence[Var]
) -> dict[Var, Role] | None:
    """The role of every variable; `open_to_sums` are carries that might be sums themselves."""
    found = dict(given)
    for eq in equations:
        opened = {a: Role.PART for a in eq.inputs if a in open_to_sums}
        role = _role(eq, found, size) if len(eq.outputs) == 1 else None
        if role is None and eq.primitive.facts.adds and opened:
            role = _role(eq, ChainMap(opened, found), size)
        if role is None:
            return None
        found[eq.outputs[0]] = role
    return found


def _places(shape: Sequence[Dim], size: Symbol) -> list[int] | None:
    """The axes that are the batch; None where its size is part of another size."""
    places = []
    for axis, dim in enumerate(shape):
        if _is(dim, size):
            places.append(axis)
        elif _mentions(dim, size):
            return None
    return places


def _is(dim: Dim, size: Symbol) -> bool:
    symbol = lone_symbol(dim)
    return symbol is not None and symbol.root() is size


def _mentions(dim: Any, size: Symbol) -> bool:
    """Whether a size, or one that it was computed from, depends on the batch's."""
    if not isinstance(dim, Size):
        return False
    for symbol in (s.root() for monomial in dim.terms for s in monomial):
        if symbol is size:
            return True
        if isinstance(symbol, Symbol) and symbol.made is not None and any(_mentions(d, size) for d in symbol.made[1:]):
            return True
    return False


def _role(eq: Equation, roles: Mapping[Var, Role], size: Symbol) -> Role | None:
    """The role of what an operation makes; None where rows might meet, or it is not known."""
    # one case for each kind of operation, from what holds for all of them to what is known of one
    p, facts, (out,) = eq.primitive, eq.primitive.facts, eq.outputs
    given = [roles[a] if isinstance(a, Var) else Role.SAME for a in eq.inputs]
    places = _places(out.shape, size)
    if places is None or len(places) > 1 or facts.source in ("size", "indices"):
        return None
    role = Role.ROWS if places else Role.SAME
    if Role.PART in given:
        return Role.PART if facts.adds and given == [Role.PART, Role.PART] else None
    if set(given) <= {Role.SAME}:
        plain = p.kind in ("elementwise", "structural", "reduction") or facts.product or facts.source == "constant"
        return role if plain and not facts.control else None
    if p.kind == "elementwise":
        return role if places else None
    if facts.product:
        return _of_product(eq, places, size)
    if p.kind == "reduction" and facts.reduction:
        return role if places else (Role.PART if facts.reduction == "sum" else None)
    return role if places and p.kind == "structural" and _keeps_rows(eq, places[0], size) else None


def _of_product(eq: Equation, places: list[int], size: Symbol) -> Role | None:
    """Rows of a product, or a sum over them."""
    (left, right), out = (a.shape for a in eq.inputs), eq.outputs[0]
    if len(left) < 2 or len(right) < 2:
        return None
    summed = [_is(d, size) for d in (left[-1], right[-2])]
    if places:
        return None if any(summed) else Role.ROWS
    return Role.PART if all(summed) and not _places(out.shape, size) else None


def _keeps_rows(eq: Equation, place: int, size: Symbol) -> bool:
    """Whether a move of entries leaves every row where it is among the rows."""
    facts, params, shape = eq.primitive.facts, eq.params, eq.outputs[0].shape
    before = [_places(a.shape, size) for a in eq.inputs]
    if any(places is None or len(places) != 1 for places in before):
        return False
    (first, *_), *_ = before  # type: ignore[misc]  # none of them is None
    if facts.view in ("permute", "broadcast"):
        return True
    if facts.view == "reshape":
        return place == first == 0
    if facts.view == "slice":
        return bool(params["key"][first] == slice(None))
    if facts.places:
        return bool(params["key"][place] == slice(None))
    return facts.joins and params["axis"] % len(shape) != place
