"""The tape run again, on other numbers or in another dtype: for comparison, and for numerical derivatives.

The numerical derivatives know nothing of our rules: they are differences of the tape, re-evaluated in float64.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from clearprop.arrays import Tensor
from clearprop.autodiff.tape import Slice
from clearprop.explanation.chain_rule import Graph
from clearprop.explanation.record import Check
from clearprop.primitives import REGISTRY, Zero
from clearprop.program.process_lock import process_lock
from clearprop.program.types import PYTHON_SCALARS, is_floating
from clearprop.program.values import RECORDING, Application, Node, complex_step, raw

Cast = Callable[[Any], Any]


def casting(dtype: Any) -> Cast:
    """The map of stored values to another floating dtype; what is not floating stays.  One value has one image."""
    known: dict[int, tuple[Any, Any]] = {}

    def cast(value: Any) -> Any:
        if type(value) in PYTHON_SCALARS or not is_floating(value.dtype) or value.dtype == dtype:
            return value
        if id(value) not in known:
            image = np.asarray(value, dtype)
            image.flags.writeable = False  # so that it keeps its identity, and with it its name, where it is recorded
            known[id(value)] = value, image[()]
        return known[id(value)][1]

    return cast


def replay(part: Slice, start: Mapping[Node, Any], cast: Cast) -> dict[Node, Any]:
    """Values of all nodes of the slice, computed again from `start`; all else is as it was stored.

    Applications through which, by declaration, no derivative flows keep their stored values, so that what is
    differentiated numerically is the same function.
    """
    values: dict[Node, Any] = dict(start)
    with np.errstate(all="ignore"):
        for app, nodes, positions in part.steps():
            xs = list(map(cast, app.raw))
            for k in positions:
                xs[k] = values[app.inputs[k]]
            out = cast(app.outputs) if is_constant(app, positions) else _run_again(app, xs)
            for node in nodes:
                values[node] = out[node.position] if type(app.outputs) is tuple else out
    return values


def _run_again(app: Application, xs: list[Any]) -> Any:
    return xs[0] if app.primitive.facts.converts else app.primitive.run(xs, app.params)


def is_constant(app: Application, positions: Sequence[int]) -> bool:
    """Whether every derivative with respect to what varies is declared zero."""
    rules = app.primitive.rules
    return all(isinstance(rules[0 if app.primitive.variadic else k], Zero) for k in positions)


def recorded_again(part: Slice, sources: Sequence[Node], cast: Cast) -> dict[Node, Node]:
    """The slice recorded once more in another dtype: the new node for every old one, made on the same lines."""
    made: dict[Node, Node] = {v: _leaf(cast(raw(v)), v.name) for v in sources}
    before, RECORDING.on = RECORDING.on, True
    try:
        for app, nodes, positions in part.steps():
            # arrays go in as tensors: of an array by itself the tape would keep a copy, which nobody has a name for
            inputs = [Tensor(v) if isinstance(v, np.ndarray) else v for v in map(cast, app.raw)]
            for k in positions:
                inputs[k] = made[app.inputs[k]]
            out = inputs[0] if app.primitive.facts.converts else app.primitive(*inputs, **app.params)
            for node in nodes:
                new = out[node.position] if type(out) is tuple else out
                made[node] = _keep_name(new, node, app)
    finally:
        RECORDING.on = before
    return made


def _leaf(value: Any, name: str) -> Node:
    leaf = Tensor(value)
    leaf.requires_grad, leaf.name = True, name
    return leaf


def _keep_name(new: Node, old: Node, app: Application) -> Node:
    new.name = old.name
    if new.application is not None:
        new.application.site = app.site
    return new


# --------------------------------------------------------------------------------------- numerical derivatives
TOLERANCE = 1e-6
_TINY, _ROUNDING = 1e-30, 1e-13
"""The complex step; and what a sum of many terms may lose to rounding, relative to the function's size."""


def numerical_check(graph: Graph, node: Node, at: int, gradient: float) -> Check:
    """∂target/∂entry by central difference, sharpened by a complex step where that is possible and agrees.

    The central difference (f(x + h) − f(x − h))/2h knows 10 digits at best, the complex step Im f(x + ih)/h all of
    them (Squire & Trapp 1998), but only for functions whose NumPy spelling is analytic.
    """
    if graph.is_target(node):
        own = 1.0 if at == graph.at else 0.0
        return Check(gradient, own, 0.0, None, 0.0)
    part = Slice([graph.target], [node])
    note = "" if part_is_smooth(part) else "a rule of the user's own stands on the way"
    central, noise, h = _central(graph, part, node, at)
    sharp = _complex_step(graph, part, node, at)
    if sharp is not None and abs(sharp - central) <= noise + TOLERANCE * abs(central):
        scale = max(1.0, abs(float(np.asarray(raw(graph.target)).reshape(-1)[graph.at])))
        return Check(gradient, central, h, sharp, TOLERANCE * abs(sharp) + _ROUNDING * scale, note)
    noise += abs(central - _central(graph, part, node, at, 2 * h)[0])
    return Check(gradient, central, h, None, noise + TOLERANCE * abs(central), note)


def part_is_smooth(part: Slice) -> bool:
    """Whether every rule on the way is the derivative of its function, and not one that a user declared to be."""
    return all(app.primitive.joint or REGISTRY.get(app.primitive.name) is app.primitive for app, _, _ in part.steps())


def _central(graph: Graph, part: Slice, node: Node, at: int, h: float = 0.0) -> tuple[float, float, float]:
    """The difference quotient, how far rounding may have moved it, and its step."""
    value, eps = float(np.asarray(raw(node)).reshape(-1)[at]), float(np.finfo(np.float64).eps)
    h = h or eps ** (1 / 3) * max(1.0, abs(value))
    up, down = (_value_shifted(graph, part, node, at, s * h) for s in (1, -1))
    step = (value + h) - (value - h)
    return (up - down) / step, 16 * eps * max(abs(up), abs(down)) / h, h


def _value_shifted(graph: Graph, part: Slice, node: Node, at: int, step: Any, dtype: Any = np.float64) -> Any:
    moved = np.array(raw(node), dtype=dtype)
    moved.reshape(-1)[at] += step
    out = replay(part, {node: moved[()]}, casting(np.float64))
    return np.asarray(out.get(graph.target, raw(graph.target))).reshape(-1)[graph.at].item()


def _complex_step(graph: Graph, part: Slice, node: Node, at: int) -> float | None:
    """Im f(x + ih)/h, or None where a function on the way has no complex form."""
    try:
        with _warnings_as_errors(part), complex_step():
            out = _value_shifted(graph, part, node, at, 1j * _TINY, np.complex128)
    except (TypeError, ValueError, ArithmeticError, Warning):
        return None
    return float(out.imag / _TINY) if isinstance(out, complex) and np.isfinite(out.imag) else None


_FILTERS = process_lock()


@contextmanager
def _warnings_as_errors(part: Slice) -> Iterator[None]:
    """A function of the user's may warn that it drops the imaginary part; ours refuse complex numbers.

    Filters of warnings belong to the whole process: they are touched only where they must be, by one thread at a time.
    """
    if all(app.primitive.__module__.startswith(_OURS) for app, _, _ in part.steps()):
        yield
        return
    with _FILTERS, warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


_OURS = "clearprop."
