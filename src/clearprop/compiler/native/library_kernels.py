"""Kernels that are not nests: matrix products, gathering rows, combining parts, random bits."""

from __future__ import annotations

from clearprop.compiler.kernels import Kernel, Parameter
from clearprop.rules.checking import ROUNDING
from clearprop.rules.random import BLOCKS, PARITY, ROTATIONS, STREAM_BITS, STREAM_FOLD


def _sum(dtype: str, a: str, b: str) -> str:
    """a + b in the order written; integers wrap, where Numba's signed + would be undefined."""
    return f"{a} + {b}" if dtype in ("f32", "f64") else f"{dtype}(u64({a}) + u64({b}))"


def product(dtype: str, private: bool = False) -> Kernel:
    """C = A·B for matrices lo … hi, row-major, operands transposed by flag.

    They stand in rows of `inner`, sa, sb, sc elements apart, from row to row ra, rb, rc.  The `private` library has no
    threads of its own.
    """
    call = ("private_" if private else "") + ("sgemm" if dtype == "f32" else "dgemm")
    item = 4 if dtype == "f32" else 8
    text = (
        "def kernel(lo, hi, ta, tb, m, n, k, a, lda, b, ldb, c, ldc, sa, sb, sc, inner, ra, rb, rc):\n"
        "    for q in range(lo, hi):\n"
        "        r = q // inner\n"
        "        i = q - r * inner\n"
        f"        at, bt = a + (r * ra + i * sa) * u64({item}), b + (r * rb + i * sb) * u64({item})\n"
        f"        ct = c + (r * rc + i * sc) * u64({item})\n"
        f"        {call}(ta, tb, m, n, k, at, lda, bt, ldb, ct, ldc)\n"
    )
    names = ["ta", "tb", "m", "n", "k", "a", "lda", "b", "ldb", "c", "ldc", "sa", "sb", "sc"]
    names += ["inner", "ra", "rb", "rc"]
    return Kernel(text, [Parameter(n, "size", n) for n in names])


def gather(dtype: str) -> Kernel:
    """Rows of the data at shuffled indices: out[i] = source[index[step·batch + i]]."""
    text = (
        "def kernel(lo, hi, out, source, index, n, batch, cursor):\n"
        "    start = u64(cursor[0]) * batch\n"
        "    for i in range(lo, hi):\n"
        "        q = u64(index[start + i]) * n\n"
        "        for j in range(n):\n"
        "            out[i * n + j] = source[q + j]\n"
    )
    return Kernel.of(text, f"out:{dtype} source:{dtype} index:i64 n:size batch:size cursor:i64")


def collect(dtype: str) -> Kernel:
    """Keep a step's scalar: out[step] = value."""
    text = "def kernel(lo, hi, out, value, cursor):\n    out[u64(cursor[0])] = value[0]\n"
    return Kernel.of(text, f"out:{dtype} value:{dtype} cursor:i64")


def combine_parts(dtype: str) -> Kernel:
    """The sum of the two threads' parts, in a fixed order."""
    text = (
        f"def kernel(lo, hi, a, b, out):\n    for z in range(lo, hi):\n        out[z] = {_sum(dtype, 'a[z]', 'b[z]')}\n"
    )
    return Kernel.of(text, f"a:{dtype} b:{dtype} out:{dtype}")


def add_to(dtype: str) -> Kernel:
    """out + a, in the place of out."""
    total = _sum(dtype, "out[z]", "a[z]")
    text = f"def kernel(lo, hi, a, out):\n    for z in range(lo, hi):\n        out[z] = {total}\n"
    return Kernel.of(text, f"a:{dtype} out:{dtype}")


def fill_zeros(dtype: str) -> Kernel:
    """out = 0."""
    return Kernel.of(
        f"def kernel(lo, hi, out):\n    for z in range(lo, hi):\n        out[z] = {dtype}(0)\n", f"out:{dtype}"
    )


