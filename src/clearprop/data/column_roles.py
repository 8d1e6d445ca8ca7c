"""What is inferred from columns: which is the target, which task it sets, which columns are left out."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from clearprop.data.columns import (
    Column,
    ColumnKind,
    Frame,
    Locator,
    as_number,
    is_number,
    name_list,
    number_text,
    quantity,
)
from clearprop.errors import DataError, nearest, unknown_name

Task = Literal["classification", "regression"]

MOST_CLASSES = 20
"""Whole numbers with more distinct values than this are taken for a quantity, not for classes."""
ROWS_PER_CLASS = 3
"""Whole numbers are taken for classes only with at least this many rows per distinct value."""
FEW_VALUES = 20
"""Text with at most this many distinct values is never taken for an identifier."""
MOST_TEXTS = 65_536
"""A column of more different texts than this is left out, and so many classes cannot be learned."""
_COUNTER = re.compile(r"(unnamed.*|column 1|index|id|.*_id|row.*|no\.?|nr\.?|number)", re.IGNORECASE)


@dataclass(frozen=True)
class Dropped:
    """A column that is left out, and why."""

    name: str
    reason: str
    missing: int = 0


def choose_target(frame: Frame, asked: str | None) -> tuple[str, str]:
    """The name of the target and the sentence that announces it.  Raises DataError for an unknown name."""
    if asked is not None:
        if asked not in frame.names:
            raise _no_column(frame, asked)
        return asked, f"the target is {asked!r}, as asked"
    if frame.target is not None:
        return frame.target, f"the target is {frame.target!r}, which {frame.source!r} sets"
    if frame.is_array:
        raise DataError(
            "there is no target: y is missing",
            expected="arrays x and y",
            got="x alone",
            where=frame.source,
            try_="(x, y), or an NPZ file written by numpy.savez(file, x=x, y=y)",
        )
    return frame.names[-1], f"the target is {frame.names[-1]!r}, the last column (--target chooses another)"


def _no_column(frame: Frame, asked: str) -> DataError:
    close = nearest(asked, frame.names)
    return DataError(
        f"no column named {asked!r}",
        expected="one of: " + name_list(frame.names),
        got=repr(asked),
        where=frame.source,
        try_=f"--target {close!r}, the nearest name" if close else "--target with one of the names above",
    )


@dataclass(frozen=True)
class ColumnFacts:
    """What a column holds in all its rows: enough to decide whether it is used, and as what.

    `distinct` is the number of different values that are there (None: more than `MOST_TEXTS`); of numbers that are no
    target it is only told whether it is 0, 1 or more.  `first` is a value that is there, `whole` says that all are
    whole numbers, `counts` that they count the rows; `spellings` in how many ways the values of a target are written
    (0: not known); `slip` is the first text that is no number, and where it stands.
    """

    name: str
    kind: ColumnKind
    rows: int
    present: int
    distinct: int | None
    first: Any = None
    whole: bool = False
    counts: bool = False
    spellings: int | None = 0
    slip: tuple[str, str] | None = None


def feature_facts(column: Column) -> ColumnFacts:
    """The facts of a feature column that is held in memory."""
    present = column.present
    some = len(present) > 0
    if column.kind == "category":
        distinct = len(set(present.tolist()))
    else:
        distinct = 0 if not some else 1 if present.min() == present.max() else 2
    return ColumnFacts(
        column.name,
        column.kind,
        rows=len(column.values),
        present=len(present),
        distinct=distinct,
        first=present[0] if some else None,
        counts=column.kind == "number" and counts_rows(column.values, 0, None),
    )


def counts_rows(values: NDArray[Any], row: int, start: float | None) -> bool:
    """Whether values from row number `row` on go up by 1 with the rows, from the whole number `start` (None: any).

    >>> counts_rows(np.array([1000.0, 1001.0]), 0, None), counts_rows(np.array([1.0, 3.0]), 0, None)
    (True, False)
    """
    first = values[0] - row if start is None else start
    return bool(float(first).is_integer() and np.array_equal(values, first + np.arange(row, row + len(values))))


def target_facts(target: Column, place: Locator) -> ColumnFacts:
    """The facts of a target column that is held in memory and has no missing values."""
    category = target.kind == "category"
    slip = None
    if category:
        row = next((i for i, text in enumerate(target.values) if not is_number(text)), 0)
        slip = (target.values[row], place(target.name, row))
    return ColumnFacts(
        target.name,
        target.kind,
        rows=len(target.values),
        present=len(target.values),
        distinct=len(np.unique(target.values.astype(str) if category else target.values)),
        first=target.values[0],
        whole=not category and bool(np.all(target.values == np.round(target.values))),
        spellings=0 if target.spelling is None else len(set(target.spelling.tolist())),
        slip=slip,
    )


def decide_task(facts: ColumnFacts, asked: str, source: str) -> tuple[Task, str]:
    """The task that a target sets, and the reason as a sentence.

    Text and truth values are classes.  Whole numbers are classes if they take at most `MOST_CLASSES` values
    with at least `ROWS_PER_CLASS` rows per value.  All other numbers set a regression.
    """
    if asked != "auto" and asked not in get_args(Task):
        raise unknown_name("task", asked, ["auto", *get_args(Task)], where="--task")
    # What is counted decides first, what was asked for overrules it; a target that is not counted has too many values.
    distinct = MOST_TEXTS + 1 if facts.distinct is None else facts.distinct
    few = distinct <= MOST_CLASSES and distinct * ROWS_PER_CLASS <= facts.rows
    found: Task = "classification" if facts.kind != "number" or (facts.whole and few) else "regression"
    task: Task = found if asked == "auto" else "regression" if asked == "regression" else "classification"
    numbers = "whole numbers" if facts.whole else "numbers"
    values = {"category": "texts", "boolean": "truth values"}.get(facts.kind, numbers)
    how = "" if asked == "auto" else ", as asked"
    if task == "classification" and facts.kind == "number" and facts.spellings != 0:
        facts = replace(facts, distinct=facts.spellings)
        distinct = MOST_TEXTS + 1 if facts.distinct is None else facts.distinct
    check_target(facts, task, distinct, source)
    number = f"more than {MOST_TEXTS:,}" if facts.distinct is None else f"{distinct}"
    return task, f"{task}{how}: the target {facts.name!r} holds {number} different {values}"


def check_target(facts: ColumnFacts, task: Task, distinct: int, source: str) -> None:
    """Raise DataError for a target that the task cannot have: text, one value, nearly one class per row."""
    # From the error that explains most to the one that explains least: text, then one value, then too many.
    rows = facts.rows
    if task == "regression" and facts.kind == "category" and facts.slip is not None:
        raise text_in_regression(facts.name, *facts.slip)
    if distinct == 1:
        value = facts.first if facts.kind == "category" else number_text(facts.first)
        one = "class" if task == "classification" else "value"
        raise DataError(
            f"the target {facts.name!r} has one {one} only",
            expected=f"at least two {one if one == 'value' else 'classe'}s",
            got=f"{value!r} in all {rows} rows" if rows > 1 else f"{value!r} in one row",
            where=f"{source}, column {facts.name!r}",
            try_="choose another target, or add the rows that are missing",
        )
    many = facts.distinct is None or (2 * distinct > rows and distinct > 2)
    if task == "classification" and many:
        number = f"more than {MOST_TEXTS:,}" if facts.distinct is None else f"{distinct}"
        raise DataError(
            f"the target {facts.name!r} has too many classes for its rows",
            expected="at least two rows per class on average"
            + (f", and at most {MOST_TEXTS:,} classes" if facts.distinct is None else ""),
            got=f"{number} classes in {rows} rows",
            where=f"{source}, column {facts.name!r}",
            try_="choose another target" + (", or --task regression" if facts.kind == "number" else ""),
        )


def text_in_regression(name: str, text: str, where: str) -> DataError:
    """The error for text in the target of a regression; the first one that is no number is shown."""
    return DataError(
        f"the target {name!r} of a regression must hold numbers",
        expected="a number in every row",
        got=f"the text {text!r}",
        where=where,
        try_="correct the value, or --task classification",
    )


def drop_reason(facts: ColumnFacts, is_array: bool) -> str:
    """Why a feature column is left out; empty if it is used.  Columns of arrays are all used."""
    if is_array:
        return ""
    if not facts.present:
        return "it holds no value"
    if facts.distinct == 1:
        return f"it is constant: {_value_text(facts.kind, facts.first)}"
    if facts.kind == "category":
        if facts.distinct is None or facts.distinct > MOST_TEXTS:
            return f"it holds more than {MOST_TEXTS:,} different texts"
        if facts.distinct > FEW_VALUES and 2 * facts.distinct > facts.present:
            return f"it identifies rows: {facts.distinct} different texts in {facts.present} rows"
    if facts.counts and facts.present == facts.rows > 2 and _COUNTER.fullmatch(facts.name):
        return "it counts the rows"
    return ""


def _value_text(kind: str, value: object) -> str:
    return repr(value) if kind == "category" else number_text(float(str(value)))


def used_column(column: Column, place: Locator) -> Column:
    """The column, checked: numbers are finite, and text is not numbers with a few slips among them.

    Raises DataError, with the row, for an infinite number, and for text in a column that otherwise holds
    numbers: see `is_mixed`.
    """
    if column.kind == "number":
        return as_number(column, place)
    if column.kind == "category":
        texts = [(row, text) for row, text in enumerate(column.values) if text is not None]
        slips = [row for row, text in texts if not is_number(text)]
        numbers = len(texts) - len(slips)
        if is_mixed(numbers, len(slips)):
            text, where = column.values[slips[0]], place(column.name, slips[0])
            raise mixed_column(column.name, text, where, len(slips), numbers)
    return column


def is_mixed(numbers: int, slips: int) -> bool:
    """Whether texts that are no numbers are slips: at most one in ten, among more than `FEW_VALUES` numbers.

    >>> is_mixed(numbers=100, slips=2), is_mixed(numbers=10, slips=2)
    (True, False)
    """
    return slips > 0 and numbers > FEW_VALUES and numbers >= 9 * slips


def mixed_column(name: str, text: str, where: str, slips: int, numbers: int) -> DataError:
    """The error for a column of numbers with a few texts among them; the first of them is shown."""
    return DataError(
        f"column {name!r} holds text among its numbers",
        expected="numbers, and an empty cell where one is missing",
        got=f"{text!r} among {quantity(numbers, 'number')}"
        + (f", and {quantity(slips - 1, 'further text')}" if slips > 1 else ""),
        where=where,
        try_=f"correct it or leave it empty, or --missing {text!r}; if these are codes, put a letter before each",
    )
