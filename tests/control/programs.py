"""Loops, each twice: by `cl.scan`, and written out as a Python loop of the same operations, which is the oracle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import clearprop as cl


@dataclass(frozen=True)
class Pair:
    """A scalar function of some arrays, with a loop and written out."""

    name: str
    program: Any
    args: tuple[Any, ...]
    wrt: tuple[int, ...]

    def loop(self, *args):
        return self.program(cl.scan, *args)

    def written(self, *args):
        return self.program(unrolled, *args)

    def __str__(self) -> str:
        return self.name


def numbers(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape) * 0.6


def unrolled(f, init, xs=None, length=None, reverse=False):
    """What scan means, in Python: the steps one after the other, their outputs stacked."""
    leaves = [xs] if isinstance(xs, (np.ndarray, cl.Tensor)) else list(xs.values()) if isinstance(xs, dict) else []
    n = length if not leaves else leaves[0].shape[0]
    carry, ys = init, [None] * n
    for i in reversed(range(n)) if reverse else range(n):
        x = None if not leaves else xs[i] if not isinstance(xs, dict) else {k: v[i] for k, v in xs.items()}
        carry, ys[i] = f(carry, x)
    return carry, None if ys[0] is None else cl.tree_map(lambda *parts: cl.stack(list(parts)), *ys)


def recurrence(scan, a, x):
    last, ys = scan(lambda c, x: (a * c + x, c * c), 1.0, x)
    return last + cl.sum(ys)


def network(scan, w, u, x, h):
    h, ys = scan(lambda h, x: (cl.tanh(x @ u + h @ w), cl.sum(h * h)), h, x)
    return cl.sum(h**2) + cl.sum(ys**3)


def from_the_end(scan, w, x):
    last, ys = scan(lambda c, x: (cl.sin(w * c) + x, c * x), cl.zeros(3), x, reverse=True)
    return cl.sum(last * cl.sum(ys, axis=0)) + cl.sum(ys[0] * ys[3] ** 2)


def trees(scan, p, x):
    def step(c, x):
        v = c["v"] - 0.1 * cl.sin(c["q"]) * p["k"] + x["force"]
        return {"q": c["q"] + 0.1 * v, "v": v}, {"energy": v * v, "q": c["q"]}

    end, ys = scan(step, {"q": p["q"], "v": 0.0}, x)
    return end["q"] * end["v"] + cl.mean(ys["energy"]) + cl.sum(ys["q"] ** 2)


def nested(scan, w, x):
    def row(total, row):
        inner, ys = scan(lambda c, e: (c * w + cl.tanh(e), c), total, row)
        return inner, cl.sum(ys)

    last, sums = scan(row, 0.5, x)
    return last**2 + cl.sum(sums**2)


def nested_over_a_carry(scan, w, x):
    """The inner loop runs over what the outer one carries."""
    last, _ = scan(lambda v, e: (scan(lambda c, e: (c * w + e, c), e, v)[1], None), x[0], x[:, 0])
    return cl.sum(last * last)


def a_counter(scan, w, x):
    (n, c), _ = scan(lambda c, x: ((c[0] + 1, c[1] * w + x / (c[0] + 1)), None), (0, 0.0), x)
    return c * c + 0.0 * n


def no_elements(scan, w):
    last, ys = scan(lambda c, _: (cl.cos(w * c), c), cl.ones(2), None, length=6)
    return cl.sum(last) + cl.sum(ys**2)


def a_gradient_within(scan, w, x):
    """Steps of gradient descent on a loss of their own; then the derivative of where they arrive."""
    step = lambda p, x: (p - 0.1 * cl.grad(lambda p: cl.sum((p * w - x) ** 2))(p), None)
    last, _ = scan(step, cl.zeros(3), x)
    return cl.sum(last**2)


def constants_computed_within(scan, w, x):
    last, _ = scan(lambda c, x: (c * cl.exp(-w) + x, None), cl.zeros(3), x)
    return cl.sum(last**2)


TREE = {"k": np.float64(1.3), "q": np.float64(0.7)}
PAIRS = [
    Pair("recurrence", recurrence, (np.float64(0.8), numbers(0, 7)), (0, 1)),
    Pair("network", network, (numbers(1, 4, 4), numbers(2, 3, 4), numbers(3, 5, 3), numbers(4, 4)), (0, 1, 2, 3)),
    Pair("from the end", from_the_end, (numbers(5, 3), numbers(6, 4, 3)), (0, 1)),
    Pair("trees", trees, (TREE, {"force": numbers(7, 6)}), (0, 1)),
    Pair("nested", nested, (np.float64(0.9), numbers(8, 3, 4)), (0, 1)),
    Pair("nested over a carry", nested_over_a_carry, (np.float64(0.9), numbers(9, 3, 4)), (0, 1)),
    Pair("a counter", a_counter, (np.float64(0.9), numbers(10, 5)), (0, 1)),
    Pair("no elements", no_elements, (numbers(11, 2),), (0,)),
    Pair("a gradient within", a_gradient_within, (numbers(12, 3), numbers(13, 4, 3)), (0, 1)),
    Pair("constants computed within", constants_computed_within, (numbers(14, 3), numbers(15, 4, 3)), (0, 1)),
]
