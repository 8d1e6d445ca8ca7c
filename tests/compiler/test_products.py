"""Matrix products of every layout: |Δ| ≤ k·eps·(|A||B|) between native code and the NumPy executor, entry by entry.

Each side is within γₖ ≈ k·eps/2 of the exact product, in any order of summation (Higham 2002, §3.5); c = 1 is both.
"""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler.product_layouts import ProductLayout
from tests.compiler.plain import plain

RNG = np.random.default_rng(0)
LAYOUTS = {
    "a b": lambda a, b: a @ b,
    "aᵀ b": lambda a, b: cl.permute_dims(a, (1, 0)) @ b,
    "a bᵀ": lambda a, b: a @ b.mT,
    "aᵀ bᵀ": lambda a, b: a.mT @ b.mT,
    "flipped": lambda a, b: cl.flip(a, axis=0) @ cl.flip(b, axis=1),
    "every other row": lambda a, b: a[::2] @ b,
    "columns of a wider": lambda a, b: a[:, 1:] @ b[1:],
    "computed": lambda a, b: (a * 0.5) @ cl.tanh(b),
}
SIZES = [
    *itertools.product((2, 17), (2, 16, 19), (1, 2, 5, 10, 11)),
    *((16, 3, 40), (33, 8, 21), (16, 1, 7), (1, 20, 4)),
    *((17, 4, 32), (5, 1, 75), (2, 70, 33), (8, 20, 12), (32, 40, 16)),
]
"""(m, n, k): general ones, few terms per element, few columns from many rows, dot products, few rows, small tiles."""


def operands(layout, m, n, k, dtype):
    a = RNG.normal(size=(k, m) if layout.startswith("aᵀ") else (m, k))
    b = RNG.normal(size=(n, k) if layout.endswith("bᵀ") else (k, n))
    return cl.asarray(a.astype(dtype)), cl.asarray(b.astype(dtype))


def assert_bounded(f, compiled, a, b, what):
    """The classical bound, with |A| and |B| put through the same moves."""
    got, want = np.asarray(compiled(a, b)), np.asarray(f(a, b))
    k = max(a.shape[1], a.shape[0]) if "aᵀ" in what else a.shape[1]
    size = np.asarray(f(cl.abs(a).astype(np.float64), cl.abs(b).astype(np.float64)))
    bound = k * np.finfo(want.dtype).eps * size
    if "computed" in what:
        bound = bound + 8 * np.finfo(want.dtype).eps * size  # tanh's own
    assert got.dtype == want.dtype and got.shape == want.shape, what
    assert np.all(np.abs(got - want) <= bound), f"{what}: {np.max(np.abs(got - want) / bound)} times the bound"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_interpreted(layout):
    f = LAYOUTS[layout]
    for form in ({}, {"thin": False}, {"threads": 2}):
        with plain(**form):
            compiled = cl.compile(f)
            for m, n, k in SIZES[:: 1 if form == {} else 3]:
                if ("every other" in layout and m < 3) or ("wider" in layout and k < 3):
                    continue
                a, b = operands(layout, m, n, k, np.float32)
                assert_bounded(f, compiled, a, b, f"{layout} {m}x{k}x{n} {form}")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_on_numba(dtype):
    """One compiled function per layout and dtype; the kernels are shared."""
    for layout in ("a b", "aᵀ b", "a bᵀ", "flipped"):
        f = LAYOUTS[layout]
        compiled = cl.compile(f, executor="numba")
        for m, n, k in [
            (17, 19, 3),
            (40, 3, 64),
            (5, 1, 75),
            (2, 70, 33),
            (32, 40, 16),
            (64, 64, 300),
            (128, 130, 257),
            (2, 2, 2),
        ]:
            a, b = operands(layout, m, n, k, dtype)
            assert_bounded(f, compiled, a, b, f"{layout} {m}x{k}x{n}")


