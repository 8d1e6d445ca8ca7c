"""The floor: products of a training step and the gather of its batch alone, NumPy on its own BLAS; loops by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks import loops
from benchmarks import workloads as w
from benchmarks.contenders import Door, Runner

VERSION = np.__version__


def prepare(row: w.Workload) -> Any:
    if row.kind == w.SCAN:
        return loops.arguments(row)
    return w.dataset(row)[0], [weight for weight, _ in w.initial(row)], w.order(row)


def build(form: str, row: w.Workload, prepared: Any) -> Runner:
    if row.kind == w.SCAN:
        return ByHand(row, prepared)
    products = Products(row, *prepared)
    return Door(row, products.epochs) if row.kind in w.DOORS else products


class ByHand(Runner):
    """A loop as a kernel that is written out; `check` is the square of its number."""

    def __init__(self, row: w.Workload, given: Any) -> None:
        self.f, self.given = loops.by_hand(row), given

    def first(self) -> None:
        self.check = float(self.f(*self.given)) ** 2

    def call(self) -> None:
        self.f(*self.given)


class Products(Runner):
    """Forward x W, backward xᵀ g for every layer and g Wᵀ for all but the first, into memory allocated before."""

    def __init__(self, row: w.Workload, x: Any, weights: Any, order: Any) -> None:
        self.x, self.weights, self.order = x, weights, order
        self.values = [np.ones((row.batch, n), row.dtype) for n in row.sizes]
        self.cotangents = [np.ones((row.batch, n), row.dtype) for n in row.sizes]
        self.grads = [np.empty_like(weight) for weight in weights]

    def epochs(self, number: int) -> float:
        """So many epochs, whose rows are ordered within the time."""
        draw = np.random.default_rng(0)
        for _ in range(number):
            self.order = draw.permutation(len(self.x)).reshape(-1, len(self.values[0]))
            self.call()
        return 0.0

    def call(self) -> None:
        values, cotangents = self.values, self.cotangents
        layers = list(enumerate(self.weights))
        for rows in self.order:
            np.take(self.x, rows, axis=0, out=values[0], mode="clip")
            for k, weight in layers:
                np.matmul(values[k], weight, out=values[k + 1])
            for k, weight in reversed(layers):
                np.matmul(values[k].T, cotangents[k + 1], out=self.grads[k])
                if k:
                    np.matmul(cotangents[k + 1], weight.T, out=cotangents[k])
