"""A part of the data, in memory or on disk: its rows, batches and hash, and what looks wrong about it."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from clearprop.data.columns import Column, RowNumbers, as_category, name_list, quantity
from clearprop.data.streaming.disk_rows import DiskRows
from clearprop.data.streaming.scratch import Scratch

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

    >>> rows = SourceRows(np.array([2, 5]), "t.csv", lines=np.array([4, 8]))
    >>> rows.position(5), rows.position(3), rows.text(1)
    (1, None, '5 (t.csv:8)')
    """

    numbers: NDArray[np.intp] | Scratch
    source: str = ""
    lines: NDArray[np.int64] | None = None
    identifiers: tuple[Column, ...] = ()

    def position(self, number: int) -> int | None:
        """The place in the part of the row of that number; None if it is not there."""
        place = bisect_left(self.numbers, number)
        return place if place < len(self.numbers) and self.numbers[place] == number else None

    def text(self, position: int) -> str:
        """What a row is called: its number, its line in a text file, and what tells it apart."""
        line = [] if self.lines is None else [f"{Path(self.source).name}:{self.lines[position]}"]
        names = (as_category(column.take(np.array([position]))) for column in self.identifiers)
        told = [*line, *(f"{column.name} {column.values[0]}" for column in names if column.values[0] is not None)]
        return f"{self.numbers[position]}" + (f" ({', '.join(told)})" if told else "")


PARTS = ("training", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)
"""The parts of the data, by their numbers."""
_ROWS_HASHED = 4096
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
    chosen = np.unique(np.linspace(0, len(x) - 1, number).astype(np.int64))
    return x[chosen], y[chosen]


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
        for piece in [array] if isinstance(array, np.ndarray) else array.pieces(_ROWS_HASHED):
            total.update(np.ascontiguousarray(piece).data)
    return total.hexdigest()


def random_order(seed: int, number: int, member: int = 1) -> RowNumbers:
    """So many places in an order of chance, by raw bits of Philox, which no version of NumPy changes.

    Each `member` of an ensemble has its own order.

    >>> random_order(0, 5).tolist(), random_order(0, 5, member=2).tolist()
    ([0, 2, 1, 4, 3], [2, 1, 3, 0, 4])
    """
    key = seed if member == 1 else [seed, member]
    return np.argsort(np.random.Philox(key=key).random_raw(number), kind="stable")


def draw_rows(order: RowNumbers, codes: RowNumbers, number: int) -> RowNumbers:
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


# ------------------------------------------------------------------------------- what is told and not acted on
def suspicions(columns: Sequence[str], train: Pair, others: dict[str, Pair]) -> list[str]:
    """Sentences about features of the training part, `columns` says of which column each is, and about shared rows.

    >>> y = np.arange(40.0)[:, None]
    >>> suspicions(["a"], (y.astype(np.float32), y), {})
    ["column 'a' tells the target by itself (--drop leaves it out, if it is not known beforehand)"]
    """
    x, y = train[0][:MOST_ROWS], train[1][:MOST_ROWS]
    if len(x) < LEAST_ROWS:
        return []
    groups = features_of(columns)
    return [*_doubles(groups, x), *_tell_tales(groups, x, y), *_shared_rows((x, y), others)]


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
    """A sentence about classes that differ in capital letters alone.

    >>> class_doubts(["Yes", "no", "yes"])
    ["classes that differ in capital letters alone are told apart: 'Yes', 'yes'"]
    """
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(name.casefold(), []).append(name)
    found = [repr(name) for same in alike.values() if len(same) > 1 for name in same]
    return [f"classes that differ in capital letters alone are told apart: {name_list(found, 6)}"] if found else []


def _doubles(groups: dict[str, list[int]], x: NDArray[np.float32]) -> list[str]:
    """Columns that hold the same as another one."""
    seen: dict[bytes, list[str]] = {}
    for name, features in groups.items():
        seen.setdefault(np.ascontiguousarray(x[:, features]).tobytes(), []).append(name)
    alike = [names for names in seen.values() if len(names) > 1]
    if len(alike) > 3:
        further = [name for names in alike for name in names[1:]]
        return [f"{len(further)} columns hold the same as others: {name_list(further, 6)}"]
    return [f"columns {' and '.join(map(repr, names))} hold the same" for names in alike]


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


def _shared_rows(train: Pair, others: dict[str, Pair]) -> list[str]:
    """How many rows of other parts stand in the training part, too."""
    known = set(_row_bytes(train))
    notes = []
    for part, (x, y) in others.items():
        shared = sum(row in known for row in _row_bytes((x[:MOST_ROWS], y[:MOST_ROWS])))
        if shared > max(1, _SHARED * min(len(x), MOST_ROWS)):
            notes.append(f"{quantity(shared, 'row')} of the {part} part stand in the training part, too")
    return notes


def _row_bytes(pair: Pair) -> list[bytes]:
    x, y = pair
    return [row.tobytes() + label.tobytes() for row, label in zip(np.ascontiguousarray(x), y, strict=True)]
