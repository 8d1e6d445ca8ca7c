"""Compiled calls that are long enough run on two native threads."""

import threading

import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler import bind
from clearprop.compiler.native import executor

X = np.random.default_rng(0).normal(size=(64, 48))


@pytest.fixture
def divided(monkeypatch):
    """Everything that can be divided is, however small."""
    monkeypatch.setattr(executor, "TWO_THREADS", 0)
    monkeypatch.setattr(bind, "SPLIT_ELEMENTS", 1)
    monkeypatch.setattr(bind, "SPLIT_PRODUCT", 1)
    before = cl.get_threads()
    cl.set_threads(2)
    yield
    cl.set_threads(before)


def step(w, x):
    loss, grad = cl.value_and_grad(lambda w: cl.mean(cl.tanh(x @ w) ** 2))(w)
    return w - 0.1 * grad, loss, cl.sum(x, axis=0)


def threads(compiled):
    """The numbers of threads that a compiled function's calls run on."""
    return {b.executable.threads for b in compiled.last.executor.bound.values()}


def test_the_results_are_those_of_one_thread(divided):
    w = np.linspace(-1, 1, 48 * 32).reshape(48, 32)
    two, one = cl.compile(step, executor="numba"), cl.compile(step, executor="numpy")
    got, want = two(w, X), one(w, X)
    assert threads(two) == {2}
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-12, atol=1e-14)
    again = two(w, X)
    assert all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(got, again, strict=True))


def test_donated_memory_and_calls_from_several_python_threads(divided):
    compiled = cl.compile(step, donate=("w",), executor="numba")
    start = np.linspace(-1, 1, 48 * 32).reshape(48, 32)
    outcomes = {}

    def train(k):
        w = cl.tensor(start)
        for _ in range(20):
            w, loss, _ = compiled(w, X)
        outcomes[k] = np.asarray(w).tobytes(), float(loss)

    train("first")
    workers = [threading.Thread(target=train, args=(k,)) for k in range(3)]
    for t in workers:
        t.start()
    for t in workers:
        t.join()
    assert threads(compiled) == {2}
    assert len(outcomes) == 4
    assert len(set(outcomes.values())) == 1


def test_short_calls_stay_on_one_thread():
    compiled = cl.compile(lambda x: cl.sum(cl.tanh(x)), executor="numba")
    compiled(X)
    assert threads(compiled) == {1}
