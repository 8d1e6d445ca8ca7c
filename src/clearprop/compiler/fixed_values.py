"""What a program was made with besides arrays: the numbers, words, functions and classes around a function.

Python reads them while it is traced, so they are parts of the program.  The variables that held them are looked at
again at every call: of other ones another program is made.
"""

from __future__ import annotations

import array
import collections
import copy
import functools
import operator
import types
import weakref
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from clearprop.autodiff.trees import FIELDS, flatten
from clearprop.compiler.surroundings import PLAIN, Variable, container_of, entries_of, held_by
from clearprop.program.types import exactly
from clearprop.program.values import Node

_MANY, _DEEP = 1000, 8
"""Entries of a list or a dictionary that are looked at, of longer ones how many there are; and how many levels."""
_COPIED = (collections.deque, bytearray, array.array)


class FixedValues:
    """What the variables around a function hold, but for arrays, which `Captures` looks after."""

    def __init__(self, around: Sequence[Variable], *, arrays: bool = False) -> None:
        """Look at what code loads; with `arrays` at variables of arrays too: whether they hold the same ones.

        What is another when it is read again, as a property makes it, is left.
        """
        found = [_FixedValue(v) for v in around if v.is_loaded]
        self._keep([f for f in found if f.holds() and (arrays or not _is_array(f.value))])

    def _keep(self, known: list[_FixedValue]) -> None:
        self.known = known
        self._quick = [(f.read, f.value, f.is_as_it_was) for f in known]

    def settle(self, inputs: Collection[int] = ()) -> None:
        """Leave what the function itself changed since, as a count of its traces, and NumPy numbers that are inputs."""
        self._keep([f for f in self.known if id(f.value) not in inputs and f.holds()])

    def changed(self) -> str | None:
        """What a variable is called that holds something else by now."""
        try:
            for read, value, is_as_it_was in self._quick:
                now = read()
                if (is_as_it_was or now is not value) and not _holds(now, value, is_as_it_was):
                    break
            else:
                return None
        except Exception:  # deleted since: it may not be needed, which another trace finds
            pass
        return next((fixed.variable.name for fixed in self.known if not fixed.holds()), None)

    def assigned(self) -> list[str]:
        """What the variables of numbers and words are called that hold other ones by now."""
        plain = (f for f in self.known if type(f.value) in PLAIN and f.value is not None)  # None: not there yet
        return [f.variable.name for f in plain if not f.holds()]


class _FixedValue:
    """A variable, what it held, and what tells whether that is as it was."""

    __slots__ = ("is_as_it_was", "read", "value", "variable")

    def __init__(self, variable: Variable) -> None:
        self.variable, self.read = variable, variable.read
        self.value = value = held_by(self.read)
        self.is_as_it_was = None if _is_array(value) else _look(value)
        if self.is_as_it_was is not None:
            self.value = None  # which may hold arrays

    def holds(self) -> bool:
        """Whether the variable holds now what it held."""
        try:
            return _holds(self.read(), self.value, self.is_as_it_was)
        except Exception:  # deleted since
            return False


def _holds(now: Any, value: Any, is_as_it_was: Callable[[Any], bool] | None) -> bool:
    if is_as_it_was:
        return is_as_it_was(now)
    if now is value:
        return True
    return type(now) is type(value) and _is_of_fields(now) and bool(exactly(now) == exactly(value))


def _is_of_fields(value: Any) -> bool:
    """Whether it is a number, a word, or an object that is what its fields are."""
    if _is_plain(value):
        return True
    options = getattr(type(value), "__dataclass_params__", None)
    return options is not None and options.frozen and options.eq


def _look(value: Any, depth: int = 0) -> Callable[[Any], bool] | None:
    """What tells whether something is as it is now, if it may change, or be replaced by its like.

    None for what never changes, and for objects, whose attributes are variables.  No array is kept alive.
    """
    kind = type(value)  # what stands for something else may not tell its class
    if _is_array(value):
        return _is_array
    if kind is types.FunctionType and depth < _DEEP:
        return _Function(value, depth)
    if issubclass(kind, set):
        members = frozenset(value)
        return lambda now: type(now) is kind and bool(now == members)
    if kind in _COPIED:
        before = copy.copy(value)
        return lambda now: type(now) is kind and bool(now == before)
    if kind in FIELDS:
        leaves, structure = flatten(value)
        return functools.partial(_is_like, kind, _Entries(leaves, depth), structure)
    if container_of(value) is not None and depth < _DEEP:
        return _Entries(value, depth)
    return None


class _Function:
    """The same function with the code and the defaults that it had: what is in its closure are variables."""

    may_change = True

    def __init__(self, function: types.FunctionType, depth: int) -> None:
        self.known = weakref.ref(function)  # its closure may hold arrays
        self.code, self.defaults = function.__code__, _Entries(_defaults_of(function), depth)

    def __call__(self, now: Any) -> bool:
        known: Any = self.known()
        if now is not known or now.__code__ is not self.code:  # which an editor may have replaced in place
            return False
        return not (self.defaults.size or now.__defaults__ or now.__kwdefaults__) or self.defaults(_defaults_of(now))


def _defaults_of(function: types.FunctionType) -> list[Any]:
    return [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]


def _is_like(kind: type, leaves: _Entries, structure: Any, now: Any) -> bool:
    """Whether a layer is one with the same options, whose arrays are inputs."""
    if type(now) is not kind:
        return False
    found, its = flatten(now)
    return leaves(found) and bool(its == structure)


class _Entries:
    """What a list, a tuple or a dictionary held; of a long one, how many entries it has."""

    def __init__(self, value: Any, depth: int) -> None:
        self.keys, entries = entries_of(value)
        self.kind, self.size = type(value), len(entries)
        if self.size > _MANY:
            self.keys, entries = None, []
        self.types = list(map(type, entries))
        kept = [(i, v) for i, v in enumerate(entries) if not _is_array(v)]
        self.places, self.held = [i for i, _ in kept], [v for _, v in kept]
        self.looks = [_look(v, depth + 1) for v in self.held]
        fixed = (type(v) is tuple and not getattr(k, "may_change", True) for v, k in self._watched())
        self.may_change = not all(fixed)

    def _watched(self) -> list[tuple[Any, Any]]:
        """The entries that may change though they stay the same objects, with what tells it."""
        return [(v, look) for v, look in zip(self.held, self.looks, strict=True) if look is not None]

    def __call__(self, now: Any) -> bool:
        if type(now) is not self.kind or len(now) != self.size:
            return False
        if self.size > _MANY:
            return True
        keys, entries = entries_of(now)
        if keys != self.keys or list(map(type, entries)) != self.types:
            return False
        if len(self.places) < self.size:
            entries = [entries[i] for i in self.places]
        if not self.may_change and all(map(operator.is_, entries, self.held)):
            return True
        return all(map(_holds, entries, self.held, self.looks))


def _is_array(value: Any) -> bool:
    return issubclass(type(value), (Node, np.ndarray))


def _is_plain(value: Any) -> bool:
    return type(value) in PLAIN or issubclass(type(value), np.generic)
