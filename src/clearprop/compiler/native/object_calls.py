"""Calls that begin at Python's objects: one native function looks at the arguments, and makes what will be returned.

To ask an array for its shape, dtype, flags and address takes Python longer than a small step takes altogether.  All of
it stands in the object, so a compiled call reads it there, under the interpreter's lock.  First it compares everything
with what the program is made for, and changes nothing if anything differs.  Then it notes where the arrays are, fills a
tensor for each result, marks the tensors that were given away, and takes hold of the arrays until the step is over:
another thread may give them away meanwhile.

Where objects are laid out otherwise than is known here, which is tried when the module is loaded, Python does all this.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from clearprop.compiler.executable import Executable
from clearprop.compiler.native.cache import kernel_address
from clearprop.compiler.native.instruction_driver import DATA, ITEMS, READS_OBJECTS
from clearprop.program.types import DType
from clearprop.program.values import Node

BEGIN = '''"""Generated; do not edit."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from clearprop.compiler.native.kernel_imports import *

_WORD = ir.IntType(64)


@intrinsic
def ask(typing, function, a, b):
    """Call a function of Python's interface at an address; the address that it returns."""

    def generate(context, builder, signature, args):
        ft = ir.FunctionType(_WORD, [_WORD] * 2)
        return builder.call(builder.inttoptr(args[0], ft.as_pointer()), list(args[1:]))

    return types.int64(types.uint64, types.uint64, types.uint64), generate


@entry("u64", "word", "word", "i64", "i64", "i64", "i64", "u64", "u64", "u64", "i64", shared=True)
def kernel(row, count, many, leaves, sizes, results, later, slots, python, found, cells):
    row[u64(1)] = u64(1)
    first = row[u64(0)]
    rest = first + u64(8) * count
    fresh = 0
    while later[fresh] >= 0:
        fresh += 1
    made = u64(atomic_load(u64(atomic_load(rest + u64(8 * fresh))) + u64(24)))
    # tensors first: to make them may run the collector of cycles, and what it runs may change anything
    for k in range(i64(many)):
        new = ask(python[u64(6)], python[u64(7)], u64(0))
        if new == 0:
            return
        ask(python[u64(5)], u64(atomic_load(made + u64(8 * k))), u64(0))
        atomic_store(made + u64(8 * k), new)
    written = False
    for k in range(i64(count)):
        at = u64(7 * k)
        held = u64(atomic_load(first + u64(8 * k)))
        if leaves[at] != 0:
            if atomic_load(held + u64(8)) != leaves[at]:
                return
            if u64(atomic_load(held + slots[u64(1)])) != python[u64(0)]:
                return
            if u64(atomic_load(held + slots[u64(2)])) != python[u64(1)]:
                return
            held = u64(atomic_load(held + slots[u64(0)]))
            if held == u64(0):
                return
        if atomic_load(held + u64(8)) != leaves[at + u64(1)]:
            return
        found[k] = held
        if leaves[at + u64(2)] == 0:
            continue
        if atomic_load(held + u64(56)) != leaves[at + u64(2)]:
            return
        if atomic_load(held + u64(24)) & 0xFFFFFFFF != leaves[at + u64(3)]:
            return
        if atomic_load(held + u64(64)) & leaves[at + u64(5)] != leaves[at + u64(5)]:
            return
        lengths = u64(atomic_load(held + u64(32)))
        for axis in range(leaves[at + u64(3)]):
            if atomic_load(lengths + u64(8 * axis)) != sizes[u64(leaves[at + u64(4)] + axis)]:
                return
        written = written or leaves[at + u64(6)] == 2
    if written:  # what is written has one holder, and stands here once
        sole = True
        for k in range(i64(count)):
            if leaves[u64(7 * k + 2)] != 0:
                atomic_store(found[k], atomic_load(found[k]) + 1)
        for k in range(i64(count)):
            if leaves[u64(7 * k + 6)] == 2 and atomic_load(found[k]) != 2:
                sole = False
        for k in range(i64(count)):
            if leaves[u64(7 * k + 2)] != 0:
                atomic_store(found[k], atomic_load(found[k]) - 1)
        if not sole:
            return
    for k in range(fresh):
        found[u64(later[k])] = u64(atomic_load(rest + u64(8 * k)))
    for k in range(i64(many)):
        new = atomic_load(made + u64(8 * k))
        value = python[u64(0)] if results[k] < 0 else found[u64(results[k])]
        ask(python[u64(4)], value, u64(0))
        atomic_store(u64(new) + slots[u64(0)], i64(value))
        for slot in range(1, 6):
            default = python[slots[u64(5 + slot)]]
            ask(python[u64(4)], default, u64(0))
            atomic_store(u64(new) + slots[u64(slot)], i64(default))
    kept = u64(atomic_load(u64(atomic_load(rest + u64(8 * fresh + 8))) + u64(24)))
    gone = u64(atomic_load(rest + u64(8 * fresh + 16)))
    for k in range(i64(count)):
        held = found[k]
        nothing = u64(atomic_load(kept + u64(8 * k)))
        ask(python[u64(4)], held, u64(0))
        atomic_store(kept + u64(8 * k), i64(held))
        ask(python[u64(5)], nothing, u64(0))
        if leaves[u64(7 * k + 2)] == 0:  # a number: its bits stand in the object itself
            cells[k] = i64(held) + 16
            found[k] = address(cells) + u64(8 * k) - u64(16)
    for k in range(i64(count)):
        if leaves[u64(7 * k + 6)] != 0:
            place = u64(atomic_load(first + u64(8 * k))) + slots[u64(0)]
            old = u64(atomic_load(place))
            ask(python[u64(4)], gone, u64(0))
            atomic_store(place, i64(gone))
            ask(python[u64(5)], old, u64(0))
    row[u64(1)] = u64(0)
