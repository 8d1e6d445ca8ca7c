"""Kernels for rows of two to four elements: the columns are written out, and the one loop left is over the rows.

Everything of a row stays in registers, so there are no stages, no scratch rows and no second reading of memory; the
number of columns is part of the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clearprop.compiler.array_access import Access
from clearprop.compiler.iteration_domains import Statement
from clearprop.compiler.kernel_text import dtype_name, indent_lines, reduced_operand, reduction_start, reduction_step
from clearprop.compiler.kernels import Emitter
from clearprop.compiler.long_sums import block_lines, closing_line
from clearprop.compiler.schedule import is_accumulated
from clearprop.program.ir import Var
from clearprop.shapes import dim_key

COLUMNS = 4
"""Rows of up to so many elements are written out."""


class UnrolledEmitter(Emitter):
    """Writes the kernel of a nest over (rows, columns) for a number of columns that is known."""

    by_rows = False

    def __init__(self, columns: int, *args: Any) -> None:
        super().__init__(*args)
        self.columns, self.column = columns, 0
        self.body: list[str] = []
        self.each: dict[Var, list[str]] = {}

    # ---------------------------------------------------------------------------------------------- indices
    def _outer(self, strides: Sequence[Any]) -> str:
        (s,) = strides
        if dim_key(s) == dim_key(self.nest.domain[-1]):
            return f"i0 * u64({self.columns})"
        return super()._outer(strides)

    def walked(self, text: str) -> str:
        """Indices are written where they are used."""
        return text

    def index(self, strides: Sequence[Any], row: bool) -> str:
        """The flat index at the current column."""
        padded = [*strides, *[0] * (2 - len(strides))]
        outer = self._outer(padded[:1])
        last = 0 if row else padded[1]
        if isinstance(last, int):
            inner = f"u64({last * self.column})" if last * self.column else ""
        else:
            inner = f"u64({self.column}) * {self.parameter('stride', last, 's')}"
        return " + ".join(t for t in (outer, inner) if t) or "0"

    # --------------------------------------------------------------------------------------------- operands
    def value(self, read: Access, op: Statement, stage: int) -> str:
        """A value made in this row if it is at hand, else a load."""
        if read.base in self.each and self._is_forwarded(read, read.base):
            return self.each[read.base][self.column]
        return self.load(read, op)

    def load(self, read: Access, op: Statement) -> str:
        """An element in memory; one that no row changes is loaded before the loop, one of the row once."""
        text = f"{self.array(read.base, read.offset)}[{self.index(read.strides, self.nest.is_row(op))}]"
        if text not in self.loaded:
            self.loaded[text] = self.local(read.base, "r")
            (self.body if "i0" in text else self.head).append(f"{self.loaded[text]} = {text}")
        return self.loaded[text]

    # ----------------------------------------------------------------------------------------------- bodies
    def _target(self, op: Statement, stage: int) -> list[str]:
        return self.body

    def _emit_map(self, op: Statement) -> None:
        row = self.nest.is_row(op)
        names = []
        for column in range(1 if row else self.columns):
            self.column = column
            names.append(self.local(op.out))
            text = self.spelled(op, [self.operand(op, k, 0) for k in range(len(op.reads))])
            self.body.append(f"{names[-1]} = {text}")
            if op.out in self.stored:
                self.stores.append((self.body, f"{self.element(op, row)} = {names[-1]}"))
        self.each[op.out] = names * self.columns if row else names

    def _emit_reduce(self, op: Statement) -> None:
        row = self.nest.is_row(op)
        texts = []
        for column in range(1 if row else self.columns):
            self.column = column
            texts.append(reduced_operand(op, self.operand(op, 0, 0)))
        if is_accumulated(op):
            self._accumulate_all(op, texts)
            return
        name = self.local(op.out, "s")
        total = reduction_start(op)
        for text in texts:
            total = reduction_step(op, total, text)
        self.body.append(f"{name} = {total}")
        self.each[op.out] = [name] * self.columns
        if op.out in self.stored:
            self.stores.append((self.body, f"{self.element(op, True)} = {name}"))

    def _accumulate_all(self, op: Statement, texts: Sequence[str]) -> None:
        """Running totals in registers: one, or one per column that is kept."""
        # Long sums keep a carry beside every total (Kahan 1965), which is why each total may be three registers.
        part = self.parameter("part", self.buffer(op.out), "g", dtype_name(op.out.dtype))
        self.accumulators.append((op.out, op.equation.primitive.facts.reduction))
        kept = 1 in range(len(op.domain)) and 1 not in op.reduced
        totals = [self.local(op.out, "s") for _ in range(len(texts) if kept else 1)]
        for total in totals:
            self.head.append(f"{total} = {reduction_start(op)}")
        running = totals
        if op.out in self.long:
            running = [self.local(op.out, "p") for _ in totals]
            carries = [self.local(op.out, "k") for _ in totals]
            self.head += [f"{carry} = {reduction_start(op)}" for carry in carries]
            self.parts[0] += [(*row, reduction_start(op)) for row in zip(totals, carries, running, strict=True)]
            self.tail += [closing_line(total, carry) for total, carry in zip(totals, carries, strict=True)]
        for k, text in enumerate(texts):
            total = running[k if kept else 0]
            self.body.append(f"{total} = {reduction_step(op, total, text)}")
        self.tail += [f"{part}[{k}] = {total}" for k, total in enumerate(totals)]

    def _lines(self) -> list[str]:
        if not self.parts[0]:
            return [*self.head, "for i0 in range(lo, hi):", *indent_lines(self.body), *self.tail]
        return [*self.head, *block_lines("lo", "hi", "i0", *self._around(self.body)), *self.tail]

    def _around(self, body: list[str]) -> tuple[list[str], list[str], list[str]]:
        starts, sums = self.block_ends(self.parts[0])
        return starts, body, sums
