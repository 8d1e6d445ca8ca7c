"""A part of the data, in memory or on disk: its rows, batches and hash, and what looks wrong about it.

A table is cut into training, validation and test parts: stratified, and the same for the same seed.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from clearprop.data.column_roles import alike
from clearprop.data.columns import Column, RowNumbers, as_category, name_list, quantity
from clearprop.data.slips import shown_texts
from clearprop.data.streaming.disk_rows import DiskRows
from clearprop.data.streaming.scratch import Scratch
from clearprop.data.table import Table, draw_rows, random_order
from clearprop.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from clearprop.data.long_form import Series

Pair: TypeAlias = tuple[NDArray[Any], NDArray[Any]]
"""Arrays x and y, with equally many rows."""
Part: TypeAlias = Pair | DiskRows
"""A part of the data: arrays x and y, or rows on disk."""


@dataclass(frozen=True, eq=False)
class SourceRows:
    """The rows of its source that a part holds.

    Arguments:
        numbers: their numbers in the source, from 0, rising: header, blank lines and comments are no rows.
        source: what the source is called.
        lines: the lines at which they start, of a text file.
        identifiers: the columns that tell rows apart.
        series: where each is a sequence, of which these are the rows that begin them, which rows belong to which.

    >>> rows = SourceRows(np.array([2, 5]), "t.csv", lines=np.array([4, 8]))
    >>> rows.position(5), rows.position(3), rows.text(1)
    (1, None, '5 (t.csv:8)')
    """

    numbers: NDArray[np.intp] | Scratch
    source: str = ""
    lines: NDArray[np.int64] | None = None
    identifiers: tuple[Column, ...] = ()
    series: Series | None = None

    def position(self, number: int) -> int | None:
        """The place in the part of the row of that number, or of the sequence that has it; None if it is not there."""
        if self.series is not None:
            return self.series.position(number)
        place = bisect_left(self.numbers, number)
        return place if place < len(self.numbers) and self.numbers[place] == number else None

    def text(self, position: int) -> str:
        """What a row is called: its number, its line in a text file, and what tells it apart."""
        line = [] if self.lines is None else [f"{Path(self.source).name}:{self.lines[position]}"]
        names = (as_category(column.take(np.array([position]))) for column in self.identifiers)
        told = [*line, *(f"{column.name} {column.values[0]}" for column in names if column.values[0] is not None)]
        return f"{self.numbers[position]}" + (f" ({', '.join(told)})" if told else "")


PARTS = ("training", "validation", "test")
"""The parts of the data, by their numbers."""
_ROWS_AT_ONCE = 4096
LEAST_ROWS = 30
"""With fewer rows chance alone makes a column look suspicious."""
MOST_ROWS = 20_000
"""So many rows are looked at, the first ones."""
NEARLY_ONE = 0.9999
"""A column whose correlation with the target is at least so large tells nearly all of it."""
_SHARED = 0.01
"""The share of the rows of a part that may stand in the training part, too, without being told."""


def batches_in(part: Part, size: int) -> int:
    """The number of batches of an epoch over a part; rows on disk are cut block by block.

    >>> batches_in((np.zeros((5, 2)), np.zeros(5)), 2)
    3
    """
    if isinstance(part, tuple):
        return -(-len(part[0]) // size)
    return int((-(-part.sizes // size)).sum())


def rows_in(part: Part) -> int:
    """The number of rows of a part.

    >>> rows_in((np.zeros((5, 2)), np.zeros(5)))
    5
    """
    return len(part[0]) if isinstance(part, tuple) else len(part)


def sample_rows(part: Part, number: int) -> Pair:
    """At most so many rows of a part, evenly spread: the same ones, whether in memory or on disk.

    >>> x, y = sample_rows((np.arange(10.0)[:, None], np.arange(10)), 4)
    >>> y.tolist()
    [0, 3, 6, 9]
    """
    if not isinstance(part, tuple):
        return part.sample(number)
    x, y = part
    if len(x) <= number:
        return part
    chosen = np.linspace(0, len(x) - 1, number).astype(np.int64)  # more than one apart, so that none comes twice
    return x[chosen], y[chosen]


def rows_as(x: NDArray[Any], rows: RowNumbers, dtype: Any) -> NDArray[Any]:
    """The chosen rows of x; floats in `dtype` unless it is None, and never all of them in both.

    >>> rows_as(np.array([[1.0], [2.0]]), np.array([1]), np.float32)
    array([[2.]], dtype=float32)
    """
    if dtype is None or x.dtype.kind != "f" or x.dtype == dtype:
        return np.asarray(x[rows])
    chosen = np.empty((len(rows), *x.shape[1:]), dtype)
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        piece = rows[first : first + _ROWS_AT_ONCE]
        chosen[first : first + len(piece)] = x[piece]
    return chosen


def digest(parts: Sequence[Part], further: Sequence[NDArray[Any]] = ()) -> str:
    """SHA-256 of shapes, dtypes and values of all parts, and of further arrays, hexadecimal.

    >>> pair = np.zeros((5, 2)), np.zeros(5)
    >>> digest([pair]) == digest([pair]), len(digest([pair]))
    (True, 64)
    """
    total = hashlib.sha256()
    of_parts = [array for part in parts for array in (part if isinstance(part, tuple) else part.kept)]
    for array in (*of_parts, *further):
        total.update(f"{array.dtype.str}{array.shape}".encode())
        for piece in [array] if isinstance(array, np.ndarray) else array.pieces(_ROWS_AT_ONCE):
            total.update(np.ascontiguousarray(piece).data)
    return total.hexdigest()


# ------------------------------------------------------------------------------- what is told and not acted on
def suspicions(columns: Sequence[str], train: Pair, others: Mapping[str, Part], whole: Part | None = None) -> list[str]:
    """Sentences about features of the training part, `columns` says of which column each is, and about shared rows.

    Where it is on disk `train` are some of its rows, and `whole` is all of it.

    >>> y = np.arange(40.0)[:, None]
    >>> suspicions(["a"], (y.astype(np.float32), y), {})
    ["column 'a' tells the target by itself (--drop leaves it out, if it is not known beforehand)"]
    """
    x, y = train[0][:MOST_ROWS], train[1][:MOST_ROWS]
    if len(x) < LEAST_ROWS:
        return []
    groups = features_of(columns)
    return [*_doubles(groups, x), *_tell_tales(groups, x, y), *_shared_rows(whole or train, others)]


def features_of(columns: Sequence[str]) -> dict[str, list[int]]:
    """The places of the features of each column; `columns` says of which column each feature is.

    >>> features_of(["area", "colour", "colour"])
    {'area': [0], 'colour': [1, 2]}
    """
    places: dict[str, list[int]] = {}
    for place, name in enumerate(columns):
        places.setdefault(name, []).append(place)
    return places


def class_doubts(names: Sequence[str]) -> list[str]:
    """A sentence about classes that look alike.

    >>> class_doubts(["Yes", "no", "yes"])
    ["classes that look alike are told apart: 'Yes', 'yes'"]
    """
    found = alike(names)
    return [f"classes that look alike are told apart: {shown_texts(found)}"] if found else []


def _doubles(groups: dict[str, list[int]], x: NDArray[np.float32]) -> list[str]:
    """Columns that hold the same as another one."""
    seen: dict[bytes, list[str]] = {}
    for name, features in groups.items():
        seen.setdefault(np.ascontiguousarray(x[:, features]).tobytes(), []).append(name)
    same = [names for names in seen.values() if len(names) > 1]
    if len(same) > 3:
        further = [name for names in same for name in names[1:]]
        return [f"{len(further)} columns hold the same as others: {name_list(further, 6)}"]
    return [f"columns {' and '.join(map(repr, names))} hold the same" for names in same]


def _tell_tales(groups: dict[str, list[int]], x: NDArray[np.float32], y: NDArray[np.generic]) -> list[str]:
    classes = y.ndim == 1
    tells = _separates if classes else _follows
    found = [name for name, features in groups.items() if tells(x[:, features], y)]
    if not found:
        return []
    hint = "(--drop leaves it out, if it is not known beforehand)"
    one = f"column {found[0]!r} tells the target by itself {hint}"
    many = f"each of the columns {name_list(found)} tells the target by itself {hint.replace('it', 'them', 1)}"
    return [one if len(found) == 1 else many]


def _follows(x: NDArray[np.float32], y: NDArray[np.generic]) -> bool:
    """Whether the first feature of a column is the target but for unit and zero."""
    a, b = x[:, 0].astype(np.float64), y[:, 0].astype(np.float64)
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return size > 0 and abs(float((a * b).sum())) >= NEARLY_ONE * size


def _separates(x: NDArray[np.float32], labels: NDArray[np.generic]) -> bool:
    """Whether the classes are intervals of a single number, or each value of few has one class."""
    classes = len(np.unique(labels))
    if x.shape[1] == 1:
        order = np.lexsort((labels, x[:, 0]))
        ordered, values = labels[order], x[order, 0]
        changes = np.flatnonzero(ordered[1:] != ordered[:-1])
        return len(changes) == classes - 1 and bool((values[changes] < values[changes + 1]).all())
    values, codes = np.unique(x, axis=0, return_inverse=True)
    pairs = np.unique(np.stack([codes.ravel(), labels.astype(np.intp)]), axis=1)
    return len(values) * 5 <= len(x) and pairs.shape[1] == len(values)


def _shared_rows(train: Part, others: Mapping[str, Part]) -> list[str]:
    """How many rows of other parts stand in the training part, too."""
    known = set(_row_digests(train)) if others else set()
    notes = []
    for name, part in others.items():
        shared = sum(row in known for row in _row_digests(part))
        if shared > max(1, _SHARED * min(rows_in(part), MOST_ROWS)):
            notes.append(f"{quantity(shared, 'row')} of the {name} part stand in the training part, too")
    return notes


def _row_digests(part: Part) -> Iterator[bytes]:
    """The first rows of a part, in the order of the source, each by 16 bytes: rows of many features take more."""
    pieces = [(part[0][:MOST_ROWS], part[1][:MOST_ROWS])] if isinstance(part, tuple) else part.first_rows(MOST_ROWS)
    for x, y in pieces:
        for row, label in zip(np.ascontiguousarray(x), y, strict=True):
            yield hashlib.blake2b(row.tobytes() + label.tobytes(), digest_size=16).digest()


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
    codes = [places_in_order(as_category(column)) for column in table.targets]
    if len(codes) == 1:
        return codes[0]
    return np.unique(np.stack(codes, axis=1), axis=0, return_inverse=True)[1].reshape(-1).astype(np.intp)


def places_in_order(column: Column) -> RowNumbers:
    """The place of each text among the different ones in their order; None stands there as it is written."""
    used = column.levels.counts > 0
    places = np.zeros(len(used), np.intp)
    places[used] = np.unique(column.levels.different[used].astype(str), return_inverse=True)[1]
    of_rows: RowNumbers = places[column.levels.places]
    return of_rows


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
