"""Matrix products with numbers: which matrices an operation multiplies, and how they lie in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from clearprop.compiler.array_access import Access
from clearprop.compiler.iteration_domains import Statement
from clearprop.compiler.tiles import pays_packing
from clearprop.program.ir import Var

Steps = tuple[int, int, int]
"""Elements from one matrix to the next, in A, B and C."""
Places = list[tuple[int, Any, int]]
"""Words of a row that are addresses: which word, of what, how many bytes behind its begin."""

WINDOW_OPERANDS = {"conv": "xwy", "conv_input": "ywx", "conv_weight": "xyw"}
"""What each sum over windows reads and writes, in the letters of y = conv(x, w), by its native name."""
ALONE = 1 << 18
"""Multiply-adds of a product up to which OpenBLAS does not leave the caller's thread, nor, with some kernels, packs."""
THIN = 1 << 18
"""Multiply-adds up to which a product with a very short axis is written out."""
SHORT, FEW, WIDE = 10, 8, 16
"""Up to so many terms per element, or rows, or columns, a product is thin where another axis is wide."""
NEAR = 512
"""Up to so many columns, few rows are one tile's: it steps from a row of B to the next."""
FEWEST, LONG = 4, 32
"""Up to so many columns of so many terms are dot products: of more, vectors of columns are summed sooner."""
WORTH = 1 << 12
"""Multiply-adds of a product from which on tiles are worth their preparation."""
FAR = 1 << 20
"""Numbers of B from which on it is too far away for tiles, which read it once for every few rows."""
ROW_ALONE, VECTOR_ALONE, FULL = 4, 1.6, 0.9
"""What a single row and a single vector of columns cost, in their like; tiles are worth it if so much is not wasted."""


