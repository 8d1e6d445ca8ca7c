"""`Run`: what training gives, and what `cl.load` reads back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from clearprop.attribution import Importance, PredictionExplanation
from clearprop.data.array_checks import in_columns
from clearprop.data.encoded_rows import Encoded
from clearprop.data.encodings import ClassTarget
from clearprop.data.joint_target import JointTarget
from clearprop.data.parts import MOST_ROWS, Pair, sample_rows
from clearprop.data.preprocessing import Preprocessing
from clearprop.data.readers.frame_kinds import in_kind_of
from clearprop.data.readers.reading import FormWords, reading_of
from clearprop.data.streaming.encoded_source import encoded_blocks, tell_surprises, with_warning
from clearprop.data.streaming.sharers import ALONE, Sharers
from clearprop.data.training_data import Prepared, as_pair, sample_weights, scaled_weights
from clearprop.errors import ArgumentError, RunError, checked_methods, printable, user_line
from clearprop.files.atomic import as_path
from clearprop.nn.losses import loss_task
from clearprop.runs.environment import environment
from clearprop.runs.events import Event
from clearprop.runs.folder import Config, Summary
from clearprop.runs.state import State
from clearprop.train.answers import (
    Answers,
    as_outputs,
    chosen_codes,
    class_probabilities,
    explanation_of,
    importance_of,
    place_of,
    row_of,
)
from clearprop.train.array_alignment import adaptation, adapted_inputs
from clearprop.train.evaluation import evaluate, evaluate_encoded
from clearprop.train.headline import about_training, end_text, headline, results_by_part, results_text
from clearprop.train.intervals import interval_around
from clearprop.train.joint_measures import names_of_outputs
from clearprop.train.metrics import Measure, outputs_of, require_weighable, target_unit
from clearprop.train.replayed import Replayed, nearest_state
from clearprop.train.run_html import run_html
from clearprop.train.thresholds import Choice, choice_of
from clearprop.train.training_loop import replay_steps
from clearprop.train.workings import Workings, save_run


@checked_methods
@dataclass(eq=False, repr=False)
class Run:
    """A training run that has ended, was interrupted, or was loaded.

    `model` is the best epoch's network (by validation loss; without validation the last), `last` the last one;
    `history` has one `epoch` event per epoch.  `status` is done, interrupted or diverged.

    >>> import numpy as np
    >>> import clearprop as cl
    >>> x = np.arange(8.0).reshape(4, 2)
    >>> run = cl.fit(cl.nn.mlp([2, 1]), (x, x[:, 0]), loss="mse", epochs=3, progress=False)
    >>> run.status, len(run.history)
    ('done', 3)
    """

    model: Any
    last: Any
    history: list[Event]
    summary: Summary
    config: Config
    preprocessing: Preprocessing | None = None
    folder: Path | None = None
    workings: Workings | None = None

    @property
    def status(self) -> str:
        """How the run ended: done, interrupted or diverged."""
        return self.summary.status

    @property
    def steps(self) -> int:
        """The number of steps that were done."""
        return self.summary.steps

    @property
    def results(self) -> dict[str, Mapping[str, Any]]:
        """Loss and metrics of the best epoch on each part of the data, and of the baselines if they were measured."""
        return results_by_part(self.summary)

    @property
    def about_training(self) -> str | None:
        """How `results` of the training part were measured, where that is not on all of its rows; else None."""
        return about_training(self.summary, self.config.data)

    @property
    def headline(self) -> str | None:
        """One sentence that says how good the run is, and compared to what; None where no baseline was measured."""
        return headline(self.summary, self.preprocessing, self.config.data, self.config.settings.loss)

    def __repr__(self) -> str:
        where = f" in {printable(str(self.folder))}" if self.folder else ""
        head, results = end_text(self.summary), results_text(self.summary)
        return f"<Run{where}: {f'{head}; {results}' if results else head}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: how good the run is, beside what, and the curve of its loss."""
        told = repr(self).strip("<>").partition("; ")[0]
        return run_html(told, self.headline, self.results, self.about_training, self.history, self.summary.best_epoch)

    # ------------------------------------------------------------------------------------------ using it
    def encode(
        self, data: Any, with_target: bool = False, keep: Sequence[str] = (), **form: Unpack[FormWords]
    ) -> Encoded:
        """Data as the network takes them, encoded as in training, with a report of what differed.

        `form` says how a file is written where it does not show it (encoding, delimiter, decimal, header, missing), and
        which columns it may lack (fill).
        """
        if self.preprocessing is None:
            raise ArgumentError(
                "this run was trained on arrays as they are",
                expected="an array like x of the training",
                got=type(data).__name__,
                try_="run.predict(x)",
            )
        return self.preprocessing.encode(data, with_target, keep, reading_of(form))

    def encoded(
        self,
        data: Any,
        with_target: bool = False,
        keep: Sequence[str] = (),
        *,
        ranks: Sharers = ALONE,
        **form: Unpack[FormWords],
    ) -> Iterator[Encoded]:
        """`encode` in blocks for a CSV or Parquet file, larger than memory perhaps; each of `ranks` gets its own."""
        if self.preprocessing is None:
            yield self.encode(data, with_target, keep, **form)
        else:
            yield from encoded_blocks(self.preprocessing, data, with_target, keep, reading_of(form), ranks)

    def _source_outputs(self, data: Any, form: FormWords) -> NDArray[Any]:
        """The outputs for data of any kind that the run takes."""
        if self.preprocessing is not None:
            return np.concatenate([self.outputs(block.x) for block in with_warning(self.encoded(data, **form))])
        return self.outputs(self._encoded_rows(data) if not form else self.encode(data, **form).x)

    def outputs(self, x: Any) -> NDArray[Any]:
        """The network's outputs for encoded rows: logits, or standardised values."""
        return outputs_of(self.model, np.asarray(x))

    @overload
    def predict(self, x: Any, *, as_given: Literal[False] = ..., **form: Unpack[FormWords]) -> NDArray[Any]: ...
    @overload
    def predict(self, x: Any, *, as_given: bool, **form: Unpack[FormWords]) -> Any: ...
    def predict(self, x: Any, *, as_given: bool = False, **form: Unpack[FormWords]) -> Any:
        """Predictions: labels of the type that they came with (whole numbers, floats, truth values, text), or numbers.

        `x` is an array like the x of training; a run with preprocessing takes any source of data that has
        its columns, and the `form` of its file as `encode` does.  There is one answer a row, `(rows,)`: the class with
        the largest output, or what `choice` says, or the value; of several outputs that are no classes, all.

        They are an array; with `as_given`, answers to a frame are a column (several outputs: a frame) of its kind:
        pandas, under its index, polars, pyarrow and others that narwhals knows; polars for a kind it does not know.
        """
        outputs = self._source_outputs(x, form)
        classes = self._has_classes or self.class_names
        answers: NDArray[Any] = self.labels(outputs) if classes else self.values(outputs)
        answers = answers[..., 0] if answers.ndim == outputs.ndim <= 2 and outputs.shape[-1] == 1 else answers
        several = self.target_names if answers.ndim == 2 else ()
        return in_kind_of(x, answers, self._target_name, several, as_given=as_given)

    @property
    def _target_name(self) -> str:
        return "predicted" if self.preprocessing is None else self.preprocessing.target.name

    @property
    def target_names(self) -> tuple[str, ...]:
        """What the outputs are called: columns of a table, or quantiles as `price_q0.1`; empty for others of arrays."""
        targets = () if self.preprocessing is None else self.preprocessing.target.names
        return names_of_outputs(targets, self.config.settings.loss)

    def interval(self, x: Any, level: float = 0.9, **form: Unpack[FormWords]) -> NDArray[Any]:
        """The ends `(rows, 2)` between which the target lies with probability `level`, in the unit of the data.

        `x` and `form` are those of `predict`.  The interval is the prediction ± w, w the ⌈(n + 1)·level⌉-th smallest
        error of the n validation rows: split conformal prediction (Vovk et al. 2005; Lei et al. 2018), which holds
        whatever the network is, where new rows come as those did.  It is as wide for every row, or for every t(y) where
        a transform t of the target is learned.

        Raises ArgumentError for a run that does not predict one number a row, has no validation rows or rows with
        weights, and for a level that so few rows cannot promise.

        >>> import clearprop as cl
        >>> x = np.random.default_rng(0).normal(size=(60, 2))
        >>> run = cl.fit(cl.nn.mlp([2, 1]), (x, 3 * x[:, 0]), validation=0.3, epochs=3, progress=False)
        >>> run.interval(x, level=0.9).shape
        (60, 2)
        """
        self.require_interval(level)
        return self.interval_around(np.asarray(self.predict(x, **form)).reshape(-1), level)

    def require_interval(self, level: float) -> None:
        """Raise, before anything is predicted, what `interval` raises for this run and level."""
        self.interval_around(np.zeros(0), level)

    def interval_around(self, values: NDArray[Any], level: float) -> NDArray[Any]:
        """The ends `(rows, 2)` around predictions `(rows,)` of this run; it raises what `interval` raises."""
        transform = None if self.preprocessing is None else self.preprocessing.target_transform
        return interval_around(values, self.summary.errors, level, str(self.folder or "the run"), transform)

    def values(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Outputs of the network for numbers as values in the unit of the data."""
        unit, outputs = target_unit(self.preprocessing, self.config.settings.loss), as_outputs(outputs)
        wide = outputs if self.preprocessing is None else np.asarray(outputs, dtype=np.float64)
        return outputs if unit is None else np.asarray(unit.of_outputs(wide))

    @property
    def _has_classes(self) -> bool:
        return loss_task(self.config.settings.loss) == "classes"

    @overload
    def probabilities(self, x: Any, *, as_given: Literal[False] = ..., **form: Unpack[FormWords]) -> NDArray[Any]: ...
    @overload
    def probabilities(self, x: Any, *, as_given: bool, **form: Unpack[FormWords]) -> Any: ...
    def probabilities(self, x: Any, *, as_given: bool = False, **form: Unpack[FormWords]) -> Any:
        """The probability of every class, `(rows, classes)`: softmax of the outputs.  Data as `predict` takes them.

        With `as_given`, answers to a frame are a frame of its kind with a column for each class.
        A single output tells two classes apart, with 1 − σ and σ.  Several outputs under binary_cross_entropy answer
        each for itself, with σ of each.

        Raises ArgumentError if the loss has no probabilities.
        """
        if not self._has_classes:
            raise ArgumentError(
                "this run has no probabilities",
                expected="the loss cross_entropy or binary_cross_entropy",
                got=self.config.settings.loss,
                try_="run.predict(x)",
            )
        shares = np.asarray(class_probabilities(self._source_outputs(x, form), self.config.settings.loss))
        names = self.class_names or self.target_names
        return in_kind_of(x, shares, self._target_name, names, as_given=as_given)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes of a table or of an array by name, in the order of the outputs; empty where none are known."""
        target = self._class_target
        return () if target is None else target.classes

    @property
    def _class_target(self) -> ClassTarget | None:
        labels = self.config.data.labels
        target = self.preprocessing.target if self.preprocessing is not None else labels and labels.target
        return target if isinstance(target, ClassTarget) else None

    @property
    def threshold(self) -> float | None:
        """The probability above which the second of two classes is chosen, given or found; None: the larger one is.

        >>> import clearprop as cl
        >>> x = np.linspace(-1.0, 1.0, 40).reshape(40, 1)
        >>> run = cl.fit(cl.nn.mlp([1, 2]), (x, (x[:, 0] > 0.5).astype(int)), threshold=0.3, epochs=2, progress=False)
        >>> run.threshold, bool(np.all(run.predict(x) == (run.probabilities(x)[:, 1] > 0.3)))
        (0.3, True)
        """
        return self.choice if isinstance(self.choice, float) else None

    @property
    def choice(self) -> Choice:
        """How a class is chosen: by the threshold of two, by costs of mistakes among several; None: the likeliest."""
        return choice_of(self.config.settings, self.summary.threshold)

    def chosen(self, outputs: NDArray[Any]) -> NDArray[np.int64]:
        """The place of the class that outputs `(rows, classes)` choose, `(rows,)`; of yes-or-no outputs 0 and 1."""
        return chosen_codes(outputs, self.config.settings.loss, self._class_target, self.choice)

    def labels(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """The chosen classes as they came, `(rows,)`; or yes and no of every output, `(rows, outputs)`."""
        codes = self.chosen(outputs)
        if self.preprocessing is not None and isinstance(self.preprocessing.target, JointTarget):
            return self.preprocessing.target.labels_of(codes)
        if self.preprocessing is not None and self.class_names:
            return np.asarray(self.preprocessing.class_labels[codes])
        labels = self.config.data.labels
        return codes if labels is None else labels.decode(codes)

    def evaluate(self, x: Any, y: Any = None, sample_weight: Any = None, **form: Unpack[FormWords]) -> dict[str, float]:
        """The loss and the metrics of the model on other data, by name.

        Arrays `x, y` as in training, with `sample_weight` `(rows,)` means by weight; a run with preprocessing also
        takes one source with the target in it, and the `form` of its file as `encode` does.
        """
        if y is None or form:
            if sample_weight is not None:
                raise ArgumentError(
                    "the weights of a source stand in the source",
                    expected="the column that was named in training: it is read with the rows",
                    got="sample_weight beside one source",
                    where=user_line(),
                    try_="run.evaluate(x, y, sample_weight=weights), with arrays",
                )
            return self.measured(with_warning(self.encoded(x if y is None else (x, y), with_target=True, **form)))
        loss, metrics = self._measures()
        pair = as_pair((x, y), "the data", self.config.data.columns, self.config.data.labels)
        pair = adaptation(self.model, pair, loss)[0](pair)
        require_weighable((loss, *metrics), sample_weight is not None)
        if sample_weight is None:
            return evaluate(self.model, *pair, loss, metrics)
        return evaluate(self.model, *pair, loss, metrics, scaled_weights(sample_weight, len(pair[0]), "the data", x))

    def measured(self, blocks: Iterable[Encoded], ranks: Sharers = ALONE) -> dict[str, float]:
        """The loss and the metrics over all rows of blocks that are encoded with the target, those of all `ranks`."""
        loss, metrics = self._measures()
        parts = ((*self._as_trained(b, loss), *(() if b.weight is None else (b.weight,))) for b in blocks)
        return evaluate_encoded(self.model, parts, loss, metrics, ranks)

    def _as_trained(self, block: Encoded, loss: Measure) -> Pair:
        """Rows of a table with the targets as the network's outputs are compared with them."""
        assert block.y is not None
        pair = block.x, block.y
        return adaptation(self.model, pair, loss)[0](pair)

    # ------------------------------------------------------------------------------------------ taking it apart
    def importance(
        self,
        data: Any = None,
        y: Any = None,
        *,
        metric: str | None = None,
        repeats: int = 10,
        seed: int = 0,
        output: str | None = None,
    ) -> Importance:
        """How much the network hangs on each column: what a score loses when the column is shuffled.

        data     a source with the target in it, or x of arrays with `y`; by default the validation rows of the run, or
                 those of the training where there are none.  Of rows on disk at most 20,000
        y        the targets, for arrays
        metric   the score, by name; by default accuracy, or R² for numbers
        repeats  how often each column is shuffled
        seed     decides the shuffles
        output   of several targets the one that is scored, by name; by default the first

        The result prints as a table: the mean loss of the score with its 95 % interval, and the mean effect
        |Σ x·∂answer/∂x|.  Columns that tell the same can each be lost without harm, so both look unimportant.

        Raises RunError if no data are given and those of the run are not at hand, ArgumentError for other arguments.

        >>> import clearprop as cl
        >>> x = np.random.default_rng(0).normal(size=(60, 2))
        >>> run = cl.fit(cl.nn.mlp([2, 1]), (x, 3 * x[:, 0]), optimizer=cl.optim.adam(0.1), epochs=30, progress=False)
        >>> [column.column for column in run.importance().columns]
        ['x[0]', 'x[1]']
        """
        part, rows, weight = self._own_rows() if data is None else ("given", *self._given_rows(data, y))
        loss = None if self.workings is None else self.workings.loss
        return importance_of(self.answers(output), part, rows, metric, loss, repeats, seed, weight)

    def explain_prediction(self, row: Any, beside: Any = None, output: str | None = None) -> PredictionExplanation:
        """A prediction as a sum: what each column adds on the way from the average row, in the target's unit.

        row     {column: value}, a source of one row, the number of a row of the data, or x of one row for arrays
        beside  a source or an array whose mean row is the start; by default the training rows
        output  of several targets the one that is explained, by name; by default the first

        For classes the sum is the probability of the class that is predicted.  The parts are integrated gradients, and
        what their sum over finite pieces misses is told as the rest.

        Raises RunError if the training rows are needed and not at hand, ArgumentError for more than one row.

        >>> import clearprop as cl
        >>> x = np.random.default_rng(0).normal(size=(60, 2))
        >>> run = cl.fit(cl.nn.mlp([2, 1]), (x, 3 * x[:, 0]), epochs=30, progress=False)
        >>> found = run.explain_prediction(x[0])
        >>> bool(abs(found.start + sum(c.added for c in found.contributions) + found.rest - found.predicted) < 1e-6)
        True
        """
        answers = self.answers(output)
        x = self._one_row(row)
        others = sample_rows(self._data().table, MOST_ROWS)[0] if beside is None else self._encoded_rows(beside)
        return explanation_of(answers, x, others.mean(axis=0).astype(x.dtype))

    def answers(self, output: str | None) -> Answers:
        """What the run answers, as one number a row: of several targets for the one of that name, or the first."""
        place = place_of(self.preprocessing, output, self.config.settings.loss)
        return Answers(self.model, self.preprocessing, self.config.settings, self.class_names, self.choice, place)

    def _data(self) -> Prepared:
        if self.workings is None or self.workings.job is None:
            raise RunError("the data of this run are not at hand", got="a run without its workings", try_="data=")
        data: Prepared = self.workings.job().data
        return data

    def _own_rows(self) -> tuple[str, Pair, NDArray[Any] | None]:
        data = self._data()
        name, part = ("validation", data.validation) if data.validation is not None else ("training", data.table)
        return name, sample_rows(part, MOST_ROWS), sample_weights(data, MOST_ROWS, name)

    def _given_rows(self, data: Any, y: Any) -> tuple[Pair, NDArray[Any] | None]:
        if self.preprocessing is None:
            pair = as_pair((data, y), "the data", self.config.data.columns, self.config.data.labels)
            return adaptation(self.model, pair, self._measures()[0])[0](pair), None
        encoded = tell_surprises(self.encode(data, with_target=True))
        assert encoded.y is not None
        loss = None if self.workings is None else self.workings.loss
        return self._as_trained(encoded, loss) if loss else (encoded.x, encoded.y), encoded.weight

    def _encoded_rows(self, data: Any) -> NDArray[Any]:
        if self.preprocessing is not None:
            return tell_surprises(self.encode(data)).x
        return adapted_inputs(self.model, in_columns(data, self.config.data.columns, "x"))

    def _one_row(self, row: Any) -> NDArray[Any]:
        if isinstance(row, int | np.integer) and not isinstance(row, bool):
            found = self._data().locate(int(row))
            if found is None:
                raise ArgumentError(
                    "the data have no such row", expected="the number of a row", got=repr(row), where=user_line()
                )
            return row_of(self._data().parts[found[0]], found[1])
        rows = self._encoded_rows(row)
        rows = rows[None] if rows.ndim == 1 else rows
        if len(rows) != 1:
            raise ArgumentError("one row is explained at a time", got=f"{len(rows)} rows", where=user_line())
        return np.asarray(rows[0])

    def _measures(self) -> tuple[Measure, Sequence[Measure]]:
        workings = self.workings
        if workings is None or workings.loss is None:
            raise RunError(
                "this run was trained with a loss of its own, which no file holds",
                expected="one of the losses of cl.nn",
                got=self.config.settings.loss,
                try_="run = cl.fit(..., resume=folder), which brings the loss along",
            )
        return workings.loss, workings.metrics

    # ------------------------------------------------------------------------------------------ replaying
    def replay(self, step: int) -> Replayed:
        """The exact parameters and optimizer state after step number `step`; step 0 is the start.

        Training is done again from the nearest checkpoint before it, or from the start.  Raises ArgumentError for a
        step that the run did not reach, RunError if the data or the optimizer are not at hand.
        """
        if not isinstance(step, int | np.integer) or not 0 <= step <= self.steps:
            raise ArgumentError(
                "the run has no such step",
                expected=f"a step from 0 to {self.steps}",
                got=repr(step),
                try_=f"run.replay({self.steps})",
            )
        if self.workings is None:
            raise RunError("this run cannot be replayed", got="a run without its workings", try_="cl.load(folder)")
        plan = self.workings.plan()
        nearest = nearest_state(self.config, self.folder, self.workings, plan.keys, self.model, int(step), self.steps)
        state = replay_steps(plan, nearest, int(step))
        return Replayed(state, "; ".join(self.config.differences(nearest.step, int(step), environment())))

    def fork(
        self,
        step: int,
        change: Mapping[str, Any],
        *,
        out: str | Path | None = None,
        callbacks: Sequence[Callable[[Event, State], object]] = (),
    ) -> Run:
        """Start a new run from the exact state after step number `step`, with some settings changed, and train it.

        `change` may hold learning_rate, optimizer, epochs, batch_size, l1, l2, patience, min_delta.  Parameters, place
        in the order of the rows and random numbers are those of the step; so is the optimizer's state, unless the
        optimizer is another one: a transform, or its text as on the command line, which keeps the learning rate unless
        it says another.  The best epoch and patience count from the fork on.  With an empty `change` it ends
        in the same bits as this run.  The new run's config records the run, the step and the change.

        Raises ArgumentError for a step that the run did not reach or a setting that cannot be changed, RunError if the
        data or the optimizer are not at hand.

        >>> slower = run.fork(40, {"learning_rate": 1e-4}, out="runs/slower")       # doctest: +SKIP
        >>> heavy = run.fork(40, {"optimizer": "sgd:lr=0.01,momentum=0.9"})         # doctest: +SKIP
        """
        if self.workings is None or self.workings.fork is None:
            raise RunError("this run cannot be forked", got="a run without its workings", try_="cl.load(folder)")
        forked: Run = self.workings.fork(self, step, change, None if out is None else as_path(out, "out"), callbacks)
        return forked

    # --------------------------------------------------------------------------------------------- saving
    def save(self, path: Path | str) -> Path:
        """Write the run as a run folder, with checkpoints of its first and last step; returns the path.

        Raises ArgumentError if there is something at `path` already.
        """
        return save_run(path, self.config, self.preprocessing, self.summary, self.history, self.model, self.workings)
