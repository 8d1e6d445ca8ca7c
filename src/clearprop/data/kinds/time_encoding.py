"""How a column of dates and times becomes features: the time that has passed, and its place in year, week and day."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clearprop.data.column_roles import INDICATOR_SHARE
from clearprop.data.columns import Column, Findings, Locator, as_category
from clearprop.data.kinds.time_forms import DAY
from clearprop.data.kinds.times import (
    ORDERS,
    as_time,
    days_of,
    parts_of_days,
    require_zone_as_trained,
    share_of_day,
    time_text,
    year_of,
)
from clearprop.data.summaries import Chunks, count_far, summarise

PERIODS = ("year", "week", "day")
"""The periods in which the place of a time may be a feature."""
_LEAST_SPAN = {"year": 60 * DAY, "week": 2 * DAY, "day": 0}
"""The seconds that the times of training must span for the place in a period to be a feature."""


@dataclass(frozen=True)
class TimeEncoding:
    """t ↦ (t − centre) / scale, the year likewise, and sin, cos of 2π · the share of year, week and day that is over.

    `centre` and `scale` are mean and population deviation of the training values in seconds, `year_centre` and
    `year_scale` those of their years (scale 0: all of one year, no such feature).  `periods` are those whose place is
    given.  A missing time is replaced by `fill`, the median; with `indicator` a last feature is 1 there.  `zoned` says
    whether training had a zone with its times, which are in UTC then; None in runs that do not know.
    """

    name: str
    order: str
    fill: float
    centre: float
    scale: float
    year_centre: float
    year_scale: float
    periods: tuple[str, ...]
    low: float
    high: float
    indicator: bool
    missing: int
    kind: Literal["time"] = "time"
    zoned: bool | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features."""
        names = [self.name] + ([f"{self.name} year"] if self.year_scale else [])
        names += [f"{self.name} {part} of {period}" for period in self.periods for part in ("sin", "cos")]
        return (*names, f"{self.name} missing") if self.indicator else tuple(names)

    def encode(self, column: Column, place: Locator, findings: Findings) -> NDArray[np.float32]:
        """The features, `(features, rows)`.  Raises DataError for a text that is no time, or of another zone."""
        times = as_time(column, self.order, place)
        texts = None if column.kind == "time" else as_category(column).values
        require_zone_as_trained(times, self.zoned, texts, place)
        absent = times.missing
        values = np.where(absent, self.fill, times.values)
        findings.note_missing(self.name, absent)
        findings.note_far(self.name, count_far(values, self.low, self.high))
        days, places = days_of(values)
        parts = parts_of_days(days)  # once for each day: many times share one
        out = np.empty((len(self.features), len(values)), dtype=np.float32)
        out[0] = (values - self.centre) / self.scale
        rows = iter(out[1:])
        if self.year_scale:
            next(rows)[:] = ((parts["year"] - self.year_centre) / self.year_scale)[places]
        for period in self.periods:
            angle = 2 * np.pi * (share_of_day(values) if period == "day" else parts[f"{period} share"])
            for wave in (np.sin(angle), np.cos(angle)):
                next(rows)[:] = wave if period == "day" else wave[places]
        if self.indicator:
            out[-1] = absent
        return out

    def value_text(self, features: NDArray[np.float32]) -> str:
        """The time that gives these features, to the day, or to the minute where times of day were learned.

        >>> fit_time("t", "", lambda: [np.array([0.0, 86400.0])], 0).value_text(np.array([1.0], np.float32))
        '1970-01-02'
        """
        if self.indicator and features[-1]:
            return f"missing, taken as {time_text(self.fill, clock='day' in self.periods)}"
        unit = 60 if "day" in self.periods else DAY  # float32 holds no more
        seconds = round((float(features[0]) * self.scale + self.centre) / unit) * unit
        return time_text(seconds, clock="day" in self.periods)

    @property
    def encoding(self) -> str:
        """The encoding in a few words."""
        parts = ["elapsed", *(["year"] if self.year_scale else []), *(f"sin, cos of {p}" for p in self.periods)]
        return ", ".join(parts)

    @property
    def _doubt(self) -> str:
        """The first or the last day of all, if it may stand for none."""
        below, above = self.fill - self.low, self.high - self.fill
        for end, far in ((self.low, below > _FAR * above), (self.high, above > _FAR * below)):
            if far and (day := time_text(DAY * (end // DAY), clock=False)) in _DOUBTED:
                return day
        return ""

    @property
    def note(self) -> str:
        """What a reader should know besides."""
        first, last = (time_text(t, clock="day" in self.periods) for t in (self.low, self.high))
        note = (
            f"{first} to {last}"
            + (" UTC" if self.zoned else "")
            + ("" if self.order == "year-first" else f", {self.order}")
        )
        note += f"; {doubt} may stand for a missing one (--missing, as it is written)" if (doubt := self._doubt) else ""
        return note + (", missing: the median" if self.missing else "") + (", and marked" if self.indicator else "")


_DOUBTED = ("0001-01-01", "1753-01-01", "1899-12-30", "1900-01-01", "1970-01-01", "2999-12-31", "9999-12-31")
"""Dates that programs write where there is none, in their order."""
_FAR = 5
"""Such a date is told if it lies so many times further from the median than the other end of the times."""


def fit_time(name: str, order: str, chunks: Chunks, missing: int, zoned: bool | None = None) -> TimeEncoding:
    """The encoding of times in seconds that `chunks` gives anew at each call, and so many missing ones.

    `zoned` says whether they were given with a zone.

    >>> fit_time("t", "day-first", lambda: [np.array([0.0, 86400.0])], 0).features
    ('t',)
    """
    found = summarise(chunks)
    held = [*islice(chunks(), 2)]  # enough to tell one from many
    known = [year_of(values) for values in held] if len(held) < 2 else None
    del held  # chunks may be large
    years = summarise(lambda: map(year_of, chunks()) if known is None else known)
    clock = any(bool((np.floor(values / DAY) * DAY != values).any()) for values in chunks())
    span = found.high - found.low
    periods = tuple(p for p, least in _LEAST_SPAN.items() if span > least and (p != "day" or clock))
    return TimeEncoding(
        name=name,
        order=order or ORDERS[-1],
        fill=found.median,
        centre=found.mean,
        scale=found.deviation or 1.0,
        year_centre=years.mean,
        year_scale=years.deviation,
        periods=periods,
        low=found.low,
        high=found.high,
        indicator=missing > INDICATOR_SHARE * (found.count + missing),
        missing=missing,
        zoned=zoned,
    )
