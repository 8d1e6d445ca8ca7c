"""One level of a derivative: ∂t/∂e = Σ over the consumers c of e of ∂t/∂c · ∂c/∂e.

Entries that only move (reshape, slice, transpose) are followed to where they are used.  A matrix product is opened
into products and a sum, and a sum of a sum is one sum, as on paper: relu(x @ w + b) is ReLU(sum(mul(x₀,w₀), …, b)).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from clearprop.explanation.graph import Graph
from clearprop.explanation.jacobians import Array, Local, Multilinear
from clearprop.program.values import Node


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """The terms of a level that go through one application.

    `inner` are the entries of the operand of `local` (None: the entry only moves, and arrives at the target),
    `out` those of its output, `end` those of `node`, where the level ends.  Between them stand sums that pass
    everything on: `sums` is the last of these, with its entries.
    """

    local: Local | None
    inner: Array
    out: Array
    node: Node
    end: Array
    factor: Array
    delta: Array
    product: Array
    sums: tuple[Node, Array] | None

    def __len__(self) -> int:
        return len(self.end)


def arrivals(graph: Graph, node: Node, ats: Array) -> Iterator[tuple[Local | None, Node, Array, Array]]:
    """Where entries are used: `(local, node, source, ats)`, after all moves; local None is the target itself.

    `source` says which of the given entries each one is.
    """
    todo = [(node, np.arange(len(ats)), ats)]
    while todo:
        here, source, there = todo.pop()
        if graph.is_target(here):
            keep = there == graph.at
            if keep.any():
                yield None, here, source[keep], there[keep]
            continue
        onward = []
        for local in graph.consumers.get(here, ()):
            if local.move:
                moved = local.columns(there)
                if len(moved.out):
                    onward.append((local.node, source[moved.source], moved.out))
            else:
                yield local, here, source, there
        todo += reversed(onward)


def bundles(graph: Graph, node: Node, at: int) -> list[Bundle]:
    """The level of one entry."""
    return [
        _bundle(graph, local, here, there)
        for local, here, _, there in arrivals(graph, node, np.array([at], dtype=np.int64))
    ]


def _bundle(graph: Graph, local: Local | None, here: Node, there: Array) -> Bundle:
    if local is None:
        ones = np.ones(len(there))
        return Bundle(None, there, there, here, there, ones, ones, ones, None)
    columns = local.columns(there)
    node, end, sums = _through_sums(graph, local, columns.out)
    delta = graph.delta_at(node, end)
    product = local.products(columns, delta)
    return Bundle(local, there[columns.source], columns.out, node, end, columns.factor, delta, product, sums)


def _through_sums(graph: Graph, local: Local, out: Array) -> tuple[Node, Array, tuple[Node, Array] | None]:
    """Follow entries through sums that nothing else reads: they pass every derivative on unchanged."""
    node, end = local.node, out
    sums = (node, end) if local.additive or isinstance(local, Multilinear) else None
    while len(end) and (step := _only_sum(graph, node, end)) is not None:
        node, end, moved_only = step
        if not moved_only:
            sums = node, end
    return node, end, sums


def _only_sum(graph: Graph, node: Node, ats: Array) -> tuple[Node, Array, bool] | None:
    """The sum, or the target, that is the only reader of these entries, one for one."""
    if graph.is_target(node):
        return None
    found = list(arrivals(graph, node, ats))
    if len(found) != 1:
        return None
    local, here, source, there = found[0]
    if len(source) != len(ats) or not np.array_equal(source, np.arange(len(ats))):
        return None
    if local is None:
        return (here, there, True) if here is not node else None
    if not local.additive:
        return None
    columns = local.columns(there)
    if len(columns.out) != len(ats) or not np.array_equal(columns.source, np.arange(len(ats))):
        return None
    return local.node, columns.out, False
