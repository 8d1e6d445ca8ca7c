"""Dates and times in an ONNX graph: texts in the form of ISO 8601 taken apart, and the calendar as arithmetic.

ONNX splits texts and makes numbers of them; that is all that is done with texts here.  What follows from year, month
and day is computed by the library's own functions, and traced.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
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
    where,
)
from clearprop.rules.joining import concat
from clearprop.rules.trigonometric import cos, sin

TIME = r"\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)?"
"""The form of dates and times that the graph reads: 2021-12-31, 2021-12-31 23:59 or 2021-12-31T23:59:59.5."""
PARTS = 6
"""Year, month, day, hour, minute, second."""
EPOCH = 719_468
"""The days from 1 March of the year 0 to 1970."""


def missing_pattern(words: Sequence[str]) -> str:
    r"""A regular expression for the words of a missing value, and for blanks alone.

    >>> missing_pattern(["", "NA"])
    '\\s*(?:|NA)\\s*'
    """
    return rf"\s*(?:{'|'.join(map(re.escape, words))})\s*"


def read_times(name: str, graph: GraphBuilder, words: Sequence[str]) -> tuple[str, str, str]:
    """Texts `(N, 1)` as the parts of their times `(N, 6)` float64; which are of the form, and which are missing."""
    known = graph.node("RegexFullMatch", name, pattern=TIME, name="is_time")
    absent = graph.node("RegexFullMatch", name, pattern=missing_pattern(words), name="is_missing")
    texts = graph.node("Where", known, name, graph.constant("1970-01-01", object), name="time")
    # what splits off something that may not be there is given it, so that the pieces can be counted
    begun, after_blank = _pieces(graph, texts, " ", 2, after=" ")
    date, after_t = _pieces(graph, begun, "T", 2, after="T")
    clock = _join_texts(graph, graph.constant("0", object), after_blank, after_t, graph.constant(":0:0", object))
    pieces = [*_pieces(graph, date, "-", 3), *_pieces(graph, clock, ":", 3)]
    whole = graph.node("Concat", *pieces, axis=1, name="pieces")
    return graph.node("Cast", whole, to=element_type(FLOAT64), name="parts"), known, absent


def _pieces(graph: GraphBuilder, texts: str, sign: str, count: int, after: str = "") -> list[str]:
    """The first pieces between signs, each `(N, 1)`; `after` is put behind every text before."""
    given = _join_texts(graph, texts, graph.constant(after, object)) if after else texts
    split, _ = graph.node_of_many("StringSplit", [given], ["pieces", "count"], delimiter=sign)
    return [graph.node("Gather", split, graph.constant(i, "int64"), axis=2, name="piece") for i in range(count)]


def _join_texts(graph: GraphBuilder, *texts: str) -> str:
    found = texts[0]
    for text in texts[1:]:
        found = graph.node("StringConcat", found, text, name="text")
    return found


def time_features(column: TimeEncoding, missing: NDArray[np.float32]) -> Callable[[Any, Any, Any], Any]:
    """What gives the features of times by their parts `(N, 6)`, as `TimeEncoding` does.

    `missing` `(1, features)` are those of a missing time.  Texts that are no times, and dates that do not exist, have
    features that are NaN.

    >>> import clearprop as cl
    >>> from clearprop.data.kinds.time_encoding import fit_time
    >>> column = fit_time("t", "", lambda: [np.array([0.0, 86400.0 * 100])], 0)
    >>> features = time_features(column, np.zeros((1, len(column.features)), np.float32))
    >>> yes, no = np.array([[True]]), np.array([[False]])
    >>> features(cl.tensor([[1970.0, 4, 11, 0, 0, 0]]), yes, no)[0, :1]  # the hundredth day: one deviation above
    Tensor([1.0], dtype=float32)
    """

    def features(parts: Any, known: Any, absent: Any) -> Any:
        year, month, day, hour, minute, second = (parts[:, i : i + 1] for i in range(PARTS))
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
        there = logical_and(known, exists(year, month, day, hour, minute, second))
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
