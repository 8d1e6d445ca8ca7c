"""What every result stands beside: the answer that no column enters, and a linear model on the same encoded columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop import nn, optim
from clearprop.data.parts import Part, rows_in, sample_rows
from clearprop.data.training_data import Prepared, sample_weights
from clearprop.nn.loss_text import interval_in, is_normal, normal_reach
from clearprop.nn.losses import has_log_link, quantiles_of
from clearprop.program.values import raw
from clearprop.train.evaluation import evaluate_part
from clearprop.train.metrics import Measure
from clearprop.train.scores import labels_of

MOST_ROWS = 20_000
"""The linear model learns from so many rows at most, evenly spread where there are more."""
MOST_VALUES = 1 << 20
"""And from so many values, for the sake of wide tables on disk, which may take only the memory that they were given."""
_RIDGE = 1.0  # λ of ½‖Xw − y‖² + ½λ‖w‖² and of its like for classes: scikit-learn's default, for the same reasons
_STEPS = 200


@dataclass(frozen=True)
class Baselines:
    """Loss and metrics on one part of the data: of the constant answer, and of the linear model.

    `part` is test where there is one, else validation, else training.  The constant is the mean, or the shares of the
    classes, of the training part.
    """

    part: str
    constant: Mapping[str, float]
    linear: Mapping[str, float]


def rows_to_measure(part: Part) -> int:
    """How many rows of a part, evenly spread, are enough to measure a network on.

    >>> rows_to_measure((np.zeros((5, 2)), np.zeros(5))), rows_to_measure((np.zeros((30_000, 2)), np.zeros(30_000)))
    (5, 20000)
    """
    width = part[0].shape[1:] if isinstance(part, tuple) else (part.features,)
    return min(rows_in(part), MOST_ROWS, max(1, MOST_VALUES // max(1, math.prod(width))))


def baselines_of(
    data: Prepared, loss: Measure, metrics: Sequence[Measure] | Callable[[Any], Sequence[Measure]]
) -> Baselines | None:
    """The baselines of a table of classes or numbers, measured as the network is; None for data of another form.

    `metrics` may be a function that gives those of a model: with a threshold of its own, as the network has one.
    """
    if data.preprocessing is None:
        return None
    width = max(1, len(data.preprocessing.feature_names))
    number = max(1, min(MOST_ROWS, MOST_VALUES // width))
    (x, y), weight = sample_rows(data.table, number), sample_weights(data, number)
    judged = {"test": data.test, "validation": data.validation, "training": data.table}
    name, part = next((name, part) for name, part in judged.items() if part is not None)
    classes = len(data.preprocessing.class_names)
    single = bool(classes) and y.ndim > 1  # a network of one output tells two classes apart
    y = labels_of(y) if classes else y
    labels = bool(data.preprocessing.label_names)
    if labels:
        constant = _shares(x.shape[1], y, weight)
    else:
        constant = _constant_answer(x.shape[1], y, classes, quantiles_of(loss.name), weight)
        if data.preprocessing.target_transform is not None and not quantiles_of(loss.name):
            constant = _mean_answer(x.shape[1], y, data.preprocessing.target, weight)
    if is_normal(loss.name):
        constant = _normal_answer(loss.name, constant, x, y, weight)
        linear = _normal_answer(loss.name, _ridge_regression(x, y, weight), x, y, weight)
    elif classes or labels or has_log_link(loss.name) or quantiles_of(loss.name):
        fitting = Measure("cross_entropy", nn.cross_entropy) if classes else loss
        linear = _regression(x, y, constant, fitting, weight)
    else:
        linear = _ridge_regression(x, y, weight)
    models = [_with_one_output(model) if single else model for model in (constant, linear)]
    own = data.weights.get(name)
    measures = metrics if callable(metrics) else lambda _: metrics
    return Baselines(name, *(evaluate_part(model, part, loss, measures(model), own) for model in models))


def _dense(weight: NDArray[Any], bias: NDArray[Any]) -> nn.Dense:
    arrays = {"weight": weight.astype(np.float32), "bias": bias.astype(np.float32)}
    layer: nn.Dense = nn.Dense(*weight.shape).replace(arrays)
    return layer


def _with_one_output(model: nn.Dense) -> nn.Dense:
    """The model of two classes whose output is by how much the second is the likelier one."""
    weight, bias = (raw(model.parameters()[name]) for name in ("weight", "bias"))
    return _dense(weight[:, 1:] - weight[:, :1], bias[1:] - bias[:1])


def _constant_answer(
    features: int, y: NDArray[Any], classes: int, quantiles: Sequence[float], weight: NDArray[Any] | None
) -> nn.Dense:
    """Logits by which every class has its share of the rows; or the mean, or the quantiles where they are learned."""
    if classes:
        counts = np.bincount(labels_of(y), weight, minlength=classes)
        bias = np.log((counts + 0.5) / (len(y) + 0.5 * classes))
    elif quantiles:
        way: dict[str, Any] = {} if weight is None else {"weights": weight, "method": "inverted_cdf"}
        bias = np.array([np.quantile(y, q, axis=0, **way) for q in quantiles]).reshape(-1)
    else:
        bias = y.mean(axis=0, dtype=np.float64) if weight is None else np.average(y, axis=0, weights=weight)
    return _dense(np.zeros((features, len(bias))), bias)


def _normal_answer(
    loss: str, model: nn.Dense, x: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None
) -> nn.Dense:
    """The mean that a model says (of the three of a constant answer the middle one, which is made the mean), and ends.

    The deviation is one for all rows, that of the errors.
    """
    slopes, bias = (np.asarray(raw(model.parameters()[name]), dtype=np.float64) for name in ("weight", "bias"))
    middle = bias.shape[0] // 2
    slope, target = slopes[:, middle : middle + 1], y.reshape(-1).astype(np.float64)
    errors = target - (x @ slope)[:, 0]
    mean = np.average(errors, weights=weight)
    deviation = np.sqrt(np.average((errors - mean) ** 2, weights=weight))
    reach = normal_reach(interval_in(loss.partition(":")[2])) * deviation
    return _dense(np.repeat(slope, 3, axis=1), mean + reach * np.array([-1.0, 0.0, 1.0]))


def _mean_answer(features: int, y: NDArray[Any], target: Any, weight: NDArray[Any] | None) -> nn.Dense:
    """The mean in the unit of the data, of a target of which a transform is learned."""
    mean = np.average(target.invert(y), axis=0, weights=weight)
    return _dense(np.zeros((features, 1)), target.standardise(mean))


def _shares(features: int, y: NDArray[Any], weight: NDArray[Any] | None) -> nn.Dense:
    """Logits by which every label `(rows, labels)` has its share of the rows, and half a row more of either value."""
    counted = np.ones(len(y)) if weight is None else weight
    share = (counted @ y + 0.5) / (counted.sum() + 1.0)
    return _dense(np.zeros((features, len(share))), np.log(share) - np.log1p(-share))


def _ridge_regression(x: NDArray[Any], y: NDArray[Any], counted: NDArray[Any] | None) -> nn.Dense:
    """w of min ‖X w + b − y‖² + λ‖w‖², the constant b free of the penalty (Hoerl & Kennard 1970).

    Rows that are `counted` by weights have them in the sum of squares.
    """
    wide, target = x.astype(np.float64), y.astype(np.float64)
    of_rows = np.mean if counted is None else partial(np.average, weights=counted)
    centre, mean = of_rows(wide, axis=0), of_rows(target, axis=0)
    wide -= centre
    scaled = wide if counted is None else wide * counted[:, None]
    weight = np.linalg.solve(scaled.T @ wide + _RIDGE * np.eye(x.shape[1]), scaled.T @ (target - mean))
    return _dense(weight, mean - centre @ weight)


def _regression(
    x: NDArray[Any], y: NDArray[Any], start: nn.Dense, loss: Measure, weight: NDArray[Any] | None
) -> nn.Dense:
    """The minimum of Σ loss + ½λ‖w‖² by a quasi-Newton method."""
    penalty = nn.Penalty(l2=0.5 * _RIDGE / len(x))

    def objective(model: Any) -> Any:
        return loss(model(x), y, weight) + penalty(model)

    found: nn.Dense = optim.minimize(objective, start, tolerance=1e-3, steps=_STEPS, executor="eager").x
    return found