def copy_rows(dtype: str) -> Kernel:
    """Rows of `width` elements, plain in the source, `step` apart in the result."""
    text = (
        "def kernel(lo, hi, source, out, width, step):\n"
        "    for i in range(lo, hi):\n"
        "        for j in range(width):\n"
        "            out[i * step + j] = source[i * width + j]\n"
    )
    return Kernel.of(text, f"source:{dtype} out:{dtype} width:size step:size")


def scatter(dtype: str, rank: int, unit: bool = False) -> Kernel:
    """A plain array of `rank` axes written with strides; `unit`: the last one is 1, so that whole rows are copied."""
    sizes, strides = [f"n{k}" for k in range(1, rank)], [f"s{k}" for k in range(rank)]
    names = ["source", "out", *sizes, *strides]
    lines = [f"def kernel(lo, hi, {', '.join(names)}):", "    at = u64(0)"]
    bounds = ["lo, hi", *sizes]
    lines += ["    " * (k + 1) + f"for i{k} in range({bound}):" for k, bound in enumerate(bounds)]
    steps = [f"i{k} * s{k}" for k in range(rank)]
    place = " + ".join([*steps[:-1], f"i{rank - 1}"] if unit else steps) or "0"
    pad = "    " * (max(rank, 1) + 1)
    lines += [f"{pad}out[{place}] = source[at]", f"{pad}at += u64(1)"]
    words = [f"source:{dtype}", f"out:{dtype}", *(f"{n}:size" for n in sizes + strides)]
    return Kernel.of("\n".join(lines) + "\n", " ".join(words))


def _indexing_kernel(body: str, dtype: str, index: str, loop: str) -> Kernel:
    """Loops over L, the indices and T; a negative index counts from the end, an impossible one is reported."""
    text = (
        "def kernel(lo, hi, x, indices, out, n, width, many, status):\n"
        "    for o in range(lo, hi):\n"
        "        for k in range(many):\n" + loop + body
    )
    return Kernel.of(text, f"x:{dtype} indices:{index} out:{dtype} n:size width:size many:size status:i64")


def _index_check(read: str, pad: str) -> str:
    return (
        f"{pad}q = i64({read})\n{pad}if q < 0:\n{pad}    q += i64(n)\n"
        f"{pad}if q < 0 or q >= i64(n):\n{pad}    status[0] = 1\n{pad}    continue\n{pad}p = u64(q)\n"
    )


_ROW = " " * 12
_ENTRY = " " * 16
_INNER = "            for t in range(width):\n"


def take(dtype: str, index: str) -> Kernel:
    """out[o, k, t] = x[o, indices[k], t]."""
    body = _INNER + _ENTRY + "out[(o * many + k) * width + t] = x[(o * n + p) * width + t]\n"
    return _indexing_kernel(body, dtype, index, _index_check("indices[k]", _ROW))


def take_transposed(dtype: str, index: str) -> Kernel:
    """out[o, indices[k], t] += x[o, k, t]."""
    at = "out[(o * n + p) * width + t]"
    body = _INNER + _ENTRY + f"{at} = {_sum(dtype, at, 'x[(o * many + k) * width + t]')}\n"
    return _indexing_kernel(body, dtype, index, _index_check("indices[k]", _ROW))


def take_along(dtype: str, index: str) -> Kernel:
    """out[o, k, t] = x[o, indices[o, k, t], t]."""
    here = "(o * many + k) * width + t"
    body = _ENTRY + f"out[{here}] = x[(o * n + p) * width + t]\n"
    return _indexing_kernel(body, dtype, index, _INNER + _index_check(f"indices[{here}]", _ENTRY))


def along_transposed(dtype: str, index: str) -> Kernel:
    """out[o, indices[o, k, t], t] += x[o, k, t]."""
    here, at = "(o * many + k) * width + t", "out[(o * n + p) * width + t]"
    body = _ENTRY + f"{at} = {_sum(dtype, at, f'x[{here}]')}\n"
    return _indexing_kernel(body, dtype, index, _INNER + _index_check(f"indices[{here}]", _ENTRY))


