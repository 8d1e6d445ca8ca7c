"""Events of a run as a file that TensorBoard shows: a callback of `cl.fit`, written by tensorboardX."""

from __future__ import annotations

import contextlib
import time
import weakref
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from clearprop.errors import ArgumentError, checked_methods
from clearprop.files.atomic import as_path, cannot_write, make_folder
from clearprop.runs.events import Event


@checked_methods
class TensorBoard:
    """A callback that writes the loss and metrics of every epoch, by step, for TensorBoard.

    Tags are `train/loss`, `validation/accuracy` and the like.  Needs tensorboardX, which `[tensorboard]` brings.

    Args:
        folder: where the event file is written; made if it is not there.  Each callback writes a file of its own.

    Raises:
        ArgumentError: tensorboardX is not installed.
        RunError: the folder or the file cannot be written.

    >>> import clearprop as cl
    >>> import numpy as np
    >>> board = cl.TensorBoard("logs/first")
    >>> x = np.linspace(0.0, 1.0, 8)[:, None]
    >>> run = cl.fit(cl.nn.mlp([1, 4, 1]), (x, 2 * x), loss="mse", epochs=2, callbacks=[board])
    >>> board.path.stat().st_size > 100
    True
    """

    def __init__(self, folder: str | Path) -> None:
        self._messages, package = _import_tensorboardx()
        folder = as_path(folder, "folder")
        make_folder(folder)
        self.path = folder / f"events.out.tfevents.{time.time_ns()}.clearprop"
        try:
            self._records = package.RecordWriter(str(self.path))
        except OSError as problem:
            raise cannot_write(self.path, problem) from None
        weakref.finalize(self, _close, self._records)
        self._append(self._messages.Event(wall_time=time.time(), file_version="brain.Event:2"))

    def __call__(self, event: Event, state: Any) -> None:
        """Write an `epoch` event; others pass."""
        if event["event"] != "epoch":
            return
        written = self._messages.Event(wall_time=datetime.fromisoformat(event["time"]).timestamp(), step=event["step"])
        for part in ("train", "validation"):
            for name, value in (event[part] or {}).items():
                written.summary.value.add(tag=f"{part}/{name}", simple_value=float(value))
        self._append(written)

    def _append(self, message: Any) -> None:
        """Write one message now: who watches a training sees each epoch when it has ended."""
        try:
            self._records.write(message.SerializeToString())
            self._records.flush()
        except OSError as problem:
            raise cannot_write(self.path, problem) from None


def _close(records: Any) -> None:
    with contextlib.suppress(OSError):  # what could not be written was said when it was
        records.close()


def _import_tensorboardx() -> tuple[ModuleType, ModuleType]:
    """The messages of TensorBoard's event files, and the package that writes them."""
    try:
        import tensorboardX
        from tensorboardX.proto import event_pb2
    except ModuleNotFoundError:
        raise ArgumentError(
            "events for TensorBoard need tensorboardX",
            expected="tensorboardX, which the extra `tensorboard` brings",
            got="no module named 'tensorboardX'",
            try_="pip install 'clearprop[tensorboard]'",
        ) from None
    return event_pb2, tensorboardX
