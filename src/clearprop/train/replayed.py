"""`Replayed`: a state of a run that was reached again, and the nearest one before it, from which that is done."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clearprop.errors import RunError
from clearprop.files.tree_arrays import to_bytes
from clearprop.rules import random
from clearprop.runs.checkpoints import Keys, checkpoint_steps, load_checkpoint
from clearprop.runs.folder import Config, RunFolder, require_steps
from clearprop.runs.state import State
from clearprop.train.batches import Batch, batch_at
from clearprop.train.training_loop import Plan
from clearprop.train.workings import Workings


@dataclass(frozen=True, eq=False, repr=False)
class Replayed:
    """A state that was reached again.  `difference` says why it may not be exact in every bit; empty if it is."""

    state: State
    difference: str = ""

    def __repr__(self) -> str:
        exact = f"not bit-exact here, because {self.difference}" if self.difference else "exact in every bit"
        return f"<the state after step {self.step}: {exact}>"

    @property
    def digest(self) -> str:
        """SHA-256 of all parameters and of the optimizer's state: two states with one digest agree in every bit."""
        return hashlib.sha256(to_bytes(self.model) + to_bytes(self.optimizer)).hexdigest()

    @property
    def model(self) -> Any:
        """The network after that step."""
        return self.state.model

    @property
    def optimizer(self) -> Any:
        """The optimizer's state after that step."""
        return self.state.optimizer

    @property
    def step(self) -> int:
        """The number of the step; 0 is the start."""
        return self.state.step


def nearest_state(
    config: Config, folder: Path | None, workings: Workings, keys: Keys, model: Any, step: int, last: int
) -> State:
    """The last state that is kept of a run of `last` steps up to a step: of a checkpoint, or the first one.

    `model` has the structure of the run's network.  Raises RunError where none is left.
    """
    if folder is not None:
        require_steps(folder)
        checkpoints = RunFolder(folder).checkpoints
        saved = [s for s in checkpoint_steps(checkpoints) if s <= step]
        if saved:
            template = workings.optimizer.init(model)
            return load_checkpoint(checkpoints / str(saved[-1]), model, template, keys).state
    if workings.first is None or workings.first.step > step:
        raise _not_reached(config, str(folder) if folder else "", last)
    return workings.first


def before_step(state: State, plan: Plan) -> tuple[State, Batch, Any]:
    """The state where the next step begins, which may be in the next epoch, the batch of it and its key."""
    if state.batch == plan.feed.count:
        state = state.next_epoch()
    batch = batch_at(plan.feed, state.epoch, state.batch)
    return state, batch, random.fold_in(np.array(plan.keys.layers, dtype=np.uint32), state.step)


def _not_reached(config: Config, where: str, last: int) -> RunError:
    if config.forked is None:
        return RunError(
            "no checkpoint before that step is left",
            expected="the checkpoint of step 0",
            got="none",
            where=where,
            try_="train again",
        )
    return RunError(
        f"this run was forked at step {config.forked.step}, and has no steps before it",
        expected=f"a step from {config.forked.step} to {last}",
        where=where,
        try_=f"replay {config.forked.run or 'the run it was forked from'}",
    )
