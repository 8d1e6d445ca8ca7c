"""Reading JSON that somebody else may have written: size, depth and every field are checked before use."""

from __future__ import annotations

import json
import re
import sys
import types
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

from clearprop.errors import RunError

LARGEST = 64 * 2**20
"""The largest JSON file that is read, in bytes."""
DEEPEST = 32
"""The deepest nesting of lists and objects that is read."""
MOST_VALUES = 2**22
"""The most values that one JSON text may hold: as objects they take many times the bytes of their text."""
_BRACKETS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{\]}]', re.DOTALL)
"""Texts, closed or not, and brackets; nothing is looked at twice, so that the time is linear in the length."""
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

T = TypeVar("T")


def read_json(path: Path, what: str) -> Any:
    """The value that the JSON file holds.  Raises RunError, with `what` and `path`, for anything else."""
    return parse_json(read_text(path, what), what, str(path))


def read_text(path: Path, what: str) -> str:
    """The text of a file of bounded size.  Raises RunError if there is none."""
    try:
        size = path.stat().st_size
        if not path.is_file() or size > LARGEST:
            refuse(what, f"a file of at most {LARGEST:,} bytes", f"{size:,} bytes", str(path))
        return path.read_bytes().decode()
    except OSError as problem:
        refuse(what, "a file that can be read", problem.strerror or type(problem).__name__, str(path))
    except UnicodeDecodeError:
        refuse(what, "text in UTF-8", "other bytes", str(path))


def parse_json(text: str, what: str, where: str) -> Any:
    """The value that a JSON text means; NaN, infinities, deep nesting and halves of characters are refused.

    Time and memory are bounded before they are taken, by the length of the text, `DEEPEST` and `MOST_VALUES`.

    >>> parse_json('{"a": [1, 2.5]}', "the note", "note.json")
    {'a': [1, 2.5]}
    """
    if (values := sum(map(text.count, ",[{"))) > MOST_VALUES:  # first, as it is the faster one
        refuse(what, f"at most {MOST_VALUES:,} values", f"as many as {values:,}", where)
    if (depth := _depth(text)) > DEEPEST:
        refuse(what, f"at most {DEEPEST} levels of lists and objects", f"{depth} levels", where)
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
        if _SURROGATE.search(text):  # a pair of them is one character; a single one is none, and cannot be written
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        refuse(what, "whole characters", "a surrogate that stands alone", where)
    except (ValueError, RecursionError) as problem:
        refuse(what, "JSON", str(problem), where)
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if value - value != 0:
        raise ValueError(f"{text[:40]} is too large")
    return value


def _depth(text: str) -> int:
    depth = deepest = 0
    for token in _BRACKETS.finditer(text):
        first = token[0][0]
        depth += (first in "[{") - (first in "]}")
        if depth > deepest:
            deepest = depth
    return deepest


def refuse(what: str, expected: str, got: str, where: str, try_: str = "") -> NoReturn:
    """Raise the RunError for something stored that cannot be trusted."""
    raise RunError(
        f"{what} cannot be trusted",
        expected=expected,
        got=got if len(got) <= 200 else got[:200] + " …",
        where=where,
        try_=try_ or "restore the file as the run wrote it, or train again",
    )


def read_record(kind: type[T], value: Any, what: str, where: str) -> T:
    """A dataclass from an object with exactly its fields, each of the declared type.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Note:
    ...     text: str
    ...     size: float
    >>> read_record(Note, {"text": "a", "size": 1}, "the note", "note.json")
    Note(text='a', size=1.0)
    """
    hints = _declared_types(kind)  # type: ignore[arg-type]  # a class can be hashed
    given = require_keys(value, set(hints), what, where)
    inside = "{}.{}" if where.endswith("]") else "{}, {}"
    values = {n: checked_value(hint, given[n], what, inside.format(where, n)) for n, hint in hints.items()}
    return kind(**values)


@cache
def _declared_types(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {f.name: hints[f.name] for f in fields(kind)}


def require_keys(value: Any, names: set[str], what: str, where: str) -> Mapping[str, Any]:
    """The object `value`, which must have exactly these keys."""
    if not isinstance(value, dict):
        refuse(what, "an object with the fields " + ", ".join(sorted(names)), repr(value)[:60], where)
    if set(value) != names:
        refuse(what, "the fields " + ", ".join(sorted(names)), ", ".join(sorted(value)) or "none", where)
    return value


def checked_value(kind: Any, value: Any, what: str, where: str) -> Any:
    """`value`, checked against a type: scalars, literals, X | None, list[X], tuple[X, ...], dict[str, X], dataclasses.

    Raises RunError for a value of another type, and for a number that no float can hold where one is declared.
    """
    # One branch for each form of a declared type: they are tried in turn, and what passes none is refused below.
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        plain = [a for a in arguments if a is not types.NoneType]
        return None if value is None else checked_value(plain[0] if len(plain) == 1 else object, value, what, where)
    if origin is Literal:
        if any(type(value) is type(known) and value == known for known in arguments):
            return value
    elif origin in (list, tuple) and isinstance(value, list):
        return origin(checked_value(arguments[0], item, what, f"{where}[{i}]") for i, item in enumerate(value))
    elif origin is dict and isinstance(value, dict):
        return {key: checked_value(arguments[1], item, what, f"{where}, {key}") for key, item in value.items()}
    elif kind is float and type(value) in (int, float):
        if abs(value) <= sys.float_info.max:
            return float(value)
    elif hasattr(kind, "from_record"):  # a class that knows how its own record has changed since
        return kind.from_record(value, what, where)
    elif hasattr(kind, "__dataclass_fields__"):
        return read_record(kind, value, what, where)
    elif origin is None and (kind in (object, Any) or type(value) is kind):
        return value
    refuse(what, f"a value of type {_type_name(kind)}", _shorten(value), where)


def _type_name(kind: Any) -> str:
    return str(kind).removeprefix("typing.") if get_origin(kind) else kind.__name__


def _shorten(value: Any) -> str:
    """The beginning of a value's text: integers of thousands of digits have none that Python would write."""
    try:
        return repr(value)[:60]
    except ValueError:
        return f"a number of {value.bit_length():,} bits"
