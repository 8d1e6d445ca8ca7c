"""How a class is chosen by its probability: of two classes by a threshold, of several by what mistakes cost.

Where mistakes do not cost the same, or one class is rare, the largest probability is not the best choice.  A threshold,
or costs, move it, and no probability: the loss and every metric of probabilities stay what they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from clearprop.data.parts import sample_rows
from clearprop.data.training_data import Prepared, sample_weights
from clearprop.errors import ArgumentError, user_line
from clearprop.nn import CLASS_LOSSES
from clearprop.nn.losses import is_binary, loss_task
from clearprop.program.types import type_of
from clearprop.program.values import no_grad, raw
from clearprop.runs.settings import Settings, declaration_of
from clearprop.train.array_alignment import adapted_inputs
from clearprop.train.expected_costs import Costs, recorded_costs
from clearprop.train.metrics import Measure, find_metrics, outputs_of, outputs_on_trial
from clearprop.train.scores import labels_of, probabilities_of
from clearprop.train.target_loss import class_costs

AUTO = "auto"
"""The threshold that asks for the best one on the validation rows."""
COST = "cost"
"""The metric that says what mistakes cost."""
DECIDED = ("accuracy", "balanced_accuracy", "f1", "precision", "recall", "mcc", COST)
"""The metrics that judge the classes that are chosen, and so hang on how they are."""
MOST_TRIED, MOST_ROWS = 200, 20_000
"""So many thresholds are tried at most, on so many rows at most, both evenly spread."""


LEAST_COST = "of every row the class is chosen whose mistakes should cost least by the probabilities (costs)"
"""What is said where costs of mistakes choose."""
Choice: TypeAlias = float | Costs | None
"""What chooses: the threshold of two classes, the costs of mistakes among several; None: the largest probability."""


def choice_of(settings: Settings, found: float | None = None) -> Choice:
    """What chooses under the settings of a run, which found this threshold; None also before one is found."""
    if isinstance(settings.threshold, float):
        return settings.threshold
    costs = recorded_costs(settings.costs)
    return found if costs is None or len(costs.of) == 2 else costs


def shift_by(outputs: Any, choice: Choice) -> Any:
    """Outputs of which the largest, or the sign of a single one, is what is chosen.

    The second of two classes has a probability above t where its logit is ahead by more than log(t / (1 − t)).

    >>> shift_by(np.array([[0.0, 1.0]]), 0.5).tolist(), (shift_by(np.array([[1.0]]), 0.8) > 0).tolist()
    ([[0.0, 1.0]], [[False]])
    """
    if choice is None:
        return outputs
    if isinstance(choice, Costs):
        return choice.preferences(outputs)
    kind = type_of(raw(outputs))
    ahead = math.log(choice) - math.log1p(-choice)
    return outputs - np.array([0.0, ahead][-kind.shape[-1] :], dtype=kind.dtype)


def chosen_by(shares: NDArray[np.float64], choice: Choice) -> NDArray[np.int64]:
    """The places of the classes that are chosen by their probabilities `(rows, classes)`.

    >>> chosen_by(np.array([[0.6, 0.4]]), None).tolist(), chosen_by(np.array([[0.6, 0.4]]), 0.3).tolist()
    ([0], [1])
    """
    if isinstance(choice, Costs):
        return choice.least(shares)
    chosen = np.argmax(shares, axis=1) if choice is None else shares[:, 1] > choice
    return np.asarray(chosen, dtype=np.int64)


@dataclass(frozen=True)
class AtChoice:
    """A metric of chosen classes, given outputs of which the largest are what is chosen."""

    function: Callable[..., Any]
    choice: Choice

    def __call__(self, outputs: Any, y: Any, **more: Any) -> Any:
        """The metric; `more` are weights of rows."""
        return self.function(shift_by(outputs, self.choice), y, **more)


@dataclass(frozen=True)
class MeanCost:
    """The metric `cost`: what a row costs on average, by the classes of largest output."""

    costs: Costs

    def __call__(self, outputs: NDArray[Any], y: NDArray[Any], sample_weight: Any = None) -> float:
        """The mean over all rows, by their weights."""
        return self.costs.mean(labels_of(y), np.argmax(probabilities_of(outputs), axis=1), sample_weight)


def at_choice(metrics: Sequence[Measure], settings: Settings, choice: Choice) -> tuple[Measure, ...]:
    """The metrics, of which those of chosen classes choose so; `cost` by the costs of the settings."""
    costs = recorded_costs(settings.costs)
    priced = [replace(m, function=MeanCost(costs)) if costs and m.name == COST else m for m in metrics]
    if choice is None:
        return tuple(priced)
    return tuple(replace(m, function=AtChoice(m.function, choice)) if m.name in DECIDED else m for m in priced)


def checked_threshold(asked: Any) -> float | str | None:
    """The threshold that was asked for.  Raises ArgumentError for what is none."""
    if asked is None or (isinstance(asked, str) and asked == AUTO):
        return asked
    within = declaration_of("threshold").range
    assert within is not None  # it is declared
    if isinstance(asked, bool) or not isinstance(asked, int | float) or not within.holds(asked):
        raise ArgumentError(
            "this is no threshold",
            expected="a probability above 0 and below 1, or 'auto'",
            got=f"threshold = {asked!r}",
            where=user_line(),
            try_="threshold=0.3",
        )
    return float(asked)


def _require_choice(settings: Settings, loss: str, data: Prepared, model: Any) -> bool:
    """Whether a threshold decides, as it does between two classes.

    Raises ArgumentError where there is no choice between classes, a threshold among several, or no rows to find it on.
    """
    # One branch for each thing that would leave nothing to choose, in the order in which they can be told.
    what = "a threshold chooses between two classes" if settings.costs is None else "costs of mistakes choose a class"
    if loss_task(loss) != "classes":
        raise _no_choice(what, f"a loss of classes: {', '.join(CLASS_LOSSES)}", f"the loss {loss}")
    known = data.class_target
    _, *answers, outputs = _shape_of_outputs(data, model)
    classes = len(known.classes) if known is not None else 2 if outputs == 1 else outputs
    if is_binary(loss) and outputs > 1:
        several = "two" if outputs == 2 else f"{outputs}"
        raise _no_choice(what, "classes of which a row has one", f"{several} outputs that each answer for themselves")
    if answers and not isinstance(settings.threshold, float):
        raise _no_choice(what, "one answer a row", f"outputs of shape {(*answers, outputs)} for each")
    if settings.costs is not None and settings.threshold is None and classes > 2:
        return False
    if classes != 2 or outputs > 2:
        raise _no_choice("a threshold chooses between two classes", "two classes", f"{classes} classes")
    if not isinstance(settings.threshold, float) and data.validation is None:
        raise ArgumentError(
            "a threshold is found on validation rows",
            expected="a validation part",
            got="none",
            where=user_line(),
            try_="a part of the rows, such as validation=0.2 or --val 0.2, or a threshold of your own: 0.3",
        )
    return True


def with_choice(settings: Settings, loss: str, data: Prepared, model: Any) -> Settings:
    """The settings, with the costs of mistakes by class; of two classes a threshold is found for them.

    Raises ArgumentError where there is no choice (see `_require_choice`), for costs beside a threshold that was given,
    and for what are no costs.
    """
    by_threshold = _require_choice(settings, loss, data, model)
    if settings.costs is None:
        if settings.threshold == AUTO:  # where scikit-learn lacks, it is said before the training
            find_metrics(["f1"])[0](np.zeros((2, 2)), np.array([0, 1]))
        return settings
    if isinstance(settings.threshold, float):
        raise ArgumentError(
            "costs of mistakes find a threshold",
            expected="costs, or a threshold of your own",
            got=f"both, and the threshold {settings.threshold:g}",
            where=user_line(),
            try_="costs without a threshold",
        )
    costs = class_costs(settings.costs, data, model)
    return replace(settings, threshold=AUTO if by_threshold else None, costs=costs)


def _shape_of_outputs(data: Prepared, model: Any) -> tuple[int, ...]:
    x, _ = sample_rows(data.table, 2)
    return outputs_on_trial(model, adapted_inputs(model, x)).shape


def _no_choice(what: str, expected: str, got: str) -> ArgumentError:
    without = "no threshold" if "threshold" in what else "no costs"
    return ArgumentError(what, expected=expected, got=got, where=user_line(), try_=without)


def judge_of(settings: Settings) -> Measure:
    """What the best threshold has the most of: the metric that chooses the epoch if it judges chosen classes, or F1."""
    return find_metrics([settings.metric if settings.metric in DECIDED else "f1"])[0]


def best_threshold(model: Any, data: Prepared, judge: Measure, costs: Costs | None = None) -> float | None:
    """The threshold at which the validation rows have the most of a metric; of equals the one next to 0.5.

    With `costs` of mistakes it is the one at which they cost least on the mean; of equals the one next to
    c₀ / (c₀ + c₁), which costs least where probabilities are right (Elkan 2001, "The Foundations of Cost-Sensitive
    Learning").

    It is looked for between the probabilities that the rows have, so that both classes are chosen for some of them
    (Lipton, Elkan & Narayanaswamy 2014, "Thresholding Classifiers to Maximize F1 Score").  The rows chose it, so what
    they reach at it is a little more than other rows will.  None for outputs that are not finite.
    """
    assert data.validation is not None  # required before the training
    (x, y), weight = sample_rows(data.validation, MOST_ROWS), sample_weights(data, MOST_ROWS, "validation")
    outputs = outputs_of(model, x)
    if not np.isfinite(outputs).all():
        return None
    shares = probabilities_of(outputs)
    middle = 0.5
    if costs is not None:
        first, second = costs.of[0][1], costs.of[1][0]
        middle = float(np.clip(first / (first + second), 0.01, 0.99))
    tried = sorted(_between(shares[:, 1], middle), key=lambda threshold: abs(threshold - middle))
    if costs is None:
        sign = 1.0 if judge.higher else -1.0
        tries = [replace(judge, function=AtChoice(judge.function, threshold)) for threshold in tried]
        scores = [sign * _score(at_threshold, outputs, y, weight) for at_threshold in tries]
    else:
        own = None if weight is None else weight.reshape(-1)
        scores = [-costs.mean(labels_of(y), chosen_by(shares, t), own) for t in tried]
    return tried[int(np.argmax(scores))]


def decide_by(
    model: Any, data: Prepared, settings: Settings, metrics: Sequence[Measure]
) -> tuple[float | None, tuple[Measure, ...]]:
    """The threshold that is found for a network where the settings ask for that, and the metrics by the threshold.

    One that was given is no finding: then the first is None, and the metrics choose by the given one.
    """
    costs, found = recorded_costs(settings.costs), None
    if settings.threshold == AUTO:
        found = best_threshold(model, data, judge_of(settings), costs)
    return found, at_choice(metrics, settings, choice_of(settings, found))


def _between(shares: NDArray[np.float64], middle: float) -> list[float]:
    """The middle, and thresholds halfway between probabilities, evenly spread over them."""
    known = np.unique(shares)
    halfway = (known[:-1] + known[1:]) / 2
    if len(halfway) > MOST_TRIED:
        halfway = halfway[np.unique(np.linspace(0, len(halfway) - 1, MOST_TRIED).astype(np.int64))]
    return [middle, *halfway[(halfway > 0) & (halfway < 1)].tolist()]


def _score(judge: Measure, outputs: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None) -> float:
    more = () if weight is None else (weight / weight.mean(dtype=np.float64),)
    with no_grad():
        return float(raw(judge(outputs, y, *more)))
