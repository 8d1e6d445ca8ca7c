"""Merging axes: where every array of a nest is walked in memory order, two axes are one longer axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from clearprop.compiler.array_access import Access
from clearprop.compiler.iteration_domains import Statement
from clearprop.compiler.schedule import Nest
from clearprop.shapes import dim_key


def merge_axes(nest: Nest) -> Nest:
    """The nest with as few axes as its accesses allow."""
    while (k := _mergeable_axis(nest)) is not None:
        nest = _merge(nest, k)
    return nest


def _mergeable_axis(nest: Nest) -> int | None:
    rank = len(nest.domain)
    for k in range(rank - 2, -1, -1):
        if k == rank - 2 and any(nest.is_row(op) for op in nest.ops):
            continue
        if all(_allows(op, k, nest.domain[k + 1]) for op in nest.ops):
            return k
    return None


def _allows(op: Statement, k: int, inner: Any) -> bool:
    if k + 1 >= len(op.domain):
        return True  # a row-level operation does not see the last axis
    if op.kind == "reduce" and ((k in op.reduced) != (k + 1 in op.reduced)):
        return False
    walks = [r.strides for r in op.reads if isinstance(r, Access)]
    if op.kind == "map":
        walks.append(op.write)
    return all(dim_key(w[k]) == dim_key(w[k + 1] * inner) for w in walks)


def _merge(nest: Nest, k: int) -> Nest:
    domain = _join_dims(nest.domain, k)
    out = Nest(domain)
    for op in nest.ops:
        new = _merge_operation(op, k) if k + 1 < len(op.domain) else op
        out.ops.append(new)
        out.stage[new] = nest.stage[op]
    return out


def _join_dims(dims: Sequence[Any], k: int) -> tuple[Any, ...]:
    return (*dims[:k], dims[k] * dims[k + 1], *dims[k + 2 :])


def _merge_operation(op: Statement, k: int) -> Statement:
    reads = [
        Access(r.base, _join_dims(r.shape, k), (*r.strides[:k], *r.strides[k + 1 :]), r.offset)
        if isinstance(r, Access)
        else r
        for r in op.reads
    ]
    reduced = tuple(sorted({a - (a > k) for a in op.reduced}))
    kept = [axis for axis in range(len(op.domain)) if axis not in op.reduced]
    at = kept.index(k) if k in kept else None
    write = op.write if at is None else (*op.write[:at], *op.write[at + 1 :])
    return replace(op, domain=_join_dims(op.domain, k), reads=reads, reduced=reduced, write=write)
