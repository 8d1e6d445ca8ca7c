"""First-order optimizers: each a chain of links, so that every part of an update can be told."""

from __future__ import annotations

from clearprop.optim.hyper import FRACTION, NOT_NEGATIVE, hyper
from clearprop.optim.links import Mask, add_weight_decay, scale_by_adam, scale_by_learning_rate, trace_momentum
from clearprop.optim.schedules import Schedule
from clearprop.optim.transform import Composed, Transform


class sgd(Composed):
    """Gradient descent: θ ← θ − η·m, m ← βm + g (Robbins & Monro 1951; Polyak 1964).

    With `nesterov` the step is g + βm.  `weight_decay` adds λθ to the gradient first (an L2 penalty ½λ‖θ‖² on all
    parameters).  The average is not damped: with momentum β the step is up to 1/(1 − β) times longer.
    These are PyTorch's conventions.

    >>> import clearprop as cl
    >>> opt, params = cl.optim.sgd(0.1), {"w": cl.tensor(1.0)}
    >>> updates, state = opt.update({"w": cl.tensor(2.0)}, opt.init(params), params)
    >>> cl.optim.apply_updates(params, updates)
    {'w': Tensor(0.8)}
    """

    complete = True
    learning_rate: float | Schedule = hyper(default=1e-2, within=NOT_NEGATIVE)
    momentum: float = hyper(default=0.0, within=FRACTION)
    nesterov: bool = False
    weight_decay: float = hyper(default=0.0, within=NOT_NEGATIVE)

    @property
    def links(self) -> tuple[Transform, ...]:
        """Decay, momentum, learning rate: those that are used."""
        decay = (add_weight_decay(self.weight_decay, "all"),) if self.weight_decay else ()
        memory = (trace_momentum(self.momentum, self.nesterov),) if self.momentum else ()
        return (*decay, *memory, scale_by_learning_rate(self.learning_rate))


class adam(Composed):
    """Adam: θ ← θ − η·m̂/(√v̂ + ε), averages of g and g² corrected for their start at 0 (Kingma & Ba 2014).

    >>> import clearprop as cl
    >>> opt, params = cl.optim.adam(0.1), {"w": cl.tensor(1.0)}
    >>> updates, state = opt.update({"w": cl.tensor(2.0)}, opt.init(params), params)
    >>> cl.optim.apply_updates(params, updates)
    {'w': Tensor(0.9)}
    """

    complete = True
    learning_rate: float | Schedule = hyper(default=1e-3, within=NOT_NEGATIVE)
    b1: float = hyper(default=0.9, within=FRACTION)
    b2: float = hyper(default=0.999, within=FRACTION)
    eps: float = hyper(default=1e-8, within=NOT_NEGATIVE)

    @property
    def links(self) -> tuple[Transform, ...]:
        """Adaptive scaling, learning rate."""
        return scale_by_adam(self.b1, self.b2, self.eps), scale_by_learning_rate(self.learning_rate)


class adamw(Composed):
    """Adam with decoupled decay: θ ← θ − η·(m̂/(√v̂ + ε) + λθ) (Loshchilov & Hutter 2017).

    λ = 0.01 as in PyTorch (optax: 1e-4).  `mask` says what decays: by default "matrices", the weights and not the
    biases, scales and offsets; PyTorch and optax decay everything, which is `mask="all"`.
    """

    complete = True
    learning_rate: float | Schedule = hyper(default=1e-3, within=NOT_NEGATIVE)
    b1: float = hyper(default=0.9, within=FRACTION)
    b2: float = hyper(default=0.999, within=FRACTION)
    eps: float = hyper(default=1e-8, within=NOT_NEGATIVE)
    weight_decay: float = hyper(default=0.01, within=NOT_NEGATIVE)
    mask: Mask = "matrices"

    @property
    def links(self) -> tuple[Transform, ...]:
        """Adaptive scaling, decay, learning rate."""
        return (
            scale_by_adam(self.b1, self.b2, self.eps),
            add_weight_decay(self.weight_decay, self.mask),
            scale_by_learning_rate(self.learning_rate),
        )
