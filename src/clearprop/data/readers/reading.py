"""How a table is to be read: what the user says of file and columns, and what stands for a missing value."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from clearprop.data.columns import name_list
from clearprop.errors import ArgumentError, DataError, nearest

MISSING = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NAN", "null", "NULL", "None", "?")
"""The spellings of a missing value, unless the user says others."""
DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar", " ": "a space"}
"""What may stand between fields, in the order of preference."""
_WORDS = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "bar": "|", "pipe": "|", "space": " "}


KINDS = ("number", "category", "date", "day-first", "month-first", "text", "list")
"""What a column can be said to be; besides these, words in their order: `S<M<L`."""
TIMES = ("date", "day-first", "month-first")
TARGET_KINDS = ("number", "category")
"""What a target can be said to be: a quantity, or classes."""
_AS_TEXT = ("category", "text", "list")


@dataclass(frozen=True)
class ColumnChoice:
    """Columns to `drop`, to use `only`, and the `kinds` of some, by name.  Nothing that is said is passed over.

    >>> choice = ColumnChoice.from_words(drop="a, b", kind="size=S<M<L,zip=category")
    >>> choice.kind_of("size"), choice.reason("a"), choice.texts == {"size", "zip"}
    ('S<M<L', 'as asked', True)
    """

    drop: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None
    kinds: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_words(cls, drop: str | None = None, only: str | None = None, kind: str | None = None) -> ColumnChoice:
        """The same from names with commas between them, and from `name=kind`; quotes hold a name with a comma together.

        Raises ArgumentError for a kind that there is not.
        """
        kinds = []
        for word in words_of(kind):
            name, sign, what = word.partition("=")
            if not sign or not name.strip() or not is_kind(what.strip()):
                raise ArgumentError(
                    f"--kind cannot be {word!r}",
                    expected="COL=KIND, with KIND one of " + ", ".join(KINDS) + ", or words in their order: S<M<L",
                    got=repr(word),
                    where="--kind",
                    try_=f"--kind {(name.strip() or 'zip') if sign else word.strip()}=category",
                )
            kinds.append((name.strip(), what.strip()))
        return cls(words_of(drop), None if only is None else words_of(only), tuple(kinds))

    @property
    def texts(self) -> frozenset[str]:
        """The columns whose values are texts, even where they look like numbers."""
        return frozenset(name for name, kind in self.kinds if kind in _AS_TEXT or "<" in kind)

    @property
    def as_written(self) -> frozenset[str]:
        """The columns of which it matters how their values are written: `texts`, and dates."""
        return self.texts | {name for name, kind in self.kinds if kind in TIMES}

    def kind_of(self, name: str) -> str:
        """What is said of the kind of a column; empty if nothing is."""
        return dict(self.kinds).get(name, "")

    def asked(self, name: str) -> str:
        """What is asked for of a column: its kind, or that it is one of those to be used; empty if nothing is."""
        return self.kind_of(name) or ("used" if name in (self.only or ()) else "")

    def reason(self, name: str) -> str:
        """Why a feature column is left out, by what is asked for; empty if it is not."""
        return "as asked" if name in self.drop or (self.only is not None and name not in self.only) else ""

    def require_known(self, names: Iterable[str], source: str) -> None:
        """Raise DataError for a name that no column has."""
        known = tuple(names)
        said = {"--drop": self.drop, "--only": self.only or (), "--kind": tuple(name for name, _ in self.kinds)}
        for option, columns in said.items():
            require_names(columns, known, option, source)


AS_THEY_ARE = ColumnChoice()
"""Nothing is said of any column."""


def words_of(text: str | None) -> tuple[str, ...]:
    """Words with commas between them; quotes hold one with a comma together.

    >>> words_of('a, b,"c, d"')
    ('a', 'b', 'c, d')
    """
    rows = csv.reader([text or ""], skipinitialspace=True)
    return tuple(word.strip() for row in rows for word in row if word.strip())


def is_kind(text: str) -> bool:
    """Whether a text names a kind: one of `KINDS`, or different words in their order."""
    levels = levels_in(text)
    return text in KINDS or (len(levels) > 1 and "" not in levels and len(set(levels)) == len(levels))


def levels_in(kind: str) -> tuple[str, ...]:
    """The words of an order, from the least to the greatest.

    >>> levels_in("S < M < L")
    ('S', 'M', 'L')
    """
    return tuple(word.strip() for word in kind.split("<"))


def word_without_place(name: str, word: str, levels: tuple[str, ...], where: str) -> DataError:
    """The error for a word in a column of ordered words that is none of them."""
    return DataError(
        f"column {name!r} holds a word that has no place in its order",
        expected=" < ".join(levels),
        got=repr(word),
        where=where,
        try_=f"correct the value, leave it empty, or name all words: --kind '{name}={'<'.join(levels)}<{word}'",
    )


def require_names(columns: Iterable[str], known: tuple[str, ...], option: str, source: str) -> None:
    """Raise DataError for a column, named in an option, that a source does not have."""
    for name in columns:
        if name not in known:
            close = nearest(name, known)
            raise DataError(
                f"no column named {name!r}",
                expected="one of: " + name_list(known),
                got=repr(name),
                where=f"{option}, {source}",
                try_=f"{close!r}, the nearest name" if close else "one of the names above",
            )


def kinds_from(said: Mapping[str, str]) -> str:
    """Kinds by name as the words that `from_words` reads.

    >>> kinds_from({"zip": "category"})
    'zip=category'
    """
    return quoted_words(f"{name}={kind}" for name, kind in said.items())


def quoted_words(words: Iterable[str]) -> str:
    """Words as the text that `words_of` reads.

    >>> quoted_words(["a", "c, d"])
    'a,"c, d"'
    """
    return ",".join(f'"{word}"' if "," in word else word for word in words)


@dataclass(frozen=True)
class Reading:
    r"""What a user says of a file and its columns; None where the file itself shall show it.

    Arguments:
        encoding: the encoding of the text, by a name that Python knows: `cp1252`, `utf-16`.
        delimiter: what stands between fields: one of , ; | or a tab or a space, also by name.
        decimal: the sign before the decimals, `.` or `,`; the other one may group thousands.
        header: whether the first line holds the names of the columns.
        missing: the words for a missing value, in place of the usual ones; an empty cell always is one.
        columns: which columns are used, and as what.
        spelled: the columns of which it is kept how they are written, besides the target.

    >>> Reading(delimiter="tab").separator, Reading(missing=("-",)).missing_words
    ('\t', ('', '-'))
    """

    encoding: str | None = None
    delimiter: str | None = None
    decimal: str | None = None
    header: bool | None = None
    missing: tuple[str, ...] | None = None
    columns: ColumnChoice = AS_THEY_ARE
    spelled: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.delimiter is not None and self.separator not in DELIMITERS:
            raise _option_error("--delimiter", ", ; | tab space", self.delimiter, "--delimiter ';'")
        if self.decimal not in (None, ".", ","):
            raise _option_error("--decimal", ". or ,", str(self.decimal), "--decimal ,")
        if self.encoding is not None:
            try:
                codecs.lookup(self.encoding)
            except (LookupError, ValueError):
                raise _option_error(
                    "--encoding", "the name of an encoding", self.encoding, "--encoding cp1252"
                ) from None

    @classmethod
    def from_words(
        cls,
        encoding: str | None = None,
        delimiter: str | None = None,
        decimal: str | None = None,
        header: str | None = None,
        missing: str | None = None,
        **columns: str | None,
    ) -> Reading:
        """The same from words of the command line: `header` is auto, yes or no, `missing` words with commas between.

        `columns` are the words of `ColumnChoice.from_words`.

        >>> Reading.from_words(header="no", missing="-,999").missing
        ('-', '999')
        """
        known = {"auto": None, "yes": True, "no": False}
        if header is not None and header not in known:
            raise _option_error("--header", "auto, yes or no", header, "--header no")
        words = None if missing is None else tuple(word.strip() for word in missing.split(","))
        choice = ColumnChoice.from_words(**columns)
        return cls(encoding, delimiter, decimal, known[header or "auto"], words, choice)

    @property
    def separator(self) -> str | None:
        """The delimiter as a character."""
        return None if self.delimiter is None else _WORDS.get(self.delimiter, self.delimiter)

    @property
    def missing_words(self) -> tuple[str, ...]:
        """The spellings of a missing value."""
        return MISSING if self.missing is None else tuple(dict.fromkeys(("", *self.missing)))


def _option_error(option: str, expected: str, got: str, try_: str) -> ArgumentError:
    return ArgumentError(f"{option} cannot be {got!r}", expected=expected, got=repr(got), where=option, try_=try_)


READING = ("encoding", "delimiter", "decimal", "header", "missing", "drop", "only", "kind")
"""The words of `Reading.from_words`, as settings and options are called."""
AS_SHOWN = Reading()
"""Nothing is said: the file shows all."""
