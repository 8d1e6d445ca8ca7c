"""What a run answers, as one number a row that can be taken apart: its importance and its explanation by columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.attribution import (
    ColumnImportance,
    Contribution,
    Importance,
    PredictionExplanation,
    by_column,
    gradient_effects,
    mean_interval,
    path_contributions,
    permutation_drops,
)
from clearprop.data.columns import quantity
from clearprop.data.encodings import CategoryEncoding, ClassTarget, Encoding, NumberEncoding
from clearprop.data.joint_target import JointTarget, unit_written
from clearprop.data.kinds.time_encoding import TimeEncoding
from clearprop.data.kinds.word_encodings import ListEncoding, OrdinalEncoding
from clearprop.data.parts import Pair, Part, checked_seed, features_of
from clearprop.data.preprocessing import Preprocessing
from clearprop.errors import ArgumentError, DataError, ShapeError, unknown_name, user_line
from clearprop.nn.losses import is_binary, loss_task, quantiles_of, several_quantiles_of
from clearprop.notation import number_text
from clearprop.program.operands import admit_real, unsupported_error
from clearprop.program.values import raw
from clearprop.rules.activations import sigmoid
from clearprop.rules.joining import concat
from clearprop.rules.reductions import mean, softmax, sum
from clearprop.runs.events import name_of_target
from clearprop.runs.settings import Settings
from clearprop.train.evaluation import judge
from clearprop.train.joint_measures import MEDIAN, names_of_outputs
from clearprop.train.metrics import (
    METRICS,
    Measure,
    find_metrics,
    in_units,
    outputs_as_predicted,
    outputs_of,
    require_outputs,
    require_task,
    target_unit,
)
from clearprop.train.scores import shares_of_rows
from clearprop.train.thresholds import Choice, at_choice, shift_by

MOST_REPEATS = 10_000
"""How often a column is shuffled at most: the interval of the mean is a hundredth of the spread then."""


@dataclass(frozen=True, eq=False)
class Answers:
    """The answers of a network under a loss: values of the target, or classes, by `classes` where they have names.

    Among classes `choice` says what is chosen.  Of several targets, the answers are those of the one in this `place`.
    """

    model: Any
    fitted: Preprocessing | None
    settings: Settings
    classes: tuple[str, ...] = ()
    choice: Choice = None
    place: int = 0

    @property
    def loss(self) -> str:
        """The name of the loss."""
        return self.settings.loss

    @property
    def are_classes(self) -> bool:
        """Whether the network chooses among classes."""
        return loss_task(self.loss) == "classes"

    @property
    def target(self) -> str:
        """What is predicted."""
        names = names_of_outputs(() if self.fitted is None else self.fitted.target.names, self.loss)
        return names[self.place] if names else "output"

    @property
    def is_one_of_several(self) -> bool:
        """Whether there are answers about other targets, or other quantiles, beside this one."""
        targets = () if self.fitted is None else self.fitted.target.names
        return len(names_of_outputs(targets, self.loss)) > 1

    @property
    def labels(self) -> tuple[str, str] | None:
        """What a label can be, where the targets are labels beside each other; else None."""
        target = None if self.fitted is None else self.fitted.target
        if not isinstance(target, JointTarget) or target.kind != "labels":
            return None
        no, yes = target.labels[self.place].classes
        return no, yes

    def outputs(self, x: NDArray[Any]) -> NDArray[Any]:
        """The network's outputs for encoded rows."""
        return outputs_of(self.model, x)

    def values(self, x: Any) -> Any:
        """For numbers: the prediction of every row, in the unit of the data."""
        unit = target_unit(self.fitted, self.loss)
        outputs = outputs_as_predicted(self.model, x)
        return (outputs if unit is None else unit.of_outputs(outputs))[:, self.place]

    def probability(self, chosen: int) -> Callable[[Any], Any]:
        """For classes: the probability of one class, of every row."""

        def share(x: Any) -> Any:
            outputs = outputs_as_predicted(self.model, x)
            if outputs.shape[-1] == 1 or self.labels is not None:
                own = outputs[:, self.place]
                return sigmoid(own if chosen else -own)
            return softmax(outputs)[:, chosen]

        return share

    def margins(self, x: Any) -> Any:
        """For classes: the output of the class that is chosen, less the mean of all outputs, of every row."""
        outputs = outputs_as_predicted(self.model, x)
        if outputs.shape[-1] == 1 or self.labels is not None:
            return outputs[:, self.place]
        values = np.asarray(raw(outputs_as_predicted(self.model, raw(x))))
        chosen = np.eye(outputs.shape[-1], dtype=np.float32)[np.argmax(values, axis=-1)]
        return sum(chosen * outputs, axis=-1) - mean(outputs, axis=-1)

    def columns(self, features: int) -> tuple[str, ...]:
        """The column that each feature comes from; a feature of an array is a column of its own."""
        return tuple(f"x[{j}]" for j in range(features)) if self.fitted is None else self.fitted.feature_columns


