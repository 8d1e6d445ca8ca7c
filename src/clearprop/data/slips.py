"""Texts among the numbers or dates of a column: which are slips, and the errors that show them."""

from __future__ import annotations

import re
import shlex
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.columns import Column, Locator, is_number, name_list, quantity
from clearprop.data.kinds.time_forms import LONGEST_TIME, by_form, form_of, forms_in
from clearprop.data.readers.number_marks import (
    ABOUT,
    DURATION,
    DURATIONS,
    LAP,
    MONEY,
    MULTIPLES,
    NO_CENTS,
    SECONDS,
    marks_of,
    mixed_units,
    multiples_in,
    units_in,
)
from clearprop.errors import DataError

FEW_VALUES = 20
"""Text with at most this many distinct values is never taken for an identifier."""
FEW_WORDS = 3
"""So many different words may stand for a missing number in a column that would identify rows with them."""
TOTALS = ("total", "totals", "grand total", "sum", "summe", "gesamt", "average", "mean", "mittelwert", "subtotal")
"""The words with which rows begin that sum up those above them."""
_COMMA_NUMBER = re.compile(rf"\(?[+\-\u2212]?\s*{MONEY}?\s*(\d+|[1-9]\d{{0,2}}(\.\d{{3}})+)(,\d+)?\s*(?:{MONEY}|%)?\)?")
_COMMA_DECIMALS = re.compile(r"\.\d{3},\d|\d,\d{1,2}(?!\d)|\d,\d{4}|\d{4},\d|(?<!\d)0,\d")
_MARKED = re.compile(
    rf"{LAP}|{DURATIONS}|(?:{ABOUT})?\(?[+\-\u2212]?\s*{MONEY}?\s*\(?"
    r"(\d+([.,]\d+)?|[1-9]\d{0,2}([.,'’ \u00a0\u202f\u2009]\d{3})+([.,]\d+)?)"
    rf"(?:{NO_CENTS})?(?:{'|'.join(MULTIPLES.values())})?\s*(?:{MONEY}|%)?\)?-?"
)
_BOUND = re.compile(r"([<>≤≥]=?)\s*[+-]?\d[\d.,]*")


def is_mixed(numbers: int, slips: int) -> bool:
    """Whether texts that are no numbers are slips: at most one in ten, among more than `FEW_VALUES` numbers.

    >>> is_mixed(numbers=100, slips=2), is_mixed(numbers=10, slips=2)
    (True, False)
    """
    return slips > 0 and numbers > FEW_VALUES and numbers >= 9 * slips


def is_gap(numbers: int, slips: int, words: int, distinct: int | None) -> bool:
    """Whether texts among numbers stand for missing ones, although they are many: they are few different `words`.

    `distinct` is how many different texts there are in all, None for very many.  Where there are few, such as
    1, 2, 3 and more, they are levels.

    >>> is_gap(numbers=50, slips=10, words=1, distinct=45), is_gap(numbers=50, slips=10, words=1, distinct=4)
    (True, False)
    """
    many = distinct is None or distinct > FEW_VALUES + words
    return 0 < slips <= numbers and words <= FEW_WORDS and many


def word_of(text: str) -> str:
    """What is counted of a text among numbers: itself, or of a bound such as <0.5 its sign.

    >>> word_of("<0.5"), word_of("unknown")
    ('<', 'unknown')
    """
    bound = _BOUND.fullmatch(text)
    return text if bound is None else bound[1]


def shows_number(text: str) -> bool:
    """Whether a text is a number, as Python writes one or with the marks of people.

    >>> [shows_number(text) for text in ("1e3", "$1,013.50", "(12)", "3 %", "10.0.0.1", "n.a.")]
    [True, True, True, True, False, False]
    """
    return is_number(text) or _MARKED.fullmatch(text) is not None


def show_numbers(texts: Sequence[str], table: NDArray[np.uint8] | None = None) -> NDArray[np.bool_]:
    """Which texts are numbers: see `shows_number`; `table` has their bytes, if they are of one length.

    Texts that differ in digits alone are looked at together: where one is no number whatever its digits, none is.
    """
    found = np.zeros(len(texts), dtype=bool)
    for form, rows, _ in by_form(texts) if table is None else forms_in(table):
        if is_number(form):
            found[rows] = True
        elif _ANY_DIGITS.fullmatch(form):
            found[rows] = [shows_number(texts[row]) for row in rows.tolist()]
    return found


