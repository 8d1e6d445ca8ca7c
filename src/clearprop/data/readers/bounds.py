"""What is read of a file is bounded before it is allocated: by its columns, and by how much it unpacks to."""

from __future__ import annotations

from clearprop.errors import DataError

MOST_COLUMNS = 32_768
"""A table with more columns is refused: each takes some 20 kB and half a millisecond, however few rows there are."""
MOST_UNPACKED = 100
"""Compressed data that unpack to more than this many times their size, and to more than `LARGE_PART`, are refused."""
LARGE_PART = 64 * 2**20
LONGEST_LINE = 1 << 24
"""A text with a line of more characters is refused: a line is held as a whole."""


def require_columns_in_bounds(number: int, source: str) -> None:
    """Raise DataError for more than `MOST_COLUMNS` columns.

    >>> require_columns_in_bounds(MOST_COLUMNS, "t.csv")
    """
    if number > MOST_COLUMNS:
        raise DataError(
            f"{source!r} has too many columns",
            expected=f"at most {MOST_COLUMNS:,} columns, or numbers in a row of an array",
            got=f"{number:,}",
            where=source,
            try_="choose columns, or make pictures smaller; if rows and columns are confused, transpose the table",
        )


def require_unpacked_in_bounds(packed: int, unpacked: int, source: str, where: str, try_: str) -> None:
    """Raise DataError for a part of a file that is small and unpacks to much.

    >>> require_unpacked_in_bounds(1000, 100_000, "x.npz", "x.npz, array x", "")
    """
    if unpacked > LARGE_PART and unpacked > MOST_UNPACKED * packed:
        raise DataError(
            f"{source!r} would unpack to more than it should",
            expected=f"at most {MOST_UNPACKED} bytes for every compressed one, beyond {LARGE_PART:,} bytes",
            got=f"{packed:,} bytes that become {unpacked:,}",
            where=where,
            try_=try_,
        )


def long_line_error(source: str, line: int) -> DataError:
    """The error for a line of more than `LONGEST_LINE` characters.

    >>> long_line_error("t.csv", 3).where
    't.csv:3'
    """
    return DataError(
        f"cannot read {source!r}: a line is too long",
        expected=f"lines of at most {LONGEST_LINE:,} characters",
        got="a longer one",
        where=f"{source}:{line}",
        try_="check that lines end in a line feed, and that it is a table",
    )
