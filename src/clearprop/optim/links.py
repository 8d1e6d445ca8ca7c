"""The links that optimizers are chained of: momentum, adaptive scaling, decay, clipping, learning rate."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from clearprop.arrays.tensor import Tensor
from clearprop.optim.hyper import FRACTION, NOT_NEGATIVE, POSITIVE, hyper
from clearprop.optim.schedules import Schedule
from clearprop.optim.transform import Leafwise, Transform, View, operand
from clearprop.program.tracing import shape_of
from clearprop.program.types import type_of
from clearprop.program.values import raw
from clearprop.rules.elementwise import clip, minimum, sqrt, square
from clearprop.rules.reductions import sum

Mask = str | tuple[str, ...] | Callable[[str, Any], bool]


def chosen_by(mask: Mask, path: str, leaf: Any) -> bool:
    """Whether a mask chooses a parameter: "all", "matrices" (two axes or more), path patterns, or a function."""
    if callable(mask):
        return bool(mask(path, leaf))
    if mask in ("all", "matrices"):
        return mask == "all" or len(shape_of(leaf)) >= 2
    patterns = (mask,) if isinstance(mask, str) else mask
    return any(re.fullmatch(".*".join(map(re.escape, p.split("*"))), path) for p in patterns)


class scale(Leafwise):
    """U = factor · g."""

    factor: float = hyper()

    def leaf(self, g: Any, p: Any) -> tuple[Any, ...]:
        """The rule."""
        return (self.factor * g,)


class scale_by_learning_rate(Transform):
    """U = −η_t · g, with η a number or a schedule of the step number t = 0, 1, …."""

    learning_rate: float | Schedule = hyper(default=1e-3, within=NOT_NEGATIVE)

    def init(self, params: Any) -> dict[str, Any]:
        """The step number, if there is a schedule."""
        return {"t": Tensor(np.int64(0))} if isinstance(self.learning_rate, Schedule) else {}

    def update(self, grads: Any, state: dict[str, Any], params: Any, **extra: Any) -> tuple[Any, dict[str, Any]]:
        """−η_t · g for every leaf."""
        view, rate = View(params), self.learning_rate
        if isinstance(rate, Schedule):
            rate = operand(rate(state["t"]))
            state = {"t": state["t"] + 1}
        return view.build([None if g is None else -rate * g for g in view.of(grads)]), state


class trace_momentum(Leafwise):
    """Heavy ball: m ← βm + g, u = m (Polyak 1964); with `nesterov`, u = g + βm (Sutskever et al. 2013)."""

    slots = ("m",)
    momentum: float = hyper(default=0.9, within=FRACTION)
    nesterov: bool = False

    def leaf(self, g: Any, p: Any, m: Any) -> tuple[Any, ...]:
        """The rule."""
        m = self.momentum * m + g
        return (g + self.momentum * m if self.nesterov else m), m


class scale_by_adam(Leafwise):
    """m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², u = m̂/(√v̂ + ε), m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ)."""

    slots, counts = ("m", "v"), True
    b1: float = hyper(default=0.9, within=FRACTION)
    b2: float = hyper(default=0.999, within=FRACTION)
    eps: float = hyper(default=1e-8, within=NOT_NEGATIVE)

    def scalars(self, t: Any) -> tuple[Any, ...]:
        """The corrections of the two averages, which start at 0."""
        return 1 - self.b1**t, 1 - self.b2**t

    def leaf(self, g: Any, p: Any, m: Any, v: Any, of_m: Any, of_v: Any) -> tuple[Any, ...]:
        """The rule."""
        m = self.b1 * m + (1 - self.b1) * g
        v = self.b2 * v + (1 - self.b2) * square(g)
        return (m / of_m) / (sqrt(v / of_v) + self.eps), m, v


class add_weight_decay(Transform):
    """U = g + λp for the parameters that `mask` chooses.

    `mask` is "matrices" (weights of two axes or more: biases, scales and offsets of normalisation are left out),
    "all", patterns of paths such as `("*.weight",)`, or a function `(path, parameter) -> bool`.
    """

    weight_decay: float = hyper(default=0.01, within=NOT_NEGATIVE)
    mask: Mask = "matrices"

    def init(self, params: Any) -> dict[str, Any]:
        """Nothing is kept."""
        return {}

    def update(self, grads: Any, state: dict[str, Any], params: Any, **extra: Any) -> tuple[Any, dict[str, Any]]:
        """G + λp for every chosen leaf."""
        view = View(params)
        updates = [
            g + self.weight_decay * p if g is not None and chosen_by(self.mask, path, p) else g
            for g, p, path in zip(view.of(grads), view.leaves, view.paths, strict=True)
        ]
        return view.build(updates), state


class clip_by_value(Leafwise):
    """U = min(max(g, −limit), limit), element by element."""

    limit: float = hyper(default=1.0, within=POSITIVE)

    def leaf(self, g: Any, p: Any) -> tuple[Any, ...]:
        """The rule."""
        return (clip(g, -self.limit, self.limit),)


def global_norm(leaves: list[Any]) -> Any:
    """√Σ g² over all leaves, None left out; 0.0 for none."""
    total: Any = None
    for g in leaves:
        if g is not None:
            part = sum(square(g))
            total = part if total is None else total + part
    return 0.0 if total is None else sqrt(total)


class clip_by_norm(Transform):
    """U = g · min(1, limit/‖g‖), with ‖g‖ the norm over all parameters together (Pascanu et al. 2013)."""

    limit: float = hyper(default=1.0, within=POSITIVE)

    def init(self, params: Any) -> dict[str, Any]:
        """Nothing is kept."""
        return {}

    def update(self, grads: Any, state: dict[str, Any], params: Any, **extra: Any) -> tuple[Any, dict[str, Any]]:
        """All leaves by one factor."""
        view = View(params)
        given = view.of(grads)
        norm = global_norm(given)
        factor = minimum(1.0, self.limit / (norm + _tiny(norm)))
        return view.build([None if g is None else g * factor for g in given]), state


def _tiny(norm: Any) -> float:
    """The smallest normal number: it keeps 1/0 away without changing any other quotient."""
    return float(np.finfo(type_of(raw(norm)).dtype).tiny)
