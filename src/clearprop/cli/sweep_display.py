"""How a sweep is shown: a table of the best trials that moves on a terminal, a line for each trial elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from clearprop.cli.console import say, table
from clearprop.errors import printable
from clearprop.runs.events import Event, as_sentence, setting_text
from clearprop.search.page import rank, value_text
from clearprop.search.trial import ENDED

SHOWN = 10
"""So many trials stand in the table."""
_WIDE = 18


class SweepDisplay:
    """A subscriber that shows the trials of a sweep as they end."""

    def __init__(self, console: Console, names: Sequence[str], metric: str, trials: int, higher: bool) -> None:
        self.console, self.names, self.metric, self.trials, self.higher = console, names, metric, trials, higher
        self.ended: dict[int, Event] = {}
        self.running: set[int] = set()
        self._live = Live(console=console, transient=True, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> SweepDisplay:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, event: Event) -> None:
        """Show what has changed."""
        if event["event"] != "trial":
            return
        number, status = event["number"], event["status"]
        (self.running.add if status == "begun" else self.running.discard)(number)
        if status in ENDED:
            self.ended[number] = event
        if self._live is not None:
            self._live.update(Group(self.best(), Text(self._standing())), refresh=True)
        elif status != "begun":
            say(self.console, as_sentence(event))

    def _standing(self) -> str:
        failed = sum(event["status"] != "done" for event in self.ended.values())
        told = f"{len(self.ended)} of {self.trials} trials have ended, {len(self.running)} run"
        return f"{told}, {failed} diverged or failed" if failed else told

    def best(self, most: int = SHOWN) -> Any:
        """The best trials as a table."""
        return trials_table(list(self.ended.values()), self.names, self.metric, self.higher, most)


def trials_table(ended: Sequence[Event], names: Sequence[str], metric: str, higher: bool, most: int = SHOWN) -> Any:
    """The best of the trials as a table, as wide as a terminal of 80 columns for a few settings."""
    ranked = sorted(ended, key=lambda event: rank(event, higher))[:most]
    heads = ["trial", *map(_short, names), f"val {metric}", "epoch", "s", "status"]
    rows = [
        [
            str(e["number"]),
            *(_short(_setting_cell(e["settings"], name)) for name in names),
            value_text(e),
            str(e["best_epoch"] or ""),
            f"{e['seconds']:.1f}",
            e["status"],
        ]
        for e in ranked
    ]
    return table(heads, rows, right=(0, *range(1 + len(names), 4 + len(names))))


def _setting_cell(settings: Mapping[str, Any], name: str) -> str:
    return printable(setting_text(settings.get(name)))


def _short(text: str) -> str:
    return text if len(text) <= _WIDE else text[: _WIDE - 1] + "…"
