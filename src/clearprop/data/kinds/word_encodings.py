"""How texts that are more than levels become features: lists of categories, words in an order, free text."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clearprop.data.column_roles import MOST_LEVELS
from clearprop.data.columns import Column, Findings, Locator, as_category, name_list, quantity
from clearprop.data.kinds.lists import items_of
from clearprop.data.readers.reading import levels_in
from clearprop.data.slips import word_without_place

BUCKETS = 64
"""The features of a column of text."""
_GRAM = 3
"""The characters that are hashed together."""


def _features(values: NDArray[Any], width: int, encode: Callable[[str], NDArray[np.float32]]) -> NDArray[np.float32]:
    """The features of texts, `(width, rows)`, each different text encoded once; all 0 for None."""
    known = {text: i for i, text in enumerate(dict.fromkeys(values.tolist()))}
    table = np.zeros((len(known), width), np.float32)
    for text, i in known.items():
        if text is not None:
            table[i] = encode(text)
    rows = np.fromiter((known[text] for text in values.tolist()), np.intp, len(values))
    return np.ascontiguousarray(table[rows].T)


def _with_indicator(features: NDArray[np.float32], values: NDArray[Any], indicator: bool) -> NDArray[np.float32]:
    absent = np.array([[value is None for value in values]], np.float32).reshape(1, len(values))
    return np.concatenate([features, absent]) if indicator else features


def _note_missing(name: str, values: NDArray[Any], findings: Findings) -> None:
    findings.note_missing(name, np.fromiter((value is None for value in values), bool, len(values)))


@dataclass(frozen=True)
class ListEncoding:
    """One feature per item, 1 where the list of the row holds it: `a|b` has the items a and b.

    `separator` stands between items; `rare` items of training have no feature.  With `indicator` a last feature is 1
    where there is no list.
    """

    name: str
    separator: str
    items: tuple[str, ...]
    indicator: bool
    missing: int
    rare: int
    kind: Literal["list"] = "list"

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features."""
        names = tuple(f"{self.name}={item}" for item in self.items)
        return (*names, f"{self.name} missing") if self.indicator else names

    def encode(self, column: Column, _place: Locator, findings: Findings) -> NDArray[np.float32]:
        """The features, `(features, rows)`; items that training did not have are none of them."""
        values = as_category(column).values
        index = {item: i for i, item in enumerate(self.items)}
        unseen: Counter[str] = Counter()
        texts = Counter(values.tolist())
        for text, number in texts.items():
            if text is not None:
                unseen.update({item: number for item in items_of(text, self.separator) if item not in index})
        if unseen:
            findings.unseen[self.name] = dict(unseen)
        _note_missing(self.name, values, findings)

        def encode(text: str) -> NDArray[np.float32]:
            row = np.zeros(len(self.items), np.float32)
            row[[index[item] for item in items_of(text, self.separator) if item in index]] = 1
            return row

        return _with_indicator(_features(values, len(self.items), encode), values, self.indicator)

    def value_text(self, features: NDArray[np.float32]) -> str:
        """The list that gives these features, as far as its items are known."""
        if self.indicator and features[-1]:
            return "missing"
        told = [item for item, there in zip(self.items, features, strict=False) if there]
        return self.separator.join(told) or "none of the known items"

    @property
    def encoding(self) -> str:
        """The encoding in a few words."""
        return f"one feature per item: {name_list(self.items, 6)}"

    @property
    def note(self) -> str:
        """What a reader should know besides."""
        notes = [f"{self.separator!r} stands between items"]
        notes += ["missing has a feature of its own"] if self.indicator else []
        notes += [f"{quantity(self.rare, 'rarer item')} without a feature"] if self.rare else []
        return "; ".join(notes)


