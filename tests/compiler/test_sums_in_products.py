"""A product and an array of its shape that is added to it are one step: the same bits as two."""

import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler import memory_plan

SIZES = {
    "tiles": (72, 64, 96),
    "odd tiles": (75, 61, 97),
    "chains": (64, 300, 64),  # more terms than a chain of a tile has
    "BLAS": (9, 64, 8),
    "small": (3, 4, 5),
    "one column": (5, 6, 1),
    "few terms": (64, 8, 64),
    "few rows": (2, 40, 64),
    "dot products": (40, 64, 3),
    "small tiles": (32, 40, 32),
    "empty": (3, 0, 5),
}


def arrays(m, k, n, dtype):
    r = np.random.default_rng(m * k + n)
    return [cl.tensor(r.standard_normal(shape).astype(dtype)) for shape in ((m, k), (k, n), (m, n), (m, n))]


def added(a, b, d, _):
    return d + a @ b


def turned(a, b, d, _):
    return (b.mT @ a.mT).mT + d


def twice(a, b, d, e):
    """What is added twice, and a product that somebody else reads."""
    y = a @ b
    return y + d, y * 2.0, (e + a @ b) + d


def stepwise(a, b, d, e):
    """In a loop: into the carry, where it lies."""
    step = lambda c, x: (c + a @ (b * x), None)
    return cl.scan(step, d, cl.asarray(np.array([1.0, 2.0, 3.0], d.dtype)))[0]


def changing_places(a, b, d, e):
    """Two carries that are each other's addend."""
    step = lambda c, x: ((c[1] + a @ b, c[0]), None)
    return cl.scan(step, (d, e), None, length=3)[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("f", [added, turned, twice, stepwise, changing_places], ids=lambda f: f.__name__)
def test_same_bits(f, sizes, dtype, monkeypatch):
    args = arrays(*sizes, dtype)

    def run():
        found = cl.compile(lambda *args: f(*args))(*args)
        return [np.asarray(v) for v in (found if isinstance(found, tuple) else (found,))]

    joined = run()
    monkeypatch.setattr(memory_plan, "_with_sums_in_products", lambda steps, kept, in_place: list(steps))
    for one, two in zip(joined, run(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_no_matrices_at_all():
    """Three axes of matrices that lie in no order of theirs, the first of them empty."""
    a, b, d = cl.ones((0, 2, 2, 3, 4)), cl.ones((2, 0, 2, 4, 5)), cl.ones((0, 2, 2, 3, 5))
    turn = lambda x, axes: cl.permute_dims(x, (*axes, 3, 4))
    found = cl.compile(lambda a, b, d: d + turn(a, (0, 2, 1)) @ turn(b, (1, 2, 0)))(a, b, d)
    assert found.shape == (0, 2, 2, 3, 5)


def test_where_a_step_between_writes_over_an_operand(monkeypatch):
    """A donated operand is updated before the sum: the product may not wait for it."""
    a, b, d, _ = arrays(72, 64, 96, "float32")
    b = cl.tensor(np.asarray(b)[:, :64].copy())
    d = cl.tensor(np.asarray(d)[:, :64].copy())

    def step(c, _):
        u, v = c
        y = u @ b
        w = cl.sin(u)
        return (w, v * cl.sum(w) + y), None

    run = lambda: [np.asarray(v) for v in cl.compile(lambda a, d: cl.scan(step, (a, d), None, length=2)[0])(a, d)]
    joined = run()
    monkeypatch.setattr(memory_plan, "_with_sums_in_products", lambda steps, kept, in_place: list(steps))
    for one, two in zip(joined, run(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_sum_is_no_step_of_its_own():
    step = cl.compile(lambda a, b, d: d + a @ b)
    step(*arrays(72, 64, 96, "float32")[:3])
    assert "gemm" in step.source("numba")
    assert "@njit" not in step.source("numba")
