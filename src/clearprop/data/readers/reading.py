"""How a table is to be read: what the user says of file and columns, and what stands for a missing value."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypedDict

from clearprop.data.columns import PictureForm, name_list
from clearprop.data.readers.formats import USUAL_CONTEXT
from clearprop.errors import ArgumentError, DataError, nearest, user_line

MISSING = (
    "", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NAN", "null", "NULL", "None", "?", r"\N",
    "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#NULL!",
)  # fmt: skip
"""The spellings of a missing value, unless the user says others."""
DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar", " ": "a space"}
"""What may stand between fields, in the order of preference."""
_SIZE = re.compile(r"[1-9]\d{0,4}x[1-9]\d{0,4}")
_WORDS = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "bar": "|", "pipe": "|", "space": " "}


KINDS = ("number", "category", "date", "day-first", "month-first", "text", "list")
"""What a column can be said to be; besides these, words in their order: `S<M<L`."""
TIMES = ("date", "day-first", "month-first")
TARGET_KINDS = ("number", "category")
"""What a target can be said to be: a quantity, or classes."""
_AS_TEXT = ("category", "text", "list")


WAYS = ("random", "time", "group", "column")
"""The ways to divide rows into parts."""


@dataclass(frozen=True)
class Splitting:
    """How rows are divided into parts: at `random`, or by a column.

    `time`: the earliest rows train, the latest test; `group`: rows with one value of the column stay together;
    `column`: its words name the parts.

    >>> Splitting.from_words("time:sold"), Splitting.from_words(None, "customer").option
    (Splitting(way='time', column='sold'), '--split group:customer')
    """

    way: str = "random"
    column: str | None = None

    @classmethod
    def from_words(cls, split: str | None = None, group: str | None = None) -> Splitting:
        """The same from `random`, `time:COL`, `group:COL` or `column:COL`; `group` is short for `group:COL`.

        Raises ArgumentError for anything else, and for both at once.
        """
        if group is not None and split not in (None, "random"):
            raise ArgumentError(
                "rows are divided in one way",
                expected="--group or --split",
                got=f"--group {group} and --split {split}",
                where="--group",
                try_=f"--split group:{group}",
            )
        if group is not None:
            return cls("group", group)
        way, _, column = ("random" if split is None else split).partition(":")
        if way not in WAYS or (way == "random") == bool(column.strip()):
            raise _option_error("--split", "random, time:COL, group:COL or column:COL", str(split), "--split time:date")
        return cls(way, column.strip() or None)

    @property
    def option(self) -> str:
        """The option that asks for it."""
        return f"--split {self.way}" + ("" if self.column is None else f":{self.column}")

    def reason(self, name: str) -> str:
        """Why a column is no feature: it says which rows belong together, or to which part; empty if it does not."""
        if name != self.column or self.way == "time":
            return ""
        return f"{GROUPS} ({self.option})" if self.way == "group" else f"it names the parts ({self.option})"


RANDOM = Splitting()
"""Rows are divided at random."""
GROUPS = "it tells groups of rows apart"
"""The reason, as it begins, for which a column is left out whose values stay together."""


@dataclass(frozen=True)
class ColumnChoice:
    """Columns to `drop`, to use `only`, the `kinds` of some, how rows are `split`, the column that is their `weight`.

    `transform` is what is learned of a target of numbers.  By `sequence`, an identifier and a time, rows are the steps
    of sequences.  Nothing said is passed over.

    >>> choice = ColumnChoice.from_words(drop="a, b", kind="size=S<M<L,zip=category")
    >>> choice.kind_of("size"), choice.reason("a"), choice.texts == {"size", "zip"}
    ('S<M<L', 'as asked', True)
    """

    drop: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None
    kinds: tuple[tuple[str, str], ...] = ()
    split: Splitting = RANDOM
    weight: str | None = None
    transform: str = "none"
    sequence: tuple[str, str] | None = None

    @classmethod
    def from_words(
        cls,
        drop: str | None = None,
        only: str | None = None,
        kind: str | None = None,
        split: str | None = None,
        group: str | None = None,
        weight: str | None = None,
        target_transform: str | None = None,
        sequence: str | None = None,
    ) -> ColumnChoice:
        """The same from names with commas between them, and from `name=kind`; quotes hold a name with a comma together.

        `split` and `group` are those of `Splitting.from_words`.  Raises ArgumentError for a kind that there is not.
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
        used = None if only is None else words_of(only)
        divided = Splitting.from_words(split, group)
        by = None if sequence is None else _sequence_columns(sequence)
        return cls(words_of(drop), used, tuple(kinds), divided, weight, target_transform or "none", by)

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
        return self._kinds_by_name.get(name, "")

    @cached_property
    def _kinds_by_name(self) -> dict[str, str]:
        return dict(self.kinds)

    def asked(self, name: str) -> str:
        """What is asked for of a column: its kind, or that it is one of those to be used; empty if nothing is."""
        return self.kind_of(name) or ("used" if name in (self.only or ()) else "")

    def reason(self, name: str) -> str:
        """Why a feature column is left out, by what is asked for; empty if it is not."""
        if name == self.weight:
            return f"it weighs the rows (--weight {name})"
        if self.sequence is not None and name in self.sequence:
            option = f"(--sequence {':'.join(self.sequence)})"
            return f"{GROUPS}, sequences {option}" if name == self.sequence[0] else f"it orders the steps {option}"
        if name in self.drop or (self.only is not None and name not in self.only):
            return "as asked"
        return "" if name in (self.only or ()) else self.split.reason(name)

    def require_known(self, names: Iterable[str], source: str) -> None:
        """Raise DataError for a name that no column has."""
        known = tuple(names)
        said = {"--drop": self.drop, "--only": self.only or (), "--kind": tuple(name for name, _ in self.kinds)}
        said["--weight"] = () if self.weight is None else (self.weight,)
        said["--split"] = () if self.split.column is None else (self.split.column,)
        said["--sequence"] = self.sequence or ()
        for option, columns in said.items():
            require_names(columns, known, option, source)


