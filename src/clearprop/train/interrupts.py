"""Ctrl-C: the first asks training to finish its step, save and report; the second stops at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class TrainingInterrupted(KeyboardInterrupt):
    """Training was interrupted by Ctrl-C after everything was saved; `run` is the run as far as it came.

    It is a KeyboardInterrupt, so a script stops, unless it asks for the run:

    >>> import clearprop as cl
    >>> try:
    ...     raise cl.TrainingInterrupted(run="the run as far as it came")      # what cl.fit does after Ctrl-C
    ... except cl.TrainingInterrupted as stop:
    ...     print(stop.run)
    the run as far as it came
    """

    def __init__(self, run: Any) -> None:
        super().__init__("training was interrupted")
        self.run = run


class Interrupts:
    """While it is entered, the first Ctrl-C sets `asked`, and the next one raises KeyboardInterrupt as usual.

    It changes nothing outside the main thread, or where the program has a handler of its own.
    """

    def __init__(self) -> None:
        self.asked = False
        self._installed = False

    def __enter__(self) -> Interrupts:
        own = threading.current_thread() is threading.main_thread()
        if own and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._first)
            self._installed = True
        return self

    def __exit__(self, *_: object) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _first(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
