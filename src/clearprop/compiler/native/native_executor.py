"""The native executor of a compiled function: binds sizes, places arrays, drives the kernels once per call."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from clearprop.compiler.binding import SHARES, Binding
from clearprop.compiler.captures import Captures
from clearprop.compiler.executable import Executable, Instructions
from clearprop.compiler.memory_plan import make_plan
from clearprop.compiler.native.object_calls import Leaf, ObjectCall, is_number_there, reads_tensors
from clearprop.compiler.native.structural_kernels import SPECIAL
from clearprop.program.ir import Program, Var
from clearprop.program.types import DType, fit_number, promote, type_of
from clearprop.program.values import Node


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


class NativeExecutor:
    """Runs the plan of a lowered program; `donations` maps outputs to the inputs that they may overwrite."""

    def __init__(self, lowered: Program, captures: Captures, donations: Mapping[int, int]) -> None:
        self.plan = make_plan(lowered, donations, called=True)
        self.hidden = list(map(_plain, captures.values))
        self.bound: dict[Any, BoundCall] = {}

    def renew(self, hidden: Sequence[Any]) -> None:
        """Take these arrays for the captured ones from now on."""
        self.hidden = list(map(_plain, hidden))
        for bound in self.bound.values():
            bound.place_hidden(self.hidden)

    def bind(self, inputs: Sequence[Any]) -> BoundCall:
        """What computes the outputs for inputs of these sizes."""
        arrays = [*map(np.asarray, inputs), *self.hidden]
        sizes = tuple(a.shape for a in arrays)
        if sizes not in self.bound:
            self.bound[sizes] = BoundCall(self, arrays)
        return self.bound[sizes]


def _plain(value: Any) -> np.ndarray[Any, Any]:
    """The array in C order and the processor's byte order."""
    array = np.asarray(value, order="C")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _the_dtype(v: Var) -> DType:
    """The one object that arrays of this dtype share, so that it is known by its identity."""
    known: DType = np.dtype(v.dtype.type)
    return known


class BoundCall:
    """The plan for one set of sizes: called with the inputs, it computes the outputs."""

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
        self.fresh: list[tuple[Var, tuple[int, ...], Any, np.ndarray[Any, Any] | Maker]] = []
        # position among inputs and fresh arrays; whether it has axes; whether it is weak
        self.places: list[tuple[int, bool, bool]] = []
        for o in self.plan.outputs:
            buffer = self.plan.buffer(o)
            if buffer not in at:
                at[buffer] = len(self.inputs) + len(self.fresh)
                dtype = _the_dtype(o)
                shape = tuple(map(number, o.shape))
                source = RESULTS.maker(shape, dtype) if buffer in axes else np.empty((), dtype)
                self.fresh.append((buffer, shape, dtype, source))
            self.places.append((at[buffer], bool(o.shape), type_of(o).weak))

    def __call__(self, inputs: Sequence[Any], give: Callable[[], None] | None = None) -> list[Any]:
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
            RESULTS.forget(value)
            if sys.getrefcount(value) > _HOLDERS or not _is_own(value, dtype):
                arrays[i] = _copy(value, dtype)  # what others see never changes
        arrays += [source(shape, dtype) if callable(source) else source for _, shape, dtype, source in self.fresh]
        if give is not None:
            give()
        self.executable.call(arrays)
        return [arrays[i] if plain else _number_of(arrays[i], weak) for i, plain, weak in self.places]

    def from_objects(self, leaves: Sequence[tuple[Any, Any, bool]]) -> ObjectCall | None:
        """The same, begun natively, for calls with leaves like these; None where Python must see them.

        leaves  of each input what holds it (a tensor or itself), its value, and whether it is given away
        """
        if self.small or not reads_tensors():
            return None
        written = {i for i, _ in self.written}
        found = [self._leaf(i, *leaf, is_written=i in written) for i, leaf in enumerate(leaves)]
        known = [leaf for leaf in found if leaf is not None]
        call = self._object_call(known, written) if len(known) == len(found) else None
        return call if call is not None and call.drives(self.executable) else None

    def _object_call(self, leaves: Sequence[Leaf], written: Collection[int]) -> ObjectCall | None:
        many, kept, brought = len(self.inputs), dict[int, Any](), []
        for at, (_, shape, dtype, source) in enumerate(self.fresh, many):
            if callable(source):
                brought.append((at, shape, dtype, source))
            else:
                kept[at] = source
        if any(at not in (written if plain else kept) for at, plain, _ in self.places if at < many or not plain):
            return None
        results = [at if plain else -1 for at, plain, _ in self.places]
        numbers = [(k, kept[at], weak) for k, (at, plain, weak) in enumerate(self.places) if not plain]
        return ObjectCall(leaves, results, brought, kept, numbers)

    def _leaf(self, i: int, holder: Any, value: Any, is_given: bool, *, is_written: bool) -> Leaf | None:
        """What native code compares a leaf with; None where it cannot tell all that matters."""
        # one case for each kind of leaf; numbers of Python and NumPy may stand in tensors too
        in_tensor, dtype, kind = isinstance(holder, Node), _the_dtype(self.inputs[i]), type(value)
        if (in_tensor and type(holder) is not Node.tensor) or (is_written and not in_tensor):
            return None
        if kind is np.ndarray:
            alike = value.dtype is dtype and value.flags.c_contiguous and value.flags.aligned
            return Leaf(in_tensor, kind, dtype, value.shape, is_given, is_written) if alike else None
        if is_written or not (is_number_there(kind, dtype) or (kind in (int, bool) and not in_tensor)):
            return None
        return Leaf(in_tensor, kind, dtype, (), is_given)


