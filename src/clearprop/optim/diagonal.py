"""Diagonal Newton methods: every parameter scaled by its own curvature, estimated with random probes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from clearprop.arrays.tensor import Tensor
from clearprop.optim.basic_transforms import MASKS, Mask, add_weight_decay
from clearprop.optim.hyperparameters import COUNT, FRACTION, NOT_NEGATIVE, POSITIVE, hyper
from clearprop.optim.schedules import Schedule
from clearprop.optim.transform import (
    Composed,
    ParameterView,
    Transform,
    kept_square,
    operand,
    scalar_like,
    scale_by_learning_rate,
)
from clearprop.optim.update_arguments import require_argument
from clearprop.program.ir import shape_of
from clearprop.program.types import type_of
from clearprop.program.values import raw
from clearprop.rules import random
from clearprop.rules.elementwise import astype, clip, equal, floor, maximum, sqrt, square, where
from clearprop.rules.structural import zeros_like

_STREAM = 0x6E77746E  # keeps the probes' random numbers apart from those of random layers, which share the key


class _Probed(Transform):
    """A rule on averages m of the gradient and h of the probed curvature v ⊙ Hv, v = ±1 at random (Hutchinson 1990)."""

    needs: ClassVar[frozenset[str]] = frozenset({"hvp", "rng"})

    def init(self, params: Any) -> dict[str, Any]:
        """The step number, and both averages."""
        view = ParameterView(params)
        return {"t": Tensor(np.int64(0)), "m": view.make(zeros_like), "h": view.make(zeros_like)}

    def update(self, grads: Any, state: dict[str, Any], params: Any, **extra: Any) -> tuple[Any, dict[str, Any]]:
        """Every trained leaf through the rule."""
        view, t = ParameterView(params), state["t"] + 1
        probes = [_signs(self._key(extra, i), p) if c else None for i, (p, c) in enumerate(_trained_leaves(view))]
        curved = view.gradients(_hessian_product(require_argument(self, extra, "hvp"), view, probes))
        m, h = view.of(state["m"], "slots 'm'"), view.of(state["h"], "slots 'h'")
        updates = view.gradients(grads)
        for i, (g, v, hv) in enumerate(zip(updates, probes, curved, strict=True)):
            if g is not None:
                updates[i], m[i], h[i] = self.leaf(operand(t), g, v * hv, m[i], h[i])
        return view.build(updates), {"t": t, "m": view.build(m), "h": view.build(h)}

    def _key(self, extra: dict[str, Any], i: int) -> Any:
        return random.fold_in(require_argument(self, extra, "rng"), _STREAM + i)

    def leaf(self, t: Any, g: Any, curvature: Any, m: Any, h: Any) -> tuple[Any, Any, Any]:
        """`(update, m, h)` from the step number, the gradient and the probed curvature."""
        raise NotImplementedError


def _trained_leaves(view: ParameterView) -> list[tuple[Any, bool]]:
    return list(zip(view.leaves, view.trained, strict=True))


def _signs(key: Any, p: Any) -> Any:
    """+1 or −1, each with probability ½, in the shape and dtype of a parameter."""
    heads = operand(random.bernoulli(key, 0.5, shape_of(p)))
    return astype(where(heads, 1.0, -1.0), dtype=type_of(raw(p)).dtype)


def _hessian_product(hvp: Callable[[Any], Any], view: ParameterView, probes: list[Any]) -> Any:
    """The Hessian times the probes; leaves that are not trained stand still."""
    pairs = zip(view.leaves, probes, strict=True)
    return hvp(view.build([zeros_like(p) if v is None else v for p, v in pairs]))


class scale_by_curvature(_Probed):
    """m ← β₁m + (1 − β₁)g, h ← β₂h + (1 − β₂)(v ⊙ Hv)², u = m̂/(√ĥᵏ + ε), hats corrected as in Adam.

    AdaHessian's scaling (Yao et al. 2021); v = ±1 at random.

    b1     β₁, the share of m that a step keeps
    b2     β₂, the share of h that a step keeps
    eps    ε, which bounds u where the curvature is next to 0
    power  k, the power of the root: 0 leaves the curvature out

    >>> import clearprop as cl
    >>> f, p = lambda x: 2 * cl.square(x), cl.tensor(3.0)
    >>> link, hvp = cl.optim.scale_by_curvature(eps=0.0), lambda v: cl.hvp(f, p, v)
    >>> link.update(cl.grad(f)(p), link.init(p), p, hvp=hvp, rng=cl.random.key(0))[0]
    Tensor(3.0)
    """

    b1: float = hyper(default=0.9, within=FRACTION)
    b2: float = hyper(default=0.999, within=FRACTION)
    eps: float = hyper(default=1e-4, within=NOT_NEGATIVE)
    power: float = hyper(default=1.0, within=NOT_NEGATIVE)

    def leaf(self, t: Any, g: Any, curvature: Any, m: Any, h: Any) -> tuple[Any, Any, Any]:
        """The rule."""
        m = self.b1 * m + (1 - self.b1) * g
        h = self.b2 * h + (1 - self.b2) * square(curvature)
        scale = sqrt(h / scalar_like(1 - self.b2**t, g)) ** self.power
        return m / scalar_like(1 - self.b1**t, g) / (scale + self.eps), m, kept_square(h)


class scale_by_clipped_curvature(_Probed):
    """m ← β₁m + (1 − β₁)g, h ← β₂h + (1 − β₂)v ⊙ Hv in every k-th step, u = clip(m/max(γh, ε), ±limit).

    Sophia-H's scaling (Liu et al. 2023); v = ±1 at random.

    b1     β₁, the share of m that a step keeps
    b2     β₂, the share of h that a look at the curvature keeps
    eps    ε, the least denominator
    gamma  γ, how much of the curvature counts
    limit  the largest absolute value of an element
    every  k, how often the curvature is looked at

    >>> import clearprop as cl
    >>> f, p = lambda x: 2 * cl.square(x), cl.tensor(3.0)
    >>> link, hvp = cl.optim.scale_by_clipped_curvature(gamma=100.0), lambda v: cl.hvp(f, p, v)
    >>> link.update(cl.grad(f)(p), link.init(p), p, hvp=hvp, rng=cl.random.key(0))[0]
    Tensor(0.105)
    """

    b1: float = hyper(default=0.965, within=FRACTION)
    b2: float = hyper(default=0.99, within=FRACTION)
    eps: float = hyper(default=1e-12, within=POSITIVE)
    gamma: float = hyper(default=0.01, within=POSITIVE)
    limit: float = hyper(default=1.0, within=POSITIVE)
    every: int = hyper(default=10, within=COUNT)

    def leaf(self, t: Any, g: Any, curvature: Any, m: Any, h: Any) -> tuple[Any, Any, Any]:
        """The rule."""
        m = self.b1 * m + (1 - self.b1) * g
        before = t - 1
        looked = equal(floor(before / self.every) * self.every, before)
        h = where(looked, self.b2 * h + (1 - self.b2) * curvature, h)
        return clip(m / maximum(self.gamma * h, self.eps), -self.limit, self.limit), m, h


class diag_newton(Composed):
    """Newton's step with the Hessian's diagonal alone, estimated by v ⊙ Hv with exact products and v = ±1 at random.

    Without `clip` this is AdaHessian (Yao et al. 2021): θ ← θ − η·(m̂/(√ĥᵏ + ε) + λθ), h the average of the squared
    estimates and k = `power`.  With `clip` it is Sophia-H (Liu et al. 2023): clip(m/max(γh, ε), ±clip) in place of the
    quotient, h the average of the estimates themselves, taken in every `every`-th step; where h is not positive the
    step is ±clip.  γ = `gamma`.  Sophia's paper has b1 = 0.965, b2 = 0.99, eps = 1e-12.

    A step costs about three gradients, compiled also where Sophia leaves the estimate out.  One probe is noisy: the
    averages need b2 near 1.  Convolutions' kernels are not averaged over their area, as the authors of AdaHessian do.

    learning_rate  η, a number or a schedule
    b1             the share of m that a step keeps
    b2             the share of h that a step keeps
    eps            ε, which bounds the step where the curvature is next to 0
    power          k, the power of AdaHessian's root
    clip           Sophia's bound of every element; None: AdaHessian
    gamma          γ, how much of the curvature counts in Sophia
    every          how often Sophia looks at the curvature
    weight_decay   λ
    mask           what decays, as in `add_weight_decay`

    >>> import clearprop as cl
    >>> f = lambda p: 50 * p["steep"] ** 2 + 0.005 * p["flat"] ** 2
    >>> found = cl.optim.minimize(f, {"steep": 1.0, "flat": 1.0}, cl.optim.diag_newton(0.5, eps=1e-8), steps=40)
    >>> {name: round(float(v), 4) for name, v in found.x.items()}
    {'steep': -0.0047, 'flat': -0.0047}
    """

    complete = True
    needs = _Probed.needs
    learning_rate: float | Schedule = hyper(default=0.15, within=NOT_NEGATIVE, kind=Schedule)
    b1: float = hyper(default=0.9, within=FRACTION)
    b2: float = hyper(default=0.999, within=FRACTION)
    eps: float = hyper(default=1e-4, within=POSITIVE)
    power: float = hyper(default=1.0, within=NOT_NEGATIVE)
    clip: float | None = hyper(default=None, within=POSITIVE._replace(or_none=True))
    gamma: float = hyper(default=0.01, within=POSITIVE)
    every: int = hyper(default=10, within=COUNT)
    weight_decay: float = hyper(default=0.0, within=NOT_NEGATIVE)
    mask: Mask = hyper(default="matrices", within=MASKS)

    @property
    def links(self) -> tuple[Transform, ...]:
        """Curvature, decay if there is any, learning rate."""
        scaling: Transform = scale_by_curvature(self.b1, self.b2, self.eps, self.power)
        if self.clip is not None:
            scaling = scale_by_clipped_curvature(self.b1, self.b2, self.eps, self.gamma, self.clip, self.every)
        decay = (add_weight_decay(self.weight_decay, self.mask),) if self.weight_decay else ()
        return (scaling, *decay, scale_by_learning_rate(self.learning_rate))