'''
"""Whether a call is of the kind that `leaves` describe; if so, what it changes is changed, and `row[1]` is 0.

`row[0]` says where the items of a tuple stand: the leaves of the call, the arrays for results, a list for the tensors
of the results, one for what the leaves hold, and what a tensor holds from now on that was given away.  `found` is what
the driver reads addresses from."""

_LEAF, _FIELDS = 7, ("value", "application", "requires_grad", "position", "name", "grad")
_CONTIGUOUS, _OWNS, _ALIGNED, _WRITEABLE = 0x1, 0x4, 0x100, 0x400  # NumPy's flags
_BEGINNINGS: tuple[Any, ...] = (None, False, 0, "")  # what a new tensor holds beside its value
_DEFAULTS = (0, 1, 2, 3, 0)  # which of them, for each field behind the first


class Leaf(NamedTuple):
    """What a leaf of a call must be: an array, or a number of this class, perhaps held by a tensor.

    `is_given` says that its tensor is marked, `is_written` that its memory is a result's.
    """

    in_tensor: bool
    kind: type
    dtype: DType
    shape: tuple[int, ...]
    is_given: bool = False
    is_written: bool = False

    @property
    def is_converted(self) -> bool:
        """Whether Python makes an array of the number before: an integer of Python has no fixed form."""
        return self.kind in (int, bool)

    def words(self, begin: int) -> list[int]:
        """As the native function reads it; the sizes stand from `begin` on."""
        flags = _CONTIGUOUS | _ALIGNED | (_OWNS | _WRITEABLE if self.is_written else 0)
        kind = np.ndarray if self.is_converted else self.kind
        about = [id(self.dtype), len(self.shape), begin, flags] if kind is np.ndarray else [0, 0, 0, 0]
        holder = id(Node.tensor) if self.in_tensor else 0
        return [holder, id(kind), *about, 2 if self.is_written else int(self.is_given)]


class ObjectCall:
    """Calls of one kind.

    leaves   what each leaf must be
    results  of each result which leaf or array holds it, −1 for a number that is made later
    brought  position, shape and dtype of the arrays that every call brings for its results, and what makes them
    kept     the arrays that are the same in all calls, by position; positions go on behind those of the leaves
    numbers  of each number that is made later which result it is, the array it stands in, and whether it is Python's
    """

    items = ITEMS  # where in a tuple its items stand

    def __init__(
        self,
        leaves: Sequence[Leaf],
        results: Sequence[int],
        brought: Sequence[tuple[int, tuple[int, ...], DType, Callable[..., Any]]],
        kept: Mapping[int, Any],
        numbers: Sequence[tuple[int, Any, bool]],
    ) -> None:
        self.leaves, self.results, self.brought, self.numbers = leaves, len(results), brought, numbers
        sizes = [n for leaf in leaves for n in leaf.shape]
        begins = itertools.accumulate((len(leaf.shape) for leaf in leaves), initial=0)
        words = [w for leaf, at in zip(leaves, begins, strict=False) for w in leaf.words(at)]
        signed = (words, sizes, results, [*(at for at, *_ in brought), -1])
        self._found = np.zeros(len(leaves) + len(brought) + len(kept) + 1, np.uint64)
        for at, array in kept.items():
            self._found[at] = id(array)
        own, cells = np.zeros(2, np.uint64), np.zeros(len(leaves) + 1, np.int64)
        tables = [np.array(a or [0], np.int64) for a in signed]
        parts = [own, *tables, *_constants(), self._found, cells]
        addresses = [a.ctypes.data for a in parts]
        self._row = np.array([addresses[0], len(leaves), len(results), *addresses[1:]], np.uint64)
        self._held = (kept, parts)
        self.words, self.row, self.begin = own.data, self._row.ctypes.data, _begin()

    def drives(self, executable: Executable) -> bool:
        """Take what makes the step; whether it can be driven from objects."""
        step = executable.call_with(self._found)
        if step is not None:
            self.drive, self._step = step
            self.step, self.status, self.refuse = self._step.ctypes.data, executable.status.data, executable.refuse
        return step is not None


def is_number_there(kind: type, dtype: DType) -> bool:
    """Whether objects of a class hold a number of this dtype as memory does."""
    if kind is float:
        return dtype == np.float64
    return issubclass(kind, np.generic) and np.dtype(kind) == dtype


@functools.cache
def _begin() -> Callable[[int], None]:
    """The native function, called with the interpreter's lock held."""
    return ctypes.PYFUNCTYPE(None, ctypes.c_uint64)(kernel_address(BEGIN))


@functools.cache
def _constants() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Where a tensor has its fields, and with what they begin; objects and functions of Python."""
    names = ("Py_IncRef", "Py_DecRef", "PyType_GenericAlloc")
    functions = [ctypes.cast(getattr(ctypes.pythonapi, n), ctypes.c_void_p).value or 0 for n in names]
    python = [*map(id, _BEGINNINGS), *functions, id(Node.tensor)]
    return np.array([*_offsets(), *_DEFAULTS], np.uint64), np.array(python, np.uint64)


@functools.cache
def _offsets() -> tuple[int, ...]:
    """Where in a tensor the identity of each field stands."""
    tensor = Node.tensor(None)
    signs = [object() for _ in _FIELDS]
    for name, sign in zip(_FIELDS, signs, strict=True):
        setattr(tensor, name, sign)
    places = {_word(id(tensor) + at): at for at in range(0, Node.tensor.__basicsize__, 8)}
    return tuple(places.get(id(sign), 0) for sign in signs)


def _word(where: int) -> int:
    return ctypes.c_int64.from_address(where).value


@functools.cache
def reads_tensors() -> bool:
    """Whether native code may read and write tensors, arrays and numbers in their objects.

    >>> isinstance(reads_tensors(), bool)
    True
    """
    return READS_OBJECTS and (DATA, ITEMS) == (16, 24) and _is_known() and all(_offsets())


def _is_known() -> bool:
    """Whether objects are laid out as the native function reads them."""
    owned, sign = np.zeros((5, 7), np.float32), object()
    items: list[Any] = [sign, owned[1:, 2:].T]
    numbers = [np.array(1, kind).dtype.type(3) for kind in _NUMBERS]
    return (
        _word(id(sign)) == sys.getrefcount(sign) - 1
        and _word(id(sign) + 8) == id(object)
        and [_word(_word(id(items) + 24) + 8 * k) for k in range(2)] == list(map(id, items))
        and all(map(_is_array_known, (owned, items[1], np.zeros(()))))
        and all(ctypes.string_at(id(n) + 16, n.nbytes) == n.tobytes() for n in numbers)
        and ctypes.c_double.from_address(id(_HALF) + 16).value == _HALF
    )


def _is_array_known(array: np.ndarray[Any, Any]) -> bool:
    at, sizes = id(array), _word(id(array) + 32)
    return (
        _word(at + 8) == id(np.ndarray)
        and _word(at + 24) & 0xFFFFFFFF == array.ndim
        and [_word(sizes + 8 * k) for k in range(array.ndim)] == list(array.shape)
        and _word(at + 56) == id(array.dtype)
        and _word(at + 64) & 0xFFFFFFFF == array.flags.num
    )


_HALF = 1.5
_NUMBERS = ("float32", "float64", "int64", "int32", "bool", "uint32", "uint8")