def may_show_numbers(table: NDArray[np.uint8]) -> bool:
    """Whether some of the texts with these bytes may be numbers, by their forms: see `show_numbers`."""
    forms = (form for form, _, _ in forms_in(table))
    return any(is_number(form) or _ANY_DIGITS.fullmatch(form) for form in forms)


def row_of_text(texts: NDArray[Any], rows: NDArray[np.intp]) -> int | None:
    """The first of these rows that holds a text which is no number; None if none does.

    >>> row_of_text(np.array(["1", None, "a", "b"], dtype=object), np.array([0, 1, 2, 3]))
    2
    """
    return next((int(r) for r in rows if texts[r] is not None and not shows_number(texts[r])), None)


_ANY_DIGITS = re.compile(_MARKED.pattern.replace("[1-9]", r"\d").replace("[0-5]", r"\d"))
_UNITS = (
    "[kcmµn]?m[²³23]?|[kmµ]?g|lbs?|oz|[cm]?l|ms|s|sec|min|h|hrs?|days?|years?|°?[CF]|K|[kM]?Wh?|V|A|[kMG]?Hz|[kMG]B|px"
    "|ft|in|mi|mph|km/h|sqm|sqft|ha|pcs?|x"
)
_WITH_UNIT = re.compile(
    rf"[+-]?\d[\d.,]*\s?(?:{_UNITS})\.?|[+-]?\d[\d.,]*\s[A-Za-zµ°%]{{2,12}}\.?"
    r"|[^\w.,]*(?:[A-Za-z]{1,4}\.?\s?)?[^\w.,]*\d+[.,]\d+(?![.,]?\d)[^.,]{0,12}"
)
"""A number with a unit behind it, with any word after a space (`3 bedrooms`), or with decimals and a few more signs."""


_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_FURTHER = re.compile(r"\d+|[^\W\d]{3,}")


def seems_date(text: object) -> bool:
    """Whether a text holds a year and, besides, two of month, day and time, in whatever way.

    >>> seems_date("Sat 5 maja 2020"), seems_date("2020-01-05 10:11 CET"), seems_date("model 2020"), seems_date(None)
    (True, True, False, False)
    """
    if not isinstance(text, str) or len(text) > LONGEST_TIME or _YEAR.search(text) is None:
        return False
    return len(_FURTHER.findall(_YEAR.sub(" ", text, count=1))) > 1 and _DATE_SIGNS.fullmatch(text) is not None


_DATE_SIGNS = re.compile(r"[\w\s./:,+'’\-\[\]]+")
_DURATION = re.compile(
    r"\d+:[0-5]\d(:[0-5]\d)?([.,]\d+)?|(?:\d+\s?(?:days?|d|hours?|hrs?|h|minutes?|min|m|seconds?|sec|s)[ ,]*){2,}"
)
"""Hours, minutes and seconds, of a day or a duration: `1:30:00`, `1h 30m`."""


def is_duration(text: object) -> bool:
    """Whether a text is a time that a clock counts, and no number.

    >>> is_duration("69:04:01"), is_duration("69:04"), is_duration("1h 30m"), is_duration("12.5")
    (True, True, True, False)
    """
    return isinstance(text, str) and _DURATION.fullmatch(text) is not None


def shows_date(text: object) -> bool:
    """Whether a text is a date, in a way that is read.

    >>> shows_date("2021-12-31"), shows_date("3 May 2021"), shows_date("12:30"), shows_date("red")
    (True, True, False, False)
    """
    form = form_of(_DIGITS.sub("0", text)) if isinstance(text, str) else None
    return form is not None and "year" in form.numbers


_DIGITS = re.compile(r"\d")


def has_unit(text: object) -> bool:
    """Whether a text is a number with a unit behind it.

    >>> has_unit("12 cm"), has_unit("180kg"), has_unit("3 bedrooms"), has_unit("12b"), has_unit(None)
    (True, True, True, False, False)
    """
    return isinstance(text, str) and _WITH_UNIT.fullmatch(text) is not None


def are_comma_numbers(texts: Collection[str]) -> bool:
    """Whether texts are numbers, of which some have a comma before their decimals beyond doubt.

    >>> are_comma_numbers(["0,5", "-12,25", "7"]), are_comma_numbers(["1,000"]), are_comma_numbers(["1.100,56 €"])
    (True, False, True)
    """
    return all(map(_COMMA_NUMBER.fullmatch, texts)) and any(map(_COMMA_DECIMALS.search, texts))


