"""Adafactor: Adam's second moments kept as one number per row and column, steps in proportion to the parameters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from clearprop.optim.hyperparameters import NOT_NEGATIVE, POSITIVE, Range, hyper
from clearprop.optim.lengths import unit_lengths
from clearprop.optim.schedules import Schedule, rate_at
from clearprop.optim.transform import Composed, Leafwise, Transform, kept_square
from clearprop.program.ir import shape_of
from clearprop.program.types import type_of
from clearprop.program.values import raw
from clearprop.rules.elementwise import maximum, minimum, sqrt, square
from clearprop.rules.reductions import mean
from clearprop.rules.structural import zeros_like


def _is_matrix(p: Any) -> bool:
    """Whether the last two axes are rows and columns."""
    return len(shape_of(p)) >= 2


def _root_mean_square(x: Any) -> Any:
    """√(mean x²), of numbers of any size."""
    length = unit_lengths(x, None)
    return length.norm / length.by / math.sqrt(math.prod(shape_of(x)))


class scale_by_factored_rms(Leafwise):
    """The update g/√V, where V of a matrix is the outer product of the mean squares of rows and columns.

    r ← (1 − s)r + s·mean_columns(g²), c ← (1 − s)c + s·mean_rows(g²), s = t^−decay, V = r·c/max(mean r, ε); V of a
    vector is the average of g² itself, and V is at least ε² (Shazeer & Stern 2018; PyTorch's form).  A matrix of n × m
    needs n + m numbers of memory in place of n·m.

    decay  the power of t with which the newest weighs less
    eps    ε; None: the distance from 1 to the next number of the parameter's dtype

    >>> import clearprop as cl
    >>> link, p = cl.optim.scale_by_factored_rms(), cl.tensor([[1.0, 1.0], [1.0, 1.0]])
    >>> link.update(cl.tensor([[3.0, -6.0], [1.0, 2.0]]), link.init(p), p)[0]
    Tensor([[1.0, -1.0],
            [1.0, 1.0]])
    """

    counts = True
    slots = ("rows", "columns", "v")
    decay: float = hyper(default=0.8, within=Range(0.0, 1.0, "["))
    eps: float | None = hyper(default=None, within=POSITIVE._replace(or_none=True))

    def first(self, slot: str, p: Any) -> Any:
        """Nothing seen; of a matrix only rows and columns are kept, of all else only v."""
        if (slot == "v") == _is_matrix(p):
            return None
        if slot == "v":
            return zeros_like(p)
        return zeros_like(mean(p, axis=-1 if slot == "rows" else -2, keepdims=True))

    def scalars(self, t: Any, *carried: Any) -> tuple[Any, ...]:
        """The weight of the newest."""
        return (t**-self.decay,), *carried

    def leaf(self, g: Any, p: Any, rows: Any, columns: Any, v: Any, weight: Any) -> tuple[Any, ...]:
        """The rule."""
        eps = float(np.finfo(type_of(raw(p)).dtype).eps) if self.eps is None else self.eps
        if not _is_matrix(p):
            v = v + weight * (square(g) - v)
            return g / sqrt(maximum(v, eps**2)), None, None, kept_square(v)
        rows, columns = (
            kept + weight * (mean(square(g), axis=axis, keepdims=True) - kept)
            for kept, axis in ((rows, -1), (columns, -2))
        )
        estimate = rows * columns / maximum(mean(rows, axis=-2, keepdims=True), eps)
        return g / sqrt(maximum(estimate, eps**2)), kept_square(rows), kept_square(columns), None


class clip_by_rms(Leafwise):
    """The update u = g/max(1, rms(g)/limit), with the root mean square of each parameter's own gradient.

    Shazeer & Stern 2018, §6.

    limit  the largest root mean square

    >>> import clearprop as cl
    >>> link, p = cl.optim.clip_by_rms(1.0), cl.tensor([1.0, 1.0])
    >>> link.update(cl.tensor([2.0, -2.0]), link.init(p), p)[0]
    Tensor([1.0, -1.0])
    """

    limit: float = hyper(default=1.0, within=POSITIVE)

    def leaf(self, g: Any, p: Any) -> tuple[Any, ...]:
        """The rule."""
        return (g / maximum(_root_mean_square(g) / self.limit, 1.0),)


class scale_by_parameter_rms(Leafwise):
    """The update u = max(rms(p), least)·g: steps in proportion to what they change (Shazeer & Stern 2018, §8).

    least  what a parameter next to 0 counts as, so that it may start to move

    >>> import clearprop as cl
    >>> link, p = cl.optim.scale_by_parameter_rms(), cl.tensor([3.0, -3.0])
    >>> link.update(cl.tensor([1.0, 0.5]), link.init(p), p)[0]
    Tensor([3.0, 1.5])
    """

    least: float = hyper(default=1e-3, within=POSITIVE)

    def leaf(self, g: Any, p: Any) -> tuple[Any, ...]:
        """The rule."""
        return (g * maximum(_root_mean_square(p), self.least),)


class scale_by_relative_rate(Leafwise):
    """The update u = −min(η, 1/√t)·g, t = 1, 2, … (Shazeer & Stern 2018, §8).

    learning_rate  η, a number or a schedule

    >>> import clearprop as cl
    >>> link, p = cl.optim.scale_by_relative_rate(0.5), cl.tensor(2.0)
    >>> link.update(cl.tensor(3.0), link.init(p), p)[0]
    Tensor(-1.5)
    """

    counts = True
    learning_rate: float | Schedule = hyper(default=1e-2, within=NOT_NEGATIVE, kind=Schedule)

    def rate_after(self, steps: Any) -> Any:
        """The rate of the next step after so many."""
        return minimum(rate_at(self.learning_rate, steps), 1 / sqrt(steps + 1))

    def scalars(self, t: Any, *carried: Any) -> tuple[Any, ...]:
        """The rate."""
        return (self.rate_after(t - 1),), *carried

    def leaf(self, g: Any, p: Any, rate: Any) -> tuple[Any, ...]:
        """The rule."""
        return (-rate * g,)


class decay_weights(Leafwise):
    """The update u = g − ηλp: decoupled decay behind a learning rate of another kind (Loshchilov & Hutter 2017).

    learning_rate  η, a number or a schedule
    weight_decay   λ, for every parameter

    >>> import clearprop as cl
    >>> link, p = cl.optim.decay_weights(0.5, weight_decay=0.1), cl.tensor(2.0)
    >>> link.update(cl.tensor(-3.0), link.init(p), p)[0]
    Tensor(-3.1)
    """

    counts = True
    learning_rate: float | Schedule = hyper(default=1e-2, within=NOT_NEGATIVE, kind=Schedule)
    weight_decay: float = hyper(default=0.01, within=NOT_NEGATIVE)

    def scalars(self, t: Any, *carried: Any) -> tuple[Any, ...]:
        """ηλ."""
        return (rate_at(self.learning_rate, t - 1) * self.weight_decay,), *carried

    def leaf(self, g: Any, p: Any, share: Any) -> tuple[Any, ...]:
        """The rule."""
        return (g - share * p,)


class adafactor(Composed):
    """Adafactor: θ ← θ − α·û/max(1, rms(û)/d), α = max(rms(θ), ε₂)·min(η, 1/√t), û = g/√V (Shazeer & Stern 2018).

    V is the outer product of the average squares of rows and columns, so that a matrix of n × m needs n + m numbers of
    memory.  PyTorch's form and defaults; its `weight_decay` takes ηλθ off.  With η ≥ 1 the rate is 1/√t, the paper's.

    learning_rate  η, a number or a schedule
    decay          the power of t with which the newest gradient weighs less in V
    limit          d, the largest root mean square of û
    eps            ε₁, as in `scale_by_factored_rms`
    least          ε₂, as in `scale_by_parameter_rms`
    weight_decay   λ, for every parameter

    >>> import clearprop as cl
    >>> opt, params = cl.optim.adafactor(0.1), {"w": cl.tensor(1.0)}
    >>> updates, state = opt.update({"w": cl.tensor(2.0)}, opt.init(params), params)
    >>> cl.optim.apply_updates(params, updates)
    {'w': Tensor(0.9)}
    """

    complete = True
    learning_rate: float | Schedule = hyper(default=1e-2, within=NOT_NEGATIVE, kind=Schedule)
    decay: float = hyper(default=0.8, within=Range(0.0, 1.0, "["))
    limit: float = hyper(default=1.0, within=POSITIVE)
    eps: float | None = hyper(default=None, within=POSITIVE._replace(or_none=True))
    least: float = hyper(default=1e-3, within=POSITIVE)
    weight_decay: float = hyper(default=0.0, within=NOT_NEGATIVE)

    @property
    def links(self) -> tuple[Transform, ...]:
        """Adaptive scaling, clipping, scale of the parameters, learning rate, decay if any."""
        return (
            scale_by_factored_rms(self.decay, self.eps),
            clip_by_rms(self.limit),
            scale_by_parameter_rms(self.least),
            scale_by_relative_rate(self.learning_rate),
            *((decay_weights(self.learning_rate, self.weight_decay),) if self.weight_decay else ()),
        )
