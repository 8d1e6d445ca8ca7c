"""The native training loop: however it is cut, on one core or two, in threads and processes, the bits are the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import clearprop as cl
from clearprop import nn, optim
from clearprop.autodiff.trees import flatten
from clearprop.compiler import binding
from clearprop.compiler.epoch_loop import NativeLoop
from clearprop.errors import DTypeError, ShapeError
from clearprop.program.values import raw
from tests.compiler.plain import plain

RNG = np.random.default_rng(0)
X = RNG.normal(size=(23, 5)).astype(np.float32)
Y = RNG.integers(0, 3, 23)
ORDER = RNG.permutation(23)
KEY = cl.random.key(7)
OPTIMIZER = optim.adam(1e-2)


def step(carry, x, y):
    """One step of a small network with dropout; the loss and the accuracy of the batch."""
    model, state, number = carry

    def objective(m):
        out, after = nn.apply(m, x, train=True, rng=cl.random.fold_in(KEY, number))
        return nn.cross_entropy(out, y), (after, cl.mean((cl.argmax(out, axis=-1) == y).astype(np.float32)))

    (value, (after, right)), grads = cl.value_and_grad(objective, has_aux=True)(model)
    updates, state = OPTIMIZER.update(grads, state, model)
    return (optim.apply_updates(after, updates), state, number + 1), {"loss": value, "accuracy": right}


def start():
    model = nn.mlp([5, 7, 3], "tanh", dropout=0.2, seed=1)
    return model, OPTIMIZER.init(model), cl.tensor(np.int64(0))


def bits(carry, scalars=None):
    return [np.asarray(raw(v)).tobytes() for v in flatten((carry, scalars))[0]]


def epochs(native, cuts=(), batch=4, count=2):
    """Two epochs, stopped at each of the cuts; the carry and the scalars of all steps."""
    rows = []
    for _ in range(count):
        at = 0
        for stop in [*cuts, -(-len(ORDER) // batch)]:
            at, scalars = native.run(ORDER, batch, at, stop)
            assert at == stop
            rows.append(scalars)
    together = {k: np.concatenate([r[k] for r in rows]) for k in rows[0]}
    return native.carry(), together


@pytest.fixture(scope="module")
def whole():
    return epochs(NativeLoop(step, start(), [X, Y], threads=1))


def test_it_computes_what_the_step_computes(whole):
    carry, losses = start(), []
    for _ in range(2):
        for i in range(0, 23, 4):
            rows = ORDER[i : i + 4]
            carry, scalars = step(carry, X[rows], Y[rows])
            losses.append(float(scalars["loss"]))
    np.testing.assert_allclose(whole[1]["loss"], losses, rtol=1e-5)
    for a, b in zip(flatten(whole[0])[0], flatten(carry)[0], strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-4, atol=1e-6)
    assert whole[1]["loss"].shape == (12,) and int(whole[0][2]) == 12


@pytest.mark.parametrize("cuts", [(1, 2, 3, 4, 5), (3,), (5,), (1, 5)])
def test_where_it_is_cut_changes_no_bit(cuts, whole):
    assert bits(*epochs(NativeLoop(step, start(), [X, Y], threads=1), cuts)) == bits(*whole)


def test_it_resumes_from_any_step(whole):
    """A second loop takes the carry over between any two steps, the short last batch included."""
    for stop in range(1, 6):
        first = NativeLoop(step, start(), [X, Y], threads=1)
        first.run(ORDER, 4, 0, stop)
        second = NativeLoop(step, start(), [X, Y], threads=1)
        second.load(first.carry())
        second.run(ORDER, 4, stop)
        second.run(ORDER, 4)
        assert bits(second.carry()) == bits(whole[0])


def test_a_deadline_that_has_passed_stops_after_one_slice():
    native = NativeLoop(step, start(), [X, Y], threads=1)
    at, scalars = native.run(ORDER, 4, until=time.perf_counter())
    assert at == 5 and scalars["loss"].shape == (5,)  # the full batches are one slice, the short one another
    at, scalars = native.run(ORDER, 4, at)
    assert at == 6 and scalars["loss"].shape == (1,)
    assert native.run(ORDER, 4, 6) == (6, None)


@pytest.mark.parametrize("batch", [1, 2, 7, 23, 50])
def test_batches_of_every_size(batch):
    """Of one row, of all rows, of more than there are; the last one short."""
    native = NativeLoop(step, start(), [X, Y], threads=1)
    _, scalars = native.run(ORDER, batch)
    carry = start()
    for k, i in enumerate(range(0, 23, batch)):
        rows = ORDER[i : i + batch]
        carry, want = step(carry, X[rows], Y[rows])
        np.testing.assert_allclose(scalars["loss"][k], float(want["loss"]), rtol=2e-5)
    for a, b in zip(flatten(native.carry())[0], flatten(carry)[0], strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=2e-3, atol=2e-5)


def test_a_step_may_look_at_the_size_of_its_batch():
    def weighted(total, x):
        n = int(x.shape[0])
        return total + cl.sum(x) * n, cl.asarray(1.0) * n

    native = NativeLoop(weighted, np.float32(0), [X], threads=1)
    _, counts = native.run(np.arange(23), 5)
    assert counts.tolist() == [5, 5, 5, 5, 3]
    want = sum(np.float64(X[i : i + 5].sum()) * len(X[i : i + 5]) for i in range(0, 23, 5))
    assert float(native.carry()) == pytest.approx(want, rel=1e-5)


def test_values_of_the_carry_that_change_places():
    def turned(carry, x):
        a, b, c = carry
        return (b, c, a + cl.sum(x * 0.0 + 1.0)), cl.max(x)

    native = NativeLoop(turned, tuple(map(np.float32, (0, 10, 20))), [X], threads=1)
    native.run(np.arange(23), 5)
    want = (0.0, 10.0, 20.0)
    for i in range(0, 23, 5):
        want = (want[1], want[2], want[0] + X[i : i + 5].size)
    assert tuple(map(float, native.carry())) == want


@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_between_slices(threads, request):
    """It is raised after a native slice; the carry is that of a whole number of steps, and the loop goes on."""
    if threads == 2:
        request.getfixturevalue("divided")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored in the background
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    native = NativeLoop(step, start(), [X, Y], threads=threads)
    native.run(ORDER, 4)
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    order = np.tile(ORDER, 200)
    with pytest.raises(KeyboardInterrupt):
        while True:
            native.run(order, 4, until=time.perf_counter())
    timer.join()
    number = int(native.carry()[2])
    assert number > 6
    at, scalars = native.run(ORDER, 4)
    assert at == 6 and np.all(np.isfinite(scalars["loss"])) and int(native.carry()[2]) == number + 6


# ------------------------------------------------------------------------------------------------ two cores
@pytest.fixture
def divided(monkeypatch):
    """Everything that can be divided is, however small."""
    monkeypatch.setattr(binding, "TWO_THREADS", 0)
    monkeypatch.setattr(binding, "SPLIT_ELEMENTS", 1)
    monkeypatch.setattr(binding, "SPLIT_PRODUCT", 1)


def test_two_threads_agree_with_one_and_with_themselves(divided, whole):
    cases = ((2, ()), (2, ()), (2, (2, 3)), (1, ()), (64, ()))
    runs = [epochs(NativeLoop(step, start(), [X, Y], threads=n), cuts) for n, cuts in cases]
    assert all(bits(*run) == bits(*runs[0]) for run in runs)
    for a, b in zip(flatten(runs[0])[0], flatten(whole)[0], strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-3, atol=1e-5)


def test_whichever_thread_is_ahead_the_bits_are_the_same(monkeypatch):
    """Interpreted, with one thread or the other first between barriers: a missing barrier would show."""
    monkeypatch.setattr(binding, "TWO_THREADS", 0)
    outcomes = []
    for first in (0, 1):
        with plain(threads=2, first=first):
            native = NativeLoop(step, start(), [X, Y], threads=2)
            native.run(ORDER, 8, 0, 2)
            outcomes.append(bits(native.carry()))
    assert outcomes[0] == outcomes[1]


def test_loops_in_python_threads(divided, whole):
    """Several at once, on one native thread or two: none disturbs another, and all have the same bits."""
    outcomes = {}

    def work(k):
        outcomes[k] = bits(*epochs(NativeLoop(step, start(), [X, Y], threads=1 + k % 2)))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all(found == outcomes[0] for found in outcomes.values())


PROCESSES = """
    import multiprocessing as mp
    import sys

    import numpy as np

    import clearprop as cl
    from clearprop.compiler import binding
    from clearprop.compiler.epoch_loop import NativeLoop

    binding.TWO_THREADS, binding.SPLIT_ELEMENTS, binding.SPLIT_PRODUCT = 0, 1, 1
    X = np.random.default_rng(0).normal(size=(64, 16))
    square = cl.compile(lambda x: cl.sum(cl.tanh(x @ x.mT)), executor="numba")

    def run(_=None):
        native = NativeLoop(lambda w, x: (w - 0.01 * cl.mean(x @ w @ w), cl.sum(w)), np.eye(16), [X], threads=2)
        native.run(np.arange(64), 16)
        return float(np.asarray(native.carry()).sum()), float(square(X))

    if __name__ == "__main__":
        want = run()
        for kind in ("fork", "spawn"):
            with mp.get_context(kind).Pool(2) as pool:
                got = pool.map(run, range(3))
            assert got == [want] * 3, (kind, got, want)
        assert run() == want
        print("the same everywhere")
