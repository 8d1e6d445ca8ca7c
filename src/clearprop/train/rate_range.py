"""The learning-rate range test (Smith 2017): one short training whose rate rises from far too low to far too high."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop import nn, optim
from clearprop.charts.chart import Axis, Chart, Curve, save_chart
from clearprop.data.parts import Pair
from clearprop.data.training_data import prepare
from clearprop.errors import ArgumentError, checked_call, checked_methods, user_line
from clearprop.optim.inspection import parts, with_rate
from clearprop.rules import random
from clearprop.runs.state import State
from clearprop.train.array_alignment import adaptation, dtype_of
from clearprop.train.batches import ArrayFeed
from clearprop.train.compiled_executor import choose_executor
from clearprop.train.job import require_rows, require_suitable
from clearprop.train.metrics import Measure, find_loss
from clearprop.train.step import make_step
from clearprop.train.suitable_loss import suitable_loss

SMOOTHING = 0.9
"""How much of the running average of the losses is kept in each step."""
BLOWN_UP = 4.0
"""The test stops where the smoothed loss is this many times its lowest value."""


@checked_methods
@dataclass(frozen=True, eq=False)
class RateRange:
    """What the test saw: a rate and a loss per step, the smoothed losses, and the rate that it suggests.

    `lowest` is the rate where the smoothed loss was lowest; a tenth of it is the longest step that one should
    take from here on.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    suggestion: float
    lowest: float
    reason: str

    def __repr__(self) -> str:
        return f"<RateRange: {self.reason}>"

    def plot(self, path: str | Path) -> Path:
        """Draw loss against rate as an image file (.svg, .png or .pdf).  Needs matplotlib, which `[cli]` brings."""
        top = 2 * float(self.smoothed[: len(self.smoothed) // 2].max())  # the end, where the loss explodes, is cut off
        measured = Curve("loss", self.rates, np.where(self.losses < top, self.losses, np.nan), look="faint")
        smooth = Curve("smoothed", self.rates, np.where(self.smoothed < top, self.smoothed, np.nan))
        mark = (self.suggestion, f"suggested {self.suggestion:.2g}")
        x, y = Axis("learning rate", logarithmic=True), Axis("loss")
        return save_chart(path, Chart("Learning-rate range test", [measured, smooth], x, y, marks=[mark]))


@functools.partial(checked_call, remedy="cl.lr_range_test(model, (X, y)): inputs and targets are one argument")
def lr_range_test(
    model: Any,
    data: Any,
    *,
    loss: str | Callable[[Any, Any], Any] | None = None,
    optimizer: Any = None,
    lowest: float = 1e-6,
    highest: float = 10.0,
    steps: int = 100,
    batch_size: int = 32,
    l1: float = 0.0,
    l2: float = 0.0,
    seed: int = 0,
    sample_weight: Any = None,
) -> RateRange:
    """Train for `steps` steps while the rate rises from `lowest` to `highest` by equal factors; the model is unchanged.

    `data` is `(x, y)`, whose rows count by `sample_weight` `(rows,)`; `optimizer` one with a learning rate, by default
    `cl.optim.adam()`.  Suggested is the rate where the smoothed loss falls fastest per factor of the rate, but at most
    a tenth of the rate where it is lowest.  It is an estimate from one short run: noisy, and for the state at the start
    of training.

    Raises ArgumentError for a range that is none, for an optimizer without a learning rate, one that sums batches or
    that needs all rows where a batch has fewer, and where no rate lowers the loss.

    >>> import clearprop as cl
    >>> import numpy as np
    >>> x = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
    >>> found = cl.lr_range_test(cl.nn.Dense(1, 1), (x, 3 * x), loss="mse", optimizer="sgd", steps=60)
    >>> 1e-3 < found.suggestion < 1
    True
    """
    numbers = all(isinstance(v, float | int) for v in (lowest, highest, steps))
    if not numbers or not 0 < lowest < highest < math.inf or not isinstance(steps, int) or steps < 10:
        raise ArgumentError(
            "lr_range_test needs a range of rates",
            expected="0 < lowest < highest, and at least 10 steps",
            got=f"lowest = {lowest!r}, highest = {highest!r}, steps = {steps!r}",
            where=user_line(),
            try_="lowest=1e-6, highest=10.0, steps=100",
        )
    _require_batch_size(batch_size)
    chosen = (
        optim.adam() if optimizer is None else optim.by_name(optimizer) if isinstance(optimizer, str) else optimizer
    )
    rule = with_rate(chosen, optim.exponential(lowest, every=steps - 1, factor=highest / lowest))
    _require_update_each_step(rule)
    prepared = prepare(data, None, None, seed, None, "auto", weight=sample_weight)
    train = prepared.train
    if not isinstance(train, tuple):
        raise ArgumentError("lr_range_test needs arrays", expected="(x, y)", got=type(data).__name__, where=user_line())
    require_suitable(rule, len(train[0]), batch_size, command=False)
    measured = find_loss(suitable_loss(model, prepared) if loss is None else loss)
    weight, penalty = prepared.weights.get("training"), nn.Penalty(l1, l2)
    losses = _losses(model, train, measured, rule, steps, batch_size, penalty, seed, weight)
    rates = lowest * (highest / lowest) ** (np.arange(len(losses)) / (steps - 1))
    return suggest_rate(rates, losses)


def _require_batch_size(batch_size: Any) -> None:
    if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or not 1 <= batch_size < 2**63:
        raise ArgumentError(
            "lr_range_test needs a size of batches",
            expected="batch_size: a whole number from 1 up to 2**63 - 1",
            got=f"batch_size = {batch_size!r}",
            where=user_line(),
            try_="batch_size=32",
        )


def _require_update_each_step(rule: Any) -> None:
    """Raise ArgumentError for a rule that sums batches: a loss would not belong to the rate of its step."""
    summing = next((p for p in parts(rule) if isinstance(p, optim.accumulate)), None)
    if summing is not None:
        raise ArgumentError(
            "lr_range_test needs an update in every step",
            expected="a rule that moves by each batch, so that each loss belongs to one rate",
            got=f"{summing!r:.80}, which sums {summing.every} batches for one update",
            where=user_line(),
            try_=f"its inner rule, with a batch_size {summing.every} times as large",
        )


def _losses(
    model: Any,
    train: Pair,
    loss: Measure,
    optimizer: Any,
    steps: int,
    batch: int,
    penalty: nn.Penalty,
    seed: int,
    weight: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """The loss of every step, up to the first that is not finite or far above the lowest."""
    adapt, _ = adaptation(model, train, loss)
    key = random.key(seed)
    least = nn.least_rows(model)
    require_rows(least, len(train[0]), batch, command=False)
    order = np.asarray(random.fold_in(key, 1))
    counted = None if weight is None else weight.astype(dtype_of(model))
    feed = ArrayFeed(*adapt(train), min(batch, len(train[0])), True, order, least, counted)
    run = choose_executor(make_step(loss, (), optimizer, penalty), np.asarray(random.fold_in(key, 2)))
    state, seen, average = State(model, optimizer.init(model)), list[float](), _Average()
    lowest = math.inf
    while len(seen) < steps:
        if state.batch == feed.count:
            state = state.next_epoch()
        before = State(state.model, state.optimizer, state.step, state.epoch, state.batch)
        state, _ = run(before, feed, before.batch + 1, lambda _: True)
        value = state.totals[1] / state.totals[0]
        if not math.isfinite(value):
            break
        seen.append(value)
        smooth = average(value)
        lowest = min(lowest, smooth)
        if smooth > BLOWN_UP * abs(lowest) and len(seen) > 10:
            break
    return np.array(seen)


class _Average:
    """A running average, corrected for its start at 0."""

    def __init__(self) -> None:
        self.value, self.weight = 0.0, 0.0

    def __call__(self, x: float) -> float:
        """The average after one more value."""
        self.value = SMOOTHING * self.value + (1 - SMOOTHING) * x
        self.weight = SMOOTHING * self.weight + (1 - SMOOTHING)
        return self.value / self.weight


def suggest_rate(rates: NDArray[np.float64], losses: NDArray[np.float64]) -> RateRange:
    """The suggestion from losses at rising rates.  Raises ArgumentError where the loss never fell."""
    rates = rates[: len(losses)]
    average = _Average()
    smoothed = np.array([average(v) for v in losses])
    bottom = int(np.argmin(smoothed)) if len(losses) else 0
    if len(losses) < 10 or bottom < 4 or not smoothed[bottom] < smoothed[:4].mean():
        raise ArgumentError(
            "no rate of the range lowered the loss",
            expected="a loss that falls somewhere between the lowest and the highest rate",
            got=f"{len(losses)} finite losses" + (f", from {losses[0]:.4g} to {losses[-1]:.4g}" if len(losses) else ""),
            where=user_line(),
            try_="lower rates (lowest=1e-9), standardised inputs, or another initialisation",
        )
    wide = max(2, len(losses) // 8)  # a slope over many steps: the noise of single batches is not a fall
    falls = [smoothed[max(i - wide, 0)] - smoothed[min(i + wide, bottom)] for i in range(bottom + 1)]
    steepest = float(rates[int(np.argmax(falls))])
    lowest = float(rates[bottom])
    suggestion = float(f"{min(steepest, lowest / 10):.2g}")
    how = "where the loss falls fastest" if steepest <= lowest / 10 else "a tenth of the rate where the loss is lowest"
    reason = f"suggested learning rate {suggestion:g}: {how} ({len(losses)} steps, lowest at {lowest:.2g})"
    return RateRange(rates, losses, smoothed, suggestion, lowest, reason)
