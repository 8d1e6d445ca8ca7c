"""Whether a file fits into the memory that data may take, judged by its size or its footer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clearprop.data.readers.formats import CSV, PARQUET
from clearprop.data.readers.parquet_file import PARQUET_LIMIT, ParquetTable
from clearprop.data.readers.sources import BUNDLED, file_form

CSV_SHARE = 10
"""Reading a CSV file at once takes at most about so many times its size; the shorter its cells, the more."""
BYTES_PER_VALUE = 44
"""Reading a Parquet file at once takes at most about so many bytes for each of its values."""


def needs_streaming(source: Any, memory: int) -> bool:
    """Whether a source is a CSV or Parquet file that takes more than `memory` bytes when it is read at once."""
    if not isinstance(source, str | Path) or str(source) in BUNDLED:
        return False
    path = Path(source)
    form = file_form(path, str(source))
    if form is CSV:
        return CSV_SHARE * path.stat().st_size > memory
    if form is PARQUET:
        table = ParquetTable(path, str(source))
        values = table.rows * len(table.names)
        return BYTES_PER_VALUE * values > memory or 8 * values > PARQUET_LIMIT
    return False
