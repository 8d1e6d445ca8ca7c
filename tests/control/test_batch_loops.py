"""Loops over the rows of a batch are divided between two threads: the values of one loop, the same bits on any."""

import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler import binding
from clearprop.compiler.batch_loops import Role, batch_loop

R = np.random.default_rng(0)
X = R.normal(size=(5, 48, 3))
W = R.normal(size=(3, 3)) / 2


def accumulated(w, x):
    """A sum over rows is carried, and so are rows and a count: recorded, they would be kept, and it is one thread's."""

    def step(c, x):
        h, total, n = c
        h = cl.tanh(h @ w + x)
        return (h, total + h.mT @ x, n + 1.0), h * 2.0

    (h, total, n), ys = cl.scan(step, (x[0], w, 0.0), x)
    return cl.sum(h * h) + cl.sum(total * w) / n + cl.sum(ys)


def backwards(w, x):
    """From the last step on; parts of rows are cut out, joined and added up."""

    def step(h, x):
        a, b = h[:, :1], h[:, 1:]
        h = cl.concat([b * b, a], axis=1) @ w + cl.sum(x, axis=1, keepdims=True)
        return cl.sin(h), cl.max(h, axis=1)

    h, ys = cl.scan(step, x[0], x, reverse=True)
    return cl.sum(h) + cl.sum(ys * ys)


def in_turns(w, x):
    """Two carries change places in every step."""
    (a, b), ys = cl.scan(lambda c, x: ((c[1] @ w, c[0] + x), c[1]), (x[0], x[1] * 0.5), x)
    return cl.sum(a * b) + cl.sum(ys)


def masked(w, x):
    def step(h, row):
        x, keep = row
        return cl.where(keep[:, None], cl.tanh(x + h @ w), h), h

    h, ys = cl.scan(step, x[0], (x, x[..., 0] > 0))
    return cl.sum(h) + cl.sum(ys * ys)


LOOPS = {f.__name__: f for f in (accumulated, backwards, in_turns, masked)}


def centred(w, x):
    """Every row meets the mean of all."""
    h, _ = cl.scan(lambda h, x: (h @ w + x - cl.mean(h, axis=0), None), x[0], x)
    return cl.sum(h * h)


def compared(w, x):
    """A row meets another one."""
    h, _ = cl.scan(lambda h, x: (cl.flip(h, axis=0) @ w + x, None), x[0], x)
    return cl.sum(h * h)


def squared(w, x):
    """A sum over rows, of which each thread has a part, is squared."""

    def step(c, x):
        h, total = c
        return (h @ w + x, total + cl.sum(h, axis=0) ** 2), None

    (_, total), _ = cl.scan(step, (x[0], w[0]), x)
    return cl.sum(total)


def counted(w, x):
    """The number of rows is a number of the step."""
    h, _ = cl.scan(lambda h, x: (h @ w + x / x.shape[0], None), x[0], x)
    return cl.sum(h * h)


WHOLE = {f.__name__: f for f in (centred, compared, squared, counted)}


@pytest.fixture
def divided(monkeypatch):
    """Every loop that can be divided is, however short."""
    monkeypatch.setattr(binding, "TWO_THREADS", 0)
    monkeypatch.setattr(binding, "WAKING", 0)
    before = cl.get_threads()
    yield
    cl.set_threads(before)


def bound(compiled):
    return [b.executable for b in compiled.last.executor.bound.values()]


def results(f, x, threads, executor="numba"):
    """What a function gives and its gradients, in bits; and how many threads the calls have."""
    cl.set_threads(threads)
    if f is accumulated:
        compiled = cl.compile(f, executor=executor)
        return [np.asarray(compiled(W, x))], compiled
    compiled = cl.compile(lambda w, x: cl.value_and_grad(f, argnums=(0, 1))(w, x), executor=executor)
    value, (dw, dx) = compiled(W, x)
    return [np.asarray(a) for a in (value, dw, dx)], compiled


@pytest.mark.parametrize("rows", [48, 40, 15, 2])
@pytest.mark.parametrize("f", LOOPS.values(), ids=LOOPS)
def test_a_divided_loop_gives_what_one_loop_gives(divided, f, rows):
    x = np.ascontiguousarray(X[:, :rows])
    want, _ = results(f, x, 1, "numpy")
    bits = []
    for threads in (1, 2):
        found, compiled = results(f, x, threads)
        assert [e.threads for e in bound(compiled)] == [2 if rows >= 16 else 1]
        for a, b in zip(found, want, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)
        bits.append([a.tobytes() for a in found])
    assert bits[0] == bits[1]


@pytest.mark.parametrize("f", WHOLE.values(), ids=WHOLE)
def test_where_rows_meet_the_loop_stays_whole(divided, f):
    want, _ = results(f, X, 1, "numpy")
    found, compiled = results(f, X, 2)
    assert [e.threads for e in bound(compiled)] == [1]
    for a, b in zip(found, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


def test_the_roles_of_what_a_step_is_given(divided):
    _, compiled = results(accumulated, X, 1)
    ((eq, (plan,)),) = bound(compiled)[0].binding.plan.held.items()
    loop = batch_loop(eq, plan.program)
    found = [loop.roles[v] for v in plan.program.inputs]
    assert found == [Role.SAME, Role.ROWS, Role.PART, Role.SAME, Role.ROWS]


@pytest.mark.parametrize("layer", ["RNN", "LSTM", "GRU"])
def test_recurrent_layers_train_with_the_same_bits_on_any_threads(divided, layer):
    """In many short steps, whose loops together take longer than one may without a pause; the last batch is short."""
    net = cl.nn.Sequential(getattr(cl.nn, layer)(3, 8, output="last", bidirectional=True), cl.nn.Dense(16, 2))
    rows = np.swapaxes(np.tile(X, (1, 9, 1)), 0, 1)[:410].astype(np.float32)
    found = []
    for threads in (2, 1):
        cl.set_threads(threads)
        run = cl.fit(net, (rows, np.arange(410) % 2), loss="cross_entropy", epochs=40, batch_size=40, progress=False)
        found.append([np.asarray(w).tobytes() for w in run.model.parameters().values()])
    assert found[0] == found[1]


@pytest.mark.parametrize("batch", [49, 50])
def test_threads_with_unequal_rows_take_their_products_each_in_its_way(divided, batch):
    """Of 24 and 26 rows one thread packs what it multiplies by, and the other has too few rows for that."""
    net = cl.nn.Sequential(cl.nn.LSTM(2, 64, output="last"), cl.nn.Dense(64, 1))
    rows = R.normal(size=(2 * batch, 6, 2)).astype(np.float32)
    found = []
    for threads in (2, 1):
        cl.set_threads(threads)
        run = cl.fit(net, (rows, rows[:, 0, :1]), loss="mse", epochs=2, batch_size=batch, progress=False)
        found.append(list(run.model.parameters().values()))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-4, atol=1e-6)
