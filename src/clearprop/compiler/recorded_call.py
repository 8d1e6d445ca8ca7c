"""A compiled function as one operation on the tape: where a gradient flows through the call, both ways run compiled.

The operation holds the function's program, traced once for arguments of a kind, and applies itself to programs that are
made of it: so tangents and cotangents are compiled calls again, to any order.  Nothing of what the function computes is
kept; its derivative computes it once more.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from clearprop.autodiff.directions import without_node
from clearprop.autodiff.transforms import jvp, vjp
from clearprop.autodiff.trees import flatten, is_array, unflatten
from clearprop.compiler.arguments import Arguments
from clearprop.compiler.captures import Captures, surrounding_arrays
from clearprop.compiler.executor_choice import choose_executor, warn_of_assignments
from clearprop.compiler.fixed_values import FixedValues
from clearprop.compiler.lowering import lower
from clearprop.compiler.surroundings import variables_around
from clearprop.control.operation import as_list, as_tensors, select_active, types_of
from clearprop.control.remat_operation import Remat
from clearprop.control.subprograms import as_outputs, dependents, derive, or_one, put_back, runner, select
from clearprop.program.ir import Program, trace
from clearprop.program.outside_draws import AT_EVERY_CALL, without_draws
from clearprop.program.processes import holds, process_lock
from clearprop.program.types import PYTHON_SCALARS, Params, type_of


class CompiledCall(Remat):
    """The class of the one operation `compiled_call_`; in a program it is written out."""

    def compute(self, *operands: Any, **params: Any) -> Any:
        """The program on arrays, compiled."""
        program = params["program"]
        if any(np.asarray(v).dtype != p.dtype for v, p in zip(operands, program.inputs, strict=True)):
            return super().compute(*operands, program=program)  # a complex step
        run = _RUNS.get(program)
        if run is None:
            run = _RUNS[program] = _CompiledRun(program, params["name"], params["executor"])
        return or_one(run(operands))

    def pushforward(self, dots: Sequence[Any], y: Any, xs: Sequence[Any], params: Params) -> Any:
        """The tangents of the outputs, by a program of primals and tangents."""
        program, active = params["program"], [d is not None for d in dots]
        after = dependents(program, active)

        def tangent(*values: Any) -> list[Any]:
            primals, own = values[: len(xs)], list(values[len(xs) :])
            _, found = jvp(select_active(program, primals, active, after), select(primals, active), own)
            return list(map(without_node, found))

        found = _apply(("tangent", *active), tangent, [*xs, *select(dots, active)], params)
        return or_one(put_back(found, after))

    def pull_together(
        self, wanted: Sequence[int], g: Any, y: Any, xs: Sequence[Any], params: Params
    ) -> Mapping[int, Any]:
        """The cotangents of the wanted operands, by a program of primals and cotangents."""
        program, active = params["program"], [k in wanted for k in range(len(xs))]
        bars = as_list(g)
        seeds = [a and c is not None for a, c in zip(dependents(program, active), bars, strict=True)]

        def cotangent(*values: Any) -> list[Any]:
            primals, own = values[: len(xs)], list(values[len(xs) :])
            _, pull = vjp(select_active(program, primals, active, seeds), *select(primals, active))
            return list(map(without_node, pull(own)))

        found = _apply(("cotangent", *active, *seeds), cotangent, [*xs, *select(bars, seeds)], params)
        return dict(zip([k for k in range(len(xs)) if active[k]], found, strict=True))


@CompiledCall
def compiled_call_(*operands: Any, program: Program, name: str, executor: str | None) -> Any:
    """What a compiled function computes.

    operands  the arrays among its arguments, and those that it reads from around it
    program   the function as a program
    name      what it is called
    executor  what shall run it, as `cl.compile` takes it
    """


def _apply(key: Any, f: Callable[..., list[Any]], operands: Sequence[Any], params: Params) -> list[Any]:
    """The compiled call of a program that is made of another."""
    made = derive(params["program"], key, f, types_of(operands))
    return list(as_outputs(compiled_call_(*made.constants, *operands, **{**params, "program": made.program})))


class _CompiledRun:
    """A program without captured arrays and its executor, ready to run on arrays."""

    def __init__(self, program: Program, name: str, executor: str | None) -> None:
        self.again = runner(program)
        lowered = lower(program)
        self.executor = choose_executor(lowered, name, Captures(runner, ()), {}, executor)
        self.lock = process_lock()

    def __call__(self, operands: Sequence[Any]) -> Sequence[Any]:
        if holds(self.lock):  # a handler of a signal came in the middle of a call: its memory is in use
            return self.again(operands)
        with self.lock:
            return self.executor.bind(operands)(operands, None)


_RUNS: WeakKeyDictionary[Program, _CompiledRun] = WeakKeyDictionary()


class RecordedFunction:
    """A compiled function for one kind of arguments, as calls through which gradients flow apply it."""

    def __init__(self, function: Callable[..., Any], name: str, call: Arguments, executor: str | None) -> None:
        self.name, self.executor = name if name.isidentifier() else "step", executor
        self.key = call.key
        self.arrays = [is_array(v) for v in call.leaves]
        self._trace(function, call)

    def _trace(self, function: Callable[..., Any], call: Arguments) -> None:
        def flat(*xs: Any) -> list[Any]:
            given = put_back(xs, self.arrays)
            leaves = [v if a else own for v, a, own in zip(given, self.arrays, call.leaves, strict=True)]
            self.outputs, self.structure = flatten(call.call(unflatten(call.structure, leaves)))
            self.computed = [is_array(v) and type(v) not in PYTHON_SCALARS for v in self.outputs]
            return select(self.outputs, self.computed)

        types = [type_of(v) for v in select(call.leaves, self.arrays)]
        variables = variables_around(function)
        before = FixedValues(variables)
        around = surrounding_arrays(variables)
        made = functools.partial(trace, flat, types, call.names(), differentiated=True, around=around)
        program = without_draws(made, self.name, AT_EVERY_CALL, function, seldom=True)
        warn_of_assignments(self.name, before.assigned())
        self.program = replace(program, captured=())
        self.captures = Captures(function, program.captured, variables, before)

    def fits(self) -> bool:
        """Whether what is around the function is of the kind that it was; new arrays are taken over."""
        return self.captures.renew() is not None

    def __call__(self, call: Arguments) -> Any:
        """The results, which remember how they came about."""
        operands = [*select(call.tensors, self.arrays), *self.captures.held]
        results: Sequence[Any] = ()
        if self.program.outputs:
            given = {"program": self.program, "name": self.name, "executor": self.executor}
            results = as_tensors(as_outputs(compiled_call_(*operands, **given)))
        rest = iter(results)
        return unflatten(
            self.structure, [next(rest) if c else o for c, o in zip(self.computed, self.outputs, strict=True)]
        )
