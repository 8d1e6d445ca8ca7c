"""The first pass over a table: the kind of every column, what it holds, and what is learned from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.column_roles import (
    MOST_TEXTS,
    ColumnFacts,
    Dropped,
    Task,
    choose_target,
    counts_rows,
    decide_task,
    drop_reason,
    is_mixed,
    mixed_column,
)
from clearprop.data.columns import Column, ColumnKind, Frame, Locator, infinite_value, is_number
from clearprop.data.encodings import ordered_classes
from clearprop.data.streaming.blocks import UnchangingFile, Values
from clearprop.data.streaming.memory import Budget
from clearprop.data.streaming.text_counts import TextLimit, Texts
from clearprop.data.table import lost_rows, require_features


@dataclass(frozen=True)
class ScannedTable:
    """What the first pass found: `rows` have a target; `levels` are the texts of each text column, in order."""

    source: str
    target: ColumnFacts
    task: Task
    features: tuple[ColumnFacts, ...]
    dropped: tuple[Dropped, ...]
    rows: int
    levels: dict[str, tuple[str, ...]]
    classes: tuple[Any, ...]
    class_counts: NDArray[np.int64]
    target_note: str
    task_note: str
    lost: tuple[str, ...]


def scan_columns(watched: UnchangingFile, target: str | None, task: str, budget: Budget) -> ScannedTable:
    """Read all rows once.  Raises the errors that `data.load_table` raises for the same table in memory."""
    # The order of the checks is that of `load_table`, so that the same table gives the same error in both ways.
    table = watched.table
    shape = Frame(table.source, tuple(Column(name, "number", np.empty(0)) for name in table.names), _nowhere)
    name, target_note = choose_target(shape, target)
    scans, rows, seen = _pass(watched, name, frozenset(), budget)
    passed_over = frozenset(scan.name for scan in scans if scan.must_recount())
    if passed_over:
        scans, rows, seen = _pass(watched, name, passed_over, budget)
    lost = lost_rows(name, seen - rows, seen, table.source)
    goal = next(scan for scan in scans if scan.is_target)
    if task != "classification" or goal.kind == "number":
        goal.require_used()
    facts = goal.facts()
    decided, task_note = decide_task(facts, task, table.source)
    features, dropped = _features([scan for scan in scans if scan is not goal])
    require_features(len(features), dropped, name, table.source)
    scans_of = {scan.name: scan for scan in scans}
    classes = goal.classes() if decided == "classification" else Counter()
    ordered = ordered_classes(goal.kind, classes)
    return ScannedTable(
        source=table.source,
        target=facts,
        task=decided,
        features=features,
        dropped=dropped,
        rows=rows,
        levels={facts.name: scans_of[facts.name].levels() for facts in features if facts.kind == "category"},
        classes=tuple(ordered),
        class_counts=np.array(list(ordered.values()), dtype=np.int64),
        target_note=target_note,
        task_note=task_note,
        lost=lost,
    )


def _pass(
    watched: UnchangingFile, target: str, as_text: frozenset[str], budget: Budget
) -> tuple[list[_ColumnScan], int, int]:
    """Read all rows: what they say of each column, how many have a target, how many there are."""
    table = watched.table
    limit = TextLimit(budget.memory // 8, table.source)
    scans = {name: _ColumnScan(name, name == target, Texts(limit), name in as_text) for name in table.names}
    rows = seen = 0
    for group in table.groups(budget):
        rows = seen = 0
        for block in watched.blocks(budget, {*group, target}, target):
            kept = np.flatnonzero(~block.columns[target].missing)
            for name in group:
                scans[name].add(block.columns[name], kept, rows, block.place)
            rows += len(kept)
            seen += block.rows
    return list(scans.values()), rows, seen


def _nowhere(column: str, _row: int) -> str:
    return f"column {column!r}"


def _features(scans: Sequence[_ColumnScan]) -> tuple[tuple[ColumnFacts, ...], tuple[Dropped, ...]]:
    features, dropped = [], []
    for scan in scans:
        scan.require_used()
        facts = scan.facts()
        reason = drop_reason(facts, is_array=False)
        if reason:
            dropped.append(Dropped(scan.name, reason, facts.rows - facts.present))
        else:
            features.append(facts)
    return tuple(features), tuple(dropped)


@dataclass(eq=False)
class _ColumnScan:
    """What the rows so far say of a column.

    `values` counts the different ones of a target, `spellings` the ways in which they are written, where that is kept;
    they are None once there were more than `MOST_TEXTS`.  `numbers` and
    `slips` are texts that are numbers, or are not.  Blocks in which all texts are numbers are passed over when texts
    are counted, and those where a few are none, unless the column is known to be text (`as_text`): numbers are nearly
    all different.
    """

    name: str
    is_target: bool
    texts: Texts
    as_text: bool
    passed_over: bool = False
    number: bool = True
    boolean: bool = True
    rows: int = 0
    present: int = 0
    values: Counter[float] | None = field(default_factory=Counter)
    spellings: Counter[str] | None = field(default_factory=Counter)
    low: float = np.inf
    high: float = -np.inf
    whole: bool = True
    counting: bool = True
    start: float | None = None
    infinite: tuple[float, int, str] | None = None
    numbers: int = 0
    slips: int = 0
    slip: tuple[str, str] | None = None
    opening: tuple[str, str] | None = None

    @property
    def kind(self) -> ColumnKind:
        """Numbers where all values are numbers, else truth values where all are these, else text."""
        return "number" if self.number else "boolean" if self.boolean else "category"

    # ------------------------------------------------------------------------------------------------- a block more
    def add(self, values: Values, kept: NDArray[np.intp], before: int, place: Locator) -> None:
        """Take note of the rows `kept` of a block; `before` rows were kept in the blocks before it."""
        here = values.fits("number")
        self.number = self.number and here
        self.boolean = self.boolean and (bool(values.missing.all()) if here else values.fits("boolean"))
        present = int((~values.missing[kept]).sum())

        def where(row: int) -> str:
            return place(self.name, int(kept[row]))

        if len(kept) and self.kind != "category":
            self._add_numbers(values.as_kind(self.kind).take(kept), before, where)
        if len(kept) and values.fits("category"):
            if here and not self.as_text:
                self.numbers += present
                self.passed_over = self.passed_over or present > 0
            else:
                self._add_texts(values.as_kind("category").values[kept], where)
        self.rows += len(kept)
        self.present += present

    def _add_numbers(self, column: Column, before: int, where: Callable[[int], str]) -> None:
        values = column.values
        self.start = float(values[0]) if self.start is None else self.start
        self.counting = self.counting and counts_rows(values, before, self.start)
        present = values[~np.isnan(values)]
        if not len(present):
            return
        self.low, self.high = min(self.low, float(present.min())), max(self.high, float(present.max()))
        infinite = np.flatnonzero(np.isinf(values))
        if len(infinite):
            row = int(infinite[0])
            first, number, place = self.infinite or (float(values[row]), 0, where(row))
            self.infinite = (first, number + len(infinite), place)
        if self.is_target:
            self.whole = self.whole and bool(np.all(present == np.round(present)))
            self.values = _add_counts(self.values, dict(zip(*_distinct_counts(present), strict=True)))
            if column.spelling is not None:
                self.spellings = _add_counts(self.spellings, Counter(column.spelling.tolist()))

    def _add_texts(self, values: NDArray[Any], where: Callable[[int], str]) -> None:
        # The first text and the first slip are kept with their places: errors that come at the end show them.
        counts = Counter(values.tolist())
        counts.pop(None, None)
        if not counts:
            return
        slips = sum(number for text, number in counts.items() if not is_number(text))
        self.numbers += counts.total() - slips
        self.slips += slips
        if self.is_target and self.opening is None:
            self.opening = (values[0], where(0))
        if slips and self.slip is None:
            row = next(i for i, text in enumerate(values) if text is not None and not is_number(text))
            self.slip = (values[row], where(row))
        if not self.as_text and is_mixed(self.numbers, self.slips):
            self.passed_over = True
        else:
            self.texts.add(counts)

    # ------------------------------------------------------------------------------------------------------- the end
    def must_recount(self) -> bool:
        """Whether the column turned out to be text, and some of its texts were passed over as numbers."""
        return self.passed_over and self.kind == "category" and not is_mixed(self.numbers, self.slips)

    def require_used(self) -> None:
        """Raise DataError for infinite numbers, and for numbers with a few texts among them."""
        if self.kind == "number" and self.infinite is not None:
            value, number, where = self.infinite
            raise infinite_value(self.name, value, number, where)
        if self.kind == "category" and self.slip is not None and is_mixed(self.numbers, self.slips):
            raise mixed_column(self.name, *self.slip, self.slips, self.numbers)

    def facts(self) -> ColumnFacts:
        """What all rows say."""
        text = self.kind == "category"
        if text:
            distinct = self.texts.distinct
        elif self.is_target:
            distinct = None if self.values is None else len(self.values)
        else:
            distinct = 0 if not self.present else 1 if self.low == self.high else 2
        first: Any = next(iter(self.texts.counts or ()), None) if text else self.low
        counting = self.kind == "number" and self.counting
        return ColumnFacts(
            self.name,
            self.kind,
            self.rows,
            self.present,
            distinct,
            first,
            whole=self.kind != "category" and self.whole,
            counts=counting,
            spellings=None if self.spellings is None else len(self.spellings),
            slip=self.slip or self.opening,
        )

    def classes(self) -> Counter[Any]:
        """How often each class occurs."""
        found: Counter[Any] | None = self.texts.counts if self.kind == "category" else self.spellings or self.values
        if found is None:  # decide_task has refused more than MOST_TEXTS
            raise self.texts.limit.error(self.name)
        return found

    def levels(self) -> tuple[str, ...]:
        """The different texts, in alphabetical order.  Raises ArgumentError where memory was too short for them."""
        if self.texts.counts is None:
            raise self.texts.limit.error(self.name)
        return tuple(sorted(self.texts.counts))


def _distinct_counts(values: NDArray[np.float64]) -> tuple[list[float], list[int]]:
    distinct, counts = np.unique(values, return_counts=True)
    return distinct.tolist(), counts.tolist()


def _add_counts(known: Counter[Any] | None, further: Mapping[Any, int]) -> Counter[Any] | None:
    """The counts with further ones; None if there are too many to hold."""
    if known is None:
        return None
    known.update(further)
    return known if len(known) <= MOST_TEXTS else None
