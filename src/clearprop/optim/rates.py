"""Rules that choose the learning rate from the loss and the gradients of each step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from clearprop.arrays.tensor import Tensor
from clearprop.optim.first_order import sgd
from clearprop.optim.hyperparameters import COUNT, NOT_NEGATIVE, POSITIVE, SHARE, Range, hyper
from clearprop.optim.lengths import inner_product, length_of
from clearprop.optim.transform import ParameterView, Transform, operand, result, scalar_like
from clearprop.optim.update_arguments import move_parameters, require_argument, require_loss
from clearprop.rules.elementwise import abs, equal, exp, floor, less_equal, logical_and, maximum, minimum, where

_TINY = float(np.finfo(np.float32).tiny)  # keeps 0/0 away
_SMALLEST = 1e-12  # from here a rate that was halved too often still grows back


def _steps_at_rate(view: ParameterView, grads: list[Any], rate: Any) -> Any:
    """−rate·g for every leaf."""
    return view.build([None if g is None else -scalar_like(rate, g) * g for g in grads])


class polyak(Transform):
    """Polyak's step size: θ ← θ − η·g with η = min((f − f*)/(c·‖g‖²), `largest`) (Polyak 1969; Loizou et al. 2021).

    f is the loss of the batch and f* = `target` the least it can be: 0 suits a network that can fit every batch; with
    an L2 penalty or noisy labels f* > 0, and steps stay too long.  c = ½ is the stochastic form's (0.2 is advised for
    deep networks, 1 is Polyak's).  `growth` bounds how fast η may rise: η_t ≤ growth·η_{t−1} from `largest` on; the
    paper's is 2^(batch/rows).

    largest  the largest η
    c        the divisor
    target   f*, the least that the loss can be
    growth   by what factor η may rise in a step; None: by any

    >>> import clearprop as cl
    >>> opt, p = cl.optim.polyak(c=1.0), cl.tensor([3.0, 4.0])
    >>> opt.update(p, opt.init(p), p, value=0.5 * cl.sum(p * p))[0]
    Tensor([-1.5, -2.0])
    """

    needs, complete = frozenset({"value"}), True
    largest: float = hyper(default=1.0, within=POSITIVE)
    c: float = hyper(default=0.5, within=POSITIVE)
    target: float = hyper(default=0.0, within=Range(-1e300, 1e300))
    growth: float | None = hyper(default=None, within=Range(1.0, math.inf, "[]", or_none=True))

    def init(self, params: Any) -> dict[str, Any]:
        """The rate of the step before."""
        return {"rate": Tensor(np.float64(self.largest))}

    def update(self, grads: Any, state: dict[str, Any], params: Any, **extra: Any) -> tuple[Any, dict[str, Any]]:
        """The gradient by one rate."""
        view, value = ParameterView(params), require_loss(self, extra)
        given = view.gradients(grads)
        above, length = maximum(value - self.target, 0.0), length_of(given)
        least = maximum(above / self.largest, _TINY) * length.by * length.by
        rate = above * length.by / maximum(self.c * length.square, least)  # of the gradient times `by`
        if self.growth is not None:
            rate = minimum(rate, self.growth * operand(state["rate"]) / length.by)
        shrunk = [None if g is None else length.shrink(g) for g in given]
        return _steps_at_rate(view, shrunk, rate), {"rate": result(_as_double(rate) * length.by)}


def _as_double(x: Any) -> Any:
    """A number in float64, as numbers beside arrays are kept."""
    return x * np.float64(1.0)


class armijo(Transform):
    """Line search on the batch: the longest of some steps −η·g with f(θ − ηg) ≤ f(θ) − c·η·‖g‖² (Armijo 1966).

    The stochastic form of Vaswani et al. (2019).  A step tries η = start·backtrack^k, k = 0, …, trials − 1, where
    start = min(growth·η_before, largest); a trial whose loss is not finite fails.  If all fail the step is 0 and the
    next one starts below: the loss of a batch never rises by its own step.  The random numbers of the gradient (the
    same dropout) hold for the trials.  All trials are evaluated, so a step costs `trials` forward passes more: few,
    coarse ones suffice, as η is carried on (the authors try up to 100 by 0.9).  The authors' growth is
    2^(batch/rows).

    initial    η before the first step
    c          how much of the decrease that the slope promises is enough
    backtrack  the factor from one trial to the next
    growth     by what factor a step starts above the one before
    largest    the largest η
    trials     how many are evaluated in a step

    >>> import clearprop as cl
    >>> f, p = lambda x: cl.sum(x * x), cl.tensor([3.0])
    >>> opt = cl.optim.armijo(initial=2.0, growth=1.0)
    >>> opt.update(cl.grad(f)(p), opt.init(p), p, value=f(p), f=f)
    (Tensor([-3.0]), {'rate': Tensor(0.5)})
    """

    needs, complete = frozenset({"value", "f"}), True
    initial: float = hyper(default=1.0, within=POSITIVE)
    c: float = hyper(default=0.1, within=Range(0.0, 1.0, "[]"))
    backtrack: float = hyper(default=0.5, within=Range(0.0, 1.0, "[]"))
    growth: float = hyper(default=1.2, within=Range(1.0, math.inf, "]"))
    largest: float = hyper(default=10.0, within=POSITIVE)
    trials: int = hyper(default=4, within=COUNT._replace(high=100))

    def init(self, params: Any) -> dict[str, Any]:
        """The rate that the first step starts from."""
        return {"rate": Tensor(np.float64(self.initial / self.growth))}

    def update(self, grads: Any, state: dict[str, Any], params: Any, **extra: Any) -> tuple[Any, dict[str, Any]]:
        """The longest step that lowers the loss enough, or none."""
        view, value, f = ParameterView(params), require_loss(self, extra), require_argument(self, extra, "f")
        given = view.gradients(grads)
        length = length_of(given)
        decrease = self.c * length.square
        start = minimum(self.growth * operand(state["rate"]), self.largest)
        rates = [start * self.backtrack**k for k in range(self.trials)]
        accepted: Any = 0.0 * start
        for rate in reversed(rates):
            lower = less_equal(
                operand(f(move_parameters(view, given, -rate))), value - rate * decrease / length.by / length.by
            )
            accepted = where(lower, rate, accepted)
        below = maximum(rates[-1] * self.backtrack, _SMALLEST)
        kept = where(accepted > 0, accepted, below)
        return _steps_at_rate(view, given, accepted), {"rate": result(kept)}


class hypergradient(Transform):
    """The learning rate as a variable that is itself descended on: `inner`'s update times a factor s.

    s ← s·exp(κ·cos(g_t, d_{t−1})), where −d is the inner update of the step before, and the cosine is over all
    parameters together: the rate grows while gradients keep pointing along the last step, and shrinks when they turn
    back.  This is the multiplicative, scale-free form; Baydin et al. (2018) add κ·⟨g_t, d_{t−1}⟩, whose κ depends
    on the problem.

    inner  the rule whose updates are multiplied
    kappa  κ, how fast the factor follows; 0 leaves it at 1

    >>> import clearprop as cl
    >>> opt, p = cl.optim.hypergradient(cl.optim.sgd(0.1), kappa=0.5), cl.tensor(1.0)
    >>> _, state = opt.update(cl.tensor(2.0), opt.init(p), p)
    >>> opt.update(cl.tensor(2.0), state, p)[1]["factor"]
    Tensor(1.64872127)
    """

    complete = True
    inner: Transform = hyper(default=sgd(0.01, momentum=0.9), kind=Transform)
    kappa: float = hyper(default=0.02, within=NOT_NEGATIVE)

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]  # here it depends on the inner rule
        """What the inner rule needs."""
        return self.inner.needs

    def init(self, params: Any) -> dict[str, Any]:
        """The factor 1, and no step before."""
        before = ParameterView(params).make(lambda p: 0 * p)
        return {"factor": Tensor(np.float64(1.0)), "before": before, "inner": self.inner.init(params)}

    def update(self, grads: Any, state: dict[str, Any], params: Any, **extra: Any) -> tuple[Any, dict[str, Any]]:
        """The inner update by the factor."""
        view = ParameterView(params)
        given = view.gradients(grads)
        before = [None if g is None else b for g, b in zip(given, view.of(state["before"]), strict=True)]
        new, old = length_of(given), length_of(before)
        shrunk = [[None if x is None else n.shrink(x) for x in xs] for n, xs in ((new, given), (old, before))]
        with np.errstate(over="ignore", invalid="ignore"):  # where it overflows the other product counts
            plain = inner_product(given, before)
        product = where(equal(new.by * old.by, 1.0), plain, inner_product(*shrunk))
        cosine = -product / maximum(new.norm * old.norm, _TINY)
        factor = operand(state["factor"]) * exp(self.kappa * cosine)
        updates, inner = self.inner.update(grads, state["inner"], params, **extra)
        steps = view.gradients(updates)
        scaled = view.build([None if u is None else scalar_like(factor, u) * u for u in steps])
        kept = [b if u is None else u for u, b in zip(steps, view.of(state["before"]), strict=True)]
        return scaled, {"factor": result(factor), "before": view.build(kept), "inner": inner}

    def eval_params(self, state: Any, params: Any) -> Any:
        """As the inner rule says."""
        return self.inner.eval_params(state["inner"], params)


class reduce_on_plateau(Transform):
    """The last link of a chain: multiplies the update by a factor that falls when the loss does.

    The losses of `every` steps are averaged; when `patience` such averages in a row have not improved on the best one
    by more than `threshold` of it, the factor is multiplied by `factor`, down to `smallest`, and counting starts
    anew.  PyTorch's rule and defaults, on the training loss; with mini-batches let `every` be an epoch's steps.

    factor     what the update's factor is multiplied by
    patience   how many averages in a row may be no better
    every      how many losses make an average
    threshold  how much lower is better, in parts of the best average
    smallest   the least factor

    >>> import clearprop as cl
    >>> opt, p = cl.optim.reduce_on_plateau(factor=0.5, patience=1), cl.tensor(0.0)
    >>> state = opt.init(p)
    >>> for loss in (1.0, 1.0, 1.0):
    ...     updates, state = opt.update(cl.tensor(8.0), state, p, value=loss)
    ...     print(updates)
    Tensor(8.0)
    Tensor(8.0)
    Tensor(4.0)
    """

    needs = frozenset({"value"})
    factor: float = hyper(default=0.1, within=Range(0.0, 1.0, "[]"))
    patience: int = hyper(default=10, within=Range(0, 1e12, whole=True))
    every: int = hyper(default=1, within=COUNT)
    threshold: float = hyper(default=1e-4, within=SHARE)
    smallest: float = hyper(default=0.0, within=SHARE)

    def init(self, params: Any) -> dict[str, Any]:
        """The factor 1, and what `watch_loss` keeps."""
        return {"factor": Tensor(np.float64(1.0)), **no_loss_yet()}

    def update(self, grads: Any, state: dict[str, Any], params: Any, **extra: Any) -> tuple[Any, dict[str, Any]]:
        """All leaves by the factor."""
        view = ParameterView(params)
        seen = watch_loss(state, require_loss(self, extra), self.every, self.threshold)
        stuck = seen["waited"] > self.patience
        before = operand(state["factor"])
        factor = where(stuck, maximum(before * self.factor, self.smallest), before)
        seen["waited"] = where(stuck, 0.0, seen["waited"])
        updates = [None if g is None else scalar_like(factor, g) * g for g in view.gradients(grads)]
        return view.build(updates), {"factor": result(factor), **{k: result(v) for k, v in seen.items()}}


def no_loss_yet() -> dict[str, Any]:
    """What `watch_loss` starts from."""
    numbers = {"best": np.inf, "waited": 0.0, "total": 0.0}
    return {"t": Tensor(np.int64(0))} | {k: Tensor(np.float64(v)) for k, v in numbers.items()}


def watch_loss(state: dict[str, Any], value: Any, every: int, threshold: float) -> dict[str, Any]:
    """After one more loss: averages over `every` steps in a row that were no better than the best one (`waited`).

    Better is lower by more than `threshold` of the best one's size; an average that is not a number is not better.
    """
    t, best, waited = state["t"] + 1, operand(state["best"]), operand(state["waited"])
    total = operand(state["total"]) + value
    complete = floor(t / every) * every == t
    mean = total / every
    size = where(best < np.inf, abs(best), 0.0)
    better = logical_and(complete, mean < best - threshold * size)
    return {
        "t": operand(t),
        "best": where(better, mean, best),
        "waited": where(better, 0.0, where(complete, waited + 1, waited)),
        "total": where(complete, 0.0, total),
    }
