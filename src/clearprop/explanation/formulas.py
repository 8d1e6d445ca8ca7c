"""Rules as formulas: the very functions that the sweep calls, traced on symbols and printed.

The local factor is the rule on a unit tangent, so the formula is the rule with 1 put in for the tangent, and the
products with 1 left away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearprop.notation import number_text, text
from clearprop.notation.expressions import Call, Expression, Name, Number
from clearprop.primitives import REGISTRY, Zero
from clearprop.program.ir import Equation, Program, Var
from clearprop.program.operation import Operation
from clearprop.program.tracing import evaluate, trace
from clearprop.program.types import BOOL, FLOAT64, INT64, PYTHON_SCALARS, Type
from clearprop.program.values import raw

UNIT = "g"
"""The symbol for the tangent: in a formula it is 1."""


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
    atom = program.outputs[0]
    return _expressions(program)[atom] if isinstance(atom, Var) else Number(atom)


def _expressions(program: Program) -> dict[Var, Expression]:
    """Every variable of a program as an expression of its inputs."""
    known: dict[Var, Expression] = {v: Number(1) if v.name == UNIT else Name(v.name) for v in program.arguments}
    hidden = program.inputs[len(program.arguments) :]
    known |= {v: _constant(c) for v, c in zip(hidden, program.captured, strict=True)}
    for eq in program.equations:
        operands = (known[a] if isinstance(a, Var) else Number(a) for a in eq.inputs)
        known |= dict.fromkeys(eq.outputs, simplify_call(eq.primitive, tuple(operands), dict(eq.params)))
    return known


def _constant(value: Any) -> Expression:
    array = np.asarray(raw(value))
    return Number(array[()].item()) if array.ndim == 0 else Name("constant")


def simplify_call(primitive: Operation, operands: tuple[Expression, ...], params: dict[str, Any]) -> Expression:
    """A call without what a reader would leave away: neutral numbers, and arithmetic on numbers alone."""
    # One test per thing that is left away, first the calls that show nothing at all: every one is a sentence that the
    # reader of a formula would say, and none of them knows a derivative.
    if primitive.tex == "{x}" and len(operands) == 1 and not isinstance(primitive.rules[0], Zero):
        return operands[0]  # what stops the gradient looks like its operand, and is shown
    if primitive.facts.source == "size":
        return Number(int(params["dim"]))
    if primitive.kind == "elementwise" and operands and all(isinstance(o, Number) for o in operands):
        folded = _fold_numbers(primitive, operands, params)
        if not primitive.tex.startswith(r"\frac") or len(number_text(folded)) <= _SHORT:
            return Number(folded)
    if (other := _beside(primitive.facts.neutral, operands)) is not None:
        return other
    if (other := _beside(primitive.facts.negates, operands)) is not None:
        return Call(REGISTRY["negative"], (other,))
    return Call(primitive, operands, params)


_SHORT = 5
"""A quotient of numbers stays a quotient, 1 / 512, unless it is this short: 0.5."""


def _fold_numbers(primitive: Operation, operands: tuple[Expression, ...], params: dict[str, Any]) -> Any:
    values = [o.value for o in operands if isinstance(o, Number)]
    with np.errstate(all="ignore"):
        out = primitive.run(values, params)
    return out if type(out) in PYTHON_SCALARS else np.asarray(out).item()


def _beside(stated: tuple[tuple[int, int, Any], ...], operands: tuple[Expression, ...]) -> Expression | None:
    """The operand beside a number that a fact of the operation states; None without such a number."""
    return next((operands[other] for at, other, number in stated if operands[at] == Number(number)), None)


def with_nan_told(expression: Expression) -> Expression:
    """The expression with its closed gates written out: as a rule they are 0, but NaN comes through them."""
    if not isinstance(expression, Call):
        return expression
    inside = tuple(map(with_nan_told, expression.operands))
    if expression.function is not REGISTRY["nan_or_zero"]:
        return Call(expression.function, inside, expression.params)
    return Call(REGISTRY["where"], (Call(REGISTRY["isnan"], inside), *inside, Number(0)))


def used_names(expression: Expression) -> list[str]:
    """The names in an expression, each once, in reading order."""
    if isinstance(expression, Name):
        return [expression.name]
    if isinstance(expression, Number):
        return []
    found = [n for o in expression.operands for n in used_names(o)]
    return list(dict.fromkeys(found))


@dataclass(frozen=True, slots=True, eq=False)
class Skeleton:
    """What a rule does entry by entry: its outermost arithmetic, over parts that look at more than one entry.

    `parts` gives for every symbol of `formula` the variable of the program that it stands for, and its own formula.
    """

    formula: Expression
    parts: Mapping[str, tuple[Var, Expression]]
    program: Program

    def numbers(self, arguments: Sequence[Any]) -> dict[str, Any]:
        """The value of every part, for the program's arguments."""
        outputs = tuple(v for v, _ in self.parts.values())
        program = Program(self.program.inputs, self.program.equations, outputs, self.program.captured)
        with np.errstate(all="ignore"):
            values = evaluate(program, [*arguments, *map(raw, self.program.captured)])
        return dict(zip(self.parts, map(raw, values), strict=True))


def skeleton_of(program: Program) -> Skeleton:
    """The skeleton of a rule that was traced on arrays."""
    made = {v: eq for eq in program.equations for v in eq.outputs}
    parts: dict[str, tuple[Var, Expression]] = {}
    whole = _expressions(program)

    def outer(atom: Any) -> Expression:
        if not isinstance(atom, Var):
            return Number(atom)
        eq = made.get(atom)
        if isinstance(whole[atom], Number):
            return whole[atom]
        if eq is not None and (eq.primitive.kind == "elementwise" or _is_widening(eq)):
            return simplify_call(eq.primitive, tuple(map(outer, eq.inputs)), dict(eq.params))
        name = atom.name if eq is None else text(whole[atom])
        parts[name] = atom, whole[atom]
        return Name(name)

    return Skeleton(outer(program.outputs[0]), parts, program)


def _is_widening(eq: Equation) -> bool:
    """Whether an equation only gives its operand the axes that it will be broadcast along."""
    return eq.primitive.kind == "structural" and eq.primitive.tex == "{x}" and len(eq.inputs) == 1
