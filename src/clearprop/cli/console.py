"""What people read: consoles, tables, the progress display.  Programs read `--json` instead."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from clearprop.errors import ArgumentError, printable
from clearprop.runs.events import IN_DEVIATIONS, Event, as_line, as_sentence, by_target, measure_text, number, overall
from clearprop.runs.state import State

if TYPE_CHECKING:  # start-up time: most commands tell no run
    from clearprop.data.training_data import Prepared
    from clearprop.runs.settings import Settings
    from clearprop.train import Run

PLAIN_WIDTH = 100
"""The width of tables that no terminal shows."""
_LABEL = re.compile(r"\s+|\S+\s{2,}")
"""What stands before a line's text: blanks, or a word with several behind it."""
_WORD = 24
"""A longer word than this may be broken for the sake of the others."""
LINES = 20
"""Without a terminal, about so many epochs are told."""


class _Console(Console):
    """A console whose reader may go (`| head`): the command does its work in silence, where rich ends the process."""

    def on_broken_pipe(self) -> None:
        """Send what is printed from now on nowhere."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())


def output() -> Console:
    """The console of results: stdout."""
    return _console(sys.stdout)


def messages() -> Console:
    """The console of progress and remarks: stderr."""
    return _console(sys.stderr)


def _console(file: Any) -> Console:
    width = None if file.isatty() else PLAIN_WIDTH
    return _Console(file=file, width=width, highlight=False, soft_wrap=False, emoji=False, markup=False)


def say(console: Console, text: str) -> None:
    """Print a sentence: on a terminal it is wrapped between words, below what follows a label; elsewhere not at all."""
    told = printable(text, keep="\n")
    if console.is_terminal:
        told = "\n".join(_wrap_line(line, console.width) for line in told.split("\n"))
    console.print(told, soft_wrap=True)


def _wrap_line(line: str, width: int) -> str:
    """A line in the width of a terminal; what begins with a label and blanks goes on below what follows them.

    >>> print(_wrap_line("rows      560 to train, 120 to test, of 800", 32))
    rows      560 to train, 120 to
              test, of 800
    """
    label = _LABEL.match(line)
    indent = label.end() if label is not None and 3 * label.end() < width else 0
    return textwrap.fill(
        line,
        max(width, indent + 1),
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
        drop_whitespace=True,
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = (), keep: str = "") -> Table:
    """A plain table; the columns whose numbers are in `right` are flush right.  Heads may hold what is to `keep`.

    Columns of short words keep their width where the others can be wrapped: no word is broken before it must be.
    """
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    texts = [[printable(text) for text in row] for row in rows]
    for i, name in enumerate(printable(column, keep) for column in columns):
        words = all(" " not in text and len(text) <= _WORD for text in (*name.split("\n"), *(row[i] for row in texts)))
        made.add_column(name, justify="right" if i in right else "left", overflow="fold", no_wrap=words)
    for row in texts:
        made.add_row(*row)
    return made


def print_wide(console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int]) -> None:
    """Print a table of any number of columns: those without room stand in a table below, beside the first column."""
    for shown in _blocks([_longest_word(i, columns, rows) for i in range(len(columns))], console.width):
        flush = [place for place, i in enumerate(shown) if i in right]
        heads, cells = [printable(columns[i]) for i in shown], [[row[i] for i in shown] for row in rows]
        if sum(max(map(len, column)) + 2 for column in zip(heads, *cells, strict=True)) > console.width + 2:
            heads = [_narrow(head, column) for head, column in zip(heads, zip(*cells, strict=True), strict=True)]
        console.print(table(heads, cells, right=flush, keep="\n"))
        console.print()


def _narrow(head: str, cells: Sequence[str]) -> str:
    r"""The head of a column, on as many lines as make it no wider than it must be.

    >>> _narrow("best epoch", ["25", "12"]), _narrow("test r2", ["0.000401"])
    ('best\nepoch', 'test r2')
    """
    widest = max(len(word) for text in (head, *cells) for word in text.split() or [""])
    return textwrap.fill(head, max(widest, 1), break_long_words=False, break_on_hyphens=False)


def _longest_word(i: int, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    return max((len(word) for text in (columns[i], *(row[i] for row in rows)) for word in text.split()), default=1)


def _blocks(widths: Sequence[int], room: int) -> list[list[int]]:
    """The columns of each table, by their places; each begins with the first and has another one at least.

    >>> _blocks([10, 8, 8, 8], 32)
    [[0, 1, 2], [0, 3]]
    """
    found = [[0]]
    for i in range(1, len(widths)):
        if len(found[-1]) > 1 and sum(widths[k] + 2 for k in found[-1]) + widths[i] > room:
            found.append([0])
        found[-1].append(i)
    return found


def results_table(parts: Mapping[str, Mapping[str, Any] | None]) -> Table:
    """Loss and metrics of each part of the data, of all targets together."""
    given = {part: overall(values) for part, values in parts.items() if values}
    names = list(next(iter(given.values()), {}))
    for values in given.values():
        names += [name for name in values if name not in names]
    rows = [
        [part, *(measure_text(n, values[n]) if n in values else "" for n in names)] for part, values in given.items()
    ]
    return table(["", *names], rows, right=range(1, len(names) + 1))


def print_results(console: Console, parts: Mapping[str, Mapping[str, Any] | None]) -> None:
    """Print loss and metrics of each part; of several targets also those of each by itself, but of the training."""
    console.print(results_table(parts))
    # A row for each target in each part, a column for each metric; of the training part the means are enough.
    each = {part: by_target(values) for part, values in parts.items() if values and part != "training"}
    targets = list(dict.fromkeys(target for found in each.values() for target in found))
    names = list(dict.fromkeys(n for found in each.values() for values in found.values() for n in values))
    rows = [
        [target, part, *(measure_text(n, found[target][n]) for n in names)]
        for target in targets
        for part, found in each.items()
    ]
    if rows:
        remark = IN_DEVIATIONS if {"mae", "mse", "rmse"} & set(names) else ""
        several = "quantiles" if "below" in names else "targets"
        say(console, f"(means over {len(targets)} {several}{remark})\n")
        console.print(table([several[:-1], "", *names], rows, right=range(2, len(names) + 2)))


def print_json(event: Event) -> None:
    """A subscriber: the event as one line on stdout."""
    sys.stdout.write(as_line(event) + "\n")
    sys.stdout.flush()


class Display:
    """A subscriber that shows how training goes: a moving line on a terminal, plain lines elsewhere."""

    def __init__(self, console: Console, epochs: int, batches: int) -> None:
        self.console, self.epochs, self.batches = console, epochs, max(batches, 1)
        self._every = max(1, epochs // LINES)
        self._progress: Progress | None = None
        if console.is_terminal:
            self._progress = Progress(
                TextColumn("epoch {task.fields[epoch]}"),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[told]}"),
                TimeRemainingColumn(compact=True),
                console=console,
                transient=True,
            )
            self._task = self._progress.add_task("", total=float(epochs), epoch="1", told="")

    def __enter__(self) -> Display:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def tick(self, state: State) -> None:
        """Move the line within an epoch."""
        if self._progress is not None:
            self._progress.update(self._task, completed=state.epoch + state.batch / self.batches)

    def __call__(self, event: Event) -> None:
        """Tell an event."""
        kind = event["event"]
        if kind == "epoch":
            self._epoch(event)
        elif kind in ("warning", "stop"):
            self.console.print(
                printable(as_sentence(event)), soft_wrap=True, style="yellow" if kind == "warning" else None
            )

    def _epoch(self, event: Event) -> None:
        if self._progress is not None:
            told = "  ".join(_figures(event))
            epoch = f"{event['epoch']}/{self.epochs}"
            self._progress.update(self._task, completed=event["epoch"], epoch=epoch, told=told)
        elif event["epoch"] in (1, self.epochs) or event["epoch"] % self._every == 0:
            say(self.console, as_sentence(event))


def _figures(event: Event) -> list[str]:
    train, held = event["train"], event["validation"] or {}
    shown = [f"loss {number(train['loss'])}"]
    if held:
        shown.append(f"val {number(held['loss'])}")
    for name, value in overall(held or train).items():
        if name != "loss":
            shown.append(f"{'val ' if held else ''}{name} {measure_text(name, value)}")
    return shown


def rule_text(full: Settings) -> str:
    """The optimizer and its rate, for a sentence."""
    moves = "" if full.schedule == "constant" else f" by {full.schedule}"
    return (f"{full.optimizer} {full.lr:g}" if isinstance(full.lr, float) else f"{full.optimizer}") + moves


def tell_data(data: Prepared) -> None:
    """Notes on the data, and the table of its columns."""
    console = output()
    for note in data.told["notes"]:
        say(console, f"{data.source}: {note}")
    console.print()
    columns = data.told["columns"]
    rows = [
        [c["column"], "target" if c["role"] == "target" else c["kind"], str(c["missing"]), c["encoding"], c["note"]]
        for c in columns
    ]
    if len(rows) > 40:
        rows = [*rows[:30], [f"… {len(rows) - 31} more", "", "", "", ""], rows[-1]]
    console.print(table(["column", "kind", "missing", "encoding", "note"], rows, right=(2,)))
    console.print()


def tell_results(run: Run) -> None:
    """The results of a run, what has to be known of them, and the sentence that says how good they are."""
    from clearprop.train import LEAST_COST  # start-up time: a run is at hand

    console, summary = output(), run.summary
    if run.results:
        print_results(console, run.results)
    if run.about_training is not None:
        say(console, run.about_training)
    if summary.members is not None and summary.validation:
        say(console, "validation: the mean over the members, each on its own rows")
    if summary.temperature is not None:
        say(console, f"outputs divided by {summary.temperature:.4g}, which fits the validation rows best (temperature)")
    if run.threshold is not None:
        why = "; mistakes cost least so on the validation rows" if run.config.settings.costs else ""
        say(console, f"threshold {run.threshold:.4g}: above that probability {run.class_names[1]} is chosen{why}")
    elif run.choice is not None:
        say(console, LEAST_COST)
    if run.headline is not None:
        console.print()
        say(console, run.headline)
    console.print()


def divergence(run: Run, full: Settings) -> ArgumentError:
    """The error for a run that diverged."""
    return ArgumentError(
        "training diverged: the loss is no longer finite",
        expected="a loss that falls",
        got=f"nan or inf after {run.steps} steps with {rule_text(full)}",
        where=str(run.folder) if run.folder else "",
        try_=f"--lr {full.lr / 10:g}" if isinstance(full.lr, float) else "--optimizer adam --lr auto",
    )
