"""The numbers of a report: what the network gets wrong, how sure it is, and how its layers moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clearprop.autodiff.transforms import value_and_grad
from clearprop.data.columns import in_digits
from clearprop.data.encodings import NumberTarget
from clearprop.data.parts import Part, SourceRows, rows_in
from clearprop.data.training_data import Prepared
from clearprop.nn.losses import has_log_link, is_binary, loss_task
from clearprop.notation import number_text
from clearprop.program.values import raw
from clearprop.rules import random
from clearprop.rules.activations import sigmoid
from clearprop.rules.reductions import softmax
from clearprop.runs.state import State
from clearprop.train import Choice, Plan, Run, chosen_by, make_objective, make_step, replay_steps

MOST_ROWS = 20_000
"""By so many rows a report judges at most, where rows are on disk."""
STEPS, BINS = 8, 10
"""At so many steps the sizes of gradients and updates are taken; so many bins of confidence are compared."""


MOST_SHARES = 10_000_000
"""Of rows whose every step is an answer so many are judged that there are at most so many probabilities."""


@dataclass(frozen=True, eq=False)
class Held:
    """The rows that a report judges by, with the network's outputs for them, as float64.

    `places` are their places within the part, which has `total` rows; `rows` says which rows of the source these are,
    `weighted` whether rows have weights, by which nothing of a report counts but loss and metrics.  Where every output
    answers yes or no by itself, `labels_each` holds their names and `classes` is empty.  `choice` is how a class is
    chosen.
    """

    part: str
    x: NDArray[Any]
    y: NDArray[Any]
    outputs: NDArray[np.float64]
    classes: tuple[str, ...]
    places: NDArray[np.int64]
    total: int
    rows: SourceRows | None = None
    weighted: bool = False
    labels_each: tuple[str, ...] = ()
    choice: Choice = None

    def row_text(self, row: int) -> str:
        """What a row is called: see `SourceRows.text`."""
        place = int(self.places[row])
        return str(place) if self.rows is None else self.rows.text(place)

    @property
    def targets(self) -> NDArray[Any]:
        """The target of every output, `(rows, outputs)`: quantiles are answers about the same one."""
        return np.broadcast_to(self.y.reshape(len(self.y), -1), self.outputs.shape)

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """The probability of every class, `(rows, classes)`."""
        if self.outputs.shape[-1] > 1:
            return np.asarray(softmax(self.outputs))
        positive = np.asarray(sigmoid(self.outputs[:, 0]))
        return np.stack([1.0 - positive, positive], axis=1)

    @property
    def chosen(self) -> NDArray[np.int64]:
        """The classes that are chosen, `(rows,)`."""
        return chosen_by(self.probabilities, self.choice)

    @property
    def labels(self) -> NDArray[np.int64]:
        """The true classes, `(rows,)`."""
        y = self.y
        wide = y.ndim > 1 and y.shape[-1] > 1
        labels: NDArray[np.int64] = (np.argmax(y, axis=-1) if wide else y.reshape(len(y))).astype(np.int64)
        return labels


def held_rows(run: Run, data: Prepared, train: Part | None) -> Held | None:
    """The validation rows, or without them those of the training; None for an iterable of batches.

    Of an ensemble those that test: every other row was learned by some member.

    Of rows on disk at most `MOST_ROWS`, evenly spread.
    """
    part, rows = _judging_rows(run, data, train)
    if rows is None:
        return None
    total = rows_in(rows)
    places = np.arange(total) if isinstance(rows, tuple) else rows.spread(MOST_ROWS)
    x, y = rows if isinstance(rows, tuple) else rows.sample(MOST_ROWS)
    each_step = x.shape[1] if y.ndim > 1 and run.config.settings.unit is not None else 1
    if each_step > 1:  # every step of a row is an answer, and stands for itself
        most = max(MOST_SHARES // (each_step * len(run.class_names)), 1)
        places = np.unique(np.linspace(0, total - 1, min(most, total)).astype(np.intp))
        x, y, total = x[places], y[places], total * each_step
    outputs = _comparable(run, np.asarray(run.outputs(x), dtype=np.float64))
    if each_step > 1:
        x, places = (np.repeat(a, each_step, axis=0) for a in (x, places))
        outputs, y = outputs.reshape(len(x), -1), y.reshape(-1)
    classes, wide = _classes(run, outputs), outputs.reshape(len(x), -1)
    labels = wide.shape[1] if is_binary(run.config.settings.loss) and wide.shape[1] > 1 else 0
    named = run.target_names if len(run.target_names) == labels else ()
    each = named or tuple(f"label {k}" for k in range(labels))
    classes = () if each else classes
    return Held(part, x, y, wide, classes, places, total, data.rows.get(part), data.weighted, each, run.choice)


def _judging_rows(run: Run, data: Prepared, train: Part | None) -> tuple[str, Part | None]:
    if run.summary.members is not None and data.test is not None:
        return "test", data.test
    return ("validation", data.validation) if data.validation is not None else ("training", train)


def amount_text(value: float) -> str:
    """A number in the unit of the target to six digits, as people write it: without a power of ten to ten millions.

    >>> amount_text(1057541.3), amount_text(-0.25), amount_text(3e12)
    ('1057540', '−0.25', '3e+12')
    """
    text = number_text(value)
    return in_digits(value, 6).replace("-", "−") if "e+" in text and abs(value) < 1e7 else text


def _comparable(run: Run, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Outputs as targets are: the logarithms of amounts brought back, and what a transform keeps in its range."""
    target = None if run.preprocessing is None else run.preprocessing.target
    known = target if isinstance(target, NumberTarget) else None
    if not has_log_link(run.config.settings.loss) and (known is None or known.transform is None):
        return outputs
    values = run.values(outputs)
    return values if known is None else known.standardise(values)


