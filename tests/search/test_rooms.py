"""Folds, members and optimizers trained side by side: the same bits as one after another, whatever dies meanwhile."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest

import clearprop as cl
from clearprop.cli import main
from clearprop.comparison.side_by_side import trainings_on
from clearprop.comparison.trials import Setup, compare
from clearprop.compiler import threads_meanwhile
from clearprop.data.training_data import from_source
from clearprop.errors import ArgumentError
from clearprop.search import pools
from clearprop.search.pools import GivenPool, LocalPool, given_pool
from clearprop.search.rooms import room_in
from tests.cli.conftest import command  # noqa: F401 - a fixture

SETTINGS = {"hidden": (4,), "epochs": 3, "batch_size": 40, "dropout": 0.0, "seed": 1}


def folds(out, **how):
    return cl.cross_validate("iris", folds=4, out=out, **SETTINGS, **how)


def members(out, **how):
    return cl.ensemble("iris", members=4, out=out, **SETTINGS, **how)


def bits_of_folds(found):
    return [run.model.parameters() for run in found.runs], found.predictions, found.scores


def bits_of_members(run):
    return run.model.parameters(), run.summary.test, run.summary.validation, run.probabilities("iris")


KINDS = {"folds": (folds, bits_of_folds), "members": (members, bits_of_members)}


def same(found, expected):
    assert type(found) is type(expected)
    if isinstance(found, dict):
        assert list(found) == list(expected)
        found, expected = list(found.values()), list(expected.values())
    if isinstance(found, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    else:
        assert leaf(found) == leaf(expected)


def leaf(value):
    return np.asarray(value).tobytes() if hasattr(value, "__array__") else repr(value)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """As workers have where nothing else was asked for."""
    with threads_meanwhile(1):
        yield


@pytest.fixture(scope="module")
def one_after_another(one_thread):
    """What each kind gives here, and the events of its trainings."""
    told = {name: [] for name in KINDS}
    return {name: train(None, callbacks=[told[name].append]) for name, (train, _) in KINDS.items()}, told


@pytest.mark.parametrize("place", ["here", "nowhere"])
@pytest.mark.parametrize("kind", KINDS)
def test_executors_give_the_same_bits_and_tell_the_same(kind, place, one_after_another, tmp_path):
    """With a folder, and without one."""
    train, bits = KINDS[kind]
    expected, told = one_after_another[0][kind], []
    with ThreadPoolExecutor(2) as executor:
        found = train(tmp_path / "out" if place == "here" else None, executor=executor, callbacks=[told.append])
        assert executor.submit(abs, -1).result() == 1  # it is left to its owner
    same(bits(found), bits(expected))
    assert outlines(told) == outlines(one_after_another[1][kind])
    assert not (tmp_path / "out/stop").exists()


def outlines(events):
    kept = [e for e in events if e["event"] != "checkpoint"]
    return [(e["event"], e["step"], e.get("train"), e.get("validation")) for e in kept]


@pytest.mark.parametrize("kind", KINDS)
def test_processes_give_the_same_bits_and_what_a_killed_one_did_is_done_again(kind, one_after_another, tmp_path):
    train, bits = KINDS[kind]
    killed = []

    def kill_one(event):
        if event["event"] == "end" and not killed:
            killed.append(multiprocessing.active_children()[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    found = train(tmp_path / "out", on="local:2", callbacks=[kill_one])
    assert killed
    same(bits(found), bits(one_after_another[0][kind]))
    folder = tmp_path / "out" / ("1-1" if kind == "folds" else "1")
    again = cl.load(folder)
    assert again.status == "done" and again.config.environment.threads == 1


class OneIsLost(GivenPool):
    """Threads, of which the one that is given the second call dies of it once, and takes what runs beside it along."""

    def __init__(self, executor):
        super().__init__(executor, 2)
        self.calls = 0
        self.renewed = 0

    def submit(self, function, *arguments):
        self.calls += 1
        if self.calls == 2:
            future = Future()
            future.set_exception(BrokenProcessPool("a process died"))
            return future
        return super().submit(function, *arguments)

    def renew(self):
        self.renewed += 1


def power(base, exponent):
    return base**exponent


def test_calls_are_handed_out_as_workers_get_free_and_come_back_in_order():
    begun, ended = [], []

    def asked():
        for exponent in range(5):
            begun.append(exponent)
            assert len(begun) - len(ended) <= 2  # no more than there are workers
            yield (exponent,)

    with ThreadPoolExecutor(2) as executor, room_in(OneIsLost(executor), 3, None) as room:
        found = room.results(power, asked(), ended.append)
        assert list(found) == [1, 3, 9, 27, 81] and room.pool.renewed == 1
    assert sorted(ended) == [1, 3, 9, 27, 81]


def test_an_exception_asks_those_that_train_to_stop_and_waits_for_them(tmp_path):
    ended = []

    def wait_for(stop, number):
        while number and not stop.exists():
            time.sleep(0.01)
        ended.append(number)
        return number

    with (
        ThreadPoolExecutor(2) as executor,
        pytest.raises(ZeroDivisionError),
        room_in(given_pool(executor), tmp_path / "stop", None, tmp_path) as room,
    ):
        for number in room.results(wait_for, [(0,), (1,), (2,)]):
            1 / number
    assert ended == [0, 1] or sorted(ended) == [0, 1, 2]
    assert not (tmp_path / "stop").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_interrupted_goes_on_with_the_same_bits(kind, one_after_another, tmp_path, monkeypatch):
    """Ctrl-C asks the others to save; resumed, on other workers, nothing that had ended is trained again."""
    train, bits = KINDS[kind]
    ended = []

    def interrupt(event):
        if event["event"] == "end":
            ended.append(event)
            raise KeyboardInterrupt

    with ThreadPoolExecutor(2) as executor, pytest.raises(KeyboardInterrupt):
        train(tmp_path / "out", executor=executor, callbacks=[interrupt])
    assert len(ended) == 1
    first = next(path for path in (tmp_path / "out/1-1", tmp_path / "out/1") if path.exists())
    written = (first / "summary.json").stat().st_mtime_ns
    monkeypatch.setenv("CLEARPROP_THREADS", "1")
    assert main(["train", "--resume", f"{tmp_path}/out", "--on", "local:1"]) == 0
    assert (first / "summary.json").stat().st_mtime_ns == written
    expected = one_after_another[0][kind]
    if kind == "folds":
        told = json.loads((tmp_path / "out/folds.json").read_text())
        assert told["scores"]["accuracy"]["mean"] == expected.scores["accuracy"].mean
        for run, fold in zip(expected.runs, expected.folds, strict=True):
            same(cl.load(tmp_path / "out" / fold.fold.name).model.parameters(), run.model.parameters())
    else:
        same(bits(cl.load(tmp_path / "out"))[:3], bits(expected)[:3])


def test_the_command_gives_the_same_files_with_workers(command):  # noqa: F811 - a fixture
    options = ("--folds", 3, "--epochs", 2, "--hidden", 3, "--threads", 1)
    alone = command("train", "iris", *options, "--out", "a")
    many = command("train", "iris", *options, "--out", "b", "--on", "local:2")
    assert many.code == 0 and many.out.replace("saved in b", "saved in a").replace("b/*/", "a/*/") == alone.out
    for name in ("predictions.csv", "1-2/model.safetensors", "1-3/preprocessing.json"):
        assert Path("a", name).read_bytes() == Path("b", name).read_bytes()


def test_members_are_begun_as_long_as_another_one_ends_in_time(tmp_path):
    """Of workers, each begins one at least; the number of members decides the bits."""
    with ThreadPoolExecutor(2) as executor:
        found = cl.ensemble("iris", time=1e-9, executor=executor, **SETTINGS)
    assert found.summary.members in (1, 2)
    alone = cl.ensemble("iris", members=found.summary.members, **SETTINGS)
    same(found.model.parameters(), alone.model.parameters())


def test_optimizers_are_compared_with_the_same_outcome():
    data, setup = from_source("iris", None, "auto", 0.2, 0.0, 0), Setup((4,), epochs=2, seeds=3)
    here = compare(data, ["adam", "sgd"], setup)
    with trainings_on("local:2", data, setup) as train_all:
        there = compare(data, ["adam", "sgd"], setup, train_all=train_all)
    assert [o.name for o in here] == [o.name for o in there]
    for one, other in zip(here, there, strict=True):
        for a, b in zip(one.traces, other.traces, strict=True):
            assert np.array_equal(a.train, b.train) and np.array_equal(a.validation, b.validation)


ON_DASK = """
import json, os, signal, sys
import clearprop as cl
from distributed import LocalCluster

