"""The tape run again, on other numbers or in another dtype: for numerical derivatives, and for comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from clearprop.arrays import Tensor
from clearprop.autodiff.tape import Slice
from clearprop.primitives import Zero
from clearprop.program.types import PYTHON_SCALARS, is_floating
from clearprop.program.values import RECORDING, Application, Node, raw

Cast = Callable[[Any], Any]


def casting(dtype: Any) -> Cast:
    """The map of stored values to another floating dtype; what is not floating stays.  One value has one image."""
    known: dict[int, tuple[Any, Any]] = {}

    def cast(value: Any) -> Any:
        if type(value) in PYTHON_SCALARS or not is_floating(value.dtype) or value.dtype == dtype:
            return value
        if id(value) not in known:
            known[id(value)] = value, np.asarray(value, dtype)[()]
        return known[id(value)][1]

    return cast


def replay(part: Slice, start: Mapping[Node, Any], cast: Cast) -> dict[Node, Any]:
    """Values of all nodes of the slice, computed again from `start`; all else is as it was stored.

    Applications through which, by declaration, no derivative flows keep their stored values, so that what is
    differentiated numerically is the same function.
    """
    values: dict[Node, Any] = dict(start)
    with np.errstate(all="ignore"):
        for app, nodes, links in part.steps:
            xs = list(map(cast, app.raw))
            for k, node in links:
                xs[k] = values[node]
            out = cast(app.outputs) if is_constant(app, links) else _applied(app, xs)
            for node in nodes:
                values[node] = out[node.position] if type(app.outputs) is tuple else out
    return values


def _applied(app: Application, xs: list[Any]) -> Any:
    return xs[0] if app.primitive.name == "astype" else app.primitive.run(xs, app.params)


def is_constant(app: Application, links: Sequence[tuple[int, Node]]) -> bool:
    """Whether every derivative with respect to what varies is declared zero."""
    rules = app.primitive.rules
    return all(isinstance(rules[0 if app.primitive.variadic else k], Zero) for k, _ in links)


def recorded_again(part: Slice, sources: Sequence[Node], cast: Cast) -> dict[Node, Node]:
    """The slice recorded once more in another dtype: the new node for every old one, made on the same lines."""
    made: dict[Node, Node] = {v: _leaf(cast(raw(v)), v.name) for v in sources}
    before, RECORDING.on = RECORDING.on, True
    try:
        for app, nodes, links in part.steps:
            inputs = list(map(cast, app.raw))
            for k, node in links:
                inputs[k] = made[node]
            out = inputs[0] if app.primitive.name == "astype" else app.primitive(*inputs, **app.params)
            for node in nodes:
                new = out[node.position] if type(out) is tuple else out
                made[node] = _named(new, node, app)
    finally:
        RECORDING.on = before
    return made


def _leaf(value: Any, name: str) -> Node:
    leaf = Tensor(value)
    leaf.requires_grad, leaf.name = True, name
    return leaf


def _named(new: Node, old: Node, app: Application) -> Node:
    new.name = old.name
    if new.application is not None:
        new.application.site = app.site
    return new
