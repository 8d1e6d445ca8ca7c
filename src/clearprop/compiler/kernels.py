"""Kernels: the source of one nest, as loops over flat arrays.

The text depends only on the operations and on which strides are 0, 1 or run-time numbers: layers and programs that
do the same share one compiled kernel.  Parameters are described beside the text, for whoever fills them in.

Assumed of the nest: its stages are right (`schedule`), its axes are merged (`axis_merging`).  Kept: every index is a
sum of loop variables times the strides of an access, and loops run over the domain, so that a kernel touches the
elements that its accesses name and no others; all loads of a row's stage stand before its stores, so that an update
in place reads the old value; a value is converted to the dtype that its operation computes in at every operand, as
NumPy does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from clearprop.compiler.array_access import IOTA, Access, Constant, SizeNumber, contiguous_strides
from clearprop.compiler.iteration_domains import Statement
from clearprop.compiler.kernel_text import (
    CAST,
    cast_text,
    compute_dtype,
    dtype_name,
    enclose_operand,
    indent_lines,
    literal_text,
    reduced_operand,
    reduction_start,
    reduction_step,
    unsigned_text,
    without_dead,
)
from clearprop.compiler.long_sums import block_lines, closing_line, two_sum_lines
from clearprop.compiler.run_time_numbers import run_time_number, takes_numbers
from clearprop.compiler.schedule import Nest, is_accumulated
from clearprop.program.ir import Var
from clearprop.program.types import INT64, DType
from clearprop.shapes import dim_key, size_of


@dataclass(frozen=True)
class Parameter:
    """One argument of a kernel: `kind` is size, stride, number, array, part (an accumulator) or row (a scratch row)."""

    name: str
    kind: str
    what: Any
    dtype: str = ""
    offset: Any = 0


@dataclass
class Kernel:
    """Source text of `def kernel(lo, hi, …)`, what its parameters are, and the domain whose first axis lo … hi cuts."""

    text: str
    parameters: list[Parameter]
    domain: tuple[Any, ...] = ()
    accumulators: list[tuple[Var, str]] = field(default_factory=list)
    shared: bool = False  # whether what it calls may read and write its arrays

    @classmethod
    def of(cls, text: str, words: str, *, shared: bool = False) -> Kernel:
        """A kernel from its text and its parameters as `name:size` or `name:dtype` words."""
        given = (word.split(":") for word in words.split())
        parameters = [Parameter(n, "size", n) if k == "size" else Parameter(n, "array", n, k) for n, k in given]
        return cls(text, parameters, shared=shared)


def is_cheap(op: Statement) -> bool:
    """Whether computing a map again costs less than keeping its value."""
    return op.kind == "map" and is_cheap_text(op.equation.primitive.numba)


def is_cheap_text(text: str) -> bool:
    """Whether an elementwise operation is one of operators and choices alone."""
    calls = set(re.findall(r"([a-z_]\w*)}?\(", text))
    return calls <= {"maximum", "minimum", "abs", "dtype"} and "/" not in text


class Emitter:
    """Writes the kernel of one nest.

    `stored` are the variables that other steps read from memory; `literal` says that every number is to stand in the
    text, for whoever reads it.
    """

    row_index = "j"  # where an element of the row stands in a scratch row
    by_rows = True  # whether the innermost loop goes along a row

    def __init__(
        self,
        nest: Nest,
        stored: set[Var],
        buffer: Callable[[Var], Var],
        name: Callable[[Any, str], str],
        long: frozenset[Var] = frozenset(),
        *,
        literal: bool = False,
    ) -> None:
        self.nest, self.stored, self.buffer, self.name, self.long = nest, stored, buffer, name, long
        self.literal = literal or not takes_numbers(nest, by_rows=self.by_rows)
        self.rank = len(nest.domain)
        self.parameters: dict[Any, Parameter] = {}
        self.values: dict[Var, tuple[str, int, str]] = {}
        self.makers = {op.out: op for op in nest.ops}
        self.overwritten = {buffer(op.out) for op in nest.ops} - set(self.makers)
        stages = max(nest.stage.values(), default=0) + 2
        self.head: list[str] = []
        self.rows: list[list[str]] = [[] for _ in range(stages)]
        self.starts: list[list[str]] = [[] for _ in range(stages)]
        self.inner: list[list[str]] = [[] for _ in range(stages)]
        self.tail: list[str] = []
        self.parts: list[list[tuple[str, str, str, str]]] = [[] for _ in range(stages)]  # of long sums in registers
        self.loaded: dict[str, str] = {}
        self.walks: dict[Any, str] = {}
        self.buffered: dict[Var, str] = {}
        self.accumulators: list[tuple[Var, str]] = []
        self.stores: list[tuple[list[str], str]] = []  # after all loads: an update in place reads the old value

    # ------------------------------------------------------------------------------------------ parameters
    def parameter(self, kind: str, what: Any, hint: str, dtype: str = "", offset: Any = 0) -> str:
        """The formal name for something given from outside."""
        key = (
            kind,
            what if isinstance(what, Var) else dim_key(what) if kind in ("size", "stride") else what,
            dim_key(offset),
        )
        if key not in self.parameters:
            self.parameters[key] = Parameter(
                self.name(what if isinstance(what, Var) else None, hint), kind, what, dtype, offset
            )
        return self.parameters[key].name

    def local(self, var: Any, hint: str = "t") -> str:
        """A fresh local name."""
        return self.name(var, hint)

    # ---------------------------------------------------------------------------------------------- indices
    def _outer(self, strides: Sequence[Any]) -> str:
        """The part of an index that is fixed along a row, computed once per row."""
        terms = []
        for k, s in enumerate(strides):
            if isinstance(s, int) and s == 0:
                continue
            terms.append(f"i{k}" if isinstance(s, int) and s == 1 else f"i{k} * {self.parameter('stride', s, 's')}")
        return self.walked(" + ".join(terms)) if terms else ""

    def walked(self, text: str) -> str:
        """The name of an index that is computed at the start of a row."""
        if text not in self.walks:
            simple = "*" not in text and "+" not in text
            self.walks[text] = text if simple else self.local(None, "o")
            if not simple:
                self.rows[0].insert(0, f"{self.walks[text]} = {text}")
        return self.walks[text]

    def row_local(self, var: Any, hint: str, dtype: str) -> str:
        """A place for a value of the row: what an assignment writes and later code reads."""
        return self.local(var, hint)

    def index(self, strides: Sequence[Any], row: bool) -> str:
        """The flat index for an access over the domain's axes (or over the row's)."""
        strides = list(strides) + [0] * (self.rank - len(strides)) if row or len(strides) < self.rank else list(strides)
        outer = self._outer(strides[:-1]) if self.rank > 1 else ""
        last = strides[-1] if strides else 0
        terms = [outer] if outer else []
        if not row and not (isinstance(last, int) and last == 0):
            terms.append("j" if isinstance(last, int) and last == 1 else f"j * {self.parameter('stride', last, 's')}")
        return " + ".join(terms) or "0"

    # -------------------------------------------------------------------------------------------- operands
    def operand(self, op: Statement, position: int, stage: int) -> str:
        """The text of an operand, in the dtype that the operation computes in."""
        read = op.reads[position]
        wanted = compute_dtype(op, position)
        if not isinstance(read, Access):
            return self.number(op, position, read, wanted)
        if isinstance(read.base, Constant):
            return self.number(op, position, read.base.value, wanted or read.base.dtype)
        if isinstance(read.base, SizeNumber):
            return cast_text(self.parameter("size", read.base.dim, "size"), INT64, wanted)
        if read.base == IOTA:
            return cast_text(self._iota(read, op), INT64, wanted)
        text = self.value(read, op, stage)
        return cast_text(text, read.base.dtype, wanted)

    def number(self, op: Statement, position: int, value: Any, dtype: DType | None) -> str:
        """A number: given at run time if it may be, else in the text."""
        given = None if self.literal else run_time_number(op, position, value, dtype)
        if given is None:
            return literal_text(value, dtype)
        return self.parameter("number", given, "c", dtype_name(given.dtype))

    def _iota(self, read: Access, op: Statement) -> str:
        row = self.nest.is_row(op)
        text = self.index(read.strides, row)
        if dim_key(read.offset) != 0:
            text = f"{text} + {self.parameter('stride', read.offset, 's')}"
        return f"i64({text})"

    def value(self, read: Access, op: Statement, stage: int) -> str:
        """A value made in this nest if it is at hand, else a load."""
        base = read.base
        if base in self.values and self._is_forwarded(read, base):
            text, made, level = self.values[base]
            if level == "row" or made == stage or level == "buffer":
                return text
            return self.later(base, stage)
        return self.load(read, op)

    def _is_forwarded(self, read: Access, base: Var) -> bool:
        kept = self.makers[base].write_key
        walk, offset = read.key
        return bool(offset == 0 and walk == kept + (0,) * (len(walk) - len(kept)))

    def load(self, read: Access, op: Statement) -> str:
        """An element of an array in memory; what is fixed along a row is loaded once."""
        # where the load may stand: before all loops if nothing in its index moves, at the start of a row if only the
        # last axis does not move it, else where it is used (LLVM merges equal ones)
        array = self.array(read.base, read.offset)
        row = self.nest.is_row(op)
        text = f"{array}[{self.index(read.strides, row)}]"
        fixed = (
            self.rank > 0 and (self.rank == 1 or not row) and _is_zero(read.strides[-1:] or (0,))
            if not row
            else self.rank > 1
        )
        if not fixed and self.rank:
            return text
        if text not in self.loaded:
            if self.rank < 2 or _is_zero(read.strides):
                name, target = self.local(read.base, "r"), self.head
            else:
                name, target = self.row_local(read.base, "r", dtype_name(read.base.dtype)), self.rows[0]
            self.loaded[text] = name
            target.append(f"{name} = {text}")
        return self.loaded[text]

    def array(self, base: Var, offset: Any = 0) -> str:
        """The parameter of an array in memory."""
        held = self.buffer(base)
        return self.parameter("array", held, "a", dtype_name(base.dtype), offset)

    def element(self, op: Statement, row: bool) -> str:
        """Where in memory an operation writes."""
        return f"{self.array(op.out, op.offset)}[{self.index(op.write, row)}]"

    def later(self, base: Var, stage: int) -> str:
        """A full value that a later stage of the same row needs: in memory, computed again, or kept in a row."""
        # cheapest first: memory that is written anyway and still in the first cache; a few operations once more; a
        # scratch row as long as the last axis
        op = self.makers[base]
        if base in self.stored:
            return self.element(op, False)
        again = self.again(op, stage, 3)
        if again is not None:
            return again
        if base not in self.buffered:
            kind = dtype_name(base.dtype)
            row = self.parameter("row", ("row", len(self.buffered), kind), "row", kind)
            self.buffered[base] = f"{row}[{self.row_index}]"
            text, made, _ = self.values[base]
            self.inner[made].append(f"{self.buffered[base]} = {text}")
            self.values[base] = (self.buffered[base], made, "buffer")
        return self.buffered[base]

    def again(self, op: Statement, stage: int, depth: int) -> str | None:
        """The text that computes a cheap value once more in a later stage."""
        if not is_cheap(op) or depth == 0:
            return None
        texts = []
        for k, read in enumerate(op.reads):
            made = read.base if isinstance(read, Access) and isinstance(read.base, Var) else None
            if made in self.overwritten:
                return None  # an update in place of this row may have changed it since
            if (
                made in self.values
                and self._is_forwarded(read, made)
                and self.values[made][2] == "full"
                and made not in self.stored
            ):
                text = self.again(self.makers[made], stage, depth - 1)
                if text is None:
                    return None
                texts.append(cast_text(text, made.dtype, compute_dtype(op, k)))
            else:
                texts.append(self.operand(op, k, stage))
        return "(" + self.spelled(op, texts) + ")"

    # ---------------------------------------------------------------------------------------------- bodies
    def spelled(self, op: Statement, texts: Sequence[str]) -> str:
        """The primitive's scalar spelling with its operands."""
        p = op.equation.primitive
        if p.kind != "elementwise":
            return texts[0]  # a structural equation that has to copy
        own = op.out.dtype
        if p.facts.modular and own == INT64:  # signed overflow is undefined in LLVM, as in C; unsigned wraps
            texts = list(map(unsigned_text, texts))
        names = dict(zip(p.operands, map(enclose_operand, texts), strict=True))
        params = {k: (CAST[v.name] if hasattr(v, "name") else v) for k, v in op.equation.params.items()}
        text = p.numba.format(**names, **params)
        # Numba computes small integers in 64 bits: what is not stored between two operations must wrap as if it were
        small = own.kind in "iub" and own.itemsize < 8 and not (p.facts.converts or p.dtype_rule == "bool")
        wraps = small or (p.facts.modular and own == INT64)
        return f"{dtype_name(own)}({text})" if wraps else text

    def emit(self) -> Kernel:
        """The whole kernel."""
        for op in self.nest.ops:
            if op.kind == "map":
                self._emit_map(op)
            else:
                self._emit_reduce(op)
        for target, store in self.stores:
            target.append(store)
        lines = without_dead(self._lines())
        names = ", ".join(["lo", "hi", *(p.name for p in self.parameters.values())])
        text = f"def kernel({names}):\n" + "\n".join("    " + line for line in lines or ["pass"]) + "\n"
        return Kernel(text, list(self.parameters.values()), self.nest.domain, self.accumulators)

    def _target(self, op: Statement, stage: int) -> list[str]:
        if self.rank == 0:
            return self.head
        return self.rows[stage] if self.nest.is_row(op) and self.rank > 1 else self.inner[stage]

    def _emit_map(self, op: Statement) -> None:
        stage = self.nest.stage[op]
        text = self.spelled(op, [self.operand(op, k, stage) for k in range(len(op.reads))])
        row = self.nest.is_row(op) or self.rank == 0
        in_row = row and self.rank > 1
        name = self.row_local(op.out, "t", dtype_name(op.out.dtype)) if in_row else self.local(op.out)
        target = self._target(op, stage)
        target.append(f"{name} = {text}")
        self.values[op.out] = (name, stage, "row" if row else "full")
        if op.out in self.stored:
            self.stores.append((target, f"{self.element(op, row)} = {name}"))

    def _emit_reduce(self, op: Statement) -> None:
        stage = self.nest.stage[op]
        text = reduced_operand(op, self.operand(op, 0, stage))
        if not op.domain:
            self._finish_scalar(op, text)
        elif is_accumulated(op):
            self._emit_accumulation(op, text, stage)
        else:
            name = self._total_of_row(op, text, stage)
            self.values[op.out] = (name, stage + 1, "row")
            if op.out in self.stored:
                self.rows[stage + 1].append(f"{self.element(op, True)} = {name}")

    def _finish_scalar(self, op: Statement, text: str) -> None:
        name = self.local(op.out)
        self.head.append(f"{name} = {text}")
        self.values[op.out] = (name, 0, "row")
        if op.out in self.stored:
            self.head.append(f"{self.array(op.out)}[0] = {name}")

    def _register(self, op: Statement, where: list[str]) -> str:
        """A running total, begun in the head or at the start of each row."""
        in_head = where is self.head
        name = self.local(op.out, "s") if in_head else self.row_local(op.out, "s", dtype_name(op.out.dtype))
        where.append(f"{name} = {reduction_start(op)}")
        return name

    def _total_of_row(self, op: Statement, text: str, stage: int) -> str:
        """A running total of a row, known when its loop has ended."""
        name = self._register(op, self.starts[stage])
        if op.out in self.long:
            carry = self._add_to_block(op, name, text, self.starts[stage], stage)
            self.rows[stage + 1].append(closing_line(name, carry))
        else:
            self.inner[stage].append(f"{name} = {reduction_step(op, name, text)}")
        return name

    def _add_to_block(self, op: Statement, total: str, text: str, where: list[str], stage: int) -> str:
        """Add to the part of a long sum that belongs to a block; the name of what the total carries along."""
        carry, part = self.local(op.out, "k"), self.local(op.out, "p")
        where.append(f"{carry} = {reduction_start(op)}")
        self.parts[stage].append((total, carry, part, reduction_start(op)))
        self.inner[stage].append(f"{part} = {reduction_step(op, part, text)}")
        return carry

    def _add_per_row(self, op: Statement, total: str, text: str, target: list[str]) -> str:
        """Add one number per row to a long sum in a register; the name of what it carries along."""
        carry, new = self.local(op.out, "k"), self.local(op.out, "x")
        self.head.append(f"{carry} = {reduction_start(op)}")
        target += [f"{new} = {text}", *two_sum_lines(total, carry, new, lambda: self.local(None, "e"))]
        return carry

    def _emit_accumulation(self, op: Statement, text: str, stage: int) -> None:
        """A reduction over an outer axis: into a local number if nothing is kept, else into memory."""
        # `part` and not `array` where the first axis is reduced: that is the axis that threads divide, and each needs
        # an accumulator of its own, which are combined in a fixed order afterwards
        row = self.nest.is_row(op)
        kept = [k for k in range(len(op.domain)) if k not in op.reduced]
        last = len(op.domain) - 1
        target = self._target(op, stage)
        part = self.parameter(
            "part" if 0 in op.reduced else "array", self.buffer(op.out), "g", dtype_name(op.out.dtype)
        )
        if 0 in op.reduced:
            self.accumulators.append((op.out, op.equation.primitive.facts.reduction))
        if not kept:
            total = self._register(op, self.head)
            if op.out not in self.long:
                target.append(f"{total} = {reduction_step(op, total, text)}")
            elif target is self.inner[stage]:
                self.tail.append(closing_line(total, self._add_to_block(op, total, text, self.head, stage)))
            else:
                self.tail.append(closing_line(total, self._add_per_row(op, total, text, target)))
            self.tail.append(f"{part}[0] = {total}")
            return
        strides = self._kept_strides(op, kept)
        self._zero(op, part, kept)
        if last in op.reduced and not row and self.rank > 1:
            name = self._total_of_row(op, text, stage)
            self.rows[stage + 1] += self.addition(op, f"{part}[{self.index(strides, True)}]", name)
        else:
            self.accumulate(op, f"{part}[{self.index(strides, row)}]", text, stage)

    def accumulate(self, op: Statement, place: str, text: str, stage: int) -> None:
        """Add to an element of an accumulator in memory."""
        self._target(op, stage).extend(self.addition(op, place, text))

    def addition(self, op: Statement, place: str, text: str) -> list[str]:
        """The lines that add to an element of an accumulator in memory."""
        if op.out not in self.long:
            return [f"{place} = {reduction_step(op, place, text)}"]
        new = self.local(None, "x")
        carry = f"{self._carries(op)}[{place.split('[', 1)[1]}"
        return [f"{new} = {text}", *two_sum_lines(place, carry, new, lambda: self.local(None, "e"))]

    def _carries(self, op: Statement) -> str:
        """The array of what the elements of a long sum carry along."""
        return self.parameter("carry", ("carry", op.out), "k", dtype_name(op.out.dtype))

    def _kept_strides(self, op: Statement, kept: Sequence[int]) -> list[Any]:
        own = contiguous_strides([op.domain[k] for k in kept])
        strides: list[Any] = [0] * len(op.domain)
        for k, s in zip(kept, own, strict=True):
            strides[k] = s
        return strides

    def _zero(self, op: Statement, part: str, kept: Sequence[int]) -> None:
        """Set the accumulator's elements that this call adds to."""
        size = self.parameter("size", size_of([op.domain[k] for k in kept if k]), "m")
        bound = f"lo * {size}, hi * {size}" if 0 in kept else size
        self.head += [f"for z in range({bound}):", f"    {part}[z] = {reduction_start(op)}"]
        if op.out in self.long:
            carries = self._carries(op)
            self.head.append(f"    {carries}[z] = {reduction_start(op)}")
            self.tail += [f"for z in range({bound}):", f"    {closing_line(f'{part}[z]', f'{carries}[z]')}"]

    def _inner_loop(self, stage: int, low: str, high: str) -> list[str]:
        """The loop of a stage over a row; in blocks, where it holds long sums."""
        inner, parts = self.inner[stage], self.parts[stage]
        if not parts:
            return [f"for j in range({low}, {high}):" if low else f"for j in range({high}):", *indent_lines(inner)]
        starts, sums = self.block_ends(parts)
        return block_lines(low or "u64(0)", high, "j", starts, inner, sums)

    def block_ends(self, parts: Sequence[tuple[str, str, str, str]]) -> tuple[list[str], list[str]]:
        """The lines with which long sums begin and end a block."""
        starts = [f"{part} = {start}" for _, _, part, start in parts]
        new = lambda: self.local(None, "e")  # noqa: E731 - a name is all
        return starts, [line for t, c, part, _ in parts for line in two_sum_lines(t, c, part, new)]

    def _lines(self) -> list[str]:
        """The loops, from the inside out: a row's stages one after the other, then one loop per outer axis."""
        if self.rank == 0:
            return self.head
        if self.rank == 1:
            return [*self.head, *self._inner_loop(0, "lo", "hi"), *self.tail]
        body: list[str] = []
        size = self.parameter("size", self.nest.domain[-1], "n")
        for stage, (rows, starts, inner) in enumerate(zip(self.rows, self.starts, self.inner, strict=True)):
            body += rows + starts
            if inner:
                body += self._inner_loop(stage, "", size)
        for k in range(self.rank - 2, -1, -1):
            bound = "lo, hi" if k == 0 else self.parameter("size", self.nest.domain[k], "n")
            body = [f"for i{k} in range({bound}):", *indent_lines(body)]
        return [*self.head, *body, *self.tail]


def _is_zero(strides: Sequence[Any]) -> bool:
    return all(isinstance(s, int) and s == 0 for s in strides)