def words_among(texts: Collection[str]) -> frozenset[str]:
    """The different words of texts that are no numbers.

    >>> sorted(words_among(["1", "<2", "<3", "none"]))
    ['<', 'none']
    """
    return frozenset(word_of(text) for text in texts if not shows_number(text))


def comma_decimals(name: str, text: str, where: str) -> DataError:
    """The error for numbers whose decimals follow a comma, in a file where commas stand between fields."""
    return DataError(
        f"column {name!r} holds numbers with a comma before their decimals",
        expected="a point before decimals, where a comma stands between fields",
        got=repr(text),
        where=where,
        try_=f"--decimal ,   (or --kind {name}=category, if these are words)",
    )


def mixed_times(name: str, text: str, where: str, slips: int, times: int) -> DataError:
    """The error for a column of dates or times with a few texts among them; the first of them is shown."""
    return DataError(
        f"column {name!r} holds text among its dates",
        expected="dates or times, and an empty cell where one is missing",
        got=f"{text!r} among {quantity(times, 'date')}" + (f", and {slips - 1} further" if slips > 1 else ""),
        where=where,
        try_=f"correct it or leave it empty, or --missing {text!r}; --kind {name}=category takes all as words",
    )


def multiples_read(columns: Iterable[Any]) -> list[str]:
    """A sentence about each column, or what is known of it, whose numbers are not told by digits alone.

    They have a multiple behind them (`1.5k`), a sign before them (`~50`), or are minutes and seconds (`2:07.3`).
    """
    found = []
    for column in columns:
        words = [f"{word} as {number}" for word, number in multiples_in(column.marks).items()]
        words += ["~ before a number left off"] * ("~" in column.marks)
        words += ["minutes and seconds as seconds"] * (SECONDS in column.marks)
        words += ["durations as seconds"] * (DURATION in column.marks)
        if words:
            told = " and ".join(words)
            found.append(f"column {column.name!r}: {told} (--kind {shlex.quote(column.name)}=category takes words)")
    return found


def first_told(column: Column, odd: Callable[[Collection[str]], object]) -> int:
    """The first row at which `odd` says something of the marks down to it; else the first that holds a value.

    >>> prices = np.array(["$5", "$6", "€7"], dtype=object)
    >>> column = Column("price", "number", np.array([5.0, 6.0, 7.0]), written=lambda: prices)
    >>> first_told(column, mixed_units)
    2
    """
    if column.written is None:
        return int(np.argmin(column.missing))
    import polars as pl  # start-up time: few columns need it

    texts = pl.Series(column.written(), dtype=pl.String)
    ends = range(1, len(texts) + 1)
    return min(bisect_left(ends, True, key=lambda end: bool(odd(marks_of(texts[:end])))), len(texts) - 1)


def require_unit(column: Column, place: Locator) -> None:
    """Raise DataError for a column of numbers of more than one unit: see `require_one_unit`."""
    if mixed_units(column.marks):
        require_one_unit(column.name, column.marks, place(column.name, first_told(column, mixed_units)))


def require_one_unit(name: str, marks: Collection[str], where: str) -> None:
    """Raise DataError for numbers of which some are amounts of other money, or shares in percent, than others."""
    units = mixed_units(marks)
    if units:
        raise DataError(
            f"column {name!r} holds numbers of more than one unit",
            expected="amounts of one currency, or shares of one kind, 7 % or 0.07",
            got=" and ".join(units),
            where=where,
            try_=f"write all in one unit; --kind {shlex.quote(name)}=number takes the numbers as they stand",
        )


FIRST_SECONDS = 1e8
"""Seconds since 1970 of a date in 1973: numbers that stay below were no times."""


def require_numbers_as_trained(
    column: Column, units: Collection[str] | None, low: float, high: float, place: Locator
) -> None:
    """Raise DataError for numbers of another kind or unit than those that were learned.

    Those lay from `low` to `high` and had these `units`: None where it is not known, several were taken as they stand.
    """
    if not len(column.present):
        return
    other = {"time": "dates", "boolean": "truth values"}.get(column.kind)
    if other and (high < FIRST_SECONDS if column.kind == "time" else low < 0 or high > 1):
        raise DataError(
            f"column {column.name!r} must hold numbers",
            expected="numbers, as in training",
            got=other,
            where=place(column.name, int(np.argmin(column.missing))),
            try_="give the numbers, or leave the column empty",
        )
    if units is None or len(units) > 1:
        return
    found = _other_unit([*units], column.marks, within_one := -1 <= low <= high <= 1)
    if found:
        row = first_told(column, lambda marks: _other_unit([*units], marks, within_one))
        raise DataError(
            f"column {column.name!r} is told in another unit than in training",
            expected=f"numbers in {next(iter(units))}, or without a sign"
            if units
            else "numbers without a sign, as in training",
            got=found,
            where=place(column.name, row),
            try_="convert them; numbers that are in the unit of training may be written without a sign",
        )


