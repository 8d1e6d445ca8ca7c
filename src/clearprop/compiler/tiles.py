"""Matrix products by tiles: kernels whose sums have one order, whatever stands beside an element.

C = A·B with A's elements at any distances, B by rows or packed into panels.  An element of C is the sum, from the first
to the last, of chains of `CHAIN` fused multiply-adds: a row of C has the same bits alone and among others, in any order
of the rows, however they are divided, and whatever the processor's vectors are.  (The products of BLAS take sums in an
order that depends on the number of rows, and with some of its kernels on a row's place.)

The form: `rows` × `vectors` of C are held in registers, and a step over k reads `vectors` vectors of B and one number
per row of A (Goto and van de Geijn 2008, Anatomy of high-performance matrix multiplication,
doi:10.1145/1356052.1356053).
"""

from __future__ import annotations

import functools

from clearprop.compiler.kernels import Kernel, Parameter
from clearprop.compiler.native.loader import processor

VECTOR_BYTES = 64
"""A vector in kernels; where the processor's are shorter, LLVM takes two or four of them for one."""
CHAIN = 256
"""Terms after which a new sum begins, which bounds its error by (CHAIN + k/CHAIN)·ε·Σ|terms|; part of the meaning."""
UNBROKEN = 1 << 40
"""So many are never met: the sums of a convolution are one chain each."""
LOWER = 4
"""Rows of the tiles where with as many as registers hold too many rows would be left over."""
BLOCK = 96
"""Rows of A that meet all panels of B while they are in the nearest caches; a multiple of every tile's height."""
MANY, LONG = 128, 1024
"""From so many rows of A on a B whose rows are so many numbers apart is packed first: what that costs comes back."""
_ITEM = {"f32": 4, "f64": 8}


@functools.cache
def registers_of_vector() -> int:
    """How many registers of this processor hold a vector; those whose registers are shorter have half as many, too."""
    return 1 if "+avx512f" in processor() else 2


def tile_shape() -> tuple[int, int]:
    """Rows and vectors of a tile: as many as this processor's registers hold beside what is multiplied."""
    return (8, 2) if registers_of_vector() == 1 else (6, 1)


def beat_packing() -> bool:
    """Whether tiles are faster than BLAS where that packs both operands first.

    With half as many registers of half the length a tile has fewer rows, and reads too little of what lies side by side
    in a transposed A.
    """
    return registers_of_vector() == 1


def pays_packing(rows: int, apart: int) -> bool:
    """Whether B, with rows so many numbers apart, is better packed into panels for so many rows of A."""
    return rows >= MANY and apart >= LONG


def panel_columns(dtype: str, vectors: int) -> int:
    """Columns of C that a tile of so many vectors is wide."""
    return vectors * VECTOR_BYTES // _ITEM[dtype]


def tile_product(dtype: str, rows: int, vectors: int, *, plus: bool = False, chain: int = CHAIN) -> Kernel:
    """Rows lo … hi of C = A·B, or with `plus` of C = D + A·B, in tiles; all distances in bytes.

    a, down, right   A's first element, from a row to the next, from a column to the next
    b, step, panel   B's first element, from a row to the next, from a panel to the next
    c, below         C's first element, from a row to the next
    n, k             columns of C, terms of a sum; with `plus` not more terms than a chain has
    d, apart         D's first element, from a row to the next
    """
    wide, one = panel_columns(dtype, vectors), panel_columns(dtype, 1)
    text = (
        f"def kernel(lo, hi, a, down, right, b, step, panel, c, below, n, k{', d, apart' if plus else ''}):\n"
        f"    panels = n // u64({wide})\n"
        f"    left = n - panels * u64({wide})\n"
        f"    for z in range((hi - lo + u64({BLOCK - 1})) // u64({BLOCK})):\n"
        f"        top = lo + z * u64({BLOCK})\n"
        f"        end = min(hi, top + u64({BLOCK}))\n"
        f"        tall = (end - top) // u64({rows})\n"
        f"        low = end - top - tall * u64({rows})\n"
        f"        for s in range(max(u64(1), (k + u64({chain - 1})) // u64({chain}))):\n"
        f"            before = s * u64({chain})\n"
        f"            terms = min(k - before, u64({chain}))\n"
        "            x0 = a + before * right\n"
        "            for q in range(panels):\n"
        "                y0 = b + q * panel + before * step\n"
        f"                out = c + q * u64({vectors * VECTOR_BYTES})\n"
        f"{_tiles(dtype, rows, vectors, plus=plus)}"
        f"            for q in range((left + u64({one - 1})) // u64({one})):\n"
        f"                y0 = b + panels * panel + q * u64({VECTOR_BYTES}) + before * step\n"
        f"                out = c + panels * u64({vectors * VECTOR_BYTES}) + q * u64({VECTOR_BYTES})\n"
        f"                columns = min(left - q * u64({one}), u64({one}))\n"
        f"{_tiles(dtype, rows, 1, 'columns', plus=plus)}"
    )
    names = ["a", "down", "right", "b", "step", "panel", "c", "below", "n", "k", *(["d", "apart"] if plus else [])]
    return Kernel(text, [Parameter(name, "size", name) for name in names])


