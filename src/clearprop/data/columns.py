"""Columns and frames, what every data source is read into; and what encoding finds in them."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Literal, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from clearprop.errors import DataError, printable

ColumnKind = Literal["number", "boolean", "category", "time"]
RowNumbers: TypeAlias = NDArray[np.intp]
NAMES_FILE = "file"  # the use of a column of files, one a row: they stand beside answers, and are not learned from
Locator: TypeAlias = Callable[[str, int], str]
"""`place(column, row)` says where a value stands, such as `houses.csv:17`."""


@dataclass(frozen=True, eq=False)
class Levels:
    """Texts `(rows,)` of which few are different: these, and None as the last, and the place there of each row's.

    `met`: the different ones stand in the order in which rows have them first, and each is of some row.

    >>> levels = Levels.of(np.array(["b", None, "a", "b"], dtype=object))
    >>> levels.different.tolist(), levels.places.tolist(), levels.take(np.array([0, 3])).there
    (['b', 'a', None], [0, 2, 1, 0], ['b'])
    """

    different: NDArray[Any]
    places: NDArray[np.integer[Any]]
    met: bool = True

    @classmethod
    def of(cls, texts: NDArray[Any]) -> Levels:
        """The same from texts that are objects."""
        items = texts.tolist()
        known = dict.fromkeys(items)
        known.pop(None, None)
        different = np.array([*known, None], dtype=object)
        index = {text: place for place, text in enumerate(different.tolist())}
        return cls(different, np.fromiter(map(index.__getitem__, items), np.intp, len(items)))

    def take(self, rows: RowNumbers | NDArray[np.bool_]) -> Levels:
        """The chosen rows, in the order asked for."""
        return Levels(self.different, self.places[rows], met=False)

    @cached_property
    def texts(self) -> NDArray[Any]:
        """The texts as objects; equal ones are one object."""
        return np.asarray(self.different[self.places])

    @cached_property
    def counts(self) -> NDArray[np.intp]:
        """How many rows have each of the different texts; the last counts those without any."""
        return np.bincount(self.places, minlength=len(self.different))

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Where no text is, `(rows,)`."""
        return np.asarray(self.places == len(self.different) - 1)

    @property
    def there(self) -> list[str]:
        """The different texts that some row has."""
        return list(self.different[:-1][self.counts[:-1] > 0])

    @property
    def occurrences(self) -> Counter[Any]:
        """How many rows have each text, None for those without any."""
        return Counter({t: n for t, n in zip(self.different.tolist(), self.counts.tolist(), strict=True) if n})

    def in_order(self) -> Levels:
        """The same with the different texts that are there, in the order in which rows have them first."""
        if self.met:
            return self
        rows, none = len(self.places), len(self.different) - 1
        first = np.full(none + 1, rows)
        first[self.places[::-1]] = np.arange(rows)[::-1]  # of several rows the last that is written stays: the first
        order = np.argsort(first[:none], kind="stable")[: np.count_nonzero(first[:none] < rows)]
        places = np.full(none + 1, len(order))
        places[order] = np.arange(len(order))
        return Levels(self.different[[*order, none]], places[self.places])


@dataclass(frozen=True, eq=False)
class TextBytes:
    """Texts `(rows,)`, made when asked for, that are all there, in ASCII and of one length; `table` has their bytes."""

    make: Callable[[], NDArray[Any]]
    table: NDArray[np.uint8]

    @cached_property
    def texts(self) -> NDArray[Any]:
        """The texts as objects."""
        return self.make()

    def take(self, rows: RowNumbers | NDArray[np.bool_]) -> TextBytes:
        """The chosen rows, in the order asked for."""
        return TextBytes(lambda: self.texts[rows], self.table[rows])


