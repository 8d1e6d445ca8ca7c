"""Ctrl-C, signals, threads and forks in the middle of compiled calls: the next call is right, and nothing hangs."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler import binding
from clearprop.compiler.native import blas

PROLOGUE = """
import os
import signal
import sys
import threading
import time

import numpy as np

import clearprop as cl

cl.set_threads(2)
rng = np.random.default_rng(0)
a, b = rng.normal(size=(2, 400, 400))
compiled = cl.compile(lambda a, b: (cl.sum(cl.tanh(a @ b)), a @ b + 1), executor="numba")


def call():
    return [np.asarray(v).tobytes() for v in compiled(a, b)]


x, y = rng.normal(size=(600, 300)).astype(np.float32), rng.integers(0, 4, 600)
net = cl.nn.mlp([300, 256, 4])


halve = lambda c: cl.while_loop(lambda c: c > 1.0, lambda c: 0.5 * c, c)
step = lambda c, i: (cl.cond(i % 3 == 0, halve, lambda c: 1.5 * c + 0.1, c), c)
looped = cl.compile(lambda numbers: cl.scan(step, 0.3, numbers), executor="numba")
numbers = np.arange(1_000_000)


def loop():  # longer than a native call goes on without a pause
    return [np.asarray(v).tobytes() for v in looped(numbers)]


def fit():
    run = cl.fit(net, (x, y), epochs=2, batch_size=64, validation=0.25)
    return run.replay(run.steps).digest, [e["validation"]["loss"] for e in run.history]
"""


def says(code, *arguments, seconds=240):
    """What a new process prints; one that hangs is a failure, and so is one that ends otherwise than by itself."""
    script = PROLOGUE + textwrap.dedent(code)
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()


INTERRUPTED = """
    import random

    import tempfile
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path


    def evaluate():
        return known.evaluate(x, y), known.predict(x).tobytes(), known.replay(3).digest


    def tabular():
        from clearprop.sklearn import TabularClassifier

        return TabularClassifier(epochs=2, hidden=(16,)).fit(x, y).predict_proba(x).tobytes()


    def sweep():
        with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(1) as executor:
            found = cl.sweep("iris", {"lr": "0.01;0.1"}, trials=2, search="grid", out=Path(name) / "s", epochs=2,
                             hidden=(4,), executor=executor)
            if found.stopped_by == "interrupted":  # it gives what it has, and says so
                raise KeyboardInterrupt
            return found.choice.number, found.choice.validation.value


    if sys.argv[1] == "evaluate":
        known = cl.fit(net, (x, y), epochs=2, batch_size=64, validation=0.25)
    work, count, rng = globals()[sys.argv[1]], int(sys.argv[2]), random.Random(int(sys.argv[3]))
    want = work()
    began = time.perf_counter()
    assert work() == want
    took = time.perf_counter() - began


    def press():
        for _ in range(count):
            time.sleep(rng.random() * took * 1.2)
            os.kill(os.getpid(), signal.SIGINT)


    keys = threading.Thread(target=press)
    wrong = stopped = 0
    while True:
        try:
            if keys.ident is None:
                keys.start()
            while keys.is_alive():
                wrong += work() != want
            break
        except KeyboardInterrupt:
            stopped += 1
    print(wrong, stopped > 0, work() == want, len(os.sched_getaffinity(0)) == os.cpu_count() or "pinned")
"""


@pytest.mark.parametrize("work", ["call", "fit"])
def test_ctrl_c_at_any_moment(work):
    assert says(INTERRUPTED, work, 12, 7)[:3] == ["0", "True", "True"]


@pytest.mark.verify
@pytest.mark.parametrize(
    ("work", "count"),
    [("call", 200), ("fit", 200), ("loop", 200), ("evaluate", 200), ("tabular", 60), ("sweep", 30)],
)
def test_hundreds_of_interrupts(work, count, record_property):
    assert says(INTERRUPTED, work, count, 1, seconds=1200)[:3] == ["0", "True", "True"]
    record_property("tried", f"{count} Ctrl-C's in {work}")


def test_a_handler_of_a_signal_computes_in_the_middle_of_a_call():
    found = says("""
        want, inside = call(), []


        def compute(*_):
            inside.append(call())
            signal.setitimer(signal.ITIMER_REAL, 0.001 * (1 + len(inside) % 7))


        signal.signal(signal.SIGALRM, compute)
        signal.setitimer(signal.ITIMER_REAL, 0.002)
        outside = [call() for _ in range(15)]
        signal.signal(signal.SIGALRM, signal.SIG_IGN)  # first: the handler would set the timer again
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(all(o == want for o in outside), bool(inside), all(i == want for i in inside))
    """)
    assert found == ["True", "True", "True"]


FORKED = """
    want, started = (call(), fit()), threading.Event()
    count, over = int(sys.argv[1]), threading.Event()


    def compute():
        while not over.is_set():
            assert (call(), fit()) == want
            started.set()


    other = threading.Thread(target=compute)
    other.start()
    started.wait()
    good = 0
    for k in range(count):
        time.sleep(0.002 * k)
        pid = os.fork()
        if pid == 0:
            signal.alarm(60)
            os._exit(0 if (call(), fit(), float(np.sum(a @ b))) == (*want, float(np.sum(a @ b))) else 1)
        good += os.waitpid(pid, 0)[1] == 0
    over.set()
    other.join()
    print(good)
"""


@pytest.mark.parametrize("count", [3, pytest.param(20, marks=pytest.mark.verify)])
def test_children_of_forks_while_another_thread_computes(count, record_property):
    assert says(FORKED, count, seconds=1200) == [str(count)]
    record_property("tried", f"{count} forks")


def test_two_threaded_calls_leave_the_products_of_other_threads_alone():
    found = says("""
        big = rng.normal(size=(600, 900))
        want, bits, over = call(), (big @ big.T[:, :500]).tobytes(), threading.Event()


        def compute():
            while not over.is_set():
                call()


        other = threading.Thread(target=compute)
        other.start()
        same = all((big @ big.T[:, :500]).tobytes() == bits for _ in range(25))
        over.set()
        other.join()
        print(same, call() == want)
    """)
    assert found == ["True", "True"]


def test_where_the_library_cannot_be_copied_one_thread_works(monkeypatch):
    monkeypatch.setattr(blas, "private_library", lambda: None)
    monkeypatch.setattr(binding, "TWO_THREADS", 0)
    before = cl.get_threads()
    cl.set_threads(2)
    try:
        compiled = cl.compile(lambda x: cl.sum(x @ x), executor="numba")
        x = np.arange(4096.0).reshape(64, 64)
        assert float(compiled(x)) == float(np.sum(x @ x))
        assert {b.executable.threads for b in compiled.last.executor.bound.values()} == {1}
    finally:
        cl.set_threads(before)


def test_an_interrupted_call_has_given_its_memory_away(monkeypatch):
    """What was donated may hold new numbers as soon as native code has run, so it is marked before."""
    compiled = cl.compile(lambda w: w * 2.0, donate=(0,), executor="numba")
    w = compiled(cl.tensor([1.0, 2.0]))
    compiled(cl.tensor([1.0, 2.0]))
    bound = next(iter(compiled.last.executor.bound.values()))

    def interrupted(arrays):
        raise KeyboardInterrupt

    monkeypatch.setattr(bound.executable, "call", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compiled(w)
    with pytest.raises(cl.ClearpropError, match="donated"):
        float(w[0])
