"""One process at a time writes a run, and a run knows in which environment each of its steps was made."""

import json
import os
import subprocess
import sys
import threading
import warnings
from dataclasses import replace

import pytest

import clearprop as cl
from clearprop.files.folder_lock import hold_folder
from clearprop.runs.folder import Stretch
from tests.train import killed
from tests.train.conftest import bits

pytestmark = pytest.mark.usefixtures("eager")


@pytest.fixture
def run(tmp_path):
    return killed.train(out=tmp_path / "run", epochs=3)


def test_a_second_process_is_refused_and_the_first_unharmed(run, tmp_path):
    before = {p: p.read_bytes() for p in run.folder.rglob("*") if p.is_file()}
    with hold_folder(run.folder):
        done = subprocess.run(
            [sys.executable, "-m", "tests.train.killed", str(run.folder)], capture_output=True, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr == (
        "this run is being trained already\n"
        "  expected  a run folder that nobody else writes\n"
        "  got       a folder that another process, or another thread, holds\n"
        f"  where     {run.folder}\n"
        "  try       wait until it has ended, or take another --out\n"
    )
    assert {p: p.read_bytes() for p in run.folder.rglob("*") if p.is_file()} == before
    assert killed.train(resume=run.folder, epochs=4).status == "done"


def test_the_lock_dies_with_its_process(tmp_path):
    code = f"""
import os, signal
from pathlib import Path
from clearprop.files.folder_lock import hold_folder
with hold_folder(Path({str(tmp_path)!r})):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode < 0
    with hold_folder(tmp_path):
        pass


def test_a_process_that_is_about_to_end_is_waited_for(tmp_path):
    """A launcher may return before all that it killed has ended."""
    release = threading.Event()

    def hold():
        with hold_folder(tmp_path):
            held.set()
            release.wait()

    held, holder = threading.Event(), threading.Thread(target=hold)
    holder.start()
    held.wait()
    ending = threading.Timer(0.1, release.set)
    ending.start()
    with hold_folder(tmp_path):
        assert release.is_set()
    holder.join()
    ending.join()


def test_the_child_of_a_fork_does_not_keep_the_lock(tmp_path):
    reading, writing = os.pipe()
    with hold_folder(tmp_path):
        child = os.fork()
        if child == 0:
            os.close(writing)
            os.read(reading, 1)  # until the parent is done
            os._exit(0)
    try:
        with hold_folder(tmp_path):
            pass
    finally:
        os.close(writing)
        os.waitpid(child, 0)


def test_the_child_of_a_fork_does_not_go_on_with_the_run(tmp_path):
    """A callback forks and both return: the child is refused, and the parent's run is as if there had been none."""
    own, reading, writing = os.getpid(), *os.pipe()

    def fork(event, state):
        if event["event"] == "epoch" and event["epoch"] == 2 and os.getpid() == own:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # a process with threads may be forked
                os.fork()

    try:
        run = killed.train(out=tmp_path / "run", epochs=4, callbacks=[fork])
    except BaseException as problem:
        if os.getpid() != own:
            os.write(writing, str(problem).encode())
            os._exit(0)
        raise
    finally:
        if os.getpid() != own:
            os._exit(1)
    os.wait()
    told = os.read(reading, 1000).decode()
    assert told.startswith("this run is trained by the process that forked this one\n  expected  "), told
    stored = cl.load(run.folder, template=run.model)
    assert (stored.status, len(stored.history)) == ("done", 4)
    assert bits(stored.last) == bits(killed.train(epochs=4).last)


def test_steps_keep_the_environment_that_made_them(run):
    path = run.folder / "config.json"
    config = json.loads(path.read_text())
    config["environment"]["processor"] = "another one"
    path.write_text(json.dumps(config))
    said = []
    again = killed.train(resume=run.folder, epochs=5, callbacks=[lambda event, _: said.append(event)])
    warned = [e["message"] for e in said if e["event"] == "warning"]
    assert len(warned) == 1 and warned[0].startswith("the run goes on in another environment, so its bits may differ")
    assert "processor another one → " in warned[0]
    stored = cl.load(run.folder).config
    assert stored == again.config
    assert [(s.until, s.environment.processor) for s in stored.earlier] == [(run.steps, "another one")]
    now = stored.environment
    assert stored.differences(0, run.steps, now) == [f"processor another one → {now.processor}"]
    assert stored.differences(run.steps, again.steps, now) == []
    assert stored.differences(run.steps - 1, again.steps, now) != []
    killed.train(resume=run.folder, epochs=6)
    assert cl.load(run.folder).config.earlier == stored.earlier


def test_what_is_done_again_is_no_longer_what_another_environment_did(run):
    here = run.config
    there = replace(here, environment=replace(here.environment, processor="b"))
    third = replace(here, environment=replace(here.environment, processor="c"))
    assert here.resumed(there, 0).earlier == ()
    assert here.resumed(there, 10).earlier == (Stretch(10, there.environment),)
    resumed = third.resumed(here.resumed(there, 10), 20)
    assert resumed.earlier == (Stretch(10, there.environment), Stretch(20, here.environment))
    assert third.resumed(resumed, 5).earlier == (Stretch(5, there.environment),)
    assert here.resumed(resumed, 15).earlier == (Stretch(10, there.environment),)
