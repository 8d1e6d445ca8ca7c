"""Work that is long enough runs on two native threads, side by side or in turns, with the same bits."""

import threading
from itertools import pairwise

import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler import binding, pool_asleep
from clearprop.compiler.epoch_loop import NativeLoop
from clearprop.compiler.native import blas, instruction_driver
from clearprop.compiler.thread_turns import AGAIN, ALONE, LONGEST, PATIENCE, SLOWER, TIMES, Turns

X = np.random.default_rng(0).normal(size=(64, 48))
STEP = ALONE / 8


@pytest.fixture
def divided(monkeypatch):
    """Everything that can be divided is, however small."""
    monkeypatch.setattr(binding, "TWO_THREADS", 0)
    monkeypatch.setattr(binding, "SPLIT_ELEMENTS", 1)
    monkeypatch.setattr(binding, "SPLIT_PRODUCT", 1)
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


# ----------------------------------------------------------------------------------------- side by side, or in turns
def trained():
    """The bits of a call and of an epoch."""
    w = np.linspace(-1, 1, 48 * 32).reshape(48, 32)
    call = cl.compile(step, executor="numba")(w, X)
    native = NativeLoop(lambda w, x: step(w, x)[:2], w, [X], threads=2)
    _, losses = native.run(np.arange(64), 16)
    return [np.asarray(v).tobytes() for v in (*call, native.carry(), losses)]


def test_shares_run_in_turns_give_the_same_bits(divided, monkeypatch):
    outcomes = []
    for way in (True, False):
        monkeypatch.setattr(Turns, "next", lambda self, left, way=way: (way, left))
        outcomes.append(trained())
    assert outcomes[0] == outcomes[1]


def test_a_partner_that_never_gets_a_processor_is_not_waited_for(divided, monkeypatch):
    monkeypatch.setattr(Turns, "next", lambda self, left: (True, left))
    want = trained()
    monkeypatch.setattr(instruction_driver, "_partners", [])
    monkeypatch.setattr(instruction_driver._Partner, "_serve", lambda self: None)
    assert trained() == want


@pytest.mark.parametrize("threads", [1, 2, 64])
def test_shares_do_not_depend_on_the_number_of_threads(divided, threads):
    want = trained()
    cl.set_threads(threads)
    compiled = cl.compile(step, executor="numba")
    found = [np.asarray(v).tobytes() for v in compiled(np.linspace(-1, 1, 48 * 32).reshape(48, 32), X)]
    assert found == want[:3]


@pytest.mark.parametrize("sizes, rows", [([305, 128, 64, 1], 32), ([305, 512, 64, 1], 64)])
def test_training_has_the_same_bits_on_one_thread_and_on_several(sizes, rows):
    """Steps on one thread, whose products BLAS would divide among threads of its own, and steps of two shares."""
    x = np.random.default_rng(0).normal(size=(200, 305)).astype("f")
    before, digests = cl.get_threads(), set()
    try:
        for n in (1, 2, 64):
            cl.set_threads(n)
            run = cl.fit(cl.nn.mlp(sizes), (x, x[:, :1]), loss="mse", epochs=2, batch_size=rows, progress=False)
            digests.add(run.replay(run.steps).digest)
    finally:
        cl.set_threads(before)
    assert len(digests) == 1


def test_numpys_pool_sleeps_until_the_last_block_ends():
    before = blas.get_threads()
    blas.set_threads(2)
    try:
        inside, going = threading.Event(), threading.Event()

        def other():
            with pool_asleep():
                inside.set()
                going.wait(10)

        thread = threading.Thread(target=other)
        with pool_asleep(), pool_asleep():
            thread.start()
            assert inside.wait(10) and blas.get_threads() == 1
        assert blas.get_threads() == 1
        going.set()
        thread.join()
        assert blas.get_threads() == 2
        with pool_asleep():
            blas.set_threads(3)
        assert blas.get_threads() == 3  # what was set meanwhile stays
    finally:
        blas.set_threads(before)


class Machine:
    """A clock, and how long a step takes side by side and in turns while other programs run, or do not."""

    def __init__(self, call=1):
        self.now, self.busy, self.call = 0.0, False, call
        self.turns = Turns(lambda: self.now)

    def run(self, calls):
        """Calls of so many steps; the share of steps that ran side by side.  To begin takes a while, in each call."""
        side_by_side = done = 0
        for _ in range(calls):
            left = self.call
            while left:
                way, steps = self.turns.next(left)
                assert 1 <= steps <= left
                pace = (0.05 if way else 0.002) if self.busy else (0.001 if way else 0.002)
                seconds = steps * pace + (0.0008 if way else 0)
                self.now += seconds
                self.turns.note(way, steps, seconds)
                left -= steps
                done += steps
                side_by_side += way * steps
        return side_by_side / done


@pytest.mark.parametrize("call", [1, 64])
def test_on_an_idle_machine_threads_run_side_by_side(call):
    assert Machine(call).run(10_000) > 0.99


@pytest.mark.parametrize("call", [1, 64])
def test_on_a_busy_machine_they_take_turns_until_it_is_idle_again(call):
    machine = Machine(call)
    machine.run(3000)
    machine.busy = True
    machine.run(100)
    assert machine.run(5000) < 0.01
    machine.busy = False
    machine.run(int(2 * AGAIN / 0.002))
    assert machine.run(10_000) > 0.99


@pytest.mark.parametrize("absent, alone", [(PATIENCE / 2, 0.01), (1000.0, 0.8)])
def test_steps_for_which_the_second_thread_does_not_come_decide_nothing_at_first(absent, alone):
    """Half of the patience away, and it is waited for; always, and now and then."""
    time, count = [0.0], {True: 0, False: 0}
    turns = Turns(lambda: time[0])
    while time[0] < 20.0:
        way, steps = turns.next(64)
        there = time[0] >= absent
        seconds = steps * (0.001 if way and there else 0.002)
        time[0] += seconds
        turns.note(way, steps, seconds, there)
        count[way] += steps
    assert (count[False] > alone * sum(count.values())) == (absent > 20.0)


def test_after_a_late_share_steps_run_alone_for_twice_as_long_each_time():
    time = [0.0]
    turns, pauses = Turns(lambda: time[0]), []
    while time[0] < 30.0:
        began = time[0]
        while not turns.next(1)[0]:
            time[0] += STEP
            turns.note(False, 1, STEP)
        pauses.append(time[0] - began)
        time[0] += 0.004
        turns.note_late()
    assert pauses[1] == pytest.approx(ALONE, abs=1.5 * STEP)
    assert all(b > 1.5 * a for a, b in pairwise(pauses[1:5]))
    assert max(pauses) == pytest.approx(LONGEST, abs=1.5 * STEP)


def test_a_late_share_long_after_another_is_the_first_again():
    time = [100.0]
    turns = Turns(lambda: time[0])
    for _ in range(5):
        turns.note_late()
        assert turns.next(1) == (False, 1)
        time[0] += ALONE
        assert turns.next(1) == (True, 1)
        time[0] += 60.0


def test_one_slow_window_changes_nothing():
    machine = Machine()
    machine.run(200)
    for k in range(3000):
        way, steps = machine.turns.next(100)
        assert way
        machine.now += 1.0
        machine.turns.note(way, steps, steps * 0.001 * (2 * SLOWER if k % TIMES == 0 else 1.0))
