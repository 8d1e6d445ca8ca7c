"""Costs of mistakes as text: `sick=10,well=1`, `sick:well=10`, or a table in a CSV file."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from clearprop.data.readers.reading import words_of
from clearprop.errors import ArgumentError
from clearprop.files.strict_json import read_text


def costs_in(text: str, where: str = "costs") -> dict[str, float | dict[str, float]]:
    """The costs that a text says, or the file that it names; `where` it was given.

    >>> costs_in("sick=10, well:sick=0.5")
    {'sick': 10.0, 'well:sick': 0.5}

    Raises ArgumentError for what is neither, and for a table that is none.
    """
    if "=" not in text:
        return {**_table_in(Path(text), where)}
    found: dict[str, float | dict[str, float]] = {}
    for word in words_of(text):
        name, _, cost = word.rpartition("=")
        found[name.strip()] = _number(cost, word, where)
    return found


def pairs_in(text: str) -> list[tuple[str, str]]:
    """The true class and the chosen one, for every colon that may stand between them.

    >>> pairs_in("a:b"), pairs_in("12:30:late")
    ([('a', 'b')], [('12', '30:late'), ('12:30', 'late')])
    """
    parts = text.split(":")
    cuts = [(":".join(parts[:k]).strip(), ":".join(parts[k:]).strip()) for k in range(1, len(parts))]
    return [(true, chosen) for true, chosen in cuts if true and chosen]


def _table_in(path: Path, where: str) -> dict[str, dict[str, float]]:
    """The table of a CSV file: the class that is chosen above each column, the true one before each row."""
    if not path.is_file():
        raise ArgumentError(
            f"{where} names no file",
            expected="CLASS=COST or TRUE:CHOSEN=COST with commas between them, or a CSV file of costs",
            got=f"{str(path)!r}, which is a folder" if path.is_dir() else f"{str(path)!r}, and no such file",
            where=where,
            try_="--costs sick=10,well=1",
        )
    rows = _rows_of(read_text(path, "the table of costs").removeprefix("\ufeff").splitlines())
    if len(rows) < 2 or len(rows[0][1]) < 3:
        raise _no_table(path, 1, "one row and one column" if rows else "an empty file")
    chosen, found = rows[0][1][1:], dict[str, dict[str, float]]()
    for line, (true, *costs) in rows[1:]:
        if true in found:
            raise _no_table(path, line, f"a second row of {true!r}")
        found[true] = _row_in(path, line, chosen, costs)
    _require_same_classes(path, rows[0][0], chosen, list(found))
    return found


def _rows_of(lines: Sequence[str]) -> list[tuple[int, list[str]]]:
    """The cells of every row that has some, with the number of its line."""
    mark = max(",;\t", key=lines[0].count) if lines else ","
    cells = [(line, [cell.strip() for cell in row]) for line, row in enumerate(csv.reader(lines, delimiter=mark), 1)]
    return [(line, row) for line, row in cells if any(row)]


def _row_in(path: Path, line: int, chosen: Sequence[str], costs: Sequence[str]) -> dict[str, float]:
    """What it costs to take the class of a row for each of these."""
    if len(costs) != len(chosen):
        raise _no_table(path, line, f"{len(costs)} costs below {len(chosen)} classes")
    place = f"{path}, line {line}"
    return {name: _number(cost, cost, place) for name, cost in zip(chosen, costs, strict=True)}


def _require_same_classes(path: Path, line: int, chosen: Sequence[str], true: Sequence[str]) -> None:
    other = sorted(set(chosen) ^ set(true)) or sorted({name for name in chosen if chosen.count(name) > 1})
    if other:
        raise _no_table(path, line, f"other classes above the columns than before the rows: {', '.join(other)}")


def _number(text: str, said: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ArgumentError(
            "a mistake costs a number",
            expected="a number from 0 up",
            got=repr(said),
            where=where,
            try_="--costs sick=10,well=1",
        )
    return value


def _no_table(path: Path, line: int, got: str) -> ArgumentError:
    return ArgumentError(
        f"{str(path)!r} holds no table of costs",
        expected="the class that is chosen above each column, the true class before each row, and the same classes",
        got=got,
        where=f"{path}, line {line}",
        try_="lines such as: true,sick,well / sick,0,10 / well,1,0",
    )
