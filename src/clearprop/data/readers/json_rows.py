"""JSON lines, one object a line, or one array of objects, as the text of a table."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import IO, Any

from clearprop.data.readers.formats import JSON, LINE_FEED, require_columns_in_bounds
from clearprop.errors import DataError
from clearprop.files.strict_json import MOST_VALUES

LARGEST_ARRAY = 1 << 28
"""The most characters of a JSON array, which is held as a whole."""


def is_json(head: str, suffix: str) -> bool:
    """Whether a text is JSON of rows, by the end of its file's name or by its first line.

    >>> is_json('{"a": 1}', ".txt"), is_json("a,b", ".jsonl"), is_json("a,b", ".csv")
    (True, True, False)
    """
    if suffix in JSON.suffixes:
        return True
    line = head.lstrip().partition("\n")[0].strip()
    if not (line.startswith('{"') and line.endswith("}")):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def write_json_as_csv(first: IO[str], second: IO[str], out: IO[str], source: str) -> None:
    """Write rows of JSON, which is given twice, as a table of text with a line for each; blank lines stay blank.

    Columns are the keys in the order in which they come first; a key that a row does not have, and null, is an empty
    cell.  A list becomes its items with | between them.  Raises DataError for what is no table.
    """
    names: dict[str, None] = {}
    for number, item in _objects(first, source):
        names.update(dict.fromkeys(item or ()))
        require_columns_in_bounds(len(names), source)
        _require_row(item, number, source)
    if not names:
        raise _no_table(source, 1, "no object with a key")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_cell(name, name, 1, source) for name in names])
    for number, item in _objects(second, source):
        if item is None:
            out.write("\n")
        else:
            writer.writerow([_cell(item.get(name), name, number, source) for name in names])


def _require_row(item: dict[str, Any] | None, number: int, source: str) -> None:
    """Raise DataError for an object that holds columns, lists of one length, where a row is expected."""
    lists = [len(value) for value in (item or {}).values() if isinstance(value, list)]
    if item and len(lists) == len(item) > 1 and len(set(lists)) == 1 and lists[0] > 1:
        raise DataError(
            f"{source!r} holds columns where rows are expected",
            expected="an object for each row, with a value for each column",
            got=f"an object of {len(lists)} lists, each of {lists[0]} values",
            where=f"{source}:{number}",
            try_="pandas.DataFrame(json.load(open(path))).to_json(path, orient='records', lines=True)",
        )


def _objects(text: IO[str], source: str) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """The rows with their numbers, from 1; None for a blank line."""
    number = 0
    for number, line in enumerate(text, 1):
        if number == 1 and line.lstrip().startswith("["):
            yield from _array_items(line, text, source)
            return
        yield number, _object(line, number, source) if line.strip() else None


def _array_items(start: str, rest: IO[str], source: str) -> Iterator[tuple[int, dict[str, Any]]]:
    whole = start + rest.read(LARGEST_ARRAY)
    if len(whole) > LARGEST_ARRAY:
        raise _no_table(source, 1, f"an array of more than {LARGEST_ARRAY:,} characters")
    items = _json_value(whole, 1, source)
    if not isinstance(items, list):
        raise _no_table(source, 1, f"a {type(items).__name__}")
    for number, item in enumerate(items, 1):
        if not isinstance(item, dict):
            raise _no_table(source, number, f"a {type(item).__name__} in the array")
        yield number, item


def _object(line: str, number: int, source: str) -> dict[str, Any]:
    item = _json_value(line, number, source)
    if not isinstance(item, dict):
        raise _no_table(source, number, f"a {type(item).__name__}")
    return item


def _json_value(text: str, number: int, source: str) -> Any:
    if (values := sum(map(text.count, ",[{"))) > MOST_VALUES:
        raise _no_table(source, number, f"one value that holds as many as {values:,}")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise _no_table(source, number, str(problem)[:100]) from None


def _cell(value: Any, name: str, number: int, source: str) -> str:
    """A value as the text of a cell."""
    if isinstance(value, list):
        return "|".join(_cell(item, name, number, source) for item in value)
    if isinstance(value, dict):
        raise _no_table(source, number, f"an object in {name!r}")
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).replace("\r\n", LINE_FEED).replace("\n", LINE_FEED).replace("\r", LINE_FEED)


def _no_table(source: str, line: int, got: str) -> DataError:
    return DataError(
        f"cannot read {source!r} as rows of JSON",
        expected="one object a line, or an array of objects, of numbers, texts, truth values, null, lists of these",
        got=got,
        where=f"{source}:{line}",
        try_="write a flat object for each row, each in a line of its own",
    )
