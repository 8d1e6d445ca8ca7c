"""What a declaration becomes: functions of its NumPy spelling, its body and its derivative rules.

A spelling runs as it is shown; a rule is a formula that takes what it needs by name.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearprop.errors import GradientError, user_line
from clearprop.program.types import Value, type_of
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
    source = f"lambda {head}: {text.format_map(_Names())}"
    function: Callable[..., Any] = eval(_code_of(source), {"np": np, **HELPERS})
    return function


@functools.cache
def _code_of(text: str) -> types.CodeType:
    """An expression as code of this file, so that it is no user's line; many rules are called by the same text."""
    return compile(text, __file__, "eval")


def values_of(body: Callable[..., Any]) -> Callable[..., Any]:
    """A body that returns arrays when it is given arrays, also if it calls functions that wrap them."""

    def compute(*values: Value, **params: Any) -> Any:
        out = body(*values, **params)
        return tuple(map(raw, out)) if type(out) is tuple else raw(out)

    return compute


def without_warnings(compute: Callable[..., Any]) -> Callable[..., Any]:
    """The same function of arrays and its operations, silent where NaN and infinities come out."""

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
    call = eval(_code_of(text), {"f": formula})
    return Rule(formula, names, call)


def has_direct_rules(primitive: Any) -> bool:
    """Whether the cotangent of every operand is what its rule gives, with nothing before or after it."""
    return (
        primitive.kind != "reduction"
        and not primitive.variadic
        and primitive.on_complex != "value"
        and all(isinstance(rule, Rule) for rule in primitive.rules)
    )


def map_over_batch(many: Any, params: Mapping[str, Any], vmap: Callable[..., Any]) -> Callable[..., Any]:
    """Give the copy of a composite its body and rules, each mapped over the leading axis; return what computes it."""
    body = many.function

    def lifted(rule: Rule) -> Rule:
        def call(g: Value, y: Value, xs: Sequence[Value], _: Any) -> Any:
            return vmap(lambda g, y, *xs: rule.call(g, y, xs, params))(g, y, *xs)

        return Rule(rule.formula, rule.names, call)

    many.function = many.body = lambda *xs: vmap(lambda *x: body(*x, **params))(*xs)
    many.rules = tuple(lifted(r) if isinstance(r, Rule) else r for r in many.rules)
    many.jvp = None if many.jvp is None else lifted(many.jvp)
    return lambda *xs: raw(many.body(*xs))


def no_derivative(name: str, operand: str, others: Sequence[str]) -> GradientError:
    """The error for a gradient that flows into an operand without a rule; `others` have one."""
    return GradientError(
        f"{name} has no derivative with respect to {operand}",
        expected="a derivative with respect to " + " or ".join(others or ["nothing"]),
        got=f"a gradient that flows into {operand}",
        where=user_line(),
        try_=f"cl.stop_gradient({operand}) if it is meant to be constant",
    )


def no_forward_rule(name: str) -> GradientError:
    """The error for forward mode through an operation that has a reverse rule alone."""
    return GradientError(
        f"{name} has no rule for forward mode",
        expected="jvp= in its declaration",
        got="jvp, hvp or hessian through it",
        where=user_line(),
        try_="give jvp=lambda x_dot, ...: the tangent of the output",
    )


def require_real_point(name: str, xs: Sequence[Any]) -> None:
    """Refuse a derivative at complex operands, for an operation whose rule is that of real ones."""
    if any(type_of(raw(x)).dtype.kind == "c" for x in xs):
        raise GradientError(
            f"{name} has no derivative for complex numbers",
            expected="real operands",
            got=" and ".join(str(type_of(raw(x))) for x in xs),
            where=user_line(),
            try_=f"cl.stop_gradient(x) before {name}, or the same function of real and imaginary part",
        )
