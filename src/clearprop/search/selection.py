"""The trial that is chosen: how sure its place is, and what it is worth on rows that had no part in choosing it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.parts import Part
from clearprop.errors import ClearpropError
from clearprop.program.values import raw
from clearprop.rules import random
from clearprop.runs.events import measure_text, setting_text
from clearprop.search.scheduler import Ended
from clearprop.train import Job, Measure, evaluate_test, outputs_of

LEVEL = 0.95
"""The share of resamples within an interval."""
RESAMPLES = 1000
"""So often the rows are drawn again for an interval."""


@dataclass(frozen=True)
class Figure:
    """A metric on some rows, with its interval where it has one."""

    part: str
    name: str
    value: float
    interval: tuple[float, float] | None
    rows: int

    def __str__(self) -> str:
        """`validation auc 0.95 [0.92, 0.97]`."""
        return f"{self.part} {self.name} {measure_text(self.name, self.value)}{self._range()}"

    def _range(self) -> str:
        if self.interval is None:
            return ""
        low, high = (measure_text(self.name, end) for end in self.interval)
        return f" [{low}, {high}]"


@dataclass(frozen=True)
class TrialChoice:
    """The best trial: `equal` other ones have a value within the interval of its own."""

    number: int
    folder: Path
    settings: Mapping[str, Any]
    trials: int
    validation: Figure
    tested: Figure | None
    equal: int

    def sentences(self) -> list[str]:
        """What is to be known, the best trial first."""
        varied = ", ".join(f"{name} {setting_text(value)}" for name, value in self.settings.items())
        told = [f"best: trial {self.number} of {self.trials}, {varied}: {self.validation}, in {self.folder}"]
        if self.validation.interval is not None:
            rows = f"{self.validation.rows} rows of which so many are drawn again"
            head = f"the range in brackets holds {LEVEL:.0%} of the values on {rows}, {RESAMPLES:,} times"
            doubt = f"{self.equal} of the other trials lie within it, so chance may have put this one first"
            told.append(f"{head}; {doubt if self.equal else 'no other trial lies within it'}")
        said = f"the best of {self.trials} looks better on the rows that chose it than it is"
        if self.tested is None:
            told.append(f"{said}, and no test rows were kept aside to tell (--test 0.15)")
        else:
            told.append(f"{said}; on {self.tested.rows} rows that had no part in it, measured once: {self.tested}")
        return told


def choose(
    ranked: Sequence[Ended], folder: Path, job: Job, metric: str, seed: int, trials: int, test: bool
) -> TrialChoice:
    """The best of the trials, whose job this is: its network, its data.  With `test`, it is tested, once."""
    best = ranked[0]
    value = best.outcome.value
    assert value is not None
    measure = next((m for m in job.metrics if m.name == metric), job.loss)
    weights = job.data.weights
    assert job.data.validation is not None
    spread = interval_of(measure, job.model, job.data.validation, weights.get("validation"), seed)
    validation = Figure("validation", metric, value, spread, _rows(job.data.validation))
    tested = None
    results = evaluate_test(job, job.model) if test else None
    if results is not None and job.data.test is not None:
        spread_there = interval_of(measure, job.model, job.data.test, weights.get("test"), seed)
        tested = Figure("test", metric, results[metric], spread_there, _rows(job.data.test))
    low, high = spread or (value, value)
    rivals = [e for e in ranked[1:] if e.request.epochs == best.request.epochs]
    equal = sum(low <= e.outcome.value <= high for e in rivals if e.outcome.value is not None)
    return TrialChoice(best.request.number, folder, best.request.settings, trials, validation, tested, equal)


def _rows(part: Part) -> int:
    return len(part[0]) if isinstance(part, tuple) else len(part)


def interval_of(
    measure: Measure, model: Any, part: Part, weight: NDArray[Any] | None, seed: int
) -> tuple[float, float] | None:
    """The percentile bootstrap (Efron 1979) of a metric: its middle `LEVEL` over rows that are drawn with replacement.

    The network stays what it is: this is the spread of its judges, not of its training.  None for rows on disk, and
    where fewer than half of the resamples have a value.
    """
    if not isinstance(part, tuple):
        return None
    outputs, y = outputs_of(model, part[0]), part[1]
    draws = np.asarray(raw(random.uniform(random.key(seed), (RESAMPLES, len(y)))))
    rows = (draws * len(y)).astype(np.int64)
    if measure.by_batch and weight is None and len(y) < RESAMPLES:  # a mean of the rows, each of which is judged once
        values = [_value(measure, outputs, y, None, np.array([i])) for i in range(len(y))]
        values = np.array(values)[rows].mean(axis=1).tolist()
    else:
        values = [_value(measure, outputs, y, weight, chosen) for chosen in rows]
    known = np.array([v for v in values if np.isfinite(v)])
    if len(known) < RESAMPLES / 2:
        return None
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _value(
    measure: Measure, outputs: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None, rows: NDArray[np.int64]
) -> float:
    """The metric on some of the rows; NaN where they do not decide it, such as rows of one class."""
    own = None if weight is None else weight[rows] / weight[rows].mean()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return float(raw(measure(outputs[rows], y[rows]) if own is None else measure(outputs[rows], y[rows], own)))
    except (ClearpropError, ValueError):
        return float("nan")