def last_writer(index: str) -> Kernel:
    """out[o, indices[o, k]] = k + 1, in order."""
    body = _ROW + "out[o * n + p] = i64(k) + i64(1)\n"
    return _indexing_kernel(body, "i64", index, _index_check("indices[o * many + k]", _ROW))


def require_range(dtype: str) -> Kernel:
    """A copy; an element outside low … high is reported."""
    number = "f64" if dtype in ("f32", "f64") else "i64"
    text = (
        "def kernel(lo, hi, x, out, low, high, status):\n"
        "    for i in range(lo, hi):\n"
        "        out[i] = x[i]\n"
        f"        v = {number}(x[i])\n"
        f"        if not (v >= {number}(i64(low)) and v <= {number}(i64(high))):\n            status[0] = 2\n"
    )
    return Kernel.of(text, f"x:{dtype} out:{dtype} low:size high:size status:i64")


def require_probabilities(dtype: str) -> Kernel:
    """A copy of rows of n; a row with a number below 0, or whose sum is not 1 but for rounding, is reported."""
    text = (
        "def kernel(lo, hi, x, out, n, status):\n"
        "    for i in range(lo, hi):\n"
        "        total = f64(0)\n"
        "        for j in range(n):\n"
        "            v = f64(x[i * n + j])\n"
        "            out[i * n + j] = x[i * n + j]\n"
        "            total = total + v\n"
        "            if not v >= f64(0):\n                status[0] = 2\n"
        f"        if not abs(total - f64(1)) <= f64({ROUNDING}):\n            status[0] = 2\n"
    )
    return Kernel.of(text, f"x:{dtype} out:{dtype} n:size status:i64")


def cumulative_sum(dtype: str) -> Kernel:
    """Running sums along the middle of L, n, T."""
    text = (
        "def kernel(lo, hi, x, out, n, width):\n"
        "    for o in range(lo, hi):\n"
        "        for t in range(width):\n"
        f"            total = {dtype}({'-0.0' if dtype in ('f32', 'f64') else 0})\n"
        "            for k in range(n):\n"
        f"                total = {_sum(dtype, 'total', 'x[(o * n + k) * width + t]')}\n"
        "                out[(o * n + k) * width + t] = total\n"
    )
    return Kernel.of(text, f"x:{dtype} out:{dtype} n:size width:size")


def index_of_extreme(dtype: str, order: str) -> Kernel:
    """The first index of the extreme along the middle of L, n, T; NaN is more extreme than any number."""
    text = (
        "def kernel(lo, hi, x, out, n, width):\n"
        "    for o in range(lo, hi):\n"
        "        for t in range(width):\n"
        "            best = x[o * n * width + t]\n"
        "            at = u64(0)\n"
        "            for k in range(n):\n"
        "                v = x[(o * n + k) * width + t]\n"
        f"                if v {order} best or (v != v and best == best):\n"
        "                    best = v\n"
        "                    at = u64(k)\n"
        "            out[o * width + t] = i64(at)\n"
    )
    return Kernel.of(text, f"x:{dtype} out:i64 n:size width:size")


def _rounds(indent: str) -> str:
    lines = []
    keys = ("k0", "k1", "k2")
    for block in range(BLOCKS):
        for r in ROTATIONS[block % 2]:
            lines.append("x = u32(x + y)")
            lines.append(f"y = u32(u32(u32(y << u32({r})) | u32(y >> u32({32 - r}))) ^ x)")
        lines.append(f"x = u32(x + {keys[(block + 1) % 3]})")
        lines.append(f"y = u32(u32(y + {keys[(block + 2) % 3]}) + u32({block + 1}))")
    return "".join(f"{indent}{line}\n" for line in lines)


_KEY_WORDS = f"    k0 = key[0]\n    k1 = key[1]\n    k2 = u32(u32(k0 ^ k1) ^ u32({PARITY}))\n"


