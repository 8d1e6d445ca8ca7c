"""Metrics of scikit-learn, computed outside the compiled step: over all rows of a part at once, in float64.

Those of classes are given probabilities, those of numbers values in the target's own unit.  A metric that has no value
for the rows at hand (AUC where all rows are of one class, R² of one row) is NaN, without a warning.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clearprop.errors import ArgumentError, user_line

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class OutsideMetric:
    """A function of truth and prediction as NumPy arrays, and whether more of it is better.

    For `classes` it is called with labels `(rows,)` and probabilities `(rows, classes)`, for `numbers` with values;
    last come weights `(rows,)`, or None.
    """

    task: Literal["classes", "numbers"]
    function: Callable[..., float]
    higher: bool

    def __call__(self, outputs: NDArray[Any], y: NDArray[Any], sample_weight: Any = None) -> float:
        """The score of a network's outputs: logits for classes, values for numbers; rows count by their weights."""
        weight = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        if self.task == "classes":
            outputs, y, weight = answer_by_answer(outputs, y, weight)
            return float(self.function(labels_of(y), probabilities_of(outputs), weight))
        truth = np.asarray(y, dtype=np.float64)
        return float(self.function(truth, np.asarray(outputs, dtype=np.float64).reshape(truth.shape), weight))


def answer_by_answer(
    outputs: NDArray[Any], y: NDArray[Any], weight: Floats | None
) -> tuple[NDArray[Any], NDArray[Any], Floats | None]:
    """The same with a row for each answer, where a row of the data has several, such as one for each step.

    >>> [np.shape(part) for part in answer_by_answer(np.zeros((2, 5, 3)), np.zeros((2, 5), int), np.ones(2))]
    [(10, 3), (10,), (10,)]
    """
    if outputs.ndim < 3:
        return outputs, y, weight
    each, classes = int(np.prod(outputs.shape[1:-1])), outputs.shape[-1]
    whole = y.shape == outputs.shape
    answers = y.reshape(-1, classes) if whole else y.reshape(-1)
    return outputs.reshape(-1, classes), answers, None if weight is None else np.repeat(weight, each)


def probabilities_of(outputs: NDArray[Any]) -> Floats:
    """Softmax of logits `(rows, classes)`; for a single output its sigmoid, as the second of two columns.

    >>> probabilities_of(np.zeros((1, 1))).tolist(), probabilities_of(np.array([[0.0, np.log(3)]])).round(2).tolist()
    ([[0.5, 0.5]], [[0.25, 0.75]])
    """
    logits = np.asarray(outputs, dtype=np.float64).reshape(len(outputs), -1)
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    parts = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Floats = parts / parts.sum(axis=1, keepdims=True)
    return shares


def shares_of_rows(outputs: NDArray[Any]) -> NDArray[Any]:
    """Softmax of outputs, each row with the bits that it has alone: it is summed in one order, class by class.

    >>> shares_of_rows(np.log([[1.0, 3.0]])).round(3).tolist()
    [[0.25, 0.75]]
    """
    with np.errstate(all="ignore"):  # of rows with NaN and infinite outputs nothing else is to be said
        parts = np.exp(outputs - np.max(outputs, axis=-1, keepdims=True))
        return np.asarray(parts / _sums_in_order(parts)).astype(parts.dtype)


def _sums_in_order(parts: NDArray[Any]) -> Floats:
    """The sum along the last axis, from the first to the last, in float64: along whichever axis has fewer steps."""
    rows = parts.reshape(-1, parts.shape[-1])
    whole = np.zeros(len(rows))
    if len(rows) < rows.shape[1]:
        for k, row in enumerate(rows):
            whole[k] = np.add.accumulate(row, dtype=np.float64)[-1]
    else:
        for column in rows.T:
            whole += column
    return whole.reshape(*parts.shape[:-1], 1)


def labels_of(y: NDArray[Any]) -> NDArray[np.int64]:
    """Labels `(rows,)`, from labels, a column of them, or probabilities.

    >>> labels_of(np.array([[0.1, 0.9], [0.8, 0.2]])).tolist(), labels_of(np.array([[1.0], [0.0]])).tolist()
    ([1, 0], [1, 0])
    """
    wide = y.ndim > 1 and y.shape[-1] > 1
    labels: NDArray[np.int64] = (np.argmax(y, axis=-1) if wide else y.reshape(len(y)) > 0.5 if y.dtype.kind == "f"
                                 else y.reshape(len(y))).astype(np.int64)  # fmt: skip
    return labels


def _metrics() -> Any:
    """The module `sklearn.metrics`, loaded only when one of its metrics is asked for."""
    try:
        return importlib.import_module("sklearn.metrics")
    except ImportError:
        raise ArgumentError(
            "this metric is computed by scikit-learn, which is not installed",
            expected="the package scikit-learn",
            got="no module sklearn",
            where=user_line(),
            try_="pip install 'clearprop[cli]', or one of accuracy, r2, mae, mse, rmse",
        ) from None