@dataclass(frozen=True)
class ProductLayout:
    """Products C = A·B of one form: sizes, transposition flags, leading dimensions, offsets in elements.

    There are `batches` in all, in rows of `inner`: `strides` apart within a row, from row to row `outer`.  A share of
    them begins at `first`.
    """

    batches: int
    m: int
    n: int
    k: int
    ta: int
    lda: int
    tb: int
    ldb: int
    ldc: int
    strides: Steps
    offsets: Steps = (0, 0, 0)
    inner: int = 1
    outer: Steps = (0, 0, 0)
    first: int = 0

    def rows(self, lo: int, hi: int) -> ProductLayout:
        """Rows lo … hi of the result."""
        a, b, c = self.offsets
        return replace(self, m=hi - lo, offsets=(a + lo * (1 if self.ta else self.lda), b, c + lo * self.ldc))

    def columns(self, lo: int, hi: int) -> ProductLayout:
        """Columns lo … hi of the result."""
        a, b, c = self.offsets
        return replace(self, n=hi - lo, offsets=(a, b + lo * (self.ldb if self.tb else 1), c + lo))

    def batch_range(self, lo: int, hi: int) -> ProductLayout:
        """Some of the matrices."""
        return replace(self, batches=hi, first=lo)

    def single_axis_batches(self) -> Iterator[ProductLayout]:
        """One row of matrices after the other."""
        for i in range(self.batches // self.inner):
            (a, b, c), (da, db, dc) = self.offsets, self.outer
            yield replace(self, batches=self.inner, offsets=(a + i * da, b + i * db, c + i * dc))

    @property
    def is_small(self) -> bool:
        """Whether BLAS does not leave the caller's thread for it."""
        return self.m * self.n * self.k <= ALONE

    @property
    def thin_form(self) -> str:
        """In which form of `thin_products` this product with a very short axis is the fastest; "" where in none."""
        if self.batches > 1 or not 0 < self.m * self.n * self.k <= THIN:
            return ""
        # which axis is short, and how the operands lie
        if self.k <= SHORT and self.n >= WIDE:
            return "outer"
        if self.n <= FEW and self.ta and not self.tb and self.m >= WIDE:
            return "inner"
        if self.m <= FEW and not self.tb and WIDE <= self.n <= NEAR:
            return "rows"
        return "dots" if self.n <= FEWEST and not self.ta and self.k >= LONG else ""

    def fits_tiles(self, rows: int, wide: int, vector: int) -> bool:
        """Whether tiles of so many rows and columns are faster than BLAS.

        Single rows, and vectors of columns that do not fill a tile, cost several times their share.
        """
        work, right = self.m * self.n * self.k, self.k * self.n
        if self.batches > 1 or work <= WORTH or right > FAR:
            return False
        down = self.m // rows * rows + ROW_ALONE * (self.m % rows)
        across = self.n // wide * wide + VECTOR_ALONE * vector * -(-(self.n % wide) // vector)
        return self.m * self.n >= FULL * down * across

    @property
    def needs_panels(self) -> bool:
        """Whether tiles would step over B in long strides: it is packed into panels first."""
        return bool(self.tb) or pays_packing(self.m, self.ldb)

    def tile_words(self, item: int, step: int, panel: int) -> list[int]:
        """The row of `tiles.tile_product` without its range; B's rows and panels are so many bytes apart."""
        down, right = (1, self.lda) if self.ta else (self.lda, 1)
        return [0, down * item, right * item, 0, step, panel, 0, self.ldc * item, self.n, self.k]

    def matrices(self, op: Statement) -> Iterator[tuple[Var, int, tuple[int, int, int], tuple[int, int]]]:
        """What is reached: array, offset, (matrices, rows, columns) and how far matrices and rows are apart.

        Of several rows of matrices the first and the last, between which all others lie.
        """
        a, b = ((self.k, self.m) if self.ta else (self.m, self.k)), ((self.n, self.k) if self.tb else (self.k, self.n))
        bases = (op.reads[0].base, op.reads[1].base, op.out)
        last = max(self.batches // self.inner - 1, 0)
        for base, at, far, step, size, leading in zip(
            bases, self.offsets, self.strides, self.outer, (a, b, (self.m, self.n)), (self.lda, self.ldb, self.ldc),
            strict=True,
        ):  # fmt: skip
            for row in dict.fromkeys((0, last)):
                yield base, at + row * step, (min(self.inner, self.batches), *size), (far, leading)

    def words(self, op: Statement) -> tuple[list[int], Places]:
        """The row of `library_kernels.product`, and where its addresses are."""
        g = self
        row = [g.first, g.batches, g.ta, g.tb, g.m, g.n, g.k, 0, g.lda, 0, g.ldb, 0, g.ldc]
        return [*row, *g.strides, g.inner, *g.outer], self._places(op, (7, 9, 11))

    def small_words(self, op: Statement) -> tuple[list[int], Places]:
        """The row of `thin_products.small`, and where its addresses are."""
        down, right = (1, self.lda) if self.ta else (self.lda, 1)
        up, along = (1, self.ldb) if self.tb else (self.ldb, 1)
        row = [self.first, self.batches, 0, down, right, 0, up, along, 0, self.ldc, *self.strides]
        return row, self._places(op, (2, 5, 8))

    def _places(self, op: Statement, words: Steps) -> Places:
        held = (op.reads[0].base, op.reads[1].base, op.out)
        item = op.out.dtype.itemsize
        return [(at, var, offset * item) for at, var, offset in zip(words, held, self.offsets, strict=True)]


def product_layouts(op: Statement, number: Callable[[Any], int]) -> list[ProductLayout]:
    """The matrix products that a batched product is: one call where leading axes collapse, else several."""
    a, b = op.reads[:2]
    shape = [number(n) for n in op.out.shape]
    *lead, m, n = shape
    k = number(a.shape[-1])
    ta, lda = _matrix_layout(a, number)
    tb, ldb = _matrix_layout(b, number)
    sa, sb = (_lead_strides(x, lead, number) for x in (a, b))
    base = (number(a.offset), number(b.offset), 0)
    if lead and not any(sb) and not ta and _is_tower(sa, lead, m, lda):
        m, lead = m * math.prod(lead), []
        sa, sb = [], []
    parts, axes = _collapse_lead(lead, sa, sb, m * n)
    (rows, outer), (inner, strides) = axes
    return [
        ProductLayout(
            rows * inner, m, n, k, ta, lda, tb, ldb, n, strides,
            (base[0] + oa, base[1] + ob, base[2] + oc), max(inner, 1), outer,
        )
        for oa, ob, oc in parts
    ]  # fmt: skip


def _matrix_layout(x: Access, number: Callable[[Any], int]) -> tuple[int, int]:
    """Transposition flag and leading dimension of the last two axes."""
    rows, columns = (number(v) for v in x.shape[-2:])
    down, right = (number(v) for v in x.strides[-2:])
    if right == 1 or columns == 1:
        return 0, (down if rows > 1 and down >= columns else columns)
    return 1, (right if right >= rows else rows)


def _lead_strides(x: Access, lead: Sequence[int], number: Callable[[Any], int]) -> list[int]:
    own = [0 if number(n) == 1 else number(s) for n, s in zip(x.shape[:-2], x.strides[:-2], strict=True)]
    return [0] * (len(lead) - len(own)) + own


def _is_tower(strides: Sequence[int], lead: Sequence[int], rows: int, ld: int) -> bool:
    """Whether the matrices stand on each other, so that all rows are one matrix's."""
    expected = rows * ld
    for n, s in zip(reversed(lead), reversed(strides), strict=True):
        if n != 1 and s != expected:
            return False
        expected *= n
    return True


def _collapse_lead(
    lead: Sequence[int], sa: Sequence[int], sb: Sequence[int], area: int
) -> tuple[list[Steps], tuple[tuple[int, Steps], tuple[int, Steps]]]:
    """The last two leading axes are those of one call, after axes that are one were joined; the others are enumerated.

    Both as how many matrices, and how far they are apart.
    """
    axes: list[tuple[int, Steps]] = []
    size = area
    for n, da, db in zip(reversed(lead), reversed(sa), reversed(sb), strict=True):
        steps = (da, db, size)
        size *= n
        if axes and steps == tuple(axes[-1][0] * s for s in axes[-1][1]):
            axes[-1] = axes[-1][0] * n, axes[-1][1]
        elif n != 1:
            axes.append((n, steps))
    single: tuple[int, Steps] = (1, (0, 0, 0))
    inner, outer = [*axes, single, single][:2]
    parts: list[Steps] = [(0, 0, 0)]
    for n, (da, db, dc) in reversed(axes[2:]):
        parts = [(a + i * da, b + i * db, c + i * dc) for a, b, c in parts for i in range(n)]
    return parts, (outer, inner)
