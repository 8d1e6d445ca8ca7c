"""Dividing rows into parts by a column: by time, by group, by words that name the parts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clearprop.data.columns import Column, Locator, RowNumbers, as_category, quantity
from clearprop.data.readers.reading import Splitting
from clearprop.data.table import TEST, TRAIN, VALIDATION, draw_rows, random_order
from clearprop.errors import DataError

WORDS = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("validation", "valid", "val", "validate", "dev"), VALIDATION),
    **dict.fromkeys(("test", "testing", "tst"), TEST),
}
"""The words that name the parts, in small letters."""


def divide_by(
    split: Splitting,
    column: Column,
    classes: RowNumbers,
    shares: tuple[float, float],
    seed: int,
    place: Locator,
    source: str,
    member: int = 1,
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """The part of each row, `(rows,)`, and what is told of it; `shares` are those of validation and test.

    Of what chance chooses, each further `member` of an ensemble has other rows to validate, and the same to test.

    `classes` are the classes of the rows as numbers.  Raises DataError for a row whose value is missing or no part, and
    for too few different values.

    >>> years = Column("year", "number", np.array([2021.0, 2019, 2020, 2022]))
    >>> divide_by(Splitting("time", "year"), years, np.zeros(4, int), (0.25, 0.25), 0, lambda *_: "", "t")[0].tolist()
    [1, 0, 0, 2]
    """
    absent = column.missing
    if absent.any():
        row = int(np.argmax(absent))
        raise DataError(
            f"a row has no value in {column.name!r}, which divides the rows",
            expected="a value in every row",
            got=f"none in {quantity(int(absent.sum()), 'row')}",
            where=place(column.name, row),
            try_="fill it in, leave those rows out, or --split random",
        )
    if split.way == "time":
        return _by_time(column, shares, source)
    if split.way == "group":
        return _by_group(column, shares, seed, source, member)
    return _by_word(column, classes, shares[0], seed, place, member)


def _by_time(column: Column, shares: tuple[float, float], source: str) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """The latest rows test, those before them validate; rows of one time stay in one part."""
    if column.kind == "category":
        raise DataError(
            f"{column.name!r} has no order in time",
            expected="dates, times or numbers",
            got=f"the text {column.values[0]!r}",
            where=f"{source}, column {column.name!r}",
            try_=f"--kind '{column.name}=date', or another column",
        )
    order = np.argsort(column.values, kind="stable")
    values, rows = column.values[order], len(order)
    begins = np.flatnonzero(values[1:] > values[:-1]) + 1
    held, tested = shares
    _require_values(len(begins) + 1, shares, column.name, source)
    second = rows if not tested else _nearest(begins[1:] if held else begins, rows - round(tested * rows))
    first = second if not held else _nearest(begins[begins < second], second - round(held * rows))
    parts = np.empty(rows, np.uint8)
    parts[order] = np.repeat([TRAIN, VALIDATION, TEST], [first, second - first, rows - second])
    told = [f"training up to {_text(column, values[first - 1])}"]
    told += [f"validation from {_text(column, values[first])}"] if held else []
    told += [f"test from {_text(column, values[second])}"] if tested else []
    return parts, (f"the rows are divided by {column.name!r}: {', '.join(told)}",)


def _nearest(places: NDArray[np.intp], wanted: int) -> int:
    return int(places[np.argmin(np.abs(places - wanted))])


def _text(column: Column, value: float) -> str:
    text = str(as_category(Column("", column.kind, np.array([value]))).values[0])
    return text.removesuffix(" 00:00:00")


def _by_group(
    column: Column, shares: tuple[float, float], seed: int, source: str, member: int
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Groups in an order of chance; so many of them as come nearest to the share of the rows."""
    names, codes, sizes = np.unique(column.values.astype(str), return_inverse=True, return_counts=True)
    held, tested = shares
    _require_values(len(names), shares, column.name, source)
    order = random_order(seed, len(names))
    of_group, taken = np.full(len(names), TRAIN, np.uint8), 0
    for part, share, left in ((TEST, tested, 1 + (held > 0)), (VALIDATION, held, 1)):
        if part == VALIDATION and member > 1:
            rest = np.sort(order[taken:])
            order[taken:] = rest[random_order(seed, len(rest), member)]
        if share:
            sums = np.cumsum(sizes[order[taken : len(order) - left]])
            number = 1 + int(np.argmin(np.abs(sums - round(share * len(codes)))))
            of_group[order[taken : taken + number]] = part
            taken += number
    told = [f"{int((of_group == part).sum())} to {verb}" for part, verb in _VERBS.items() if (of_group == part).any()]
    return of_group[codes], (f"rows with one {column.name!r} stay together: of {len(names)}, {', '.join(told)}",)


_VERBS = {TRAIN: "train", VALIDATION: "validate", TEST: "test"}


def _by_word(
    column: Column, classes: RowNumbers, share: float, seed: int, place: Locator, member: int
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """What the words say; where none says validation, a share of the training rows validates."""
    words = {word: WORDS.get(word.strip().lower()) for word in set(column.values.tolist())}
    for row, word in enumerate(column.values):
        if words[word] is None:
            raise DataError(
                f"column {column.name!r} names no part of the data",
                expected="train, validation or test in every row",
                got=repr(word),
                where=place(column.name, row),
                try_=f"rename the values, or --split group:{column.name}, which keeps rows of one value together",
            )
    parts = np.array([words[word] for word in column.values.tolist()], np.uint8)
    if VALIDATION not in parts and share:
        train = np.flatnonzero(parts == TRAIN)
        order = random_order(seed, len(parts), member)
        order = order[np.isin(order, train)]
        parts[draw_rows(order, classes, round(share * len(train)))] = VALIDATION
    return parts, (f"the parts are those that {column.name!r} names",)


def _require_values(number: int, shares: tuple[float, float], name: str, source: str) -> None:
    wanted = 1 + sum(share > 0 for share in shares)
    if number < wanted:
        raise DataError(
            f"{name!r} has too few different values to divide the rows by",
            expected=f"at least {quantity(wanted, 'different value')}, one for each part",
            got=f"{number}",
            where=f"{source}, column {name!r}",
            try_="--split random, or --val 0 or --test 0 to do without a part",
        )
