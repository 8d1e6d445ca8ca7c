"""Binding: numbers for the sizes, addresses for the arrays, rows of the table for every thread."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from clearprop.compiler.address_bounds import require_matrix_inside, require_statement_inside
from clearprop.compiler.array_access import Access, SizeNumber
from clearprop.compiler.batch_loops import batch_loop
from clearprop.compiler.iteration_domains import Statement
from clearprop.compiler.kernel_text import compute_dtype, dtype_name
from clearprop.compiler.kernels import Kernel
from clearprop.compiler.long_sums import long_sums
from clearprop.compiler.memory_plan import Instruction, MemoryPlan
from clearprop.compiler.native import blas, thin_products
from clearprop.compiler.native.library_kernels import add_to, combine_parts, product
from clearprop.compiler.product_layouts import WINDOW_OPERANDS, ProductLayout, product_layouts
from clearprop.compiler.schedule import Nest, steps_of
from clearprop.compiler.simd_rows import LANES
from clearprop.compiler.tiles import (
    CHAIN,
    LOWER,
    VECTOR_BYTES,
    beat_packing,
    pack_panels,
    panel_columns,
    tile_product,
    tile_shape,
)
from clearprop.compiler.unrolled_rows import COLUMNS
from clearprop.errors import too_large
from clearprop.program.ir import Var
from clearprop.program.types import fit_number
from clearprop.shapes import evaluate_size

ALIGN = 64
SPLIT_ELEMENTS = 1 << 14  # elements times operations: below this a nest is done before the other core has begun
SPLIT_PRODUCT = 1 << 17  # multiply-adds
MULTIPLY_ADDS, ELEMENTS = 40, 2  # of a product, of a nest: about so many a thread does in a nanosecond
TWO_THREADS = (1 << 22) / MULTIPLY_ADDS  # nanoseconds of work from which a second thread helps in every step of a loop
UNINTERRUPTED = 50_000_000  # nanoseconds that loops of one step may take where they cannot be paused
SHARES = 2  # of divided work, whatever the number of threads, so that bits do not depend on it
WAKING = 5  # times as much, where it is woken for one call
NARROW = 8  # rows shorter than this are worked on side by side
SMALL_AXIS, SMALL_ARRAY = 8, 512  # arrays of a step with up to so many elements along each axis and in all are small
_WORD = 2**64


SpecialKernel = Callable[["Binding", Statement], None]


@dataclass(frozen=True, eq=False)
class Piece:
    """Scratch memory of a call, of so many bytes; where it lies is known when there is memory."""

    size: int


@dataclass(eq=False)
class KernelCall:
    """One entry of the table for one thread: which kernel, and its row; `addresses` are positions that hold addresses.

    A loop or a branch holds calls of its own, in groups, and says which addresses in them differ from turn to turn.
    Where a call `goes_on`, the next of its thread meets nothing that other threads write meanwhile.
    """

    kernel: Kernel
    row: list[int]
    addresses: list[tuple[int, Any, int]]
    held: list[list[KernelCall]] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    goes_on: bool = False

    def all_calls(self) -> Iterator[KernelCall]:
        """The call itself, and those that it holds."""
        yield self
        for call in itertools.chain(*self.held):
            yield from call.all_calls()


@dataclass(frozen=True)
class Move:
    """An address that differs from turn to turn: the word of a call, and which word of the loop's row it begins at.

    It goes on by so many bytes in each turn, or `alternates` between two places.
    """

    call: KernelCall
    word: int
    begin: int
    stride: int
    alternates: bool


class Binding:
    """A plan with numbers: the calls of every thread, and how the memory between them is laid out.

    It has no memory and no address itself, so that any number of executables may be made of it.
    `special` says, by the name of its kernel, how an operation that is neither a nest nor a matrix product becomes
    calls; it is handed in (`structural_kernels.SPECIAL`), since what stands there is written in terms of a binding.
    Of a step of a loop, `lasting` are the inputs that are the same in all turns; `once` are calls that suffice for all
    of them, and stand before the loop.
    """

    def __init__(
        self,
        plan: MemoryPlan,
        env: Mapping[Any, int],
        threads: int,
        special: Mapping[str, SpecialKernel],
        *,
        step: bool = False,
        pauses: bool = True,
        lasting: Collection[Var] = (),
    ) -> None:
        self.lasting, self.once = lasting, list[KernelCall]()
        self.pauses = pauses and threads == 1  # the driver of two threads knows of no loops that pause
        self.plan, self.env, self.threads, self.special, self.step = plan, env, threads, special, step
        self.under_way: Any = None  # what the next operation may go on with, as its kind knows it
        self.private = False  # whether a product calls the library that has no threads of its own
        self.size = 0  # bytes of memory
        self.layout: dict[Var | Piece, int] = {}
        self._lay_out_temporaries()
        self.calls: list[list[KernelCall | None]] = []
        self.parallel: list[bool] = []
        for instruction in plan.instructions:
            self._require_fitting_sizes(instruction)
            self._instruct(instruction)

    # ------------------------------------------------------------------------------------------- memory
    def number(self, size: Any) -> int:
        """A size's number."""
        return size if type(size) is int else int(evaluate_size(size, self.env))

    def bytes(self, var: Var) -> int:
        """The memory of a variable."""
        return math.prod(self.number(n) for n in var.shape) * int(var.dtype.itemsize)

    def _lay_out_temporaries(self) -> None:
        """Place temporaries so that those alive together do not overlap: first fit, large first.

        Small ones of a step are alive in all of it: kernels that are joined may take their arrays in any order.
        """
        placed: list[tuple[int, int, int, int]] = []
        for var, (first, last) in sorted(self.plan.lifetimes.items(), key=lambda item: -self.bytes(item[0])):
            need = _round_up(max(self.bytes(var), 1))
            if self.step and need <= 8 * SMALL_ARRAY:
                first, last = 0, len(self.plan.instructions)
            at = _first_gap([(a, b) for a, b, f, e in placed if f <= last and first <= e], need)
            placed.append((at, at + need, first, last))
            self.layout[var] = at
            self.size = max(self.size, at + need)

    def overlap(self, a: Var, b: Var) -> bool:
        """Whether two variables share memory."""
        (held, first), (other, second) = ((v, self.layout.get(v)) for v in map(self.plan.buffer, (a, b)))
        if first is None or second is None:
            return held is other
        return first < second + self.bytes(other) and second < first + self.bytes(held)

    def piece(self, size: int) -> Piece:
        """Memory for one call alone."""
        new = Piece(size)
        self.layout[new] = self.size
        self.size += _round_up(size)
        return new

    def allocate(self) -> tuple[np.ndarray[Any, Any], dict[Any, int]]:
        """Memory, all zeros, and where in it everything stands."""
        try:
            memory = np.zeros(self.size + ALIGN, np.uint8)
        except MemoryError as problem:
            raise too_large("a compiled function", problem) from None
        start = _round_up(memory.ctypes.data)
        return memory, {held: start + offset for held, offset in self.layout.items()}

    def _work_of_loops(self) -> int:
        """The work of all turns of the loops."""
        loops = ((eq.params.get("length", 0), plans) for eq, plans in self.plan.held.items())
        return sum(self.number(turns) * sum(map(self._work, plans)) for turns, plans in loops)

    def _work(self, plan: MemoryPlan) -> int:
        """Multiply-adds of the matrix products, and of sums over windows, outside of loops."""
        steps = [i.step for i in plan.instructions if not isinstance(i.step, Nest)]
        products = sum(
            g.batches * g.m * g.n * g.k
            for op in steps
            if op.kind == "product"
            for g in product_layouts(op, self.number)
        )
        windows = (op for op in steps if op.kind != "product" and op.equation.primitive.numba in WINDOW_OPERANDS)
        return products + sum(map(self._window_work, windows))

    def _window_work(self, op: Statement) -> int:
        """Multiply-adds of a sum over windows: every weight is met once at each place of y.

        Where those are few beside what is read, it takes as long as a matrix product of operands of these sizes.
        """
        names, axes = WINDOW_OPERANDS[op.equation.primitive.numba], len(op.equation.params["stride"]) + 2
        shapes = dict(zip(names, (*(r.shape for r in op.reads), op.out.shape), strict=True))
        met = math.prod(map(self.number, (*shapes["y"][:-1], *shapes["w"][-axes:])))
        return max(met, math.isqrt(math.prod(self.number(n) for shape in shapes.values() for n in shape)))

    def needs_two_threads(self, awake: bool) -> bool:
        """Whether a second thread pays: in a loop over steps it is `awake`, in a call by itself it is woken first.

        In a loop the products alone count, since a step without any is bound by memory, which both threads share.
        Programs with loops of their own run on one thread, which can pause in the middle of them, unless each is a
        loop over a batch that the threads can divide, and no longer than a call may take without a pause.
        """
        loops = [batch_loop(eq, plans[0].program) for eq, plans in self.plan.held.items()]
        in_loops = self._work_of_loops()
        if None in loops or in_loops > UNINTERRUPTED * MULTIPLY_ADDS:
            return False
        products = (self._work(self.plan) + in_loops) / MULTIPLY_ADDS
        enough = products >= TWO_THREADS if awake else products + self.elements() / ELEMENTS >= WAKING * TWO_THREADS
        return enough and blas.private_library() is not None

    def elements(self) -> int:
        """The elements that nests compute."""
        nests = [i.step for i in self.plan.instructions if isinstance(i.step, Nest)]
        return sum(math.prod(map(self.number, nest.domain)) * len(nest.ops) for nest in nests)

    # --------------------------------------------------------------------------------------------- calls
    def _require_fitting_sizes(self, instruction: Instruction) -> None:
        """A size used as a number beside a small integer dtype must fit into it, as any Python number."""
        for op in steps_of(instruction.step):
            for k, read in enumerate(op.reads):
                dtype = compute_dtype(op, k) if isinstance(read, Access) and isinstance(read.base, SizeNumber) else None
                if dtype is not None and dtype.kind in "iu":
                    fit_number(op.equation.primitive.name, self.number(read.base.dim), dtype, compares=False)

    def _instruct(self, instruction: Instruction) -> None:
        for op in steps_of(instruction.nest or instruction.step):
            require_statement_inside(op, self.number)
        if isinstance(instruction.step, Nest):
            self._nest(instruction)
        elif instruction.step.kind == "product":
            self._product(instruction.step)
        else:
            self._special(instruction.step)

    def add(self, calls: Sequence[KernelCall | None]) -> None:
        """One instruction: a call per thread, None where a thread has nothing to do."""
        for call in (own for c in calls if c is not None for own in c.all_calls()):
            # a product may write over what a donated input held, as a nest may
            call.addresses = [(at, self.plan.buffer(var), offset) for at, var, offset in call.addresses]
        padded = [*calls, *[None] * (self.threads - len(calls))]
        self.calls.append(padded)
        self.parallel.append(sum(c is not None for c in padded) > 1)

    def shares(self, length: int, worth: bool, step: int = 16) -> list[tuple[int, int]]:
        """The range of an axis for each thread."""
        if self.threads == 1 or not worth or length < 2 * step:
            return [(0, length)]
        middle = -(-length // (2 * step)) * step
        return [(0, middle), (middle, length)]

    def _nest(self, instruction: Instruction) -> None:
        nest, emit = instruction.nest, instruction.emit
        assert nest is not None
        assert emit is not None
        domain = [self.number(n) for n in nest.domain]
        form, columns = "rows", 0
        if len(domain) == 2 and 0 < domain[1] <= COLUMNS <= domain[0]:
            form, columns = "unrolled", domain[1]
        elif len(domain) == 2 and domain[1] < NARROW <= domain[0]:
            form = "lanes"
        kernel = emit(form, columns, long_sums(nest, self.number))
        work = math.prod(domain) * len(instruction.step.ops)
        worth = work >= SPLIT_ELEMENTS and all(how == "sum" for _, how in kernel.accumulators)
        shares = self.shares(domain[0], worth, 16 if len(domain) == 1 else 1) if domain else [(0, 1)]
        parts = self._parts(kernel, len(shares))
        self.add([self._row(kernel, lo, hi, t, parts) for t, (lo, hi) in enumerate(shares)])
        for var, memory in parts.items():
            self.add_parts(var, memory)

    def _parts(self, kernel: Kernel, threads: int) -> dict[Var, list[Piece]]:
        """Where each thread accumulates, if more than one does."""
        if threads == 1:
            return {}
        return {
            self.plan.buffer(v): [self.piece(self.bytes(v)) for _ in range(threads)] for v, _ in kernel.accumulators
        }

    def add_parts(self, var: Var, memory: Sequence[Piece]) -> None:
        """The instruction that makes a sum of its parts, one a thread."""
        count = math.prod(self.number(n) for n in var.shape)
        places = [(at, held, 0) for at, held in enumerate([*memory, var], start=2)]
        self.add([KernelCall(combine_parts(dtype_name(var.dtype)), [0, count] + [0] * len(places), places)])

    def _row(self, kernel: Kernel, lo: int, hi: int, thread: int, parts: Mapping[Var, list[Piece]]) -> KernelCall:
        row, addresses = [lo, hi], list[tuple[int, Any, int]]()
        for p in kernel.parameters:
            if p.kind in ("size", "stride"):
                row.append(self.number(p.what) % _WORD)
                continue
            if p.kind == "number":
                row.append(p.what.word)
                continue
            if p.kind in ("row", "lane"):
                length = self.number(kernel.domain[-1]) if p.kind == "row" else 1
                addresses.append((len(row), self.piece(8 * LANES * length), 0))
            elif p.kind == "carry":
                addresses.append((len(row), self.piece(self.bytes(p.what[1])), 0))
            elif p.kind == "part" and p.what in parts:
                addresses.append((len(row), parts[p.what][thread], 0))
            else:
                addresses.append((len(row), p.what, self.number(p.offset) * p.what.dtype.itemsize))
            row.append(0)
        return KernelCall(kernel, row, addresses)

    def _product(self, op: Statement) -> None:
        if len(op.reads) > 2 and not self._adds_in_tiles(op):
            self._product_and_sum(op)
            return
        for layout in product_layouts(op, self.number):
            for base, offset, sizes, strides in layout.matrices(op):
                require_matrix_inside(base, offset, sizes, strides, self.number)
            if self.step and max(layout.m, layout.n, layout.k) <= SMALL_AXIS:
                for part in layout.single_axis_batches():
                    kernel = thin_products.small(dtype_name(op.out.dtype), part.m, part.n, part.k)
                    self.add([KernelCall(kernel, *part.small_words(op))])
                continue
            if self._thin_product(op, layout) or self._tile_product(op, layout):
                continue
            self.add([self._product_call(op, part) for part in self._split_product(layout)])

    def _adds_in_tiles(self, op: Statement) -> bool:
        """Whether a product to which an array is added is one of tiles, whose sums end before it is."""
        layouts = product_layouts(op, self.number)  # none, where nothing is to be multiplied
        if len(layouts) != 1 or layouts[0].k > CHAIN or layouts[0].thin_form:
            return False
        return _tile_rows(layouts[0], dtype_name(op.out.dtype)) > 0

    def _product_and_sum(self, op: Statement) -> None:
        """The product, then what is added to it."""
        alone = Var(op.out.type)
        self.layout[alone] = self.layout[self.piece(self.bytes(alone))]
        self._product(replace(op, equation=replace(op.equation, outputs=(alone,)), reads=op.reads[:2]))
        count, kind, added = math.prod(map(self.number, op.out.shape)), dtype_name(op.out.dtype), op.reads[2].base
        in_place = self.plan.buffer(op.out) is self.plan.buffer(added)  # then it is one argument: no two may overlap
        kernel, held = (add_to(kind), (alone, op.out)) if in_place else (combine_parts(kind), (added, alone, op.out))
        places = [(at, var, 0) for at, var in enumerate(held, start=2)]
        shares = self.shares(count, count >= SPLIT_ELEMENTS)
        self.add([KernelCall(kernel, [lo, hi, *[0] * len(places)], list(places)) for lo, hi in shares])

    def _product_call(self, op: Statement, g: ProductLayout) -> KernelCall:
        # a pool of threads that is woken and waited for in every product costs more than it saves, and many times as
        # much where other programs want the processors
        private = not g.is_small and blas.private_library() is not None
        self.private |= private
        kernel = product(dtype_name(op.out.dtype), private)
        return KernelCall(kernel, *g.words(op))

    def _tile_product(self, op: Statement, g: ProductLayout) -> bool:
        """Compute a product by tiles held in registers, if that is the faster way; B is packed once for all threads."""
        kind, item, vectors = dtype_name(op.out.dtype), op.out.dtype.itemsize, tile_shape()[1]
        wide = panel_columns(kind, vectors)
        rows = _tile_rows(g, kind)
        if not rows:
            return False
        (a, ao), (b, bo), (c, co) = (
            (v, o * item) for v, o in zip((op.reads[0].base, op.reads[1].base, op.out), g.offsets, strict=True)
        )
        second, step, panel, plus = (b, bo), g.ldb * item, vectors * VECTOR_BYTES, op.reads[2:]
        if g.needs_panels:
            panels, step, panel = -(-g.n // wide), wide * item, g.k * wide * item
            second = self.piece(panels * panel), 0
            ldb, right = (1, g.ldb) if g.tb else (g.ldb, 1)
            shares = self.shares(panels, g.n * g.k >= SPLIT_ELEMENTS, 1)
            places = [(2, b, bo), (5, *second)]
            packing = pack_panels(kind, vectors)
            calls = [KernelCall(packing, [p, q, 0, ldb, right, 0, g.n, g.k], list(places)) for p, q in shares]
            if b in self.lasting:
                self.once += calls
            else:
                self.add(calls)
        products = []
        for lo, hi, first, last in self._tile_shares(g, rows, wide):
            words = g.tile_words(item, step, panel)
            words[8] = last - first
            places = [(2, a, ao), (5, second[0], second[1] + first // wide * panel), (8, c, co + first * item)]
            if plus:
                words += [0, g.n * item]
                places.append((12, plus[0].base, first * item))
            products.append(KernelCall(tile_product(kind, rows, vectors, plus=bool(plus)), [lo, hi, *words], places))
        self.add(products)
        return True

    def _tile_shares(self, g: ProductLayout, rows: int, wide: int) -> list[tuple[int, int, int, int]]:
        """For each thread its rows and columns of a product by tiles."""
        worth = g.m * g.n * g.k >= SPLIT_PRODUCT
        if g.m >= g.n:
            return [(lo, hi, 0, g.n) for lo, hi in self.shares(g.m, worth, rows)]
        return [(0, g.m, lo, hi) for lo, hi in self.shares(g.n, worth, wide)]

    def _thin_product(self, op: Statement, g: ProductLayout) -> bool:
        """Write a product with a very short axis out, if that is the faster way."""
        form = g.thin_form
        if not form:
            return False
        kind, item = dtype_name(op.out.dtype), op.out.dtype.itemsize
        (a, ao), (b, bo), (c, co) = (
            (v, o * item) for v, o in zip((op.reads[0].base, op.reads[1].base, op.out), g.offsets, strict=True)
        )
        shares = self.shares(g.m, g.m * g.n * g.k >= SPLIT_PRODUCT)
        if form == "outer":
            second, ldb = self._in_order(op, (b, bo), g.ldb, g.k, g.n) if g.tb else ((b, bo), g.ldb)
            down, right = (1, g.lda) if g.ta else (g.lda, 1)
            kernel, rest = thin_products.outer(kind, g.k), [0, down, right, 0, ldb, 0, g.ldc, g.n]
            self.add([KernelCall(kernel, [lo, hi, *rest], [(2, a, ao), (5, *second), (7, c, co)]) for lo, hi in shares])
        elif form == "inner":
            row = [0, g.k, 0, g.lda, 0, g.ldb, 0, g.ldc, g.m, 0]
            places = [(2, a, ao), (4, b, bo), (6, c, co), (9, self.piece(g.n * g.m * item), 0)]
            self.add([KernelCall(thin_products.inner(kind, g.n), row, places)])
        elif form == "dots":
            second, ldb = ((b, bo), g.ldb) if g.tb else self._in_order(op, (b, bo), g.ldb, g.n, g.k)
            kernel, rest = thin_products.dots(kind, g.n), [0, g.lda * item, 0, ldb * item, 0, g.ldc * item, g.k]
            self.add([KernelCall(kernel, [lo, hi, *rest], [(2, a, ao), (4, *second), (6, c, co)]) for lo, hi in shares])
        else:
            vectors = tile_shape()[1] if g.m > 2 else 2
            row = [0, g.m, *g.tile_words(item, g.ldb * item, vectors * VECTOR_BYTES)]
            self.add([KernelCall(tile_product(kind, g.m, vectors), row, [(2, a, ao), (5, b, bo), (8, c, co)])])
        return True

    def _in_order(self, op: Statement, matrix: tuple[Any, int], ld: int, rows: int, columns: int) -> tuple[Any, int]:
        """A small matrix transposed: so many rows of it, one after the other; the place, and how far they are apart."""
        scratch = self.piece(rows * columns * op.out.dtype.itemsize), 0
        row, kernel = [0, rows, 0, ld, 0, columns], thin_products.transpose(dtype_name(op.out.dtype))
        self.add([KernelCall(kernel, row, [(2, *matrix), (4, *scratch)])])
        return scratch, columns

    def _split_product(self, g: ProductLayout) -> list[ProductLayout]:
        worth = g.batches * g.m * g.n * g.k >= SPLIT_PRODUCT
        if g.batches > 1:
            return [g.batch_range(lo, hi) for lo, hi in self.shares(g.batches, worth, 1)]
        if g.m >= g.n:
            return [g.rows(lo, hi) for lo, hi in self.shares(g.m, worth)]
        return [g.columns(lo, hi) for lo, hi in self.shares(g.n, worth)]

    def _special(self, op: Statement) -> None:
        p = op.equation.primitive
        self.special[p.facts.control or p.numba](self, op)

    # ---------------------------------------------------------------------------------------------- table
    def thread_calls(self, thread: int) -> Iterator[KernelCall | None]:
        """The calls of one thread, in order."""
        return (calls[thread] for calls in self.calls)


def _tile_rows(g: ProductLayout, kind: str) -> int:
    """Rows of the tiles by which a product is computed the fastest on this processor; 0 where that is BLAS."""
    if not g.is_small and not beat_packing():
        return 0
    rows, vectors = tile_shape()
    for height in (rows, LOWER):
        if g.fits_tiles(height, panel_columns(kind, vectors), panel_columns(kind, 1)):
            return height
    return 0


def _round_up(bytes: int) -> int:
    """The next multiple of a line of the cache."""
    return -(-bytes // ALIGN) * ALIGN


def _first_gap(taken: list[tuple[int, int]], need: int) -> int:
    at = 0
    for start, stop in sorted(taken):
        if start - at >= need:
            return at
        at = max(at, stop)
    return at
