"""The largest of the whole paths from an entry to the target.

The search is best-first with an exact bound.  Every entry that can be reached is told the largest product of factors
that lies between it and the target (the chain rule with max in place of +); then the partial path that can still
become largest is always extended first, and the first complete path is the largest.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass

import numpy as np

from clearprop.autodiff.reverse import Slice
from clearprop.explanation import largest_products
from clearprop.explanation.chain_rule import Bundle, Graph, Way, bundles
from clearprop.explanation.jacobians import Array, LocalJacobian, Multilinear, shape_of
from clearprop.program.values import Node, raw


@dataclass(frozen=True, slots=True, eq=False)
class _Partial:
    """A path from the entry up to `at` of `node`: its last step, and what came before."""

    node: Node
    at: int
    value: float
    bundle: Bundle | None = None
    i: int = 0
    before: _Partial | None = None


def largest_ways(graph: Graph, node: Node, at: int, k: int) -> list[Way]:
    """The k paths with the largest products by magnitude, largest first."""
    count = itertools.count()
    bounds = best_products(graph, node, at)
    heap = [(-float(bounds[node][at]), next(count), _Partial(node, at, 1.0))] if node in bounds else []
    done: list[Way] = []
    while heap and len(done) < k:
        _, _, partial = heapq.heappop(heap)
        if graph.is_target(partial.node):
            done.append(_whole_way(partial))
            continue
        for bundle in bundles(graph, partial.node, partial.at):
            bound = _bounds_at(bounds, bundle)
            with np.errstate(all="ignore"):
                values = partial.value * bundle.factor
                priority = np.nan_to_num(np.abs(values) * bound, nan=np.inf)
            for i in np.nonzero(bound >= 0)[0]:
                following = _Partial(bundle.node, int(bundle.end[i]), float(values[i]), bundle, int(i), partial)
                heapq.heappush(heap, (-float(priority[i]), next(count), following))
    return done


def _bounds_at(bounds: dict[Node, Array], bundle: Bundle) -> Array:
    found = bounds.get(bundle.node)
    return np.full(len(bundle), -1.0) if found is None else found[bundle.end]


def _whole_way(partial: _Partial) -> Way:
    way: list[tuple[Bundle, int]] = []
    step: _Partial | None = partial
    while step is not None and step.bundle is not None:
        way.append((step.bundle, step.i))
        step = step.before
    return tuple(way)


# ------------------------------------------------------------------------------- the largest product between
def best_products(graph: Graph, node: Node, at: int) -> dict[Node, Array]:
    """For every entry that lies between (node, at) and the target: the largest |product of factors| to the target.

    −1 for entries from which the target is not reached.
    """
    between = _jacobians_between(graph, node)
    reached: dict[Node, Array] = {node: np.array([at])}
    for local in between:
        ats = reached.get(local.operand)
        if ats is not None and len(ats):
            out = spread(local, ats)
            known = reached.get(local.node)
            reached[local.node] = out if known is None else np.union1d(known, out)
    bounds = {v: np.full(int(np.prod(shape_of(raw(v)), dtype=int)), -1.0) for v in reached}
    if graph.target in bounds:
        bounds[graph.target][graph.at] = 1.0
    for local in reversed(between):
        ats, beyond = reached.get(local.operand), bounds.get(local.node)
        if ats is not None and len(ats) and beyond is not None:
            best = best_before(local, ats, beyond)
            np.maximum.at(bounds[local.operand], ats, best)
    return bounds


def _jacobians_between(graph: Graph, node: Node) -> list[LocalJacobian]:
    """Every local Jacobian on the way from a value to the target, in the order of the program."""
    found = []
    for app, _, positions in Slice([graph.target], [node]).steps():
        for operand in dict.fromkeys(app.inputs[k] for k in positions):
            found += [local for local in graph.consumers.get(operand, []) if local.app is app]
    return found


def spread(local: LocalJacobian, ats: Array) -> Array:
    """The entries of the output that depend on these entries of the operand."""
    if type(local) is Multilinear:  # axes by letters; windows have none
        return largest_products.reached_outputs(local, ats)
    return np.unique(local.columns(ats).out)


def best_before(local: LocalJacobian, ats: Array, beyond: Array) -> Array:
    """max over outputs of |local factor| · best beyond, for entries of the operand; −1 where nothing is reached."""
    if type(local) is Multilinear:
        return largest_products.best_beyond(local, ats, beyond)
    columns = local.columns(ats)
    best = np.full(len(ats), -1.0)
    onward = beyond[columns.out]
    with np.errstate(all="ignore"):
        product = np.nan_to_num(np.abs(columns.factor) * onward, nan=np.inf, posinf=np.inf)
    np.maximum.at(best, columns.source, np.where(onward < 0, -1.0, product))
    return best
