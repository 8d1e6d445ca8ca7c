"""Why a derivative is zero: an unexplained 0 is no explanation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clearprop.explanation.chain_rule import Bundle, Graph, bundles
from clearprop.explanation.jacobians import LocalJacobian, Multilinear
from clearprop.explanation.labels import Labels, short_name
from clearprop.explanation.window_jacobians import Windows
from clearprop.notation import number_text, text
from clearprop.notation.expressions import Name
from clearprop.program.types import type_of
from clearprop.program.values import Node, raw


def zero_reason(graph: Graph, labels: Labels, node: Node, at: int) -> str:
    """The reason in words, found by following the first term that is zero to where it becomes so.

    An entry that has several ways, of which one is read by nothing, gets the reason of another one.
    """
    level = bundles(graph, node, at)
    count = sum(map(len, level))
    many = f" (and so are all {count} terms)" if count > 1 else ""
    if count == 0:
        return _unused_reason(graph, labels, node, at)
    if any(b.product.any() for b in level):
        return _lost_reason(level, node)
    first, is_read = _reason_behind(graph, labels, next(b for b in level if len(b)))
    if not is_read:
        others = (_reason_behind(graph, labels, b) for b in level if len(b))
        first = next((reason for reason, used in others if used), first)
    return first + many


def _reason_behind(graph: Graph, labels: Labels, bundle: Bundle) -> tuple[str, bool]:
    """The reason of the first term of a bundle, and whether anything reads what it leads to."""
    while True:
        (closed,) = np.nonzero(bundle.factor == 0)
        if len(closed) and bundle.local is not None:
            i = int(closed[0])
            where = int(bundle.inner[i]), int(bundle.out[i])
            return factor_reason(labels, bundle.local, *where, closed=bool(bundle.closed[i])), True
        node, at = bundle.node, int(bundle.end[0])
        level = bundles(graph, node, at)
        if not sum(map(len, level)):
            return _unused_reason(graph, labels, node, at), False
        if any(b.product.any() for b in level):
            return _lost_reason(level, node), True
        bundle = next(b for b in level if len(b))


def _unused_reason(graph: Graph, labels: Labels, node: Node, at: int) -> str:
    """The reason where nothing reads the entry, or all that reads it leaves it."""
    readers, name = _last_readers(graph, node, at), labels.entry(node, at).text
    if windows := [r for r in readers if isinstance(r, Windows)]:
        return f"not on any path: {name} is outside the receptive field of {_all_names(windows, ' and ')}"
    if loops := [r for r in readers if r.primitive.facts.control]:
        return f"masked: {_all_names(loops, ' and ')} leaves {name} out, and nothing that it gives depends on it"
    if pools := [r for r in readers if r.primitive.facts.picks == "entries" and len(r.app.inputs) == 1]:
        return f"pooled elsewhere: {name} is the first of the largest in no window of {_all_names(pools, ' or ')}"
    if readers:
        return f"not on any path: {name} is not selected by {_all_names(readers, ' or ')}"
    return f"not on any path from {name} to {labels.target}"


def _last_readers(graph: Graph, node: Node, at: int) -> list[LocalJacobian]:
    """What reads an entry, after all moves, and leaves it."""
    found, todo = list[LocalJacobian](), [(node, np.array([at]))]
    while todo:
        here, ats = todo.pop()
        for local in graph.consumers.get(here, ()):
            moved = local.columns(ats).out
            if local.move and len(moved):
                todo.append((local.node, moved))
            else:
                found.append(local)
    return found


def _all_names(consumers: Sequence[LocalJacobian], conjunction: str) -> str:
    return conjunction.join(dict.fromkeys(short_name(c.primitive.name) for c in consumers))


def _lost_reason(level: Sequence[Bundle], node: Node) -> str:
    """The reason where terms are not zero, but the gradient is."""
    terms = np.concatenate([b.product for b in level])
    total, dtype = float(np.sum(terms)), type_of(raw(node)).dtype
    if total == 0:
        return f"the {len(terms)} terms cancel"
    if abs(total) < float(np.finfo(dtype).smallest_subnormal):
        return f"too small for {dtype.name}: the terms sum to {number_text(total)}"
    return f"the {len(terms)} terms cancel but for rounding: they sum to {number_text(total)}"


def factor_reason(labels: Labels, local: LocalJacobian, inner: int, out: int, *, closed: bool) -> str:
    """Why a local factor is zero: a declared constant, a closed gate, a product with zero, or the formula itself."""
    if local.reason:
        return local.reason
    under = _with_value(labels, local.operand, inner)
    name = short_name(local.primitive.name)
    if isinstance(local, Multilinear):
        return "multiplied by " + _with_value(labels, local.app.inputs[1 - local.k], local.partner(inner, out))
    if local.primitive.facts.chooses:
        return "masked by where: the condition chose the other branch"
    if closed:
        return f"{name} gate closed: {under}"
    if isinstance(local.formula, Name) and local.formula.name in local.primitive.operands:  # it is an operand itself
        return "multiplied by " + _with_value(labels, *local.values_at(out)[local.formula.name])
    return f"∂{name} = {text(local.formula)} is 0 at {under}"


def _with_value(labels: Labels, value: object, at: int) -> str:
    """`z = −1.3`."""
    name, number = labels.entry(value, at).text, number_text(np.asarray(raw(value)).reshape(-1)[at].item())
    return number if name == number else f"{name} = {number}"
