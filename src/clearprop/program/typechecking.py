"""The type checker of programs: every equation inferred again, every variable assigned once and before use."""

from __future__ import annotations

from clearprop.errors import ArgumentError, ClearpropError, ProgramError, checked_call, user_line
from clearprop.program.ir import Equation, Program, Var, holds_programs
from clearprop.program.types import type_of


@checked_call
def typecheck(program: Program) -> None:
    """Raise ProgramError unless the program is well formed; returns nothing.

    Checked: single assignment, assignment before use, the number and types of each equation's outputs.

    program  a program, such as `step.program` of a compiled function

    >>> import clearprop as cl
    >>> double = cl.compile(lambda x: 2.0 * x)
    >>> double(cl.tensor([1.0, 2.0]))
    Tensor([2.0, 4.0])
    >>> cl.typecheck(double.program)
    """
    if not isinstance(program, Program):
        raise ArgumentError(
            "typecheck takes a program",
            expected="a Program, such as step.program of a compiled function",
            got=ascii(program)[:80],
            where=user_line(),
        )
    # One walk in order of assignment: what is read must be in `defined` already, what is assigned must not.
    names = program.names()
    defined: set[Var] = set()
    for var in program.inputs:
        if var in defined:
            raise ProgramError(f"{names[var]} is an input twice", expected="distinct inputs")
        defined.add(var)
    for number, eq in enumerate(program.equations, start=1):
        place = f"equation {number}: {eq.primitive.name}" + (f"   {eq.where}" if eq.where else "")
        for atom in eq.inputs:
            if isinstance(atom, Var) and atom not in defined:
                raise ProgramError(
                    f"{names.get(atom, 'a variable of another program')} is used before it is assigned",
                    expected="inputs and earlier outputs",
                    where=place,
                )
        for param in eq.params.values():
            for held in (param if isinstance(param, tuple) else (param,)) if holds_programs(param) else ():
                typecheck(held)
        _check_types(eq, place)
        for var in eq.outputs:
            if var in defined:
                raise ProgramError(f"{names[var]} is assigned twice", expected="single assignment", where=place)
            defined.add(var)
    for atom in program.outputs:
        if isinstance(atom, Var) and atom not in defined:
            raise ProgramError("an output is never assigned", expected="outputs among inputs and equations")


def _check_types(eq: Equation, place: str) -> None:
    try:
        found = eq.primitive.infer([type_of(a) for a in eq.inputs], eq.params)
    except ClearpropError as error:
        raise ProgramError(
            "an equation is not well typed", expected=error.expected, got=error.headline, where=place
        ) from error
    declared = [v.type for v in eq.outputs]
    if [t.key() for t in found] != [t.key() for t in declared]:
        raise ProgramError(
            "an equation's output has another type than its primitive gives",
            expected=", ".join(map(str, found)),
            got=", ".join(map(str, declared)),
            where=place,
        )
