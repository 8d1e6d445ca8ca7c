"""`clearprop train --fork RUN@STEP`."""

import json
from pathlib import Path

import pytest

import clearprop as cl

QUICK = ("--epochs", "4", "--batch-size", "53")
pytestmark = pytest.mark.usefixtures("eager")


@pytest.fixture
def first(command):
    assert command("train", "iris", *QUICK, "--out", "first").code == 0
    return cl.load("first")


def test_a_fork_starts_from_the_step_and_can_be_resumed(first, command):
    told = command("train", "--fork", "first@5", "--lr", "0.0001", "--epochs", "5", "--out", "second")
    assert told.code == 0
    assert "fork      from step 5 of first, --lr 0.0001, --epochs 5" in told.out
    second = cl.load("second")
    assert second.replay(5).digest == first.replay(5).digest
    assert json.loads(Path("second/config.json").read_text())["forked"] == {
        "run": "first", "step": 5, "changed": {"lr": 0.0001, "epochs": 5}
    }  # fmt: skip
    digest = second.replay(10).digest
    assert command("train", "--resume", "second", "--epochs", "6").code == 0
    assert cl.load("second").replay(10).digest == digest


@pytest.mark.parametrize("text", ["sgd:momentum=0.9", "sgd:lr=0.1,momentum=0.9", "polyak"])
def test_a_fork_made_in_python_is_resumed_on_the_command_line(text, first, command):
    digest = first.fork(5, {"optimizer": text, "epochs": 5}, out="second").replay(10).digest
    told = command("train", "--resume", "second", "--epochs", "6")
    assert told.code == 0, told.err
    assert cl.load("second").replay(10).digest == digest


def test_a_fork_without_change_is_the_run(first, command):
    assert command("train", "--fork", "first@3", "--out", "second").code == 0
    assert cl.load("second").replay(8).digest == first.replay(8).digest


MESSAGES = {
    "no step": (
        ["first"],
        "--fork cannot be 'first'",
        "the folder of a run, @, and the number of a step",
        "--fork first@100",
    ),
    "too far": (["first@99"], "the run has no such step", "a step from 0 to 8", "--fork first@8"),
    "other network": (
        ["first@2", "--hidden", "3"],
        "a fork keeps the network and the data",
        "--fork with --lr, --optimizer, --epochs, --batch-size, --l1, --l2, --patience or --out",
        "a new run with --hidden",
    ),
    "nothing left": (["first@8"], "there is nothing left to train after that step", "more than 4 epochs", ""),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_mistakes(case, first, command):
    args, headline, expected, remedy = MESSAGES[case]
    told = command("train", "--fork", *args)
    assert told.code == 2
    lines = told.err.splitlines()
    assert lines[0] == headline
    assert lines[1] == f"  expected  {expected}"
    assert lines[-1].startswith("  try       ") and remedy in lines[-1]
    assert not Path("runs").exists()
