"""How one column becomes features: numbers are filled and standardised, categories one-hot encoded."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from clearprop.data.column_roles import INDICATOR_SHARE, MOST_LEVELS
from clearprop.data.columns import (
    Column,
    ColumnKind,
    Findings,
    Locator,
    as_boolean,
    as_category,
    as_number,
    in_digits,
    is_number,
    name_list,
    number_text,
    quantity,
    target_column,
)
from clearprop.data.kinds.time_encoding import TimeEncoding, fit_time
from clearprop.data.kinds.word_encodings import WordEncoding, fit_words
from clearprop.data.readers.number_marks import code_of_unit, unit_by_marks, units_of_one_kind
from clearprop.data.slips import bare_numbers, require_numbers_as_trained
from clearprop.data.summaries import CHUNK, Numbers, count_far, summarise
from clearprop.data.target_transforms import TargetTransform, fit_transform, negative_target
from clearprop.errors import DataError

MISSING_NUMBERS = (99.0, 999.0, 9999.0, 99999.0)
"""Numbers that people write, with either sign, where a value is missing."""
_CODE = re.compile(r"(?:.*[_\s.-])?(?:zip|zip[_ -]?code|plz|postcode|postal[_ -]?code|code)", re.IGNORECASE)
"""Names of columns whose numbers are codes, as a rule."""
_DATE = re.compile(r"(?:.*[_\s.-])?(?:date|datum|day|yyyymmdd)|.*[a-z](?:Date|DATE)", re.IGNORECASE)
"""Names of columns whose numbers of eight digits are dates, as a rule."""
_FILLS = frozenset(number_text(float(f"1e{power}")) for power in range(15, 39)) | {number_text(9.969209968386869e36)}
"""Numbers that programs write there."""
FAR = 5
"""Such a number is told if it lies so many times further from the median than the other end of the values."""


@dataclass(frozen=True)
class NumberEncoding:
    """v ↦ (v − centre) / scale, a missing v replaced by `fill` before.

    For numbers `fill` is the median and `centre`, `scale` are mean and population deviation of the training
    values (scale 1 for a constant); truth values are taken as 0 and 1, with the more frequent one as `fill`.
    With `indicator` a second feature is 1 where the value is missing.  `low` and `high` are the training
    range, `missing` how many were missing, `units` what stood beside the numbers (None: not known).
    """

    name: str
    kind: Literal["number", "boolean"]
    fill: float
    centre: float
    scale: float
    low: float
    high: float
    indicator: bool
    missing: int
    shared: bool
    units: tuple[str, ...] | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features."""
        return (self.name, f"{self.name} missing") if self.indicator else (self.name,)

    def encode(self, column: Column, place: Locator, findings: Findings) -> NDArray[np.float32]:
        """The features, `(features, rows)`.  Raises DataError for text, infinite values, and another unit or kind."""
        if self.kind == "number" and (column.marks or column.kind != "number"):
            require_numbers_as_trained(column, self.units, self.low, self.high, place)
        numbers = (as_boolean if self.kind == "boolean" else as_number)(column, place)
        absent, far = numbers.missing, 0
        out = np.empty((len(self.features), len(absent)), dtype=np.float32)
        for first in range(0, len(absent), CHUNK):  # so that what is computed meanwhile takes no memory
            rows = slice(first, first + CHUNK)
            values = np.where(absent[rows], self.fill, numbers.values[rows].astype(np.float64, copy=False))
            far += count_far(values, self.low, self.high)
            scaled = (values - self.centre) / self.scale
            wide = np.abs(scaled) > np.finfo(np.float32).max
            if wide.any():
                row = int(np.argmax(wide))
                raise self._too_large(float(values[row]), place(self.name, first + row))
            out[0, rows] = scaled
        out[1:] = absent
        findings.note_missing(self.name, absent)
        findings.note_far(self.name, far)
        findings.bare |= bare_numbers(numbers, self.units, self.high) if self.units else {}
        return out

    def _too_large(self, value: float, where: str) -> DataError:
        return DataError(
            f"column {self.name!r} holds a number too large for float32",
            expected=f"numbers like those of training: {self.low:g} to {self.high:g}",
            got=repr(value),
            where=where,
            try_="correct the value, or leave it empty",
        )

    @property
    def encoding(self) -> str:
        """The encoding in a few words."""
        if self.kind == "boolean":
            return "false 0, true 1"
        shared = ", shared by all" if self.shared else ""
        sign, size = ("−", self.centre) if self.centre >= 0 else ("+", -self.centre)
        return f"(v {sign} {in_digits(size)}) / {in_digits(self.scale)}{shared}"

    @property
    def note(self) -> str:
        """What a reader should know besides."""
        told = self._doubt if self.kind == "number" else ""
        if not self.missing:
            return told or ("constant in the training part" if self.low == self.high and not self.shared else "")
        fill = ("true" if self.fill else "false") if self.kind == "boolean" else in_digits(self.fill)
        return f"missing: {fill}" + (", and marked" if self.indicator else "") + (f"; {told}" if told else "")

    @property
    def _doubt(self) -> str:
        """What the numbers may be instead."""
        if 1900_01_01 <= self.low <= self.high <= 2100_12_31 and _DATE.fullmatch(self.name):
            return f"if these are dates: --kind {self.name}=date"
        if 20_000 <= self.low <= self.high <= 65_000 and _DATE.fullmatch(self.name):
            since = np.datetime64("1899-12-30") + np.timedelta64(int(self.low), "D")
            return f"if these are days as a spreadsheet counts them, from {since} on: write dates"
        if _CODE.fullmatch(self.name):
            return f"if these are codes: --kind {self.name}=category"
        word = self._missing_word
        said, how = (word, word) if len(word) < 9 else (f"{float(word):g}", "with it as it is written")
        return f"{said} may stand for a missing value (--missing {how})" if word else ""

    @property
    def _missing_word(self) -> str:
        """A number such as 999 that lies far from all others, as text; empty if there is none."""
        below, above = self.fill - self.low, self.high - self.fill
        if _stands_for_nothing(self.high) and above > FAR * below:
            return number_text(self.high)
        return number_text(self.low) if _stands_for_nothing(-self.low) and below > FAR * above else ""


