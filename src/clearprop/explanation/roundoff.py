"""How far rounding inside a rule can drive the gradient that the run computed from the sum of the terms.

Both start from the same stored values: the run multiplied and added in its own dtype, the terms in float64.  The run
rounds once per addition, and in its rules.  For those the rule is run once more, on pairs (value, error): the error of
an operation is what its operands' errors become, plus a rounding of its own (running error analysis, Peters & Wilkinson
1971).  A rule such as 1 − y·y near |y| = 1 has a small value and a large error; a plain multiple of ε would miss that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from clearprop.arrays import Tensor
from clearprop.autodiff.reverse import Slice, undo_broadcasting
from clearprop.autodiff.transforms import vjp
from clearprop.explanation.chain_rule import Bundle, Graph
from clearprop.explanation.jacobians import Array, Elementwise, LocalJacobian, shape_of, wide
from clearprop.primitives import Rule
from clearprop.program.operation import JointOperation, Operation
from clearprop.program.types import PYTHON_SCALARS, is_floating, type_of
from clearprop.program.values import Application, Node, raw

_PER_OPERATION = 4
"""Units in the last place that an operation of NumPy may be off."""
_PER_ROUNDING = 0.5
"""The same of one that rounds the exact result, as IEEE 754 (2019) says of + − × ÷ √."""


def rule_error(graph: Graph, bundle: Bundle) -> float:
    """The error of the rule of one application, in units of ε, on what arrives in this bundle."""
    local = bundle.local
    assert local is not None
    if isinstance(local, Elementwise):
        xs, y = local.picked(bundle.out)
        return float(np.sum(pullback_error(local, bundle.delta, y, xs)))
    delta = graph.delta(local.node)
    if delta is None or (type(local.app.outputs) is tuple and not local.primitive.joint):
        return _PER_OPERATION * float(np.sum(np.abs(bundle.product)))
    whole = graph.errors.get(local)
    if whole is None:
        g = np.asarray(delta, np.float64).reshape(local.out_shape)
        xs = [wide(v) for v in local.app.raw]
        joint = local.primitive.joint
        found = _written_out_error(local, g, xs) if joint else pullback_error(local, g, wide(local.app.outputs), xs)
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


def _written_out_error(local: LocalJacobian, g: Array, xs: Sequence[Any]) -> Array:
    """The same of a loop or a branch, whose steps round one after the other."""
    assert local.body is not None
    body, leaves, seed = local.body, list(map(_leaf, xs)), _leaf(g[()])

    def of_operand(x: Any) -> Any:
        outputs = body(*leaves[: local.k], x, *leaves[local.k + 1 :], **local.app.params)
        return outputs[local.node.position] if type(outputs) is tuple else outputs

    def pull() -> Any:
        return vjp(of_operand, leaves[local.k])[1](seed)[0]

    return running_error(pull, {v: np.zeros(shape_of(raw(v))) for v in [seed, *leaves] if isinstance(v, Tensor)})


def _leaf(value: Any) -> Any:
    if type(value) in PYTHON_SCALARS or not is_floating(value.dtype):
        return value
    leaf = Tensor(value)
    leaf.requires_grad = True
    return leaf


# ---------------------------------------------------------------------------------------- running the error
def running_error(function: Callable[[], Any], errors: dict[Node, Array]) -> Array:
    """The error of what the function returns, from the errors of the nodes that it reads."""
    return _running_errors([function()], errors)[0]


def _running_errors(outputs: Sequence[Any], errors: dict[Node, Array]) -> list[Array]:
    known = dict(errors)
    for app, nodes, _ in Slice([o for o in outputs if isinstance(o, Node)], list(errors)).steps():
        found = _error_after(app, known)
        for node in nodes:
            own = found[node.position] if app.primitive.joint else found
            known[node] = np.broadcast_to(own, shape_of(raw(node)))
    return [known.get(o, np.zeros(shape_of(raw(o)))) if isinstance(o, Node) else np.zeros(shape_of(o)) for o in outputs]


def _error_after(app: Application, known: dict[Node, Array]) -> Any:
    """The error of one operation's output, of loops and branches those of all; what is made of others is opened."""
    if app.primitive.joint:
        return _of_body(app, cast(JointOperation, app.primitive).written_out, known)
    if app.primitive.body is not None and app.primitive.kind != "structural":
        return _of_body(app, app.primitive.body, known)[0]
    own = np.abs(np.asarray(app.outputs, np.float64))
    total = own * (_PER_ROUNDING if app.primitive.facts.rounded else _PER_OPERATION)
    for k, operand in enumerate(app.inputs):
        error = known.get(operand) if isinstance(operand, Node) else None
        if error is None and type(operand) is float and operand != round(operand):
            error = np.asarray(abs(operand))
        if error is not None:
            total = total + _pushed_error(app.primitive, k, error, app)
    return np.asarray(total)


def _of_body(app: Application, body: Callable[..., Any], known: dict[Node, Array]) -> list[Array]:
    inside = [_leaf(wide(v)) for v in app.raw]
    errors = {
        leaf: known.get(a, np.zeros(shape_of(raw(leaf)))) if isinstance(a, Node) else np.zeros(shape_of(raw(leaf)))
        for leaf, a in zip(inside, app.inputs, strict=True)
        if isinstance(leaf, Node)
    }
    out = body(*inside, **app.params)
    return _running_errors(out if type(out) is tuple else (out,), errors)


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
        dot = np.zeros(np.shape(operand))
        dot[at] = widened[at]
        dots: list[Array | None] = [None] * len(app.raw)
        dots[k] = dot
        total = total + np.abs(np.asarray(primitive.pushforward(dots, app.outputs, app.raw, app.params)))
    return total