def _is_own(value: Any, dtype: Any) -> bool:
    """Whether a value is an array that kernels may write, with memory of its own, which views of it would hold."""
    flags = value.flags if type(value) is np.ndarray and value.dtype is dtype else None
    return flags is not None and flags.c_contiguous and flags.owndata and flags.writeable


Maker: TypeAlias = Callable[[tuple[int, ...], Any], np.ndarray[Any, Any]]


class ResultMemory:
    """Arrays for results, large ones in memory that earlier results had, which nobody holds any more.

    The system gives memory back as zeros, page by page, which takes longer than to compute what comes to stand there.
    So some of the arrays that were returned are remembered, and are returned again once this is their only holder:
    tensors, views and everything else that reads an array holds it.
    """

    def __init__(self, least: int, most: int) -> None:
        self.least, self.most = least, most
        self.arrays: list[np.ndarray[Any, Any]] = []

    def maker(self, shape: tuple[int, ...], dtype: Any) -> Maker:
        """What makes arrays of this shape and dtype: `self.empty`, if they are large and not too large."""
        return self.empty if self.least <= math.prod(shape) * int(dtype.itemsize) <= self.most else np.empty

    def empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
        """An array whose content means nothing; nobody else holds it."""
        for array in self.arrays.copy():
            if array.shape == shape and array.dtype is dtype and self._is_free(array):
                return array
        new = np.empty(shape, dtype)
        self.arrays.append(new)
        while sum(a.nbytes for a in self.arrays) > self.most:
            del self.arrays[0]
        return new

    def forget(self, array: Any) -> None:
        """Hold it no more: it is given away, and its memory is another result's."""
        if self.arrays:
            self.arrays = [a for a in self.arrays if a is not array]

    def _is_free(self, array: np.ndarray[Any, Any]) -> bool:
        return sys.getrefcount(array) <= _REMEMBERED and array.flags.c_contiguous and _is_own(array, array.dtype)


def _count_remembered() -> int:
    """References to an array that is only remembered, counted as `empty` counts them."""
    counted: list[int] = []

    class Counted(ResultMemory):
        def _is_free(self, array: np.ndarray[Any, Any]) -> bool:
            counted.append(sys.getrefcount(array))
            return True

    memory = Counted(0, 8)
    memory.empty((1,), _BYTE)
    memory.empty((1,), _BYTE)
    return counted[0]


_BYTE = np.dtype(np.uint8)
_REMEMBERED = _count_remembered()
RESULTS = ResultMemory(1 << 17, 1 << 26)
"""From the size on at which the C library asks the system for memory, up to 64 MiB in all."""


def _count_holders() -> int:
    """References to an array that only a tensor holds, counted as `run` counts them."""
    tensor = Node.tensor(np.empty(1))
    leaves = [tensor.value]
    arrays = list(leaves)
    value = arrays[0]
    return sys.getrefcount(value)


_HOLDERS = _count_holders()


def _allocate(shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    return np.empty(shape, dtype)


def _copy(array: Any, dtype: Any) -> np.ndarray[Any, Any]:
    copy = _allocate(array.shape, dtype)
    copy[...] = array
    return copy


def _number_of(array: np.ndarray[Any, Any], weak: bool) -> Any:
    return array.item() if weak else array[()]
