"""Reverse mode: cotangents flow from the outputs back to the leaves, each application visited once.

The sweep is the same for numbers and for programs.  What it works on is decided by `mode`: arrays (the eager
case), nodes off the tape (while a program is traced), or nodes on the tape (inside another transform, which
then differentiates the sweep itself).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from clearprop.autodiff.choices import Choice, either, pull_back_chosen
from clearprop.autodiff.tape import Slice, outputs_of
from clearprop.errors import GradientError
from clearprop.program.ir import Var
from clearprop.program.operation import JointOperation
from clearprop.program.tracing import Builder, builder, shape_of
from clearprop.program.types import PYTHON_SCALARS, Value
from clearprop.program.values import Application, Node, quiet, raw
from clearprop.rules.elementwise import derivative_as
from clearprop.rules.reductions import sum as _sum
from clearprop.rules.structural import broadcast_to_
from clearprop.shapes import Shape, is_one, same_shape

Reader = Callable[[Any], Any]
_ARRAYS = (np.ndarray, np.generic)


def reader(part: Slice, traced: bool) -> Reader:
    """How a sweep sees the values on the tape: as arrays, as untracked nodes, or as the nodes themselves."""
    if part.surrounded:
        return lambda a: a
    if traced:
        return lambda a: Node.tensor(raw(a)) if isinstance(raw(a), Var) else raw(a)
    return raw


def sweep(
    part: Slice, cotangents: dict[Node, Any], read: Reader, choices: dict[Node, Choice] | None = None
) -> dict[Node, Any]:
    """Cotangents of all nodes of the slice that the given ones reach; `cotangents` is consumed.

    In `choices`, if it is given, stands afterwards what was chosen of each node; of others, everything.

    From the last application to the first: what arrived at its outputs is pulled back to each operand, and added
    to what arrived there from elsewhere.
    """
    b = builder()
    choices = {} if choices is None else choices
    contribution, cotangents = (
        (_contribution, cotangents) if b is None else (_traced_contribution, _Named(cotangents, b))
    )
    with quiet():
        for app, nodes, positions in part.steps(backwards=True):
            g = cotangents.get(nodes[0]) if type(app.outputs) is not tuple else _of_several(app, nodes, cotangents)
            if g is None:
                continue
            xs, y = (
                (app.raw, app.outputs) if read is raw else (list(map(read, app.inputs)), outputs_of(app, nodes, read))
            )
            if not app.primitive.is_plain and app.primitive.joint:
                g = _Joint(app, positions, g, y, xs)
            chosen = choices.get(nodes[0]) if choices else None
            for k in positions:
                operand = app.inputs[k]
                c, before = contribution(part, app, k, operand, g, y, xs, chosen)
                if c is not None:  # summed, never in place: an identity's rule hands the same array on
                    known = cotangents.get(operand)
                    if known is None:
                        cotangents[operand] = c
                        if before is not None:
                            choices[operand] = before
                    else:
                        cotangents[operand] = known + c
                        if choices:
                            _choose(choices, operand, before)
    return cotangents


def _contribution(
    part: Slice, app: Application, k: int, operand: Node, g: Any, y: Any, xs: Sequence[Any], choice: Choice | None
) -> tuple[Any, Choice | None]:
    """What one application gives to the cotangent of operand `k` (None: zero), and what of the operand was chosen."""
    p, before = app.primitive, None
    try:
        if choice is None and p.is_plain:
            c = p.pullback(k, g, y, xs, app.params)
        elif p.joint:
            c = g.of(k)
        else:
            c, before = pull_back_chosen(app, k, g, y, xs, choice)
    except GradientError:
        if part.reaches(operand):
            raise
        return None, None  # no derivative is declared, and none is needed: the operand was made constant
    x = xs[k]
    if c is None or (c.__class__ is x.__class__ and isinstance(c, np.generic)):
        return c, before  # NumPy scalars of one class fit as they are
    return undo_broadcasting(c, x), before


def _choose(choices: dict[Node, Choice], operand: Node, choice: Choice | None) -> None:
    """What was chosen of an operand on one more way; no entry: everything."""
    now = either(choices.pop(operand, None), choice)
    if now is not None:
        choices[operand] = now


def _of_several(app: Application, nodes: Sequence[Node], cotangents: dict[Node, Any]) -> Any:
    """The cotangents of several outputs, None where nothing came; None if nothing came at all."""
    out = [None] * len(app.outputs)
    for node in nodes:
        c, known = cotangents.get(node), out[node.position]
        out[node.position] = c if known is None else known if c is None else known + c
    return None if all(g is None for g in out) else out


class _Joint:
    """What a rule gives to all operands together: computed once, when the first of them is asked for."""

    __slots__ = ("_compute", "_parts")

    def __init__(self, app: Application, wanted: Sequence[int], g: Any, y: Any, xs: Sequence[Any]) -> None:
        operation = cast(JointOperation, app.primitive)
        self._compute: Callable[[], Mapping[int, Any]] = lambda: operation.pull_together(wanted, g, y, xs, app.params)
        self._parts: Mapping[int, Any] | None = None

    def of(self, k: int) -> Any:
        """The cotangent of operand k; None where it is zero."""
        if self._parts is None:
            self._parts = self._compute()
        return self._parts[k]


class _Named(dict[Node, Any]):
    """While tracing, the cotangent of h is called h_bar, and equations say whose rule they belong to."""

    def __init__(self, cotangents: dict[Node, Any], b: Builder) -> None:
        super().__init__(cotangents)
        self.builder = b

    def __setitem__(self, operand: Node, cotangent: Value) -> None:
        super().__setitem__(operand, cotangent)
        own, var = raw(operand), raw(cotangent)
        if isinstance(var, Var) and isinstance(own, Var) and own.name and not var.name:
            var.name = own.name + "_bar"
        self.builder.rule = ""


def _traced_contribution(part: Slice, app: Application, *values: Any) -> Any:
    b = builder()
    assert b is not None
    b.rule = app.primitive.name  # until the contribution is added, by an equation of the same rule
    return _contribution(part, app, *values)


def undo_broadcasting(cotangent: Any, operand: Any) -> Any:
    """A cotangent in the operand's shape and dtype: the one place where broadcasting is undone."""
    own = operand.value if isinstance(operand, Node) else operand
    value = cotangent.value if isinstance(cotangent, Node) else cotangent
    if (
        isinstance(value, _ARRAYS)
        and isinstance(own, _ARRAYS)
        and value.shape == own.shape
        and value.dtype is own.dtype
    ):
        return cotangent
    have, want = shape_of(value), () if type(own) in PYTHON_SCALARS else own.shape
    if not same_shape(have, want):
        cotangent = _unbroadcast(cotangent, have, want)
    if type(own) not in PYTHON_SCALARS and (type(value) in PYTHON_SCALARS or value.dtype != own.dtype):
        cotangent = derivative_as(cotangent, own.dtype)
    return cotangent


def _unbroadcast(g: Value, have: Shape, want: Shape) -> Any:
    """Sum over the axes along which the operand was repeated; repeat where the rule did not."""
    if len(have) >= len(want):
        extra = len(have) - len(want)
        if extra:
            g = _sum(g, axis=tuple(range(-len(have), -len(want))))
            have = shape_of(g)
        axes = tuple(i - len(want) for i, n in enumerate(have) if is_one(want[i]) and not is_one(n))
        if axes:
            g = _sum(g, axis=axes, keepdims=True)
    if not same_shape(shape_of(g), want):
        g = broadcast_to_(g, shape=tuple(want))
    return g
