"""The tape run again: on other numbers, in another dtype, without recording."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from clearprop.autodiff.tape import Slice
from clearprop.primitives import Zero
from clearprop.program.types import PYTHON_SCALARS, is_floating
from clearprop.program.values import Application, Node

Cast = Callable[[Any], Any]


def casting(dtype: Any) -> Cast:
    """The map of stored values to another floating dtype; what is not floating stays."""

    def cast(value: Any) -> Any:
        if type(value) in PYTHON_SCALARS or not is_floating(value.dtype):
            return value
        return np.asarray(value, dtype)[()]

    return cast


def replay(part: Slice, start: Mapping[Node, Any], cast: Cast) -> dict[Node, Any]:
    """Values of all nodes of the slice, computed again from `start`; all else is as it was stored.

    Applications through which, by declaration, no derivative flows keep their stored values, so that what is
    differentiated numerically is the same function.
    """
    values: dict[Node, Any] = dict(start)
    with np.errstate(all="ignore"):
        for app, nodes, links in part.steps:
            xs = [
                values[a] if isinstance(a, Node) and a in values else cast(x)
                for a, x in zip(app.inputs, app.raw, strict=True)
            ]
            out = cast(app.outputs) if _is_constant(app, links) else _applied(app, xs, cast)
            for node in nodes:
                values[node] = out[node.position] if type(app.outputs) is tuple else out
    return values


def _applied(app: Application, xs: list[Any], cast: Cast) -> Any:
    if app.primitive.name == "astype":
        return cast(xs[0])
    return app.primitive.run(xs, app.params)


def _is_constant(app: Application, links: Sequence[tuple[int, Node]]) -> bool:
    """Whether every derivative with respect to what varies is declared zero."""
    rules = app.primitive.rules
    return all(isinstance(rules[0 if app.primitive.variadic else k], Zero) for k, _ in links)
