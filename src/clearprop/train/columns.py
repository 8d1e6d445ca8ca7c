"""What is inferred from columns: which is the target, which task it sets, which columns are left out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from clearprop.errors import DataError, nearest, unknown_name
from clearprop.train.tables import Column, Frame, Place, as_number, counted, is_number, listed, number_text

Task = Literal["classification", "regression"]

MOST_CLASSES = 20
"""Whole numbers with more distinct values than this are taken for a quantity, not for classes."""
ROWS_PER_CLASS = 3
"""Whole numbers are taken for classes only with at least this many rows per distinct value."""
FEW_VALUES = 20
"""Text with at most this many distinct values is never taken for an identifier."""
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
        expected="one of: " + listed(frame.names),
        got=repr(asked),
        where=frame.source,
        try_=f"--target {close!r}, the nearest name" if close else "--target with one of the names above",
    )


def decide_task(target: Column, asked: str, frame: Frame, place: Place) -> tuple[Task, str]:
    """The task and the reason as a sentence.  `target` has no missing values; `place` knows its rows.

    Text and truth values are classes.  Whole numbers are classes if they take at most `MOST_CLASSES` values
    with at least `ROWS_PER_CLASS` rows per value.  All other numbers set a regression.
    """
    if asked != "auto" and asked not in get_args(Task):
        raise unknown_name("task", asked, ["auto", *get_args(Task)], where="--task")
    distinct = len(np.unique(target.values.astype(str) if target.kind == "category" else target.values))
    whole = target.kind != "category" and bool(np.all(target.values == np.round(target.values)))
    few = distinct <= MOST_CLASSES and distinct * ROWS_PER_CLASS <= len(target.values)
    found: Task = "classification" if target.kind != "number" or (whole and few) else "regression"
    task: Task = found if asked == "auto" else "regression" if asked == "regression" else "classification"
    numbers = "whole numbers" if whole else "numbers"
    values = {"category": "texts", "boolean": "truth values"}.get(target.kind, numbers)
    how = "" if asked == "auto" else ", as asked"
    check_target(target, task, distinct, frame.source, place)
    return task, f"{task}{how}: the target {target.name!r} holds {distinct} different {values}"


def check_target(target: Column, task: Task, distinct: int, source: str, place: Place) -> None:
    """Raise DataError for a target that the task cannot have: text, one value, nearly one class per row."""
    rows = len(target.values)
    if task == "regression" and target.kind == "category":
        raise text_in_regression(target, place)
    if distinct == 1:
        value = target.values[0] if target.kind == "category" else number_text(target.values[0])
        one = "class" if task == "classification" else "value"
        raise DataError(
            f"the target {target.name!r} has one {one} only",
            expected=f"at least two {one if one == 'value' else 'classe'}s",
            got=f"{value!r} in all {rows} rows" if rows > 1 else f"{value!r} in one row",
            where=f"{source}, column {target.name!r}",
            try_="choose another target, or add the rows that are missing",
        )
    if task == "classification" and 2 * distinct > rows and distinct > 2:
        raise DataError(
            f"the target {target.name!r} has too many classes for its rows",
            expected="at least two rows per class on average",
            got=f"{distinct} classes in {rows} rows",
            where=f"{source}, column {target.name!r}",
            try_="choose another target" + (", or --task regression" if target.kind == "number" else ""),
        )


def text_in_regression(target: Column, place: Place) -> DataError:
    """The error for text in the target of a regression; the first one that is no number is shown."""
    row = next((i for i, text in enumerate(target.values) if not is_number(text)), 0)
    return DataError(
        f"the target {target.name!r} of a regression must hold numbers",
        expected="a number in every row",
        got=f"the text {target.values[row]!r}",
        where=place(target.name, row),
        try_="correct the value, or --task classification",
    )


def drop_reason(column: Column, is_array: bool) -> str:
    """Why a feature column is left out; empty if it is used.  Columns of arrays are all used."""
    if is_array:
        return ""
    present = column.present
    if not len(present):
        return "it holds no value"
    distinct = len(set(present.tolist()))
    if distinct == 1:
        return f"it is constant: {_shown(column.kind, present[0])}"
    if column.kind == "category" and distinct > FEW_VALUES and 2 * distinct > len(present):
        return f"it identifies rows: {distinct} different texts in {len(present)} rows"
    if column.kind == "number" and len(present) == len(column.values) > 2 and _COUNTER.fullmatch(column.name):
        start = column.values[0]
        if start in (0, 1) and np.array_equal(column.values, start + np.arange(len(column.values))):
            return "it counts the rows"
    return ""


def _shown(kind: str, value: object) -> str:
    return repr(value) if kind == "category" else number_text(float(str(value)))


def used_column(column: Column, place: Place) -> Column:
    """The column, checked: numbers are finite, and text is not numbers with a few slips among them.

    Raises DataError, with the row, for an infinite number, and for text in a column that otherwise holds
    numbers: at least nine in ten of its values, and more than `FEW_VALUES` of them.
    """
    if column.kind == "number":
        return as_number(column, place)
    if column.kind == "category":
        texts = [(row, text) for row, text in enumerate(column.values) if text is not None]
        slips = [row for row, text in texts if not is_number(text)]
        numbers = len(texts) - len(slips)
        if slips and numbers > FEW_VALUES and numbers >= 9 * len(slips):
            raise mixed_column(column, slips, numbers, place)
    return column


def mixed_column(column: Column, slips: list[int], numbers: int, place: Place) -> DataError:
    """The error for a column of numbers with a few texts among them."""
    return DataError(
        f"column {column.name!r} holds text among its numbers",
        expected="numbers, and an empty cell where one is missing",
        got=f"{column.values[slips[0]]!r} among {counted(numbers, 'number')}"
        + (f", and {counted(len(slips) - 1, 'further text')}" if len(slips) > 1 else ""),
        where=place(column.name, slips[0]),
        try_="correct it or leave it empty; if these are codes, put a letter before each",
    )