# ------------------------------------------------------------------------------------------------- classes
def _class_by_class(name: str, y: NDArray[Any], shares: Floats, weight: Floats | None) -> float:
    """The mean over the classes against their rest (macro, one-vs-rest); of two classes, that of the second.

    A class that no row has, or that all rows have, has no such score and does not enter the mean.
    """
    function = getattr(_metrics(), name)
    classes = range(1, 2) if shares.shape[1] == 2 else range(shares.shape[1])
    sizes = np.bincount(y, weight, minlength=shares.shape[1])
    known = [k for k in classes if 0 < sizes[k] < sizes.sum()]
    scores = [function(y == k, shares[:, k], sample_weight=weight) for k in known]
    return float(np.mean(scores)) if known else np.nan


def _by_label(name: str, y: NDArray[Any], shares: Floats, weight: Floats | None) -> float:
    """F1, precision or recall: of two classes, that of the second; of several, the mean over the classes (macro)."""
    average = "binary" if shares.shape[1] == 2 else "macro"
    options = {"average": average, "zero_division": 0.0, "sample_weight": weight}
    return float(getattr(_metrics(), name)(y, shares.argmax(axis=1), **options))


def _balanced_accuracy(y: NDArray[Any], shares: Floats, weight: Floats | None) -> float:
    """The mean recall over the classes that the rows have."""
    said = shares.argmax(axis=1)
    options = {"average": "macro", "zero_division": 0.0, "sample_weight": weight}
    return float(_metrics().recall_score(y, said, labels=np.unique(y), **options))


def _mcc(y: NDArray[Any], shares: Floats, weight: Floats | None) -> float:
    return float(_metrics().matthews_corrcoef(y, shares.argmax(axis=1), sample_weight=weight))


def _cost(y: NDArray[Any], shares: Floats, weight: Floats | None) -> float:
    """What a mistake costs on average over all rows, where each costs 1; with costs of its own see `thresholds`."""
    return float(np.average(shares.argmax(axis=1) != y, weights=weight))


def _log_loss(y: NDArray[Any], shares: Floats, weight: Floats | None) -> float:
    return float(_metrics().log_loss(y, shares, labels=range(shares.shape[1]), sample_weight=weight))


def _brier(y: NDArray[Any], shares: Floats, weight: Floats | None) -> float:
    """Of two classes, the mean of (1 − p)²; of several, the mean of Σ_c (y_c − p_c)² (Brier 1950)."""
    if shares.shape[1] == 2:
        return float(_metrics().brier_score_loss(y, shares[:, 1], labels=[0, 1], sample_weight=weight))
    return float(_metrics().brier_score_loss(y, shares, labels=range(shares.shape[1]), sample_weight=weight))


def _top_3(y: NDArray[Any], shares: Floats, weight: Floats | None) -> float:
    """The share of rows whose class is among the three most probable ones."""
    if shares.shape[1] <= 3:
        return 1.0
    labels = range(shares.shape[1])
    return float(_metrics().top_k_accuracy_score(y, shares, k=3, labels=labels, sample_weight=weight))


# ------------------------------------------------------------------------------------------------- numbers
def _of_numbers(name: str, y: NDArray[Any], said: Floats, weight: Floats | None, **options: Any) -> float:
    return float(getattr(_metrics(), name)(y, said, sample_weight=weight, **options))


def _poisson_deviance(y: NDArray[Any], said: Floats, weight: Floats | None) -> float:
    """NaN where a prediction is not positive, or a count negative: no such deviance."""
    if (said <= 0).any() or (y < 0).any():
        return np.nan
    return float(_metrics().mean_poisson_deviance(y.reshape(-1), said.reshape(-1), sample_weight=weight))


SCORES: dict[str, OutsideMetric] = {
    "balanced_accuracy": OutsideMetric("classes", _balanced_accuracy, higher=True),
    "auc": OutsideMetric("classes", partial(_class_by_class, "roc_auc_score"), higher=True),
    "average_precision": OutsideMetric("classes", partial(_class_by_class, "average_precision_score"), higher=True),
    "f1": OutsideMetric("classes", partial(_by_label, "f1_score"), higher=True),
    "precision": OutsideMetric("classes", partial(_by_label, "precision_score"), higher=True),
    "recall": OutsideMetric("classes", partial(_by_label, "recall_score"), higher=True),
    "mcc": OutsideMetric("classes", _mcc, higher=True),
    "cost": OutsideMetric("classes", _cost, higher=False),
    "top_3": OutsideMetric("classes", _top_3, higher=True),
    "log_loss": OutsideMetric("classes", _log_loss, higher=False),
    "brier": OutsideMetric("classes", _brier, higher=False),
    "median_ae": OutsideMetric("numbers", partial(_of_numbers, "median_absolute_error"), higher=False),
    "mape": OutsideMetric("numbers", partial(_of_numbers, "mean_absolute_percentage_error"), higher=False),
    "pinball": OutsideMetric("numbers", partial(_of_numbers, "mean_pinball_loss", alpha=0.5), higher=False),
    "poisson_deviance": OutsideMetric("numbers", _poisson_deviance, higher=False),
}
"""The metrics that scikit-learn computes, by our names for them."""
