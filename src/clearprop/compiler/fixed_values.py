"""What a program was made with besides arrays: the numbers, words, functions and classes around a function.

Python reads them while it is traced, so they are parts of the program.  The variables that held them are looked at
again at every call: of other ones another program is made.
"""

from __future__ import annotations

import functools
import operator
import types
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from clearprop.autodiff.trees import FIELDS, flatten
from clearprop.compiler.surroundings import PLAIN, Variable, container_of, entries_of, held_by
from clearprop.program.types import exactly
from clearprop.program.values import Node

_MANY, _DEEP = 10_000, 8
"""So many entries of a list or a dictionary are looked at, and how many there are; and so many levels."""


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
                if (now is not value or is_as_it_was) and not _holds(now, value, is_as_it_was):
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
        self.value = held_by(self.read)
        self.is_as_it_was = None if _is_array(self.value) else _look(self.value)

    def holds(self) -> bool:
        """Whether the variable holds now what it held."""
        try:
            return _holds(self.read(), self.value, self.is_as_it_was)
        except Exception:  # deleted since
            return False


def _holds(now: Any, value: Any, is_as_it_was: Callable[[Any], bool] | None) -> bool:
    if is_as_it_was:
        return type(now) is type(value) and is_as_it_was(now)
    return now is value or (_is_plain(now) and bool(exactly(now) == exactly(value)))


def _look(value: Any, depth: int = 0) -> Callable[[Any], bool] | None:
    """What tells whether something is as it is now, if it may change, or be replaced by its like.

    None for what never changes, and for objects, whose attributes are variables.
    """
    kind = type(value)  # what stands for something else may not tell its class
    if kind is types.FunctionType:  # which an editor may have replaced in place
        code, defaults = value.__code__, value.__defaults__
        are_these = _look(defaults, depth) or operator.not_
        return lambda now: now is value and now.__code__ is code and are_these(now.__defaults__)
    if issubclass(kind, set):
        before = frozenset(value)
        return lambda now: bool(now == before)
    if _is_array(value):
        return _is_array
    if kind in FIELDS:
        return functools.partial(_is_like, value, *flatten(value))
    if container_of(value) is not None and depth < _DEEP:
        return _Entries(value, depth)
    return None


def _is_like(value: Any, leaves: list[Any], structure: Any, now: Any) -> bool:
    """Whether a layer is the same one, or one with the same options, whose arrays are inputs."""
    if now is value:
        return True
    found, its = flatten(now)
    return bool(its == structure) and all(
        _holds(a, b, _is_array if _is_array(b) else None) for a, b in zip(found, leaves, strict=True)
    )


class _Entries:
    """What a list, a tuple or a dictionary held."""

    def __init__(self, value: Any, depth: int) -> None:
        self.keys, entries = entries_of(value)
        self.size, self.held = len(entries), entries[:_MANY]
        self.looks = [_look(entry, depth + 1) for entry in self.held]
        self.is_deep = any(look is not None and look is not _is_array for look in self.looks)

    def __call__(self, now: Any) -> bool:
        keys, entries = entries_of(now)
        if len(entries) != self.size or keys != self.keys:
            return False
        if not self.is_deep and all(map(operator.is_, entries, self.held)):
            return True
        return all(map(_holds, entries, self.held, self.looks))


def _is_array(value: Any) -> bool:
    return issubclass(type(value), (Node, np.ndarray))


def _is_plain(value: Any) -> bool:
    return type(value) in PLAIN or issubclass(type(value), np.generic)
