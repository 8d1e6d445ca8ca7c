"""The first pass over a table: the kind of every column, what it holds, and what is learned from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from clearprop.data.column_roles import (
    ColumnFacts,
    Dropped,
    choose_target,
    decide_task,
    drop_reason,
)
from clearprop.data.columns import (
    Column,
    Frame,
)
from clearprop.data.encodings import ordered_classes
from clearprop.data.readers.reading import AS_THEY_ARE, ColumnChoice, ColumnRequest
from clearprop.data.streaming.blocks import Mark, UnchangingFile
from clearprop.data.streaming.column_scan import ColumnScan
from clearprop.data.streaming.early_columns import EarlyColumns
from clearprop.data.streaming.memory import Budget
from clearprop.data.streaming.scanned_table import ScannedTable
from clearprop.data.streaming.text_counts import TextLimit, Texts
from clearprop.data.table import lost_rows, require_features


def scan_columns(
    watched: UnchangingFile, target: str | None, task: str, budget: Budget, choice: ColumnChoice = AS_THEY_ARE
) -> ScannedTable:
    """Read all rows once.  Raises the errors that `data.load_table` raises for the same table in memory."""
    # The order of the checks is that of `load_table`, so that the same table gives the same error in both ways.
    table = watched.table
    columns = tuple(Column(name, "number", np.empty(0)) for name in table.names)
    shape = Frame(table.source, columns, lambda column, _: f"column {column!r}")
    choice.require_known(table.names, table.source)
    name, target_note = choose_target(shape, target, choice)
    scans, cuts, rows, seen, early = _pass(watched, name, choice.as_written, budget, choice)
    passed_over = frozenset(scan.name for scan in scans if scan.must_recount())
    if passed_over:
        if early is not None:
            early.close()
        scans, cuts, rows, seen, early = _pass(watched, name, choice.as_written | passed_over, budget, choice)
    goal = next(scan for scan in scans if scan.is_target)
    words = table.decimal is not None and goal.kind == "category"
    lost = lost_rows(name, seen - rows, seen, table.source, words)
    if (task != "classification" or goal.kind == "number") and choice.kind_of(name) != "category":
        goal.require_checked()
    if choice.kind_of(name) == "number":
        goal.require_asked()
    facts = goal.facts()
    decided, task_note = decide_task(facts, task, table.source)
    features, dropped = _features([scan for scan in scans if scan is not goal], choice)
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
        cuts=cuts,
        early=early,
    )


def _pass(
    watched: UnchangingFile, target: str, as_text: frozenset[str], budget: Budget, choice: ColumnChoice
) -> tuple[list[ColumnScan], tuple[tuple[Mark | None, int], ...], int, int, EarlyColumns | None]:
    """Read all rows: what they say of columns, where they can be cut, how many have a target, how many there are.

    One process stores them meanwhile; of several each stores its part afterwards.
    """
    table = watched.table
    early = EarlyColumns.of_file(table.names, table.most_rows) if watched.ranks.size == 1 else None
    limit = TextLimit(budget.memory // 8, table.source)
    scans = {
        name: ColumnScan(name, table.source, name == target, Texts(limit), name in as_text, choice)
        for name in table.names
    }
    rows, seen, cuts = 0, 0, list[tuple[Mark | None, int]]()
    for group in table.groups(budget):
        rows, seen, cuts = 0, 0, []
        for block in watched.blocks(budget, ColumnRequest({*group, target}, target, as_text)):
            kept = np.flatnonzero(~block.columns[target].missing)
            cuts.append((block.mark, rows))
            for name in group:
                values = block.columns[name]
                plain = scans[name].add(values, kept, rows, block.place)
                if early is not None:
                    early.add(name, values, kept, rows, plain)
            if early is not None:
                early.add_rows(rows, block.first + kept)
            rows += len(kept)
            seen += block.rows
    return list(scans.values()), tuple(cuts), rows, seen, early


def _features(scans: Sequence[ColumnScan], choice: ColumnChoice) -> tuple[tuple[ColumnFacts, ...], tuple[Dropped, ...]]:
    features, dropped = [], []
    for scan in scans:
        reason = choice.reason(scan.name)
        if not reason:
            scan.require_used()
            facts = scan.facts()
            reason = drop_reason(facts, is_array=False)
        if reason:
            dropped.append(Dropped(scan.name, reason, scan.rows - scan.present))
        else:
            features.append(facts)
    return tuple(features), tuple(dropped)
