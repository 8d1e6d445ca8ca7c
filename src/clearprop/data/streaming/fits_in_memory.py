"""Whether a file fits into the memory that data may take, judged by its size or its footer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clearprop.data.readers.formats import CSV, PARQUET, STREAMED, forms_text
from clearprop.data.readers.npz_file import values_in_npz
from clearprop.data.readers.parquet_file import PARQUET_LIMIT, ParquetTable
from clearprop.data.readers.plain_text import plain_text
from clearprop.data.readers.sources import BUNDLED, file_form
from clearprop.data.streaming.memory import size_text
from clearprop.errors import DataError

CSV_SHARE = 10
"""Reading a CSV file at once takes at most about so many times its size; the shorter its cells, the more."""
BYTES_PER_VALUE = 44
"""Reading a Parquet file at once takes at most about so many bytes for each of its values."""


BYTES_PER_NUMBER = 24
"""Reading an NPZ file takes at most about so many bytes for each of its numbers."""


def needs_streaming(source: Any, memory: int, encoding: str | None = None) -> bool:
    """Whether a source is a file that takes more than `memory` bytes when it is read at once, and can be streamed.

    Raises DataError for a file that takes more and cannot be streamed.
    """
    if not isinstance(source, str | Path) or str(source) in BUNDLED:
        return False
    path = Path(source)
    form = file_form(path, str(source))
    if form is CSV:
        return CSV_SHARE * plain_text(path, str(source), encoding).path.stat().st_size > memory
    if form is PARQUET:
        table = ParquetTable(path, str(source))
        values = table.rows * len(table.names)
        return BYTES_PER_VALUE * values > memory or 8 * values > PARQUET_LIMIT
    if BYTES_PER_NUMBER * (values := values_in_npz(path, str(source))) > memory:
        raise DataError(
            f"{str(source)!r} does not fit into the memory that data may take",
            expected=f"at most {size_text(memory)}; {forms_text('and', STREAMED)} files may be larger",
            got=f"{values:,} numbers, which take {size_text(BYTES_PER_NUMBER * values)}",
            where=f"--memory, {source}",
            try_="more --memory, or the same table as a Parquet file",
        )
    return False
