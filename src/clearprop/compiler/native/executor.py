"""The native executor of a compiled function: binds sizes, places arrays, drives the kernels once per call."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.compiler.access import VIEWS
from clearprop.compiler.api import _OWNED, Specialisation
from clearprop.compiler.bind import Binding
from clearprop.compiler.executable import Executable
from clearprop.compiler.native.structural import SPECIAL
from clearprop.compiler.native.vocabulary import VOCABULARY
from clearprop.compiler.operations import REDUCTIONS
from clearprop.compiler.plan import make_plan
from clearprop.program.ir import Program, Var
from clearprop.program.types import type_of
from clearprop.program.values import raw

_FREE = frozenset({"full", "arange", "size", "matmul"}) | VIEWS | REDUCTIONS


def obstacle(program: Program) -> str | None:
    """The first primitive that has no native form, as a sentence; None if there is none."""
    for eq in program.equations:
        p = eq.primitive
        if p.kind == "elementwise":
            foreign = set(re.findall(r"([A-Za-z_][\w.]*)\(", p.numba)) - VOCABULARY
            if foreign:
                return f"{p.name} is spelled with {sorted(foreign)[0]}, which kernels do not know"
        elif p.name not in _FREE and p.name not in SPECIAL:
            return f"{p.name} has no native form"
        if any(
            v.type.dtype.name not in ("float32", "float64", "int64", "int32", "bool", "uint32", "uint8")
            for v in eq.outputs
        ):
            return f"{eq.outputs[0].type.dtype.name} has no native form"
    return None


class NativeExecutor:
    """Runs the plan of a specialisation."""

    def __init__(self, s: Specialisation) -> None:
        self.s = s
        self.plan = make_plan(s.lowered, s.donations)
        self.hidden = [np.asarray(raw(c), order="C") for c in s.lowered.captured]
        self.bound: dict[Any, _Bound] = {}

    def __call__(self, inputs: Sequence[Any]) -> list[Any]:
        """The outputs for these inputs."""
        arrays = [np.asarray(v, var.dtype, order="C") for v, var in zip(inputs, self.plan.program.inputs, strict=False)]
        sizes = tuple(a.shape for a in arrays)
        if sizes not in self.bound:
            self.bound[sizes] = _Bound(self, [*arrays, *self.hidden])
        return self.bound[sizes].run([*arrays, *self.hidden])


class _Bound:
    """The plan for one set of sizes."""

    def __init__(self, executor: NativeExecutor, arrays: Sequence[np.ndarray[Any, Any]]) -> None:
        self.plan = executor.plan
        self.env = executor.s.scope.bind(
            (dim, n)
            for var, a in zip(self.plan.program.inputs, arrays, strict=True)
            for dim, n in zip(var.shape, a.shape, strict=True)
        )
        self.executable = Executable(Binding(self.plan, self.env, 1))
        self.donated = {self.plan.program.inputs[i] for i in executor.s.donations.values()}
        number = self.executable.binding.number
        self.shapes = [tuple(map(number, o.shape)) if isinstance(o, Var) else () for o in self.plan.outputs]

    def run(self, arrays: Sequence[np.ndarray[Any, Any]]) -> list[Any]:
        x, plan = self.executable, self.plan
        held: dict[Var, np.ndarray[Any, Any]] = {}
        for var, array in zip(plan.program.inputs, arrays, strict=True):
            if var in self.donated:
                array = _own(array)
            held[var] = array
            x.place(var, array.ctypes.data)
        results = []
        for o, shape in zip(plan.outputs, self.shapes, strict=True):
            buffer = plan.buffer(o)
            if buffer not in held:
                held[buffer] = _allocate(shape, o.dtype)
                x.place(buffer, held[buffer].ctypes.data)
            results.append(held[buffer])
        x.run(0, 1)
        return [_finished(r, o) for r, o in zip(results, plan.outputs, strict=True)]


def _allocate(shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    out = np.empty(shape, dtype)
    _OWNED[id(out)] = out
    return out


def _own(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The array if a compiled call made it, else a copy: nobody else's memory is ever written."""
    if _OWNED.get(id(array)) is array:
        return array
    copy = _allocate(array.shape, array.dtype)
    copy[...] = array
    return copy


def _finished(array: np.ndarray[Any, Any], out: Any) -> Any:
    if array.ndim:
        return array
    return array.item() if type_of(out).weak else array[()]