def random_bits() -> Kernel:
    """Threefry-2x32-20 of the counters 0 … h−1: word 0 to the first half, word 1 to the second."""
    text = (
        "def kernel(lo, hi, key, out, total, half):\n"
        f"{_KEY_WORDS}"
        "    for c in range(lo, hi):\n"
        f"        x = u32(u32(c) + k0)\n        y = u32(u32({STREAM_BITS}) + k1)\n"
        f"{_rounds('        ')}"
        "        out[c] = x\n"
        "        if half + c < total:\n            out[half + c] = y\n"
    )
    return Kernel.of(text, "key:u32 out:u32 total:size half:size")


def random_order() -> Kernel:
    """The rows in the order of their keys of 64 bits: word 0 of a row's counter above word 1 (`random.permutation`).

    The key of the generator belongs to the numbers of `path` under `key`, one after the other.  Random keys are spread
    evenly, so each is put at once into one of about as many ranges (its highest bits) as there are keys; within a range
    few are left to be compared, and equal ones stay as they came.  What is moved is a word of a key's high bits, with
    the row's number in the last `digits`: where high bits are equal, whole keys are compared.  `ends` has a number for
    each range, all 0; `keys` and `moved` are memory.
    """
    text = (
        "def kernel(lo, hi, key, path, folds, keys, moved, order, ends, ranges, shift, digits):\n"
        "    k0, k1 = key[0], key[1]\n"
        "    for i in range(folds):\n"
        f"        k2 = u32(u32(k0 ^ k1) ^ u32({PARITY}))\n"
        f"        x = u32(path[i] + k0)\n        y = u32(u32({STREAM_FOLD}) + k1)\n"
        f"{_rounds('        ')}"
        "        k0, k1 = x, y\n"
        f"    k2 = u32(u32(k0 ^ k1) ^ u32({PARITY}))\n"
        "    for c in range(lo, hi):\n"
        f"        x = u32(u32(c) + k0)\n        y = u32(u32({STREAM_BITS}) + k1)\n"
        f"{_rounds('        ')}"
        "        keys[c] = (u64(x) << u64(32)) | u64(y)\n"
        "    for c in range(lo, hi):\n"
        "        at = keys[c] >> shift\n"
        "        ends[at] = u32(ends[at] + u32(1))\n"
        "    before = u32(0)\n"
        "    for r in range(ranges):\n"
        "        count = ends[r]\n"
        "        ends[r] = before\n"
        "        before = u32(before + count)\n"
        "    mask = (u64(1) << digits) - u64(1)\n"
        "    for c in range(lo, hi):\n"
        "        own = keys[c]\n"
        "        at = ends[own >> shift]\n"
        "        ends[own >> shift] = u32(at + u32(1))\n"
        "        moved[at] = (own & ~mask) | u64(c)\n"
        "    # a key passes those before it that are greater, all of its own range\n"
        "    for c in range(lo + u64(1), hi):\n"
        "        own, at = moved[c], u64(c)\n"
        "        least, most = own & ~mask, own | mask\n"
        "        while at > lo:\n"
        "            left = moved[at - u64(1)]\n"
        "            if left < least or (left <= most and keys[left & mask] <= keys[own & mask]):\n"
        "                break\n"
        "            moved[at] = left\n"
        "            at -= u64(1)\n"
        "        moved[at] = own\n"
        "    for c in range(lo, hi):\n"
        "        order[c] = i64(moved[c] & mask)\n"
    )
    words = "key:u32 path:u32 folds:size keys:u64 moved:u64 order:i64 ends:u32 ranges:size shift:size digits:size"
    return Kernel.of(text, words)


def fold_in(index: str) -> Kernel:
    """A new key from a key and an integer: the generator at the counter (data, 1)."""
    text = (
        "def kernel(lo, hi, key, data, out):\n"
        f"{_KEY_WORDS}"
        f"    x = u32(u32(data[0]) + k0)\n    y = u32(u32({STREAM_FOLD}) + k1)\n"
        f"{_rounds('    ')}"
        "    out[0] = x\n    out[1] = y\n"
    )
    return Kernel.of(text, f"key:u32 data:{index} out:u32")
