"""Preprocessing as JSON: written whole, and read back with every field checked."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, fields
from typing import Any, NoReturn, TypeVar, get_args

from clearprop.data.column_roles import Dropped, Task
from clearprop.data.encodings import (
    CategoryEncoding,
    ClassTarget,
    Encoding,
    NumberEncoding,
    NumberTarget,
    Target,
)
from clearprop.errors import RunError

FORMAT = 1
"""The version of the form; a reader refuses another one."""

Record = TypeVar("Record", NumberEncoding, CategoryEncoding, ClassTarget, NumberTarget, Dropped)


def preprocessing_to_json(
    task: Task, columns: tuple[Encoding, ...], target: Target, dropped: tuple[Dropped, ...]
) -> str:
    """The parts of a Preprocessing as JSON text."""
    document = {
        "format": FORMAT,
        "task": task,
        "target": asdict(target),
        "columns": [asdict(column) for column in columns],
        "dropped": [asdict(column) for column in dropped],
    }
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def preprocessing_from_json(text: str, where: str) -> tuple[Task, tuple[Encoding, ...], Target, tuple[Dropped, ...]]:
    """The parts of a Preprocessing.  Raises RunError for text that `preprocessing_to_json` did not write."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as problem:
        _refuse("JSON text", str(problem), where)
    document = _mapping(document, {"format", "task", "target", "columns", "dropped"}, where)
    if document["format"] != FORMAT:
        _refuse(f"format {FORMAT}", f"format {document['format']!r}", where)
    task: Task = document["task"]
    if task not in get_args(Task):
        _refuse(f"task {' or '.join(get_args(Task))}", repr(task), where)
    target: Target = (
        _record(ClassTarget, document["target"], f"{where}, target")
        if task == "classification"
        else _record(NumberTarget, document["target"], f"{where}, target")
    )
    columns = tuple(_encoding(item, at) for item, at in _items(document["columns"], f"{where}, columns"))
    dropped = tuple(_record(Dropped, item, at) for item, at in _items(document["dropped"], f"{where}, dropped"))
    _check(columns, target, where)
    return task, columns, target, dropped


def _refuse(expected: str, got: str, where: str) -> NoReturn:
    raise RunError(
        "the stored preprocessing cannot be trusted",
        expected=expected,
        got=got,
        where=where,
        try_="restore the file as the run wrote it, or train again",
    )


def _check(columns: tuple[Encoding, ...], target: Target, where: str) -> None:
    names = [column.name for column in columns] + [target.name]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        _refuse("a name of its own for every column", f"{double!r} twice", where)
    if not columns:
        _refuse("at least one column", "none", f"{where}, columns")
    for part in (*columns, target):
        if isinstance(part, NumberEncoding | NumberTarget) and part.scale <= 0:
            _refuse("a scale above 0", repr(part.scale), f"{where}, column {part.name!r}")
    if isinstance(target, ClassTarget) and not 2 <= len(set(target.classes)) == len(target.classes):
        _refuse("two or more different classes", repr(list(target.classes)), f"{where}, target")


def _items(value: Any, where: str) -> list[tuple[Any, str]]:
    if not isinstance(value, list):
        _refuse("a list", repr(value)[:60], where)
    return [(item, f"{where}[{i}]") for i, item in enumerate(value)]


def _mapping(value: Any, keys: set[str], where: str) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != keys:
        got = ", ".join(sorted(value)) if isinstance(value, dict) else repr(value)[:60]
        _refuse("the fields " + ", ".join(sorted(keys)), got, where)
    return value


def _encoding(value: Any, where: str) -> Encoding:
    if isinstance(value, dict) and value.get("kind") == "category":
        return _record(CategoryEncoding, value, where)
    return _record(NumberEncoding, value, where)


def _record(kind: type[Record], value: Any, where: str) -> Record:
    """A `kind` from a mapping with exactly its fields, each of the type that the class declares."""
    declared = {f.name: str(f.type) for f in fields(kind)}
    given = _mapping(value, set(declared), where)
    return kind(**{name: _field(given[name], declared[name], f"{where}.{name}") for name in declared})


def _field(value: Any, declared: str, where: str) -> Any:
    """One value, checked against its declared type; JSON has lists for tuples."""
    if declared == "tuple[str, ...]":
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
    elif declared.startswith("Literal"):
        if isinstance(value, str) and f'"{value}"' in declared.replace("'", '"'):
            return value
    elif declared == "float":
        if (isinstance(value, float) or type(value) is int) and abs(value) <= sys.float_info.max:
            return float(value)
    elif type(value).__name__ == declared and (declared != "int" or value >= 0):
        return value
    _refuse(f"a value of type {declared}", repr(value)[:60], where)
