"""`-` is standard input: what comes there is a table of any form, for as long as the command lasts."""

import io
import sys
from pathlib import Path

import pytest

import clearprop as cl
from clearprop.cli.standard_input import given_data
from clearprop.errors import ArgumentError, RunError

TEXT = "area;price\n" + "".join(f"{k % 17},5;{k % 17 * 3 + k / 8}\n".replace(".", ",") for k in range(60))


@pytest.fixture
def piped(command, monkeypatch):
    """`piped(bytes, "train", "-", …)` runs a command with these bytes on standard input."""

    def run(data, *args):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        return command(*args)

    return run


@pytest.mark.usefixtures("eager")
def test_every_command_takes_it(piped):
    assert piped(TEXT.encode(), "train", "-", "--epochs", "2", "--out", "run").code == 0
    Path("t.csv").write_text(TEXT)
    predicted = piped(TEXT.encode("utf-16"), "predict", "run", "-")
    assert predicted.code == 0 and predicted.out == piped(b"", "predict", "run", "t.csv").out
    evaluated = [piped(TEXT.encode(), "evaluate", "run", name).out for name in ("-", "t.csv")]
    assert evaluated[0] == evaluated[1] != ""
    assert not list(Path().glob("standard-input*"))


@pytest.mark.usefixtures("eager")
def test_a_run_of_it_cannot_be_replayed_and_says_why(piped):
    piped(TEXT.encode(), "train", "-", "--epochs", "2", "--out", "run")
    with pytest.raises(RunError, match="came on standard input, and are gone"):
        cl.load("run").replay(1)
    resumed = piped(TEXT.encode(), "train", "--resume", "run", "--epochs", "3")
    assert resumed.code == 2 and "came on standard input" in resumed.err


def test_mistakes(piped, monkeypatch):
    assert "is empty" in piped(b"", "train", "-").err
    terminal = io.TextIOWrapper(io.BytesIO())
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdin", terminal)
    with pytest.raises(ArgumentError, match="nothing comes on standard input"), given_data("-"):
        pass
