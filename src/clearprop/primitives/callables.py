"""What a declaration becomes: functions of its NumPy spelling, its body and its derivative rules.

A spelling runs as it is shown; a rule is a formula that takes what it needs by name.
"""

from __future__ import annotations

import inspect
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearprop.program.types import Value
from clearprop.program.values import quiet, raw

HELPERS: dict[str, Callable[..., Any]] = {}
"""Functions that NumPy spellings may call beside NumPy's own; generated sources carry their text."""


class _Names(dict[str, str]):
    """Fills a spelling with the names of operands and parameters."""

    def __missing__(self, key: str) -> str:
        return key


def function_of_spelling(
    text: str, operands: Iterable[str], params: Iterable[str], variadic: bool
) -> Callable[..., Any]:
    """The callable that runs is the source that is shown: the NumPy spelling, made a function."""
    star = "*" if variadic else ""
    named = list(params)
    head = ", ".join([star + o for o in operands] + (["*"] if named and not star else []) + named)
    source = f"lambda {head}: {string.Formatter().vformat(text, (), _Names())}"
    function: Callable[..., Any] = eval(compile(source, __file__, "eval"), {"np": np, **HELPERS})
    return function


def values_of(body: Callable[..., Any]) -> Callable[..., Any]:
    """A body that returns arrays when it is given arrays, also if it calls functions that wrap them."""

    def compute(*values: Value, **params: Any) -> Any:
        out = body(*values, **params)
        return tuple(map(raw, out)) if type(out) is tuple else raw(out)

    return compute


def without_warnings(compute: Callable[..., Any]) -> Callable[..., Any]:
    """The same, silent where NaN and infinities come out.

    (NumPy's own decorator would add a frame that looks like the user's.)
    """

    def run(*values: Value, **params: Any) -> Any:
        with quiet():
            return compute(*values, **params)

    return run


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
