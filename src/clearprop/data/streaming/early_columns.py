"""Columns that are stored while they are looked at for the first time, before it is known what is learned from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clearprop.data.columns import ColumnKind
from clearprop.data.readers.text_codes import TextCodes
from clearprop.data.streaming.blocks import Values
from clearprop.data.streaming.scratch import Scratch, has_space

_NONE = -1
"""What is stored where no text is."""


@dataclass(frozen=True, eq=False)
class PlainValues:
    """The values of some rows as they are stored: numbers, or times in seconds."""

    kind: ColumnKind
    values: NDArray[np.float64]


@dataclass(eq=False)
class _Column:
    """What is known of a column that is on disk, as long as it is `whole`: all blocks are of one `kind`.

    Numbers and times stand as they are; of texts of which few are different stands their number in `codes`.  `used` are
    those that some row with a target has.
    """

    whole: bool = True
    kind: ColumnKind | None = None
    codes: TextCodes | None = None
    used: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    values: Values | None = None

    def stored(self, values: Values, kept: NDArray[np.intp], plain: PlainValues | None) -> NDArray[np.float64] | None:
        """The rows `kept` of a block as they are stored; None where they are not of the kind of those before."""
        found = values.codes
        codes, places = (None, None) if found is None else found
        kind: ColumnKind | None = "category" if codes is not None else None if plain is None else plain.kind
        self.whole = self.whole and kind is not None and self.kind in (None, kind) and self.codes in (None, codes)
        if not self.whole:
            self.codes = self.values = None
            return None
        self.kind, self.codes = kind, codes
        if codes is None or places is None:
            assert plain is not None
            return plain.values
        self.values = self.values or values.of_texts([])  # what makes columns of texts, without those of a block
        chosen = places if len(kept) == len(places) else places[kept]
        counts = np.bincount(chosen, minlength=len(codes.texts) + 1)
        self.used = np.append(self.used, np.zeros(len(codes.texts) - len(self.used), np.bool_)) | (counts[:-1] > 0)
        numbers = chosen.astype(np.float64)
        if counts[-1]:
            numbers[chosen == len(codes.texts)] = _NONE
        return numbers


class EarlyColumns:
    """The columns called `names` of a file with at most so many rows, on disk as far as they were read.

    The rows of one column follow each other, with room for `most`: where a file is shorter, nothing is written there.
    """

    def __init__(self, names: Sequence[str], most: int) -> None:
        self.names, self.most, self.size = tuple(names), most, 0
        self.numbers = Scratch(most * len(names), (), np.float64)
        self.rows = Scratch(most, (), np.int64)
        self._columns = {name: _Column() for name in names}

    @classmethod
    def of_file(cls, names: Sequence[str], most: int | None) -> EarlyColumns | None:
        """None where it is not known how many rows there are at `most`, or they may not find room on disk."""
        return cls(names, most) if most and has_space(most * 8 * (len(names) + 1)) else None

    def add(self, name: str, values: Values, kept: NDArray[np.intp], first: int, plain: PlainValues | None) -> None:
        """Store the rows `kept` of a block, from number `first` on; `plain` are their values, where these are known."""
        stored = self._columns[name].stored(values, kept, plain) if len(kept) else None
        if stored is not None:
            self.size += stored.nbytes
            self.numbers.write(self.names.index(name) * self.most + first, stored)

    def add_rows(self, first: int, numbers: NDArray[np.int64]) -> None:
        """Store the numbers that rows have in the file."""
        self.size += numbers.nbytes
        self.rows.write(first, numbers)

    def kind(self, name: str) -> ColumnKind | None:
        """What stands on disk of a column: numbers, times, or numbers of texts; None where it is not whole."""
        column = self._columns[name]
        closed = column.codes is not None and column.codes.closed
        return column.kind if column.whole and not closed else None

    def by_text(self, name: str, stored: Callable[[Values], NDArray[np.float64] | None]) -> NDArray[np.float64] | None:
        """What the numbers of texts stand for, NaN for none as the last, by what `stored` gives for the texts."""
        column = self._columns[name]
        assert column.codes is not None and column.values is not None
        values = np.full(len(column.codes.texts) + 1, np.nan)
        used = np.flatnonzero(column.used)
        if len(used):
            found = stored(column.values.of_texts([column.codes.texts[place] for place in used]))
            if found is None:
                return None
            values[used] = found
        return values

    def close(self) -> None:
        """Give the space on disk back."""
        self.numbers.close()
        self.rows.close()
