"""Optimizers side by side: the same initial weights, the same batches, the same number of gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop import nn, optim
from clearprop.arrays.tensor import Tensor
from clearprop.optim.hyper import NOT_NEGATIVE, hyper
from clearprop.optim.parts import has_rate, parse, parts, with_rate
from clearprop.optim.transform import Transform, View, operand, scalar_like
from clearprop.train.job import Job, train
from clearprop.train.measures import find_loss, measures_for
from clearprop.train.prepared import Prepared
from clearprop.train.run import Run
from clearprop.train.run_folder import Settings
from clearprop.train.suitability import require_suitable

GRID = 10.0 ** np.linspace(-1.75, 1.75, 8)
"""The rates of a grid, as multiples of the optimizer's default."""
CLEAR = 0.05
"""The share of differences that chance alone may make as large, for a verdict to be called clear."""


class held_rate(Transform):
    """The update by a rate that is kept in the state: one compiled step serves every rate."""

    rate: float = hyper(default=1.0, within=NOT_NEGATIVE)

    def init(self, params: Any) -> dict[str, Any]:
        """The rate."""
        return {"rate": Tensor(np.float64(self.rate))}

    def update(self, grads: Any, state: dict[str, Any], params: Any, **extra: Any) -> tuple[Any, dict[str, Any]]:
        """All leaves by the rate."""
        view, rate = View(params), operand(state["rate"])
        return view.build([None if g is None else scalar_like(rate, g) * g for g in view.gradients(grads)]), state


@dataclass(frozen=True)
class Setup:
    """What all contenders share.  `epochs` is the budget of one that takes one gradient per step."""

    hidden: tuple[int, ...] = (32, 32)
    activation: str = "relu"
    epochs: int = 30
    batch_size: int = 32
    seeds: int = 5
    grid: bool = False


@dataclass(frozen=True, eq=False)
class Trace:
    """One run: training and validation loss, gradients taken and seconds after every epoch."""

    seed: int
    train: NDArray[np.float64]
    validation: NDArray[np.float64]
    steps: NDArray[np.float64]
    gradients: NDArray[np.float64]
    seconds: NDArray[np.float64]
    metric: float
    diverged: bool

    @property
    def best(self) -> float:
        """The lowest validation loss; infinite for a run that diverged before its first epoch ended."""
        finite = self.validation[np.isfinite(self.validation)]
        return float(finite.min()) if len(finite) else math.inf


@dataclass(frozen=True, eq=False)
class Outcome:
    """One optimizer at its best rate (None: it has none to choose), with a run per seed; `tried` rates in all."""

    name: str
    rate: float | None
    tried: int
    edge: bool
    traces: tuple[Trace, ...]

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


def compare(
    data: Prepared, names: Sequence[str], setup: Setup, watch: Callable[[str], object] = lambda _: None
) -> list[Outcome]:
    """Train the same networks with each optimizer, `NAME[:key=value,…]`; the best outcome first.

    With `setup.grid` every learning rate of a grid of 8 is tried, and the one with the lowest mean validation loss
    over all seeds counts.  `watch` is told each run as a sentence.  Raises ArgumentError for an optimizer that is
    unknown or does not suit mini-batches, before anything is trained.
    """
    assert isinstance(data.train, tuple)
    for name in names:
        require_suitable(parse(name, "--optimizers"), len(data.train[0]), setup.batch_size, command=True)
    outcomes = [_outcome(data, name, setup, watch) for name in names]
    return sorted(outcomes, key=lambda o: o.score)


def _outcome(data: Prepared, name: str, setup: Setup, watch: Callable[[str], object]) -> Outcome:
    rule = parse(name)
    rates = list(_rates(name, rule, setup.grid))
    runs: dict[float | None, tuple[Trace, ...]] = {}
    for rate in rates:
        traces = []
        for seed in range(setup.seeds):
            traces.append(_run(data, rule if rate is None else _at(rule, rate), setup, seed))
            told = "diverged" if traces[-1].diverged else f"validation loss {traces[-1].best:.4g}"
            watch(f"{name}{'' if rate is None else f' at {rate:.2g}'}, seed {seed}: {told}")
        runs[rate] = tuple(traces)
    best = min(rates, key=lambda r: np.mean([t.best for t in runs[r]]))
    edge = len(rates) > 1 and best in (rates[0], rates[-1])
    return Outcome(name, best if best is not None else _own_rate(rule), len(rates), edge, runs[best])


