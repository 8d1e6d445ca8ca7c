"""Kernels for short rows: many rows side by side, so that the loop over rows is the one that vectorises.

What holds one value per row in the plain form holds one per lane here, in a scratch array that stays in the first
cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clearprop.compiler.iteration_domains import Statement
from clearprop.compiler.kernel_text import indent_lines, reduction_start, reduction_step
from clearprop.compiler.kernels import Emitter

LANES = 64
"""Rows that are worked on together."""


class LaneEmitter(Emitter):
    """Writes the kernel of a nest over (rows, columns) with the rows innermost."""

    row_index = f"j * u64({LANES}) + l"
    by_rows = False

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.before: list[list[str]] = [[] for _ in self.inner]
        self.after: list[list[str]] = [[] for _ in self.inner]
        self.scratch = 0

    def walked(self, text: str) -> str:
        """The index of a lane's row, written where it is used."""
        return text.replace("i0", "(b + l)")

    def row_local(self, var: Any, hint: str, dtype: str) -> str:
        """One value per lane."""
        self.scratch += 1
        return f"{self.parameter('lane', ('lane', self.scratch), hint, dtype)}[l]"

    def _total_of_row(self, op: Statement, text: str, stage: int) -> str:
        """One total per lane; rows are too short here for a long sum along them."""
        name = self._register(op, self.starts[stage])
        self.inner[stage].append(f"{name} = {reduction_step(op, name, text)}")
        return name

    def accumulate(self, op: Statement, place: str, text: str, stage: int) -> None:
        """A column's share of these lanes is summed before it goes to memory."""
        if self.nest.is_row(op):
            super().accumulate(op, place, text, stage)
            return
        total = self.local(op.out, "c")
        self.before[stage].append(f"{total} = {reduction_start(op)}")
        self.inner[stage].append(f"{total} = {reduction_step(op, total, text)}")
        self.after[stage] += self.addition(op, place, total)

    def _lines(self) -> list[str]:
        size = self.parameter("size", self.nest.domain[-1], "n")
        body: list[str] = []
        for stage, (rows, starts, inner) in enumerate(zip(self.rows, self.starts, self.inner, strict=True)):
            if rows or starts:
                body += _for_lanes([*rows, *starts])
            if inner:
                starts_of_sums, sums = self.block_ends(self.parts[stage])
                columns = [*starts_of_sums, *self.before[stage], *_for_lanes(inner), *self.after[stage], *sums]
                body += [f"for j in range({size}):", *indent_lines(columns)]
        block = [f"b = lo + q * u64({LANES})", f"w = min(u64({LANES}), hi - b)", *body]
        blocks = f"for q in range((hi - lo + u64({LANES - 1})) // u64({LANES})):"
        return [*self.head, blocks, *indent_lines(block), *self.tail]


def _for_lanes(lines: Sequence[str]) -> list[str]:
    return ["for l in range(w):", *indent_lines(lines)]