AS_THEY_ARE = ColumnChoice()
"""Nothing is said of any column."""


def _sequence_columns(text: str) -> tuple[str, str]:
    """The two columns that `ID:TIME` names."""
    identifier, _, time = (word.strip() for word in text.partition(":"))
    if not identifier or not time or identifier == time:
        raise _option_error("--sequence", "ID:TIME, two columns", text, "--sequence patient:day")
    return identifier, time


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


def require_names(columns: Iterable[str], known: tuple[str, ...], option: str, source: str) -> None:
    """Raise DataError for a column, named in an option, that a source does not have."""
    there = frozenset(known)
    for name in columns:
        if name not in there:
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

    >>> quoted_words(["a", "c, d"]), words_of(quoted_words(['5", round', "b"]))
    ('a,"c, d"', ('5", round', 'b'))
    """
    return ",".join(_quoted_word(word) if any(sign in word for sign in ',"\r\n') else word for word in words)


def _quoted_word(word: str) -> str:
    return '"' + word.replace('"', '""') + '"'


@dataclass(frozen=True)
class ColumnRequest:
    """What is asked of a table that is read some rows at a time: the columns called `names` (None: all).

    Of `target` and columns `spelled` whole numbers are kept as they are written, too: a float holds them up to 2**53.
    Columns `as_text` are needed as texts, whatever they look like.
    """

    names: Collection[str] | None = None
    target: str | None = None
    as_text: Collection[str] = frozenset()
    spelled: Collection[str] = frozenset()


ALL_COLUMNS = ColumnRequest()
"""All columns, as they show themselves."""


@dataclass(frozen=True)
class TextHabit:
    """How the text that a run learned from was written, where that is not as usual or was said.

    A file to predict may be written in another way: this decides only where it does not show how.

    >>> TextHabit(decimal=",") == TextHabit(), TextHabit() == TextHabit()
    (False, True)
    """

    encoding: str | None = None
    delimiter: str | None = None
    decimal: str | None = None
    header: bool | None = None


PLAIN = TextHabit()
"""Nothing is out of the usual."""


@dataclass(frozen=True)
class Reading:
    r"""What a user says of a file and its columns; None where the file itself shall show it.

    Arguments:
        encoding: the encoding of the text, by a name that Python knows: `cp1252`, `utf-16`.
        delimiter: what stands between fields: one of , ; | or a tab or a space, also by name.
        decimal: the sign before the decimals, `.` or `,`; the other one may group thousands.
        header: whether the first line holds the names of the columns.
        missing: the words for a missing value, in place of the usual ones; an empty cell always is one.
        fill: columns of the training that the file may lack: missing in every row.
        columns: which columns are used, and as what.
        spelled: the columns of which it is kept how they are written, besides the target.
        habit: what decides where a file does not show how it is written.
        unit: of running text, what it is read by, char or word; None: the file holds a table.
        context: from so many units before it each is foretold.
        size: of pictures, the height and width to which they are resized, `32x32`.
        pictures: the form in which a run learned its pictures, to which those to predict are brought.

    >>> Reading(delimiter="tab").separator, Reading(missing=("-",)).missing_words
    ('\t', ('', '-'))
    """

    encoding: str | None = None
    delimiter: str | None = None
    decimal: str | None = None
    header: bool | None = None
    missing: tuple[str, ...] | None = None
    fill: tuple[str, ...] = ()
    columns: ColumnChoice = AS_THEY_ARE
    spelled: frozenset[str] = frozenset()
    habit: TextHabit = PLAIN
    unit: str | None = None
    context: int = 0
    size: str | None = None
    pictures: PictureForm | None = None

    def __post_init__(self) -> None:
        if self.unit is None and self.context not in (0, USUAL_CONTEXT):
            raise _option_error("--context", "--unit beside it, for running text", str(self.context), "--unit char")
        if self.size is not None and not _SIZE.fullmatch(self.size):
            raise _option_error("--size", "HEIGHTxWIDTH, two whole numbers from 1", self.size, "--size 32x32")
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
        size: str | None = None,
        fill: str | None = None,
        unit: str | None = None,
        context: int | str | None = None,
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
        form = encoding, delimiter, decimal, known[header or "auto"], words, words_of(fill)
        return cls(*form, choice, unit=unit, context=int(context or 0), size=size)

    def with_spelled_divider(self) -> Reading:
        """The same, and it is kept how the groups or parts of rows, and identifiers of sequences, are written."""
        split, by = self.columns.split, self.columns.sequence
        told = {split.column} if split.column is not None and split.way != "time" else set()
        return replace(self, spelled=self.spelled | told | ({by[0]} if by else set()))

    def habit_with(self, decimal: str | None) -> TextHabit:
        """The habit of a file that was read so, with this sign before decimals (None: it is no text)."""
        sign = "," if decimal == "," else self.decimal
        return TextHabit(self.encoding, self.separator, sign, self.header)

    @property
    def picture_size(self) -> tuple[int, int] | None:
        """The height and width to which pictures are resized; None: they stay as they are, or as a run learned them.

        >>> Reading(size="32x48").picture_size
        (32, 48)
        """
        if self.size is None:
            return None
        height, _, width = self.size.partition("x")
        return int(height), int(width)

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


FORM = ("encoding", "delimiter", "decimal", "header", "missing", "size")
"""The words of `Reading.from_words` on how a file is written, as settings and options are called."""
READING = (*FORM, "drop", "only", "kind", "split", "group", "weight", "target_transform", "sequence")
"""Those on the columns, too: what training is told of its table."""
READING_TEXT = (*READING, "unit", "context")
"""Those on running text, too: what training is told of its data."""


class FormWords(TypedDict, total=False):
    """How a file to predict or to evaluate is written, where it is not what it shows or what training was told.

    encoding, delimiter, decimal, header, missing, size  as for `cl.fit`
    fill  columns of the training that the data may lack, which are then missing in every row
    """

    encoding: str | None
    delimiter: str | None
    decimal: str | None
    header: str | bool | None
    missing: str | Sequence[str] | None
    size: str | None
    fill: str | Sequence[str] | None


def reading_words(**given: Any) -> dict[str, str | None]:
    """What `cl.fit` is given for a file and its columns, as the words of `Reading.from_words`.

    Names and words may come as a list, kinds as a mapping, `header` as a truth value.

    >>> reading_words(drop=["a", "b"], kind={"zip": "category"}, header=False, split="random")
    {'drop': 'a,b', 'kind': 'zip=category', 'header': 'no', 'split': 'random'}
    """
    return {name: _as_words(name, value) for name, value in given.items()}


def reading_of(form: FormWords) -> Reading:
    """How a file is read of which this is said.

    >>> reading_of({"decimal": ",", "fill": ["age"]}).fill
    ('age',)
    """
    return Reading.from_words(**reading_words(**form))


_LISTS = ("drop", "only", "missing", "fill", "target")
_ALSO = {
    "header": "auto, yes or no, True or False",
    "kind": "a text, or {'zip': 'category'}",
    **dict.fromkeys(_LISTS, "a text, or a list of texts"),
}
"""What else than a text is taken."""


def _as_words(name: str, value: Any) -> str | None:
    # From what is a text already to what only some words may be; the last refuses.
    if value is None or isinstance(value, str):
        return value
    if name == "header" and isinstance(value, bool):
        return "yes" if value else "no"
    if name == "kind" and isinstance(value, Mapping) and all(isinstance(w, str) for w in [*value, *value.values()]):
        return kinds_from(value)
    several = isinstance(value, Iterable) and not isinstance(value, bytes | Mapping) and getattr(value, "ndim", 1) == 1
    if name in _LISTS and several and all(isinstance(word, str) for word in value):
        return quoted_words(value)
    raise ArgumentError(
        f"this {name} is not understood",
        expected=_ALSO.get(name, "a text"),
        got=f"{name} = {value!r}",
        where=user_line(),
    )


AS_SHOWN = Reading()
"""Nothing is said: the file shows all."""
