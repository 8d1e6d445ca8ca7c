"""Optimizers side by side: the same initial weights, the same batches, the same number of gradients."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from clearprop import optim
from clearprop.arrays.tensor import Tensor
from clearprop.data.training_data import Prepared
from clearprop.optim.hyperparameters import NOT_NEGATIVE, hyper
from clearprop.optim.inspection import has_rate, parse, parts, says_rate, with_rate
from clearprop.optim.transform import Composed, ParameterView, Transform, operand, scalar_like
from clearprop.runs.events import Event
from clearprop.runs.settings import Settings
from clearprop.runs.state import State
from clearprop.train import Run, job_for, require_suitable, suitable_measures, train

GRID = 10.0 ** np.linspace(-1.25, 2.25, 8)
"""The rates of a grid, as multiples of the optimizer's default: more above it, as defaults are careful."""


class HeldRate(Transform):
    """The update by a rate that is kept in the state: one compiled step serves every rate."""

    rate: float = hyper(default=1.0, within=NOT_NEGATIVE)

    def init(self, params: Any) -> dict[str, Any]:
        """The rate."""
        return {"rate": Tensor(np.float64(self.rate))}

    def update(self, grads: Any, state: dict[str, Any], params: Any, **extra: Any) -> tuple[Any, dict[str, Any]]:
        """All leaves by the rate."""
        view, rate = ParameterView(params), operand(state["rate"])
        return view.build([None if g is None else scalar_like(rate, g) * g for g in view.gradients(grads)]), state


@dataclass(frozen=True)
class Setup:
    """What all contenders share.  `epochs` is the budget of one that takes one gradient per step.

    With `grid` the learning rate is chosen on `seeds` networks and judged on `judged` others (None: as many); without,
    `seeds` networks judge.  A network's seed decides its initial weights and the order of its batches.
    """

    hidden: tuple[int, ...] = (32, 32)
    activation: str = "relu"
    epochs: int = 30
    batch_size: int = 32
    seeds: int = 5
    grid: bool = False
    judged: int | None = None

    @property
    def choosing(self) -> range:
        """The seeds that choose the rate."""
        return range(self.seeds if self.grid else 0)

    @property
    def judging(self) -> range:
        """The seeds that judge: none that has chosen, for there the best of 8 looks better than it is."""
        first = len(self.choosing)
        return range(first, first + ((self.judged or self.seeds) if self.grid else self.seeds))


@dataclass(frozen=True, eq=False)
class Trace:
    """One run: losses, gradients taken and seconds after every epoch, and the metric of the best one.

    The seconds are the processor's, which other work on the machine does not make more.
    """

    seed: int
    train: NDArray[np.float64]
    validation: NDArray[np.float64]
    steps: NDArray[np.float64]
    gradients: NDArray[np.float64]
    seconds: NDArray[np.float64]
    metric: float
    diverged: bool

    @property
    def pace(self) -> float:
        """Seconds per epoch in the fastest half of the run; the first, which compiles, counts only if it is alone."""
        half = len(self.seconds) // 2
        return float(np.min(self.seconds[half:] - self.seconds[:-half])) / half if half else float(self.seconds.sum())

    @property
    def best(self) -> float:
        """The lowest validation loss; infinite for a run that diverged before its first epoch ended."""
        finite = self.validation[np.isfinite(self.validation)]
        return float(finite.min()) if len(finite) else math.inf


@dataclass(frozen=True, eq=False)
class Tuning:
    """A learning rate that was tried, with the lowest validation loss of every network that it was tried on."""

    rate: float
    scores: NDArray[np.float64]

    @property
    def score(self) -> float:
        """Their mean."""
        return float(self.scores.mean())


@dataclass(frozen=True, eq=False)
class Outcome:
    """One optimizer: the rates tried, the best of them (None: it has none to choose), a run per seed that judges."""

    name: str
    rate: float | None
    tuning: tuple[Tuning, ...]
    traces: tuple[Trace, ...]

    @property
    def edge(self) -> bool:
        """Whether the best rate is the smallest or the largest tried."""
        return bool(self.tuning) and self.rate in (self.tuning[0].rate, self.tuning[-1].rate)

    @property
    def scores(self) -> NDArray[np.float64]:
        """The lowest validation loss of every seed."""
        return np.array([trace.best for trace in self.traces])

    @property
    def score(self) -> float:
        """Their mean."""
        return float(self.scores.mean())

    @property
    def diverged(self) -> int:
        """How many of the runs diverged."""
        return sum(trace.diverged for trace in self.traces)

    @property
    def pace(self) -> float:
        """Seconds per epoch of the run that was disturbed least: other work on the machine only makes them more."""
        return min((t.pace for t in self.traces if len(t.seconds)), default=0.0)


Trial: TypeAlias = Callable[[Transform, int], Trace]
"""`trial(rule, seed)`: one network trained."""
Trainings: TypeAlias = Callable[[Sequence[tuple[Transform, int]]], Iterator[Trace]]
"""Networks trained, one for every rule and seed; the traces in their order."""
Announce: TypeAlias = Callable[[str], object]


