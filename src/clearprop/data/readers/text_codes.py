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
        self.type: polars.Enum | None = None
        self.different: NDArray[Any] = np.array([None], dtype=object)

    def levels(self, text: polars.Series, places: polars.Series | None = None) -> Levels | None:
        """The texts by their numbers, those that are new with the next ones; None where there is no room for these.

        `places` are those of the texts that were known.
        """
        import polars as pl

        known = self.type
        if places is None and known is not None:
            places = text.cast(known, strict=False).to_physical()
        if places is None or places.null_count() > text.null_count():
            new = text if places is None else text.filter(places.is_null())
            grown = self._add([level for level in new.unique(maintain_order=True).to_list() if level is not None])
            if grown is None:
                return None
            places = text.cast(grown).to_physical()
        if places.null_count():
            places = places.cast(pl.UInt32).fill_null(len(self.texts))
        return Levels(self.different, places.to_numpy(), met=known is None)

    def _add(self, new: list[str]) -> polars.Enum | None:
        """Note new texts, if there is room for them; else forget all."""
        import polars as pl

        size = _bytes_of(new)
        if self.closed or size > self._room.left:
            self._room.left += _bytes_of(self.texts)
            self.texts, self.type, self.closed = [], None, True
            self.different, self.asked = np.array([None], dtype=object), (b"", None)
            return None
        self._room.left -= size
        self.texts += new
        self.type = pl.Enum(self.texts)  # not by pyarrow, which alone is as large as the memory of a streamed table
        self.different = np.array([*self.texts, None], dtype=object)
        return self.type


def _bytes_of(texts: list[str]) -> int:
    return sum(map(len, texts)) + _TEXT_BYTES * len(texts)


def known_places(texts: polars.DataFrame, different: Sequence[TextCodes | None]) -> dict[int, polars.Series]:
    """The numbers of texts in those columns where some are known, null for others: of all columns in one go."""
    import polars as pl

    found = {
        f"{i}": pl.col(texts.columns[i]).cast(codes.type, strict=False).to_physical()
        for i, codes in enumerate(different)
        if codes is not None and codes.texts and codes.type is not None and texts.dtypes[i] == pl.String
    }
    return {int(place.name): place for place in texts.select(**found)} if found else {}


def levels_of(text: polars.Series, known: TextCodes | None, places: polars.Series | None, some: int) -> Levels | None:
    """The texts by those that are different, where these are `known`, with their `places`, or few of `some`."""
    found = known.levels(text, places) if known is not None and known.texts else None
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
