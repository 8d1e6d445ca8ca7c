"""Rules that keep a second set of parameters, to be evaluated in place of the trained ones (`eval_params`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.arrays.tensor import Tensor
from clearprop.optim.basic_transforms import add_weight_decay
from clearprop.optim.first_order import adam
from clearprop.optim.hyperparameters import COUNT, FRACTION, NOT_NEGATIVE, SHARE, Choices, Range, hyper
from clearprop.optim.schedules import Schedule, inverse_power, rate_at
from clearprop.optim.transform import (
    Composed,
    Leafwise,
    ParameterView,
    Transform,
    kept_square,
    operand,
    scale_by_learning_rate,
)
from clearprop.rules.elementwise import floor, maximum, minimum, sqrt, square, where
from clearprop.rules.structural import zeros_like


def _with_averages(view: ParameterView, averages: Any) -> Any:
    """The parameters with the averages in place of those that are trained."""
    kept = [p if a is None else a for p, a in zip(view.leaves, view.of(averages, "averages"), strict=True)]
    return view.build(kept)


def _own_copy(p: Any) -> Any:
    """An array of its own: a compiled step may write its parameters and its state in place."""
    return 1 * p


class average(Leafwise):
    """The last link of a chain: keeps the average of the parameters, and leaves the update as it is.

    a ← decay·a + (1 − decay)·θ from a = θ₀ on; with `decay=None`, the mean of all θ_t, t ≥ 1 (Polyak & Juditsky 1992).
    It belongs behind the learning rate: it takes p + u for the parameter after the step.

    decay  the share of the average that a step keeps, or None
    start  the steps after which it begins; until then a is θ

    >>> import clearprop as cl
    >>> opt, p = cl.optim.chain(cl.optim.sgd(1.0), cl.optim.average(0.75)), cl.tensor(1.0)
    >>> updates, state = opt.update(cl.tensor(4.0), opt.init(p), p)
    >>> p = cl.optim.apply_updates(p, updates)
    >>> p, opt.eval_params(state, p)
    (Tensor(-3.0), Tensor(0.0))
    """

    slots, counts = ("average",), True
    decay: float | None = hyper(default=0.999, within=FRACTION._replace(or_none=True))
    start: int = hyper(default=0, within=Range(0, 1e12, whole=True))

    def first(self, slot: str, p: Any) -> Any:
        """The parameter at the start."""
        return _own_copy(p)

    def scalars(self, t: Any, *carried: Any) -> tuple[Any, ...]:
        """The weight of the newest."""
        if not self.start:
            return ((1 / t if self.decay is None else 1 - self.decay,),)
        later = 1 / maximum(t - self.start, 1) if self.decay is None else 1 - self.decay
        return ((where(t > self.start, later, 1.0),),)

    def leaf(self, g: Any, p: Any, a: Any, weight: Any) -> tuple[Any, ...]:
        """The rule."""
        return g, a + weight * (p + g - a)

    def eval_params(self, state: Any, params: Any) -> Any:
        """The averages."""
        return _with_averages(ParameterView(params), state["average"])


class asgd(Composed):
    """Averaged gradient descent: θ ← θ − η_t·(g + λθ), η_t = η/(1 + ληt)^α; the mean of θ is what counts.

    Polyak & Juditsky 1992, with the rates of Bottou 2012; PyTorch's form and defaults.  PyTorch keeps the mean beside
    the parameters, here it is what `eval_params` gives and what is evaluated.

    learning_rate  η, the rate of the first step; a schedule is taken as it is, as η_t
    shrink         λ, which pulls θ towards 0 and lowers the rate
    power          α
    start          the steps after which the mean begins; until then it is θ
    weight_decay   adds this multiple of θ to the gradient first

    >>> import clearprop as cl
    >>> opt, p = cl.optim.asgd(0.5, shrink=0.0, start=1), cl.tensor(4.0)
    >>> state = opt.init(p)
    >>> for _ in range(3):
    ...     updates, state = opt.update(p, state, p)  # the gradient of p²/2 is p
    ...     p = cl.optim.apply_updates(p, updates)
    >>> p, opt.eval_params(state, p)
    (Tensor(0.5), Tensor(0.75))
    """

    complete = True
    learning_rate: float | Schedule = hyper(default=1e-2, within=NOT_NEGATIVE, kind=Schedule)
    shrink: float = hyper(default=1e-4, within=NOT_NEGATIVE)
    power: float = hyper(default=0.75, within=NOT_NEGATIVE)
    start: int = hyper(default=1_000_000, within=Range(0, 1e12, whole=True))
    weight_decay: float = hyper(default=0.0, within=NOT_NEGATIVE)

    @property
    def links(self) -> tuple[Transform, ...]:
        """Decay if any, learning rate, mean."""
        pull = self.weight_decay + self.shrink
        rate = self.learning_rate
        if not isinstance(rate, Schedule):
            rate = inverse_power(rate, self.shrink * rate, self.power)
        decay = (add_weight_decay(pull, "all"),) if pull else ()
        return *decay, scale_by_learning_rate(rate), average(None, self.start)


class lookahead(Transform):
    """Every `every` steps of `inner`, φ ← φ + α(θ − φ) and θ ← φ; φ is what counts (Zhang et al. 2019).

    inner  the rule of the fast parameters θ
    every  how often the slow parameters φ follow
    alpha  α, how far

    >>> import clearprop as cl
    >>> opt, p = cl.optim.lookahead(cl.optim.sgd(1.0), every=1), cl.tensor(1.0)
    >>> opt.update(cl.tensor(4.0), opt.init(p), p)[0]
    Tensor(-2.0)
    """

    complete = True
    inner: Transform = hyper(default=adam(), kind=Transform)
    every: int = hyper(default=5, within=COUNT)
    alpha: float = hyper(default=0.5, within=SHARE)

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]  # here it depends on the inner rule
        """What the inner rule needs."""
        return self.inner.needs

    def init(self, params: Any) -> dict[str, Any]:
        """The slow parameters start where the fast ones do."""
        slow = ParameterView(params).make(_own_copy)
        return {"t": Tensor(np.int64(0)), "slow": slow, "inner": self.inner.init(params)}

    def update(self, grads: Any, state: dict[str, Any], params: Any, **extra: Any) -> tuple[Any, dict[str, Any]]:
        """The inner update, or the way to the new slow parameters."""
        updates, inner = self.inner.update(grads, state["inner"], params, **extra)
        view, t = ParameterView(params), state["t"] + 1
        meets = floor(t / self.every) * self.every == t
        slow, new = view.of(state["slow"], "slow parameters"), view.of(updates)
        for i, (p, u) in enumerate(zip(view.leaves, new, strict=True)):
            if u is not None:
                slow[i] = where(meets, slow[i] + self.alpha * (p + u - slow[i]), slow[i])
                new[i] = where(meets, slow[i] - p, u)
        return view.build(new), {"t": t, "slow": view.build(slow), "inner": inner}

    def eval_params(self, state: Any, params: Any) -> Any:
        """The slow parameters."""
        return _with_averages(ParameterView(params), state["slow"])


class schedule_free(Leafwise):
    """Averaging in place of a falling learning rate (Defazio et al. 2024): trains at y, keeps z, evaluates at x.

    z ← z − η_t·ĝ, x ← (1 − c)x + cz, y = (1 − β₁)z + β₁x, with c = η_t²·t^r / Σ η_t²·t^r and the gradient at y.
    `base="adamw"`: ĝ = g/(√v + ε) + λy and η_t = η·warm·√(1 − β₂ᵗ); `base="sgd"`: ĝ = g + λy and η_t = η·warm, where
    warm = min(1, t/warmup).  Evaluate and keep `eval_params(state, params)`, which is x; a BatchNorm's statistics
    belong to y and must be computed anew there.  Defaults are the authors'; η = 1 suits `base="sgd"`.

    learning_rate  η, a number or a schedule; it never needs to fall
    base           "adamw" or "sgd", what takes the gradient steps
    b1             β₁, how near y is to x
    b2, eps        β₂ and ε of the base adamw
    weight_decay   λ, for every parameter
    warmup         the steps in which the rate rises
    r              the power of t with which later steps weigh more

    >>> import clearprop as cl
    >>> opt, p = cl.optim.schedule_free(1.0, base="sgd", b1=0.5), cl.tensor(4.0)
    >>> state = opt.init(p)
    >>> for _ in range(2):
    ...     updates, state = opt.update(p, state, p)  # the gradient of p²/2 is p
    ...     p = cl.optim.apply_updates(p, updates)
    >>> p, opt.eval_params(state, p)
    (Tensor(0.0), Tensor(0.0))
    """

    counts, carried, complete = True, ("total",), True
    learning_rate: float | Schedule = hyper(default=2.5e-3, within=NOT_NEGATIVE, kind=Schedule)
    base: str = hyper(default="adamw", within=Choices(("adamw", "sgd")))
    b1: float = hyper(default=0.9, within=Range(0.0, 1.0, "[]"))
    b2: float = hyper(default=0.999, within=FRACTION)
    eps: float = hyper(default=1e-8, within=NOT_NEGATIVE)
    weight_decay: float = hyper(default=0.0, within=NOT_NEGATIVE)
    warmup: int = hyper(default=0, within=Range(0, 1e12, whole=True))
    r: float = hyper(default=0.0, within=NOT_NEGATIVE)

    @property
    def slots(self) -> tuple[str, ...]:  # type: ignore[override]  # here it depends on the base
        """The sequence of gradient steps, and the average of g²."""
        return ("z", "v") if self.base == "adamw" else ("z",)

    def first(self, slot: str, p: Any) -> Any:
        """All three sequences start at the same point."""
        return _own_copy(p) if slot == "z" else zeros_like(p)

    def scalars(self, t: Any, *carried: Any) -> tuple[Any, ...]:
        """η_t and c; the weights' sum after step t."""
        rate = operand(rate_at(self.learning_rate, t - 1)) * (minimum(1.0, t / self.warmup) if self.warmup else 1.0)
        if self.base == "adamw":
            rate = rate * sqrt(1 - self.b2**t)
        weight = rate**2 * t**self.r
        total = carried[0] + weight
        return (rate, weight / maximum(total, _TINY)), total

    def leaf(self, g: Any, p: Any, z: Any, *rest: Any) -> tuple[Any, ...]:
        """The rule; x is not kept: it follows from y and z."""
        *v, rate, c = rest
        if v:
            v = [self.b2 * v[0] + (1 - self.b2) * square(g)]
            g, v = g / (sqrt(v[0]) + self.eps), [kept_square(v[0])]
        g = g + self.weight_decay * p
        return c * (z - p) + rate * (self.b1 * (1 - c) - 1) * g, z - rate * g, *v

    def eval_params(self, state: Any, params: Any) -> Any:
        """The sequence x = z + (y − z)/β₁."""
        view = ParameterView(params)
        pairs = zip(view.leaves, view.of(state["z"], "sequence z"), strict=True)
        return view.build([p if z is None else z + (p - z) / self.b1 for p, z in pairs])


_TINY = float(np.finfo(np.float32).tiny)  # keeps 0/0 away when the learning rate is 0
