"""Running text as numbers: its characters or words, the stretches of it that a network reads, and what comes next."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.array_labels import ArrayLabels
from clearprop.data.columns import name_list, quantity
from clearprop.data.encodings import ClassTarget
from clearprop.data.parts import SourceRows
from clearprop.data.readers.plain_text import whole_text
from clearprop.data.readers.reading import AS_SHOWN, Reading
from clearprop.data.readers.sources import BUNDLED, file_form
from clearprop.errors import ArgumentError, DataError, unknown_name

UNITS = {"char": "character", "word": "word"}
"""What a text can be read by, and what one of it is called."""
MOST_WORDS = 10_000
"""So many words, the most frequent ones, are known at most; all others are `RARE`."""
RARE = "<rare>"
"""What stands for a word that is not known."""
_WORD = re.compile(r"\n|\w+(?:['’]\w+)*|[^\w\s]")
"""A line's end, a word, or a sign; spaces are no words."""
_NO_SPACE_BEFORE, _NO_SPACE_AFTER = frozenset(".,;:!?)]}\n"), frozenset("([{\n")
LARGEST_TEXT = 1 << 26
"""A text of more characters is refused: all of its stretches are held in memory."""


@dataclass(frozen=True)
class Vocabulary:
    """What a text is made of: every different character, or its most frequent words, numbered in this order.

    >>> known = Vocabulary.of("abba", "char")
    >>> known.encode("baa", "t.txt").tolist(), known.text([1, 0])
    ([1, 0, 0], 'ba')
    """

    unit: str
    items: tuple[str, ...]

    @classmethod
    def of(cls, text: str, unit: str) -> Vocabulary:
        """The vocabulary of a text."""
        if unit == "char":
            return cls(unit, tuple(sorted(set(text))))
        counts = Counter(_WORD.findall(text))
        known = [word for word, count in counts.most_common(MOST_WORDS) if count > 1]
        return cls(unit, tuple(sorted({*known, RARE})))

    @classmethod
    def of_labels(cls, unit: str, labels: ArrayLabels) -> Vocabulary:
        """The vocabulary that a run keeps as the classes of what comes next."""
        return cls(unit, labels.target.classes)

    @property
    def labels(self) -> ArrayLabels:
        """The items as the classes that are learned."""
        return ArrayLabels(ClassTarget(f"next {UNITS[self.unit]}", "category", self.items), "str")

    def encode(self, text: str, source: str) -> NDArray[np.int32]:
        """The numbers of the items of a text, `(items,)`.  Raises DataError for a character that is not known."""
        if self.unit == "word":
            places = {word: i for i, word in enumerate(self.items)}
            rare = places[RARE]
            return np.array([places.get(word, rare) for word in _WORD.findall(text)], dtype=np.int32)
        points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
        known = np.array([ord(item) for item in self.items], dtype=np.uint32)
        codes = np.minimum(np.searchsorted(known, points), len(known) - 1)
        strange = np.flatnonzero(known[codes] != points)
        if len(strange):
            raise _strange_character(self, text, int(strange[0]), len(strange), source)
        return codes.astype(np.int32)

    def text(self, codes: Sequence[int] | NDArray[Any]) -> str:
        """The text of these numbers; between words stand spaces, where there are no signs beside them."""
        items = [self.items[code] for code in codes]
        if self.unit == "char":
            return "".join(items)
        written = ""
        for item in items:
            joined = not written or item in _NO_SPACE_BEFORE or written[-1] in _NO_SPACE_AFTER
            written += item if joined else f" {item}"
        return written


def _strange_character(known: Vocabulary, text: str, place: int, number: int, source: str) -> DataError:
    return DataError(
        "the text holds a character that training did not have",
        expected=f"characters of the training, {len(known.items)} different ones",
        got=f"{text[place]!r}" + (f", and {quantity(number - 1, 'further one')}" if number > 1 else ""),
        where=f"{source}:{text.count(chr(10), 0, place) + 1}",
        try_="take it out, or put another in its place",
    )


def read_text(source: str | Path, encoding: str | None = None) -> str:
    """The text of a file, decoded and unpacked as tables are.  Raises DataError for what is no text, or too much."""
    return _text_and_note(source, encoding)[0]


def _text_and_note(source: str | Path, encoding: str | None) -> tuple[str, str]:
    """The same, with what is to be told of its encoding."""
    file_form(Path(source), str(source))  # refuses what is not there or cannot be read
    return whole_text(Path(source), str(source), LARGEST_TEXT, encoding)


