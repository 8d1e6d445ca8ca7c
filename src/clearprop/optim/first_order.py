"""First-order optimizers: each a chain of links, so that every part of an update can be told."""

from __future__ import annotations

from clearprop.optim.adaptive import adam_variant, scale_by_adagrad, scale_by_lion, scale_by_rms, scale_by_rprop
from clearprop.optim.basic_transforms import MASKS, Mask, add_weight_decay, trace_momentum
from clearprop.optim.hyperparameters import FRACTION, NOT_NEGATIVE, SHARE, hyper
from clearprop.optim.schedules import Schedule
from clearprop.optim.transform import Composed, Transform, scale_by_learning_rate


class sgd(Composed):
    """Gradient descent: θ ← θ − η·m, m ← βm + g (Robbins & Monro 1951; Polyak 1964).

    With `nesterov` the step is g + βm.  `weight_decay` adds λθ to the gradient first (an L2 penalty ½λ‖θ‖² on all
    parameters).  Without `dampening` the step is up to 1/(1 − β) times longer with momentum β.
    These are PyTorch's conventions.

    learning_rate  η, a number or a schedule
    momentum       β, the share of m that a step keeps; 0: no m
    nesterov       whether the step looks one step ahead (Sutskever et al. 2013)
    weight_decay   λ
    dampening      τ: m ← βm + (1 − τ)g from the second step on

    >>> import clearprop as cl
    >>> opt, params = cl.optim.sgd(0.1), {"w": cl.tensor(1.0)}
    >>> updates, state = opt.update({"w": cl.tensor(2.0)}, opt.init(params), params)
    >>> cl.optim.apply_updates(params, updates)
    {'w': Tensor(0.8)}
    """

    complete = True
    learning_rate: float | Schedule = hyper(default=1e-2, within=NOT_NEGATIVE, kind=Schedule)
    momentum: float = hyper(default=0.0, within=FRACTION)
    nesterov: bool = False
    weight_decay: float = hyper(default=0.0, within=NOT_NEGATIVE)
    dampening: float = hyper(default=0.0, within=SHARE)

    @property
    def links(self) -> tuple[Transform, ...]:
        """Decay, momentum, learning rate: those that are used."""
        decay = (add_weight_decay(self.weight_decay, "all"),) if self.weight_decay else ()
        memory = (trace_momentum(self.momentum, self.nesterov, self.dampening),) if self.momentum else ()
        return (*decay, *memory, scale_by_learning_rate(self.learning_rate))


class adam(Composed):
    """Adam: θ ← θ − η·m̂/(√v̂ + ε), averages of g and g² corrected for their start at 0 (Kingma & Ba 2014).

    `amsgrad` never lets v shrink, `nesterov` makes NAdam, `rectify` RAdam; the links have the formulas:
    `scale_by_adam`, `scale_by_nadam`, `scale_by_radam`.
    `amsgrad` and `nesterov` follow PyTorch, `rectify` optax (ρ_t ≥ 5, where the paper has > 4).

    learning_rate  η, a number or a schedule
    b1             β₁, the share of the average of g that a step keeps
    b2             β₂, the share of the average of g² that a step keeps
    eps            ε, which keeps the step small where g has always been next to 0
    amsgrad        the largest average of g² so far in its place (Reddi et al. 2018)
    nesterov       NAdam (Dozat 2016)
    rectify        RAdam (Liu et al. 2020)

    >>> import clearprop as cl
    >>> opt, params = cl.optim.adam(0.1), {"w": cl.tensor(1.0)}
    >>> updates, state = opt.update({"w": cl.tensor(2.0)}, opt.init(params), params)
    >>> cl.optim.apply_updates(params, updates)
    {'w': Tensor(0.9)}
    """

    complete = True
    learning_rate: float | Schedule = hyper(default=1e-3, within=NOT_NEGATIVE, kind=Schedule)
    b1: float = hyper(default=0.9, within=FRACTION)
    b2: float = hyper(default=0.999, within=FRACTION)
    eps: float = hyper(default=1e-8, within=NOT_NEGATIVE)
    amsgrad: bool = False
    nesterov: bool = False
    rectify: bool = False

    @property
    def links(self) -> tuple[Transform, ...]:
        """Adaptive scaling, learning rate."""
        scaling = adam_variant(nesterov=self.nesterov, rectify=self.rectify)
        return scaling(self.b1, self.b2, self.eps, self.amsgrad), scale_by_learning_rate(self.learning_rate)


