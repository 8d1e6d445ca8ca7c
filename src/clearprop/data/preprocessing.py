"""`Preprocessing`: fitted on the training part, kept with the run, repeated exactly by `predict`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.column_roles import Dropped, Task, alike, pictures_without_classes
from clearprop.data.columns import (
    Column,
    Findings,
    Frame,
    Locator,
    PictureForm,
    TableColumns,
    as_category,
    blank_column,
    name_list,
    names_of,
    quantity,
)
from clearprop.data.encoded_rows import Encoded, named_as, report_on
from clearprop.data.encodings import (
    CategoryEncoding,
    ClassTarget,
    Encoding,
    NumberEncoding,
    NumberTarget,
    SingleTarget,
    fit_encoding,
    fit_target,
    shared_scale,
)
from clearprop.data.image_shape import THERE, SequenceForm, real_steps
from clearprop.data.joint_target import JointTarget, Target, fit_joint_target
from clearprop.data.preprocessing_json import preprocessing_from_json, preprocessing_to_json
from clearprop.data.readers.reading import (
    AS_SHOWN,
    PLAIN,
    ColumnChoice,
    Reading,
    TextHabit,
    quoted_words,
    require_names,
)
from clearprop.data.readers.sources import read
from clearprop.data.row_weights import as_weights
from clearprop.data.slips import has_unit, seems_date, told_apart
from clearprop.data.table import Table, put_together
from clearprop.data.target_transforms import TargetTransform
from clearprop.errors import ArgumentError, DataError, user_line

if TYPE_CHECKING:
    from clearprop.data.long_form import Series

TEXT_KINDS = ("category", "list", "ordinal", "text")
"""The kinds of encoding that take text as it is written, even where it looks like numbers."""
LONG_RUN = 30
"""More columns of one array than this are summed up in one row of the summary."""
_EPOCHS = {"seconds": 1.0, "milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}
"""How many a second has of the units in which times since 1970 are counted."""
_MONTH = re.compile(r"(?:.*[_\s.-])?(?:year[_\s-]?month|month|yyyymm|ym|period)", re.IGNORECASE)
"""Names of columns whose numbers of six digits are months, as a rule."""
_LEAST_LEVELS = 5
"""Fewer different texts than this are words, whatever they look like."""
_LEAST_HELD, _SHARE_HELD = 1 << 21, 64
"""Features are written into the rows of a table some together, which is faster: those of so many bytes, or such a part
of the table."""


@dataclass(frozen=True)
class SummaryRow:
    """One row of the table of what was inferred; `role` is feature, target or left out."""

    column: str
    kind: str
    missing: int
    encoding: str
    note: str
    role: str = "feature"


@dataclass(frozen=True)
class Preprocessing:
    """How the columns of a source become arrays.  Immutable; equal after `from_json(to_json())`.

    `missing` are the words for missing values that were asked for in place of the usual ones, `habit` is how the text
    was written, `weight` the column that says how much each row counts.  Of an ensemble, `columns` are those of all its
    `members`, one after another, and the target is that of the first.  `pictures` is the form of pictures in
    files of their own, `sequence` how rows are put together to sequences, whose steps `columns` encode.

    >>> from clearprop.data.table import load_table
    >>> fitted = Preprocessing.fit(load_table("iris"))
    >>> fitted.class_names, Preprocessing.from_json(fitted.to_json()) == fitted
    (('setosa', 'versicolor', 'virginica'), True)
    """

    task: Task
    columns: tuple[Encoding, ...]
    target: Target
    dropped: tuple[Dropped, ...] = ()
    missing: tuple[str, ...] | None = None
    habit: TextHabit = PLAIN
    weight: str | None = None
    members: int = 1
    pictures: PictureForm | None = None
    sequence: SequenceForm | None = None

    @classmethod
    def side_by_side(cls, each: Sequence[Preprocessing]) -> Preprocessing:
        """What encodes a table in several ways, for the members of an ensemble, each of which knows other rows.

        >>> from clearprop.data.table import load_table
        >>> fitted = Preprocessing.fit(load_table("iris"))
        >>> len(Preprocessing.side_by_side([fitted, fitted]).feature_names)
        8
        """
        return replace(each[0], columns=tuple(c for one in each for c in one.columns), members=len(each))

    @property
    def source_columns(self) -> tuple[Encoding, ...]:
        """The columns of the source, each once."""
        return self.columns[: len(self.columns) // self.members]

    @property
    def reading(self) -> Reading:
        """How files are read for prediction: by what they show, with the missing words of training."""
        return self.reading_with(())

    def reading_with(self, keep: Collection[str], said: Reading = AS_SHOWN) -> Reading:
        """The same, with what is `said` of the form of a file, and columns of which it is kept how they are written."""
        texts = tuple((name, "category") for name in sorted(self.texts))
        missing = self.missing if said.missing is None else said.missing
        by = None if self.sequence is None else self.sequence.columns
        choice = ColumnChoice(kinds=texts, sequence=by)
        said = replace(said, habit=self.habit, pictures=self.pictures)
        return replace(said, missing=missing, columns=choice, spelled=frozenset((*keep, *(by or ())[:1])))

    def reading_again(self, said: Reading) -> Reading:
        """How the data of the training are read once more: words and numbers as they were taken for then.

        What is said of columns holds; a later version may take others for something else, which the network is not.
        """
        known = dict(said.columns.kinds)
        again: dict[str, str] = {c.name: c.kind for c in self.columns if c.kind in ("category", "number")}
        return replace(said, columns=replace(said.columns, kinds=tuple({**again, **known}.items())))

    @classmethod
    def fit(cls, train: Table) -> Preprocessing:
        """Fit on `train`, the training part alone: no number of another part enters."""
        features = real_steps(train.features) if train.is_array else train.features
        together = TableColumns.held(features, len(train)).joined()
        scale = shared_scale(together) if together else None
        columns = tuple(fit_encoding(c, scale if c.shared else None) for c in features)
        classes = train.task == "classification"
        target = (
            fit_joint_target(train.targets, classes)
            if train.further
            else fit_target(train.target, classes, train.transform)
        )
        weight = None if train.weight is None else train.weight.name
        form = None if train.series is None else train.series.form
        return cls(train.task, columns, target, train.dropped, weight=weight, pictures=train.pictures, sequence=form)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features, such as `bill_length_mm` and `island=Dream`; of sequences, of step after step."""
        names = [[name for column in own for name in column.features] for own in self._of_members]
        form = self.sequence
        return tuple(chain.from_iterable(names if form is None else map(form.names, names)))

    @property
    def feature_columns(self) -> tuple[str, ...]:
        """The column that each feature comes from."""
        names = [[column.name for column in own for _ in column.features] for own in self._of_members]
        form = self.sequence
        return tuple(chain.from_iterable(names if form is None else map(form.owners, names)))

    @property
    def _of_members(self) -> list[tuple[Encoding, ...]]:
        """The columns as each member of an ensemble encodes them."""
        number = len(self.columns) // self.members
        return [self.columns[first : first + number] for first in range(0, len(self.columns), number)]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The class of each label; empty in a regression."""
        return self.target.classes if isinstance(self.target, ClassTarget) else ()

    @property
    def of_classes(self) -> bool:
        """Whether classes are chosen, or labels given, and no numbers predicted."""
        return self.task == "classification"

    @property
    def class_labels(self) -> NDArray[Any]:
        """The classes as they came: integers, floats, truth values or text; empty in a regression."""
        return self.target.labels if isinstance(self.target, ClassTarget) else np.empty(0)

    @property
    def outputs(self) -> int:
        """How many outputs a network for this target has: one per class, or one for each of several targets, or 1."""
        return len(self.class_names) or len(self.target.names)

    @property
    def target_transform(self) -> TargetTransform | None:
        """What is learned of a target of numbers, where it is not the target itself."""
        return self.target.transform if isinstance(self.target, NumberTarget) else None

    @property
    def label_names(self) -> tuple[str, ...]:
        """The targets that are labels of two values beside each other, by name; empty for any other target."""
        joint = isinstance(self.target, JointTarget) and self.target.kind == "labels"
        return self.target.names if joint else ()

    def spelled(self, codes: NDArray[Any]) -> NDArray[np.object_]:
        """The names of chosen classes or labels as the table spells them, `(rows, targets)`, by their places."""
        parts = self.target.labels if isinstance(self.target, JointTarget) else (self.target,)
        columns = zip(parts, codes.reshape(len(codes), -1).T, strict=True)
        names = [np.array(part.classes, dtype=object)[own] for part, own in columns if isinstance(part, ClassTarget)]
        return np.stack(names, axis=1)

    def transform(self, table: Table) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """`x` `(rows, features)` float32, and `y`.

        `y` holds labels `(rows,)` int64 in a classification, standardised values `(rows, 1)` float32 in a
        regression; of several targets values, or 0 and 1, `(rows, targets)` float32.  Levels met for the first time are
        all 0; `encode` reports them.
        """
        if len(table) == 0:
            raise ArgumentError("the table has no rows", expected="at least one row", got="0 rows")
        names = names_of(table.features)
        self._require(names, table.source)
        places = dict(zip(names, range(len(names)), strict=True))
        columns = (table.features[places[column.name]] for column in self.columns)
        rows = len(table) if table.series is None else len(table.series.rows)
        x = self._matrix(columns, rows, table.where_step, Findings(), table.series)
        return x, self._encoded_target(table.targets, table.where)

    def _encoded_target(self, columns: Sequence[Column], place: Locator) -> NDArray[Any]:
        if isinstance(self.target, JointTarget):
            return self.target.encode(columns, place)
        return self.target.encode(columns[0], place)

    def encode(
        self, source: Any, with_target: bool = False, keep: Sequence[str] = (), said: Reading = AS_SHOWN
    ) -> Encoded:
        """Encode a Table or any source of `sources.read`, for prediction or (`with_target`) evaluation.

        Columns may stand in another order, and further ones are ignored; arrays go by position.  With the
        target, rows that lack it are left out.  Columns to `keep` come as texts, too, where the source has them.
        What is `said` of the form of a file holds, and columns that it may lack are missing in every row.

        Raises DataError for missing columns, which it lists, and for values that do not fit their column.
        """
        if isinstance(source, Table):
            source = source.frame
        if isinstance(keep, str) or not isinstance(keep, Sequence):
            raise ArgumentError(
                "columns to keep are a list of names", expected='keep=["id"]', got=f"{keep!r:.80}", where=user_line()
            )
        frame = read(source, target=self.target.name, reading=self.reading_with(keep, said))
        frame = named_as(frame, self.source_columns, self.target.name) if frame.is_array else frame
        if with_target and frame.pictures is not None and frame.target is None:
            raise pictures_without_classes(frame)
        self.require_columns(frame.names, frame.source, with_target, said.fill)
        encoded = self.encode_frame(frame, frame.names, with_target, keep)
        if not len(encoded.rows):
            raise self.nothing_to_evaluate(frame.rows, frame.source)
        return encoded

    @property
    def texts(self) -> frozenset[str]:
        """The columns that stay text even where they look like numbers."""
        return frozenset(c.name for c in (*self.columns, *self._targets) if c.kind in TEXT_KINDS)

    def nothing_to_evaluate(self, rows: int, source: str) -> DataError:
        """The error for data in which no row has a target."""
        return DataError(
            "no row can be evaluated",
            expected=f"a value in the target {self.target.name!r}",
            got=f"none in {quantity(rows, 'row')}",
            where=source,
            try_="predict needs no target",
        )

    def require_columns(
        self, names: tuple[str, ...], source: str, with_target: bool, fill: tuple[str, ...] = ()
    ) -> None:
        """Raise DataError, which lists them, if columns of training are missing from a source, but for those to fill.

        No source may lack all of them: it would be another table.
        """
        features = tuple(column.name for column in self.source_columns)
        require_names(fill, features, "--fill", source)
        usable = fill if set(features) & set(names) else ()
        by = () if self.sequence is None else self.sequence.columns
        self._require((*names, *usable), source, (*by, *(self.judged_by if with_target else ())))

    @property
    def judged_by(self) -> tuple[str, ...]:
        """The columns that evaluation needs besides the features: the target, and the weights of rows."""
        return self.target.names if self.weight is None else (*self.target.names, self.weight)

    @property
    def _targets(self) -> tuple[SingleTarget, ...]:
        """Each target by itself."""
        return self.target.parts if isinstance(self.target, JointTarget) else (self.target,)

    @property
    def identifiers(self) -> tuple[str, ...]:
        """The columns that were left out because they tell rows apart."""
        return tuple(d.name for d in self.dropped if d.identifies)

    def encode_frame(
        self, frame: Frame, names: tuple[str, ...], with_target: bool, keep: Sequence[str] = ()
    ) -> Encoded:
        """Encode a frame; `names` are all columns of its source.  A column that it lacks is missing in every row."""
        # What differs between prediction and evaluation: rows without a target, targets, weights; all else is the same.
        steps, series = frame, None
        if self.sequence is not None:
            said = ColumnChoice(sequence=self.sequence.columns, kinds=((self.sequence.time, self.sequence.order),))
            steps, frame, series = put_together(frame, said, self.judged_by if with_target else (), self.sequence)
        gaps = [frame[name].missing for name in self.target.names] if with_target else []
        own = kept = np.flatnonzero(~np.any(gaps, axis=0)) if with_target else np.arange(frame.rows)
        if series is not None:
            own, series = series.places(kept), series.take(kept)

        def place(column: str, row: int) -> str:
            return frame.place(column, int(kept[row]))

        findings = Findings()
        there = set(frame.names)
        features = (steps[c.name] if c.name in there else blank_column(c.name, steps.rows) for c in self.columns)
        chosen = (column.take(own) for column in features)
        chosen = (c if c.spelling is None else replace(c, spelling=None) for c in chosen)
        x = self._matrix(chosen, len(own), lambda c, row: steps.place(c, int(own[row])), findings, series)
        goals = [frame[name].take(kept) for name in self.target.names] if with_target else []
        y = self._encoded_target(goals, place) if with_target else None
        known = [*(self.sequence.columns if self.sequence else ()), *self.target.names, *(d.name for d in self.dropped)]
        report = report_on(findings, names, [c.name for c in self.source_columns], known, frame.rows - len(kept))
        report = report if frame.pictures is None else replace(report, notes=frame.notes, far={})  # of bytes
        report = report if series is None else replace(report, notes=series.notes)
        wanted = [as_category(frame[name].take(kept)) for name in keep if name in there]
        counted = as_weights(frame[self.weight].take(kept), place) if with_target and self.weight else None
        rows = kept if series is None else series.firsts
        return Encoded(x, y, rows, report, tuple(wanted), None if counted is None else counted.values)

    def _matrix(
        self, columns: Iterable[Column], rows: int, place: Locator, findings: Findings, series: Series | None = None
    ) -> NDArray[np.float32]:
        widths = [sum(len(column.features) for column in own) for own in self._of_members]
        out = np.empty((rows, sum(widths)), dtype=np.float32)
        enough = max(_LEAST_HELD, out.nbytes // _SHARE_HELD)
        held: list[NDArray[np.float32]] = []
        last = size = 0
        for encoding, column in zip(self.columns, columns, strict=True):
            held.append(encoding.encode(column, place, findings))
            last, size = last + len(held[-1]), size + held[-1].nbytes
            if size >= enough:
                _write_features(held, out, last)
                size = 0
        _write_features(held, out, last)
        return out if series is None else series.lay_out(out, widths)

    def _require(self, names: tuple[str, ...], source: str, further: tuple[str, ...] = ()) -> None:
        needed = (*(column.name for column in self.source_columns), *further)
        present = set(names)
        absent = [name for name in needed if name not in present]
        if absent:
            fillable = [name for name in absent if name not in further] if len(absent) < len(needed) else []
            fill = f"; to take them as empty: --fill {shlex.quote(quoted_words(fillable))}" if fillable else ""
            raise DataError(
                f"{quantity(len(absent), 'column')} of training missing: {name_list(absent)}",
                expected=name_list(needed),
                got=name_list(names),
                where=source,
                try_="add the missing columns; the order does not matter, and single cells may be empty" + fill,
            )

    def target_values(self, y: NDArray[Any]) -> NDArray[np.float64]:
        """Standardised outputs back in the target's own unit, any shape (regression only)."""
        if isinstance(self.target, NumberTarget) or (isinstance(self.target, JointTarget) and self.target.numbers):
            return self.target.invert(y)
        raise ArgumentError(
            "a classification has no target values",
            expected="a regression",
            got=f"the classes {name_list(self.class_names)}",
            try_="class_names[label]",
        )

    def summary(self) -> list[SummaryRow]:
        """The short table of what was inferred: features, target, columns left out."""
        # Hundreds of columns of one quantity (pixels) are one row; all others have one each.
        rows: list[SummaryRow] = []
        runs: dict[str, list[Encoding]] = {}
        for column in self.source_columns:
            runs.setdefault(_run_of(column), []).append(column)
        for column in self.source_columns:
            run = runs[_run_of(column)]
            most = LONG_RUN if _run_of(column) != THERE else 1
            if len(run) <= most or not _run_of(column):
                rows.append(SummaryRow(column.name, column.kind, column.missing, column.encoding, column.note))
            elif column is run[0]:
                name, missing = f"{run[0].name} … {run[-1].name}", sum(c.missing for c in run)
                note = f"{len(run)} columns of one quantity"
                rows.append(SummaryRow(name, column.kind, missing, column.encoding, note))
        for goal in self._targets:
            kind = "class" if isinstance(goal, ClassTarget) else "number"
            rows.append(SummaryRow(goal.name, kind, 0, goal.encoding, "", "target"))
        rows += [SummaryRow(d.name, "—", d.missing, "left out", d.reason, "left out") for d in self.dropped]
        return rows

    def to_json(self) -> str:
        """The object as JSON text; numbers keep every bit."""
        return preprocessing_to_json(
            self.task, self.columns, self.target, self.dropped, self.missing, self.habit, self.weight, self.members,
            self.pictures, self.sequence,
        )  # fmt: skip

    @classmethod
    def from_json(cls, text: str, where: str = "preprocessing.json") -> Preprocessing:
        """Read what `to_json` wrote.  Everything is checked; raises RunError and says what is wrong where."""
        return cls(*preprocessing_from_json(text, where))


