"""One rule first and another afterwards, with a criterion for when."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from clearprop.arrays.tensor import Tensor
from clearprop.autodiff.trees import flatten, unflatten
from clearprop.optim.first_order import adam, sgd
from clearprop.optim.hyperparameters import COUNT, FRACTION, NOT_NEGATIVE, POSITIVE, SHARE, Configured, Range, hyper
from clearprop.optim.lengths import inner_product
from clearprop.optim.rates import no_loss_yet, watch_loss
from clearprop.optim.schedules import Schedule
from clearprop.optim.transform import Composed, ParameterView, Transform, operand, result, scalar_like
from clearprop.optim.update_arguments import require_loss
from clearprop.rules.elementwise import abs, logical_and, logical_or, where


class Criterion(Configured):
    """When to switch: `fires, factor, state = judge(state, t, updates, grads, value)` in step t = 1, 2, ….

    `updates` and `grads` are lists of leaves; the second rule's updates are multiplied by the factor of the step in
    which the criterion fired.
    """

    needs: ClassVar[frozenset[str]] = frozenset()

    def init(self) -> dict[str, Any]:
        """What the criterion keeps."""
        return {}

    def judge(
        self, state: dict[str, Any], t: Any, updates: list[Any], grads: list[Any], value: Any
    ) -> tuple[Any, Any, dict[str, Any]]:
        """Whether to switch after this step."""
        raise NotImplementedError


class after_steps(Criterion):
    """After so many steps.

    steps  of the first rule

    >>> import clearprop as cl
    >>> opt = cl.optim.switch(cl.optim.adam(0.01), cl.optim.sgd(0.1), cl.optim.after_steps(500))
    >>> opt.criterion
    after_steps(steps=500)
    """

    steps: int = hyper(default=1000, within=COUNT)

    def judge(
        self, state: dict[str, Any], t: Any, updates: list[Any], grads: list[Any], value: Any
    ) -> tuple[Any, Any, dict[str, Any]]:
        """The step number alone."""
        return t >= self.steps, 1.0, state


class on_plateau(Criterion):
    """When averages of `every` losses have not improved for `patience` of them in a row.

    patience, every, threshold  as in `reduce_on_plateau`

    >>> import clearprop as cl
    >>> opt = cl.optim.switch(cl.optim.adam(0.01), cl.optim.sgd(0.1), cl.optim.on_plateau(patience=3))
    >>> opt.criterion
    on_plateau(patience=3, every=1, threshold=0.0001)
    """

    needs = frozenset({"value"})
    patience: int = hyper(default=10, within=Range(0, 1e12, whole=True))
    every: int = hyper(default=1, within=COUNT)
    threshold: float = hyper(default=1e-4, within=SHARE)

    def init(self) -> dict[str, Any]:
        """What `watch_loss` keeps."""
        return no_loss_yet()

    def judge(
        self, state: dict[str, Any], t: Any, updates: list[Any], grads: list[Any], value: Any
    ) -> tuple[Any, Any, dict[str, Any]]:
        """The losses alone."""
        seen = watch_loss(state, value, self.every, self.threshold)
        return seen["waited"] > self.patience, 1.0, {k: result(v) for k, v in seen.items()}


class projection_settles(Criterion):
    """SWATS's criterion: when the rate that gives gradient descent the same progress no longer changes.

    γ = uᵀu/(−uᵀg) is the rate at which −γg has u's projection on itself, λ ← β₂λ + (1 − β₂)γ its average; fires when
    |λ/(1 − β₂ᵗ) − γ| < eps for a γ > 0, from the second step on, and gives λ/(1 − β₂ᵗ) as the factor (Keskar & Socher
    2017).  The paper's eps = 1e-9 practically never fires, hence 1e-5; that γ must be positive is added here.

    eps  how near the average must be to the rate
    b2   β₂, the share of the average that a step keeps

    >>> import clearprop as cl
    >>> opt = cl.optim.switch(cl.optim.adam(0.01), cl.optim.sgd(0.1), cl.optim.projection_settles())
    >>> opt.criterion
    projection_settles(eps=1e-05, b2=0.999)
    """

    eps: float = hyper(default=1e-5, within=POSITIVE)
    b2: float = hyper(default=0.999, within=FRACTION)

    def init(self) -> dict[str, Any]:
        """The average λ."""
        return {"average": Tensor(np.float64(0.0))}

    def judge(
        self, state: dict[str, Any], t: Any, updates: list[Any], grads: list[Any], value: Any
    ) -> tuple[Any, Any, dict[str, Any]]:
        """The projection of the gradient on the update."""
        along, before = -inner_product(updates, grads), operand(state["average"])
        known = along != 0
        gamma = inner_product(updates, updates) / where(known, along, 1.0)
        average = where(known, self.b2 * before + (1 - self.b2) * gamma, before)
        rate = average / (1 - self.b2**t)
        settled = logical_and(abs(rate - gamma) < self.eps, logical_and(known, t > 1))
        return logical_and(settled, gamma > 0), rate, {"average": result(average)}


class switch(Transform):
    """The rule `first` until `when` fires, `second` from the next step on, which then starts from its initial state.

    Both rules are evaluated in every step, so that the step stays one pure function; a gradient costs more than either.

    first   the rule of the beginning
    second  the rule of the end
    when    a number of steps, or a criterion: `after_steps`, `on_plateau`, `projection_settles`

    >>> import clearprop as cl
    >>> opt, p = cl.optim.switch(cl.optim.sgd(0.5), cl.optim.sgd(0.25), when=1), cl.tensor(0.0)
    >>> updates, state = opt.update(cl.tensor(8.0), opt.init(p), p)
    >>> updates, opt.update(cl.tensor(8.0), state, p)[0]
    (Tensor(-4.0), Tensor(-2.0))
    """

    first: Transform = hyper(kind=Transform)
    second: Transform = hyper(kind=Transform)
    when: int | Criterion = hyper(default=1000, within=COUNT, kind=Criterion)

    @property
    def criterion(self) -> Criterion:
        """The criterion, also where only a number was given."""
        return self.when if isinstance(self.when, Criterion) else after_steps(self.when)

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]  # here it depends on the rules
        """What the rules and the criterion need."""
        return self.first.needs | self.second.needs | self.criterion.needs

    def init(self, params: Any) -> dict[str, Any]:
        """Both states, and that nothing has been switched."""
        return {
            "t": Tensor(np.int64(0)),
            "switched": Tensor(np.bool_(False)),
            "begun": Tensor(np.bool_(False)),
            "factor": Tensor(np.float64(1.0)),
            "first": self.first.init(params),
            "second": self.second.init(params),
            "when": self.criterion.init(),
        }

    def update(self, grads: Any, state: dict[str, Any], params: Any, **extra: Any) -> tuple[Any, dict[str, Any]]:
        """The first rule's update, or the second's."""
        view, t, on = ParameterView(params), state["t"] + 1, operand(state["switched"])
        one, first = self.first.update(grads, state["first"], params, **extra)
        begun = _choose_tree(operand(state["begun"]), state["second"], self.second.init(params))
        other, second = self.second.update(grads, begun, params, **extra)
        before, after = view.gradients(one), view.gradients(other)
        value = require_loss(self, extra) if "value" in self.criterion.needs else None
        fires, rate, seen = self.criterion.judge(state["when"], t, before, view.gradients(grads), value)
        updates = [
            None if b is None else where(on, scalar_like(state["factor"], a) * a, b)
            for b, a in zip(before, after, strict=True)
        ]
        return view.build(updates), {
            "t": t,
            "switched": result(logical_or(on, fires)),
            "begun": result(logical_or(on, False)),
            "factor": result(where(on, operand(state["factor"]), rate * np.float64(1.0))),
            "first": _choose_tree(on, state["first"], first),
            "second": _choose_tree(on, second, state["second"]),
            "when": _choose_tree(on, state["when"], seen),
        }

    def eval_params(self, state: Any, params: Any) -> Any:
        """As the rule in force says."""
        second = self.second.eval_params(state["second"], params)
        return _choose_tree(operand(state["switched"]), second, self.first.eval_params(state["first"], params))


def _choose_tree(on: Any, new: Any, old: Any) -> Any:
    """The leaves of `new` where `on`, else those of `old`."""
    chosen, structure = flatten(new)
    pairs = zip(chosen, flatten(old)[0], strict=True)
    leaves = [a if a is None or a is b else result(where(on, operand(a), operand(b))) for a, b in pairs]
    return unflatten(structure, leaves)


class swats(Composed):
    """Adam until its steps look like gradient descent with a fixed rate, then that (Keskar & Socher 2017).

    The second rule is heavy ball with Adam's β₁ and the rate (1 − β₁)·λ that `projection_settles` found.

    learning_rate  Adam's rate, a number or a schedule
    b1, b2         Adam's β₁ and β₂
    eps            of `projection_settles`; Adam's own is 1e-8

    >>> import clearprop as cl
    >>> cl.optim.swats(0.01).links[0].second
    sgd(learning_rate=0.09999999999999998, momentum=0.9, nesterov=False, weight_decay=0.0, dampening=0.0)
    """

    complete = True
    learning_rate: float | Schedule = hyper(default=1e-3, within=NOT_NEGATIVE, kind=Schedule)
    b1: float = hyper(default=0.9, within=FRACTION)
    b2: float = hyper(default=0.999, within=FRACTION)
    eps: float = hyper(default=1e-5, within=POSITIVE)

    @property
    def links(self) -> tuple[Transform, ...]:
        """The switch."""
        first, second = adam(self.learning_rate, self.b1, self.b2), sgd(1 - self.b1, momentum=self.b1)
        return (switch(first, second, projection_settles(self.eps, self.b2)),)
