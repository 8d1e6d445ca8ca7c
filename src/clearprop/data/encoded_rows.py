"""Rows that were encoded, and what was met that training had not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.columns import Column, RowNumbers, name_list, quantity


@dataclass(frozen=True)
class EncodingReport:
    """What encoding met that differs from training, and `notes` of who read the source: see `lines()`."""

    reordered: bool
    ignored: tuple[str, ...]
    unseen: Mapping[str, Mapping[str, int]]
    missing: Mapping[str, int]
    far: Mapping[str, int]
    left_out: int
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The report as sentences, empty if there is nothing to say."""
        lines = [*self.notes]
        lines += ["the columns stand in another order than in training: put right"] if self.reordered else []
        if self.ignored:
            lines.append(f"not used, because training did not: {name_list(self.ignored)}")
        for name, counts in self.unseen.items():
            shown = name_list([f"{value!r} ({quantity(n, 'row')})" for value, n in counts.items()], 6)
            lines.append(f"column {name!r}: no feature for {shown}; encoded as none of the known levels")
        if self.missing:
            shown = name_list([f"{name} ({n})" for name, n in self.missing.items()])
            lines.append(f"missing values filled in: {shown}")
        if self.far:
            shown = name_list([f"{name} ({n})" for name, n in self.far.items()])
            lines.append(f"numbers far outside the range of training: {shown}")
        if self.left_out:
            lines.append(f"{quantity(self.left_out, 'row')} left out: no value in the target")
        return lines


@dataclass(frozen=True, eq=False)
class Encoded:
    """Encoded rows: `x` `(rows, features)` float32, `y` as `Preprocessing.transform` gives it or None.

    `rows` are the numbers of the encoded rows in the source, from 0; `kept` are columns as they stand there, as texts.
    With the target comes the `weight` of each row, where rows of the training had some.
    """

    x: NDArray[np.float32]
    y: NDArray[Any] | None
    rows: RowNumbers
    report: EncodingReport
    kept: tuple[Column, ...] = ()
    weight: NDArray[np.float64] | None = None
