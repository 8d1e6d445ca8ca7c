"""What the tabular estimators share: a frame as it is, trained on as the command line does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import _safe_indexing, assert_all_finite, check_consistent_length, column_or_1d
from sklearn.utils.validation import check_is_fitted, validate_data

from clearprop.attribution import PredictionExplanation
from clearprop.compiler import expect_training, get_threads, set_threads
from clearprop.data.array_checks import is_gap, require_unmasked
from clearprop.data.readers.frame_kinds import is_frame, known_frame
from clearprop.data.readers.reading import READING, Reading, quoted_words, reading_words
from clearprop.data.readers.sources import read_rows
from clearprop.data.training_data import Prepared, from_source
from clearprop.errors import ArgumentError, checked_methods, user_line
from clearprop.runs.events import Events
from clearprop.sklearn.parameters import Rule, checked_weights, columns_of, require_arrays_of_rows
from clearprop.sklearn.tabular_parameters import asked_settings
from clearprop.train import AUTO, Job, Narrator, job_for, settled_data, tested_rate, train, with_defaults


@checked_methods
class Tabular(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What both tabular estimators share."""

    _rules: Mapping[str, Rule]
    _task: str

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on the rows of X, a frame or an array, with targets y (rows,); each row counts by its weight.

        A regressor takes several targets as well, (rows, targets).

        Rows that weigh nothing are left out.  Raises ArgumentError and DataError, before anything is trained, for
        parameters and data that do not fit.
        """
        asked = asked_settings(self, self._rules)
        require_arrays_of_rows(X, y, sample_weight)
        expect_training()
        names = _target_names(y)
        X, y = self._features(X, reset=True), self._targets(y)
        assert_all_finite(y, input_name="y")
        check_consistent_length(X, y)
        self._require_targets(y)
        weight = None if sample_weight is None else checked_weights(sample_weight, len(y), np.float64)
        with _threads(self.threads):
            data = self._prepared(X, y, weight, names if y.ndim > 1 else names[0], asked)
            self._learn_target(data, y if weight is None else y[weight != 0])
            self.run_ = train(self._job(data, asked))
        if self.run_.status == "diverged":
            raise _divergence(self.run_.steps)
        self.n_iter_ = self.run_.summary.epochs
        return self

    def _prepared(self, X: Any, y: Any, weight: Any, target: str | Sequence[str], asked: dict[str, Any]) -> Prepared:
        """The rows, cut and encoded as the command line does it; words on columns are taken out of `asked`."""
        frame = read_rows(X, y, target, weight)
        words = {name: asked.pop(name) for name in READING if name in asked and name != "target_transform"}
        if weight is not None:
            words["weight"] = frame.names[-1]
        reading = Reading.from_words(**reading_words(**words))
        first = frame.names.index(frame.target or "")
        goal = frame.target if y.ndim == 1 else quoted_words(frame.names[first : first + y.shape[1]])
        shares = float(asked["val"]), 0.0

        def read(transform: str) -> Prepared:
            chosen = replace(reading, columns=replace(reading.columns, transform=transform))
            return from_source(frame, goal, self._task, *shares, asked["seed"], reading=chosen)

        return settled_data(asked, read)

    def _targets(self, y: Any) -> NDArray[Any]:
        """The targets of all rows, as an array."""
        return np.asarray(column_or_1d(y, warn=True))

    def _require_targets(self, y: NDArray[Any]) -> None:
        """Raise ValueError for targets that the estimator cannot learn."""

    def _learn_target(self, data: Prepared, y: NDArray[Any]) -> None:
        """What an estimator keeps of its targets."""

    def _job(self, data: Prepared, asked: Mapping[str, Any]) -> Job:
        settings = with_defaults(asked, data)
        if settings.lr == AUTO:
            settings = replace(settings, lr=tested_rate(settings, data).suggestion)
        return job_for(
            data,
            settings,
            events=Events([Narrator()] if self.verbose else []),
            baseline=bool(self.baseline),
        )

    def _features(self, X: Any, *, reset: bool) -> Any:
        """The rows as training and prediction read them: a frame or an array as it is, an array of text as a frame."""
        if is_frame(X):
            X = known_frame(X)
            validate_data(self, X, reset=reset, skip_check_array=True)
            return X
        require_unmasked(X=X)
        least = 2 if reset else 1
        text = _with_text(X)
        if text is not None:
            some = validate_data(self, text, dtype=None, ensure_all_finite=False, ensure_min_samples=least, reset=reset)
            return _frame_of(some)
        return validate_data(
            self,
            X,
            dtype=(np.float64, np.float32),
            ensure_all_finite="allow-nan",
            ensure_min_samples=least,
            reset=reset,
        )

    def explain(self, X: Any, row: int = 0) -> PredictionExplanation:
        """The prediction for a row of X as a sum: what each column adds on the way from the mean row of X.

        For classes the sum is the probability of the class that is predicted.
        """
        check_is_fitted(self)
        X = self._features(X, reset=False)
        return self.run_.explain_prediction(_safe_indexing(X, [row]), beside=X)

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the rows that it learned from, which the run of this process has at hand."""
        state: dict[str, Any] = super().__getstate__()
        return {**state, "run_": replace(state["run_"], workings=None)} if "run_" in state else state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _target_names(y: Any) -> tuple[str, ...]:
    """What the targets are called: by their frame or column, else y, or y[0], y[1], …."""
    name, columns = getattr(y, "name", None), getattr(y, "columns", None)
    if columns is not None:
        return tuple(map(str, columns))
    if (several := columns_of(y)) > 1:
        return tuple(f"y[{j}]" for j in range(several))
    return (name if isinstance(name, str) else "y",)


def _with_text(X: Any) -> NDArray[Any] | None:
    """Rows that hold text, as an array of objects; None for other rows, and what is neither an array nor a list."""
    if not isinstance(X, np.ndarray | list | tuple):
        return None
    array = X if isinstance(X, np.ndarray) and X.dtype.kind not in "OU" else np.asarray(X, dtype=object)
    return array if array.dtype == object and any(isinstance(item, str) for item in array.flat) else None


def _frame_of(rows: NDArray[Any]) -> Any:
    """An array of text and numbers, `(rows, columns)`, as a frame whose columns are called as those of arrays are."""
    import polars as pl  # start-up time: arrays of numbers do without

    return pl.DataFrame({f"x[{j}]": _of_one_type(rows[:, j].tolist()) for j in range(rows.shape[1])})


def _of_one_type(values: list[Any]) -> list[Any]:
    """The values of a column, None where one is missing: text where there is text, else numbers as floats."""
    known = {type(value) for value in values if not is_gap(value)}
    numbers = known != {bool} and all(issubclass(kind, Real) for kind in known)
    plain: Callable[[Any], Any] = str if str in known else float if numbers else lambda value: value
    return [None if is_gap(value) else plain(value) for value in values]


@contextmanager
def _threads(most: int | None) -> Iterator[None]:
    """At most so many threads meanwhile; None: as many as otherwise."""
    before = get_threads()
    try:
        if most is not None:
            set_threads(int(most))
        yield
    finally:
        if most is not None:
            set_threads(before)


def _divergence(steps: int) -> ArgumentError:
    return ArgumentError(
        "training diverged: the loss is no longer finite",
        expected="a loss that falls",
        got=f"nan or inf after {steps} steps",
        where=user_line(),
        try_='learning_rate="auto", or a smaller one',
    )