def _run_of(column: Encoding) -> str:
    """What columns have in common that are summed up: pixels their scale, steps of sequences that they are there."""
    if not isinstance(column, NumberEncoding):
        return ""
    return "shared" if column.shared else THERE if column.name.startswith(THERE) else ""


def _write_features(held: list[NDArray[np.float32]], out: NDArray[np.float32], last: int) -> None:
    """Write features, `(features, rows)` each, as the columns of `out` before the last one, and let them go."""
    first = last - sum(map(len, held))
    for by_row, group in groupby(held, lambda array: not array.flags.c_contiguous):
        arrays = [*group]
        for some in arrays if by_row or len(arrays) == 1 else [np.concatenate(arrays)]:
            out[:, first : first + len(some)] = some.T
            first += len(some)
    held.clear()


def encoding_doubts(encodings: Sequence[Any]) -> list[str]:
    """A sentence about each kind of column that may be taken for something else than it is."""
    numbers = [e for e in encodings if isinstance(e, NumberEncoding) and e.kind == "number"]
    words = [e for e in encodings if isinstance(e, CategoryEncoding)]
    doubles = {e.name: texts for e in words if (texts := alike(e.levels))}
    found = [_digits_lost(numbers), *map(_epoch, numbers), _months(numbers), told_apart(doubles) if doubles else ""]
    found += [_as_words(words, has_unit, "numbers without their unit")]
    found += [_as_words(words, seems_date, "dates as 2021-12-31")]
    return [sentence for sentence in found if sentence]


