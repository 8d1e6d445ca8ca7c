"""Rows to predict or to evaluate, encoded some at a time, so that a file may be larger than memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from clearprop.data.columns import Frame
from clearprop.data.encoded_rows import Encoded, EncodingReport
from clearprop.data.preprocessing import Preprocessing
from clearprop.data.readers.formats import STREAMED
from clearprop.data.readers.reading import AS_SHOWN, ColumnRequest, Reading
from clearprop.data.readers.sources import BUNDLED, file_form
from clearprop.data.streaming.blocks import RowBlock, UnchangingFile
from clearprop.data.streaming.memory import Budget
from clearprop.data.streaming.sharers import ALONE, Sharers
from clearprop.errors import DataWarning, warn_user

MEMORY = 256 * 10**6
"""The bytes that rows may take while they are predicted."""
MOST_UNSEEN = 1000
"""So many values of a column that training did not meet are told apart; all further ones are one."""
_FURTHER = "any further value"


def encoded_blocks(
    fitted: Preprocessing,
    source: Any,
    with_target: bool = False,
    keep: Sequence[str] = (),
    said: Reading = AS_SHOWN,
    ranks: Sharers = ALONE,
) -> Iterator[Encoded]:
    """What `Preprocessing.encode` gives, a block after another for a CSV or Parquet file, and whole for other sources.

    Of several `ranks`, which all call this, each gets its blocks, in their order; of other sources the first has all.

    Raises the errors of `encode`; those of a row when its block is reached.
    """
    if fitted.sequence is not None or not _is_table_file(source):  # whose rows may stand anywhere
        if ranks.rank == 0:
            yield fitted.encode(source, with_target, keep, said)
        return
    budget = Budget(MEMORY)
    watched = UnchangingFile(Path(source), str(source), budget, fitted.reading_with(keep, said), ranks)
    table = watched.table
    fitted.require_columns(table.names, table.source, with_target, said.fill)
    there = set(table.names)
    wanted = [*(c.name for c in fitted.columns), *(fitted.judged_by if with_target else []), *keep]
    needed = [name for name in dict.fromkeys(wanted) if name in there]
    size = budget.rows_encoded(len(needed), len(fitted.feature_names))
    rows = found = 0
    for block in watched.own_blocks(budget, ColumnRequest(needed, fitted.target.name, fitted.texts)):
        frame = _frame(block, table.source, fitted.texts)
        rows += block.rows
        for first in range(0, block.rows, size):
            encoded = fitted.encode_frame(_piece(frame, first, first + size), table.names, with_target, keep)
            found += len(encoded.rows)
            if len(encoded.rows):
                yield replace(encoded, rows=encoded.rows + block.first + first)
    if not found and ranks.size == 1:  # of several, who asked sees what all have
        raise fitted.nothing_to_evaluate(rows, table.source)


def _is_table_file(source: Any) -> bool:
    if not isinstance(source, str | Path) or str(source) in BUNDLED:
        return False
    return file_form(Path(source), str(source)) in STREAMED


def _frame(block: RowBlock, source: str, texts: frozenset[str]) -> Frame:
    columns = tuple(
        values.as_kind("category" if name in texts and values.fits("category") else values.kind)
        for name, values in block.columns.items()
    )
    return Frame(source, columns, block.place)


def _piece(frame: Frame, first: int, last: int) -> Frame:
    rows = np.arange(first, min(last, frame.rows))
    columns = tuple(column.take(rows) for column in frame.columns)
    return replace(frame, columns=columns, place=lambda column, row: frame.place(column, first + row))


def with_warning(blocks: Iterable[Encoded]) -> Iterator[Encoded]:
    """The blocks; behind the last a DataWarning tells what they hold that the training had not."""
    reports = list[EncodingReport]()
    for block in blocks:
        reports.append(block.report)
        yield block
    surprises = merge_reports(reports).surprises() if reports else []
    if surprises:
        warn_user("; ".join(surprises), DataWarning)


def tell_surprises(encoded: Encoded) -> Encoded:
    """The rows, of which `with_warning` has told."""
    (same,) = with_warning([encoded])
    return same


def merge_reports(reports: Iterable[EncodingReport]) -> EncodingReport:
    """What several blocks of one source met, together."""
    known, *others = reports
    for other in others:
        known = EncodingReport(
            known.reordered,
            known.ignored,
            {
                name: _limit_distinct(counts)
                for name, counts in _sum_by_name(known.unseen, other.unseen, Counter).items()
            },
            _sum_by_name(known.missing, other.missing, int),
            _sum_by_name(known.far, other.far, int),
            known.left_out + other.left_out,
            lost=known.lost + other.lost,
            bare=_sum_by_name(known.bare, other.bare, Counter),
        )
    return known


def _sum_by_name(a: Mapping[str, Any], b: Mapping[str, Any], empty: Callable[[], Any]) -> dict[str, Any]:
    return {name: _add(a.get(name, empty()), b.get(name, empty())) for name in dict.fromkeys((*a, *b))}


def _add(a: Any, b: Any) -> Any:
    return a + b if isinstance(a, int) else Counter(a) + Counter(b)


def _limit_distinct(counts: Counter[str]) -> Counter[str]:
    if len(counts) <= MOST_UNSEEN:
        return counts
    kept = Counter(dict(list(counts.items())[:MOST_UNSEEN]))
    kept[_FURTHER] += counts.total() - kept.total()
    return kept
