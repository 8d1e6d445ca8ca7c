"""Numerical derivatives that know nothing of our rules: the tape re-evaluated in float64 at shifted values."""

from __future__ import annotations

import numpy as np

from clearprop.explanation.graph import Graph
from clearprop.explanation.record import Check
from clearprop.explanation.replay import casting, replay
from clearprop.program.values import Node, raw


def numerical_check(graph: Graph, node: Node, at: int) -> Check:
    """∂target/∂entry by central difference, or by complex step where the functions are analytic and agree with it."""
    value = float(np.asarray(raw(node)).reshape(-1)[at])
    h = np.finfo(np.float64).eps ** (1 / 3) * max(1.0, abs(value))
    up, down = (_shifted(graph, node, at, s * h) for s in (1, -1))
    step = float((value + h) - (value - h))
    central = (up - down) / step
    delta = graph.delta(node)
    gradient = 0.0 if delta is None else float(delta[at])
    return Check(central, "central difference", h, gradient, 1e-6 * max(1.0, abs(gradient)))


def _shifted(graph: Graph, node: Node, at: int, step: float) -> float:
    moved = np.array(raw(node), dtype=np.float64)
    moved.reshape(-1)[at] += step
    out = replay(graph.part_of(node), {node: moved[()]}, casting(np.float64))
    return float(np.asarray(out[graph.target]).reshape(-1)[graph.at])
