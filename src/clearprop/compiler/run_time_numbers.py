"""Numbers that a kernel is given when it runs, and does not hold in its text: rates, decays, shares, limits.

Programs that differ in such numbers alone share their kernels, so that another learning rate compiles nothing.

Kept: every value to the bit.  The number is rounded to the dtype in which its operation computes, as the number in the
text would be.  What LLVM might compute in another way for being a literal stays one: whole numbers, infinities and
NaN, and exponents (x ** 1.5 has a root in it).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from clearprop.compiler.iteration_domains import Statement
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


def run_time_number(op: Statement, position: int, value: Any, dtype: DType | None) -> RunTimeNumber | None:
    """The number that a kernel reads from its arguments for this operand; None if it is to stand in the text."""
    if type(value) is not float or dtype is None or dtype.kind != "f" or not math.isfinite(value):
        return None
    exponents = [place for place, *_ in op.equation.primitive.facts.spelled_as]
    return None if value.is_integer() or position in exponents else RunTimeNumber(op.out, position, value, dtype)