def _other_unit(learned: list[str], marks: Collection[str], within_one: bool) -> str:
    """In what numbers beside these marks are told, if it is not the unit that was learned; `within_one`: no percents.

    >>> _other_unit(["EUR"], ["USD"], False), _other_unit(["EUR"], [], False), _other_unit([], ["%"], True)
    ('USD', '', '%')
    """
    here = units_in(marks)
    mixed = mixed_units(marks)
    if mixed and (learned or len(here) > 1):
        return " and ".join(mixed)
    fits = [*here] == learned if learned else "s" not in here and not (within_one and "%" in here)
    return "" if fits or not here else here[0]


def bare_numbers(column: Column, units: Collection[str] | None, high: float) -> dict[str, dict[str, int]]:
    """By column and unit how many numbers without a sign are taken in it: s, or % where shares of 1 seem meant."""
    if not units or len(units) > 1 or units_in(column.marks):
        return {}
    size, unit = np.abs(column.present), next(iter(units))
    shares = unit == "%" and high > 1 and np.all(size <= 1) and np.any(size % 1 > 0)
    return {column.name: {unit: len(size)}} if shares or (unit == "s" and len(size)) else {}


def mixed_column(name: str, text: str, where: str, slips: int, numbers: int, on_top: bool) -> DataError:
    """The error for a column of numbers with texts among them; the first of them is shown, with what is to be done.

    `on_top`: it stands in the first row, which may be no row of the table.
    """
    words = f"{shlex.quote(name)}=category"
    if text == name:
        remedy = "delete the line, which repeats the names of the columns"
    elif word_of(text) != text:
        remedy = f"write a number, such as half the bound, or leave it empty; --kind {words} takes all as words"
    elif text.strip(" :").lower() in TOTALS:
        remedy = f"delete the line if it sums up those above it; else correct it, or --missing {text!r}"
    elif on_top and slips == 1:
        remedy = f"delete the line if it holds names or units; else correct it, or --missing {text!r}"
    else:
        remedy = f"correct it or leave it empty, or --missing {text!r}; --kind {words} takes all as words"
    return DataError(
        f"column {name!r} holds text among its numbers",
        expected="numbers, and an empty cell where one is missing",
        got=f"{text!r} among {quantity(numbers, 'number')}"
        + (f", and {quantity(slips - 1, 'further text')}" if slips > 1 else ""),
        where=where,
        try_=remedy,
    )


def told_apart(alike: Mapping[str, Sequence[str]]) -> str:
    """A sentence about columns with words that look alike.

    >>> told_apart({"a": ["Red", "red"]})
    "words that look alike are told apart: 'Red', 'red' in column 'a'"
    """
    told = [f"{shown_texts(texts)} in column {name!r}" for name, texts in alike.items()]
    return f"words that look alike are told apart: {'; '.join(told[:3])}"


def shown_texts(texts: Sequence[str]) -> str:
    r"""Texts as they can be told apart on a screen, the first of them where there are many.

    >>> shown_texts(["red", "red\u200b", "caf\u00e9", "cafe\u0301"])
    "'red', 'red\\u200b', 'café', 'cafe\\u0301'"
    """
    import unicodedata  # start-up time: few texts need it

    def shown(text: str) -> str:
        return repr(text) if unicodedata.is_normalized("NFC", text) else ascii(text)

    return name_list([shown(text) for text in texts], 6)


def word_without_place(name: str, word: str, levels: tuple[str, ...], where: str) -> DataError:
    """The error for a word in a column of ordered words that is none of them."""
    return DataError(
        f"column {name!r} holds a word that has no place in its order",
        expected=" < ".join(levels),
        got=repr(word),
        where=where,
        try_=f"correct the value, leave it empty, or name all words: --kind '{name}={'<'.join(levels)}<{word}'",
    )
