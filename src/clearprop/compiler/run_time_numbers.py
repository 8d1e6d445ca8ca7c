"""Numbers that a kernel is given when it runs, and does not hold in its text: rates, decays, shares, limits.

Programs that differ in such numbers alone share their kernels, so that another learning rate compiles nothing.

Kept: every value to the bit.  The number is rounded to the dtype in which its operation computes, as the number in the
text would be.  What LLVM might compute in another way for being a literal stays one: whole numbers, infinities and
NaN, and exponents (x ** 1.5 has a root in it).  So do all numbers of kernels whose bits hang on how LLVM vectorises
them, which it decides by what everything in them costs: kernels that sum along their rows (`accumulate` leaves the
order to it; a sum over the rows has an element for each column, which takes one number a row in their order), and those
of functions with branches (products and sums become one operation where they stand in one block).
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

import numpy as np

from clearprop.compiler.iteration_domains import Statement
from clearprop.compiler.schedule import Nest
from clearprop.program.ir import Var
from clearprop.program.types import DType


class RunTimeNumber(NamedTuple):
    """The number at an operand of the operation that gives `out`, which is computed in `dtype`.

    Two operands are two numbers even where they are equal: otherwise the text would depend on which ones are.
    """

    out: Var
    position: int
    value: float
    dtype: DType

    @property
    def word(self) -> int:
        """The bits of the number, as a word of a kernel's row has them."""
        with np.errstate(under="ignore"):
            rounded = np.array(self.value).astype(self.dtype)
        return int(rounded.view(f"u{self.dtype.itemsize}"))


_ROUNDED = frozenset(
    "dtype abs sign maximum minimum sqrt floor ceil rint isfinite power sin cos uniform_float32".split()
)
"""What is one operation, exact, or a call of a library, in a vector and alone."""


def takes_numbers(nest: Nest, *, by_rows: bool) -> bool:
    """Whether a kernel has the same bits however it is vectorised, so that its numbers need not be in its text.

    `by_rows` says that it goes through one row after another, along the row.
    """
    sums = [op for op in nest.ops if op.kind == "reduce" and op.domain]
    ordered = all(by_rows and _is_by_columns(op, nest) for op in sums)
    return ordered and all(map(_is_rounded, nest.ops))


def _is_by_columns(op: Statement, nest: Nest) -> bool:
    """Whether every number of a row is added to an element of its own."""
    return len(op.domain) - 1 not in op.reduced and not nest.is_row(op)


def _is_rounded(op: Statement) -> bool:
    p = op.equation.primitive
    return p.kind != "elementwise" or set(re.findall(r"([a-z_]\w*)}?\(", p.numba)) <= _ROUNDED


def run_time_number(op: Statement, position: int, value: Any, dtype: DType | None) -> RunTimeNumber | None:
    """The number that a kernel reads from its arguments for this operand; None if it is to stand in the text."""
    if type(value) is not float or dtype is None or dtype.kind != "f" or not math.isfinite(value):
        return None
    exponents = [place for place, *_ in op.equation.primitive.facts.spelled_as]
    return None if value.is_integer() or position in exponents else RunTimeNumber(op.out, position, value, dtype)
