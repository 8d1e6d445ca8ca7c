"""Other processes that compile: they are given names, leave files, and end with whoever began them."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from clearprop.compiler.native import blas, cache, compile_process
from clearprop.compiler.native.cache import module_text
from clearprop.compiler.native.compile_process import NAME, CompileProcesses
from clearprop.compiler.native.library_kernels import product
from clearprop.compiler.native.loader import register_private_blas

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process compiles by itself")

NAMES = [f"{n:0{NAME}d}" for n in range(12)]


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    """A machine of two cores, on which no thread of a test before counts."""
    monkeypatch.setattr(blas, "cores", lambda: 2)
    found, before = threading.enumerate, set(threading.enumerate()) - {threading.current_thread()}
    monkeypatch.setattr(threading, "enumerate", lambda: [t for t in found() if t not in before])


def processes(tmp_path, begin=lambda: None, many=2):
    """Processes that write a file for each name: who wrote it."""
    return CompileProcesses(begin, lambda name: (tmp_path / name).write_text(str(os.getpid())), many)


def finish(given):
    """Wait for what the processes do, and let them go."""
    given.wait()
    given.end()


def vanished(pid):
    """Whether a process ends, which may take a moment where others compute."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state in "ZX":  # it ended, and nobody has asked for that yet
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("many", [1, 2, 3])
def test_every_name_is_done_once(tmp_path, many):
    given = processes(tmp_path, many=many)
    given.give(NAMES)
    finish(given)
    assert sorted(p.name for p in tmp_path.iterdir()) == NAMES
    assert str(os.getpid()) not in {p.read_text() for p in tmp_path.iterdir()}


def test_the_caller_takes_names_too(tmp_path):
    given = processes(tmp_path)
    given.give(NAMES)
    own = list(iter(given.take, None))
    finish(given)
    assert sorted([*own, *(p.name for p in tmp_path.iterdir())]) == NAMES


def fail():
    """What a process cannot begin with."""
    raise ImportError("no Numba")


@pytest.mark.parametrize("begin", [fail, lambda: os.kill(os.getpid(), 9)])
def test_processes_that_fail_are_not_waited_for(tmp_path, begin):
    given = processes(tmp_path, begin)
    given.give(NAMES)
    finish(given)
    assert not list(tmp_path.iterdir()) and not given.alive


def test_processes_that_nobody_asks_end(tmp_path, monkeypatch):
    monkeypatch.setattr(compile_process, "IDLE", 0.05)
    given = processes(tmp_path)
    assert vanished(given._pid)
    assert not given.alive
    given.end()


def test_files_of_the_first_process_end_with_it(tmp_path):
    """A pipe of the user's is at its end when its only writer closes it."""
    reading, writing = os.pipe()
    given = processes(tmp_path)
    try:
        given.give(NAMES)
        given.wait()
        os.close(writing)
        os.set_blocking(reading, False)
        assert os.read(reading, 1) == b""
    finally:
        given.end()
        os.close(reading)


def test_what_the_user_does_at_a_signal_is_done_once(tmp_path):
    """A handler may remove files or end a job: another process that gets the signal, too, just ends."""
    told = tmp_path / "told"
    before = signal.signal(signal.SIGTERM, lambda *_: told.write_text("cleaned up"))
    try:
        given = processes(tmp_path, lambda: os.kill(os.getpid(), signal.SIGTERM))
        assert vanished(given._pid)
        given.end()
        assert not told.exists()
        os.kill(os.getpid(), signal.SIGTERM)
        assert told.exists()
    finally:
        signal.signal(signal.SIGTERM, before)


KERNEL = '''"""Generated; do not edit."""

from clearprop.compiler.native.kernel_imports import *


@entry("u64")
def kernel(out):
    out[0] = u64({number})
'''


@pytest.fixture
def expecting(tmp_path, monkeypatch):
    """A folder without kernels, for which other processes are at hand; and the texts of kernels."""
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(cache, "_loaded", {})
    monkeypatch.setattr(cache, "stats", cache.Statistics())
    texts = [KERNEL.format(number=n) for n in range(cache.HELPED)]
    cache.expect_kernels(texts[0])
    assert cache._expecting and cache._expecting[0].alive
    yield texts
    assert not cache._expecting


