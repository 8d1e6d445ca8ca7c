"""L-BFGS as a rule of a chain: the inverse Hessian from the last few steps, without a search along the line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.arrays.tensor import Tensor
from clearprop.optim.hyperparameters import COUNT, NOT_NEGATIVE, hyper
from clearprop.optim.lengths import inner_product, length_of
from clearprop.optim.schedules import Schedule
from clearprop.optim.transform import (
    Composed,
    ParameterView,
    Transform,
    operand,
    result,
    scalar_like,
    scale_by_learning_rate,
)
from clearprop.program.ir import shape_of
from clearprop.rules.elementwise import minimum, where
from clearprop.rules.joining import concat
from clearprop.rules.structural import broadcast_to, zeros_like

Leaves = Sequence[Any]


class scale_by_lbfgs(Transform):
    """u = Hg, H the inverse Hessian of the last `memory` pairs s = θ_t − θ_{t−1}, y = g_t − g_{t−1}.

    H ← (I − ρsyᵀ)H(I − ρysᵀ) + ρssᵀ, ρ = 1/sᵀy, pair after pair from H₀ = (sᵀy/yᵀy)·I, by the two loops of Nocedal
    1980 (Liu & Nocedal 1989); the first H is min(1, 1/‖g‖)·I.  A pair with sᵀy ≤ 1e-10·yᵀy says nothing of a convex
    function and is passed over, so that H stays positive definite.

    memory  how many pairs are kept

    >>> import clearprop as cl
    >>> link, p, g = cl.optim.scale_by_lbfgs(), cl.tensor([2.0, 4.0]), cl.tensor([0.6, 0.8])
    >>> u, state = link.update(g, link.init(p), p)
    >>> u
    Tensor([0.6, 0.8])
    """

    full_batch = True
    memory: int = hyper(default=10, within=COUNT._replace(high=1000))

    def init(self, params: Any) -> dict[str, Any]:
        """No pairs yet."""
        view = ParameterView(params)
        rows = {name: view.make(self._no_rows) for name in ("steps", "changes")}
        before = {name: view.make(zeros_like) for name in ("params", "gradient")}
        numbers = {"weights": Tensor(np.zeros(self.memory)), "scale": Tensor(np.float64(1.0)), "t": Tensor(np.int64(0))}
        return {**before, **rows, **numbers}

    def _no_rows(self, p: Any) -> Any:
        return broadcast_to(zeros_like(p), (self.memory, *shape_of(p))) + 0.0

    def update(self, grads: Any, state: dict[str, Any], params: Any, **extra: Any) -> tuple[Any, dict[str, Any]]:
        """The newest pair into the memory, and Hg."""
        view = ParameterView(params)
        g, trained = view.gradients(grads), [p if t else None for p, t in zip(view.leaves, view.trained, strict=True)]
        before = {name: view.of(state[name]) for name in ("params", "gradient", "steps", "changes")}
        step, change = _minus(trained, before["params"]), _minus(g, before["gradient"])
        curvature, along = inner_product(change, change), inner_product(step, change)
        known = (operand(state["t"]) > 0) & (along > 1e-10 * curvature)
        weight = where(known, 1 / where(known, along, 1.0), 0.0)
        length = length_of(g)
        first = minimum(1.0, length.by / length.norm)
        newest = where(known, along / where(known, curvature, 1.0), operand(state["scale"]))
        scale = where(operand(state["t"]) > 0, newest, first)
        steps = [_push(rows, x, known) for rows, x in zip(before["steps"], step, strict=True)]
        changes = [_push(rows, x, known) for rows, x in zip(before["changes"], change, strict=True)]
        weights = _push(operand(state["weights"]), weight, known)
        direction = _two_loops(g, steps, changes, [weights[i] for i in range(self.memory)], scale)
        own = [None if p is None else 1 * p for p in trained]  # a compiled step may write its parameters in place
        seen = [old if new is None else new for old, new in zip(before["gradient"], g, strict=True)]
        kept = {"params": own, "gradient": seen, "steps": steps, "changes": changes}
        numbers = {"weights": result(weights), "scale": result(scale), "t": state["t"] + 1}
        return view.build(direction), {name: view.build(leaves) for name, leaves in kept.items()} | numbers


def _minus(a: Leaves, b: Leaves) -> list[Any]:
    return [None if x is None or y is None else x - y for x, y in zip(a, b, strict=True)]


def _push(rows: Any, newest: Any, known: Any) -> Any:
    """The rows without the oldest and with the newest, or as they are."""
    if rows is None or newest is None:
        return rows
    row = broadcast_to(scalar_like(newest, rows), (1, *shape_of(rows)[1:]))
    return where(known, concat([rows[1:], row], axis=0), rows)


def _two_loops(g: Leaves, steps: Leaves, changes: Leaves, weights: Leaves, scale: Any) -> list[Any]:
    """Hg, from the newest pair to the oldest and back; a pair of weight 0 changes nothing."""

    def row(leaves: Leaves, i: int) -> list[Any]:
        return [None if x is None else x[i] for x in leaves]

    def plus(a: Leaves, factor: Any, b: Leaves) -> list[Any]:
        return [x if x is None or y is None else x + scalar_like(factor, x) * y for x, y in zip(a, b, strict=True)]

    q, shares = list(g), [0.0] * len(weights)
    for i in reversed(range(len(weights))):
        shares[i] = weights[i] * inner_product(row(steps, i), q)
        q = plus(q, -shares[i], row(changes, i))
    q = [None if x is None else scalar_like(scale, x) * x for x in q]
    for i, share in enumerate(shares):
        q = plus(q, share - weights[i] * inner_product(row(changes, i), q), row(steps, i))
    return q


class lbfgs(Composed):
    """L-BFGS: θ ← θ − η·Hg, H the inverse Hessian of the last pairs of steps and changes (Liu & Nocedal 1989).

    optax's form without a search along the line.  For full batches only: the noise of mini-batches is no curvature.
    To minimise a function with a search, `cl.optim.minimize(f, x)` has `quasi_newton`.

    learning_rate  η, a number or a schedule; 1 is the step to the minimum of the parabola
    memory         how many pairs are kept

    >>> import clearprop as cl
    >>> opt, p = cl.optim.lbfgs(), cl.tensor([4.0, 3.0])
    >>> state = opt.init(p)
    >>> for _ in range(3):
    ...     updates, state = opt.update(2 * p, state, p)  # the gradient of p₁² + p₂²
    ...     p = cl.optim.apply_updates(p, updates)
    >>> bool(cl.max(cl.abs(p)) < 1e-12)
    True
    """

    complete, full_batch = True, True
    learning_rate: float | Schedule = hyper(default=1.0, within=NOT_NEGATIVE, kind=Schedule)
    memory: int = hyper(default=10, within=COUNT._replace(high=1000))

    @property
    def links(self) -> tuple[Transform, ...]:
        """Curvature, learning rate."""
        return scale_by_lbfgs(self.memory), scale_by_learning_rate(self.learning_rate)
