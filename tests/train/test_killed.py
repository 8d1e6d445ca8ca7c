"""Runs that are killed at any moment, or refused by the disk, go on to the bits of one that was not."""

import errno
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import clearprop as cl
from clearprop.runs.checkpoints import checkpoint_steps
from tests.tiers import later
from tests.train import killed
from tests.train.conftest import bits

ROOT = Path(__file__).parents[2]
EPOCH_SECONDS = 0.01


@pytest.fixture(scope="module")
def undisturbed():
    from clearprop.train import job
    from clearprop.train.executor import eager_executor

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "choose_executor", eager_executor)
        return killed.train()


@pytest.fixture
def tmp_path(tmp_path):
    """A folder in memory, where there is one: what is tested is the order of writes, not the disk's speed."""
    if not Path("/dev/shm").is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


def process(folder, *options):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.train.killed", str(folder), *options],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def killed_at_a_moment(folder, rng, *options):
    """Kill the training a random time after one of its events."""
    child = process(folder, *options)
    for _ in range(rng.randrange(1, killed.EPOCHS)):
        child.stdout.readline()
    time.sleep(rng.random() * EPOCH_SECONDS)
    child.kill()
    child.communicate()
    return child.returncode


def killed_in_a_write(folder, rng, *options):
    """Kill the training right before one of its operations on files."""
    child = process(folder, "--kill", str(rng.randrange(1, killed.OPERATIONS)), *options)
    child.communicate()
    return child.returncode


def require_startable(folder):
    """A run that was killed before it had a config has trained nothing; it is started anew."""
    if not (folder / "config.json").exists():
        assert not (folder / "checkpoints").exists()
        shutil.rmtree(folder, ignore_errors=True)


def require_same(folder, undisturbed, template):
    run = cl.load(folder, template=template)
    assert (run.status, run.steps) == ("done", undisturbed.steps)
    assert bits(run.last) == bits(undisturbed.last)
    assert bits(run.model) == bits(undisturbed.model)
    assert [e["validation"] for e in run.history] == [e["validation"] for e in undisturbed.history]
    assert not list(folder.glob(".*")) and not list((folder / "checkpoints").glob(".*"))


def test_five_kills(undisturbed, tmp_path):
    rng, folder = random.Random(5), tmp_path / "run"
    codes = []
    for kill in (killed_in_a_write, killed_at_a_moment, killed_in_a_write, killed_at_a_moment, killed_in_a_write):
        codes.append(kill(folder, rng))
        require_startable(folder)
    assert set(codes) <= {0, -signal.SIGKILL} and codes.count(-signal.SIGKILL) >= 3
    child = process(folder)
    assert child.communicate()[1] == "" and child.returncode == 0
    require_same(folder, undisturbed, undisturbed.model)


@pytest.mark.parametrize("moment", [1, 2, 5, 9, *later([3, 4, 6, 7, 8])])
def test_killed_in_its_first_moments_a_run_is_not_there_or_goes_on(moment, undisturbed, tmp_path):
    folder = tmp_path / "run"
    child = process(folder, "--kill", str(moment))
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    assert not folder.exists() or (folder / "config.json").exists()
    child = process(folder)
    assert child.communicate()[1] == "" and child.returncode == 0
    require_same(folder, undisturbed, undisturbed.model)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.verify
@pytest.mark.parametrize("seed", range(50))
def test_fifty_kills(seed, undisturbed, tmp_path):
    """Each training is killed once, every other one inside a write; every fifth one is compiled."""
    rng, folder = random.Random(seed), tmp_path / "run"
    options = ["--compiled"] if seed % 5 == 0 else []
    reference = killed.train() if options else undisturbed
    kill = killed_in_a_write if seed % 2 else killed_at_a_moment
    assert kill(folder, rng, *options) == -signal.SIGKILL
    require_startable(folder)
    child = process(folder, *options)
    assert child.communicate()[1] == "" and child.returncode == 0
    require_same(folder, reference, reference.model)


@pytest.mark.parametrize("operation, number", [(4, errno.ENOSPC), (10, errno.ENOSPC), (57, errno.EACCES)])
def test_a_disk_that_refuses_loses_nothing_that_was_saved(operation, number, undisturbed, tmp_path):
    folder = tmp_path / "run"
    child = process(folder, "--refuse", str(operation), str(number))
    told = child.communicate()[1].splitlines()
    assert child.returncode == 2
    assert told[0].startswith("cannot write ")
    assert told[1] == "  expected  a folder that may be written, with space left"
    assert told[2] == f"  got       {'No space left on device' if number == errno.ENOSPC else 'Permission denied'}"
    assert told[3].startswith(f"  where     {folder}")
    assert told[4] == "  try       free some space or choose another --out; everything saved before is still there"
    assert len(told) == 5
    saved = checkpoint_steps(folder / "checkpoints")
    if operation == 4:
        assert list(tmp_path.iterdir()) == []
    elif saved:
        assert cl.load(folder).steps == saved[-1]
    else:
        with pytest.raises(cl.errors.RunError, match="nothing of this run has been saved"):
            cl.load(folder)
    assert not list((folder / "checkpoints").glob(".*"))
    child = process(folder)
    assert child.communicate()[1] == "" and child.returncode == 0
    require_same(folder, undisturbed, undisturbed.model)


def test_a_file_in_the_way_of_the_run_folder_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(cl.errors.RunError) as caught:
        killed.train(out=tmp_path / "file" / "run", epochs=1)
    assert (
        str(caught.value)
        == f"""\
cannot write 'file'
  expected  a folder that may be written, with space left
  got       File exists
  where     {tmp_path}/file
  try       free some space or choose another --out; everything saved before is still there"""
    )


def test_a_damaged_checkpoint_is_refused_and_the_one_before_it_serves(undisturbed, tmp_path, monkeypatch):
    from clearprop.train import job
    from clearprop.train.executor import eager_executor

    monkeypatch.setattr(job, "choose_executor", eager_executor)
    folder = tmp_path / "run"
    killed.train(out=folder, epochs=3)
    newest, before = checkpoint_steps(folder / "checkpoints")[:0:-1][:2]
    damaged = folder / "checkpoints" / str(newest)
    with (damaged / "optimizer.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\xff")
    with pytest.raises(cl.errors.RunError) as caught:
        killed.train(resume=folder)
    assert caught.value.headline == "the checkpoint cannot be trusted"
    assert caught.value.expected.startswith("optimizer.safetensors with SHA-256 ")
    assert caught.value.try_ == f"remove {damaged}: the run then goes on from step {before}"
    shutil.rmtree(damaged)
    assert bits(killed.train(resume=folder).last) == bits(undisturbed.last)
