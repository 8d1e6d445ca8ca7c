"""A run as a program to explain: the objective of one of its steps, or the loss of its model on some rows.

The objective is the one that the training step minimises, from the same source, evaluated by the readable executor.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from clearprop.autodiff.trees import flatten, paths
from clearprop.data.streaming.disk_rows import DiskRows
from clearprop.data.training_data import Prepared
from clearprop.errors import ArgumentError, RunError, printable, unknown_name, user_line
from clearprop.optim.transform import ParameterView, Transform
from clearprop.program.values import raw
from clearprop.rules.structural import zeros_like
from clearprop.runs.state import State
from clearprop.train import (
    ArrayFeed,
    BlockFeed,
    Plan,
    Run,
    before_step,
    choose_executor,
    make_objective,
    make_step,
    outputs_as_predicted,
)


@dataclass(frozen=True, eq=False)
class RunFunction:
    """A scalar function of a model and data, and what its arguments are called."""

    function: Callable[..., Any]
    model: Any
    x: Any
    y: Any
    columns: tuple[str, ...]
    title: str
    native: Callable[[], dict[str, Any]] | None = None


def open_run(run: Run, step: int | None, row: int | None) -> RunFunction:
    """The function to explain: of step `step`, of row `row`, or of all rows of the training data."""
    plan = plan_of(run)
    columns = run.preprocessing.feature_names if run.preprocessing is not None else ()
    if step is not None:
        require_step(run, step)
    model = run.model if step is None else run.replay(step - 1).model
    if step is not None and row is None:
        return _of_step(run, plan, step, columns)
    x, y, title, *weight = _rows(plan, row)
    when = "the run's model" if step is None else f"the model before step {step}"
    return RunFunction(_loss_of(plan, *weight), model, x, y, columns, f"loss of {title}, {when}")


_PLANS: weakref.WeakKeyDictionary[Run, Plan] = weakref.WeakKeyDictionary()


def plan_of(run: Run) -> Plan:
    """The run's plan, with its data, which are read once."""
    if run.workings is None:
        raise RunError("this run cannot be opened", got="a run without its workings", try_="cl.load(folder)")
    if run not in _PLANS or run.workings.first is not None:  # one of this process is at hand, and looks at its arrays
        _PLANS[run] = run.workings.plan()
    return _PLANS[run]


def require_step(run: Run, step: int) -> None:
    """Raise ArgumentError if the run did not get to that step."""
    if isinstance(step, bool) or not isinstance(step, int | np.integer) or not 1 <= step <= run.steps:
        raise ArgumentError(
            "the run has no such step",
            expected=f"a step from 1 to {run.steps}",
            got=repr(step),
            where=user_line(),
            try_=f"step={run.steps}, the last one",
        )


def _of_step(run: Run, plan: Plan, step: int, columns: tuple[str, ...]) -> RunFunction:
    """What step number `step` minimised: its batch, its random layers, its penalty."""
    state, (x, y, *weight), rng = before_step(run.replay(step - 1).state, plan)
    settings = plan.settings
    objective = make_objective(plan.loss, (), settings.penalty, settings.grad_shards)

    def loss(model: Any, x: Any, y: Any) -> Any:
        return objective(model, x, y, rng, *weight)[0]

    title = f"objective of step {step}, {len(x)} rows" + (", by their weights" if weight else "")
    return RunFunction(loss, state.model, x, y, columns, title, lambda: native_gradients(plan, state))


class _Kept(Transform):
    """An optimizer that changes nothing, and keeps the gradients as its state."""

    def init(self, params: Any) -> Any:
        """Zeros, of the form of the gradients."""
        return ParameterView(params).make(zeros_like)

    def update(self, grads: Any, state: Any, params: Any, **extra: Any) -> tuple[Any, Any]:
        """No update, and the gradients."""
        view = ParameterView(params)
        return view.make(zeros_like), view.build(view.gradients(grads))


