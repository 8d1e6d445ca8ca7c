"""The split of a table that does not fit into memory: the same rows in each part as `splits.split_table` chooses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clearprop.data.columns import Column, as_category
from clearprop.data.splits import check_parts, quotas, small_classes
from clearprop.data.statistics import order_statistics
from clearprop.data.streaming.memory import Budget
from clearprop.data.streaming.scan_pass import ScannedTable
from clearprop.data.streaming.scratch import Scratch
from clearprop.data.streaming.store_pass import ColumnStore

TRAIN, VALIDATION, TEST = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Division:
    """The part of each row, on disk; how many rows each part has; notes on classes that are too small."""

    parts: Scratch
    sizes: tuple[int, int, int]
    notes: tuple[str, ...]


def divide_rows(stored: ColumnStore, validation: float, test: float, seed: int, budget: Budget) -> Division:
    """Choose the part of each row.

    `split_table` sorts all rows by random numbers and takes the first of each class.  Here the number at which a class
    has given its share is found by exact selection, and every row is compared with the number of its class.  Equal
    random numbers of 64 bits within a class at just that place would put one row more into a part.
    """
    found = stored.found
    names, counts, group = _classes(found)
    tested = quotas(counts, round(test * found.rows))
    held = quotas(counts - tested, round(validation * found.rows))

    def keys() -> Iterator[tuple[NDArray[np.uint64], NDArray[np.intp]]]:
        random = np.random.Philox(key=seed)
        for first in range(0, found.rows, budget.values):
            last = min(first + budget.values, found.rows)
            yield random.random_raw(last - first), group[stored.labels(first, last)]

    ends = np.stack([tested, tested + held], axis=1)
    bounds = order_statistics(keys, ends - 1)
    parts, first = Scratch(found.rows, (), np.uint8), 0
    sizes = np.zeros((len(counts), 3), np.int64)
    for random, codes in keys():
        inside = (random[:, None] <= bounds[codes]) & (ends[codes] > 0)
        part = np.where(inside[:, 0], TEST, np.where(inside[:, 1], VALIDATION, TRAIN)).astype(np.uint8)
        parts.write(first, part)
        first += len(part)
        np.add.at(sizes, (codes, part), 1)
    total = sizes.sum(axis=0)
    wanted = {"validation": (validation, int(total[VALIDATION])), "test": (test, int(total[TEST]))}
    check_parts(found.source, found.rows, int(total[TRAIN]), wanted)
    numbers = {"validation": VALIDATION, "test": TEST}
    by_part = {name: sizes[:, k] for name, k in numbers.items() if total[k]}
    notes = small_classes(names, counts, by_part) if found.task == "classification" else ()
    return Division(parts, (int(total[0]), int(total[1]), int(total[2])), notes)


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
