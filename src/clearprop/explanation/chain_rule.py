"""The chain rule on a tape, level by level: ∂t/∂e = Σ over the consumers c of e of ∂t/∂c · ∂c/∂e.

Entries that only move (reshape, slice, transpose) are followed to where they are used.  A matrix product is opened
into products and a sum, and a sum of a sum is one sum, as on paper: relu(x @ w + b) is ReLU(sum(mul(x₀,w₀), …, b)).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearprop.autodiff.choices import Choice, kept_apart, own_choice
from clearprop.autodiff.reverse import Slice, sweep
from clearprop.explanation.general_jacobians import General, Reduction
from clearprop.explanation.jacobians import (
    Array,
    Elementwise,
    LocalJacobian,
    Multilinear,
    Structural,
    gather_entries,
    shape_of,
)
from clearprop.explanation.window_jacobians import Windows
from clearprop.program.operands import complex_error
from clearprop.program.types import is_complex, type_of
from clearprop.program.values import Application, Node, raw

_KINDS: dict[str, type[LocalJacobian]] = {
    "elementwise": Elementwise,
    "reduction": Reduction,
    "multilinear": Multilinear,
    "structural": Structural,
    "general": General,
}


def local_jacobian(app: Application, k: int, out: Node) -> LocalJacobian:
    """∂out/∂operand `k`, by the declared kind of the application's primitive."""
    p = app.primitive
    windows = p.kind == "multilinear" and p.signature is None
    return Windows(app, k, out) if windows else _KINDS[p.kind](app, k, out)


def _require_real(part: Slice) -> None:
    """Terms are real numbers: what comes by way of complex ones is differentiated, and not opened."""
    for app, nodes, _ in part.steps():
        found = next((type_of(raw(v)).dtype for v in (*app.raw, *nodes) if is_complex(type_of(raw(v)).dtype)), None)
        if found is not None:
            raise complex_error(found, f"explain opens real functions, and {app.primitive.name} is complex here")


class Graph:
    """The applications through which one entry of `target` depends on `sources`, and its cotangents.

    `delta(node)` is ∂target/∂node as the run computed it, in the run's own dtype: one reverse sweep of the tape.
    """

    def __init__(self, target: Node, at: int, sources: Sequence[Node]) -> None:
        self.target, self.at, self.sources = target, at, frozenset(sources)
        self.part = Slice([target], sources)
        _require_real(self.part)
        self.consumers: dict[Node, list[LocalJacobian]] = {}
        self.errors: dict[LocalJacobian, Array] = {}
        for app, nodes, positions in self.part.steps():
            for k in positions:
                made = [local_jacobian(app, k, node) for node in nodes]
                self.consumers.setdefault(app.inputs[k], []).extend(made)
        seed = np.zeros(shape_of(raw(target)), type_of(raw(target)).dtype)
        seed.reshape(-1)[at] = 1
        self._choices: dict[Node, Choice] = {}
        self._cotangents = sweep(self.part, {target: seed[()]}, raw, self._choices)

    def delta(self, node: Node) -> Array | None:
        """∂target/∂node, flat; None where nothing arrived."""
        found = self._cotangents.get(node)
        return None if found is None else np.ravel(np.asarray(raw(found)))

    def delta_at(self, node: Node, ats: Array) -> Array:
        """Entries of ∂target/∂node in float64; 0 where nothing arrived."""
        found = self.delta(node)
        return np.zeros(len(ats)) if found is None else np.asarray(found[ats], np.float64)

    def was_left(self, local: LocalJacobian, out: Array) -> Array:
        """Whether the gates behind an output left its entries, and that is still known where they meet the operand."""
        choice = self._choices.get(local.node)
        apart = None if choice is None else kept_apart(local.app, choice)
        if apart is None:
            return np.zeros(len(out), bool)
        return ~gather_entries(np.asarray(apart.mask), local.out_shape, out)

    def value_at(self, node: Any, at: int) -> Any:
        """One entry of a stored value, as a Python number."""
        return np.asarray(raw(node)).reshape(-1)[at].item()

    def is_target(self, node: Node) -> bool:
        """Whether the node is the one that is differentiated."""
        return node is self.target


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """The terms of a level that go through one application.

    `inner` are the entries of the operand of `local` (None: the entry only moves, and arrives at the target),
    `out` those of its output, `end` those of `node`, where the level ends.  Between them stand sums that pass
    everything on: `sums` is the last of these, with its entries.  `left` says which terms gates behind the output left,
    and `closed` to which the application itself is a gate that is closed: both by the choice, never by a 0.
    """

    local: LocalJacobian | None
    inner: Array
    out: Array
    node: Node
    end: Array
    factor: Array
    delta: Array
    product: Array
    sums: tuple[Node, Array] | None
    left: Array
    closed: Array

    def __len__(self) -> int:
        return len(self.end)

    @property
    def factor_count(self) -> int:
        """How many factors lie between the entry and the end of the level: none for a mere move."""
        if self.local is None:
            return 0
        return 1 if self.local.additive or self.sums is None else 2


