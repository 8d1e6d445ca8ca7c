"""The plain parts of an explanation, immutable, and the table of the forms in which one is printed.

Explanation → Entry → Term → Factor are made of these; what can be opened stands in `entry` and `explanations`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np

from clearprop.errors import ArgumentError, checked_methods, user_line

Record = TypeVar("Record")
FORMS: dict[tuple[str, type], Callable[[Any], str]] = {}
"""What prints a record, by the name of the form and the record's class; the printers fill it."""


def prints(form: str, record: type[Record]) -> Callable[[Callable[[Record], str]], Callable[[Record], str]]:
    """Enter a function in `FORMS`: it prints records of this class in this form."""

    def enter(function: Callable[[Record], str]) -> Callable[[Record], str]:
        FORMS[form, record] = function
        return function

    return enter


class Immutable:
    """A record whose copies are itself: it never changes, and keeps the derivation that it was opened from."""

    __slots__ = ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self


class Printable(Immutable):
    """A record that prints itself in every form; which functions do it is read from `FORMS`."""

    __slots__ = ()

    def _printed(self, form: str) -> str:
        return FORMS[form, type(self)](self)

    def __str__(self) -> str:
        return self._printed("text")


@checked_methods
class Presentable(Printable):
    """A record that is also shown as a formula, a page, data, and read aloud."""

    __slots__ = ()

    def latex(self) -> str:
        """The same for LaTeX with `amsmath`."""
        return self._printed("latex")

    def sentences(self) -> str:
        """The same in plain sentences."""
        return self._printed("sentences")

    def json(self) -> str:
        """The same as JSON, in the form of `docs/explanation.schema.json`."""
        return self._printed("json")

    def html(self) -> str:
        """The same as one HTML page that needs nothing else."""
        return self._printed("html")

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What a notebook shows; complete in plain text."""
        return {"text/plain": str(self), "text/html": self._printed("notebook")}


@dataclass(frozen=True, slots=True)
class Label:
    """The name of an entry, as text and in LaTeX."""

    text: str
    tex: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of a value: its name, its index, and the number that stood there."""

    label: Label
    index: tuple[int, ...]
    value: float


@dataclass(frozen=True, slots=True)
class Operand:
    """A symbol of a rule, with the entry that it stands for and the number put in."""

    symbol: str
    label: Label
    value: float | bool


@dataclass(frozen=True, slots=True)
class Rounding:
    """What separates the gradient that the run computed from the sum of all terms, and what may separate them."""

    difference: float
    bound: float
    dtype: str

    @property
    def holds(self) -> bool:
        """Whether the difference is no larger than rounding can make it."""
        return abs(self.difference) <= self.bound or self.difference != self.difference


@dataclass(frozen=True, slots=True)
class Check:
    """Numerical derivatives of the same program, re-evaluated in float64, beside the gradient that they confirm."""

    gradient: float
    finite_difference: float
    step: float
    complex_step: float | None
    tolerance: float
    note: str = ""

    @property
    def value(self) -> float:
        """The best numerical derivative: the complex step where there is one."""
        return self.finite_difference if self.complex_step is None else self.complex_step

    @property
    def agrees(self) -> bool:
        """Whether it confirms the gradient, to the tolerance; that there is none, if both are not a number."""
        if self.gradient != self.gradient:
            return self.value != self.value
        return abs(self.value - self.gradient) <= self.tolerance

    @property
    def relative(self) -> float:
        """The relative difference."""
        scale = max(abs(self.value), abs(self.gradient))
        return abs(self.value - self.gradient) / scale if scale else 0.0


def require_number(function: str, name: str, value: Any) -> int:
    """The argument as a number of things: a whole number that is not negative.  Raises ArgumentError for others."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise ArgumentError(
            f"{function} needs to know how many",
            expected=f"{name}, a whole number from 0",
            got=f"{name} = {value!r}",
            where=user_line(),
        )
    return int(value)


SHOWN = 8
"""How many terms of a level are shown, and given as records, unless more are asked for."""


def flat_position(index: Any, shape: tuple[int, ...], name: str) -> int:
    """The flat position of an index; the error for one that does not fit says the shape."""
    given = index if isinstance(index, tuple) else (index,)
    whole = all(isinstance(i, (int, np.integer)) and not isinstance(i, bool) for i in given)
    if not whole or len(given) != len(shape):
        raise ArgumentError(
            f"an entry of {name} is named by {_integers(len(shape))}",
            expected=f"{_integers(len(shape))} for shape {shape}" + ("" if shape else ": index ()"),
            got=repr(index),
            where=user_line(),
        )
    for axis, (i, n) in enumerate(zip(given, shape, strict=True)):
        if not -n <= i < n:
            raise ArgumentError(
                f"{name} has no entry {list(given)}",
                expected=f"0 … {n - 1} on axis {axis}, for shape {shape}" if n else f"no index: shape {shape} is empty",
                got=str(int(i)),
                where=user_line(),
            )
    return int(np.ravel_multi_index([int(i) % n for i, n in zip(given, shape, strict=True)], shape)) if shape else 0


def _integers(n: int) -> str:
    return "no index" if n == 0 else "one integer" if n == 1 else f"{n} integers"
