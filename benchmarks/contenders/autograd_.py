"""autograd: NumPy on a tape; Adam by hand."""

from __future__ import annotations

import time
from importlib import metadata
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import grad, hessian, hessian_vector_product, value_and_grad
from autograd.core import make_vjp

from benchmarks import workloads as w
from benchmarks.contenders import Runner

VERSION = metadata.version("autograd")
B1, B2, EPS = 0.9, 0.999, 1e-8


def _gelu(x: Any) -> Any:
    from autograd.scipy.special import erf

    return 0.5 * x * (1 + erf(x * np.float32(0.5**0.5)))


ACTIVATIONS = {"relu": lambda x: anp.maximum(x, 0), "tanh": anp.tanh, "gelu": _gelu}


def prepare(row: w.Workload) -> Any:
    return None if row.kind == w.EAGER_CHAIN else (*w.dataset(row), w.initial(row), w.order(row))


def build(form: str, row: w.Workload, prepared: Any) -> Runner:
    kinds = {w.TRAIN: Training, w.HVP: Second, w.HESSIAN: Second, w.EAGER_LOSS: EagerLoss, w.EAGER_CHAIN: Chain}
    return kinds[row.kind](row, *(prepared or ()))


def parameters(row: w.Workload, weights: Any) -> list[Any]:
    flat = []
    for k, (weight, bias) in enumerate(weights):
        flat += [weight, bias]
        if row.layer_norm and k < len(weights) - 1:
            flat += [np.ones_like(bias), np.zeros_like(bias)]
    return flat


def loss_of(row: w.Workload, flat: Any, x: Any, y: Any, masks: Any = None) -> Any:
    rest, layers = iter(flat), len(row.sizes) - 1
    for k in range(layers - 1):
        x = x @ next(rest) + next(rest)
        if row.layer_norm:
            c = x - anp.mean(x, axis=-1, keepdims=True)
            x = next(rest) * (c / anp.sqrt(anp.mean(c * c, axis=-1, keepdims=True) + np.float32(1e-5))) + next(rest)
        x = ACTIVATIONS[row.activation](x)
        x = x * masks[k] if masks else x
    x = x @ next(rest) + next(rest)
    if row.loss == "mse":
        return anp.mean((x - y) ** 2)
    shifted = x - anp.max(x, axis=-1, keepdims=True)
    return anp.mean(anp.log(anp.sum(anp.exp(shifted), axis=-1)) - shifted[np.arange(len(y)), y])


class Training(Runner):
    def __init__(self, row: w.Workload, x: Any, y: Any, weights: Any, order: Any) -> None:
        self.row, self.x, self.y, self.order = row, x, y, order
        self.flat = parameters(row, weights)
        self.m, self.v = ([np.zeros_like(p) for p in self.flat] for _ in range(2))
        self.t, self.random = 0, np.random.default_rng(0)
        self.gradient = value_and_grad(lambda p, x, y, masks: loss_of(row, p, x, y, masks))

    def first(self) -> None:
        self.check = float(self.run())

    def _masks(self) -> Any:
        row = self.row
        if not row.dropout:
            return None
        return [
            (self.random.random((row.batch, n), np.float32) >= row.dropout) / np.float32(1 - row.dropout)
            for n in row.sizes[1:-1]
        ]

    def run(self) -> Any:
        value = None
        for rows in self.order:
            value, grads = self.gradient(self.flat, self.x[rows], self.y[rows], self._masks())
            self._update(grads)
        return value

    def _update(self, grads: Any) -> None:
        row = self.row
        self.t += 1
        norm = float(np.sqrt(sum(np.vdot(g, g) for g in grads))) if row.clip else 0.0
        scale = np.float32(row.clip / max(norm, row.clip)) if row.clip else np.float32(1)
        c1, c2 = row.rate / (1 - B1**self.t), 1 / (1 - B2**self.t)
        for p, m, v, g in zip(self.flat, self.m, self.v, grads, strict=True):
            g = g * scale if row.clip else g
            m += (1 - B1) * (g - m)
            v += (1 - B2) * (g * g - v)
            if row.weight_decay:
                p *= 1 - row.rate * row.weight_decay
            p -= c1 * m / (np.sqrt(v * c2) + EPS)

    def call(self) -> None:
        self.run()


class Second(Runner):
    def __init__(self, row: w.Workload, x: Any, y: Any, weights: Any, order: Any) -> None:
        shapes = [v.shape for pair in weights for v in pair]
        flat = np.concatenate([v.ravel() for pair in weights for v in pair])
        vector = np.concatenate([v.ravel() for pair in w.direction(row) for v in pair])

        def loss(theta: Any) -> Any:
            parts, at = [], 0
            for shape in shapes:
                size = int(np.prod(shape))
                parts.append(theta[at : at + size].reshape(shape))
                at += size
            return loss_of(row, parts, x, y)

        if row.kind == w.HVP:
            self.f, self.args = hessian_vector_product(loss), (flat, vector)
        else:
            self.f, self.args = hessian(loss), (flat,)

    def first(self) -> None:
        self.check = float(np.sum(np.square(self.f(*self.args))))

    def call(self) -> None:
        self.f(*self.args)


class EagerLoss(Runner):
    def __init__(self, row: w.Workload, x: Any, y: Any, weights: Any, order: Any) -> None:
        self.row = row
        self.flat = parameters(row, weights)
        x, y = x[order[0]], y[order[0]]
        self.loss = lambda p: loss_of(row, p, x, y)
        self.gradient = grad(self.loss)

    def call(self) -> float:
        if self.row.whole:
            start = time.perf_counter()
            grads = self.gradient(self.flat)
        else:
            pullback, _ = make_vjp(self.loss, self.flat)
            start = time.perf_counter()
            grads = pullback(np.float32(1))
        seconds = time.perf_counter() - start
        self.check = float(sum(np.sum(np.square(g, dtype=np.float64)) for g in grads))
        return seconds


def chain(x: Any, s: Any) -> Any:
    for _ in range(w.CHAIN_LINKS):
        x = x * 1.01
        x = x + 0.001
        x = anp.tanh(x)
        x = x * s
    return x


class Chain(Runner):
    def __init__(self, row: w.Workload) -> None:
        self.row, self.gradient = row, grad(chain, (0, 1))
        self.args = (np.array(w.CHAIN_START, np.float32), np.array(1, np.float32))  # it knows no NumPy scalars

    def call(self) -> float:
        if self.row.whole:
            start = time.perf_counter()
            grads = self.gradient(*self.args)
        else:
            pullback, _ = make_vjp(lambda both: chain(*both), self.args)
            start = time.perf_counter()
            grads = pullback(np.array(1, np.float32))
        seconds = time.perf_counter() - start
        self.check = float(grads[0]) + float(grads[1])
        return seconds
