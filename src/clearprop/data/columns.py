"""Columns and frames, what every data source is read into; and what encoding finds in them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from clearprop.errors import DataError, printable

ColumnKind = Literal["number", "boolean", "category", "time"]
RowNumbers: TypeAlias = NDArray[np.intp]
Locator: TypeAlias = Callable[[str, int], str]
"""`place(column, row)` says where a value stands, such as `houses.csv:17`."""


@dataclass(frozen=True, eq=False)
class Column:
    """One column, of shape `(rows,)`.

    `values` are floats for `number`, `boolean` and `time` (seconds since 1970; NaN where missing), and text or None for
    `category`.
    `shared` marks one quantity measured at many places, as pixels are: such columns share mean and deviation.
    `spelling` is how numbers and truth values were written, where that is known: of a target, whose classes keep it.
    `use` is what else is known of the use of its values: the order of day and month in times, and of texts that are no
    levels what they are (see `readers.reading`).
    """

    name: str
    kind: ColumnKind
    values: NDArray[Any]
    shared: bool = False
    spelling: NDArray[Any] | None = None
    use: str = ""

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Where no value is, `(rows,)`."""
        absent: NDArray[np.bool_]
        if self.kind == "category":
            absent = np.equal(self.values.astype(object, copy=False), None)  # type: ignore[call-overload]  # objects have it
        else:
            absent = np.isnan(self.values)
        return absent

    @property
    def present(self) -> NDArray[Any]:
        """The values that are there."""
        return self.values[~self.missing]

    def take(self, rows: RowNumbers | NDArray[np.bool_]) -> Column:
        """The chosen rows, in the order asked for."""
        return replace(self, values=self.values[rows], spelling=None if self.spelling is None else self.spelling[rows])


def blank_column(name: str, rows: int) -> Column:
    """A column in which every value is missing."""
    return Column(name, "category", np.full(rows, None, dtype=object))


@dataclass(frozen=True, eq=False)
class Frame:
    """A source as it was read: columns of equal length, and where they came from.

    `target` is the target that the source itself names (None: the last column, where one is needed).
    `test_rows` are the rows that the source sets aside for the test.  `is_array`: columns have no names of
    their own and go by position.  `lines` are the lines of a text file at which its rows start, `decimal` is the sign
    before its decimals.
    """

    source: str
    columns: tuple[Column, ...]
    place: Locator = field(repr=False)
    target: str | None = None
    notes: tuple[str, ...] = ()
    test_rows: RowNumbers | None = None
    is_array: bool = False
    lines: NDArray[np.int64] | None = None
    decimal: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in their order."""
        return tuple(column.name for column in self.columns)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.columns[0].values) if self.columns else 0

    def __getitem__(self, name: str) -> Column:
        """The column of that name."""
        return next(column for column in self.columns if column.name == name)


@dataclass
class Findings:
    """What encoding met that training had not: counts by column."""

    unseen: dict[str, dict[str, int]] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    far: dict[str, int] = field(default_factory=dict)

    def note_missing(self, name: str, absent: NDArray[np.bool_]) -> None:
        """Count the values of a column that are missing."""
        if absent.any():
            self.missing[name] = int(absent.sum())

    def note_far(self, name: str, values: NDArray[np.float64], low: float, high: float) -> None:
        """Count the values that lie further outside the range of training than it is wide."""
        span = high - low
        far = (values < low - span) | (values > high + span)
        if span > 0 and far.any():
            self.far[name] = int(far.sum())


def number_text(value: float) -> str:
    """A number as a class name or a message shows it: whole numbers without a point.

    >>> number_text(3.0), number_text(0.5)
    ('3', '0.5')
    """
    if not np.isfinite(value):
        return str(float(value))
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
    spellings = set(column.spelling[~column.missing].tolist())
    return column if len({text.lower() for text in spellings}) == len(spellings) else replace(column, spelling=None)


def as_number(column: Column, place: Locator) -> Column:
    """The column as numbers; booleans count as 0 and 1.

    Raises DataError where a text stands, or where a number is infinite, and says in which row.

    >>> as_number(Column("a", "category", np.array(["1", None], dtype=object)), lambda *_: "here").values.tolist()
    [1.0, nan]
    """
    if column.kind == "category":
        slips = (row for row, text in enumerate(column.values) if text is not None and not is_number(text))
        row = next(slips, None)
        if row is not None:
            raise text_among_numbers(column, row, place)
        numbers = [np.nan if text is None else float(text) for text in column.values]
        column = replace(column, kind="number", values=np.array(numbers, dtype=np.float64))
    infinite = np.isinf(column.values)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise infinite_value(column.name, column.values[row], int(infinite.sum()), place(column.name, row))
    return replace(column, kind="number")


def as_weights(column: Column, place: Locator) -> Column:
    """The column as numbers that say how much each row counts.

    Raises DataError, with the row, for one that is missing or below 0, and for what is no number.

    >>> as_weights(Column("w", "number", np.array([1.0, 0.0])), lambda *_: "here").values.tolist()
    [1.0, 0.0]
    """
    column = as_number(column, place)
    wrong = ~(column.values >= 0)  # NaN stands for a missing value
    if wrong.any():
        row = int(np.argmax(wrong))
        value = column.values[row]
        raise DataError(
            f"column {column.name!r} cannot weigh the rows",
            expected="a number of 0 or more in every row",
            got=(f"{number_text(value)}" if value == value else "an empty cell")
            + f", and {int(wrong.sum()) - 1} more like it",
            where=place(column.name, row),
            try_="0 for a row that shall not count",
        )
    return column


def no_row_counts(name: str, part: str, source: str) -> DataError:
    """The error for a part whose rows all have a weight of 0."""
    return DataError(
        f"no row of the {part} part counts",
        expected=f"a weight above 0 in {name!r}",
        got="0 in every row",
        where=f"{source}, column {name!r}",
        try_="other weights, another --seed, or larger parts",
    )


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
        values = np.array([np.nan if t is None else TRUTHS.get(t.lower(), -1.0) for t in column.values])
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
    return replace(column, kind="boolean", values=values)


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


LONGEST_WORD = 12
"""The most letters of a text that may stand for a missing number."""


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
