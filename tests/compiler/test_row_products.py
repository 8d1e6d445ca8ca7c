"""Products of rows: the value of a matrix product, and one order of each sum, whatever stands beside the row."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clearprop as cl
from benchmarks.machine import LIMITS
from clearprop.compiler import row_products
from clearprop.compiler.row_products import _one_after_the_other, _rows_of_floats
from clearprop.compiler.tiles import BLOCK, CHAIN

WAYS = {"tiles": lambda a, b: _rows_of_floats()(a, b), "NumPy": _one_after_the_other}
"""Of both ways the same is promised."""


def operands(m, k, n, dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [0, 1, 7, CHAIN, CHAIN + 1, 3 * CHAIN + 5])
def test_a_row_does_not_depend_on_the_others(way, dtype, k):
    multiply = WAYS[way]
    for m, n in [(1, 1), (5, 3), (8, 16), (9, 17), (BLOCK + 13, 40), (2 * BLOCK + 7, 33), (70, 130)]:
        a, b = operands(m, k, n, dtype)
        whole = multiply(a, b)
        exact = a.astype(np.longdouble) @ b.astype(np.longdouble)
        size = np.abs(a).astype(np.longdouble) @ np.abs(b).astype(np.longdouble)
        assert whole.dtype == dtype and whole.shape == (m, n)
        assert (np.abs(whole - exact) <= max(k, 1) * np.finfo(dtype).eps * size).all(), (m, n)
        order = np.random.default_rng(1).permutation(m)
        assert np.array_equal(multiply(a[order], b), whole[order]), (m, n)
        for lo, hi in [(0, 1), (m - 1, m), (m // 3, m // 3 + 7), (0, m // 2)]:
            assert np.array_equal(multiply(a[lo:hi], b), whole[lo:hi]), (m, n, lo, hi)


@given(
    m=st.integers(1, 40), k=st.integers(1, 300), n=st.integers(1, 40), row=st.integers(0, 39), seed=st.integers(0, 99)
)
def test_a_row_alone(m, k, n, row, seed):
    a, b = operands(m, k, n, seed=seed)
    row %= m
    for way in WAYS.values():
        assert np.array_equal(way(a[row : row + 1], b)[0], way(a, b)[row])


def test_columns_do_not_depend_on_the_others_either():
    a, b = operands(20, 300, 70)
    with row_products():
        whole = np.asarray(cl.asarray(a) @ cl.asarray(b))
        for lo, hi in [(0, 1), (3, 40), (64, 70)]:
            assert np.array_equal(np.asarray(cl.asarray(a) @ cl.asarray(b[:, lo:hi])), whole[:, lo:hi])


def test_the_longest_chain_bounds_the_error():
    """Sums of equal numbers: a single chain of 2¹⁴ terms of 0.1 would be wrong in the fourth digit."""
    k = 1 << 14
    with row_products():
        total = float((cl.asarray(np.full((1, k), 0.1, np.float32)) @ cl.asarray(np.ones((k, 1), np.float32)))[0, 0])
    terms = CHAIN + k / CHAIN
    assert abs(total / (k * float(np.float32(0.1))) - 1) <= terms * np.finfo(np.float32).eps


LAYOUTS = {
    "every other row": lambda a, b: (a[::2], b),
    "backwards": lambda a, b: (a[::-1, ::-1], b[::-1, ::-1]),
    "transposed": lambda a, b: (np.asfortranarray(a), np.asfortranarray(b)),
    "columns of a wider": lambda a, b: (a[:, 1:], b[1:, 2:]),
    "one row for all": lambda a, b: (np.broadcast_to(a[0], a.shape), b),
    "not aligned": lambda a, b: (np.frombuffer(b"x" + a.tobytes(), a.dtype, offset=1).reshape(a.shape), b),
    "a batch": lambda a, b: (np.stack([a, 2 * a, -a]), b),
    "a batch of rows elsewhere": lambda a, b: (np.stack([a, 2 * a, -a], axis=2).transpose(2, 0, 1), b),
    "batches that broadcast": lambda a, b: (np.stack([a, 2 * a])[:, None], np.stack([b, -b, 3 * b])),
    "two dtypes": lambda a, b: (a, b.astype(np.float64)),
    "no rows": lambda a, b: (a[:0], b),
    "no columns": lambda a, b: (a, b[:, :0]),
}


@pytest.mark.parametrize("rows", [9, 2 * BLOCK + 3])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout, rows):
    a, b = LAYOUTS[layout](*operands(rows, 21, 35))
    want = np.matmul(a, b)
    with row_products():
        got = np.asarray(cl.asarray(a) @ cl.asarray(b))
    assert got.dtype == want.dtype and got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=0, atol=21 * np.finfo(np.float32).eps * 40)


def test_integers_are_exact():
    a, b = (np.arange(12).reshape(3, 4) * 10**8, np.arange(8).reshape(4, 2))
    with row_products():
        assert np.array_equal(np.asarray(cl.asarray(a) @ cl.asarray(b)), a @ b)


def test_what_is_not_finite_stays_where_it_is():
    a, b = operands(19, 5, 18)
    a[3, 1], a[7, 2], b[4, 17] = np.inf, np.nan, np.inf
    with row_products():
        got = np.asarray(cl.asarray(a) @ cl.asarray(b))
    with np.errstate(invalid="ignore"):
        assert np.array_equal(np.isfinite(got), np.isfinite(a @ b))


BITS = """
from tests.compiler.test_row_products import bits
print(bits())
"""


def bits():
    """A hash of products of several sizes."""
    found = hashlib.sha256()
    for m, k, n in [(1, 300, 9), (13, 7, 40), (BLOCK + 5, 600, 50)]:
        for dtype in (np.float32, np.float64):
            found.update(WAYS["tiles"](*operands(m, k, n, dtype)).tobytes())
    return found.hexdigest()


@pytest.mark.verify
def test_bits_are_the_same_on_narrower_processors(tmp_path):
    """With tiles of other shapes and half as long vectors, and beside another kernel of BLAS."""
    limits = {name: LIMITS["avx2"][name] for name in ("OPENBLAS_CORETYPE", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")}
    env = {**os.environ, **limits, "CLEARPROP_CACHE_DIR": str(tmp_path)}
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", BITS], env=env, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == bits()
