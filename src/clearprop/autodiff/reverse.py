"""Reverse mode: cotangents flow from the outputs back to the leaves, each application visited once.

The sweep is the same for numbers and for programs.  What it works on is decided by `mode`: arrays (the eager
case), nodes off the tape (while a program is traced), or nodes on the tape (inside another transform, which
then differentiates the sweep itself).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clearprop.autodiff.tape import Slice
from clearprop.errors import GradientError
from clearprop.program.ir import Var
from clearprop.program.tracing import builder, shape_of
from clearprop.program.types import PYTHON_SCALARS
from clearprop.program.values import Application, Node, quiet, raw
from clearprop.rules.elementwise import astype
from clearprop.rules.reductions import sum as _sum
from clearprop.rules.structural import broadcast_to_
from clearprop.shapes import is_one, same_shape

Reader = Callable[[Any], Any]


def reader(part: Slice, traced: bool) -> Reader:
    """How a sweep sees the values on the tape: as arrays, as untracked nodes, or as the nodes themselves."""
    if part.surrounded:
        return lambda a: a
    if traced:
        return lambda a: Node.tensor(raw(a)) if isinstance(raw(a), Var) else raw(a)
    return raw


def sweep(part: Slice, cotangents: dict[Node, Any], read: Reader) -> dict[Node, Any]:
    """Cotangents of all nodes of the slice that the given ones reach; `cotangents` is consumed."""
    b = builder()
    with quiet():
        for app, nodes, links in reversed(part.steps):
            several = type(app.outputs) is tuple
            g = _of_several(app, nodes, cotangents) if several else cotangents.get(nodes[0])
            if g is None:
                continue
            if read is raw:
                xs, y = app.raw, app.outputs
            else:
                xs, y = [read(a) for a in app.inputs], read(nodes[0])
            pullback, params = app.primitive.pullback, app.params
            for k, operand in links:
                if b is not None:
                    b.rule = app.primitive.name
                try:
                    c = pullback(k, g, y, xs, params)
                except GradientError:
                    if part.reaches(operand):
                        raise
                    c = None  # no derivative is declared, and none is needed: the operand was made constant
                if c is None:
                    continue
                x = xs[k]
                if c.__class__ is not x.__class__ or c.__class__ is np.ndarray or read is not raw:
                    c = fit(c, x)  # NumPy scalars of one class fit as they are
                known = cotangents.get(operand)
                # never in place: an identity rule hands the same array on
                cotangents[operand] = c = c if known is None else known + c
                if b is not None:
                    _name(c, operand)
                    b.rule = ""
    return cotangents


def _of_several(app: Application, nodes: list[Node], cotangents: dict[Node, Any]) -> Any:
    """The cotangents of several outputs, None where nothing came; None if nothing came at all."""
    out = [None] * len(app.outputs)
    for node in nodes:
        out[node.position] = cotangents.get(node)
    return None if all(g is None for g in out) else out


def _name(cotangent: Any, operand: Node) -> None:
    """While tracing, the cotangent of h is called h_bar."""
    own, var = raw(operand), raw(cotangent)
    if isinstance(var, Var) and isinstance(own, Var) and own.name and not var.name:
        var.name = own.name + "_bar"


def fit(cotangent: Any, operand: Any) -> Any:
    """A cotangent in the operand's shape and dtype: the one place where broadcasting is undone."""
    own, value = raw(operand), raw(cotangent)
    if value.__class__ is own.__class__ is np.ndarray and value.shape == own.shape and value.dtype is own.dtype:
        return cotangent
    have, want = shape_of(value), () if type(own) in PYTHON_SCALARS else own.shape
    if not same_shape(have, want):
        cotangent = _unbroadcast(cotangent, have, want)
    if type(own) not in PYTHON_SCALARS and (type(value) in PYTHON_SCALARS or value.dtype != own.dtype):
        cotangent = astype(cotangent, dtype=own.dtype)
    return cotangent


def _unbroadcast(g: Any, have: Sequence[Any], want: Sequence[Any]) -> Any:
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