@dataclass(frozen=True, eq=False)
class Column:
    """One column, of shape `(rows,)`.

    `values` are floats for `number`, `boolean` and `time` (seconds since 1970; NaN where missing), and text or None for
    `category`.
    `shared` marks one quantity measured at many places, as pixels are: such columns share mean and deviation.
    `spelling` is how numbers and truth values were written, where that is known: of a target, whose classes keep it;
    `marks` what stood beside numbers: signs of money and percent, `k`.  `use` is what else is known of its values: the
    order of day and month in times, and of texts that are no levels what they are (see `readers.reading`); of times
    `zoned` says whether they were given with a zone (None: not known).  `written`: texts of marked numbers.
    """

    name: str
    kind: ColumnKind
    values: NDArray[Any]
    shared: bool = False
    spelling: NDArray[Any] | None = None
    use: str = ""
    marks: frozenset[str] = frozenset()
    zoned: bool | None = None
    known: Levels | TextBytes | None = field(default=None, repr=False)
    """What the reader knows of `texts`: of others than these it says nothing."""
    written: Callable[[], NDArray[Any]] | None = field(default=None, repr=False)

    @property
    def texts(self) -> NDArray[Any] | None:
        """Texts that are values, or how these are written."""
        return self.values if self.kind == "category" else self.spelling

    @property
    def coded(self) -> Levels | TextBytes | None:
        """What is known of the texts."""
        return None if self.known is None or self.known.texts is not self.texts else self.known

    @cached_property
    def levels(self) -> Levels:
        """The different texts."""
        known = self.coded
        return known if isinstance(known, Levels) else Levels.of(as_category(self).values)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Where no value is, `(rows,)`."""
        known = self.coded
        if self.kind == "category" and known is not None:
            return known.missing if isinstance(known, Levels) else np.zeros(len(self.values), dtype=bool)
        if self.kind == "category":
            return np.asarray(np.equal(self.values.astype(object, copy=False), None))  # type: ignore[call-overload]  # objects have it
        return np.asarray(np.isnan(self.values))

    @property
    def present(self) -> NDArray[Any]:
        """The values that are there."""
        return self.values[~absent] if (absent := self.missing).any() else self.values

    def take(self, rows: RowNumbers | NDArray[np.bool_]) -> Column:
        """The chosen rows, in the order asked for."""
        known = None if self.coded is None else self.coded.take(rows)
        if self.kind == "category":
            return replace(self, values=self.values[rows] if known is None else known.texts, known=known)
        spelling = None if self.spelling is None else self.spelling[rows] if known is None else known.texts
        all_texts = self.written
        written = None if all_texts is None else lambda: all_texts()[rows]
        return replace(self, values=self.values[rows], spelling=spelling, known=known, written=written)


def blank_column(name: str, rows: int) -> Column:
    """A column in which every value is missing."""
    return Column(name, "category", np.full(rows, None, dtype=object))


class TableColumns(Sequence[Column]):
    """Columns in their order, each made when it is asked for and then let go, so that a table is not held twice.

    `makers` give them, of so many `rows`; of these the `chosen` ones are taken (None: all).

    >>> column = Column("a", "number", np.array([1.0, 2.0, 3.0]))
    >>> TableColumns.held([column], 3).take(np.array([2, 0]))[0].values.tolist()
    [3.0, 1.0]
    """

    def __init__(
        self,
        names: Sequence[str],
        makers: Sequence[Callable[[], Column]],
        rows: int,
        chosen: RowNumbers | None = None,
    ) -> None:
        self.names, self.rows, self._makers, self._chosen = tuple(names), rows, tuple(makers), chosen

    @classmethod
    def held(cls, columns: Sequence[Column], rows: int) -> TableColumns:
        """The same columns; what is in memory stays there."""
        if isinstance(columns, TableColumns):
            return columns
        return cls([column.name for column in columns], [partial(same, column) for column in columns], rows)

    def __len__(self) -> int:
        return len(self._makers)

    @overload
    def __getitem__(self, index: int) -> Column: ...
    @overload
    def __getitem__(self, index: slice) -> TableColumns: ...
    def __getitem__(self, index: int | slice) -> Column | TableColumns:
        if isinstance(index, slice):
            return TableColumns(self.names[index], self._makers[index], self.rows, self._chosen)
        return self.at(index)

    def at(self, place: int) -> Column:
        """The column at a place, made now."""
        column = self._makers[place]()
        return column if self._chosen is None else column.take(self._chosen)

    def take(self, rows: RowNumbers) -> TableColumns:
        """The chosen rows of all columns, in the order asked for."""
        chosen = rows if self._chosen is None else self._chosen[rows]
        return TableColumns(self.names, self._makers, len(rows), chosen)

    def with_more(self, columns: Sequence[Column]) -> TableColumns:
        """These, and others of as many rows."""
        both = (self, TableColumns.held(columns, self.rows))
        makers = [partial(part.at, place) for part in both for place in range(len(part))]
        return TableColumns([name for part in both for name in part.names], makers, self.rows)

    def joined(self) -> TableColumns:
        """Those that share one quantity."""
        places = [place for place, make in enumerate(self._makers) if make().shared]
        makers = [self._makers[place] for place in places]
        return TableColumns([self.names[place] for place in places], makers, self.rows, self._chosen)


def same(column: Column) -> Column:
    """The column: one that is held, among others that are made."""
    return column


def names_of(columns: Sequence[Column]) -> tuple[str, ...]:
    """The names of columns, in their order."""
    return columns.names if isinstance(columns, TableColumns) else tuple(column.name for column in columns)


@dataclass(frozen=True)
class PictureForm:
    """What all pictures of a source have in common, and whether they were `resized` to it."""

    height: int
    width: int
    channels: int
    resized: bool = False


@dataclass(frozen=True, eq=False)
class Frame:
    """A source as it was read: columns of equal length, and where they came from.

    `target` is the target that the source itself names (None: the last column, where one is needed), `test_rows` are
    the rows that it sets aside for the test.  `is_array`: columns have no names of their own and go by position.
    `lines` are the lines of a text file at which its rows start, `decimal` is the sign before its decimals, `pictures`
    what pictures in files of their own have in common.
    """

    source: str
    columns: Sequence[Column]
    place: Locator = field(repr=False)
    target: str | None = None
    notes: tuple[str, ...] = ()
    test_rows: RowNumbers | None = None
    is_array: bool = False
    lines: NDArray[np.int64] | None = None
    decimal: str | None = None
    pictures: PictureForm | None = None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in their order."""
        return names_of(self.columns)

    @property
    def rows(self) -> int:
        """The number of rows."""
        if isinstance(self.columns, TableColumns):
            return self.columns.rows
        return len(self.columns[0].values) if self.columns else 0

    def __getitem__(self, name: str) -> Column:
        """The column of that name."""
        return self.columns[self.names.index(name)]