if __name__ == "__main__":
    settings, place = json.loads(sys.argv[1]), sys.argv[2]
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        address = cluster.scheduler_address.replace("tcp://", "dask://")
        killed = []

        def kill_one(event):
            if event["event"] == "end" and not killed:
                killed.append(next(iter(cluster.workers.values())).pid)
                os.kill(killed[0], signal.SIGKILL)

        cl.cross_validate("iris", folds=4, on=address, out=f"{place}/folds", callbacks=[kill_one], **settings)
        cl.ensemble("iris", members=4, on=address, out=f"{place}/members", **settings)
        assert killed
"""


@pytest.mark.verify
def test_a_cluster_of_dask_gives_the_same_bits_and_loses_nothing(dask, one_after_another, tmp_path):
    """One of its two workers, processes of their own, is killed meanwhile."""
    (tmp_path / "on_dask.py").write_text(ON_DASK)
    done = subprocess.run(
        [sys.executable, tmp_path / "on_dask.py", json.dumps(SETTINGS), tmp_path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(cl.__file__).parents[1]), str(dask)])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    folds_here, members_here = one_after_another[0].values()
    for tested in folds_here.folds:
        there = cl.load(tmp_path / "folds" / tested.fold.name)
        same(there.model.parameters(), tested.run.model.parameters())
    same(bits_of_members(cl.load(tmp_path / "members"))[:3], bits_of_members(members_here)[:3])


MISTAKES = {
    "twice": ({"on": "local:2", "executor": ThreadPoolExecutor}, "workers are asked for twice"),
    "no words": ({"on": 2}, "on says where, in words"),
    "no place": ({"on": "locale"}, "--on cannot be 'locale'"),
    "an array": ({"on": "slurm-array"}, "--on cannot be 'slurm-array'"),
    "no executor": ({"executor": 3}, "this is no executor"),
    "nobody there": ({"on": "dask://127.0.0.1:9"}, ("the scheduler cannot be reached", "dask:// needs Dask")),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", MISTAKES)
def test_a_place_that_cannot_be_is_refused_before_anything_is_written(case, kind, tmp_path):
    how, headline = MISTAKES[case]
    with pytest.raises(ArgumentError) as error:
        KINDS[kind][0](tmp_path / "out", **how)
    assert error.value.headline in headline and not (tmp_path / "out").exists()


def test_an_executor_that_cannot_pickle_is_refused_before_anything_is_written(tmp_path):
    """Workers that are spawned by a program without a guard, and one that refuses whatever it is given."""

    class Refuses:
        def submit(self, function, *arguments):
            raise TypeError("cannot pickle 'generator' object")

    for train, _ in KINDS.values():
        with pytest.raises(ArgumentError, match="the workers cannot train") as error:
            train(tmp_path / "out", executor=Refuses())
        assert error.value.got == "TypeError: cannot pickle 'generator' object" and not (tmp_path / "out").exists()


def test_one_training_is_not_trained_by_many(command):  # noqa: F811 - a fixture
    found = command("train", "iris", "--on", "local:2")
    assert found.code == 2 and "--on is for several trainings, and this is one" in found.err
    assert not Path("runs").exists()


def test_ctrl_c_at_the_command_line_saves_and_says_how_it_goes_on(tmp_path):
    """One Ctrl-C for the whole group of processes, as terminals send it."""
    words = ["train", "digits", "--members", "4", "--epochs", "400", "--patience", "400", "--on", "local:2", "--out"]
    process = subprocess.Popen(
        [sys.executable, "-m", "clearprop", *words, tmp_path / "e"], stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip
    until = time.monotonic() + 60
    while not all((tmp_path / f"e/{k}/history.jsonl").exists() for k in (1, 2)) and time.monotonic() < until:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and f"clearprop train --resume {tmp_path}/e goes on" in " ".join(
        (out + err).split()
    )
    assert {cl.load(tmp_path / f"e/{k}").status for k in (1, 2)} == {"interrupted"}
    assert not (tmp_path / "e/stop").exists()


@pytest.mark.parametrize("which", [0, 1])
def test_a_pool_is_closed_though_one_was_killed_that_waited_for_work(which, monkeypatch):
    """It may have held the lock of the queue, for which the other waits for ever."""
    monkeypatch.setattr(pools, "_PATIENCE", 1.0)
    pool = LocalPool(2)
    assert [f.result() for f in [pool.submit(time.sleep, 0.2) for _ in range(2)]] == [None, None]
    workers = sorted(p.pid for p in multiprocessing.active_children() if p.name.startswith("ForkServerProcess"))[-2:]
    os.kill(workers[which], signal.SIGKILL)
    pool.close()
    assert not {p.pid for p in multiprocessing.active_children()} & set(workers)
