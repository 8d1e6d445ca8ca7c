"""The split of a table that does not fit into memory: the same rows in each part as `splits.split_table` chooses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from clearprop.data.column_splits import divide_by
from clearprop.data.columns import Column, as_category
from clearprop.data.parts import PARTS, check_parts, small_classes, strange_class
from clearprop.data.readers.reading import RANDOM, ColumnRequest, Splitting
from clearprop.data.row_weights import as_weights, no_row_counts
from clearprop.data.streaming.blocks import RowBlock, UnchangingFile, texts_in
from clearprop.data.streaming.memory import Budget, size_text
from clearprop.data.streaming.scanned_table import ScannedTable
from clearprop.data.streaming.scratch import Scratch
from clearprop.data.streaming.store_pass import ColumnStore
from clearprop.data.summaries import mean_of, order_statistics
from clearprop.data.table import TEST, TRAIN, VALIDATION, quotas
from clearprop.errors import ArgumentError


@dataclass(frozen=True, eq=False)
class Division:
    """The part of each row, on disk; how many rows each part has; notes on classes that are too small."""

    parts: Scratch
    sizes: tuple[int, int, int]
    notes: tuple[str, ...]


def divide_rows(
    stored: ColumnStore,
    validation: float,
    test: float,
    seed: int,
    budget: Budget,
    split: Splitting = RANDOM,
    divider: Column | None = None,
) -> Division:
    """Choose the part of each row: by `divider`, if there is one, as `column_splits.divide_by` does it; else at random.

    `split_table` sorts all rows by random numbers and takes the first of each class.  Here the number at which a class
    has given its share is found by exact selection, and every row is compared with the number of its class.  Equal
    random numbers of 64 bits within a class at just that place would put one row more into a part.
    """
    found = stored.found
    names, counts, group = _classes(found)
    if divider is not None:
        return _divide_by(split, divider, stored, (validation, test), seed)
    tested = quotas(counts, round(test * found.rows))
    held = quotas(counts - tested, round(validation * found.rows))

    def keys() -> Iterator[tuple[NDArray[np.uint64], NDArray[np.intp]]]:
        random = np.random.Philox(key=seed)
        for first in range(0, found.rows, budget.values):
            last = min(first + budget.values, found.rows)
            yield random.random_raw(last - first), group[stored.labels(first, last)]

    ends = np.stack([tested, tested + held], axis=1)
    if len(counts) <= _FEW_CLASSES and _BYTES_OF_KEY * found.rows <= budget.usable // 2:
        known = [*keys()]
        bounds = np.stack([_keys_at(known, k, ends[k] - 1) for k in range(len(counts))])
        pairs: Iterable[tuple[NDArray[np.uint64], NDArray[np.intp]]] = known
    else:
        bounds, pairs = order_statistics(keys, ends - 1), keys()
    parts, first = Scratch(found.rows, (), np.uint8), 0
    sizes = np.zeros((len(counts), 3), np.int64)
    for random, codes in pairs:
        inside = (random[:, None] <= bounds[codes]) & (ends[codes] > 0)
        part = np.where(inside[:, 0], TEST, np.where(inside[:, 1], VALIDATION, TRAIN)).astype(np.uint8)
        parts.write(first, part)
        first += len(part)
        sizes += np.bincount(3 * codes + part, minlength=sizes.size).reshape(sizes.shape)
    total = sizes.sum(axis=0)
    wanted = {"validation": (validation, int(total[VALIDATION])), "test": (test, int(total[TEST]))}
    check_parts(found.source, found.rows, int(total[TRAIN]), wanted)
    numbers = {"validation": VALIDATION, "test": TEST}
    by_part = {name: sizes[:, k] for name, k in numbers.items() if total[k]}
    notes = small_classes(names, counts, by_part) if found.task == "classification" else ()
    return Division(parts, (int(total[0]), int(total[1]), int(total[2])), notes)


_FEW_CLASSES, _BYTES_OF_KEY = 8, 40
"""Of so few classes the random numbers are sorted in memory, if there is so much for each row."""


def _keys_at(
    keys: list[tuple[NDArray[np.uint64], NDArray[np.intp]]], group: int, places: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """What `order_statistics` gives for one group: the keys at these places of its sorted ones; any for none."""
    own = np.concatenate([random[codes == group] for random, codes in keys])
    places = np.clip(places, 0, len(own) - 1)
    return np.partition(own, places)[places]


_BYTES_OF_TIME, _BYTES_OF_TEXT = 40, 120
"""What a row may take in memory while rows are divided by a column."""


def read_divider(watched: UnchangingFile, stored: ColumnStore, split: Splitting, budget: Budget) -> Column | None:
    """The column that rows are divided by, in memory; None if they are divided at random.

    Raises ArgumentError where there is no memory for it, or for a column of times that is not stored.
    """
    if split.column is None:
        return None
    found, name = stored.found, split.column
    size = found.rows * (_BYTES_OF_TIME if split.way == "time" else _BYTES_OF_TEXT)
    if size > budget.memory:
        raise ArgumentError(
            f"{split.option} needs more memory than data may take",
            expected=f"{size_text(size)}: the whole column is held for a moment",
            got=f"--memory {size_text(budget.memory)}",
            where="--split",
            try_=f"--memory {size_text(size)}, or --split random",
        )
    if split.way != "time":
        goal = found.target.name
        blocks = watched.blocks(budget, ColumnRequest({name, goal}, goal, {name}))
        texts = [texts_in(block.columns[name]).values[~block.columns[goal].missing] for block in blocks]
        return Column(name, "category", np.concatenate(texts))
    places = {facts.name: k for k, facts in enumerate(stored.columns)}
    if name not in places:
        raise ArgumentError(
            f"{name!r} is left out, and rows that are streamed cannot be divided by it",
            expected="a column that is learned from",
            got=split.option,
            where="--split",
            try_="more --memory, so that nothing is streamed",
        )
    return stored.column(places[name], 0, found.rows)


def read_weights(watched: UnchangingFile, stored: ColumnStore, name: str | None, budget: Budget) -> Scratch | None:
    """The column that says how much each row counts, on disk; None if there is none.  Raises DataError as in memory."""
    if name is None:
        return None
    found = Scratch(stored.found.rows, (), np.float64, stored.ranks)
    stored.ranks.lead(lambda: _store_weights(watched, found, stored.found.target.name, name, budget))
    return found


def _store_weights(watched: UnchangingFile, found: Scratch, goal: str, name: str, budget: Budget) -> None:
    first = 0
    for block in watched.blocks(budget, ColumnRequest({name, goal}, goal)):
        kept = np.flatnonzero(~block.columns[goal].missing)
        values = block.columns[name]
        column = values.as_kind("number" if values.fits("number") else values.kind).take(kept)

        def place(column: str, row: int, block: RowBlock = block, kept: NDArray[np.intp] = kept) -> str:
            return block.place(column, int(kept[row]))

        found.write(first, as_weights(column, place).values)
        first += len(kept)


class PartWeights:
    """Weights of all rows, divided by their mean over each part as `scaled_weights` does it in memory."""

    def __init__(self, weights: Scratch, division: Division, budget: Budget, name: str, source: str) -> None:
        self.weights, self.means = weights, [0.0] * len(PARTS)
        for part, size in enumerate(division.sizes):
            if size:
                self.means[part] = mean_of(partial(_values_of_part, weights, division, part, budget.values))
                if not self.means[part]:
                    raise no_row_counts(name, PARTS[part], source)

    def scaled(self, part: int, first: int, last: int) -> NDArray[np.float32]:
        """Rows `first` … `last` − 1, as if all of them were of that part."""
        return (self.weights.get(first, last) / self.means[part]).astype(np.float32)


def _values_of_part(values: Scratch, division: Division, part: int, size: int) -> Iterator[NDArray[np.float64]]:
    for first in range(0, len(values), size):
        last = min(first + size, len(values))
        yield values.get(first, last)[division.parts.get(first, last) == part]


def _divide_by(
    split: Splitting, divider: Column, stored: ColumnStore, shares: tuple[float, float], seed: int
) -> Division:
    found = stored.found
    names, counts, group = _classes(found)

    def place(column: str, row: int) -> str:
        return f"{found.source}, row {stored.rows[row]} (the first is 0), column {column!r}"

    classes = group[stored.labels(0, found.rows)]
    parts, notes = divide_by(split, divider, classes, shares, seed, place, found.source)
    held = {name: np.bincount(classes[parts == k], minlength=len(names)) for k, name in enumerate(PARTS)}
    for name in PARTS[1:]:
        strange = (held[name] > 0) & (held["training"] == 0)
        if strange.any():
            first = int(np.argmax(strange[classes] & (parts == PARTS.index(name))))
            rows = int(held[name][strange].sum())
            raise strange_class(names[classes[first]], name, rows, place(found.target.name, first), divided=True)
    sizes = {name: int(held[name].sum()) for name in PARTS}
    wanted = dict(zip(PARTS[1:], shares, strict=True)) if split.way != "column" else {}
    check_parts(found.source, found.rows, sizes["training"], {name: (s, sizes[name]) for name, s in wanted.items()})
    stored_parts = Scratch(found.rows, (), np.uint8)
    stored_parts.write(0, parts)
    others = {name: held[name] for name in PARTS[1:] if sizes[name]}
    notes += small_classes(names, counts, others) if found.task == "classification" else ()
    return Division(stored_parts, (sizes["training"], sizes["validation"], sizes["test"]), notes)


def _classes(found: ScannedTable) -> tuple[list[str], NDArray[np.int64], NDArray[np.intp]]:
    """Names and counts of the classes in alphabetical order, and the place there of each class in its own order."""
    if found.task == "regression":
        return [""], np.array([found.rows]), np.zeros(1, np.intp)
    kind = found.target.kind
    spelled = isinstance(found.classes[0], str)
    values = np.array(found.classes, dtype=object if spelled else np.float64)
    names = as_category(Column(found.target.name, "category" if spelled else kind, values)).values.astype(str)
    order = np.argsort(names, kind="stable")
    places = np.empty(len(order), np.intp)
    places[order] = np.arange(len(order))
    return names[order].tolist(), found.class_counts[order], places
