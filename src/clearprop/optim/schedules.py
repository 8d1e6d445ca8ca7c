"""Learning rates that depend on the step: pure functions of its number t = 0, 1, …, which trace."""

from __future__ import annotations

import math
from typing import Any

from clearprop.arrays.tensor import Tensor, asarray
from clearprop.optim.hyperparameters import COUNT, LARGEST, NOT_NEGATIVE, SHARE, Configured, Range, hyper
from clearprop.program.values import Node
from clearprop.rules.elementwise import floor, maximum, minimum, where
from clearprop.rules.trigonometric import cos


class Schedule(Configured):
    """A learning rate as a function of the step: `schedule(t)` is a number (traced: a weak scalar).

    The base of all schedules; one of your own defines `at(t)` with the functions of `cl`.

    >>> import clearprop as cl
    >>> class halving(cl.optim.Schedule):
    ...     value: float = 1.0
    ...
    ...     def at(self, t):
    ...         return self.value * 0.5**t
    >>> [float(halving(8.0)(t)) for t in (0, 1, 2)]
    [8.0, 4.0, 2.0]
    """

    def __call__(self, t: Any) -> Any:
        """The learning rate of step t."""
        if not isinstance(t, Node):
            t = Tensor(t) if type(t) is float or (type(t) is int and abs(t) < LARGEST) else asarray(t)
        rate = self.at(t)
        return rate if isinstance(rate, Node) else Tensor(rate)

    def at(self, t: Any) -> Any:
        """The formula, for a tensor t."""
        raise NotImplementedError


class constant(Schedule):
    """η_t = value.

    value  η, at least 0

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

    value   η before the first fall
    every   how many steps it stays
    factor  what it is multiplied by then

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

    value  η at the start
    steps  how long it falls
    floor  η at the end

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


class exponential(Schedule):
    """η_t = value · factor^(t/every); a factor above 1 makes it rise.

    value   η at the start
    every   in how many steps it is multiplied by the factor
    factor  at least 0

    >>> import clearprop as cl
    >>> [float(cl.optim.exponential(1.0, every=2, factor=0.25)(t)) for t in (0, 1, 2)]
    [1.0, 0.5, 0.25]
    """

    value: float = hyper(default=1e-3, within=NOT_NEGATIVE)
    every: int = hyper(default=1000, within=COUNT)
    factor: float = hyper(default=0.1, within=NOT_NEGATIVE)

    def at(self, t: Any) -> Any:
        """The formula."""
        return self.value * self.factor ** (t / self.every)


class inverse_power(Schedule):
    """η_t = value/(1 + factor·t)^power: falls for ever, and its sum grows for ever (Robbins & Monro 1951).

    With 0.5 < power ≤ 1 the rates are those that stochastic approximation converges with.

    value   η at the start
    factor  how fast it falls
    power   1 for 1/t

    >>> import clearprop as cl
    >>> [float(cl.optim.inverse_power(1.0, factor=1.0, power=1.0)(t)) for t in (0, 1, 3)]
    [1.0, 0.5, 0.25]
    """

    value: float = hyper(default=1e-2, within=NOT_NEGATIVE)
    factor: float = hyper(default=1e-3, within=NOT_NEGATIVE)
    power: float = hyper(default=1.0, within=NOT_NEGATIVE)

    def at(self, t: Any) -> Any:
        """The formula."""
        return self.value / (1 + self.factor * t) ** self.power


class one_cycle(Schedule):
    """Up from peak/start to the peak during the first `rise` of all steps, down to peak/start/end (Smith 2018).

    Both ways are half a cosine: η = to + ½(from − to)(1 + cos(π·share)); PyTorch's shape and defaults.  The peak is at
    t = rise·steps − 1, the end at t = steps − 1.

    peak   the largest η
    steps  of the whole cycle
    rise   the share of the steps in which η rises
    start  by what it is divided at the start
    end    by what the start is divided at the end

    >>> import clearprop as cl
    >>> rate = cl.optim.one_cycle(1.0, steps=10, rise=0.5, start=10, end=100)
    >>> [round(float(rate(t)), 6) for t in (0, 2, 4, 9, 20)]
    [0.1, 0.55, 1.0, 0.001, 0.001]
    """

    peak: float = hyper(default=1e-2, within=NOT_NEGATIVE)
    steps: int = hyper(default=1000, within=Range(4, 1e12, whole=True))
    rise: float = hyper(default=0.3, within=Range(0.0, 1.0, "[]"))
    start: float = hyper(default=25.0, within=Range(1.0, 1e12))
    end: float = hyper(default=1e4, within=Range(1.0, 1e12))

    def at(self, t: Any) -> Any:
        """The formula."""
        top, last, low = max(self.rise * self.steps - 1, 1.0), self.steps - 1, self.peak / self.start
        up = _half_cosine(low, self.peak, minimum(t / top, 1.0))
        down = _half_cosine(self.peak, low / self.end, minimum(maximum(t - top, 0) / (last - top), 1.0))
        return where(t <= top, up, down)


def _half_cosine(begin: float, end: float, share: Any) -> Any:
    return end + 0.5 * (begin - end) * (1 + cos(math.pi * share))


class warmup(Schedule):
    """η_t = then(0)·(t + 1)/steps for t < steps, then(t − steps) afterwards.

    steps  how long η rises
    then   what follows: a schedule or a number

    The first step already moves: it has the rate then(0)/steps, not 0.

    >>> import clearprop as cl
    >>> rate = cl.optim.warmup(4, then=cl.optim.cosine(1.0, steps=100))
    >>> [float(rate(t)) for t in (0, 1, 3, 4)]
    [0.25, 0.5, 1.0, 1.0]
    """

    steps: int = hyper(default=100, within=COUNT)
    then: float | Schedule = hyper(default=1e-3, within=NOT_NEGATIVE, kind=Schedule)

    def at(self, t: Any) -> Any:
        """The formula."""
        after = rate_at(self.then, maximum(t - self.steps, 0))
        return where(t < self.steps, rate_at(self.then, 0) * (t + 1) / self.steps, after)


def rate_at(rate: float | Schedule, t: Any) -> Any:
    """The learning rate of step t = 0, 1, …, where it is a number or a schedule."""
    return rate(t) if isinstance(rate, Schedule) else rate