def _rates(name: str, rule: Transform, grid: bool) -> Iterator[float | None]:
    own = _own_rate(rule)
    chosen = any(item.split("=")[0] in ("lr", "learning_rate") for item in name.partition(":")[2].split(","))
    if own is None or chosen or not grid:
        yield own
    else:
        yield from (float(f"{own * factor:.3g}") for factor in GRID)


def _own_rate(rule: Transform) -> float | None:
    found: Any = next((p.settings()["learning_rate"] for p in parts(rule) if has_rate(p)), None)
    return found if isinstance(found, float | int) else None


def _at(rule: Transform, rate: float) -> Transform:
    """The rule at a rate; where the rate is the last factor of the update it is kept in the state."""
    links = getattr(rule, "links", ())
    if links and isinstance(links[-1], optim.scale_by_learning_rate):
        return optim.chain(with_rate(rule, 1.0), held_rate(rate))
    return with_rate(rule, rate)


def _run(data: Prepared, rule: Transform, setup: Setup, seed: int) -> Trace:
    fitted = data.preprocessing
    assert fitted is not None and isinstance(data.train, tuple)
    classes = bool(fitted.class_names)
    cost = gradients_per_step(rule)
    loss = find_loss("cross_entropy" if classes else "mse")
    metrics = measures_for(("accuracy",) if classes else ("r2",), fitted)
    settings = Settings(
        loss=loss.name,
        metrics=tuple(m.name for m in metrics),
        optimizer=None,
        epochs=max(1, round(setup.epochs / cost)),
        batch_size=setup.batch_size,
        l1=0.0,
        l2=0.0,
        patience=None,
        min_delta=0.0,
        shuffle=True,
        seed=seed,
    )
    model = nn.mlp([data.train[0].shape[1], *setup.hidden, fitted.outputs], setup.activation, seed=seed)
    only = Prepared(data.train, data.validation, None, fitted, data.source)
    run = train(Job(model, only, loss, metrics, rule, settings))
    return _trace(run, seed, cost, metrics[0].name)


def _trace(run: Run, seed: int, cost: float, metric: str) -> Trace:
    history = run.history
    held = [e["validation"] or e["train"] for e in history]
    steps = np.array([e["step"] for e in history], float)
    ends = np.array([e["seconds"] for e in history], float)
    pace = float(np.median(np.diff(ends))) if len(ends) > 1 else 0.0  # the first epoch's time is mostly compilation
    nothing: dict[str, Any] = {}
    best = min(held, key=lambda v: _number(v["loss"]), default=nothing)
    return Trace(
        seed=seed,
        train=np.array([_number(e["train"]["loss"]) for e in history]),
        validation=np.array([_number(v["loss"]) for v in held]),
        steps=steps,
        gradients=steps * cost,
        seconds=ends - (ends[0] if len(ends) else 0.0) + pace,
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


def verdict(outcomes: Sequence[Outcome], setup: Setup) -> str:
    """Who won, and how sure that is, as a sentence."""
    first, second = outcomes[0], outcomes[1] if len(outcomes) > 1 else None
    tuned = "each at the best of 8 learning rates" if setup.grid else "each at its own learning rate, untuned"
    head = f"{first.name} reached the lowest validation loss, {_spread(first.scores)}, {tuned}"
    if not math.isfinite(first.score):
        return "every optimizer diverged: try lower learning rates (--grid), or standardised data"
    if second is None or not math.isfinite(second.score):
        return head
    if setup.seeds < 3:
        return f"{head}; {setup.seeds} seed{'s' * (setup.seeds > 1)} cannot tell it from {second.name} (--seeds 5)"
    gaps = second.scores - first.scores
    chance = _chance(gaps)
    how = "a clear difference" if chance < CLEAR else "which chance could have made"
    return (
        f"{head}; {second.name} was next with {_spread(second.scores)}, {gaps.mean():.3g} more seed for seed "
        f"(paired t-test over {setup.seeds} seeds: p = {chance:.2g}), {how}"
    )


def _spread(scores: NDArray[np.float64]) -> str:
    return f"{scores.mean():.4g}" + (f" ± {scores.std(ddof=1):.2g}" if len(scores) > 1 else "")


def _chance(gaps: NDArray[np.float64]) -> float:
    """The two-sided p-value of a mean of 0."""
    from scipy.stats import t

    error = float(gaps.std(ddof=1)) / math.sqrt(len(gaps))
    if error == 0:
        return 1.0 if gaps.mean() == 0 else 0.0
    return float(2 * t.sf(abs(gaps.mean()) / error, len(gaps) - 1))
