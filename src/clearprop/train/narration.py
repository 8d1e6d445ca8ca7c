"""What `cl.fit(…, verbose=True)` prints: what was inferred and left out, and how training goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from clearprop.errors import printable
from clearprop.runs.events import Event, as_sentence

LINES = 20
"""About so many epochs are told."""


class Narrator:
    """A subscriber that prints the data, the network's size, some epochs, warnings and the end, a line each.

    show  what takes a line; by default it is printed

    >>> Narrator()({"event": "stop", "message": "enough"})
    stopped: enough
    """

    def __init__(self, show: Callable[[str], object] = print) -> None:
        self._show = show

    def __call__(self, event: Event) -> None:
        """Tell an event."""
        kind = event["event"]
        if kind == "epoch":
            every = max(1, event["epochs"] // LINES)
            if event["epoch"] in (1, event["epochs"]) or event["epoch"] % every == 0:
                self.tell(as_sentence(event))
        elif kind == "data":
            for line in inferred_lines(event):
                self.tell(line)
        elif kind == "start":
            self.tell(f"{as_sentence(event)}; the loss is {event['loss']}")
        elif kind not in ("checkpoint", "error"):
            self.tell(as_sentence(event))

    def tell(self, text: str) -> None:
        """Tell a sentence."""
        self._show(printable(text))


def inferred_lines(data: Mapping[str, Any]) -> Iterator[str]:
    """What the `data` event says was inferred: notes, a table of the columns, and the numbers of rows."""
    yield from data.get("notes", ())
    columns = data.get("columns", ())
    if columns:
        heads = ("column", "kind", "missing", "encoding", "note")
        yield from align_columns([heads, *([str(column[head]) for head in heads] for column in columns)])
    yield as_sentence(data)


def align_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of texts as lines, each column as wide as its widest text.

    >>> align_columns([("a", "b"), ("long", "c")])
    ['a     b', 'long  c']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(text.ljust(n) for text, n in zip(row, widths, strict=True)).rstrip() for row in rows]
