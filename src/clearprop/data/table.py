"""From a source to a `Table`: target chosen, task decided, columns checked, rows without target left out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.column_roles import (
    INDICATOR_SHARE,
    ColumnFacts,
    Dropped,
    Task,
    checked_column,
    choose_target,
    decide_task,
    drop_reason,
    feature_facts,
    target_facts,
    used_column,
)
from clearprop.data.columns import (
    Column,
    Frame,
    Locator,
    PictureForm,
    RowNumbers,
    TableColumns,
    as_category,
    as_number,
    name_list,
    quantity,
    same,
    with_one_spelling,
)
from clearprop.data.readers.formats import idle_words
from clearprop.data.readers.reading import AS_SHOWN, RANDOM, ColumnChoice, Reading, Splitting, words_of
from clearprop.data.readers.sources import read
from clearprop.data.row_weights import as_weights
from clearprop.data.slips import TOTALS, mixed_column, multiples_read, require_unit, row_of_text, show_numbers
from clearprop.data.target_transforms import require_known
from clearprop.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from clearprop.data.image_shape import SequenceForm
    from clearprop.data.long_form import Series

TRAIN, VALIDATION, TEST = range(3)
"""The numbers of the parts that the rows of a table are divided into."""


@dataclass(frozen=True, eq=False)
class Table:
    """Rows to learn from: feature columns, a target without missing values, and what was inferred.

    `rows` are the numbers of the rows in the source, from 0; `test_rows` are those (positions in this table)
    that the source sets aside for the test.  `target_note` and `task_note` are the announced sentences,
    `notes` what else the user should know.  `lines` are the lines of a text file at which all its rows start,
    `identifiers` the columns that are left out because they tell rows apart.  `divider` is the column by which rows are
    `split`, if one was named, `weight` the one that says how much each counts; `decimal` the sign before decimals of a
    text file.  Of several targets that are learned together, `further` are those after the first.  `transform` is what
    is asked for of a target of numbers: see `target_transforms`.  `pictures` is the form
    of those in files of their own.  Where rows of the source are the steps of sequences, `series` says which,
    `features` hold all steps, and a row of this table is a sequence, by the row of the source at which it begins.
    """

    source: str
    features: Sequence[Column]
    target: Column
    task: Task
    target_note: str
    task_note: str
    notes: tuple[str, ...]
    dropped: tuple[Dropped, ...]
    rows: RowNumbers
    place: Locator = field(repr=False)
    test_rows: RowNumbers | None = None
    is_array: bool = False
    lines: NDArray[np.int64] | None = None
    identifiers: tuple[Column, ...] = ()
    decimal: str | None = None
    split: Splitting = RANDOM
    divider: Column | None = None
    weight: Column | None = None
    further: tuple[Column, ...] = ()
    transform: str = "none"
    pictures: PictureForm | None = None
    series: Series | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: RowNumbers) -> Table:
        """The chosen rows (positions in this table) as a table; it sets no test rows aside.

        What is held of features are the rows that are chosen: their values are taken when they are asked for.
        """
        chosen = rows if self.series is None else self.series.places(rows)
        return replace(
            self,
            features=TableColumns.held(self.features, len(self)).take(chosen),
            series=None if self.series is None else self.series.take(rows),
            target=self.target.take(rows),
            rows=self.rows[rows],
            test_rows=None,
            identifiers=tuple(column.take(rows) for column in self.identifiers),
            divider=None if self.divider is None else self.divider.take(rows),
            weight=None if self.weight is None else self.weight.take(rows),
            further=tuple(column.take(rows) for column in self.further),
        )

    @property
    def targets(self) -> tuple[Column, ...]:
        """All columns that are learned."""
        return (self.target, *self.further)

    def where(self, column: str, row: int) -> str:
        """Where the value in `row` (a position in this table) stands in the source."""
        return self.place(column, int(self.rows[row]))

    def where_step(self, column: str, row: int) -> str:
        """The same for a row of `features`."""
        return self.place(column, int((self.rows if self.series is None else self.series.rows)[row]))

    @property
    def frame(self) -> Frame:
        """Features and target as a frame, as a reader of a source would give it."""
        columns = TableColumns.held(self.features, len(self)).with_more(self.targets)
        return Frame(self.source, columns, self.where, target=self.target.name)

    def digest(self) -> str:
        """SHA-256 of names and values, hexadecimal: equal for equal data, whatever file they came from."""
        digest = hashlib.sha256()
        for column in (*self.features, *self.targets):
            digest.update(f"{column.name}\0{column.kind}\0".encode())
            digest.update(_bytes(column.values))
        return digest.hexdigest()


def _bytes(values: NDArray[Any]) -> bytes:
    if values.dtype == object:
        return "\x1f".join("\x1e" if value is None else value for value in values).encode()
    return np.ascontiguousarray(values).tobytes()


def load_table(source: Any, target: str | None = None, task: str = "auto", reading: Reading = AS_SHOWN) -> Table:
    """Read `source` and infer what is to be learned from it.

    `source` is anything that `sources.read` takes; `target` a column's name (default: what the source sets,
    else the last column), or names with commas between them; `task` is auto, classification or regression.

    Raises DataError for data that cannot be read or learned from, ArgumentError for an unknown task.

    >>> table = load_table((np.array([[1.0], [2.0], [3.0]]), np.array([0.5, 1.5, 2.5])))
    >>> table.task, [column.name for column in table.features]
    ('regression', ['x[0]'])
    """
    # In the order in which errors are told: names, targets, its rows, the task, features: each needs the last.
    if reading.unit is not None:
        raise ArgumentError(
            "running text has no rows that could be divided anew",
            expected="one training, without --folds and --members",
            got=f"--unit {reading.unit}",
            where="--unit",
            try_=f"clearprop train {source} --unit {reading.unit}",
        )
    frame = read(source, target=target, reading=with_spelled_targets(reading.with_spelled_divider(), target))
    reading.columns.require_known(frame.names, frame.source)
    names, target_note = choose_targets(frame, target, reading.columns)
    read_place, lines, steps, series = frame.place, frame.lines, frame, None
    if reading.columns.sequence is not None:
        steps, frame, series = put_together(frame, reading.columns, names)
    missing = np.any([frame[name].missing for name in names], axis=0)
    words = frame.decimal is not None and any(frame[name].kind == "category" for name in names)
    lost = lost_rows(", ".join(names), int(missing.sum()), frame.rows, frame.source, words)
    kept = np.flatnonzero(~missing)

    def place(column: str, row: int) -> str:
        return frame.place(column, int(kept[row]))

    goals = tuple(known_target(frame[name].take(kept), task, reading.columns, place) for name in names)
    decided, task_note = decide_tasks(goals, task, place, frame.source)
    own = kept
    if series is not None:
        own, series = series.places(kept), series.take(kept)
    features, dropped = _features(steps, names, own, lambda c, row: steps.place(c, int(own[row])), reading.columns)
    weight, idle = reading.columns.weight, idle_words(reading, frame.source, frame.decimal)
    return Table(
        source=frame.source,
        features=features,
        target=goals[0],
        further=goals[1:],
        task=decided,
        target_note=target_note,
        task_note=task_note,
        notes=frame.notes + (() if series is None else series.notes) + lost + idle,
        dropped=dropped,
        rows=kept if series is None else series.firsts,
        place=read_place,
        test_rows=None if frame.test_rows is None else np.flatnonzero(np.isin(kept, frame.test_rows)),
        is_array=frame.is_array,
        lines=lines,
        series=series,
        identifiers=tuple(frame[gone.name].take(kept) for gone in dropped if gone.identifies),
        decimal=frame.decimal,
        split=reading.columns.split,
        divider=_divider(frame, kept, place, reading.columns),
        weight=None if weight is None else as_weights(frame[weight].take(kept), place),
        transform=transform_for(reading.columns.transform, decided, names),
        pictures=frame.pictures,
    )


def put_together(
    frame: Frame, choice: ColumnChoice, needed: Sequence[str], form: SequenceForm | None = None
) -> tuple[Frame, Frame, Series]:
    """What `long_form.sequences_in` gives."""
    from clearprop.data.long_form import sequences_in  # start-up time: few tables are in long form

    return sequences_in(frame, choice, needed, form)


def _divider(frame: Frame, kept: RowNumbers, place: Locator, choice: ColumnChoice) -> Column | None:
    """The column by which rows are divided, as what it must be: times or numbers in an order, or words."""
    if choice.split.column is None:
        return None
    column, asked = frame[choice.split.column].take(kept), choice.kind_of(choice.split.column)
    return used_column(column, place, frame.source, asked) if choice.split.way == "time" else as_category(column)


def lost_rows(target: str, lost: int, rows: int, source: str, words: bool) -> tuple[str, ...]:
    """A note on the rows that have no target.  Raises DataError if none has one.

    Where it holds `words`, some that are taken for no value, such as None, may be classes.
    """
    if lost == rows:
        raise DataError(
            f"the target {target!r} is missing in every row",
            expected="a class or a number in at least two rows",
            got=f"{quantity(lost, 'empty cell')}",
            where=f"{source}, column {target!r}",
            try_="choose another target",
        )
    hint = " (--missing says which words stand for none)" if words and lost > max(2, INDICATOR_SHARE * rows) else ""
    return (f"{quantity(lost, 'row')} left out: no value in the target {target!r}{hint}",) if lost else ()


def _features(
    frame: Frame, targets: Sequence[str], kept: RowNumbers, place: Locator, choice: ColumnChoice
) -> tuple[TableColumns, tuple[Dropped, ...]]:
    """The columns to learn from, in order, and those left out with the reasons.

    A column that is used as it was read is not held here, but read once more when it is asked for.
    """
    read = TableColumns.held(frame.columns, frame.rows)
    rows = read if len(kept) == frame.rows else read.take(kept)
    features: dict[str, Callable[[], Column]] = {}
    dropped: list[Dropped] = []
    for number, name in enumerate(read.names):
        if name in targets:
            continue
        column = given = rows[number]
        reason, asked = choice.reason(name), choice.kind_of(name)
        if not reason:
            column = used_column(given, place, frame.source, asked)
            if not asked and column.kind == "category" and len(kept) < frame.rows:
                _require_numbers_alone(frame, read[number], kept)
            reason = drop_reason(feature_facts(column, choice.asked(name)), frame.is_array)
        if reason:
            dropped.append(Dropped(name, reason, int(column.missing.sum())))
        else:
            as_read = column.values is given.values and (column.kind, column.use) == (given.kind, given.use)
            features[name] = partial(rows.at, number) if as_read else partial(same, column)
    require_features(len(features), dropped, ", ".join(targets), frame.source)
    return TableColumns(tuple(features), tuple(features.values()), len(kept)), tuple(dropped)


def _require_numbers_alone(frame: Frame, column: Column, kept: RowNumbers) -> None:
    """Raise DataError for text in a row without target, where all that is `kept` of a column are numbers."""
    texts = set(column.values[kept].tolist()) - {None}
    if not all(any(map(str.isdigit, text)) for text in texts) or not texts or not show_numbers([*texts]).all():
        return
    row = row_of_text(column.values, np.setdiff1d(np.arange(frame.rows), kept))
    if row is not None:
        numbers = sum(text is not None for text in column.values[kept].tolist())
        where = frame.place(column.name, row)
        raise mixed_column(column.name, column.values[row], where, 1, numbers, on_top=row == 0)


def require_features(number: int, dropped: Sequence[Dropped], target: str, source: str) -> None:
    """Raise DataError if no column is left to learn from."""
    if not number:
        raise DataError(
            "there is no column to learn from",
            expected=f"at least one column besides the target {target!r} that differs between rows",
            got="; ".join(f"{d.name!r} left out: {d.reason}" for d in dropped) or "the target alone",
            where=source,
            try_="add a column, or choose another target",
        )


# -------------------------------------------------------------------------------------------------- targets
def with_spelled_targets(reading: Reading, asked: str | None) -> Reading:
    """The same reading, and it is kept how each of several targets is written.

    >>> sorted(with_spelled_targets(Reading(), "height,weight").spelled)
    ['height', 'weight']
    """
    names = words_of(asked)
    return reading if len(names) < 2 else replace(reading, spelled=reading.spelled | set(names))


def transform_for(asked: str, task: Task, targets: Sequence[str]) -> str:
    """The transform of a target that is asked for; none where `auto` has nothing to decide.

    Raises ArgumentError for a transform of classes, or of several targets.
    """
    if asked == "none":
        return asked
    require_known(asked)
    if task == "regression" and len(targets) == 1:
        return asked
    if asked not in ("none", "auto"):
        raise ArgumentError(
            "what is transformed is one target of numbers",
            expected="a regression with one target",
            got=f"{len(targets)} targets" if len(targets) > 1 else f"classes in {targets[0]!r}",
            where="--target-transform",
            try_="no --target-transform" + ("" if len(targets) > 1 else ", or --task regression"),
        )
    return "none"


def choose_targets(frame: Frame, asked: str | None, choice: ColumnChoice) -> tuple[tuple[str, ...], str]:
    """The names of the targets and the sentence that announces them.

    What is asked for is the name of a column, or names with commas between them.  Raises DataError for an unknown name,
    for one that is asked for twice, and for what `column_roles.choose_target` refuses.
    """
    several = words_of(asked) if asked is not None and asked not in frame.names else ()
    if len(several) < 2:
        name, note = choose_target(frame, several[0] if several else asked, choice)
        return (name,), note
    for name in several:
        choose_target(frame, name, choice)
    double = next((name for name in several if several.count(name) > 1), None)
    if double is not None:
        raise DataError(
            f"the target {double!r} is asked for twice",
            expected="a column of its own for every target",
            got=f"--target {asked}",
            where=frame.source,
            try_=f"--target {','.join(dict.fromkeys(several))}",
        )
    return several, f"the targets are {name_list(list(several), len(several))}, as asked"


def known_target(goal: Column, asked: str, choice: ColumnChoice, place: Locator) -> Column:
    """A target without its gaps, as the column that it is learned as."""
    said = choice.kind_of(goal.name)
    if asked != "classification" and said != "category":
        if said != "number" and goal.marks:
            require_unit(goal, place)
        goal = checked_column(goal, place)
    if goal.kind == "number" or said == "number":
        goal = as_number(goal, place)
    return with_one_spelling(goal)


def decide_tasks(goals: tuple[Column, ...], asked: str, place: Locator, source: str) -> tuple[Task, str]:
    """The task that the targets set, and the reason as a sentence.

    Several are labels, each yes or no, where each holds two different values, and else a regression of numbers.  Raises
    DataError for one that has too few values or, beside others, too many.
    """
    facts = [target_facts(goal, place) for goal in goals]
    if len(facts) == 1:
        return decide_task(facts[0], asked, source)
    # What was asked for decides, else what all have in common: two values each, or numbers; the rest is refused.
    two = all(fact.distinct == 2 for fact in facts)
    numbers = all(fact.kind == "number" for fact in facts)
    if asked == "classification" or (asked == "auto" and (two or not numbers)):
        stranger = next((fact for fact in facts if fact.distinct != 2), None)
        if stranger is not None:
            raise _no_label(stranger, source)
    task: Task = "regression" if asked == "regression" or (asked == "auto" and not two) else "classification"
    for fact in facts:
        decide_task(fact, task, source)
    how = "" if asked == "auto" else ", as asked"
    kind = "of numbers" if task == "regression" else "of two values each, labels that a row may have or not"
    return task, f"{task}{how}: {len(facts)} targets {kind}"


def _no_label(facts: ColumnFacts, source: str) -> DataError:
    number = "many" if facts.distinct is None else f"{facts.distinct}"
    return DataError(
        "several targets are all numbers, or all labels of two values",
        expected="two different values in every target, such as yes and no, or numbers in all of them",
        got=f"{number} different values in {facts.name!r}",
        where=f"{source}, column {facts.name!r}",
        try_=f"--target {facts.name} alone" + ("" if facts.kind == "category" else ", or --task regression"),
    )


def random_order(seed: int, number: int, member: int = 1) -> RowNumbers:
    """So many places in an order of chance, by raw bits of Philox, which no version of NumPy changes.

    Each `member` of an ensemble has its own order.

    >>> random_order(0, 5).tolist(), random_order(0, 5, member=2).tolist()
    ([0, 2, 1, 4, 3], [2, 1, 3, 0, 4])
    """
    key = seed if member == 1 else [seed, member]
    return np.argsort(np.random.Philox(key=key).random_raw(number), kind="stable")


def draw_rows(order: RowNumbers, codes: RowNumbers, number: int) -> RowNumbers:
    """Draw `number` of the rows in `order`, each class by its share; one row of each class stays behind."""
    classes, counts = np.unique(codes[order], return_counts=True)
    take = quotas(counts, number)
    drawn: list[NDArray[np.intp]] = [
        order[codes[order] == label][:quota] for label, quota in zip(classes, take, strict=True)
    ]
    return np.concatenate(drawn)


def quotas(counts: RowNumbers, number: int) -> RowNumbers:
    """How many of `number` rows each class gives, by its share of the rows (largest remainders), all but one at most.

    `counts` are the rows of each class, in the alphabetical order of the classes.

    >>> quotas(np.array([10, 5, 1]), 4).tolist()
    [3, 1, 0]
    """
    room = counts - 1
    exact = number * counts / max(int(counts.sum()), 1)
    take = np.minimum(np.floor(exact).astype(np.intp), room)
    for c in np.argsort(take - exact, kind="stable"):
        if take.sum() < number and take[c] < room[c]:
            take[c] += 1
    return take


_MANY_TIMES = 20


def table_doubts(table: Table) -> list[str]:
    """Sentences about rows that are in order of time and divided at random, and a last row that looks like a total.

    >>> table_doubts(load_table("iris"))
    []
    """
    doubts = list[str]()
    summed = []
    if table.series is not None:  # whose rows are parts of examples
        return doubts
    for column in chain(table.features, table.targets):
        doubts += multiples_read([column]) if column.marks else []
        summed += [column.name] if _ends_in_its_sum(column) else []
    if summed:
        doubts.append(f"the last row may sum up those above it: it holds their sum in {name_list(summed, 3)}")
    for column in table.features:
        texts = column.values[-1:].tolist() if column.kind == "category" else []
        if texts and str(texts[0]).strip().lower() in TOTALS:
            doubts.append(f"the last row may sum up those above it: {texts[0]!r} in column {column.name!r}")
        if column.kind == "time" and table.split.way == "random" and _in_order(column.present):
            doubts.append(
                f"rows are in order of the times in {column.name!r}, and divided at random: they are tested on times "
                f"between those of training (--split time:{column.name} tests on the latest)"
            )
    return doubts


def _ends_in_its_sum(column: Column) -> bool:
    """Whether the last of many numbers is the sum of all others, but for the digits that are written."""
    if column.kind != "number" or len(column.values) < _MANY_TIMES or np.isnan(column.values[-1]):
        return False
    last, rest = column.values[-1], column.present[:-1]
    return bool(np.abs(last) > np.abs(rest).max() and np.isclose(rest.sum(), last, rtol=1e-4)) if len(rest) else False


def _in_order(times: NDArray[np.float64]) -> bool:
    steps = np.diff(times)
    return int((steps != 0).sum()) >= _MANY_TIMES and bool((steps >= 0).all() or (steps <= 0).all())
