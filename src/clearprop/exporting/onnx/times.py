"""Dates and times in an ONNX graph: each digit asked for by regular expressions, and the calendar as arithmetic.

ONNX takes no digits out of a text, but it tells whether a text fits a regular expression.  So every bit of every digit
is a question, made of the same expressions with which files are read, and the answers times their weights are the parts
of the time.  What follows from year, month and day is computed by the library's own functions, and traced.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.kinds.time_encoding import TimeEncoding
from clearprop.data.kinds.time_forms import CLOCK, CLOCKS, DATES, DAY, MONTHS, PIVOT, month_number
from clearprop.exporting.onnx.graph import GraphBuilder, element_type
from clearprop.program.types import FLOAT32, FLOAT64
from clearprop.rules.elementwise import (
    astype,
    equal,
    floor,
    greater,
    greater_equal,
    less_equal,
    logical_and,
    logical_or,
    where,
)
from clearprop.rules.joining import concat
from clearprop.rules.trigonometric import cos, sin

PARTS = (
    "year", "month", "day", "hour", "minute", "second", "short", "afternoon", "half", "offset", "behind",
    "week", "weekday",
)  # fmt: skip
"""What is told of a time: `short` is 1 for a year of two digits, `half` for am and pm; `offset` is that of the zone in
seconds, `behind` 1 for one behind UTC; `week` is 0 where none is told."""
EPOCH = 719_468
"""The days from 1 March of the year 0 to 1970."""
_BITS = {1: "13579", 2: "2367", 4: "4567", 8: "89"}
"""The digits in which each power of two is a part."""
_DIGITS_OF_FRACTION = 6
"""More digits of a second than these are not counted, here and where files are read."""


def missing_pattern(words: Sequence[str]) -> str:
    r"""A regular expression for the words of a missing value, and for blanks alone.

    >>> missing_pattern(["", "NA"])
    '\\s*(?:|NA)\\s*'
    """
    return rf"\s*(?:{'|'.join(map(re.escape, words))})\s*"


@dataclass(frozen=True)
class TimeTexts:
    """Texts `(N, 1)` taken apart: `parts` `(N, 13)` float64, as `PARTS` lists them; which are times, or missing."""

    parts: str
    known: str
    absent: str

    @property
    def names(self) -> list[str]:
        """The names of the values, as `time_features` takes them."""
        return [self.parts, self.known, self.absent]


def read_times(
    name: str, graph: GraphBuilder, words: Sequence[str], order: str, zoned: bool | None = None
) -> TimeTexts:
    """Take the texts of an input apart; `order` is that of day and month in the column, `zoned` as it was trained."""
    questions = list(time_questions(order))
    weights = np.zeros((len(questions), len(PARTS)))
    for row, (_, adds) in enumerate(questions):
        for part, weight in adds.items():
            weights[row, PARTS.index(part)] = weight
    answers = [_match(graph, name, pattern) for pattern, _ in questions]
    bits = graph.node(
        "Cast", graph.node("Concat", *answers, axis=1, name="bits"), to=element_type(FLOAT64), name="bits"
    )
    parts = graph.node("MatMul", bits, graph.constant(weights), name="parts")
    return TimeTexts(
        parts, _match(graph, name, known_pattern(order, zoned)), _match(graph, name, missing_pattern(words))
    )


def _match(graph: GraphBuilder, texts: str, pattern: str) -> str:
    return graph.node("RegexFullMatch", texts, pattern=pattern, name="is_of_form")


# ------------------------------------------------------------------------------------------------------ questions
def date_forms(order: str) -> list[str]:
    """The ways to write a date, with groups `year`, `month` or `month_name`, `day`.

    Where two numbers come before the year, points put the day first; else it is what the order of the column says, and
    nothing where no date of training had that form.

    >>> len(date_forms("year-first")), len(date_forms("day-first"))
    (19, 21)
    """
    found = []
    for form in DATES:
        sign = re.search(r"\(\?P<sign>(.*?)\)", form)
        if sign is None:
            found.append(form)
            continue
        day, month = ("other", "first") if order == "month-first" else ("first", "other")
        if "/" in sign[1] and order != "year-first":
            found.append(_name_parts(form.replace(sign[0], "[-/]"), day, month))
        if "." in sign[1]:
            found.append(_name_parts(form.replace(sign[0], r"\."), "first", "other"))
    return found


def _name_parts(form: str, day: str, month: str) -> str:
    return form.replace(f"?P<{day}>", "?P<day>").replace(f"?P<{month}>", "?P<month>")


def known_pattern(order: str, zoned: bool | None = None) -> str:
    """A regular expression for all dates and times that are read: with a zone (`zoned`), without one, or both (None).

    >>> [bool(re.fullmatch(known_pattern("year-first", zoned), "31 Dec 2021, 11:59 pm Z")) for zoned in (True, False)]
    [True, False]
    """
    clocks = [clock if zoned is None else _with_zone(clock, zoned) for clock in CLOCKS]
    dates, clock = "|".join(map(nameless, date_forms(order))), f"(?:{'|'.join(map(nameless, clocks))})"
    return rf"\s*(?:(?:{dates})(?:(?:,?\s+|T){clock}){'' if zoned else '?'}|{clock})\s*"


def _with_zone(clock: str, zoned: bool) -> str:
    """The pattern of a time of day whose zone, which may be there, must be there or must not."""
    start, end, _ = _group(clock, "zone")
    return clock[:end] if zoned else clock[:start]


def time_questions(order: str) -> Iterator[tuple[str, dict[str, float]]]:
    """Regular expressions, and what each adds to the parts of a time of the form `known_pattern` that fits it."""
    # A text is of one form: what its questions add is added once, in whatever order they are asked.
    forms = date_forms(order)
    yield from _date_questions(forms)
    yield from _month_questions([form for form in forms if "<month_name>" in form])
    yield from _share_questions([form for form in forms if "<quarter>" in form], "quarter", 4)
    yield from _share_questions([form for form in forms if "<semester>" in form], "semester", 2)
    yield from _week_questions([form for form in forms if "<week>" in form])
    yield _of_date([nameless(f) for f in forms if "<day>" not in f]), {"day": 1.0}
    yield _of_date([nameless(f) for f in forms if r"<year>\d{2})" in f]), {"short": 1.0}
    yield rf"\s*{nameless(CLOCK)}\s*", {"year": 1970.0, "month": 1.0, "day": 1.0}
    yield from _clock_questions()


def _date_questions(forms: Sequence[str]) -> Iterator[tuple[str, dict[str, float]]]:
    for part, longest in (("year", 4), ("month", 2), ("day", 2), ("week", 2)):
        for place in range(longest):
            for bit in _BITS:
                yield _of_date([with_digit(form, part, place, bit) for form in forms]), {part: 10.0**place * bit}


def _share_questions(forms: Sequence[str], part: str, number: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Of so many equal parts of a year, each of which begins with a month."""
    for share in range(number):
        yield _of_date([with_group(form, part, f"{share + 1}") for form in forms]), {"month": 12.0 / number * share + 1}


