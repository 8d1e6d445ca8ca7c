"""Further rules that scale every element by its own history, in PyTorch's form: Adadelta, Adamax, NAdam, RAdam."""

from __future__ import annotations

from typing import Any

from clearprop.optim.adaptive import scale_by_nadam, scale_by_radam
from clearprop.optim.basic_transforms import add_weight_decay
from clearprop.optim.hyperparameters import FRACTION, NOT_NEGATIVE, POSITIVE, hyper
from clearprop.optim.schedules import Schedule
from clearprop.optim.transform import Composed, Leafwise, Transform, kept_square, scale_by_learning_rate
from clearprop.rules.elementwise import abs, maximum, sqrt, square


class scale_by_adadelta(Leafwise):
    """v ← ρv + (1 − ρ)g², u = g·√(d + ε)/√(v + ε), then d ← ρd + (1 − ρ)u² (Zeiler 2012).

    decay  ρ, the share of v and d that a step keeps
    eps    ε, which starts the steps: d is 0 at first

    >>> import clearprop as cl
    >>> link, p = cl.optim.scale_by_adadelta(0.75, eps=1.0), cl.tensor(1.0)
    >>> link.update(cl.tensor(4.0), link.init(p), p)[0]
    Tensor(1.78885438)
    """

    slots = ("v", "d")
    decay: float = hyper(default=0.9, within=FRACTION)
    eps: float = hyper(default=1e-6, within=POSITIVE)

    def leaf(self, g: Any, p: Any, v: Any, d: Any) -> tuple[Any, ...]:
        """The rule."""
        v = self.decay * v + (1 - self.decay) * square(g)
        u = g * (sqrt(d + self.eps) / sqrt(v + self.eps))
        return u, kept_square(v), self.decay * d + (1 - self.decay) * square(u)


class scale_by_adamax(Leafwise):
    """m ← β₁m + (1 − β₁)g, s ← max(β₂s, |g| + ε), u = m/((1 − β₁ᵗ)·s) (Kingma & Ba 2014, §7.1).

    b1   β₁, the share of m that a step keeps
    b2   β₂, the share of the largest gradient that a step keeps
    eps  ε, which keeps u finite where g has always been 0

    >>> import clearprop as cl
    >>> link, p = cl.optim.scale_by_adamax(), cl.tensor(1.0)
    >>> link.update(cl.tensor(-300.0), link.init(p), p)[0]
    Tensor(-1.0)
    """

    counts = True
    slots = ("m", "s")
    b1: float = hyper(default=0.9, within=FRACTION)
    b2: float = hyper(default=0.999, within=FRACTION)
    eps: float = hyper(default=1e-8, within=NOT_NEGATIVE)

    def scalars(self, t: Any, *carried: Any) -> tuple[Any, ...]:
        """What m is divided by."""
        return (1 - self.b1**t,), *carried

    def leaf(self, g: Any, p: Any, m: Any, s: Any, of_m: Any) -> tuple[Any, ...]:
        """The rule."""
        m = self.b1 * m + (1 - self.b1) * g
        s = maximum(self.b2 * s, abs(g) + self.eps)
        return m / of_m / s, m, s


class adadelta(Composed):
    """Adadelta: θ ← θ − η·g·√(d + ε)/√(v + ε), v and d averages of g² and of the squared steps (Zeiler 2012).

    The steps have the unit of θ, so that η = 1 may stay; they start small, with √ε.  `weight_decay` adds λθ to the
    gradient first.

    learning_rate  η, a number or a schedule
    decay          ρ, the share of the averages that a step keeps
    eps            ε
    weight_decay   λ

    >>> import clearprop as cl
    >>> opt, params = cl.optim.adadelta(decay=0.75, eps=1.0), {"w": cl.tensor(1.0)}
    >>> updates, state = opt.update({"w": cl.tensor(0.0)}, opt.init(params), params)
    >>> cl.optim.apply_updates(params, updates)
    {'w': Tensor(1.0)}
    """

    complete = True
    learning_rate: float | Schedule = hyper(default=1.0, within=NOT_NEGATIVE, kind=Schedule)
    decay: float = hyper(default=0.9, within=FRACTION)
    eps: float = hyper(default=1e-6, within=POSITIVE)
    weight_decay: float = hyper(default=0.0, within=NOT_NEGATIVE)

    @property
    def links(self) -> tuple[Transform, ...]:
        """Decay if any, scaling, learning rate."""
        decay = (add_weight_decay(self.weight_decay, "all"),) if self.weight_decay else ()
        return *decay, scale_by_adadelta(self.decay, self.eps), scale_by_learning_rate(self.learning_rate)


