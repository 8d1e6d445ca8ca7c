"""Replays of random steps have the hashes that a second, undisturbed run recorded."""

import random

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import RunError
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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("which", [0, 1])
def test_arrays_that_changed_since_are_told(which, dtype, executor, tmp_path):
    """The trainer keeps no copy of arrays that it can learn from as they are: what opens steps looks at them again."""
    pair = np.random.default_rng(0).normal(size=(40, 3)).astype(dtype), np.ones((40, 1), dtype)
    given = tuple(array.copy() for array in pair)
    model = cl.nn.mlp([3, 4, 1], seed=0, dtype=dtype)
    run = cl.fit(model, given, epochs=4, batch_size=20)
    doors = (
        lambda: run.replay(3).digest,
        lambda: cl.explain(run, "layers[0].weight", index=(0, 0), step=3).value,
        lambda: cl.explain(run, "layers[0].weight", index=(0, 0), row=1).value,
        lambda: run.fork(3, {"epochs": 5}).steps,
    )
    before = [door() for door in doors]
    given[which][...] *= 2
    changed = not np.array_equal(given[which], pair[which])
    assert changed
    for door in doors:
        with pytest.raises(RunError, match="the arrays of this run have changed since it was trained"):
            door()
    given[which][...] = pair[which]
    assert [door() for door in doors] == before