def _stands_for_nothing(number: float) -> bool:
    """Whether people or programs write a number where a value is missing: 999, 1e20, 9.97e36 (netCDF, its default)."""
    return number in MISSING_NUMBERS or (number >= 1e15 and number_text(number) in _FILLS)


@dataclass(frozen=True)
class CategoryEncoding:
    """One feature per level, 1 where the column has that level; a level met for the first time is all 0.

    With `indicator` (training had missing values) a last feature is 1 where the value is missing; without it
    a missing value is all 0.  `rare` levels of the training part have no feature of their own.
    """

    name: str
    levels: tuple[str, ...]
    indicator: bool
    missing: int
    rare: int
    kind: Literal["category"] = "category"

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features."""
        names = tuple(f"{self.name}={level}" for level in self.levels)
        return (*names, f"{self.name} missing") if self.indicator else names

    def encode(self, column: Column, place: Locator, findings: Findings) -> NDArray[np.float32]:
        """The features, `(features, rows)`."""
        met = as_category(column).levels
        index: dict[str | None, int] = {level: i for i, level in enumerate(self.levels)}
        index[None] = len(self.levels)
        known = np.array([index.get(text, -1) for text in met.different.tolist()])
        strange = known == -1
        if met.counts[strange].any():
            rows = met.texts[strange[met.places]]
            findings.unseen[self.name] = dict(Counter(rows.tolist()))
        findings.note_missing(self.name, met.missing)
        hot = np.asarray(known[:, None] == np.arange(len(self.features)), dtype=np.float32)
        return np.take(hot, met.places, axis=0).T  # the features of a row together, as they are written

    @property
    def encoding(self) -> str:
        """The encoding in a few words."""
        return f"one-hot: {name_list(self.levels, 6)}"

    @property
    def note(self) -> str:
        """What a reader should know besides."""
        notes = ["missing has a feature of its own"] if self.indicator else []
        if self.rare:
            notes.append(f"{quantity(self.rare, 'rarer level')} without a feature")
        return "; ".join(notes)


Encoding: TypeAlias = NumberEncoding | CategoryEncoding | TimeEncoding | WordEncoding


def fit_encoding(column: Column, scale: tuple[float, float] | None = None) -> Encoding:
    """The encoding of a training column; `scale` is (centre, scale) where columns share them."""
    if column.kind == "category":
        return fit_texts(column.name, column.use, column.levels.occurrences)
    present = column.present.astype(np.float64, copy=False)
    missing = len(column.values) - len(present)
    if column.kind == "time":
        return fit_time(column.name, column.use, lambda: [present], missing, column.zoned)
    return fit_number(
        column.name, column.kind, summarise(lambda: [present]), missing, column.marks, scale, column.shared
    )


def fit_texts(name: str, use: str, counts: Counter[Any]) -> Encoding:
    """The encoding of a column of texts that occur so often in training: levels, or what `use` says."""
    return fit_words(name, use, counts) if use else fit_category(name, counts)


def fit_category(name: str, counts: Counter[Any]) -> CategoryEncoding:
    """The encoding of a column of texts that occur so often in training; None counts the missing ones."""
    missing = counts[None]
    frequent = sorted((level for level in counts if level is not None), key=lambda level: (-counts[level], level))
    return CategoryEncoding(
        name=name,
        levels=tuple(sorted(frequent[:MOST_LEVELS])),
        indicator=missing > 0,
        missing=missing,
        rare=max(0, len(frequent) - MOST_LEVELS),
    )


def fit_number(
    name: str,
    kind: ColumnKind,
    found: Numbers,
    missing: int,
    marks: Collection[str] = (),
    scale: tuple[float, float] | None = None,
    shared: bool = False,
) -> NumberEncoding:
    """The encoding of a column of numbers or truth values with these values, so many missing ones and marks."""
    boolean = kind == "boolean"
    centre, deviation = (0.0, 1.0) if boolean else scale or standardise(found, name)
    return NumberEncoding(
        name=name,
        kind="boolean" if boolean else "number",
        fill=float(found.mean > 0.5) if boolean else found.median,
        centre=centre,
        scale=deviation,
        low=found.low,
        high=found.high,
        indicator=missing > INDICATOR_SHARE * (found.count + missing),
        missing=missing,
        shared=shared,
        units=None if boolean or shared else units_of_one_kind(marks) if marks else (),
    )


def standardise(found: Numbers, name: str) -> tuple[float, float]:
    """Mean and population deviation; for a constant, the constant and 1.

    Raises DataError where the values spread too far for the square of their deviation.
    """
    if found.low == found.high:
        return found.low, 1.0
    if not (np.isfinite(found.mean) and np.isfinite(found.deviation)):
        raise _spread_error(name, found.low, found.high)
    return (found.mean, found.deviation) if found.deviation > 0 else (found.mean, 1.0)


def _spread_error(name: str, low: float, high: float) -> DataError:
    return DataError(
        f"column {name!r} spreads too far to be standardised",
        expected="numbers below 1e150 in magnitude",
        got=f"{low:g} to {high:g}",
        where=f"column {name!r}",
        try_="take the logarithm, or correct the values",
    )


def shared_scale(columns: Sequence[Column]) -> tuple[float, float]:
    """Mean and population deviation over all values of all columns, missing ones left out.

    Raises DataError where the values spread too far for the square of their deviation.
    """
    count = sum(len(c.values) - int(np.isnan(c.values).sum()) for c in columns)
    with np.errstate(over="ignore", invalid="ignore"):
        centre = sum(float(np.nansum(c.values, dtype=np.float64)) for c in columns) / max(count, 1)
        squares = sum(float(np.nansum(np.square(c.values - centre, dtype=np.float64))) for c in columns)
    if not math.isfinite(squares):
        widest = max(columns, key=lambda column: np.nanmax(np.abs(column.values), initial=0.0))
        raise _spread_error(widest.name, float(np.nanmin(widest.values)), float(np.nanmax(widest.values)))
    return centre, math.sqrt(squares / max(count, 1)) or 1.0


@dataclass(frozen=True)
class ClassTarget:
    """Classes as labels 0, 1, …; numbers in their order, text in alphabetical order.

    `kind` is the type that the labels came with: whole numbers, floats, truth values or text; "number", which only
    files of version 0.1 hold, is one of the first two.  `classes` are the names, spelled as they came.

    >>> ClassTarget("y", "integer", ("7", "9")).labels.tolist()
    [7, 9]
    """

    name: str
    kind: Literal["integer", "float", "number", "boolean", "category"]
    classes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that it is made of."""
        return (self.name,)

    @property
    def labels(self) -> NDArray[Any]:
        """The classes as they came: integers, floats, truth values, or text in an array of objects."""
        if self.kind == "category":
            return np.array(self.classes, dtype=object)
        if self.kind == "boolean":
            return np.array([name.lower() == "true" for name in self.classes])
        whole = self.kind == "integer" or (self.kind == "number" and all(map(_is_whole, self.classes)))
        return np.array([int(name) if whole else float(name) for name in self.classes])

    @property
    def encoding(self) -> str:
        """The encoding in a few words."""
        return f"{len(self.classes)} classes: {name_list(self.classes, 10)}"

    def codes_of(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        """Labels in an array `(rows,)`, of text, numbers or truth values, by their places among the classes.

        >>> ClassTarget("y", "integer", ("7", "9")).codes_of(np.array([9.0, 7.0])).tolist()
        [1, 0]
        """
        return self.encode(target_column(labels), lambda _, row: f"row {row}")

    def encode(self, column: Column, place: Locator) -> NDArray[np.int64]:
        """Labels, `(rows,)`: by the spelling of a class, else by its value, where labels are no text.

        Raises DataError for a class that training did not have.
        """
        index = {name: i for i, name in enumerate(self.classes)}
        met = as_category(column).levels
        known = [index.get(name, self._by_value(name)) for name in met.different[:-1].tolist()]
        codes: NDArray[np.int64] = np.array([*known, -1], dtype=np.int64)[met.places]
        if (codes < 0).any():
            row = int(np.argmax(codes < 0))
            raise DataError(
                f"the target {self.name!r} holds a class that training did not have",
                expected="one of: " + name_list(self.classes),
                got=repr(met.texts[row]),
                where=place(column.name, row),
                try_="leave those rows out, or train again with them",
            )
        return codes

    def _by_value(self, text: str) -> int:
        """The label of a class that is written otherwise than in training: `1.0` for 1, `TRUE` for true; or −1."""
        if self.kind == "category":
            return -1
        truths = {"true": 1.0, "false": 0.0} if self.kind == "boolean" else {}
        value = truths.get(text.lower(), float(text) if is_number(text) else np.nan)
        same = np.flatnonzero(self.labels.astype(np.float64) == value)
        return int(same[0]) if len(same) == 1 else -1


@dataclass(frozen=True)
class NumberTarget:
    """y ↦ (t(y) − centre) / scale, mean and population deviation of t(y) in the training part; t is the `transform`.

    `unit` is the currency that stood beside the numbers, if one did, or s where they were minutes and seconds.
    """

    name: str
    centre: float
    scale: float
    kind: Literal["number"] = "number"
    transform: TargetTransform | None = None
    unit: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that it is made of."""
        return (self.name,)

    @property
    def encoding(self) -> str:
        """The encoding in a few words."""
        sign, size = ("−", self.centre) if self.centre >= 0 else ("+", -self.centre)
        y = "y" if self.transform is None else self.transform.formula
        told = f", in {self.unit}" if self.unit else ""
        return f"({y} {sign} {number_text(float(f'{size:.4g}'))}) / {in_digits(self.scale)}{told}"

    def encode(self, column: Column, place: Locator) -> NDArray[np.float32]:
        """Standardised values, `(rows, 1)`.  DataError for text, infinite values, negative ones if log is learned."""
        if column.marks or column.kind != "number":
            most = 1.0 if 0 <= self.centre <= 1 and self.scale <= 0.5 else 2 + abs(self.centre) + self.scale
            require_numbers_as_trained(column, code_of_unit(self.unit), 0.0, most, place)
        values = as_number(column, place).values.astype(np.float64)
        if self.transform is not None and self.transform.name == "log" and (values < 0).any():
            raise negative_target(self.name, float(values.min()), place(column.name, int(np.argmin(values))))
        return self.standardise(values).astype(np.float32)[:, None]

    def standardise(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Values of the target as the network learns them; any shape."""
        known = np.asarray(values, dtype=np.float64) if self.transform is None else self.transform.forward(values)
        return (known - self.centre) / self.scale

    def invert(self, y: NDArray[Any]) -> NDArray[np.float64]:
        """Standardised values back in the target's own unit; any shape."""
        known = np.asarray(y, dtype=np.float64) * self.scale + self.centre
        return known if self.transform is None else np.asarray(self.transform.inverse(known))


SingleTarget: TypeAlias = ClassTarget | NumberTarget
"""What one column is learned as."""


def fit_target(column: Column, classification: bool, transform: str = "none") -> SingleTarget:
    """The encoding of the training part's target; `transform` is one of `TRANSFORMS`."""
    if not classification:
        values = column.values.astype(np.float64)
        if transform != "none":
            known = fit_transform(transform, column.name, values)
            found = fit_number_target(column.name, summarise(lambda: [known.forward(values)]), column.marks)
            return replace(found, transform=known)
        return fit_number_target(column.name, summarise(lambda: [values]), column.marks)
    counts = Counter(column.values.tolist()) if column.texts is None else column.levels.occurrences
    return fit_classes(column.name, column.kind, counts)


def fit_number_target(name: str, found: Numbers, marks: Collection[str] = ()) -> NumberTarget:
    """The encoding of a target of numbers with these training values, beside which these marks stood.

    >>> fit_number_target("y", summarise(lambda: [np.array([1.0, 3.0])]))
    NumberTarget(name='y', centre=2.0, scale=1.0, kind='number', transform=None, unit='')
    """
    return NumberTarget(name, *standardise(found, name), unit=unit_by_marks(marks))


def fit_classes(name: str, kind: ColumnKind, counts: Counter[Any]) -> ClassTarget:
    """The encoding of classes: values of that kind, or texts by which they were written.

    >>> fit_classes("y", "number", Counter(["007", "7"])).kind, fit_classes("y", "number", Counter(["7", "9"])).kind
    ('category', 'integer')
    """
    keys = list(ordered_classes(kind, counts))
    if kind == "category" or not isinstance(keys[0], str):
        values = np.array(keys, dtype=object if kind == "category" else np.float64)
        names = tuple(as_category(Column(name, kind, values)).values.tolist())
        return ClassTarget(name, kind if kind in ("boolean", "category") else "float", names)
    if kind == "boolean":
        return ClassTarget(name, kind, tuple(keys))
    if all(map(_is_whole, keys)):
        return ClassTarget(name, "integer", tuple(keys))
    return ClassTarget(name, "float" if all(map(_is_float, keys)) else "category", tuple(keys))


def ordered_classes(kind: ColumnKind, counts: Counter[Any]) -> Counter[Any]:
    """Counts of classes in their order: text by the alphabet, numbers by value, then by spelling.

    Truth values that are spelled in several ways are of one class, in small letters.

    >>> list(ordered_classes("number", Counter(["10", "9", "007", "7"])))
    ['007', '7', '9', '10']
    """
    spelled = any(isinstance(key, str) for key in counts)
    if kind == "boolean" and spelled and len({key.lower() for key in counts}) < len(counts):
        merged: Counter[Any] = Counter()
        for key, number in counts.items():
            merged[key.lower()] += number
        counts = merged
    order: Callable[[Any], Any] | None = None
    if spelled and kind != "category":
        order = str.lower if kind == "boolean" else _numeric_order
    return Counter({key: counts[key] for key in sorted(counts, key=order)})


def _numeric_order(text: str) -> tuple[float, int, str]:
    value = float(text) if is_number(text) else np.inf
    return value, int(text) if _is_whole(text) else 0, text


def _is_whole(text: str) -> bool:
    """Whether a text is a whole number in the one way that Python writes it, within 64 bits."""
    return len(text) <= 20 and text.removeprefix("-").isdecimal() and str(int(text)) == text


def _is_float(text: str) -> bool:
    """Whether a text is a number in a way that Python writes it, so that the number gives the text back."""
    return is_number(text) and text in (number_text(float(text)), repr(float(text)))
