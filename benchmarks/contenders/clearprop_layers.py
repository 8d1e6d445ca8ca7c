"""clearprop's layers: a compiled function with its gradients, and `cl.fit` of networks of them."""

from __future__ import annotations

from typing import Any

import numpy as np

import clearprop as cl
from benchmarks import layers
from benchmarks import workloads as w
from benchmarks.contenders import Door, Runner


class Layer(Runner):
    """A layer's value and what its gradients are for a cotangent: one compiled call."""

    def __init__(self, row: w.Workload) -> None:
        given, cotangent = layers.layer_arrays(row)
        pool = row.source == "pool"

        def f(*given: Any) -> Any:
            if pool:
                return cl.nn.MaxPool(2)(given[0])
            return cl.conv(*given, padding="same", groups=row.sizes[5])

        def both(cotangent: Any, *given: Any) -> Any:
            y, pullback = cl.vjp(f, *given)
            return y, pullback(cotangent)

        self.f, self.given = cl.compile(both), [cl.tensor(a) for a in (cotangent, *given)]

    def first(self) -> None:
        y, grads = self.f(*self.given)
        self.check = sum(float(np.sum(np.square(np.asarray(a), dtype=np.float64))) for a in (y, *grads))

    def call(self) -> None:
        self.f(*self.given)


def network(row: w.Workload) -> Any:
    """The network of a row, with its weights."""
    letters, size = layers.LETTERS, layers.WIDTH
    models = {
        "images": lambda: cl.nn.Sequential(
            cl.nn.Conv2d(1, 16, 3, padding="same"), cl.nn.MaxPool(2), "relu",
            cl.nn.Conv2d(16, 32, 3, padding="same"), cl.nn.MaxPool(2), "relu", cl.nn.Flatten(), cl.nn.Dense(1568, 10),
        ),
        "cells": lambda: cl.nn.Sequential(cl.nn.LSTM(16, 64, output="last"), cl.nn.Dense(64, 10)),
        "block": lambda: cl.nn.TransformerBlock(64, 4),
        "letters by cells": lambda: cl.nn.Sequential(
            cl.nn.Embedding(letters, size), cl.nn.LSTM(size, 2 * size), cl.nn.Dense(2 * size, letters)
        ),
        "letters": lambda: cl.nn.transformer(
            letters, size=size, heads=layers.HEADS, layers=layers.BLOCKS, longest=layers.LENGTH
        ),
    }  # fmt: skip
    model = models[row.source]()
    return model.replace(dict(zip(model.parameters(), layers.net_weights(row), strict=True)))


def door(row: w.Workload) -> Runner:
    """`cl.fit`, which shuffles for itself."""
    model, data = network(row), layers.net_data(row)

    def train(epochs: int) -> float:
        run = cl.fit(
            model, data, loss=row.loss, optimizer=cl.optim.adam(row.rate), epochs=epochs, batch_size=row.batch,
            progress=False,
        )  # fmt: skip
        return float(run.history[-1]["train"]["loss"])

    return Door(row, train)
