"""The different texts of a column, asked in place of all; in blocks each keeps its number from one to the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clearprop.data.columns import Column, ColumnKind, Levels

if TYPE_CHECKING:
    import polars

_TEXT_BYTES = 200
"""What a different text takes in memory besides its characters: here, and where others look at it."""


class TextRoom:
    """The bytes that the different texts of all columns may take together."""

    def __init__(self, left: float = float("inf")) -> None:
        self.left = left


class TextCodes:
    """The different `texts` of a column, in the order in which its rows have them first; none any more once `closed`.

    >>> import polars
    >>> codes = TextCodes()
    >>> [codes.levels(polars.Series(texts)).places.tolist() for texts in (["b", "a", "b"], ["c", None, "a"])]
    [[0, 1, 0], [2, 3, 1]]
    """

    def __init__(self, room: TextRoom | None = None) -> None:
        self.texts: list[str] = []
        self.closed = False
        self.asked: tuple[bytes, AskedTexts | None] = (b"", None)
        """The texts that some rows had last, and these as cells."""
        self._room = room or TextRoom()
        self._type: polars.Enum | None = None
        self.different: NDArray[Any] = np.array([None], dtype=object)

    def levels(self, text: polars.Series) -> Levels | None:
        """The texts by their numbers, those that are new with the next ones; None where there is no room for these."""
        import polars as pl

        known = self._type
        coded = text if known is None else text.cast(known, strict=False)
        if known is None or coded.null_count() > text.null_count():
            new = text if known is None else text.filter(coded.is_null())
            if not self._add([level for level in new.unique(maintain_order=True).to_list() if level is not None]):
                return None
            assert self._type is not None
            coded = text.cast(self._type)
        places = coded.to_physical().cast(pl.UInt32)
        if places.null_count():
            places = places.fill_null(len(self.texts))
        return Levels(self.different, places.to_numpy(), met=known is None)

    def _add(self, new: list[str]) -> bool:
        """Note new texts, if there is room for them; else forget all."""
        import polars as pl

        size = _bytes_of(new)
        if self.closed or size > self._room.left:
            self._room.left += _bytes_of(self.texts)
            self.texts, self._type, self.closed = [], None, True
            return False
        self._room.left -= size
        self.texts += new
        self._type = pl.Enum(self.texts)  # not by pyarrow, which alone is as large as the memory of a streamed table
        self.different = np.array([*self.texts, None], dtype=object)
        return True


def _bytes_of(texts: list[str]) -> int:
    return sum(map(len, texts)) + _TEXT_BYTES * len(texts)


def levels_of(text: polars.Series, known: TextCodes | None, some: int) -> Levels | None:
    """The texts by those that are different, where these are `known` or few among `some` of them."""
    found = known.levels(text) if known is not None and known.texts else None
    if found is not None:
        return found
    if len(text) <= some or text[:some].n_unique() > some // 2:
        return None
    begun = None if known is None or known.closed else known.levels(text)
    return TextCodes().levels(text) if begun is None else begun


class AskedTexts(Protocol):
    """Cells of a column of text, asked what they are."""

    def is_numbers(self) -> bool:
        """Whether every value is a number, and none a code."""

    def is_booleans(self) -> bool:
        """Whether every value is `true` or `false`."""

    def as_kind(self, kind: ColumnKind) -> Column:
        """The column as that kind."""


@dataclass(frozen=True, eq=False)
class FewTexts:
    """The texts of a column that are `there`, among its `levels`, as `cells`, each once."""

    levels: Levels
    there: NDArray[np.bool_]
    cells: AskedTexts

    def values(self, kind: ColumnKind) -> tuple[NDArray[np.float64], frozenset[str]]:
        """The values of all rows as numbers or truth values, and the marks beside these."""
        found = self.cells.as_kind(kind)
        values = np.full(len(self.there), np.nan)
        values[self.there] = found.values
        return values[self.levels.places], found.marks


def few_texts(levels: Levels, known: TextCodes | None, cells: Callable[[Sequence[str | None]], AskedTexts]) -> FewTexts:
    """The different texts as `cells`: those of the block before, where the same are there."""
    there = levels.counts > 0
    which = there.tobytes()
    if known is not None and known.asked[0] == which and known.asked[1] is not None:
        return FewTexts(levels, there, known.asked[1])
    asked = cells(levels.different[there].tolist())
    if known is not None:
        known.asked = which, asked
    return FewTexts(levels, there, asked)
