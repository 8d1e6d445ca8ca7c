"""Which settings are tried next: by grid, at random, or at random with the better ones trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from clearprop.errors import ArgumentError
from clearprop.program.values import raw
from clearprop.rules import random
from clearprop.search.space import SearchSpace

ETA = 3
"""Of so many trials one is trained on, by successive halving."""
MOST_COMBINATIONS = 100_000
"""A space of at most so many is shuffled whole, so that no combination comes twice."""


@dataclass(frozen=True)
class Request:
    """A training that is wanted: the number of its trial, what of the settings varies, and up to which epoch.

    `epochs` is None where the settings say it; a larger one for a number that came before goes on with its run.
    """

    number: int
    settings: Mapping[str, Any]
    epochs: int | None = None


class Strategy(Protocol):
    """What decides on the trials: it is asked for the next one, and told how each has ended."""

    def ask(self) -> Request | None:
        """The next training; None where there is none now: before more have ended, or at the end."""

    def tell(self, request: Request, score: float | None) -> None:
        """A training has ended; `score` is lower for a better one, None for one that failed."""


class Listed:
    """Trials that are known beforehand, in their order.

    >>> trials = Listed([{"lr": 0.1}, {"lr": 0.2}])
    >>> trials.ask(), trials.ask(), trials.ask()
    (Request(number=0, settings={'lr': 0.1}, epochs=None), Request(number=1, settings={'lr': 0.2}, epochs=None), None)
    """

    def __init__(self, trials: list[dict[str, Any]]) -> None:
        self.trials, self._next = trials, 0

    def ask(self) -> Request | None:
        """The next of them."""
        if self._next == len(self.trials):
            return None
        self._next += 1
        return Request(self._next - 1, self.trials[self._next - 1])

    def tell(self, request: Request, score: float | None) -> None:
        """Nothing follows from it."""


class Halving:
    """Successive halving (Jamieson and Talwalkar 2016): of n trials, the best n/η are trained on to η times the epochs.

    Rung i of s + 1 trains the best ⌊n/η^i⌋ up to epoch R/η^(s−i), where R is all of them.  A rung begins when the one
    before has ended whole, so that which are trained on does not hang on which end first.

    >>> halving = Halving([{"lr": 10.0**-k} for k in range(9)], epochs=18)
    >>> halving.budgets
    (2, 6, 18)
    """

    def __init__(self, trials: list[dict[str, Any]], epochs: int) -> None:
        rungs = min(_whole_logarithm(len(trials)), _whole_logarithm(epochs))
        self.trials = trials
        self.budgets = tuple(round(epochs / ETA ** (rungs - i)) for i in range(rungs + 1))
        self._rung, self._waiting, self._size = 0, list(range(len(trials))), len(trials)
        self._scores: dict[int, float] = {}

    def ask(self) -> Request | None:
        """The next trial of the rung; None until the last of it has ended."""
        if not self._waiting:
            return None
        number = self._waiting.pop(0)
        return Request(number, self.trials[number], self.budgets[self._rung])

    def tell(self, request: Request, score: float | None) -> None:
        """Keep the score; with the last one of a rung the next begins."""
        self._scores[request.number] = math.inf if score is None else score
        if len(self._scores) < self._size or self._rung + 1 == len(self.budgets):
            return
        ranked = sorted((n for n in self._scores if self._scores[n] < math.inf), key=lambda n: (self._scores[n], n))
        self._rung += 1
        self._waiting, self._scores = sorted(ranked[: len(self.trials) // ETA**self._rung]), {}
        self._size = len(self._waiting)


def _whole_logarithm(number: int) -> int:
    """The largest k with η^k ≤ number."""
    power = 0
    while ETA ** (power + 1) <= number:
        power += 1
    return power


def random_trials(space: SearchSpace, trials: int, seed: int) -> list[dict[str, Any]]:
    """So many places in the space, each from the seed and its number alone; in a finite space none comes twice.

    >>> from clearprop.search.space import read_space
    >>> random_trials(read_space({"hidden": "8;16;32"}), 2, seed=1)
    [{'hidden': (8,)}, {'hidden': (16,)}]
    """
    key = random.key(seed)
    if space.size is not None and space.size <= MOST_COMBINATIONS:
        every = space.grid(space.size)
        return [every[i] for i in raw(random.permutation(key, len(every)))[:trials]]
    shape = (len(space.axes),)
    return [space.at(raw(random.uniform(random.fold_in(key, k), shape)).tolist()) for k in range(trials)]


def require_trials(trials: Any) -> None:
    """Raise ArgumentError for a number of trials that is none."""
    if isinstance(trials, bool) or not isinstance(trials, int) or not 1 <= trials <= MOST_COMBINATIONS:
        raise ArgumentError(
            "a sweep has a number of trials",
            expected=f"a whole number from 1 to {MOST_COMBINATIONS:,}",
            got=repr(trials),
            where="--trials",
            try_="--trials 60",
        )
