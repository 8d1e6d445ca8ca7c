"""What compiler, gradients, explanations may assume of an operation: stated once, by the operation's own declaration.

They compare no names: they ask for these facts, so an operation that states them is treated like the
library's own.  Every fact is checked against values by `tests/compiler/test_facts.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

VIEWS = ("broadcast", "flip", "permute", "reshape", "slice")
REDUCTIONS = ("all", "any", "max", "min", "sum")
SOURCES = ("constant", "indices", "size")
PICKS = ("slices", "entries")
CONTROLS = ("scan", "switch", "while")
ON_COMPLEX = ("differentiated", "value", "refused")


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts about one operation; each is false or empty unless it is declared.

    neutral      (position, other, number): with this number at this operand the result *is* the other operand, to the
                 bit: x − 0, x · 1, x + (−0.0); not x + 0, which makes 0 of −0.0 (in integers both zeros are one)
    adds         the result is the sum of the two operands, to the bit whichever comes first
    places       the operand stands at the slices `key` of an array of zeros
    joins        the operands stand one after the other along `axis`
    negates      as neutral, where the result is the other operand with its sign changed: x · −1, x / −1
    truth        as neutral, where the other operand is a boolean that was made a number: b > 0 is b
    same_on      the kinds of dtype ("biuf") on which the operation gives back its operand
    undefined_on the kinds of dtype for which the operation has no meaning and is refused
    nonempty     the axes that are reduced must have elements
    nonnegative  operands that must not be negative in integers, where the sign of data is not known before
    modular      in integers the low bits of the result depend on the low bits of the operands alone: it may wrap
    rounded      the result is the exact one, rounded to the nearest (IEEE 754: + − × ÷ √), not some units beside it
    spelled_as   (operand, number, name): with this number at this operand NumPy computes another operation
    chooses      the first operand is a condition, and the result is one of the two others
    converts     the result is the operand in another dtype
    unconverted  operands are read in their own dtypes, not in the one that they promote to
    one_dtype    operands are converted to the result's dtype first: the kernel reads what it writes
    absorbs      of two in a row only the last matters
    view         how the result walks its operand's memory: permute, broadcast, reshape, flip, slice
    reduction    what a reduction combines with: sum, max, min, all, any
    source       an array without operands: constant, indices (0, 1, 2 …), size
    picks        what is picked of the first operand by indices that are the second, all else being left: slices along
                 `axis`, whose place the axes of the indices take, or single entries, one for each index, or
                 those that the rule names
    mixes        whether a linear operation adds entries up, so that what was chosen cannot be told behind it
    product      a matrix product over the last two axes
    control      how the programs that its parameters hold are run: scan, over the elements of arrays; switch, one of
                 several; while, as long as a condition holds
    on_complex   what becomes of complex operands: differentiated, by the same rules as real ones; value, their
                 derivative refused; refused, which is so unless the operation is linear in each operand by its kind
    paired       the operands agree on every axis but `axis`, where they must not be repeated
    """

    neutral: tuple[tuple[int, int, Any], ...] = ()
    adds: bool = False
    places: bool = False
    joins: bool = False
    negates: tuple[tuple[int, int, Any], ...] = ()
    truth: tuple[tuple[int, int, Any], ...] = ()
    same_on: str = ""
    undefined_on: str = ""
    nonempty: bool = False
    nonnegative: tuple[int, ...] = ()
    modular: bool = False
    rounded: bool = False
    spelled_as: tuple[tuple[int, float, str], ...] = ()
    chooses: bool = False
    converts: bool = False
    unconverted: bool = False
    one_dtype: bool = False
    absorbs: bool = False
    view: str = ""
    reduction: str = ""
    source: str = ""
    picks: str = ""
    mixes: bool = False
    product: bool = False
    paired: bool = False
    control: str = ""
    on_complex: str = ""

    @property
    def selects(self) -> bool:
        """Whether entries of the first operand may be left: it is sliced, or picked from."""
        return self.view == "slice" or bool(self.picks)

    def __post_init__(self) -> None:
        words = {"view": VIEWS, "reduction": REDUCTIONS, "source": SOURCES, "picks": PICKS, "control": CONTROLS}
        words["on_complex"] = ON_COMPLEX
        for name, known in words.items():
            if getattr(self, name) not in ("", *known):
                raise ValueError(f"{name} is one of {', '.join(known)}, not {getattr(self, name)!r}")


NAMES = tuple(f.name for f in fields(Facts))
"""The words by which a declaration states facts."""
