"""The page of a sweep: what was chosen, every trial as a line through its settings, and a table of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from clearprop.charts.colours import CURVES_STYLE
from clearprop.charts.parallel import PARALLEL_STYLE, ParallelAxis, ParallelChart, ParallelLine
from clearprop.explanation.printers.html import cell, html_table, page
from clearprop.files.atomic import write_text
from clearprop.notation.escaping import html_text
from clearprop.runs.events import Event, measure_text, number, setting_text
from clearprop.search.selection import TrialChoice
from clearprop.search.space import Axis, IntervalAxis, read_space
from clearprop.search.sweep_folder import SweepConfig, SweepFolder
from clearprop.search.trial import ENDED

EVERY = 2.0
"""While trials end, the page is written every so many seconds at most."""
_MOST_TICKS = 8


class PageWriter:
    """A subscriber that keeps the page of a sweep: a line for each trial that has ended."""

    def __init__(self, folder: SweepFolder, config: SweepConfig, higher: bool) -> None:
        self.folder, self.config, self.higher = folder, config, higher
        self._written = -math.inf
        self.trials: dict[int, Event] = {}
        for event in folder.trial_events():
            self._take(event)

    def __call__(self, event: Event) -> None:
        """Take a trial in that has ended."""
        if self._take(event) and time.monotonic() - self._written >= EVERY:
            self.write(None)

    def _take(self, event: Event) -> bool:
        ended = event.get("event") == "trial" and event["status"] in ENDED
        if ended:
            self.trials[event["number"]] = event
        return ended

    def write(self, choice: TrialChoice | None) -> None:
        """Write the page; without a choice yet, trials are still at work."""
        write_text(self.folder.page, sweep_html(self.config, list(self.trials.values()), choice, self.higher))
        self._written = time.monotonic()


def sweep_html(config: SweepConfig, trials: Sequence[Event], choice: TrialChoice | None, higher: bool) -> str:
    """One page that loads and runs nothing."""
    told = choice.sentences() if choice is not None else [f"{len(trials)} of {config.trials} trials have ended so far"]
    head = "".join(f"<p>{html_text(text[:1].upper() + text[1:])}.</p>\n" for text in told)
    ranked = sorted(trials, key=lambda event: rank(event, higher))
    axes = read_space(config.space).axes
    names = [axis.name for axis in axes]
    drawn = _chart(axes, ranked, choice, config.metric).svg() if trials else ""
    key = (
        "<p>A line is a trial: the thick one is the best, coloured ones end within the interval of the best (the band "
        "on the last axis), dashed ones diverged or failed.</p>\n"
    )
    body = f"<section>\n{head}</section>\n<section>\n{drawn}{key}</section>\n"
    body += f"<section>\n{_table(names, ranked, config.metric)}</section>\n"
    return page(f"Sweep of {config.source}", body, CURVES_STYLE + PARALLEL_STYLE)


def rank(event: Event, higher: bool) -> tuple[float, float, int]:
    """What sorts trials: those that were trained longest before the others, then the better ones."""
    value = event["value"] if isinstance(event["value"], int | float) else math.inf
    cost = -value if higher and value < math.inf else value
    return -(event["epochs"] or 0) if cost < math.inf else math.inf, cost, event["number"]


def _table(names: Sequence[str], ranked: Sequence[Event], metric: str) -> str:
    heads = ["trial", *names, f"validation {metric}", "best epoch", "epochs", "seconds", "status"]
    rows = [
        (
            f'<th scope="row"><a href="trials/trial-{e["number"]:03d}/">{e["number"]}</a></th>',
            *(cell(html_text(setting_text(e["settings"].get(name)))) for name in names),
            cell(value_text(e)),
            cell(str(e["best_epoch"] or "")),
            cell(str(e["epoch"] or "")),
            cell(number(e["seconds"])),
            cell(html_text(f"{e['status']}{': ' if e['message'] else ''}{e['message']}")),
        )
        for e in ranked
    ]
    return html_table("the trials, the best first", [html_text(head) for head in heads], rows)


def value_text(event: Event) -> str:
    """The value of a trial's metric; empty where it has none."""
    return "" if event["value"] is None else measure_text(event["metric"], event["value"])


