"""Sharpness-aware minimisation: the gradient where the loss is worst nearby."""

from __future__ import annotations

from typing import Any

from clearprop.optim.first_order import sgd
from clearprop.optim.hyperparameters import POSITIVE, hyper
from clearprop.optim.lengths import length_of
from clearprop.optim.transform import ParameterView, Transform
from clearprop.optim.update_arguments import gradient_at, move_parameters, require_argument
from clearprop.rules.elementwise import square


class sam(Transform):
    """`inner` with the gradient at θ + ρ·g/‖g‖ in place of the one at θ (Foret et al. 2021).

    It costs a second gradient per step and looks for minima whose whole neighbourhood is low.  `adaptive` measures the
    neighbourhood in units of the weights: θ + ρ·θ²g/‖θg‖ (Kwon et al. 2021); its ρ is about ten times larger.

    inner     the rule that gets the gradient
    rho       ρ, how far away it is taken
    adaptive  whether ρ is in units of the weights

    >>> import clearprop as cl
    >>> f, p = lambda x: x ** 4, cl.tensor(1.0)
    >>> opt = cl.optim.sam(cl.optim.sgd(0.25), rho=1.0)
    >>> opt.update(cl.grad(f)(p), opt.init(p), p, f=f)[0]
    Tensor(-8.0)
    """

    complete = True
    inner: Transform = hyper(default=sgd(0.01, momentum=0.9), kind=Transform)
    rho: float = hyper(default=0.05, within=POSITIVE)
    adaptive: bool = False

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]  # here it depends on the inner rule
        """The loss as a function, and what the inner rule needs."""
        return self.inner.needs | {"f"}

    def init(self, params: Any) -> Any:
        """The inner state."""
        return self.inner.init(params)

    def update(self, grads: Any, state: Any, params: Any, **extra: Any) -> tuple[Any, Any]:
        """The inner rule on the gradient nearby."""
        view, f = ParameterView(params), require_argument(self, extra, "f")
        given = view.gradients(grads)
        pairs = list(zip(given, view.leaves, strict=True))
        size = [None if g is None else g * p if self.adaptive else g for g, p in pairs]
        way = [None if g is None else g * square(p) if self.adaptive else g for g, p in pairs]
        length = length_of(size)
        short = [None if w is None else length.shrink(w) for w in way]
        worst = move_parameters(view, short, self.rho / (length.norm + 1e-12))
        return self.inner.update(view.build(gradient_at(f, view, worst)), state, params, **extra)

    def eval_params(self, state: Any, params: Any) -> Any:
        """As the inner rule says."""
        return self.inner.eval_params(state, params)
