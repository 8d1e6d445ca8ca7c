"""From a source to a `Table`: target chosen, task decided, columns checked, rows without target left out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.column_roles import (
    Dropped,
    Task,
    checked_column,
    choose_target,
    decide_task,
    drop_reason,
    feature_facts,
    target_facts,
    used_column,
)
from clearprop.data.columns import (
    Column,
    Frame,
    Locator,
    RowNumbers,
    as_category,
    as_number,
    as_weights,
    quantity,
    with_one_spelling,
)
from clearprop.data.readers.reading import AS_SHOWN, RANDOM, ColumnChoice, Reading, Splitting
from clearprop.data.readers.sources import read
from clearprop.errors import DataError


@dataclass(frozen=True, eq=False)
class Table:
    """Rows to learn from: feature columns, a target without missing values, and what was inferred.

    `rows` are the numbers of the rows in the source, from 0; `test_rows` are those (positions in this table)
    that the source sets aside for the test.  `target_note` and `task_note` are the announced sentences,
    `notes` what else the user should know.  `lines` are the lines of a text file at which all its rows start,
    `identifiers` the columns that are left out because they tell rows apart.  `divider` is the column by which rows are
    `split`, if one was named, `weight` the one that says how much each counts; `decimal` the sign before decimals of a
    text file.
    """

    source: str
    features: tuple[Column, ...]
    target: Column
    task: Task
    target_note: str
    task_note: str
    notes: tuple[str, ...]
    dropped: tuple[Dropped, ...]
    rows: RowNumbers
    place: Locator = field(repr=False)
    test_rows: RowNumbers | None = None
    is_array: bool = False
    lines: NDArray[np.int64] | None = None
    identifiers: tuple[Column, ...] = ()
    decimal: str | None = None
    split: Splitting = RANDOM
    divider: Column | None = None
    weight: Column | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: RowNumbers) -> Table:
        """The chosen rows (positions in this table) as a table; it sets no test rows aside."""
        return replace(
            self,
            features=tuple(column.take(rows) for column in self.features),
            target=self.target.take(rows),
            rows=self.rows[rows],
            test_rows=None,
            identifiers=tuple(column.take(rows) for column in self.identifiers),
            divider=None if self.divider is None else self.divider.take(rows),
            weight=None if self.weight is None else self.weight.take(rows),
        )

    def where(self, column: str, row: int) -> str:
        """Where the value in `row` (a position in this table) stands in the source."""
        return self.place(column, int(self.rows[row]))

    @property
    def frame(self) -> Frame:
        """Features and target as a frame, as a reader of a source would give it."""
        return Frame(self.source, (*self.features, self.target), self.where, target=self.target.name)

    def digest(self) -> str:
        """SHA-256 of names and values, hexadecimal: equal for equal data, whatever file they came from."""
        digest = hashlib.sha256()
        for column in (*self.features, self.target):
            digest.update(f"{column.name}\0{column.kind}\0".encode())
            digest.update(_bytes(column.values))
        return digest.hexdigest()


def _bytes(values: NDArray[Any]) -> bytes:
    if values.dtype == object:
        return "\x1f".join("\x1e" if value is None else value for value in values).encode()
    return np.ascontiguousarray(values).tobytes()


def load_table(source: Any, target: str | None = None, task: str = "auto", reading: Reading = AS_SHOWN) -> Table:
    """Read `source` and infer what is to be learned from it.

    `source` is anything that `sources.read` takes; `target` a column's name (default: what the source sets,
    else the last column); `task` is auto, classification or regression.

    Raises DataError for data that cannot be read or learned from, ArgumentError for an unknown task.

    >>> table = load_table((np.array([[1.0], [2.0], [3.0]]), np.array([0.5, 1.5, 2.5])))
    >>> table.task, [column.name for column in table.features]
    ('regression', ['x[0]'])
    """
    frame = read(source, target=target, reading=reading.with_spelled_divider())
    reading.columns.require_known(frame.names, frame.source)
    name, target_note = choose_target(frame, target, reading.columns)
    goal = frame[name]
    lost = lost_rows(name, int(goal.missing.sum()), frame.rows, frame.source)
    kept = np.flatnonzero(~goal.missing)
    known = goal.take(kept)

    def place(column: str, row: int) -> str:
        return frame.place(column, int(kept[row]))

    if task != "classification" and reading.columns.kind_of(name) != "category":
        known = checked_column(known, place)
    if known.kind == "number" or reading.columns.kind_of(name) == "number":
        known = as_number(known, place)
    known = with_one_spelling(known)
    decided, task_note = decide_task(target_facts(known, place), task, frame.source)
    features, dropped = _features(frame, name, kept, place, reading.columns)
    weight = reading.columns.weight
    return Table(
        source=frame.source,
        features=features,
        target=known,
        task=decided,
        target_note=target_note,
        task_note=task_note,
        notes=frame.notes + lost,
        dropped=dropped,
        rows=kept,
        place=frame.place,
        test_rows=None if frame.test_rows is None else np.flatnonzero(np.isin(kept, frame.test_rows)),
        is_array=frame.is_array,
        lines=frame.lines,
        identifiers=tuple(frame[gone.name].take(kept) for gone in dropped if gone.identifies),
        decimal=frame.decimal,
        split=reading.columns.split,
        divider=_divider(frame, kept, place, reading.columns),
        weight=None if weight is None else as_weights(frame[weight].take(kept), place),
    )


def _divider(frame: Frame, kept: RowNumbers, place: Locator, choice: ColumnChoice) -> Column | None:
    """The column by which rows are divided, as what it must be: times or numbers in an order, or words."""
    if choice.split.column is None:
        return None
    column, asked = frame[choice.split.column].take(kept), choice.kind_of(choice.split.column)
    return used_column(column, place, frame.source, asked) if choice.split.way == "time" else as_category(column)


def lost_rows(target: str, lost: int, rows: int, source: str) -> tuple[str, ...]:
    """A note on the rows that have no target.  Raises DataError if none has one."""
    if lost == rows:
        raise DataError(
            f"the target {target!r} is missing in every row",
            expected="a class or a number in at least two rows",
            got=f"{quantity(lost, 'empty cell')}",
            where=f"{source}, column {target!r}",
            try_="choose another target",
        )
    return (f"{quantity(lost, 'row')} left out: no value in the target {target!r}",) if lost else ()


def _features(
    frame: Frame, target: str, kept: RowNumbers, place: Locator, choice: ColumnChoice
) -> tuple[tuple[Column, ...], tuple[Dropped, ...]]:
    """The columns to learn from, in order, and those left out with the reasons."""
    features: list[Column] = []
    dropped: list[Dropped] = []
    for column in frame.columns:
        if column.name == target:
            continue
        rows = column if len(kept) == frame.rows else column.take(kept)
        reason, asked = choice.reason(column.name), choice.kind_of(column.name)
        if not reason:
            rows = used_column(rows, place, frame.source, asked)
            reason = drop_reason(feature_facts(rows, choice.asked(column.name)), frame.is_array)
        if reason:
            dropped.append(Dropped(column.name, reason, int(rows.missing.sum())))
        else:
            features.append(rows)
    require_features(len(features), dropped, target, frame.source)
    return tuple(features), tuple(dropped)


def require_features(number: int, dropped: Sequence[Dropped], target: str, source: str) -> None:
    """Raise DataError if no column is left to learn from."""
    if not number:
        raise DataError(
            "there is no column to learn from",
            expected=f"at least one column besides the target {target!r} that differs between rows",
            got="; ".join(f"{d.name!r} left out: {d.reason}" for d in dropped) or "the target alone",
            where=source,
            try_="add a column, or choose another target",
        )
