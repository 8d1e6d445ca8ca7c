"""A table that does not fit into memory, made ready to train on: the passes, one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.column_roles import ColumnFacts
from clearprop.data.encodings import Encoding, fit_classes, fit_number, fit_number_target, fit_texts
from clearprop.data.joint_target import Target
from clearprop.data.kinds.time_encoding import fit_time
from clearprop.data.parts import check_fractions, checked_seed
from clearprop.data.preprocessing import Preprocessing
from clearprop.data.readers.formats import idle_words
from clearprop.data.readers.reading import AS_SHOWN, Reading, words_of
from clearprop.data.slips import multiples_read
from clearprop.data.streaming.blocks import UnchangingFile
from clearprop.data.streaming.disk_rows import Dealing, DiskRows
from clearprop.data.streaming.memory import Budget, give_back, size_text
from clearprop.data.streaming.row_split import Division, PartWeights, divide_rows, read_divider, read_weights
from clearprop.data.streaming.scan_pass import scan_columns
from clearprop.data.streaming.scratch import require_space
from clearprop.data.streaming.sharers import ALONE, Sharers, own_part
from clearprop.data.streaming.store_pass import ColumnStore, store_columns
from clearprop.data.summaries import Chunks, Numbers, summarise
from clearprop.data.table import TRAIN, Table, transform_for
from clearprop.data.target_transforms import log_transform
from clearprop.errors import ArgumentError, DataError


@dataclass(frozen=True, eq=False)
class StreamedTable:
    """The parts of a table as rows on disk, how they are encoded, and what was inferred, as sentences."""

    source: str
    train: DiskRows
    validation: DiskRows | None
    test: DiskRows | None
    preprocessing: Preprocessing
    notes: tuple[str, ...]


def stream_table(
    path: Path,
    source: str,
    target: str | None,
    task: str,
    validation: float,
    test: float,
    seed: int,
    memory: int,
    watch: Callable[[str], object] = lambda _: None,
    reading: Reading = AS_SHOWN,
    ranks: Sharers = ALONE,
) -> StreamedTable:
    """Read a CSV or Parquet file in blocks, with at most `memory` bytes for data, and keep its rows encoded on disk.

    `watch` is told what is being done.  Several `ranks`, processes of one machine that all call this, share the work:
    the first finds what columns are, each stores its part of the rows and measures its part of the columns, and what is
    on disk is there once.  `memory` is what each of them has.

    Columns, classes, split and preprocessing are those of the same table in memory, in every bit.

    Raises DataError for data that cannot be read or learned from and for a file that changes meanwhile, ArgumentError
    for a memory that is too small, RunError for a disk that is.
    """
    split = reading.columns.split
    check_fractions(validation, test, own_test=split.way == "column")
    checked_seed(seed)
    budget = Budget(memory)
    budget.require_least(source)
    watched = UnchangingFile(path, source, budget, reading.with_spelled_divider(), ranks)
    _require_one_target(target, watched.table.names, source)
    watch(f"{source} is read in blocks: kinds, classes, counts")
    found, notes = ranks.lead(
        lambda: (scan_columns(watched, target, task, budget, reading.columns), watched.table.notes)
    )
    held = store_columns(watched, found, budget, ranks, watch)
    watch(f"{found.rows:,} rows are divided, measured and encoded")
    divider = read_divider(watched, held, split, budget)
    division = divide_rows(held, validation, test, seed, budget, split, divider)
    weights = read_weights(watched, held, reading.columns.weight, budget)
    give_back()
    habit = reading.habit_with(watched.table.decimal)
    fitted = _fit_preprocessing(held, division, budget, reading.columns.transform)
    fitted = replace(fitted, missing=reading.missing, habit=habit, weight=reading.columns.weight)
    give_back()
    features = len(fitted.feature_names)
    largest = budget.block_rows(features, fitted.outputs, source)
    require_space(found.rows * (4 * features + 16))
    counted = None if weights is None else PartWeights(weights, division, budget, fitted.weight or "", source)
    train, *others = _encode_parts(held, division, fitted, budget, largest, seed, counted)
    held.numbers.close()
    held.rows.close()
    division.parts.close()
    give_back()
    assert train is not None  # a split leaves rows to train on
    told = (found.target_note, found.task_note, *notes, *found.lost, *division.notes)
    told = (*told, *multiples_read((*found.features, found.target)))
    told = (*told, *idle_words(reading, source, watched.table.decimal))
    told = (*told, _streaming_note(train, memory))
    return StreamedTable(source, train, others[0], others[1], fitted, told)


def _streaming_note(train: DiskRows, memory: int) -> str:
    size = size_text(len(train) * 4 * train.features)
    number = f"{train.blocks} of them" if train.blocks > 1 else "a single one"
    return (
        f"rows are streamed in blocks of {int(train.sizes.max()):,}, {number}, {size} on disk: "
        f"data may take {size_text(memory)} of memory"
    )


# ------------------------------------------------------------------------------------------------- preprocessing
def _fit_preprocessing(held: ColumnStore, division: Division, budget: Budget, transform: str) -> Preprocessing:
    """What `Preprocessing.fit` gives for the training part; ranks share the columns."""
    found, ranks = held.found, held.ranks
    own = own_part(len(found.features), ranks)
    dealt = ranks.each(lambda: [_encoding(held, division, k, found.features[k], budget) for k in own])
    encodings = [encoding for part in dealt for encoding in part]
    return Preprocessing(found.task, tuple(encodings), _target(held, division, budget, transform), found.dropped)


def _encoding(held: ColumnStore, division: Division, k: int, facts: ColumnFacts, budget: Budget) -> Encoding:
    if facts.kind == "category":
        return fit_texts(facts.name, facts.use, _level_counts(held, division, k, facts.name, budget))
    if facts.kind == "time":
        return _time_encoding(held, division, k, facts, budget)
    numbers, missing = _summary(held, division, k, budget)
    return fit_number(facts.name, facts.kind, numbers, missing, facts.marks)


def _time_encoding(held: ColumnStore, division: Division, k: int, facts: ColumnFacts, budget: Budget) -> Encoding:
    present = _present(held, division, k, budget)
    number = sum(map(len, present()))
    return fit_time(facts.name, facts.use, present, division.sizes[TRAIN] - number, facts.zoned)


def _target(held: ColumnStore, division: Division, budget: Budget, transform: str) -> Target:
    facts, found = held.found.target, held.found
    asked = transform_for(transform, found.task, (facts.name,))
    if found.task == "classification":  # every class keeps a row for training
        return fit_classes(facts.name, facts.kind, Counter(found.classes))
    place = len(held.columns) - 1
    numbers, _ = _summary(held, division, place, budget)
    if asked == "none":
        return fit_number_target(facts.name, numbers, facts.marks)
    if asked != "log":
        raise ArgumentError(
            f"the transform {asked} needs all values of the target at once",
            expected="none or log for a table that is streamed",
            got=asked,
            where="--target-transform",
            try_="--target-transform log, or more --memory, so that nothing is streamed",
        )
    log = log_transform(facts.name, numbers.low, numbers.high)
    scaled = summarise(lambda: map(log.forward, _training_values(held, division, place, budget)))
    return replace(fit_number_target(facts.name, scaled, facts.marks), transform=log)


def _training_values(held: ColumnStore, division: Division, k: int, budget: Budget) -> Iterator[NDArray[np.float64]]:
    """The values of a column in the training part."""
    for first, values in held.pieces(k, budget.values):
        yield values[division.parts.get(first, first + len(values)) == TRAIN]


_BYTES_MEASURED = 32
"""Bytes per value that is measured in memory: itself, and what is made of it."""


def _present(held: ColumnStore, division: Division, k: int, budget: Budget) -> Chunks:
    """The values of a column in the training part that are there.

    Where there is memory for all of them they are read once, and their median is found at once.
    """

    def chunks() -> Iterator[NDArray[np.float64]]:
        return map(_there, _training_values(held, division, k, budget))

    if _BYTES_MEASURED * held.found.rows > budget.usable // 2:
        return chunks
    together = np.concatenate([*chunks()])
    return lambda: [together]


def _there(values: NDArray[np.float64]) -> NDArray[np.float64]:
    absent = np.isnan(values)
    return values[~absent] if absent.any() else values


def _summary(held: ColumnStore, division: Division, k: int, budget: Budget) -> tuple[Numbers, int]:
    """The training values of a column that are there, summed up, and the number of those that are missing."""
    numbers = summarise(_present(held, division, k, budget))
    return numbers, division.sizes[TRAIN] - numbers.count


def _level_counts(held: ColumnStore, division: Division, k: int, name: str, budget: Budget) -> Counter[str | None]:
    levels: list[str | None] = [*held.found.levels[name], None]
    counts = np.zeros(len(levels), np.int64)
    for values in _training_values(held, division, k, budget):
        codes = np.nan_to_num(values, nan=len(levels) - 1).astype(np.intp)
        counts += np.bincount(codes, minlength=len(levels))
    pairs = zip(levels, counts.tolist(), strict=True)
    return Counter({level: number for level, number in pairs if number})


# ------------------------------------------------------------------------------------------------- encoded rows
def _encode_parts(
    held: ColumnStore,
    division: Division,
    fitted: Preprocessing,
    budget: Budget,
    largest: int,
    seed: int,
    weights: PartWeights | None,
) -> list[DiskRows | None]:
    """The rows of each part, encoded, of which each rank does some; a block has at most `largest`."""
    features, classes = len(fitted.feature_names), bool(fitted.class_names)
    tail, dtype = ((), np.int64) if classes else ((1,), np.float32)
    parts: list[DiskRows | None] = []
    for part, size in enumerate(division.sizes):
        blocks = -(-size // largest)
        dealing = Dealing(size, blocks, seed, shuffled=part == TRAIN) if size else None
        parts.append(
            None if dealing is None else DiskRows(dealing, features, tail, dtype, weights is not None, held.ranks)
        )
    step = budget.rows_encoded(len(held.columns), features)
    held.ranks.each(lambda: _write_own(held, division, fitted, parts, step, weights))
    return parts


def _write_own(
    held: ColumnStore,
    division: Division,
    fitted: Preprocessing,
    parts: list[DiskRows | None],
    step: int,
    weights: PartWeights | None,
) -> None:
    """Write this rank's rows, encoded `step` at a time."""
    own = own_part(-(-held.found.rows // step), held.ranks)
    done = _rows_before(division, min(own.start * step, held.found.rows), step)
    for first in range(own.start * step, min(own.stop * step, held.found.rows), step):
        last = min(first + step, held.found.rows)
        held.ranks.beat()
        where, numbers = division.parts.get(first, last), held.rows.get(first, last)
        chosen = [np.flatnonzero(where == part) for part in range(len(parts))]
        # Columns are put in the order of rows on disk before they are encoded, since features are many more.
        placed = [
            (np.arange(0), np.arange(0)) if rows is None else rows.order(start, start + len(those))
            for rows, start, those in zip(parts, done, chosen, strict=True)
        ]
        taken = np.concatenate([those[order] for those, (order, _) in zip(chosen, placed, strict=True)])
        x, y = _encode_rows(held, fitted, first, last, taken)
        end = 0
        for part, rows in enumerate(parts):
            begin, end = end, end + len(chosen[part])
            if rows is not None and end > begin:
                more = () if weights is None else (weights.scaled(part, first, last)[taken[begin:end]],)
                rows.write(done[part], numbers[chosen[part]], placed[part][1], (x[begin:end], y[begin:end], *more))
                done[part] += end - begin


def _encode_rows(
    held: ColumnStore, fitted: Preprocessing, first: int, last: int, taken: NDArray[np.intp]
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """The rows `taken` of these, encoded.  Raises DataError for the first in the file that cannot be."""
    try:
        return fitted.transform(_table(held, first, last, taken))
    except DataError:
        fitted.transform(_table(held, first, last, np.arange(last - first)))
        raise


def _rows_before(division: Division, end: int, step: int) -> list[int]:
    """How many of the first `end` rows each part has."""
    counts = np.zeros(len(division.sizes), np.int64)
    for first in range(0, end, step):
        counts += np.bincount(division.parts.get(first, min(first + step, end)), minlength=len(counts))
    found: list[int] = counts.tolist()
    return found


def _table(held: ColumnStore, first: int, last: int, taken: NDArray[np.intp]) -> Table:
    """The rows `taken` of these as a table in memory."""
    found = held.found
    columns = [held.column(k, first, last, taken) for k in range(len(held.columns))]
    return Table(
        source=found.source,
        features=tuple(columns[:-1]),
        target=columns[-1],
        task=found.task,
        target_note="",
        task_note="",
        notes=(),
        dropped=found.dropped,
        rows=first + taken,
        place=_row_locator(found.source, bool(found.lost)),
    )


def _row_locator(source: str, lost: bool) -> Callable[[str, int], str]:
    counted = "the first is 0; rows without a target are not counted" if lost else "the first is 0"

    def place(column: str, row: int) -> str:
        return f"{source}, row {row} ({counted}), column {column!r}"

    return place


def _require_one_target(target: str | None, names: tuple[str, ...], source: str) -> None:
    """Raise DataError for several targets: their rows are held in memory."""
    if target not in names and len(words_of(target)) > 1:
        raise DataError(
            "several targets are learned from tables that fit into memory",
            expected="one --target for a file that is streamed",
            got=f"--target {target}, and less --memory than the file takes",
            where=source,
            try_="more --memory, or one target",
        )