class adamax(Composed):
    """Adamax: θ ← θ − η·m̂/s, m an average of g and s the largest |g|, which fades by β₂ (Kingma & Ba 2014, §7.1).

    No element moves by much more than η in a step.  `weight_decay` adds λθ to the gradient first.

    learning_rate  η, a number or a schedule
    b1             β₁, the share of m that a step keeps
    b2             β₂, the share of the largest gradient that a step keeps
    eps            ε
    weight_decay   λ

    >>> import clearprop as cl
    >>> opt, params = cl.optim.adamax(0.1), {"w": cl.tensor(1.0)}
    >>> updates, state = opt.update({"w": cl.tensor(2.0)}, opt.init(params), params)
    >>> cl.optim.apply_updates(params, updates)
    {'w': Tensor(0.9)}
    """

    complete = True
    learning_rate: float | Schedule = hyper(default=2e-3, within=NOT_NEGATIVE, kind=Schedule)
    b1: float = hyper(default=0.9, within=FRACTION)
    b2: float = hyper(default=0.999, within=FRACTION)
    eps: float = hyper(default=1e-8, within=NOT_NEGATIVE)
    weight_decay: float = hyper(default=0.0, within=NOT_NEGATIVE)

    @property
    def links(self) -> tuple[Transform, ...]:
        """Decay if any, scaling, learning rate."""
        decay = (add_weight_decay(self.weight_decay, "all"),) if self.weight_decay else ()
        return *decay, scale_by_adamax(self.b1, self.b2, self.eps), scale_by_learning_rate(self.learning_rate)


class _WithDecay(Composed):
    """What NAdam and RAdam share in PyTorch's form: a scaling, and a decay in front of it or, decoupled, behind it."""

    learning_rate: float | Schedule = hyper(default=1e-3, within=NOT_NEGATIVE, kind=Schedule)
    b1: float = hyper(default=0.9, within=FRACTION)
    b2: float = hyper(default=0.999, within=FRACTION)
    eps: float = hyper(default=1e-8, within=NOT_NEGATIVE)
    weight_decay: float = hyper(default=0.0, within=NOT_NEGATIVE)
    decoupled: bool = False

    @property
    def scaling(self) -> Transform:
        """The link that scales."""
        raise NotImplementedError

    @property
    def links(self) -> tuple[Transform, ...]:
        """Scaling with the decay before or behind it, learning rate."""
        decay = (add_weight_decay(self.weight_decay, "all"),) if self.weight_decay else ()
        first, last = ((), decay) if self.decoupled else (decay, ())
        return *first, self.scaling, *last, scale_by_learning_rate(self.learning_rate)


class nadam(_WithDecay):
    """NAdam: Adam whose step looks one step ahead, with a momentum that grows to β₁ (Dozat 2016).

    PyTorch's form and defaults; the formula stands at `scale_by_nadam`.  `weight_decay` adds λθ to the gradient first,
    or with `decoupled` to the scaled step, as AdamW does.

    learning_rate   η, a number or a schedule
    b1, b2, eps     as in `adam`
    weight_decay    λ, for every parameter
    decoupled       whether the decay is AdamW's
    momentum_decay  ψ, how fast the momentum grows

    >>> import clearprop as cl
    >>> opt, params = cl.optim.nadam(0.1, momentum_decay=0.0), {"w": cl.tensor(1.0)}
    >>> updates, state = opt.update({"w": cl.tensor(2.0)}, opt.init(params), params)
    >>> cl.optim.apply_updates(params, updates)
    {'w': Tensor(0.89435737)}
    """

    complete = True
    learning_rate: float | Schedule = hyper(default=2e-3, within=NOT_NEGATIVE, kind=Schedule)
    momentum_decay: float = hyper(default=4e-3, within=NOT_NEGATIVE)

    @property
    def scaling(self) -> Transform:
        """NAdam's."""
        return scale_by_nadam(self.b1, self.b2, self.eps, momentum_decay=self.momentum_decay)


class radam(_WithDecay):
    """RAdam: Adam that waits until the variance of its scaling is known (Liu et al. 2020).

    PyTorch's form and defaults, with ε added before v is corrected; the formula stands at `scale_by_radam`.
    `weight_decay` and `decoupled` as in `nadam`.

    learning_rate  η, a number or a schedule
    b1, b2, eps    as in `adam`
    weight_decay   λ, for every parameter
    decoupled      whether the decay is AdamW's

    >>> import clearprop as cl
    >>> opt, params = cl.optim.radam(0.1), {"w": cl.tensor(1.0)}
    >>> updates, state = opt.update({"w": cl.tensor(2.0)}, opt.init(params), params)
    >>> cl.optim.apply_updates(params, updates)
    {'w': Tensor(0.8)}
    """

    complete = True

    @property
    def scaling(self) -> Transform:
        """RAdam's, with PyTorch's ε."""
        return scale_by_radam(self.b1, self.b2, self.eps, early_eps=True)
