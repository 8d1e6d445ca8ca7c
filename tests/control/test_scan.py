"""`cl.scan` against the same loop written out in Python: values, both modes, second order, batches, compiled."""

import numpy as np
import pytest

import clearprop as cl
from tests.control.programs import PAIRS, numbers, unrolled

pairs = pytest.mark.parametrize("pair", PAIRS, ids=str)


def close(got, want, tolerance=1e-12):
    got_leaves, want_leaves = [], []
    cl.tree_map(lambda a, b: (got_leaves.append(a), want_leaves.append(b)), got, want)
    for a, b in zip(got_leaves, want_leaves, strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=tolerance, atol=tolerance)


def executed_by_numpy(f):
    return cl.compile(f, executor="numpy")


@pairs
def test_values(pair):
    close(pair.loop(*pair.args), pair.written(*pair.args))


@pairs
def test_reverse_mode(pair):
    close(cl.grad(pair.loop, pair.wrt)(*pair.args), cl.grad(pair.written, pair.wrt)(*pair.args))


@pairs
def test_forward_mode(pair):
    tangents = cl.tree_map(lambda a: np.cos(np.arange(1.0, np.size(a) + 1)).reshape(np.shape(a))[()], pair.args)
    close(cl.jvp(pair.loop, pair.args, tangents), cl.jvp(pair.written, pair.args, tangents))


@pairs
def test_second_order_forward_over_reverse(pair):
    vectors = cl.tree_map(lambda a: np.ones_like(a), pair.args)
    close(cl.hvp(pair.loop, pair.args, vectors), cl.hvp(pair.written, pair.args, vectors), 1e-11)


@pairs
def test_second_order_reverse_over_reverse(pair):
    def squared(f):
        def of_gradient(*args):
            leaves = []
            cl.tree_map(lambda g: leaves.append(cl.sum(g * g)), cl.grad(f, pair.wrt)(*args))
            return sum(leaves)

        return cl.grad(of_gradient, pair.wrt)(*pair.args)

    close(squared(pair.loop), squared(pair.written), 1e-10)


@pairs
def test_compiled(pair):
    f = executed_by_numpy(lambda *args: cl.value_and_grad(pair.loop, pair.wrt)(*args))
    close(f(*pair.args), cl.value_and_grad(pair.written, pair.wrt)(*pair.args))
    cl.typecheck(f.program)
    assert "for i in " in f.source()


@pairs
def test_compiled_twice_differentiated(pair):
    vectors = cl.tree_map(lambda a: np.ones_like(a), pair.args)
    f = executed_by_numpy(lambda *args: cl.hvp(pair.loop, args, vectors))
    close(f(*pair.args), cl.hvp(pair.written, pair.args, vectors), 1e-11)


@pairs
def test_batches_of_gradients(pair):
    batch = cl.tree_map(lambda a: np.stack([a, a * 1.1, a * 0.9]), pair.args)
    got = cl.vmap(cl.grad(pair.loop, pair.wrt))(*batch)
    rows = [cl.grad(pair.written, pair.wrt)(*cl.tree_map(lambda a, i=i: a[i], batch)) for i in range(3)]
    close(got, cl.tree_map(lambda *parts: np.stack([np.asarray(p) for p in parts]), *rows), 1e-11)


@pairs
def test_gradients_of_batches(pair):
    """Only one argument is mapped: what all examples share is summed over them."""
    args, last = pair.args[:-1], pair.args[-1]
    batch = cl.tree_map(lambda a: np.stack([a, a * 1.1, a * 0.9]), last)
    axes = (*[None] * len(args), 0)
    got = cl.grad(lambda *args: cl.sum(cl.vmap(pair.loop, axes)(*args)), pair.wrt)(*args, batch)
    each = lambda *args: sum(pair.written(*args[:-1], cl.tree_map(lambda a, i=i: a[i], args[-1])) for i in range(3))
    close(got, cl.grad(each, pair.wrt)(*args, batch), 1e-11)


@pytest.mark.parametrize("inner", ["loop", "branch"])
def test_what_a_step_carries_on_and_gives_out_too(inner):
    """One output of a loop or a branch, returned twice: its cotangents are added, once each."""

    def step(w, y):
        if inner == "loop":
            return cl.fori_loop(0, 2, lambda i, y: y - 0.1 * w * y, y)
        return cl.cond(y > 0, lambda y: y - 0.1 * w * y, lambda y: y, y)

    def loss(scan, w):
        last, ys = scan(lambda y, _: (step(w, y),) * 2, 1.0, None, 3)
        return last * last + cl.sum(ys)

    close(cl.grad(lambda w: loss(cl.scan, w))(0.5), cl.grad(lambda w: loss(unrolled, w))(0.5))
    cl.check_grads(lambda w: loss(cl.scan, w), (0.5,), order=2)


