"""Bounds of addresses: before anything runs, every access of a program with sizes is held against its array.

Generated code computes no address but `base + offset + Σ iₖ·sₖ` with 0 ≤ iₖ < nₖ (`kernels`).  That sum is linear, so
its least and its greatest value stand at corners of the domain: where both lie in the array, all between them do.  What
is not of this form is held otherwise: matrices by their leading dimension, here; indices that are data inside the
kernel that reads them (`library_kernels`); the other special kernels walk whole arrays, whose sizes are their types'.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from clearprop.compiler.array_access import Access
from clearprop.compiler.iteration_domains import Statement
from clearprop.errors import ProgramError, user_line
from clearprop.program.ir import Var

Number = Callable[[Any], int]
"""A size's number, once a program is bound."""


def require_inside(access: Access, number: Number) -> None:
    """Raise ProgramError unless every element that an access names lies in its array."""
    steps = [(number(n), number(s)) for n, s in zip(access.shape, access.strides, strict=True)]
    if any(n == 0 and s != 0 for n, s in steps):
        return  # no element is named; along stride 0 one may still be read before the loop that does not run
    reach = [(n - 1) * s for n, s in steps if n > 1]
    offset = number(access.offset)
    _require_range(
        access.base, offset + sum(r for r in reach if r < 0), offset + sum(r for r in reach if r > 0), number
    )


def require_statement_inside(op: Statement, number: Number) -> None:
    """Raise ProgramError unless an operation reads and writes inside its arrays."""
    for access in _accesses(op):
        require_inside(access, number)


def require_matrix_inside(
    base: Var, offset: int, sizes: tuple[int, int, int], strides: tuple[int, int], number: Number
) -> None:
    """Raise ProgramError unless matrices of (number, rows, columns), matrices and rows `strides` apart, lie inside."""
    if not math.prod(sizes):
        return
    (matrices, rows, columns), (far, leading) = sizes, strides
    last = offset + (rows - 1) * leading + columns - 1
    _require_range(base, min(offset, offset + (matrices - 1) * far), max(last, last + (matrices - 1) * far), number)


def _accesses(op: Statement) -> Iterator[Access]:
    yield from (r for r in op.reads if isinstance(r, Access) and isinstance(r.base, Var))
    if op.kind in ("map", "reduce"):
        kept = tuple(n for k, n in enumerate(op.domain) if k not in op.reduced)
        yield Access(op.into or op.out, kept, op.write, op.offset)


def _require_range(base: Var, low: int, high: int, number: Number) -> None:
    count = math.prod(number(n) for n in base.shape)
    if low < 0 or high >= count:
        raise ProgramError(
            "generated code would reach outside of an array",
            expected=f"elements 0 to {count - 1} of {base}",
            got=f"elements {low} to {high}",
            where=user_line(),
            try_='executor="numpy", and a report of this fault of clearprop',
        )
