"""What is inferred from columns: which is the target, which task it sets, which columns are left out."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from clearprop.data.columns import (
    NAMES_FILE,
    Column,
    ColumnKind,
    Frame,
    Locator,
    are_truths,
    as_boolean,
    as_category,
    as_number,
    is_number,
    name_list,
    number_text,
)
from clearprop.data.kinds.lists import SIGNS, list_sign
from clearprop.data.kinds.time_forms import LONGEST_TIME
from clearprop.data.kinds.times import as_time, read_times, require_one_order
from clearprop.data.readers.reading import AS_THEY_ARE, GROUPS, TARGET_KINDS, TIMES, ColumnChoice, levels_in
from clearprop.data.slips import (
    FEW_VALUES,
    are_comma_numbers,
    comma_decimals,
    has_unit,
    is_duration,
    is_gap,
    is_mixed,
    mixed_column,
    mixed_times,
    require_unit,
    seems_date,
    show_numbers,
    shows_date,
    word_without_place,
    words_among,
)
from clearprop.errors import DataError, nearest, unknown_name

Task = Literal["classification", "regression"]

MOST_CLASSES = 20
"""Whole numbers with more distinct values than this are taken for a quantity, not for classes."""
FEW_CLASSES = 10
"""With more classes that are whole numbers it is told that they may be counts."""
ROWS_PER_CLASS = 3
"""Whole numbers are taken for classes only with at least this many rows per distinct value."""
MOST_TEXTS = 65_536
"""A column of more different texts than this is left out, and so many classes cannot be learned."""
MOST_LEVELS = 100
"""A category column has features for at most this many levels, the most frequent ones."""
INDICATOR_SHARE = 0.05
"""A column gets an indicator of missing values if more than this share of its training values is missing."""
_IDENTIFIER = re.compile(r"(?:.*[_\s.-])?(?i:id|uuid|guid)|.*[a-z](?:Id|ID)")
"""Names of columns that tell rows, customers, houses apart: what such numbers count up to means nothing."""
IDENTIFIES, COUNTS = "it identifies rows", "it counts the rows"
"""The reasons, as they begin, for which a column is left out that tells rows apart."""
_DIGIT = re.compile(r"\d")
_COUNTER = re.compile(r"(unnamed.*|column 1|index|id|.*_id|row.*|no\.?|nr\.?|number)", re.IGNORECASE)


@dataclass(frozen=True)
class Dropped:
    """A column that is left out, and why."""

    name: str
    reason: str
    missing: int = 0

    @property
    def identifies(self) -> bool:
        """Whether it was left out because it tells rows apart."""
        return self.reason.startswith((IDENTIFIES, COUNTS, GROUPS))


def choose_target(frame: Frame, asked: str | None, choice: ColumnChoice = AS_THEY_ARE) -> tuple[str, str]:
    """The name of the target and the sentence that announces it.

    Raises DataError for an unknown name, and for a target of which something is said that holds for features alone.
    """
    if len(frame.names) == 1 and not frame.is_array:
        raise DataError(
            "there is no column to learn from",
            expected="at least two columns: one to learn, and others to learn it from",
            got=f"{frame.names[0]!r} alone",
            where=frame.source,
            try_="add a column, or --delimiter with what stands between the fields of a text file",
        )
    name, note = _target_name(frame, asked)
    kind = choice.kind_of(name)
    if name in (*choice.drop, choice.weight) or kind not in ("", *TARGET_KINDS):
        said = "--drop" if name in choice.drop else "--weight" if name == choice.weight else f"--kind {name}={kind}"
        raise DataError(
            f"{name!r} is the target, for which {said} cannot be",
            expected="a feature; of a target, " + " or ".join(f"--kind {name}={kind}" for kind in TARGET_KINDS),
            got=said,
            where=frame.source,
            try_="--target with another column",
        )
    return name, note


def _target_name(frame: Frame, asked: str | None) -> tuple[str, str]:
    if asked is not None:
        if asked not in frame.names:
            raise _no_column(frame, asked)
        return asked, f"the target is {asked!r}, as asked"
    if frame.target is not None:
        return frame.target, f"the target is {frame.target!r}, which {frame.source!r} sets"
    if frame.pictures is not None:
        raise pictures_without_classes(frame)
    if frame.is_array:
        raise DataError(
            "there is no target: y is missing",
            expected="arrays x and y",
            got="x alone",
            where=frame.source,
            try_="(x, y), or an NPZ file written by numpy.savez(file, x=x, y=y)",
        )
    return frame.names[-1], f"the target is {frame.names[-1]!r}, the last column (--target chooses another)"


def pictures_without_classes(frame: Frame) -> DataError:
    """The error for pictures that lie in no subfolders, where their classes are asked for."""
    return DataError(
        "these pictures have no classes",
        expected="a folder with one subfolder for each class, and its pictures in it",
        got=f"{frame.rows} pictures in no subfolder",
        where=frame.source,
        try_="move each picture into a subfolder with the name of its class",
    )


def _no_column(frame: Frame, asked: str) -> DataError:
    close = nearest(asked, frame.names)
    return DataError(
        f"no column named {asked!r}",
        expected="one of: " + name_list(frame.names),
        got=repr(asked),
        where=frame.source,
        try_=f"--target {close!r}, the nearest name" if close else "--target with one of the names above",
    )


@dataclass(frozen=True)
class ColumnFacts:
    """What a column holds in all its rows: enough to decide whether it is used, and as what.

    `distinct` is the number of different values that are there (None: more than `MOST_TEXTS`); of numbers that are no
    target, and not named as identifiers are, it is only told whether it is 0, 1 or more.  `first` is a value that is
    there, `whole` says that all are whole numbers, `counts` that they count the rows; `spellings` in how many ways the
    values of a target are written (0: not known); `slip` is the first text that is no number, and where it stands.
    `use`, `marks` and `zoned` are those of the column, and `asked` what the user says that it is.
    """

    name: str
    kind: ColumnKind
    rows: int
    present: int
    distinct: int | None
    first: Any = None
    whole: bool = False
    counts: bool = False
    spellings: int | None = 0
    slip: tuple[str, str] | None = None
    use: str = ""
    asked: str = ""
    marks: frozenset[str] = frozenset()
    zoned: bool | None = None


def is_identifier(name: str) -> bool:
    """Whether a column is named as identifiers are.

    >>> [is_identifier(name) for name in ("customer_id", "PassengerId", "uuid", "acid", "paid")]
    [True, True, True, False, False]
    """
    return _IDENTIFIER.fullmatch(name) is not None


def feature_facts(column: Column, asked: str = "") -> ColumnFacts:
    """The facts of a feature column that is held in memory."""
    present = column.present
    some = len(present) > 0
    if column.kind == "category":
        distinct: int | None = len(column.levels.there)
    elif column.kind == "number" and is_identifier(column.name):
        number = len(set(present.tolist()))
        distinct = number if number <= MOST_TEXTS else None
    else:
        distinct = 0 if not some else 1 if present.min() == present.max() else 2
    return ColumnFacts(
        column.name,
        column.kind,
        rows=len(column.values),
        present=len(present),
        distinct=distinct,
        first=present[0] if some else None,
        whole=column.kind == "number" and bool(np.all(present == np.round(present))),
        counts=column.kind == "number" and counts_rows(column.values, 0, None),
        use=column.use,
        asked=asked,
        marks=column.marks,
    )


def counts_rows(values: NDArray[Any], row: int, start: float | None) -> bool:
    """Whether values from row number `row` on go up by 1 with the rows, from the whole number `start` (None: any).

    >>> counts_rows(np.array([1000.0, 1001.0]), 0, None), counts_rows(np.array([1.0, 3.0]), 0, None)
    (True, False)
    """
    first = values[0] - row if start is None else start
    return bool(float(first).is_integer() and np.array_equal(values, first + np.arange(row, row + len(values))))


def target_facts(target: Column, place: Locator) -> ColumnFacts:
    """The facts of a target column that is held in memory and has no missing values."""
    category = target.kind == "category"
    slip = None
    if category:
        row = next((i for i, text in enumerate(target.values) if not is_number(text)), 0)
        slip = (target.values[row], place(target.name, row))
    return ColumnFacts(
        target.name,
        target.kind,
        rows=len(target.values),
        present=len(target.values),
        distinct=len(target.levels.there if category else np.unique(target.values)),
        first=target.values[0],
        whole=not category and bool(np.all(target.values == np.round(target.values))),
        spellings=0 if target.spelling is None else len(target.levels.there),
        slip=slip,
    )


def decide_task(facts: ColumnFacts, asked: str, source: str) -> tuple[Task, str]:
    """The task that a target sets, and the reason as a sentence.

    Text and truth values are classes.  Whole numbers are classes if they take at most `MOST_CLASSES` values
    with at least `ROWS_PER_CLASS` rows per value.  All other numbers set a regression.
    """
    if asked != "auto" and asked not in get_args(Task):
        raise unknown_name("task", asked, ["auto", *get_args(Task)], where="--task")
    # What is counted decides first, what was asked for overrules it; a target that is not counted has too many values.
    distinct = MOST_TEXTS + 1 if facts.distinct is None else facts.distinct
    few = distinct <= MOST_CLASSES and distinct * ROWS_PER_CLASS <= facts.rows
    found: Task = "classification" if facts.kind != "number" or (facts.whole and few) else "regression"
    task: Task = found if asked == "auto" else "regression" if asked == "regression" else "classification"
    numbers = "whole numbers" if facts.whole else "numbers"
    values = {"category": "texts", "boolean": "truth values"}.get(facts.kind, numbers)
    how = "" if asked == "auto" else ", as asked"
    if task == "classification" and facts.kind == "number" and facts.spellings != 0:
        facts = replace(facts, distinct=facts.spellings)
        distinct = MOST_TEXTS + 1 if facts.distinct is None else facts.distinct
    check_target(facts, task, distinct, source)
    number = f"more than {MOST_TEXTS:,}" if facts.distinct is None else f"{distinct}"
    counts = asked == "auto" and task == "classification" and facts.kind == "number" and distinct > FEW_CLASSES
    hint = " (--task regression, if they count something)" if counts else ""
    if facts.kind == "category" and distinct > FEW_CLASSES and shows_date(facts.first):
        hint = f", which are dates: {_DATE_AS_NUMBER}"
    return task, f"{task}{how}: the target {facts.name!r} holds {number} different {values}{hint}"


_DATE_AS_NUMBER = "what is foretold is a class or a number, such as the days since the first of them"


def check_target(facts: ColumnFacts, task: Task, distinct: int, source: str) -> None:
    """Raise DataError for a target that the task cannot have: text, one value, nearly one class per row."""
    # From the error that explains most to the one that explains least: text, then one value, then too many.
    rows = facts.rows
    if task == "regression" and facts.kind == "category" and facts.slip is not None:
        raise text_in_regression(facts.name, *facts.slip)
    if distinct == 1:
        value = facts.first if facts.kind == "category" else number_text(facts.first)
        one = "class" if task == "classification" else "value"
        raise DataError(
            f"the target {facts.name!r} has one {one} only",
            expected=f"at least two {one if one == 'value' else 'classe'}s",
            got=f"{value!r} in all {rows} rows" if rows > 1 else f"{value!r} in one row",
            where=f"{source}, column {facts.name!r}",
            try_="choose another target, or add the rows that are missing",
        )
    many = facts.distinct is None or (2 * distinct > rows and distinct > 2)
    if task == "classification" and many:
        number = f"more than {MOST_TEXTS:,}" if facts.distinct is None else f"{distinct}"
        raise DataError(
            f"the target {facts.name!r} has too many classes for its rows",
            expected="at least two rows per class on average"
            + (f", and at most {MOST_TEXTS:,} classes" if facts.distinct is None else ""),
            got=f"{number} classes in {rows} rows",
            where=f"{source}, column {facts.name!r}",
            try_=f"write the numbers without their unit: {facts.first!r}"
            if has_unit(facts.first)
            else f"write durations such as {facts.first!r} as numbers, in seconds"
            if is_duration(facts.first)
            else _DATE_AS_NUMBER
            if shows_date(facts.first)
            else "choose another target" + (", or --task regression" if facts.kind == "number" else ""),
        )


def text_in_regression(name: str, text: str, where: str) -> DataError:
    """The error for text in the target of a regression; the first one that is no number is shown."""
    return DataError(
        f"the target {name!r} of a regression must hold numbers",
        expected="a number in every row",
        got=f"the text {text!r}",
        where=where,
        try_="correct the value, or --task classification",
    )


def drop_reason(facts: ColumnFacts, is_array: bool) -> str:
    """Why a feature column is left out; empty if it is used.  Columns of arrays are all used."""
    # From what nobody can use to what somebody may want: what is asked for is left out for the former alone.
    if facts.use == NAMES_FILE:
        return f"{IDENTIFIES}: each has a file of its own"
    if is_array:
        return ""
    if not facts.present:
        return "it holds no value"
    if facts.distinct == 1 and facts.rows - facts.present <= INDICATOR_SHARE * facts.rows:
        return f"it is constant: {_value_text(facts.kind, facts.first)}"
    if facts.kind == "category" and (facts.distinct is None or facts.distinct > MOST_TEXTS):
        return f"it holds more than {MOST_TEXTS:,} different texts"
    if facts.asked or facts.use:
        return ""
    if facts.kind == "category" and _identifies(facts):
        if has_unit(facts.first):
            return f"{IDENTIFIES}: {facts.first!r} is no number (write it without its unit, or --kind says otherwise)"
        if is_duration(facts.first):
            return f"{IDENTIFIES}: {facts.first!r} is no number (write it in seconds, or --kind says otherwise)"
        if seems_date(facts.first):
            example = "write dates as 2021-12-31, or --kind says otherwise"
            return f"{IDENTIFIES}: {facts.first!r} is no date that is read ({example})"
        use = f"--kind {facts.name}=text reads it" if " " in str(facts.first).strip() else "--kind says otherwise"
        return f"{IDENTIFIES}: {facts.distinct} different texts in {facts.present} rows ({use})"
    if facts.counts and facts.present == facts.rows > 2 and _COUNTER.fullmatch(facts.name):
        return COUNTS
    if facts.kind == "number" and facts.whole and is_identifier(facts.name) and _identifies(facts):
        number = f"more than {MOST_TEXTS:,}" if facts.distinct is None else f"{facts.distinct}"
        return f"{IDENTIFIES}: {number} different numbers in {facts.present} rows (--kind says otherwise)"
    return ""


def _identifies(facts: ColumnFacts) -> bool:
    """Whether most values are of one row alone."""
    return facts.distinct is None or (facts.distinct > FEW_VALUES and 2 * facts.distinct > facts.present)


def _value_text(kind: str, value: object) -> str:
    if kind == "time":
        return repr(as_category(Column("", "time", np.array([value], dtype=np.float64))).values[0])
    return repr(value) if kind == "category" else number_text(float(str(value)))


def used_column(column: Column, place: Locator, source: str = "", asked: str = "") -> Column:
    """The column as what it is asked to be, or shows to be, and checked as `checked_column` does it.

    Raises DataError, with the row, for an infinite number, for a value that is not what is asked for, for text in a
    column that otherwise holds numbers (see `is_mixed`), and for dates that can be read in two ways.
    """
    if column.use == NAMES_FILE:
        return column
    if asked:
        return _asked_column(column, place, source, asked)
    if column.kind == "category" and may_be_times(column.values):
        times = read_times(column)
        evidence = times.evidence
        if evidence.times:
            return as_time(column, require_one_order(column.name, evidence, source), place, times)
        if is_mixed(evidence.fits, evidence.slips):
            row = int(np.argmax(np.isnan(times.seconds[evidence.best]) & ~column.missing))
            text, where = column.values[row], place(column.name, row)
            raise mixed_times(column.name, text, where, evidence.slips, evidence.fits)
    if column.marks:
        require_unit(column, place)
    column = checked_column(column, place)
    if column.kind != "category":
        return column
    texts = column.levels.there
    return as_boolean(column, place) if are_truths(texts) else replace(column, use=use_of_texts(texts))


_TIGHT = re.compile(r"\d{4}[MQqWHhSs年]|\d{1,2}[A-Za-z]{3}\d{4}|KW|CW")
"""Dates without any sign between their parts, as they begin."""


def may_be_times(texts: Iterable[Any]) -> bool:
    """A quick look at the first text that is there: most columns need no other to be known as no times."""
    first = next((text for text in texts if text is not None), "")
    if len(first) > LONGEST_TIME or not any(c.isdigit() for c in first):
        return False
    return bool(set("-/.: ") & set(first)) or _TIGHT.match(first) is not None or first[-2:].lower() in ("am", "pm")


def checked_column(column: Column, place: Locator) -> Column:
    """The column, whose numbers are finite, and whose text is not numbers with a few slips among them.

    Raises DataError, with the row, for a column that is not so: see `is_mixed` and `is_gap`.
    """
    if column.kind == "number":
        return as_number(column, place)
    if column.kind == "category":
        counts = column.levels.occurrences  # each once: many rows, few levels
        counts.pop(None, None)
        if not any(map(_DIGIT.search, counts)):
            return column
        known = dict(zip(counts, show_numbers([*counts]).tolist(), strict=True))
        numbers = sum(counts[text] for text, shown in known.items() if shown)
        slips = counts.total() - numbers
        if known and are_comma_numbers(known):
            row = next(i for i, text in enumerate(column.values) if text is not None and not is_number(text))
            raise comma_decimals(column.name, column.values[row], place(column.name, row))
        if slips:
            row = next(i for i, text in enumerate(column.values) if text is not None and not known[text])
            text, where = column.values[row], place(column.name, row)
            if is_mixed(numbers, slips) or is_gap(numbers, slips, len(words_among(known)), len(known)):
                raise mixed_column(column.name, text, where, slips, numbers, on_top=row == 0)
    return column


def _asked_column(column: Column, place: Locator, source: str, asked: str) -> Column:
    if asked == "number":
        return as_number(column, place)
    if asked in TIMES:
        if column.kind == "time":
            return column
        texts = as_category(column)
        if asked != "date":
            return as_time(texts, asked, place)
        times = read_times(texts, asked=True)
        return as_time(texts, require_one_order(column.name, times.evidence, source), place, times)
    words = as_category(column)
    levels = levels_in(asked)
    lost = {text for text in words.levels.there if text not in levels} if "<" in asked else set()
    if lost:
        strange = next(row for row, text in enumerate(words.values) if text in lost)
        raise word_without_place(column.name, words.values[strange], levels, place(column.name, strange))
    return replace(words, use=use_of_texts(words.levels.there, asked))


def use_of_texts(texts: Collection[str], asked: str = "") -> str:
    """What different texts are: empty for levels, `list` and the sign between items, `text`, or words in their order.

    >>> use_of_texts({"a|b", "b|c", "a|c", "a"}), use_of_texts({"a|b", "c"}, "category")
    ('list|', '')
    """
    if asked == "category" or (not asked and len(texts) > MOST_TEXTS):
        return ""
    if asked == "list":
        return "list" + max(SIGNS, key=lambda sign: sum(sign in text for text in texts))
    if asked:
        return asked
    sign = list_sign(texts) if any(sign in text for text in texts for sign in SIGNS) else ""
    return f"list{sign}" if sign else ""


def looks(text: str) -> str:
    """What a reader sees of a text: no capital letters, one blank for several, nothing without width.

    >>> looks("New  YORK") == looks("new york"), looks("cafe\u0301") == looks("caf\u00e9"), looks("a") == looks("b")
    (True, True, False)
    """
    if text.isascii():
        return " ".join(text.casefold().split())
    import unicodedata  # start-up time: few texts need it

    shown = (c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
    return " ".join("".join(shown).casefold().split())


def alike(texts: Iterable[str]) -> list[str]:
    """Those of different texts that look the same to a reader, one group after the other.

    >>> alike(["Yes", "no", "yes"])
    ['Yes', 'yes']
    """
    groups: dict[str, list[str]] = {}
    for text in texts:
        groups.setdefault(looks(text), []).append(text)
    return [text for group in groups.values() if len(group) > 1 for text in group]
