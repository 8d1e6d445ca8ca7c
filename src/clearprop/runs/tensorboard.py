"""Events of a run as a file that TensorBoard shows: a callback of `cl.fit`, written without TensorBoard.

The file is a list of records (length, checksum, bytes, checksum); each holds an `Event` message of
tensorflow/core/util/event.proto in the encoding of protocol buffers.
"""

from __future__ import annotations

import struct
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from clearprop.files.atomic import cannot_write, make_folder
from clearprop.runs.events import Event

_POLYNOMIAL = 0x82F63B78


def _table() -> list[int]:
    found = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        found.append(value)
    return found


_TABLE = _table()


class TensorBoard:
    """A callback that writes the loss and metrics of every epoch, by step, for TensorBoard.

    Tags are `train/loss`, `validation/accuracy` and the like.  Raises RunError if the folder cannot be written.

    >>> from clearprop.runs.tensorboard import TensorBoard
    >>> run = cl.fit(model, (x, y), callbacks=[TensorBoard("logs/first")])      # doctest: +SKIP
    """

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        make_folder(folder)
        self.path = folder / f"events.out.tfevents.{time.time_ns()}.clearprop"
        self._append(_double(1, time.time()) + _bytes(3, b"brain.Event:2"))

    def __call__(self, event: Event, state: Any) -> None:
        """Write an `epoch` event; others pass."""
        if event["event"] != "epoch":
            return
        parts = {part: event[part] or {} for part in ("train", "validation")}
        values = {f"{part}/{name}": float(v) for part, found in parts.items() for name, v in found.items()}
        summary = b"".join(_bytes(1, _bytes(1, tag.encode()) + _float(2, v)) for tag, v in values.items())
        when = datetime.fromisoformat(event["time"]).timestamp()
        self._append(_double(1, when) + _whole(2, event["step"]) + _bytes(5, summary))

    def _append(self, message: bytes) -> None:
        length = struct.pack("<Q", len(message))
        try:
            with self.path.open("ab") as file:
                file.write(length + _masked(length) + message + _masked(message))
        except OSError as problem:
            raise cannot_write(self.path, problem) from None


# --------------------------------------------------------------------------------- checksums, protocol buffers
def crc32c(data: bytes) -> int:
    """The cyclic redundancy check with Castagnoli's polynomial (1993)."""
    value = 0xFFFFFFFF
    for byte in data:
        value = _TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


def _masked(data: bytes) -> bytes:
    """The checksum as records hold it: rotated by 15 bits, plus a constant."""
    value = crc32c(data)
    return struct.pack("<I", (((value >> 15) | (value << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append((value & 0x7F) | 0x80)
        value >>= 7
    return bytes([*found, value])


def _whole(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _float(field: int, value: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", value)
