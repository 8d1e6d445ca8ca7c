"""A disk that fills, turns read-only or breaks at any write: one error of ours, exit 2, and nothing lost."""

import itertools
import shutil

import pytest

import clearprop as cl
from tests.files.faults import BROKEN, FULL, READ_ONLY, Disk, Killer, faults, killed_at, numbers_to_refuse
from tests.train import killed
from tests.train.conftest import bits

EPOCHS = 3
ONCE, FROM_THEN_ON = False, True
DISKS = [
    (FULL, FROM_THEN_ON, 9),
    (BROKEN, ONCE, 9),
    pytest.param((FULL, FROM_THEN_ON, 1), marks=pytest.mark.verify),
    pytest.param((FULL, ONCE, 1), marks=pytest.mark.verify),
    pytest.param((READ_ONLY, FROM_THEN_ON, 1), marks=pytest.mark.verify),
    pytest.param((BROKEN, ONCE, 1), marks=pytest.mark.verify),
]
"""The error, whether it stays, and that every so many-th write is tried beside some of each kind."""


def refused_writes(monkeypatch, folder, prepare, act, disk):
    """Do something while writes of it are refused; yields the number of the write, and the error or None."""
    number, lasting, step = disk

    def attempt(at=None):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        prepare()
        with faults(monkeypatch, Disk(folder, at, number, lasting)) as found:
            try:
                act()
            except cl.errors.ClearpropError as problem:
                return problem, found.kinds
        return None, found.kinds

    problem, kinds = attempt()
    assert problem is None and len(kinds) >= 3
    for at in numbers_to_refuse(kinds, step):
        problem, _ = attempt(at)
        assert problem is not None or not lasting, f"write {at} was refused, and nobody said so"
        assert problem is None or is_whole(problem), f"write {at}: {problem}"
        yield at, problem


def is_whole(problem):
    return (
        problem.headline.startswith("cannot ") and problem.expected and problem.got and problem.where and problem.try_
    )


@pytest.mark.parametrize("disk", DISKS)
@pytest.mark.parametrize("before", [0, 2], ids=["new", "resumed"])
def test_a_training_that_is_refused_anywhere_goes_on(before, disk, eager, tmp_path, monkeypatch, record_property):
    runs, kept = tmp_path / "runs", tmp_path / "kept"
    folder = runs / "run"
    if before:
        killed.train(out=kept, epochs=before)
    want = killed.train(epochs=EPOCHS)

    def prepare():
        if before:
            shutil.copytree(kept, folder)

    def train():
        there = folder.exists() and any(folder.iterdir())
        return killed.train(**{"resume" if there else "out": folder}, epochs=EPOCHS)

    tried = []
    for at, _ in refused_writes(monkeypatch, runs, prepare, train, disk):
        tried.append(at)
        run = train()
        assert (run.status, run.steps, len(run.history)) == ("done", want.steps, EPOCHS), f"write {at}"
        assert bits(run.last) == bits(want.last) and bits(run.model) == bits(want.model), f"write {at}"
        assert not [p for p in tmp_path.rglob(".*") if "partial" in p.name], f"write {at}"
    record_property("tried", f"{len(tried)} refused writes")


@pytest.mark.parametrize("step", [6, pytest.param(1, marks=pytest.mark.verify)])
@pytest.mark.parametrize("before", [0, 1], ids=["new", "resumed"])
def test_a_training_that_is_killed_at_any_write_is_not_there_or_goes_on(
    before, step, eager, tmp_path, monkeypatch, record_property
):
    """Every moment of a run of two epochs, from the first folder to the last summary; writes are cut in halves."""
    runs, kept = tmp_path / "runs", tmp_path / "kept"
    folder = runs / "run"
    if before:
        killed.train(out=kept, epochs=before)
    want = killed.train(epochs=2)
    started = lambda folder: killed.train(**{"resume" if before else "out": folder}, epochs=2)
    for at in itertools.count(1, step):
        shutil.rmtree(runs, ignore_errors=True)
        if before:
            shutil.copytree(kept, folder)
        if killed_at(monkeypatch, Killer(runs, at), started, folder) == 0:
            break
        assert not folder.exists() or (folder / "config.json").exists(), f"write {at}: neither empty nor a run"
        run = killed.train(**{"resume" if folder.exists() else "out": folder}, epochs=2)
        assert (run.status, len(run.history)) == ("done", 2), f"write {at}"
        assert bits(run.last) == bits(want.last) and bits(run.model) == bits(want.model), f"write {at}"
        assert not [p for p in tmp_path.rglob(".*") if "partial" in p.name], f"write {at}"
    assert at > 30
    record_property("tried", f"{(at - 1) // step} kills")
