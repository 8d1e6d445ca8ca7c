"""Matrix products with very short axes: written out, they beat a general product's packing and dispatch.

outer   few terms per element: C[i, :] = Σₖ a[i, k]·B[k, :], with the terms spelled out
inner   few columns from many rows: C[:, c] += B[p, c]·A[p, :], kept transposed until the end
rows    few rows: one tile of `tiles.tile_product`
dots    few columns, of rows that lie in order: every element is a dot product, of vectors
small   all axes short, in a loop: one element after the other, its terms in order
"""

from __future__ import annotations

from clearprop.compiler.kernels import Kernel
from clearprop.compiler.tiles import VECTOR_BYTES, panel_columns


def transpose(dtype: str) -> Kernel:
    """out[k, j] = b[j, k] for a small matrix."""
    text = (
        "def kernel(lo, hi, b, ldb, out, n):\n"
        "    for j in range(n):\n"
        "        for k in range(lo, hi):\n"
        "            out[k * n + j] = b[j * ldb + k]\n"
    )
    return Kernel.of(text, f"b:{dtype} ldb:size out:{dtype} n:size")


def outer(dtype: str, terms: int) -> Kernel:
    """Rows lo … hi of a product with `terms` terms per element; `down, right` are A's strides."""
    loads = "".join(f"        a{k} = a[i * down + u64({k}) * right]\n" for k in range(terms))
    sums = [f"{dtype}(0)", *(f"a{k} * b[u64({k}) * ldb + j]" for k in range(terms))]  # as BLAS, which begins at +0
    total = " + ".join(sums)
    text = (
        "def kernel(lo, hi, a, down, right, b, ldb, c, ldc, n):\n"
        "    for i in range(lo, hi):\n"
        f"{loads}"
        "        for j in range(n):\n"
        f"            c[i * ldc + j] = {total}\n"
    )
    return Kernel.of(text, f"a:{dtype} down:size right:size b:{dtype} ldb:size c:{dtype} ldc:size n:size")


def inner(dtype: str, columns: int) -> Kernel:
    """A product with `columns` columns whose left operand is stored transposed: terms lo … hi of every element."""
    each = range(columns)
    loads = "".join(f"        b{c} = b[p * ldb + u64({c})]\n" for c in each)
    adds = "".join(f"            t[u64({c}) * m + i] = t[u64({c}) * m + i] + b{c} * v\n" for c in each)
    stores = "".join(f"        c[i * ldc + u64({k})] = t[u64({k}) * m + i]\n" for k in each)
    text = (
        "def kernel(lo, hi, a, lda, b, ldb, c, ldc, m, t):\n"
        f"    for z in range(m * u64({columns})):\n        t[z] = {dtype}(0)\n"
        "    for p in range(lo, hi):\n"
        f"{loads}"
        "        for i in range(m):\n"
        "            v = a[p * lda + i]\n"
        f"{adds}"
        "    for i in range(m):\n"
        f"{stores}"
    )
    return Kernel.of(text, f"a:{dtype} lda:size b:{dtype} ldb:size c:{dtype} ldc:size m:size t:{dtype}")


def dots(dtype: str, columns: int) -> Kernel:
    """Rows lo … hi of a product with `columns` columns, which lie in order as A's rows do; distances in bytes.

    A sum has a chain for each place of a vector, and then is that of halves: its order depends on nothing else.
    """
    lanes = panel_columns(dtype, 1)
    text = (
        "def kernel(lo, hi, a, lda, b, ldb, c, ldc, k):\n"
        f"    many, left = k // u64({lanes}), k % u64({lanes})\n"
        "    for i in range(lo, hi):\n"
        "        x, y = a + i * lda, b\n"
        f"        t = zero_tile_{dtype}({columns}, 1)\n"
        "        for p in range(many):\n"
        "            t = add_dots(t, y, ldb, x)\n"
        f"            x += u64({VECTOR_BYTES})\n"
        f"            y += u64({VECTOR_BYTES})\n"
        "        if left != u64(0):\n"
        "            t = add_dots_first(t, y, ldb, x, left)\n"
        "        keep_dots(c + i * ldc, t)\n"
    )
    return Kernel.of(text, " ".join(f"{name}:size" for name in ("a", "lda", "b", "ldb", "c", "ldc", "k")))


def small(dtype: str, rows: int, columns: int, terms: int) -> Kernel:
    """Matrices lo … hi of a product of small ones; `down, right` are A's strides, `up, along` B's."""
    text = (
        "def kernel(lo, hi, a, down, right, b, up, along, c, ldc, sa, sb, sc):\n"
        "    for q in range(lo, hi):\n"
        f"        for i in range(u64({rows})):\n"
        f"            for j in range(u64({columns})):\n"
        f"                s = {dtype}(0)\n"
        f"                for k in range(u64({terms})):\n"
        "                    s += a[q * sa + i * down + k * right] * b[q * sb + k * up + j * along]\n"
        "                c[q * sc + i * ldc + j] = s\n"
    )
    words = f"a:{dtype} down:size right:size b:{dtype} up:size along:size c:{dtype} ldc:size sa:size sb:size sc:size"
    return Kernel.of(text, words)