def _digits_lost(numbers: Iterable[NumberEncoding]) -> str:
    """About columns of numbers that differ in digits alone which double precision does not hold."""
    # a thousand steps of float64 within the deviation: fewer, and the deviation itself is wrong in its third digit
    lost = [e.name for e in numbers if e.scale < 1000 * np.spacing(max(abs(e.low), abs(e.high)))]
    if not lost:
        return ""
    one = "the numbers of column" if len(lost) == 1 else "the numbers of the columns"
    return f"{one} {name_list(lost, 6)} are so large beside their differences that digits are lost (subtract a part)"


def _as_words(words: Iterable[CategoryEncoding], seem: Callable[[str], bool], write: str) -> str:
    """About columns whose words all seem to be something else, which could be written otherwise."""
    found = [e for e in words if len(e.levels) >= _LEAST_LEVELS and all(map(seem, e.levels))]
    if not found:
        return ""
    columns = "column" if len(found) == 1 else "the columns"
    told = f"the texts of {columns} {name_list([repr(e.name) for e in found], 6)}"
    return f"{told} are taken as words, such as {found[0].levels[0]!r} (write {write})"


def _epoch(number: NumberEncoding) -> str:
    """About numbers that may be times, counted in seconds or milliseconds."""
    for unit, size in _EPOCHS.items():
        if 946_684_800 * size <= number.low and number.high <= 2_208_988_800 * size:  # from 2000 to 2040
            since = np.datetime64(int(number.low / size), "s").item().date()
            return (
                f"column {number.name!r} may count {unit} since 1970: it would begin on {since} "
                "(write dates, of which hour, day and season are learned)"
            )
    return ""


def _months(numbers: Iterable[NumberEncoding]) -> str:
    """About numbers of six digits that may be months."""
    found = [e.name for e in numbers if _MONTH.fullmatch(e.name) and 190_001 <= e.low <= e.high <= 209_912]
    if not found:
        return ""
    return f"column {found[0]!r} may hold months, such as 202012 (write 2020-12; from there to 202101 is no step of 89)"
