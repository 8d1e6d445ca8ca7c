"""One update of one weight, split into what made it: Δw = gradient + clipping + momentum + scaling + decay + schedule.

An optimizer is a chain of links, and each link's update is the next one's gradient: u₀ = g, u₁, …, uₙ = Δw.  What a
link adds is uᵢ − uᵢ₋₁, seen through the learning rate that comes later; so the parts add up to Δw whatever the links
are.  A link that remembers gradients (slot `m`) is run once more without its memory: the difference is the history.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearprop.autodiff.transforms import value_and_grad
from clearprop.autodiff.trees import flatten, paths, tree_map
from clearprop.errors import ArgumentError, checked_call, printable, unknown_name, user_line
from clearprop.explanation.record import Label, Printable, flat_position
from clearprop.explanation.runs import plan_of, require_step
from clearprop.notation.expressions import subscript, subscript_tex
from clearprop.optim import accumulate, average, groups
from clearprop.optim.basic_transforms import (
    add_weight_decay,
    clip_adaptive,
    clip_by_norm,
    clip_by_value,
    freeze,
    trace_momentum,
)
from clearprop.optim.factored import clip_by_rms, decay_weights, scale_by_relative_rate
from clearprop.optim.schedules import Schedule
from clearprop.optim.transform import Transform, apply_updates, scale_by_learning_rate
from clearprop.program.values import raw
from clearprop.rules import random
from clearprop.runs.state import State
from clearprop.train import Plan, Run, batch_at, make_objective, supplies

GRADIENT, CLIPPING, HISTORY, ADAPTIVE, DECAY, SCHEDULE, FREEZING, ACCUMULATION = (
    "gradient now", "clipping", "momentum history", "adaptive scaling", "weight decay", "schedule", "freezing",
    "accumulation",
)  # fmt: skip
_NAMES: dict[type[Transform], str] = {
    add_weight_decay: DECAY, clip_by_norm: CLIPPING, clip_by_value: CLIPPING, clip_adaptive: CLIPPING,
    clip_by_rms: CLIPPING, decay_weights: DECAY, scale_by_relative_rate: SCHEDULE,
    trace_momentum: HISTORY, scale_by_learning_rate: SCHEDULE, freeze: FREEZING, accumulate: ACCUMULATION,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """A share of an update: what made it, its value, and the link of the optimizer."""

    name: str
    value: float
    link: str


@dataclass(frozen=True, slots=True)
class Update(Printable):
    """Δw of one weight in one step, its parts, and what the step did to the loss.

    `applied` is what the run's step did, `total` the sum of the parts, evaluated by the readable executor, `rounding`
    the difference.  `predicted` is the change of the loss by the gradient alone, Σ g·Δw over all parameters; `actual`
    the one that happened, on the same batch.

    >>> import clearprop as cl
    >>> import numpy as np
    >>> data = np.array([[0.0], [1.0]]), np.array([0.0, 2.0])
    >>> run = cl.fit(cl.nn.mlp([1, 1], seed=0), data, loss="mse", optimizer=cl.optim.sgd(0.5), epochs=1)
    >>> update = cl.explain_update(run, "layers[0].weight", (0, 0), 1)
    >>> bool(abs(update.applied - update.total) < 1e-6), update.learning_rate
    (True, 0.5)
    """

    place: Label
    step: int
    before: float
    applied: float
    parts: tuple[Part, ...]
    total: float
    rounding: float
    learning_rate: float | None
    predicted: float
    actual: float

    @property
    def best_scale(self) -> float:
        """The multiple of this step that a parabola through predicted and actual change finds best; inf without one."""
        bend = self.actual - self.predicted
        return -self.predicted / (2 * bend) if bend > 0 else math.inf


@checked_call
def explain_update(run: Run, param: str, index: Any, step: int) -> Update:
    """Open Δw of one weight in one step of a run: how much of it is gradient, momentum, scaling, decay, clipping.

    run      a Run, from `cl.fit` or `cl.load`
    param    the path of a parameter, `layers[0].weight`
    index    the entry of it, an integer or a tuple of them
    step     the number of the step, from 1 to `run.steps`

    Raises ArgumentError for a parameter, an index or a step that does not exist.

    >>> import clearprop as cl
    >>> import numpy as np
    >>> x, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0.0, 2.0, 4.0, 6.0])
    >>> opt = cl.optim.sgd(0.05, momentum=0.9)
    >>> run = cl.fit(cl.nn.mlp([1, 1], seed=0), (x, y), loss="mse", optimizer=opt, epochs=2)
    >>> update = cl.explain_update(run, "layers[0].weight", (0, 0), 2)
    >>> [part.name for part in update.parts]
    ['gradient now', 'momentum history']
    """
    if not isinstance(run, Run):
        raise ArgumentError(
            "an update is opened of a run",
            expected="a run, from cl.fit or cl.load",
            got=type(run).__name__,
            where=user_line(),
        )
    require_step(run, step)
    plan = plan_of(run)
    assert run.workings is not None  # or there is no plan
    optimizer = run.workings.optimizer
    before, after = run.replay(step - 1).state, run.replay(step).model.parameters()
    parameters = before.model.parameters()
    if not isinstance(param, str) or param not in parameters:
        raise unknown_name("parameter", str(param), parameters, user_line())
    shape = np.shape(raw(parameters[param]))
    at = flat_position(index, shape, param)
    taken = _ReplayedStep(plan, before, optimizer, param)
    position = tuple(map(int, np.unravel_index(at, shape))) if shape else ()
    return _update_of(
        taken, param, position, step, _numbers(parameters)[param][position], _numbers(after)[param][position]
    )


class _ReplayedStep:
    """One step of a run, done again by the readable executor, link by link."""

    def __init__(self, plan: Plan, state: State, optimizer: Transform, param: str) -> None:
        state = state.next_epoch() if state.batch == plan.feed.count else state
        x, y, *weight = batch_at(plan.feed, state.epoch, state.batch)
        rng = random.fold_in(np.array(plan.keys.layers, dtype=np.uint32), state.step)
        objective = make_objective(plan.loss, (), plan.settings.penalty, plan.settings.grad_shards)

        def loss(model: Any) -> Any:
            return objective(model, x, y, rng, *weight)[0]

        value, grads = value_and_grad(loss)(state.model)
        extra = supplies(optimizer, value, loss, state.model, rng)
        self.grads, self.stages = _numbers(grads), list(_stages(optimizer, grads, state, extra, param))
        last = self.stages[-1].updates if self.stages else tree_map(lambda g: g, grads)
        self.actual = float(raw(loss(apply_updates(state.model, last)))) - float(raw(value))
        updates = _numbers(last)
        self.predicted = math.fsum(float(np.vdot(self.grads[n], updates[n])) for n in updates)


@dataclass(frozen=True, slots=True, eq=False)
class _Stage:
    """A link, what it made of the update, and what it would have made without its memory."""

    link: Transform
    updates: Any
    forgetful: Any
    rate: float | None
    base: float | None


def _stages(optimizer: Transform, grads: Any, state: State, extra: Mapping[str, Any], param: str) -> Iterator[_Stage]:
    """The stages of a step; where groups of parameters have rules of their own, those of the parameter's group."""
    given = grads
    for link, own, updates in optimizer.stages(grads, state.optimizer, state.model, **extra):
        forgetful = updates
        its_link, its_state = link.rule_of(param, own) if isinstance(link, groups) else (link, own)
        if isinstance(its_state, dict) and "m" in its_state:
            forgetful, _ = link.update(given, _without_memory(own), state.model, **extra)
        yield _Stage(its_link, updates, forgetful, *_rates(its_link, its_state))
        given = updates


