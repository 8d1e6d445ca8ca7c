"""`--threads`: a setting of the machine, for one command."""

import inspect
import json

import numpy as np
import pytest

import clearprop as cl
from clearprop.cli import main
from clearprop.cli.app import COMMANDS, command_named

QUICK = ("--epochs", "1", "--hidden", "4", "--batch-size", "60")


@pytest.fixture(autouse=True)
def restored():
    before = cl.get_threads()
    yield
    cl.set_threads(before)


def test_the_commands_that_compute_have_it():
    without = [name for name in COMMANDS if "threads" not in inspect.signature(command_named(name)).parameters]
    assert without == ["export", "config"]


def test_it_overrules_the_environment_and_no_run_keeps_it(tmp_path, monkeypatch):
    monkeypatch.setenv("CLEARPROP_THREADS", "3")
    weights = []
    for n in ("1", "2"):
        assert main(["train", "iris", *QUICK, "--threads", n, "--out", str(tmp_path / n)]) == 0
        assert cl.get_threads() == int(n)
        config = json.loads((tmp_path / n / "config.json").read_text())
        assert "threads" not in config["settings"] | config["command"]
        weights.append(cl.load(tmp_path / n).last.parameters()["layers[0].weight"])
    assert np.array_equal(*map(np.asarray, weights))


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5", "1025", "²", ""])
def test_anything_but_a_number_is_refused(capsys, tmp_path, given):
    before = cl.get_threads()
    assert main(["train", "iris", "--threads", given, "--out", str(tmp_path / "run")]) == 2
    told = capsys.readouterr().err
    assert told.startswith("the number of threads is a positive integer\n  expected  1 to 1024")
    assert f"got       {given!r}\n  where     --threads\n  try       --threads 2" in told
    assert cl.get_threads() == before
    assert not (tmp_path / "run").exists()
