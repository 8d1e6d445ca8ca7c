"""Reading JSON that somebody else may have written: size, depth and every field are checked before use."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

from clearprop.errors import RunError

LARGEST = 64 * 2**20
"""The largest JSON file that is read, in bytes."""
DEEPEST = 32
"""The deepest nesting of lists and objects that is read."""
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{\]}]')

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
    """The value that a JSON text means; NaN, infinities and deep nesting are refused."""
    if _depth(text) > DEEPEST:
        refuse(what, f"at most {DEEPEST} levels of lists and objects", f"{_depth(text)} levels", where)
    try:
        return json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as problem:
        refuse(what, "JSON", str(problem), where)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if value - value != 0:
        raise ValueError(f"{text[:40]} is too large")
    return value


def _depth(text: str) -> int:
    depth = deepest = 0
    for token in _TOKENS.finditer(text):
        first = token[0][0]
        depth += (first in "[{") - (first in "]}")
        deepest = max(deepest, depth)
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
    """A dataclass from an object with exactly its fields, each of the declared type."""
    hints = get_type_hints(kind)
    names = [f.name for f in fields(kind)]  # type: ignore[arg-type]  # T is a dataclass
    given = require_keys(value, set(names), what, where)
    return kind(**{name: checked_value(hints[name], given[name], what, f"{where}, {name}") for name in names})


def require_keys(value: Any, names: set[str], what: str, where: str) -> Mapping[str, Any]:
    """The object `value`, which must have exactly these keys."""
    if not isinstance(value, dict):
        refuse(what, "an object with the fields " + ", ".join(sorted(names)), repr(value)[:60], where)
    if set(value) != names:
        refuse(what, "the fields " + ", ".join(sorted(names)), ", ".join(sorted(value)) or "none", where)
    return value


def checked_value(kind: Any, value: Any, what: str, where: str) -> Any:
    """`value`, checked against a type: scalars, `X | None`, list[X], tuple[X, ...], dict[str, X], dataclasses."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        plain = [a for a in arguments if a is not types.NoneType]
        return None if value is None else checked_value(plain[0] if len(plain) == 1 else object, value, what, where)
    if origin in (list, tuple) and isinstance(value, list):
        return origin(checked_value(arguments[0], item, what, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {key: checked_value(arguments[1], item, what, f"{where}, {key}") for key, item in value.items()}
    if kind is float and type(value) in (int, float):
        return float(value)
    if hasattr(kind, "__dataclass_fields__"):
        return read_record(kind, value, what, where)
    if origin is None and (kind in (object, Any) or type(value) is kind):
        return value
    refuse(what, f"a value of type {getattr(kind, '__name__', kind)}", repr(value)[:60], where)
