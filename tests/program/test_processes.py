"""What a fork waits for, and what a process remembers."""

import os
import threading
import time

import pytest

from clearprop.program import processes
from clearprop.program.processes import Remembered
from clearprop.train.metrics import _PRODUCTS as WORK

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


def child_says(true):
    """Whether it is true in a child."""
    pid = os.fork()
    if pid == 0:
        os._exit(0 if true() else 1)
    return os.waitpid(pid, 0)[1] == 0


@pytest.fixture
def worker():
    """Starts a thread that works until it is let go, or for so many seconds; gives when it ended."""
    threads, go = [], threading.Event()

    def start(seconds):
        inside, ended = threading.Event(), []

        def work():
            with WORK:
                inside.set()
                go.wait(seconds)
                ended.append(True)

        threads.append(threading.Thread(target=work))
        threads[-1].start()
        inside.wait()
        return ended

    yield start
    go.set()
    for thread in threads:
        thread.join()


def test_a_fork_waits_for_work_in_other_threads(worker):
    ended = worker(0.1)
    assert child_says(lambda: ended == [True] and WORK.count == 0)
    assert WORK.count == 0


def test_but_not_for_ever(worker, monkeypatch):
    monkeypatch.setattr(processes, "PATIENCE", 0.01)
    ended = worker(60)
    assert child_says(lambda: not ended and WORK.count == 0)
    assert WORK.count == 1


def test_and_not_for_its_own_thread():
    with WORK, WORK:
        assert child_says(lambda: WORK.count == 2)
        assert WORK.count == 2
    assert WORK.count == 0


def test_what_is_remembered_is_made_once_by_threads_that_ask_for_it_together():
    known, made, found = Remembered(2), [], []

    def make():
        time.sleep(0.01)
        made.append(True)
        return object()

    threads = [threading.Thread(target=lambda: found.append(known.get("a", make))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert len(set(map(id, found))) == 1


def test_where_it_cannot_be_made_nothing_is_remembered():
    known = Remembered(2)
    with pytest.raises(ZeroDivisionError):
        known.get("a", lambda: 1 / 0)
    assert known.get("a", lambda: 3) == 3


def test_the_one_that_was_asked_for_longest_ago_is_forgotten():
    known = Remembered(2)
    for key in "abac":
        known.get(key, lambda key=key: key)
    assert list(known.values) == ["a", "c"]