def _week_questions(forms: Sequence[str]) -> Iterator[tuple[str, dict[str, float]]]:
    """Of weeks, whose digits are asked for as others are: January in place of a month, and the day, 1 without one."""
    yield _of_date([nameless(form) for form in forms]), {"month": 1.0}
    mark = "(?:-?(?P<weekday>"
    yield _of_date([nameless(form.partition(mark)[0]) for form in forms]), {"weekday": 1.0}
    for day in range(1, 8):
        told = [with_group(form, "weekday", f"{day}") for form in forms if mark in form]
        yield _of_date(told), {"weekday": float(day)}


def _month_questions(forms: Sequence[str]) -> Iterator[tuple[str, dict[str, float]]]:
    for bit in _BITS:
        months = " ".join(month for number, month in enumerate(MONTHS, 1) if number & bit)
        names = "|".join(map(_beginnings, months.split()))
        yield _of_date([with_group(form, "month_name", f"(?i:{names})") for form in forms]), {"month": float(bit)}


def _clock_questions() -> Iterator[tuple[str, dict[str, float]]]:
    for part in ("hour", "minute", "second"):
        for place in range(2):
            for bit in _BITS:
                yield _of_clock(with_digit(CLOCK, part, place, bit)), {part: 10.0**place * bit}
    for place in range(_DIGITS_OF_FRACTION):
        for bit, digits in _BITS.items():
            asked = with_group(CLOCK, "fraction", rf"\d{{{place}}}[{digits}]\d*")
            yield _of_clock(asked), {"second": bit / 10.0 ** (place + 1)}
    zone = r"(?:UTC|GMT)?[+-]"
    for bit, digits in _BITS.items():
        for seconds, pattern in (
            (36000, rf"[{digits}]\d(?::?\d{{2}})?"), (3600, rf"\d[{digits}](?::?\d{{2}})?"),
            (600, rf"\d{{2}}:?[{digits}]\d"), (60, rf"\d{{2}}:?\d[{digits}]"),
        ):  # fmt: skip
            yield _of_clock(with_group(CLOCK, "zone", zone + pattern)), {"offset": float(seconds * bit)}
        yield _of_clock(with_group(CLOCK, "zone", rf"(?:UTC|GMT)[+-][{digits}]")), {"offset": 3600.0 * bit}
    yield _of_clock(with_group(CLOCK, "zone", r"(?:UTC|GMT)?-.*")), {"behind": 1.0}
    yield _of_clock(with_group(CLOCK, "half", r"[AaPp]\.?[Mm]\.?")), {"half": 1.0}
    yield _of_clock(with_group(CLOCK, "half", r"[Pp]\.?[Mm]\.?")), {"afternoon": 1.0}


