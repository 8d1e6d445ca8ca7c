"""Arrays of the surrounding code that a compiled function uses: found again at every call.

They are hidden inputs of the program.  The variables that held them (of the function's closure and module, and of the
functions that it calls) are looked at again at every call, so that `w = w.updated(...)` is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clearprop.autodiff.trees import flatten, is_array
from clearprop.compiler.fixed_values import FixedValues
from clearprop.compiler.surroundings import Reader, Variable, held_by, variables_around
from clearprop.program.types import type_of
from clearprop.program.values import RECORDING, Node, raw


class Captures:
    """Where the captured arrays of a program come from."""

    def __init__(
        self,
        function: Callable[..., Any],
        captured: Sequence[Any],
        around: Sequence[Variable] = (),
        fixed: FixedValues | None = None,
    ) -> None:
        """Look in `around`, where the variables are known; again, if some array came there while it was traced."""
        self.held = list(captured)
        self.values = [raw(c) for c in captured]
        arrays = [v for v in self.values if isinstance(v, np.ndarray)]
        self.copied = [v for v in arrays if not (v.flags.c_contiguous and v.dtype.isnative)]
        self.sources: list[_Holder] = []
        if captured:
            places: dict[int, list[int]] = {}
            for k, v in enumerate(self.values):
                places.setdefault(id(v), []).append(k)
            self.sources = _sources(around, places)
            if self._came_later():
                self.sources = _sources(variables_around(function), places)
        self.fixed = FixedValues(()) if fixed is None else fixed
        self.fixed.settle(frozenset(map(id, self.values)))

    def _came_later(self) -> bool:
        """Whether an array is in none of the variables that were known."""
        found = {k for source in self.sources for positions in source.leaves.values() for k in positions}
        return len(found) < len(self.held)

    @property
    def are_watched(self) -> bool:
        """Whether something around the function is looked at again."""
        return bool(self.fixed.known or self.sources or self.copied)

    @property
    def tracked(self) -> bool:
        """Whether a gradient may flow into a captured tensor."""
        return RECORDING.on and any(isinstance(c, Node) and c.tracked for c in self.held)

    def freeze(self) -> None:
        """Look no more: nobody changes the captured arrays while the program is in use."""
        self.sources, self.copied, self.fixed = [], [], FixedValues(())

    def renew(self) -> bool | None:
        """Look again: True if there are new arrays, None if something is another and the program does not fit."""
        if self.fixed.changed():
            return None
        changed = bool(self.copied)
        for source in self.sources:
            found = source.changed()
            if found is None:
                return None
            for position, value in found:
                self.held[position], self.values[position] = value, raw(value)
                changed = True
        return changed


def surrounding_arrays(around: Sequence[Variable]) -> frozenset[int]:
    """Identities of the arrays that the variables around a function hold: what it computes from them is no constant."""
    leaves = (leaf for variable in around for leaf in _arrays_in(held_by(variable.read)))
    return frozenset(id(v) for v in leaves if isinstance(v, (np.ndarray, np.generic)))


def _arrays_in(value: Any) -> list[Any]:
    """The leaves of a tree as the program knows them; none of what is no tree: a list in itself."""
    try:
        return list(map(raw, flatten(value)[0]))
    except Exception:  # of the user's object, whatever it raises when it is looked at
        return []


class _Holder:
    """A variable, the object that it held last, and which captured arrays are leaves of that object."""

    def __init__(self, read: Reader, value: Any, leaves: dict[int, list[int]]) -> None:
        self.read, self.value, self.leaves = read, value, leaves
        self.before, self.structure = flatten(value)
        self.changes = isinstance(value, (list, dict, tuple))  # what is in it may be another, and it the same
        arrays = [(k, self.before[k]) for k in leaves if isinstance(self.before[k], np.ndarray)]
        self.kinds = [(k, a.shape, a.dtype) for k, a in arrays]  # `a.shape = …` leaves it the same object

    def changed(self) -> list[tuple[int, Any]] | None:
        """Positions and new arrays, if the variable holds another object; None if it is of another kind."""
        try:
            value = self.read()
        except Exception:  # deleted since, or not to be read now: the arrays are still known
            return []
        if value is self.value and not self.changes:
            return [] if self._are_as_before(self.before) else None
        leaves, structure = flatten(value)
        if structure != self.structure or not self._are_as_before(leaves):
            return None
        new = [k for k in self.leaves if leaves[k] is not self.before[k]]
        for k in new:
            if not is_array(leaves[k]) or type_of(raw(leaves[k])).key() != type_of(raw(self.before[k])).key():
                return None
        self.value, self.before = value, leaves
        return [(p, leaves[k]) for k in new for p in self.leaves[k]]

    def _are_as_before(self, leaves: Sequence[Any]) -> bool:
        """Whether arrays of NumPy have the shapes and dtypes that they had; tensors never get others."""
        return all(np.shape(leaves[k]) == shape and leaves[k].dtype == dtype for k, shape, dtype in self.kinds)


def _sources(around: Sequence[Variable], places: dict[int, list[int]]) -> list[_Holder]:
    return [s for variable in around if (s := _source(variable.read, places)) is not None]


def _source(read: Reader, places: dict[int, list[int]]) -> _Holder | None:
    value = held_by(read)
    held = {k: places[id(v)] for k, v in enumerate(_arrays_in(value)) if id(v) in places}
    return _Holder(read, value, held) if held else None
