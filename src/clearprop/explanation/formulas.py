"""Rules as formulas: the very functions that the sweep calls, traced on symbols and printed.

The local factor is the rule on a unit tangent, so the formula is the rule with 1 put in for the tangent, and the
products with 1 left away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clearprop.notation.expressions import Call, Expression, Name, Number
from clearprop.primitives import REGISTRY, Primitive
from clearprop.program.ir import Program, Var
from clearprop.program.tracing import trace
from clearprop.program.types import BOOL, FLOAT64, INT64, PYTHON_SCALARS, Type
from clearprop.program.values import raw


def symbol_type(value: Any, shape: tuple[int, ...] = ()) -> Type:
    """The type of the symbol that stands for an operand: floats are float64."""
    kind = np.asarray(value).dtype.kind
    return Type(shape, BOOL if kind == "b" else INT64 if kind in "iu" else FLOAT64)


def rule_formula(function: Callable[..., Any], names: Sequence[str], types: Sequence[Type]) -> Expression:
    """The formula of a function of symbols: what it does when it is traced, simplified."""
    return expression_of(rule_program(function, names, types))


def rule_program(function: Callable[..., Any], names: Sequence[str], types: Sequence[Type]) -> Program:
    """The program of a rule, a function of the named symbols."""
    return trace(lambda *xs: (function(*xs),), types, list(names))


def expression_of(program: Program) -> Expression:
    """The program's one output as an expression of its inputs."""
    known: dict[Any, Expression] = {v: Name(v.name) for v in program.arguments}
    hidden = program.inputs[len(program.arguments) :]
    known |= {v: _constant(c) for v, c in zip(hidden, program.captured, strict=True)}

    def read(atom: Any) -> Expression:
        return known[atom] if isinstance(atom, Var) else Number(atom)

    for eq in program.equations:
        call = simplified(eq.primitive, tuple(map(read, eq.inputs)), dict(eq.params))
        known |= dict.fromkeys(eq.outputs, call)
    return read(program.outputs[0])


def _constant(value: Any) -> Expression:
    array = np.asarray(raw(value))
    return Number(array[()].item()) if array.ndim == 0 else Name("constant")


def simplified(primitive: Primitive, operands: tuple[Expression, ...], params: dict[str, Any]) -> Expression:
    """A call without what a reader would leave away: factors 1, and arithmetic on numbers alone."""
    if primitive.tex == "{x}" and len(operands) == 1 and primitive.name != "stop_gradient":
        return operands[0]
    if primitive.name == "size":
        return Number(int(params["dim"]))
    if primitive.kind == "elementwise" and operands and all(isinstance(o, Number) for o in operands):
        return Number(_folded(primitive, operands, params))
    if primitive is REGISTRY["multiply"]:
        return _product(primitive, *operands)
    if primitive is REGISTRY["divide"] and operands[1] == Number(1):
        return operands[0]
    return Call(primitive, operands, params)


def _folded(primitive: Primitive, operands: tuple[Expression, ...], params: dict[str, Any]) -> Any:
    values = [o.value for o in operands if isinstance(o, Number)]
    with np.errstate(all="ignore"):
        out = primitive.run(values, params)
    return out if type(out) in PYTHON_SCALARS else np.asarray(out).item()


def _product(multiply: Primitive, a: Expression, b: Expression) -> Expression:
    for one, other in ((a, b), (b, a)):
        if one == Number(1):
            return other
        if one == Number(-1):
            return Call(REGISTRY["negative"], (other,))
    return Call(multiply, (a, b))


def used_names(expression: Expression) -> list[str]:
    """The names in an expression, each once, in reading order."""
    if isinstance(expression, Name):
        return [expression.name]
    if isinstance(expression, Number):
        return []
    found = [n for o in expression.operands for n in used_names(o)]
    return list(dict.fromkeys(found))