@dataclass
class Findings:
    """What encoding met that training had not: counts by column."""

    unseen: dict[str, dict[str, int]] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    far: dict[str, int] = field(default_factory=dict)
    bare: dict[str, dict[str, int]] = field(default_factory=dict)

    def note_missing(self, name: str, absent: NDArray[np.bool_]) -> None:
        """Count the values of a column that are missing."""
        if absent.any():
            self.missing[name] = int(absent.sum())

    def note_far(self, name: str, number: int) -> None:
        """So many values of a column are far: see `count_far`."""
        if number:
            self.far[name] = number


def in_digits(value: float, digits: int = 4) -> str:
    """A number to so many digits, as people write it: without a power of ten up to ten millions.

    >>> in_digits(48031.7), in_digits(0.0123456), in_digits(1234567.8, 6), in_digits(3e9)
    ('48030', '0.01235', '1234570', '3e+09')
    """
    text = f"{value:.{digits}g}"
    return f"{float(text):.0f}" if "e+" in text and abs(value) < 1e7 else text


def number_text(value: float) -> str:
    """A number as a class name or a message shows it: whole numbers without a point.

    >>> number_text(3.0), number_text(0.5)
    ('3', '0.5')
    """
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def as_category(column: Column) -> Column:
    """The column as text, as it was written; else whole numbers without a point, and `false` and `true`.

    >>> as_category(Column("a", "number", np.array([1.0, np.nan]))).values.tolist()
    ['1', None]
    """
    if column.kind == "category":
        return column
    if column.spelling is not None:
        return replace(column, kind="category", values=column.spelling, spelling=None)
    distinct, codes = np.unique(column.values, return_inverse=True)
    names = [_text(column.kind, value) for value in distinct]
    return replace(column, kind="category", values=np.array([*names, None], dtype=object)[codes])


def _text(kind: ColumnKind, value: float) -> str | None:
    if np.isnan(value):
        return None
    if kind == "time":
        return str(np.datetime64(round(value * 10**6), "us")).removesuffix(".000000").replace("T", " ")
    return ("true" if value else "false") if kind == "boolean" else number_text(value)


def target_column(y: NDArray[Any]) -> Column:
    """The column of a target in an array `(rows,)`: text, truth values, or numbers, whole ones with their spelling.

    >>> target_column(np.array([2**53 + 1])).spelling.tolist()
    ['9007199254740993']
    """
    if y.dtype.kind in "USTO":
        text = np.char.decode(y, "utf-8") if y.dtype.kind == "S" else y
        return Column("y", "category", np.array([str(item) for item in text], dtype=object))
    spelling = y.astype(str).astype(object) if y.dtype.kind in "iu" else None
    return Column("y", "boolean" if y.dtype.kind == "b" else "number", y.astype(np.float64), spelling=spelling)


def with_one_spelling(column: Column) -> Column:
    """The column; without its spelling if truth values are spelled in several ways, which are not several classes."""
    if column.kind != "boolean" or column.spelling is None:
        return column
    spellings = column.take(~column.missing).levels.there
    return column if len({text.lower() for text in spellings}) == len(spellings) else replace(column, spelling=None)


