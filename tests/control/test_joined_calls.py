"""Small kernels of a step that are written as one: the same numbers as written out, within their arrays."""

import re

import numpy as np
import pytest

import clearprop as cl
from tests.compiler.plain import plain
from tests.compiler.typed_programs import guard_pages
from tests.control.programs import numbers, unrolled
from tests.control.test_scan import close


def filtered(scan, move, look, x, z):
    """Kalman's steps: products and transposes of small matrices, a quotient, outer products."""

    def step(state, z):
        x, p = state
        x, p = move @ x, move @ p @ move.mT + 0.1
        s = (look @ p @ look.mT)[0, 0] + 0.1
        gain = (p @ look.mT)[:, 0] / s
        error = z - (look @ x)[0]
        return (x + gain * error, p - gain[:, None] * (look @ p)), cl.log(s) + error * error / s

    (x, p), terms = scan(step, (x, cl.eye(3)), z)
    return cl.sum(terms) + cl.sum(x * x) + cl.sum(p[::-1, 1])


def batched(scan, w, v, x):
    """Batches of matrices in both orders, a sum over an outer axis, carries that change places."""

    def step(c, x):
        a, b = c
        return (b.mT @ w[0] + x, cl.tanh(w @ a.mT)), cl.sum(a, axis=0) @ v[::-1]

    (a, b), ys = scan(step, (w, w * 0.5), x, reverse=True)
    return cl.sum(a * b) + cl.sum(ys)


def mixed(scan, w, k, x):
    """float32 beside float64, integers and truth values; a kernel that reads a row of a table."""

    def step(c, x):
        n, on, h = c
        row = cl.take(w, n % 3, axis=0)
        return (n + k[0], cl.logical_not(on), h @ w + row), (cl.where(on, row, h), cl.astype(x, np.float64) * n)

    (_, _, h), (rows, ys) = scan(step, (k[1], True, x[0]), x)
    return cl.sum(cl.astype(h, np.float64)) + cl.sum(ys) + cl.sum(cl.astype(rows, np.float64) ** 2)


def counted(scan, a, x):
    """A loop of numbers within, of several kernels, whose memory holds integers as well."""

    def steps(c, _):
        n, h = c
        k1 = cl.sin(h * a)
        k2 = cl.where(n % 2 == 0, cl.sum(k1 * cl.ones(3)), h)
        return (n + 1, h + 0.1 * k2), None

    def step(h, x):
        (n, h), _ = scan(steps, (0, h + x), None, 4)
        return h, h * n

    last, ys = scan(step, 0.5, x)
    return last + cl.sum(ys)


def of_no_terms(scan, a, x):
    """Products of no terms are 0, and matrices may have no rows."""
    step = lambda c, x: (c * 0.5 + a @ a.mT, (a.mT @ (c @ a)).sum() + x)
    last, ys = scan(step, cl.ones((2, 2)), x)
    return cl.sum(last) + cl.sum(ys)


CASES = {
    "filtered": (filtered, (0.5 * numbers(0, 3, 3), numbers(1, 1, 3), numbers(2, 3), numbers(3, 6)), (0, 1, 2, 3)),
    "batched": (batched, (0.5 * numbers(4, 2, 3, 3), numbers(5, 3, 2), numbers(6, 4, 2, 3, 3)), (0, 1, 2)),
    "mixed": (mixed, (numbers(7, 3, 3).astype("f4"), np.array([2, 1]), numbers(8, 5, 3).astype("f4")), (0, 2)),
    "counted": (counted, (np.float64(0.7), numbers(9, 3)), (0, 1)),
    "of no terms": (of_no_terms, (np.zeros((2, 0)), numbers(9, 3)), (0, 1)),
}
each = pytest.mark.parametrize("name", CASES)


@each
def test_interpreted(name):
    """Value, gradients and a product with the Hessian; the kernels of a step are few."""
    program, args, wrt = CASES[name]
    loop, written = (lambda *args, m=m: program(m, *args) for m in (cl.scan, unrolled))
    tolerance = 1e-5 if name == "mixed" else 1e-11
    with plain() as it:
        close(cl.compile(cl.value_and_grad(loop, wrt))(*args), cl.value_and_grad(written, wrt)(*args), tolerance)
        if name in ("batched", "counted", "of no terms"):
            found = cl.compile(lambda *args: cl.hvp(loop, args, args))(*args)
            close(found, cl.hvp(written, args, args), 1e-10)
    assert any(re.search(r"\w_1(_\d)? = ", text) for text in it.texts)


@pytest.mark.parametrize("many", [1, 2, 3])
def test_no_more_than_so_many(many, monkeypatch):
    from clearprop.compiler.native import joined_calls

    monkeypatch.setattr(joined_calls, "MANY", many)
    program, args, _ = CASES["filtered"]
    with plain() as it:
        close(cl.compile(lambda *args: program(cl.scan, *args))(*args), program(unrolled, *args))
    joined = [text for text in it.texts if "_0" in text]
    assert bool(joined) == (many > 1)
    assert not any(f"_{many} = " in text for text in joined)


@pytest.mark.parametrize("size", [8, 9])
def test_where_small_ends(size):
    """Of matrices of nine rows the products are the library's."""
    f = lambda scan, w, x: cl.sum(scan(lambda c, x: (cl.tanh(c @ w).mT @ w + x, None), w, x)[0])
    args = 0.3 * numbers(0, size, size), numbers(1, 3)
    with plain() as it:
        close(cl.compile(lambda *args: f(cl.scan, *args))(*args), f(unrolled, *args))
    assert any("dgemm" in text for text in it.texts) == (size == 9)


def test_between_guard_pages():
    """Natively; the bits of a step do not depend on how many there are.  Loops of numbers are joined as well."""
    with guard_pages(True) as copied:
        steps = cl.compile(lambda x, w: cl.scan(lambda c, x: (cl.tanh(c @ w) + x, c), w, x)[1], executor="numba")
        x, w = copied(numbers(1, 40)), copied(numbers(0, 3, 3))
        found = np.asarray(steps(x, w))
        close(found[:4], np.asarray(unrolled(lambda c, x: (cl.tanh(c @ w) + x, c), w, x[:4])[1]))
        np.testing.assert_array_equal(found[:3], np.asarray(steps(copied(x[:3]), w)))
    program, args, _ = CASES["counted"]
    loop, written = (lambda a, m=m: program(m, a, args[1]) for m in (cl.scan, unrolled))
    close(cl.compile(cl.grad(loop), executor="numba")(args[0]), cl.grad(written)(args[0]), 1e-11)
