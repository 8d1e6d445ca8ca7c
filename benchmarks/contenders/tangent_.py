"""tangent-ad: the gradient as generated NumPy source; it runs forward and backward together."""

from __future__ import annotations

import time
from importlib import metadata
from typing import Any

import numpy as np
import tangent

from benchmarks import workloads as w
from benchmarks.contenders import Runner

VERSION = metadata.version("tangent-ad")


def prepare(row: w.Workload) -> Any:
    return None if row.kind == w.EAGER_CHAIN else (*w.dataset(row), w.initial(row), w.order(row))


def build(form: str, row: w.Workload, prepared: Any) -> Runner:
    return Chain() if row.kind == w.EAGER_CHAIN else EagerLoss(*prepared)


def chain(x, s):
    for _ in range(250):
        x = x * 1.01
        x = x + 0.001
        x = np.tanh(x)
        x = x * s
    return x


def loss(w1, b1, w2, b2, x, target):
    h = np.maximum(np.dot(x, w1) + b1, 0.0)
    z = np.dot(h, w2) + b2
    lse = np.log(np.sum(np.exp(z), axis=1))
    return np.mean(lse - np.sum(z * target, axis=1))


class Chain(Runner):
    def __init__(self) -> None:
        self.f = tangent.grad(chain, wrt=(0, 1))

    def call(self) -> float:
        start = time.perf_counter()
        grads = self.f(np.float32(w.CHAIN_START), np.float32(1))
        seconds = time.perf_counter() - start
        self.check = float(grads[0]) + float(grads[1])
        return seconds


class EagerLoss(Runner):
    def __init__(self, x: Any, y: Any, weights: Any, order: Any) -> None:
        (w1, b1), (w2, b2) = weights
        target = np.eye(w2.shape[1], dtype=w2.dtype)[y[order[0]]]
        self.args = (w1, b1, w2, b2, x[order[0]], target)
        self.f = tangent.grad(loss, wrt=(0, 1, 2, 3))

    def call(self) -> float:
        start = time.perf_counter()
        grads = self.f(*self.args)
        seconds = time.perf_counter() - start
        self.check = float(sum(np.sum(np.square(g, dtype=np.float64)) for g in grads))
        return seconds
