"""Composites opened on request: the body of an operation, recorded and explained like any other program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.arrays import Tensor
from clearprop.explanation.derivation import Derivation
from clearprop.explanation.explanations import Entry, open_entry
from clearprop.explanation.jacobians import Elementwise, LocalJacobian, wide
from clearprop.explanation.labels import Given, Labels, short_name
from clearprop.program.types import PYTHON_SCALARS
from clearprop.program.values import RECORDING, Node, raw


def open_body(labels: Labels, local: LocalJacobian, inner: int, out: int) -> Entry:
    """∂out/∂in of one application of a composite, through the operations of its body, in float64."""
    values, names, at, target = _inputs(labels, local, inner, out)
    leaf = Tensor(values[local.k])
    leaf.requires_grad, leaf.name = True, names[local.k]
    constants = {id(v): n for v, n in zip(values, names, strict=True) if n}
    output = _record_body(local, [*values[: local.k], leaf, *values[local.k + 1 :]])
    given = Given(constants, target=short_name(local.primitive.name))
    return open_entry(Derivation(output, target, [leaf], given, open_body), leaf, at)


def _inputs(labels: Labels, local: LocalJacobian, inner: int, out: int) -> tuple[list[Any], list[str], int, int]:
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


def _record_body(local: LocalJacobian, inputs: Sequence[Any]) -> Node:
    """The output of the body, with the user's line as the line of every operation in it."""
    body = local.body
    assert body is not None
    before, RECORDING.on = RECORDING.on, True
    try:
        outputs = body(*inputs, **local.app.params)
    finally:
        RECORDING.on = before
    node = outputs[local.node.position] if type(outputs) is tuple else outputs
    return node if isinstance(node, Node) else Tensor(node)