def compare(
    data: Prepared,
    names: Sequence[str],
    setup: Setup,
    watch: Announce = lambda _: None,
    train_all: Trainings | None = None,
) -> list[Outcome]:
    """Train the same networks with each optimizer, `NAME[:key=value,…]`; the best outcome first.

    `train_all` trains networks elsewhere than here, one after another; the outcomes are the same, but for the seconds.

    With `setup.grid` every learning rate of a grid of 8 is tried; the one with the lowest mean validation loss is
    chosen, and judged on other networks.  `watch` is told each run as a sentence.  Raises ArgumentError for an
    optimizer that is unknown or does not suit mini-batches, before anything is trained.
    """
    assert isinstance(data.train, tuple)
    for name in names:
        require_suitable(parse(name, "--optimizers"), len(data.train[0]), setup.batch_size, command=True)
    here = in_turn(lambda rule, seed: train_one(data, rule, setup, seed))
    outcomes = [contest(name, setup, train_all or here, watch) for name in names]
    return sorted(outcomes, key=lambda o: o.score)


def in_turn(trial: Trial) -> Trainings:
    """One network trained after another."""
    return lambda asked: (trial(rule, seed) for rule, seed in asked)


def contest(name: str, setup: Setup, train_all: Trainings, watch: Announce = lambda _: None) -> Outcome:
    """Choose the learning rate of one optimizer, if there is one to choose, and judge it on fresh networks."""
    rule = parse(name)

    def runs(rates: Sequence[float | None], seeds: range) -> list[list[Trace]]:
        asked = [(rate, seed) for rate in rates for seed in seeds]
        rules = {rate: rule if rate is None else _at_rate(rule, rate) for rate in rates}
        traces = []
        for (rate, seed), trace in zip(asked, train_all([(rules[rate], seed) for rate, seed in asked]), strict=True):
            traces.append(trace)
            told = "diverged" if trace.diverged else f"validation loss {trace.best:.4g}"
            watch(f"{name}{'' if rate is None else f' at {rate:.2g}'}, seed {seed}: {told}")
        return [traces[i : i + len(seeds)] for i in range(0, len(traces), len(seeds))]

    own = _own_rate(rule)
    tried = [] if own is None or not setup.grid or says_rate(name) else [float(f"{own * f:.3g}") for f in GRID]
    found = runs(tried, setup.choosing) if tried else []
    tuning = tuple(Tuning(r, np.array([t.best for t in traces])) for r, traces in zip(tried, found, strict=True))
    rate = min(tuning, key=lambda t: t.score).rate if tuning else own
    (judged,) = runs([rate], setup.judging)
    return Outcome(name, rate, tuning, tuple(judged))


def _own_rate(rule: Transform) -> float | None:
    found: Any = next((p.settings()["learning_rate"] for p in parts(rule) if has_rate(p)), None)
    return found if isinstance(found, float | int) else None


def _at_rate(rule: Transform, rate: float) -> Transform:
    """The rule at a rate; where the rate is the last factor of the update it is kept in the state."""
    if isinstance(_last(rule), optim.scale_by_learning_rate):
        return optim.chain(with_rate(rule, 1.0), HeldRate(rate))
    return with_rate(rule, rate)


def _last(rule: Transform) -> Transform:
    return _last(rule.links[-1]) if isinstance(rule, Composed) and rule.links else rule


def train_one(data: Prepared, rule: Transform, setup: Setup, seed: int) -> Trace:
    """One network, trained by the rule."""
    fitted = data.preprocessing
    assert fitted is not None and isinstance(data.train, tuple)
    cost = gradients_per_step(rule)
    loss, metrics = suitable_measures(fitted)
    settings = Settings(
        hidden=setup.hidden,
        activation=setup.activation,
        loss=loss,
        metrics=metrics[:1],
        epochs=max(1, round(setup.epochs / cost)),
        batch_size=setup.batch_size,
        seed=seed,
    )
    only = Prepared(data.train, data.validation, None, fitted, data.source, weights=data.weights)
    ends: list[float] = []

    def clock(event: Event, state: State) -> None:
        if event["event"] == "epoch":
            ends.append(time.process_time())

    began = time.process_time()
    run = train(job_for(only, settings, optimizer=rule, callbacks=(clock,), baseline=False))
    return _trace(run, seed, cost, metrics[0], np.array(ends) - began)


def _trace(run: Run, seed: int, cost: float, metric: str, seconds: NDArray[np.float64]) -> Trace:
    history = run.history
    held = [e["validation"] or e["train"] for e in history]
    steps = np.array([e["step"] for e in history], float)
    nothing: dict[str, Any] = {}
    best = min(held, key=lambda v: _number(v["loss"]), default=nothing)
    return Trace(
        seed=seed,
        train=np.array([_number(e["train"]["loss"]) for e in history]),
        validation=np.array([_number(v["loss"]) for v in held]),
        steps=steps,
        gradients=steps * cost,
        seconds=seconds,
        metric=_number(best.get(metric, math.nan)),
        diverged=run.status == "diverged",
    )


def _number(value: Any) -> float:
    return float(value)


def gradients_per_step(rule: Transform) -> float:
    """What a step costs in gradients: a Hessian-vector product counts as two, a forward pass alone as a third."""
    total = 1.0
    for part in parts(rule):
        if isinstance(part, optim.sam):
            total += 1
        elif isinstance(part, optim.armijo):
            total += part.trials / 3
        elif isinstance(part, optim.cfgd) and part.alpha < 1:
            total += part.nodes * (1 if part.beta == 0 else 3)
        elif "hvp" in part.needs and isinstance(part, optim.diag_newton):
            total += 2
    return total