def as_number(column: Column, place: Locator) -> Column:
    """The column as numbers; booleans count as 0 and 1.

    Raises DataError where a text stands, or where a number is infinite, and says in which row.

    >>> as_number(Column("a", "category", np.array(["1", None], dtype=object)), lambda *_: "here").values.tolist()
    [1.0, nan]
    """
    if column.kind == "category":
        row = next((r for r, text in enumerate(column.values) if text is not None and not is_number(text)), None)
        if row is not None:
            raise text_among_numbers(column, row, place)
        numbers = [np.nan if text is None else float(text) for text in column.values]
        column = replace(column, kind="number", values=np.array(numbers, dtype=np.float64), known=None)
    infinite = np.isinf(column.values)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise infinite_value(column.name, column.values[row], int(infinite.sum()), place(column.name, row))
    return column if column.kind == "number" else replace(column, kind="number")


def infinite_value(name: str, value: float, number: int, where: str) -> DataError:
    """The error for infinite values; the first of them is shown."""
    return DataError(
        f"column {name!r} holds an infinite value",
        expected="finite numbers; an empty cell where a number is missing",
        got=f"{value}; {quantity(number, 'infinite value')} in the column",
        where=where,
        try_="correct the value, or leave it empty",
    )


TRUTHS = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1", "ja", "j", "oui", "vrai", "si", "sí", "sim", "wahr"), 1.0),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0", "nein", "non", "faux", "não", "falsch"), 0.0),
}
"""What words for truth values mean, in small letters."""


def are_truths(texts: Collection[str]) -> bool:
    """Whether different texts are truth values: both of them are there, in words and not in digits alone.

    >>> are_truths({"Yes", "no", "NO"}), are_truths({"yes"}), are_truths({"0", "1"}), are_truths({"TRUE", "0"})
    (True, False, False, True)
    """
    if not 2 <= len(texts) <= 4 * len(TRUTHS):
        return False
    words = {text.lower() for text in texts}
    return words <= TRUTHS.keys() and not words <= {"0", "1"} and len({TRUTHS[word] for word in words}) == 2


def as_boolean(column: Column, place: Locator) -> Column:
    """The column as truth values 0 and 1.  Raises DataError where something else stands than `TRUTHS`."""
    if column.kind == "category":
        levels = column.levels
        truths = [TRUTHS.get(text.lower(), -1.0) for text in levels.different[:-1].tolist()]
        values = np.array([*truths, np.nan])[levels.places]
    else:
        values = column.values
    strange = ~np.isnan(values) & (values != 0) & (values != 1)
    if strange.any():
        row = int(np.argmax(strange))
        value = column.values[row]
        raise DataError(
            f"column {column.name!r} must hold truth values",
            expected="true or false, yes or no, or 1 and 0, as in training",
            got=repr(value) if column.kind == "category" else number_text(value),
            where=place(column.name, row),
            try_="correct the value, or leave it empty",
        )
    return replace(column, kind="boolean", values=values, known=None if column.kind == "category" else column.known)


def is_number(text: str) -> bool:
    """Whether a text is a number as Python writes one.

    >>> is_number("1e3"), is_number("1,000")
    (True, False)
    """
    try:
        float(text)
    except ValueError:
        return False
    return True


LONGEST_WORD = 12  # the most letters of a text that may stand for a missing number


def text_among_numbers(column: Column, row: int, place: Locator) -> DataError:
    """The error for a text where a number must be."""
    text = str(column.values[row])
    word = f"; if it stands for a missing one: --missing {shlex.quote(text)}" if len(text) <= LONGEST_WORD else ""
    return DataError(
        f"column {column.name!r} must hold numbers",
        expected="a number in every row; an empty cell where one is missing",
        got=f"the text {text!r}",
        where=place(column.name, row),
        try_="correct the value, or leave it empty" + word,
    )


def name_list(names: list[str] | tuple[str, ...], limit: int = 12) -> str:
    """Names in a row, cut after `limit`: `a, b, … (500 in all)`.

    >>> name_list(["a", "b", "c"], limit=2)
    'a, b, … (3 in all)'
    """
    shown = ", ".join(printable(name) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown}, … ({len(names)} in all)"


def quantity(number: int, what: str, plural: str = "") -> str:
    """`1 row`, `2 rows`, `2 classes`.

    >>> quantity(1, "row"), quantity(2, "class", "classes")
    ('1 row', '2 classes')
    """
    return f"{number} {what if number == 1 else plural or what + 's'}"