def place_of(fitted: Preprocessing | None, output: str | None, loss: str) -> int:
    """The place of the target, or quantile, of that name among several; of the first one, or the median, for None.

    Raises ArgumentError for a name that no output has.
    """
    quantiles = quantiles_of(loss)
    names = names_of_outputs(() if fitted is None else fitted.target.names, loss)
    if output is None and MEDIAN in quantiles:
        return quantiles.index(MEDIAN)
    if output is None:
        return 0
    if not isinstance(output, str) or output not in names:
        raise unknown_name("output", output, names, user_line())
    return names.index(output)


def importance_of(
    answers: Answers,
    part: str,
    rows: Pair,
    metric: str | None,
    loss: Measure | None,
    repeats: int,
    seed: int,
    weight: NDArray[Any] | None = None,
) -> Importance:
    """The importance of every column for a score of these rows, which count by `weight` `(rows,)` if there is one.

    Without a `metric` the score is accuracy, R² for numbers, or the loss where it is one of the user's own.

    Raises ArgumentError for rows that are no table, repeats below 1 or beyond `MOST_REPEATS`, and a seed below 0.
    """
    x, y = rows
    if metric is None:
        metric = _usual_metric(answers.loss)
    if not isinstance(metric, str):
        raise unknown_name("metric", metric, METRICS, user_line())
    _require_table(x, repeats)
    seed = checked_seed(seed)
    groups = features_of(answers.columns(x.shape[1]))
    base, drops = permutation_drops(_score(answers, metric, loss, y, weight), x, groups, repeats, seed)
    effects = gradient_effects(answers.margins if answers.are_classes else answers.values, x, groups)
    found = [ColumnImportance(name, *mean_interval(drops[name]), effects[name]) for name in groups]
    found.sort(key=lambda column: -column.drop)
    several = answers.is_one_of_several
    told = "the chosen class's output" if answers.are_classes and not several else answers.target
    judged = f"{metric} of {answers.target}" if several and metric != "loss" else metric
    return Importance(judged, base if _higher(metric) else -base, part, len(x), repeats, told, tuple(found))


def _usual_metric(loss: str) -> str:
    """What importance is measured by where nothing is asked for."""
    if several_quantiles_of(loss):
        return "pinball"
    return {"classes": "accuracy", "numbers": "r2"}.get(loss_task(loss) or "", "loss")


def _require_table(x: NDArray[Any], repeats: object) -> None:
    if x.ndim != 2 or x.dtype.kind != "f":
        raise ArgumentError(
            "importance is of columns",
            expected="rows of numbers: x of shape (rows, columns)",
            got=f"x of shape {x.shape}, {x.dtype}",
            where=user_line(),
        )
    if isinstance(repeats, bool) or not isinstance(repeats, int) or not 1 <= repeats <= MOST_REPEATS:
        raise ArgumentError(
            "every column is shuffled some times",
            expected=f"a whole number of repeats from 1 to {MOST_REPEATS:,}",
            got=f"repeats = {repeats!r}",
            where=user_line(),
            try_="repeats=10",
        )


