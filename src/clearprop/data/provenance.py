"""What is kept of the data that a run learns from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clearprop.data.array_labels import ArrayLabels
from clearprop.data.readers.sources import BUNDLED


@dataclass(frozen=True)
class DataRecord:
    """What a run learns from.  `digest` is the SHA-256 of all parts, encoded; None for an iterable of batches.

    `source` is how it was called; the same data may come from another place.  `columns` are the names of the columns of
    x where it was a frame whose numbers were taken as they are, `labels` the classes of a y that was an array.
    """

    source: str
    digest: str | None
    train: int | None
    validation: int
    test: int
    columns: tuple[str, ...] | None = None
    labels: ArrayLabels | None = None


def path_of(source: Any) -> str | None:
    """The bundled set or the whole path by which a source can be read again; None for data in memory.

    >>> path_of("iris"), path_of([[1.0, 2.0]])
    ('iris', None)
    """
    if not isinstance(source, str | Path):
        return None
    return str(source) if str(source) in BUNDLED else str(Path(source).resolve())
