"""The tree-structured Parzen estimator (Bergstra et al. 2011), asked of Optuna: trials near those that were good."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from clearprop.errors import ArgumentError
from clearprop.search.space import Axis, ChoiceAxis, SearchSpace
from clearprop.search.strategies import Request


class Parzen:
    """Trials by Optuna's sampler, which learns from those that have ended.

    With several at once, which have ended when the next is asked for hangs on how fast each is: only one at a time
    repeats to the trial.  `before` holds what varied in the trials that a sweep had begun, which now goes on.
    """

    def __init__(self, space: SearchSpace, trials: int, seed: int, before: Sequence[Mapping[str, Any]] = ()) -> None:
        optuna = _optuna()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        self._study = optuna.create_study(direction="minimize", sampler=sampler)
        self._space, self._left, self._next = space, trials, 0
        self._asked: dict[int, Any] = {}
        self._failed = optuna.trial.TrialState.FAIL
        for settings in before[:trials]:
            self._study.enqueue_trial({axis.name: _as_parameter(axis, settings[axis.name]) for axis in space.axes})

    def ask(self) -> Request | None:
        """The next trial."""
        if self._next == self._left:
            return None
        trial = self._study.ask()
        self._asked[self._next] = trial
        self._next += 1
        return Request(self._next - 1, {axis.name: _suggest(trial, axis) for axis in self._space.axes})

    def tell(self, request: Request, score: float | None) -> None:
        """Let the sampler learn from it."""
        trial = self._asked.pop(request.number)
        if score is None or not math.isfinite(score):
            self._study.tell(trial, state=self._failed)
        else:
            self._study.tell(trial, score)


def _suggest(trial: Any, axis: Axis) -> Any:
    if isinstance(axis, ChoiceAxis):
        return axis.values[trial.suggest_categorical(axis.name, range(len(axis.values)))]
    if axis.whole:
        return trial.suggest_int(axis.name, int(axis.low), int(axis.high), log=axis.log)
    return trial.suggest_float(axis.name, axis.low, axis.high, log=axis.log)


def _as_parameter(axis: Axis, value: Any) -> Any:
    """The value as the sampler knows it: the place of a choice."""
    return axis.values.index(value) if isinstance(axis, ChoiceAxis) else value


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError:
        raise ArgumentError(
            "the search tpe is Optuna's",
            expected="Optuna, which the sweep's extra brings",
            got="no module named 'optuna'",
            where="--search tpe",
            try_="pip install 'clearprop[sweep]', or --search random",
        ) from None
    return optuna
