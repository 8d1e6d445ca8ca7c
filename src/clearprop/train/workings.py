"""What a run needs to be evaluated, replayed and forked, and what of it a pickle holds."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from clearprop.data.preprocessing import Preprocessing
from clearprop.errors import RunError
from clearprop.files.tree_arrays import to_bytes
from clearprop.runs.checkpoints import Standing, save_checkpoint
from clearprop.runs.events import Event
from clearprop.runs.folder import Config, RunFolder, Summary
from clearprop.runs.state import State
from clearprop.train.metrics import Measure
from clearprop.train.training_loop import Plan


@dataclass(eq=False)
class Workings:
    """What a run needs to be evaluated and replayed: the parts that no file holds, as far as they are at hand.

    `plan` and `job` give the plan and the job, with the data, or raise RunError; `first`, the state that the run
    started from, and `standing` are known where training was done in this process; `fork` trains a fork of the run.

    In a pickle a function of the user's that cannot be found by its name stays behind, and with it what needs it.
    """

    optimizer: Any
    loss: Measure | None
    metrics: Sequence[Measure]
    plan: Callable[[], Plan]
    first: State | None = None
    standing: Standing | None = None
    job: Callable[[], Any] | None = None
    fork: Callable[..., Any] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        optimizer, loss = (v if _travels(v) else None for v in (self.optimizer, self.loss))
        metrics = tuple(m for m in self.metrics if _travels(m))
        if (optimizer, loss, len(metrics)) == (self.optimizer, self.loss, len(self.metrics)) and _travels(self.job):
            return Workings, tuple(getattr(self, f.name) for f in fields(self))
        return Workings, (optimizer, loss, metrics, left_behind, self.first, self.standing, left_behind, self.fork)

    def __deepcopy__(self, memo: dict[int, Any]) -> Workings:
        return replace(self)  # nothing in it is ever changed


def _travels(value: Any) -> bool:
    """Whether another process finds the functions in it by their names."""
    try:
        pickle.dumps(value)
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return True


def left_behind() -> Any:
    """Raise the error for what a pickle of a run could not hold."""
    raise RunError(
        "a part of this run was left behind when it was pickled",
        expected="data in arrays, and losses, metrics and schedules that another process finds by their names",
        got="batches from an iterable, rows on disk, a lambda, or a function inside a function",
        try_="def my_loss(outputs, y): ... at the top of a module",
    )


def save_run(
    path: Path | str,
    config: Config,
    fitted: Preprocessing | None,
    summary: Summary,
    history: Sequence[Event],
    model: Any,
    workings: Workings | None,
) -> Path:
    """Write what a run consists of as a run folder, with checkpoints of its first and last step where they are known.

    Raises ArgumentError if there is something at `path` already.
    """
    folder = RunFolder.make(path, config, fitted, replace(summary, status="running"), history)
    if workings is not None and workings.first is not None and workings.standing is not None:
        for standing in (Standing(workings.first), workings.standing):
            place = folder.checkpoints / str(standing.state.step)
            save_checkpoint(place, standing, workings.plan().keys, folder.begun)
    folder.finish(to_bytes(model), summary)
    return folder.path
