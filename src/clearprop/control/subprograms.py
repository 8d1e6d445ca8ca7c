"""Programs within programs: traced, closed over what they read from outside, run, and looked through.

A function that becomes part of a loop or a branch is traced once, to a program.  Whatever it reads from around it
(weights, values of an enclosing trace, tensors with history) becomes an operand: *closure conversion*.  So a held
program is a function of its inputs alone, and derivatives flow to what it read.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

from clearprop.autodiff.trees import paths
from clearprop.program.ir import Equation, Program, Var, builder, trace
from clearprop.program.outside_draws import AT_EVERY_STEP, without_draws
from clearprop.program.types import Tree, Type, is_floating, type_of
from clearprop.program.values import raw
from clearprop.shapes import Scope


@dataclass(frozen=True, slots=True)
class Closed:
    """A program of `(*constants, *arguments)` alone, and the constants' values."""

    program: Program
    constants: tuple[Any, ...]


def close(
    f: Callable[..., Sequence[Any]],
    types: Sequence[Type],
    names: Sequence[str] = (),
    scope: Scope | None = None,
    *,
    function: Callable[..., Any] | None = None,
) -> Closed:
    """The closed program of a flat function; it shares its sizes with the trace around it.

    Of the step of a loop the user's `function` is given: what it draws outside of `cl.random` is refused.
    """
    around = builder()
    scope = scope or (around.scope if around is not None else None)
    made = functools.partial(trace, f, types, names, scope, differentiated=True)
    program = without_draws(made, "the step of a loop", AT_EVERY_STEP, function)
    count = len(program.arguments)
    inputs = program.inputs[count:] + program.inputs[:count]
    return Closed(without_unread_steps(replace(program, inputs=inputs, captured=())), program.captured)


_DERIVED: WeakKeyDictionary[Program, dict[Any, Closed]] = WeakKeyDictionary()


def derive(program: Program, key: Any, f: Callable[..., Sequence[Any]], types: Sequence[Type]) -> Closed:
    """The closed program of a function that is made of `program`: traced when it is first asked for under this key."""
    known = _DERIVED.setdefault(program, {})
    key = key, tuple(t.key() for t in types)
    if key not in known:
        known[key] = close(f, types, scope=program.scope)
    return known[key]


def without_unread_steps(program: Program) -> Program:
    """The program, whose loops keep the carries of their steps only where something reads them."""
    read = {a for eq in program.equations for a in eq.inputs if isinstance(a, Var)}
    read |= {a for a in program.outputs if isinstance(a, Var)}
    return replace(program, equations=tuple(_without_unread(eq, read) for eq in program.equations))


def _without_unread(eq: Equation, read: set[Var]) -> Equation:
    if not eq.params.get("keep", False):
        return eq
    count = len(eq.outputs) - eq.params["carries"]
    if not count or any(v in read for v in eq.outputs[count:]):
        return eq
    return replace(eq, params={**eq.params, "keep": False}, outputs=eq.outputs[:count])


def share_constants(branches: Sequence[Closed]) -> tuple[tuple[Program, ...], list[Any]]:
    """Programs of the same inputs, the constants of all of them first; and these constants."""
    shared: dict[int, Any] = {id(c): c for branch in branches for c in branch.constants}
    programs = []
    for branch in branches:
        own = dict(zip(map(id, branch.constants), branch.program.inputs, strict=False))
        inputs = [own.get(key) or Var(type_of(raw(value))) for key, value in shared.items()]
        rest = branch.program.inputs[len(branch.constants) :]
        programs.append(replace(branch.program, inputs=(*inputs, *rest)))
    return tuple(programs), list(shared.values())


Runner = Callable[[Sequence[Any]], Sequence[Any]]
"""What computes a program: from its inputs to its outputs."""
_RUNNERS: WeakKeyDictionary[Program, Runner] = WeakKeyDictionary()


def runner(program: Program) -> Runner:
    """What computes a program on arrays, made once for many steps: no tape, no checks, a list of values."""
    known = _RUNNERS.get(program)
    if known is None:
        known = _RUNNERS[program] = _make_runner(program)
    return known


def _make_runner(program: Program) -> Runner:
    place: dict[Var, int] = {v: i for i, v in enumerate(program.variables())}
    values: list[Any] = [None] * len(place)

    def at(atom: Any) -> int:
        if isinstance(atom, Var):
            return place[atom]
        values.append(atom)
        return len(values) - 1

    steps = [
        (eq.primitive.run, [at(a) for a in eq.inputs], eq.params, [place[v] for v in eq.outputs])
        for eq in program.equations
    ]
    results, count = [at(a) for a in program.outputs], len(program.inputs)

    def run(inputs: Sequence[Any]) -> Sequence[Any]:
        env = values.copy()
        env[:count] = inputs
        for compute, read, params, write in steps:
            out = compute([env[i] for i in read], params)
            if len(write) == 1:
                env[write[0]] = out
            else:
                for i, value in zip(write, out, strict=True):
                    env[i] = value
        return [env[i] for i in results]

    return run


def dependents(program: Program, active: Sequence[bool], floating: bool = True) -> list[bool]:
    """Which outputs depend on the active inputs; with `floating`, through floating values alone, as derivatives do."""
    reached = {v for v, a in zip(program.inputs, active, strict=True) if a}
    for eq in program.equations:
        if any(isinstance(a, Var) and a in reached for a in eq.inputs):
            reached |= {v for v in eq.outputs if not floating or is_floating(v.dtype)}
    return [isinstance(a, Var) and a in reached for a in program.outputs]


def active_carries(
    program: Program, constants: Sequence[bool], start: Sequence[bool], rest: Sequence[bool], floating: bool = True
) -> list[bool]:
    """Which carries of a loop depend on the active operands in some step: the least set that steps keep."""
    carries = list(start)
    while True:
        after = dependents(program, [*constants, *carries, *rest], floating)
        new = [a or b for a, b in zip(carries, after, strict=False)]
        if new == carries:
            return carries
        carries = new


def split(values: Sequence[Any], *counts: int) -> Iterator[list[Any]]:
    """The values in groups of these sizes, and what is left."""
    start = 0
    for count in counts:
        yield list(values[start : start + count])
        start += count
    yield list(values[start:])


def select(values: Sequence[Any], flags: Sequence[bool]) -> list[Any]:
    """The values whose flag is set."""
    return [v for v, f in zip(values, flags, strict=True) if f]


def put_back(values: Sequence[Any], flags: Sequence[bool]) -> list[Any]:
    """Values put back where the flags are set, None elsewhere."""
    rest = iter(values)
    return [next(rest) if f else None for f in flags]


def as_outputs(out: Any) -> tuple[Any, ...]:
    """The outputs of an operation as a tuple, also where there is only one."""
    return out if type(out) is tuple else (out,)


def or_one(outputs: Sequence[Any]) -> Any:
    """What an operation returns: a tuple, or its only output."""
    return tuple(outputs) if len(outputs) != 1 else outputs[0]


def leaf_names(f: Callable[..., Any], arguments: Sequence[Tree]) -> list[str]:
    """A name for every leaf of the arguments of f: its parameter's, with the path to it where it is a tree."""
    try:
        declared = list(inspect.signature(f).parameters)
    except (TypeError, ValueError):
        declared = []
    declared += [""] * (len(arguments) - len(declared))
    return [own and own + path for own, tree in zip(declared, arguments, strict=False) for path in paths(tree)]
