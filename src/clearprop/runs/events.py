"""One stream of events: what a run does, said once, for every reader.

An event is a mapping that JSON can hold: `{"v": 1, "seq", "time", "event", "step", "epoch", …}`.  The history file,
`--json`, the progress display and Python's logging are subscribers and know nothing of each other.
`docs/events.schema.json` is its JSON Schema.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

import numpy as np

from clearprop.data.columns import in_digits
from clearprop.errors import ArgumentError, ClearpropError, user_line

VERSION = 1
"""The version of the form of events."""

SHARES = frozenset("accuracy auc average_precision balanced_accuracy below coverage f1 precision recall top_3".split())
"""Metrics from 0 to 1, of which many runs reach 1."""

Kind = Literal[
    "start", "data", "epoch", "checkpoint", "warning", "finding", "stop", "end", "error", "sweep", "trial", "choice"
]
Event: TypeAlias = dict[str, Any]
Subscriber: TypeAlias = Callable[[Event], object]


def listed_functions(callbacks: Any, arguments: str) -> tuple[Callable[..., Any], ...]:
    """The callbacks that a user gave, which are called with `arguments`.  Raises ArgumentError for anything else.

    >>> listed_functions([print], "event")
    (<built-in function print>,)
    """
    given = callbacks if isinstance(callbacks, list | tuple) else [callbacks]
    wrong = next((c for c in given if not callable(c)), None)
    if wrong is not None or given is not callbacks:
        raise ArgumentError(
            "callbacks are a list of functions",
            expected=f"functions ({arguments}) in a list",
            got=repr(callbacks if wrong is None else wrong)[:60],
            where=user_line(),
            try_=f"callbacks=[lambda {arguments}: print(event['event'])]",
        )
    return tuple(given)


class Events:
    """The stream: `emit` numbers an event, dates it and hands it to every subscriber, in their order."""

    def __init__(self, subscribers: Iterable[Subscriber] = (), first: int = 0) -> None:
        self._subscribers = list(subscribers)
        self._next = first
        self._early: list[Event] = []

    def subscribe(self, subscriber: Subscriber) -> None:
        """Hand all events from now on to `subscriber` too."""
        self._subscribers.append(subscriber)

    def catch_up(self, subscriber: Subscriber) -> None:
        """Hand the warnings that were sent ahead of a training's start to `subscriber`, which subscribes at its start.

        >>> events = Events()
        >>> _ = events.emit("warning", message="b: not trained")
        >>> events.catch_up(lambda event: print(event["message"]))
        b: not trained
        """
        for event in self._early:
            subscriber(event)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Hand `subscriber` no more of them; raises ValueError unless it was handed them."""
        self._subscribers.remove(subscriber)

    def emit(self, event: Kind, *, step: int | None = None, epoch: int | None = None, **more: Any) -> Event:
        """Send an event, and return it as it was sent."""
        head = {"v": VERSION, "seq": self._next, "time": _now(), "event": event, "step": step, "epoch": epoch}
        self._next += 1
        sent = {**head, **{name: plain(value) for name, value in more.items()}}
        if event == "warning":
            self._early.append(sent)
        elif event in ("start", "end"):
            self._early.clear()
        for subscriber in self._subscribers:
            subscriber(sent)
        return sent

    def error(self, problem: ClearpropError) -> Event:
        """Send a user's mistake: `{kind, message, expected, got, where, try}`."""
        parts: dict[str, Any] = problem.parts
        return self.emit("error", kind=problem.kind, message=problem.headline, **parts)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_PLAIN = frozenset({str, int, bool, type(None)})


def plain(value: Any) -> Any:
    """The value as JSON can hold it: arrays become lists, numbers that are not finite the texts nan, inf, -inf."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def is_measure(value: object) -> bool:
    """Whether a value of an event is a loss or metric: a number, or the text of one that is not finite.

    >>> is_measure(0.5), is_measure("nan"), is_measure("half")
    (True, True, False)
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number or (isinstance(value, str) and value in ("nan", "inf", "-inf"))


_LINE = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def as_line(event: Mapping[str, Any]) -> str:
    """The event as one line of JSON, without the line's end."""
    return _LINE.encode(event)


