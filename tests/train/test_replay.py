"""Replays of random steps have the hashes that a second, undisturbed run recorded."""

import random

import pytest

from clearprop.train import compiled_executor, job
from clearprop.train.executor import eager_executor
from clearprop.train.run import Replayed
from clearprop.train.training_loop import Loop
from tests.train import killed


@pytest.fixture(params=["eager", pytest.param("compiled", marks=pytest.mark.verify)])
def executor(request, monkeypatch):
    if request.param == "eager":
        monkeypatch.setattr(job, "choose_executor", eager_executor)


def test_twenty_random_steps(executor, tmp_path, monkeypatch):
    run = killed.train(out=tmp_path / "run")
    recorded = {}
    pause = Loop._pause

    def record(loop, state, interrupts):
        recorded[state.step] = Replayed(state).digest
        return pause(loop, state, interrupts)

    with monkeypatch.context() as patch:
        patch.setattr(compiled_executor, "PAUSE_SECONDS", 0.0)
        patch.setattr(Loop, "_pause", record)
        killed.train()
    assert set(recorded) == set(range(1, run.steps + 1))
    steps = random.Random(0).sample(range(1, run.steps + 1), 20)
    assert [run.replay(step).digest for step in steps] == [recorded[step] for step in steps]
    assert len({recorded[step] for step in steps}) == 20
    assert run.replay(steps[0]).difference == ""