def native_gradients(plan: Plan, state: State) -> dict[str, Any]:
    """The gradients of the next step as the run's own executor computes them, by parameter."""
    settings, probe = plan.settings, _Kept()
    step = make_step(plan.loss, (), probe, settings.penalty, settings.grad_shards)
    executor = choose_executor(step, np.array(plan.keys.layers, dtype=np.uint32))
    start = replace(state, optimizer=probe.init(state.model), totals=())
    after, _ = executor(start, plan.feed, state.batch + 1, lambda _: True)
    leaves, _ = flatten(after.optimizer)
    named = dict(zip(paths(after.optimizer), leaves, strict=True))
    return {name: np.array(raw(value)) for name, value in named.items() if value is not None}


def _loss_of(plan: Plan, *weight: Any) -> Callable[..., Any]:
    settings = plan.settings

    def loss(model: Any, x: Any, y: Any) -> Any:
        value = plan.loss(outputs_as_predicted(model, x), y, *weight)
        return value + settings.penalty(model) if settings.penalty else value

    return loss


def _rows(plan: Plan, row: int | None) -> tuple[Any, ...]:
    """x, y and what they are called, and their weights if there are several rows that have some."""
    feed = plan.feed
    if not isinstance(feed, ArrayFeed | BlockFeed):
        raise ArgumentError(
            "this run learned from an iterable of batches",
            expected="step=, the number of a step",
            got=f"row = {row}" if row is not None else "no step",
            where=user_line(),
        )
    if row is not None:
        return _row(plan.data, row)
    if isinstance(feed, BlockFeed):  # all rows are not in memory at once
        raise ArgumentError(
            "the loss over all rows of streamed data cannot be opened",
            expected="one step or one row: its terms are held in memory",
            got=f"all {len(feed.rows):,} training rows",
            where=user_line(),
            try_=f"step=1, or row={feed.rows.numbers[0]}",
        )
    title = f"all {len(feed.x)} training rows"
    return (
        (feed.x, feed.y, title) if feed.weight is None else (feed.x, feed.y, f"{title}, by their weights", feed.weight)
    )


def _row(data: Prepared, row: int) -> tuple[Any, Any, str]:
    """The row of that number in the source, whatever part it is in, as arrays of one row."""
    whole = isinstance(row, int | np.integer) and not isinstance(row, bool)
    place = data.locate(int(row)) if whole else None
    if place is None:
        last = max(int(rows.numbers[len(rows.numbers) - 1]) for rows in data.rows.values())
        left_out = whole and 0 <= row <= last
        raise ArgumentError(
            "the data have no such row" + (" with a value in the target" if left_out else ""),
            expected=f"a row from 0 to {last}" + (" that was not left out" if left_out else ""),
            got=repr(row),
            where=user_line(),
        )
    name, at = place
    part = data.parts[name]
    pair = part.row(at) if isinstance(part, DiskRows) else tuple(array[at : at + 1] for array in part)
    return pair[0], pair[1], f"{name} row {data.rows[name].text(at)}"


def input_features(run: Run, opened: RunFunction, name: str, parameters: list[str]) -> list[int]:
    """The features that a column of the data was encoded as."""
    fitted = run.preprocessing
    if fitted is not None and name in fitted.feature_names:
        return [fitted.feature_names.index(name)]
    owners = fitted.feature_columns if fitted is not None else ()
    found = [i for i, column in enumerate(owners) if column == name]
    if not found:
        known = dict.fromkeys([*parameters, *opened.columns, *owners])
        raise unknown_name("parameter or input", name, known, user_line())
    return found


def as_encoded(run: Run, feature: int) -> str:
    """What to say of the column of a feature: derivatives are by what the network takes for it, not by its unit."""
    fitted = run.preprocessing
    if fitted is None:
        return ""
    name = fitted.feature_columns[feature]
    found = next((column for column in fitted.source_columns if column.name == name), None)
    return "" if found is None else f"; {printable(name)} as the network takes it: {found.encoding}"
