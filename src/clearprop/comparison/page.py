"""Optimizers compared: the table, the numbers, and the curves against steps, gradients, seconds and learning rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.charts.chart import Axis, Chart, Curve, save_chart
from clearprop.comparison.trials import Outcome, Setup
from clearprop.comparison.verdict import differences, verdict
from clearprop.runs.events import number, plain

_AXES = {"steps": "steps", "gradients": "gradient evaluations", "seconds": "processor seconds, without compilation"}
_LOWEST = "lowest validation loss so far"
_WORST = 200.0
"""Losses larger than the best by more than this factor are not drawn: they would flatten all others."""
_BANDS = 6
"""With more optimizers the ranges of the seeds would cover the curves."""
HEADS = ("optimizer", "rate", "val loss", "±", "p", "{metric}", "train loss", "gradients", "seconds")


def heads(metric: str) -> list[str]:
    """The heads of the table; `p` is the corrected p-value of the difference to the first row."""
    return [head.format(metric=metric) for head in HEADS]


def rows(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """A row per optimizer, in the order given, which is that of the verdict."""
    chances = {d.higher: d.chance for d in differences(outcomes) if d.lower == outcomes[0].name}
    return [_row(o, chances.get(o.name)) for o in outcomes]


def _row(outcome: Outcome, chance: float | None) -> list[str]:
    done = [t for t in outcome.traces if len(t.train)]
    several = len(outcome.traces) > 1

    def mean(values: list[float]) -> str:
        return number(sum(values) / len(values)) if values else ""

    return [
        outcome.name,
        "" if outcome.rate is None else f"{outcome.rate:.3g}",
        number(outcome.score),
        f"{outcome.scores.std(ddof=1):.2g}" if several and np.isfinite(outcome.score) else "",
        "" if chance is None or not several else f"{chance:.2g}",
        mean([t.metric for t in done]),
        mean([float(t.train[-1]) for t in done]),
        f"{max((t.gradients[-1] for t in done), default=0):.0f}",
        f"{outcome.pace * max((len(t.train) for t in done), default=0):.2g}",
    ]


def notes(outcomes: Sequence[Outcome]) -> list[str]:
    """What the table alone does not say."""
    found = [
        f"{o.name}: {o.diverged} of {len(o.traces)} runs diverged; try a lower rate" for o in outcomes if o.diverged
    ]
    edges = ", ".join(o.name for o in outcomes if o.edge)
    return found + ([f"best at the edge of the grid, so a better rate may lie beyond: {edges}"] if edges else [])


def record(outcomes: Sequence[Outcome], setup: Setup, curves: bool = True) -> dict[str, Any]:
    """Everything measured, as JSON holds it; without `curves` only what the verdict follows from."""
    result: dict[str, Any] = plain(
        {
            "setup": asdict(setup),
            "verdict": verdict(outcomes, setup),
            "differences": [asdict(d) for d in differences(outcomes)],
            "outcomes": [_outcome_record(o, curves) for o in outcomes],
        }
    )
    return result


def _outcome_record(outcome: Outcome, curves: bool) -> dict[str, Any]:
    found = {
        "optimizer": outcome.name,
        "rate": outcome.rate,
        "rates_tried": [asdict(t) for t in outcome.tuning],
        "scores": {str(t.seed): t.best for t in outcome.traces},
        "seconds_per_epoch": outcome.pace,
    }
    return {**found, "runs": [asdict(t) for t in outcome.traces]} if curves else found


def draw(path: Path, outcomes: Sequence[Outcome]) -> Path:
    """What was judged, against steps, gradients, seconds and, where rates were tried, the rate."""
    named = sorted(outcomes, key=lambda o: o.name)  # an optimizer has one colour in all comparisons of the same ones
    charts = []
    for axis, label in _AXES.items():
        curves = [c for o in named if (c := _progress(o, axis, len(named)))]
        x = Axis(label, logarithmic=axis == "seconds", whole=axis != "seconds")
        charts.append(Chart(f"By {axis}", curves, x, Axis(_LOWEST, logarithmic=True)))
    if any(o.tuning for o in outcomes):
        worst = _WORST * min(t.score for o in outcomes for t in o.tuning)
        x, y = Axis("learning rate", logarithmic=True), Axis("lowest validation loss", logarithmic=True)
        charts.append(Chart("By learning rate", [_by_rate(o, worst) for o in named], x, y))
    return save_chart(path, *charts)


def _progress(outcome: Outcome, axis: str, several: int) -> Curve | None:
    """The mean over the seeds, as far as all of them came, with their range where there are few optimizers."""
    length = min(len(t.train) for t in outcome.traces)
    if not length:
        return None
    lowest = np.array([np.fmin.accumulate(t.validation[:length]) for t in outcome.traces])
    x, mean = _places(outcome, axis, length), lowest.mean(0)
    if several > _BANDS:
        return Curve(outcome.name, x, mean)
    return Curve(outcome.name, x, mean, lowest.min(0), lowest.max(0))


def _places(outcome: Outcome, axis: str, length: int) -> NDArray[np.float64]:
    if axis == "seconds":
        return outcome.pace * np.arange(1.0, length + 1)
    found: NDArray[np.float64] = getattr(outcome.traces[0], axis)[:length]
    return found


def _by_rate(outcome: Outcome, worst: float) -> Curve:
    """The mean over the seeds that chose, for every rate at which it is no larger than the worst that is drawn."""
    known = [t for t in outcome.tuning if t.score <= worst]
    return Curve(outcome.name, np.array([t.rate for t in known]), np.array([t.score for t in known]))