def _without_memory(own: Any) -> Any:
    """A link's state as if there had been no gradients before; of several groups, that of each."""
    if isinstance(own, tuple):
        return tuple(map(_without_memory, own))
    return {**own, "m": tree_map(lambda m: m * 0, own["m"])} if isinstance(own, dict) and "m" in own else own


def _rates(link: Transform, own: Any) -> tuple[float | None, float | None]:
    """The learning rate of this step, and the one that a schedule varies."""
    if not isinstance(link, (scale_by_learning_rate, scale_by_relative_rate)):
        return None, None
    now = float(raw(link.rate_after(own.get("t"))))
    return now, _base(link.learning_rate, now)


def _base(rate: Any, now: float) -> float:
    """The rate that a schedule is made around."""
    while isinstance(rate, Schedule):
        rate = next((getattr(rate, n) for n in ("value", "peak", "then") if hasattr(rate, n)), now)
    return float(raw(rate))


def _numbers(tree: Any) -> dict[str, Any]:
    """The arrays of a tree by path, in float64."""
    leaves, _ = flatten(tree)
    named = tree.items() if isinstance(tree, dict) else zip(paths(tree), leaves, strict=True)
    return {name: np.asarray(raw(value), np.float64) for name, value in named if value is not None}


def _update_of(
    taken: _ReplayedStep, param: str, position: tuple[int, ...], step: int, before: float, after: float
) -> Update:
    parts = tuple(_parts(taken, param, position))
    total = math.fsum(p.value for p in parts)
    applied = float(after) - float(before)
    rate = next((s.rate for s in taken.stages if s.rate is not None), None)
    name = printable(param)
    label = Label(subscript(name, position), subscript_tex(name, position))
    rounding = applied - total
    return Update(label, step, float(before), applied, parts, total, rounding, rate, taken.predicted, taken.actual)


def _parts(taken: _ReplayedStep, param: str, position: tuple[int, ...]) -> Iterator[Part]:
    """The parts that are not zero; each is what a link adds, times the learning rate that follows it."""
    bases = [s.base for s in taken.stages if s.base is not None]
    given = float(taken.grads[param][position])
    found = {(GRADIENT, ""): _scale(bases) * given}
    for stage in taken.stages:
        if isinstance(stage.link, average):
            continue  # it looks on
        made, forgetful = (_entry(tree, param, position) for tree in (stage.updates, stage.forgetful))
        link, name = repr(stage.link), _NAMES.get(type(stage.link), ADAPTIVE)
        if stage.base is not None:
            bases = bases[1:]
            given *= -stage.base
        if stage.rate == stage.base and stage.rate is not None:
            made = forgetful = given  # no schedule: the product is rounded, and that is all
        for title, value in ((name, forgetful - given), (HISTORY, made - forgetful)):
            if value:
                found[title, link] = found.get((title, link), 0.0) + _scale(bases) * value
        given = made
    return (Part(title, value, link) for (title, link), value in found.items())


def _entry(updates: Any, param: str, position: tuple[int, ...]) -> float:
    """An entry of the updates; 0 where the parameter stays as it is."""
    own = _numbers(updates).get(param)
    return 0.0 if own is None else float(own[position])


def _scale(bases: list[float]) -> float:
    return math.prod(-b for b in bases)