def windows(codes: NDArray[np.int32], context: int, every: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Stretches `(rows, context)` of a text, one begun at every so many items, and for each item the next one.

    >>> x, y = windows(np.arange(6, dtype=np.int32), 3, 2)
    >>> x.tolist(), y.tolist()
    ([[0, 1, 2], [2, 3, 4]], [[1, 2, 3], [3, 4, 5]])
    """
    places = np.arange(0, len(codes) - context, every)[:, None] + np.arange(context)
    return codes[places], codes[places + 1]


def text_parts(
    source: Any,
    reading: Reading,
    validation: float | None,
    test: float | None,
    target: str | None = None,
    task: str = "auto",
) -> dict[str, Any]:
    """The fields of `Prepared` for a text of which it is learned what comes next.

    Its beginning trains, then comes what validates, and the end tests.
    Windows to train overlap by half, so that everything is foretold from half a context at least; others do not.

    Raises DataError for a text that is shorter than its parts need, ArgumentError for what is no text.
    """
    unit, context = reading.unit, reading.context
    if unit not in UNITS:
        raise unknown_name("unit", unit, UNITS, where="--unit")
    if not isinstance(source, str | Path) or str(source) in BUNDLED:
        raise ArgumentError(
            "a unit is that of a text in a file", expected="the path of a text file", got=f"{source!r:.80}"
        )
    _require_no_columns(reading, target, task)
    text, note = _text_and_note(source, reading.encoding)
    known = Vocabulary.of(text, unit)
    codes = known.encode(text, str(source))
    held = [round(share * len(codes)) for share in (validation or 0.0, test or 0.0)]
    first = len(codes) - sum(held)
    cuts = {"training": (0, first), "validation": (first, first + held[0]), "test": (first + held[0], len(codes))}
    parts, rows, counted = dict[str, Any](), dict[str, SourceRows](), 0
    for name, (begin, end) in cuts.items():
        if name != "training" and begin == end:
            continue
        _require_length(end - begin, name, unit, context, str(source))
        every = max(context // 2, 1) if name == "training" else context
        parts[name] = windows(codes[begin:end], context, every)
        rows[name] = SourceRows(np.arange(counted, counted + len(parts[name][0])))
        counted += len(parts[name][0])
    if codes.min() == codes.max():
        raise _nothing_to_learn(known, int(codes[0]), str(source))
    return {
        "train": parts["training"],
        "validation": parts.get("validation"),
        "test": parts.get("test"),
        "source": str(source),
        "told": _event_of(known, len(codes), context, held, note),
        "rows": rows,
        "labels": known.labels,
    }


def _require_no_columns(reading: Reading, target: str | None, task: str) -> None:
    """Raise ArgumentError for what is said of columns, or of how fields are written: a text has none."""
    usual, columns = AS_SHOWN, reading.columns
    said = {f"--{name}": getattr(reading, name) != getattr(usual, name) for name in _FORM}
    said |= {f"--{option}": getattr(columns, name) != getattr(usual.columns, name) for name, option in _ROLES.items()}
    said |= {"--target": target is not None, "--task": task not in ("auto", "classification")}
    given = [option for option, is_given in said.items() if is_given]
    if given:
        raise ArgumentError(
            "running text has no columns",
            expected="--unit with --context and --encoding, of what says how data are read",
            got=", ".join(given),
            where="--unit",
            try_="without them; or without --unit, if the file is a table",
        )


_FORM = ("delimiter", "decimal", "header", "missing", "size")
_ROLES = {
    "drop": "drop",
    "only": "only",
    "kinds": "kind",
    "split": "split or --group",
    "weight": "weight",
    "transform": "target-transform",
    "sequence": "sequence",
}
"""The fields of what is said of columns, and the options that say it."""


def _require_length(length: int, part: str, unit: str, context: int, source: str) -> None:
    if length <= context:
        name = UNITS[unit]
        raise DataError(
            f"the {part} part of the text is shorter than the context",
            expected=f"at least {context + 1:,} {name}s to train, to validate and to test",
            got=quantity(max(length, 0), name),
            where=source,
            try_=f"--context {max(length // 4, 1)}, or a longer text",
        )


def _nothing_to_learn(known: Vocabulary, code: int, source: str) -> DataError:
    """The error for a text in which what comes next is always the same."""
    item, name = known.items[code], UNITS[known.unit]
    what, got = f"two different {name}s or more", f"{item!r} alone"
    if item == RARE:
        what, got = "words that come more than once, which are the ones that are learned", "each word once"
    return DataError(
        "there is nothing to learn in this text", expected=what, got=got, where=source, try_="a longer text"
    )


def _event_of(known: Vocabulary, length: int, context: int, held: Sequence[int], note: str) -> dict[str, Any]:
    """What the `data` event says of a text."""
    name = UNITS[known.unit]
    notes = [
        note,
        f"a text of {length:,} {name}s, {len(known.items):,} different ones; rows of {context}, of which each is "
        "foretold from those before it",
        f"the last {held[1]:,} {name}s test, the {held[0]:,} before them validate" if all(held) else "",
    ]
    shown = name_list([repr(item) for item in known.items], 8)
    column = {
        "column": name, "kind": known.unit, "missing": 0, "encoding": f"{len(known.items)} numbers: {shown}",
        "note": "", "role": "feature",
    }  # fmt: skip
    target = {**column, "column": f"next {name}", "kind": "class", "encoding": "the same numbers", "role": "target"}
    return {
        "task": "classification",
        "target": f"next {name}",
        "classes": list(known.items),
        "features": context,
        "notes": [note for note in notes if note],
        "columns": [column, target],
    }
