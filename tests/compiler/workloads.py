"""The training steps of the benchmarks' rows W0 to W5, as small data and functions."""

from __future__ import annotations

from typing import Any

import numpy as np

import clearprop as cl
from clearprop import nn, optim


def classes(sizes: list[int], batch: int, **options: Any) -> tuple[Any, Any, Any]:
    """A network for classification, with inputs and labels."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, sizes[0])).astype(np.float32)
    y = rng.integers(0, sizes[-1], batch)
    return nn.mlp(sizes, seed=0, **options), x, y


def regression(sizes: list[int], batch: int, **options: Any) -> tuple[Any, Any, Any]:
    """A network for regression, with inputs and targets."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, sizes[0])).astype(np.float32)
    y = rng.normal(size=(batch, sizes[-1])).astype(np.float32)
    return nn.mlp(sizes, seed=0, **options), x, y


ADAM = optim.adam(1e-3)
CLIPPED = optim.chain(optim.clip_by_norm(1.0), optim.adamw(1e-3, weight_decay=0.01))
WORKLOADS: dict[str, Any] = {
    "W0": (lambda: classes([4, 16, 3], 32), nn.cross_entropy, ADAM),
    "W1": (lambda: classes([2, 64, 3], 300), nn.cross_entropy, ADAM),
    "W2": (lambda: classes([784, 128, 128, 10], 128), nn.cross_entropy, ADAM),
    "W3": (lambda: classes([784, 1024, 1024, 10], 512), nn.cross_entropy, ADAM),
    "W4": (
        lambda: classes([64, 256, 256, 256, 10], 256, activation="gelu", norm="layer"),
        nn.cross_entropy,
        ADAM,
    ),
    "W5": (lambda: regression([32, 128, 128, 1], 64, activation="tanh", dropout=0.1), nn.mse, CLIPPED),
}


def training_step(loss: Any, optimizer: Any) -> Any:
    """Forward, loss, backward and update of a model with state and random layers."""

    def step(model: Any, state: Any, key: Any, x: Any, y: Any) -> Any:
        def objective(m: Any) -> Any:
            outputs, trained = nn.apply(m, x, train=True, rng=key)
            return loss(outputs, y), trained

        (value, trained), grads = cl.value_and_grad(objective, has_aux=True)(model)
        updates, state = optimizer.update(grads, state, model)
        return optim.apply_updates(trained, updates), state, value

    return step


def plain_step(loss: Any, optimizer: Any) -> Any:
    """The same without random layers."""
    random = training_step(loss, optimizer)

    def step(model: Any, state: Any, x: Any, y: Any) -> Any:
        return random(model, state, None, x, y)

    return step


def arguments(name: str) -> tuple[Any, Any]:
    """The step of a row, uncompiled, and its arguments."""
    make, loss, optimizer = WORKLOADS[name]
    model, x, y = make()
    state = optimizer.init(model)
    if name == "W5":
        return training_step(loss, optimizer), (model, state, cl.random.key(0), x, y)
    return plain_step(loss, optimizer), (model, state, x, y)
