"""Work that is handed to workers and collected in order, whatever dies; and what is told where none can be had."""

import os
import signal
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import pytest

from clearprop.errors import ArgumentError, RunError
from clearprop.runs.environment import environment
from clearprop.search import pools
from clearprop.search.pools import GivenPool, LocalPool, given_pool, pool_for, require_workers, results
from clearprop.search.sweep_folder import SweepFolder
from clearprop.search.sweeping import conduct, new_plan


def die_once(marks, number):
    """The square of a number; the first worker that comes to 3 dies of it."""
    mark = Path(marks) / "died"
    if number == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def test_what_a_dead_worker_had_to_do_is_done_again_in_order(tmp_path):
    pool = LocalPool(2)
    try:
        found = list(results(pool, die_once, [(str(tmp_path), n) for n in range(6)]))
        with pytest.raises(ZeroDivisionError):
            list(results(pool, divmod, [(1, 1), (1, 0)]))
        require_workers(pool)
    finally:
        pool.close()
    assert found == [n * n for n in range(6)] and (tmp_path / "died").exists()


def test_workers_that_died_before_they_were_asked_are_replaced():
    """An idle worker is killed, and the executor has noticed it when more is handed to it."""
    pool = LocalPool(1)
    try:
        os.kill(pool.submit(os.getpid).result(), signal.SIGKILL)
        while not isinstance(pool.submit(abs, -1).exception(), BrokenProcessPool):
            pass
        assert list(results(pool, abs, [(-1,), (-2,)])) == [1, 2]
    finally:
        pool.close()


class AlwaysBroken:
    """A pool whose workers die of whatever they are given."""

    size = 1

    def __init__(self):
        self.renewed = 0
        self.executor = ThreadPoolExecutor(1)

    def submit(self, function, *arguments):
        def die():
            raise BrokenProcessPool("a process died")

        return self.executor.submit(die)

    def renew(self):
        self.renewed += 1


def test_workers_that_keep_dying_end_in_our_error():
    pool = AlwaysBroken()
    with pool.executor, pytest.raises(RunError, match="workers keep dying"):
        list(results(pool, abs, [(1,), (2,)]))
    assert pool.renewed == pools.MOST_LOSSES - 1


def test_an_executor_of_somebody_else_is_not_replaced():
    with ThreadPoolExecutor(3) as executor:
        pool = given_pool(executor)
        assert pool.size == 3
        with pytest.raises(RunError, match="the executor has lost its workers"):
            pool.renew()
        pool.close()
        assert executor.submit(abs, -1).result() == 1


@pytest.mark.parametrize("on", ["", "local:", "local:x", "local:0", "local:2000", "locall", "slurm-array", "local:²"])
def test_a_place_that_is_none_is_refused(on):
    with pytest.raises(ArgumentError) as caught:
        pool_for(on)
    assert caught.value.headline == f"--on cannot be {on!r}"


def test_without_dask_it_is_said(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(ArgumentError, match="dask:// needs Dask"):
        pool_for("dask://localhost:8786")


def test_workers_with_other_versions_are_refused(monkeypatch):
    other = replace(environment(), processor="Another", versions={**environment().versions, "numpy": "1.0"})
    with ThreadPoolExecutor(1) as executor:
        pool = given_pool(executor)
        require_workers(pool)
        answers = iter([environment(), other])
        monkeypatch.setattr(pools, "environment", lambda: next(answers))
        with pytest.raises(ArgumentError) as caught:
            require_workers(pool)
    assert "processor" in caught.value.got and "numpy" in caught.value.got


class OneKills(GivenPool):
    """Threads, but whoever takes trial 1 dies of it, and takes those beside it along."""

    def __init__(self, executor):
        super().__init__(executor, 2)
        self.renewed = 0

    def submit(self, function, *arguments):
        if arguments and arguments[0].request.number == 1:
            future = Future()
            future.set_exception(BrokenProcessPool("a process died"))
            return future
        return super().submit(function, *arguments)

    def renew(self):
        self.renewed += 1


@pytest.mark.usefixtures("eager")
def test_a_trial_that_kills_its_workers_has_failed_and_the_others_are_done(tmp_path):
    settings = {"hidden": (4,), "batch_size": 110, "epochs": 1, "dropout": 0.0}
    plan = new_plan("iris", {"lr": "0.1;0.2;0.3"}, settings, search="grid", trials=3, threads=1)
    events = []
    with ThreadPoolExecutor(2) as executor:
        pool = OneKills(executor)
        found = conduct(SweepFolder.make(tmp_path / "s", plan.config), plan, pool, [events.append])
    assert [(e.request.number, e.outcome.status) for e in found.trials][-1] == (1, "failed")
    assert found.trials[-1].outcome.message == "workers died 3 times: has the memory run out?"
    assert [e.outcome.status for e in found.trials[:2]] == ["done", "done"] and pool.renewed == pools.MOST_LOSSES
    assert [e["status"] for e in events if e.get("number") == 1][:4] == ["begun", "lost", "lost", "failed"]
