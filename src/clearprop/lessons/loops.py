"""The experiments of the lessons about loops.  Each returns its numbers by name, as those in `experiments` do."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.arrays.functions import FUNCTIONS
from clearprop.arrays.tensor import tensor
from clearprop.autodiff.transforms import grad
from clearprop.control import scan
from clearprop.explanation import explain
from clearprop.optim import minimize
from clearprop.program.values import raw

_tanh, _sin, _mean = (FUNCTIONS[n] for n in ("tanh", "sin", "mean"))


def recurrent_cell() -> dict[str, Any]:
    """A cell with one number as its memory, on three numbers; the loss is its last memory."""
    w = tensor(0.5, name="w", requires_grad=True)
    x = tensor([0.4, -0.6, 0.8], name="x")

    def step(h: Any, x: Any) -> tuple[Any, Any]:
        h = _tanh(w * h + x)
        return h, h

    last, states = scan(step, 0.0, x)
    h1, h2, h3 = states.tolist()
    weight = float(raw(w))
    delta2 = (1 - h3**2) * weight
    delta1 = delta2 * (1 - h2**2) * weight
    entry = explain(last, wrt=w, index=())
    return {
        "w": w, "x": x, "x1": x[0], "x2": x[1], "h1": h1, "h2": h2, "h3": h3,
        "slope3": 1 - h3**2, "slope2": 1 - h2**2, "delta2": delta2,
        "term3": (1 - h3**2) * h2, "term2": delta2 * (1 - h2**2) * h1, "term1": delta1 * (1 - h1**2) * 0.0,
        "dw": entry.value, "opened": _loop_of(entry),
        "back3": delta2, "back2": weight * (1 - h2**2),
    }  # fmt: skip


def pendulum() -> dict[str, Any]:
    """Two steps of a pendulum by hand, and a longer swing whose strength and damping are fitted."""
    s, q0, measured, rate = 0.5, 1.0, 0.2, 0.5
    k = tensor(1.0, name="k", requires_grad=True)

    def loss(k: Any) -> Any:
        return (_swing(k, 0.0, 2, s, q0)[0] - measured) ** 2

    strength = float(raw(k))
    v1 = -s * strength * np.sin(q0)
    q1 = q0 + s * v1
    v2 = v1 - s * strength * np.sin(q1)
    q2 = q1 + s * v2
    dv1 = -s * np.sin(q0)
    dq1 = s * dv1
    dv2 = dv1 - s * np.sin(q1) - s * strength * np.cos(q1) * dq1
    dq2 = dq1 + s * dv2
    dk = 2 * (q2 - measured) * dq2
    new_k = strength - rate * dk
    return {
        "s": s, "q0": q0, "measured": measured, "k": strength, "rate": rate, "q1": q1, "v2": v2, "q2": q2,
        "loss": (q2 - measured) ** 2, "dv1": dv1, "dq1": dq1, "dv2": dv2, "dq2": dq2, "pull": 2 * (q2 - measured),
        "dk": dk, "by_reverse": grad(loss)(strength), "opened": _loop_of(explain(loss(k), wrt=k, index=())),
        "new_k": new_k, "new_loss": loss(new_k), **_fitted_swing(),
    }  # fmt: skip


def _swing(k: Any, c: Any, steps: int, s: float, q0: float) -> tuple[Any, Any]:
    """The last angle, and that after each step, of a pendulum of strength k and damping c that is let go at q0."""

    def step(state: tuple[Any, Any], _: None) -> tuple[tuple[Any, Any], Any]:
        q, v = state
        v = v - s * (k * _sin(q) + c * v)
        q = q + s * v
        return (q, v), q

    (q, _), angles = scan(step, (q0, 0.0), length=steps)
    return q, angles


def _fitted_swing() -> dict[str, Any]:
    """Strength and damping found from the angles of a swing."""
    true_k, true_c, count = 1.7, 0.2, 60
    angles = _swing(true_k, true_c, count, 0.1, 1.0)[1]

    def loss(p: dict[str, Any]) -> Any:
        return _mean((_swing(p["k"], p["c"], count, 0.1, 1.0)[1] - angles) ** 2)

    found = minimize(loss, {"k": 1.0, "c": 0.0})
    return {
        "true_k": true_k, "true_c": true_c, "count": count, "steps": found.steps,
        "fitted_k": found.x["k"], "fitted_c": found.x["c"],
    }  # fmt: skip


def _loop_of(entry: Any) -> Any:
    """What the loop among the factors of an entry opens into."""
    (loop,) = (f for term in entry.terms for f in term.factors if f.operation == "scan")
    return loop.body()
