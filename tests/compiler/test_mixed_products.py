"""A product of float32 and float64 is computed in float64: BLAS knows one dtype, and would read beyond the smaller."""

import numpy as np
import pytest

import clearprop as cl


@pytest.mark.parametrize(("left", "right"), [(np.float32, np.float64), (np.float64, np.float32)])
def test_operands_of_two_dtypes(left, right):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(5, 6)).astype(left), rng.normal(size=(6, 7)).astype(right)
    found = cl.compile(lambda a, b: a @ b)(cl.asarray(a), cl.asarray(b))
    assert found.dtype == np.float64
    np.testing.assert_allclose(np.asarray(found), a @ b, rtol=1e-14)


def test_a_product_takes_over_a_donated_input():
    """A gradient kept in place of the one before: the native loop writes the product where the old one was."""
    from clearprop.compiler.epoch_loop import NativeLoop

    def step(carry, x):
        w, before = carry
        g = cl.grad(lambda w: cl.mean(cl.square(x @ w)))(w)
        return (w - 0.1 * (g + 0.5 * before), g), (cl.sum(g),)

    x = np.random.default_rng(1).normal(size=(8, 2))
    carry = (np.ones((2, 3)), np.full((2, 3), 2.0))
    loop = NativeLoop(step, carry, [x])
    _, (sums,) = loop.run(np.arange(8), 2)
    for i in range(4):
        carry, (total,) = step(tuple(map(cl.asarray, carry)), x[2 * i : 2 * i + 2])
        assert sums[i] == pytest.approx(float(total), rel=1e-10)
