"""JAX's layers: channels last, compiled; Adam written out, for XLA to fuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import lax

from benchmarks import layers
from benchmarks import workloads as w
from benchmarks.contenders import Runner

jnp = jax.numpy
B1, B2, EPS = 0.9, 0.999, 1e-8


def conv(x: Any, kernel: Any, groups: int = 1) -> Any:
    """A convolution with as many outputs as inputs along each axis."""
    forms = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=forms, feature_group_count=groups)


def pool(x: Any) -> Any:
    """The largest of 2×2: the form that is fastest, ten times before `reduce_window`."""
    n, h, v, c = x.shape
    return x.reshape(n, h // 2, 2, v // 2, 2, c).max((2, 4))


class Layer(Runner):
    """A layer's value and its gradients for a cotangent, jitted."""

    def __init__(self, row: w.Workload) -> None:
        given, cotangent = layers.layer_arrays(row)
        f = pool if row.source == "pool" else lambda x, kernel: conv(x, kernel, row.sizes[5])

        def both(cotangent: Any, *given: Any) -> Any:
            y, pullback = jax.vjp(f, *given)
            return y, pullback(cotangent)

        self.f, self.given = jax.jit(both), [jnp.asarray(a) for a in (cotangent, *given)]

    def first(self) -> None:
        y, grads = self.f(*self.given)
        self.check = sum(float(np.sum(np.square(np.asarray(a), dtype=np.float64))) for a in (y, *grads))

    def call(self) -> None:
        jax.block_until_ready(self.f(*self.given))


def images(p: Any, x: Any) -> Any:
    for kernel, bias in (p[:2], p[2:4]):
        x = jax.nn.relu(pool(conv(x, kernel) + bias))
    return x.reshape(len(x), -1) @ p[4] + p[5]


def cells(p: Any, x: Any) -> Any:
    """The outputs of LSTM cells at every step; what the inputs give is one product before the loop."""
    weight, again, bias = p
    size = again.shape[0]

    def cell(carry: Any, z: Any) -> Any:
        h, c = carry
        i, f, g, o = jnp.split(z + h @ again, 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zero = jnp.zeros((len(x), size))
    return jnp.swapaxes(lax.scan(cell, (zero, zero), jnp.swapaxes(x @ weight + bias, 0, 1))[1], 0, 1)


def norm(x: Any, scale: Any, offset: Any) -> Any:
    c = x - x.mean(-1, keepdims=True)
    return c * lax.rsqrt((c * c).mean(-1, keepdims=True) + 1e-5) * scale + offset


def block(p: Any, x: Any, heads: int = 4, causal: bool = False) -> Any:
    rows, length, size = x.shape
    n = norm(x, p[8], p[9])
    q, k, v = ((n @ p[i] + p[i + 1]).reshape(rows, length, heads, size // heads) for i in (0, 2, 4))
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) * (heads / size) ** 0.5
    if causal:
        scores = jnp.where(jnp.tril(jnp.ones((length, length), bool)), scores, -jnp.inf)
    seen = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores, -1), v).reshape(rows, length, size)
    x = x + seen @ p[6] + p[7]
    return x + jax.nn.gelu(norm(x, p[10], p[11]) @ p[12] + p[13], approximate=False) @ p[14] + p[15]


def letters(p: Any, x: Any) -> Any:
    h = p[0][x]
    if len(p) < 16:
        return cells(p[1:4], h) @ p[4] + p[5]
    h = h + p[1]
    for k in range(layers.BLOCKS):
        h = block(p[2 + 16 * k : 18 + 16 * k], h, layers.HEADS, True)
    return norm(h, *p[-4:-2]) @ p[-2] + p[-1]


NETS: dict[str, Callable[[Any, Any], Any]] = {
    "images": images, "cells": lambda p, x: cells(p[:3], x)[:, -1] @ p[3] + p[4], "block": block,
    "letters by cells": letters, "letters": letters,
}  # fmt: skip


def epochs_of(form: str, row: w.Workload) -> Callable[[int], float]:
    """Epochs of `lax.scan` over steps, or of a call a step: a convolution within a scan is slow there."""
    x, y = (jnp.asarray(a) for a in layers.net_data(row))
    start, net = [jnp.asarray(a) for a in layers.net_weights(row)], NETS[row.source]

    def loss(p: Any, x: Any, y: Any) -> Any:
        out = net(p, x)
        if row.loss == "mse":
            return jnp.mean((out - y) ** 2)
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(out), y[..., None], -1))

    def step(carry: Any, rows: Any) -> Any:
        p, t, m, v = carry
        value, g = jax.value_and_grad(loss)(p, x[rows], y[rows])
        t = t + 1
        m = [B1 * a + (1 - B1) * b for a, b in zip(m, g, strict=True)]
        v = [B2 * a + (1 - B2) * b * b for a, b in zip(v, g, strict=True)]
        c1, c2 = row.rate / (1 - B1**t), 1 / (1 - B2**t)
        p = [a - c1 * b / (jnp.sqrt(c * c2) + EPS) for a, b, c in zip(p, m, v, strict=True)]
        return (p, t, m, v), value

    each = jax.jit(step, donate_argnums=0)
    scanned = jax.jit(lambda carry, order: lax.scan(step, carry, order), donate_argnums=0)

    def by_calls(carry: Any, order: Any) -> Any:
        values = []
        for rows in order:
            carry, value = each(carry, rows)
            values.append(value)
        return carry, jnp.stack(values)

    epoch = by_calls if form == "loop_of_steps" else scanned

    def train(epochs: int) -> float:
        zeros = [[jnp.zeros_like(a) for a in start] for _ in range(2)]
        carry, draw = ([jnp.copy(a) for a in start], jnp.int32(0), *zeros), np.random.default_rng(0)
        for _ in range(epochs):
            order = draw.permutation(row.rows).astype(np.int32).reshape(-1, row.batch)
            carry, values = epoch(carry, order)
            mean = float(jnp.mean(values))
        return mean

    return train
