"""The gradient check of a run: our gradient against central differences, on its own network and data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.autodiff.transforms import grad
from clearprop.autodiff.trees import has_derivative, tree_map
from clearprop.errors import ArgumentError, RunError
from clearprop.program.values import no_grad, raw
from clearprop.rules import random
from clearprop.train.batches import ArrayFeed, BlockFeed
from clearprop.train.replayed import before_step
from clearprop.train.run import Run
from clearprop.train.step import make_objective
from clearprop.train.training_loop import Plan

STEP = float(np.finfo(np.float64).eps ** (1 / 3))
"""The step of a central difference for numbers about 1: truncation and rounding are of one size."""
TOLERANCE = 1e-6
"""The largest error, relative to the largest entry of the parameter's gradient (or 1e-3, if that is larger)."""
_FLOOR = 1e-3


@dataclass(frozen=True)
class Checked:
    """The check of one parameter: entries checked, those left out at a kink, the largest gradient and error."""

    path: str
    entries: int
    kinks: int
    largest: float
    error: float

    @property
    def agrees(self) -> bool:
        """Whether the errors are what rounding explains."""
        return self.error <= TOLERANCE


def check_run(run: Run, rows: int = 32, entries: int = 20, step: int | None = None) -> list[Checked]:
    """Compare gradient and central difference for up to `entries` entries of every parameter, in float64.

    The loss is the one that training minimised, penalty included, on the first `rows` rows of its first epoch, with
    the random layers held fixed.  With `step` it is what that step minimised: its whole batch, as the mean over its
    shards, at the network before it.  Raises RunError for a run whose data are not at hand, ArgumentError for a step
    that it has not.
    """
    objective, model = _objective(run, rows) if step is None else _objective_of_step(run, step)
    return check_objective(objective, model, entries)


def check_objective(objective: Callable[[Any], Any], model: Any, entries: int = 20) -> list[Checked]:
    """Compare gradient and central difference of a scalar function of a model in float64, as `check_run` does.

    Raises RunError where the function is NaN or infinite.

    >>> import clearprop as cl
    >>> model = cl.nn.mlp([2, 3, 1], activation="tanh").replace({"layers[0].bias": np.ones(3)})
    >>> x = np.array([[1.0, 2.0]])
    >>> [found.entries for found in check_objective(lambda model: cl.sum(model(x)), model, entries=2)]
    [2, 2, 2, 1]
    """
    with no_grad():
        here = float(objective(model))
    if not np.isfinite(here):
        raise RunError(
            "the loss of this network is no number, and has no derivative to compare",
            expected="a finite loss",
            got=str(here),
            where="the network that is checked",
            try_="a run that did not diverge, or --step of a step before it did",
        )
    gradient = grad(objective)(model).parameters()
    picker = np.random.Generator(np.random.Philox(0))
    return [_check(objective, model, path, np.asarray(g), entries, picker) for path, g in gradient.items()]


def _plan_of(run: Run) -> Plan:
    work = run.workings
    if work is None or work.loss is None:
        raise RunError("this run cannot be checked", expected="a loss of cl.nn", got=run.config.settings.loss)
    plan = work.plan()
    if not isinstance(plan.feed, ArrayFeed | BlockFeed):
        raise RunError("this run cannot be checked", expected="rows to learn from", got="an iterable of batches")
    return plan


def _objective_of_step(run: Run, step: int) -> tuple[Callable[[Any], Any], Any]:
    if not 1 <= step <= run.steps:
        raise ArgumentError(
            "the run has no such step",
            expected=f"a step from 1 to {run.steps}",
            got=str(step),
            where="step",
            try_=f"step {run.steps}, the last one",
        )
    plan = _plan_of(run)
    state, batch, key = before_step(run.replay(step - 1).state, plan)
    x, y, *weight = map(_wide, batch)
    objective = make_objective(plan.loss, (), plan.settings.penalty, plan.settings.grad_shards)
    return lambda model: objective(model, x, y, key, *weight)[0], tree_map(_wide, state.model)


def _objective(run: Run, rows: int) -> tuple[Callable[[Any], Any], Any]:
    plan = _plan_of(run)
    block = next(plan.feed.blocks(0, 0))  # type: ignore[attr-defined]  # of arrays or blocks, as `_plan_of` saw
    x, y, *weight = (_wide(part[block.order[:rows]]) for part in block.arrays)
    whole = make_objective(plan.loss, (), run.config.settings.penalty)
    key = random.key(run.config.settings.seed)
    return lambda model: whole(model, x, y, key, *weight)[0], tree_map(_wide, run.model)


def _wide(value: Any) -> Any:
    return np.asarray(raw(value), np.float64) if has_derivative(value) else value


def _check(
    objective: Callable[[Any], Any],
    model: Any,
    path: str,
    gradient: NDArray[np.float64],
    entries: int,
    picker: np.random.Generator,
) -> Checked:
    largest = float(np.abs(gradient).max())
    scale, worst, done, kinks = max(largest, _FLOOR), 0.0, 0, 0
    weights = np.asarray(raw(model.parameters()[path]))
    with no_grad():
        here = float(objective(model))
        for flat in picker.permutation(gradient.size)[: 2 * entries]:
            index = np.unravel_index(int(flat), gradient.shape)
            up, down, h = _sides(objective, model, path, weights, index)
            central = (up - down) / (2 * h)
            if abs(up - 2 * here + down) / h > 1e-3 * scale:  # the slopes on both sides differ: a kink lies between
                kinks += 1
                continue
            worst, done = float(np.maximum(worst, abs(central - gradient[index]) / scale)), done + 1  # NaN stays
            if done == entries:
                break
    return Checked(path, done, kinks, largest, worst)


def _sides(
    objective: Callable[[Any], Any], model: Any, path: str, weights: NDArray[np.float64], index: tuple[Any, ...]
) -> tuple[float, float, float]:
    """The loss with one entry moved up and down, and by how much."""
    h = STEP * max(1.0, abs(float(weights[index])))
    values = []
    for move in (h, -h):
        moved = weights.copy()
        moved[index] += move
        values.append(float(objective(model.replace({path: moved}))))
    return values[0], values[1], h
