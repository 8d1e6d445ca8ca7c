"""Which transform of a target suits: networks that learn it in each way are compared on the validation part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.encodings import NumberTarget
from clearprop.data.parts import SplitTable, sample_rows
from clearprop.data.readers.reading import Reading
from clearprop.data.table import Table
from clearprop.data.target_transforms import FEWEST, TRANSFORMS
from clearprop.data.training_data import Prepared, from_parts, sample_weights
from clearprop.errors import ArgumentError, user_line
from clearprop.nn.losses import has_log_link
from clearprop.notation import number_text
from clearprop.program.values import no_grad, raw
from clearprop.train.interrupts import TrainingInterrupted
from clearprop.train.job import Job
from clearprop.train.metrics import Measure, find_loss, find_metrics, higher_is_better, in_units, outputs_of
from clearprop.train.planning import AUTO, job_for, tested_rate, transform_asked, with_defaults
from clearprop.train.training import train
from clearprop.train.training_loop import Decide, decide_alone

SKEWED = 1.0
"""A target whose skewness is within ±SKEWED is learned as it is."""
DRAWS = 100
"""So often the validation rows are drawn again."""
MOST_ROWS = 20_000
"""Networks that are compared learn from so many rows at most, evenly spread where there are more."""


@dataclass(frozen=True)
class TransformChoice:
    """The transform that was chosen, and the reason as a sentence; empty where there was nothing to choose."""

    name: str = "none"
    reason: str = ""


def settled_data(asked: Mapping[str, Any], read: Callable[[str], Prepared], decide: Decide = decide_alone) -> Prepared:
    """The data with the transform of the target that the settings ask for, or that suits: `read` gives them with one.

    Of several processes, all take what `decide` says.  The reason is among the notes on the data.
    """
    name = transform_asked(asked)
    if name != AUTO:
        return read(name)
    plain = read("none")
    return _with_choice(plain, read, decide(lambda: _choose(asked, plain, read, TRANSFORMS)))


def settled_table(
    asked: Mapping[str, Any], table: Table, parts: SplitTable, reading: Reading, known: Sequence[str] = TRANSFORMS
) -> Table:
    """The table with the transform of its target that the settings ask for, or the one of those `known` that suits."""
    if transform_asked(asked) != AUTO:
        return table

    def data(name: str) -> Prepared:
        return from_parts(table, replace(parts, train=replace(parts.train, transform=name)), reading)

    choice = _choose(asked, data("none"), data, known)
    return replace(table, transform=choice.name, notes=(*table.notes, *filter(None, [choice.reason])))


def choose_data(
    plain: Prepared, read: Callable[[str], Prepared], job: Callable[[Prepared], Job], loss: Measure, metric: str
) -> Prepared:
    """The data with the transform that suits the jobs that are made of them, the reason among their notes.

    Raises ArgumentError where there are no rows to choose by.
    """
    return _with_choice(plain, read, compare_transforms(plain, read, job, loss, metric))


def _with_choice(plain: Prepared, read: Callable[[str], Prepared], choice: TransformChoice) -> Prepared:
    data = plain if choice.name == "none" else read(choice.name)
    notes = data.told.get("notes", [])
    return replace(data, told={**data.told, "notes": [*notes, choice.reason]}) if choice.reason else data


def _choose(
    asked: Mapping[str, Any], data: Prepared, read: Callable[[str], Prepared], known: Sequence[str]
) -> TransformChoice:
    """The choice for networks that the settings make."""

    def job(prepared: Prepared) -> Job:
        settings = with_defaults(asked, prepared)
        if settings.lr == AUTO:
            settings = replace(settings, lr=tested_rate(settings, prepared).suggestion)
        return job_for(prepared, settings)

    loss, must = find_loss(with_defaults(asked, data).loss), asked.get("target_transform") == AUTO
    return compare_transforms(data, read, job, loss, asked.get("metric", "loss"), known, must)


def compare_transforms(
    data: Prepared,
    read: Callable[[str], Prepared],
    job: Callable[[Prepared], Job],
    loss: Measure,
    metric: str = "loss",
    known: Sequence[str] = TRANSFORMS,
    must: bool = True,
) -> TransformChoice:
    """The transform with which the network that a job trains is best on the validation part, in the target's unit.

    `data` have the target as it is, `read` gives them with a transform.  Best by the `metric`, or where that is the
    loss, by R² under losses that are least at a mean, else by the loss.  A transform must be better than none by more
    than a standard error of the difference, found by drawing the validation rows again (Breiman et al. 1984 have this
    rule for trees): few rows choose at random.  A target that is not skewed is learned as it is.  Without rows to
    choose by it is an ArgumentError if there `must` be some.
    """
    names = [name for name in _candidates(data) if name in known]
    if not names or has_log_link(loss.name):
        return TransformChoice()
    if data.validation is None or not isinstance(data.validation, tuple):
        if must:
            raise ArgumentError(
                "the transform of the target is chosen on the validation part",
                expected="a table in memory, with rows to validate",
                got="no validation part" if data.validation is None else "a table that is streamed",
                where=user_line(),
                try_="none, log or quantile by name",
            )
        return TransformChoice()
    measure, judged = _measure(loss, metric), dict[str, _Judged]()
    for name in ("none", *names):
        prepared = _with_fewer_rows(data if name == "none" else read(name))
        try:
            model = train(replace(job(prepared), baseline=False)).model
        except TrainingInterrupted:  # of a training that nobody asked for
            raise KeyboardInterrupt from None
        judged[name] = _Judged.of(measure, model, prepared, loss)
    plain, sign = judged.pop("none"), 1.0 if higher_is_better(measure.name) else -1.0
    better = [name for name, other in judged.items() if _is_better(other, plain, sign)]
    scores = {"none": plain.score(), **{name: one.score() for name, one in judged.items()}}
    best = max(better, key=lambda name: sign * scores[name], default="none")
    words = {"none": "as it is", "log": "by its logarithm", "quantile": "by normal scores"}
    told = ", ".join(f"{number_text(float(f'{score:.3g}'))} {words[name]}" for name, score in scores.items())
    name = "R²" if measure.name == "r2" else measure.name
    return TransformChoice(best, f"the target is learned {words[best]}: {name} of the validation rows is {told}")


def _candidates(data: Prepared) -> tuple[str, ...]:
    """The transforms that may help: none where the target is not skewed, or is no single number."""
    target = None if data.preprocessing is None else data.preprocessing.target
    if not isinstance(target, NumberTarget) or not isinstance(data.train, tuple):
        return ()
    values = target.invert(data.train[1]).ravel()
    skewness = _skewness(values)
    quantile = ("quantile",) if len(np.unique(values)) >= FEWEST else ()
    log = ("log",) if skewness > SKEWED and values.min() >= 0 else ()
    return (*log, *quantile) if abs(skewness) > SKEWED else ()


def _skewness(values: NDArray[np.float64]) -> float:
    spread = values.std()
    return float(np.mean(((values - values.mean()) / spread) ** 3)) if spread > 0 else 0.0


def _measure(loss: Measure, metric: str) -> Measure:
    if metric != "loss":
        return find_metrics((metric,))[0]
    at_means = loss.name.partition(":")[0] in ("mse", "huber", "log_cosh")
    return find_metrics(("r2",))[0] if at_means else loss


def _with_fewer_rows(data: Prepared) -> Prepared:
    """The data with at most MOST_ROWS rows to train on."""
    weights = dict(data.weights)
    weight = sample_weights(data, MOST_ROWS)
    if weight is not None:
        weights["training"] = weight
    return replace(data, train=sample_rows(data.table, MOST_ROWS), test=None, weights=weights)


@dataclass(frozen=True, eq=False)
class _Judged:
    """What a network answers for the validation rows, and what judges it in the target's unit."""

    measure: Measure
    arrays: tuple[NDArray[Any], ...]

    @classmethod
    def of(cls, measure: Measure, model: Any, data: Prepared, loss: Measure) -> _Judged:
        assert isinstance(data.validation, tuple)
        (measure,) = in_units((measure,), data.preprocessing, loss.name)
        x, y = data.validation
        weight = data.weights.get("validation")
        return cls(measure, (outputs_of(model, x), y, *([] if weight is None else [weight])))

    def score(self, rows: Any = slice(None)) -> float:
        """The value over these rows."""
        outputs, y, *weight = (array[rows] for array in self.arrays)
        with no_grad():
            return float(raw(self.measure(outputs, y, *(w / w.mean() for w in weight))))


def _is_better(other: _Judged, plain: _Judged, sign: float) -> bool:
    """Whether one is better by more than a standard error of the difference."""
    rows = len(plain.arrays[1])
    draws = np.random.Philox(key=0).random_raw((DRAWS, rows)) % np.uint64(rows)
    gains = np.array([sign * (other.score(drawn) - plain.score(drawn)) for drawn in draws.astype(np.intp)])
    return bool(np.isfinite(gains).all() and gains.mean() > gains.std())