@dataclass(frozen=True)
class OrdinalEncoding:
    """Words in their order, from the least: a feature for each but the first, 1 where the value is that one or above.

    The code of a thermometer, which tells the order and leaves the distances open.  A missing value is all 0; with
    `indicator` a last feature is 1 there.
    """

    name: str
    levels: tuple[str, ...]
    indicator: bool
    missing: int
    kind: Literal["ordinal"] = "ordinal"

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features."""
        names = tuple(f"{self.name}≥{level}" for level in self.levels[1:])
        return (*names, f"{self.name} missing") if self.indicator else names

    def encode(self, column: Column, place: Locator, findings: Findings) -> NDArray[np.float32]:
        """The features, `(features, rows)`.  Raises DataError for a word that has no place in the order."""
        values = as_category(column).values
        index = {level: i for i, level in enumerate(self.levels)}
        strange = next((i for i, text in enumerate(values) if text is not None and text not in index), None)
        if strange is not None:
            raise word_without_place(self.name, values[strange], self.levels, place(self.name, strange))
        _note_missing(self.name, values, findings)
        steps = np.arange(1, len(self.levels))
        features = _features(values, len(steps), lambda text: (steps <= index[text]).astype(np.float32))
        return _with_indicator(features, values, self.indicator)

    def value_text(self, features: NDArray[np.float32]) -> str:
        """The word that gives these features."""
        missing = self.indicator and bool(features[-1])
        return "missing" if missing else self.levels[int(features[: len(self.levels) - 1].sum())]

    @property
    def encoding(self) -> str:
        """The encoding in a few words."""
        return f"steps of {' < '.join(self.levels[:8])}" + (" < …" if len(self.levels) > 8 else "")

    @property
    def note(self) -> str:
        """What a reader should know besides."""
        return "missing has a feature of its own" if self.indicator else ""


@dataclass(frozen=True)
class TextEncoding:
    """Counts of three characters in a row, hashed to a number of `buckets`, with the length 1 (all 0 for no text).

    Characters are taken in small letters, with a blank before and behind (hashing trick: Weinberger et al. 2009; CRC-32
    chooses the bucket, and one more bit of it the sign).  With `indicator` a last feature is 1 where there is no text.
    """

    name: str
    buckets: int
    indicator: bool
    missing: int
    kind: Literal["text"] = "text"

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features."""
        names = tuple(f"{self.name} #{i}" for i in range(self.buckets))
        return (*names, f"{self.name} missing") if self.indicator else names

    def encode(self, column: Column, _place: Locator, findings: Findings) -> NDArray[np.float32]:
        """The features, `(features, rows)`."""
        values = as_category(column).values
        _note_missing(self.name, values, findings)
        features = _features(values, self.buckets, lambda text: hashed_text(text, self.buckets))
        return _with_indicator(features, values, self.indicator)

    @property
    def encoding(self) -> str:
        """The encoding in a few words."""
        return f"{_GRAM} characters at a time, hashed to {self.buckets} features"

    @property
    def note(self) -> str:
        """What a reader should know besides."""
        return "missing has a feature of its own" if self.indicator else ""


def hashed_text(text: str, buckets: int) -> NDArray[np.float32]:
    """The features of a text, `(buckets,)`, as `TextEncoding` says.

    >>> float(np.square(hashed_text("abcd", 8)).sum().round(6)), float(hashed_text("", 8).sum())
    (1.0, 0.0)
    """
    padded = f" {text.strip().lower()} "
    counts = np.zeros(buckets)
    for i in range(len(padded) - _GRAM + 1):
        code = zlib.crc32(padded[i : i + _GRAM].encode("utf-8", "surrogatepass"))
        counts[code % buckets] += 1.0 if code & (1 << 31) else -1.0
    length = float(np.sqrt((counts * counts).sum()))
    return (counts / (length or 1.0)).astype(np.float32)


WordEncoding = ListEncoding | OrdinalEncoding | TextEncoding


def fit_words(name: str, use: str, counts: Counter[Any]) -> WordEncoding:
    """The encoding of texts that occur so often in training (None: missing), used as `use` says.

    `use` is `text`, `list` and the sign between items, or words in their order.

    >>> fit_words("tags", "list|", Counter(["a|b", "b"])).features
    ('tags=a', 'tags=b')
    """
    missing = counts[None]
    if use == "text":
        return TextEncoding(name, BUCKETS, missing > 0, missing)
    if use.startswith("list"):
        separator = use.removeprefix("list")
        items = _item_counts(counts, separator)
        frequent = sorted(items, key=lambda item: (-items[item], item))
        kept, rare = tuple(sorted(frequent[:MOST_LEVELS])), max(0, len(frequent) - MOST_LEVELS)
        return ListEncoding(name, separator, kept, missing > 0, missing, rare)
    return OrdinalEncoding(name, levels_in(use), missing > 0, missing)


def _item_counts(counts: Counter[Any], separator: str) -> Counter[str]:
    found: Counter[str] = Counter()
    texts: Iterable[tuple[Any, int]] = counts.items()
    for text, number in texts:
        if text is not None:
            found.update(dict.fromkeys(items_of(text, separator), number))
    return found
