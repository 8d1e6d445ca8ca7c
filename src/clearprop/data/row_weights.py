"""A column that says how much each row counts."""

from __future__ import annotations

import numpy as np

from clearprop.data.columns import Column, Locator, as_number, number_text
from clearprop.errors import DataError


def as_weights(column: Column, place: Locator) -> Column:
    """The column as numbers that say how much each row counts.

    Raises DataError, with the row, for one that is missing or below 0, and for what is no number.

    >>> as_weights(Column("w", "number", np.array([1.0, 0.0])), lambda *_: "here").values.tolist()
    [1.0, 0.0]
    """
    column = as_number(column, place)
    wrong = ~(column.values >= 0)  # NaN stands for a missing value
    if wrong.any():
        row = int(np.argmax(wrong))
        value = column.values[row]
        raise DataError(
            f"column {column.name!r} cannot weigh the rows",
            expected="a number of 0 or more in every row",
            got=(f"{number_text(value)}" if value == value else "an empty cell")
            + f", and {int(wrong.sum()) - 1} more like it",
            where=place(column.name, row),
            try_="0 for a row that shall not count",
        )
    return column


def no_row_counts(name: str, part: str, source: str) -> DataError:
    """The error for a part whose rows all have a weight of 0."""
    return DataError(
        f"no row of the {part} part counts",
        expected=f"a weight above 0 in {name!r}",
        got="0 in every row",
        where=f"{source}, column {name!r}",
        try_="other weights, another --seed, or larger parts",
    )
