"""Softmax regressions with a certified optimum: strong convexity bounds f − f* by ‖∇f‖²/(2λ)."""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import clearprop as cl

DECAY = 1e-3


@dataclass(frozen=True)
class Regression:
    """Standardised features with a column of ones, labels, and the optimum of the loss."""

    x: NDArray[np.float64]
    y: NDArray[np.int64]
    classes: int
    at_start: float
    optimum: float

    @property
    def start(self) -> NDArray[np.float64]:
        """All weights 0."""
        return np.zeros((self.x.shape[1], self.classes))

    def loss(self, w: Any) -> Any:
        """Mean cross-entropy + ½·10⁻³·‖w‖²; the column of ones is regularised like the rest."""
        return cl.nn.cross_entropy(self.x @ w, self.y) + 0.5 * DECAY * cl.sum(w * w)


@functools.cache
def regression(name: str) -> Regression:
    """The one of "iris" or "breast cancer"."""
    from sklearn import datasets  # start-up time: tests of other problems do without

    data = datasets.load_iris() if name == "iris" else datasets.load_breast_cancer()
    deviation = data.data.std(axis=0)
    features = (data.data - data.data.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    x = np.column_stack([features, np.ones(len(features))])
    at_start, optimum = {
        "iris": (1.098612288668, 0.113986602636), "breast cancer": (0.693147180560, 0.053492456880)
    }[name]  # fmt: skip
    return Regression(x, data.target, len(data.target_names), at_start, optimum)


NAMES = ["iris", "breast cancer"]
