"""Ensembles, folds and sweeps on a disk that refuses any write, or killed at any: one error, and the folder goes on."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

import clearprop as cl
from clearprop.search.cross_validation import conduct_folds, holds_folds, plan_folds_again
from clearprop.search.members import Extent, conduct_ensemble, plan_again
from tests.files.faults import BROKEN, FULL, READ_ONLY, Disk, Killer, faults, killed_at, numbers_to_refuse
from tests.train.test_refused_writes import is_whole

SETTINGS = {"epochs": 2, "hidden": (4,), "batch_size": 40, "lr": 0.05, "seed": 1}
ONCE, FROM_THEN_ON = False, True


def ensemble(folder):
    if not folder.exists():
        return cl.ensemble("iris", members=2, out=folder, **SETTINGS)
    plan, ended = plan_again(folder, Extent(None, None))
    return conduct_ensemble(plan, folder, before=ended)


def folds(folder):
    if not holds_folds(folder):
        return cl.cross_validate("iris", folds=2, out=folder, **SETTINGS)
    return conduct_folds(plan_folds_again(folder), folder)


def sweep(folder):
    with ThreadPoolExecutor(1) as executor:
        if folder.exists():
            found = cl.sweep(resume=folder, executor=executor)
        else:
            found = cl.sweep(
                "iris", {"l2": "0;0.1"}, search="grid", trials=2, executor=executor, out=folder, **SETTINGS
            )
    lost = [e.outcome.message for e in found.trials if e.outcome.status == "failed"]
    if lost:  # a trial that the disk refused is told as one that failed, and done again with the sweep
        raise cl.errors.RunError(lost[0], expected="trials", got=lost[0], where=str(folder), try_="resume")
    return found


DOORS = {"ensemble": ensemble, "folds": folds, "sweep": sweep}
LASTING = ("model.safetensors", "preprocessing.json", "predictions.csv")


@pytest.fixture(autouse=True)
def _eager(monkeypatch):
    from clearprop.train import job
    from clearprop.train.executor import eager_executor

    monkeypatch.setattr(job, "choose_executor", eager_executor)


def kept(folder):
    """What the trainings in a folder came to, to the bit."""
    files = (p for p in sorted(folder.rglob("*")) if p.name in LASTING and "checkpoints" not in p.parts)
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def require_whole(act, folder, want, told):
    """The folder goes on to what an undisturbed one holds, and nothing is left over."""
    act(folder)
    assert kept(folder) == want, told
    assert not [p for p in folder.parent.rglob(".*") if "partial" in p.name], told
    assert not (folder / "stop").exists(), told


EVERY = pytest.mark.verify
DISKS = [
    (FULL, FROM_THEN_ON, 24),
    pytest.param((BROKEN, ONCE, 24), marks=EVERY),
    pytest.param((FULL, FROM_THEN_ON, 1), marks=EVERY),
    pytest.param((READ_ONLY, FROM_THEN_ON, 3), marks=EVERY),
    pytest.param((BROKEN, ONCE, 1), marks=EVERY),
]
"""The error, whether it stays, and that every so many-th write is tried beside some of each kind."""


@pytest.mark.parametrize("disk", DISKS, ids=str)
@pytest.mark.parametrize("door", DOORS)
def test_a_disk_that_refuses_is_one_error_and_the_folder_goes_on(door, disk, tmp_path, monkeypatch):
    number, lasting, step = disk
    act, runs = DOORS[door], tmp_path / "runs"
    folder = runs / "all"

    def attempt(at=None):
        shutil.rmtree(runs, ignore_errors=True)
        runs.mkdir()
        with faults(monkeypatch, Disk(runs, at, number, lasting)) as found:
            try:
                act(folder)
            except cl.errors.ClearpropError as problem:
                return problem, found.kinds
        return None, found.kinds

    problem, kinds = attempt()
    want = kept(folder)
    assert problem is None and len(kinds) > 30 and len(want) >= 4
    for at in numbers_to_refuse(kinds, step):
        problem, _ = attempt(at)
        assert problem is not None or not lasting, f"write {at} was refused, and nobody said so"
        assert problem is None or is_whole(problem), f"write {at}: {problem}"
        require_whole(act, folder, want, f"write {at}")


@pytest.mark.parametrize("step", [24, pytest.param(1, marks=EVERY)])
@pytest.mark.parametrize("door", DOORS)
def test_killed_at_any_write_the_folder_is_not_there_or_goes_on(door, step, tmp_path, monkeypatch):
    act, runs = DOORS[door], tmp_path / "runs"
    folder = runs / "all"
    runs.mkdir()
    with faults(monkeypatch, Disk(runs)) as found:
        act(folder)
    want = kept(folder)
    for at in numbers_to_refuse(found.kinds, step):
        shutil.rmtree(runs, ignore_errors=True)
        runs.mkdir()
        assert killed_at(monkeypatch, Killer(runs, at), act, folder) != 0, f"write {at}"
        require_whole(act, folder, want, f"write {at}")
