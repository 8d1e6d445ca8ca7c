"""The executor of a program in which some operations have no native form: what stands around them stays native."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from clearprop.compiler.captures import Captures
from clearprop.compiler.native.native_executor import NativeExecutor
from clearprop.compiler.numpy_executor import NumpyExecutor
from clearprop.program.ir import Equation, Program, Var


class MixedExecutor:
    """Runs a program in stages, by turns native and from NumPy source; `foreign` are the equations without native form.

    A stage is a program of its own.  It is given all inputs of the whole beside what it reads, since they tell the
    sizes.  Donated memory is not written.
    """

    def __init__(self, lowered: Program, name: str, captures: Captures, foreign: Iterable[Equation]) -> None:
        self.program, self.hidden = lowered, list(captures.values)
        self.returned = {v for v in lowered.inputs if v in lowered.outputs}
        nothing = Captures(_part, ())
        self.stages: list[tuple[Any, tuple[Var, ...], tuple[Var, ...]]] = []
        for is_native, equations in _stages(lowered, set(foreign)):
            part = _part(lowered, equations)
            read = part.inputs[len(lowered.inputs) :]
            executor = NativeExecutor(part, nothing, {}) if is_native else NumpyExecutor(part, name, nothing)
            self.stages.append((executor, read, part.outputs))

    def bind(self, inputs: Sequence[Any]) -> Callable[..., Sequence[Any]]:
        """What computes the outputs: each stage is bound when what it reads is there."""
        return self._run

    def renew(self, hidden: Sequence[Any]) -> None:
        """Take these arrays for the captured ones from now on."""
        self.hidden = list(hidden)

    def _run(self, inputs: Sequence[Any], give: Callable[[], None] | None = None) -> Sequence[Any]:
        given = [*inputs, *self.hidden]
        env: dict[Var, Any] = {}
        for executor, read, made in self.stages:
            values = [*given, *(env[v] for v in read)]
            env.update(zip(made, executor.bind(values)(values), strict=True))
        if give is not None:
            give()
        copied = zip(self.program.inputs, given, strict=True)
        env.update((v, np.array(a)[()]) for v, a in copied if v in self.returned)  # memory of its own
        return [env[o] if isinstance(o, Var) else o for o in self.program.outputs]


def _stages(program: Program, foreign: set[Equation]) -> Iterator[tuple[bool, list[Equation]]]:
    """The equations in as few turns as their order allows; each turn takes all of its kind that can be computed."""
    known, waiting, is_native = set(program.inputs), list(program.equations), True
    while waiting:
        taken: list[Equation] = []
        for eq in waiting:
            ready = all(a in known for a in eq.inputs if isinstance(a, Var))
            if ready and (eq in foreign) != is_native:
                taken.append(eq)
                known.update(eq.outputs)
        if taken:
            yield is_native, taken
        gone = set(taken)
        waiting = [eq for eq in waiting if eq not in gone]
        is_native = not is_native


def _part(program: Program, equations: Sequence[Equation]) -> Program:
    """These equations as a program: it reads what others made, and returns what others read."""
    inside = set(equations)
    own = {*program.inputs, *_outputs_of(equations)}
    wanted = {*_variables_of(eq for eq in program.equations if eq not in inside), *program.outputs}
    return Program(
        (*program.inputs, *(v for v in _variables_of(equations) if v not in own)),
        tuple(equations),
        tuple(v for v in _outputs_of(equations) if v in wanted),
        (),
        program.scope,
    )


def _outputs_of(equations: Iterable[Equation]) -> Iterator[Var]:
    return (v for eq in equations for v in eq.outputs)


def _variables_of(equations: Iterable[Equation]) -> dict[Var, None]:
    """The variables that equations read, each once, in order."""
    return dict.fromkeys(a for eq in equations for a in eq.inputs if isinstance(a, Var))
