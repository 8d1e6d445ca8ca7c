"""A run that was interrupted, wherever it was, ends in the bits of one that was not; every step can be replayed."""

import json
import shutil
import signal
import threading

import numpy as np
import pytest

import clearprop as cl
from clearprop.files import atomic
from clearprop.runs.checkpoints import checkpoint_steps
from tests.train.conftest import bits


class Watched:
    """Cross-entropy that raises when it is called for a given time; the first calls are `TRIALS`.

    An epoch calls it four times for its batches and once for the validation part.
    """

    def __init__(self, at=-1, error=KeyboardInterrupt):
        self.calls, self.at, self.error = 0, at, error

    def __call__(self, outputs, y):
        self.calls += 1
        if self.calls == self.at:
            raise self.error
        return cl.nn.cross_entropy(outputs, y)


TRIALS = 4
"""Calls before the first batch: of the trial step, of what looks for a loss that compares all rows, of the probe."""
OPTIONS = {"loss": Watched(), "epochs": 4, "batch_size": 8, "validation": 0.25, "metrics": ("accuracy",)}
OPTIONS |= {"checkpoint_seconds": 0.0}
PLAIN = {**OPTIONS, "loss": "cross_entropy"}
STEPS = 16
pytestmark = pytest.mark.usefixtures("eager")


def watched(call, error=KeyboardInterrupt):
    """The options with a loss that raises."""
    return {**OPTIONS, "loss": Watched(call, error)}


def clockless(history):
    return [{k: v for k, v in event.items() if k not in ("time", "seconds", "seq")} for event in history]


@pytest.fixture
def undisturbed(network, data):
    return cl.fit(network, data, **OPTIONS)


