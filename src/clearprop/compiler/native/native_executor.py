"""The native executor of a compiled function: binds sizes, places arrays, drives the kernels once per call."""

from __future__ import annotations

import functools
import re
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from clearprop.compiler.binding import SHARES, Binding
from clearprop.compiler.captures import Captures
from clearprop.compiler.control_programs import held_programs
from clearprop.compiler.executable import Executable, Instructions
from clearprop.compiler.memory_plan import make_plan
from clearprop.compiler.native.structural_kernels import SPECIAL
from clearprop.compiler.native.vocabulary import VOCABULARY
from clearprop.program.ir import Equation, Program, Var
from clearprop.program.operands import fit_number
from clearprop.program.operation import Operation
from clearprop.program.types import DType, promote, type_of
from clearprop.program.values import Node

_DTYPES = frozenset({"float32", "float64", "int64", "int32", "bool", "uint32", "uint8"})


def obstacles(program: Program) -> dict[Equation, str]:
    """The equations that have no native form, and why, in the order of the program."""
    return _obstacles(program, {*program.inputs})


def _obstacles(program: Program, checked: set[Var]) -> dict[Equation, str]:
    """`checked` are Python integers that were seen to fit."""
    checked |= {eq.outputs[0] for eq in program.equations if eq.primitive.facts.source == "size"}
    reasons = {eq: _obstacle(eq, checked) for eq in program.equations}
    return {eq: reason for eq, reason in reasons.items() if reason}


def obstacle(program: Program) -> str | None:
    """The first primitive that has no native form, as a sentence; None if there is none."""
    # In the order of the program, so that the reason named is the first that a reader of it meets.
    return next(iter(obstacles(program).values()), None) or _foreign_dtype([*program.inputs, *program.outputs]) or None


def missing_form(p: Operation) -> str:
    """Why kernels cannot compute a primitive, whatever it is given; empty where they can."""
    if p.kind != "elementwise":
        return "" if _is_known(p) else f"{p.name} has no native form"
    unknown = set(re.findall(r"([A-Za-z_][\w.]*)\(", p.numba)) - VOCABULARY
    return f"{p.name} is spelled with {sorted(unknown)[0]}, which kernels do not know" if unknown else ""


def _obstacle(eq: Equation, checked: set[Var]) -> str:
    p = eq.primitive
    if p.facts.control:
        return missing_form(p) or next(
            (r for held, _ in held_programs(eq) for r in _obstacles(held, set()).values()), ""
        )
    reason = _late_integer(eq, checked) or _unknown_sign(eq) if p.kind == "elementwise" else ""
    reason = reason or missing_form(p)
    if not reason and p.kind == "multilinear" and eq.outputs[0].dtype.kind != "f":
        return f"{p.name} of {eq.outputs[0].dtype.name} has no native form"
    return reason or _foreign_dtype([*eq.inputs, *eq.outputs])


def _foreign_dtype(atoms: Sequence[Any]) -> str:
    """A dtype that kernels do not know, as a sentence."""
    foreign = next((v.dtype.name for v in atoms if isinstance(v, Var) and v.dtype.name not in _DTYPES), None)
    return "" if foreign is None else f"{foreign} has no native form"


def _late_integer(eq: Equation, checked: set[Var]) -> str:
    """A Python integer that is computed beside small integers: whether it fits is known only while kernels run.

    Those of the arguments and sizes are `checked` before.
    """
    dtype, _ = promote([type_of(a) for a in eq.inputs[eq.primitive.conditions :]])
    late = any(isinstance(a, Var) and type_of(a).weak and a.dtype.kind == "i" and a not in checked for a in eq.inputs)
    if late and dtype.kind in "iu" and dtype.itemsize < 8 and eq.outputs[0].dtype.kind != "b":
        return f"{eq.primitive.name} of {dtype.name} and a computed Python integer has no native form"
    return ""


def _unknown_sign(eq: Equation) -> str:
    """An operand that must not be negative, of which only the data know: kernels refuse nothing."""
    for k in eq.primitive.facts.nonnegative:
        atom = eq.inputs[k]
        known = not isinstance(atom, Var) and atom >= 0
        if eq.outputs[0].dtype.kind == "i" and type_of(atom).dtype.kind == "i" and not known:
            return f"{eq.primitive.name} of integers, where an exponent may be negative, has no native form"
    return ""


def _small_integers(program: Program) -> list[tuple[int, str, DType]]:
    """Python integers among the inputs that meet a small integer dtype: which, in what operation, and the dtype."""
    found = []
    for eq in program.equations:
        if eq.primitive.kind == "elementwise" and eq.outputs[0].dtype.kind != "b":
            dtype, _ = promote([type_of(a) for a in eq.inputs[eq.primitive.conditions :]])
            late = [a for a in eq.inputs if isinstance(a, Var) and type_of(a).weak and a in program.inputs]
            if dtype.kind in "iu" and dtype.itemsize < 8:
                found += [(program.inputs.index(a), eq.primitive.name, dtype) for a in late]
    return found


def _is_known(p: Operation) -> bool:
    """Whether a nest, a matrix product or a kernel of its own computes it, or nothing need be computed at all."""
    f = p.facts
    return bool(f.view or f.source or f.reduction or f.product) or (f.control or p.numba) in SPECIAL


