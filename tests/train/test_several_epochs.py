"""Several epochs at a time: nobody sees a difference from one after another."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest

import clearprop as cl
from clearprop.autodiff.trees import flatten
from clearprop.runs.events import Event
from clearprop.train import compiled_executor

R = np.random.default_rng(0)
X, Y = R.normal(size=(90, 3)).astype(np.float32), R.normal(size=(90, 1)).astype(np.float32)
EPOCHS = 9
HELD = (R.normal(size=(20, 3)).astype(np.float32), R.normal(size=(20, 1)).astype(np.float32))
OVERSHOOTS = cl.optim.cosine(0.6, 9)


class Looking:
    """A callback that keeps nothing of a state."""

    only_looks: ClassVar[bool] = True

    def __init__(self, look: Callable[[Event, Any], object]) -> None:
        self.look = look

    def __call__(self, event: Event, state: Any) -> object:
        return self.look(event, state) if event["event"] == "epoch" else None


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many epochs were taken at a time."""
    counts: list[int] = []
    run = compiled_executor._EpochsAhead.run

    def counting(self: Any, state: Any, *rest: Any) -> Any:
        last = run(self, state, *rest)
        counts.append(last.epoch + 1 - state.epoch)
        return last

    monkeypatch.setattr(compiled_executor._EpochsAhead, "run", counting)
    monkeypatch.setattr(compiled_executor, "PAUSE_SECONDS", 5.0)  # on a busy machine, too
    return counts


def fit(**settings: Any) -> cl.Run:
    given: dict[str, Any] = {"epochs": EPOCHS, "batch_size": 30, "progress": False, **settings}
    return cl.fit(cl.nn.mlp([3, 4, 1], norm=given.pop("norm", None)), (X, Y), loss="mse", **given)


def told(run: cl.Run) -> list[dict[str, Any]]:
    """The history without what the clock says."""
    return [
        {name: value for name, value in e.items() if name not in ("time", "seconds", "seq", "epochs")}
        for e in run.history
    ]


def same(one: cl.Run, other: cl.Run) -> None:
    """Both runs have the same bits, step for step."""
    assert told(one) == told(other)
    assert one.workings is not None and other.workings is not None
    states = [run.workings.standing.state for run in (one, other) if run.workings]
    assert states[0].step == states[1].step and states[0].epoch == states[1].epoch
    for a, b in zip(*(flatten((s.model, s.optimizer))[0] for s in states), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b), strict=True)
    for path, value in one.model.parameters().items():
        np.testing.assert_array_equal(np.asarray(value), np.asarray(other.model.parameters()[path]))


WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rows in their order": {"shuffle": False},
    "a rest": {"batch_size": 40},
    "one row that joins the batch before": {"batch_size": 89, "norm": "batch"},
    "all rows at once": {"batch_size": 90},
    "averages of weights": {"ema": 0.9, "optimizer": cl.optim.sgd(0.01)},
    "measures of batches": {"metrics": ["mae"], "l2": 0.01},
    "weights of rows": {"sample_weight": R.uniform(0.5, 2, 90), "batch_size": 40},
    "validation": {"validation": HELD},
    "validation by a metric": {"validation": HELD, "metrics": ["r2"], "metric": "r2"},
    "validation of averages": {"validation": HELD, "ema": 0.5, "metrics": ["mae"]},
    "validation with statistics of batches": {"validation": HELD, "norm": "batch"},
    "the best epoch is not the last": {"validation": HELD, "optimizer": cl.optim.sgd(OVERSHOOTS)},
    "patience": {"validation": HELD, "optimizer": cl.optim.sgd(OVERSHOOTS), "patience": 2, "epochs": 40},
}


@pytest.mark.parametrize("way", WAYS)
def test_they_have_the_bits_of_one_after_another(way: str, taken: list[int]) -> None:
    together = fit(**WAYS[way])
    assert max(taken) > 2
    taken.clear()
    apart = fit(**WAYS[way], callbacks=[lambda event, state: None])
    assert not taken, "a callback of the user's may keep every state"
    same(together, apart)
    assert together.summary.best_epoch == apart.summary.best_epoch
    assert together.summary.stopped_by == apart.summary.stopped_by


def test_an_order_of_rows_by_numpy_is_the_same(taken: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    native = fit()
    monkeypatch.setattr("clearprop.compiler.native.row_order.Ledger.is_worth", lambda self, n: False)
    same(native, fit())
    assert sum(taken) > EPOCHS


def test_who_only_looks_sees_every_epoch_and_may_stop_there(taken: list[int]) -> None:
    seen: list[tuple[int, float]] = []

    def look(event: Event, state: Any) -> str | None:
        seen.append((event["epoch"], float(np.square(np.asarray(state.model.layers[0].weight)).sum())))
        return "stop" if event["epoch"] == 6 else None

    run = fit(callbacks=[Looking(look)])
    assert max(taken) > 2
    assert [epoch for epoch, _ in seen] == [1, 2, 3, 4, 5, 6]
    assert run.summary.stopped_by == "callback"
    same(run, fit(epochs=6))
    for epoch, square in seen:
        weight = fit(epochs=epoch).model.layers[0].weight
        assert square == float(np.square(np.asarray(weight)).sum())


@pytest.mark.parametrize("validation", [None, HELD])
@pytest.mark.parametrize("rate", [3.0, 60.0])
def test_an_epoch_that_diverges_ends_the_run_as_it_does_by_itself(
    rate: float, validation: Any, taken: list[int]
) -> None:
    settings = {"optimizer": cl.optim.sgd(rate), "epochs": 40, "validation": validation}
    together, apart = fit(**settings), fit(**settings, callbacks=[lambda event, state: None])
    assert together.status == apart.status == "diverged"
    assert taken
    same(together, apart)
    assert together.summary.steps == apart.summary.steps


@pytest.mark.parametrize("validation", [None, HELD])
def test_ctrl_c_ends_after_an_epoch_and_the_run_goes_on_from_there(
    validation: Any, taken: list[int], tmp_path: Any
) -> None:
    def ask(event: Event, state: Any) -> None:
        if event["epoch"] == 5:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(cl.TrainingInterrupted) as stopped:
        fit(callbacks=[Looking(ask)], out=tmp_path / "run", validation=validation)
    run = stopped.value.run
    assert max(taken) > 2
    assert (run.status, run.summary.epochs, len(run.history)) == ("interrupted", 5, 5)
    same(fit(resume=tmp_path / "run", validation=validation), fit(validation=validation))


@pytest.mark.parametrize("validation", [None, HELD])
def test_an_exception_leaves_a_run_that_is_whole(validation: Any, taken: list[int]) -> None:
    def stop(event: Event, state: Any) -> None:
        if event["epoch"] == 5:
            raise KeyboardInterrupt

    with pytest.raises(cl.TrainingInterrupted) as stopped:
        fit(callbacks=[Looking(stop)], validation=validation)
    run = stopped.value.run
    assert taken == []
    assert run.summary.epochs == len(run.history) == run.history[-1]["epoch"]
    same(run, fit(epochs=run.summary.epochs, validation=validation))


def test_steps_of_epochs_taken_together_are_replayed(taken: list[int]) -> None:
    run = fit()
    assert max(taken) > 2
    middle = fit(epochs=4)
    for path, value in run.replay(12).model.parameters().items():
        np.testing.assert_array_equal(np.asarray(value), np.asarray(middle.model.parameters()[path]))