"""


def test_fork_and_spawn(tmp_path):
    """Children that were forked while the parent's second thread waited, and fresh ones, compute the same bits."""
    script = tmp_path / "processes.py"
    script.write_text(textwrap.dedent(PROCESSES))
    command = [sys.executable, "-W", "ignore", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=dict(os.environ), check=False)
    assert done.stdout == "the same everywhere\n", done.stderr


# ------------------------------------------------------------------------------------------------ what is refused
def test_a_metric_that_is_an_array():
    with pytest.raises(ShapeError) as caught:
        NativeLoop(lambda c, x: (c, {"mean": cl.mean(x, axis=0)}), np.float32(0), [X])
    e = caught.value
    assert e.headline == "a step returns an array where a loss or a metric is expected: ['mean']"
    assert (e.expected, e.got) == ("one number per batch", "an array of type f32[n1]")
    assert e.try_ == "cl.mean(x), or another reduction to one number"


def test_a_carry_that_changes_its_type():
    with pytest.raises(DTypeError) as caught:
        NativeLoop(lambda c, x: ({"w": c["w"] * np.ones(3)}, cl.sum(x)), {"w": np.ones(3, np.float32)}, [X])
    assert caught.value.headline == "a step changes the type of ['w']"
    assert (caught.value.expected, caught.value.got) == ("f32[3], as before the step", "f64[3]")


def test_an_index_out_of_range_is_told_and_the_loop_goes_on():
    table = np.arange(4, dtype=np.float32)
    labels = np.array([0, 3, 1, 2])
    native = NativeLoop(lambda c, i: (c + cl.sum(cl.take(table, i)), cl.sum(i)), np.float32(0), [labels], threads=1)
    native.run(np.arange(4), 2)
    assert float(native.carry()) == 6.0
    native.data[0][1] = 4
    with pytest.raises(cl.ClearpropError, match="an index is out of range"):
        native.run(np.arange(4), 2)
    native.data[0][1] = 3
    native.load(np.float32(0))
    native.run(np.arange(4), 2)
    assert float(native.carry()) == 6.0
