"""What the first pass over a table found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.column_roles import ColumnFacts, Dropped, Task
from clearprop.data.streaming.blocks import Mark, RowRange
from clearprop.data.streaming.early_columns import EarlyColumns
from clearprop.data.streaming.sharers import Sharers, own_part


@dataclass(frozen=True)
class ScannedTable:
    """What the first pass found: `rows` have a target; `levels` are the texts of each text column, in order.

    `cuts` are where blocks of rows begin in the file, with the number of rows that have a target before them; `early`
    is what was stored meanwhile.
    """

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
    cuts: tuple[tuple[Mark | None, int], ...]
    early: EarlyColumns | None = None

    def part_of(self, ranks: Sharers) -> tuple[RowRange | None, int, int]:
        """What this process reads of the file, and which of the rows with a target these are: from, up to.

        A file that can only be read from its start is read by the first, whole: None.
        """
        own, ends = own_part(len(self.cuts), ranks), [*self.cuts, (None, self.rows)]
        first, last = ends[own.start], ends[own.stop]
        if any(mark is None for mark, _ in self.cuts) or ranks.size == 1:
            return None, 0, self.rows if ranks.rank == 0 else 0
        return (None if first[0] is None else RowRange(first[0], last[0])), first[1], last[1]