def _tiles(dtype: str, rows: int, vectors: int, columns: str = "", *, plus: bool = False) -> str:
    """The tiles of a block of rows at one panel: the high ones, then a row at a time where no high one fits."""
    part, rest = ("_first", f", {columns}") if columns else ("", "")
    first = f"keep_tile{part}(out + r * below, below, t{rest})"
    if plus:
        first = f"sum_tile{part}(out + r * below, below, t{rest}, d + (out - c) + r * apart, apart)"
    text = ""
    for count, start, height in (("tall", "top", rows), ("low", f"top + tall * u64({rows})", 1)):
        text += (
            f"                for i in range({count}):\n"
            f"                    r = {start} + i * u64({height})\n"
            f"                    t = zero_tile_{dtype}({height}, {vectors})\n"
            f"                    x = x0 + r * down\n"
            f"                    y = y0\n"
            f"                    for p in range(terms):\n"
            f"                        t = add_outer{part}(t, x, down, y{rest})\n"
            f"                        x += right\n"
            f"                        y += step\n"
            f"                    if s == u64(0):\n"
            f"                        {first}\n"
            f"                    else:\n"
            f"                        add_tile{part}(out + r * below, below, t{rest})\n"
        )
    return text


def pack_panels(dtype: str, vectors: int) -> Kernel:
    """Panels lo … hi of B: its columns by so many as a tile is wide, one row after the other.

    `ldb` numbers stand between rows of B, `right` between columns; columns beyond the n that exist stay as they are.
    Where B's columns are what is plain in memory, squares of it are transposed in registers.
    """
    wide, one, item = panel_columns(dtype, vectors), panel_columns(dtype, 1), _ITEM[dtype]
    text = (
        "def kernel(lo, hi, b, ldb, right, out, n, k):\n"
        "    for q in range(lo, hi):\n"
        f"        start, base = q * u64({wide}), q * k * u64({wide})\n"
        f"        many = min(n - start, u64({wide}))\n"
        f"        if right == u64(1) and many == u64({wide}):\n"
        "            for p in range(k):\n"
        f"                for j in range(u64({wide})):\n"
        f"                    out[base + p * u64({wide}) + j] = b[p * ldb + start + j]\n"
        "            continue\n"
        f"        squares = many // u64({one}) if ldb == u64(1) else u64(0)\n"
        f"        turned, low = squares * u64({one}), k - k % u64({one})\n"
        "        for j in range(squares):\n"
        f"            for p in range(k // u64({one})):\n"
        f"                place = base + p * u64({one * wide}) + j * u64({one})\n"
        f"                source = p * u64({one}) + (start + j * u64({one})) * right\n"
        f"                turn_block_{dtype}(\n"
        f"                    address(out) + place * u64({item}), u64({wide * item}),\n"
        f"                    address(b) + source * u64({item}), right * u64({item}),\n"
        "                )\n"
        "        for p in range(k):\n"
        "            for j in range(turned if p < low else u64(0), many):\n"
        f"                out[base + p * u64({wide}) + j] = b[p * ldb + (start + j) * right]\n"
    )
    return Kernel.of(text, f"b:{dtype} ldb:size right:size out:{dtype} n:size k:size")
