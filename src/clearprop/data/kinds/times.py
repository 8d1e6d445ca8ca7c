"""Dates and times as people write them, as seconds since 1970: one reading for a whole column."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from clearprop.data.columns import Column, Locator, as_category
from clearprop.errors import DataError

if TYPE_CHECKING:
    import polars

DayOrder = Literal["day-first", "month-first", "year-first"]
ORDERS = get_args(DayOrder)
"""What comes first in a date: the day in 31/12/2021, the month in 12/31/2021, the year where neither kind is found."""
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
    r"(?P<year>\d{4})[\s-]?[Qq](?P<quarter>[1-4])",
    r"[Qq](?P<quarter>[1-4])[\s/-](?P<year>\d{4})",
    r"(?P<year>\d{4})-?W(?P<week>\d{2})(?:-?(?P<weekday>[1-7]))?",
    r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})",
    r"(?P<first>\d{1,2})(?P<sign>[-/.])(?P<other>\d{1,2})[-/.](?P<year>\d{4})",
    r"(?P<first>\d{1,2})(?P<sign>[-/])(?P<other>\d{1,2})[-/](?P<year>\d{2})",
    r"(?P<first>\d{2})(?P<sign>\.)(?P<other>\d{2})\.(?P<year>\d{2})",
    rf"{_WEEKDAY}(?P<day>\d{{1,2}})(?:\.|st|nd|rd|th|er)?[\s-](?:de\s)?{_NAME}(?:\sde\s|[\s,-]+)(?P<year>\d{{4}})",
    rf"{_WEEKDAY}{_NAME}\s(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<year>\d{{4}})",
    rf"{_NAME}[\s-](?P<year>\d{{4}})",
    rf"{_NAME}(?:-|\s?['’])(?P<year>\d{{2}})",
)
"""The ways to write a date; no text fits two of them.  Without a day it is the first of the month, the quarter or the
week, which are those of ISO 8601.  `Jan-20` is a month of a year, as spreadsheets write it, and `20-Jan` is no date."""
_PATTERNS = (*(rf"^{date}(?:(?:,?\s+|T){CLOCK})?$" for date in DATES), rf"^{CLOCK}$")
"""Ways to write a time: a date with or without the time of day, or that alone."""
MONTHS = (
    "january januar janvier enero gennaio janeiro", "february februar février fevrier febrero febbraio",
    "march märz mars marzo mrz", "april avril abril aprile", "may mai mayo maggio", "june juni juin junio giugno",
    "july juli juillet julio luglio", "august août aout agosto", "september septembre septiembre settembre sept",
    "october oktober octobre octubre ottobre", "november novembre noviembre",
    "december dezember décembre decembre diciembre dicembre",
)  # fmt: skip
"""The months in English, German, French, Spanish and Italian, by whose first three letters or more they are named."""
PIVOT = 69
"""Years of two digits from this one on are those of the last century, as POSIX says."""


@dataclass(frozen=True)
class TimeEvidence:
    """What texts show: whether all are times, and whether in some the day, or the month, must come first.

    `ordered` says that some date ends in its year; `example` is one that can be read in two ways; `ranges` are the
    first and the last time in each of `ORDERS`; of so many `texts` `fits` are times, in the order that suits most.
    """

    times: bool = True
    ordered: bool = False
    day_first: bool = False
    month_first: bool = False
    example: str = ""
    ranges: tuple[tuple[float, float], ...] = ((np.inf, -np.inf),) * len(ORDERS)
    texts: int = 0
    fits: int = 0

    def __or__(self, other: TimeEvidence) -> TimeEvidence:
        """The evidence of both."""
        pairs = zip(self.ranges, other.ranges, strict=True)
        return TimeEvidence(
            self.times and other.times,
            self.ordered or other.ordered,
            self.day_first or other.day_first,
            self.month_first or other.month_first,
            self.example or other.example,
            tuple((min(a[0], b[0]), max(a[1], b[1])) for a, b in pairs),
            self.texts + other.texts,
            self.fits + other.fits,
        )

    @property
    def order(self) -> DayOrder | None:
        """What comes first where the year is last; None where both readings fit, and differ."""
        if not self.ordered:
            return "year-first"
        if self.example and not (self.day_first or self.month_first):
            return None
        return "month-first" if self.month_first else "day-first"


def time_evidence(texts: Iterable[str | None], asked: bool = False) -> TimeEvidence:
    """What texts, of which None is none, show of being times; digits alone are one only where they are `asked` to be.

    >>> time_evidence(["03/04/2021", "13/04/2021"]).order, time_evidence(["03/04/2021"]).order
    ('day-first', None)
    """
    import polars as pl

    text = pl.Series("t", list(texts), dtype=pl.String).drop_nulls().str.strip_chars()
    if not len(text) or (not asked and text.str.contains(rf"^\d+$|^.{{{LONGEST_TIME + 1}}}").any()):
        return TimeEvidence(times=False)
    parts = _parts(text)
    first, other = parts["first"], parts["other"]
    dotted = parts["sign"] == "."
    values = [_seconds(parts, order) for order in ORDERS]
    known = [seconds[~np.isnan(seconds)] for seconds in values]
    either = (first >= 1) & (first <= 12) & (other >= 1) & (other <= 12) & (first != other) & ~dotted
    return TimeEvidence(
        ordered=bool((~np.isnan(first)).any()),
        times=any(len(seconds) == len(text) for seconds in known),
        day_first=bool((dotted | (first > 12)).any()),
        month_first=bool((other > 12).any()),
        example=str(text[int(np.argmax(either))]) if either.any() else "",
        ranges=tuple((float(s.min()), float(s.max())) if len(s) else (np.inf, -np.inf) for s in known),
        texts=len(text),
        fits=max(len(seconds) for seconds in known),
    )


def fits_time(texts: NDArray[Any]) -> NDArray[np.bool_]:
    """Which texts are times in some order of day and month, or missing."""
    known = np.stack([~np.isnan(seconds_of(texts, order)) for order in ORDERS]).any(axis=0)
    return np.asarray(known | np.fromiter((text is None for text in texts), bool, len(texts)))


def require_one_order(name: str, evidence: TimeEvidence, source: str) -> DayOrder:
    """What comes first, day or month.  Raises DataError where that cannot be told."""
    order = evidence.order
    if order is not None:
        return order
    raise DataError(
        f"it cannot be told whether day or month comes first in column {name!r}",
        expected="some day above 12, or dates such as 2021-04-03",
        got=f"{evidence.example!r}, and no day above 12 in any row",
        where=f"{source}, column {name!r}",
        try_=f"--kind '{name}=day-first' or --kind '{name}=month-first'",
    )


def seconds_of(texts: NDArray[Any], order: str) -> NDArray[np.float64]:
    """Texts as seconds since 1970-01-01, in UTC where they name a zone; NaN for None and for what is no time.

    Times of day without a date are those of that day.

    >>> seconds_of(np.array(["1970-01-02", "02/01/1970 06:00", None], dtype=object), "day-first").tolist()
    [86400.0, 108000.0, nan]
    """
    import polars as pl

    return _seconds(_parts(pl.Series("t", texts.tolist(), dtype=pl.String).str.strip_chars()), order)


def as_time(column: Column, order: str, place: Locator) -> Column:
    """The column as times.  Raises DataError for a text that is none, with its row."""
    if column.kind == "time":
        return column
    texts = as_category(column).values
    values = seconds_of(texts, order)
    strange = np.isnan(values) & ~np.fromiter((text is None for text in texts), bool, len(texts))
    if strange.any():
        row = int(np.argmax(strange))
        raise no_time(column.name, texts[row], order, place(column.name, row))
    return replace(column, kind="time", values=values, spelling=None, use=order)


def no_time(name: str, text: str, order: str, where: str) -> DataError:
    """The error for a text that is no time."""
    example = {"day-first": "31/12/2021", "month-first": "12/31/2021"}.get(order, "2021/12/31")
    return DataError(
        f"column {name!r} must hold dates or times",
        expected=f"such as 2021-12-31, {example} ({order}), 31 Dec 2021, each with or without 23:59:59, or 2021-W52",
        got=repr(text),
        where=where,
        try_="correct the value, or leave it empty",
    )


def _parts(text: polars.Series) -> dict[str, NDArray[Any]]:
    """The parts of each text: numbers (NaN: not there), and the texts `sign`, `month_name`, `half`, `zone`."""
    import polars as pl

    names = ("year", "month", "day", "first", "other", "hour", "minute", "second", "quarter", "week", "weekday")
    words = ("sign", "month_name", "half", "zone", "fraction")
    empty = np.full(len(text), np.nan)
    found: dict[str, NDArray[Any]] = {name: empty.copy() for name in names}
    found |= {word: np.full(len(text), "", dtype=object) for word in words}
    left = np.flatnonzero(text.is_not_null().to_numpy())
    # Each pattern is tried on the texts that those before it did not fit.
    for pattern in _PATTERNS:
        if not len(left):
            break
        rest = text.gather(left)
        fits = rest.str.contains(pattern).to_numpy()
        if not fits.any():
            continue
        groups = rest.filter(pl.Series(fits)).str.extract_groups(pattern).struct.unnest()
        rows = left[fits]
        for name in groups.columns:
            if name in words:
                found[name][rows] = groups[name].fill_null("").to_numpy()
            else:
                found[name][rows] = groups[name].cast(pl.Float64).to_numpy()
        found["year"][rows] = np.nan_to_num(found["year"][rows], nan=1970.0)
        left = left[~fits]
    found["fits"] = np.ones(len(text), dtype=bool)
    found["fits"][left] = False
    return found


def _seconds(parts: dict[str, NDArray[Any]], order: str) -> NDArray[np.float64]:
    """Seconds since 1970, NaN for dates and times that do not exist."""
    dotted = parts["sign"] == "."
    day_first = dotted if order == "month-first" else np.ones(len(dotted), dtype=bool)
    dated = ~np.isnan(parts["first"])
    known = dotted | ~dated if order == "year-first" else np.ones(len(dotted), dtype=bool)
    day = np.where(dated, np.where(day_first, parts["first"], parts["other"]), np.nan_to_num(parts["day"], nan=1.0))
    month = np.where(dated, np.where(day_first, parts["other"], parts["first"]), np.nan_to_num(parts["month"], nan=1.0))
    month = _named_months(parts["month_name"], month)
    month = np.where(np.isnan(parts["quarter"]), month, 3 * parts["quarter"] - 2)
    year = parts["year"]
    short = (dated | (parts["month_name"] != "")) & (year < 100)
    year = np.where(short, year + np.where(year < PIVOT, 2000, 1900), year)
    hour, minute, second = (np.nan_to_num(parts[name]) for name in ("hour", "minute", "second"))
    half = np.char.lower(parts["half"].astype(str))
    afternoon, morning = np.char.startswith(half, "p"), np.char.startswith(half, "a")
    halved = afternoon | morning
    sane = np.where(halved, (hour >= 1) & (hour <= 12), hour <= 23) & (minute <= 59) & (second <= 60)
    sane &= halved | ~np.isnan(parts["minute"]) | np.isnan(parts["hour"])
    hour = np.where(halved, hour % 12 + 12 * afternoon, hour)
    sane &= parts["fits"] & known & (month >= 1) & (month <= 12) & (day >= 1) & (year >= 1)
    year, month, day = (np.where(sane, value, 1.0).astype(np.int64) for value in (year, month, day))
    sane &= day <= _month_lengths(year, month)
    days, fits = _with_weeks(_days(year, month, day), year, parts["week"], np.nan_to_num(parts["weekday"], nan=1.0))
    sane &= fits
    whole = days * DAY + hour * 3600 + minute * 60 + second - _offsets(parts["zone"])
    return np.where(sane, whole + _fractions(parts["fraction"]), np.nan)


def _named_months(names: NDArray[Any], month: NDArray[np.float64]) -> NDArray[np.float64]:
    for name in set(names.tolist()) - {""}:
        month = np.where(names == name, float(month_number(name)), month)
    return month


def month_number(name: str) -> int:
    """The month of that name, or of its beginning; 0 for none, and for a beginning of two months.

    >>> [month_number(name) for name in ("Sept", "Mär", "juil", "jui", "Mon")]
    [9, 3, 7, 0, 0]
    """
    found = [i for i, names in enumerate(MONTHS, 1) if any(known.startswith(name.lower()) for known in names.split())]
    return found[0] if len(found) == 1 else 0


def _fractions(texts: NDArray[Any]) -> NDArray[np.float64]:
    known = {text: int(text[:6]) / 10 ** len(text[:6]) if text else 0.0 for text in set(texts.tolist())}
    return np.fromiter((known[text] for text in texts.tolist()), np.float64, len(texts))


def _offsets(zones: NDArray[Any]) -> NDArray[np.float64]:
    known = {zone: _offset(zone) for zone in set(zones.tolist())}
    return np.fromiter((known[zone] for zone in zones.tolist()), np.float64, len(zones))


def _offset(zone: str) -> float:
    """The seconds by which a zone is ahead of UTC.

    >>> _offset("+05:30"), _offset("Z"), _offset("GMT+1")
    (19800.0, 0.0, 3600.0)
    """
    digits = zone.replace("UTC", "").replace("GMT", "").replace(":", "").strip("Z")
    if not digits:
        return 0.0
    size = int(digits[1:3]) * 3600.0 + int(digits[3:] or 0) * 60.0
    return -size if digits[0] == "-" else size


def _month_lengths(year: NDArray[np.int64], month: NDArray[np.int64]) -> NDArray[np.int64]:
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    lengths = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])[month - 1]
    return np.asarray(lengths + (leap & (month == 2)))


def _days(year: NDArray[np.int64], month: NDArray[np.int64], day: NDArray[np.int64]) -> NDArray[np.float64]:
    """Days since 1970-01-01 in the Gregorian calendar."""
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    return (months.astype("datetime64[D]").astype(np.int64) + day - 1).astype(np.float64)


def _with_weeks(
    days: NDArray[np.float64], year: NDArray[np.int64], week: NDArray[np.float64], weekday: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The days, where a week is told those of ISO 8601, and which there are: some years have no week 53.

    The first week is that of 4 January, and a week belongs to the year of its Thursday.
    """
    told = ~np.isnan(week)
    if not told.any():
        return days, np.ones(len(days), dtype=bool)
    january = _days(year, np.ones_like(year), np.full_like(year, 4))
    monday = january - (january + 3) % 7 + 7 * (np.nan_to_num(week) - 1)  # 1970 began on a Thursday
    thursday = (monday + 3).astype(np.int64).astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970
    return np.where(told, monday + weekday - 1, days), ~told | ((week >= 1) & (week <= 53) & (thursday == year))


