"""Arrays of the surrounding code that a compiled function uses: found again at every call.

They are hidden inputs of the program.  The variables that held them (of the function's closure and module, and of the
functions that it calls) are looked at again at every call, so that `w = w.updated(...)` is seen.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from clearprop.autodiff.trees import flatten, is_array
from clearprop.program.types import type_of
from clearprop.program.values import RECORDING, Node, raw

_DEPTH = 4
_LIBRARIES = ("clearprop.", "numpy.", "scipy.")


class Captures:
    """Where the captured arrays of a program come from."""

    def __init__(self, function: Callable[..., Any], captured: Sequence[Any]) -> None:
        self.held = list(captured)
        self.values = [raw(c) for c in captured]
        arrays = [v for v in self.values if isinstance(v, np.ndarray)]
        self.copied = [v for v in arrays if not (v.flags.c_contiguous and v.dtype.isnative)]
        self.sources: list[_Holder] = []
        if captured:
            places: dict[int, list[int]] = {}
            for k, v in enumerate(self.values):
                places.setdefault(id(v), []).append(k)
            self.sources = [s for read in _variables(function) if (s := _source(read, places)) is not None]

    @property
    def tracked(self) -> bool:
        """Whether a gradient may flow into a captured tensor."""
        return RECORDING.on and any(isinstance(c, Node) and c.tracked for c in self.held)

    def freeze(self) -> None:
        """Look no more: nobody changes the captured arrays while the program is in use."""
        self.sources, self.copied = [], []

    def renew(self) -> bool | None:
        """Look again: True if there are new arrays, None if they are of another kind and the program does not fit."""
        changed = bool(self.copied)
        for source in self.sources:
            found = source.changed()
            if found is None:
                return None
            for position, value in found:
                self.held[position], self.values[position] = value, raw(value)
                changed = True
        return changed


class _Holder:
    """A variable, the object that it held last, and which captured arrays are leaves of that object."""

    def __init__(self, read: Callable[[], Any], value: Any, structure: Any, leaves: dict[int, list[int]]) -> None:
        self.read, self.value, self.structure, self.leaves = read, value, structure, leaves

    def changed(self) -> list[tuple[int, Any]] | None:
        """Positions and new arrays, if the variable holds another object; None if it is of another kind."""
        try:
            value = self.read()
        except (NameError, KeyError, ValueError):  # deleted since: the arrays are still known
            return []
        if value is self.value:
            return []
        leaves, structure = flatten(value)
        if structure != self.structure:
            return None
        before, _ = flatten(self.value)
        for k in self.leaves:
            if not is_array(leaves[k]) or type_of(raw(leaves[k])).key() != type_of(raw(before[k])).key():
                return None
        self.value = value
        return [(p, leaves[k]) for k, positions in self.leaves.items() for p in positions]


def _source(read: Callable[[], Any], places: dict[int, list[int]]) -> _Holder | None:
    try:
        value = read()
    except (NameError, KeyError, ValueError):
        return None
    if isinstance(value, (types.ModuleType, type)):
        return None
    leaves, structure = flatten(value)
    held = {k: places[id(raw(v))] for k, v in enumerate(leaves) if id(raw(v)) in places}
    return _Holder(read, value, structure, held) if held else None


def _variables(function: Any, depth: int = 0, seen: set[int] | None = None) -> Iterator[Callable[[], Any]]:
    """Readers of the variables that a function, and the functions among them, take from outside."""
    seen = set() if seen is None else seen
    function = getattr(function, "function", function)  # a compiled function's own
    function = getattr(function, "__func__", function)
    if depth > _DEPTH or id(function) in seen or not isinstance(function, types.FunctionType):
        return
    seen.add(id(function))
    if (function.__module__ or "").startswith(_LIBRARIES):
        return
    readers = [_cell_reader(cell) for cell in function.__closure__ or ()]
    readers += [_global_reader(function.__globals__, name) for name in _names(function.__code__)]
    for read in readers:
        yield read
        try:
            value = read()
        except (NameError, KeyError, ValueError):
            continue
        if callable(value):
            yield from _variables(value, depth + 1, seen)


def _names(code: types.CodeType) -> Iterator[str]:
    """Global names that code and the functions inside it mention."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _cell_reader(cell: Any) -> Callable[[], Any]:
    return lambda: cell.cell_contents


def _global_reader(scope: dict[str, Any], name: str) -> Callable[[], Any]:
    return lambda: scope[name]
