"""Learning rates that depend on the step: pure functions of its number t = 0, 1, …, which trace."""

from __future__ import annotations

import math
from typing import Any

from clearprop.arrays.tensor import Tensor
from clearprop.optim.hyper import COUNT, NOT_NEGATIVE, SHARE, Configured, hyper
from clearprop.program.values import Node
from clearprop.rules.elementwise import cos, floor, maximum, minimum, where


class Schedule(Configured):
    """A learning rate as a function of the step: `schedule(t)` is a number (traced: a weak scalar)."""

    def __call__(self, t: Any) -> Any:
        """The learning rate of step t."""
        rate = self.at(t if isinstance(t, Node) else Tensor(t))
        return rate if isinstance(rate, Node) else Tensor(rate)

    def at(self, t: Any) -> Any:
        """The formula, for a tensor t."""
        raise NotImplementedError


class constant(Schedule):
    """η_t = value.

    >>> import clearprop as cl
    >>> cl.optim.constant(0.1)(7)
    Tensor(0.1)
    """

    value: float = hyper(default=1e-3, within=NOT_NEGATIVE)

    def at(self, t: Any) -> Any:
        """The formula."""
        return self.value


class step(Schedule):
    """η_t = value · factor^⌊t/every⌋.

    >>> import clearprop as cl
    >>> [float(cl.optim.step(1.0, every=2)(t)) for t in (0, 1, 2)]
    [1.0, 1.0, 0.1]
    """

    value: float = hyper(default=1e-3, within=NOT_NEGATIVE)
    every: int = hyper(default=1000, within=COUNT)
    factor: float = hyper(default=0.1, within=SHARE)

    def at(self, t: Any) -> Any:
        """The formula."""
        return self.value * self.factor ** floor(t / self.every)


class cosine(Schedule):
    """η_t = floor + ½(value − floor)(1 + cos(π·min(t, steps)/steps)) (Loshchilov & Hutter 2017).

    >>> import clearprop as cl
    >>> [float(cl.optim.cosine(1.0, steps=2)(t)) for t in (0, 2, 9)]
    [1.0, 0.0, 0.0]
    """

    value: float = hyper(default=1e-3, within=NOT_NEGATIVE)
    steps: int = hyper(default=1000, within=COUNT)
    floor: float = hyper(default=0.0, within=NOT_NEGATIVE)

    def at(self, t: Any) -> Any:
        """The formula."""
        share = minimum(t, self.steps) / self.steps
        return self.floor + 0.5 * (self.value - self.floor) * (1 + cos(math.pi * share))


class warmup(Schedule):
    """η_t = then(0)·(t + 1)/steps for t < steps, then(t − steps) afterwards; `then` is a schedule or a number.

    The first step already moves: it has the rate then(0)/steps, not 0.

    >>> import clearprop as cl
    >>> rate = cl.optim.warmup(4, then=cl.optim.cosine(1.0, steps=100))
    >>> [float(rate(t)) for t in (0, 1, 3, 4)]
    [0.25, 0.5, 1.0, 1.0]
    """

    steps: int = hyper(default=100, within=COUNT)
    then: float | Schedule = hyper(default=1e-3, within=NOT_NEGATIVE)

    def at(self, t: Any) -> Any:
        """The formula."""
        after = _at(self.then, maximum(t - self.steps, 0))
        return where(t < self.steps, _at(self.then, 0) * (t + 1) / self.steps, after)


def _at(rate: float | Schedule, t: Any) -> Any:
    return rate(t) if isinstance(rate, Schedule) else rate