def _higher(metric: str) -> bool:
    return metric != "loss" and find_metrics([metric])[0].higher


def _score(
    answers: Answers, metric: str, loss: Measure | None, y: NDArray[Any], weight: NDArray[Any] | None
) -> Callable[[NDArray[Any]], float]:
    """The score of rows with these targets, of which more is better."""
    if metric == "loss":
        if loss is None:
            raise ArgumentError("the loss of this run is not at hand", expected="a metric by name", where=user_line())
        measure = loss
    else:
        found = find_metrics([metric])
        if loss_task(answers.loss) is not None:
            require_task(found, answers.are_classes)
        measures = at_choice(in_units(found, answers.fitted, answers.loss), answers.settings, answers.choice)
        own = name_of_target(metric, answers.target)
        by_name = {m.name: m for m in measures}
        measure = by_name.get(own) or by_name.get(metric) or measures[0]
    sign = 1.0 if _higher(metric) else -1.0
    more = () if weight is None else (weight / weight.mean(dtype=np.float64),)

    def score(x: NDArray[Any]) -> float:
        return sign * judge(measure, answers.outputs(x), y, *more)

    return score


def explanation_of(answers: Answers, x: NDArray[Any], start: NDArray[Any]) -> PredictionExplanation:
    """What every column adds to the answer for an encoded row, on the way from another row."""
    unit = "" if answers.fitted is None else unit_written(answers.fitted.target, answers.place)
    name = f"{answers.target} ({unit})" if unit else answers.target
    answer: Callable[[Any], Any] = answers.values
    if answers.are_classes:
        shares = shift_by(answers.outputs(x[None]), answers.choice)[0]
        if answers.labels is not None:
            chosen = int(shares[answers.place] > 0)
            told = f"{answers.target} = {answers.labels[chosen]}"
        else:
            chosen = int(shares[0] > 0) if len(shares) == 1 else int(np.argmax(shares))
            told = answers.classes[chosen] if answers.classes else str(chosen)
        name, answer = f"p({told})", answers.probability(chosen)
    predicted, begun, added = path_contributions(answer, x, start)
    values = _told_columns(answers.fitted, x)
    sums = by_column(added, answers.columns(len(x)))
    found = [Contribution(column, *values[i], value) for i, (column, value) in enumerate(sums.items())]
    found.sort(key=lambda part: -abs(part.added))
    return PredictionExplanation(name, predicted, begun, tuple(found), predicted - begun - float(added.sum()))


def _told_columns(fitted: Preprocessing | None, x: NDArray[Any]) -> Sequence[tuple[str, str]]:
    """The value and the encoding of every column."""
    if fitted is None:
        return [(number_text(float(v)), "as it is") for v in x]
    told, first = list[tuple[str, str]](), 0
    if fitted.sequence is not None:
        return _told_steps(fitted, x)
    for column in fitted.columns:
        last = first + len(column.features)
        told.append((_value_text(column, x[first:last]), column.encoding))
        first = last
    return told


