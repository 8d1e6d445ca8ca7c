"""The trial that is chosen: how sure its place is, and what it is worth on rows that had no part in choosing it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
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
    """A metric on some rows, with its interval where it has one, and how that was found."""

    part: str
    name: str
    value: float
    interval: tuple[float, float] | None
    rows: int
    method: str = ""

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
    """The best trial: `equal` other ones have a value within the interval of its own.

    `before` is the number of another one that the test rows have judged already; None where there is none.
    """

    number: int
    folder: Path
    settings: Mapping[str, Any]
    trials: int
    validation: Figure
    tested: Figure | None
    equal: int
    before: int | None = None

    def sentences(self) -> list[str]:
        """What is to be known, the best trial first."""
        varied = ", ".join(f"{name} {setting_text(value)}" for name, value in self.settings.items())
        told = [f"best: trial {self.number} of {self.trials}, {varied}: {self.validation}, in {self.folder}"]
        if self.validation.interval is not None:
            head = f"in brackets the {LEVEL:.0%} interval over {self.validation.rows} rows ({self.validation.method})"
            others = f"{self.equal} other trials lie" if self.equal > 1 else "1 other trial lies"
            doubt = f"{others} within it, so chance may have put this one first"
            told.append(f"{head}; {doubt if self.equal else 'no other trial lies within it'}")
            if self.validation.interval[0] == self.validation.interval[1]:
                told.append("an interval without width says that no resample differs, which few rows do easily")
        said = f"the best of {self.trials} looks better on the rows that chose it than it is"
        if self.tested is None:
            told.append(f"{said}, and no test rows were kept aside to tell (--test 0.15)")
        else:
            told.append(f"{said}; on {self.tested.rows} rows that had no part in it, measured once: {self.tested}")
        if self.before is not None:
            told.append(f"the test rows have judged trial {self.before} before: their score of another is less honest")
        return told


def choose(
    ranked: Sequence[Ended], folder: Path, job: Job, metric: str, seed: int, trials: int, test: bool
) -> TrialChoice:
    """The best of the trials, whose job this is: its network, its data.  With `test`, it is tested, once."""
    best = ranked[0]
    value = best.outcome.value
    assert value is not None
    measure = next((m for m in job.metrics if m.name == metric), job.loss)
    validation = _figure("validation", value, measure, job, seed)
    results = evaluate_test(job, job.model) if test else None
    tested = None if results is None else _figure("test", results[metric], measure, job, seed)
    low, high = validation.interval or (value, value)
    rivals = [e for e in ranked[1:] if e.request.epochs == best.request.epochs]
    equal = sum(low <= e.outcome.value <= high for e in rivals if e.outcome.value is not None)
    return TrialChoice(best.request.number, folder, best.request.settings, trials, validation, tested, equal)


def _figure(part: str, value: float, measure: Measure, job: Job, seed: int) -> Figure:
    rows = job.data.parts[part]
    number = len(rows[0]) if isinstance(rows, tuple) else len(rows)
    name = measure.name if measure is not job.loss else "loss"
    interval, method = interval_of(measure, job.model, rows, job.data.weights.get(part), seed)
    return Figure(part, name, value, interval, number, method)


def interval_of(
    measure: Measure, model: Any, part: Part, weight: NDArray[Any] | None, seed: int
) -> tuple[tuple[float, float] | None, str]:
    """The interval of a metric at `LEVEL`, and the method that gives it.

    A share of rows has that of Wilson (1927), which has a width where all rows are right; anything else the percentile
    bootstrap (Efron 1979): the middle of its values over rows that are drawn with replacement.  The network stays what
    it is: this is the spread of its judges, not of its training.  None for rows on disk, and where fewer than half of
    the resamples have a value.
    """
    if not isinstance(part, tuple):
        return None, ""
    outputs, y = outputs_of(model, part[0]), part[1]
    draws = np.asarray(raw(random.uniform(random.key(seed), (RESAMPLES, len(y)))))
    rows = (draws * len(y)).astype(np.int64)
    if measure.by_batch and weight is None and len(y) < RESAMPLES:  # a mean of the rows, each of which is judged once
        single = np.array([_value(measure, outputs, y, None, np.array([i])) for i in range(len(y))])
        if np.isin(single, (0.0, 1.0)).all():
            return wilson(float(single.mean()), len(y)), "Wilson"
        values = single[rows].mean(axis=1)
    else:
        values = np.array([_value(measure, outputs, y, weight, chosen) for chosen in rows])
    known = values[np.isfinite(values)]
    if len(known) < RESAMPLES / 2:
        return None, ""
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return (float(low), float(high)), "bootstrap"


def wilson(share: float, rows: int) -> tuple[float, float]:
    """Wilson's interval (1927) of a share of so many rows: (p + z²/2n ± z·√(p(1−p)/n + z²/4n²)) / (1 + z²/n).

    >>> [round(end, 3) for end in wilson(1.0, 27)]
    [0.875, 1.0]
    """
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    centre = share + z * z / (2 * rows)
    width = z * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    scale = 1 + z * z / rows
    return max(0.0, (centre - width) / scale), min(1.0, (centre + width) / scale)


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