def test_a_learners_loop():
    w, x = cl.tensor(0.7, requires_grad=True), cl.tensor([1.0, 2.0, 3.0])
    y, _ = cl.scan(lambda c, x: (w * c + x, None), 0.0, x)
    y.backward()
    assert w.grad.item() == pytest.approx(2 * 0.7 + 2)


def test_one_program_serves_all_lengths():
    f = executed_by_numpy(cl.grad(lambda w, x: cl.scan(lambda c, x: (w * c + x, None), 0.0, x)[0]))
    for n in (2, 5, 50):
        x = numbers(n, n)
        powers = np.arange(n)[::-1]
        assert f(0.9, x).item() == pytest.approx(np.sum(x * powers * 0.9 ** np.maximum(powers - 1, 0)))
    assert len(f.cache_info().programs) == 1


def test_no_steps():
    last, ys = cl.scan(lambda c, x: (c * x, c + x), cl.tensor([1.0, 2.0]), cl.zeros((0, 2)))
    assert last.tolist() == [1.0, 2.0] and ys.shape == (0, 2)
    assert cl.grad(lambda c: cl.sum(cl.scan(lambda c, x: (c * x, None), c, cl.zeros((0, 2)))[0]))(
        cl.ones(2)
    ).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_number_adopts_the_dtype_of_the_steps(dtype):
    last, ys = cl.scan(lambda c, x: (c + x, c), 0.0, np.ones(3, dtype))
    assert last.dtype == ys.dtype == dtype
    assert cl.grad(lambda x: cl.scan(lambda c, x: (c + x, c), 0.0, x)[0])(np.ones(3, dtype)).dtype == dtype


def test_integers_and_truths_are_carried():
    (n, seen), ys = cl.scan(lambda c, x: ((c[0] + x, c[1] | (x > 2)), c[0]), (0, False), np.array([1, 2, 3]))
    assert (n.item(), seen.item(), ys.tolist()) == (6, True, [0, 1, 3])
    assert n.dtype == np.int64 and seen.dtype == bool


def test_results_share_no_memory_with_what_came_in():
    x = np.ones((3, 2))
    last, _ = cl.scan(lambda c, x: (x, None), np.zeros(2), x)
    init = np.zeros(2)
    same, _ = cl.scan(lambda c, x: (c, None), init, x)
    x[:] = init[:] = 7
    assert last.tolist() == [1, 1] and same.tolist() == [0, 0]


def test_map():
    x = numbers(0, 4, 3)
    close(cl.map(lambda x: {"s": cl.sum(x), "t": cl.tanh(x)}, x), {"s": x.sum(1), "t": np.tanh(x)})
    close(cl.grad(lambda x: cl.sum(cl.map(lambda x: x**3, x)))(x), 3 * x**2)


def test_fori_loop():
    assert cl.fori_loop(0, 5, lambda i, c: c + i, 0).item() == 10
    assert cl.fori_loop(3, 3, lambda i, c: c + i, 1.5).item() == 1.5
    assert cl.grad(lambda w: cl.fori_loop(1, 4, lambda i, c: c * w * i, 1.0))(2.0).item() == 3 * 2.0**2 * 6


def test_only_what_is_read_is_kept():
    """A loop within a loop keeps its carries for derivatives, but not while the outer one runs forward."""

    def f(w, x):
        return cl.scan(lambda c, row: (cl.scan(lambda c, e: (c * w + e, None), c, row)[0], None), 0.0, x)[0]

    program = cl.compile(f, executor="numpy").lower(np.float64(0.5), np.ones((2, 3))).program
    inner = next(eq for eq in program.equations if eq.primitive.name == "scan").params["body"]
    assert [eq.params["keep"] for eq in inner.equations if eq.primitive.name == "scan"] == [False]


def test_printed_and_typed():
    f = executed_by_numpy(lambda w, h, x: cl.scan(lambda h, x: (cl.tanh(h * w + x), h), h, x))
    f(0.5, 0.0, np.ones(3))
    assert "    body: program(w: f64~, h: f64, x: f64):" in str(f.program)
    assert "for i in range(n0):" in f.source() and "np.tanh(h_2 * w + x[i])" in f.source()