def kept(folder):
    """How many kernels the folder holds."""
    return len(list(folder.glob("kernel_*.o")))


def test_expected_kernels_are_compiled_elsewhere(tmp_path, expecting):
    cache.prepare(expecting)
    assert (cache.stats.compiled, cache.stats.cache_hits) == (0, len(expecting)) and kept(tmp_path) == len(expecting)
    cache.expect_kernels(expecting[0])
    assert not cache._expecting, "what is kept is not waited for"


def test_what_calls_the_private_library_is_compiled_elsewhere(tmp_path, expecting):
    """The others know its names, though it was not loaded when they began."""
    register_private_blas()
    texts = [*expecting, *(module_text(product(dtype, private=True)) for dtype in ("f32", "f64"))]
    cache.prepare(texts)
    assert (cache.stats.compiled, cache.stats.cache_hits) == (0, len(texts)) and kept(tmp_path) == len(texts)


def test_without_the_others_this_process_compiles(tmp_path, expecting, monkeypatch):
    os.kill(cache._expecting[0]._pid, 9)
    assert vanished(cache._expecting[0]._pid)
    monkeypatch.setattr(cache, "_compile_processes", lambda folder, many: CompileProcesses(fail, print, 0))
    cache.prepare(expecting)
    assert cache.stats.compiled == len(expecting) == kept(tmp_path)


def test_a_text_that_was_changed_meanwhile_is_not_compiled_elsewhere(tmp_path, expecting, monkeypatch):
    write = cache._write

    def other(path, data):
        write(path, data.replace(b"u64(0)", b"u64(7)") if data.count(b"u64(0)") else data)

    with monkeypatch.context() as patch:
        patch.setattr(cache, "_write", other)
        cache.prepare(expecting)
    assert (cache.stats.compiled, cache.stats.cache_hits) == (1, len(expecting) - 1)


def test_a_fork_of_the_user_forgets_them(expecting):
    pid = os.fork()
    if pid == 0:
        os._exit(len(cache._expecting))
    assert os.waitpid(pid, 0)[1] == 0
    assert cache._expecting[0].alive
    cache.prepare(expecting)


def test_nothing_is_expected_beside_other_threads(monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("forked"))
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        cache.expect_kernels(KERNEL.format(number=0))
    finally:
        stop.set()
        thread.join()
    assert not cache._processes_at_hand()


FIRST = """
    import json
    import sys

    import numpy as np

    import clearprop as cl

    x = np.linspace(-1, 1, 60, dtype=np.float32).reshape(20, 3)
    model = cl.nn.mlp([3, 4, 1])
    run = cl.fit(model, (x, x.sum(axis=1, keepdims=True)), epochs=2, batch_size=10, seed=1)
    from clearprop.compiler.native.cache import stats

    weights = [np.asarray(w).tobytes().hex() for w in run.model.parameters().values()]
    print(json.dumps([weights, [epoch["train"] for epoch in run.history], stats.compiled, "numba" in sys.modules]))
"""


def first_training(**environment):
    """What a process says that trains: weights and losses, how many kernels it compiled, whether it loaded Numba."""
    command = [sys.executable, "-c", textwrap.dedent(FIRST)]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_first_training_compiles_nothing_in_its_own_process(tmp_path):
    """What it learns is what it learns with kernels that any process has kept, to the bit."""
    *learned, compiled, numba = first_training(CLEARPROP_CACHE_DIR=str(tmp_path))
    if len(os.sched_getaffinity(0)) > 1:
        assert (compiled, numba) == (0, False)
    assert first_training()[:2] == learned


def test_they_end_with_a_process_that_is_killed(tmp_path):
    code = """
        import os, sys, time
        from clearprop.compiler.native.compile_process import CompileProcesses
        def work(name):
            with open(sys.argv[1] + name, "w") as file:
                file.write(str(os.getpid()))
            os.rename(sys.argv[1] + name, sys.argv[1] + name + ".done")
            time.sleep(60)
        p = CompileProcesses(lambda: None, work, 2)
        p.give(["0" * 20, "1" * 20])
        time.sleep(60)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "x")])
    until = time.monotonic() + 30
    while len(found := list(tmp_path.glob("*.done"))) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    pids = [int(p.read_text()) for p in found]
    process.kill()
    process.wait()
    assert len(set(pids)) == 2 and all(map(vanished, pids))
