"""Two processes in one run folder at the same moment: what can be done is done, and what cannot harms nothing."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import clearprop as cl
from tests.train import beside
from tests.train.conftest import bits

ROOT = Path(__file__).parents[2]
PAIRS = [
    ("train", "train", 0),
    ("train", "resume", 0),
    ("resume", "resume", 3),
    ("fork", "resume", 3),
    ("predict", "train", 0),
    ("predict", "resume", 3),
]
"""What both do, and after how many epochs the run that is there was left."""
WRITERS = ("train", "resume")


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The run as one process trains it, and one that was left after some epochs."""
    from clearprop.train import job
    from clearprop.train.executor import eager_executor

    folder = tmp_path_factory.mktemp("alone")
    settings = dict(zip(beside.TRAINING[1::2], beside.TRAINING[2::2], strict=True))
    short = [word for name, value in {**settings, "--epochs": "3"}.items() for word in (name, value)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "choose_executor", eager_executor)
        assert beside.act("train", folder / "whole") == 0
        assert beside.main(["train", "iris", *short, "--out", str(folder / "left")]) == 0
    return folder


def together(actions, folder):
    """How two processes end that begin at the same moment: their statuses, and what they say."""
    children = [
        subprocess.Popen([sys.executable, "-m", "tests.train.beside", action, str(folder)], cwd=ROOT, text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for action in actions
    ]  # fmt: skip
    for child in children:
        assert child.stdout.readline() == "ready\n", child.stderr.read()
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    said = [child.communicate(timeout=240)[1] for child in children]
    return [child.returncode for child in children], said


def require_unharmed(actions, left, alone, folder):
    shutil.rmtree(folder, ignore_errors=True)
    if left:
        shutil.copytree(alone / "left", folder)
    codes, said = together(actions, folder)
    for code, text in zip(codes, said, strict=True):
        assert code in (0, 2) and "Traceback" not in text, text
        assert code == 0 or text.count("  expected  ") == text.count("  try       ") > 0, text
    writers = [code for action, code in zip(actions, codes, strict=True) if action in WRITERS]
    assert 0 in writers, said
    run, want = cl.load(folder), cl.load(alone / "whole")
    assert (run.status, run.steps, len(run.history)) == ("done", want.steps, beside.EPOCHS)
    assert bits(run.last) == bits(want.last) and bits(run.model) == bits(want.model)
    assert not [p for p in folder.parent.rglob(".*") if "partial" in p.name]
    if actions[0] == "fork":
        assert codes[0] == 0 and cl.load(f"{folder}-fork").status == "done"


def test_two_trainings_of_one_folder(alone, tmp_path):
    require_unharmed(("train", "train"), 0, alone, tmp_path / "run")


@pytest.mark.verify
@pytest.mark.parametrize(("first", "second", "left"), PAIRS, ids=[f"{a} and {b}" for a, b, _ in PAIRS])
def test_twenty_four_pairs(first, second, left, alone, tmp_path, record_property):
    for number in range(4):
        require_unharmed((first, second), left, alone, tmp_path / f"run-{number}")
    record_property("tried", f"4 pairs of {first} and {second}")
