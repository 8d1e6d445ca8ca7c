"""The executor of a program in which some operations have no native form: what stands around them stays native.

So it is within loops and branches: Python takes the turns of one that holds such an operation, and a step is computed
by turns natively and by NumPy, as the program around it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from clearprop.compiler.captures import Captures
from clearprop.compiler.control_programs import held_programs
from clearprop.compiler.native.native_executor import NativeExecutor
from clearprop.compiler.native.obstacles import obstacles
from clearprop.compiler.numpy_executor import NumpyExecutor
from clearprop.control.operation import TurnedOperation
from clearprop.program.ir import Equation, Program, Var, substitute


class MixedExecutor:
    """Runs a program in stages, by turns native and from NumPy source; `foreign` are the equations without native form.

    A stage is a program of its own.  It is given all inputs of the whole beside what it reads, since they tell the
    sizes.  Donated memory is not written.
    """

    def __init__(self, lowered: Program, name: str, captures: Captures, foreign: Collection[Equation]) -> None:
        self.program, self.hidden = lowered, list(captures.values)
        self.returned = {v for v in lowered.inputs if v in lowered.outputs}
        nothing = Captures(_part, ())
        self.stages: list[tuple[Any, Program]] = []
        for kind, equations in _stages(lowered, foreign):
            part = _part(lowered, equations)
            if kind == _NATIVE:
                self.stages.append((NativeExecutor(part, nothing, {}), part))
            elif kind == _NUMPY:
                self.stages.append((NumpyExecutor(part, name, nothing), part))
            else:
                self.stages.append((_Control(part, len(lowered.inputs), name), part))

    def bind(self, inputs: Sequence[Any]) -> Callable[..., Sequence[Any]]:
        """What computes the outputs: each stage is bound when what it reads is there."""
        return self._run

    def renew(self, hidden: Sequence[Any]) -> None:
        """Take these arrays for the captured ones from now on."""
        self.hidden = list(hidden)

    def _run(self, inputs: Sequence[Any], give: Callable[[], None] | None = None) -> Sequence[Any]:
        given = [*inputs, *self.hidden]
        env: dict[Var, Any] = {}
        for executor, part in self.stages:
            values = [*given, *(env[v] for v in part.inputs[len(given) :])]
            env.update(zip(part.outputs, executor.bind(values)(values), strict=True))
        if give is not None:
            give()
        copied = zip(self.program.inputs, given, strict=True)
        env.update((v, np.array(a)[()]) for v, a in copied if v in self.returned)  # memory of its own
        return [env[o] if isinstance(o, Var) else o for o in self.program.outputs]


class _Control:
    """One loop or branch, taken by Python; the programs that it holds are run like the program around them.

    Sizes in them are those of the program around, so they are given its inputs as well.
    """

    def __init__(self, part: Program, many: int, name: str) -> None:
        (self.equation,), self.part, self.many = part.equations, part, many
        operation = self.equation.primitive
        assert isinstance(operation, TurnedOperation)
        programs, self.turns = operation.programs(self.equation.params), operation.turns
        held = [_within(part.inputs[:many], program, part.scope) for program in programs]
        self.held = [MixedExecutor(p, name, Captures(_within, ()), obstacles(p)) for p in held]

    def bind(self, values: Sequence[Any]) -> Callable[..., Sequence[Any]]:
        """What computes the outputs."""
        return self._run

    def _run(self, values: Sequence[Any]) -> Sequence[Any]:
        around = zip(self.part.inputs[: self.many], values, strict=False)
        # what each turn is given is made plain once
        given = [a if np.ndim(a) == 0 else np.asarray(a, v.dtype, order="C") for v, a in around]
        env = dict(zip(self.part.inputs, [*given, *values[self.many :]], strict=True))
        operands = [env[a] if isinstance(a, Var) else a for a in self.equation.inputs]
        sizes = self.part.scope.bind(
            (dim, n) for v, a in env.items() for dim, n in zip(v.shape, np.shape(a), strict=True)
        )
        runs = [lambda values, e=e: e.bind(())([*given, *values]) for e in self.held]
        params = {k: substitute(v, sizes) for k, v in self.equation.params.items()}
        results = self.turns(runs, operands, params)
        own = [np.array(v)[()] if any(v is o for o in operands) else v for v in results]
        return [v for var, v in zip(self.equation.outputs, own, strict=True) if var in self.part.outputs]


def computes_natively(program: Program, foreign: Collection[Equation]) -> bool:
    """Whether some operation has a native form, in the program or in what its loops and branches hold."""
    return any(_holds_native(eq) if eq in foreign else _computes(eq) for eq in program.equations)


def _holds_native(eq: Equation) -> bool:
    return any(computes_natively(p, obstacles(p)) for p, _ in held_programs(eq))


def _computes(eq: Equation) -> bool:
    """Whether an equation does more than name what is there already in another way."""
    return not (eq.primitive.facts.view or eq.primitive.facts.source)


_NATIVE, _NUMPY, _CONTROL = "native", "numpy", "control"


def _stages(program: Program, foreign: Collection[Equation]) -> Iterator[tuple[str, list[Equation]]]:
    """The equations in as few turns as their order allows; each turn takes all of its kind that can be computed."""
    known, waiting, is_native = set(program.inputs), list(program.equations), True
    while waiting:
        taken: list[Equation] = []
        for eq in waiting:
            ready = all(a in known for a in eq.inputs if isinstance(a, Var))
            if ready and (eq in foreign) != is_native:
                taken.append(eq)
                known.update(eq.outputs)
        if is_native and taken:
            yield _NATIVE, taken
        elif taken:
            yield from _foreign_stages(taken)
        gone = set(taken)
        waiting = [eq for eq in waiting if eq not in gone]
        is_native = not is_native


def _foreign_stages(equations: Iterable[Equation]) -> Iterator[tuple[str, list[Equation]]]:
    """What has no native form, in order: loops and branches with something native in them stand by themselves."""
    for splits, group in itertools.groupby(equations, _holds_native):
        taken = list(group)
        yield from ((_CONTROL, [eq]) for eq in taken) if splits else [(_NUMPY, taken)]


def _within(around: Sequence[Var], held: Program, scope: Any) -> Program:
    """A program that is held, given the inputs of the program around it as well."""
    return Program((*around, *held.inputs), held.equations, held.outputs, (), scope)


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
