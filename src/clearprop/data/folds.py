"""Folds of a table: parts that are tested one after another, each by what was learned from the rows outside of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clearprop.data.columns import Column, RowNumbers, as_category, quantity
from clearprop.data.parts import SplitTable, class_codes, places_in_order, split_table
from clearprop.data.table import Table
from clearprop.errors import ArgumentError, DataError

MOST_TRAININGS = 1000
"""So many trainings at most are asked for at once."""


@dataclass(frozen=True, eq=False)
class Fold:
    """One of the folds of one repeat, both counted from 1.

    `rows` are those that are tested, and `others` those that may be learned from, as positions in the table.
    """

    repeat: int
    number: int
    rows: RowNumbers
    others: RowNumbers

    @property
    def name(self) -> str:
        """What it is called: repeat and number."""
        return f"{self.repeat}-{self.number}"

    def split(self, table: Table, validation: float, seed: int) -> SplitTable:
        """The parts: the fold tests, and of the other rows a share validates, drawn as the table is divided."""
        inner = split_table(table.take(self.others), validation, 0.0, seed)
        return SplitTable(inner.train, inner.validation, table.take(self.rows), inner.notes)


def deal_folds(table: Table, folds: int, repeats: int = 1, seed: int = 0) -> list[Fold]:
    """The folds of a table, whose rows are all tested once in each repeat.

    Each class gives its share to every fold; rows of one group stay together (`--split group:COL`).  In order of time
    (`--split time:COL`) the rows are cut into one part more, and each but the first is tested by what was learned from
    those before it, once (Hyndman & Athanasopoulos 2021, §5.10).  The order comes from raw bits of Philox.

    Raises ArgumentError for numbers out of range, DataError for a table that has no such folds.

    >>> from clearprop.data.table import load_table
    >>> found = deal_folds(load_table("iris"), folds=5, repeats=2)
    >>> len(found), len(found[0].rows), len(found[0].others), found[-1].name
    (10, 30, 120, '2-5')
    """
    _require_counts(folds, repeats)
    way = table.split.way
    if way == "column" or table.test_rows is not None:
        raise ArgumentError(
            "the data say themselves which rows are tested",
            expected="rows that are divided at random, by group or by time",
            got="--split column:… or test rows of the source's own, and --folds",
            where="--folds",
            try_="--split random, or without --folds",
        )
    if way == "time" and repeats > 1:
        raise ArgumentError(
            "rows in order of time are divided in one way",
            expected="--repeats 1",
            got=f"--repeats {repeats}",
            where="--repeats",
            try_="--repeats 1",
        )
    return list(_by_time(table, folds) if way == "time" else _by_chance(table, folds, repeats, seed))


def _require_counts(folds: int, repeats: int) -> None:
    for option, number, least in (("--folds", folds, 2), ("--repeats", repeats, 1)):
        if isinstance(number, bool) or not isinstance(number, int) or number < least or number > MOST_TRAININGS:
            raise ArgumentError(
                f"{option} cannot be {number}",
                expected=f"a whole number from {least} to {MOST_TRAININGS:,}",
                got=repr(number),
                where=option,
                try_=f"{option} {5 if least > 1 else 3}",
            )
    if folds * repeats > MOST_TRAININGS:
        raise ArgumentError(
            "so many trainings are more than one wants",
            expected=f"at most {MOST_TRAININGS:,} folds in all",
            got=f"{folds} · {repeats} = {folds * repeats:,}",
            where="--folds, --repeats",
        )


def _by_chance(table: Table, folds: int, repeats: int, seed: int) -> Iterator[Fold]:
    """Groups of rows, or single rows of each class, dealt out in an order of chance."""
    divider = table.divider
    units = np.arange(len(table)) if divider is None else _codes(divider)
    classes = class_codes(table) if divider is None else np.zeros(len(table), dtype=np.intp)
    number = int(units.max()) + 1
    if number < folds:
        what = "rows" if divider is None else f"different values in {divider.name!r}"
        raise DataError(
            "there are fewer rows, or groups of rows, than folds",
            expected=f"at least {folds} {what}",
            got=f"{number}",
            where=table.source,
            try_=f"--folds {max(2, number)}",
        )
    _require_two_of_each(table, classes)
    for repeat in range(1, repeats + 1):
        order = np.argsort(np.random.Philox(key=[seed, repeat]).random_raw(number), kind="stable")
        if divider is None:
            order = order[np.argsort(classes[order], kind="stable")]  # class after class, so that each is dealt evenly
        of_unit = np.empty(number, dtype=np.intp)
        of_unit[order] = np.arange(number) % folds
        dealt = of_unit[units]
        for k in range(folds):
            yield Fold(repeat, k + 1, np.flatnonzero(dealt == k), np.flatnonzero(dealt != k))


def _codes(column: Column) -> NDArray[np.intp]:
    return places_in_order(as_category(column))


def _require_two_of_each(table: Table, classes: RowNumbers) -> None:
    """Raise DataError for a class of one row: where it is tested, nothing could have been learned of it."""
    if table.task == "regression" or table.further:
        return
    _, first, counts = np.unique(classes, return_index=True, return_counts=True)
    if counts.min() < 2:
        lone = int(first[int(np.argmin(counts))])
        name = as_category(table.target.take(np.array([lone]))).values[0]
        raise DataError(
            f"class {name!r} has one row only, which one fold would test and no other could teach",
            expected="at least two rows of every class",
            got="one",
            where=table.where(table.target.name, lone),
            try_="more rows of that class, or leave the row out",
        )


def _by_time(table: Table, folds: int) -> Iterator[Fold]:
    assert table.divider is not None  # what time is divided by
    values = table.divider.values
    order = np.argsort(values, kind="stable")
    begins = np.concatenate([[0], np.flatnonzero(values[order][1:] > values[order][:-1]) + 1])
    wanted = np.arange(1, folds + 1) * len(order) / (folds + 1)
    cuts = [int(begins[np.argmin(np.abs(begins - place))]) for place in wanted]
    if len(set(cuts)) < folds or not cuts[0]:
        raise DataError(
            f"{table.divider.name!r} has too few different values for so many folds",
            expected=f"values that cut the rows into {folds + 1} parts",
            got=quantity(len(begins), "different value"),
            where=f"{table.source}, column {table.divider.name!r}",
            try_="fewer --folds",
        )
    for k, (start, stop) in enumerate(zip(cuts, [*cuts[1:], len(order)], strict=True), 1):
        yield Fold(1, k, np.sort(order[start:stop]), np.sort(order[:start]))
