"""How far rounding inside a rule can drive the gradient that the run computed from the sum of the terms.

Both start from the same stored values: the run multiplied and added in its own dtype, the terms in float64.  The run
rounds once per addition, and in its rules.  For those the rule is run once more, on pairs (value, error): the error of
an operation is what its operands' errors become, plus a rounding of its own (running error analysis, Peters & Wilkinson
1971).  A rule such as 1 − y·y near |y| = 1 has a small value and a large error; a plain multiple of ε would miss that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clearprop.arrays import Tensor
from clearprop.autodiff.reverse import undo_broadcasting
from clearprop.autodiff.tape import Slice
from clearprop.explanation.chain_rule import Bundle, Graph
from clearprop.explanation.jacobians import Array, Elementwise, LocalJacobian, shape_of, wide
from clearprop.primitives import Rule
from clearprop.program.operation import Operation
from clearprop.program.types import PYTHON_SCALARS, is_floating, type_of
from clearprop.program.values import Application, Node, raw

_PER_OPERATION = 4
"""Units in the last place that an operation of NumPy may be off."""


def rule_error(graph: Graph, bundle: Bundle) -> float:
    """The error of the rule of one application, in units of ε, on what arrives in this bundle."""
    local = bundle.local
    assert local is not None
    if isinstance(local, Elementwise):
        xs, y = local.picked(bundle.out)
        return float(np.sum(pullback_error(local, bundle.delta, y, xs)))
    delta = graph.delta(local.node)
    if type(local.app.outputs) is tuple or delta is None:
        return _PER_OPERATION * float(np.sum(np.abs(bundle.product)))
    whole = graph.errors.get(local)
    if whole is None:
        g = np.asarray(delta, np.float64).reshape(local.out_shape)
        found = pullback_error(local, g, wide(local.app.outputs), [wide(v) for v in local.app.raw])
        whole = graph.errors[local] = np.ravel(np.broadcast_to(found, local.shape))
    return float(np.sum(whole[np.unique(bundle.inner)]))


def pullback_error(local: LocalJacobian, g: Array, y: Any, xs: Sequence[Any]) -> Array:
    """The rounding error of the primitive's pullback, in units of ε."""
    params = local.app.params
    leaves = [_leaf(v) for v in (g, y, *xs)]

    def pull() -> Any:
        found = local.primitive.pullback(local.k, leaves[0], leaves[1], leaves[2:], params)
        return found if isinstance(local, Elementwise) else undo_broadcasting(found, xs[local.k])

    return running_error(pull, {v: np.zeros(shape_of(raw(v))) for v in leaves if isinstance(v, Tensor)})


def _leaf(value: Any) -> Any:
    if type(value) in PYTHON_SCALARS or not is_floating(value.dtype):
        return value
    leaf = Tensor(value)
    leaf.requires_grad = True
    return leaf


# ---------------------------------------------------------------------------------------- running the error
def running_error(function: Callable[[], Any], errors: dict[Node, Array]) -> Array:
    """The error of what the function returns, from the errors of the nodes that it reads."""
    out = function()
    if not isinstance(out, Node):
        return np.zeros(shape_of(out))
    known = dict(errors)
    for app, nodes, _ in Slice([out], list(errors)).steps:
        found = _error_after(app, known)
        for node in nodes:
            known[node] = np.broadcast_to(found, shape_of(raw(node)))
    return known.get(out, np.zeros(shape_of(raw(out))))


def _error_after(app: Application, known: dict[Node, Array]) -> Array:
    """The error of one operation's output; composites are opened, because their insides round."""
    if app.primitive.body is not None and app.primitive.kind != "structural":
        return _of_body(app, known)
    own = np.abs(np.asarray(app.outputs, np.float64))
    total = own * _PER_OPERATION
    for k, operand in enumerate(app.inputs):
        error = known.get(operand) if isinstance(operand, Node) else None
        if error is None and type(operand) is float and operand != round(operand):
            error = np.asarray(abs(operand))
        if error is not None:
            total = total + _pushed_error(app.primitive, k, error, app)
    return np.asarray(total)


def _of_body(app: Application, known: dict[Node, Array]) -> Array:
    body = app.primitive.body
    assert body is not None
    inside = [_leaf(wide(v)) for v in app.raw]
    errors = {
        leaf: known.get(a, np.zeros(shape_of(raw(leaf)))) if isinstance(a, Node) else np.zeros(shape_of(raw(leaf)))
        for leaf, a in zip(inside, app.inputs, strict=True)
        if isinstance(leaf, Node)
    }
    return running_error(lambda: body(*inside, **app.params), errors)


def _pushed_error(primitive: Operation, k: int, error: Array, app: Application) -> Array:
    """|∂out/∂operand| · error, and for sums a rounding per addend."""
    xs, params = app.raw, app.params
    if primitive.kind == "elementwise":
        rule = primitive.rules[k]
        return np.abs(np.asarray(rule.call(error, app.outputs, xs, params))) if isinstance(rule, Rule) else np.zeros(())
    if primitive.kind == "reduction":
        addends = np.size(xs[0]) / max(1, np.size(app.outputs))
        widened = error + (addends * np.abs(xs[0]) if primitive.facts.reduction == "sum" else 0.0)
        return np.asarray(primitive.pushforward([widened], app.outputs, xs, params))
    if primitive.kind == "general" and not primitive.facts.product:
        return _pushed_by_entries(primitive, k, error, app)
    sizes = [np.abs(x) if j != k and is_floating(type_of(x).dtype) else x for j, x in enumerate(xs)]
    sizes[k] = error
    return np.asarray(primitive(*sizes, **params))


def _pushed_by_entries(primitive: Operation, k: int, error: Array, app: Application) -> Array:
    """|∂out/∂operand| · error for what is linear in no operand, as an inverse: entry by entry, since signs cancel.

    What LAPACK returns is right for an operand that differs by n units in the last place (backward stability, Higham
    2002, "Accuracy and Stability of Numerical Algorithms"), which adds to the error.
    """
    operand = wide(app.raw[k])
    widened = np.broadcast_to(error + np.shape(operand)[-1] * np.abs(operand), np.shape(operand))
    total = np.zeros(shape_of(app.outputs))
    for at in np.ndindex(np.shape(operand)):
        dots: list[Array | None] = [None] * len(app.raw)
        dots[k] = np.zeros(np.shape(operand))
        dots[k][at] = widened[at]  # type: ignore[index]
        total = total + np.abs(np.asarray(primitive.pushforward(dots, app.outputs, app.raw, app.params)))
    return total
