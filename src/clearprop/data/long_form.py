"""Tables in long form: the rows of one identifier, in the order of a column, are the steps of one sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.column_roles import used_column
from clearprop.data.columns import Column, Frame, Locator, RowNumbers, TableColumns, as_category, quantity
from clearprop.data.image_shape import MASK, SequenceForm
from clearprop.data.readers.reading import TIMES, ColumnChoice
from clearprop.data.readers.sources import default_memory
from clearprop.data.streaming.memory import size_text
from clearprop.errors import DataError


@dataclass(frozen=True, eq=False)
class Series:
    """Which rows of a source are the steps of which sequence.

    `rows` are the numbers of the rows, sequence after sequence in the order of time; `bounds` say where each begins and
    where the last one ends, `firsts` which row of each stands first in the source.  `notes` tell what was found.

    >>> form = SequenceForm("id", "t", "number", 2)
    >>> series = Series(form, np.array([4, 2, 0]), np.array([0, 2, 3]), np.array([2, 0]))
    >>> series.lay_out(np.array([[1.0], [2.0], [3.0]]), [1]).tolist()
    [[1.0, 1.0, 2.0, 1.0], [3.0, 1.0, 0.0, 0.0]]
    """

    form: SequenceForm
    rows: RowNumbers
    bounds: RowNumbers
    firsts: RowNumbers
    notes: tuple[str, ...] = ()

    def places(self, chosen: RowNumbers) -> RowNumbers:
        """The places of the steps of the chosen sequences among all steps."""
        if not len(chosen):
            return np.zeros(0, np.intp)
        return np.concatenate([np.arange(self.bounds[k], self.bounds[k + 1]) for k in chosen])

    def position(self, number: int) -> int | None:
        """The place of the sequence that the row of that number belongs to; None if it is none of these."""
        found = np.flatnonzero(self.rows == number)
        return int(np.searchsorted(self.bounds, found[0], side="right")) - 1 if len(found) else None

    def take(self, chosen: RowNumbers) -> Series:
        """The chosen sequences."""
        lengths = np.diff(self.bounds)[chosen]
        return replace(self, rows=self.rows[self.places(chosen)], bounds=_bounds(lengths), firsts=self.firsts[chosen])

    def lay_out(self, features: NDArray[Any], widths: Sequence[int]) -> NDArray[np.float32]:
        """The features of all steps, `(steps, features)`, as one row for each sequence, which zeros fill up.

        Behind the features of each step stands whether it is there; where a table is encoded several times, in blocks
        of these `widths`, those of a block stand together.  Raises DataError for what does not fit into memory.
        """
        lengths, steps = np.diff(self.bounds), self.form.steps
        shapes = [(len(lengths), steps, width + 1) for width in widths]
        self._require_memory(4 * sum(map(prod, shapes)), int(lengths.max(initial=0)))
        sequence = np.repeat(np.arange(len(lengths)), lengths)
        step = np.arange(len(sequence)) - np.repeat(self.bounds[:-1], lengths)
        out, first = [], 0
        for shape, width in zip(shapes, widths, strict=True):
            block = np.zeros(shape, np.float32)
            block[sequence, step, :width] = features[:, first : first + width]
            block[sequence, step, width] = 1.0
            out.append(block.reshape(len(lengths), -1))
            first += width
        return out[0] if len(out) == 1 else np.concatenate(out, axis=1)

    def _require_memory(self, size: int, longest: int) -> None:
        limit = default_memory()
        if size > limit:
            raise DataError(
                "these sequences do not fit into memory once each is as long as the longest",
                expected=f"at most {size_text(limit)}",
                got=f"{quantity(len(self.firsts), 'sequence')} of up to {longest:,} steps: {size_text(size)}",
                where=f"--sequence {':'.join(self.form.columns)}",
                try_="cut long sequences into pieces that have identifiers of their own",
            )


def sequences_in(
    frame: Frame, choice: ColumnChoice, needed: Sequence[str], form: SequenceForm | None = None
) -> tuple[Frame, Frame, Series]:
    """A frame in long form as its steps in their order, as one row for each sequence, and which rows those are.

    Sequences stand in the order in which they begin in the frame.  The `needed` columns have one value in each
    sequence, which may stand in some of its rows alone; what divides by time has its last one, any other column the
    value that all rows have, or none.  A `form` of training says how many steps there are at most.

    Raises DataError for steps without identifier or time, two steps of one time, and needed values that change.
    """
    assert choice.sequence is not None
    identifier, time = choice.sequence
    _require_table(frame, choice, needed)
    if form is None and MASK in frame.names and (MASK in needed or not choice.reason(MASK)):
        raise _called_as_the_mask(frame, f"--sequence {identifier}:{time}")
    levels = _complete(as_category(frame[identifier]), frame, "its sequence").levels
    codes = levels.in_order().places.astype(np.intp, copy=False)
    known = used_column(frame[time], frame.place, frame.source, choice.kind_of(time))
    known = _complete(_in_time(known, frame), frame, "its place in it")
    _, starts = np.unique(codes, return_index=True)
    rows = np.lexsort((known.values, codes))
    _require_distinct(known, codes, rows, frame, identifier)
    lengths = np.bincount(codes)
    notes: tuple[str, ...] = ()
    cut: Series | None = None
    if form is None:
        order = "number" if known.kind == "number" else known.use if known.use in TIMES else "date"
        form = SequenceForm(identifier, time, order, int(lengths.max()))
        span = f"{lengths.min()} to {lengths.max()}" if lengths.min() < lengths.max() else f"{lengths.max()}"
        notes = (
            f"rows are steps: {quantity(len(lengths), 'sequence')} of {span} by {identifier!r}, ordered by {time!r}",
        )
    elif lengths.max() > form.steps:
        told, many = quantity(int((lengths > form.steps).sum()), "sequence"), quantity(form.steps, "step")
        notes = (f"{told} longer than the {many} of the longest in training: of these the last {form.steps} are read",)
        left = np.repeat(np.cumsum(lengths), lengths) - np.arange(frame.rows)
        cut = Series(form, rows[left <= form.steps], _bounds(np.minimum(lengths, form.steps)), starts, notes)
    whole = Series(form, rows, _bounds(lengths), starts, notes)
    held = TableColumns.held(frame.columns, frame.rows)
    steps = _steps_in(frame, held, whole)
    makers = [  # of all steps, those among them that are not read
        partial(_one_each, steps, whole, number, choice, (*needed, choice.weight)) for number in range(len(held))
    ]
    each = TableColumns(held.names, makers, len(starts))
    sequences = replace(frame, columns=each, place=_place_in(frame.place, whole.firsts), lines=None)
    return steps if cut is None else _steps_in(frame, held, cut), sequences, cut or whole


def _bounds(lengths: RowNumbers) -> RowNumbers:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)


def _steps_in(frame: Frame, held: TableColumns, series: Series) -> Frame:
    return replace(frame, columns=held.take(series.rows), place=_place_in(frame.place, series.rows), lines=None)


def _place_in(place: Locator, rows: RowNumbers) -> Locator:
    return lambda column, row: place(column, int(rows[row]))


def _one_each(
    steps: Frame, series: Series, number: int, choice: ColumnChoice, needed: tuple[str | None, ...]
) -> Column:
    """The column of that number with one value for each sequence: see `sequences_in`."""
    column = steps.columns[number]
    last = series.bounds[1:] - 1
    if column.name == choice.split.column and choice.split.way == "time":
        return column.take(last)
    sequence = np.repeat(np.arange(len(last)), np.diff(series.bounds))
    there = np.flatnonzero(~column.missing)
    chosen = last.copy()  # a step whose value is missing, where all are
    chosen[sequence[there[::-1]]] = there[::-1]
    other = there[column.values[there] != column.values[chosen[sequence[there]]]]
    if len(other) and (column.name in needed or column.name == choice.split.column):
        raise _changes(steps, series, column, int(chosen[sequence[other[0]]]), int(other[0]))
    found = column.take(chosen)
    if not len(other):
        return found
    words = as_category(found)
    values = words.values.copy()
    values[sequence[other]] = None
    return replace(words, values=values)


def _changes(steps: Frame, series: Series, column: Column, one: int, other: int) -> DataError:
    first, second = as_category(column.take(np.array([one, other]))).values
    name = as_category(steps[series.form.identifier].take(np.array([other]))).values[0]
    return DataError(
        f"{column.name!r} changes within a sequence, which has one value of it",
        expected=f"one value in all rows of one {series.form.identifier!r}, or in some of them and none in the others",
        got=f"{first!r} and {second!r} where {series.form.identifier!r} is {name!r}",
        where=steps.place(column.name, other),
        try_="a column with one value for each sequence; what differs from step to step cannot be learned yet",
    )


def _require_table(frame: Frame, choice: ColumnChoice, needed: Sequence[str]) -> None:
    """Raise DataError for rows that have no columns by name, and for a target that is an identifier."""
    identifier, time = choice.sequence or ("", "")
    option = f"--sequence {identifier}:{time}"
    if frame.is_array or frame.pictures is not None:
        raise DataError(
            "sequences are put together from the rows of a table",
            expected="a table with a column that tells sequences apart, and one of times",
            got="pictures" if frame.pictures is not None else "an array, whose columns have no names",
            where=f"{option}, {frame.source}",
            try_="numpy.savez(file, x=x, y=y, lengths=lengths) with x (sequences, steps, features), and no --sequence",
        )
    if identifier in needed:
        raise DataError(
            f"{identifier!r} tells sequences apart, and cannot be learned of them",
            expected="a target, or a weight, that several sequences may share",
            got=repr(identifier),
            where=f"{option}, {frame.source}",
            try_="--target with another column",
        )


def _called_as_the_mask(frame: Frame, option: str) -> DataError:
    return DataError(
        f"a column is called {MASK!r}, as what says which steps of a sequence are there",
        expected="another name",
        got=repr(MASK),
        where=f"{option}, {frame.source}",
        try_=f"another name for it, such as 'is_{MASK}', or --drop {MASK}",
    )


def _complete(column: Column, frame: Frame, what: str) -> Column:
    """The column, in which no value is missing.  Raises DataError for one that is."""
    absent = column.missing
    if absent.any():
        raise DataError(
            f"a row has no value in {column.name!r}, which says {what}",
            expected="a value in every row",
            got=f"none in {quantity(int(absent.sum()), 'row')}",
            where=frame.place(column.name, int(np.argmax(absent))),
            try_="fill it in, or leave those rows out",
        )
    return column


def _in_time(column: Column, frame: Frame) -> Column:
    """The column, whose values have an order.  Raises DataError for texts."""
    if column.kind in ("number", "time"):
        return column
    raise DataError(
        f"{column.name!r} has no order in time",
        expected="numbers, dates or times",
        got=f"{as_category(column.take(np.arange(1))).values[0]!r}",
        where=frame.place(column.name, 0),
        try_=f"--kind {column.name}=number or --kind {column.name}=date, or another column behind the colon",
    )


def _require_distinct(time: Column, codes: RowNumbers, rows: RowNumbers, frame: Frame, identifier: str) -> None:
    """Raise DataError for two steps of one sequence at one time, of which none comes first."""
    same = (codes[rows][1:] == codes[rows][:-1]) & (time.values[rows][1:] == time.values[rows][:-1])
    if same.any():
        first, second = rows[int(np.argmax(same))], rows[int(np.argmax(same)) + 1]
        told = as_category(time.take(np.array([second]))).values[0]
        raise DataError(
            "two rows of one sequence have the same time",
            expected=f"every {time.name!r} once for each {identifier!r}",
            got=f"{told!r} twice where {identifier!r} is {as_category(frame[identifier]).values[second]!r}",
            where=f"{frame.place(time.name, int(first))} and {frame.place(time.name, int(second))}",
            try_="leave one of them out, or a column that tells which comes first",
        )