# ------------------------------------------------------------------------------------------------- parallel coordinates
def _chart(varied: Sequence[Axis], ranked: Sequence[Event], choice: TrialChoice | None, metric: str) -> ParallelChart:
    names = [axis.name for axis in varied]
    interval = None if choice is None else choice.validation.interval
    known = [e["value"] for e in ranked if _is_number(e["value"])]
    scales = [_scale(axis, [e["settings"].get(axis.name) for e in ranked]) for axis in varied]
    scales.append(_judging_scale([*known, *(interval or ())], metric))
    axes = [ParallelAxis(name, ticks) for name, (_, ticks) in zip([*names, metric], scales, strict=True)]
    lines = [ParallelLine(_places(e, names, scales), _look(e, choice), _title(e, names)) for e in ranked]
    band = None if interval is None else _span(scales[-1][0], interval)
    told = [f"{len(known)} trials with a result", *([] if choice is None else choice.sentences()[:1])]
    return ParallelChart("Trials", axes, lines, band, "; ".join(told))


def _span(place: Callable[[Any], float | None], interval: tuple[float, float]) -> tuple[float, float]:
    low, high = map(place, interval)
    return low or 0.0, high or 0.0


def _judging_scale(values: Sequence[float], metric: str) -> _Scale:
    if not values:
        return _nowhere, []
    place, ticks = _numbers(values, False)
    return place, [(share, measure_text(metric, float(text))) for share, text in ticks]


def _places(event: Event, names: Sequence[str], scales: Sequence[_Scale]) -> list[float | None]:
    values = [*(event["settings"].get(name) for name in names), event["value"]]
    return [at(value) for value, (at, _) in zip(values, scales, strict=True)]


def _title(event: Event, names: Sequence[str]) -> str:
    varied = ", ".join(f"{name} {setting_text(event['settings'].get(name))}" for name in names)
    return f"trial {event['number']}: {varied}, {event['metric']} {value_text(event) or event['status']}"


def _nowhere(_: Any) -> None:
    """Where a value stands on an axis without values."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _look(event: Event, choice: TrialChoice | None) -> Any:
    if not isinstance(event["value"], int | float):
        return "lost"
    if choice is None:
        return "near"
    if event["number"] == choice.number:
        return "best"
    low, high = choice.validation.interval or (math.inf, -math.inf)
    return "near" if low <= event["value"] <= high else "far"


_Scale = tuple[Callable[[Any], float | None], list[tuple[float, str]]]
"""Where a value stands on an axis, from 0 to 1, and the ticks."""


def _scale(axis: Axis, values: Sequence[Any]) -> _Scale:
    """An interval from end to end as it was drawn from; anything else by its place in order."""
    if isinstance(axis, IntervalAxis):
        return _numbers([axis.low, axis.high], axis.log)
    texts = sorted({setting_text(v) for v in values}, key=_in_order)
    places = {text: (i / (len(texts) - 1) if len(texts) > 1 else 0.5) for i, text in enumerate(texts)}
    shown = texts if len(texts) <= 2 * _MOST_TICKS else [texts[0], texts[-1]]
    return (lambda value: places.get(setting_text(value))), [(places[text], text) for text in shown]


def _in_order(text: str) -> tuple[float, str]:
    first = text.partition(",")[0]
    try:
        return float(first), text
    except ValueError:
        return math.inf, text


def _numbers(values: Sequence[float], logarithmic: bool) -> _Scale:
    low, high = min(values), max(values)

    def place(value: Any) -> float | None:
        if not isinstance(value, int | float) or not math.isfinite(value):
            return None
        if high == low:
            return 0.5
        return math.log(value / low) / math.log(high / low) if logarithmic else (value - low) / (high - low)

    if high == low:
        return place, [(0.5, number(low))]
    shares = [0.0, 0.25, 0.5, 0.75, 1.0]
    at = [low * (high / low) ** s if logarithmic else low + s * (high - low) for s in shares]
    return place, [(s, number(v)) for s, v in zip(shares, at, strict=True)]
