"""The ways to write dates and times, and texts that are taken apart many at a time.

Texts that differ in digits alone are of one form.  A column of a million texts has few forms, and where a part of the
time stands in one text of a form, it stands in all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

LONGEST_TIME = 48
"""The most characters in a time."""
DAY = 86_400
"""The seconds of a day; leap seconds are not counted."""
_HOUR = r"(?P<hour>\d{1,2})"
_MINUTES = r":(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
_HALF = r"(?P<half>[AaPp]\.?[Mm]\.?)"
_ZONE = r"(?P<zone>Z|UTC|GMT|(?:UTC|GMT)?[+-]\d{2}(?::?\d{2})?|(?:UTC|GMT)[+-]\d)?"
CLOCK = rf"{_HOUR}(?:{_MINUTES})?\s*{_HALF}?\s*{_ZONE}"
"""A time of day, as a regular expression with a name for every part; it has minutes, or am or pm."""
CLOCKS = (rf"{_HOUR}{_MINUTES}\s*{_HALF}?\s*{_ZONE}", rf"{_HOUR}\s*{_HALF}\s*{_ZONE}")
"""The two of them."""
_WORD = r"[A-Za-zÀ-ÿ]"
_NAME = rf"(?P<month_name>{_WORD}{{3,10}})\.?"
_WEEKDAY = rf"(?:{_WORD}{{2,10}}\.?,?\s+)?"
DATES = (
    r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})",
    r"(?P<year>(?:1[5-9]|2[01])\d{2})-(?P<month>\d{2})",
    r"(?P<year>\d{4})M(?P<month>\d{2})",
    r"(?P<month>\d{1,2})/(?P<year>(?:1[5-9]|2[01])\d{2})",
    r"(?P<year>\d{4})[\s-]?[Qq](?P<quarter>[1-4])",
    r"[QqTt](?P<quarter>[1-4])[\s/-](?P<year>\d{4})",
    r"(?P<year>\d{4})[\s-]?[HhSs](?P<semester>[12])",
    r"(?:KW|CW)\s?(?P<week>\d{1,2})[\s/.-](?P<year>\d{4})",
    r"(?P<year>\d{4})年(?P<month>\d{1,2})月",
    r"(?P<year>\d{4})年(?P<month>\d{1,2})月(?P<day>\d{1,2})日",
    r"(?P<year>\d{4})-?W(?P<week>\d{2})(?:-?(?P<weekday>[1-7]))?",
    r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})",
    r"(?P<first>\d{1,2})(?P<sign>[-/.])(?P<other>\d{1,2})[-/.](?P<year>\d{4})",
    r"(?P<first>\d{1,2})(?P<sign>[-/])(?P<other>\d{1,2})[-/](?P<year>\d{2})",
    r"(?P<first>\d{2})(?P<sign>\.)(?P<other>\d{2})\.(?P<year>\d{2})",
    rf"{_WEEKDAY}(?P<day>\d{{1,2}})(?:\.|st|nd|rd|th|er)?[\s/-](?:de\s)?{_NAME}(?:\sde\s|[\s/,-]+)(?P<year>\d{{4}})",
    rf"(?P<day>\d{{1,2}})(?P<month_name>{_WORD}{{3}})(?P<year>\d{{4}})",
    rf"{_WEEKDAY}{_NAME}\s(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<year>\d{{4}})",
    rf"{_NAME}[\s-](?P<year>\d{{4}})",
    rf"{_NAME}(?:-|\s?['’])(?P<year>\d{{2}})",
)
"""The ways to write a date; no text fits two of them.  Without a day it is the first of the month, the quarter or the
week, which are those of ISO 8601.  `Jan-20` is a month of a year, as spreadsheets write it, and `20-Jan` is no date."""
_PATTERNS = (
    *(rf"{date}(?:(?:,?\s+|T){CLOCK})?" for date in DATES),
    CLOCK,
)
"""Ways to write a time: a date with or without the time of day, or that alone."""
_BOUNDS = {
    "[1-4]": (r"\d", "quarter", 1, 4),
    "[12]": (r"\d", "semester", 1, 2),
    "[1-7]": (r"\d", "weekday", 1, 7),
    r"(?:1[5-9]|2[01])\d{2}": (r"\d{4}", "year", 1500, 2199),
}
"""Where a pattern takes some digits only: what takes all of them, the name of the number, the least and the most."""
MONTHS = (
    "january januar janvier enero gennaio janeiro januari jänner",
    "february februar février fevrier febrero febbraio februari fevereiro feber",
    "march märz mars marzo mrz maart março marts", "april avril abril aprile", "may mai mayo maggio mei maio maj",
    "june juni juin junio giugno junho", "july juli juillet julio luglio julho",
    "august août aout agosto augustus augusti", "september septembre septiembre settembre sept setembro",
    "october oktober octobre octubre ottobre outubro", "november novembre noviembre novembro",
    "december dezember décembre decembre diciembre dicembre dezembro",
)  # fmt: skip
"""The months in English, German, French, Spanish, Italian, Portuguese, Dutch and Scandinavian languages, by whose first
three letters or more they are named."""
PIVOT = 69
"""Years of two digits from this one on are those of the last century, as POSIX says."""

_ZERO, _NINE = ord("0"), ord("9")
_MOST_OF_FRACTION = 6
"""More digits of a second than these are not counted."""


_Whole: TypeAlias = NDArray[np.int64]
_NONE, _ONE, _EPOCH = (np.array([value]) for value in (0, 1, 1970))
_WORDS: tuple[str, ...] = ("sign", "month_name", "half", "zone")
_APART = ("zone", "fraction")


@dataclass(frozen=True, eq=False)
class Form:
    """Where the parts of a time stand in texts that differ in digits alone.

    `numbers` are the bytes of each number, `words` what stands for `sign`, `month_name`, `half` and `zone`, `bounds`
    the least and the most that some numbers may be.
    """

    numbers: dict[str, range]
    words: dict[str, str]
    bounds: dict[str, tuple[int, int]]

    @property
    def ordered(self) -> bool:
        """Whether two numbers stand before the year, of which either may be the day."""
        return "first" in self.numbers


@lru_cache(maxsize=1024)
def form_of(text: str) -> Form | None:
    """The form of texts, from one of them with 0 for every digit; None where they are no times."""
    if len(text) > 2 * LONGEST_TIME:  # patterns take any number of blanks
        return None
    for pattern, bounds in _patterns():
        found = pattern.fullmatch(text)
        if found is not None:
            spans = {name: found.span(name) for name, part in found.groupdict().items() if part is not None}
            words = {name: str(found[name]) for name in _WORDS if name in spans}
            numbers = {n: _bytes_of(text, *span) for n, span in spans.items() if n not in words or n == "zone"}
            return Form(numbers, words, {name: bound for name, bound in bounds.items() if name in numbers})
    return None


@lru_cache(maxsize=1)
def _patterns() -> list[tuple[re.Pattern[str], dict[str, tuple[int, int]]]]:
    """The patterns, which take all digits where some are meant, and the bounds of numbers that follow."""
    found = []
    for pattern in _PATTERNS:
        bounds = {}
        for some, (every, name, low, high) in _BOUNDS.items():
            if some in pattern:
                pattern, bounds[name] = pattern.replace(some, every), (low, high)
        found.append((re.compile(pattern.replace(r"\d", "[0-9]")), bounds))
    return found


def _bytes_of(text: str, first: int, last: int) -> range:
    start = len(text[:first].encode())
    return range(start, start + len(text[first:last].encode()))


def by_form(texts: Sequence[str]) -> Iterator[tuple[str, NDArray[np.intp], NDArray[np.uint8]]]:
    """Texts that are not empty, divided by form: a text with 0 for every digit, which texts they are, their bytes.

    >>> [(form, rows.tolist()) for form, rows, _ in by_form(["1:30", "12:00", "2:45"])]
    [('0:00', [0, 2]), ('00:00', [1])]
    """
    joined = "".join(texts)
    written = joined.encode()
    lengths = map(len, texts) if len(written) == len(joined) else (len(text.encode()) for text in texts)
    sizes = np.fromiter(lengths, np.intp, len(texts))
    flat, starts = np.frombuffer(written, np.uint8), np.cumsum(sizes) - sizes
    for size in np.unique(sizes[sizes > 0]).tolist():
        rows = np.flatnonzero(sizes == size)
        table = flat.reshape(-1, size) if len(rows) == len(texts) else flat[starts[rows][:, None] + np.arange(size)]
        for form, chosen, bytes_of_form in forms_in(table):
            yield form, rows[chosen], bytes_of_form


def forms_in(table: NDArray[np.uint8]) -> Iterator[tuple[str, NDArray[np.intp], NDArray[np.uint8]]]:
    """Texts of one length by their bytes, `(rows, bytes)`, divided by form: see `by_form`."""
    plain = np.where((table >= _ZERO) & (table <= _NINE), np.uint8(_ZERO), table)
    for chosen in _equal_places(plain.view(f"S{table.shape[1]}")[:, 0]):
        form = plain[chosen[0]].tobytes().decode()
        yield form, chosen, table if len(chosen) == len(table) else table[chosen]


def _equal_places(keys: NDArray[np.bytes_]) -> list[NDArray[np.intp]]:
    """The places of each different key."""
    if (keys == keys[0]).all():
        return [np.arange(len(keys))]
    known: dict[bytes, int] = {}
    codes = np.fromiter((known.setdefault(key, len(known)) for key in keys.tolist()), np.intp, len(keys))
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.cumsum(np.bincount(codes))[:-1])


class FormTexts:
    """Texts of one form `(rows, bytes)`, taken apart."""

    def __init__(self, form: Form, table: NDArray[np.uint8]) -> None:
        self.form = form
        self.numbers = {name: _number(table, places) for name, places in form.numbers.items() if name not in _APART}
        self.offset, self.fraction = _offset(form, table), _fraction(form, table)
        self.fits = np.ones(len(table), dtype=bool)
        for name, (low, high) in form.bounds.items():
            self.fits &= (self.numbers[name] >= low) & (self.numbers[name] <= high)

    def seconds(self, order: str) -> NDArray[np.float64]:
        """Seconds since 1970 with what comes first in `order`, NaN for dates and times that do not exist."""
        numbers, words = self.numbers, self.form.words
        year, month, day = self._date(order)
        hour, minute, second = (numbers.get(name, _NONE) for name in ("hour", "minute", "second"))
        half = words.get("half", "").lower()
        sane = self.fits & (month >= 1) & (month <= 12) & (day >= 1) & (year >= 1) & (minute <= 59) & (second <= 60)
        sane &= (hour >= 1) & (hour <= 12) if half else hour <= 23
        if half:
            hour = hour % 12 + 12 * half.startswith("p")
        elif "hour" in numbers and "minute" not in numbers:
            sane[:] = False
        if self.form.ordered and order == "year-first" and words["sign"] != ".":
            sane[:] = False
        year, month, day = (np.where(sane, part, 1) for part in (year, month, day))
        months = _month_starts()
        place = (year - 1) * 12 + month - 1
        start = months[place]
        sane &= day <= months[place + 1] - start
        days = start + day - 1
        if "week" in numbers:
            days, fits = _of_weeks(year, numbers["week"], numbers.get("weekday", _ONE))
            sane &= fits
        whole = (days * DAY + hour * 3600 + minute * 60 + second).astype(np.float64) - self.offset
        return np.where(sane, whole + self.fraction, np.nan)

    def _date(self, order: str) -> tuple[_Whole, _Whole, _Whole]:
        """Year, month and day; the first of the month, of the year or of 1970 where they are not told."""
        numbers, words = self.numbers, self.form.words
        year, month, day = (
            numbers.get(name, first) for name, first in (("year", _EPOCH), ("month", _ONE), ("day", _ONE))
        )
        if self.form.ordered:
            day_first = words["sign"] == "." or order != "month-first"
            names = ("first", "other") if day_first else ("other", "first")
            day, month = (numbers[name] for name in names)
        if "month_name" in words:
            month = np.array([month_number(words["month_name"])])
        if "quarter" in numbers:
            month = 3 * numbers["quarter"] - 2
        if "semester" in numbers:
            month = 6 * numbers["semester"] - 5
        if self.form.ordered or "month_name" in words:
            year = np.where(year < 100, year + np.where(year < PIVOT, 2000, 1900), year)
        return year, month, day


def _number(table: NDArray[np.uint8], places: Sequence[int]) -> _Whole:
    value = np.zeros(len(table), np.int64)
    for place in places:
        value = value * 10 + (table[:, place] - np.uint8(_ZERO))
    return value


def _fraction(form: Form, table: NDArray[np.uint8]) -> NDArray[np.float64] | float:
    places = form.numbers.get("fraction", range(0))[:_MOST_OF_FRACTION]
    return _number(table, places) / 10 ** len(places) if places else 0.0


def _offset(form: Form, table: NDArray[np.uint8]) -> NDArray[np.float64] | float:
    """The seconds by which a zone, such as +05:30, Z or GMT+1, is ahead of UTC."""
    zone = form.words.get("zone", "")
    places = [place for place, sign in zip(form.numbers.get("zone", ()), zone, strict=True) if sign == "0"]
    if not places:
        return 0.0
    size = _number(table, places[:2]) * 3600.0 + _number(table, places[2:]) * 60.0
    return -size if "-" in zone else size


def month_number(name: str) -> int:
    """The month of that name, or of its beginning; 0 for none, and for a beginning of two months.

    >>> [month_number(name) for name in ("Sept", "Mär", "juil", "jui", "Mon")]
    [9, 3, 7, 0, 0]
    """
    found = [i for i, names in enumerate(MONTHS, 1) if any(known.startswith(name.lower()) for known in names.split())]
    return found[0] if len(found) == 1 else 0


@lru_cache(maxsize=1)
def _month_starts() -> _Whole:
    """The days from 1970-01-01 to the first of each month in the Gregorian calendar, from the year 1 to 10000."""
    months = np.arange("0001-01", "10000-02", dtype="datetime64[M]")
    return months.astype("datetime64[D]").astype(np.int64)


def _of_weeks(year: _Whole, week: _Whole, weekday: _Whole) -> tuple[_Whole, NDArray[np.bool_]]:
    """The days of weeks of ISO 8601, and which there are: some years have no week 53.

    The first week is that of 4 January, and a week belongs to the year of its Thursday.
    """
    starts, january = _month_starts(), (year - 1) * 12
    fourth = starts[january] + 3
    monday = fourth - (fourth + 3) % 7 + 7 * (week - 1)  # 1970 began on a Thursday
    thursday = monday + 3
    same_year = (thursday >= starts[january]) & (thursday < starts[january + 12])
    return monday + weekday - 1, (week >= 1) & (week <= 53) & same_year