def ticks_as_seconds(ticks: Sequence[int | None]) -> NDArray[np.float64]:
    """Microseconds since 1970 as seconds, NaN for None: the bits that `seconds_of` gives for the same time as text.

    >>> ticks_as_seconds([1_500_000, None]).tolist()
    [1.5, nan]
    """
    known = np.array([tick is not None for tick in ticks])
    whole, rest = np.divmod(np.array([tick or 0 for tick in ticks], dtype=np.int64), 10**6)
    return np.where(known, whole + rest / 10**6, np.nan)


def time_text(seconds: float, clock: bool) -> str:
    """A time as a reader knows it; of the first day of 1970, which stands for no date, the time of day alone.

    >>> time_text(86400.0, clock=False), time_text(3600.0, clock=True)
    ('1970-01-02', '01:00')
    """
    date, _, time = str(np.datetime64(int(seconds), "s")).partition("T")
    if not clock:
        return date
    time = time.removesuffix(":00")
    return time if 0 <= seconds < DAY else f"{date} {time}"


def parts_of(seconds: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Times as `year`, and as shares from 0 to 1 of a `year`, a `week` (from Monday) and a `day` that have passed.

    >>> {name: float(value[0]) for name, value in parts_of(np.array([86400.0 * 4 + 21600])).items()}["day share"]
    0.25
    """
    days = np.floor(seconds / DAY)
    dates = days.astype(np.int64).astype("datetime64[D]")
    years = dates.astype("datetime64[Y]")
    starts = years.astype("datetime64[D]")
    lengths = (years + 1).astype("datetime64[D]") - starts
    return {
        "year": years.astype(np.int64) + 1970.0,
        "year share": (dates - starts).astype(np.float64) / lengths.astype(np.float64),
        "week share": (days + 3) % 7 / 7,  # 1970 began on a Thursday
        "day share": (seconds - days * DAY) / DAY,
    }