@pytest.mark.parametrize("call", [5, 6, 8, 10, 13, 17, 20])
def test_interrupted_anywhere_and_resumed_is_undisturbed(call, network, data, undisturbed, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(cl.TrainingInterrupted) as stop:
        cl.fit(network, data, out=out, **watched(call))
    assert stop.value.run.status == "interrupted"
    assert json.loads((out / "summary.json").read_text())["status"] == "interrupted"
    loaded = cl.load(out, template=network)
    assert (loaded.status, loaded.steps) == ("interrupted", stop.value.run.steps)
    assert bits(loaded.last) == bits(stop.value.run.last)
    run = cl.fit(network, data, resume=out, **OPTIONS)
    assert bits(run.last) == bits(undisturbed.last)
    assert bits(run.model) == bits(undisturbed.model)
    assert clockless(run.history) == clockless(undisturbed.history)
    assert clockless(cl.load(out, template=network).history) == clockless(undisturbed.history)


def test_interrupted_time_and_again(network, data, undisturbed, tmp_path):
    out, done = tmp_path / "run", None
    for attempt in range(30):
        try:
            where = {"resume": out} if attempt else {"out": out}
            done = cl.fit(network, data, **where, **watched(5 + attempt % 3))
            break
        except cl.TrainingInterrupted:
            continue
    assert done is not None and attempt > 2
    assert bits(done.last) == bits(undisturbed.last)
    assert bits(done.model) == bits(undisturbed.model)


def test_interrupted_while_the_end_is_measured(network, data, undisturbed, tmp_path):
    """All steps are there by then: nothing of them is lost, and resumed the run is measured."""
    out = tmp_path / "run"
    with pytest.raises(cl.TrainingInterrupted) as stop:
        cl.fit(network, data, out=out, **watched(TRIALS + 21))
    assert (stop.value.run.steps, stop.value.run.results.get("training")) == (STEPS, None)
    assert cl.load(out, template=network).status == "interrupted"
    run = cl.fit(network, data, resume=out, **OPTIONS)
    assert run.status == "done"
    assert run.results == undisturbed.results
    assert clockless(run.history) == clockless(undisturbed.history)


@pytest.mark.parametrize("event", ["epoch", "checkpoint"])
def test_interrupted_at_the_end_of_an_epoch(event, network, data, undisturbed, tmp_path):
    def interrupt(told, state):
        if told["event"] == event and told["epoch"] == 2 and told.get("reason") != "interrupted":
            raise KeyboardInterrupt

    with pytest.raises(cl.TrainingInterrupted):
        cl.fit(network, data, out=tmp_path / "run", callbacks=[interrupt], **OPTIONS)
    run = cl.fit(network, data, resume=tmp_path / "run", **OPTIONS)
    assert bits(run.last) == bits(undisturbed.last)
    assert clockless(run.history) == clockless(undisturbed.history)


def test_killed_between_two_checkpoints(network, data, undisturbed, tmp_path):
    """What a kill leaves behind: an older checkpoint, a longer history with half a line, a half-written folder."""
    out = tmp_path / "run"
    with pytest.raises(ZeroDivisionError):
        cl.fit(network, data, out=out, **watched(TRIALS + 16, ZeroDivisionError))
    shutil.rmtree(out / "checkpoints" / "12")
    with (out / "history.jsonl").open("a") as file:
        file.write('{"v":1,"seq":99,"ev')
    (out / "checkpoints" / ".12.partial-0abc").mkdir()
    loaded = cl.load(out, template=network)
    assert (loaded.status, loaded.steps) == ("killed", 8)
    run = cl.fit(network, data, resume=out, **OPTIONS)
    assert bits(run.last) == bits(undisturbed.last)
    assert clockless(run.history) == clockless(undisturbed.history)
    assert not list((out / "checkpoints").glob(".*"))


def test_killed_before_the_first_checkpoint(network, data, undisturbed, tmp_path):
    out = tmp_path / "run"
    cl.fit(network, data, out=out, **OPTIONS)
    shutil.rmtree(out / "checkpoints")
    run = cl.fit(network, data, resume=out, **OPTIONS)
    assert bits(run.last) == bits(undisturbed.last)


def test_a_finished_run_is_extended_and_a_longer_run_is_the_same(network, data, undisturbed, tmp_path):
    out = tmp_path / "run"
    cl.fit(network, data, out=out, **{**OPTIONS, "epochs": 2})
    run = cl.fit(network, data, resume=out, **OPTIONS)
    assert bits(run.last) == bits(undisturbed.last)
    assert cl.load(out, template=network).config.settings.epochs == 4
    again = cl.fit(network, data, resume=out, **OPTIONS)
    assert again.steps == STEPS
    assert bits(again.model) == bits(undisturbed.model)


def test_patience_goes_on_counting(network, data, tmp_path):
    options = {**OPTIONS, "epochs": 60, "patience": 5, "optimizer": cl.optim.adam(0.2)}
    whole = cl.fit(network, data, **options)
    assert whole.summary.stopped_by == "patience"
    out, run, cuts = tmp_path / "run", None, 0
    while run is None:
        try:
            where = {"resume": out} if cuts else {"out": out}
            run = cl.fit(network, data, **where, **{**options, "loss": Watched(22)})
        except cl.TrainingInterrupted:
            cuts += 1
    assert cuts > 1
    assert (run.summary.epochs, run.summary.best_epoch) == (whole.summary.epochs, whole.summary.best_epoch)
    assert bits(run.model) == bits(whole.model)


def test_iterables_resume_in_the_middle_of_an_epoch(network, data, tmp_path):
    x, y = data
    batches = [(x[i : i + 10], y[i : i + 10]) for i in range(0, 40, 10)]
    whole = cl.fit(network, batches, epochs=3, loss=Watched())
    with pytest.raises(cl.TrainingInterrupted):
        cl.fit(network, batches, epochs=3, loss=Watched(8), out=tmp_path / "run")
    run = cl.fit(network, batches, epochs=3, loss=Watched(), resume=tmp_path / "run")
    assert bits(run.last) == bits(whole.last)


def test_first_interrupt_finishes_the_step(network, data, tmp_path):
    def send(event, state):
        if event["event"] == "epoch" and event["epoch"] == 2:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(cl.TrainingInterrupted) as stop:
        cl.fit(network, data, callbacks=[send], **OPTIONS)
    assert signal.getsignal(signal.SIGINT) is before
    assert stop.value.run.summary.epochs == 2
    assert stop.value.run.replay(8).step == 8


def test_second_interrupt_stops_at_once(network, data, tmp_path):
    def send(event, state):
        if event["event"] == "epoch" and event["epoch"] == 2:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as stop:
        cl.fit(network, data, out=tmp_path / "run", callbacks=[send], **OPTIONS)
    assert not isinstance(stop.value, cl.TrainingInterrupted)
    assert checkpoint_steps(tmp_path / "run" / "checkpoints") == [0, 4]


def test_training_in_another_thread_leaves_signals_alone(network, data):
    runs = []
    thread = threading.Thread(target=lambda: runs.append(cl.fit(network, data, **OPTIONS)))
    thread.start()
    thread.join()
    assert runs[0].status == "done"


# ------------------------------------------------------------------------------------------------------- replaying
def test_every_step_is_replayed_to_the_bit(network, data, tmp_path):
    recorded = {}

    def record(event, state):
        recorded[state.step] = (bits(state.model), bits(state.optimizer))

    run = cl.fit(network, data, out=tmp_path / "run", callbacks=[record], **OPTIONS)
    assert {0, 4, 8, 12, 16} <= set(recorded)
    for step, (model, optimizer) in recorded.items():
        replayed = run.replay(step)
        assert (bits(replayed.model), bits(replayed.optimizer)) == (model, optimizer)
        assert (replayed.step, replayed.difference) == (step, "")
    chained = cl.fit(network, data, **OPTIONS)
    for step in (0, 1, 5, 7, 11, 15, 16):
        assert bits(run.replay(step).model) == bits(chained.replay(step).model)


def test_a_replay_starts_at_the_nearest_checkpoint(network, data, tmp_path):
    calls = []

    def counted(outputs, y):
        calls.append(1)
        return cl.nn.cross_entropy(outputs, y)

    run = cl.fit(network, data, out=tmp_path / "run", **{**OPTIONS, "loss": counted})
    calls.clear()
    run.replay(15)
    assert len(calls) == 3


def test_checkpoints_are_kept_in_number(network, data, tmp_path):
    cl.fit(network, data, out=tmp_path / "run", **{**OPTIONS, "epochs": 9})
    assert checkpoint_steps(tmp_path / "run" / "checkpoints") == [0, 28, 32, 36]


def test_a_replay_says_where_it_is_not_exact(network, data, monkeypatch):
    from clearprop.runs.environment import environment
    from clearprop.train import run as module

    run = cl.fit(network, data, **OPTIONS)
    now = environment()
    other = type(now)(**{**now.__dict__, "blas": "Zen", "threads": 64})
    monkeypatch.setattr(module, "environment", lambda: other)
    assert run.replay(3).difference == f"BLAS kernel {now.blas} → Zen; threads {now.threads} → 64"


def test_no_such_step(undisturbed):
    with pytest.raises(cl.errors.ArgumentError) as caught:
        undisturbed.replay(17)
    assert str(caught.value) == (
        "the run has no such step\n  expected  a step from 0 to 16\n  got       17\n  try       run.replay(16)"
    )


# ------------------------------------------------------------------------------------------------------ saving, loading
def test_saved_and_loaded(network, data, tmp_path):
    undisturbed = cl.fit(network, data, **PLAIN)
    path = undisturbed.save(tmp_path / "kept")
    loaded = cl.load(path)
    assert bits(loaded.model) == bits(undisturbed.model)
    assert bits(loaded.last) == bits(undisturbed.last)
    assert loaded.history == undisturbed.history
    assert loaded.summary == undisturbed.summary
    assert loaded.evaluate(*data) == undisturbed.evaluate(*data)
    np.testing.assert_array_equal(loaded.predict(data[0]), undisturbed.predict(data[0]))
    run = cl.fit(network, data, resume=path, **{**PLAIN, "epochs": 6})
    assert bits(run.last) == bits(cl.fit(network, data, **{**PLAIN, "epochs": 6}).last)


def test_a_network_of_its_own_needs_a_template(data, tmp_path):
    class Twice(cl.nn.Module):
        inner: cl.nn.Dense

        def forward(self, x):
            return self.inner(x) * 2.0

    run = cl.fit(Twice(cl.nn.Dense(4, 2)), data, epochs=1, out=tmp_path / "run")
    with pytest.raises(cl.errors.RunError, match="this network has modules of its own"):
        cl.load(tmp_path / "run")
    loaded = cl.load(tmp_path / "run", template=Twice(cl.nn.Dense(4, 2, rng=9)))
    assert bits(loaded.model) == bits(run.model)


def test_nothing_is_written_without_out(network, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cl.fit(network, data, **OPTIONS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("allowed", [0, 3, 9, 16, 25])
def test_a_full_disk_loses_nothing_that_was_saved(allowed, network, data, undisturbed, tmp_path, monkeypatch):
    out, calls, sync = tmp_path / "run", [], atomic._sync

    def full(path):
        calls.append(path)
        if len(calls) > allowed:
            raise OSError(28, "No space left on device")
        sync(path)

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "_sync", full)
        with pytest.raises(cl.errors.RunError) as caught:
            cl.fit(network, data, out=out, **OPTIONS)
    name = caught.value.where.rpartition("/")[2]
    assert (
        str(caught.value)
        == f"""\
cannot write {name!r}
  expected  a folder that may be written, with space left
  got       No space left on device
  where     {caught.value.where}
  try       free some space or choose another --out; everything saved before is still there"""
    )
    run = cl.fit(network, data, resume=out, **OPTIONS)
    assert bits(run.last) == bits(undisturbed.last)


class Scaled(cl.nn.Module):
    inner: cl.nn.Dense
    scale: float = cl.nn.static(default=1.0)

    def forward(self, x):
        return self.scale * self.inner(x)


def scaled(scale):
    return Scaled(cl.nn.Dense(2, 1, rng=0), scale)


def squares(weight):
    return lambda outputs, y: weight * cl.mean((outputs - y) ** 2)


@pytest.mark.parametrize(
    ("model", "loss"),
    [
        (scaled(3.0), squares(1.0)),
        (scaled(2.0), squares(1.5)),
        (scaled(2.0), "mae"),
        (scaled(2.0), lambda outputs, y: cl.mean(cl.abs(outputs - y))),
    ],
)
def test_other_fields_and_another_loss_of_the_users_own_are_refused(model, loss, tmp_path):
    """A file tells nothing of them but their numbers: the loss that weights which are set give on the first rows."""
    x, y = np.random.default_rng(0).normal(size=(24, 2)), np.ones((24, 1))
    begun = cl.fit(scaled(2.0), (x, y), loss=squares(1.0), epochs=1, out=tmp_path / "run")
    with pytest.raises(cl.errors.RunError, match="the run can only be resumed"):
        cl.fit(model, (x, y), loss=loss, epochs=2, resume=tmp_path / "run")
    on = cl.fit(scaled(2.0), (x, y), loss=squares(1.0), epochs=2, resume=tmp_path / "run")
    assert bits(on.last) == bits(cl.fit(scaled(2.0), (x, y), loss=squares(1.0), epochs=2).last)
    assert begun.steps < on.steps