class NativeExecutor:
    """Runs the plan of a lowered program; `donations` maps outputs to the inputs that they may overwrite."""

    def __init__(self, lowered: Program, captures: Captures, donations: Mapping[int, int]) -> None:
        self.plan = make_plan(lowered, donations)
        self.hidden = list(map(_plain, captures.values))
        self.bound: dict[Any, _BoundCall] = {}

    def renew(self, hidden: Sequence[Any]) -> None:
        """Take these arrays for the captured ones from now on."""
        self.hidden = list(map(_plain, hidden))
        for bound in self.bound.values():
            bound.place_hidden(self.hidden)

    def bind(self, inputs: Sequence[Any]) -> Callable[..., list[Any]]:
        """What computes the outputs for inputs of these sizes."""
        arrays = [*map(np.asarray, inputs), *self.hidden]
        sizes = tuple(a.shape for a in arrays)
        if sizes not in self.bound:
            self.bound[sizes] = _BoundCall(self, arrays)
        return self.bound[sizes].run


def _plain(value: Any) -> np.ndarray[Any, Any]:
    """The array in C order and the processor's byte order."""
    array = np.asarray(value, order="C")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _the_dtype(v: Var) -> DType:
    """The one object that arrays of this dtype share, so that it is known by its identity."""
    known: DType = np.dtype(v.dtype.type)
    return known


class _BoundCall:
    """The plan for one set of sizes."""

    def __init__(self, executor: NativeExecutor, arrays: Sequence[np.ndarray[Any, Any]]) -> None:
        plan = self.plan = executor.plan
        self.hidden: Sequence[np.ndarray[Any, Any]] = executor.hidden
        env = plan.program.scope.bind(
            (dim, n)
            for var, a in zip(plan.program.inputs, arrays, strict=True)
            for dim, n in zip(var.shape, a.shape, strict=True)
        )
        binding = Binding(plan, env, 1, SPECIAL)
        if binding.needs_two_threads(awake=False):
            binding = Binding(plan, env, SHARES, SPECIAL)
        self.executable = Executable(Instructions(binding))
        number = self.executable.binding.number
        self.inputs = plan.program.inputs[: len(plan.program.inputs) - len(self.hidden)]
        given = set(plan.buffers.values())
        self.read = [(i, _the_dtype(v)) for i, v in enumerate(self.inputs) if v not in given]
        self.written = [(i, _the_dtype(v)) for i, v in enumerate(self.inputs) if v in given]
        self.small = _small_integers(plan.program)
        self.place_hidden(executor.hidden)
        self._describe_outputs(number)
        self.executable.prepare_calls([*self.inputs, *(v for v, *_ in self.fresh)])

    def place_hidden(self, hidden: Sequence[np.ndarray[Any, Any]]) -> None:
        """Tell the kernels where the captured arrays are."""
        self.hidden = hidden
        for var, array in zip(self.plan.program.inputs[len(self.inputs) :], hidden, strict=True):
            self.executable.place(var, array.ctypes.data)

    def _describe_outputs(self, number: Callable[[Any], int]) -> None:
        """Outputs in memory of their own, and where each output is found: a donated input or a fresh array."""
        at = {v: i for i, v in enumerate(self.inputs)}
        # an output that is a number in every place where it stands is computed in the same memory in every call
        axes = {self.plan.buffer(o) for o in self.plan.outputs if o.shape}
        self.fresh: list[tuple[Var, tuple[int, ...], Any, np.ndarray[Any, Any] | None]] = []
        # position among inputs and fresh arrays; whether it has axes; whether it is weak
        self.places: list[tuple[int, bool, bool]] = []
        for o in self.plan.outputs:
            buffer = self.plan.buffer(o)
            if buffer not in at:
                at[buffer] = len(self.inputs) + len(self.fresh)
                dtype = _the_dtype(o)
                scalar = None if buffer in axes else np.empty((), dtype)
                self.fresh.append((buffer, tuple(map(number, o.shape)), dtype, scalar))
            self.places.append((at[buffer], bool(o.shape), type_of(o).weak))

    def run(self, inputs: Sequence[Any], give: Callable[[], None] | None = None) -> list[Any]:
        """One call; `give` is called before memory that was given away is written."""
        for i, name, small in self.small:
            fit_number(name, inputs[i], small, compares=False)
        arrays = list(inputs)
        for i, dtype in self.read:
            value = arrays[i]
            if type(value) is not np.ndarray or value.dtype is not dtype or not value.flags.c_contiguous:
                arrays[i] = np.asarray(value, dtype, order="C")
        for i, dtype in self.written:
            value = arrays[i]
            known = _OWNED.get(id(value))
            if known is None or known() is not value or sys.getrefcount(value) > _HOLDERS:
                arrays[i] = _copy(value, dtype)  # what others see never changes
        arrays += [scalar if scalar is not None else _allocate(shape, dtype) for _, shape, dtype, scalar in self.fresh]
        if give is not None:
            give()
        self.executable.call(arrays)
        return [arrays[i] if plain else _number_of(arrays[i], weak) for i, plain, weak in self.places]


_OWNED: dict[int, weakref.ref[np.ndarray[Any, Any]]] = {}
"""Arrays that compiled calls allocated, by their identity: only these are ever written in place."""


def _count_holders() -> int:
    """References to an array that only a tensor holds, counted as `run` counts them."""
    tensor = Node.tensor(np.empty(1))
    leaves = [tensor.value]
    arrays = list(leaves)
    value = arrays[0]
    return sys.getrefcount(value)


_HOLDERS = _count_holders()


def _allocate(shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    out = np.empty(shape, dtype)
    key = id(out)
    _OWNED[key] = weakref.ref(
        out, functools.partial(_OWNED.pop, key)
    )  # the reference itself is what pop gives by default
    return out


def _copy(array: Any, dtype: Any) -> np.ndarray[Any, Any]:
    copy = _allocate(array.shape, dtype)
    copy[...] = array
    return copy


def _number_of(array: np.ndarray[Any, Any], weak: bool) -> Any:
    return array.item() if weak else array[()]
