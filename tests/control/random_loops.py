"""Random programs with loops, branches and loops that end by themselves; and the same by Python's `for` and `if`."""

from __future__ import annotations

from typing import Any

import numpy as np

import clearprop as cl
from tests.control.programs import numbers, unrolled


class Written:
    """Control flow in Python, one operation after the other: what clearprop's means."""

    scan = staticmethod(unrolled)

    @staticmethod
    def cond(predicate, if_true, if_false, *operands):
        return (if_true if _seen(predicate) else if_false)(*operands)

    @staticmethod
    def switch(index, branches, *operands):
        return branches[min(max(int(_seen(index)), 0), len(branches) - 1)](*operands)

    @staticmethod
    def fori_loop(lower, upper, f, carry):
        for i in range(lower, upper):
            carry = f(i, carry)
        return carry

    @staticmethod
    def while_loop(condition, f, carry, max_steps):
        for _ in range(max_steps):
            if not _seen(condition(carry)):
                break
            carry = f(carry)
        return carry


def _seen(value):
    """The number of what chooses, through which no derivative passes."""
    return cl.stop_gradient(value).item() if isinstance(value, cl.Tensor) else value


UNARY = [
    cl.sin,
    cl.tanh,
    lambda v: v * v * 0.3,
    lambda v: cl.exp(-v * v),
    lambda v: cl.where(v > 0, v, 0.2 * v),
    cl.flip,
]
BINARY = [lambda a, b: a + b, lambda a, b: a * b, lambda a, b: a - 0.5 * b, lambda a, b: a * cl.sum(b) * 0.2]


def branch(m, a, b):
    return m.cond(cl.sum(a) > 0.1, lambda: cl.sin(a) * b, lambda: a - b)


def choice(m, a, b):
    """One of three; an index outside of them is met too."""
    return m.switch(cl.floor(cl.sum(b) * 2.0).astype(np.int64), [cl.sin, lambda v: v * b, lambda v: v - 0.3], a)


def inner_loop(m, a, b):
    return m.scan(lambda c, e: (cl.tanh(c * e + b), c), a, b)[0]


def counted(m, a, b):
    return m.fori_loop(0, 3, lambda i, c: cl.sin(c) * 0.7 + b * i, a)


def until_small(m, a, b):
    """A loop that ends by itself, with a branch in its step."""
    step = lambda c: m.cond(c[0] > 0, lambda c: 0.6 * c + 0.05 * b, lambda c: 0.5 * c - 0.1 * b * b, c)
    return m.while_loop(lambda c: cl.sum(c * c) > 0.2, step, a, max_steps=6)


CONTROL = [branch, choice, inner_loop, counted, until_small]
KINDS = len(UNARY) + len(BINARY) + len(CONTROL)
ARGS = (numbers(0, 3), numbers(1, 3), numbers(2, 4, 3))


def instructions(seed, most=6):
    """Rows of a step: which operation, on which of the values so far; at least one of them is control flow."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, [KINDS, 20, 20], (rng.integers(2, most + 1), 3))
    rows[rng.integers(len(rows)), 0] = KINDS - 1 - rng.integers(len(CONTROL))
    return rows.tolist()


def program(m: Any, rows: Any, reverse: bool = False) -> Any:
    """The loop of a step that does as instructed with the weight, the carry and the element."""

    def loss(w, h, x):
        def step(h, x):
            values = [w, h, x]
            for kind, i, j in rows:
                a, b = values[i % len(values)], values[j % len(values)]
                if kind < len(UNARY):
                    values.append(UNARY[kind](a))
                elif kind < len(UNARY) + len(BINARY):
                    values.append(BINARY[kind - len(UNARY)](a, b))
                else:
                    values.append(CONTROL[kind - len(UNARY) - len(BINARY)](m, a, b))
            return cl.tanh(values[-1] + 0.5 * h), values[-1] * values[-2]

        last, ys = m.scan(step, h, x, reverse=reverse)
        return cl.sum(last * w) + cl.mean(ys**2)

    return loss