def _of_date(forms: Sequence[str]) -> str:
    return rf"\s*(?:{'|'.join(form for form in forms if form)})(?:[,\sT].*)?"


def _of_clock(clock: str) -> str:
    return rf"(?:.*[\sT])?{clock}\s*"


def _beginnings(word: str) -> str:
    """The first three letters of a month's name, or more; four where another month begins with three of them.

    >>> _beginnings("june"), _beginnings("juin")
    ('jun(?:e)?', 'juin')
    """
    least, end = 3 if month_number(word[:3]) else 4, ""
    for letter in reversed(word[least:]):
        end = f"(?:{letter}{end})?"
    return word[:least] + end


def with_digit(pattern: str, name: str, place: int, bit: int) -> str:
    r"""The pattern with a group in which the digit of this place, from the last one, has this bit; empty without one.

    >>> with_digit(r"(?P<hour>\d{1,2}):00", "hour", 1, 8)
    '(?:\\d{0,0}[89]\\d{1}):00'
    """
    if f"(?P<{name}>" not in pattern:
        return ""
    body = _group(pattern, name)[2]
    size = re.fullmatch(r"\\d\{(?:(\d),)?(\d)\}", body)
    most = int(size[2]) if size else 4
    least = int(size[1] or most) if size else 4
    if place >= most:
        return ""
    before = rf"\d{{{max(least - 1 - place, 0)},{most - 1 - place}}}"
    return with_group(pattern, name, rf"{before}[{_BITS[bit]}]\d{{{place}}}")


def with_group(pattern: str, name: str, text: str) -> str:
    """The pattern, without names, with another expression in place of a group, which must be there.

    >>> with_group(r"a(?::(?P<b>x))?(?P<c>y)?", "b", "z")
    'a(?::(?:z))(?:y)?'
    """
    start, end, _ = _group(pattern, name)
    opened = [i for i in range(start + 1) if pattern[i] == "(" and _closing(pattern, i) >= end - 1]
    optional = {_closing(pattern, i) + 1 for i in opened}
    after = "".join(c for i, c in enumerate(pattern) if i >= end and not (i in optional and c == "?"))
    return nameless(pattern[:start]) + f"(?:{text})" + nameless(after)


def nameless(pattern: str) -> str:
    """The pattern with groups that have no names.

    >>> nameless("(?P<a>x)")
    '(?:x)'
    """
    return re.sub(r"\(\?P<\w+>", "(?:", pattern)


def _group(pattern: str, name: str) -> tuple[int, int, str]:
    """Where a group begins and ends, and what stands in it."""
    head = f"(?P<{name}>"
    start = pattern.index(head)
    end = _closing(pattern, start) + 1
    return start, end, pattern[start + len(head) : end - 1]


def _closing(pattern: str, start: int) -> int:
    """Where the group that is opened at `start` is closed; no parenthesis stands for itself in these patterns."""
    depth = 0
    for i in range(start, len(pattern)):
        depth += {"(": 1, ")": -1}.get(pattern[i], 0)
        if not depth:
            return i
    raise AssertionError(pattern)


# ------------------------------------------------------------------------------------------------------- features
def time_features(column: TimeEncoding, missing: NDArray[np.float32]) -> Callable[[Any, Any, Any], Any]:
    """What gives the features of times by their parts `(N, 13)`, as `TimeEncoding` does.

    `missing` `(1, features)` are those of a missing time.  Texts that are no times, and dates that do not exist, have
    features that are NaN.

    >>> import clearprop as cl
    >>> from clearprop.data.kinds.time_encoding import fit_time
    >>> column = fit_time("t", "", lambda: [np.array([0.0, 86400.0 * 100])], 0)
    >>> features = time_features(column, np.zeros((1, len(column.features)), np.float32))
    >>> yes, no = np.array([[True]]), np.array([[False]])
    >>> parts = cl.tensor([[1970.0, 4, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]])
    >>> features(parts, yes, no)[0, :1]  # the hundredth day: a deviation above
    Tensor([1.0], dtype=float32)
    """

    def features(parts: Any, known: Any, absent: Any) -> Any:
        told = {name: parts[:, i : i + 1] for i, name in enumerate(PARTS)}
        there = logical_and(known, exists(told))
        year, days, clock = at_zero_meridian(told)
        first = year * 0.0 + 1.0
        start, end = days_since_1970(year, first, first), days_since_1970(year + 1.0, first, first)
        shares = {
            "year": (days - start) / (end - start),
            "week": (days + 3.0 - floor((days + 3.0) / 7.0) * 7.0) / 7.0,
            "day": clock / float(DAY),
        }
        rows = [(days * float(DAY) + clock - column.centre) / column.scale]
        rows += [(year - column.year_centre) / column.year_scale] if column.year_scale else []
        for period in column.periods:
            rows += [sin(2 * np.pi * shares[period]), cos(2 * np.pi * shares[period])]
        rows += [year * 0.0] if column.indicator else []
        found = where(there, astype(concat(rows, axis=1), dtype=FLOAT32), np.float32(np.nan))
        return where(absent, missing, found)

    return features


