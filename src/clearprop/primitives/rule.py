"""Derivative rules: formulas that take what they need by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Zero:
    """A derivative that is zero everywhere it exists, with the reason that an explanation gives.

    reason  a sentence that ends without a full stop

    >>> import clearprop as cl
    >>> @cl.custom_rule(x=cl.Zero("steps are flat"))
    ... def step(x):
    ...     return cl.floor(x)
    >>> cl.grad(lambda x: step(x) + x)(1.5)
    Tensor(1.0)
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A derivative formula; `call(g, y, xs, params)` picks the arguments that the formula names."""

    formula: Callable[..., Any]
    names: tuple[str, ...]
    call: Callable[[Any, Any, Sequence[Any], Mapping[str, Any]], Any]


def make_rule(formula: Callable[..., Any], operands: Sequence[str], params: Sequence[str], owner: str) -> Rule:
    """A rule whose arguments are chosen by name; an unknown name is an error when it is declared."""
    names = tuple(inspect.signature(formula).parameters)
    source = {"g": "g", "y": "y"}
    source |= {p: f"p[{p!r}]" for p in params} | {o: f"xs[{i}]" for i, o in enumerate(operands)}
    source |= {o + "_dot": f"g[{i}]" for i, o in enumerate(operands)}
    unknown = [n for n in names if n not in source]
    if unknown:
        raise TypeError(f"{owner}: a rule names {unknown[0]!r}; known are g, y, {', '.join([*operands, *params])}")
    text = f"lambda g, y, xs, p: f({', '.join(source[n] for n in names)})"
    call = eval(compile(text, __file__, "eval"), {"f": formula})  # a file of ours, so that it is no user's line
    return Rule(formula, names, call)
