"""Products of a loop's step that go by tiles: what all turns multiply by is packed once, before the loop."""

import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler.binding import Binding

SIZE = 96  # above the size from which products go by tiles


def normal(seed, *shape):
    return cl.tensor(0.1 * np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def by_a_constant(w, x):
    """Every step multiplies by the same matrix, turned."""
    return cl.scan(lambda c, v: (cl.tanh(c @ w.mT + v), None), x[0], x)[0]


def by_an_element(w, x):
    """The matrix is an element of the loop: it differs from turn to turn."""
    return cl.scan(lambda c, v: (c @ v.mT + w, None), w, x)[0]


def within(w, x):
    """What an inner loop's turns share is an element of the outer loop."""

    def outer(c, v):
        return cl.scan(lambda h, _: (cl.sin(h @ v.mT), None), c, None, length=2)[0], None

    return cl.scan(outer, w, x)[0]


def by_what_is_carried(w, x):
    """The matrix changes with the carry."""
    return cl.scan(lambda c, v: (v @ c.mT, None), w, x)[0]


PROGRAMS = [by_a_constant, by_an_element, within, by_what_is_carried]


def written_out(f):
    """The same steps without loops."""

    def scan(step, init, xs, length=None):
        carry = init
        for i in range(length or xs.shape[0]):
            carry, _ = step(carry, None if xs is None else xs[i])
        return carry, None

    def run(*args):
        loop, cl.scan = cl.scan, scan
        try:
            return f(*args)
        finally:
            cl.scan = loop

    return run


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("f", PROGRAMS, ids=lambda f: f.__name__)
def test_values_and_gradients(f, threads):
    args = normal(0, SIZE, SIZE), normal(1, 3, SIZE, SIZE)
    before = cl.get_threads()
    cl.set_threads(threads)
    try:
        loss = lambda g: lambda *args: cl.sum(g(*args) ** 2)
        found = cl.compile(cl.value_and_grad(loss(f), (0, 1)))(*args)
        expected = cl.compile(cl.value_and_grad(loss(written_out(f)), (0, 1)))(*args)
    finally:
        cl.set_threads(before)
    for a, b in zip((found[0], *found[1]), (expected[0], *expected[1]), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=2e-5, atol=2e-6)


def test_what_all_turns_share_is_packed_once(monkeypatch):
    packed = []
    tile = Binding._tile_product

    def counted(self, op, layout):
        before = len(self.once)
        found = tile(self, op, layout)
        packed.append(len(self.once) - before)
        return found

    monkeypatch.setattr(Binding, "_tile_product", counted)
    x = normal(1, 3, SIZE, SIZE)
    counts = []
    for f in (by_a_constant, by_an_element):
        packed.clear()
        cl.compile(lambda w, x, f=f: f(w, x))(normal(0, SIZE, SIZE), x)
        counts.append(sum(packed))
    assert counts == [1, 0]
