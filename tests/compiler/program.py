"""What a random program is: lines over earlier values, an input's kind, and the wish for values or derivatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import clearprop as cl


@dataclass
class Step:
    """One line of a program: what it does to which earlier values."""

    text: str
    operands: tuple[int, ...]
    apply: Callable[..., Any]


@dataclass
class RandomProgram:
    """A function of `inputs`; its `wish` is the values of some steps, or derivatives of a scalar made of them."""

    seed: int
    shapes: list[tuple[str, str]]
    inputs: list[Any]
    steps: list[Step] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    wish: str = "values"
    wrt: tuple[int, ...] = ()

    def run(self, *xs: Any) -> list[Any]:
        """All values."""
        env = list(xs)
        for s in self.steps:
            env.append(s.apply(*(env[i] for i in s.operands)))
        return env

    def values(self, *xs: Any) -> tuple[Any, ...]:
        """The values that are returned."""
        env = self.run(*xs)
        return tuple(env[i] for i in self.outputs)

    def scalar(self, *xs: Any) -> Any:
        """Σ over the floating outputs of Σ v·(1 + v/8): nonlinear, so that cotangents differ from entry to entry."""
        parts = [cl.sum(v * (1.0 + 0.125 * v)) for v in self.values(*xs) if v.dtype.kind == "f"]
        total: Any = 0.0
        for p in parts:
            total = total + p
        return total

    def __call__(self, *xs: Any) -> Any:
        if self.wish == "values":
            return self.values(*xs)
        if self.wish == "gradient":
            value, grads = cl.value_and_grad(self.scalar, argnums=self.wrt)(*xs)
            return value, grads
        chosen = [xs[i] for i in self.wrt]

        def f(*some: Any) -> Any:
            full = list(xs)
            for i, x in zip(self.wrt, some, strict=True):
                full[i] = x
            return self.scalar(*full)

        return cl.hvp(f, tuple(chosen), tuple(0.5 * x for x in chosen))

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: {self.wish} with respect to {self.wrt}"]
        lines += [f"  x{i}: {d}[{s}]" for i, (s, d) in enumerate(self.shapes)]
        lines += [
            f"  x{i} = {s.text.format(*(f'x{o}' for o in s.operands))}"
            for i, s in enumerate(self.steps, start=len(self.inputs))
        ]
        return "\n".join([*lines, f"  return {', '.join(f'x{o}' for o in self.outputs)}"])


def draw_input(rng: np.random.Generator, shape: str, dtype: str, sizes: dict[str, int]) -> Any:
    """Numbers for an input; `weak` ones are Python's own."""
    at = tuple(int(c) if c.isdigit() else sizes[c] for c in shape)
    if dtype == "int":
        return int(rng.integers(1, 4))
    if dtype == "float":
        return round(float(rng.uniform(0.2, 1.5)), 3)
    if dtype == "bool":
        return np.asarray(rng.random(at) < 0.6)
    if dtype.startswith("int"):
        return np.asarray(rng.integers(0, 3, at), dtype)
    return np.asarray(rng.uniform(-1.5, 1.5, at), dtype)
