"""The programs that loops and branches hold, as native code runs them: what each returns, and what it may overwrite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from clearprop.program.ir import Equation, Program

HeldProgram = tuple[Program, Mapping[int, int]]
"""A program, and which of its outputs may take over the memory of which of its inputs."""


def held_programs(eq: Equation) -> Sequence[HeldProgram]:
    """The programs of an equation that runs programs; none of another."""
    control = eq.primitive.facts.control
    return _HELD[control](eq) if control in _HELD else ()


def _scan(eq: Equation) -> Sequence[HeldProgram]:
    """The step.  Carries that are kept are outputs like others: what was carried in, as it was before the step."""
    body, first, count = eq.params["body"], eq.params["constants"], eq.params["carries"]
    kept = body.inputs[first : first + count] if eq.params["keep"] else ()
    return [(replace(body, outputs=(*body.outputs, *kept)), {i: first + i for i in range(count)})]


def _switch(eq: Equation) -> Sequence[HeldProgram]:
    """The branches."""
    return [(branch, {}) for branch in eq.params["branches"]]


def _while(eq: Equation) -> Sequence[HeldProgram]:
    """The condition, and the step."""
    first = eq.params["constants"]
    condition, body = eq.params["condition"], eq.params["body"]
    return [(condition, {}), (body, {i: first + i for i in range(len(body.outputs))})]


_HELD: dict[str, Callable[[Equation], Sequence[HeldProgram]]] = {"scan": _scan, "switch": _switch, "while": _while}
"""How the programs of each kind of control are run; a kind that is not here has no native form."""
