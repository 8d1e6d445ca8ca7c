"""The record of an explanation: what every printer reads, immutable.

Explanation → Entry → Term → Factor.  An entry's terms belong to one level, and each opens into the next:
∂t/∂e = Σ over the consumers c of e of ∂t/∂c · ∂c/∂e.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from clearprop.errors import ArgumentError, unknown_name, user_line
from clearprop.explanation.labels import Label
from clearprop.notation.expressions import Expression


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
class Factor:
    """A local derivative ∂out/∂in: the rule of the operation as a formula, and as a number."""

    out: Place
    under: Place
    value: float
    formula: Expression
    operands: tuple[Operand, ...]
    operation: str
    where: str
    _body: Callable[[], Entry] | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        return f"<{self.symbol} = {self.value:g}>"

    @property
    def is_composite(self) -> bool:
        """Whether the operation is made of others, and can be opened."""
        return self._body is not None

    def body(self) -> Entry | None:
        """The same derivative inside the operation, for one that is made of others; None for the others."""
        return None if self._body is None else self._body()

    @property
    def symbol(self) -> str:
        """`dReLU/dsum`."""
        return f"d{self.out.label.text}/d{self.under.label.text}"

    @property
    def symbol_tex(self) -> str:
        r"""`\frac{\partial y}{\partial x}`."""
        return rf"\frac{{\partial {self.out.label.tex}}}{{\partial {self.under.label.tex}}}"


@dataclass(frozen=True, slots=True)
class Term:
    """∂t/∂consumer times the local factors from the consumer to the entry; outermost factor first."""

    consumer: Place
    delta: float
    factors: tuple[Factor, ...]
    value: float
    is_last: bool
    _open: Callable[[], Entry] = field(repr=False, compare=False)

    def __repr__(self) -> str:
        return f"<term {self.value:g} through {self.consumer.label.text}>"

    def open(self) -> Entry:
        """The next level: why ∂t/∂consumer has its value."""
        return self._open()


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
        """Whether it confirms the gradient, to the tolerance."""
        return abs(self.value - self.gradient) <= self.tolerance

    @property
    def relative(self) -> float:
        """The relative difference."""
        scale = max(abs(self.value), abs(self.gradient))
        return abs(self.value - self.gradient) / scale if scale else 0.0


@dataclass(frozen=True, slots=True)
class Path:
    """One whole path from an entry to the target: its factors, outermost first, and their product."""

    factors: tuple[Factor, ...]
    value: float

    def __str__(self) -> str:
        from clearprop.explanation.printers.terminal import chain_lines

        return "\n".join(chain_lines("", self))


STATUSES = ("not computed", "zero", "value")


class Source(Protocol):
    """Where an entry comes from, and what can be asked of it beyond the record."""

    def check(self) -> Check:
        """The numerical derivative."""

    def paths(self, k: int) -> tuple[Path, ...]:
        """The largest whole paths."""

    def all_paths(self, most: int) -> tuple[Path, ...] | None:
        """Every whole path, if there are no more than `most`."""

    def at(self, dtype: Any) -> Entry:
        """The same entry of the program evaluated in another dtype."""

    def native(self) -> float | None:
        """The gradient of the run's own executor."""

    def shown(self, k: int) -> Entry:
        """The same entry with another number of terms."""


