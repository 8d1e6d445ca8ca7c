"""Operations: equations as the scheduler sees them, by iteration domain and not by name.

The domain of an operation is the tuple of its axes that are not 1: of the output for a map, of the input for a
reduction.  Every operand is an access over the domain's axes.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clearprop.compiler.array_access import Access, broadcast_axes, contiguous_strides
from clearprop.program.ir import Equation, Var
from clearprop.shapes import dim_key, is_one


@dataclass(eq=False)
class Statement:
    """One equation with its iteration domain.

    `kind` is map, reduce, product or special; `reads` are accesses over the domain (or literals); `reduced` are the
    positions in the domain that a reduction takes together; `write` are the output's strides over the domain's axes
    (over those that remain, for a reduction).  A part of an array that parts are joined to may be written where it
    stands there: `into` that array, from `offset` on.
    """

    equation: Equation
    kind: str
    domain: tuple[Any, ...]
    reads: list[Any]
    reduced: tuple[int, ...] = ()
    write: tuple[Any, ...] = ()
    into: Var | None = None
    offset: Any = 0

    @functools.cached_property
    def key(self) -> tuple[Any, ...]:
        """Identity of the domain."""
        return tuple(map(dim_key, self.domain))

    @functools.cached_property
    def write_key(self) -> tuple[Any, ...]:
        """Identity of the output's strides."""
        return tuple(map(dim_key, self.write))

    @property
    def out(self) -> Var:
        """The variable it computes."""
        return self.equation.outputs[0]

    @functools.cached_property
    def bases(self) -> list[Var]:
        """The arrays that it reads."""
        return [r.base for r in self.reads if isinstance(r, Access) and isinstance(r.base, Var)]


def statement(eq: Equation, found: dict[Var, Access]) -> Statement:
    """The operation of an equation."""
    p = eq.primitive
    reads = [found[a] if isinstance(a, Var) else a for a in eq.inputs]
    if p.kind == "elementwise":
        return _map(eq, reads, eq.outputs[0].shape)
    if p.facts.view:
        # a copy in the order of the input, which is the output's order; a number is repeated
        return _map(eq, reads, reads[0].shape if isinstance(reads[0], Access) else eq.outputs[0].shape)
    if p.facts.reduction:
        return _reduce(eq, reads[0])
    if p.facts.product:
        return Statement(eq, "product", tuple(eq.outputs[0].shape), reads)
    return Statement(eq, "special", tuple(eq.outputs[0].shape), reads)


def _map(eq: Equation, reads: Sequence[Any], shape: Sequence[Any]) -> Statement:
    kept = [i for i, n in enumerate(shape) if not is_one(n)]
    walks: list[Any] = []
    for r in reads:
        if not isinstance(r, Access):
            walks.append(r)
            continue
        full = broadcast_axes(r, shape)
        walks.append(Access(r.base, tuple(shape[i] for i in kept), tuple(full.strides[i] for i in kept), r.offset))
    return Statement(eq, "map", tuple(shape[i] for i in kept), walks, (), _nonunit_strides(shape))


def _reduce(eq: Equation, read: Access) -> Statement:
    kept = [i for i, n in enumerate(read.shape) if not is_one(n)]
    axes = {a % len(read.shape) for a in eq.params["axis"]}
    walk = Access(read.base, tuple(read.shape[i] for i in kept), tuple(read.strides[i] for i in kept), read.offset)
    reduced = tuple(k for k, i in enumerate(kept) if i in axes)
    return Statement(eq, "reduce", walk.shape, [walk], reduced, _nonunit_strides(eq.outputs[0].shape))


def _nonunit_strides(shape: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(s for n, s in zip(shape, contiguous_strides(shape), strict=True) if not is_one(n))
