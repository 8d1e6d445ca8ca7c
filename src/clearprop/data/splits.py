"""Cutting a table into training, validation and test parts: stratified, and the same for the same seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clearprop.data.columns import RowNumbers, as_category, name_list, quantity
from clearprop.data.table import Table
from clearprop.errors import ArgumentError, DataError


@dataclass(frozen=True, eq=False)
class SplitTable:
    """The parts of a table.  Validation or test is None where its fraction was 0.

    `notes` say what could not be done as asked, such as classes too small to be in every part.
    """

    train: Table
    validation: Table | None
    test: Table | None
    notes: tuple[str, ...] = ()


def split_table(table: Table, validation: float = 0.15, test: float = 0.15, seed: int = 0) -> SplitTable:
    """Cut `table` into parts; `validation` and `test` are fractions of all rows, 0 for no such part.

    In a classification each class gives its share to each part (largest remainders), and keeps at least one
    row for training.  The order comes from raw bits of Philox with key `seed`, which no version of NumPy
    changes, so equal seeds give equal parts everywhere.  Where the source brings its own test rows, these
    are the test part, and `validation` is a fraction of the others.

    Raises ArgumentError for fractions or a seed out of range, DataError if a part would be empty.

    >>> from clearprop.data.table import load_table
    >>> parts = split_table(load_table("iris"), validation=0.2, test=0.2, seed=0)
    >>> len(parts.train), len(parts.validation), len(parts.test)
    (90, 30, 30)
    """
    check_fractions(validation, test, own_test=table.test_rows is not None)
    raw = np.random.Philox(key=checked_seed(seed)).random_raw(len(table))
    order = np.argsort(raw, kind="stable")
    codes = _class_codes(table)
    notes: tuple[str, ...] = ()
    if table.test_rows is not None:
        chosen = table.test_rows
        order = order[~np.isin(order, chosen)]
        _check_own_classes(table, codes, order)
        notes = (f"the test part is the source's own: {quantity(len(chosen), 'row')}",)
    else:
        chosen = _draw(order, codes, round(test * len(table)))
        order = order[~np.isin(order, chosen)]
    base = len(order) if table.test_rows is not None else len(table)
    held = _draw(order, codes, round(validation * base))
    train = order[~np.isin(order, held)]
    wanted_test = test if table.test_rows is None else 0.0
    wanted = {"validation": (validation, len(held)), "test": (wanted_test, len(chosen))}
    check_parts(table.source, len(table), len(train), wanted)
    parts = {name: rows for name, rows in (("validation", held), ("test", chosen)) if len(rows)}
    tables = {name: table.take(np.sort(rows)) for name, rows in parts.items()}
    notes += _small_classes(table, codes, parts)
    return SplitTable(table.take(np.sort(train)), tables.get("validation"), tables.get("test"), notes)


def checked_seed(seed: int) -> int:
    """The seed.  Raises ArgumentError for what cannot be one.

    >>> checked_seed(7)
    7
    """
    if isinstance(seed, int | np.integer) and not isinstance(seed, bool) and 0 <= seed < 2**64:
        return int(seed)
    raise ArgumentError(
        "the seed must be a whole number",
        expected="0 ≤ seed < 2**64",
        got=repr(seed),
        where="--seed",
        try_="--seed 0",
    )


def check_fractions(validation: float, test: float, own_test: bool = False) -> None:
    """Raise ArgumentError for fractions out of range, or that leave nothing to train on."""
    for name, value in (("--val", validation), ("--test", test)):
        if not (isinstance(value, int | float) and 0 <= value < 1):
            raise ArgumentError(
                f"{name} must be a fraction of the rows",
                expected="a number from 0 up to, but not including, 1",
                got=repr(value),
                where=name,
                try_=f"{name} 0.15",
            )
    if not own_test and validation + test >= 1:
        raise ArgumentError(
            "validation and test leave nothing to train on",
            expected="--val and --test with a sum below 1",
            got=f"{validation} + {test} = {validation + test:g}",
            where="--val, --test",
            try_="--val 0.15 --test 0.15",
        )


def _class_codes(table: Table) -> RowNumbers:
    """The class of each row as a number, `(rows,)`; all 0 in a regression."""
    if table.task == "regression":
        return np.zeros(len(table), dtype=np.intp)
    values = as_category(table.target).values.astype(str)
    return np.unique(values, return_inverse=True)[1].astype(np.intp)


def _draw(order: RowNumbers, codes: RowNumbers, number: int) -> RowNumbers:
    """Draw `number` of the rows in `order`, each class by its share; one row of each class stays behind."""
    classes, counts = np.unique(codes[order], return_counts=True)
    take = quotas(counts, number)
    drawn: list[NDArray[np.intp]] = [
        order[codes[order] == label][:quota] for label, quota in zip(classes, take, strict=True)
    ]
    return np.concatenate(drawn)


def quotas(counts: RowNumbers, number: int) -> RowNumbers:
    """How many of `number` rows each class gives, by its share of the rows (largest remainders), all but one at most.

    `counts` are the rows of each class, in the alphabetical order of the classes.

    >>> quotas(np.array([10, 5, 1]), 4).tolist()
    [3, 1, 0]
    """
    room = counts - 1
    exact = number * counts / max(int(counts.sum()), 1)
    take = np.minimum(np.floor(exact).astype(np.intp), room)
    for c in np.argsort(take - exact, kind="stable"):
        if take.sum() < number and take[c] < room[c]:
            take[c] += 1
    return take


def _check_own_classes(table: Table, codes: RowNumbers, order: RowNumbers) -> None:
    """Raise DataError if the source's own test rows hold a class that its training rows lack."""
    strange = np.flatnonzero(~np.isin(codes, codes[order]))
    if len(strange):
        row = int(strange[0])
        name = as_category(table.target.take(strange[:1])).values[0]
        raise DataError(
            "the test part holds a class that the training part lacks",
            expected="every class among the training rows",
            got=f"class {name!r} in {quantity(len(strange), 'row')} of the test part only",
            where=table.where(table.target.name, row),
            try_="move some of its rows into the training part",
        )