@dataclass(frozen=True, slots=True)
class Entry:
    """∂target/∂place: its value, and the terms of one level that it is the sum of.

    `value` is the gradient that the run computed.  `terms` are the largest ones, all of them where there are few, and
    `rest` is the sum of the others, so that Σ terms + rest + rounding.difference = value.  `status` is "value",
    "zero" (with its reason) or "not computed".
    """

    target: Label
    place: Place
    value: float
    status: str
    reason: str
    terms: tuple[Term, ...]
    rest: float
    rest_count: int
    total: float
    rounding: Rounding
    _source: Source = field(repr=False, compare=False)

    @property
    def symbol(self) -> str:
        """`∂y/∂w₀`."""
        return f"∂{self.target.text}/∂{self.place.label.text}"

    @property
    def symbol_tex(self) -> str:
        r"""`\frac{\partial y}{\partial w_{0}}`."""
        return rf"\frac{{\partial {self.target.tex}}}{{\partial {self.place.label.tex}}}"

    @property
    def count(self) -> int:
        """The number of terms of this level."""
        return len(self.terms) + self.rest_count

    def check(self) -> Check:
        """A numerical derivative of the same program in float64: central difference, complex step where it may."""
        return self._source.check()

    def paths(self, k: int = 5) -> tuple[Path, ...]:
        """The k whole paths with the largest products, by best-first search."""
        return self._source.paths(k)

    def all_paths(self, most: int) -> tuple[Path, ...] | None:
        """Every whole path, in the order of the program; None if there are more than `most`."""
        return self._source.all_paths(most)

    def at(self, dtype: Any) -> Entry:
        """The same entry with the program evaluated in another dtype."""
        return self._source.at(dtype)

    def native(self) -> float | None:
        """What the run's own, compiled step computes for this entry; None where no step of a run is explained.

        The step is compiled for this, once per explanation, which may take some seconds.
        """
        return self._source.native()

    def show(self, k: int) -> Entry:
        """The same entry with its k largest terms."""
        return self._source.shown(k)

    def latex(self) -> str:
        """The same for LaTeX with `amsmath`."""
        from clearprop.explanation.printers.latex import entry_latex

        return entry_latex(self)

    def sentences(self) -> str:
        """The same in plain sentences."""
        from clearprop.explanation.printers.sentences import entry_sentences

        return entry_sentences(self)

    def json(self) -> str:
        """The same as JSON, in the form of `docs/explanation.schema.json`."""
        from clearprop.explanation.printers.as_json import entry_json

        return entry_json(self)

    def html(self) -> str:
        """The same as one HTML page that needs nothing else."""
        from clearprop.explanation.printers.html import entry_html

        return entry_html(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What a notebook shows; complete in plain text."""
        from clearprop.explanation.printers.html import entry_fragment

        return {"text/plain": str(self), "text/html": entry_fragment(self)}

    def __repr__(self) -> str:
        what = "1 term" if self.count == 1 else f"{self.count} terms"
        return f"<{self.symbol} = {self.value:g}, {what}>" if self.terms else f"<{self.symbol}: {self.status}>"

    def __str__(self) -> str:
        from clearprop.explanation.printers.terminal import entry_text

        return entry_text(self)


class Opening(Protocol):
    """What an explanation opens its entries with."""

    def entry(self, at: int, shown: int) -> Entry:
        """The entry at a flat position."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """∂target/∂value for one value, to be opened at any entry: `explanation[i, j]`.

    `gradient` is what the run computed, `shape` its shape.  Iteration and `len` go over all entries in order.
    """

    target: Label
    name: str
    shape: tuple[int, ...]
    gradient: np.ndarray[Any, Any] = field(compare=False)
    where: str
    _opening: Opening = field(repr=False, compare=False)

    def __getitem__(self, index: Any) -> Entry:
        """Open one entry.  Raises ArgumentError for an index that is out of range, and says the shape."""
        return self._opening.entry(flat_position(index, self.shape, self.name), SHOWN)

    def __len__(self) -> int:
        return int(self.gradient.size)

    def __iter__(self) -> Iterator[Entry]:
        return (self._opening.entry(at, SHOWN) for at in range(len(self)))

    def largest(self, k: int) -> list[Entry]:
        """The entries with the k largest gradients, in order of position."""
        size = np.abs(self.gradient.ravel())
        chosen = np.argsort(-np.where(np.isnan(size), np.inf, size), kind="stable")[:k]
        return [self._opening.entry(int(at), SHOWN) for at in np.sort(chosen)]

    def latex(self) -> str:
        """The same for LaTeX with `amsmath`."""
        from clearprop.explanation.printers.latex import explanation_latex

        return explanation_latex(self)

    def sentences(self) -> str:
        """The same in plain sentences."""
        from clearprop.explanation.printers.sentences import explanation_sentences

        return explanation_sentences(self)

    def json(self) -> str:
        """The same as JSON, in the form of `docs/explanation.schema.json`."""
        from clearprop.explanation.printers.as_json import explanation_json

        return explanation_json(self)

    def html(self) -> str:
        """The same as one HTML page that needs nothing else."""
        from clearprop.explanation.printers.html import explanation_html

        return explanation_html(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What a notebook shows; complete in plain text."""
        from clearprop.explanation.printers.html import explanation_fragment

        return {"text/plain": str(self), "text/html": explanation_fragment(self)}

    def __repr__(self) -> str:
        return f"<explanation of ∂{self.target.text}/∂{self.name}, shape {self.shape}>"

    def __str__(self) -> str:
        from clearprop.explanation.printers.terminal import explanation_text

        return explanation_text(self)


@dataclass(frozen=True, slots=True)
class Explanations:
    """∂target/∂values for the arrays of a tree, by path: `explanations["layers[0].weight"][3, 5]`."""

    target: Label
    parts: Mapping[str, Explanation]

    def __getitem__(self, path: str) -> Explanation:
        """The explanation of one array.  Raises ArgumentError for an unknown path, and names the nearest."""
        if path not in self.parts:
            raise unknown_name("array", str(path), self.parts, user_line())
        return self.parts[path]

    def __len__(self) -> int:
        return len(self.parts)

    def __iter__(self) -> Iterator[str]:
        return iter(self.parts)

    def __repr__(self) -> str:
        return f"<explanations of {self.target.text}: {', '.join(self.parts)}>"

    def __str__(self) -> str:
        from clearprop.explanation.printers.terminal import explanations_text

        return explanations_text(self)


SHOWN = 8
"""How many terms of a level are shown, and given as records, unless more are asked for."""


def flat_position(index: Any, shape: tuple[int, ...], name: str) -> int:
    """The flat position of an index; the error for one that does not fit says the shape."""
    given = index if isinstance(index, tuple) else (index,)
    whole = all(isinstance(i, (int, np.integer)) and not isinstance(i, bool) for i in given)
    if not whole or len(given) != len(shape):
        raise ArgumentError(
            f"an entry of {name} is named by {_counted(len(shape))}",
            expected=f"{_counted(len(shape))} for shape {shape}" + ("" if shape else ": index ()"),
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


def _counted(n: int) -> str:
    return "no index" if n == 0 else "one integer" if n == 1 else f"{n} integers"
