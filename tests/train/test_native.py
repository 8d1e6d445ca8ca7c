"""Training in the native loop: what the readable step does, and the same bits however it is cut into pieces."""

import signal
import subprocess
import sys

import numpy as np
import pytest

import clearprop as cl
from clearprop.train import compiled_executor, job, training_loop
from clearprop.train.executor import eager_executor
from tests.train.conftest import bits

OPTIONS = {"epochs": 4, "batch_size": 8, "validation": 0.25, "metrics": ("accuracy",), "checkpoint_seconds": 0.0}


@pytest.fixture
def whole(network, data):
    return cl.fit(network, data, **OPTIONS)


def test_it_does_what_the_readable_step_does(network, data, whole, monkeypatch):
    monkeypatch.setattr(job, "choose_executor", eager_executor)
    readable = cl.fit(network, data, **OPTIONS)
    for path, value in readable.last.arrays().items():
        np.testing.assert_allclose(whole.last.arrays()[path].numpy(), value.numpy(), rtol=2e-5, atol=2e-6)
    for ours, theirs in zip(whole.history, readable.history, strict=True):
        assert ours["train"] == pytest.approx(theirs["train"], rel=1e-5)


@pytest.mark.parametrize("chunk", [1, 3])
def test_pieces_change_no_bit(chunk, network, data, whole, monkeypatch):
    monkeypatch.setattr(compiled_executor._NativeEpochs, "_chunk", lambda self: chunk)
    cut = cl.fit(network, data, **OPTIONS)
    assert bits(cut.last) == bits(whole.last)
    assert [e["train"] for e in cut.history] == [e["train"] for e in whole.history]


@pytest.mark.parametrize("step", [1, 6, 8, 15])
def test_interrupted_and_resumed_is_undisturbed(step, network, data, whole, monkeypatch, tmp_path):
    pause = training_loop.Loop._pause

    def interrupting(self, state, interrupts):
        if state.step == step:
            signal.raise_signal(signal.SIGINT)
        return pause(self, state, interrupts)

    with monkeypatch.context() as patch:
        patch.setattr(compiled_executor._NativeEpochs, "_chunk", lambda self: 1)
        patch.setattr(training_loop.Loop, "_pause", interrupting)
        with pytest.raises(cl.TrainingInterrupted) as stop:
            cl.fit(network, data, out=tmp_path / "run", **OPTIONS)
    assert stop.value.run.steps == step
    run = cl.fit(network, data, resume=tmp_path / "run", **OPTIONS)
    assert bits(run.last) == bits(whole.last)
    assert bits(run.model) == bits(whole.model)


def test_steps_are_replayed_to_the_bit(network, data, tmp_path):
    recorded = {}

    def record(event, state):
        recorded[state.step] = (bits(state.model), bits(state.optimizer))

    run = cl.fit(network, data, out=tmp_path / "run", callbacks=[record], **OPTIONS)
    assert {0, 4, 8, 12, 16} <= set(recorded)
    for step, state in recorded.items():
        replayed = run.replay(step)
        assert (bits(replayed.model), bits(replayed.optimizer)) == state
    twice = cl.fit(network, data, **OPTIONS)
    for step in (3, 10, 13):
        assert bits(run.replay(step).model) == bits(twice.replay(step).model)


def test_batches_from_outside_run_compiled(network, data):
    x, y = data
    batches = [(x[i : i + 10], y[i : i + 10]) for i in range(0, 40, 10)]
    streamed = cl.fit(network, batches, epochs=2)
    looped = cl.fit(network, data, epochs=2, batch_size=10, shuffle=False)
    for path, value in looped.last.arrays().items():
        np.testing.assert_allclose(streamed.last.arrays()[path].numpy(), value.numpy(), rtol=2e-5, atol=2e-6)


def test_kernels_from_the_cache_load_where_numba_was_imported_before(whole):
    """Numba registers what its wrappers call only when it first compiles; the cached kernels name it at once."""
    code = (
        "import numba, numpy as np, clearprop as cl\n"
        "x, y = np.ones((8, 4), np.float32), np.arange(8) % 2\n"
        "print(cl.fit(cl.nn.mlp([4, 3, 2]), (x, y), epochs=1).status)\n"
    )
    for _ in range(2):  # the first fills the cache, if nothing has yet
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
