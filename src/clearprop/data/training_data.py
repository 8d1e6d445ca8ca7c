"""What `cl.fit` takes as data, made ready: arrays checked, cast and cut, or an iterable of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.array_checks import column_names, in_columns, plain_array, require_one_index
from clearprop.data.array_labels import ArrayLabels, text_labels
from clearprop.data.encodings import ClassTarget
from clearprop.data.parts import (
    PARTS,
    Pair,
    Part,
    SourceRows,
    SplitTable,
    class_doubts,
    digest,
    rows_as,
    rows_in,
    sample_rows,
    split_table,
    suspicions,
)
from clearprop.data.preprocessing import Preprocessing, encoding_doubts
from clearprop.data.provenance import DataRecord
from clearprop.data.readers.frame_kinds import readable_frame
from clearprop.data.readers.reading import AS_SHOWN, Reading
from clearprop.data.readers.sources import is_table, needs_streaming
from clearprop.data.row_weights import no_row_counts
from clearprop.data.streaming.disk_rows import DiskRows
from clearprop.data.streaming.encoded_source import with_warning
from clearprop.data.streaming.sharers import ALONE, Sharers
from clearprop.data.streaming.streamed_table import stream_table
from clearprop.data.summaries import mean_of
from clearprop.data.table import Table, load_table, table_doubts
from clearprop.errors import ArgumentError, DataError, RunError, user_line
from clearprop.program.values import raw
from clearprop.rules import random


@dataclass(frozen=True, eq=False)
class Prepared:
    """Training data (a pair of arrays, rows on disk, or an iterable of batches), and what is set aside from it.

    `told` is what the `data` event says besides the numbers of rows; `rows` are the rows of the source in each part.
    `columns` are the names of columns that are taken as they are.  `weights` say how much each row of a part in memory
    counts, `(rows,)` with a mean of 1; rows on disk have theirs with them.  `labels` are the classes of an
    array y, where it is known that they are classes: y is encoded by them.
    """

    train: Part | Iterable[Any]
    validation: Part | None = None
    test: Part | None = None
    preprocessing: Preprocessing | None = None
    source: str = "arrays"
    told: dict[str, Any] = field(default_factory=dict)
    rows: Mapping[str, SourceRows] = field(default_factory=dict)
    columns: tuple[str, ...] | None = None
    labels: ArrayLabels | None = None
    weights: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def weighted(self) -> bool:
        """Whether the rows to train on have weights."""
        return "training" in self.weights or (isinstance(self.train, DiskRows) and self.train.weight is not None)

    @property
    def parts(self) -> dict[str, Part]:
        """The parts whose rows can be read again: `training`, `validation` and `test`, as far as they are there."""
        parts = {"training": self.train, "validation": self.validation, "test": self.test}
        return {name: part for name, part in parts.items() if isinstance(part, tuple | DiskRows)}

    @property
    def class_target(self) -> ClassTarget | None:
        """The classes of the target, of a table or of labels in an array; None where it has none, or none are known."""
        labels = self.labels and self.labels.target
        target = labels if self.preprocessing is None else self.preprocessing.target
        return target if isinstance(target, ClassTarget) else None

    def locate(self, number: int) -> tuple[str, int] | None:
        """The part that row `number` of the source is in, and its place there; None if it is in none."""
        for name, rows in self.rows.items():
            place = rows.position(number)
            if place is not None:
                return name, place
        return None

    def record(self) -> DataRecord:
        """What `config.json` says of the data."""
        validation, test = (0 if part is None else rows_in(part) for part in (self.validation, self.test))
        if isinstance(self.train, tuple | DiskRows):
            weights = [self.weights[name].astype(np.float32) for name in PARTS if name in self.weights]
            said = digest(list(self.parts.values()), weights)
            return DataRecord(self.source, said, rows_in(self.train), validation, test, self.columns, self.labels)
        return DataRecord(self.source, None, None, validation, test)

    @property
    def table(self) -> Part:
        """The rows to train on.  Raises RunError for an iterable of batches."""
        if isinstance(self.train, tuple | DiskRows):
            return self.train
        raise RunError("the data cannot be read again", expected="arrays, or a table", got=self.source)


def sample_weights(data: Prepared, number: int, name: str = "training") -> NDArray[Any] | None:
    """The weights of the rows that `sample_rows` gives of a part; None where rows have none."""
    part = data.parts[name]
    if isinstance(part, DiskRows):
        return part.sample_weights(number)
    weight = data.weights.get(name)
    return None if weight is None else sample_rows((weight, weight), number)[0]


def prepare(
    data: Any,
    validation: Any,
    test: Any,
    seed: int,
    target: str | None,
    task: str,
    reading: Reading = AS_SHOWN,
    weight: Any = None,
    dtype: Any = None,
) -> Prepared:
    """The data of `cl.fit`.  `validation` and `test` are None, a fraction, `(x, y)` or `(x, y, weight)`.

    A fraction to test, and what is said of columns and files in `reading`, are for tables.  `weight` says how much each
    row of arrays counts.  Floats in arrays x that are cut come in `dtype`, if one is given.

    Raises DataError or ArgumentError for data that cannot be learned from.
    """
    # The kinds of data are told apart by what they are, from the most to the least definite; the last refuses.
    if callable(data) and not isinstance(data, Iterable):
        data = EachTime(data)
    if is_table(data):
        _require_no_weight_array(weight)
        return _from_frame(data, validation, test, seed, target, task, reading)
    _require_no_table_words(test, reading)
    if isinstance(data, tuple):
        data = tuple(map(readable_frame, data))
        labels = _labels_by_name(data)
        train = as_pair(data, "data", labels=labels)
        held = None if isinstance(validation, float) else validation
        rows = {"training": SourceRows(np.arange(len(train[0])))}
        names = column_names(data[0])
        weights = {} if weight is None else {"training": scaled_weights(weight, len(train[0]), "data", data[0])}
        pairs = {}
        for name, part in {"validation": held, "test": test}.items():
            pairs[name], own = _with_weights(part, name, names, labels)
            weights |= {} if own is None else {name: own}
        held, tested = pairs["validation"], pairs["test"]
        parts = Prepared(train, held, tested, rows=rows, columns=names, labels=labels, weights=weights)
        return _hold_out(parts, validation, seed, dtype) if isinstance(validation, float) else parts
    if not isinstance(data, Iterable) or isinstance(data, bytes | dict | np.ndarray):
        raise DataError(
            "this is nothing to train on",
            expected="a pair (x, y) of arrays, a data frame, the path of a file, or an iterable of batches (x, y)",
            got=type(data).__name__,
            where=user_line(),
            try_="cl.fit(model, (x, y)), or cl.fit(model, 'houses.csv')",
        )
    if weight is not None:
        raise ArgumentError(
            "batches of an iterable have no weights",
            expected="sample_weight beside arrays (x, y)",
            got=f"sample_weight and {type(data).__name__}",
            where=user_line(),
        )
    if isinstance(validation, float):
        raise ArgumentError(
            "a fraction cannot be cut from an iterable of batches",
            expected="validation=(x, y), or None",
            got=f"validation={validation}",
            where=user_line(),
        )
    held = None if validation is None else as_pair(validation, "validation")
    tested = None if test is None else as_pair(test, "test")
    return Prepared(data, held, tested, source=type(data).__name__)


@dataclass(frozen=True)
class EachTime:
    """Batches that a function gives anew whenever they are gone through: a generator function, for one.

    >>> batches = EachTime(lambda: iter([1, 2]))
    >>> list(batches), list(batches)
    ([1, 2], [1, 2])
    """

    function: Callable[[], Iterable[Any]]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.function())


def _require_no_weight_array(weight: Any) -> None:
    """Raise ArgumentError for weights beside a table: they would not follow its rows."""
    if weight is not None:
        raise ArgumentError(
            "weights of arrays do not follow the rows of a table",
            expected="the name of a column",
            got="sample_weight of another kind, and a table",
            where=user_line(),
            try_="sample_weight='weight', for a column of that name",
        )


def _require_no_table_words(test: Any, reading: Reading) -> None:
    """Raise ArgumentError for what is said of columns and files that are not there."""
    if reading != AS_SHOWN or isinstance(test, float):
        raise ArgumentError(
            "arrays have no columns with names",
            expected="a data frame or the path of a file, for words on columns, their split and a share to test",
            got=f"test={test}" if isinstance(test, float) else "arrays, or batches, and such words",
            where=user_line(),
            try_="test=(x, y)" if isinstance(test, float) else "cl.fit(model, frame, …)",
        )


def _labels_by_name(data: tuple[Any, ...]) -> ArrayLabels | None:
    """The labels of y where they are text, and so cannot be anything but classes."""
    names = text_labels(data[1], "y of data") if len(data) == 2 else None
    labels = None if names is None else ArrayLabels.of(names)
    if labels is not None and len(labels.target.classes) == 1:
        raise DataError(
            "y of data has one class only",
            expected="at least two classes",
            got=f"{labels.target.classes[0]!r} in every row",
            where=user_line(),
            try_="choose another target, or add the rows that are missing",
        )
    return labels


def _with_weights(
    part: Any, what: str, columns: Sequence[str] | None, labels: ArrayLabels | None
) -> tuple[Pair | None, NDArray[np.float64] | None]:
    """A part that is given as `(x, y)` or `(x, y, weight)`."""
    if not isinstance(part, tuple | list) or len(part) != 3:
        return None if part is None else as_pair(part, what, columns, labels), None
    pair, weight = as_pair(part[:2], what, columns, labels), part[2]
    return pair, scaled_weights(weight, len(pair[0]), what, part[0])


def scaled_weights(weight: Any, rows: int, what: str, x: Any = None) -> NDArray[np.float64]:
    """Weights of so many rows x, divided by their mean; DataError for what cannot be weights, or is of other rows.

    >>> scaled_weights([1, 3], 2, "data").tolist()
    [0.5, 1.5]
    """
    require_one_index((x, weight), what, "sample_weight")
    array = _array(weight, "sample_weight", what)
    if array.shape != (rows,) or (array < 0).any() or not array.any():
        odd = np.flatnonzero(array.ravel() < 0)
        raise DataError(
            f"these are no weights of the rows of {what}",
            expected=f"{rows} numbers, 0 or more and not all 0: shape ({rows},)",
            got=f"{array.ravel()[odd[0]]} at [{odd[0]}]" if len(odd) else "0 for every row" if array.shape == (rows,)
            else f"shape {array.shape}",
            where=user_line(),
        )  # fmt: skip
    return _by_mean(array.astype(np.float64))


def _by_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values / mean_of(lambda: [values])


def _weights_of(tables: Mapping[str, Table | None], source: str) -> dict[str, NDArray[np.float64]]:
    """The weights of the rows of each part, from a column of the source if there is one."""
    found = {name: t.weight for name, t in tables.items() if t is not None and t.weight is not None}
    for name, column in found.items():
        if not column.values.any():
            raise no_row_counts(column.name, name, source)
    return {name: _by_mean(column.values) for name, column in found.items()}


def as_pair(pair: Any, what: str, columns: Sequence[str] | None = None, labels: ArrayLabels | None = None) -> Pair:
    """A pair of finite arrays with equally many rows: x with these columns, y encoded by `labels`.

    Raises DataError for anything else.
    """
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        got = f"{type(pair).__name__}" + (f" of {len(pair)}" if isinstance(pair, tuple | list) else "")
        raise DataError(f"{what} must be a pair (x, y)", expected="(x, y)", got=got, where=user_line())
    require_one_index(pair, what)
    pair = in_columns(pair[0], columns, f"x of {what}"), pair[1]
    x, y = _array(pair[0], "x", what), _targets(pair[1], what, labels)
    if not x.ndim or not y.ndim or len(x) != len(y) or not len(x):
        raise DataError(
            f"x and y of {what} do not fit together",
            expected="at least one row, and as many rows in y as in x",
            got=f"x {x.shape} and y {y.shape}",
            where=user_line(),
            try_="check that both come from the same rows",
        )
    return x, y


def _targets(value: Any, what: str, labels: ArrayLabels | None) -> NDArray[Any]:
    name = f"y of {what}"
    text = None if labels is None else text_labels(value, name)
    y = _array(value, "y", what) if text is None else text
    return y if labels is None or y.ndim == 0 or y.size != len(y) else labels.encode(y, name)


def _array(value: Any, name: str, what: str) -> NDArray[Any]:
    array = plain_array(value, f"{name} of {what}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        first = np.argwhere(~np.isfinite(array))[0].tolist()
        raise DataError(
            f"{name} of {what} holds values that are not finite",
            expected="finite numbers",
            got=f"{array[tuple(first)]} at {name}{first}; {int((~np.isfinite(array)).sum())} in all",
            where=user_line(),
            try_="leave those rows out, or fill the gaps in: np.nan_to_num",
        )
    return array


def _hold_out(parts: Prepared, fraction: float, seed: int, dtype: Any) -> Prepared:
    """Set a fraction of the rows aside for validation, at random."""
    assert isinstance(parts.train, tuple)
    x, y = parts.train
    held = round(fraction * len(x)) if 0 < fraction < 1 else 0
    if not 0 < held < len(x):
        raise ArgumentError(
            "validation must leave rows on both sides",
            expected="a fraction between 0 and 1 of the rows, or a pair (x, y)",
            got=f"validation={fraction} of {len(x)} rows",
            where=user_line(),
            try_="validation=0.2",
        )
    order = raw(random.permutation(random.fold_in(random.key(seed), 0), len(x)))
    kept, aside = np.sort(order[held:]), np.sort(order[:held])
    places = {"training": kept, "validation": aside}
    rows = {name: SourceRows(chosen) for name, chosen in places.items()}
    weight = parts.weights.get("training")
    own = {} if weight is None else {n: scaled_weights(weight[r], len(r), n) for n, r in places.items()}
    weights = {**parts.weights, **own}
    train, held_out = ((rows_as(x, chosen, dtype), y[chosen]) for chosen in (kept, aside))
    return replace(parts, train=train, validation=held_out, rows=rows, weights=weights)


def from_source(
    source: Any,
    target: str | None,
    task: str,
    validation: float,
    test: float,
    seed: int,
    memory: int | None = None,
    watch: Callable[[str], object] = lambda _: None,
    reading: Reading = AS_SHOWN,
    ranks: Sharers = ALONE,
    member: int = 1,
) -> Prepared:
    """The data of `clearprop train`: a file or a bundled set, cut and encoded; `told` holds what was inferred.

    A CSV or Parquet file that would take more than `memory` bytes is streamed: its encoded rows stay on disk.  `watch`
    is told what is being done meanwhile.  Several `ranks` of one machine stream a file together.  Each `member` of an
    ensemble has other rows to validate.

    Raises DataError or ArgumentError for data that cannot be learned from.

    >>> prepared = from_source("iris", None, "auto", validation=0.2, test=0.0, seed=0)
    >>> prepared.train[0].shape, prepared.told["classes"]
    ((120, 4), ['setosa', 'versicolor', 'virginica'])
    """
    if reading.unit is None and memory is not None and needs_streaming(source, memory, reading):
        _require_single(member, str(source))
        shares = (validation, test)
        found = stream_table(Path(source), str(source), target, task, *shares, seed, memory, watch, reading, ranks)
        others = {name: part for name, part in zip(PARTS[1:], (found.validation, found.test), strict=True) if part}
        x, y, *_ = found.train.read(0, *found.train.buffers())
        doubts = suspicions(found.preprocessing.feature_columns, (x, y), others, found.train)
        doubts += [*class_doubts(found.preprocessing.class_names), *encoding_doubts(found.preprocessing.columns)]
        told, parts = _inferred_record(found.preprocessing, (*found.notes, *doubts)), {"training": found.train} | others
        rows = {name: SourceRows(part.numbers, found.source) for name, part in parts.items()}
        return Prepared(found.train, found.validation, found.test, found.preprocessing, found.source, told, rows)
    return _from_frame(source, validation, test, seed, target, task, reading, member)


def _require_single(member: int, source: str) -> None:
    """Raise ArgumentError for a further member of an ensemble on a table that is streamed."""
    if member > 1:
        raise ArgumentError(
            "the rows of a table that is streamed are divided in one way",
            expected="one network, or a table that fits into memory",
            got=f"member {member} of an ensemble, and {source}, which is streamed",
            where="--member",
            try_="more --memory, so that nothing is streamed",
        )


def _tables_of(parts: SplitTable) -> dict[str, Table | None]:
    return {"training": parts.train, "validation": parts.validation, "test": parts.test}


def _source_rows(parts: SplitTable) -> dict[str, SourceRows]:
    tables = _tables_of(parts)
    return {
        name: SourceRows(t.rows, t.source, None if t.lines is None else t.lines[t.rows], t.identifiers, t.series)
        for name, t in tables.items()
        if t is not None
    }


def _inferred_record(fitted: Preprocessing, notes: Sequence[str]) -> dict[str, Any]:
    return {
        "task": fitted.task,
        "target": fitted.target.name,
        "classes": list(fitted.class_names),
        "features": len(fitted.feature_names),
        "notes": list(notes),
        "columns": [asdict(row) for row in fitted.summary()],
    }


def _from_frame(
    data: Any,
    validation: Any,
    test: Any,
    seed: int,
    target: str | None,
    task: str,
    reading: Reading,
    member: int = 1,
) -> Prepared:
    if reading.unit is not None:
        from clearprop.data.running_text import text_parts  # start-up time: tables do without

        return Prepared(**text_parts(data, reading, validation, test, target, task))
    table = load_table(data, target, task, reading)
    shares = [part if isinstance(part, float) else 0.0 for part in (validation, test)]
    return from_parts(table, split_table(table, shares[0], shares[1], seed, member), reading, validation, test)


def from_parts(
    table: Table,
    parts: SplitTable,
    reading: Reading = AS_SHOWN,
    validation: Any = None,
    test: Any = None,
    fitted: Preprocessing | None = None,
) -> Prepared:
    """A table that is divided, encoded by what its training part shows; other data for a part that it does not have.

    With `fitted` it is encoded by that, which other rows have shown.
    >>> parts = split_table(load_table("iris"), 0.2, 0.2)
    >>> from_parts(load_table("iris"), parts).train[0].shape
    (90, 4)
    """
    if fitted is None:
        shown = Preprocessing.fit(parts.train)
        fitted = replace(shown, missing=reading.missing, habit=reading.habit_with(table.decimal))
    weights = _weights_of(_tables_of(parts), table.source)
    others: dict[str, Pair] = {}
    for name, own, given in (("validation", parts.validation, validation), ("test", parts.test, test)):
        source = own if own is not None else None if isinstance(given, float) else given
        if source is not None:
            others[name], weight = _encoded_part(fitted, source)
            weights |= {} if weight is None else {name: _by_mean(weight)}
    train = fitted.transform(parts.train)
    doubts = [] if table.is_array or fitted.members > 1 else suspicions(fitted.feature_columns, train, others)
    doubts += [*class_doubts(fitted.class_names), *encoding_doubts(fitted.source_columns), *table_doubts(table)]
    return Prepared(
        train=train,
        validation=others.get("validation"),
        test=others.get("test"),
        preprocessing=fitted,
        source=table.source,
        told=_inferred_record(fitted, (table.target_note, table.task_note, *table.notes, *parts.notes, *doubts)),
        rows=_source_rows(parts),
        weights=weights,
    )


def from_members(table: Table, parts: SplitTable, reading: Reading, fitted: Preprocessing) -> Prepared:
    """A table as an ensemble takes it: all rows that some member may learn from train, and the same rows test.

    `parts` are those of any member, `fitted` is what encodes for all of them.
    """
    outside = np.arange(len(table)) if parts.test is None else np.flatnonzero(~np.isin(table.rows, parts.test.rows))
    return from_parts(table, SplitTable(table.take(outside), None, parts.test, parts.notes), reading, fitted=fitted)


def _encoded_part(fitted: Preprocessing, source: Any) -> tuple[Pair, NDArray[np.float64] | None]:
    """A part that came by itself, and the weights of its rows where they have some."""
    if isinstance(source, Table):
        return fitted.transform(source), None if source.weight is None else source.weight.values
    (encoded,) = with_warning([fitted.encode(source, with_target=True)])
    assert encoded.y is not None
    return (encoded.x, encoded.y), encoded.weight
