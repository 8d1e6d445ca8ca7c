"""Dates and times as people write them, as seconds since 1970: one reading for a whole column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from clearprop.data.columns import Column, Levels, Locator, TextBytes, as_category
from clearprop.data.kinds.time_forms import DAY, LONGEST_TIME, FormTexts, by_form, form_of, forms_in
from clearprop.data.summaries import CHUNK
from clearprop.errors import DataError

DayOrder = Literal["day-first", "month-first", "year-first"]
ORDERS = get_args(DayOrder)
"""What comes first in a date: the day in 31/12/2021, the month in 12/31/2021, the year where neither kind is found."""


@dataclass(frozen=True)
class TimeEvidence:
    """What texts show: whether all are times, and whether in some the day, or the month, must come first.

    `ordered` says that some date ends in its year; `example` is one that can be read in two ways; `ranges` are the
    first and the last time in each of `ORDERS`; of so many `texts` `fitting` are times, in each order, and `zones` name
    a zone.  What is `refuted` shows no times, whatever else is there.
    """

    ordered: bool = False
    day_first: bool = False
    month_first: bool = False
    example: str = ""
    ranges: tuple[tuple[float, float], ...] = ((np.inf, -np.inf),) * len(ORDERS)
    texts: int = 0
    fitting: tuple[int, ...] = (0,) * len(ORDERS)
    zones: int = 0
    refuted: bool = False

    def __or__(self, other: TimeEvidence) -> TimeEvidence:
        """The evidence of both."""
        pairs = zip(self.ranges, other.ranges, strict=True)
        return TimeEvidence(
            self.ordered or other.ordered,
            self.day_first or other.day_first,
            self.month_first or other.month_first,
            self.example or other.example,
            tuple((min(a[0], b[0]), max(a[1], b[1])) for a, b in pairs),
            self.texts + other.texts,
            tuple(map(int.__add__, self.fitting, other.fitting)),
            self.zones + other.zones,
            self.refuted or other.refuted,
        )

    @property
    def fits(self) -> int:
        """How many are times, in the order that suits most."""
        return 0 if self.refuted else max(self.fitting)

    @property
    def times(self) -> bool:
        """Whether all are times, in one order."""
        return 0 < self.texts == self.fits

    @property
    def slips(self) -> int:
        """How many are none in the order that suits most."""
        return self.texts - self.fits

    @property
    def best(self) -> DayOrder:
        """The order that suits most."""
        found: DayOrder = ORDERS[self.fitting.index(max(self.fitting))]
        return found

    @property
    def order(self) -> DayOrder | None:
        """What comes first where the year is last; None where both readings fit, and differ."""
        if not self.ordered:
            return "year-first"
        if self.example and not (self.day_first or self.month_first):
            return None
        return "month-first" if self.month_first else "day-first"

    @property
    def zoned(self) -> bool | None:
        """Whether the times name a zone; None where some do."""
        return self.zones > 0 if self.zones in (0, self.texts) and self.texts else None


@dataclass(frozen=True, eq=False)
class ColumnTimes:
    """Texts `(rows,)` read as times: their seconds since 1970 in each order, NaN for None and for what is no time.

    `zoned` says which name a zone.
    """

    seconds: dict[str, NDArray[np.float64]]
    evidence: TimeEvidence
    zoned: NDArray[np.bool_]

    @property
    def fits(self) -> NDArray[np.bool_]:
        """Which texts are times in some order of day and month."""
        return np.asarray(~np.isnan(np.stack([*self.seconds.values()])).all(axis=0))


def read_times(
    texts: Sequence[str | None] | NDArray[Any] | Column | TextBytes,
    asked: bool = False,
    orders: Sequence[str] = ORDERS,
) -> ColumnTimes:
    """Texts as times in UTC, where they name a zone; those of day without a date are those of 1970-01-01.

    Those of a column are read as it has them: few that are different each once.  What digits alone or long texts are
    among shows no times, unless it is `asked` to.

    >>> read_times(["1970-01-02", "02/01/1970 06:00", None]).seconds["day-first"].tolist()
    [86400.0, 108000.0, nan]
    """
    # In the order of cost: what is known of the texts, then a look whether few are different, then each by its form.
    known = texts.coded if isinstance(texts, Column) else texts if isinstance(texts, TextBytes) else None
    values = known.table if isinstance(known, TextBytes) else _objects(texts)
    if isinstance(known, Levels):
        return _read_levels(known.in_order(), asked, orders)
    if known is None and len(values) > _SOME and len(set(values[:_SOME].tolist())) < _SOME // 4:
        return _read_levels(Levels.of(values), asked, orders)
    reading = _Reading(len(values), orders)
    for first in range(0, len(values), CHUNK):
        some = slice(first, first + CHUNK)
        if isinstance(known, TextBytes):
            rows, forms = first + np.arange(len(known.table[some])), forms_in(known.table[some])
        else:
            rows = first + np.flatnonzero(_present(values[some]))
            there = list(map(str.strip, values[rows].tolist()))
            if not asked and max(map(len, there), default=0) > LONGEST_TIME and any(map(_LONG.search, there)):
                return ColumnTimes(reading.seconds, TimeEvidence(refuted=True), reading.zoned)
            forms = by_form(there)
        for text, chosen, table in forms:
            if not asked and text.isdecimal():
                return ColumnTimes(reading.seconds, TimeEvidence(refuted=True), reading.zoned)
            form = form_of(text)
            if form is not None:
                reading.add(FormTexts(form, table), rows[chosen], table)
        reading.texts += len(rows)
    return ColumnTimes(reading.seconds, reading.evidence(), reading.zoned)


def _objects(texts: Any) -> NDArray[Any]:
    return np.asarray(as_category(texts).values if isinstance(texts, Column) else texts, dtype=object)


def _read_levels(levels: Levels, asked: bool, orders: Sequence[str]) -> ColumnTimes:
    """Texts of which few are different, each read once."""
    found = read_times(levels.different, asked, orders)
    read = {id(seconds): seconds for seconds in found.seconds.values()}
    zoned = found.zoned[levels.places]
    texts = int(levels.counts[:-1].sum()) if found.evidence.texts else 0
    fits = {key: int(levels.counts[~np.isnan(some)].sum()) if texts else 0 for key, some in read.items()}
    fitting = tuple(fits[id(seconds)] for seconds in found.seconds.values())
    zones = int(zoned.sum()) if texts else 0
    of_rows = {name: seconds[levels.places] for name, seconds in read.items()}
    seconds = {order: of_rows[id(seconds)] for order, seconds in found.seconds.items()}
    return ColumnTimes(seconds, replace(found.evidence, texts=texts, fitting=fitting, zones=zones), zoned)


_SOME = 4096
_LONG = re.compile(f".{{{LONGEST_TIME + 1}}}")


def _present(texts: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(texts != None, dtype=bool)  # noqa: E711 - each text


class _Reading:
    """Texts of one form after the other, read in some orders."""

    def __init__(self, rows: int, orders: Sequence[str]) -> None:
        self.seconds = dict.fromkeys(orders, np.full(rows, np.nan))
        """One array for all orders until some text is another time in another order."""
        self.zoned = np.zeros(rows, dtype=bool)
        self.texts = 0
        self.ordered = self.day_first = self.month_first = False
        self.example: tuple[int, str] | None = None

    def add(self, found: FormTexts, rows: NDArray[np.intp], table: NDArray[np.uint8]) -> None:
        """Further texts, which stand in these rows."""
        self.zoned[rows] = "zone" in found.form.words
        if not found.form.ordered:
            seconds = found.seconds(ORDERS[-1])
            for values in self.seconds.values() if self.ordered else [*self.seconds.values()][:1]:
                values[rows] = seconds
            return
        if not self.ordered:
            self.seconds = {order: values.copy() for order, values in self.seconds.items()}
        self.ordered = True
        for order, values in self.seconds.items():
            values[rows] = found.seconds(order)
        first, other = found.numbers["first"], found.numbers["other"]
        dotted = found.form.words["sign"] == "."
        self.day_first |= dotted or bool((first > 12).any())
        self.month_first |= bool((other > 12).any())
        either = (first >= 1) & (first <= 12) & (other >= 1) & (other <= 12) & (first != other)
        if either.any() and not dotted:
            place = int(np.argmax(either))
            if self.example is None or rows[place] < self.example[0]:
                self.example = int(rows[place]), table[place].tobytes().decode()

    def evidence(self) -> TimeEvidence:
        """What the texts show."""
        if not self.texts:
            return TimeEvidence()
        known = [seconds[~np.isnan(seconds)] for seconds in self.seconds.values()]
        return TimeEvidence(
            ordered=self.ordered,
            day_first=self.day_first,
            month_first=self.month_first,
            example="" if self.example is None else self.example[1],
            ranges=tuple((float(s.min()), float(s.max())) if len(s) else (np.inf, -np.inf) for s in known),
            texts=self.texts,
            fitting=tuple(map(len, known)),
            zones=int(self.zoned.sum()),
        )


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


def seconds_of(texts: NDArray[Any] | Column, order: str) -> NDArray[np.float64]:
    """What `read_times` gives for one order.

    >>> seconds_of(np.array(["1970-01-02", "02/01/1970 06:00", None], dtype=object), "day-first").tolist()
    [86400.0, 108000.0, nan]
    """
    return read_times(texts, asked=True, orders=(order,)).seconds[order]


def as_time(column: Column, order: str, place: Locator, known: ColumnTimes | None = None) -> Column:
    """The column as times, which may have been read before.

    Raises DataError for a text that is no time, with its row, and where a zone stands in some rows only.
    """
    if column.kind == "time":
        return column
    texts = as_category(column).values
    known = known or read_times(column, asked=True, orders=(order,))
    values = known.seconds[order]
    strange = np.isnan(values)
    if strange.any() and (strange := strange & _present(texts)).any():
        row = int(np.argmax(strange))
        raise no_time(column.name, texts[row], order, place(column.name, row))
    if known.evidence.zoned is None and known.evidence.zones:
        present = np.flatnonzero(_present(texts))
        rows = [int(present[known.zoned[present] == zoned][0]) for zoned in (True, False)]
        raise some_zones(column.name, *((str(texts[row]), place(column.name, row)) for row in rows))
    return replace(column, kind="time", values=values, spelling=None, use=order, zoned=known.evidence.zoned, known=None)


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


def some_zones(name: str, zoned: tuple[str, str], plain: tuple[str, str]) -> DataError:
    """The error for times of which some name a zone: one that does and one that does not, each with its place."""
    return DataError(
        f"column {name!r} holds times with a zone and times without one",
        expected="a zone in every row, or in none: a time without one is not known in UTC",
        got=f"{plain[0]!r}, and {zoned[0]!r} at {zoned[1]}",
        where=plain[1],
        try_=f"write the zone that is meant (Z for UTC), or leave all off; --kind {name}=category takes all as words",
    )


def require_zone_as_trained(column: Column, zoned: bool | None, texts: NDArray[Any] | None, place: Locator) -> None:
    """Raise DataError for times without a zone where training had one (`zoned`), and for the reverse."""
    if zoned is None or column.zoned in (None, zoned):
        return
    row = int(np.argmax(~column.missing))
    came = as_category(column).values[row] if texts is None else texts[row]
    name = column.name
    raise DataError(
        f"column {name!r} must hold times with{'' if zoned else 'out'} a zone, as in training",
        expected="a zone with each time, such as 2021-12-31 23:59+01:00" if zoned else "times such as 2021-12-31 23:59",
        got=f"{came!r}, with{'out' if zoned else ''} a zone: it may be another hour than the one that is meant",
        where=place(name, row),
        try_="write the zone that is meant, Z for UTC; in pandas: .dt.tz_localize('UTC'), or the name of the zone"
        if zoned
        else "write local times, as training had them; in pandas: .dt.tz_convert(zone).dt.tz_localize(None)",
    )


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


def days_of(seconds: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Days since 1970 among which are those of all times, and the place there of each; few days where times share them.

    >>> [found.tolist() for found in days_of(np.array([86400.0 * 2, 3600.0, 7200.0]))]
    [[0.0, 1.0, 2.0], [2, 0, 0]]
    """
    days = np.floor(seconds / DAY)
    first, last = (days.min(), days.max()) if len(days) else (0.0, 0.0)
    if last - first >= len(days):
        return days, np.arange(len(days))
    return np.arange(first, last + 1), (days - first).astype(np.intp)


