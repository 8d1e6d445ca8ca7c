"""Programs as SymPy expressions: every leaf has its meaning here once more, stated independently."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import sympy as sp

from clearprop.program.ir import Program, Var, trace
from clearprop.program.types import FLOAT64, Type

SCALAR = Type((), FLOAT64)

LEAVES: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "negative": lambda x: -x,
    "pow": sp.Pow,
    "square": lambda x: x**2,
    "abs": sp.Abs,
    "sign": sp.sign,
    "maximum": lambda a, b: sp.Piecewise((a, a >= b), (b, True)),
    "minimum": lambda a, b: sp.Piecewise((a, a <= b), (b, True)),
    "identity": lambda x: x,
    "stop_gradient": lambda x: x,
    "equal": sp.Eq,
    "less": sp.Lt,
    "less_equal": sp.Le,
    "greater": sp.Gt,
    "greater_equal": sp.Ge,
    "logical_and": sp.And,
    "logical_or": sp.Or,
    "logical_not": sp.Not,
    "isfinite": lambda x: sp.true,
    "where": lambda c, a, b: sp.Piecewise((a, c), (b, True)),
    "exp": sp.exp,
    "expm1": lambda x: sp.exp(x) - 1,
    "log": sp.log,
    "log1p": lambda x: sp.log(1 + x),
    "log2": lambda x: sp.log(x, 2),
    "log10": lambda x: sp.log(x, 10),
    "sqrt": sp.sqrt,
    "reciprocal": lambda x: 1 / x,
    "sin": lambda x: sp.sin(sp.expand(x)),
    "cos": lambda x: sp.cos(sp.expand(x)),
    "round": lambda x: sp.Symbol("n", integer=True),  # which whole number it is must not matter
    "tan": sp.tan,
    "asin": sp.asin,
    "acos": sp.acos,
    "atan": sp.atan,
    "atan2": sp.atan2,
    "sinh": sp.sinh,
    "cosh": sp.cosh,
    "tanh": sp.tanh,
    "asinh": sp.asinh,
    "acosh": sp.acosh,
    "atanh": sp.atanh,
    "erf": sp.erf,
    "hypot": lambda a, b: sp.sqrt(a**2 + b**2),
    "positive": lambda x: x,
    "isnan": lambda x: sp.false,  # symbols are numbers
    "astype": lambda x: x,  # of a number: symbols are exact in every dtype
    "nan_or_zero": lambda x: sp.Integer(0),  # symbols are numbers
    "zero_or_nan": lambda x: sp.Integer(0),
}

CONSTANTS = {
    2 / math.sqrt(math.pi): 2 / sp.sqrt(sp.pi),
    math.sqrt(2 / math.pi): sp.sqrt(2 / sp.pi),
    1 / math.sqrt(2 * math.pi): 1 / sp.sqrt(2 * sp.pi),
    math.sqrt(0.5): sp.sqrt(2) / 2,
    math.log(2): sp.log(2),
    math.log(10): sp.log(10),
    math.pi: sp.pi,
}
"""Rounded numbers in rules and bodies that stand for these exact ones."""


def exact(number: Any) -> Any:
    """The number that a Python constant stands for."""
    if isinstance(number, bool):
        return sp.true if number else sp.false
    return CONSTANTS.get(number, sp.Rational(repr(number)) if isinstance(number, float) else sp.Integer(number))


def interpret(program: Program, values: Sequence[Any]) -> list[Any]:
    """The outputs of a program of scalars, as expressions in the values."""
    env: dict[Any, Any] = dict(zip(program.inputs, values, strict=True))

    def read(atom: Any) -> Any:
        return env[atom] if isinstance(atom, Var) else exact(atom)

    for eq in program.equations:
        inputs = [read(a) for a in eq.inputs]
        if eq.primitive.name in LEAVES:
            out = LEAVES[eq.primitive.name](*inputs)
        else:
            types = [a.type if isinstance(a, Var) else SCALAR for a in eq.inputs]
            (out,) = expression(eq.primitive.body, types, inputs, eq.params)
        env[eq.outputs[0]] = out
    return [read(a) for a in program.outputs]


def expression(function: Any, types: Sequence[Type], values: Sequence[Any], params: Any = None) -> list[Any]:
    """What a function of scalars computes, as SymPy expressions of the values."""

    def flat(*xs: Any) -> list[Any]:
        out = function(*xs, **(params or {}))
        return [out]

    return interpret(trace(flat, types), values)