def days_since_1970(year: Any, month: Any, day: Any) -> Any:
    """Days since 1970-01-01 in the Gregorian calendar, of float64 parts (Richards 2013, Calendars, §15.11).

    The year is taken to begin with March, so that the day which not every year has is its last.

    >>> float(days_since_1970(np.array([2000.0]), np.array([3.0]), np.array([1.0]))[0])
    11017.0
    """
    late = less_equal(month, 2.0)
    y, m = where(late, year - 1.0, year), where(late, month + 9.0, month - 3.0)
    return (
        365.0 * y
        + floor(y / 4.0)
        - floor(y / 100.0)
        + floor(y / 400.0)
        + floor((153.0 * m + 2.0) / 5.0)
        + day
        - (EPOCH + 1.0)
    )


def whole_year(told: dict[str, Any]) -> Any:
    """The year; of two digits it is that of the century which POSIX says."""
    century = where(less_equal(told["year"], PIVOT - 1.0), 2000.0, 1900.0)
    return told["year"] + told["short"] * century


def at_zero_meridian(told: dict[str, Any]) -> tuple[Any, Any, Any]:
    """The year, the days since 1970 and the seconds of the day, in UTC."""
    hour = told["hour"]
    twelve = where(greater(told["half"], 0.0), hour - 12.0 * floor(hour / 12.0) + 12.0 * told["afternoon"], hour)
    seconds = twelve * 3600.0 + told["minute"] * 60.0 + told["second"]
    seconds = seconds - told["offset"] * (1.0 - 2.0 * told["behind"])
    day = days_since_1970(whole_year(told), told["month"], told["day"])
    days = where(greater(told["week"], 0.0), monday_of(told) + told["weekday"] - 1.0, day)
    moved = floor(seconds / float(DAY))
    return year_of(days + moved), days + moved, seconds - moved * float(DAY)


def monday_of(told: dict[str, Any]) -> Any:
    """The day that a week of ISO 8601 begins with; the first week of a year is that of 4 January."""
    one = told["year"] * 0.0 + 1.0
    january = days_since_1970(told["year"], one, 4.0 * one)
    return january - (january + 3.0 - floor((january + 3.0) / 7.0) * 7.0) + 7.0 * (told["week"] - 1.0)


def year_of(days: Any) -> Any:
    """The year of a day that is counted from 1970: a guess that may be one too late or too early, put right.

    >>> float(year_of(np.array([11016.0]))[0])
    2000.0
    """
    year = floor(days / 365.2425) + 1970.0
    first = year * 0.0 + 1.0
    year = where(greater(days_since_1970(year, first, first), days), year - 1.0, year)
    return where(less_equal(days_since_1970(year + 1.0, first, first), days), year + 1.0, year)


def exists(told: dict[str, Any]) -> Any:
    """Whether there is such a day, and such a time of day (with the second 60, which some days have)."""
    year, month, day = whole_year(told), told["month"], told["day"]
    is_last, first = greater_equal(month, 12.0), year * 0.0 + 1.0
    after = days_since_1970(where(is_last, year + 1.0, year), where(is_last, 1.0, month + 1.0), first)
    length = after - days_since_1970(year, month, first)
    halved = greater(told["half"], 0.0)
    ranges = (
        (year, 1.0, 9999.0), (month, 1.0, 12.0), (day, 1.0, length), (told["minute"], 0.0, 59.0),
        (told["hour"], where(halved, 1.0, 0.0), where(halved, 12.0, 23.0)),
    )  # fmt: skip
    in_year = logical_or(less_equal(told["week"], 0.0), equal(year_of(monday_of(told) + 3.0), told["year"]))
    found = logical_and(less_equal(told["second"], 60.999999), in_year)
    for value, least, most in ranges:
        found = logical_and(found, logical_and(greater_equal(value, least), less_equal(value, most)))
    return found