def test_batches_of_products():
    """Leading axes that collapse, repeat, are transposed or belong to one operand alone."""
    shapes = [
        ((5, 3, 4), (4, 6)),
        ((5, 3, 4), (5, 4, 6)),
        ((3, 4), (5, 4, 6)),
        ((2, 1, 3, 4), (5, 4, 6)),
        ((5, 3, 4), (4,)),
        ((2, 3, 5, 3, 4), (3, 5, 4, 6)),
        ((3, 1, 2, 3, 4), (1, 5, 2, 4, 6)),
        ((2, 0, 3, 4), (2, 0, 4, 6)),
    ]
    for sa, sb in shapes:
        a, b = cl.asarray(RNG.normal(size=sa)), cl.asarray(RNG.normal(size=sb))
        for f in (lambda a, b: a @ b, lambda a, b: cl.permute_dims(a @ b, tuple(range((a @ b).ndim))[::-1])):
            with plain():
                got = np.asarray(cl.compile(f)(a, b))
            np.testing.assert_allclose(got, np.asarray(f(a, b)), rtol=1e-13, atol=1e-13)


HEADS = {
    "scores": lambda a, b: heads(a) @ heads(b).mT,
    "read": lambda a, b: (heads(a) @ heads(b).mT) @ heads(b),
    "gradient": lambda a, b: cl.grad(lambda a: cl.sum(cl.softmax(heads(a) @ heads(b).mT) @ heads(b)))(a),
}


def heads(x):
    return cl.swapaxes(cl.reshape(x, (*x.shape[:-1], 2, x.shape[-1] // 2)), -3, -2)


@pytest.mark.parametrize("what", HEADS)
def test_heads_of_a_batch(what):
    """Two leading axes that do not collapse: as the interpreter has them, on one thread and on two."""
    a, b = (cl.asarray(RNG.normal(size=(3, 5, 8))) for _ in range(2))
    for form in ({}, {"threads": 2}):
        with plain(**form):
            got = np.asarray(cl.compile(HEADS[what])(a, b))
        np.testing.assert_allclose(got, np.asarray(HEADS[what](a, b)), rtol=1e-12, atol=1e-13)


def test_a_matrix_that_meets_many_examples_has_its_cotangent_from_one_product():
    """Σ over examples of xᵀ·g is one product over all rows: nothing is added up afterwards."""
    x, w = RNG.normal(size=(3, 4, 5)), RNG.normal(size=(5, 2))
    compiled = cl.compile(cl.grad(lambda w, x: cl.sum((x @ w) ** 2)), executor="numpy")
    np.testing.assert_allclose(compiled(w, x), 2 * np.einsum("bik,bij->kj", x, x @ w, optimize=True), rtol=1e-12)
    assert compiled.source("numpy").count("sum(") == 0


def test_empty_products():
    """No terms: zeros; no rows or columns: nothing."""
    for m, n, k in [(3, 20, 0), (20, 3, 0), (0, 4, 5), (4, 0, 5), (0, 0, 0), (17, 17, 0)]:
        a, b = np.ones((m, k)), np.ones((k, n))
        got = np.asarray(cl.compile(lambda a, b: a @ b + 1.0, executor="numba")(a, b))
        assert got.shape == (m, n) and np.all(got == 1.0)


TILED = [(64, 40, 128), (40, 70, 128), (128, 64, 600), (32, 304, 130), (304, 32, 128), (136, 1056, 40), (520, 64, 40)]
"""(m, n, k) from which on BLAS packs its operands: tiles take those that they fill, the others are BLAS's."""


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("m", "n", "k"), TILED)
def test_large_products(m, n, k, dtype):
    for layout in ("a b", "aᵀ b", "a bᵀ", "aᵀ bᵀ"):
        a, b = operands(layout, m, n, k, dtype)
        f = LAYOUTS[layout]
        assert_bounded(f, cl.compile(f, executor="numba"), a, b, layout)


@pytest.mark.parametrize(("rows", "wide"), [(8, 32), (6, 16)])
def test_what_tiles_are_chosen_for(rows, wide):
    """Products large enough, of which rows and columns fill tiles, on a right operand that is near."""
    layout = partial(ProductLayout, 1, ta=0, tb=0, strides=(0, 0, 0))
    assert layout(96, 128, 784, lda=784, ldb=128, ldc=128).fits_tiles(rows, wide, 16)
    for m, n, k in ((8, 16, 16), (9, 128, 784), (96, 17, 784), (96, 2048, 1024)):
        assert not layout(m, n, k, lda=k, ldb=n, ldc=n).fits_tiles(rows, wide, 16)
