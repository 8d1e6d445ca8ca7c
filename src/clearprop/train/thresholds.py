"""The threshold of a choice between two classes: above which probability the second one is chosen.

Where mistakes of the two kinds do not cost the same, or one class is rare, the larger probability is not the best
choice.  A threshold moves it, and no probability: the loss and every metric of probabilities stay what they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.parts import sample_rows
from clearprop.data.training_data import Prepared, sample_weights
from clearprop.errors import ArgumentError, user_line
from clearprop.nn import CLASS_LOSSES
from clearprop.nn.losses import loss_task
from clearprop.program.types import type_of
from clearprop.program.values import no_grad, raw
from clearprop.runs.settings import Settings, declaration_of
from clearprop.train.array_alignment import adapted_inputs
from clearprop.train.metrics import Measure, find_metrics, outputs_of, outputs_on_trial
from clearprop.train.scores import probabilities_of
from clearprop.train.target_loss import class_costs

AUTO = "auto"
"""The threshold that asks for the best one on the validation rows."""
DECIDED = ("accuracy", "balanced_accuracy", "f1", "precision", "recall", "mcc")
"""The metrics that judge the classes that are chosen, and so hang on the threshold."""
MOST_TRIED, MOST_ROWS = 200, 20_000
"""So many thresholds are tried at most, on so many rows at most, both evenly spread."""


def shift_by(outputs: Any, threshold: float | None) -> Any:
    """Outputs `(rows, 2)` or `(rows, 1)`, of which the largest, or the sign, is what the threshold chooses.

    The second class has a probability above t where its logit is ahead by more than log(t / (1 − t)).

    >>> shift_by(np.array([[0.0, 1.0]]), 0.5).tolist(), (shift_by(np.array([[1.0]]), 0.8) > 0).tolist()
    ([[0.0, 1.0]], [[False]])
    """
    if threshold is None:
        return outputs
    kind = type_of(raw(outputs))
    ahead = math.log(threshold) - math.log1p(-threshold)
    return outputs - np.array([0.0, ahead][-kind.shape[-1] :], dtype=kind.dtype)


@dataclass(frozen=True)
class AtThreshold:
    """A metric of chosen classes, given outputs that are shifted by the threshold."""

    function: Callable[..., Any]
    threshold: float

    def __call__(self, outputs: Any, y: Any, **more: Any) -> Any:
        """The metric; `more` are weights of rows."""
        return self.function(shift_by(outputs, self.threshold), y, **more)


def at_threshold(metrics: Sequence[Measure], threshold: float | str | None) -> tuple[Measure, ...]:
    """The metrics, of which those of chosen classes choose by the threshold; as they are before one is found."""
    if not isinstance(threshold, float):
        return tuple(metrics)
    return tuple(replace(m, function=AtThreshold(m.function, threshold)) if m.name in DECIDED else m for m in metrics)


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


def _require_choice(asked: float | str, loss: str, data: Prepared, model: Any) -> None:
    """Raise ArgumentError for a threshold where there is no choice between two classes, or nothing to find it on."""
    if loss_task(loss) != "classes":
        raise _no_choice(f"a loss of classes: {', '.join(CLASS_LOSSES)}", f"the loss {loss}")
    known = data.class_target
    outputs = _outputs(data, model)
    classes = len(known.classes) if known is not None else 2 if outputs == 1 else outputs
    if classes != 2 or outputs > 2:
        raise _no_choice("two classes", f"{classes} classes")
    if loss == "binary_cross_entropy" and outputs == 2:
        raise _no_choice("two classes", "two outputs that each answer for themselves")
    if asked == AUTO and data.validation is None:
        raise ArgumentError(
            "a threshold is found on validation rows",
            expected="a validation part",
            got="none",
            where=user_line(),
            try_="a part of the rows, such as validation=0.2 or --val 0.2, or a threshold of your own: 0.3",
        )


def with_choice(settings: Settings, loss: str, data: Prepared, model: Any) -> Settings:
    """The settings, with a threshold that is found where mistakes have costs, which are known by class then.

    Raises ArgumentError where there is no choice (see `_require_choice`), for costs beside a threshold that was given,
    and for what are no costs.
    """
    _require_choice(settings.threshold or AUTO, loss, data, model)
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
    return replace(settings, threshold=AUTO, costs=class_costs(settings.costs, data, model))


def _outputs(data: Prepared, model: Any) -> int:
    x, _ = sample_rows(data.table, 2)
    return int(outputs_on_trial(model, adapted_inputs(model, x)).shape[-1])


def _no_choice(expected: str, got: str) -> ArgumentError:
    return ArgumentError(
        "a threshold chooses between two classes", expected=expected, got=got, where=user_line(), try_="no threshold"
    )


def judge_of(settings: Settings) -> Measure:
    """What the best threshold has the most of: the metric that chooses the epoch if it judges chosen classes, or F1."""
    return find_metrics([settings.metric if settings.metric in DECIDED else "f1"])[0]


def best_threshold(
    model: Any, data: Prepared, judge: Measure, costs: Mapping[str, float] | None = None
) -> float | None:
    """The threshold at which the validation rows have the most of a metric; of equals the one next to 0.5.

    With `costs` of mistakes, by the true class, it is the one at which they cost least on the mean; of equals the one
    next to c₀ / (c₀ + c₁), which costs least where probabilities are right (Elkan 2001, "The Foundations of
    Cost-Sensitive Learning").

    It is looked for between the probabilities that the rows have, so that both classes are chosen for some of them
    (Lipton, Elkan & Narayanaswamy 2014, "Thresholding Classifiers to Maximize F1 Score").  The rows chose it, so what
    they reach at it is a little more than other rows will.  None for outputs that are not finite.
    """
    assert data.validation is not None  # required before the training
    (x, y), weight = sample_rows(data.validation, MOST_ROWS), sample_weights(data, MOST_ROWS, "validation")
    outputs = outputs_of(model, x)
    if not np.isfinite(outputs).all():
        return None
    shares = probabilities_of(outputs)[:, 1]
    of_class = None if costs is None else np.array(list(costs.values()))
    middle = 0.5 if of_class is None else float(np.clip(of_class[0] / of_class.sum(), 0.01, 0.99))
    tried = sorted(_between(shares, middle), key=lambda threshold: abs(threshold - middle))
    if of_class is None:
        scores = [_score(at_threshold([judge], threshold)[0], outputs, y, weight) for threshold in tried]
    else:
        scores = [-mean_cost(shares > threshold, y, of_class, weight) for threshold in tried]
    return tried[int(np.argmax(scores))]


def decide_by(
    model: Any, data: Prepared, settings: Settings, metrics: Sequence[Measure]
) -> tuple[float | None, tuple[Measure, ...]]:
    """The threshold that is found for a network where the settings ask for that, and the metrics by the threshold.

    One that was given is no finding: then the first is None, and the metrics choose by the given one.
    """
    asked = settings.threshold
    found = best_threshold(model, data, judge_of(settings), settings.costs) if asked == AUTO else None
    return found, at_threshold(metrics, found if asked == AUTO else asked)


def mean_cost(
    chosen: NDArray[np.bool_], y: NDArray[Any], costs: NDArray[np.float64], weight: NDArray[Any] | None = None
) -> float:
    """What mistakes cost a row: the mean of costs[y] over all rows, 0 for those whose class was chosen.

    >>> mean_cost(np.array([True, False]), np.array([0, 1]), np.array([1.0, 5.0]))
    3.0
    """
    labels = y.reshape(-1).astype(np.int64)
    return float(np.average(costs[labels] * (chosen != labels), weights=None if weight is None else weight.reshape(-1)))


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
