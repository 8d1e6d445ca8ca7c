"""What the rows of a column that are read in blocks say of it: its kind, what it holds, what is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.column_roles import (
    ColumnFacts,
    counts_rows,
    is_identifier,
    may_be_times,
    use_of_texts,
)
from clearprop.data.columns import (
    Column,
    ColumnKind,
    Levels,
    Locator,
    TextBytes,
    are_truths,
    infinite_value,
    is_number,
    text_among_numbers,
)
from clearprop.data.kinds.times import (
    ORDERS,
    ColumnTimes,
    TimeEvidence,
    no_time,
    read_times,
    require_one_order,
    some_zones,
)
from clearprop.data.readers.reading import TIMES, ColumnChoice, levels_in
from clearprop.data.slips import (
    FEW_WORDS,
    are_comma_numbers,
    comma_decimals,
    is_gap,
    is_mixed,
    may_show_numbers,
    mixed_column,
    mixed_times,
    require_one_unit,
    row_of_text,
    show_numbers,
    word_without_place,
    words_among,
)
from clearprop.data.streaming.blocks import Values, texts_in
from clearprop.data.streaming.early_columns import PlainValues
from clearprop.data.streaming.text_counts import Texts, add_counts, distinct_counts


@dataclass(eq=False)
class ColumnScan:
    """What the rows so far say of a column.

    `values` counts the different ones of a target, `spellings` the ways in which they are written, where that is kept;
    they are None once there were more than `MOST_TEXTS`.  `numbers` and `slips` are texts that are numbers, or are not;
    `slip` is the first that Python does not read, `stranger` the first that people do not, `words` are a few of these.
    Blocks in which all texts are numbers are passed over when texts are counted, and those where a few are none, unless
    the column is known to be text (`as_text`), and so are times: they are nearly all different.  `time` says that the
    file's type is a time, `evidence` what texts show of being times; `strange` is, for each order of day and month, the
    first text that is no time, or for ordered words the first that is none, and where it stands; `clocks` the first
    text with a zone and the first without one; `lost` is the first that is no number in a row without target; `bare`
    says whether there are numbers below 1 without a sign, which beside `%` are shares.
    """

    name: str
    source: str
    is_target: bool
    texts: Texts
    as_text: bool
    choice: ColumnChoice
    passed_over: bool = False
    number: bool = True
    boolean: bool = True
    time: bool = True
    evidence: TimeEvidence | None = None
    strange: dict[str, tuple[str, str]] = field(default_factory=dict)
    rows: int = 0
    present: int = 0
    values: Counter[float] | None = field(default_factory=Counter)
    spellings: Counter[str] | None = field(default_factory=Counter)
    low: float = np.inf
    high: float = -np.inf
    whole: bool = True
    counting: bool = True
    start: float | None = None
    infinite: tuple[float, int, str] | None = None
    numbers: int = 0
    slips: int = 0
    slip: tuple[str, str] | None = None
    stranger: tuple[str, str] | None = None
    on_top: bool = False
    words: frozenset[str] = frozenset()
    opening: tuple[str, str] | None = None
    lost: tuple[str, str] | None = None
    shown: tuple[NDArray[Any] | None, NDArray[np.bool_]] = (None, np.zeros(0, np.bool_))
    marks: frozenset[str] = frozenset()
    bare: bool = False
    clocks: dict[bool, tuple[str, str]] = field(default_factory=dict)
    zoned: bool | None = None

    @property
    def kind(self) -> ColumnKind:
        """Numbers, truth values, or times that the file knows as such, where all values are these; else text."""
        if self.name in self.choice.texts:
            return "category"
        return "number" if self.number else "boolean" if self.boolean else "time" if self.time else "category"

    @property
    def _units(self) -> frozenset[str]:
        """The marks of all rows, where a block without `%` has not told of its shares."""
        return self.marks | {"share"} if self.bare and "%" in self.marks else self.marks

    @property
    def asked(self) -> str:
        """What the column is said to be."""
        return self.choice.kind_of(self.name)

    # ------------------------------------------------------------------------------------------------- a block more
    def add(self, values: Values, kept: NDArray[np.intp], before: int, place: Locator) -> PlainValues | None:
        """Take note of the rows `kept` of a block; `before` rows were kept in the blocks before it.

        Gives these rows as numbers or times, where they are such.
        """
        # What the block says of the kind comes first: it decides as what its values are then looked at.
        here = values.fits("number")
        self.number = self.number and here
        self.boolean = self.boolean and (bool(values.missing.all()) if here else values.fits("boolean"))
        self.time = self.time and values.kind == "time"
        self.zoned = values.as_kind("time").zoned if self.time else None
        missing = values.missing
        present = len(kept) - int(np.count_nonzero(missing[kept])) if missing.any() else len(kept)

        def rows(column: Column) -> Column:
            return column if len(kept) == len(missing) else column.take(kept)

        def where(row: int) -> str:
            return place(self.name, int(kept[row]))

        if self.lost is None and not here and len(kept) < len(missing) and not self.is_target:
            texts = texts_in(values).values
            row = row_of_text(texts, np.setdiff1d(np.arange(len(missing)), kept))
            self.lost = None if row is None else (texts[row], place(self.name, row))
        plain = None
        if len(kept) and self.kind != "category":
            column = rows(values.as_kind(self.kind))
            self._add_numbers(column, before, where)
            plain = PlainValues("number", column.values) if self.kind == "number" else None
        if self._may_be_times(here, present):
            known = values.text_bytes
            given = texts_in(values) if known is None else known
            plain = self._add_times(given if len(kept) == len(missing) else given.take(kept), where)
        if len(kept) and values.fits("category"):
            if here and not self.as_text:
                self.numbers += present
                self.passed_over = self.passed_over or present > 0
            else:
                self._add_category(values, kept, where)
        self.rows += len(kept)
        self.present += present
        return plain

    def _add_numbers(self, column: Column, before: int, where: Callable[[int], str]) -> None:
        values, self.marks = column.values, self.marks | column.marks
        self.start = float(values[0]) if self.start is None else self.start
        self.counting = self.counting and counts_rows(values, before, self.start)
        absent = np.isnan(values)
        present = values[~absent] if absent.any() else values
        if not len(present):
            return
        low, high = float(present.min()), float(present.max())
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._add_bare(column, present, low, high)
        if np.isinf((low, high)).any():
            infinite = np.flatnonzero(np.isinf(values))
            row = int(infinite[0])
            first, number, place = self.infinite or (float(values[row]), 0, where(row))
            self.infinite = (first, number + len(infinite), place)
        if self.is_target or is_identifier(self.name):
            self.whole = self.whole and bool(np.all(present == np.round(present)))
            self.values = add_counts(self.values, dict(zip(*distinct_counts(present), strict=True)))
            if column.spelling is not None:
                self.spellings = add_counts(self.spellings, column.levels.occurrences)

    def _add_bare(self, column: Column, present: NDArray[Any], low: float, high: float) -> None:
        if not (self.bare or column.marks) and low < 1 and high > -1:
            self.bare = bool(((np.abs(present) < 1) & (present != 0)).any())

    def _may_be_times(self, numbers: bool, present: int) -> bool:
        """Whether texts are looked at as times: where that is asked for, or nothing yet speaks against it."""
        if self.is_target or not present or self.time:
            return False
        if self.asked:
            return self.asked in TIMES
        if numbers and not self.as_text and self.evidence is None:  # if words follow, all is read again as text
            self.evidence = TimeEvidence(refuted=True)
        return self.evidence is None or not self.evidence.refuted

    def _add_times(self, given: Column | TextBytes, where: Callable[[int], str]) -> PlainValues | None:
        """Take note of texts as times; gives them where they are such, and the same in each order of day and month."""
        asked = self.asked in TIMES
        first = [given.table[0].tobytes().decode()] if isinstance(given, TextBytes) else given.values
        # where nothing is known yet the first text says whether it is worth it; later all texts count
        if self.evidence is None and not (asked or may_be_times(first)):
            self.evidence = TimeEvidence(refuted=True)
            return None
        times = read_times(given, asked)
        found = times.evidence
        self.evidence = found if self.evidence is None else self.evidence | found
        new_clock = found.texts > 0 and len({found.zones > 0, found.zones == found.texts} - self.clocks.keys()) > 0
        fitting = zip(ORDERS, found.fitting, strict=True)
        slipping = [order for order, fits in fitting if fits < found.texts and order not in self.strange]
        if new_clock or slipping:  # texts are made where one must be shown
            texts = given.texts if isinstance(given, TextBytes) else given.values
            self._note_clocks(times, texts, where)
            for order in slipping:
                row = int(np.argmax(np.isnan(times.seconds[order]) & (texts != None)))  # noqa: E711 - each text
                self.strange[order] = (texts[row], where(row))
        return PlainValues("time", times.seconds[ORDERS[-1]]) if found.times and not found.ordered else None

    def _note_clocks(self, times: ColumnTimes, texts: NDArray[Any], where: Callable[[int], str]) -> None:
        for zoned in {True, False} - self.clocks.keys() if times.evidence.texts else ():
            rows = np.flatnonzero(times.fits & (times.zoned == zoned))
            self.clocks |= {zoned: (texts[rows[0]], where(int(rows[0])))} if len(rows) else {}

    def _add_category(self, values: Values, kept: NDArray[np.intp], where: Callable[[int], str]) -> None:
        levels = values.levels
        known = values.text_bytes if self._passes_times_over else None
        if known is not None:
            self._pass_over(known if len(kept) == len(known.table) else known.take(kept), where)
            return
        if levels is None:
            column = values.as_kind("category")
            levels = (column if len(kept) == len(column.values) else column.take(kept)).levels
        elif len(kept) < len(levels.places):
            levels = levels.take(kept)
        self._add_texts(levels, where)

    @property
    def _passes_times_over(self) -> bool:
        """Whether texts are not counted since they look like times, which a column read again as text only may."""
        return self._is_time() and (not self.as_text or self.asked in TIMES)

    def _add_texts(self, levels: Levels, where: Callable[[int], str]) -> None:
        # The first text and the first slip are kept with their places: errors that come at the end show them.
        counts = levels.counts[:-1]
        if not counts.any():
            return
        if "<" in self.asked and self.asked not in self.strange:
            known = levels_in(self.asked)
            lost = next((i for i, t in enumerate(levels.texts) if t is not None and t not in known), None)
            self.strange |= {} if lost is None else {self.asked: (levels.texts[lost], where(lost))}
        shown = self._numbers_among(levels.different)
        numbers = int(counts[shown].sum())
        strange = int(counts.sum()) - numbers
        self.numbers, self.slips = self.numbers + numbers, self.slips + strange
        if self.is_target and self.opening is None:
            self.opening = (levels.texts[0], where(0))
        if self.slip is None:
            texts = levels.texts
            row = next((i for i, text in enumerate(texts) if text is not None and not is_number(text)), None)
            self.slip = None if row is None else (texts[row], where(row))
        if strange and self.stranger is None:
            row = int(np.argmax(np.append(~shown, False)[levels.places]))
            self.stranger, self.on_top = (levels.texts[row], where(row)), row == self.rows == 0
        if strange and len(self.words) <= FEW_WORDS:
            self.words |= words_among(levels.different[:-1][(counts > 0) & ~shown])
        if self._passes_times_over or (not self.as_text and is_mixed(self.numbers, self.slips)):
            self.passed_over = True
        else:
            self._count_texts(levels)

    def _numbers_among(self, different: NDArray[Any]) -> NDArray[np.bool_]:
        """Which texts are numbers, of those before the last; they are often those of the block before."""
        if self.shown[0] is not different:
            self.shown = different, show_numbers(different[:-1].tolist())
        return self.shown[1]

    def _count_texts(self, levels: Levels) -> None:
        """Count texts; those that are new in the order of the rows that have them first."""
        counts, known = levels.occurrences, self.texts.counts
        counts.pop(None, None)
        if known is not None and not counts.keys() <= known.keys():
            counts = levels.in_order().occurrences
            counts.pop(None, None)
        self.texts.add(counts)

    def _pass_over(self, known: TextBytes, where: Callable[[int], str]) -> None:
        """Note of texts that are times, and nearly all different, how many are numbers, and the first that is none."""
        shown = np.zeros(len(known.table), dtype=bool)
        if may_show_numbers(known.table):
            shown = show_numbers(known.texts.tolist(), known.table)
        self.passed_over = True
        self.numbers += int(shown.sum())
        self.slips += int((~shown).sum())
        if self.slip is None:
            row = next((i for i, text in enumerate(known.texts) if not is_number(text)), None)
            self.slip = None if row is None else (known.texts[row], where(row))
        if self.stranger is None and not shown.all():
            row = int(np.argmin(shown))
            self.stranger, self.on_top = (known.texts[row], where(row)), row == self.rows == 0

    # ------------------------------------------------------------------------------------------------------- the end
    def must_recount(self) -> bool:
        """Whether the column turned out to be text, and some of its texts were passed over as numbers."""
        text = self.kind == "category" and not self._is_time()
        return self.passed_over and text and not is_mixed(self.numbers, self.slips)

    def require_used(self) -> None:
        """Raise DataError for what `column_roles.used_column` refuses."""
        if self.asked:
            self.require_asked()
        elif self._is_time():
            self._order()
        else:
            self.require_checked()

    def require_checked(self) -> None:
        """Raise DataError for infinite numbers, and for numbers with a few texts among them."""
        if self.kind == "number" and not self.asked:
            require_one_unit(self.name, self._units, f"{self.source}, column {self.name!r}")
        if self.kind == "number" and self.infinite is not None:
            value, number, where = self.infinite
            raise infinite_value(self.name, value, number, where)
        if self.kind == "category":
            self._require_no_slips()

    def _require_no_slips(self) -> None:
        """Raise DataError for dates or numbers with a few texts among them, and for numbers with decimal commas."""
        seen = self.evidence
        if seen is not None and is_mixed(seen.fits, seen.slips):
            raise mixed_times(self.name, *self.strange[seen.best], seen.slips, seen.fits)
        if self.slip is not None and are_comma_numbers(self.texts.counts or ("",)):
            raise comma_decimals(self.name, *self.slip)
        self._require_numbers_alone()
        gap = is_gap(self.numbers, self.slips, len(self.words), self.texts.distinct)
        if self.stranger is not None and (gap or is_mixed(self.numbers, self.slips)):
            raise mixed_column(self.name, *self.stranger, self.slips, self.numbers, self.on_top)

    def _require_numbers_alone(self) -> None:
        """Raise DataError for text in a row without target, where all else are numbers."""
        if self.lost is not None and self.numbers and not self.slips:
            raise mixed_column(self.name, *self.lost, 1, self.numbers, on_top=False)

    def require_asked(self) -> None:
        """Raise DataError for values that are not what the column is said to be."""
        if self.asked == "number" and self.kind == "category" and self.slip is not None:
            text, where = self.slip
            column = Column(self.name, "category", np.array([text], dtype=object))
            raise text_among_numbers(column, 0, lambda *_: where)
        if self.asked == "number":
            self.require_checked()
        if self.asked not in TIMES and self.asked in self.strange:
            text, where = self.strange[self.asked]
            raise word_without_place(self.name, text, levels_in(self.asked), where)
        if self.asked in TIMES and self.kind != "time":
            order = self._order()
            if order in self.strange:
                text, where = self.strange[order]
                raise no_time(self.name, text, order, where)

    def _is_time(self) -> bool:
        """Whether all values are times, or are said to be."""
        shown = self.kind == "category" and not self.asked and self.evidence is not None and self.evidence.times
        return not self.is_target and (self.kind == "time" or self.asked in TIMES or shown)

    def _order(self) -> str:
        """The order of day and month.  Raises DataError where that cannot be told."""
        if self.kind == "time":
            return ""
        if len(self.clocks) > 1:
            raise some_zones(self.name, self.clocks[True], self.clocks[False])
        if self.asked in ORDERS:
            return self.asked
        return require_one_order(self.name, self.evidence or TimeEvidence(), self.source)

    def facts(self) -> ColumnFacts:
        """What all rows say."""
        # Times apart, whose range was noted as text; of the others each kind has its own way to tell values apart.
        if self._is_time():
            return self._time_facts()
        kind: ColumnKind = "number" if self.asked == "number" else self.kind
        text = kind == "category"
        if text and self.is_truths():
            return ColumnFacts(
                self.name, "boolean", self.rows, self.present, 2, 0.0, asked=self.choice.asked(self.name)
            )
        if text:
            distinct = self.texts.distinct
        elif self.is_target or (kind == "number" and is_identifier(self.name)):
            distinct = None if self.values is None else len(self.values)
        else:
            distinct = 0 if not self.present else 1 if self.low == self.high else 2
        first: Any = next(iter(self.texts.counts or ()), None) if text else self.low
        return ColumnFacts(
            self.name,
            kind,
            self.rows,
            self.present,
            distinct,
            first,
            whole=not text and self.whole,
            counts=kind == "number" and self.counting,
            spellings=None if self.spellings is None else len(self.spellings),
            slip=self.slip or self.opening,
            use=use_of_texts(self.texts.counts or (), self.asked) if text and not self.is_target else "",
            asked=self.choice.asked(self.name),
            marks=self._units,
        )

    def is_truths(self) -> bool:
        """Whether the texts of a feature are truth values."""
        shown = self.kind == "category" and not self.asked and not self.is_target
        return shown and are_truths(self.texts.counts or ())

    def _time_facts(self) -> ColumnFacts:
        order, low, high, zoned = self._order(), self.low, self.high, self.zoned
        if self.kind != "time":
            zoned = True in self.clocks if self.clocks else None
            low, high = (self.evidence or TimeEvidence()).ranges[ORDERS.index(order)]
        distinct = 0 if not self.present else 1 if low == high else 2
        asked = self.choice.asked(self.name)
        return ColumnFacts(
            self.name, "time", self.rows, self.present, distinct, low, use=order, asked=asked, zoned=zoned
        )

    def classes(self) -> Counter[Any]:
        """How often each class occurs."""
        found: Counter[Any] | None = self.texts.counts if self.kind == "category" else self.spellings or self.values
        if found is None:  # decide_task has refused more than MOST_TEXTS
            raise self.texts.limit.error(self.name)
        return found

    def levels(self) -> tuple[str, ...]:
        """The different texts, in alphabetical order.  Raises ArgumentError where memory was too short for them."""
        if self.texts.counts is None:
            raise self.texts.limit.error(self.name)
        return tuple(sorted(self.texts.counts))