def year_of(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """The years of times: what `parts_of` gives as `year`."""
    days, places = days_of(seconds)
    years = days.astype(np.int64).astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64)
    return np.asarray((years + 1970.0)[places])


def parts_of(seconds: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Times as `year`, and as shares from 0 to 1 of a `year`, a `week` (from Monday) and a `day` that have passed.

    >>> {name: float(value[0]) for name, value in parts_of(np.array([86400.0 * 4 + 21600])).items()}["day share"]
    0.25
    """
    days, places = days_of(seconds)
    parts = {name: values[places] for name, values in parts_of_days(days).items()}
    return parts | {"day share": share_of_day(seconds)}


def share_of_day(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of a day that has passed, from 0 to 1."""
    return np.asarray((seconds - np.floor(seconds / DAY) * DAY) / DAY)


def parts_of_days(days: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Days since 1970 as `year`, and as shares from 0 to 1 of a `year` and a `week` (from Monday) that have passed."""
    dates = days.astype(np.int64).astype("datetime64[D]")
    years = dates.astype("datetime64[Y]")
    starts = years.astype("datetime64[D]")
    lengths = (years + np.timedelta64(1, "Y")).astype("datetime64[D]") - starts
    return {
        "year": years.astype(np.int64) + 1970.0,
        "year share": (dates - starts).astype(np.float64) / lengths.astype(np.float64),
        "week share": (days + 3) % 7 / 7,  # 1970 began on a Thursday
    }
