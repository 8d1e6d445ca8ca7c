"""Kernels that are not nests: matrix products, gathering rows, combining parts, random bits."""

from __future__ import annotations

from clearprop.compiler.kernels import Kernel, Parameter


def _kernel(text: str, parameters: str) -> Kernel:
    """A kernel from its text and `name:kind` or `name:dtype` words."""
    out = []
    for word in parameters.split():
        name, kind = word.split(":")
        out.append(Parameter(name, "size" if kind == "size" else "array", name, "" if kind == "size" else kind))
    return Kernel(text, out)


def product(dtype: str) -> Kernel:
    """C = A·B for `batches` matrices, row-major, operands transposed by flag."""
    call = "sgemm" if dtype == "f32" else "dgemm"
    item = 4 if dtype == "f32" else 8
    text = (
        "def kernel(lo, hi, ta, tb, m, n, k, a, lda, b, ldb, c, ldc, sa, sb, sc):\n"
        "    for q in range(lo, hi):\n"
        f"        {call}(ta, tb, m, n, k, a + q * sa * u64({item}), lda, b + q * sb * u64({item}), ldb, c + q * sc * u64({item}), ldc)\n"
    )
    names = "ta tb m n k a lda b ldb c ldc sa sb sc".split()
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
    return _kernel(text, f"out:{dtype} source:{dtype} index:i64 n:size batch:size cursor:i64")


def collect(dtype: str) -> Kernel:
    """Keep a step's scalar: out[step] = value."""
    text = "def kernel(lo, hi, out, value, cursor):\n    out[u64(cursor[0])] = value[0]\n"
    return _kernel(text, f"out:{dtype} value:{dtype} cursor:i64")


def combine(dtype: str) -> Kernel:
    """The sum of the two threads' parts, in a fixed order."""
    text = "def kernel(lo, hi, a, b, out):\n    for z in range(lo, hi):\n        out[z] = a[z] + b[z]\n"
    return _kernel(text, f"a:{dtype} b:{dtype} out:{dtype}")


def copy(dtype: str) -> Kernel:
    """out = source, element by element."""
    text = "def kernel(lo, hi, source, out):\n    for z in range(lo, hi):\n        out[z] = source[z]\n"
    return _kernel(text, f"source:{dtype} out:{dtype}")


def _rounds(indent: str) -> str:
    lines = []
    keys = ("k0", "k1", "k2")
    for block in range(5):
        for r in ((13, 15, 26, 6), (17, 29, 16, 24))[block % 2]:
            lines.append("x = u32(x + y)")
            lines.append(f"y = u32(u32(u32(y << u32({r})) | u32(y >> u32({32 - r}))) ^ x)")
        lines.append(f"x = u32(x + {keys[(block + 1) % 3]})")
        lines.append(f"y = u32(u32(y + {keys[(block + 2) % 3]}) + u32({block + 1}))")
    return "".join(f"{indent}{line}\n" for line in lines)


def random_bits() -> Kernel:
    """Threefry-2x32-20 of the counters 0 … h−1: word 0 to the first half, word 1 to the second."""
    text = (
        "def kernel(lo, hi, key, out, total, half):\n"
        "    k0 = key[0]\n    k1 = key[1]\n    k2 = u32(u32(k0 ^ k1) ^ u32(0x1BD11BDA))\n"
        "    for c in range(lo, hi):\n"
        "        x = u32(u32(c) + k0)\n        y = k1\n" + _rounds("        ") + "        out[c] = x\n"
        "        if half + c < total:\n            out[half + c] = y\n"
    )
    return _kernel(text, "key:u32 out:u32 total:size half:size")


def fold_in() -> Kernel:
    """A new key from a key and an integer: the generator at the counter (data, 1)."""
    text = (
        "def kernel(lo, hi, key, data, out):\n"
        "    k0 = key[0]\n    k1 = key[1]\n    k2 = u32(u32(k0 ^ k1) ^ u32(0x1BD11BDA))\n"
        "    x = u32(u32(data[0]) + k0)\n    y = u32(u32(1) + k1)\n"
        + _rounds("    ")
        + "    out[0] = x\n    out[1] = y\n"
    )
    return _kernel(text, "key:u32 data:i64 out:u32")