def _classes(run: Run, outputs: NDArray[Any]) -> tuple[str, ...]:
    if loss_task(run.config.settings.loss) != "classes":
        return ()
    return run.class_names or tuple(str(k) for k in range(max(2, outputs.shape[-1])))


def confusion(held: Held) -> NDArray[np.int64]:
    """How often class i (row) was taken for class j (column)."""
    counts = np.zeros((len(held.classes),) * 2, dtype=np.int64)
    np.add.at(counts, (held.labels, held.chosen), 1)
    return counts


@dataclass(frozen=True)
class Bin:
    """Predictions of about one confidence: their number, mean confidence, and the share that is right."""

    rows: int
    confidence: float
    right: float


def calibration(held: Held) -> tuple[list[Bin], float]:
    """Bins of the largest probability, and the expected calibration error Σ rows/n·|right − confidence|.

    Naeini, Cooper, Hauskrecht 2015, "Obtaining Well Calibrated Probabilities Using Bayesian Binning".
    """
    shares = held.probabilities
    sure, right = shares.max(axis=1), np.argmax(shares, axis=1) == held.labels
    where = np.minimum((sure * BINS).astype(int), BINS - 1)
    groups = [where == k for k in range(BINS) if (where == k).any()]
    bins = [Bin(int(g.sum()), float(sure[g].mean()), float(right[g].mean())) for g in groups]
    return bins, sum(b.rows * abs(b.right - b.confidence) for b in bins) / len(sure)


class LabelCounts(NamedTuple):
    """One of several labels: how many rows have it, for how many it was said (p > 1/2), and how often that is right."""

    name: str
    rows: int
    said: int
    both: int
    right: float


def count_labels(held: Held) -> list[LabelCounts]:
    """Each of several labels that are answered for themselves."""
    said, has = held.outputs > 0, held.y.reshape(held.outputs.shape) > 0.5
    return [
        LabelCounts(name, int(h.sum()), int(s.sum()), int((s & h).sum()), float((s == h).mean()))
        for name, s, h in zip(held.labels_each, said.T, has.T, strict=True)
    ]


def losses_by_row(held: Held) -> NDArray[np.float64]:
    """−log p of the true class, its mean over labels that are answered for themselves, or the squared error."""
    if held.labels_each:
        z, y = held.outputs, held.y.reshape(held.outputs.shape)
        return np.asarray(np.mean(np.logaddexp(0.0, z) - y * z, axis=1))
    if held.classes:
        shares = held.probabilities[np.arange(len(held.x)), held.labels]
        return np.asarray(-np.log(np.maximum(shares, 1e-300)))
    difference = held.outputs - held.targets
    return np.asarray(np.mean(np.square(difference), axis=1))


# ---------------------------------------------------------------------------------------------- sizes over time
@dataclass(frozen=True)
class Sizes:
    """Root mean squares by parameter: of the gradient of what step number `step` minimised, and of its update."""

    step: int
    gradients: Mapping[str, float]
    updates: Mapping[str, float]


def sizes_over_time(run: Run, plan: Plan) -> list[Sizes]:
    """The sizes at a few steps, evenly spread by the logarithm of their numbers, from replays."""
    first = 0 if run.config.forked is None else run.config.forked.step
    state = run.replay(first).state
    found = []
    for step in spread_steps(first + 1, run.steps):
        state = replay_steps(plan, state, step - 1)
        if state.batch == plan.feed.count:
            state = state.next_epoch()
        found.append(_sizes(run, plan, state, step))
    return found


def spread_steps(first: int, last: int, count: int = STEPS) -> list[int]:
    """Up to `count` different steps from first to last.

    >>> spread_steps(1, 100, 4)
    [1, 5, 22, 100]
    """
    if last < first:
        return []
    places = np.geomspace(1, last - first + 1, count)
    return sorted({first - 1 + round(float(p)) for p in places})


def _sizes(run: Run, plan: Plan, state: State, number: int) -> Sizes:
    assert run.workings is not None  # the plan is theirs
    settings, optimizer = plan.settings, run.workings.optimizer
    x, y, *weight = next(plan.feed.batches(state.epoch, state.batch))
    key = random.fold_in(np.array(plan.keys.layers, dtype=np.uint32), state.step)
    objective = make_objective(plan.loss, (), settings.penalty, settings.grad_shards)
    step = make_step(plan.loss, (), optimizer, settings.penalty, settings.grad_shards)
    with np.errstate(all="ignore"):
        _, gradients = value_and_grad(lambda m: objective(m, x, y, key, *weight)[0])(state.model)
        after, *_ = step(state.model, state.optimizer, x, y, key, *weight)
        before, moved = _arrays(state.model), _arrays(after)
        updates = {name: _size(moved[name] - value) for name, value in before.items()}
        return Sizes(number, {name: _size(g) for name, g in _arrays(gradients).items()}, updates)


def _arrays(model: Any) -> dict[str, NDArray[np.float64]]:
    return {n: np.asarray(raw(p), dtype=np.float64) for n, p in model.parameters().items() if p is not None}


def _size(array: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(array)))) if array.size else 0.0


def by_layer(sizes: Sequence[Sizes], part: str) -> dict[str, list[float]]:
    """One list of values per parameter, in the order of the steps."""
    names = list(getattr(sizes[0], part)) if sizes else []
    return {name: [getattr(s, part)[name] for s in sizes] for name in names}