def check_parts(source: str, rows: int, train: int, parts: dict[str, tuple[float, int]]) -> None:
    """Raise DataError for a part, of the wanted fraction, that has no rows, or fewer than two to train on."""
    for name, (fraction, number) in parts.items():
        if fraction > 0 and not number:
            option = "--val" if name == "validation" else "--test"
            raise DataError(
                f"too few rows: the {name} part would be empty",
                expected="at least one row in every part",
                got=f"{quantity(rows, 'row')}, of which {fraction:g} make none",
                where=source,
                try_=f"more rows, or {option} 0 to do without",
            )
    if train < 2:
        raise DataError(
            "too few rows: nothing is left to train on",
            expected="at least two rows in the training part",
            got=f"{quantity(train, 'row')} of {rows}",
            where=source,
            try_="more rows, or smaller --val and --test",
        )


def _small_classes(table: Table, codes: RowNumbers, parts: dict[str, RowNumbers]) -> tuple[str, ...]:
    if table.task == "regression":
        return ()
    _, first, counts = np.unique(codes, return_index=True, return_counts=True)
    names = as_category(table.target.take(first)).values
    held = {part: np.bincount(codes[rows], minlength=len(names)) for part, rows in parts.items()}
    return small_classes(names.tolist(), counts, held)


def small_classes(names: list[str], counts: RowNumbers, parts: dict[str, RowNumbers]) -> tuple[str, ...]:
    """A note on the classes that are too small to be in every part; `parts` are the rows of each class in each."""
    lacking = {c: [part for part, held in parts.items() if not held[c]] for c in range(len(names))}
    small = {c: absent for c, absent in lacking.items() if absent}
    if len(small) > 1:
        told = name_list([f"{names[c]!r} ({quantity(int(counts[c]), 'row')})" for c in small], 6)
        places = " or ".join(part for part in parts if any(part in absent for absent in small.values()))
        return (f"{len(small)} classes have too few rows to be in every part: {told}; none in the {places} part",)
    return tuple(
        f"class {names[c]!r} has only {quantity(int(counts[c]), 'row')}: none in the {' and '.join(absent)} part"
        for c, absent in small.items()
    )
