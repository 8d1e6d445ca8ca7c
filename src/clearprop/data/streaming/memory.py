"""How much memory data may take: what was asked for or what is free, how many rows that is, and what fits into it."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from clearprop.errors import ArgumentError

LEAST_MEMORY = 24 * 10**6
"""The least memory that can be asked for."""
FIXED = 10 * 10**6
"""The part of it that readers and allocators keep, however little is read at a time."""
LEAST_ROWS = 256
"""A block holds at least so many rows, so that it can be shuffled."""
_ORDER_BYTES = 96
"""Bytes per row that drawing the order of a block takes."""


def size_text(size: float) -> str:
    """A number of bytes as a person reads it.

    >>> size_text(500_000_000), size_text(1_250_000), size_text(12)
    ('500 MB', '1.25 MB', '12 bytes')
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= 0.9995 * scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size:.0f} bytes"


def give_back() -> None:
    """Return to the system what was freed: the C library keeps it, and with the next pass's memory it would add up."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
    if trim is not None:
        trim(0)


@dataclass(frozen=True)
class Budget:
    """The bytes that data may take, besides the program, the network and its optimizer."""

    memory: int

    def require_least(self, source: str) -> None:
        """Raise ArgumentError for less than `LEAST_MEMORY`."""
        if self.memory < LEAST_MEMORY:
            raise ArgumentError(
                "the memory is too small to read these data",
                expected=f"at least {size_text(LEAST_MEMORY)}, much of which readers take whatever they read",
                got=size_text(self.memory),
                where=f"--memory, {source}",
                try_=f"--memory {LEAST_MEMORY // 10**6}MB, or more",
            )

    @property
    def usable(self) -> int:
        """The bytes that can be planned with."""
        return max(self.memory - FIXED, self.memory // 2)

    @property
    def text(self) -> int:
        """The characters of a CSV file that are read at a time: lines, cells and columns of them are held together."""
        return max(1 << 16, min(self.usable // 60, 1 << 23))

    @property
    def texts(self) -> int:
        """The bytes of different texts that are known from block to block, of all columns."""
        return self.usable // 32

    def rows_read(self, columns: int) -> int:
        """The rows of a Parquet file that are read at a time; a text takes some 120 bytes."""
        return self._rows(120 * columns, 65_536)

    def rows_encoded(self, columns: int, features: int) -> int:
        """The rows that are encoded at a time: as they were read, as features by column, and as rows."""
        return self._rows(40 * columns + 16 * features, 65_536)

    @property
    def values(self) -> int:
        """The values of one column that are looked at at a time."""
        return max(1 << 12, min(self.usable // 128, 1 << 18))

    def _rows(self, size: int, most: int) -> int:
        return max(1, min(self.usable // (2 * size), most))

    def block_rows(self, features: int, outputs: int, source: str) -> int:
        """The rows of a block: one block is trained on while its order is drawn, and validation reads another one.

        Raises ArgumentError if that is less than `LEAST_ROWS`.
        """
        size = 2 * (4 * features + 8) + 24 * outputs + _ORDER_BYTES
        rows = int(0.8 * self.usable) // size
        if rows < LEAST_ROWS:
            least = -(-LEAST_ROWS * size * 5 // 4) + self.memory - self.usable
            raise ArgumentError(
                "the memory is too small to train on these data",
                expected=f"at least {size_text(least)}: {LEAST_ROWS} rows of {features} features at a time",
                got=size_text(self.memory),
                where=f"--memory, {source}",
                try_=f"--memory {-(-least // 1000)}kB, or more",
            )
        return rows
