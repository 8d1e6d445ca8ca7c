"""The second pass over a table: its columns as numbers, one after the other on disk."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from clearprop.data.column_roles import ColumnFacts
from clearprop.data.columns import TRUTHS, Column, Levels, as_boolean
from clearprop.data.kinds.times import seconds_of
from clearprop.data.readers.reading import ColumnRequest
from clearprop.data.streaming.blocks import UnchangingFile, Values, texts_in
from clearprop.data.streaming.early_columns import EarlyColumns
from clearprop.data.streaming.memory import Budget
from clearprop.data.streaming.scanned_table import ScannedTable
from clearprop.data.streaming.scratch import Scratch, require_space
from clearprop.data.streaming.sharers import ALONE, Sharers


class ColumnStore:
    """The columns that are used, as float64 on disk; the target is the last one.

    Numbers stand as they are, truth values as 0 and 1, texts as the number of their level, classes as the number of
    their class, and NaN where a value is missing.  Several `ranks` have them on disk once.
    """

    def __init__(self, found: ScannedTable, ranks: Sharers = ALONE) -> None:
        self.found, self.ranks, early = found, ranks, found.early
        self.columns: tuple[ColumnFacts, ...] = (*found.features, found.target)
        require_space(found.rows * (8 * len(self.columns) + 9), 0 if early is None else early.size)
        self._meanings: dict[int, NDArray[np.float64]] = {}
        """What the numbers on disk stand for, of columns where these are places of texts."""
        self.missing: frozenset[str] = frozenset(facts.name for facts in self.columns)
        """The columns that are not there yet."""
        if early is None:
            self._starts = [k * found.rows for k in range(len(self.columns))]
            self.numbers = Scratch(found.rows * len(self.columns), (), np.float64, ranks)
            self.rows = Scratch(found.rows, (), np.int64, ranks)
            """The number of each row in the source."""
        else:
            self._starts = [early.names.index(facts.name) * early.most for facts in self.columns]
            self.numbers, self.rows = early.numbers, early.rows
            self.missing -= {facts.name for k, facts in enumerate(self.columns) if self._take(early, k, facts)}

    def _take(self, early: EarlyColumns, k: int, facts: ColumnFacts) -> bool:
        """Whether what is on disk of column number k already is all of it."""
        codes, kind = _codes(self.found, facts), early.kind(facts.name)
        if kind != "category":
            return kind == facts.kind and codes is None
        known = early.by_text(facts.name, lambda texts: _stored_values(texts, facts, codes))
        if known is not None:
            self._meanings[k] = known
        return known is not None

    def write(self, k: int, first: int, values: NDArray[np.float64]) -> None:
        """Write values of column number k, from row `first` on."""
        self.numbers.write(self._starts[k] + first, values)

    def values(self, k: int, first: int, last: int) -> NDArray[np.float64]:
        """Values of column number k."""
        found: NDArray[np.float64] = self.numbers.get(self._starts[k] + first, self._starts[k] + last)
        known = self._meanings.get(k)
        return found if known is None else known[found.astype(np.intp)]

    def pieces(self, k: int, size: int) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """Column number k in pieces, with the row at which each begins."""
        for first in range(0, self.found.rows, size):
            self.ranks.beat()
            yield first, self.values(k, first, min(first + size, self.found.rows))

    def labels(self, first: int, last: int) -> NDArray[np.intp]:
        """The class of each row; all 0 in a regression."""
        if self.found.task == "regression":
            return np.zeros(last - first, np.intp)
        return self.values(len(self.columns) - 1, first, last).astype(np.intp)

    def column(self, k: int, first: int, last: int, taken: NDArray[np.intp] | None = None) -> Column:
        """Rows of column number k, as they were read: of these the ones `taken`, in their order."""
        facts, found, values = self.columns[k], self.found, self.values(k, first, last)
        values = values if taken is None else values[taken]
        if facts is found.target and found.task == "classification":
            if isinstance(found.classes[0], str):
                return _column_of_levels(facts, found.classes, values)
            return Column(facts.name, facts.kind, np.array(found.classes, np.float64)[values.astype(np.intp)])
        if facts.kind == "category":
            return _column_of_levels(facts, found.levels[facts.name], values)
        return Column(facts.name, facts.kind, values, use=facts.use)


def _column_of_levels(facts: ColumnFacts, texts: Sequence[str], places: NDArray[np.float64]) -> Column:
    """Texts by their places among the different ones, NaN for none."""
    rows = np.where(np.isnan(places), len(texts), places).astype(np.int32)
    levels = Levels(np.array([*texts, None], dtype=object), rows, met=False)
    return Column(facts.name, "category", levels.texts, use=facts.use, known=levels)


def store_columns(
    watched: UnchangingFile,
    found: ScannedTable,
    budget: Budget,
    ranks: Sharers = ALONE,
    watch: Callable[[str], object] = lambda _: None,
) -> ColumnStore:
    """Store what is used and is not stored yet: all rows are read again, of several `ranks` by each a part.

    Raises DataError if the file is not what it was.
    """
    result = ColumnStore(found, ranks)
    if result.missing:
        watch(f"{found.source} is read again: {found.rows:,} rows are stored")
        ranks.each(lambda: _store_part(watched, result, budget))
    else:
        watched.require_unchanged()
    return result


def _store_part(watched: UnchangingFile, result: ColumnStore, budget: Budget) -> None:
    # Whatever the first pass did not meet means that the file has changed since: nothing is stored that does not fit.
    found = result.found
    part, begin, end = found.part_of(result.ranks)
    if begin == end:
        return
    goal = found.target.name
    places = {facts.name: k for k, facts in enumerate(result.columns) if facts.name in result.missing}
    codes = {facts.name: _codes(found, facts) for facts in result.columns}
    for group in watched.table.groups(budget):
        used = [name for name in group if name in places]
        first = begin
        texts = {name for name in used if result.columns[places[name]].kind != "number"}
        asked = ColumnRequest({*used, goal}, goal, texts)
        for block in watched.blocks(budget, asked, part) if used else ():
            kept = np.flatnonzero(~block.columns[goal].missing)
            if first + len(kept) > end:
                raise watched.changed()
            if goal in used:
                result.rows.write(first, block.first + kept)
            for name in used:
                k = places[name]
                values = _stored_values(block.columns[name], result.columns[k], codes[name], kept)
                if values is None:
                    raise watched.changed()
                result.write(k, first, values)
            first += len(kept)
        if used and first != end:
            raise watched.changed()


def _codes(found: ScannedTable, facts: ColumnFacts) -> dict[object, float] | None:
    """The number of each class or level, for a column that is stored as such."""
    if facts is found.target and found.task == "classification":
        return {value: float(i) for i, value in enumerate(found.classes)}
    if facts.kind != "category":
        return None
    known: dict[object, float] = {level: float(i) for i, level in enumerate(found.levels[facts.name])}
    return known | {None: np.nan}


def _stored_values(
    values: Values, facts: ColumnFacts, codes: dict[object, float] | None, kept: NDArray[np.intp] | None = None
) -> NDArray[np.float64] | None:
    """The values of the rows `kept` (None: all) as they are stored; None if the first pass did not meet such values."""
    found = _as_facts_say(values, facts)
    if found is None:
        return None
    column = found if kept is None or len(kept) == len(found.values) else found.take(kept)
    if codes is None:
        return np.asarray(column.values, dtype=np.float64)
    # Of texts each different one is looked up once, and only those that stand in some row: others may be new.
    keys = column.values if column.texts is None else column.levels.different
    used = np.ones(len(keys), np.bool_) if column.texts is None else column.levels.counts > 0
    if facts.kind == "boolean" and column.spelling is not None:
        codes = {key: code for text, code in codes.items() for key in {text, *_spellings(column.levels.there, text)}}
    stored = np.full(len(keys), np.nan)
    try:
        stored[used] = [codes[key] for key in keys[used].tolist()]
    except KeyError:
        return None
    return stored if column.texts is None else stored[column.levels.places]


def _as_facts_say(values: Values, facts: ColumnFacts) -> Column | None:
    """The values as the kind that the first pass found; None if they do not fit it."""
    if values.fits(facts.kind):
        return values.as_kind(facts.kind)
    if facts.kind == "number" and values.fits("boolean"):
        return replace(values.as_kind("boolean"), kind="number")
    if facts.kind not in ("time", "boolean"):
        return None
    texts = texts_in(values)
    if facts.kind == "boolean":
        fit = all(text.lower() in TRUTHS for text in texts.levels.there)
        return as_boolean(texts, lambda *_: "") if fit else None
    seconds = seconds_of(texts, facts.use)
    fit = not np.isnan(seconds[~texts.missing]).any()
    return Column(facts.name, "time", seconds, zoned=facts.zoned) if fit else None


def _spellings(keys: Collection[str], text: object) -> set[str]:
    """The ways in which a truth value is written."""
    return {key for key in keys if key.lower() == str(text).lower()}