class adamw(Composed):
    """Adam with decoupled decay: θ ← θ − η·(m̂/(√v̂ + ε) + λθ) (Loshchilov & Hutter 2017).

    λ = 0.01 as in PyTorch (optax: 1e-4).  `mask` says what decays: by default "matrices", the weights and not the
    biases, scales and offsets; PyTorch and optax decay everything, which is `mask="all"`.

    learning_rate  η, a number or a schedule
    b1, b2, eps, amsgrad, nesterov, rectify  as in `adam`
    weight_decay   λ
    mask           what decays, as in `add_weight_decay`

    >>> import clearprop as cl
    >>> opt, params = cl.optim.adamw(0.1, weight_decay=0.5, mask="all"), {"w": cl.tensor(1.0)}
    >>> updates, state = opt.update({"w": cl.tensor(2.0)}, opt.init(params), params)
    >>> cl.optim.apply_updates(params, updates)
    {'w': Tensor(0.85)}
    """

    complete = True
    learning_rate: float | Schedule = hyper(default=1e-3, within=NOT_NEGATIVE, kind=Schedule)
    b1: float = hyper(default=0.9, within=FRACTION)
    b2: float = hyper(default=0.999, within=FRACTION)
    eps: float = hyper(default=1e-8, within=NOT_NEGATIVE)
    weight_decay: float = hyper(default=0.01, within=NOT_NEGATIVE)
    mask: Mask = hyper(default="matrices", within=MASKS)
    amsgrad: bool = False
    nesterov: bool = False
    rectify: bool = False

    @property
    def links(self) -> tuple[Transform, ...]:
        """Adaptive scaling, decay, learning rate."""
        scaling = adam_variant(nesterov=self.nesterov, rectify=self.rectify)
        return (
            scaling(self.b1, self.b2, self.eps, self.amsgrad),
            add_weight_decay(self.weight_decay, self.mask),
            scale_by_learning_rate(self.learning_rate),
        )


class rmsprop(Composed):
    """RMSProp: θ ← θ − η·m, m ← βm + g/(√v + ε), v the average of g² (Tieleman & Hinton 2012).

    ρ = 0.9 as in the lecture and optax (PyTorch: 0.99); ε stands outside the root, as in PyTorch.  `centered`
    divides by the standard deviation of g in place of its root mean square (Graves 2013).

    learning_rate  η, a number or a schedule
    decay          ρ, the share of v that a step keeps
    eps            ε, which keeps the step small where g has always been next to 0
    momentum       β, the share of m that a step keeps; 0: no m
    centered       whether the square of the average gradient is subtracted from v

    >>> import clearprop as cl
    >>> opt, params = cl.optim.rmsprop(0.1, decay=0.75), {"w": cl.tensor(1.0)}
    >>> updates, state = opt.update({"w": cl.tensor(2.0)}, opt.init(params), params)
    >>> cl.optim.apply_updates(params, updates)
    {'w': Tensor(0.8)}
    """

    complete = True
    learning_rate: float | Schedule = hyper(default=1e-2, within=NOT_NEGATIVE, kind=Schedule)
    decay: float = hyper(default=0.9, within=FRACTION)
    eps: float = hyper(default=1e-8, within=NOT_NEGATIVE)
    momentum: float = hyper(default=0.0, within=FRACTION)
    centered: bool = False

    @property
    def links(self) -> tuple[Transform, ...]:
        """Adaptive scaling, momentum if any, learning rate."""
        memory = (trace_momentum(self.momentum),) if self.momentum else ()
        scaling = scale_by_rms(self.decay, self.eps, self.centered)
        return (scaling, *memory, scale_by_learning_rate(self.learning_rate))


