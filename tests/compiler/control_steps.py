"""Steps of random programs that hold programs: loops (also in loops), branches, of batches too, and a convolution.

Whatever a step draws, its carries keep their dtype or clearprop refuses it, and then another step is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import clearprop as cl

KINDS = ("scan", "nested", "counted", "branch", "batched branch", "while", "window")
Drawn = tuple[str, Callable[..., Any], bool]
"""What a step is called, what it computes, and whether that is the same to the bit everywhere."""

ROUNDED: dict[str, Callable[..., Any]] = {
    "add": cl.add,
    "subtract": cl.subtract,
    "multiply": cl.multiply,
    "mixed": lambda a, b: a + b * b,
    "of the other": lambda a, b: cl.flip(a, axis=0) - b if a.ndim else b - a,
}
CHOOSING: dict[str, Callable[..., Any]] = {
    "maximum": cl.maximum,
    "minimum": lambda a, b: cl.minimum(b, a),
    "where": lambda a, b: cl.where(a < b, b, a),
    "abs": lambda a, b: cl.maximum(cl.abs(a), b),
    "turned": lambda a, b: cl.where(b > 1, cl.flip(a, axis=0) if a.ndim else b, a),
}
"""Functions of a carry and an element; those that choose round nothing, so that a choice is the same everywhere."""


def _function(rng: np.random.Generator, exact: bool, integers: bool) -> tuple[str, Callable[..., Any], bool]:
    """One that may follow on such values: what chooses needs values that are the same everywhere."""
    known = {**(CHOOSING if exact else {}), **(ROUNDED if not exact or integers or rng.random() < 0.5 else {})}
    name = str(rng.choice(list(known)))
    return name, known[name], exact and (integers or name in CHOOSING)


def draw_control(rng: np.random.Generator, exact: bool, integers: bool) -> Drawn:
    """A step on an earlier value, of which `exact` says whether it is the same to the bit on every executor."""
    kind = str(rng.choice(KINDS))
    name, f, same = _function(rng, exact, integers)
    reverse, output = bool(rng.random() < 0.5), int(rng.integers(2))
    told = f"{kind}, {name}{', reversed' if reverse else ''}, output {output}"
    if kind == "scan":
        return told, lambda x: cl.scan(lambda c, r: (f(c, r), c), x[0], x, reverse=reverse)[output], same
    if kind == "nested":
        return told, lambda x: _nested(f, x, reverse)[output], same
    if kind == "while":
        return told, lambda x: cl.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, f(c[1], x)), (0, x))[1], same
    if kind == "window":
        return f"window {output}", _window(rng, output), False
    if kind == "counted" or not exact:  # which branch is taken must be the same everywhere
        return "counted" + told.removeprefix(kind), lambda x: _counted(f, x, reverse)[output], same
    choose = lambda r: cl.cond(cl.max(r) > 1, lambda r: f(r, r), lambda r: cl.maximum(r, r), r)
    return told, choose if kind == "branch" else cl.vmap(choose), same


def _nested(f: Callable[..., Any], x: Any, reverse: bool) -> Any:
    """Over the rows, and in each over its entries, with what the row before gave."""
    row = lambda c, r: cl.scan(lambda c, e: (f(c, e), c), c, r, reverse=not reverse)
    return cl.scan(row, x[0, 0], x, reverse=reverse)


def _counted(f: Callable[..., Any], x: Any, reverse: bool) -> Any:
    """A carry with a count, a branch of the count, and values from outside of the loop."""
    outside = x[-1]

    def step(carry: Any, r: Any) -> Any:
        n, c = carry
        after = cl.cond(n > 1, lambda c: f(c, r), lambda c: f(c, outside), c)
        return (n + 1, after), (n, after)

    (n, c), (counts, rows) = cl.scan(step, (0, x[0]), x, reverse=reverse)
    return cl.where(n > 2, c, x[0]), cl.take(rows, counts, axis=0)


def _window(rng: np.random.Generator, output: int) -> Callable[..., Any]:
    """A convolution along the last axis of a matrix, with two outputs."""
    kernel = rng.integers(-2, 3, (int(rng.integers(1, 4)), 1, 2))
    padding = str(rng.choice(["valid", "same"]))
    stride = int(rng.integers(1, 3))

    def apply(x: Any) -> Any:
        return cl.conv(x[:, :, None], cl.asarray(kernel.astype(x.dtype)), stride=stride, padding=padding)[..., output]

    return apply