def log_events(event: Event) -> None:
    """A subscriber: the event as a record of the logger `clearprop`, whose attribute `event` holds it whole."""
    levels = {"error": logging.ERROR, "warning": logging.WARNING, "epoch": logging.DEBUG}
    level, logger = levels.get(event["event"], logging.INFO), logging.getLogger("clearprop")
    if logger.isEnabledFor(level):
        logger.log(level, "%s", as_sentence(event), extra={"event": event})


def as_sentence(event: Mapping[str, Any]) -> str:
    """The event for a reader: one plain line."""
    describe = _SENTENCES.get(event["event"])
    return describe(event) if describe else f"{event['event']}: {as_line(event)}"


def number(value: Any) -> str:
    """A number of an event to four digits; texts such as nan pass."""
    return in_digits(value) if isinstance(value, int | float) else str(value)


IN_DEVIATIONS = ", errors in standard deviations of each"
"""What is to be known of a mean over targets of errors, which have units."""


def name_of_target(measure: str, target: str) -> str:
    """What a metric of one of several targets is called.

    >>> name_of_target("mae", "height")
    'mae[height]'
    """
    return f"{measure}[{target}]"


def overall(results: Mapping[str, Any]) -> dict[str, Any]:
    """The loss and the metrics of all targets together: without those of each by itself.

    >>> overall({"loss": 0.5, "r2": 0.8, "r2[height]": 0.9})
    {'loss': 0.5, 'r2': 0.8}
    """
    return {name: value for name, value in results.items() if not name.endswith("]")}


def by_target(results: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The metrics of each target by itself, by the name of the target; empty for a single one.

    >>> by_target({"loss": 0.5, "r2": 0.8, "r2[height]": 0.9})
    {'height': {'r2': 0.9}}
    """
    found: dict[str, dict[str, Any]] = {}
    for name, value in results.items():
        measure, _, target = name.removesuffix("]").partition("[")
        if name.endswith("]"):
            found.setdefault(target, {})[measure] = value
    return found


def measure_text(name: str, value: Any) -> str:
    """A loss or metric to four digits; a share of rows always to four decimals, so that 1.0000 stands below 0.9815."""
    return f"{value:.4f}" if name.partition("[")[0] in SHARES and isinstance(value, int | float) else number(value)


def _epoch(event: Mapping[str, Any]) -> str:
    parts = [f"{name} {measure_text(name, value)}" for name, value in overall(event["train"]).items()]
    parts += [f"val {name} {measure_text(name, value)}" for name, value in overall(event["validation"] or {}).items()]
    return f"epoch {event['epoch']}/{event['epochs']}  " + "  ".join(parts) + ("  (best)" if event["best"] else "")


def _end(event: Mapping[str, Any]) -> str:
    tested = [f"test {name} {measure_text(name, value)}" for name, value in overall(event["test"] or {}).items()]
    best = f", best epoch {event['best_epoch']}" if event["best_epoch"] else ""
    return ", ".join([f"{event['status']} after {event['seconds']:.1f} s{best}", *tested])


def _trial(event: Mapping[str, Any]) -> str:
    varied = ", ".join(f"{name} {setting_text(value)}" for name, value in event["settings"].items())
    known = (
        ""
        if event["value"] is None
        else f", validation {event['metric']} {measure_text(event['metric'], event['value'])}"
    )
    told = f": {event['message']}" if event["message"] else ""
    return f"trial {event['number']} {event['status']}: {varied}{known}{told}"


def setting_text(value: Any) -> str:
    """A setting of an event as it is typed: sizes with commas between them.

    >>> setting_text([64, 64]), setting_text(0.001)
    ('64,64', '0.001')
    """
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


_SENTENCES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "start": lambda e: f"training {e['parameters']:,} parameters with {e['optimizer']}, seed {e['seed']}",
    "data": lambda e: f"data: {e['rows']['train']} rows to train on, {e['rows']['validation']} to validate on",
    "epoch": _epoch,
    "checkpoint": lambda e: f"saved step {e['step']} in {e['path']}",
    "warning": lambda e: e["message"],
    "stop": lambda e: f"stopped: {e['message']}",
    "end": _end,
    "error": lambda e: e["message"],
    "sweep": lambda e: f"{e['search']} search: {e['trials']} trials on {e['source']}, judged by {e['metric']}",
    "trial": _trial,
    "choice": lambda e: e["message"],
}