class adagrad(Composed):
    """Adagrad: θ ← θ − η·g/(√Σg² + ε) (Duchi et al. 2011).

    Its steps only become smaller: it may stop before the minimum.  Σ starts at 0 and ε = 1e-10, as in PyTorch
    (optax: 0.1 and 1e-7).

    learning_rate  η, a number or a schedule
    eps            ε, which keeps the step finite where g is 0
    initial        Σ before the first step

    >>> import clearprop as cl
    >>> opt, params = cl.optim.adagrad(0.1), {"w": cl.tensor(1.0)}
    >>> updates, state = opt.update({"w": cl.tensor(2.0)}, opt.init(params), params)
    >>> cl.optim.apply_updates(params, updates)
    {'w': Tensor(0.9)}
    """

    complete = True
    learning_rate: float | Schedule = hyper(default=1e-2, within=NOT_NEGATIVE, kind=Schedule)
    eps: float = hyper(default=1e-10, within=NOT_NEGATIVE)
    initial: float = hyper(default=0.0, within=NOT_NEGATIVE)

    @property
    def links(self) -> tuple[Transform, ...]:
        """Adaptive scaling, learning rate."""
        return scale_by_adagrad(self.eps, self.initial), scale_by_learning_rate(self.learning_rate)


class lion(Composed):
    """Lion: θ ← θ − η·(sign(β₁m + (1 − β₁)g) + λθ), m ← β₂m + (1 − β₂)g (Chen et al. 2023).

    Every element moves by η in every step, so η must fall towards the end; it should be 3 to 10 times smaller than for
    AdamW, and λ as many times larger.

    learning_rate  η, a number or a schedule
    b1             β₁, the share of m in the sign
    b2             β₂, the share of m that a step keeps
    weight_decay   λ
    mask           what decays, as in `add_weight_decay`

    >>> import clearprop as cl
    >>> opt, params = cl.optim.lion(0.1), {"w": cl.tensor(1.0)}
    >>> updates, state = opt.update({"w": cl.tensor(2.0)}, opt.init(params), params)
    >>> cl.optim.apply_updates(params, updates)
    {'w': Tensor(0.9)}
    """

    complete = True
    learning_rate: float | Schedule = hyper(default=1e-4, within=NOT_NEGATIVE, kind=Schedule)
    b1: float = hyper(default=0.9, within=FRACTION)
    b2: float = hyper(default=0.99, within=FRACTION)
    weight_decay: float = hyper(default=0.0, within=NOT_NEGATIVE)
    mask: Mask = hyper(default="matrices", within=MASKS)

    @property
    def links(self) -> tuple[Transform, ...]:
        """Sign, decay if any, learning rate."""
        decay = (add_weight_decay(self.weight_decay, self.mask),) if self.weight_decay else ()
        return (scale_by_lion(self.b1, self.b2), *decay, scale_by_learning_rate(self.learning_rate))


class rprop(scale_by_rprop):
    """Rprop: every element has a step size of its own, and only the sign of its gradient counts.

    iRprop⁻ (Riedmiller & Braun 1993; Igel & Hüsken 2000), PyTorch's form and defaults; `initial` is PyTorch's learning
    rate.  For full batches only: the noise of mini-batches flips signs and stops it.

    initial, shrink, grow, smallest, largest  as in `scale_by_rprop`

    >>> import clearprop as cl
    >>> opt, params = cl.optim.rprop(0.1), {"w": cl.tensor(1.0)}
    >>> updates, state = opt.update({"w": cl.tensor(200.0)}, opt.init(params), params)
    >>> cl.optim.apply_updates(params, updates)
    {'w': Tensor(0.9)}
    """

    complete, full_batch = True, True