def arrivals(graph: Graph, node: Node, ats: Array) -> Iterator[tuple[LocalJacobian | None, Node, Array, Array]]:
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
    """The level of one entry.  A term 0 · ∞ or 0 · NaN is 0 where its output was not chosen."""
    return [
        _bundle(graph, local, here, there)
        for local, here, _, there in arrivals(graph, node, np.array([at], dtype=np.int64))
    ]


def _bundle(graph: Graph, local: LocalJacobian | None, here: Node, there: Array) -> Bundle:
    if local is None:
        ones = np.ones(len(there))
        return Bundle(None, there, there, here, there, ones, ones, ones, None, ones == 0, ones == 0)
    columns = local.columns(there)
    node, end, sums = _through_sums(graph, local, columns.out)
    delta = graph.delta_at(node, end)
    product, inner = local.products(columns, delta), there[columns.source]
    left, closed = graph.was_left(local, columns.out), _closed_entries(local, inner, columns.out)
    product = np.where(left & np.isnan(product), 0.0, product)
    return Bundle(local, inner, columns.out, node, end, columns.factor, delta, product, sums, left, closed)


def _closed_entries(local: LocalJacobian, inner: Array, out: Array) -> Array:
    """Which entries of its operand a gate leaves."""
    choice = own_choice(local.app, local.k, local.app.outputs, local.app.raw) if local.primitive.is_gate else None
    if choice is None:
        return np.zeros(len(out), bool)
    shape, at = (local.shape, inner) if local.primitive.kind == "reduction" else (local.out_shape, out)
    return ~gather_entries(np.asarray(choice.mask), shape, at)


def _through_sums(graph: Graph, local: LocalJacobian, out: Array) -> tuple[Node, Array, tuple[Node, Array] | None]:
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


# ------------------------------------------------------------------------------------------------- whole paths
Way = tuple[tuple[Bundle, int], ...]
"""One whole path from an entry to the target: the bundle, and the term in it, of every level, outermost first."""
_LONGEST = 64


def way_value(way: Way, factors: Sequence[Sequence[float]]) -> tuple[float, bool]:
    """The product along a path, from the factors of each of its terms; and whether it is 0 since a gate left it."""
    value, closed, left = 1.0, False, False
    for (bundle, i), own in zip(way, factors, strict=True):
        closed = closed and (bundle.local is None or _stays_closed(bundle.local))
        for factor in own:
            value *= factor
        if math.isnan(value) and (closed or bundle.left[i]):
            value, left = 0.0, True
        closed = closed or bool(bundle.closed[i] or bundle.left[i])
    return value, left


def _stays_closed(local: LocalJacobian) -> bool:
    """Whether entries that a gate left are not mixed with others by this operation."""
    return not local.primitive.facts.product and local.primitive.kind != "general"


def all_ways(graph: Graph, node: Node, at: int, most: int) -> list[Way] | None:
    """Every path in the order of the program, or None if there are more than `most`, or one is very long.

    Depth first, without recursion; terms that are zero are paths too.
    """
    done: list[Way] = []
    todo: list[tuple[Node, int, Way]] = [(node, at, ())]
    while todo:
        here, position, way = todo.pop()
        if graph.is_target(here) and (way or position == graph.at):
            done.append(way)
            continue
        level = bundles(graph, here, position)
        long = sum(bundle.factor_count for bundle, _ in way) > _LONGEST
        if long or sum(map(len, level)) + len(done) + len(todo) > most:
            return None
        onward = [
            (bundle.node, int(bundle.end[i]), ((bundle, i), *way)) for bundle in level for i in range(len(bundle))
        ]
        todo += reversed(onward)
    return done
