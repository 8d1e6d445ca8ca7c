"""Progress in a notebook: one line that is replaced in place; IPython, which shows it, is there where a notebook is."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from itertools import chain, repeat
from typing import Any, TypeAlias

from clearprop.notation.escaping import html_text
from clearprop.runs.events import Event, Events, Subscriber, as_sentence, log_events
from clearprop.runs.state import State

SECONDS = 0.1
"""The line is replaced no more often than that."""

Show: TypeAlias = Callable[[Mapping[str, str]], object]
"""Puts the line, in every form that a notebook may choose from, in the place of the one before."""


def notebook_events(progress: bool) -> tuple[Events, Callable[[State], object] | None]:
    """The events of a run made in Python, and what to call within an epoch: both feed a line if this is a notebook."""
    show = _notebook() if progress else None
    if show is None:
        return Events([log_events]), None
    line = ProgressLine(show)
    subscribers: list[Subscriber] = [log_events, line]
    return Events(subscribers), line.tick


def _notebook() -> Show | None:
    """What shows a line in the notebook that this process computes for; None elsewhere."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if getattr(shell, "kernel", None) is None:  # a terminal's shell has none
        return None
    handle: Any = ipython.display.DisplayHandle()
    ways = chain([handle.display], repeat(handle.update))  # the first line makes the output, the others replace it
    return lambda line: next(ways)(dict(line), raw=True)


class ProgressLine:
    """A subscriber: the newest epoch as one line with a bar, and at the end how the run ended."""

    def __init__(self, show: Show) -> None:
        self._show, self._shown_at = show, -math.inf
        self._epochs, self._size, self._batches = 1, 0, 0
        self._told = ""

    def tick(self, state: State) -> None:
        """Move the bar within an epoch."""
        done = state.epoch + (state.batch / self._batches if self._batches else 0.0)
        self._update(done, self._told or f"epoch 1/{self._epochs}")

    def __call__(self, event: Event) -> None:
        """Tell an event."""
        kind = event["event"]
        if kind == "start":
            self._epochs, self._size = event["epochs"], event["batch_size"] or 0
        elif kind == "data" and self._size and event["rows"]["train"]:
            self._batches = math.ceil(event["rows"]["train"] / self._size)
        elif kind == "epoch":
            self._told = as_sentence(event)
            self._update(event["epoch"], self._told)
        elif kind == "end":
            text = ", ".join(filter(None, (self._told, as_sentence(event))))
            self._replace(event["epoch"], text)

    def _update(self, done: float, text: str) -> None:
        if time.perf_counter() - self._shown_at >= SECONDS:
            self._replace(done, text)

    def _replace(self, done: float, text: str) -> None:
        self._shown_at = time.perf_counter()
        bar = f'<progress value="{done:.4g}" max="{self._epochs}" aria-label="epochs"></progress>'
        self._show({"text/plain": text, "text/html": f"<div>{bar} <code>{html_text(text)}</code></div>"})
