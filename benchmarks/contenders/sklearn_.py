"""scikit-learn: `MLPClassifier.fit`, which shuffles and gathers by itself; its own initial weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from benchmarks import workloads as w
from benchmarks.contenders import Door, Predictions, Runner, ToLoss

VERSION = sklearn.__version__


def prepare(row: w.Workload) -> Any:
    return None if row.kind in (w.TO_LOSS, w.PREDICT) else w.dataset(row)


def build(form: str, row: w.Workload, prepared: Any) -> Runner:
    warnings.simplefilter("ignore", ConvergenceWarning)  # it is told to stop after so many epochs
    if row.kind in (w.TO_LOSS, w.PREDICT):
        return (ToLoss if row.kind == w.TO_LOSS else Predictions)(row, MLPClassifier)
    return Door(row, epochs_of(row, *prepared)) if row.kind in w.DOORS else Fit(row, *prepared)


def epochs_of(row: w.Workload, x: Any, y: Any) -> Callable[[int], float]:
    """`MLPClassifier.fit`, afresh."""

    def train(epochs: int) -> float:
        return float(classifier(row, epochs).fit(x, y).loss_)

    return train


def classifier(row: w.Workload, epochs: int, **more: Any) -> MLPClassifier:
    return MLPClassifier(
        row.sizes[1:-1], activation=row.activation, batch_size=row.batch, learning_rate_init=row.rate, alpha=0.0,
        max_iter=epochs, tol=0.0, n_iter_no_change=10**9, random_state=0, **more,
    )  # fmt: skip


class Fit(Runner):
    """A call continues the training for as many epochs as the other contenders' call has."""

    def __init__(self, row: w.Workload, x: Any, y: Any) -> None:
        epochs = row.steps * row.batch // row.rows
        self.x, self.y = x, y
        self.model = classifier(row, epochs, warm_start=True)

    def call(self) -> None:
        self.model.fit(self.x, self.y)
