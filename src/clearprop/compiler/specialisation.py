"""Specialisations: the program of a compiled function for one kind of argument, with its executor."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from clearprop.autodiff.trees import flatten, is_array, unflatten
from clearprop.compiler.arguments import Arguments, function_name
from clearprop.compiler.captures import Captures, surrounding_arrays
from clearprop.compiler.executor_choice import choose_executor, warn_of_assignments
from clearprop.compiler.fixed_values import FixedValues
from clearprop.compiler.lowering import lower
from clearprop.compiler.numba_source import numba_source
from clearprop.compiler.numpy_source import NumpySource
from clearprop.compiler.refusals import require_elements
from clearprop.compiler.surroundings import variables_around
from clearprop.errors import unknown_name, user_line
from clearprop.program.ir import Program, Var, trace
from clearprop.program.outside_draws import AT_EVERY_CALL, without_draws
from clearprop.program.types import PYTHON_SCALARS, Type, type_of
from clearprop.program.values import raw
from clearprop.shapes import Scope, Size, dim_key


class Specialisation:
    """A program for one kind of argument: traced, lowered, planned; and bound to sizes as they come."""

    def __init__(self, function: Callable[..., Any], call: Arguments, executor: str | None) -> None:
        self.scope = Scope()
        name = function_name(function)
        self.name = name if name.isidentifier() else "step"
        self.arrays = [is_array(v) for v in call.leaves]
        self.all_in = all(self.arrays)
        self.types = [self._type(v) for v in self.inputs(call.leaves)]
        variables = variables_around(function)
        around, before = surrounding_arrays(variables), FixedValues(variables)
        self._trace(function, call, around)
        warn_of_assignments(self.name, before.assigned())
        self.all_out = all(self.out_mask)
        self.lowered = lower(self.program, around)
        self.donations = self._match(call.donated())
        self.captures = Captures(function, self.lowered.captured, variables, before)
        self.executor = choose_executor(self.lowered, self.name, self.captures, self.donations, executor)

    def bind(self, leaves: Sequence[Any]) -> Callable[..., Sequence[Any]]:
        """What computes the outputs for arrays of these sizes, if they are ones for which there are outputs.

        It is called with the inputs, and with what to do before donated memory is written.
        """
        require_elements(self.lowered, self.environment(leaves))
        return self.executor.bind(self.inputs(leaves))

    def stale(self) -> bool:
        """Whether what is around the function is of another kind now; new arrays of the same kind are taken over."""
        if not self.captures.are_watched:
            return False
        renewed = self.captures.renew()
        if renewed:
            self.executor.renew(self.captures.values)
        return renewed is None

    def inputs(self, leaves: Sequence[Any]) -> Sequence[Any]:
        """The leaves that are arrays or numbers."""
        return leaves if self.all_in else [v for v, a in zip(leaves, self.arrays, strict=True) if a]

    def _type(self, value: Any) -> Type:
        t = type_of(value)
        if t.weak:
            return Type((), t.dtype, weak=True)
        return Type(tuple(1 if n == 1 else self.scope.new(n) for n in t.shape), t.dtype.newbyteorder("="))

    def _trace(self, function: Callable[..., Any], call: Arguments, around: frozenset[int]) -> None:
        names = call.names()
        out: list[Any] = []

        def flat_f(*xs: Any) -> Sequence[Any]:
            given = iter(xs)
            leaves = [next(given) if a else v for v, a in zip(call.leaves, self.arrays, strict=True)]
            result = call.call(unflatten(call.structure, leaves))
            flat, structure = flatten(result)
            flat = [Size.as_value(v) if isinstance(v, Size) else v for v in flat]
            out.append((structure, [_is_computed(v) for v in flat], flat, result))
            return [v for v in flat if _is_computed(v)]

        made = functools.partial(trace, flat_f, self.types, names, self.scope, around=around)
        self.program = without_draws(made, self.name, AT_EVERY_CALL, function, seldom=True)
        self.out_structure, self.out_mask, self.out_flat, result = out[0]
        _name_results(self.program, call, result)

    def _match(self, donated: Sequence[bool]) -> dict[int, int]:
        """Which output may take over which donated input: equal types, in order."""
        free = [i for i, d in enumerate(d for d, a in zip(donated, self.arrays, strict=True) if a) if d]
        out: dict[int, int] = {}
        for position, atom in enumerate(self.lowered.outputs):
            if not isinstance(atom, Var):
                continue
            for i in free:
                if self.lowered.inputs[i].type.key() == atom.type.key() and atom.type.shape:
                    out[position] = i
                    free.remove(i)
                    break
        return out

    def environment(self, leaves: Sequence[Any]) -> Any:
        """Numbers for the symbolic sizes."""
        return self.scope.bind(
            (dim, n)
            for t, v in zip(self.types, self.inputs(leaves), strict=True)
            for dim, n in zip(t.shape, () if type(v) in PYTHON_SCALARS else v.shape, strict=True)
        )

    def source(self, target: str) -> str:
        """Generated source of this program."""
        if target == "numpy":
            return NumpySource(self.lowered, self.name).text()
        if target == "numba":
            return numba_source(self.lowered, self.donations, self.name)
        raise unknown_name("source", target, ("numpy", "numba"), user_line())

    def describe(self) -> str:
        """What this program is special to."""
        known = {dim_key(a) for kind, a, b, seen in self.scope.guards if kind == "==" and seen and isinstance(b, int)}
        telling = [g for g in self.scope.guards if dim_key(g[1]) not in known or (g[0] == "==" and g[3])]
        guards = dict.fromkeys(f"{a} {kind} {b} is {seen}" for kind, a, b, seen in telling)
        kinds = ", ".join(map(str, self.types))
        return f"{self.name}({kinds})" + (f" where {'; '.join(guards)}" if guards else "")


def _is_computed(value: Any) -> bool:
    """Whether a result comes from the program; a Python number is the same in every call."""
    return is_array(value) and type(value) not in PYTHON_SCALARS


def _name_results(program: Program, call: Arguments, result: Any) -> None:
    """The new form of an argument is called after it: of a tree of its structure, or of one that was donated."""
    given: dict[Any, list[str]] = {}
    for i, a in call.dynamic():
        leaves, structure = flatten(a)
        if len(leaves) > 1 or call.is_donated(i):
            given.setdefault(structure, call.leaf_names(i, a))
    inputs = set(program.inputs)
    for part in result if isinstance(result, (tuple, list)) else [result]:
        leaves, structure = flatten(part)
        for leaf, name in zip(leaves, given.pop(structure, ()), strict=False):
            var = raw(leaf)
            if isinstance(var, Var) and var not in inputs and not var.name:
                var.name = f"new_{name}"
