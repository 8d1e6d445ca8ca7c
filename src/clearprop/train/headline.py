"""One sentence that says how good a run is, and compared to what."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from clearprop.data.columns import in_digits
from clearprop.data.joint_target import Target, unit_written
from clearprop.data.preprocessing import Preprocessing
from clearprop.data.provenance import DataRecord
from clearprop.nn.loss_text import is_normal
from clearprop.nn.losses import quantiles_of
from clearprop.runs.events import measure_text, overall
from clearprop.runs.folder import Summary
from clearprop.train.baselines import Baselines


def baselines_in(summary: Summary) -> Baselines | None:
    """The baselines that a summary holds; None where none were measured."""
    return None if summary.baseline is None else Baselines(**summary.baseline)


def as_summary(baselines: Baselines | None) -> dict[str, object] | None:
    """The baselines as `summary.json` holds them."""
    return None if baselines is None else asdict(baselines)


def results_by_part(summary: Summary) -> dict[str, Mapping[str, Any]]:
    """Loss and metrics of the best epoch on each part, and of the baselines, by what a table calls them."""
    parts = {"training": summary.train, "validation": summary.validation, "test": summary.test}
    beside = baselines_in(summary)
    if beside is not None:
        parts[f"constant, {beside.part}"], parts[f"linear, {beside.part}"] = dict(beside.constant), dict(beside.linear)
    return {part: values for part, values in parts.items() if values}


def results_text(summary: Summary) -> str:
    """What was reached on the validation and the test rows, in one line: of several targets together."""
    parts = {"validation": summary.validation, "test": summary.test}
    return ", ".join(
        f"{part} {name} {measure_text(name, value)}"
        for part, values in parts.items()
        for name, value in overall(values or {}).items()
        if isinstance(value, float)
    )


def end_text(summary: Summary) -> str:
    """How a run ended, in a few words.

    >>> end_text(Summary("done", 30, 900, 21, None, None, None, 1.5, None))
    'done after 30 epochs, 900 steps, best epoch 21'
    """
    if summary.members is not None:
        return f"the mean of {summary.members} member{'' if summary.members == 1 else 's'}"
    best = f", best epoch {summary.best_epoch}" if summary.best_epoch else ""
    return f"{summary.status} after {summary.epochs} epochs, {summary.steps} steps{best}"


_MEASURE = (
    r"[A-Z]{3}|[$€£¥%‰]|[kKmMcµnGT]?(?:[gmslWVAJNK]|Hz|Pa|Wh|eV|bar|B|bit|mol)[²³23]?|°?[CF]|ha|min|h|d|hrs?|days?|weeks?"
    r"|months?|years?|ft|in|mi|mph|lbs?|oz|pt|px|ppm|sqft|sqm|pcs|km/h"
)
_UNIT = re.compile(
    rf".*?\s*[(\[]\s*((?:{_MEASURE})(?:\s?/\s?\w+[²³]?)?)\s*[)\]]|.*?,\s*({_MEASURE})|.*?\s+in\s+({_MEASURE})"
)
"""A unit in brackets, behind a comma or `in`; a code of three capitals is a currency."""
_FEW = 20
"""Fewer test rows than these say little of new ones."""
_LEARNED = 0.9
"""Probabilities have learned something where their loss is below this share of that of a constant answer."""


def about_training(summary: Summary, data: DataRecord) -> str | None:
    """What is to be known of the training row beside the others: of how many rows it is, or that it is of the steps."""
    if not summary.train or (summary.train_rows is not None and summary.train_rows == data.train):
        return None
    if summary.train_rows is None:
        return "training: the mean over the steps of the best epoch, in training mode"
    return f"training: measured on {summary.train_rows:,} of {data.train:,} rows, evenly spread"


def headline(summary: Summary, fitted: Preprocessing | None, data: DataRecord, loss: str) -> str | None:
    """What the run reaches on the part that its baselines were measured on, beside them.  `loss` is its loss by name.

    None without baselines, or for a run that was not evaluated.
    """
    beside = baselines_in(summary)
    if beside is None or fitted is None:
        return None
    reached = results_by_part(summary).get(beside.part)
    if not reached:
        return None
    rows = {"test": data.test, "validation": data.validation, "training": data.train}[beside.part]
    part = f"{rows:,} {beside.part} {'row' if rows == 1 else 'rows'}"
    told = _comparison(reached, beside, part, fitted, loss, summary.threshold)
    if beside.part == "training":
        return f"{told} It learned from these rows: validation=0.2, or --val 0.2, judges it by others."
    few = beside.part == "test" and rows is not None and rows < _FEW
    return f"{told} So few rows say little: --folds 5 tests every row." if few else told


def _comparison(
    reached: Mapping[str, object],
    beside: Baselines,
    part: str,
    fitted: Preprocessing,
    loss: str,
    threshold: float | None,
) -> str:
    """What is reached on so many rows of a part, beside the baselines."""
    if is_normal(loss):
        return _of_normal(reached, beside, part, quantiles_of(loss), fitted.target)
    if quantiles := quantiles_of(loss):
        return _of_quantiles(reached, beside, part, quantiles, fitted.target)
    if len(fitted.target.names) > 1:
        return _of_several(reached, beside, part, fitted) or _of_loss(reached, beside, part, loss)
    judged = ("accuracy",) if fitted.class_names else ("mae", "r2")
    if not all(name in reached for name in judged):
        return _of_loss(reached, beside, part, loss)
    if fitted.class_names and all("cost" in v for v in (reached, beside.constant, beside.linear)):
        return _of_costs(reached, beside, part, fitted.target.name)
    if fitted.class_names:
        return _of_classes(reached, beside, part, fitted.target.name, threshold)
    return _of_numbers(reached, beside, part, fitted.target)


def _number(values: Mapping[str, object], name: str) -> float:
    value = values[name]
    return float(value) if isinstance(value, int | float | str) else float("nan")


def _of_classes(
    reached: Mapping[str, object], beside: Baselines, part: str, target: str, threshold: float | None
) -> str:
    own, constant, linear = (_number(v, "accuracy") for v in (reached, beside.constant, beside.linear))
    told = (
        f"The class of {target!r} is right in {own:.1%} of {part}; "
        f"the most frequent class alone would be in {constant:.1%}, a linear model is in {linear:.1%}"
    )
    if own <= constant and threshold is not None:
        return f"{told}. The threshold {threshold:.3g} was found for another end than this share."
    if own <= constant and (loss := _learned_loss(reached, beside)):
        return (
            f"{told}: no better than the most frequent class, but the probabilities are: {loss}. "
            "--threshold auto, --costs or --class-weight balanced choose the rare class more often."
        )
    return f"{told}: {_verdict(own, constant, linear, 'the most frequent class')}"


def _of_costs(reached: Mapping[str, object], beside: Baselines, part: str, target: str) -> str:
    own, constant, linear = (_number(v, "cost") for v in (reached, beside.constant, beside.linear))
    told = (
        f"Mistakes about {target!r} cost {in_digits(own)} a row in {part}; one class for all rows would cost "
        f"{in_digits(constant)}, a linear model {in_digits(linear)}"
    )
    if own >= constant and (loss := _learned_loss(reached, beside)):
        return f"{told}: no better than one class for all, but the probabilities are: {loss}."
    return f"{told}: {_verdict(-own, -constant, -linear, 'one class for all')}"


def _learned_loss(reached: Mapping[str, object], beside: Baselines) -> str:
    """The loss beside that of the constant answer, if it shows that probabilities were learned; else nothing."""
    loss, plain = (_number(v, "loss") if "loss" in v else math.nan for v in (reached, beside.constant))
    return f"loss {in_digits(loss)} beside {in_digits(plain)}" if loss < _LEARNED * plain else ""


def _of_numbers(reached: Mapping[str, object], beside: Baselines, part: str, target: Target) -> str:
    own, constant, linear = (_number(v, "mae") for v in (reached, beside.constant, beside.linear))
    unit = f" {_unit_of(target)}" if _unit_of(target) else ""
    told = (
        f"Predictions of {target.name!r} are off by {in_digits(own)}{unit} on average in {part} "
        f"(R² {_number(reached, 'r2'):.3f}); "
        f"the mean alone is off by {in_digits(constant)}{unit}, a linear model by {in_digits(linear)}{unit}"
    )
    return f"{told}: {_verdict(-own, -constant, -linear, 'the mean')}"


def unit_in(name: str) -> str:
    """The unit that the name of a column tells; empty where it tells none.

    >>> [unit_in(name) for name in ("price (USD)", "area [m²]", "weight, kg", "temp in °C", "price (old)")]
    ['USD', 'm²', 'kg', '°C', '']
    """
    found = _UNIT.fullmatch(name.strip())
    return next(filter(None, found.groups()), "").strip() if found else ""


def _unit_of(target: Target) -> str:
    """The unit of a target: the currency that its column was written with, or what its name tells."""
    return unit_written(target) or unit_in(target.name)


def _of_several(reached: Mapping[str, object], beside: Baselines, part: str, fitted: Preprocessing) -> str | None:
    """Of several targets the mean over them; None where the usual metric was not asked for."""
    name, targets = "accuracy" if fitted.of_classes else "r2", f"{len(fitted.target.names)} targets"
    if name not in reached:
        return None
    own, constant, linear = (_number(v, name) for v in (reached, beside.constant, beside.linear))
    if fitted.of_classes:
        told = (
            f"The labels of {targets} are right in {own:.1%} of {part}, on average; the more frequent value of each "
            f"would be in {constant:.1%}, a linear model is in {linear:.1%}"
        )
        return f"{told}: {_verdict(own, constant, linear, 'the more frequent value')}"
    told = (
        f"Predictions of {targets} reach R² {own:.3f} in {part}, on average; "
        f"the means alone reach {constant:.3f}, a linear model {linear:.3f}"
    )
    return f"{told}: {_verdict(own, constant, linear, 'the means')}"


def _of_loss(reached: Mapping[str, object], beside: Baselines, part: str, loss: str) -> str:
    """Where the usual metrics were not asked for."""
    own, constant, linear = (_number(v, "loss") for v in (reached, beside.constant, beside.linear))
    told = (
        f"The loss {loss} of {part} is {in_digits(own)}; "
        f"a constant answer has {in_digits(constant)}, a linear model {in_digits(linear)}"
    )
    return f"{told}: {_verdict(-own, -constant, -linear, 'the constant')}"


def _of_quantiles(
    reached: Mapping[str, object], beside: Baselines, part: str, quantiles: Sequence[float], target: Target
) -> str:
    name = "pinball" if "pinball" in reached else "loss"
    own, constant, linear = (_number(v, name) for v in (reached, beside.constant, beside.linear))
    unit = f" {_unit_of(target)}" if name == "pinball" and _unit_of(target) else ""
    shares = ", ".join(f"{q:g}" for q in quantiles)
    one = len(quantiles) == 1
    head = f"For the {shares}-quantile of {target.name!r}" if one else f"For the quantiles {shares} of {target.name!r}"
    told = (
        f"{head} the pinball loss in {part} is {in_digits(own)}{unit}; a constant quantile has "
        f"{in_digits(constant)}{unit}, a linear model {in_digits(linear)}{unit}"
    )
    told = f"{told}: {_verdict(-own, -constant, -linear, 'the constant')}"
    if one or "coverage" not in reached:
        return told
    meant = quantiles[-1] - quantiles[0]
    return f"{told} Between the outermost lie {_number(reached, 'coverage'):.1%} of the rows; {meant:.1%} are meant."


def _of_normal(
    reached: Mapping[str, object], beside: Baselines, part: str, quantiles: Sequence[float], target: Target
) -> str:
    """Of a mean and a deviation: −log of the density, which judges both, and how many rows lie within the ends."""
    own, constant, linear = (_number(v, "loss") for v in (reached, beside.constant, beside.linear))
    unit = f" {_unit_of(target)}" if _unit_of(target) else ""
    off = f" are off by {in_digits(_number(reached, 'mae'))}{unit} on average, and" if "mae" in reached else ""
    told = (
        f"In {part} the means of {target.name!r}{off} with their deviations have the loss {in_digits(own)}; "
        f"one normal distribution for all rows has {in_digits(constant)}, a linear mean {in_digits(linear)}"
    )
    told = f"{told}: {_verdict(-own, -constant, -linear, 'one for all rows')}"
    if "coverage" not in reached:
        return told
    meant = quantiles[-1] - quantiles[0]
    return f"{told} Between the ends lie {_number(reached, 'coverage'):.1%} of the rows; {meant:.1%} are meant."


def _verdict(own: float, constant: float, linear: float, plainest: str) -> str:
    """More is better in all three."""
    if not own > constant:
        return f"no better than {plainest}, so nothing was learned that helps."
    return "better than both." if own > linear else "no better than the linear model."
