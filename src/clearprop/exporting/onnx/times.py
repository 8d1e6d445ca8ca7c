"""Dates and times in an ONNX graph: texts of numbers and signs taken apart, and the calendar as arithmetic.

ONNX splits texts and makes numbers of them; that is all that is done with texts here.  What follows from year, month
and day is computed by the library's own functions, and traced.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.kinds.time_encoding import TimeEncoding
from clearprop.data.kinds.times import DAY
from clearprop.exporting.onnx.graph import GraphBuilder, element_type
from clearprop.program.types import FLOAT32, FLOAT64
from clearprop.rules.elementwise import (
    astype,
    floor,
    greater_equal,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    where,
)
from clearprop.rules.joining import concat
from clearprop.rules.trigonometric import cos, sin

CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?"
"""The form of a time of day."""
DATE = r"(?:[1-9]\d{3}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.][1-9]\d{3})"
"""The form of a date, with the year first or last."""
TIME = rf"(?:{DATE}(?:[ T]{CLOCK})?|{CLOCK})"
"""The form of dates and times that the graph reads: 2021-12-31, 31/12/2021 23:59, 2021-12-31T23:59:59.5, 23:59."""
PARTS = 6
"""What stands between the signs of a date, in its order, and hour, minute, second."""
EPOCH = 719_468
"""The days from 1 March of the year 0 to 1970."""


def missing_pattern(words: Sequence[str]) -> str:
    r"""A regular expression for the words of a missing value, and for blanks alone.

    >>> missing_pattern(["", "NA"])
    '\\s*(?:|NA)\\s*'
    """
    return rf"\s*(?:{'|'.join(map(re.escape, words))})\s*"


@dataclass(frozen=True)
class TimeTexts:
    """Texts `(N, 1)` taken apart: their `parts` `(N, 6)` float64; which are of the form, missing, dates with points."""

    parts: str
    known: str
    absent: str
    dotted: str

    @property
    def names(self) -> list[str]:
        """The names of the values, as `time_features` takes them."""
        return [self.parts, self.known, self.absent, self.dotted]


def read_times(name: str, graph: GraphBuilder, words: Sequence[str]) -> TimeTexts:
    """Take the texts of an input apart; those that are no times have the parts of 1970-01-01."""
    known, dateless = _match(graph, name, TIME), _match(graph, name, CLOCK)
    dated = graph.node("Where", dateless, _join_texts(graph, _text(graph, "1970-1-1 "), name), name, name="dated")
    texts = graph.node("Where", known, dated, _text(graph, "1970-1-1"), name="time")
    # what splits off something that may not be there is given it, so that the pieces can be counted
    begun, after_blank = _pieces(graph, texts, " ", 2)
    date, after_t = _pieces(graph, begun, "T", 2)
    dotted = _match(graph, date, r"\d{1,2}\..*")
    clock = _join_texts(graph, _text(graph, "0"), after_blank, after_t, _text(graph, ":0:0"))
    pieces = [
        *_pieces(graph, _hyphens_for(graph, "/", _hyphens_for(graph, ".", date)), "-", 3),
        *_pieces(graph, clock, ":", 3),
    ]
    whole = graph.node("Concat", *pieces, axis=1, name="pieces")
    parts = graph.node("Cast", whole, to=element_type(FLOAT64), name="parts")
    return TimeTexts(parts, known, _match(graph, name, missing_pattern(words)), dotted)


def _match(graph: GraphBuilder, texts: str, pattern: str) -> str:
    return graph.node("RegexFullMatch", texts, pattern=pattern, name="is_of_form")


def _text(graph: GraphBuilder, text: str) -> str:
    return graph.constant(text, object)


def _hyphens_for(graph: GraphBuilder, sign: str, dates: str) -> str:
    """Dates with hyphens in place of a sign; those without it stay."""
    first, second, third = _pieces(graph, dates, sign, 3)
    there = _match(graph, second, ".+")
    hyphen = graph.node("Where", there, _text(graph, "-"), _text(graph, ""), name="sign")
    return _join_texts(graph, first, hyphen, second, hyphen, third)


def _pieces(graph: GraphBuilder, texts: str, sign: str, count: int) -> list[str]:
    """The first pieces between signs, each `(N, 1)`, empty where there are fewer."""
    given = _join_texts(graph, texts, _text(graph, sign * (count - 1)))
    split, _ = graph.node_of_many("StringSplit", [given], ["pieces", "count"], delimiter=sign)
    return [graph.node("Gather", split, graph.constant(i, "int64"), axis=2, name="piece") for i in range(count)]


def _join_texts(graph: GraphBuilder, *texts: str) -> str:
    found = texts[0]
    for text in texts[1:]:
        found = graph.node("StringConcat", found, text, name="text")
    return found


def time_features(column: TimeEncoding, missing: NDArray[np.float32]) -> Callable[[Any, Any, Any, Any], Any]:
    """What gives the features of times by their parts `(N, 6)`, as `TimeEncoding` does.

    `missing` `(1, features)` are those of a missing time.  Texts that are no times, and dates that do not exist, have
    features that are NaN.

    >>> import clearprop as cl
    >>> from clearprop.data.kinds.time_encoding import fit_time
    >>> column = fit_time("t", "", lambda: [np.array([0.0, 86400.0 * 100])], 0)
    >>> features = time_features(column, np.zeros((1, len(column.features)), np.float32))
    >>> yes, no = np.array([[True]]), np.array([[False]])
    >>> features(cl.tensor([[1970.0, 4, 11, 0, 0, 0]]), yes, no, no)[0, :1]  # the hundredth day: a deviation above
    Tensor([1.0], dtype=float32)
    """

    def features(parts: Any, known: Any, absent: Any, dotted: Any) -> Any:
        hour, minute, second = (parts[:, i : i + 1] for i in range(3, PARTS))
        year, month, day, orderly = calendar_date(parts[:, :3], dotted, column.order)
        days, clock = days_since_1970(year, month, day), hour * 3600.0 + minute * 60.0 + second
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
        there = logical_and(logical_and(known, orderly), exists(year, month, day, hour, minute, second))
        found = where(there, astype(concat(rows, axis=1), dtype=FLOAT32), np.float32(np.nan))
        return where(absent, missing, found)

    return features


def calendar_date(date: Any, dotted: Any, order: str) -> tuple[Any, Any, Any, Any]:
    """Year, month, day of the three numbers of a date, and whether they can be told; each `(N, 1)`.

    Where the year is last, points put the day first; else what the `order` of the column says, and nothing where no
    date of training had that form.

    >>> date = np.array([[12.0, 31.0, 2021.0]])
    >>> [float(v[0, 0]) for v in calendar_date(date, np.array([[False]]), "month-first")]
    [2021.0, 12.0, 31.0, 1.0]
    """
    first, second, third = (date[:, i : i + 1] for i in range(3))
    year_last = less_equal(first, 999.0)
    day_first = logical_or(dotted, np.array([[order != "month-first"]]))
    day = where(year_last, where(day_first, first, second), third)
    month = where(logical_and(year_last, logical_not(day_first)), first, second)
    orderly = logical_or(logical_or(dotted, logical_not(year_last)), np.array([[order != "year-first"]]))
    return where(year_last, third, first), month, day, orderly


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


def exists(year: Any, month: Any, day: Any, hour: Any, minute: Any, second: Any) -> Any:
    """Whether there is such a day, and such a time of day (with the second 60, which some days have)."""
    is_last, first = greater_equal(month, 12.0), year * 0.0 + 1.0
    after = days_since_1970(where(is_last, year + 1.0, year), where(is_last, 1.0, month + 1.0), first)
    length = after - days_since_1970(year, month, first)
    ranges = ((year, 1.0, 9999.0), (month, 1.0, 12.0), (day, 1.0, length), (hour, 0.0, 23.0), (minute, 0.0, 59.0))
    found = logical_and(greater_equal(second, 0.0), less_equal(second, 60.999999))
    for value, least, most in ranges:
        found = logical_and(found, logical_and(greater_equal(value, least), less_equal(value, most)))
    return found
