"""Cutting a table into training, validation and test parts: stratified, and the same for the same seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from clearprop.data.columns import Column, RowNumbers, as_category, name_list, quantity
from clearprop.data.parts import PARTS, draw_rows, random_order
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


def split_table(
    table: Table, validation: float = 0.15, test: float = 0.15, seed: int = 0, member: int = 1
) -> SplitTable:
    """Cut `table` into parts; `validation` and `test` are fractions of all rows, 0 for no such part.

    In a classification each class gives its share to each part (largest remainders), and keeps at least one
    row for training.  The order comes from raw bits of Philox with key `seed`, which no version of NumPy
    changes, so equal seeds give equal parts everywhere.  Where the source brings its own test rows, these
    are the test part, and `validation` is a fraction of the others.  Where `table` names a column to divide by,
    `column_splits.divide_by` says how.

    Each further `member` of an ensemble, from 2 on, has the same test part, and a validation part of its own wherever
    chance chooses it.

    Raises ArgumentError for fractions or a seed out of range, DataError if a part would be empty.

    >>> from clearprop.data.table import load_table
    >>> parts = split_table(load_table("iris"), validation=0.2, test=0.2, seed=0)
    >>> len(parts.train), len(parts.validation), len(parts.test)
    (90, 30, 30)
    """
    own = table.test_rows is not None or table.split.way == "column"
    check_fractions(validation, test, own_test=own)
    seed, codes = checked_seed(seed), class_codes(table)
    if table.divider is not None:
        parts, notes, wanted = _by_column(table, table.divider, codes, (validation, test), seed, member)
    else:
        parts, notes, wanted = _at_random(table, codes, (validation, test), seed, member)
    check_parts(table.source, len(table), len(parts["training"]), wanted)
    tables = {name: table.take(np.sort(rows)) for name, rows in parts.items() if len(rows)}
    others = {name: rows for name, rows in parts.items() if name != "training" and len(rows)}
    notes += _small_classes(table, codes, others)
    return SplitTable(tables["training"], tables.get("validation"), tables.get("test"), notes)


_Parts: TypeAlias = tuple[dict[str, RowNumbers], tuple[str, ...], dict[str, tuple[float, int]]]
"""The rows of each part, what is told, and for validation and test the share that was wanted and the rows it got."""


def _at_random(table: Table, codes: RowNumbers, shares: tuple[float, float], seed: int, member: int) -> _Parts:
    validation, test = shares
    order = random_order(seed, len(table))
    notes: tuple[str, ...] = ()
    base = len(table)
    if table.test_rows is not None:
        chosen = table.test_rows
        order = order[~np.isin(order, chosen)]
        _check_own_classes(table, codes, order, chosen, "test")
        notes, base, test = (f"the test part is the source's own: {quantity(len(chosen), 'row')}",), len(order), 0.0
    else:
        chosen = draw_rows(order, codes, round(test * len(table)))
        order = order[~np.isin(order, chosen)]
    if member > 1:
        order = np.sort(order)[random_order(seed, len(order), member)]
    held = draw_rows(order, codes, round(validation * base))
    parts = {"training": order[~np.isin(order, held)], "validation": held, "test": chosen}
    return parts, notes, {"validation": (validation, len(held)), "test": (test, len(chosen))}


def _by_column(
    table: Table, divider: Column, codes: RowNumbers, shares: tuple[float, float], seed: int, member: int
) -> _Parts:
    from clearprop.data.column_splits import divide_by  # start-up time: only where a column was named

    found, notes = divide_by(table.split, divider, codes, shares, seed, table.where, table.source, member)
    parts = {name: np.flatnonzero(found == k) for k, name in enumerate(PARTS)}
    for name in PARTS[1:]:
        _check_own_classes(table, codes, parts["training"], parts[name], name)
    return (
        parts,
        notes,
        {
            name: (share, len(parts[name]))
            for name, share in zip(PARTS[1:], shares, strict=True)
            if table.split.way != "column"
        },
    )


_TOTALS = ("total", "totals", "grand total", "sum", "summe", "gesamt", "average", "mean", "mittelwert", "subtotal")
"""The words with which rows begin that sum up those above them."""
_MANY_TIMES = 20


def table_doubts(table: Table) -> list[str]:
    """Sentences about rows that are in order of time and divided at random, and a last row that looks like a total.

    >>> from clearprop.data.table import load_table
    >>> table_doubts(load_table("iris"))
    []
    """
    doubts = []
    summed = [column.name for column in (*table.features, *table.targets) if _ends_in_its_sum(column)]
    if summed:
        doubts.append(f"the last row may sum up those above it: it holds their sum in {name_list(summed, 3)}")
    for column in table.features:
        texts = column.values[-1:].tolist() if column.kind == "category" else []
        if texts and str(texts[0]).strip().lower() in _TOTALS:
            doubts.append(f"the last row may sum up those above it: {texts[0]!r} in column {column.name!r}")
        if column.kind == "time" and table.split.way == "random" and _in_order(column.present):
            doubts.append(
                f"rows are in order of the times in {column.name!r}, and divided at random: they are tested on times "
                f"between those of training (--split time:{column.name} tests on the latest)"
            )
    return doubts


def _ends_in_its_sum(column: Column) -> bool:
    """Whether the last of many numbers is the sum of all others, but for the digits that are written."""
    if column.kind != "number" or len(column.values) < _MANY_TIMES or np.isnan(column.values[-1]):
        return False
    last, rest = column.values[-1], column.present[:-1]
    return bool(np.abs(last) > np.abs(rest).max() and np.isclose(rest.sum(), last, rtol=1e-4)) if len(rest) else False


def _in_order(times: NDArray[np.float64]) -> bool:
    steps = np.diff(times)
    return int((steps != 0).sum()) >= _MANY_TIMES and bool((steps >= 0).all() or (steps <= 0).all())


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


def class_codes(table: Table) -> RowNumbers:
    """The class of each row as a number, `(rows,)`, or its combination of labels; all 0 in a regression."""
    if table.task == "regression":
        return np.zeros(len(table), dtype=np.intp)
    values = [as_category(column).values.astype(str) for column in table.targets]
    if len(values) == 1:
        return np.unique(values[0], return_inverse=True)[1].astype(np.intp)
    return np.unique(np.stack(values, axis=1), axis=0, return_inverse=True)[1].reshape(-1).astype(np.intp)


def _check_own_classes(table: Table, codes: RowNumbers, train: RowNumbers, rows: RowNumbers, part: str) -> None:
    """Raise DataError if the rows of a part, which were not drawn, hold a class that the training rows lack."""
    strange = rows[~np.isin(codes[rows], codes[train])]
    if len(strange) and not table.further:  # a new combination of labels that are known can be judged
        name = as_category(table.target.take(strange[:1])).values[0]
        where = table.where(table.target.name, int(strange[0]))
        raise strange_class(str(name), part, len(strange), where, table.divider is not None)


def strange_class(name: str, part: str, rows: int, where: str, divided: bool) -> DataError:
    """The error for a class that the training rows lack, in rows that were not drawn at random."""
    return DataError(
        f"the {part} part holds a class that the training part lacks",
        expected="every class among the training rows",
        got=f"class {name!r} in {quantity(rows, 'row')} of the {part} part only",
        where=where,
        try_="another --seed or --split" if divided else "move some of its rows into the training part",
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
    if table.task == "regression" or table.further:
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