def _told_steps(fitted: Preprocessing, x: NDArray[Any]) -> Sequence[tuple[str, str]]:
    """The same of a sequence: the values in its first and its last step, and how many steps it has."""
    assert fitted.sequence is not None
    steps = x[: len(x) // fitted.members].reshape(fitted.sequence.steps, -1)
    there = steps[steps[:, -1] > 0.5]
    told, first = list[tuple[str, str]](), 0
    for column in fitted.source_columns:
        ends = [_value_text(column, step[first : first + len(column.features)]) for step in (there[0], there[-1])]
        told.append((" … ".join(filter(None, dict.fromkeys(ends))), column.encoding))
        first += len(column.features)
    return [*told, (f"{len(there)} of {len(steps)}", "the steps that are there")]


def _value_text(column: Encoding, features: NDArray[Any]) -> str:
    """A value as the file has it, from its features; empty for kinds that do not come back from them."""
    if isinstance(column, NumberEncoding):
        if column.indicator and features[1]:
            return f"missing, taken as {number_text(column.fill)}"
        return (
            str(features[0] > 0).lower() if column.kind == "boolean" else number_text(_number_in_file(column, features))
        )
    if isinstance(column, CategoryEncoding):
        if not features.any():
            return "none of the known levels"
        return (*column.levels, "missing")[int(np.argmax(features))]
    if isinstance(column, ListEncoding | OrdinalEncoding | TimeEncoding):
        return column.value_text(features)
    return ""


def _number_in_file(column: NumberEncoding, features: NDArray[Any]) -> float:
    """A number from its feature, without the digits that float32 has lost."""
    deviation = float(features[0]) * column.scale
    lost = max(abs(deviation), column.scale) * 2.0**-22
    return round(deviation + column.centre, -math.ceil(math.log10(lost)))


def chosen_codes(
    outputs: NDArray[Any], loss: str, target: ClassTarget | None, choice: Choice = None
) -> NDArray[np.int64]:
    """The place of the class with the largest output, `(rows,)`; under binary_cross_entropy 1 for outputs above 0.

    By the `choice`, if there is one: the threshold of two classes, or the costs of mistakes among several.

    Several outputs under binary_cross_entropy answer each for itself, `(rows, outputs)`.  Raises ArgumentError where
    the outputs are not as many as the classes that are known, and DataError for outputs that are no numbers.
    """
    outputs = as_outputs(outputs)
    require_choice(outputs)
    if is_binary(loss) and outputs.shape[-1] > 1:
        return (outputs > 0).astype(np.int64)
    if target is not None:
        require_outputs(outputs.shape[-1], target)
    outputs = shift_by(outputs, choice)
    return (outputs[..., 0] > 0).astype(np.int64) if outputs.shape[-1] == 1 else np.argmax(outputs, axis=-1)


def as_outputs(outputs: Any) -> NDArray[Any]:
    """Outputs that a user gave as an array of real numbers, one row at least; DTypeError and ShapeError for others."""
    array = np.asarray(admit_real(raw(outputs)))
    if array.dtype.kind not in "fiu":
        raise unsupported_error(array.dtype)
    if array.ndim == 0:
        raise ShapeError("outputs of a network are rows", expected="(rows, outputs)", got="one number")
    return array


def require_choice(outputs: NDArray[Any]) -> None:
    """Raise DataError for a row in which no output is largest: the first class would be chosen, without a word."""
    if np.isfinite(outputs).all():
        return
    none = np.isnan(outputs).any(axis=-1) | ((outputs.shape[-1] > 1) & np.isneginf(outputs).all(axis=-1))
    if np.any(none):
        raise DataError(
            "no class can be chosen where the outputs are no numbers",
            expected="a number for every class",
            got=f"NaN in {quantity(int(none.sum()), 'row')} of {none.size}, the first of them {int(np.argmax(none))}",
            where=user_line(),
            try_="leave rows with NaN or infinite values out, or fill them in",
        )


def class_probabilities(outputs: Any, loss: str) -> Any:
    """The probability of every class, `(rows, classes)`: softmax of the outputs; 1 − σ and σ of a single one.

    Several outputs under binary_cross_entropy answer each for itself: σ of each.
    """
    if outputs.shape[-1] == 1:
        return sigmoid(concat([-outputs, outputs], axis=-1))
    if is_binary(loss):
        return sigmoid(outputs)
    return shares_of_rows(outputs) if isinstance(outputs, np.ndarray) else softmax(outputs)


def row_of(part: Part, place: int) -> NDArray[Any]:
    """One encoded row of a part, in memory or on disk."""
    x: NDArray[Any] = part[0][place] if isinstance(part, tuple) else part.row(place)[0][0]
    return x
