"""Numerical derivatives that know nothing of our rules: the tape re-evaluated in float64 at shifted values."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from clearprop.autodiff.tape import Slice
from clearprop.explanation.graph import Graph
from clearprop.explanation.record import Check
from clearprop.explanation.replay import casting, replay
from clearprop.program.values import Node, raw

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
    from clearprop.primitives import REGISTRY

    return all(REGISTRY.get(app.primitive.name) is app.primitive for app, _, _ in part.steps)


def _central(graph: Graph, part: Slice, node: Node, at: int, h: float = 0.0) -> tuple[float, float, float]:
    """The difference quotient, how far rounding may have moved it, and its step."""
    value, eps = float(np.asarray(raw(node)).reshape(-1)[at]), float(np.finfo(np.float64).eps)
    h = h or eps ** (1 / 3) * max(1.0, abs(value))
    up, down = (_shifted(graph, part, node, at, s * h) for s in (1, -1))
    step = (value + h) - (value - h)
    return (up - down) / step, 16 * eps * max(abs(up), abs(down)) / h, h


def _shifted(graph: Graph, part: Slice, node: Node, at: int, step: Any, dtype: Any = np.float64) -> Any:
    moved = np.array(raw(node), dtype=dtype)
    moved.reshape(-1)[at] += step
    out = replay(part, {node: moved[()]}, casting(np.float64))
    return np.asarray(out.get(graph.target, raw(graph.target))).reshape(-1)[graph.at].item()


def _complex_step(graph: Graph, part: Slice, node: Node, at: int) -> float | None:
    """Im f(x + ih)/h, or None where a function on the way has no complex form."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            out = _shifted(graph, part, node, at, 1j * _TINY, np.complex128)
    except (TypeError, ValueError, ArithmeticError, Warning):
        return None
    return float(out.imag / _TINY) if isinstance(out, complex) and np.isfinite(out.imag) else None
