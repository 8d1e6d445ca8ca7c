"""The command line within this process, in an empty folder, without a compiler."""

from typing import NamedTuple

import pytest

from clearprop.cli import main
from clearprop.train import job
from clearprop.train.executor import eager_executor


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def eager(monkeypatch):
    """Training runs operation by operation: nothing is compiled for a test of three steps."""
    monkeypatch.setattr(job, "choose_executor", eager_executor)


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """`command("train", "iris", …)` runs `clearprop train iris …` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*args):
        capsys.readouterr()
        code = main([str(a) for a in args])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run
