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
    """The reason in words, found by following the first term that is zero to where it becomes so."""
    many = ""
    while True:
        level = bundles(graph, node, at)
        count = sum(map(len, level))
        if count == 0:
            return _unused_reason(graph, labels, node, at) + many
        if any(b.product.any() for b in level):
            return _lost_reason(level, node) + many
        many = many or (f" (and so are all {count} terms)" if count > 1 else "")
        bundle = next(b for b in level if len(b))
        (closed,) = np.nonzero(bundle.factor == 0)
        if len(closed) and bundle.local is not None:
            i = int(closed[0])
            where = int(bundle.inner[i]), int(bundle.out[i])
            return factor_reason(labels, bundle.local, *where, closed=bool(bundle.closed[i])) + many
        node, at = bundle.node, int(bundle.end[0])


def _unused_reason(graph: Graph, labels: Labels, node: Node, at: int) -> str:
    """The reason where nothing reads the entry."""
    readers = [c.primitive.name for c in graph.consumers.get(node, [])]
    name = labels.entry(node, at).text
    if any(isinstance(c, Windows) for c in graph.consumers.get(node, [])):
        return f"not on any path: {name} is outside the receptive field of {' and '.join(dict.fromkeys(readers))}"
    if readers:
        return f"not on any path: {name} is not selected by {' or '.join(dict.fromkeys(readers))}"
    return f"not on any path from {name} to {labels.target}"


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
