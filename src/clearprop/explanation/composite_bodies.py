"""Composites opened on request: the body of an operation, recorded and explained like any other program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.arrays import Tensor
from clearprop.explanation.jacobians import Elementwise, Local, wide
from clearprop.explanation.labels import Given, Labels, written
from clearprop.explanation.record import Entry
from clearprop.explanation.session import Session
from clearprop.program.types import PYTHON_SCALARS
from clearprop.program.values import RECORDING, Node, raw


def opened_body(labels: Labels, local: Local, inner: int, out: int) -> Entry:
    """∂out/∂in of one application of a composite, through the operations of its body."""
    values, names, at, target = _inputs(labels, local, inner, out)
    leaf = Tensor(values[local.k])
    leaf.requires_grad, leaf.name = True, names[local.k]
    constants = {id(v): n for v, n in zip(values, names, strict=True) if n}
    made = _recorded(local, [*values[: local.k], leaf, *values[local.k + 1 :]])
    given = Given(constants, target=written(local.primitive.name))
    session = Session(made, target, [leaf], given)
    return session.opener.open(leaf, at)


def _inputs(labels: Labels, local: Local, inner: int, out: int) -> tuple[list[Any], list[str], int, int]:
    """Operands and their names, and where in them and in the output the entry stands.

    An elementwise operation is opened at the one entry; of the others the whole arrays are needed.
    """
    if not isinstance(local, Elementwise):
        whole = [wide(v) for v in local.app.raw]
        return whole, [labels.whole(v) for v in local.app.inputs], inner, out
    picked, _ = local.picked(np.array([out]))
    met = local.values_at(out)
    names = [labels.entry(*met[o]).text if type(raw(met[o][0])) not in PYTHON_SCALARS else "" for o in met if o != "y"]
    return [v if type(v) in PYTHON_SCALARS else v[0] for v in picked], names, 0, 0


def _recorded(local: Local, inputs: Sequence[Any]) -> Node:
    """The output of the body, with the user's line as the line of every operation in it."""
    body = local.primitive.body
    assert body is not None
    before, RECORDING.on = RECORDING.on, True
    try:
        made = body(*inputs, **local.app.params)
    finally:
        RECORDING.on = before
    node = made[local.node.position] if type(made) is tuple else made
    return node if isinstance(node, Node) else Tensor(node)
