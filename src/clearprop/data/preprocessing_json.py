"""Preprocessing as JSON: written whole, and read back with every field checked."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import Any, get_args

from clearprop.data.column_roles import Dropped, Task
from clearprop.data.columns import PictureForm
from clearprop.data.encodings import CategoryEncoding, ClassTarget, Encoding, NumberEncoding, NumberTarget
from clearprop.data.image_shape import SequenceForm
from clearprop.data.joint_target import JointTarget, Target
from clearprop.data.kinds.lists import SIGNS
from clearprop.data.kinds.time_encoding import PERIODS, TimeEncoding
from clearprop.data.kinds.times import ORDERS
from clearprop.data.kinds.word_encodings import BUCKETS, ListEncoding, OrdinalEncoding, TextEncoding
from clearprop.data.readers.reading import PLAIN, TIMES, TextHabit
from clearprop.files.strict_json import checked_value, parse_json, read_record, refuse, require_keys

FORMAT = 1
"""The version of the form; a reader refuses another one."""
_WHAT = "the stored preprocessing"


def preprocessing_to_json(
    task: Task,
    columns: tuple[Encoding, ...],
    target: Target,
    dropped: tuple[Dropped, ...],
    missing: tuple[str, ...] | None = None,
    habit: TextHabit = PLAIN,
    weight: str | None = None,
    members: int = 1,
    pictures: PictureForm | None = None,
    sequence: SequenceForm | None = None,
) -> str:
    """The parts of a Preprocessing as JSON text."""
    document = {
        "format": FORMAT,
        "task": task,
        "target": _target_record(target),
        "columns": [_column_record(column) for column in columns],
        "dropped": [asdict(column) for column in dropped],
        **({} if missing is None else {"missing": missing}),
        **({} if habit == PLAIN else {"habit": asdict(habit)}),
        **({} if weight is None else {"weight": weight}),
        **({} if members == 1 else {"members": members}),
        **({} if pictures is None else {"pictures": asdict(pictures)}),
        **({} if sequence is None else {"sequence": asdict(sequence)}),
    }
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def preprocessing_from_json(text: str, where: str) -> tuple[
    Task, tuple[Encoding, ...], Target, tuple[Dropped, ...], tuple[str, ...] | None, TextHabit, str | None, int,
    PictureForm | None, SequenceForm | None,
]:  # fmt: skip
    """The parts of a Preprocessing.  Raises RunError for text that `preprocessing_to_json` did not write."""
    document = parse_json(text, _WHAT, where)
    further = ("missing", "habit", "weight", "members", "pictures", "sequence")
    known = {k: document.pop(k, None) if isinstance(document, dict) else None for k in further}
    words, written, weight, several, form, order = known.values()
    document = require_keys(document, {"format", "task", "target", "columns", "dropped"}, _WHAT, where)
    if document["format"] != FORMAT:
        refuse(_WHAT, f"format {FORMAT}", f"format {document['format']!r}", where)
    task: Task = document["task"]
    if task not in get_args(Task):
        refuse(_WHAT, f"task {' or '.join(get_args(Task))}", repr(task), where)
    target = _target(document["target"], task, f"{where}, target")
    items = checked_value(list[object], document["columns"], _WHAT, f"{where}, columns")
    columns = tuple(_encoding(item, f"{where}, columns[{i}]") for i, item in enumerate(items))
    dropped = checked_value(tuple[Dropped, ...], document["dropped"], _WHAT, f"{where}, dropped")
    members = 1 if several is None else checked_value(int, several, _WHAT, f"{where}, members")
    _require_members(columns, members, where)
    _check(columns[: len(columns) // members], target, dropped, where)
    missing = checked_value(tuple[str, ...] | None, words, _WHAT, f"{where}, missing")
    habit = PLAIN if written is None else read_record(TextHabit, written, _WHAT, f"{where}, habit")
    column = checked_value(str | None, weight, _WHAT, f"{where}, weight")
    pictures = None if form is None else read_record(PictureForm, form, _WHAT, f"{where}, pictures")
    sequence = None if order is None else _sequence(order, f"{where}, sequence")
    return task, columns, target, dropped, missing, habit, column, members, pictures, sequence


def _sequence(value: Any, where: str) -> SequenceForm:
    form = read_record(SequenceForm, value, _WHAT, where)
    if form.order not in ("number", *TIMES) or form.steps < 1 or not all(form.columns):
        refuse(_WHAT, f"two columns, number or {', '.join(TIMES)}, steps from 1", repr(form)[:80], where)
    return form


def _target_record(target: Target) -> dict[str, object]:
    """A target as it is written: transform and unit only where there is one, as older versions have none."""
    record = asdict(target)
    for part in record.get("parts", (record,)):
        for name in ("transform", "unit"):
            if name in part and not part[name]:
                del part[name]
    return record


def _column_record(column: Encoding) -> dict[str, object]:
    """A column as it is written: its zone and its units only where they are known, as older versions have none."""
    known = asdict(column).items()
    return {name: value for name, value in known if name not in ("zoned", "units") or value is not None}


def _number_target(value: Any, where: str) -> NumberTarget:
    since = {"transform": None, "unit": ""}
    target = read_record(NumberTarget, {**since, **value} if isinstance(value, dict) else value, _WHAT, where)
    known = target.transform
    if known is not None:
        pairs = zip((known.values, known.scores), (known.values[1:], known.scores[1:]), strict=True)
        rising = all(a < b for one, other in pairs for a, b in zip(one, other, strict=False))
        knots = len(known.values) == len(known.scores) >= 2 and rising
        if not (known.low <= known.high and (knots if known.name == "quantile" else known.low >= 0)):
            refuse(_WHAT, "a range from low to high, and knots that rise", repr(known)[:60], f"{where}, transform")
    return target


def _target(value: Any, task: Task, where: str) -> Target:
    def single(record: Any, place: str) -> ClassTarget | NumberTarget:
        classes = task == "classification"
        return read_record(ClassTarget, record, _WHAT, place) if classes else _number_target(record, place)

    if not isinstance(value, dict) or "parts" not in value:
        return single(value, where)
    parts = checked_value(list[object], require_keys(value, {"parts"}, _WHAT, where)["parts"], _WHAT, where)
    if len(parts) < 2:
        refuse(_WHAT, "two targets or more beside each other", f"{len(parts)}", where)
    return JointTarget(tuple(single(part, f"{where}, parts[{i}]") for i, part in enumerate(parts)))


_KINDS: dict[str, type[Encoding]] = {
    "category": CategoryEncoding,
    "time": TimeEncoding,
    "list": ListEncoding,
    "ordinal": OrdinalEncoding,
    "text": TextEncoding,
}


def _encoding(value: Any, where: str) -> Encoding:
    known = value.get("kind") if isinstance(value, dict) else None
    kind: type[Encoding] = _KINDS.get(known, NumberEncoding) if isinstance(known, str) else NumberEncoding
    since = {TimeEncoding: {"zoned": None}, NumberEncoding: {"units": None}}.get(kind, {})
    return read_record(kind, {**since, **value} if isinstance(value, dict) else value, _WHAT, where)


def _require_members(columns: tuple[Encoding, ...], members: int, where: str) -> None:
    """Refuse columns that are not those of one table, encoded so many times."""
    if members < 1 or len(columns) % members:
        refuse(_WHAT, "as many columns for each member", f"{len(columns)} columns of {members} members", where)
    own = [(column.name, column.kind) for column in columns[: len(columns) // members]]
    for first in range(len(own), len(columns), max(len(own), 1)):
        if own != [(column.name, column.kind) for column in columns[first : first + len(own)]]:
            refuse(_WHAT, "the same columns for each member", f"others in columns[{first}] and on", where)
        for encoding in columns[first : first + len(own)]:
            _check_encoding(encoding, where)


def _check(columns: tuple[Encoding, ...], target: Target, dropped: tuple[Dropped, ...], where: str) -> None:
    """Refuse values of the right types that do not make sense together."""
    # Every field has its type by now; each check below is of one thing that would fail far from here.
    goals = target.parts if isinstance(target, JointTarget) else (target,)
    names = [column.name for column in (*columns, *goals)]
    double = next((name for name, number in Counter(names).items() if number > 1), None)
    if double is not None:
        refuse(_WHAT, "a name of its own for every column", f"{double!r} twice", where)
    if not columns:
        refuse(_WHAT, "at least one column", "none", f"{where}, columns")
    for goal in goals:
        _require_scale(goal, where)
    for encoding in columns:
        _check_encoding(encoding, where)
    for left_out in dropped:
        _require_counts(left_out, where)
    most = 2 if len(goals) > 1 else None
    for goal in goals:
        if isinstance(goal, ClassTarget) and not 2 <= len(set(goal.classes)) == len(goal.classes) <= (
            most or len(goal.classes)
        ):
            refuse(_WHAT, "two or more different classes", repr(list(goal.classes)), f"{where}, target")


def _require_scale(part: Encoding | NumberTarget | ClassTarget, where: str) -> None:
    if isinstance(part, NumberEncoding | NumberTarget | TimeEncoding) and part.scale <= 0:
        refuse(_WHAT, "a scale above 0", repr(part.scale), f"{where}, column {part.name!r}")


def _require_counts(counted: Encoding | Dropped, where: str) -> None:
    numbers = [counted.missing, counted.rare if isinstance(counted, CategoryEncoding | ListEncoding) else 0]
    if min(numbers) < 0:
        refuse(_WHAT, "numbers of values, 0 or more", str(min(numbers)), f"{where}, column {counted.name!r}")


def _check_encoding(encoding: Encoding, where: str) -> None:
    """Refuse what could not encode a column, or counts what cannot be."""
    _require_scale(encoding, where)
    _require_counts(encoding, where)
    _check_kind(encoding, where)


def _check_kind(encoding: Encoding, where: str) -> None:
    """Refuse what could not encode a column."""
    place = f"{where}, column {encoding.name!r}"
    if isinstance(encoding, TextEncoding) and not 1 <= encoding.buckets <= BUCKETS:
        refuse(_WHAT, f"buckets from 1 to {BUCKETS}", repr(encoding.buckets), place)
    if isinstance(encoding, ListEncoding) and encoding.separator not in SIGNS:
        refuse(_WHAT, f"a separator of {' '.join(SIGNS)}", repr(encoding.separator), place)
    if isinstance(encoding, TimeEncoding):
        if encoding.order not in ORDERS or not set(encoding.periods) <= set(PERIODS):
            refuse(_WHAT, f"{' or '.join(ORDERS)}, periods of {', '.join(PERIODS)}", repr(encoding.periods), place)
        if encoding.year_scale < 0:
            refuse(_WHAT, "a scale of years, 0 or more", repr(encoding.year_scale), place)
