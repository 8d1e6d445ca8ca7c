"""Long sums: blocks whose totals are added with compensation, so that the error does not grow with the length.

A sum of n numbers one by one is off by up to n·eps·Σ|x|: 7·10⁻⁴ for ten million float32.  Here at most `BLOCK`
numbers are added plainly (and side by side, so that they vectorise); totals of blocks go through Knuth's two-sum,
whose errors are carried along and added at the end (Neumaier 1974).  The bound is (BLOCK + 2)·eps·Σ|x|, whatever n
is.  A sum that is accumulated in memory, row by row, is compensated at every row.  Sums of up to `BLOCK` numbers are
computed as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clearprop.compiler.iteration_domains import Statement
from clearprop.compiler.schedule import Nest
from clearprop.program.ir import Var

BLOCK = 256
"""Numbers that are added one after the other."""


def long_sums(nest: Nest, number: Callable[[Any], int]) -> frozenset[Var]:
    """The sums of a nest in which more than `BLOCK` numbers come together, given numbers for the sizes."""
    return frozenset(op.out for op in nest.ops if _is_float_sum(op) and _length(op, number) > BLOCK)


def _is_float_sum(op: Statement) -> bool:
    return op.kind == "reduce" and op.equation.primitive.facts.reduction == "sum" and op.out.dtype.kind == "f"


def _length(op: Statement, number: Callable[[Any], int]) -> int:
    out = 1
    for axis in op.reduced:
        out *= number(op.domain[axis])
    return out


def two_sum_lines(total: str, carry: str, new: str, name: Callable[[], str]) -> list[str]:
    """total + carry += new, the rounding error of the addition going into carry (Knuth, TAOCP 2, §4.2.2)."""
    old, rounded, back = name(), name(), name()
    return [
        f"{old} = {total}",
        f"{rounded} = {old} + {new}",
        f"{back} = {rounded} - {old}",
        f"{carry} = {carry} + (({old} - ({rounded} - {back})) + ({new} - {back}))",
        f"{total} = {rounded}",
    ]


def closing_line(total: str, carry: str) -> str:
    """total with its carry, which is NaN where the total is not finite."""
    return f"{total} = {total} + {carry} if {carry} == {carry} else {total}"


def block_lines(low: str, high: str, index: str, before: list[str], inner: list[str], after: list[str]) -> list[str]:
    """A loop over low … high in blocks, with lines before and after each block."""
    block = [
        f"b = {low} + q * u64({BLOCK})",
        *before,
        f"for {index} in range(b, min(b + u64({BLOCK}), {high})):",
        *("    " + line for line in inner),
        *after,
    ]
    blocks = f"for q in range(({high} - {low} + u64({BLOCK - 1})) // u64({BLOCK})):"
    return [blocks, *("    " + line for line in block)]
